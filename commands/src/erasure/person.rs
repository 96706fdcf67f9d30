//! Everybody who is one person, as the write side knows them: the patient who goes on and those who were merged into it.

use std::collections::BTreeSet;
use std::sync::Arc;

use wardbook_events::erasure::Scope;
use wardbook_events::patients::{GroupsErased, PatientErased, stream};
use wardbook_events::{ErasureId, Event, PatientId, TenantId, Token};

use crate::error::CommandError;
use crate::executor::Desk;
use crate::patients::State;
use crate::patients::claims::{Claims, Holders, release, unique};
use crate::rejection::Rejection;

/// Merged patients that are followed at most; more is a mistake that must be mended before anybody is erased.
const FAMILY_MAX: usize = 64;

/// Everybody who is one person, with the claims that they hold.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// First the one who goes on.
    members: Vec<(PatientId, Arc<State>)>,
    claims: Claims,
}

impl Person {
    /// Those members, with the holders of their unique tokens.
    #[must_use]
    pub const fn new(members: Vec<(PatientId, Arc<State>)>, claims: Claims) -> Self {
        Self { members, claims }
    }

    /// A patient of whom nothing but the id matters.
    pub(super) fn named(patient: PatientId) -> Self {
        Self { members: vec![(patient, Arc::default())], claims: Claims::new() }
    }

    /// Loads the family of the patient who goes on, from the streams themselves: a view could be behind.
    pub(super) fn load(desk: &mut Desk<'_>, tenant: TenantId, patient: PatientId) -> Result<Self, CommandError> {
        let first = desk.load::<State>(&stream(patient))?;
        match &*first {
            State::Unknown => return Err(Rejection::NotFound.into()),
            // Half of a person cannot be erased.
            State::Retired { .. } => return Err(Rejection::Retired.into()),
            State::Active(_) | State::Erased(_) => {}
        }
        let mut person = Self { members: vec![(patient, first)], claims: Claims::new() };
        let mut next = 0;
        while let Some((_, state)) = person.members.get(next) {
            next += 1;
            for absorbed in state.absorbed().into_iter().flatten().copied().collect::<Vec<_>>() {
                if person.members.len() >= FAMILY_MAX {
                    return Err(Rejection::TooMany.into());
                }
                if person.members.iter().all(|(known, _)| *known != absorbed) {
                    person.members.push((absorbed, desk.load::<State>(&stream(absorbed))?));
                }
            }
        }
        let tokens: BTreeSet<Token> = person
            .members
            .iter()
            .filter_map(|(_, state)| state.known())
            .flat_map(|known| known.tokens.clone())
            .collect();
        for token in unique(&tokens) {
            let holders = Holders::clone(&*desk.load(&token.claim_stream(tenant))?);
            person.claims.insert(token.clone(), holders);
        }
        Ok(person)
    }

    /// The patient who goes on.
    #[must_use]
    pub fn patient(&self) -> PatientId {
        self.members.first().map_or(PatientId::from_bytes([0; 16]), |(patient, _)| *patient)
    }
    /// Everybody.
    #[must_use]
    pub fn family(&self) -> Vec<PatientId> {
        self.members.iter().map(|(patient, _)| *patient).collect()
    }
    /// Whether there is still somebody.
    ///
    /// # Errors
    /// [`Rejection::Erased`], or there never was.
    pub fn not_erased(&self) -> Result<(), Rejection> {
        self.members.first().ok_or(Rejection::NotFound)?.1.active().map(drop)
    }

    /// What is said in the streams of everybody: they are erased, and what they had claimed is free.
    pub(super) fn forgotten(&self, erasure: ErasureId, scope: Scope, tenant: TenantId) -> Vec<Event> {
        let mut events = Vec::new();
        for (patient, state) in &self.members {
            let Some(known) = state.known() else { continue };
            let (patient, groups) = (*patient, scope.groups());
            events.push(match scope {
                Scope::Whole => PatientErased { patient, erasure }.into(),
                Scope::Groups(groups) => GroupsErased { patient, erasure, groups }.into(),
            });
            let lost = unique(&known.tokens).filter(|token| !token.kind.groups().intersection(groups).is_empty());
            let held = lost.filter(|token| self.claims.get(*token).is_some_and(|holders| holders.contains(patient)));
            events.extend(held.map(|token| release(tenant, patient, token)));
        }
        events
    }
}
