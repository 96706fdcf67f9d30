//! Accounts elsewhere (IAM-20). Each has a stream of its own, so that one user at most logs in with it.

use wardbook_events::identity::{EndReason, ExternalLinked, ExternalUnlinked, IdentityEvent};
use wardbook_events::{Event, UserId};

use super::accounts::{check_hash, check_label};
use super::sessions::{Which, ended};
use super::state::User;
use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

/// Who logs in with an account elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder(pub Option<UserId>);

impl Evolve for Holder {
    fn evolve(self, event: &Event) -> Self {
        match event {
            Event::Identity(IdentityEvent::ExternalLinked(e)) => Self(Some(e.user)),
            Event::Identity(IdentityEvent::ExternalUnlinked(_)) => Self(None),
            _ => self,
        }
    }
}

pub(super) fn link(holder: &Holder, user: UserId, provider: &str, subject: &str) -> Result<Vec<Event>, Rejection> {
    check_label(provider)?;
    check_hash(subject)?;
    match holder.0 {
        Some(other) if other != user => Err(Rejection::ExternalTaken),
        Some(_) => Ok(Vec::new()),
        None => Ok(vec![ExternalLinked { user, provider: provider.to_owned(), subject: subject.to_owned() }.into()]),
    }
}

/// A session may rest on it, so all end.
pub(super) fn unlink(
    was: &User,
    holder: &Holder,
    user: UserId,
    (provider, subject): (&str, &str),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    if holder.0 != Some(user) {
        return Err(Rejection::NotFound);
    }
    let mut events = vec![ExternalUnlinked { user, provider: provider.to_owned(), subject: subject.to_owned() }.into()];
    events.extend(ended(was, user, &Which::All, EndReason::FactorChanged, context));
    Ok(events)
}
