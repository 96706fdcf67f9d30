//! To which stream an event goes and which patients it is about.

use wardbook_events::access::{self, AccessEvent};
use wardbook_events::access_reviews::{self, AccessReviewEvent};
use wardbook_events::alerts::{self, AlertEvent};
use wardbook_events::break_glass::{self, BreakGlassEvent};
use wardbook_events::care_teams::{self, CareTeamEvent};
use wardbook_events::consent::{self, ConsentEvent};
use wardbook_events::documents::{self, DocumentEvent};
use wardbook_events::elevations::{self, ElevationEvent};
use wardbook_events::erasure::{self, ErasureEvent};
use wardbook_events::identity::{self, IdentityEvent};
use wardbook_events::keys::{self, KeyEvent};
use wardbook_events::patients::{self, PatientEvent};
use wardbook_events::records::{self, RecordEvent};
use wardbook_events::{Event, PatientId, ReviewId, TenantId, UserId, backups, governance};

/// An event's stream and subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Stream name.
    pub stream: String,
    /// The patients it is about, without repeats.
    pub subjects: Vec<PatientId>,
}

fn of_patient(stream: String, patient: PatientId) -> Route {
    Route { stream, subjects: vec![patient] }
}

fn of_nobody(stream: String) -> Route {
    Route { stream, subjects: Vec::new() }
}

/// Says where an event belongs.
#[must_use]
pub fn route(event: &Event, tenant: TenantId) -> Route {
    match event {
        Event::Patient(event) => of_patient_event(event),
        Event::Record(event) => of_record_event(event),
        Event::Document(event) => of_document_event(event),
        Event::CareTeam(CareTeamEvent::MemberAssigned(e)) => of_patient(care_teams::stream(e.patient), e.patient),
        Event::CareTeam(CareTeamEvent::MemberEnded(e)) => of_patient(care_teams::stream(e.patient), e.patient),
        Event::Access(event) => of_access_event(event, tenant),
        Event::Identity(event) => of_nobody(identity_stream(event)),
        Event::BreakGlass(event) => of_break_glass_event(event),
        Event::Consent(event) => of_consent_event(event),
        Event::Alert(event) => of_alert_event(event),
        Event::Elevation(event) => of_nobody(elevations::stream(of_elevation_event(event))),
        Event::Erasure(event) => of_erasure_event(event),
        Event::AccessReview(event) => of_nobody(access_reviews::stream(of_review_event(event))),
        Event::Key(event) => of_key_event(event, tenant),
        Event::Backup(_) => of_nobody(backups::STREAM.to_owned()),
        Event::Governance(_) => of_nobody(governance::STREAM.to_owned()),
    }
}

fn of_patient_event(event: &PatientEvent) -> Route {
    let (stream, patient) = match event {
        PatientEvent::Registered(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Corrected(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Merged(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Absorbed(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Unmerged(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Parted(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Flagged(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Placed(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Erased(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::GroupsErased(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::GroupsReopened(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Reindexed(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::Resealed(e) => (patients::stream(e.patient), e.patient),
        PatientEvent::TokenClaimed(e) => (e.token.claim_stream(e.tenant), e.patient),
        PatientEvent::TokenReleased(e) => (e.token.claim_stream(e.tenant), e.patient),
    };
    of_patient(stream, patient)
}

fn of_break_glass_event(event: &BreakGlassEvent) -> Route {
    let patient = match event {
        BreakGlassEvent::Started(e) => e.patient,
        BreakGlassEvent::Extended(e) => e.patient,
        BreakGlassEvent::Ended(e) => e.patient,
        BreakGlassEvent::Reviewed(e) => e.patient,
    };
    of_patient(break_glass::stream(patient), patient)
}

fn of_consent_event(event: &ConsentEvent) -> Route {
    let patient = match event {
        ConsentEvent::AccessRestricted(e) => e.patient,
        ConsentEvent::RestrictionLifted(e) => e.patient,
        ConsentEvent::DisclosurePermitted(e) => e.patient,
        ConsentEvent::DisclosureWithdrawn(e) => e.patient,
        ConsentEvent::ProxyGranted(e) => e.patient,
        ConsentEvent::ProxyEnded(e) => e.patient,
    };
    of_patient(consent::stream(patient), patient)
}

fn of_alert_event(event: &AlertEvent) -> Route {
    let (alert, patient) = match event {
        AlertEvent::Raised(e) => (e.alert, e.patient),
        AlertEvent::Delivered(e) => (e.alert, None),
        AlertEvent::Acknowledged(e) => (e.alert, None),
    };
    Route { stream: alerts::stream(alert), subjects: patient.into_iter().collect() }
}

fn of_key_event(event: &KeyEvent, tenant: TenantId) -> Route {
    let mut subjects: Vec<PatientId> = match event {
        KeyEvent::PatientKeysRotated(e) => e.patients.iter().map(|one| one.patient).collect(),
        KeyEvent::VersionsDisabled(e) => e.patients.iter().map(|one| one.patient).collect(),
        KeyEvent::CompromiseDeclared(e) => e.patient.into_iter().collect(),
        _ => Vec::new(),
    };
    subjects.sort_unstable();
    subjects.dedup();
    Route { stream: keys::stream(tenant), subjects }
}

const fn of_elevation_event(event: &ElevationEvent) -> UserId {
    match event {
        ElevationEvent::Requested(e) => e.user,
        ElevationEvent::Granted(e) => e.user,
        ElevationEvent::Refused(e) => e.user,
        ElevationEvent::Ended(e) => e.user,
        ElevationEvent::Reviewed(e) => e.user,
    }
}

fn of_erasure_event(event: &ErasureEvent) -> Route {
    let patient = match event {
        ErasureEvent::HoldPlaced(e) => e.patient,
        ErasureEvent::HoldLifted(e) => e.patient,
        ErasureEvent::Requested(e) => e.patient,
        ErasureEvent::Approved(e) => e.patient,
        ErasureEvent::Refused(e) => e.patient,
        ErasureEvent::Certified(e) => e.patient,
        // About everybody who is this person, in the stream of the one who goes on.
        ErasureEvent::Executed(e) => {
            let first = e.patients.first().copied().unwrap_or(PatientId::from_bytes([0; 16]));
            let mut subjects = e.patients.clone();
            subjects.sort_unstable();
            subjects.dedup();
            return Route { stream: erasure::stream(first), subjects };
        }
    };
    of_patient(erasure::stream(patient), patient)
}

const fn of_review_event(event: &AccessReviewEvent) -> ReviewId {
    match event {
        AccessReviewEvent::Opened(e) => e.review,
        AccessReviewEvent::Decided(e) => e.review,
        AccessReviewEvent::Closed(e) => e.review,
    }
}

fn of_record_event(event: &RecordEvent) -> Route {
    let (record, patient) = match event {
        RecordEvent::DraftSaved(e) => return of_patient(records::draft_stream(e.patient, e.draft), e.patient),
        RecordEvent::DraftDiscarded(e) => return of_patient(records::draft_stream(e.patient, e.draft), e.patient),
        RecordEvent::DraftResealed(e) => return of_patient(records::draft_stream(e.patient, e.draft), e.patient),
        RecordEvent::Added(e) => (e.record, e.patient),
        RecordEvent::Amended(e) => (e.record, e.patient),
        RecordEvent::Signed(e) => (e.record, e.patient),
        RecordEvent::AddendumAdded(e) => (e.record, e.patient),
        RecordEvent::Retracted(e) => (e.record, e.patient),
        RecordEvent::Resealed(e) => (e.record, e.patient),
    };
    of_patient(records::stream(record), patient)
}

fn of_document_event(event: &DocumentEvent) -> Route {
    let (document, patient) = match event {
        DocumentEvent::Added(e) => (e.document, e.patient),
        DocumentEvent::Retracted(e) => (e.document, e.patient),
        DocumentEvent::Resealed(e) => (e.document, e.patient),
        DocumentEvent::FoundDamaged(e) => (e.document, e.patient),
    };
    of_patient(documents::stream(document), patient)
}

fn of_access_event(event: &AccessEvent, tenant: TenantId) -> Route {
    let about = |patient: Option<PatientId>| match patient {
        Some(patient) => of_patient(access::patient_stream(patient), patient),
        None => of_nobody(access::tenant_stream(tenant)),
    };
    match event {
        AccessEvent::ChartOpened(e) => about(Some(e.patient)),
        AccessEvent::RecordsOpened(e) => about(Some(e.patient)),
        AccessEvent::DocumentOpened(e) => about(Some(e.patient)),
        AccessEvent::AccessListRead(e) => about(Some(e.patient)),
        AccessEvent::Denied(e) => about(e.patient),
        AccessEvent::AuditRead(e) => about(e.patient),
        AccessEvent::DenialExplained(e) => about(e.patient),
        AccessEvent::DecisionExplained(e) => about(e.patient),
        AccessEvent::UnknownPatientRequested(_) | AccessEvent::Throttled(_) => about(None),
        AccessEvent::PatientsSearched(e) => {
            let mut subjects = e.found.clone();
            subjects.sort_unstable();
            subjects.dedup();
            Route { stream: access::tenant_stream(tenant), subjects }
        }
    }
}

fn identity_stream(event: &IdentityEvent) -> String {
    use IdentityEvent as Is;
    match event {
        Is::UsernameClaimed(e) => identity::username_stream(&e.username),
        Is::StrangersCounted(_) => identity::STRANGERS_STREAM.to_owned(),
        Is::TokenKeysChanged(_) => identity::TOKEN_KEYS_STREAM.to_owned(),
        // What happens often in a session's life would make its user's stream long.
        Is::SessionRefreshed(e) => identity::session_stream(e.session),
        Is::RefreshTokenReused(e) => identity::session_stream(e.session),
        Is::SessionSeen(e) => identity::session_stream(e.session),
        Is::SessionLocked(e) => identity::session_stream(e.session),
        Is::SessionUnlocked(e) => identity::session_stream(e.session),
        Is::DocumentationModeSet(e) => identity::session_stream(e.session),
        // In the stream of the account elsewhere, so that it is linked to one user at most.
        Is::ExternalLinked(e) => identity::external_stream(&e.subject),
        Is::ExternalUnlinked(e) => identity::external_stream(&e.subject),
        Is::UserCreated(e) => identity::stream(e.user),
        Is::RoleGranted(e) => identity::stream(e.user),
        Is::RoleRevoked(e) => identity::stream(e.user),
        Is::UserDisabled(e) => identity::stream(e.user),
        Is::UserEnabled(e) => identity::stream(e.user),
        Is::PlacesSet(e) => identity::stream(e.user),
        Is::HoursSet(e) => identity::stream(e.user),
        Is::NetworksSet(e) => identity::stream(e.user),
        Is::ContactSet(e) => identity::stream(e.user),
        Is::ServiceKeySet(e) => identity::stream(e.user),
        Is::ServiceCertificateSet(e) => identity::stream(e.user),
        Is::ApiKeyIssued(e) => identity::stream(e.user),
        Is::ApiKeyRevoked(e) => identity::stream(e.user),
        Is::PasswordSet(e) => identity::stream(e.user),
        Is::PasswordResetRequested(e) => identity::stream(e.user),
        Is::PinSet(e) => identity::stream(e.user),
        Is::TotpEnrolled(e) => identity::stream(e.user),
        Is::PasskeyEnrolled(e) => identity::stream(e.user),
        Is::ChannelEnrolled(e) => identity::stream(e.user),
        Is::FactorRemoved(e) => identity::stream(e.user),
        Is::RecoveryCodesIssued(e) => identity::stream(e.user),
        Is::CodeSent(e) => identity::stream(e.user),
        Is::LoggedIn(e) => identity::stream(e.user),
        Is::LoginFailed(e) => identity::stream(e.user),
        Is::AccountLocked(e) => identity::stream(e.user),
        Is::AccountUnlocked(e) => identity::stream(e.user),
        Is::SteppedUp(e) => identity::stream(e.user),
        Is::LoggedOut(e) => identity::stream(e.user),
        Is::SessionsEnded(e) => identity::stream(e.user),
    }
}
