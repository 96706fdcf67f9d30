//! What patients allow and forbid.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::consent::{ConsentEvent, Whom};
use wardbook_events::records::Sensitivity;
use wardbook_events::{Event, PatientId, Recorded, UserId};
use wardbook_policy::PatientFacts;

use crate::error::ViewError;
use crate::projection::{Projection, View};
use crate::row_key::Key;
use crate::tx::{Tx, decode};

const CONSENT: u8 = 1;

/// The view of consents.
#[derive(Debug)]
pub struct ConsentView;

/// Somebody who sees nothing, at the patient's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// Who.
    pub whom: Whom,
    /// Since when.
    pub since: Timestamp,
}

/// What the patient said last about entries of a protected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosure {
    /// Which entries.
    pub label: Sensitivity,
    /// To whom; to all who treat if absent.
    pub to: Option<UserId>,
    /// Whether the patient agrees. One who agreed once and took it back has said no.
    pub agreed: bool,
    /// Since when.
    pub since: Timestamp,
}

/// Somebody who represents the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// What one patient said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Who sees nothing, the longest restricted first.
    pub restrictions: Vec<Restriction>,
    /// What was said about protected entries.
    pub disclosures: Vec<Disclosure>,
    /// Who represents the patient. Those whose time is over are still among them: whoever decides compares with the time.
    pub proxies: BTreeMap<UserId, Proxy>,
    /// Version of the stream `consent-<patient>`.
    pub version: u64,
    /// Position of the last event that changed it.
    pub changed: u64,
}

fn key(patient: PatientId) -> Vec<u8> {
    Key::table(CONSENT).bytes(patient.bytes()).done()
}

impl Consent {
    fn say(&mut self, label: Sensitivity, to: Option<UserId>, agreed: bool, since: Timestamp) {
        self.disclosures.retain(|said| (said.label, said.to) != (label, to));
        self.disclosures.push(Disclosure { label, to, agreed, since });
    }

    fn take_in(&mut self, event: &ConsentEvent, at: Timestamp) {
        match event {
            ConsentEvent::AccessRestricted(e) => {
                if self.restrictions.iter().all(|known| known.whom != e.whom) {
                    self.restrictions.push(Restriction { whom: e.whom, since: at });
                }
            }
            ConsentEvent::RestrictionLifted(e) => self.restrictions.retain(|known| known.whom != e.whom),
            ConsentEvent::DisclosurePermitted(e) => self.say(e.label, e.to, true, at),
            ConsentEvent::DisclosureWithdrawn(e) => self.say(e.label, e.to, false, at),
            ConsentEvent::ProxyGranted(e) => _ = self.proxies.insert(e.user, Proxy { since: at, until: e.until }),
            ConsentEvent::ProxyEnded(e) => _ = self.proxies.remove(&e.user),
        }
    }
}

const fn patient_of(event: &ConsentEvent) -> PatientId {
    match event {
        ConsentEvent::AccessRestricted(e) => e.patient,
        ConsentEvent::RestrictionLifted(e) => e.patient,
        ConsentEvent::DisclosurePermitted(e) => e.patient,
        ConsentEvent::DisclosureWithdrawn(e) => e.patient,
        ConsentEvent::ProxyGranted(e) => e.patient,
        ConsentEvent::ProxyEnded(e) => e.patient,
    }
}

impl View for ConsentView {
    const NAME: &'static str = "consent";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Consent(what) = &event.event else { return Ok(()) };
        let key = key(patient_of(what));
        let mut consent = tx.value::<Consent>(key.clone())?.unwrap_or_default();
        consent.take_in(what, event.recorded_at);
        consent.version = event.stream_version;
        consent.changed = event.position;
        tx.put_value(key, &consent)
    }
}

impl Projection<ConsentView> {
    /// What a patient said; nothing if the patient never said anything.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, patient: PatientId) -> Result<Consent, ViewError> {
        let row = self.live()?.get(&key(patient))?;
        Ok(row.map(|row| decode(ConsentView::NAME, &row)).transpose()?.unwrap_or_default())
    }
}

/// What everybody who is one person said, in charts that were merged, the stricter where they differ: a restriction in
/// one counts in all, and who said no in one has said no.
pub(crate) fn gather(said: &[Consent], facts: &mut PatientFacts) {
    let mut refused = BTreeSet::new();
    for one in said {
        for restriction in &one.restrictions {
            match restriction.whom {
                Whom::User(user) => _ = facts.denied_users.insert(user),
                Whom::Role(role) => _ = facts.denied_roles.insert(role),
            }
        }
        refused.extend(one.disclosures.iter().filter(|said| !said.agreed).map(|said| (said.label, said.to)));
        for (user, proxy) in &one.proxies {
            let until = facts.proxies.entry(*user).or_insert(proxy.until);
            // The one that ends later; without an end is the latest.
            *until = until.zip(proxy.until).map(|(one, other)| one.max(other));
        }
    }
    let agreed = said.iter().flat_map(|one| &one.disclosures).filter(|said| said.agreed);
    for said in agreed.filter(|said| !refused.contains(&(said.label, said.to))) {
        match (said.label, said.to) {
            (Sensitivity::SubstanceUse, None) => facts.sud_permitted = true,
            (Sensitivity::Psychotherapy, Some(user)) => _ = facts.psychotherapy_to.insert(user),
            _ => {}
        }
    }
}
