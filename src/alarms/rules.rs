//! Which events are alarming.

use wardbook_events::access::AccessEvent;
use wardbook_events::alerts::{AlertKind, Severity};
use wardbook_events::backups::BackupEvent;
use wardbook_events::break_glass::{BreakGlassEvent, ReviewOutcome};
use wardbook_events::elevations::ElevationEvent;
use wardbook_events::erasure::{ErasureEvent, Scope};
use wardbook_events::governance::GovernanceEvent;
use wardbook_events::identity::{EndReason, IdentityEvent};
use wardbook_events::keys::{KeyEvent, Unusual};
use wardbook_events::{CorrelationId, Event, EventId, PatientId, Recorded, TenantId, UserId};

/// The rule of `[limits]` that bounds how many patients one user opens in an hour.
pub const PATIENTS_PER_HOUR: &str = "patients_per_hour";
/// How much an overdue review hurries.
pub const OVERDUE: Severity = Severity::High;

/// What is known about the patients and the policies that an event names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// One of the patients is specially watched.
    pub watched: bool,
    /// One of the patients is a decoy.
    pub decoy: bool,
    /// A policy that had its say wants the privacy officer to be told.
    pub obliged: bool,
    /// Whose doing it is, if not the actor's.
    pub offender: Option<UserId>,
}

/// An alert that is to be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub kind: AlertKind,
    /// How much it hurries.
    pub severity: Severity,
    /// The event that caused it.
    pub cause: EventId,
    /// The request that caused it, if one did.
    pub correlation: Option<CorrelationId>,
    /// The organisation.
    pub tenant: TenantId,
    /// Who did it.
    pub user: Option<UserId>,
    /// Whom it concerns.
    pub patient: Option<PatientId>,
}

/// Whether events of this type can be alarming at all. Told by the name, before anything is decoded.
pub fn may_matter(event_type: &str) -> bool {
    matches!(
        event_type,
        "access.chart-opened"
            | "access.records-opened"
            | "access.document-opened"
            | "access.patients-searched"
            | "access.denied"
            | "access.throttled"
            | "break-glass.started"
            | "break-glass.reviewed"
            | "identity.refresh-token-reused"
            | "identity.sessions-ended"
            | "identity.account-locked"
            | "elevations.granted"
            | "backups.failed"
            | "erasure.executed"
            | "patients.corrected"
            | "care-teams.member-assigned"
            | "governance.certificate-expiring"
            | "keys.provider-unreachable"
            | "keys.unusual-use-seen"
    )
}

/// The alert that an event raises: at most one, the most urgent.
#[must_use]
pub fn alarm(recorded: &Recorded, facts: &Facts) -> Option<Alarm> {
    let about = subject(&recorded.event);
    let (kind, severity) = if facts.decoy && about.touches {
        (AlertKind::DecoyTouched, Severity::Critical)
    } else {
        judge(&recorded.event, facts)?
    };
    Some(Alarm {
        kind,
        severity,
        cause: recorded.id,
        correlation: Some(recorded.meta.correlation),
        tenant: recorded.meta.tenant,
        user: facts.offender.or(about.user).or(recorded.meta.actor.id),
        patient: about.patient,
    })
}

fn judge(event: &Event, facts: &Facts) -> Option<(AlertKind, Severity)> {
    let (opened, emergency) = match event {
        Event::Access(AccessEvent::ChartOpened(e)) => (true, e.grounds.emergency.is_some()),
        Event::Access(AccessEvent::RecordsOpened(e)) => (true, e.grounds.emergency.is_some()),
        Event::Access(AccessEvent::DocumentOpened(e)) => (true, e.grounds.emergency.is_some()),
        _ => (false, false),
    };
    Some(match event {
        Event::BreakGlass(BreakGlassEvent::Started(_)) => (AlertKind::BreakGlassStarted, Severity::High),
        Event::Key(KeyEvent::ProviderUnreachable(_)) => (AlertKind::KeyProviderUnreachable, Severity::Critical),
        Event::Key(KeyEvent::UnusualUseSeen(e)) => (
            AlertKind::UnusualKeyUse,
            match e.unusual {
                Unusual::BeyondBound => Severity::Critical,
                Unusual::BeyondNorm | Unusual::OffHours | Unusual::UnknownNetwork => Severity::High,
            },
        ),
        Event::BreakGlass(BreakGlassEvent::Reviewed(e)) if e.outcome == ReviewOutcome::Inappropriate => {
            (AlertKind::BreakGlassInappropriate, Severity::Critical)
        }
        Event::Identity(IdentityEvent::RefreshTokenReused(_)) => (AlertKind::RefreshTokenReused, Severity::Critical),
        Event::Identity(IdentityEvent::SessionsEnded(e)) if e.reason == EndReason::Hijack => {
            (AlertKind::SessionHijackSuspected, Severity::High)
        }
        Event::Identity(IdentityEvent::AccountLocked(_)) => (AlertKind::AccountLocked, Severity::Medium),
        Event::Access(AccessEvent::Throttled(e)) if e.rule == PATIENTS_PER_HOUR => {
            (AlertKind::ManyPatients, Severity::High)
        }
        Event::Elevation(ElevationEvent::Granted(e)) if e.by.is_none() => {
            (AlertKind::EmergencyElevation, Severity::High)
        }
        Event::Governance(GovernanceEvent::CertificateExpiring(e)) => (
            AlertKind::CertificateExpiring,
            match e.days {
                ..0 => Severity::Critical,
                0..7 => Severity::High,
                _ => Severity::Medium,
            },
        ),
        Event::Backup(BackupEvent::Failed(_)) => (AlertKind::BackupFailed, Severity::High),
        Event::Erasure(ErasureEvent::Executed(e)) if e.scope == Scope::Whole => {
            (AlertKind::PatientErased, Severity::Medium)
        }
        _ if opened && facts.watched => {
            (AlertKind::WatchedPatientOpened, if emergency { Severity::High } else { Severity::Medium })
        }
        _ if facts.obliged => (AlertKind::PolicyObligation, Severity::High),
        _ => return None,
    })
}

/// What an event is about.
#[derive(Default)]
struct Subject {
    user: Option<UserId>,
    patient: Option<PatientId>,
    /// Somebody looked, tried to, or changed something.
    touches: bool,
}

fn subject(event: &Event) -> Subject {
    use wardbook_events::care_teams::CareTeamEvent::MemberAssigned;
    use wardbook_events::patients::PatientEvent::Corrected;
    let of = |patient| Subject { patient, touches: true, ..Subject::default() };
    let user = |user| Subject { user: Some(user), ..Subject::default() };
    match event {
        Event::Access(AccessEvent::ChartOpened(e)) => of(Some(e.patient)),
        Event::Access(AccessEvent::RecordsOpened(e)) => of(Some(e.patient)),
        Event::Access(AccessEvent::DocumentOpened(e)) => of(Some(e.patient)),
        Event::Access(AccessEvent::Denied(e)) => of(e.patient),
        // Of several only the event itself says who they were.
        Event::Access(AccessEvent::PatientsSearched(e)) => of(match e.found.as_slice() {
            [one] => Some(*one),
            _ => None,
        }),
        Event::Patient(Corrected(e)) => of(Some(e.patient)),
        Event::CareTeam(MemberAssigned(e)) => of(Some(e.patient)),
        Event::BreakGlass(BreakGlassEvent::Started(e)) => of(Some(e.patient)),
        Event::BreakGlass(BreakGlassEvent::Reviewed(e)) => Subject { patient: Some(e.patient), ..Subject::default() },
        Event::Identity(IdentityEvent::RefreshTokenReused(e)) => user(e.user),
        Event::Identity(IdentityEvent::SessionsEnded(e)) => user(e.user),
        Event::Identity(IdentityEvent::AccountLocked(e)) => user(e.user),
        Event::Elevation(ElevationEvent::Granted(e)) => user(e.user),
        Event::Key(KeyEvent::UnusualUseSeen(e)) => user(e.user),
        Event::Erasure(ErasureEvent::Executed(e)) => {
            Subject { patient: e.patients.first().copied(), ..Subject::default() }
        }
        _ => Subject::default(),
    }
}

#[cfg(test)]
mod tests;
