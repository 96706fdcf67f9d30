//! How often keys are used, by whom and for whom (ENC-17). Counted in memory, without a lock that anybody waits for; who
//! looks after the keys writes it down now and then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use wardbook_events::{Class, TenantId, UserId};

use crate::error::StoreError;
use crate::keys::Keys;

/// Counts of one write: the store is free in between.
const WRITTEN_AT_ONCE: usize = 256;

/// Uses since the process began. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyUses {
    /// Values sealed.
    pub seals: u64,
    /// Values opened.
    pub opens: u64,
    /// Patients' keys unwrapped.
    pub unwraps: u64,
    /// Organisations' keys unwrapped by the root key's provider.
    pub provider_unwraps: u64,
    /// Patients whose keys were found in the cache.
    pub cache_hits: u64,
}

/// What one user had opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerUses {
    /// Who.
    pub user: UserId,
    /// Values opened.
    pub opens: u64,
    /// Of these, of the class that is protected most.
    pub sensitive: u64,
}

/// Uses of an organisation's keys since they were last taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantUses {
    /// Whose.
    pub tenant: TenantId,
    /// Values sealed.
    pub seals: u64,
    /// Values opened.
    pub opens: u64,
    /// Patients' keys unwrapped.
    pub unwraps: u64,
    /// For whom values were opened, most first.
    pub callers: Vec<CallerUses>,
}

#[derive(Default)]
struct Caller {
    opens: AtomicU64,
    sensitive: AtomicU64,
}

#[derive(Default)]
struct OfTenant {
    seals: AtomicU64,
    opens: AtomicU64,
    unwraps: AtomicU64,
    callers: RwLock<HashMap<UserId, Arc<Caller>>>,
}

/// All counts.
#[derive(Default)]
pub struct Uses {
    tenants: RwLock<HashMap<TenantId, Arc<OfTenant>>>,
    /// What was taken from the tenants, so that totals only grow.
    taken: [AtomicU64; 3],
    pub provider_unwraps: AtomicU64,
    pub cache_hits: AtomicU64,
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The counts under a key, made if they are not there: looking is the rule, making the exception.
fn find<K: std::hash::Hash + Eq + Copy, V: Default>(map: &RwLock<HashMap<K, Arc<V>>>, key: K, count: impl Fn(&V)) {
    if let Some(found) = map.read().get(&key) {
        return count(found);
    }
    count(map.write().entry(key).or_default());
}

impl Uses {
    pub fn sealed(&self, tenant: TenantId) {
        find(&self.tenants, tenant, |of| one_more(&of.seals));
    }
    pub fn unwrapped(&self, tenant: TenantId) {
        find(&self.tenants, tenant, |of| one_more(&of.unwraps));
    }
    pub fn opened(&self, tenant: TenantId, user: UserId, class: Class) {
        find(&self.tenants, tenant, |of| {
            one_more(&of.opens);
            find(&of.callers, user, |caller| {
                one_more(&caller.opens);
                if class == Class::Sensitive {
                    one_more(&caller.sensitive);
                }
            });
        });
    }

    fn totals(&self) -> KeyUses {
        let [mut seals, mut opens, mut unwraps] = self.taken.each_ref().map(|taken| taken.load(Ordering::Relaxed));
        for of in self.tenants.read().values() {
            seals += of.seals.load(Ordering::Relaxed);
            opens += of.opens.load(Ordering::Relaxed);
            unwraps += of.unwraps.load(Ordering::Relaxed);
        }
        let provider_unwraps = self.provider_unwraps.load(Ordering::Relaxed);
        KeyUses { seals, opens, unwraps, provider_unwraps, cache_hits: self.cache_hits.load(Ordering::Relaxed) }
    }

    fn take(&self) -> Vec<TenantUses> {
        let mut tenants = self.tenants.write();
        let take = |(tenant, of): (&TenantId, &Arc<OfTenant>)| {
            let [seals, opens, unwraps] =
                [&of.seals, &of.opens, &of.unwraps].map(|count| count.swap(0, Ordering::Relaxed));
            for (taken, count) in self.taken.iter().zip([seals, opens, unwraps]) {
                taken.fetch_add(count, Ordering::Relaxed);
            }
            let mut callers: Vec<_> = std::mem::take(&mut *of.callers.write())
                .into_iter()
                .map(|(user, caller)| {
                    let [opens, sensitive] =
                        [&caller.opens, &caller.sensitive].map(|count| count.load(Ordering::Relaxed));
                    CallerUses { user, opens, sensitive }
                })
                .collect();
            callers.sort_unstable_by_key(|caller| (std::cmp::Reverse(caller.opens), caller.user));
            TenantUses { tenant: *tenant, seals, opens, unwraps, callers }
        };
        let mut all: Vec<_> = tenants.iter().map(take).collect();
        tenants.clear();
        all.retain(|of| of.seals + of.opens + of.unwraps > 0);
        all.sort_unstable_by_key(|of| of.tenant);
        all
    }
}

impl Keys {
    /// Uses since the process began.
    #[must_use]
    pub fn uses(&self) -> KeyUses {
        self.0.uses.totals()
    }

    /// Takes the counts of each organisation in which keys were used since the last time.
    #[must_use]
    pub fn take_uses(&self) -> Vec<TenantUses> {
        self.0.uses.take()
    }

    /// Hands the counts since the process began to whoever collects metrics.
    pub fn tell_uses(&self) {
        let KeyUses { seals, opens, unwraps, provider_unwraps, cache_hits } = self.uses();
        for (name, count) in [
            ("wardbook_key_seals_total", seals),
            ("wardbook_key_opens_total", opens),
            ("wardbook_key_unwraps_total", unwraps),
            ("wardbook_key_provider_unwraps_total", provider_unwraps),
            ("wardbook_key_cache_hits_total", cache_hits),
        ] {
            metrics::counter!(name).absolute(count);
        }
    }

    /// Writes down how often patients' keys were used. A key that is used so seldom that it is old long before it is used
    /// up is not written.
    ///
    /// # Errors
    /// If the store fails; what was not written is not counted.
    pub fn write_uses(&self) -> Result<(), StoreError> {
        for used in self.0.patients.take_uses().chunks(WRITTEN_AT_ONCE) {
            self.0.store.lock().add_uses(used)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_taken_once_and_totals_only_grow() {
        let (uses, tenant) = (Uses::default(), TenantId::from_bytes([1; 16]));
        let user = |n| UserId::from_bytes([n; 16]);
        uses.sealed(tenant);
        uses.opened(tenant, user(1), Class::Phi);
        uses.opened(tenant, user(2), Class::Phi);
        uses.opened(tenant, user(2), Class::Sensitive);
        let [of] = &uses.take()[..] else { panic!("one organisation") };
        assert_eq!((of.seals, of.opens, of.unwraps), (1, 3, 0));
        let caller = |n, opens, sensitive| CallerUses { user: user(n), opens, sensitive };
        assert_eq!(of.callers, [caller(2, 2, 1), caller(1, 1, 0)]);
        assert!(uses.take().is_empty());
        uses.opened(tenant, user(1), Class::Phi);
        assert_eq!((uses.totals().seals, uses.totals().opens), (1, 4));
    }
}
