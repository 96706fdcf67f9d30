//! Forgetting a person: what holds it up, who agrees, what may go now and what must stay (GDPR article 17, PRV-08).
//!
//! Everything about one patient stands in one stream, so that a hold and an approval at the same time meet there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wardbook_events::erasure::{
    Basis, Because, ErasureApproved, ErasureCertified, ErasureEvent, ErasureExecuted, ErasureRefused, ErasureRequested,
    HoldKind, HoldLifted, HoldPlaced, Kept, RefusalReason, Scope,
};
use wardbook_events::patients::GroupsReopened;
use wardbook_events::{ErasureId, Event, GroupSet, HoldId, PatientId, UserId};

use crate::context::{Context, Evolve};
use crate::elevations::check_words;
use crate::rejection::Rejection;

mod methods;
mod person;
#[cfg(test)]
mod tests;

pub use methods::{Asked, Certificate, Deciding, PlaceHold};
pub use person::Person;

/// Officers who must agree to an erasure (ENC-18: duties separated).
pub const OFFICERS: usize = 2;

/// Something that forbids to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Of what kind.
    pub kind: HoldKind,
    /// What must stay.
    pub groups: GroupSet,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    lifted: bool,
}

impl Hold {
    /// One that nobody lifted.
    #[must_use]
    pub const fn new(kind: HoldKind, groups: GroupSet, until: Option<Timestamp>) -> Self {
        Self { kind, groups, until, lifted: false }
    }
    /// Whether it forbids anything at this instant.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.lifted && self.until.is_none_or(|until| now < until)
    }
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It waits for officers.
    Asked,
    /// An officer refused.
    Refused,
    /// It is being carried out.
    Executing {
        /// What goes.
        scope: Scope,
        /// Everybody who is this person.
        patients: Vec<PatientId>,
    },
    /// It is done.
    Certified,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How much is asked for.
    pub scope: Scope,
    /// Officers who agreed.
    pub approved_by: BTreeSet<UserId>,
    /// How far it has come.
    pub stage: Stage,
}

/// Everything that was ever asked and said about erasing one patient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    holds: BTreeMap<HoldId, Hold>,
    requests: BTreeMap<ErasureId, Request>,
}

impl State {
    /// One request.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] if it was never made for this patient.
    pub fn get(&self, erasure: ErasureId) -> Result<&Request, Rejection> {
        self.requests.get(&erasure).ok_or(Rejection::NotFound)
    }
    /// What forbids to erase at this instant.
    pub fn live_holds(&self, now: Timestamp) -> impl Iterator<Item = (HoldId, &Hold)> {
        self.holds.iter().filter(move |(_, hold)| hold.is_live(now)).map(|(id, hold)| (*id, hold))
    }
}

impl Evolve for State {
    fn evolve(mut self, event: &Event) -> Self {
        let Event::Erasure(event) = event else { return self };
        let mut change = |id: &ErasureId, change: &dyn Fn(&mut Request)| {
            if let Some(request) = self.requests.get_mut(id) {
                change(request);
            }
        };
        match event {
            ErasureEvent::HoldPlaced(e) => {
                self.holds.insert(e.hold, Hold::new(e.kind, e.groups, e.until));
            }
            ErasureEvent::HoldLifted(e) => {
                if let Some(hold) = self.holds.get_mut(&e.hold) {
                    hold.lifted = true;
                }
            }
            ErasureEvent::Requested(e) => {
                let approved_by = e.by_officer.then_some(e.by).into_iter().collect();
                self.requests.insert(e.erasure, Request { scope: e.scope, approved_by, stage: Stage::Asked });
            }
            ErasureEvent::Approved(e) => change(&e.erasure, &|request| {
                request.approved_by.insert(e.by);
            }),
            ErasureEvent::Refused(e) => change(&e.erasure, &|request| request.stage = Stage::Refused),
            ErasureEvent::Executed(e) => {
                let stage = Stage::Executing { scope: e.scope, patients: e.patients.clone() };
                change(&e.erasure, &|request| request.stage = stage.clone());
            }
            ErasureEvent::Certified(e) => change(&e.erasure, &|request| request.stage = Stage::Certified),
        }
        self
    }
}

/// A law that asks for groups of a patient to be kept, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// What must be kept.
    pub groups: GroupSet,
    /// Which law.
    pub rule: String,
    /// Until when.
    pub until: Timestamp,
}

/// What may go now, and what must stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What may go; `None` if nothing may.
    pub goes: Option<Scope>,
    /// What was asked for and must stay, group by group.
    pub kept: Vec<Kept>,
}

/// Holds what is asked for against holds and laws.
#[must_use]
pub fn assess<'a>(
    scope: Scope,
    holds: impl IntoIterator<Item = (HoldId, &'a Hold)>,
    retention: &[Retention],
    now: Timestamp,
) -> Assessment {
    let holds: Vec<_> = holds.into_iter().filter(|(_, hold)| hold.is_live(now)).collect();
    let because = |group| {
        let held = holds.iter().filter(|(_, hold)| hold.groups.contains(group));
        let held = held.map(|(id, hold)| Because::Hold { hold: *id, kind: hold.kind, until: hold.until });
        let kept = retention.iter().filter(|kept| kept.groups.contains(group) && now < kept.until);
        held.chain(kept.map(|kept| Because::Retention { rule: kept.rule.clone(), until: kept.until })).collect()
    };
    let wanted = scope.groups();
    let kept: Vec<Kept> = wanted
        .iter()
        .map(|group| Kept { group, because: because(group) })
        .filter(|kept| !kept.because.is_empty())
        .collect();
    let may_go = wanted.without(kept.iter().map(|kept| kept.group).collect());
    let goes = match scope {
        Scope::Whole if kept.is_empty() => Some(Scope::Whole),
        _ => (!may_go.is_empty()).then_some(Scope::Groups(may_go)),
    };
    Assessment { goes, kept }
}

/// What can be done about erasing one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Forbid it.
    PlaceHold {
        /// The new hold.
        hold: HoldId,
        /// Of what kind.
        kind: HoldKind,
        /// What must stay.
        groups: GroupSet,
        /// Number of the case.
        reference: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Forbid it no longer.
    LiftHold(HoldId),
    /// Ask for it.
    Request {
        /// The new request.
        erasure: ErasureId,
        /// How much.
        scope: Scope,
        /// On what ground.
        basis: Basis,
        /// When it must have been answered.
        due_at: Timestamp,
        /// An officer asks.
        by_officer: bool,
    },
    /// Agree. With the second officer it begins.
    Approve {
        /// The request.
        erasure: ErasureId,
        /// Agree as well if only a part may go now.
        in_part: bool,
        /// What the law asks to be kept.
        retention: Vec<Retention>,
    },
    /// Refuse.
    Refuse {
        /// The request.
        erasure: ErasureId,
        /// Why.
        reason: RefusalReason,
    },
    /// Say that it was done.
    Certify {
        /// The request.
        erasure: ErasureId,
        /// What was found while it was carried out.
        certificate: Certificate,
    },
}

/// Decides what happens. `person` is everybody who is this patient.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(
    state: &State,
    person: &Person,
    holds: &[(HoldId, Hold)],
    command: Command,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let (patient, now) = (person.patient(), context.now);
    if let Command::Certify { erasure, certificate } = command {
        return certify(state, patient, erasure, certificate);
    }
    let by = context.user.ok_or(Rejection::UnknownUser)?;
    let pending = |erasure| match state.get(erasure)? {
        request if request.stage == Stage::Asked => Ok(request),
        _ => Err(Rejection::NotPending),
    };
    match command {
        Command::PlaceHold { hold, kind, groups, reference, until } => {
            person.not_erased()?;
            check_words(&reference)?;
            if groups.is_empty() {
                return Err(Rejection::NothingToErase);
            }
            if until.is_some_and(|until| until <= now) {
                return Err(Rejection::EndInPast);
            }
            if state.holds.contains_key(&hold) {
                return Err(Rejection::AlreadyExists);
            }
            Ok(vec![HoldPlaced { hold, patient, kind, groups, reference, until, by }.into()])
        }
        Command::LiftHold(hold) => match state.holds.get(&hold) {
            None => Err(Rejection::NotFound),
            Some(found) if !found.is_live(now) => Err(Rejection::Over),
            Some(_) => Ok(vec![HoldLifted { hold, patient, by }.into()]),
        },
        Command::Request { erasure, scope, basis, due_at, by_officer } => {
            person.not_erased()?;
            if state.requests.contains_key(&erasure) {
                return Err(Rejection::AlreadyExists);
            }
            if state.requests.values().any(|one| matches!(one.stage, Stage::Asked | Stage::Executing { .. })) {
                return Err(Rejection::ErasureOpen);
            }
            let scope = if scope.groups() == GroupSet::all() { Scope::Whole } else { scope };
            if scope.groups().is_empty() {
                return Err(Rejection::NothingToErase);
            }
            Ok(vec![ErasureRequested { erasure, patient, scope, basis, due_at, by, by_officer }.into()])
        }
        Command::Approve { erasure, in_part, retention } => {
            let request = pending(erasure)?;
            person.not_erased()?;
            let mut approved_by = request.approved_by.clone();
            if !approved_by.insert(by) {
                return Err(Rejection::AgreedBefore);
            }
            let mut events: Vec<Event> = vec![ErasureApproved { erasure, patient, by }.into()];
            if approved_by.len() >= OFFICERS {
                let holds = holds.iter().map(|(id, hold)| (*id, hold));
                let Assessment { goes, kept } = assess(request.scope, holds, &retention, now);
                let scope = goes.ok_or(Rejection::MustBeKept)?;
                if !kept.is_empty() && !in_part {
                    return Err(Rejection::OnlyInPart);
                }
                let (patients, approved_by) = (person.family(), approved_by.into_iter().collect());
                events.push(ErasureExecuted { erasure, patients, scope, kept, approved_by }.into());
                events.extend(person.forgotten(erasure, scope, context.tenant));
            }
            Ok(events)
        }
        Command::Refuse { erasure, reason } => {
            pending(erasure)?;
            Ok(vec![ErasureRefused { erasure, patient, by, reason }.into()])
        }
        Command::Certify { .. } => Err(Rejection::AlreadyExists),
    }
}

fn certify(state: &State, patient: PatientId, erasure: ErasureId, is: Certificate) -> Result<Vec<Event>, Rejection> {
    let Certificate { executed_at, destroyed, log_size, log_root } = is;
    match &state.get(erasure)?.stage {
        Stage::Executing { scope, patients } => {
            let scope = *scope;
            let certified = ErasureCertified { erasure, patient, scope, executed_at, destroyed, log_size, log_root };
            let mut events = vec![certified.into()];
            if let Scope::Groups(groups) = scope {
                let reopened = |patient: &PatientId| GroupsReopened { patient: *patient, erasure, groups }.into();
                events.extend(patients.iter().map(reopened));
            }
            Ok(events)
        }
        // Carried out twice, by a request and by a start after a crash: once is told.
        Stage::Certified => Ok(Vec::new()),
        Stage::Asked | Stage::Refused => Err(Rejection::NotPending),
    }
}
