//! Entries and drafts sealed anew, by Wardbook itself. What they say stays as it is.

use wardbook_events::records::{DraftResealed, RecordResealed, addendum_field, body_field, draft_stream, stream};
use wardbook_events::{Ciphertext, Event, Field, PatientId, RecordId, Sealed, TenantId, UserId};
use wardbook_keys::{Keys, ResealError};

use super::drafts::Draft;
use super::{Record, State};
use crate::authority::own_context;
use crate::error::CommandError;
use crate::executor::{Commands, Task};
use crate::origin::Origin;

impl State {
    /// The entry, however far it has come.
    const fn known(&self) -> Option<&Record> {
        match self {
            Self::Open(record) | Self::Signed(record) | Self::Retracted(record) => Some(record),
            Self::Unknown => None,
        }
    }
}

/// An entry's texts; `None` for one that is sealed as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anew {
    /// Body.
    pub body: Option<Ciphertext>,
    /// Addenda, in their order.
    pub addenda: Vec<Option<Ciphertext>>,
}

/// Decides that an entry's texts are sealed so from now on; nothing happens if none was sealed anew.
#[must_use]
pub fn reseal(record: RecordId, state: &State, anew: Anew) -> Vec<Event> {
    let Some(was) = state.known() else { return Vec::new() };
    if anew.body.is_none() && anew.addenda.iter().all(Option::is_none) {
        return Vec::new();
    }
    let mut new = anew.addenda.into_iter();
    let addenda = was.addenda.iter().map(|old| new.next().flatten().unwrap_or_else(|| old.clone())).collect();
    let body = anew.body.unwrap_or_else(|| was.body.clone());
    vec![RecordResealed { record, patient: was.patient, body, addenda }.into()]
}

/// A text sealed anew; `None` if it is sealed so already, or there is nothing left that could be.
fn text(
    keys: &Keys,
    tenant: TenantId,
    (patient, record): (PatientId, RecordId),
    field: Field,
    sealed: &Ciphertext,
) -> Result<Option<Ciphertext>, ResealError> {
    keys.reseal_or_leave(&Sealed::<()>::new(tenant, patient, stream(record), field, sealed.clone()))
}

fn texts(keys: &Keys, tenant: TenantId, record: RecordId, was: &Record) -> Result<Anew, ResealError> {
    let of = (was.patient, record);
    let addendum = addendum_field(&was.sensitivity);
    Ok(Anew {
        body: text(keys, tenant, of, body_field(&was.sensitivity), &was.body)?,
        addenda: was.addenda.iter().map(|old| text(keys, tenant, of, addendum, old)).collect::<Result<_, _>>()?,
    })
}

impl Commands {
    /// Seals an entry's texts anew under the newest version of the patient's key; gives how many. Nothing happens if they are
    /// sealed so already, or were erased. Stated by Wardbook itself.
    ///
    /// # Errors
    /// If a text does not open; see [`CommandError`].
    pub async fn reseal_record(
        &self,
        tenant: TenantId,
        origin: &Origin,
        record: RecordId,
    ) -> Result<u64, CommandError> {
        let context = own_context(tenant, origin);
        let done = self.run(Task::new(context, origin, stream(record), Vec::new(), ()), move |desk| {
            let state = desk.load::<State>(&stream(record))?;
            let Some(was) = state.known() else { return Ok(Vec::new()) };
            Ok(reseal(record, &state, texts(desk.keys, tenant, record, was)?))
        });
        let events = self.events_of(&done.await?.receipts).await?;
        let count = |event: &Event| match event {
            Event::Record(wardbook_events::records::RecordEvent::Resealed(e)) => 1 + e.addenda.len() as u64,
            _ => 0,
        };
        Ok(events.iter().map(count).sum())
    }

    /// As [`Self::reseal_record`], a draft; the labels are those that it was kept with last.
    ///
    /// # Errors
    /// As [`Self::reseal_record`].
    pub async fn reseal_draft(
        &self,
        tenant: TenantId,
        origin: &Origin,
        (patient, draft, author): (PatientId, RecordId, UserId),
    ) -> Result<u64, CommandError> {
        let (context, of) = (own_context(tenant, origin), draft_stream(patient, draft));
        let done = self.run(Task::new(context, origin, of.clone(), Vec::new(), ()), move |desk| {
            let state = desk.load::<Draft>(&of)?;
            let Draft::Kept { sealed, .. } = &*state else { return Ok(Vec::new()) };
            let (labels, body) = &**sealed;
            let anew = text(desk.keys, tenant, (patient, draft), body_field(labels), body)?;
            Ok(anew.map(|body| DraftResealed { draft, patient, author, body }.into()).into_iter().collect())
        });
        Ok(u64::from(!done.await?.receipts.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use wardbook_events::records::{AddendumAdded, RecordAdded, RecordKind, RecordRetracted, RecordSigned};

    use super::*;
    use crate::context::Evolve;
    use crate::scenario::*;

    fn added() -> Event {
        let (record, author) = (record(1), Some(user(1)));
        let kind = RecordKind::Note;
        let body = sealed("body");
        RecordAdded { record, patient: patient(1), kind, sensitivity: vec![], year: None, author, body }.into()
    }
    fn signed() -> Event {
        RecordSigned { record: record(1), patient: patient(1), by: user(1) }.into()
    }
    fn addendum(text: &str) -> Event {
        AddendumAdded { record: record(1), patient: patient(1), author: user(1), text: sealed(text) }.into()
    }
    fn resealed(body: &str, addenda: &[&str]) -> Event {
        let addenda = addenda.iter().map(|text| sealed(text)).collect();
        RecordResealed { record: record(1), patient: patient(1), body: sealed(body), addenda }.into()
    }

    #[test]
    fn an_entry_is_sealed_anew_however_far_it_has_come() {
        let retracted: Event = RecordRetracted { record: record(1), patient: patient(1), by: user(1) }.into();
        let all = [added(), signed(), addendum("a"), addendum("b"), retracted];
        let anew = || Anew { body: Some(sealed("body-2")), addenda: vec![None, Some(sealed("b-2"))] };
        for (count, addenda) in [(1, &[][..]), (2, &[]), (3, &["a"]), (4, &["a", "b-2"]), (5, &["a", "b-2"])] {
            let given_then = resealed("body-2", addenda);
            given(&all[..count]).when(|state: &State| Ok(reseal(record(1), state, anew()))).then([given_then]);
        }
        given(&all).when(|state: &State| Ok(reseal(record(1), state, Anew::default()))).then_nothing();
        given(&[]).when(|state: &State| Ok(reseal(record(1), state, anew()))).then_nothing();
        let mut more = all[..4].to_vec();
        more.extend([resealed("body-2", &["a-2", "b-2"]), addendum("c")]);
        let state: State = Evolve::after(&more);
        let known = state.known().unwrap();
        assert_eq!((&known.body, &known.addenda[..]), (&sealed("body-2"), &["a-2", "b-2", "c"].map(sealed)[..]));
    }
}
