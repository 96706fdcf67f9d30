//! Unwrapped patient keys, kept for minutes so that reading a chart costs no query and no unwrapping.
//!
//! Bounded in entries and in age. Entries are shared: a reader holds the key that it found for the length of one
//! value, and the last holder's drop wipes it. Inserting and removing happen under the store's lock (see `ring`),
//! so a key that was destroyed cannot come back from a load that began before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use wardbook_events::{PatientId, TenantId};

use crate::ring::PatientRing;

/// What time it is. Injected, so that tests can let minutes and months pass.
pub trait Clock: Send + Sync {
    /// Time since any origin; only goes forward. By it cached keys age.
    fn elapsed(&self) -> Duration;
    /// Seconds of Unix time. By it versions of keys age.
    fn unix_s(&self) -> u64;
}

/// The machine's monotonic clock.
#[derive(Debug)]
pub struct MonotonicClock(Instant);

impl Default for MonotonicClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for MonotonicClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn unix_s(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// How many unwrapped keys are held, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Patients at most, over all organisations.
    pub entries_max: usize,
    /// A key is loaded anew after this time; those of organisations too.
    pub age_max: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { entries_max: 16_384, age_max: Duration::from_secs(600) }
    }
}

type Id = (TenantId, PatientId);

struct Entry {
    ring: Arc<PatientRing>,
    loaded: Duration,
    /// Milliseconds on the clock; written under the read lock, so that a hit needs no exclusive lock.
    used_ms: AtomicU64,
}

/// A patient's key that was used, and how often since it was last said.
pub type Used = (TenantId, PatientId, u32, u64);

/// Uses within a key's minutes in the cache that are worth writing down: with fewer it is older than 90 days long before
/// it has been used a million times (ENC-10).
const WORTH: u64 = 64;
/// Keys that left the cache and whose uses were not written down yet.
const LEFT_MAX: usize = 65_536;

/// Readers of different patients seldom meet on one lock.
const SHARDS: usize = 16;

pub struct Cache {
    shards: [RwLock<HashMap<Id, Entry>>; SHARDS],
    shard_max: usize,
    age_max: Duration,
    /// Uses of keys that left.
    left: Mutex<Vec<Used>>,
}

fn used<'a>(id: &Id, ring: &'a PatientRing) -> impl Iterator<Item = Used> + use<'a> {
    let (tenant, patient) = *id;
    ring.keys().iter().filter_map(move |key| Some((tenant, patient, key.version, key.take_uses(WORTH)?)))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Cache {
    pub fn new(limits: CacheLimits) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            shard_max: limits.entries_max.div_ceil(SHARDS).max(1),
            age_max: limits.age_max,
            left: Mutex::default(),
        }
    }

    fn shard(&self, id: &Id) -> &RwLock<HashMap<Id, Entry>> {
        // Ids are random in their last byte, be they UUIDv4, v7 or derived.
        let [first, ..] = &self.shards;
        let last = id.1.bytes().last().copied().unwrap_or(0);
        self.shards.get(usize::from(last) % SHARDS).unwrap_or(first)
    }

    pub fn get(&self, id: Id, now: Duration) -> Option<Arc<PatientRing>> {
        let shard = self.shard(&id).read();
        let entry = shard.get(&id).filter(|entry| now.saturating_sub(entry.loaded) < self.age_max)?;
        entry.used_ms.store(millis(now), Ordering::Relaxed);
        Some(Arc::clone(&entry.ring))
    }

    pub fn insert(&self, id: Id, ring: Arc<PatientRing>, now: Duration) {
        let mut shard = self.shard(&id).write();
        if shard.len() >= self.shard_max && !shard.contains_key(&id) {
            shard.retain(|id, entry| self.keep(id, entry, now));
            let idlest = shard.iter().min_by_key(|(_, entry)| entry.used_ms.load(Ordering::Relaxed)).map(|(id, _)| *id);
            if let Some(idlest) = idlest.filter(|_| shard.len() >= self.shard_max) {
                self.leave(&idlest, shard.remove(&idlest).as_ref());
            }
        }
        let before = shard.insert(id, Entry { ring, loaded: now, used_ms: AtomicU64::new(millis(now)) });
        self.leave(&id, before.as_ref());
    }

    fn keep(&self, id: &Id, entry: &Entry, now: Duration) -> bool {
        let young = now.saturating_sub(entry.loaded) < self.age_max;
        if !young {
            self.leave(id, Some(entry));
        }
        young
    }

    /// Remembers how often a key was used that leaves.
    fn leave(&self, id: &Id, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        let mut left = self.left.lock();
        let room = LEFT_MAX.saturating_sub(left.len());
        left.extend(used(id, &entry.ring).take(room));
    }

    /// How often keys were used since the last time: those that are worth writing down.
    pub fn take_uses(&self) -> Vec<Used> {
        let mut all = std::mem::take(&mut *self.left.lock());
        for shard in &self.shards {
            for (id, entry) in shard.read().iter() {
                all.extend(used(id, &entry.ring));
            }
        }
        all
    }

    pub fn remove(&self, id: Id) {
        let gone = self.shard(&id).write().remove(&id);
        self.leave(&id, gone.as_ref());
    }

    /// Wipes what nobody has asked for in time; a key does not stay in memory because the system is idle.
    pub fn sweep(&self, now: Duration) {
        for shard in &self.shards {
            shard.write().retain(|id, entry| self.keep(id, entry, now));
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Id {
        (TenantId::from_bytes([0; 16]), PatientId::from_bytes([byte; 16]))
    }
    fn ring() -> Arc<PatientRing> {
        Arc::new(PatientRing::default())
    }
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn entries_age_and_are_swept() {
        let cache = Cache::new(CacheLimits { entries_max: 100, age_max: MINUTE });
        cache.insert(id(1), ring(), Duration::ZERO);
        assert!(cache.get(id(1), MINUTE - Duration::from_nanos(1)).is_some());
        assert!(cache.get(id(1), MINUTE).is_none(), "use does not make a key younger");
        cache.sweep(MINUTE);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn the_idlest_goes_when_it_is_full() {
        let cache = Cache::new(CacheLimits { entries_max: SHARDS * 2, age_max: MINUTE * 10 });
        // All in one shard: the last byte is the same modulo 16.
        for (byte, minute) in [(0x10, 0), (0x20, 1)] {
            cache.insert(id(byte), ring(), MINUTE * minute);
        }
        assert!(cache.get(id(0x10), MINUTE * 2).is_some());
        cache.insert(id(0x30), ring(), MINUTE * 3);
        assert!(cache.get(id(0x20), MINUTE * 3).is_none());
        assert!(cache.get(id(0x10), MINUTE * 3).is_some());
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_removed_key_is_wiped_when_its_last_reader_is_done() {
        let cache = Cache::new(CacheLimits::default());
        cache.insert(id(1), ring(), Duration::ZERO);
        let held = cache.get(id(1), Duration::ZERO).unwrap();
        cache.remove(id(1));
        assert!(cache.get(id(1), Duration::ZERO).is_none());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
