//! Patients: register, read, search, correct, merge, part.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post, put, web};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use wardbook_commands::Done;
use wardbook_commands::patients::{Change, CorrectPatient, Flag, Places, RegisterPatient};
use wardbook_events::PatientId;
use wardbook_events::patients::WatchReason;
use wardbook_events::values::{
    Address, BirthDate, Deceased, Email, Gender, Identifier, Insurance, Language, Mrn, NextOfKin, PersonName, Phone,
    Ssn,
};
use wardbook_keys::{Matching, SearchTerms};
use wardbook_policy::{Action, Target};

use crate::api::caller::Caller;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::chart::{self, Chart, Found};
use crate::disclosure::{Case, allow};

/// A new patient. Only the name is needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    #[schema(value_type = schema::PersonName)]
    name: PersonName,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "1970-01-31")]
    birth_date: Option<BirthDate>,
    #[serde(default)]
    #[schema(value_type = Option<schema::Gender>)]
    gender: Option<Gender>,
    #[serde(default)]
    #[schema(value_type = Option<schema::Deceased>)]
    deceased: Option<Deceased>,
    /// BCP 47.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Option<Language>,
    #[serde(default)]
    #[schema(value_type = Vec<schema::Address>)]
    addresses: Vec<Address>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    phones: Vec<Phone>,
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    emails: Vec<Email>,
    #[serde(default)]
    #[schema(value_type = Vec<schema::NextOfKin>)]
    next_of_kin: Vec<NextOfKin>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123-45-6789")]
    ssn: Option<Ssn>,
    /// One is made if there is none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mrn: Option<Mrn>,
    #[serde(default)]
    #[schema(value_type = Vec<schema::Identifier>)]
    identifiers: Vec<Identifier>,
    #[serde(default)]
    #[schema(value_type = Vec<schema::Insurance>)]
    insurance: Vec<Insurance>,
    /// Departments that treat the patient.
    #[serde(default)]
    departments: BTreeSet<String>,
    /// Facilities that treat the patient; without any, those of the one who registers. None means the whole organisation.
    #[serde(default)]
    facilities: BTreeSet<String>,
    /// Law that applies: `US`, `SA` or `EU`.
    #[serde(default = "us")]
    jurisdiction: String,
    /// A person has made sure that nobody of the same name and birth date is this one.
    #[serde(default)]
    confirm_distinct: bool,
}

fn us() -> String {
    "US".to_owned()
}

impl From<RegisterBody> for RegisterPatient {
    fn from(body: RegisterBody) -> Self {
        Self {
            name: body.name,
            birth_date: body.birth_date,
            gender: body.gender,
            deceased: body.deceased,
            language: body.language,
            addresses: body.addresses,
            phones: body.phones,
            emails: body.emails,
            next_of_kin: body.next_of_kin,
            ssn: body.ssn,
            mrn: body.mrn,
            identifiers: body.identifiers,
            insurance: body.insurance,
            places: Places { departments: body.departments, facilities: body.facilities },
            jurisdiction: body.jurisdiction,
            vip: false,
            confirm_distinct: body.confirm_distinct,
        }
    }
}

/// Corrections. What is not named stays; `null` clears; a list is replaced as a whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectBody {
    #[serde(default)]
    #[schema(value_type = Option<schema::PersonName>)]
    name: Option<PersonName>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>)]
    birth_date: Change<BirthDate>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<schema::Gender>)]
    gender: Change<Gender>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<schema::Deceased>)]
    deceased: Change<Deceased>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>)]
    language: Change<Language>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Vec<schema::Address>>)]
    addresses: Change<Vec<Address>>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Vec<String>>)]
    phones: Change<Vec<Phone>>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Vec<String>>)]
    emails: Change<Vec<Email>>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Vec<schema::NextOfKin>>)]
    next_of_kin: Change<Vec<NextOfKin>>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<String>)]
    ssn: Change<Ssn>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mrn: Option<Mrn>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Vec<schema::Identifier>>)]
    identifiers: Change<Vec<Identifier>>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<Vec<schema::Insurance>>)]
    insurance: Change<Vec<Insurance>>,
    #[serde(default)]
    confirm_distinct: bool,
}

/// Named and `null` is not the same as not named.
fn change<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Change<T>, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.map_or(Change::Clear, Change::Set))
}

impl From<CorrectBody> for CorrectPatient {
    fn from(body: CorrectBody) -> Self {
        Self {
            name: body.name,
            birth_date: body.birth_date,
            gender: body.gender,
            deceased: body.deceased,
            language: body.language,
            addresses: body.addresses,
            phones: body.phones,
            emails: body.emails,
            next_of_kin: body.next_of_kin,
            ssn: body.ssn,
            mrn: body.mrn,
            identifiers: body.identifiers,
            insurance: body.insurance,
            confirm_distinct: body.confirm_distinct,
        }
    }
}

/// What to search by; several terms narrow the search. In a body and not in the URL, because URLs end up in logs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// Words of a name, in any order.
    #[serde(default)]
    name: Option<String>,
    /// How the words are compared.
    #[serde(default, rename = "match")]
    matching: MatchBody,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    birth_date: Option<BirthDate>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    ssn: Option<Ssn>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    mrn: Option<Mrn>,
    /// One of the patient's addresses, in any case.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Option<Email>,
    /// One of the patient's numbers, however it is written; without a country code it is one of `search.country`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Option<Phone>,
}

/// How the words of a name are compared; always without regard to case, marks and spaces.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MatchBody {
    /// Each is a family or a given name, or a word of one.
    #[default]
    Exact,
    /// Each is the beginning of such a word; one of fewer letters than `search.prefix_min` is compared whole.
    Prefix,
    /// Each is such a word or sounds like one.
    Sounds,
}

impl From<MatchBody> for Matching {
    fn from(body: MatchBody) -> Self {
        match body {
            MatchBody::Exact => Self::Exact,
            MatchBody::Prefix => Self::Prefix,
            MatchBody::Sounds => Self::Sounds,
        }
    }
}

/// Patients found.
#[derive(Serialize, ToSchema)]
pub struct SearchAnswer {
    /// At most `limits.search_max`.
    patients: Vec<Found>,
}

/// A patient was registered or changed.
#[derive(Serialize, ToSchema)]
pub struct PatientAnswer {
    /// The patient.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    /// Version now, to be sent back as `If-Match`.
    version: u64,
}

/// Whether and why a patient is specially watched.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagBody {
    /// Whether watched.
    vip: bool,
    /// Why watched.
    #[serde(default)]
    #[schema(value_type = Option<schema::WatchReason>)]
    reason: Option<WatchReason>,
    /// There is no such person.
    #[serde(default)]
    decoy: bool,
}

/// The other patient of a merge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeBody {
    /// The patient who goes on.
    #[schema(value_type = uuid::Uuid)]
    into: PatientId,
}

/// The other patient of a merge that is undone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmergeBody {
    /// The patient from whom this one is parted.
    #[schema(value_type = uuid::Uuid)]
    from: PatientId,
}

/// Registers a patient.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = RegisterBody, responses(
    (status = 201, description = "registered; `Location` and `ETag` are set", body = PatientAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "somebody like this is registered already, or the idempotency key was used before", body = ProblemBody),
    (status = 422, description = "a value breaks a rule", body = ProblemBody),
))]
#[post("/v1/patients")]
pub async fn register_patient(caller: Caller, body: web::Json<RegisterBody>) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    let (permit, _) = allow(app, &caller.asker, Action::RegisterPatient, Target::Tenant).await?;
    let mut command = RegisterPatient::from(body.into_inner());
    // Who is bound to facilities registers for these, and so finds the patient again.
    if command.places.facilities.is_empty() {
        command.places.facilities.clone_from(&caller.asker.principal().facilities);
    }
    let done = app.commands().register_patient(&permit, &caller.origin()?, command).await?;
    let mut answer = changed(StatusCode::CREATED, done.value, &done)?;
    if let Ok(place) = format!("/v1/patients/{}", done.value).parse() {
        answer.headers_mut().insert(actix_web::http::header::LOCATION, place);
    }
    Ok(answer)
}

fn changed<T>(status: StatusCode, patient: PatientId, done: &Done<T>) -> Result<HttpResponse, Problem> {
    let mut answer = answer::json(status, &PatientAnswer { patient, version: done.stream_version })?;
    answer::add_version(answer.headers_mut(), done.stream_version);
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Reads a chart: the groups of fields that the caller may see.
#[utoipa::path(tag = "patients", security(("bearer" = [])),
    params(("patient" = uuid::Uuid, Path), ("Purpose-Of-Use" = Option<String>, Header), ("If-Ledger-Position" = Option<u64>, Header)),
    responses(
        (status = 200, description = "the chart; `ETag` and receipt headers are set", body = Chart),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    ))]
#[get("/v1/patients/{patient}")]
pub async fn read_patient(caller: Caller, patient: web::Path<PatientId>) -> Result<HttpResponse, Problem> {
    let (chart, receipt) = chart::read_chart(&caller.app, &caller.asker, *patient, &caller.context.stages).await?;
    let mut answer = answer::receipted(StatusCode::OK, &chart, &receipt)?;
    answer::add_version(answer.headers_mut(), chart.version);
    Ok(answer)
}

/// Searches patients. Only those whom the caller may see are found.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = SearchBody, responses(
    (status = 200, description = "those found", body = SearchAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 422, description = "nothing to search by", body = ProblemBody),
))]
#[post("/v1/patients/search")]
pub async fn search_patients(caller: Caller, body: web::Json<SearchBody>) -> Result<HttpResponse, Problem> {
    let SearchBody { name, matching, birth_date, ssn, mrn, email, phone } = body.into_inner();
    if name.as_ref().is_some_and(|name| name.len() > 200 || name.split_whitespace().count() > 5) {
        return Err(Problem::new(Kind::Invalid, "name must have at most five words and 200 bytes"));
    }
    let terms = SearchTerms { name, matching: matching.into(), birth_date, ssn, mrn, email, phone };
    let app = &caller.app;
    // Nobody is moved from one version of the index key to another without these looking under both.
    let _using = app.keys().use_keys(caller.asker.principal().tenant);
    let ways = app.keys().search_tokens(caller.asker.principal().tenant, &terms)?;
    if ways.iter().all(Vec::is_empty) {
        let terms = "give at least one of name, birth_date, ssn, mrn, email and phone";
        return Err(Problem::new(Kind::Invalid, terms));
    }
    let (patients, receipt) = chart::search(app, &caller.asker, &terms, &ways, &caller.context.stages).await?;
    answer::receipted(StatusCode::OK, &SearchAnswer { patients }, &receipt)
}

/// Corrects a patient's values.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = CorrectBody,
    params(("patient" = uuid::Uuid, Path), ("If-Match" = String, Header, description = "the ETag of what was read")),
    responses(
        (status = 200, description = "corrected", body = PatientAnswer),
        (status = 403, description = "your roles do not allow this", body = ProblemBody),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
        (status = 409, description = "somebody else has this identifier, or the patient was merged", body = ProblemBody),
        (status = 412, description = "changed in the meantime", body = ProblemBody),
        (status = 428, description = "If-Match is needed", body = ProblemBody),
    ))]
#[patch("/v1/patients/{patient}")]
pub async fn correct_patient(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<CorrectBody>,
) -> Result<HttpResponse, Problem> {
    let expected = caller.must_match()?;
    let command = CorrectPatient::from(body.into_inner());
    let groups = command.groups();
    if groups.is_empty() {
        return Err(Problem::new(Kind::Invalid, "name at least one value to correct"));
    }
    let case = Case::exactly(&caller.app, &caller.asker, *patient)?;
    let permit = case.act(Action::CorrectPatient(groups)).await?;
    let commands = caller.app.commands();
    let done = commands.correct_patient(&permit, &caller.origin()?, *patient, Some(expected), command).await?;
    changed(StatusCode::OK, *patient, &done)
}

/// Watches a patient specially, or no more (ACC-21). A decoy is a record of nobody: whoever touches it is reported, and
/// nobody but who sets the flag can tell it from others.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = FlagBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 204, description = "so from now on"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "the patient was merged", body = ProblemBody),
))]
#[put("/v1/patients/{patient}/flag")]
pub async fn flag_patient(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<FlagBody>,
) -> Result<HttpResponse, Problem> {
    let FlagBody { vip, reason, decoy } = body.into_inner();
    if reason.is_some() && !vip {
        return Err(Problem::new(Kind::Invalid, "a reason goes with vip only"));
    }
    let case = Case::exactly(&caller.app, &caller.asker, *patient)?;
    let permit = case.act(Action::FlagPatient).await?;
    let flag = Flag { vip, reason, decoy };
    let done = caller.app.commands().flag_patient(&permit, &caller.origin()?, *patient, flag).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Merges this patient into another one: the same person was registered twice.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = MergeBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "merged; this patient takes no more changes", body = PatientAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "one of them was merged already", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/merge")]
pub async fn merge_patient(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<MergeBody>,
) -> Result<HttpResponse, Problem> {
    let [retiring, into] =
        [Case::exactly(&caller.app, &caller.asker, *patient)?, Case::exactly(&caller.app, &caller.asker, body.into)?];
    let permits = [retiring.act(Action::MergePatients).await?, into.act(Action::MergePatients).await?];
    let [one, other] = &permits;
    let done = caller.app.commands().merge_patients([one, other], &caller.origin()?, *patient, body.into).await?;
    seen(&caller, &done).await?;
    changed(StatusCode::OK, *patient, &done)
}

/// Undoes a merge.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = UnmergeBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "parted; both take changes again", body = PatientAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "they were not merged", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/unmerge")]
pub async fn unmerge_patient(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<UnmergeBody>,
) -> Result<HttpResponse, Problem> {
    let [retired, from] =
        [Case::exactly(&caller.app, &caller.asker, *patient)?, Case::exactly(&caller.app, &caller.asker, body.from)?];
    let permits = [retired.act(Action::MergePatients).await?, from.act(Action::MergePatients).await?];
    let [one, other] = &permits;
    let done = caller.app.commands().unmerge_patients([one, other], &caller.origin()?, *patient, body.from).await?;
    seen(&caller, &done).await?;
    changed(StatusCode::OK, *patient, &done)
}

/// Who may see what changes with it, so the next request must find it done.
pub(crate) async fn seen<T>(caller: &Caller, done: &Done<T>) -> Result<(), Problem> {
    match done.receipts.last() {
        Some(receipt) => Ok(caller.app.seen(receipt).await?),
        None => Ok(()),
    }
}
