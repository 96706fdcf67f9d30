//! What a compromise leaves to do, as the key store knows it: keys that were there when it was declared are made anew, and their
//! older versions disabled. Where it stands follows from the rows; only where it began is noted.

use rusqlite::params;
use wardbook_events::{PatientId, TenantId};

use crate::error::StoreError;
use crate::keys::Keys;
use crate::store::Store;

/// How an organisation's keys stood when a compromise was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The row of the newest patient's key.
    row: i64,
    /// Version of the organisation's key.
    pub tenant: u32,
    /// Version of the index key.
    pub index: u32,
}

impl Before {
    fn text(self) -> String {
        format!("{} {} {}", self.row, self.tenant, self.index)
    }
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut next = || parts.next();
        Some(Self { row: next()?.parse().ok()?, tenant: next()?.parse().ok()?, index: next()?.parse().ok()? })
    }
}

impl Store {
    /// Patients' keys of the organisation in a state, up to a row; of one patient or of all; from behind a row on.
    fn keys_up_to(
        &self,
        (tenant, only): (TenantId, Option<PatientId>),
        (state, last): (u8, i64),
        after: i64,
        max: usize,
    ) -> Result<Vec<(i64, PatientId)>, StoreError> {
        let mut statement = self.connection().prepare_cached(
            "SELECT f.id, k.patient FROM patient_key_facts f JOIN patient_keys k ON k.id = f.id
             WHERE f.tenant = ?1 AND f.state = ?2 AND f.id > ?3 AND f.id <= ?4 AND (?5 IS NULL OR k.patient = ?5)
             ORDER BY f.id LIMIT ?6",
        )?;
        let only = only.map(|patient| *patient.bytes());
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![tenant.bytes(), state, after, last, only, max], |row| {
            Ok((row.get(0)?, PatientId::from_bytes(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn newest_row(&self) -> Result<i64, StoreError> {
        Ok(self.connection().query_row("SELECT coalesce(max(id), 0) FROM patient_keys", [], |row| row.get(0))?)
    }
}

const ACTIVE: u8 = 0;
const RETIRED: u8 = 1;

impl Keys {
    /// How the organisation's keys stood when this was asked first under this name.
    ///
    /// # Errors
    /// If the store fails.
    pub fn stood_before(&self, tenant: TenantId, name: &str) -> Result<Before, StoreError> {
        let mut store = self.0.store.lock();
        let name = format!("before {tenant} {name}");
        if let Some(noted) = store.noted(&name)?.as_deref().and_then(Before::parse) {
            return Ok(noted);
        }
        let newest = |keys: Vec<crate::store::Wrapped>| keys.last().map_or(0, |key| key.version);
        let before = Before {
            row: store.newest_row()?,
            tenant: newest(store.tenant_keys(tenant)?),
            index: newest(store.index_keys(tenant)?),
        };
        store.note(&name, &before.text())?;
        Ok(before)
    }

    /// Where long work stands, as [`Self::note_work`] left it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn noted_work(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.0.store.lock().noted(&format!("work {name}"))
    }

    /// Notes where long work stands. Nothing secret.
    ///
    /// # Errors
    /// If the store fails.
    pub fn note_work(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.0.store.lock().note(&format!("work {name}"), value)
    }

    /// Patients whose newest key is one of those that were there before: to be made anew. At most `max`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn not_rotated_since(
        &self,
        tenant: TenantId,
        only: Option<PatientId>,
        before: &Before,
        max: usize,
    ) -> Result<Vec<PatientId>, StoreError> {
        let found = self.0.store.lock().keys_up_to((tenant, only), (ACTIVE, before.row), 0, max)?;
        Ok(found.into_iter().map(|(_, patient)| patient).collect())
    }

    /// Patients who have versions of before that still open, each once, with the place from which to go on; at most `max` versions
    /// are looked at from behind `after` on. None: there are no more.
    ///
    /// # Errors
    /// If the store fails.
    pub fn not_disabled_since(
        &self,
        tenant: TenantId,
        only: Option<PatientId>,
        before: &Before,
        after: i64,
        max: usize,
    ) -> Result<Option<(Vec<PatientId>, i64)>, StoreError> {
        let found = self.0.store.lock().keys_up_to((tenant, only), (RETIRED, before.row), after, max)?;
        let Some((last, _)) = found.last().copied() else { return Ok(None) };
        let mut patients: Vec<_> = found.into_iter().map(|(_, patient)| patient).collect();
        patients.sort_unstable();
        patients.dedup();
        Ok(Some((patients, last)))
    }

    /// The first version of each of these patients' keys that was made since: those before it may be disabled once everything
    /// current is sealed anew. Versions that came later stay, as somebody may be sealing under them now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn first_versions_since(
        &self,
        tenant: TenantId,
        before: &Before,
        patients: &[PatientId],
    ) -> Result<Vec<(PatientId, u32)>, StoreError> {
        let store = self.0.store.lock();
        let mut statement = store
            .connection()
            .prepare_cached("SELECT min(version) FROM patient_keys WHERE tenant = ?1 AND patient = ?2 AND id > ?3")?;
        let mut found = Vec::with_capacity(patients.len());
        for patient in patients {
            let first: Option<u32> =
                statement.query_row(params![tenant.bytes(), patient.bytes(), before.row], |row| row.get(0))?;
            found.extend(first.map(|version| (*patient, version)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_do_follows_from_the_rows() {
        let (keys, tenant, other) =
            (Keys::in_memory().unwrap(), TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let patient = |n| PatientId::from_bytes([n; 16]);
        keys.create_patient_keys(tenant, &[patient(1), patient(2), patient(3)]).unwrap();
        keys.create_patient_key(other, patient(1)).unwrap();
        keys.rotate_patient_key(tenant, patient(3)).unwrap();
        let before = keys.stood_before(tenant, "a").unwrap();
        assert_eq!((before.tenant, before.index), (1, 1));
        keys.create_patient_key(tenant, patient(4)).unwrap();
        assert_eq!(keys.stood_before(tenant, "a").unwrap(), before, "noted once");
        assert_ne!(keys.stood_before(tenant, "b").unwrap(), before);

        let to_rotate = |only| keys.not_rotated_since(tenant, only, &before, 10).unwrap();
        assert_eq!(to_rotate(None), [1, 2, 3].map(patient));
        assert_eq!(to_rotate(Some(patient(2))), [patient(2)]);
        keys.rotate_patient_keys(tenant, &to_rotate(None)).unwrap();
        assert_eq!(to_rotate(None), []);
        let to_disable = || keys.not_disabled_since(tenant, None, &before, 0, 10).unwrap();
        let (patients, last) = to_disable().unwrap();
        assert_eq!(patients, [1, 2, 3].map(patient));
        assert_eq!(keys.not_disabled_since(tenant, None, &before, last, 10).unwrap(), None);
        keys.rotate_patient_key(tenant, patient(2)).unwrap();
        let first = keys.first_versions_since(tenant, &before, &patients).unwrap();
        assert_eq!(first, [(patient(1), 2), (patient(2), 2), (patient(3), 3)], "a third version of the second stays");
        keys.disable_versions(tenant, &first[1..]).unwrap();
        assert_eq!(to_disable().unwrap().0, [patient(1)]);
        keys.destroy_patient_key(tenant, patient(1)).unwrap();
        assert_eq!(to_disable(), None, "nothing of the erased is left to do");
    }
}
