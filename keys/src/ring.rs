//! The hierarchy in memory: what an organisation's and a patient's unwrapped keys are, and what is derived from them.
//!
//! A patient's key is 32 random bytes plus one random salt for each field group. The key that seals a field is
//! HKDF(key, salt of its group, class): overwrite one salt and that category is erased, the rest still opens.

use std::fmt;
use std::sync::OnceLock;

use wardbook_events::{Class, Field, Group, PatientId, TenantId};

use crate::error::StoreError;
use crate::material::{NotAuthentic, Secret, SivKey, derive};
use crate::root::RootKeyProvider;
use crate::store::Wrapped;

/// Salts for eight groups: the six of today and two to come.
const GROUPS: usize = 8;
const CLASSES: usize = 3;
const KEY: usize = 32;
/// Bytes of a patient's key as it is wrapped.
const PATIENT_KEY: usize = KEY + GROUPS * KEY;

/// Where a group's salt stands; never change one.
const fn group_slot(group: Group) -> usize {
    match group {
        Group::Demographics => 0,
        Group::Contact => 1,
        Group::Identifiers => 2,
        Group::Clinical => 3,
        Group::Sensitive => 4,
        Group::Billing => 5,
    }
}

const fn class_slot(class: Class) -> (usize, &'static [u8]) {
    match class {
        Class::NonPhi => (0, b"non-phi"),
        Class::Phi => (1, b"phi"),
        Class::Sensitive => (2, b"sensitive"),
    }
}

/// One version of a patient's key.
pub struct PatientKey {
    pub version: u32,
    secret: Secret<PATIENT_KEY>,
    /// Derived when first needed.
    fields: [OnceLock<SivKey>; GROUPS * CLASSES],
}

impl PatientKey {
    fn new(version: u32, secret: Secret<PATIENT_KEY>) -> Self {
        Self { version, secret, fields: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// The key that seals a field; `None` if the salt of its group was erased.
    pub fn for_field(&self, field: Field) -> Option<&SivKey> {
        let group = group_slot(field.group());
        let (class, class_name) = class_slot(field.class());
        let (key, salts) = self.secret.bytes().split_at(KEY);
        let salt = salts.chunks_exact(KEY).nth(group).filter(|salt| salt.iter().any(|byte| *byte != 0))?;
        let slot = self.fields.get(group * CLASSES + class)?;
        Some(
            slot.get_or_init(|| SivKey::new(derive(key, salt, &[b"wardbook 2026 seals fields of class ", class_name]))),
        )
    }
}

/// All versions of a patient's key.
#[derive(Default)]
pub struct PatientRing {
    /// Oldest first.
    keys: Vec<PatientKey>,
}

impl PatientRing {
    pub fn newest(&self) -> Option<&PatientKey> {
        self.keys.last()
    }
    pub fn version(&self, version: u32) -> Option<&PatientKey> {
        self.keys.iter().find(|key| key.version == version)
    }
}

/// One version of an organisation's key.
struct TenantKey {
    version: u32,
    /// Wraps patients' and index keys.
    wraps: SivKey,
    /// Seals what is secret but not PHI.
    secrets: SivKey,
}

/// All keys of an organisation.
pub struct TenantRing {
    tenant: TenantId,
    /// Oldest first, never empty.
    keys: Vec<TenantKey>,
    /// The newest index key's two derived keys.
    pub tokens: Secret<64>,
    pub commands: Secret<64>,
}

fn damaged(what: &'static str) -> impl Fn(NotAuthentic) -> StoreError {
    move |_| StoreError::Damaged { what }
}

fn tenant_context(tenant: TenantId, version: u32) -> String {
    format!("wardbook 2026 tenant key {tenant} {version}")
}

/// What a patient's wrapped key is bound to.
fn patient_context<'a>(parts: &'a [[u8; 4]; 2], tenant: &'a TenantId, patient: &'a PatientId) -> [&'a [u8]; 5] {
    let [version, under] = parts;
    [b"wardbook 2026 patient key", tenant.bytes(), patient.bytes(), version, under]
}

impl TenantRing {
    /// New keys for an organisation, with their wrapped forms.
    pub fn create(tenant: TenantId, root: &dyn RootKeyProvider) -> Result<(Wrapped, Wrapped), StoreError> {
        let key = Secret::<KEY>::random()?;
        let bytes = root.wrap(&tenant_context(tenant, 1), key.bytes())?;
        let index = Secret::<KEY>::random()?;
        let under = TenantKey::new(1, &key);
        let wrapped = under.wraps.wrap(&index_context(&tenant, &[1u32.to_be_bytes(); 2]), index.bytes());
        let wrapped = wrapped.map_err(damaged("an index key"))?;
        Ok((Wrapped { version: 1, under: 0, bytes }, Wrapped { version: 1, under: 1, bytes: wrapped }))
    }

    /// Unwraps what the store holds.
    pub fn unwrap(
        tenant: TenantId,
        keys: &[Wrapped],
        indexes: &[Wrapped],
        root: &dyn RootKeyProvider,
    ) -> Result<Self, StoreError> {
        let mut unwrapped = Vec::with_capacity(keys.len());
        for key in keys {
            let bytes = root.unwrap(&tenant_context(tenant, key.version), &key.bytes)?;
            let secret = Secret::copy_of(&bytes).ok_or(StoreError::Damaged { what: "an organisation's key" })?;
            unwrapped.push(TenantKey::new(key.version, &secret));
        }
        let missing = StoreError::Damaged { what: "an organisation's index key" };
        let Some(index) = indexes.last() else { return Err(missing) };
        let Some(under) = unwrapped.iter().find(|key| key.version == index.under) else { return Err(missing) };
        let versions = [index.version.to_be_bytes(), index.under.to_be_bytes()];
        let secret: Secret<KEY> = under
            .wraps
            .unwrap(&index_context(&tenant, &versions), &index.bytes)
            .map_err(damaged("an organisation's index key"))?;
        Ok(Self {
            tenant,
            keys: unwrapped,
            tokens: derive(secret.bytes(), b"", &[b"wardbook 2026 blind index tokens"]),
            commands: derive(secret.bytes(), b"", &[b"wardbook 2026 command digests"]),
        })
    }

    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    fn newest(&self) -> Result<&TenantKey, StoreError> {
        self.keys.last().ok_or(StoreError::Damaged { what: "an organisation's key" })
    }

    /// The newest key for secrets, with its version.
    pub fn secrets(&self) -> Result<(u32, &SivKey), StoreError> {
        self.newest().map(|key| (key.version, &key.secrets))
    }

    /// The key for secrets of a version.
    pub fn secrets_of(&self, version: u32) -> Option<&SivKey> {
        self.keys.iter().find(|key| key.version == version).map(|key| &key.secrets)
    }

    /// A new version of a patient's key, wrapped.
    pub fn create_patient_key(&self, patient: PatientId, version: u32) -> Result<Wrapped, StoreError> {
        let under = self.newest()?;
        let secret = Secret::<PATIENT_KEY>::random()?;
        let versions = [version.to_be_bytes(), under.version.to_be_bytes()];
        let context = patient_context(&versions, &self.tenant, &patient);
        let bytes = under.wraps.wrap(&context, secret.bytes()).map_err(damaged("a patient's key"))?;
        Ok(Wrapped { version, under: under.version, bytes })
    }

    /// Unwraps all versions of a patient's key.
    pub fn unwrap_patient_keys(&self, patient: PatientId, wrapped: &[Wrapped]) -> Result<PatientRing, StoreError> {
        let mut keys = Vec::with_capacity(wrapped.len());
        for key in wrapped {
            let under = self.keys.iter().find(|tenant_key| tenant_key.version == key.under);
            let under = under.ok_or(StoreError::Damaged { what: "a patient's key" })?;
            let versions = [key.version.to_be_bytes(), key.under.to_be_bytes()];
            let context = patient_context(&versions, &self.tenant, &patient);
            let secret = under.wraps.unwrap(&context, &key.bytes).map_err(damaged("a patient's key"))?;
            keys.push(PatientKey::new(key.version, secret));
        }
        Ok(PatientRing { keys })
    }
}

fn index_context<'a>(tenant: &'a TenantId, versions: &'a [[u8; 4]; 2]) -> [&'a [u8]; 4] {
    let [version, under] = versions;
    [b"wardbook 2026 index key", tenant.bytes(), version, under]
}

impl TenantKey {
    fn new(version: u32, secret: &Secret<KEY>) -> Self {
        let key = |purpose| SivKey::new(derive(secret.bytes(), b"", &[purpose]));
        Self { version, wraps: key(b"wardbook 2026 wraps keys"), secrets: key(b"wardbook 2026 seals secrets") }
    }
}

impl fmt::Debug for PatientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientKey(version {})", self.version)
    }
}

impl fmt::Debug for PatientRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatientRing({} versions)", self.keys.len())
    }
}

impl fmt::Debug for TenantRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantRing({} versions)", self.keys.len())
    }
}
