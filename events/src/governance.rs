//! Facts about the system itself: attested views, imports, forensic replays, certificates.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;

/// The stream of such facts.
pub const STREAM: &str = "governance";

/// A view had this state root at this size of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionAttested {
    /// Name of the view.
    pub view: String,
    /// How many events the view had taken in.
    pub log_size: u64,
    /// Version of the view's code.
    pub code_version: u32,
    /// State root, hex.
    pub root: String,
}

/// A view was rebuilt and took the place of the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionRebuilt {
    /// Name of the view.
    pub view: String,
    /// How many events it had taken in when it was swapped.
    pub log_size: u64,
    /// State root of both, hex.
    pub root: String,
}

/// An import run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFinished {
    /// Resources read.
    pub read: u64,
    /// Resources that became events.
    pub imported: u64,
    /// Resources left out, by type and reason.
    pub skipped: std::collections::BTreeMap<String, u64>,
}

/// A forensic replay opened PHI or read the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRun {
    /// Names of the filters used.
    pub filters: Vec<String>,
    /// Whether PHI was opened.
    pub opened_phi: bool,
}

/// A certificate of the server ends soon, or has ended; told once a day (ENC-21).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateExpiring {
    /// Names that it is for.
    pub names: Vec<String>,
    /// SHA-256 of the certificate, hex.
    pub fingerprint: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// Whole days until then; negative if that is past.
    pub days: i64,
}

/// The server shows other certificates than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificatesReplaced {
    /// SHA-256 of each certificate, hex.
    pub fingerprints: Vec<String>,
}

/// New files of certificates cannot be used; those before stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificatesRefused {
    /// Why.
    pub reason: String,
}

area_events! {
    /// Events of the system itself.
    GovernanceEvent in "governance", upcast first_version {
        "projection-attested" v 1 => ProjectionAttested(ProjectionAttested),
        "projection-rebuilt" v 1 => ProjectionRebuilt(ProjectionRebuilt),
        "import-finished" v 1 => ImportFinished(ImportFinished),
        "replay-run" v 1 => ReplayRun(ReplayRun),
        "certificate-expiring" v 1 => CertificateExpiring(CertificateExpiring),
        "certificates-replaced" v 1 => CertificatesReplaced(CertificatesReplaced),
        "certificates-refused" v 1 => CertificatesRefused(CertificatesRefused),
    }
}
