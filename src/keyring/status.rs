//! How keys stand: versions, ages, what is left to do, when what is due. Nothing secret.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_events::TenantId;
use wardbook_events::keys::{KeyLevel, KeyReason};
use wardbook_keys::{KeyState, RootStatus, VersionStatus};
use wardbook_projections::keys::Rotation;

use super::KeyringError;
use super::jobs::Job;
use super::schedule::due_at;
use crate::app::App;

/// Rotations that are listed.
const HISTORY: usize = 20;

/// Keys of an organisation, and the root key above them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    root: Root,
    /// The organisation's key, oldest version first.
    tenant: Vec<Version>,
    /// When it is made anew by itself.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_due_at: Option<Timestamp>,
    /// The key that patients are searched by, oldest version first.
    index: Vec<Version>,
    patients: Patients,
    /// Patients' keys that are still wrapped under an older version of the organisation's key.
    to_rewrap: u64,
    /// What is being done with this organisation's keys, or was done last since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Job>,
    /// What was made anew, newest first.
    history: Vec<Made>,
    /// Until when the use of keys was counted.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    counted_until: Option<Timestamp>,
}

/// The root key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Root {
    /// Its name at the provider.
    key: String,
    /// Whether the provider answers; what follows is there only then.
    reachable: bool,
    /// Its newest version, as the provider names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// When that version was first seen.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// When it is made anew by itself.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    /// Organisations' keys that are still wrapped under an older version; told to who runs the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_rewrap: Option<u64>,
    /// What is being done with them, or was done last since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Job>,
}

/// A version of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Version {
    version: u32,
    /// `active`, `retired`, `disabled` or `destroyed`.
    state: &'static str,
    #[schema(value_type = String)]
    made_at: Timestamp,
    age_days: u64,
    /// Patients' keys, of whatever version, that are wrapped under it.
    patient_keys: u64,
}

/// Patients' keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct Patients {
    /// Patients who have a key.
    count: u64,
    /// When the oldest of their newest keys was made.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_made_at: Option<Timestamp>,
    /// When that one is made anew by itself.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    /// Keys that were made anew since the beginning.
    rotated: u64,
}

/// Something that was made anew.
#[derive(Debug, Serialize, ToSchema)]
pub struct Made {
    /// `root`, `tenant`, `patient` or `index`.
    #[schema(value_type = String)]
    level: KeyLevel,
    /// Its new version; missing for several patients.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    keys: u64,
    /// `age`, `uses`, `requested` or `compromise`.
    #[schema(value_type = String)]
    reason: KeyReason,
    #[schema(value_type = String)]
    at: Timestamp,
}

/// How an organisation's keys stand. `is_home`: it is the one that runs the server.
///
/// # Errors
/// If the store or the view fails. That the provider does not answer is no error.
pub fn status(app: &App, tenant: TenantId, is_home: bool) -> Result<Status, KeyringError> {
    let (keys, rotation) = (app.keys(), &app.config().keys.rotation);
    let found = keys.status(tenant)?;
    let told = app.views().keys.told(tenant)?;
    let history = app.views().keys.history(tenant, None, HISTORY)?;
    let now = app.now();
    let newest = found.tenant.last().filter(|key| key.state != KeyState::Destroyed);
    Ok(Status {
        root: root(app, is_home)?,
        tenant_due_at: newest.and_then(|key| due_at(key.made_at, rotation.tenant_days)).map(at),
        tenant: found.tenant.iter().map(|key| version(key, now)).collect(),
        index: found.index.iter().map(|key| version(key, now)).collect(),
        patients: Patients {
            count: found.patients,
            oldest_made_at: found.oldest_patient_key.map(at),
            due_at: found.oldest_patient_key.and_then(|made| due_at(made, rotation.patient_days)).map(at),
            rotated: told.patients,
        },
        to_rewrap: found.to_rewrap(),
        job: app.keyring().job(Some(tenant)),
        history: history.items.into_iter().map(made).collect(),
        counted_until: told.counted_until,
    })
}

fn root(app: &App, is_home: bool) -> Result<Root, KeyringError> {
    let nothing = Root {
        key: app.keys().root_id(),
        reachable: false,
        version: None,
        since: None,
        due_at: None,
        to_rewrap: None,
        job: app.keyring().job(None).filter(|_| is_home),
    };
    let RootStatus { version, since, .. } = match app.keys().root_status() {
        Ok(status) => status,
        Err(error) if error.root().is_some() => return Ok(nothing),
        Err(error) => return Err(error.into()),
    };
    Ok(Root {
        reachable: true,
        since: Some(at(since)),
        due_at: due_at(since, app.config().keys.rotation.root_days).map(at),
        to_rewrap: if is_home { Some(app.keys().tenant_keys_before(&version)? as u64) } else { None },
        version: Some(version.as_str().to_owned()),
        ..nothing
    })
}

fn version(key: &VersionStatus, now: Timestamp) -> Version {
    let made_at = at(key.made_at);
    let age = now.duration_since(made_at).as_hours().max(0) / 24;
    Version {
        version: key.version,
        state: key.state.name(),
        made_at,
        age_days: age.unsigned_abs(),
        patient_keys: key.patient_keys,
    }
}

fn made(rotation: Rotation) -> Made {
    let Rotation { level, version, keys, reason, at } = rotation;
    Made { level, version, keys, reason, at }
}

fn at(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}
