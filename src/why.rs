//! Why something was refused, or what policy would say: for administrators, and an event before it is told.
//!
//! Nothing here tells whether a patient exists: an unknown one is answered for as a stranger with that id, as everywhere.

use jiff::Timestamp;
use wardbook_events::access::{AccessEvent, AccessReason, DecisionExplained, DenialExplained};
use wardbook_events::{Event, EventId, Outcome, PatientId, Purpose, RecordId, Recorded, UserId};
use wardbook_ledger::{ReadError, Receipt};
use wardbook_policy::{Action, Ask, Explanation, PatientFacts, Principal, RecordFacts, Target};

use crate::app::App;
use crate::asker::Asker;
use crate::disclosure::{Refusal, allow};
use crate::recorded::{self, EntryError};

/// Why it was not told.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// The caller may not know, or it could not be recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No such refusal, user or entry in this organisation.
    #[error("there is no such {0} in this organisation")]
    Unknown(&'static str),
    /// The action cannot be asked about what was named.
    #[error("this action needs {0}")]
    Incomplete(&'static str),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event could not be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl From<wardbook_projections::ViewError> for WhyError {
    fn from(error: wardbook_projections::ViewError) -> Self {
        Self::Refused(error.into())
    }
}

/// A refusal, as the ledger has it.
pub struct Denial {
    /// The event that tells of it.
    pub recorded: Recorded,
    /// What was tried.
    pub action: String,
    /// The patient concerned; `None` also if there was no such patient.
    pub patient: Option<PatientId>,
    /// The policies that said no; empty when none said yes.
    pub policies: Vec<String>,
    /// The version of the policies at that time; `None` if they were not needed.
    pub policy_version: Option<String>,
}

/// Finds a refusal and records that it was looked at; only then it is told.
///
/// # Errors
/// If the caller may not, there is no such refusal in this organisation, or the event could not be made durable.
pub async fn denial(app: &App, asker: &Asker, event: EventId) -> Result<(Denial, Receipt), WhyError> {
    let (permit, ask) = allow(app, asker, Action::ExplainDecisions, Target::Tenant).await?;
    let entry = app.ledger().find(&wardbook_ledger::EventId::from_bytes(*event.bytes()))?;
    let recorded = entry.map(|entry| recorded::decode(&entry)).transpose()?.flatten();
    let tenant = asker.principal().tenant;
    let recorded = recorded.filter(|recorded| recorded.meta.tenant == tenant).ok_or(WhyError::Unknown("refusal"))?;
    let denial = match recorded.event.clone() {
        Event::Access(AccessEvent::Denied(denied)) => Denial {
            recorded,
            action: denied.action,
            patient: denied.patient,
            policies: denied.policies,
            policy_version: Some(denied.policy_version),
        },
        Event::Access(AccessEvent::UnknownPatientRequested(unknown)) => {
            Denial { recorded, action: unknown.action, patient: None, policies: Vec::new(), policy_version: None }
        }
        _ => return Err(WhyError::Unknown("refusal")),
    };
    let fact = DenialExplained { denial: event, patient: denial.patient, grounds: permit.grounds() };
    let receipt = tell(app, asker, &ask, fact.into()).await?;
    Ok((denial, receipt))
}

/// What somebody would be told.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Who would ask.
    pub user: UserId,
    /// What for.
    pub action: Action,
    /// Why.
    pub purpose: Purpose,
    /// About which patient.
    pub patient: Option<PatientId>,
    /// About which entry of that patient.
    pub record: Option<RecordId>,
    /// Whose account or place on the care team would be changed.
    pub about: Option<UserId>,
    /// The closer reason that would be given.
    pub reason: Option<AccessReason>,
    /// With a fresh proof of who it is.
    pub fresh: bool,
}

/// Decides as if that user asked now, and records that it was asked; only then it is told.
///
/// # Errors
/// If the caller may not, user or entry are not known, or the action needs a patient or a user that was not named.
pub async fn decision(app: &App, asker: &Asker, wanted: Wanted) -> Result<(Explanation, Receipt), WhyError> {
    let (permit, ask) = allow(app, asker, Action::ExplainDecisions, Target::Tenant).await?;
    let tenant = asker.principal().tenant;
    let user = app.views().principal(wanted.user)?.filter(|user| user.principal.tenant == tenant);
    let user = user.ok_or(WhyError::Unknown("user"))?;
    let who = Principal { fresh_until: wanted.fresh.then_some(Timestamp::MAX), ..user.principal.clone() };
    let known = wanted.patient.map(|patient| app.views().patient_facts(patient)).transpose()?.flatten();
    let known = known.filter(|known| known.facts.tenant == tenant);
    let stranger = wanted.patient.map(|patient| PatientFacts::new(patient, tenant));
    let facts = known.as_ref().map(|known| &known.facts).or(stranger.as_ref());
    let record = wanted.record.map(|record| app.views().records.get(record)).transpose()?.flatten();
    let record = record.filter(|record| Some(record.patient) == wanted.patient).map(|record| record.facts());
    if wanted.record.is_some() && record.is_none() {
        return Err(WhyError::Unknown("entry"));
    }
    let as_if =
        Ask { now: ask.now, clock: ask.clock, reason: wanted.reason, ..Ask::new(ask.now, wanted.purpose, ask.event) };
    let target = target(wanted.action, facts, record.as_ref(), wanted.about)?;
    let explanation = app.policies().explain(&who, wanted.action, target, &as_if);
    let fact = DecisionExplained {
        user: wanted.user,
        patient: known.as_ref().map(|known| known.facts.patient),
        action: wanted.action.name().to_owned(),
        grounds: permit.grounds(),
    };
    let receipt = tell(app, asker, &ask, fact.into()).await?;
    Ok((explanation, receipt))
}

/// What the action is asked about.
fn target<'a>(
    action: Action,
    facts: Option<&'a PatientFacts>,
    record: Option<&'a RecordFacts>,
    about: Option<UserId>,
) -> Result<Target<'a>, WhyError> {
    let patient = || facts.ok_or(WhyError::Incomplete("a patient"));
    let other = || about.ok_or(WhyError::Incomplete("whom it is about"));
    Ok(match action {
        Action::ReadChart | Action::ReadRecords => match record {
            Some(record) => Target::Record(patient()?, record),
            None => Target::Patient(patient()?),
        },
        Action::SearchPatients => facts.map_or(Target::Tenant, Target::Patient),
        Action::AddRecord | Action::AmendRecord | Action::SignRecord | Action::AddAddendum | Action::RetractRecord => {
            Target::Record(patient()?, record.ok_or(WhyError::Incomplete("an entry"))?)
        }
        Action::CorrectPatient(_)
        | Action::MergePatients
        | Action::PlacePatient
        | Action::FlagPatient
        | Action::ReadOwnAccessList
        | Action::StartEmergency
        | Action::ManageConsent
        | Action::RequestErasure
        | Action::DecideErasure
        | Action::ManageHolds => Target::Patient(patient()?),
        Action::AssignMember | Action::EndMember => Target::Member(patient()?, other()?),
        Action::ReadAudit | Action::Replay => Target::Audit(facts),
        Action::ManageSessions | Action::ChangeOwnCredentials | Action::DecideElevation => Target::User(other()?),
        Action::ManageUsers | Action::ManageServices | Action::GrantRoles => about.map_or(Target::Tenant, Target::User),
        Action::RegisterPatient
        | Action::ManageProjections
        | Action::Import
        | Action::ReviewEmergencies
        | Action::RequestElevation
        | Action::ReviewAccess
        | Action::ReadAlerts
        | Action::ExplainDecisions
        | Action::ReadPolicies
        | Action::ManageKeys
        | Action::ManageBackups => Target::Tenant,
    })
}

async fn tell(app: &App, asker: &Asker, ask: &Ask, fact: AccessEvent) -> Result<Receipt, Refusal> {
    app.tell(ask.event, fact.into(), &asker.meta(Outcome::Success), &asker.client, &[]).await
}
