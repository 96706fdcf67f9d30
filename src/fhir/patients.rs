//! FHIR Patient and Coverage.

use jiff::civil::Date;
use serde::Deserialize;
use wardbook_commands::patients::RegisterPatient;
use wardbook_events::values::{
    Address, Deceased, Email, Gender, Identifier, Insurance, Language, Mrn, NamePart, NextOfKin, PersonName, Phone, Ssn,
};

use super::types::{Concept, Period, Reference, line, optional_line};
use super::{Mapped, parse};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FhirPatient {
    #[serde(default)]
    identifier: Vec<FhirIdentifier>,
    #[serde(default)]
    name: Vec<FhirName>,
    gender: Option<String>,
    birth_date: Option<String>,
    deceased_boolean: Option<bool>,
    deceased_date_time: Option<String>,
    #[serde(default)]
    address: Vec<FhirAddress>,
    #[serde(default)]
    telecom: Vec<Telecom>,
    #[serde(default)]
    contact: Vec<Contact>,
    #[serde(default)]
    communication: Vec<Communication>,
}

#[derive(Deserialize)]
struct FhirIdentifier {
    #[serde(rename = "type")]
    kind: Option<Concept>,
    system: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FhirName {
    #[serde(rename = "use")]
    usage: Option<String>,
    family: Option<String>,
    given: Vec<String>,
    prefix: Vec<String>,
    suffix: Vec<String>,
    text: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct FhirAddress {
    line: Vec<String>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
}

#[derive(Deserialize)]
struct Telecom {
    system: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Contact {
    name: Option<FhirName>,
    #[serde(default)]
    relationship: Vec<Concept>,
    #[serde(default)]
    telecom: Vec<Telecom>,
}

#[derive(Deserialize)]
struct Communication {
    language: Concept,
}

fn wrong(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn name(names: &[FhirName]) -> Result<PersonName, String> {
    let official = names.iter().find(|name| name.usage.as_deref() == Some("official")).or_else(|| names.first());
    let official = official.ok_or("has no name")?;
    let part = |text: &String| NamePart::new(text).map_err(wrong);
    let family = official.family.as_ref().ok_or("has no family name")?;
    let given = official.given.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    Ok(PersonName {
        family: part(family)?,
        given: given.try_into().map_err(wrong)?,
        prefix: official.prefix.first().map(part).transpose()?,
        suffix: official.suffix.first().map(part).transpose()?,
    })
}

fn full_name(name: &FhirName) -> Option<String> {
    let parts: Vec<&str> = name.given.iter().chain(&name.family).map(String::as_str).collect();
    name.text.clone().or_else(|| (!parts.is_empty()).then(|| parts.join(" ")))
}

/// A registration; law and doubts about duplicates are for the importer to say.
pub fn patient(json: &str) -> Result<RegisterPatient, String> {
    let fhir: FhirPatient = parse(json)?;
    let birth_date = fhir.birth_date.ok_or("has no birth date")?;
    let birth_date: Date = birth_date.parse().map_err(|_| "has a birth date without month or day")?;
    let mut fields = RegisterPatient {
        birth_date: Some(birth_date.try_into().map_err(wrong)?),
        gender: fhir.gender.as_deref().and_then(gender),
        deceased: deceased(fhir.deceased_boolean, fhir.deceased_date_time.as_deref())?,
        language: fhir
            .communication
            .first()
            .and_then(|c| c.language.first_code())
            .map(Language::new)
            .transpose()
            .map_err(wrong)?,
        addresses: fhir.address.iter().map(address).collect::<Result<_, _>>()?,
        phones: telecom(&fhir.telecom, "phone")
            .map(|text| Phone::new(text).map_err(wrong))
            .collect::<Result<_, _>>()?,
        emails: telecom(&fhir.telecom, "email")
            .map(|text| Email::new(text).map_err(wrong))
            .collect::<Result<_, _>>()?,
        next_of_kin: fhir.contact.iter().filter_map(|c| next_of_kin(c).transpose()).collect::<Result<_, _>>()?,
        ..RegisterPatient::new(name(&fhir.name)?, "US")
    };
    for identifier in &fhir.identifier {
        identify(&mut fields, identifier)?;
    }
    Ok(fields)
}

fn gender(code: &str) -> Option<Gender> {
    match code {
        "male" => Some(Gender::Male),
        "female" => Some(Gender::Female),
        "other" => Some(Gender::Other),
        "unknown" => Some(Gender::Unknown),
        _ => None,
    }
}

fn deceased(flag: Option<bool>, date: Option<&str>) -> Result<Option<Deceased>, String> {
    match date {
        Some(text) => Ok(Some(Deceased { date: super::types::when(Some(text))?.date })),
        None => Ok((flag == Some(true)).then_some(Deceased { date: None })),
    }
}

fn address(fhir: &FhirAddress) -> Result<Address, String> {
    Ok(Address {
        lines: fhir.line.iter().take(5).map(|text| line(text)).collect::<Result<_, _>>()?,
        city: optional_line(fhir.city.as_deref())?,
        state: optional_line(fhir.state.as_deref())?,
        postal_code: optional_line(fhir.postal_code.as_deref())?,
        country: optional_line(fhir.country.as_deref())?,
    })
}

fn telecom<'a>(all: &'a [Telecom], system: &'a str) -> impl Iterator<Item = &'a str> {
    all.iter().filter(move |t| t.system.as_deref() == Some(system)).filter_map(|t| t.value.as_deref())
}

fn next_of_kin(contact: &Contact) -> Result<Option<NextOfKin>, String> {
    let Some(name) = contact.name.as_ref().and_then(full_name) else { return Ok(None) };
    Ok(Some(NextOfKin {
        name: line(&name)?,
        relationship: contact.relationship.first().map(Concept::line).transpose()?.flatten(),
        phone: telecom(&contact.telecom, "phone").next().map(Phone::new).transpose().map_err(wrong)?,
    }))
}

/// Sorts a FHIR identifier into SSN, MRN or another.
fn identify(fields: &mut RegisterPatient, identifier: &FhirIdentifier) -> Result<(), String> {
    let Some(value) = identifier.value.as_deref() else { return Ok(()) };
    let kind = identifier.kind.as_ref().and_then(Concept::first_code);
    let system = identifier.system.as_deref().unwrap_or("unspecified");
    if kind == Some("SS") || system == "http://hl7.org/fhir/sid/us-ssn" {
        fields.ssn = Some(Ssn::new(value).map_err(wrong)?);
    } else if kind == Some("MR") && fields.mrn.is_none() {
        fields.mrn = Some(Mrn::new(value).map_err(wrong)?);
    } else {
        let kind = identifier.kind.as_ref().map(Concept::line).transpose()?.flatten();
        fields.identifiers.push(Identifier { system: line(system)?, value: line(value)?, kind });
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Coverage {
    beneficiary: Reference,
    subscriber_id: Option<String>,
    #[serde(default)]
    payor: Vec<Reference>,
    #[serde(default)]
    class: Vec<CoverageClass>,
    #[serde(rename = "type")]
    kind: Option<Concept>,
    period: Option<Period>,
}

#[derive(Deserialize)]
struct CoverageClass {
    #[serde(rename = "type")]
    kind: Concept,
    value: Option<String>,
    name: Option<String>,
}

pub fn coverage(json: &str) -> Result<Mapped, String> {
    let fhir: Coverage = parse(json)?;
    let group = fhir.class.iter().find(|class| class.kind.first_code() == Some("group"));
    let plan = fhir.class.iter().find(|class| class.kind.first_code() == Some("plan"));
    let payor = fhir.payor.first().ok_or("has no payor")?;
    let payer = payor
        .display
        .as_deref()
        .or_else(|| group.and_then(|class| class.name.as_deref()))
        .or(payor.reference.as_deref())
        .ok_or("has no payor")?;
    let period = fhir.period.unwrap_or_default();
    let insurance = Insurance {
        payer: line(payer)?,
        member_id: optional_line(fhir.subscriber_id.as_deref())?,
        group_number: optional_line(group.and_then(|class| class.value.as_deref()))?,
        plan: match plan.and_then(|class| class.name.as_deref()) {
            Some(plan) => optional_line(Some(plan))?,
            None => fhir.kind.as_ref().map(Concept::line).transpose()?.flatten(),
        },
        start: super::types::when(period.start.as_deref())?.date,
        end: super::types::when(period.end.as_deref())?.date,
    };
    let patient = fhir.beneficiary.reference.ok_or("has no beneficiary")?;
    Ok(Mapped::Insurance { patient, insurance: Box::new(insurance) })
}
