//! To which stream an event goes and which patients it is about.

use wardbook_events::access::{self, AccessEvent};
use wardbook_events::care_teams::{self, CareTeamEvent};
use wardbook_events::identity::{self, IdentityEvent};
use wardbook_events::patients::{self, PatientEvent};
use wardbook_events::records::{self, RecordEvent};
use wardbook_events::{Event, PatientId, TenantId, governance};

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
        Event::CareTeam(CareTeamEvent::MemberAssigned(e)) => of_patient(care_teams::stream(e.patient), e.patient),
        Event::CareTeam(CareTeamEvent::MemberEnded(e)) => of_patient(care_teams::stream(e.patient), e.patient),
        Event::Access(event) => of_access_event(event, tenant),
        Event::Identity(event) => of_nobody(identity_stream(event)),
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
        PatientEvent::TokenClaimed(e) => (e.token.claim_stream(e.tenant), e.patient),
        PatientEvent::TokenReleased(e) => (e.token.claim_stream(e.tenant), e.patient),
    };
    of_patient(stream, patient)
}

fn of_record_event(event: &RecordEvent) -> Route {
    let (record, patient) = match event {
        RecordEvent::Added(e) => (e.record, e.patient),
        RecordEvent::Amended(e) => (e.record, e.patient),
        RecordEvent::Signed(e) => (e.record, e.patient),
        RecordEvent::AddendumAdded(e) => (e.record, e.patient),
        RecordEvent::Retracted(e) => (e.record, e.patient),
    };
    of_patient(records::stream(record), patient)
}

fn of_access_event(event: &AccessEvent, tenant: TenantId) -> Route {
    let about = |patient: Option<PatientId>| match patient {
        Some(patient) => of_patient(access::patient_stream(patient), patient),
        None => of_nobody(access::tenant_stream(tenant)),
    };
    match event {
        AccessEvent::ChartOpened(e) => about(Some(e.patient)),
        AccessEvent::RecordsOpened(e) => about(Some(e.patient)),
        AccessEvent::AccessListRead(e) => about(Some(e.patient)),
        AccessEvent::Denied(e) => about(e.patient),
        AccessEvent::AuditRead(e) => about(e.patient),
        AccessEvent::UnknownPatientRequested(_) => about(None),
        AccessEvent::PatientsSearched(e) => {
            let mut subjects = e.found.clone();
            subjects.sort_unstable();
            subjects.dedup();
            Route { stream: access::tenant_stream(tenant), subjects }
        }
    }
}

fn identity_stream(event: &IdentityEvent) -> String {
    match event {
        IdentityEvent::UserCreated(e) => identity::stream(e.user),
        IdentityEvent::UsernameClaimed(e) => identity::username_stream(&e.username),
        IdentityEvent::PasswordSet(e) => identity::stream(e.user),
        IdentityEvent::RoleGranted(e) => identity::stream(e.user),
        IdentityEvent::RoleRevoked(e) => identity::stream(e.user),
        IdentityEvent::UserDisabled(e) => identity::stream(e.user),
        IdentityEvent::UserEnabled(e) => identity::stream(e.user),
        IdentityEvent::LoggedIn(e) => identity::stream(e.user),
        IdentityEvent::LoginFailed(e) => identity::stream(e.user),
        IdentityEvent::LoggedOut(e) => identity::stream(e.user),
        IdentityEvent::StrangersCounted(_) => identity::STRANGERS_STREAM.to_owned(),
    }
}
