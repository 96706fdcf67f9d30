//! Who works with which versions of an organisation's keys.
//!
//! Two things may be done to older versions only when nobody works with them any more: patients are taken from their tokens,
//! and they are disabled. Whoever makes tokens or seals holds a [`KeyUse`] until what comes of it is durable; after a change
//! of versions [`Keys::is_settled`] tells when all who began before it are done.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wardbook_events::TenantId;

use crate::keys::Keys;

/// Somebody works with keys. Held until what comes of it is durable, or shown.
#[derive(Debug)]
#[must_use = "what is not held says nothing"]
pub struct KeyUse(#[expect(dead_code, reason = "its count is what matters")] Arc<()>);

#[derive(Default)]
struct OfTenant {
    now: Arc<()>,
    /// Those who began before versions changed.
    before: Vec<Weak<()>>,
}

/// Who works with the keys of each organisation.
#[derive(Default)]
pub struct Using(Mutex<HashMap<TenantId, OfTenant>>);

impl Using {
    fn begin(&self, tenant: TenantId) -> KeyUse {
        KeyUse(Arc::clone(&self.0.lock().entry(tenant).or_default().now))
    }

    /// Whoever begins from here on works with other versions than those before.
    pub fn turn(&self, tenant: TenantId) {
        let mut tenants = self.0.lock();
        let of = tenants.entry(tenant).or_default();
        // Nobody began since the last time: there is nobody to wait for.
        if Arc::strong_count(&of.now) > 1 {
            let before = std::mem::take(&mut of.now);
            of.before.push(Arc::downgrade(&before));
        }
    }

    fn is_settled(&self, tenant: TenantId) -> bool {
        let mut tenants = self.0.lock();
        let Some(of) = tenants.get_mut(&tenant) else { return true };
        of.before.retain(|before| before.strong_count() > 0);
        of.before.is_empty()
    }
}

impl Keys {
    /// Says that values are about to be sealed, or tokens made or looked up, with keys of this organisation. Begin before the
    /// first.
    pub fn use_keys(&self, tenant: TenantId) -> KeyUse {
        self.0.tenants.using.begin(tenant)
    }

    /// Whether everybody who began before versions changed, last, is done.
    #[must_use]
    pub fn is_settled(&self, tenant: TenantId) -> bool {
        self.0.tenants.using.is_settled(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_settled_when_all_who_began_before_are_done() {
        let (using, tenant) = (Using::default(), TenantId::from_bytes([1; 16]));
        let before = using.begin(tenant);
        assert!(using.is_settled(tenant), "nothing changed yet");
        using.turn(tenant);
        let after = using.begin(tenant);
        assert!(!using.is_settled(tenant));
        using.turn(tenant);
        drop(before);
        assert!(!using.is_settled(tenant), "the second is of before the second change");
        assert!(using.is_settled(TenantId::from_bytes([2; 16])));
        drop(after);
        assert!(using.is_settled(tenant));
    }
}
