//! Shapes of the values in bodies, for the OpenAPI document only. The rules are those of `wardbook_events::values`.
#![allow(dead_code, missing_docs, reason = "these types describe JSON, nothing is ever made of them")]

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use wardbook_events::documents::MediaType as MediaTypes;
use wardbook_events::records::RecordKind as Kinds;
use wardbook_events::{Group as Groups, Role as Roles};

/// A value that is one of a list of names which the vocabulary keeps.
macro_rules! one_of {
    ($(#[doc = $doc:literal])* $name:ident: $names:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub struct $name;
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some($names));
                names.description(Some(concat!($($doc),*).trim())).build().into()
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

one_of! {
    /// A group of fields that is granted or withheld as one.
    Group: Groups::ALL.map(Groups::name)
}
one_of! {
    /// What a user may be.
    Role: Roles::ALL.map(Roles::name)
}
one_of! {
    /// What kind of clinical entry it is.
    RecordKind: Kinds::ALL.map(Kinds::name)
}

one_of! {
    /// What a document's bytes are. `application/xml` means HL7 clinical documents (CDA).
    MediaType: MediaTypes::ALL.map(MediaTypes::name)
}

/// A person's name.
#[derive(ToSchema)]
pub struct PersonName {
    /// Family name, at most 100 characters.
    #[schema(example = "Okafor")]
    family: String,
    /// Given names in order, one to ten.
    #[schema(example = json!(["Ngozi"]))]
    given: Vec<String>,
    /// Title before the name.
    prefix: Option<String>,
    /// What follows the name.
    suffix: Option<String>,
}

/// When the patient died.
#[derive(ToSchema)]
pub struct Deceased {
    /// The date, `YYYY-MM-DD`, if it is known.
    date: Option<String>,
}

/// A postal address.
#[derive(ToSchema)]
pub struct Address {
    /// Street and house.
    lines: Option<Vec<String>>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
}

/// Somebody to call.
#[derive(ToSchema)]
pub struct NextOfKin {
    name: String,
    relationship: Option<String>,
    phone: Option<String>,
}

/// A number given by somebody else, such as a passport number.
#[derive(ToSchema)]
pub struct Identifier {
    /// Who gives such numbers, usually a URI.
    system: String,
    /// The number.
    value: String,
    /// What kind of number it is.
    kind: Option<String>,
}

/// Insurance cover.
#[derive(ToSchema)]
pub struct Insurance {
    /// Who pays.
    payer: String,
    member_id: Option<String>,
    group_number: Option<String>,
    plan: Option<String>,
    /// First day covered, `YYYY-MM-DD`.
    start: Option<String>,
    /// Last day covered, `YYYY-MM-DD`.
    end: Option<String>,
}

/// A code from a terminology, or just words.
#[derive(ToSchema)]
pub struct Coded {
    /// The terminology, a URI.
    #[schema(example = "http://loinc.org")]
    system: Option<String>,
    #[schema(example = "8480-6")]
    code: Option<String>,
    /// In words.
    #[schema(example = "Systolic blood pressure")]
    text: String,
}

/// A measured value.
#[derive(ToSchema)]
pub struct Quantity {
    /// The number exactly as measured, as text: 4.50 is not 4.5.
    #[schema(example = "4.50")]
    value: String,
    /// Unit (UCUM).
    #[schema(example = "mmol/L")]
    unit: Option<String>,
}

/// One part of a measurement that has several.
#[derive(ToSchema)]
pub struct Component {
    code: Coded,
    quantity: Option<Quantity>,
    text: Option<String>,
}

/// What a clinical entry holds. Which parts are filled depends on the kind.
#[derive(ToSchema)]
pub struct RecordBody {
    /// Substance, diagnosis, drug, measurement or title.
    code: Coded,
    /// The day on which it was true, began or was measured, `YYYY-MM-DD`.
    date: Option<String>,
    /// The instant (RFC 3339), when it is known.
    start: Option<String>,
    /// When it ended (RFC 3339).
    end: Option<String>,
    /// `active`, `resolved`, `final`, `planned` ...
    status: Option<String>,
    quantity: Option<Quantity>,
    value: Option<Coded>,
    components: Option<Vec<Component>>,
    reference_range: Option<String>,
    interpretation: Option<String>,
    details: Option<Vec<String>>,
    /// Free text: the note itself.
    text: Option<String>,
    participants: Option<Vec<String>>,
    media_type: Option<String>,
    size_bytes: Option<u64>,
    sha256: Option<String>,
}

/// HL7 AdministrativeGender.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Gender {
    Male,
    Female,
    Other,
    Unknown,
}

/// Why an entry is specially protected (HL7 v3-ActCode).
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub enum Sensitivity {
    Psy,
    Psythpn,
    Sud,
    Hiv,
    Sex,
}

/// Why the glass was broken.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum EmergencyReason {
    MedicalEmergency,
    UnresponsivePatient,
    Trauma,
    CodeBlue,
    Continuity,
    Disaster,
    Other,
}

/// What a reviewer found.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum ReviewOutcome {
    Appropriate,
    Inappropriate,
    UnderInvestigation,
}

/// What an alert is about.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum AlertKind {
    BreakGlassStarted,
    BreakGlassInappropriate,
    BreakGlassOverdue,
    RefreshTokenReused,
    SessionHijackSuspected,
    AccountLocked,
    WatchedPatientOpened,
    DecoyTouched,
    ManyPatients,
    PolicyObligation,
    EmergencyElevation,
    UnusualKeyUse,
    KeyProviderUnreachable,
    KeyCompromised,
    PatientErased,
    BackupFailed,
    CertificateExpiring,
}

/// On what ground somebody asks to be forgotten.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Basis {
    Gdpr,
    Pdpl,
    PatientRequest,
    RetentionOver,
}

/// Why something may not be erased for the time being.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum HoldKind {
    Litigation,
    Investigation,
    PublicHealth,
    Other,
}

/// Why an erasure was refused.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum RefusalReason {
    LegalObligation,
    PublicHealth,
    LegalClaims,
    IdentityNotProven,
    Withdrawn,
    Other,
}

/// Where something of a patient was.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum ErasedPlace {
    KeyStore,
    KeyBackups,
    Documents,
    Views,
    Accounts,
}

/// How much it hurries.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Severity {
    Medium,
    High,
    Critical,
}

/// How somebody was told.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Channel {
    Email,
    Sms,
    Webhook,
}

/// Why a patient is specially watched.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum WatchReason {
    PublicFigure,
    StaffOrFamily,
    Board,
    LegalCase,
    OnRequest,
}

/// Whether a role is still needed.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Verdict {
    Keep,
    Revoke,
}

/// What a member of a care team does.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Function {
    Attending,
    Consulting,
    Nursing,
    Administrative,
}
