//! What a patient allows and forbids: restrictions, disclosures of what is specially protected, representatives.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wardbook_events::consent::{
    AccessRestricted, ConsentEvent, DisclosurePermitted, DisclosureWithdrawn, ProxyEnded, ProxyGranted,
    RestrictionLifted, Whom,
};
use wardbook_events::records::Sensitivity;
use wardbook_events::{Event, PatientId, Role, UserId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

/// Restrictions, disclosures and representatives of one patient, each at most so many.
pub const EACH_MAX: usize = 100;

/// What one patient said, as far as it still holds; representatives whose time has run out are among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    restricted: BTreeSet<Whom>,
    disclosed: BTreeSet<(Sensitivity, Option<UserId>)>,
    proxies: BTreeMap<UserId, Option<Timestamp>>,
}

impl State {
    /// Until when a user represents the patient, if that has not run out.
    #[must_use]
    pub fn proxy(&self, user: UserId, now: Timestamp) -> Option<Option<Timestamp>> {
        self.proxies.get(&user).copied().filter(|until| until.is_none_or(|until| now < until))
    }
}

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(mut self, event: &Event) -> Self {
        let Event::Consent(event) = event else { return self };
        match event {
            ConsentEvent::AccessRestricted(e) => _ = self.restricted.insert(e.whom),
            ConsentEvent::RestrictionLifted(e) => _ = self.restricted.remove(&e.whom),
            ConsentEvent::DisclosurePermitted(e) => _ = self.disclosed.insert((e.label, e.to)),
            ConsentEvent::DisclosureWithdrawn(e) => _ = self.disclosed.remove(&(e.label, e.to)),
            ConsentEvent::ProxyGranted(e) => _ = self.proxies.insert(e.user, e.until),
            ConsentEvent::ProxyEnded(e) => _ = self.proxies.remove(&e.user),
        }
        self
    }
}

/// What a patient can say. Saying once more what holds already changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Somebody shall see nothing (45 CFR 164.522(a)).
    Restrict(Whom),
    /// A restriction holds no longer.
    Lift(Whom),
    /// Entries of a protected kind may be shown: those of substance use to all who treat (42 CFR 2.31), psychotherapy
    /// notes to one person (45 CFR 164.508(a)(2)).
    Disclose(Sensitivity, Option<UserId>),
    /// That is taken back.
    Withdraw(Sensitivity, Option<UserId>),
    /// Somebody represents the patient (45 CFR 164.502(g)).
    GrantProxy {
        /// Who.
        user: UserId,
        /// When it ends by itself, if it does.
        until: Option<Timestamp>,
    },
    /// Somebody represents the patient no longer.
    EndProxy(UserId),
}

impl Command {
    /// Whom it names, and whether that user must be an active one: who gains by it is; who shall see nothing must only
    /// exist, or a slip of the pen would protect nobody.
    const fn names(&self) -> Option<(UserId, bool)> {
        match self {
            Self::GrantProxy { user, .. } | Self::Disclose(_, Some(user)) => Some((*user, true)),
            Self::Restrict(Whom::User(user)) => Some((*user, false)),
            _ => None,
        }
    }
}

/// Decides what becomes of it. That the patient and the user exist is checked before (they have streams of
/// their own).
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, patient: PatientId, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    let unless = |same: bool, event: Event| if same { Vec::new() } else { vec![event] };
    let events = match command {
        // Whoever speaks cannot shut himself out, and a patient's own access is a right (45 CFR 164.524).
        Command::Restrict(whom) if whom == Whom::Role(Role::Patient) || context.user.map(Whom::User) == Some(whom) => {
            return Err(Rejection::OwnRestriction);
        }
        Command::Restrict(whom) => unless(state.restricted.contains(&whom), AccessRestricted { patient, whom }.into()),
        Command::Lift(whom) => unless(!state.restricted.contains(&whom), RestrictionLifted { patient, whom }.into()),
        Command::Disclose(label, to) => {
            match (label, to) {
                (Sensitivity::SubstanceUse, None) | (Sensitivity::Psychotherapy, Some(_)) => {}
                _ => return Err(Rejection::BadDisclosure),
            }
            unless(state.disclosed.contains(&(label, to)), DisclosurePermitted { patient, label, to }.into())
        }
        Command::Withdraw(label, to) => {
            unless(!state.disclosed.contains(&(label, to)), DisclosureWithdrawn { patient, label, to }.into())
        }
        Command::GrantProxy { user, until } => {
            if context.user == Some(user) {
                return Err(Rejection::OwnProxy);
            }
            if until.is_some_and(|until| until <= context.now) {
                return Err(Rejection::EndInPast);
            }
            let same = state.proxy(user, context.now) == Some(until);
            unless(same, ProxyGranted { patient, user, until }.into())
        }
        Command::EndProxy(user) => {
            unless(state.proxy(user, context.now).is_none(), ProxyEnded { patient, user }.into())
        }
    };
    let more = match command {
        Command::Restrict(_) => state.restricted.len(),
        Command::Disclose(..) => state.disclosed.len(),
        Command::GrantProxy { .. } => state.proxies.len(),
        _ => 0,
    };
    if !events.is_empty() && more >= EACH_MAX { Err(Rejection::TooMany) } else { Ok(events) }
}
