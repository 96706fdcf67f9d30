use uuid::Uuid;
use wardbook_events::access::{
    AccessDenied, AuditRead, ChartOpened, Grounds, PatientsSearched, RecordsOpened, Throttled,
};
use wardbook_events::break_glass::{EmergencyEnded, EmergencyReason, EmergencyReviewed, EmergencyStarted};
use wardbook_events::elevations::ElevationGranted;
use wardbook_events::identity::{AccountLocked, RefreshTokenReused, SessionsEnded};
use wardbook_events::keys::UnusualUseSeen;
use wardbook_events::patients::PatientFlagged;
use wardbook_events::{
    Actor, Client, ElevationId, EmergencyId, GroupSet, Meta, Outcome, Purpose, Role, SessionId, TokenKind,
};

use super::*;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}
fn patient(n: u128) -> PatientId {
    PatientId::new(id(n))
}
fn user(n: u128) -> UserId {
    UserId::new(id(n))
}
fn recorded(event: impl Into<Event>) -> Recorded {
    Recorded {
        position: 7,
        stream: "s".into(),
        stream_version: 1,
        id: EventId::new(id(70)),
        recorded_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        subjects: vec![],
        meta: Meta {
            tenant: TenantId::new(id(80)),
            actor: Actor::user(user(1), Role::Physician),
            purpose: Purpose::Treatment,
            outcome: Outcome::Success,
            correlation: CorrelationId::new(id(90)),
            causation: None,
            command: None,
        },
        client: Client::default(),
        event: event.into(),
    }
}
fn grounds(emergency: bool) -> Grounds {
    let emergency = emergency.then(|| EmergencyId::new(id(5)));
    Grounds { policies: vec!["p".into()], policy_version: "0".into(), emergency, reason: None }
}
fn chart(emergency: bool) -> ChartOpened {
    ChartOpened { patient: patient(2), groups: GroupSet::all(), grounds: grounds(emergency), as_of: None }
}
fn records(emergency: bool) -> RecordsOpened {
    let (patient, groups, grounds) = (patient(2), GroupSet::all(), grounds(emergency));
    RecordsOpened { patient, records: vec![], kind: None, groups, grounds }
}
fn found(patients: &[u128]) -> PatientsSearched {
    let found = patients.iter().map(|n| patient(*n)).collect();
    PatientsSearched { by: vec![TokenKind::Ssn], found, groups: GroupSet::all(), grounds: grounds(false) }
}
fn denied() -> AccessDenied {
    let patient = Some(patient(2));
    AccessDenied { patient, action: "read-chart".into(), policies: vec![], policy_version: "0".into() }
}
fn started() -> EmergencyStarted {
    EmergencyStarted {
        emergency: EmergencyId::new(id(5)),
        patient: patient(2),
        user: user(1),
        reason: EmergencyReason::Trauma,
        detail: None,
        location: None,
        expires_at: "2026-03-01T16:00:00Z".parse().unwrap(),
        review_due_at: "2026-03-02T12:00:00Z".parse().unwrap(),
    }
}
fn reviewed(outcome: ReviewOutcome) -> EmergencyReviewed {
    EmergencyReviewed {
        emergency: EmergencyId::new(id(5)),
        patient: patient(2),
        reviewer: user(1),
        outcome,
        note: None,
    }
}
fn ended(reason: EndReason) -> SessionsEnded {
    SessionsEnded { user: user(3), sessions: vec![SessionId::new(id(4))], reason }
}
fn granted(by: Option<UserId>) -> ElevationGranted {
    let until = "2026-03-01T16:00:00Z".parse().unwrap();
    ElevationGranted {
        elevation: ElevationId::new(id(6)),
        user: user(3),
        role: Role::Admin,
        until,
        by,
        review_due_at: None,
    }
}

const NOTHING: Facts = Facts { watched: false, decoy: false, obliged: false, offender: None };
const WATCHED: Facts = Facts { watched: true, ..NOTHING };
const DECOY: Facts = Facts { watched: true, decoy: true, ..NOTHING };
const OBLIGED: Facts = Facts { obliged: true, ..NOTHING };

fn raised(event: impl Into<Event>, facts: Facts) -> Option<(AlertKind, Severity, Option<UserId>, Option<PatientId>)> {
    let recorded = recorded(event);
    let alarm = alarm(&recorded, &facts)?;
    assert!(may_matter(recorded.event.type_name()), "{} is passed over unread", recorded.event.type_name());
    assert_eq!((alarm.cause, alarm.tenant), (recorded.id, recorded.meta.tenant));
    Some((alarm.kind, alarm.severity, alarm.user, alarm.patient))
}

use AlertKind::{
    BreakGlassInappropriate, BreakGlassStarted, DecoyTouched, EmergencyElevation, ManyPatients, PolicyObligation,
    SessionHijackSuspected, WatchedPatientOpened,
};
use Severity::{Critical, High, Medium};

#[test]
fn emergencies_alarm_when_they_begin_and_when_they_were_none() {
    let of = |kind, severity, by| Some((kind, severity, Some(user(by)), Some(patient(2))));
    assert_eq!(raised(started(), NOTHING), of(BreakGlassStarted, High, 1));
    let offender = Facts { offender: Some(user(9)), ..NOTHING };
    assert_eq!(raised(reviewed(ReviewOutcome::Inappropriate), offender), of(BreakGlassInappropriate, Critical, 9));
    for outcome in [ReviewOutcome::Appropriate, ReviewOutcome::UnderInvestigation] {
        assert_eq!(raised(reviewed(outcome), offender), None);
    }
    let over = EmergencyEnded { emergency: EmergencyId::new(id(5)), patient: patient(2) };
    assert_eq!(raised(over, WATCHED), None);
}

#[test]
fn stolen_sessions_and_locks_alarm() {
    let of = |kind, severity| Some((kind, severity, Some(user(3)), None));
    let reused = RefreshTokenReused { user: user(3), session: SessionId::new(id(4)) };
    assert_eq!(raised(reused, NOTHING), of(AlertKind::RefreshTokenReused, Critical));
    assert_eq!(raised(ended(EndReason::Hijack), NOTHING), of(SessionHijackSuspected, High));
    assert_eq!(raised(ended(EndReason::Idle), NOTHING), None);
    let until = "2026-03-01T16:00:00Z".parse().unwrap();
    let locked = AccountLocked { user: user(3), until, unknown_devices_only: false };
    assert_eq!(raised(locked, NOTHING), of(AlertKind::AccountLocked, Medium));
    assert_eq!(raised(granted(None), NOTHING), of(EmergencyElevation, High));
    assert_eq!(raised(granted(Some(user(8))), NOTHING), None);
}

#[test]
fn looks_alarm_when_the_patient_is_watched() {
    let of = |kind, severity| Some((kind, severity, Some(user(1)), Some(patient(2))));
    assert_eq!(raised(chart(false), NOTHING), None);
    assert_eq!(raised(chart(true), NOTHING), None, "the start of the emergency has alarmed");
    assert_eq!(raised(chart(false), WATCHED), of(WatchedPatientOpened, Medium));
    assert_eq!(raised(records(false), WATCHED), of(WatchedPatientOpened, Medium));
    assert_eq!(raised(chart(true), WATCHED), of(WatchedPatientOpened, High));
    assert_eq!(raised(denied(), WATCHED), None);
    assert_eq!(raised(found(&[2]), WATCHED), None);
}

#[test]
fn whoever_touches_a_decoy_alarms() {
    let of = |patient| Some((DecoyTouched, Critical, Some(user(1)), patient));
    assert_eq!(raised(chart(false), DECOY), of(Some(patient(2))));
    assert_eq!(raised(records(true), DECOY), of(Some(patient(2))));
    assert_eq!(raised(denied(), DECOY), of(Some(patient(2))));
    assert_eq!(raised(started(), DECOY), of(Some(patient(2))));
    assert_eq!(raised(found(&[2]), DECOY), of(Some(patient(2))));
    assert_eq!(raised(found(&[2, 3]), DECOY), of(None));
    // Those who set the decoy up, and those who look into the matter, do not.
    let flagged = PatientFlagged { patient: patient(2), vip: true, reason: None, decoy: true, by: user(1) };
    assert_eq!(raised(flagged, DECOY), None);
    let read = AuditRead { patient: Some(patient(2)), filters: vec![], limit: 1, grounds: grounds(false) };
    assert_eq!(raised(read, DECOY), None);
    assert_eq!(raised(reviewed(ReviewOutcome::Appropriate), DECOY), None);
}

#[test]
fn policies_and_limits_alarm() {
    let of = |patient| Some((PolicyObligation, High, Some(user(1)), patient));
    assert_eq!(raised(denied(), OBLIGED), of(Some(patient(2))));
    assert_eq!(raised(chart(false), OBLIGED), of(Some(patient(2))));
    let watched = Facts { watched: true, ..OBLIGED };
    assert_eq!(raised(chart(true), watched).unwrap().0, WatchedPatientOpened, "one alert for one event");
    let rule = |rule: &str| Throttled { rule: rule.into() };
    assert_eq!(raised(rule(PATIENTS_PER_HOUR), NOTHING), Some((ManyPatients, High, Some(user(1)), None)));
    assert_eq!(raised(rule("requests_per_minute"), NOTHING), None);
}

#[test]
fn unusual_use_of_keys_is_about_the_user_who_used_them() {
    for (unusual, severity) in [
        (Unusual::BeyondNorm, High),
        (Unusual::OffHours, High),
        (Unusual::UnknownNetwork, High),
        (Unusual::BeyondBound, Critical),
    ] {
        let seen = UnusualUseSeen { user: user(7), opens: 9_000, usual: 40, unusual };
        assert_eq!(
            raised(KeyEvent::from(seen), NOTHING),
            Some((AlertKind::UnusualKeyUse, severity, Some(user(7)), None))
        );
    }
}

#[test]
fn a_certificate_hurries_more_the_nearer_its_end_is() {
    for (days, severity) in [
        (30, Severity::Medium),
        (7, Severity::Medium),
        (6, Severity::High),
        (0, Severity::High),
        (-1, Severity::Critical),
    ] {
        let ending = wardbook_events::governance::CertificateExpiring {
            names: vec!["wardbook.example".into()],
            fingerprint: "9f".repeat(32),
            not_after: "2026-03-21T12:00:00Z".parse().unwrap(),
            days,
        };
        let event = recorded(GovernanceEvent::from(ending));
        assert!(may_matter(event.event.type_name()));
        let raised = alarm(&event, &Facts::default()).unwrap();
        assert_eq!((raised.kind, raised.severity), (AlertKind::CertificateExpiring, severity), "{days} days");
    }
}

#[test]
fn officers_are_told_of_whom_nobody_knows_any_more() {
    use wardbook_events::erasure::ErasureExecuted;
    use wardbook_events::{ErasureId, GroupSet};
    let executed = |scope| ErasureExecuted {
        erasure: ErasureId::new(id(7)),
        patients: vec![patient(2), patient(3)],
        scope,
        kept: Vec::new(),
        approved_by: vec![user(1), user(4)],
    };
    let told = Some((AlertKind::PatientErased, Medium, Some(user(1)), Some(patient(2))));
    assert_eq!(raised(executed(Scope::Whole), NOTHING), told);
    assert_eq!(raised(executed(Scope::Groups(GroupSet::all())), NOTHING), None);
}
