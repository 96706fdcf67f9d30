//! Making patients' keys. A durable write costs some 10-20 ms, so those who register patients at the same time share one:
//! each puts down what is wanted and waits for the store; whoever gets it first makes everything that is wanted by then.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use wardbook_events::{PatientId, TenantId};

use crate::error::{KeyError, StoreError};
use crate::keys::Keys;
use crate::ring::TenantRing;
use crate::store::{Store, Wrapped};
use crate::tenants::TRIES;

/// What became of a patient's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It is there, durable.
    There,
    /// It was destroyed before, and is never made anew.
    Destroyed,
}

#[derive(Clone)]
struct Wish {
    tenant: Arc<TenantRing>,
    patient: PatientId,
    made: Arc<OnceLock<Made>>,
}

/// Wishes that nobody has taken up yet.
#[derive(Default)]
pub struct Wanted(Mutex<Vec<Wish>>);

impl Keys {
    /// Makes a patient's key if there is none yet. On return it is durable.
    ///
    /// # Errors
    /// If the patient's key was destroyed (it is never made anew), or the store fails.
    pub fn create_patient_key(&self, tenant: TenantId, patient: PatientId) -> Result<(), KeyError> {
        self.create_patient_keys(tenant, &[patient])
    }

    /// Makes the keys of many patients in one durable write; those that exist are left alone.
    ///
    /// # Errors
    /// If one of the patients' keys was destroyed (the others are made nevertheless), or the store fails.
    pub fn create_patient_keys(&self, tenant: TenantId, patients: &[PatientId]) -> Result<(), KeyError> {
        let now = self.0.clock.unix_s();
        // Again if the organisation's key was made anew meanwhile; that does not happen twice in a row.
        for _ in 0..TRIES {
            let ring = self.tenant_or_new(tenant)?;
            let wish =
                |patient: &PatientId| Wish { tenant: Arc::clone(&ring), patient: *patient, made: Arc::default() };
            let mine: Vec<Wish> = patients.iter().map(wish).collect();
            self.0.wanted.0.lock().extend_from_slice(&mine);

            let mut store = self.0.store.lock();
            if mine.iter().any(|wish| wish.made.get().is_none()) {
                // Mine are among the wanted, unless somebody took them up and failed: then I try them myself.
                let mut wishes = std::mem::take(&mut *self.0.wanted.0.lock());
                wishes.extend_from_slice(&mine);
                fulfil(&mut store, &wishes, now)?;
            }
            drop(store);
            if let Some(wish) = mine.iter().find(|wish| wish.made.get() == Some(&Made::Destroyed)) {
                return Err(KeyError::Destroyed { patient: wish.patient });
            }
            if mine.iter().all(|wish| wish.made.get().is_some()) {
                return Ok(());
            }
            self.0.tenants.forget(tenant);
        }
        Err(StoreError::Contended.into())
    }
}

fn fulfil(store: &mut Store, wishes: &[Wish], now: u64) -> Result<(), KeyError> {
    let (mut seen, mut new, mut outcomes) = (HashSet::new(), Vec::new(), Vec::new());
    for Wish { tenant, patient, made } in wishes.iter().filter(|wish| wish.made.get().is_none()) {
        // Never under an older version: it may be about to be destroyed.
        if store.newest_tenant_version(tenant.tenant())? != tenant.version() {
            continue;
        }
        let stored = store.patient_keys(tenant.tenant(), *patient)?;
        if stored.is_empty() && seen.insert((tenant.tenant(), *patient)) {
            new.push((tenant.tenant(), *patient, tenant.create_patient_key(*patient, 1, now)?));
        }
        outcomes
            .push((made, if stored.last().is_some_and(Wrapped::is_destroyed) { Made::Destroyed } else { Made::There }));
    }
    if !new.is_empty() {
        store.add_patient_keys(&new)?;
    }
    // Told only now that it is durable.
    for (made, outcome) in outcomes {
        made.get_or_init(|| outcome);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardbook_events::Field;

    fn id(n: u8) -> PatientId {
        PatientId::from_bytes([n; 16])
    }

    #[test]
    fn many_who_want_keys_at_once_all_get_theirs() {
        let keys = Keys::in_memory().unwrap();
        let tenants = [1, 2].map(|byte| TenantId::from_bytes([byte; 16]));
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let keys = keys.clone();
                scope.spawn(move || {
                    for n in 0..25u8 {
                        // Each key is wanted by two threads at once.
                        let patient = id(n + 25 * (thread / 4));
                        let tenant = tenants[usize::from(thread % 2)];
                        keys.create_patient_key(tenant, patient).unwrap();
                        keys.seal(tenant, patient, "s", Field::Name, &n).unwrap();
                    }
                });
            }
        });
        for n in 0..50 {
            assert!(tenants.iter().all(|tenant| keys.stored(*tenant, id(n)).len() == 1), "patient {n}");
        }
        assert!(keys.0.wanted.0.lock().is_empty());
    }

    #[test]
    fn one_destroyed_key_is_told_to_who_wanted_it_and_stops_nobody() {
        let keys = Keys::in_memory().unwrap();
        let tenant = TenantId::from_bytes([1; 16]);
        keys.create_patient_key(tenant, id(1)).unwrap();
        keys.destroy_patient_key(tenant, id(1)).unwrap();
        let refused = keys.create_patient_keys(tenant, &[id(2), id(1), id(3)]);
        assert!(matches!(refused, Err(KeyError::Destroyed { patient }) if patient == id(1)));
        assert!(keys.has_key(tenant, id(2)).unwrap() && keys.has_key(tenant, id(3)).unwrap());
        assert!(!keys.has_key(tenant, id(1)).unwrap());
    }
}
