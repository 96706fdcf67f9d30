//! What policy must know about users and patients, kept in memory because every audited read asks for it.
//!
//! An entry is right until an event changes what it was made from: events throw entries out, time never does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use wardbook_events::break_glass::BreakGlassEvent;
use wardbook_events::care_teams::CareTeamEvent;
use wardbook_events::consent::ConsentEvent;
use wardbook_events::elevations::ElevationEvent;
use wardbook_events::identity::IdentityEvent;
use wardbook_events::patients::PatientEvent;
use wardbook_events::{Event, PatientId, Recorded, UserId};
use wardbook_policy::{Emergency, Member, PatientFacts, Principal, RecordFacts};

use crate::consent;
use crate::error::ViewError;
use crate::records::{Draft, Record, State};
use crate::views::Views;

/// What is known about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownUser {
    /// For policy. The strength of the login is the session's: `mfa` is 0 here.
    pub principal: Principal,
    /// When the user was last disabled: sessions that began up to then have ended.
    pub disabled_at: Option<jiff::Timestamp>,
    /// Position of the last event that changed these facts.
    pub version: u64,
}

/// What is known about a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPatient {
    /// For policy. A merged patient and the one who goes on are one person: care teams, emergencies and places of
    /// both count for both, and one who is specially watched makes both so.
    pub facts: PatientFacts,
    /// Everybody who is this person: first the patient who goes on, then all who were merged into it.
    pub family: Arc<[PatientId]>,
    /// When the person was forgotten.
    pub erased_at: Option<jiff::Timestamp>,
    /// Position of the last event that changed these facts.
    pub version: u64,
}

impl KnownPatient {
    /// The patient who goes on: the patient itself unless it was merged.
    #[must_use]
    pub fn survivor(&self) -> PatientId {
        self.family.first().copied().unwrap_or(self.facts.patient)
    }
}

impl Record {
    /// For policy.
    #[must_use]
    pub fn facts(&self) -> RecordFacts {
        RecordFacts {
            record: self.record,
            kind: self.kind,
            sensitivity: self.sensitivity.clone(),
            author: self.author,
            signed: matches!(self.state, State::Signed { .. }),
        }
    }
}

impl Draft {
    /// For policy: those of the entry that it may become.
    #[must_use]
    pub fn facts(&self) -> RecordFacts {
        let sensitivity = self.sensitivity.clone();
        RecordFacts { record: self.draft, kind: self.kind, sensitivity, author: Some(self.author), signed: false }
    }
}

impl Views {
    /// What is known about a user; `None` if there is no such user.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn principal(&self, user: UserId) -> Result<Option<Arc<KnownUser>>, ViewError> {
        self.facts.users.get_or_load(user, || {
            let Some(found) = self.identity.user(user)? else { return Ok(Vec::new()) };
            let held = self.elevations.held(user)?;
            let principal = Principal {
                elevations: held.roles,
                active: found.active,
                departments: found.departments,
                facilities: found.facilities,
                shifts: found.shifts,
                on_call_until: found.on_call_until,
                patient: found.patient,
                ..Principal::new(user, found.tenant, found.roles)
            };
            Ok(vec![(
                user,
                Arc::new(KnownUser {
                    principal,
                    disabled_at: found.disabled_at,
                    version: found.changed.max(held.changed),
                }),
            )])
        })
    }

    /// What is known about a patient; `None` if there is no such patient.
    ///
    /// # Errors
    /// If a view cannot be read.
    pub fn patient_facts(&self, patient: PatientId) -> Result<Option<Arc<KnownPatient>>, ViewError> {
        self.facts.patients.get_or_load(patient, || {
            let family = self.patients.family(patient)?;
            let Some(survivor) = family.first() else { return Ok(Vec::new()) };
            let mut members = BTreeMap::new();
            let mut said = Vec::with_capacity(family.len());
            let mut emergencies = BTreeMap::new();
            let mut version = 0;
            for one in &family {
                let team = self.care_teams.get(one.patient)?;
                let consent = self.consent.get(one.patient)?;
                version = version.max(team.changed).max(one.changed).max(consent.changed);
                said.push(consent);
                for (user, member) in team.members {
                    let member = Member { function: member.function, until: member.until };
                    let longest = |known: &mut Member| *known = longer(*known, member);
                    members.entry(user).and_modify(longest).or_insert(member);
                }
                for known in self.break_glass.of_patient(one.patient)? {
                    version = version.max(known.changed);
                    let emergency = Emergency { emergency: known.emergency, expires_at: known.until() };
                    let longest = |found: &mut Emergency| {
                        if emergency.expires_at > found.expires_at {
                            *found = emergency;
                        }
                    };
                    emergencies.entry(known.user).and_modify(longest).or_insert(emergency);
                }
            }
            let departments: BTreeSet<_> = family.iter().flat_map(|one| one.departments.iter().cloned()).collect();
            let facilities: BTreeSet<_> = family.iter().flat_map(|one| one.facilities.iter().cloned()).collect();
            let vip = family.iter().any(|one| one.vip);
            let erased_at = survivor.erased_at;
            let decoy = family.iter().any(|one| one.decoy);
            let ids: Arc<[PatientId]> = family.iter().map(|one| one.patient).collect();
            let known = |patient| {
                let mut facts = PatientFacts {
                    departments: departments.clone(),
                    facilities: facilities.clone(),
                    vip,
                    decoy,
                    members: members.clone(),
                    emergencies: emergencies.clone(),
                    ..PatientFacts::new(patient, survivor.tenant)
                };
                consent::gather(&said, &mut facts);
                (patient, Arc::new(KnownPatient { facts, family: Arc::clone(&ids), erased_at, version }))
            };
            // All of a family are kept and thrown out together, so that one cannot outlive a change of another.
            Ok(ids.iter().copied().map(known).collect())
        })
    }
}

/// Of two places on a care team the one that ends later; without an end is the latest.
fn longer(one: Member, other: Member) -> Member {
    let end = |member: Member| member.until.unwrap_or(jiff::Timestamp::MAX);
    if end(other) > end(one) { other } else { one }
}

/// Facts in memory.
#[derive(Debug)]
pub(crate) struct FactsCache {
    users: Kept<UserId, KnownUser>,
    patients: Kept<PatientId, KnownPatient>,
}

impl FactsCache {
    pub(crate) fn new(max: usize) -> Self {
        Self { users: Kept::new(max), patients: Kept::new(max) }
    }
    pub(crate) fn clear(&self) {
        self.users.clear();
        self.patients.clear();
    }
    /// Throws out what these events changed. To be called after the views have taken them in.
    pub(crate) fn forget(&self, events: &[Recorded]) {
        for event in events {
            match &event.event {
                Event::Identity(IdentityEvent::UserCreated(e)) => self.users.forget(&[e.user]),
                Event::Identity(IdentityEvent::RoleGranted(e)) => self.users.forget(&[e.user]),
                Event::Identity(IdentityEvent::RoleRevoked(e)) => self.users.forget(&[e.user]),
                Event::Identity(IdentityEvent::UserDisabled(e)) => self.users.forget(&[e.user]),
                Event::Identity(IdentityEvent::UserEnabled(e)) => self.users.forget(&[e.user]),
                Event::Identity(IdentityEvent::PlacesSet(e)) => self.users.forget(&[e.user]),
                Event::Identity(IdentityEvent::HoursSet(e)) => self.users.forget(&[e.user]),
                // The rest is about logins and sessions, which policy does not look at.
                Event::Identity(_) => {}
                Event::Elevation(ElevationEvent::Granted(e)) => self.users.forget(&[e.user]),
                Event::Elevation(ElevationEvent::Ended(e)) => self.users.forget(&[e.user]),
                Event::Elevation(_) => {}
                Event::BreakGlass(BreakGlassEvent::Started(e)) => self.forget_patient(e.patient),
                Event::BreakGlass(BreakGlassEvent::Extended(e)) => self.forget_patient(e.patient),
                Event::BreakGlass(BreakGlassEvent::Ended(e)) => self.forget_patient(e.patient),
                Event::BreakGlass(BreakGlassEvent::Reviewed(_)) => {}
                Event::Consent(ConsentEvent::AccessRestricted(e)) => self.forget_patient(e.patient),
                Event::Consent(ConsentEvent::RestrictionLifted(e)) => self.forget_patient(e.patient),
                Event::Consent(ConsentEvent::DisclosurePermitted(e)) => self.forget_patient(e.patient),
                Event::Consent(ConsentEvent::DisclosureWithdrawn(e)) => self.forget_patient(e.patient),
                Event::Consent(ConsentEvent::ProxyGranted(e)) => self.forget_patient(e.patient),
                Event::Consent(ConsentEvent::ProxyEnded(e)) => self.forget_patient(e.patient),
                Event::CareTeam(CareTeamEvent::MemberAssigned(e)) => self.forget_patient(e.patient),
                Event::CareTeam(CareTeamEvent::MemberEnded(e)) => self.forget_patient(e.patient),
                Event::Patient(PatientEvent::TokenClaimed(_) | PatientEvent::TokenReleased(_)) => {}
                Event::Patient(PatientEvent::Registered(e)) => self.forget_patient(e.patient),
                Event::Patient(PatientEvent::Corrected(e)) => self.forget_patient(e.patient),
                Event::Patient(PatientEvent::Flagged(e)) => self.forget_patient(e.patient),
                Event::Patient(PatientEvent::Placed(e)) => self.forget_patient(e.patient),
                Event::Patient(PatientEvent::Erased(e)) => self.forget_patient(e.patient),
                Event::Patient(PatientEvent::GroupsErased(e)) => self.forget_patient(e.patient),
                // Nothing that policy looks at.
                Event::Patient(
                    PatientEvent::GroupsReopened(_) | PatientEvent::Reindexed(_) | PatientEvent::Resealed(_),
                ) => {}
                // Families change: rare enough to forget everybody.
                Event::Patient(
                    PatientEvent::Merged(_)
                    | PatientEvent::Absorbed(_)
                    | PatientEvent::Unmerged(_)
                    | PatientEvent::Parted(_),
                ) => self.patients.clear(),
                Event::Record(_)
                | Event::Document(_)
                | Event::Access(_)
                | Event::Alert(_)
                | Event::AccessReview(_)
                | Event::Key(_)
                | Event::Backup(_)
                | Event::Erasure(_)
                | Event::Governance(_) => {}
            }
        }
    }
    fn forget_patient(&self, patient: PatientId) {
        match self.patients.peek(patient) {
            Some(known) => self.patients.forget(&known.family),
            None => self.patients.forget(&[patient]),
        }
    }
}

/// A bounded map of what was loaded.
#[derive(Debug)]
struct Kept<K, V> {
    max: usize,
    /// Counts what was thrown out, so that what was read before is not put in after.
    thrown_out: AtomicU64,
    entries: RwLock<HashMap<K, Arc<V>>>,
}

impl<K: Copy + Eq + Hash, V> Kept<K, V> {
    fn new(max: usize) -> Self {
        Self { max: max.max(1), thrown_out: AtomicU64::new(0), entries: RwLock::new(HashMap::new()) }
    }
    fn peek(&self, key: K) -> Option<Arc<V>> {
        self.entries.read().get(&key).cloned()
    }
    /// The entry, or what `load` finds (with others that belong to it). What is not there is not remembered.
    fn get_or_load(
        &self,
        key: K,
        load: impl FnOnce() -> Result<Vec<(K, Arc<V>)>, ViewError>,
    ) -> Result<Option<Arc<V>>, ViewError> {
        if let Some(kept) = self.peek(key) {
            return Ok(Some(kept));
        }
        let before = self.thrown_out.load(Ordering::Acquire);
        let loaded = load()?;
        let found = loaded.iter().find(|(found, _)| *found == key).map(|(_, value)| Arc::clone(value));
        let mut entries = self.entries.write();
        if self.thrown_out.load(Ordering::Acquire) == before {
            // Starting over now and then is as good as any order of eviction, and keeps families whole.
            if entries.len() + loaded.len() > self.max {
                entries.clear();
            }
            entries.extend(loaded);
        }
        Ok(found)
    }
    fn forget(&self, keys: &[K]) {
        let mut entries = self.entries.write();
        self.thrown_out.fetch_add(1, Ordering::AcqRel);
        for key in keys {
            entries.remove(key);
        }
    }
    fn clear(&self) {
        let mut entries = self.entries.write();
        self.thrown_out.fetch_add(1, Ordering::AcqRel);
        entries.clear();
    }
}
