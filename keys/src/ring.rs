//! The hierarchy in memory: what an organisation's and a patient's unwrapped keys are, and what is derived from them.
//!
//! A patient's key is 32 random bytes plus one random salt for each field group. The key that seals a field is
//! HKDF(key, salt of its group, class): overwrite one salt and that category is erased, the rest still opens.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use wardbook_events::{Class, Field, Group, GroupSet, PatientId, TenantId};

use crate::error::StoreError;
use crate::material::{NotAuthentic, Secret, SivKey, derive};
use crate::root::RootKeyProvider;
use crate::store::{KeyState, Wrapped};

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
    pub state: KeyState,
    /// Since it was last asked.
    uses: AtomicU64,
    secret: Secret<PATIENT_KEY>,
    /// Derived when first needed.
    fields: [OnceLock<SivKey>; GROUPS * CLASSES],
}

impl PatientKey {
    fn new(version: u32, state: KeyState, secret: Secret<PATIENT_KEY>) -> Self {
        Self { version, state, uses: AtomicU64::new(0), secret, fields: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Counts a use.
    pub fn count(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the count of uses, if there are at least so many.
    pub fn take_uses(&self, least: u64) -> Option<u64> {
        let uses = self.uses.load(Ordering::Relaxed);
        (uses >= least).then(|| self.uses.swap(0, Ordering::Relaxed))
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
    /// Oldest first.
    pub fn keys(&self) -> &[PatientKey] {
        &self.keys
    }
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
    secrets: Secret<64>,
}

/// One version of an organisation's index key: what is derived from it.
pub struct IndexKey {
    pub version: u32,
    /// Whether patients may still be found by its tokens.
    pub in_use: bool,
    /// Makes the tokens that patients are searched by.
    pub tokens: Secret<64>,
    /// Makes digests of commands; only that of the first version ever does.
    commands: Secret<64>,
}

/// All keys of an organisation.
pub struct TenantRing {
    tenant: TenantId,
    /// Oldest first, never empty; those that are destroyed are left out.
    keys: Vec<TenantKey>,
    /// What seals secrets, of every tenant key that ever was; oldest first.
    secrets: Vec<(u32, SivKey)>,
    /// Oldest first, never empty; those that are destroyed are left out.
    indexes: Vec<IndexKey>,
    /// Makes digests of commands.
    commands: Secret<64>,
    /// Whether that one is stored by itself: it must outlive the index key that it was derived from.
    commands_apart: bool,
}

fn damaged(what: &'static str) -> impl Fn(NotAuthentic) -> StoreError {
    move |_| StoreError::Damaged { what }
}

/// What an organisation's key is bound to at the provider.
pub fn tenant_context(tenant: TenantId, version: u32) -> String {
    format!("wardbook 2026 tenant key {tenant} {version}")
}

/// What a patient's wrapped key is bound to.
fn patient_context<'a>(parts: &'a [[u8; 4]; 2], tenant: &'a TenantId, patient: &'a PatientId) -> [&'a [u8]; 5] {
    let [version, under] = parts;
    [b"wardbook 2026 patient key", tenant.bytes(), patient.bytes(), version, under]
}

/// What an index key, or a key of secrets, is bound to.
fn own_context<'a>(what: &'static [u8], tenant: &'a TenantId, versions: &'a [[u8; 4]; 2]) -> [&'a [u8]; 4] {
    let [version, under] = versions;
    [what, tenant.bytes(), version, under]
}

const INDEX: &[u8] = b"wardbook 2026 index key";
const SECRETS: &[u8] = b"wardbook 2026 key of secrets";
const COMMANDS: &[u8] = b"wardbook 2026 key of digests";

/// The version under which the key of digests stands among the keys of secrets, whose own begin with 1.
const COMMANDS_VERSION: u32 = 0;

const fn secret_purpose(version: u32) -> &'static [u8] {
    if version == COMMANDS_VERSION { COMMANDS } else { SECRETS }
}

const fn versions(version: u32, under: u32) -> [[u8; 4]; 2] {
    [version.to_be_bytes(), under.to_be_bytes()]
}

impl TenantRing {
    /// New keys for an organisation, with their wrapped forms. Asks the root key's provider.
    pub fn create(tenant: TenantId, root: &dyn RootKeyProvider, now: u64) -> Result<(Wrapped, Wrapped), StoreError> {
        let key = Secret::<KEY>::random()?;
        let bytes = root.wrap(&tenant_context(tenant, 1), key.bytes())?;
        let index = Secret::<KEY>::random()?;
        let under = TenantKey::new(1, &key);
        let wrapped = under.wraps.wrap(&own_context(INDEX, &tenant, &versions(1, 1)), index.bytes());
        let wrapped = wrapped.map_err(damaged("an index key"))?;
        Ok((Wrapped::new(1, 0, bytes, now), Wrapped::new(1, 1, wrapped, now)))
    }

    /// A new version of the organisation's key, and under it the key of secrets of the newest version until now. Asks the
    /// root key's provider.
    pub fn next(&self, root: &dyn RootKeyProvider, now: u64) -> Result<(Wrapped, Wrapped), StoreError> {
        let newest = self.newest()?;
        let version = newest.version.checked_add(1).ok_or(StoreError::Damaged { what: "a key's version" })?;
        let key = Secret::<KEY>::random()?;
        let bytes = root.wrap(&tenant_context(self.tenant, version), key.bytes())?;
        let context = versions(newest.version, version);
        let secrets = TenantKey::new(version, &key)
            .wraps
            .wrap(&own_context(SECRETS, &self.tenant, &context), newest.secrets.bytes())
            .map_err(damaged("a key of secrets"))?;
        Ok((Wrapped::new(version, 0, bytes, now), Wrapped::new(newest.version, version, secrets, now)))
    }

    /// Unwraps what the store holds. Asks the root key's provider.
    pub fn unwrap(tenant: TenantId, stored: &TenantKeys, root: &dyn RootKeyProvider) -> Result<Self, StoreError> {
        let mut keys = Vec::with_capacity(stored.keys.len());
        for key in stored.keys.iter().filter(|key| !key.is_destroyed()) {
            let bytes = root.unwrap(&tenant_context(tenant, key.version), &key.bytes)?;
            let secret = Secret::copy_of(&bytes).ok_or(StoreError::Damaged { what: "an organisation's key" })?;
            keys.push(TenantKey::new(key.version, &secret));
        }
        let under = |key: &Wrapped, what| {
            let under = keys.iter().find(|tenant_key| tenant_key.version == key.under);
            under.map(|under| &under.wraps).ok_or(StoreError::Damaged { what })
        };
        let mut indexes = Vec::with_capacity(stored.indexes.len());
        let what = "an organisation's index key";
        for key in stored.indexes.iter().filter(|key| !key.is_destroyed()) {
            let context = versions(key.version, key.under);
            let secret = under(key, what)?.unwrap(&own_context(INDEX, &tenant, &context), &key.bytes);
            let in_use = key.state == KeyState::Active;
            indexes.push(IndexKey::new(key.version, in_use, &secret.map_err(damaged(what))?));
        }
        let oldest = indexes.first().ok_or(StoreError::Damaged { what })?;
        let mut commands = Secret::copy_of(oldest.commands.bytes()).ok_or(StoreError::Damaged { what })?;
        let (mut secrets, mut commands_apart) = (Vec::with_capacity(stored.keys.len()), false);
        let what = "a key of secrets";
        for key in &stored.secrets {
            let context = versions(key.version, key.under);
            let context = own_context(secret_purpose(key.version), &tenant, &context);
            let secret = under(key, what)?.unwrap(&context, &key.bytes).map_err(damaged(what))?;
            if key.version == COMMANDS_VERSION {
                (commands, commands_apart) = (secret, true);
            } else {
                secrets.push((key.version, SivKey::new(secret)));
            }
        }
        let newest = keys.last().ok_or(StoreError::Damaged { what: "an organisation's key" })?;
        let copy = Secret::copy_of(newest.secrets.bytes()).ok_or(StoreError::Damaged { what })?;
        secrets.push((newest.version, SivKey::new(copy)));
        Ok(Self { tenant, keys, secrets, indexes, commands, commands_apart })
    }

    /// A new version of the index key. With the first, the key of digests is put by itself: it was derived from the oldest
    /// index key, which is going to be destroyed, and digests are compared with older ones for ever.
    pub fn next_index(&self, now: u64) -> Result<(Wrapped, Option<Wrapped>), StoreError> {
        let what = "an organisation's index key";
        let (under, newest) = (self.newest()?, self.indexes.last().ok_or(StoreError::Damaged { what })?);
        let version = newest.version.checked_add(1).ok_or(StoreError::Damaged { what: "a key's version" })?;
        let wrap = |purpose, version, secret: &[u8]| {
            let context = versions(version, under.version);
            let bytes =
                under.wraps.wrap(&own_context(purpose, &self.tenant, &context), secret).map_err(damaged(what))?;
            Ok::<_, StoreError>(Wrapped::new(version, under.version, bytes, now))
        };
        let index = wrap(INDEX, version, Secret::<KEY>::random()?.bytes())?;
        let commands = match self.commands_apart {
            true => None,
            false => Some(wrap(COMMANDS, COMMANDS_VERSION, self.commands.bytes())?),
        };
        Ok((index, commands))
    }

    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    fn newest(&self) -> Result<&TenantKey, StoreError> {
        self.keys.last().ok_or(StoreError::Damaged { what: "an organisation's key" })
    }

    /// Whether a version is among them.
    pub fn has(&self, version: u32) -> bool {
        self.key_of(version).is_some()
    }

    /// The newest version.
    pub fn version(&self) -> u32 {
        self.keys.last().map_or(0, |key| key.version)
    }

    /// Makes digests of commands: always the same, because digests are compared with older ones.
    pub const fn commands(&self) -> &Secret<64> {
        &self.commands
    }

    /// The index keys by whose tokens patients are found, oldest first.
    pub fn index_keys(&self) -> impl Iterator<Item = &IndexKey> {
        self.indexes.iter().filter(|key| key.in_use)
    }

    /// The newest key for secrets, with its version.
    pub fn secrets(&self) -> Result<(u32, &SivKey), StoreError> {
        let newest = self.secrets.last().ok_or(StoreError::Damaged { what: "a key of secrets" })?;
        Ok((newest.0, &newest.1))
    }

    /// The key for secrets of a version.
    pub fn secrets_of(&self, version: u32) -> Option<&SivKey> {
        self.secrets.iter().find(|key| key.0 == version).map(|key| &key.1)
    }

    /// A new version of a patient's key, wrapped.
    pub fn create_patient_key(&self, patient: PatientId, version: u32, now: u64) -> Result<Wrapped, StoreError> {
        let under = self.newest()?;
        let secret = Secret::<PATIENT_KEY>::random()?;
        let bytes = self.wrap_patient_key(patient, version, under, &secret)?;
        Ok(Wrapped::new(version, under.version, bytes, now))
    }

    fn wrap_patient_key(
        &self,
        patient: PatientId,
        version: u32,
        under: &TenantKey,
        secret: &Secret<PATIENT_KEY>,
    ) -> Result<Vec<u8>, StoreError> {
        let versions = versions(version, under.version);
        let context = patient_context(&versions, &self.tenant, &patient);
        under.wraps.wrap(&context, secret.bytes()).map_err(damaged("a patient's key"))
    }

    fn unwrap_patient_key(&self, patient: PatientId, key: &Wrapped) -> Result<Secret<PATIENT_KEY>, StoreError> {
        let under = self.key_of(key.under).ok_or(StoreError::Damaged { what: "a patient's key" })?;
        let versions = versions(key.version, key.under);
        let context = patient_context(&versions, &self.tenant, &patient);
        under.wraps.unwrap(&context, &key.bytes).map_err(damaged("a patient's key"))
    }

    fn key_of(&self, version: u32) -> Option<&TenantKey> {
        self.keys.iter().find(|key| key.version == version)
    }

    /// Unwraps all versions of a patient's key.
    pub fn unwrap_patient_keys(&self, patient: PatientId, wrapped: &[Wrapped]) -> Result<PatientRing, StoreError> {
        let mut keys = Vec::with_capacity(wrapped.len());
        for key in wrapped {
            keys.push(PatientKey::new(key.version, key.state, self.unwrap_patient_key(patient, key)?));
        }
        Ok(PatientRing { keys })
    }

    /// A patient's key under the newest version of the organisation's.
    pub fn rewrap_patient_key(&self, patient: PatientId, key: &Wrapped) -> Result<Vec<u8>, StoreError> {
        let secret = self.unwrap_patient_key(patient, key)?;
        self.wrap_patient_key(patient, key.version, self.newest()?, &secret)
    }

    /// An index key under the newest version of the organisation's.
    pub fn rewrap_index_key(&self, key: &Wrapped) -> Result<Vec<u8>, StoreError> {
        self.rewrap_own::<KEY>(INDEX, key)
    }

    /// A key of secrets under the newest version of the organisation's.
    pub fn rewrap_secret_key(&self, key: &Wrapped) -> Result<Vec<u8>, StoreError> {
        self.rewrap_own::<64>(secret_purpose(key.version), key)
    }

    fn rewrap_own<const N: usize>(&self, what: &'static [u8], key: &Wrapped) -> Result<Vec<u8>, StoreError> {
        let damage = "a key of an organisation's own";
        let (under, newest) = (self.key_of(key.under), self.newest()?);
        let under = under.ok_or(StoreError::Damaged { what: damage })?;
        let old = versions(key.version, key.under);
        let secret: Secret<N> =
            under.wraps.unwrap(&own_context(what, &self.tenant, &old), &key.bytes).map_err(damaged(damage))?;
        let new = versions(key.version, newest.version);
        newest.wraps.wrap(&own_context(what, &self.tenant, &new), secret.bytes()).map_err(damaged(damage))
    }

    /// The same key without the salts of these groups, wrapped as it was: what they sealed can never be opened again.
    pub fn erase_groups(&self, patient: PatientId, key: &Wrapped, groups: GroupSet) -> Result<Vec<u8>, StoreError> {
        let mut secret = self.unwrap_patient_key(patient, key)?;
        let (_, salts) = secret.bytes_mut().split_at_mut(KEY);
        for group in groups.iter() {
            if let Some(salt) = salts.chunks_exact_mut(KEY).nth(group_slot(group)) {
                salt.fill(0);
            }
        }
        let under = self.key_of(key.under).ok_or(StoreError::Damaged { what: "a patient's key" })?;
        self.wrap_patient_key(patient, key.version, under, &secret)
    }
}

/// What the store holds of an organisation's own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantKeys {
    pub keys: Vec<Wrapped>,
    pub indexes: Vec<Wrapped>,
    pub secrets: Vec<Wrapped>,
}

impl IndexKey {
    fn new(version: u32, in_use: bool, secret: &Secret<KEY>) -> Self {
        let key = |purpose| derive(secret.bytes(), b"", &[purpose]);
        Self {
            version,
            in_use,
            tokens: key(b"wardbook 2026 blind index tokens"),
            commands: key(b"wardbook 2026 command digests"),
        }
    }
}

impl TenantKey {
    fn new(version: u32, secret: &Secret<KEY>) -> Self {
        let key = |purpose| derive(secret.bytes(), b"", &[purpose]);
        Self {
            version,
            wraps: SivKey::new(key(b"wardbook 2026 wraps keys")),
            secrets: key(b"wardbook 2026 seals secrets"),
        }
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

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexKey(version {})", self.version)
    }
}

impl fmt::Debug for TenantRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantRing({} versions)", self.keys.len())
    }
}
