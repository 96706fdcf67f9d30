//! Campaigns in which somebody looks over who may do what (45 CFR 164.308(a)(4)(ii)(C); ACC-22).

use std::collections::BTreeMap;

use jiff::Timestamp;
use wardbook_events::access_reviews::{
    AccessReviewEvent, Holding, HoldingDecided, ReviewClosed, ReviewOpened, Verdict,
};
use wardbook_events::{Event, ReviewId, Role, TenantId};

use crate::context::{Context, Evolve};
use crate::elevations::check_words;
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

pub use methods::OpenReview;

/// Holdings in one campaign at most: they stand in one event. Who has more looks over some roles at a time.
pub const HOLDINGS_MAX: usize = 8000;

/// A campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    opened: Option<TenantId>,
    closed: bool,
    /// What is to be decided, and what was.
    holdings: BTreeMap<Holding, Option<Verdict>>,
}

impl State {
    /// Whether the campaign is open in this organisation.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] also if it is another organisation's.
    fn open(&self, tenant: TenantId) -> Result<(), Rejection> {
        match self.opened {
            Some(of) if of == tenant && self.closed => Err(Rejection::Closed),
            Some(of) if of == tenant => Ok(()),
            _ => Err(Rejection::NotFound),
        }
    }
}

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(mut self, event: &Event) -> Self {
        let Event::AccessReview(event) = event else { return self };
        match event {
            AccessReviewEvent::Opened(e) => {
                self.opened = Some(e.tenant);
                self.holdings = e.holdings.iter().map(|holding| (*holding, None)).collect();
            }
            AccessReviewEvent::Decided(e) => _ = self.holdings.insert(e.holding, Some(e.verdict)),
            AccessReviewEvent::Closed(_) => self.closed = true,
        }
        self
    }
}

/// What can be done about a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin it, with everything that is to be decided.
    Open {
        /// What for, such as a quarter.
        title: String,
        /// The roles looked over; all if empty.
        roles: Vec<Role>,
        /// Who holds them now.
        holdings: Vec<Holding>,
        /// When it should be closed.
        due_at: Timestamp,
    },
    /// Decide on one holding. Taking the role away is the user's area, and goes into the same append.
    Decide(Holding, Verdict),
    /// Close it: everything is decided.
    Close,
}

/// Decides about a campaign.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, review: ReviewId, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    let by = context.user.ok_or(Rejection::UnknownUser)?;
    let event = match command {
        Command::Open { title, mut roles, mut holdings, due_at } => {
            if state.opened.is_some() {
                return Err(Rejection::AlreadyExists);
            }
            check_words(&title)?;
            if due_at <= context.now {
                return Err(Rejection::EndInPast);
            }
            roles.sort_unstable();
            roles.dedup();
            holdings.sort_unstable();
            holdings.dedup();
            match holdings.len() {
                0 => return Err(Rejection::NothingToReview),
                many if many > HOLDINGS_MAX => return Err(Rejection::TooManyHoldings),
                _ => ReviewOpened { review, tenant: context.tenant, title, roles, holdings, due_at }.into(),
            }
        }
        Command::Decide(holding, verdict) => {
            state.open(context.tenant)?;
            match state.holdings.get(&holding) {
                None => return Err(Rejection::NotFound),
                Some(Some(_)) => return Err(Rejection::Decided),
                Some(None) if holding.user == by => return Err(Rejection::OwnCase),
                Some(None) => HoldingDecided { review, holding, verdict, by }.into(),
            }
        }
        Command::Close => {
            state.open(context.tenant)?;
            let count = |wanted| state.holdings.values().filter(|verdict| **verdict == wanted).count();
            if count(None) > 0 {
                return Err(Rejection::Undecided);
            }
            let of = |verdict| u32::try_from(count(Some(verdict))).unwrap_or(u32::MAX);
            ReviewClosed { review, kept: of(Verdict::Keep), revoked: of(Verdict::Revoke), by }.into()
        }
    };
    Ok(vec![event])
}

/// What is known of the one who holds a role, as far as taking it away is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// Nothing has to be done: the role was kept, or is gone already.
    Nothing,
    /// The role goes.
    Role(Role),
    /// It is the only one, and nobody is without any: the account goes.
    Account,
}

/// What a verdict takes away from somebody who holds these roles now.
#[must_use]
pub fn taking<'a>(held: impl IntoIterator<Item = &'a Role>, role: Role, verdict: Verdict) -> Taking {
    let (mut has, mut others) = (false, false);
    for held in held {
        if *held == role { has = true } else { others = true }
    }
    match verdict {
        Verdict::Revoke if has && others => Taking::Role(role),
        Verdict::Revoke if has => Taking::Account,
        _ => Taking::Nothing,
    }
}
