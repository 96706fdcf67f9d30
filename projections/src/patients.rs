//! Patients' master data: sealed fields, and tokens by which a patient can be found.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::patients::{self, PatientEvent, WatchReason};
use wardbook_events::{Event, Field, GroupSet, PatientId, Recorded, Sealed, SealedFields, TenantId, Token, TokenKind};

use crate::error::ViewError;
use crate::generation::Generation;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_id};
use crate::tx::{Tx, decode};

const PATIENT: u8 = 1;
const TOKEN: u8 = 2;
/// Patients by organisation and the versions of the index key that made their tokens: who is still to be re-indexed.
const INDEXED: u8 = 3;

/// The view of patients.
#[derive(Debug)]
pub struct PatientsView;

/// A patient as the view has it: nothing but sealed values, tokens and ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    /// The patient.
    pub patient: PatientId,
    /// The organisation.
    pub tenant: TenantId,
    /// Sealed fields.
    pub fields: SealedFields,
    /// What the patient can be found by.
    pub tokens: Vec<Token>,
    /// Departments that treat the patient.
    pub departments: BTreeSet<String>,
    /// Facilities that treat the patient; none means the whole organisation.
    pub facilities: BTreeSet<String>,
    /// Law that applies: `US`, `SA`, `EU`.
    pub jurisdiction: String,
    /// Specially watched (ACC-21).
    pub vip: bool,
    /// Why specially watched.
    pub watched_for: Option<WatchReason>,
    /// There is no such person: nobody has a reason to touch this record. Told to nobody but who may set it.
    pub decoy: bool,
    /// The patient who goes on, if this one was merged.
    pub merged_into: Option<PatientId>,
    /// Patients who were merged into this one, directly.
    pub absorbed: BTreeSet<PatientId>,
    /// When the person was forgotten: then this row and its counts are all that is left.
    pub erased_at: Option<Timestamp>,
    /// Categories that were erased, and into which nothing was written since.
    pub erased: GroupSet,
    /// Version of the stream `patients-<id>`: what `If-Match` is compared with.
    pub version: u64,
    /// Position of the last event that changed this patient.
    pub changed: u64,
}

impl Patient {
    /// A field as a typed sealed value.
    #[must_use]
    pub fn sealed<T>(&self, field: Field) -> Option<Sealed<T>> {
        self.fields.get(self.tenant, self.patient, &patients::stream(self.patient), field)
    }
}

fn patient_key(patient: PatientId) -> Vec<u8> {
    Key::table(PATIENT).bytes(patient.bytes()).done()
}

/// Everybody who has this token. The token is hashed to sixteen bytes, because keys are most of what these rows are.
fn token_prefix(tenant: TenantId, token: &Token) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tenant.bytes()).update(token.kind.name().as_bytes()).update(b"/").update(token.value.as_bytes());
    Key::table(TOKEN).bytes(hasher.finalize().as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]))
}

fn token_key(tenant: TenantId, token: &Token, patient: PatientId) -> Vec<u8> {
    token_prefix(tenant, token).bytes(patient.bytes()).done()
}

fn indexed_key(tenant: TenantId, version: u32, patient: PatientId) -> Vec<u8> {
    Key::table(INDEXED).bytes(tenant.bytes()).bytes(&version.to_be_bytes()).bytes(patient.bytes()).done()
}

/// Puts new tokens in the place of those that a patient was found by.
fn find_by(tx: &mut Tx<'_>, patient: &mut Patient, tokens: Vec<Token>) -> Result<(), ViewError> {
    let (tenant, id) = (patient.tenant, patient.patient);
    for token in patient.tokens.iter().filter(|token| !tokens.contains(token)) {
        tx.remove(token_key(tenant, token, id))?;
    }
    for token in &tokens {
        tx.put(token_key(tenant, token, id), Vec::new())?;
    }
    let versions = |tokens: &[Token]| tokens.iter().map(|token| token.index).collect::<BTreeSet<_>>();
    let (was, now) = (versions(&patient.tokens), versions(&tokens));
    for version in was.difference(&now) {
        tx.remove(indexed_key(tenant, *version, id))?;
    }
    for version in now.difference(&was) {
        tx.put(indexed_key(tenant, *version, id), Vec::new())?;
    }
    patient.tokens = tokens;
    Ok(())
}

impl View for PatientsView {
    const NAME: &'static str = "patients";
    const CODE_VERSION: u32 = 4;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Patient(what) = &event.event else { return Ok(()) };
        match what {
            PatientEvent::Registered(e) => {
                let mut patient = Patient {
                    patient: e.patient,
                    tenant: event.meta.tenant,
                    fields: e.fields.clone(),
                    tokens: Vec::new(),
                    departments: e.departments.iter().cloned().collect(),
                    facilities: BTreeSet::new(),
                    jurisdiction: e.jurisdiction.clone(),
                    vip: e.vip,
                    watched_for: None,
                    decoy: false,
                    merged_into: None,
                    absorbed: BTreeSet::new(),
                    erased_at: None,
                    erased: GroupSet::EMPTY,
                    version: event.stream_version,
                    changed: event.position,
                };
                find_by(tx, &mut patient, e.tokens.clone())?;
                tx.put_value(patient_key(patient.patient), &patient)
            }
            PatientEvent::Corrected(e) => change(tx, event, e.patient, |tx, patient| {
                let written = e.changes.iter().filter(|change| change.new.is_some());
                patient.erased = patient.erased.without(written.map(|change| change.field.group()).collect());
                for change in &e.changes {
                    match &change.new {
                        Some(new) => patient.fields.0.insert(change.field, new.clone()),
                        None => patient.fields.0.remove(&change.field),
                    };
                }
                find_by(tx, patient, e.tokens.clone())
            }),
            PatientEvent::Reindexed(e) => {
                change(tx, event, e.patient, |tx, patient| find_by(tx, patient, e.tokens.clone()))
            }
            PatientEvent::Resealed(e) => change(tx, event, e.patient, |_, patient| {
                patient.fields.0.extend(e.fields.0.clone());
                Ok(())
            }),
            PatientEvent::Merged(e) => change(tx, event, e.patient, |_, patient| {
                patient.merged_into = Some(e.into);
                Ok(())
            }),
            PatientEvent::Unmerged(e) => change(tx, event, e.patient, |_, patient| {
                patient.merged_into = None;
                Ok(())
            }),
            PatientEvent::Absorbed(e) => change(tx, event, e.patient, |_, patient| {
                patient.absorbed.insert(e.absorbed);
                Ok(())
            }),
            PatientEvent::Parted(e) => change(tx, event, e.patient, |_, patient| {
                patient.absorbed.remove(&e.parted);
                Ok(())
            }),
            PatientEvent::Flagged(e) => change(tx, event, e.patient, |_, patient| {
                (patient.vip, patient.watched_for, patient.decoy) = (e.vip, e.reason, e.decoy);
                Ok(())
            }),
            PatientEvent::Placed(e) => change(tx, event, e.patient, |_, patient| {
                patient.departments = e.departments.iter().cloned().collect();
                patient.facilities = e.facilities.iter().cloned().collect();
                Ok(())
            }),
            PatientEvent::Erased(e) => change(tx, event, e.patient, |tx, patient| {
                patient.erased_at = Some(event.recorded_at);
                forget(tx, patient, GroupSet::all())
            }),
            PatientEvent::GroupsErased(e) => change(tx, event, e.patient, |tx, patient| forget(tx, patient, e.groups)),
            // What matters to who writes changes nothing here, but the version.
            PatientEvent::GroupsReopened(e) => change(tx, event, e.patient, |_, _| Ok(())),
            // Claims belong to the write side; what a patient is found by stands in the patient's own stream.
            PatientEvent::TokenClaimed(_) | PatientEvent::TokenReleased(_) => Ok(()),
        }
    }
}

/// Drops what the patient was found by, and sealed fields, which nothing opens any more.
fn forget(tx: &mut Tx<'_>, patient: &mut Patient, groups: GroupSet) -> Result<(), ViewError> {
    patient.erased = patient.erased.union(groups);
    patient.fields.0.retain(|field, _| !groups.contains(field.group()));
    let is_lost = |token: &Token| !token.kind.groups().intersection(groups).is_empty();
    let kept = patient.tokens.iter().filter(|token| !is_lost(token)).cloned().collect();
    find_by(tx, patient, kept)
}

fn change(
    tx: &mut Tx<'_>,
    event: &Recorded,
    id: PatientId,
    edit: impl FnOnce(&mut Tx<'_>, &mut Patient) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    let Some(mut patient) = tx.value::<Patient>(patient_key(id))? else { return Ok(()) };
    edit(tx, &mut patient)?;
    patient.version = event.stream_version;
    patient.changed = event.position;
    tx.put_value(patient_key(id), &patient)
}

/// Longest chain of merges that is followed; a longer one is a mistake and ends there.
const MERGES_MAX: usize = 32;

impl Projection<PatientsView> {
    /// The patient, merged or not.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, patient: PatientId) -> Result<Option<Patient>, ViewError> {
        self.live()?.get(&patient_key(patient))?.map(|row| decode(PatientsView::NAME, &row)).transpose()
    }

    /// The patient who goes on: the patient itself unless it was merged. `None` if unknown.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn survivor(&self, patient: PatientId) -> Result<Option<Patient>, ViewError> {
        let mut found = self.get(patient)?;
        for _ in 0..MERGES_MAX {
            let Some(into) = found.as_ref().and_then(|patient| patient.merged_into) else { break };
            found = self.get(into)?;
        }
        Ok(found)
    }

    /// Everybody who is this person: first the patient who goes on, then all who were merged into it, by id.
    /// Empty if the patient is unknown.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn family(&self, patient: PatientId) -> Result<Vec<Patient>, ViewError> {
        let Some(survivor) = self.survivor(patient)? else { return Ok(Vec::new()) };
        let mut seen = HashSet::from([survivor.patient]);
        let mut waiting: Vec<_> = survivor.absorbed.iter().copied().collect();
        let mut absorbed = Vec::new();
        while let Some(next) = waiting.pop() {
            if seen.insert(next)
                && let Some(patient) = self.get(next)?
            {
                waiting.extend(&patient.absorbed);
                absorbed.push(patient);
            }
        }
        absorbed.sort_by_key(|patient| patient.patient);
        Ok(std::iter::once(survivor).chain(absorbed).collect())
    }

    /// Patients of the organisation who have one token of *each* of these sets, at most `limit`, each once and as the patient
    /// who goes on. No set finds nobody, nor does an empty one.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn search(&self, tenant: TenantId, sets: &[Vec<Token>], limit: usize) -> Result<Vec<PatientId>, ViewError> {
        let live = self.live()?;
        let mut sets: Vec<_> = sets.iter().collect();
        sets.sort_by_key(|set| set.iter().map(|token| rarity(token.kind)).max());
        let Some((first, others)) = sets.split_first() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for token in *first {
            let from = token_prefix(tenant, token).done();
            let to = token_prefix(tenant, token).bytes(&[0xff; 17]).done();
            live.walk(&from, &to, false, |key, _| {
                let Some(patient) = trailing_id(key).map(PatientId::from_bytes) else { return Ok(true) };
                for set in others {
                    if !has_one_of(&live, tenant, set, patient)? {
                        return Ok(true);
                    }
                }
                // A retired patient is found under the name it had, and shown as the one who goes on.
                if let Some(survivor) = self.survivor(patient)?.filter(|survivor| survivor.tenant == tenant)
                    && !found.contains(&survivor.patient)
                {
                    found.push(survivor.patient);
                }
                Ok(found.len() < limit)
            })?;
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }
}

/// How patients of an organisation are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indexed {
    /// By tokens of this version of the index key, perhaps by others too.
    pub newest: u64,
    /// By tokens of an older version only.
    pub older_only: u64,
    /// By tokens of both.
    pub both: u64,
}

impl Projection<PatientsView> {
    /// Patients of the organisation who have tokens of a version of the index key before `newest`, or only those of them who have none
    /// of `newest`; at most `limit`, by version and id, without those to be passed over.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn indexed_before(
        &self,
        tenant: TenantId,
        newest: u32,
        only_lacking: bool,
        over: &HashSet<PatientId>,
        limit: usize,
    ) -> Result<Vec<PatientId>, ViewError> {
        let mut found = Vec::new();
        self.each_indexed_before(tenant, newest, |patient, is_both| {
            let is_wanted = !only_lacking || !is_both;
            if is_wanted && !over.contains(&patient) && !found.contains(&patient) {
                found.push(patient);
            }
            found.len() < limit
        })?;
        Ok(found)
    }

    /// How many patients of the organisation have tokens of which versions of the index key. It walks all rows of the organisation.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn indexed(&self, tenant: TenantId, newest: u32) -> Result<Indexed, ViewError> {
        let (mut counts, mut counted) = (Indexed::default(), HashSet::new());
        self.each_indexed_before(tenant, newest, |patient, is_both| {
            if counted.insert(patient) {
                *(if is_both { &mut counts.both } else { &mut counts.older_only }) += 1;
            }
            true
        })?;
        let from = indexed_key(tenant, newest, PatientId::from_bytes([0; 16]));
        let to = Key::table(INDEXED).bytes(tenant.bytes()).bytes(&newest.to_be_bytes()).bytes(&[0xff; 17]).done();
        self.live()?.walk(&from, &to, false, |_, _| {
            counts.newest += 1;
            Ok(true)
        })?;
        Ok(counts)
    }

    fn each_indexed_before(
        &self,
        tenant: TenantId,
        newest: u32,
        mut visit: impl FnMut(PatientId, bool) -> bool,
    ) -> Result<(), ViewError> {
        let live = self.live()?;
        let from = Key::table(INDEXED).bytes(tenant.bytes()).done();
        let to = indexed_key(tenant, newest, PatientId::from_bytes([0; 16]));
        live.walk(&from, &to, false, |key, _| {
            let Some(patient) = trailing_id(key).map(PatientId::from_bytes) else { return Ok(true) };
            let is_both = live.get(&indexed_key(tenant, newest, patient))?.is_some();
            Ok(visit(patient, is_both))
        })
    }
}

fn has_one_of(live: &Generation, tenant: TenantId, set: &[Token], patient: PatientId) -> Result<bool, ViewError> {
    for token in set {
        if live.get(&token_key(tenant, token, patient))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The fewer people share a kind of token, the earlier it is looked up.
const fn rarity(kind: TokenKind) -> u8 {
    match kind {
        TokenKind::Ssn => 0,
        TokenKind::Mrn => 1,
        TokenKind::NameAndBirthDate => 2,
        TokenKind::Email => 3,
        TokenKind::Phone => 4,
        TokenKind::BirthDate => 5,
        TokenKind::FamilyName => 6,
        TokenKind::GivenName => 7,
        TokenKind::FamilySound => 8,
        TokenKind::GivenSound => 9,
        TokenKind::FamilyPrefix => 10,
        TokenKind::GivenPrefix => 11,
    }
}
