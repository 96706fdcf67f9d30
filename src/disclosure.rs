//! The way of a query, the only one: policy, then the view's sealed fields, then the access event, durable, and only then
//! the plaintext.
//!
//! A patient who does not exist and one whom the caller may not see take the same way: a view lookup, a decision (about a
//! stranger with the id that was asked for, if there is no such patient), one durable event, the same answer. They differ
//! only in what the event says.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use wardbook_events::access::{AccessDenied, UnknownPatientRequested};
use wardbook_events::{Event, EventId, GroupSet, Outcome, PatientId, Sealed, TenantId, UserId};
use wardbook_keys::OpenError;
use wardbook_ledger::{AppendError, Receipt};
use wardbook_policy::{Action, Ask, Denial, PatientFacts, Permit, RecordFacts, Target};
use wardbook_projections::records::Record;
use wardbook_projections::{KnownPatient, ViewError};

use crate::app::App;
use crate::asker::Asker;
use crate::clock::NoChance;
use crate::limits;

/// Why nothing was disclosed or done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such patient or entry, or the caller may not know of it. The event that tells of it is durable.
    #[error("there is no such thing here, or you may not see it")]
    Hidden(Box<Receipt>),
    /// The person was forgotten, and the caller could read the chart if he had not been. The event is durable.
    #[error("this person was erased")]
    Erased(Box<Receipt>),
    /// Policy said no about something whose existence is no secret to the caller. The event is durable.
    #[error("your roles do not allow this")]
    Forbidden(Box<Receipt>),
    /// The caller was shown too many different patients within the hour.
    #[error("too many different patients within an hour")]
    Throttled {
        /// Seconds until there is room for more.
        wait_s: u32,
    },
    /// Too many values were opened for the caller within the minute.
    #[error("too many values opened within a minute")]
    TooManyOpened {
        /// Seconds until there is room for more.
        wait_s: u32,
    },
    /// The access event could not be appended, so nothing was opened.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A view could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A value could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No random numbers for an event's id.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// An event could not be written as JSON or addressed, which our types cannot cause.
    #[error("an event could not be encoded")]
    Encode,
}

/// A patient, as one request is concerned with: the facts, the moment, and the id of the event that will tell of it.
pub struct Case<'a> {
    app: &'a App,
    asker: &'a Asker,
    /// What policy is told besides the facts.
    pub ask: Ask,
    /// What is known of the patient; of a stranger with the same id if there is no such patient.
    patient: Arc<KnownPatient>,
    is_known: bool,
}

impl<'a> Case<'a> {
    /// For reading: a patient who was merged is read as the one who goes on.
    ///
    /// # Errors
    /// If a view cannot answer.
    pub fn to_read(app: &'a App, asker: &'a Asker, patient: PatientId) -> Result<Self, Refusal> {
        let case = Self::exactly(app, asker, patient)?;
        let survivor = case.patient.survivor();
        if survivor == patient { Ok(case) } else { Self::exactly(app, asker, survivor) }
    }

    /// For changing: the patient that was named.
    ///
    /// # Errors
    /// If a view cannot answer.
    pub fn exactly(app: &'a App, asker: &'a Asker, patient: PatientId) -> Result<Self, Refusal> {
        let event = EventId::new(app.new_id()?);
        let ask = ask(app, asker, event);
        let tenant = asker.principal().tenant;
        let found = app.views().patient_facts(patient)?.filter(|known| known.facts.tenant == tenant);
        let is_known = found.is_some();
        let patient = found.unwrap_or_else(|| Arc::new(stranger(patient, tenant)));
        Ok(Self { app, asker, ask, patient, is_known })
    }

    /// The patient's facts, for further questions about the patient's entries.
    #[must_use]
    pub fn facts(&self) -> &PatientFacts {
        &self.patient.facts
    }
    /// Whether there is such a patient. Never to be told to who has no permit.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known
    }
    /// The patient.
    #[must_use]
    pub fn id(&self) -> PatientId {
        self.patient.facts.patient
    }
    /// Everybody who is this person: the patient who goes on, then those who were merged into it.
    #[must_use]
    pub fn family(&self) -> &[PatientId] {
        &self.patient.family
    }

    /// Whether the caller may read at all, and which groups.
    ///
    /// # Errors
    /// [`Refusal::Hidden`], with its event durable; [`Refusal::Throttled`] and [`Refusal::TooManyOpened`].
    pub async fn read(&self, wanted: GroupSet, action: Action) -> Result<Permit, Refusal> {
        let decision = self.app.policies().read(self.asker.principal(), self.facts(), None, &self.ask, wanted, action);
        let permit = self.hide(decision).await?;
        self.not_erased(action).await?;
        limits::admit(self.app, self.asker, &[self.id()], Some(&permit)).await?;
        Ok(permit)
    }

    /// The permit for one entry, if there is one: entries with a label are permitted one by one. The entry may be one of
    /// somebody who was merged into this patient.
    ///
    /// # Errors
    /// If a view cannot answer.
    pub fn read_record(&self, record: &Record) -> Result<Option<Permit>, Refusal> {
        self.read_entry(record.patient, &record.facts())
    }

    /// As [`Self::read_record`], from the entry's facts: for what is not an entry yet.
    ///
    /// # Errors
    /// If a view cannot answer.
    pub fn read_entry(&self, patient: PatientId, facts: &RecordFacts) -> Result<Option<Permit>, Refusal> {
        if !self.family().contains(&patient) {
            return Ok(None);
        }
        let of = match patient == self.id() {
            true => Some(Arc::clone(&self.patient)),
            false => self.app.views().patient_facts(patient)?,
        };
        let Some(of) = of else { return Ok(None) };
        let (policies, principal) = (self.app.policies(), self.asker.principal());
        Ok(policies.read(principal, &of.facts, Some(facts), &self.ask, GroupSet::all(), Action::ReadRecords).ok())
    }

    /// Whether the caller may do something about the patient. Who may see nothing of the patient is told nothing.
    ///
    /// # Errors
    /// [`Refusal::Hidden`] or [`Refusal::Forbidden`], with its event durable.
    pub async fn act(&self, action: Action) -> Result<Permit, Refusal> {
        self.act_on(action, Target::Patient(self.facts())).await
    }

    /// As [`Self::act`], about an entry or a member of the care team.
    ///
    /// # Errors
    /// As there.
    pub async fn act_on(&self, action: Action, target: Target<'_>) -> Result<Permit, Refusal> {
        let (policies, principal) = (self.app.policies(), self.asker.principal());
        let decision = policies.act(principal, action, target, &self.ask);
        // Asked in every case, so that the two refusals take the same time.
        let sees = policies.read(principal, self.facts(), None, &self.ask, GroupSet::all(), Action::ReadChart).is_ok();
        match decision {
            Err(denial) if self.is_known && sees => Err(Refusal::Forbidden(Box::new(self.denied(&denial).await?))),
            decision => {
                let permit = self.hide(decision).await?;
                // The trail of who was forgotten stays, and so do requests about it.
                if !matches!(action, Action::DecideErasure | Action::ReadAudit | Action::Replay) {
                    self.not_erased(action).await?;
                }
                Ok(permit)
            }
        }
    }

    async fn not_erased(&self, action: Action) -> Result<(), Refusal> {
        if self.patient.erased_at.is_none() {
            return Ok(());
        }
        match self.hidden(action).await {
            Refusal::Hidden(receipt) => Err(Refusal::Erased(receipt)),
            refusal => Err(refusal),
        }
    }

    /// Says that something in this chart is not there, or not for this caller: one event, one answer.
    pub async fn hidden(&self, action: Action) -> Refusal {
        let fact = AccessDenied {
            patient: Some(self.id()),
            action: action.name().to_owned(),
            policies: Vec::new(),
            policy_version: self.app.policies().version().to_owned(),
        };
        match self.tell(fact, Outcome::Denied, &[]).await {
            Ok(receipt) => Refusal::Hidden(Box::new(receipt)),
            Err(refusal) => refusal,
        }
    }

    async fn hide(&self, decision: Result<Permit, Denial>) -> Result<Permit, Refusal> {
        let action = match decision {
            Ok(permit) if self.is_known => return Ok(permit),
            Ok(permit) => permit.action(),
            Err(denial) if self.is_known => return Err(Refusal::Hidden(Box::new(self.denied(&denial).await?))),
            Err(denial) => denial.action(),
        };
        let fact = UnknownPatientRequested { action: action.name().to_owned() };
        Err(Refusal::Hidden(Box::new(self.tell(fact, Outcome::Denied, &[]).await?)))
    }

    async fn denied(&self, denial: &Denial) -> Result<Receipt, Refusal> {
        self.tell(denial.fact(), Outcome::Denied, &[]).await
    }

    /// Appends the access event of this case. On return it is durable, and what it names may be opened.
    /// `besides` are patients concerned beyond those that the event itself names: those merged into this one.
    ///
    /// # Errors
    /// If it could not be made durable.
    pub async fn tell(
        &self,
        fact: impl Into<Event>,
        outcome: Outcome,
        besides: &[PatientId],
    ) -> Result<Receipt, Refusal> {
        self.app.tell(self.ask.event, fact.into(), &self.asker.meta(outcome), &self.asker.client, besides).await
    }
}

fn stranger(patient: PatientId, tenant: TenantId) -> KnownPatient {
    KnownPatient { facts: PatientFacts::new(patient, tenant), family: Arc::new([patient]), erased_at: None, version: 0 }
}

fn ask(app: &App, asker: &Asker, event: EventId) -> Ask {
    let now = app.now();
    let clock = app.hours().at(now);
    Ask { reason: asker.reason, address: asker.address, clock, ..Ask::new(now, asker.purpose, event) }
}

/// Whether the caller may do something that is about no patient; the event of a refusal is durable.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn allow(app: &App, asker: &Asker, action: Action, target: Target<'_>) -> Result<(Permit, Ask), Refusal> {
    let event = EventId::new(app.new_id()?);
    let ask = ask(app, asker, event);
    match app.policies().act(asker.principal(), action, target, &ask) {
        Ok(permit) => Ok((permit, ask)),
        Err(denial) => {
            let (fact, meta) = (Event::from(denial.fact()), asker.meta(Outcome::Denied));
            let receipt = app.tell(event, fact, &meta, &asker.client, &[]).await?;
            Err(Refusal::Forbidden(Box::new(receipt)))
        }
    }
}

/// As [`allow`], about the server as a whole: only users of the organisation that runs it may, the one of the settings.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn allow_server(app: &App, asker: &Asker, action: Action) -> Result<(Permit, Ask), Refusal> {
    let (permit, ask) = allow(app, asker, action, Target::Tenant).await?;
    if asker.principal().tenant == app.config().organisation.id {
        return Ok((permit, ask));
    }
    let fact = AccessDenied {
        patient: None,
        action: action.name().to_owned(),
        policies: Vec::new(),
        policy_version: app.policies().version().to_owned(),
    };
    let receipt = app.tell(ask.event, fact.into(), &asker.meta(Outcome::Denied), &asker.client, &[]).await?;
    Err(Refusal::Forbidden(Box::new(receipt)))
}

/// Opens what the event of one request names.
pub struct Opening<'a> {
    app: &'a App,
    receipt: Receipt,
    /// Values of the past that are sealed under a version that was disabled since; `None` for what is current.
    closed: Option<AtomicU64>,
    bill: Bill<'a>,
}

/// How many values one answer took, told at its end: once, not for each value.
struct Bill<'a> {
    app: &'a App,
    user: UserId,
    address: Option<IpAddr>,
    values: AtomicU32,
}

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        let Self { app, user, address, .. } = *self;
        let values = *self.values.get_mut();
        if values == 0 {
            return;
        }
        if let Some(opens) = app.limits().opens() {
            opens.opened(user, values);
        }
        let networks = &app.config().keys.usage.networks;
        if !networks.is_empty() && address.is_some_and(|at| !networks.iter().any(|network| network.contains(at))) {
            app.keyring().came_from_outside(user);
        }
    }
}

impl<'a> Opening<'a> {
    /// With the receipt of the access event.
    #[must_use]
    pub fn new(app: &'a App, asker: &Asker, receipt: Receipt) -> Self {
        let bill = Bill { app, user: asker.principal().user, address: asker.address, values: AtomicU32::new(0) };
        Self { app, receipt, closed: None, bill }
    }
    /// As [`Self::new`], for values of the past: what is sealed under a version that was disabled since is left out, and counted.
    #[must_use]
    pub fn of_the_past(app: &'a App, asker: &Asker, receipt: Receipt) -> Self {
        Self { closed: Some(AtomicU64::new(0)), ..Self::new(app, asker, receipt) }
    }
    /// How many values of the past were left out.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.closed.as_ref().map_or(0, |closed| closed.load(Ordering::Relaxed))
    }
    /// Whether a value is left out because its version was disabled since.
    pub fn is_closed(&self, refusal: &Refusal) -> bool {
        let (Some(closed), Refusal::Open(OpenError::VersionDisabled { .. })) = (&self.closed, refusal) else {
            return false;
        };
        closed.fetch_add(1, Ordering::Relaxed);
        true
    }
    /// Opens a value.
    ///
    /// # Errors
    /// If the permit or the receipt is not for it, or it is damaged.
    pub fn open<T: serde::de::DeserializeOwned>(&self, permit: &Permit, sealed: &Sealed<T>) -> Result<T, Refusal> {
        self.bill.values.fetch_add(1, Ordering::Relaxed);
        Ok(self.app.keys().open(permit, &self.receipt, sealed)?)
    }
    /// Opens a value, or leaves it out if there is none, the permit does not reach it, or its category was erased.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn optional<T: serde::de::DeserializeOwned>(
        &self,
        permit: &Permit,
        sealed: Option<Sealed<T>>,
    ) -> Result<Option<T>, Refusal> {
        let Some(sealed) = sealed.filter(|sealed| permit.covers(sealed)) else { return Ok(None) };
        match self.open(permit, &sealed) {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Open(OpenError::Destroyed { .. })) => Ok(None),
            Err(error) if self.is_closed(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
    /// Gives the receipt back, for the answer's headers.
    #[must_use]
    pub fn into_receipt(self) -> Receipt {
        self.receipt
    }
}
