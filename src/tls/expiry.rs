//! Certificates that end soon (ENC-21): an event a day, from which an alert follows.

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_events::governance::{CertificateExpiring, GovernanceEvent};
use wardbook_events::{Actor, Client, CorrelationId, EventId, Outcome, TenantId};
use wardbook_ledger::AppendError;

use super::Tls;
use super::certificate::Certificate;
use crate::app::App;
use crate::disclosure::Refusal;
use crate::strangers::system_meta;

/// Tells of every certificate that ends within `tls.warn_days`, once a day however often it is asked. Blocks.
///
/// # Errors
/// If an event could not be appended.
pub fn tell(app: &App, tls: &Tls) -> Result<(), Refusal> {
    let now = app.now();
    for certificate in tls.certificates() {
        let days = certificate.days_left(now);
        if days < i64::from(tls.config().warn_days) {
            tracing::warn!(names = ?certificate.names, not_after = %certificate.not_after, days, "this certificate ends soon");
            tell_one(app, &certificate, days, now)?;
        }
    }
    Ok(())
}

fn tell_one(app: &App, certificate: &Certificate, days: i64, now: Timestamp) -> Result<(), Refusal> {
    let ending = CertificateExpiring {
        names: certificate.names.clone(),
        fingerprint: certificate.fingerprint(),
        not_after: certificate.not_after,
        days,
    };
    let id = id_of(certificate, now);
    match app.tell_blocking(EventId::new(id), GovernanceEvent::from(ending).into(), &meta(app, id), &Client::default())
    {
        // Told today, before a restart.
        Ok(_) | Err(Refusal::Append(AppendError::IdConflict { .. })) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// In the name of the configured organisation, whose officers get the alert.
pub(super) fn meta(app: &App, id: Uuid) -> wardbook_events::Meta {
    let tenant: TenantId = app.config().organisation.id;
    wardbook_events::Meta { tenant, ..system_meta(Actor::SYSTEM, Outcome::Success, CorrelationId::new(id)) }
}

/// The same for one certificate and day.
fn id_of(certificate: &Certificate, now: Timestamp) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 certificate that ends soon");
    hasher.update(&certificate.sha256).update(&now.as_second().div_euclid(86_400).to_be_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
