//! Emergencies: the glass is broken, a little more time is taken, it ends, somebody else judges it (ACC-14..19).
//!
//! Nobody is asked before: who may break the glass is for policy to say, and everything else comes after, when the
//! patient no longer waits.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use wardbook_events::break_glass::{
    BreakGlassEvent, EmergencyEnded, EmergencyExtended, EmergencyReason, EmergencyReviewed, EmergencyStarted,
    ReviewOutcome,
};
use wardbook_events::{Ciphertext, EmergencyId, Event, PatientId, UserId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

pub use methods::{DETAIL_PURPOSE, NOTE_PURPOSE, StartEmergency};

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EmergencyRules {
    /// How long an emergency lasts, in seconds.
    pub lasts_s: u32,
    /// How much longer it lasts when it is extended, in seconds.
    pub extension_s: u32,
    /// How soon it must have been reviewed, in seconds from its start.
    pub review_s: u32,
}

/// What the write side needs to know of one emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emergency {
    /// Who broke the glass.
    pub user: UserId,
    /// When it ends by itself, or when it was ended.
    pub until: Timestamp,
    /// Whether it lasts longer than at first.
    pub extended: bool,
    /// Whether its owner ended it.
    pub ended: bool,
    /// What was found last, if it was judged.
    pub outcome: Option<ReviewOutcome>,
}

/// All emergencies of one patient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    emergencies: BTreeMap<EmergencyId, Emergency>,
}

impl State {
    /// An emergency of this patient.
    ///
    /// # Errors
    /// [`Rejection::NotFound`].
    pub fn get(&self, emergency: EmergencyId) -> Result<&Emergency, Rejection> {
        self.emergencies.get(&emergency).ok_or(Rejection::NotFound)
    }
    /// Whether the user has a live one.
    #[must_use]
    pub fn is_live_for(&self, user: UserId, now: Timestamp) -> bool {
        self.emergencies.values().any(|one| one.user == user && one.is_live(now))
    }
}

impl Emergency {
    /// Whether it still counts.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.ended && now < self.until
    }
    /// Only who broke the glass goes on with it; to others it does not exist.
    fn of(&self, user: Option<UserId>, now: Timestamp) -> Result<(), Rejection> {
        match () {
            () if user != Some(self.user) => Err(Rejection::NotFound),
            () if !self.is_live(now) => Err(Rejection::EmergencyOver),
            () => Ok(()),
        }
    }
}

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(mut self, event: &Event) -> Self {
        let Event::BreakGlass(event) = event else { return self };
        let id = match event {
            BreakGlassEvent::Started(e) => {
                let (user, until) = (e.user, e.expires_at);
                let started = Emergency { user, until, extended: false, ended: false, outcome: None };
                self.emergencies.insert(e.emergency, started);
                return self;
            }
            BreakGlassEvent::Extended(e) => e.emergency,
            BreakGlassEvent::Ended(e) => e.emergency,
            BreakGlassEvent::Reviewed(e) => e.emergency,
        };
        if let Some(known) = self.emergencies.get_mut(&id) {
            match event {
                BreakGlassEvent::Extended(e) => (known.until, known.extended) = (e.expires_at, true),
                BreakGlassEvent::Ended(_) => known.ended = true,
                BreakGlassEvent::Reviewed(e) => known.outcome = Some(e.outcome),
                BreakGlassEvent::Started(_) => {}
            }
        }
        self
    }
}

/// What can be done.
#[derive(Debug, Clone)]
pub enum Command {
    /// Break the glass.
    Start {
        /// The new emergency.
        emergency: EmergencyId,
        /// The patient.
        patient: PatientId,
        /// Why.
        reason: EmergencyReason,
        /// Why, in words, sealed.
        detail: Option<Ciphertext>,
        /// Where.
        location: Option<String>,
        /// How long it lasts.
        rules: EmergencyRules,
    },
    /// Take more time, once.
    Extend {
        /// The patient.
        patient: PatientId,
        /// The emergency.
        emergency: EmergencyId,
        /// How much.
        rules: EmergencyRules,
    },
    /// End it before its time.
    End {
        /// The patient.
        patient: PatientId,
        /// The emergency.
        emergency: EmergencyId,
    },
    /// Judge it.
    Review {
        /// The patient.
        patient: PatientId,
        /// The emergency.
        emergency: EmergencyId,
        /// What was found.
        outcome: ReviewOutcome,
        /// In words, sealed.
        note: Option<Ciphertext>,
    },
}

/// Decides what happens. That there is such a patient is checked before.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    let now = context.now;
    match command {
        Command::Start { emergency, patient, reason, detail, location, rules } => {
            let user = context.user.ok_or(Rejection::UnknownUser)?;
            if reason == EmergencyReason::Other && detail.is_none() {
                return Err(Rejection::DetailNeeded);
            }
            if location.as_deref().is_some_and(|location| !is_place(location)) {
                return Err(Rejection::BadLocation);
            }
            if state.is_live_for(user, now) {
                return Err(Rejection::EmergencyLive);
            }
            let (expires_at, review_due_at) = (later(now, rules.lasts_s), later(now, rules.review_s));
            let started =
                EmergencyStarted { emergency, patient, user, reason, detail, location, expires_at, review_due_at };
            Ok(vec![started.into()])
        }
        Command::Extend { patient, emergency, rules } => {
            let known = state.get(emergency)?;
            known.of(context.user, now)?;
            if known.extended {
                return Err(Rejection::ExtendedBefore);
            }
            let expires_at = later(known.until, rules.extension_s);
            Ok(vec![EmergencyExtended { emergency, patient, expires_at }.into()])
        }
        Command::End { patient, emergency } => {
            state.get(emergency)?.of(context.user, now)?;
            Ok(vec![EmergencyEnded { emergency, patient }.into()])
        }
        Command::Review { patient, emergency, outcome, note } => {
            let reviewer = context.user.ok_or(Rejection::UnknownUser)?;
            let known = state.get(emergency)?;
            if known.user == reviewer {
                return Err(Rejection::OwnEmergency);
            }
            match (known.outcome, outcome) {
                (None, _) => {}
                (Some(ReviewOutcome::UnderInvestigation), found) if found != ReviewOutcome::UnderInvestigation => {}
                _ => return Err(Rejection::ReviewedBefore),
            }
            // What is still going on cannot be cleared; doubts can be raised at once.
            if outcome == ReviewOutcome::Appropriate && known.is_live(now) {
                return Err(Rejection::EmergencyLive);
            }
            Ok(vec![EmergencyReviewed { emergency, patient, reviewer, outcome, note }.into()])
        }
    }
}

fn later(than: Timestamp, by_s: u32) -> Timestamp {
    than.checked_add(SignedDuration::from_secs(by_s.into())).unwrap_or(Timestamp::MAX)
}

/// 1 to 64 characters as in names of places. It stands in clear, so there is no room for a story in it.
fn is_place(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '.' | '/');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}
