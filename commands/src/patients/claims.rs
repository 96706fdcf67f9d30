//! Who has claimed a unique token. Each token has a stream of its own, so that two registrations with the same
//! SSN meet there and one of them loses, whatever they were told by a search before.

use std::collections::{BTreeMap, BTreeSet};

use wardbook_events::patients::{PatientEvent, TokenClaimed, TokenReleased};
use wardbook_events::{Event, PatientId, TenantId, Token, TokenKind};

use crate::context::Evolve;
use crate::rejection::Rejection;

/// The patients who have one token: more than one only where a person confirmed that they are distinct, or where
/// one was merged into the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders(BTreeSet<PatientId>);

impl Holders {
    /// Whether the patient has the token.
    #[must_use]
    pub fn contains(&self, patient: PatientId) -> bool {
        self.0.contains(&patient)
    }
    fn has_other_than(&self, family: &BTreeSet<PatientId>) -> bool {
        self.0.iter().any(|holder| !family.contains(holder))
    }
}

impl Evolve for Holders {
    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Patient(PatientEvent::TokenClaimed(e)) => {
                self.0.insert(e.patient);
            }
            Event::Patient(PatientEvent::TokenReleased(e)) => {
                self.0.remove(&e.patient);
            }
            _ => {}
        }
        self
    }
}

/// The holders of every unique token that a command touches.
pub type Claims = BTreeMap<Token, Holders>;

/// The tokens that must be claimed, of all.
pub fn unique(tokens: &BTreeSet<Token>) -> impl Iterator<Item = &Token> {
    tokens.iter().filter(|token| token.kind.is_unique())
}

/// Refuses tokens that a patient outside `family` (the patient and those merged into it) has.
///
/// `confirm_distinct` lets name and birth date be shared: two people can have both. It lets nobody share an SSN or an MRN.
///
/// # Errors
/// [`Rejection::Duplicate`], which says nothing of whom.
pub fn refuse_duplicates<'a>(
    tokens: impl IntoIterator<Item = &'a Token>,
    claims: &Claims,
    family: &BTreeSet<PatientId>,
    confirm_distinct: bool,
) -> Result<(), Rejection> {
    let taken = tokens.into_iter().any(|token| {
        let may_share = confirm_distinct && token.kind == TokenKind::NameAndBirthDate;
        !may_share && claims.get(token).is_some_and(|holders| holders.has_other_than(family))
    });
    if taken { Err(Rejection::Duplicate) } else { Ok(()) }
}

/// The unique tokens of `now` that were not there before.
pub fn gained<'t>(was: &BTreeSet<Token>, now: &'t BTreeSet<Token>) -> impl Iterator<Item = &'t Token> {
    unique(now).filter(move |token| !was.contains(token))
}

/// Whether the value that tokens of a unique kind are made from is the same before and after: then some version of the index
/// key makes the same token of it. Of such a kind a patient has one value at most.
#[must_use]
pub fn was_had(was: &BTreeSet<Token>, now: &BTreeSet<Token>, kind: TokenKind) -> bool {
    now.iter().any(|token| token.kind == kind && was.contains(token))
}

/// What happens to a patient's claims when his tokens change: those that he has no more are released, new ones are made.
pub(crate) fn moved(
    tenant: TenantId,
    patient: PatientId,
    (was, now): (&BTreeSet<Token>, &BTreeSet<Token>),
    claims: &Claims,
) -> Vec<Event> {
    let lost = unique(was).filter(|token| !now.contains(token));
    let held = lost.filter(|token| claims.get(token).is_some_and(|holders| holders.contains(patient)));
    let released = held.map(|token| release(tenant, patient, token));
    released.chain(gained(was, now).map(|token| claim(tenant, patient, token))).collect()
}

/// The claim of one token.
pub(crate) fn claim(tenant: TenantId, patient: PatientId, token: &Token) -> Event {
    TokenClaimed { tenant, patient, token: token.clone() }.into()
}

/// The end of a claim.
pub(crate) fn release(tenant: TenantId, patient: PatientId, token: &Token) -> Event {
    TokenReleased { tenant, patient, token: token.clone() }.into()
}
