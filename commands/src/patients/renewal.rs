//! A patient's tokens made anew, and fields sealed anew, by Wardbook itself. What is known of the patient stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use wardbook_events::patients::{PatientReindexed, PatientResealed, stream};
use wardbook_events::{Ciphertext, Event, Field, PatientId, SealedFields, TenantId, Token};
use wardbook_keys::{FORMS_VERSION, OpenError, ResealError, RetokenError};

use super::claims::{Claims, moved, unique};
use super::sealing::load_claims;
use super::{Patient, State};
use crate::authority::own_context;
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;

/// Decides that a patient is found by these tokens from now on. Merged patients too: a merge can be undone, and they hold claims.
///
/// Who else has a token is not asked: whoever has it under the new version had it under the old one.
#[must_use]
pub fn reindex(
    patient: PatientId,
    state: &State,
    claims: &Claims,
    tokens: BTreeSet<Token>,
    context: &Context,
) -> Vec<Event> {
    let Some(was) = state.known().filter(|was| was.tokens != tokens) else { return Vec::new() };
    let others = moved(context.tenant, patient, (&was.tokens, &tokens), claims);
    let tokens = tokens.into_iter().collect();
    let mut events = vec![PatientReindexed { patient, tokens, forms: FORMS_VERSION }.into()];
    events.extend(others);
    events
}

/// Decides that these fields are sealed so from now on; nothing happens if there are none.
#[must_use]
pub fn reseal(patient: PatientId, state: &State, anew: BTreeMap<Field, Ciphertext>) -> Vec<Event> {
    let Some(was) = state.known() else { return Vec::new() };
    let known: BTreeMap<_, _> = anew.into_iter().filter(|(field, _)| was.fields.0.contains_key(field)).collect();
    if known.is_empty() { Vec::new() } else { vec![PatientResealed { patient, fields: SealedFields(known) }.into()] }
}

fn resealed(
    keys: &wardbook_keys::Keys,
    tenant: TenantId,
    patient: PatientId,
    was: &Patient,
) -> Result<BTreeMap<Field, Ciphertext>, ResealError> {
    let mut anew = BTreeMap::new();
    for (field, ciphertext) in &was.fields.0 {
        let sealed = wardbook_events::Sealed::<()>::new(tenant, patient, stream(patient), *field, ciphertext.clone());
        if let Some(new) = keys.reseal_or_leave(&sealed)? {
            anew.insert(*field, new);
        }
    }
    Ok(anew)
}

impl Commands {
    /// Makes what a patient is found by anew, under the newest version of the index key alone, from what is sealed; the claims
    /// go along in the same append. Nothing happens if it is so already, or the patient was erased. Stated by Wardbook itself.
    ///
    /// # Errors
    /// If a value does not open; see [`CommandError`].
    pub async fn reindex_patient(
        &self,
        tenant: TenantId,
        origin: &Origin,
        patient: PatientId,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        self.run(Task::new(context, origin, stream(patient), Vec::new(), ()), move |desk| {
            let state = desk.load::<State>(&stream(patient))?;
            let Some(was) = state.known() else { return Ok(Vec::new()) };
            let tokens = match desk.keys.reindex(tenant, patient, &was.fields) {
                // The key goes before the view has heard of it.
                Err(RetokenError::Open(OpenError::Destroyed { .. })) => return Ok(Vec::new()),
                tokens => tokens?,
            };
            let claims = load_claims(desk, tenant, unique(&was.tokens).chain(unique(&tokens)))?;
            Ok(reindex(patient, &state, &claims, tokens, &context))
        })
        .await
    }

    /// Seals a patient's fields anew under the newest version of his key; gives how many. Nothing happens if they are sealed so
    /// already, or the patient was erased. Stated by Wardbook itself.
    ///
    /// # Errors
    /// If a value does not open; see [`CommandError`].
    pub async fn reseal_patient(
        &self,
        tenant: TenantId,
        origin: &Origin,
        patient: PatientId,
    ) -> Result<u64, CommandError> {
        let context = own_context(tenant, origin);
        let task = Task::new(context, origin, stream(patient), Vec::new(), ());
        let done = self.run(task, move |desk| {
            let state = desk.load::<State>(&stream(patient))?;
            let Some(was) = state.known() else { return Ok(Vec::new()) };
            Ok(reseal(patient, &state, resealed(desk.keys, tenant, patient, was)?))
        });
        let done = done.await?;
        let events = self.events_of(&done.receipts).await?;
        Ok(events
            .iter()
            .map(|event| match event {
                Event::Patient(wardbook_events::patients::PatientEvent::Resealed(e)) => e.fields.0.len() as u64,
                _ => 0,
            })
            .sum())
    }
}

#[cfg(test)]
mod tests;
