//! The commands as they come, in plaintext, and how they are sealed and carried out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wardbook_events::patients::stream;
use wardbook_events::values::{
    Address, BirthDate, Deceased, Email, Gender, Identifier, Insurance, Language, Mrn, NextOfKin, PersonName, Phone,
    Ssn,
};
use wardbook_events::{Ciphertext, Field, GroupSet, PatientId, SealedFields, TenantId, Token};
use wardbook_keys::{Keys, SealError, SearchValues};
use wardbook_policy::{Action, Permit};

use super::claims::{Claims, Holders, refuse_duplicates, unique};
use super::{Command, Correct, Flag, Places, Register, State, decide, merge, unmerge};
use crate::authority::{Authority, UnfitPermit};
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Desk, Done, Task};
use crate::origin::Origin;
use crate::rejection::Rejection;

/// Elements of one list of a chart.
const LIST_MAX: usize = 50;

/// Registers a patient. Every value but the name may be missing.
#[derive(Clone, Serialize)]
#[allow(missing_docs, reason = "each field's type says what it is")]
pub struct RegisterPatient {
    pub name: PersonName,
    pub birth_date: Option<BirthDate>,
    pub gender: Option<Gender>,
    pub deceased: Option<Deceased>,
    pub language: Option<Language>,
    pub addresses: Vec<Address>,
    pub phones: Vec<Phone>,
    pub emails: Vec<Email>,
    pub next_of_kin: Vec<NextOfKin>,
    pub ssn: Option<Ssn>,
    /// One of our own is made if there is none (PAT-01).
    pub mrn: Option<Mrn>,
    pub identifiers: Vec<Identifier>,
    pub insurance: Vec<Insurance>,
    pub places: Places,
    /// `US`, `SA` or `EU`.
    pub jurisdiction: String,
    /// Specially watched from the start (ACC-21).
    pub vip: bool,
    /// A person has made sure that nobody of the same name and birth date is this one.
    pub confirm_distinct: bool,
}

impl RegisterPatient {
    /// With a name and nothing else.
    #[must_use]
    pub fn new(name: PersonName, jurisdiction: &str) -> Self {
        Self {
            name,
            birth_date: None,
            gender: None,
            deceased: None,
            language: None,
            addresses: Vec::new(),
            phones: Vec::new(),
            emails: Vec::new(),
            next_of_kin: Vec::new(),
            ssn: None,
            mrn: None,
            identifiers: Vec::new(),
            insurance: Vec::new(),
            places: Places::default(),
            jurisdiction: jurisdiction.to_owned(),
            vip: false,
            confirm_distinct: false,
        }
    }

    fn check(&self, context: &Context) -> Result<(), Rejection> {
        check_dates(self.birth_date, self.deceased, context)?;
        let lists = [self.addresses.len(), self.phones.len(), self.emails.len(), self.next_of_kin.len()];
        check_lists(lists.into_iter().chain([self.identifiers.len(), self.insurance.len()]))
    }

    fn search_values(&self, mrn: &Mrn) -> SearchValues {
        SearchValues {
            name: Some(self.name.clone()),
            birth_date: self.birth_date,
            ssn: self.ssn.clone(),
            mrn: Some(mrn.clone()),
            emails: self.emails.clone(),
            phones: self.phones.clone(),
        }
    }

    fn seal(&self, sealer: &Sealer<'_>, mrn: &Mrn) -> Result<SealedFields, SealError> {
        let mut fields = BTreeMap::new();
        sealer.put(&mut fields, Field::Name, Some(&self.name))?;
        sealer.put(&mut fields, Field::BirthDate, self.birth_date.as_ref())?;
        sealer.put(&mut fields, Field::Gender, self.gender.as_ref())?;
        sealer.put(&mut fields, Field::Deceased, self.deceased.as_ref())?;
        sealer.put(&mut fields, Field::Language, self.language.as_ref())?;
        sealer.put(&mut fields, Field::Addresses, filled(&self.addresses))?;
        sealer.put(&mut fields, Field::Phones, filled(&self.phones))?;
        sealer.put(&mut fields, Field::Emails, filled(&self.emails))?;
        sealer.put(&mut fields, Field::NextOfKin, filled(&self.next_of_kin))?;
        sealer.put(&mut fields, Field::Ssn, self.ssn.as_ref())?;
        sealer.put(&mut fields, Field::Mrn, Some(mrn))?;
        sealer.put(&mut fields, Field::OtherIdentifiers, filled(&self.identifiers))?;
        sealer.put(&mut fields, Field::Insurance, filled(&self.insurance))?;
        Ok(SealedFields(fields))
    }
}

/// What happens to one value of a patient.
#[derive(Clone, Default, Serialize)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// It becomes this.
    Set(T),
    /// It goes.
    Clear,
}

impl<T> Change<T> {
    const fn new_value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

/// Corrects a patient's values. A list is replaced as a whole; an empty one is cleared. A name cannot be cleared.
#[derive(Clone, Default, Serialize)]
#[allow(missing_docs, reason = "each field's type says what it is")]
pub struct CorrectPatient {
    pub name: Option<PersonName>,
    pub birth_date: Change<BirthDate>,
    pub gender: Change<Gender>,
    pub deceased: Change<Deceased>,
    pub language: Change<Language>,
    pub addresses: Change<Vec<Address>>,
    pub phones: Change<Vec<Phone>>,
    pub emails: Change<Vec<Email>>,
    pub next_of_kin: Change<Vec<NextOfKin>>,
    pub ssn: Change<Ssn>,
    pub mrn: Option<Mrn>,
    pub identifiers: Change<Vec<Identifier>>,
    pub insurance: Change<Vec<Insurance>>,
    /// As in [`RegisterPatient`].
    pub confirm_distinct: bool,
}

impl CorrectPatient {
    /// The fields that change: policy is asked for their groups.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<Field> {
        fn named<T>(field: Field, change: &Change<T>) -> Option<Field> {
            (!matches!(change, Change::Keep)).then_some(field)
        }
        let all = [
            self.name.as_ref().map(|_| Field::Name),
            named(Field::BirthDate, &self.birth_date),
            named(Field::Gender, &self.gender),
            named(Field::Deceased, &self.deceased),
            named(Field::Language, &self.language),
            named(Field::Addresses, &self.addresses),
            named(Field::Phones, &self.phones),
            named(Field::Emails, &self.emails),
            named(Field::NextOfKin, &self.next_of_kin),
            named(Field::Ssn, &self.ssn),
            self.mrn.as_ref().map(|_| Field::Mrn),
            named(Field::OtherIdentifiers, &self.identifiers),
            named(Field::Insurance, &self.insurance),
        ];
        all.into_iter().flatten().collect()
    }
    /// The groups of those fields.
    #[must_use]
    pub fn groups(&self) -> GroupSet {
        self.fields().into_iter().map(Field::group).collect()
    }

    fn check(&self, context: &Context) -> Result<(), Rejection> {
        check_dates(self.birth_date.new_value().copied(), self.deceased.new_value().copied(), context)?;
        let lists = [
            self.addresses.new_value().map(Vec::len),
            self.phones.new_value().map(Vec::len),
            self.emails.new_value().map(Vec::len),
            self.next_of_kin.new_value().map(Vec::len),
            self.identifiers.new_value().map(Vec::len),
            self.insurance.new_value().map(Vec::len),
        ];
        check_lists(lists.into_iter().flatten())
    }

    fn seal(&self, sealer: &Sealer<'_>) -> Result<BTreeMap<Field, Option<Ciphertext>>, SealError> {
        let mut new = BTreeMap::new();
        sealer.put(&mut new, Field::Name, self.name.as_ref())?;
        sealer.put(&mut new, Field::BirthDate, self.birth_date.new_value())?;
        sealer.put(&mut new, Field::Gender, self.gender.new_value())?;
        sealer.put(&mut new, Field::Deceased, self.deceased.new_value())?;
        sealer.put(&mut new, Field::Language, self.language.new_value())?;
        sealer.put(&mut new, Field::Addresses, self.addresses.new_value().and_then(filled))?;
        sealer.put(&mut new, Field::Phones, self.phones.new_value().and_then(filled))?;
        sealer.put(&mut new, Field::Emails, self.emails.new_value().and_then(filled))?;
        sealer.put(&mut new, Field::NextOfKin, self.next_of_kin.new_value().and_then(filled))?;
        sealer.put(&mut new, Field::Ssn, self.ssn.new_value())?;
        sealer.put(&mut new, Field::Mrn, self.mrn.as_ref())?;
        sealer.put(&mut new, Field::OtherIdentifiers, self.identifiers.new_value().and_then(filled))?;
        sealer.put(&mut new, Field::Insurance, self.insurance.new_value().and_then(filled))?;
        Ok(self.fields().into_iter().map(|field| (field, new.remove(&field))).collect())
    }
}

macro_rules! hidden_debug {
    ($($name:ident),*) => {$(
        /// Plaintext: nothing of it is printed.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
hidden_debug!(RegisterPatient, CorrectPatient);

fn filled<T>(list: &Vec<T>) -> Option<&Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn check_dates(birth: Option<BirthDate>, deceased: Option<Deceased>, context: &Context) -> Result<(), Rejection> {
    let dates = [birth.map(BirthDate::date), deceased.and_then(|deceased| deceased.date)];
    let future = dates.into_iter().flatten().any(|date| date > context.latest_date());
    if future { Err(Rejection::DateInFuture) } else { Ok(()) }
}

fn check_lists(mut lengths: impl Iterator<Item = usize>) -> Result<(), Rejection> {
    if lengths.all(|length| length <= LIST_MAX) { Ok(()) } else { Err(Rejection::TooMany) }
}

/// Seals one patient's fields in the stream of master data.
struct Sealer<'a> {
    keys: &'a Keys,
    tenant: TenantId,
    patient: PatientId,
    stream: String,
}

impl<'a> Sealer<'a> {
    fn new(keys: &'a Keys, tenant: TenantId, patient: PatientId) -> Self {
        Self { keys, tenant, patient, stream: stream(patient) }
    }
    fn put<T: Serialize>(
        &self,
        into: &mut BTreeMap<Field, Ciphertext>,
        field: Field,
        value: Option<&T>,
    ) -> Result<(), SealError> {
        if let Some(value) = value {
            let sealed = self.keys.seal(self.tenant, self.patient, &self.stream, field, value)?;
            into.insert(field, sealed.into_ciphertext());
        }
        Ok(())
    }
}

pub(super) fn load_claims<'a>(
    desk: &mut Desk<'_>,
    tenant: TenantId,
    tokens: impl Iterator<Item = &'a Token>,
) -> Result<Claims, CommandError> {
    tokens.map(|token| Ok((token.clone(), Holders::clone(&*desk.load(&token.claim_stream(tenant))?)))).collect()
}

impl Commands {
    /// Registers a patient under the id [`crate::Ids::patient`] of the origin. Permit: `RegisterPatient` or `Import`.
    ///
    /// The patient's key is made first and the unique tokens are claimed in the same append, so of two registrations
    /// of one person at most one succeeds, and a crash in between leaves a key without a patient, which does no harm.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] among others; see [`CommandError`].
    pub async fn register_patient(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: RegisterPatient,
    ) -> Result<Done<PatientId>, CommandError> {
        let allows = |action| matches!(action, Action::RegisterPatient | Action::Import);
        let context = Authority::new(permit, origin, allows)?.context();
        command.check(&context)?;
        let ids = origin.ids(context.tenant);
        let patient = ids.patient();
        let bytes = origin.known_by("register-patient", &command)?;
        let mrn = command.mrn.clone().unwrap_or_else(|| Mrn::generated(ids.number()));
        let task = Task::new(context, origin, stream(patient), bytes, patient);
        self.run(task, move |desk| {
            let state = desk.load::<State>(&stream(patient))?;
            let (tenant, keys) = (context.tenant, desk.keys);
            let tokens = keys.tokens(tenant, &command.search_values(&mrn))?;
            let claims = load_claims(desk, tenant, unique(&tokens))?;
            // Before a key is made: who is refused leaves nothing behind.
            refuse_duplicates(unique(&tokens), &claims, &BTreeSet::from([patient]), command.confirm_distinct)?;
            keys.create_patient_key(tenant, patient)?;
            let register = Register {
                patient,
                fields: command.seal(&Sealer::new(keys, tenant, patient), &mrn)?,
                tokens,
                places: command.places.clone(),
                jurisdiction: command.jurisdiction.clone(),
                vip: command.vip,
                confirm_distinct: command.confirm_distinct,
            };
            Ok(decide(&state, &claims, Command::Register(register), &context)?)
        })
        .await
    }

    /// Corrects a patient's values; without any it succeeds and nothing happens. Permit: `CorrectPatient` with all
    /// groups of [`CorrectPatient::groups`]. `expected` is the stream's version that the caller has seen (`If-Match`).
    ///
    /// # Errors
    /// [`CommandError::WrongVersion`] and [`Rejection::Duplicate`] among others; see [`CommandError`].
    pub async fn correct_patient(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        expected: Option<u64>,
        command: CorrectPatient,
    ) -> Result<Done<()>, CommandError> {
        let allows = |action| matches!(action, Action::CorrectPatient(_));
        let context = Authority::new(permit, origin, allows)?.about(patient)?.context();
        if let Action::CorrectPatient(groups) = permit.action()
            && command.groups().intersection(groups) != command.groups()
        {
            return Err(UnfitPermit("field group").into());
        }
        command.check(&context)?;
        let bytes = origin.known_by("correct-patient", &(patient, expected, &command))?;
        let task = Task::new(context, origin, stream(patient), bytes, ()).expecting(expected);
        self.run(task, move |desk| {
            let state = desk.load::<State>(&stream(patient))?;
            let was = state.active()?;
            let (tenant, keys) = (context.tenant, desk.keys);
            let changes = command.seal(&Sealer::new(keys, tenant, patient))?;
            // Made of what is sealed after the change, so that no token depends on what the patient was found by before.
            let tokens = keys.retoken(tenant, patient, &was.fields.with(&changes))?;
            let claims = load_claims(desk, tenant, unique(&was.tokens).chain(unique(&tokens)))?;
            let correct = Correct { patient, changes, tokens, confirm_distinct: command.confirm_distinct };
            Ok(decide(&state, &claims, Command::Correct(correct), &context)?)
        })
        .await
    }

    /// Says where a patient is treated; nothing happens if it is so already. Permit: `PlacePatient`.
    ///
    /// # Errors
    /// [`Rejection::BadDepartment`] among others; see [`CommandError`].
    pub async fn place_patient(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        places: Places,
    ) -> Result<Done<()>, CommandError> {
        let allows = |action| action == Action::PlacePatient;
        let context = Authority::new(permit, origin, allows)?.about(patient)?.context();
        let bytes = origin.known_by("place-patient", &(patient, &places))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(patient))?;
            let command = Command::Place { patient, places: places.clone() };
            Ok(decide(&state, &Claims::new(), command, &context)?)
        })
        .await
    }

    /// Watches a patient specially, or no more (ACC-21). Permit: `FlagPatient`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn flag_patient(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        flag: Flag,
    ) -> Result<Done<()>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::FlagPatient)?.about(patient)?.context();
        let bytes = origin.known_by("flag-patient", &(patient, flag))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(patient))?;
            Ok(decide(&state, &Claims::new(), Command::Flag { patient, flag }, &context)?)
        })
        .await
    }

    /// Merges `retiring` into `into`, in both streams at once. Permits: `MergePatients` for each of the two.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn merge_patients(
        &self,
        permits: [&Permit; 2],
        origin: &Origin,
        retiring: PatientId,
        into: PatientId,
    ) -> Result<Done<()>, CommandError> {
        let context = for_both(permits, origin, [retiring, into])?;
        let bytes = origin.known_by("merge-patients", &(retiring, into))?;
        self.run(Task::new(context, origin, stream(retiring), bytes, ()), move |desk| {
            let (from, to) = (desk.load(&stream(retiring))?, desk.load(&stream(into))?);
            Ok(merge((retiring, &from), (into, &to))?)
        })
        .await
    }

    /// Undoes a merge, in both streams at once. Permits: `MergePatients` for each of the two.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn unmerge_patients(
        &self,
        permits: [&Permit; 2],
        origin: &Origin,
        retired: PatientId,
        from: PatientId,
    ) -> Result<Done<()>, CommandError> {
        let context = for_both(permits, origin, [retired, from])?;
        let bytes = origin.known_by("unmerge-patients", &(retired, from))?;
        self.run(Task::new(context, origin, stream(retired), bytes, ()), move |desk| {
            let (one, other) = (desk.load(&stream(retired))?, desk.load(&stream(from))?);
            Ok(unmerge((retired, &one), (from, &other))?)
        })
        .await
    }
}

fn for_both(permits: [&Permit; 2], origin: &Origin, patients: [PatientId; 2]) -> Result<Context, UnfitPermit> {
    let [one, other] = permits;
    let [first, second] = patients;
    let fits =
        |permit, patient| Authority::new(permit, origin, |action| action == Action::MergePatients)?.about(patient);
    let context = fits(one, first)?.context();
    if fits(other, second)?.context() == context { Ok(context) } else { Err(UnfitPermit("organisation")) }
}
