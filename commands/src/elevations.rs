//! A role for a short time: asked for, agreed to by somebody else, over by itself (ACC-06).
//!
//! Only technical roles can be had like this. In an emergency nobody is asked, and somebody else judges it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wardbook_events::break_glass::ReviewOutcome;
use wardbook_events::elevations::{
    ElevationEnded, ElevationEvent, ElevationGranted, ElevationRefused, ElevationRequested, ElevationReviewed,
};
use wardbook_events::{ElevationId, Event, Role, UserId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

pub use methods::RequestElevation;

/// How long a request waits for somebody to agree.
pub const ANSWER_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// How long a role lasts at most that nobody agreed to.
pub const EMERGENCY_MAX: SignedDuration = SignedDuration::from_mins(60);
/// Within what time somebody must judge such a one.
pub const REVIEW_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// The shortest that makes sense.
const LASTS_MIN_S: u32 = 60;

/// Which of the roles held keep somebody from having this one for a time; `None` if nobody can.
///
/// Who makes accounts and grants roles stays apart from who agrees to elevations, or one person could do both sides of
/// a request; who watches stays apart from everything that is watched.
#[must_use]
pub const fn apart_from(role: Role) -> Option<&'static [Role]> {
    match role {
        Role::Admin => Some(&[Role::SecurityAdmin, Role::Auditor, Role::ComplianceOfficer]),
        Role::SecurityAdmin => Some(&[Role::Admin, Role::Auditor, Role::ComplianceOfficer]),
        Role::SystemAdmin | Role::DatabaseAdmin => Some(&[Role::Auditor, Role::ComplianceOfficer]),
        _ => None,
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits.
    Asked {
        /// Not longer than that.
        answer_until: Timestamp,
    },
    /// Somebody refused.
    Refused,
    /// The user has the role.
    Granted {
        /// Not longer than that.
        until: Timestamp,
    },
    /// It was ended before its time.
    Ended,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elevation {
    /// For which role.
    pub role: Role,
    /// For how long, in seconds.
    pub lasts_s: u32,
    /// How far it has come.
    pub stage: Stage,
    /// It was granted and nobody had been asked.
    pub unasked: bool,
    /// What was found, if it was judged.
    pub judged: Option<ReviewOutcome>,
}

impl Elevation {
    /// Whether somebody can still agree to it.
    #[must_use]
    pub fn is_pending(&self, now: Timestamp) -> bool {
        matches!(self.stage, Stage::Asked { answer_until } if now < answer_until)
    }
    /// Whether the user has the role by it.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        matches!(self.stage, Stage::Granted { until } if now < until)
    }
}

/// Everything that one user ever asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<ElevationId, Elevation>);

impl State {
    /// One request.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] if this user never made it.
    pub fn get(&self, elevation: ElevationId) -> Result<&Elevation, Rejection> {
        self.0.get(&elevation).ok_or(Rejection::NotFound)
    }
}

impl Evolve for State {
    fn evolve(mut self, event: &Event) -> Self {
        let Event::Elevation(event) = event else { return self };
        let mut change = |id: &ElevationId, change: &dyn Fn(&mut Elevation)| {
            if let Some(elevation) = self.0.get_mut(id) {
                change(elevation);
            }
        };
        match event {
            ElevationEvent::Requested(e) => {
                let stage = Stage::Asked { answer_until: e.answer_until };
                let asked = Elevation { role: e.role, lasts_s: e.lasts_s, stage, unasked: false, judged: None };
                self.0.insert(e.elevation, asked);
            }
            ElevationEvent::Granted(e) => change(&e.elevation, &|elevation| {
                elevation.stage = Stage::Granted { until: e.until };
                elevation.unasked = e.by.is_none();
            }),
            ElevationEvent::Refused(e) => change(&e.elevation, &|elevation| elevation.stage = Stage::Refused),
            ElevationEvent::Ended(e) => change(&e.elevation, &|elevation| elevation.stage = Stage::Ended),
            ElevationEvent::Reviewed(e) => change(&e.elevation, &|elevation| elevation.judged = Some(e.outcome)),
        }
        self
    }
}

/// What can be done about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask for a role.
    Request {
        /// Which.
        role: Role,
        /// For how long, in seconds.
        lasts_s: u32,
        /// What the settings allow, in seconds.
        lasts_max_s: u32,
        /// What for.
        reason: String,
        /// Ask nobody: the role is there at once.
        emergency: bool,
    },
    /// Agree.
    Approve,
    /// Refuse.
    Refuse,
    /// End it before its time, or take the request back.
    End,
    /// Judge one that nobody had agreed to.
    Judge(ReviewOutcome),
}

/// Who asks, and what the user is anyway.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Who.
    pub user: UserId,
    /// The roles held.
    pub roles: &'a BTreeSet<Role>,
    /// May log in.
    pub enabled: bool,
}

impl Asking<'_> {
    /// Whether nothing that the user is stands against having this role.
    fn may_have(&self, role: Role) -> Result<(), Rejection> {
        let apart = apart_from(role).ok_or(Rejection::NotElevatable)?;
        match self {
            Self { enabled: false, .. } => Err(Rejection::UserDisabled),
            _ if self.roles.contains(&role) => Err(Rejection::ElevationOpen),
            _ if apart.iter().any(|held| self.roles.contains(held)) => Err(Rejection::RolesApart),
            _ => Ok(()),
        }
    }
}

/// Decides about one request of one user.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(
    state: &State,
    asking: Asking<'_>,
    elevation: ElevationId,
    command: Command,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let (user, now) = (asking.user, context.now);
    let by = context.user.ok_or(Rejection::UnknownUser)?;
    let another = || if by == user { Err(Rejection::OwnCase) } else { Ok(()) };
    if let Command::Request { role, lasts_s, lasts_max_s, reason, emergency } = command {
        if state.0.contains_key(&elevation) {
            return Err(Rejection::AlreadyExists);
        }
        asking.may_have(role)?;
        // One at a time: two roles that must stay apart could come together otherwise.
        if state.0.values().any(|other| other.is_pending(now) || other.is_live(now)) {
            return Err(Rejection::ElevationOpen);
        }
        check_words(&reason)?;
        let lasts = SignedDuration::from_secs(lasts_s.into());
        if !(LASTS_MIN_S..=lasts_max_s).contains(&lasts_s) || (emergency && lasts > EMERGENCY_MAX) {
            return Err(Rejection::BadDuration);
        }
        let answer_until = if emergency { now } else { later(now, ANSWER_WITHIN) };
        let mut events: Vec<Event> =
            vec![ElevationRequested { elevation, user, role, lasts_s, reason, answer_until }.into()];
        if emergency {
            let review_due_at = Some(later(now, REVIEW_WITHIN));
            let until = later(now, lasts);
            events.push(ElevationGranted { elevation, user, role, until, by: None, review_due_at }.into());
        }
        return Ok(events);
    }
    let asked = *state.get(elevation)?;
    let role = asked.role;
    let event = match command {
        Command::Request { .. } => return Err(Rejection::AlreadyExists),
        Command::Approve | Command::Refuse if !asked.is_pending(now) => return Err(Rejection::NotPending),
        Command::Approve => {
            another()?;
            // Roles may have changed since it was asked for.
            asking.may_have(role)?;
            let until = later(now, SignedDuration::from_secs(asked.lasts_s.into()));
            ElevationGranted { elevation, user, role, until, by: Some(by), review_due_at: None }.into()
        }
        Command::Refuse => {
            another()?;
            ElevationRefused { elevation, user, by }.into()
        }
        Command::End if asked.is_pending(now) || asked.is_live(now) => {
            ElevationEnded { elevation, user, role, by }.into()
        }
        Command::End => return Err(Rejection::Over),
        Command::Judge(outcome) => {
            another()?;
            let open = match asked.judged {
                None => true,
                Some(ReviewOutcome::UnderInvestigation) => outcome != ReviewOutcome::UnderInvestigation,
                Some(_) => false,
            };
            if !asked.unasked || !open {
                return Err(Rejection::NothingToJudge);
            }
            ElevationReviewed { elevation, user, by, outcome }.into()
        }
    };
    Ok(vec![event])
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// One line that a person reads: 1 to 500 characters.
pub(crate) fn check_words(words: &str) -> Result<(), Rejection> {
    let fits = !words.trim().is_empty() && words.chars().count() <= 500 && !words.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(Rejection::BadWords) }
}
