//! FHIR R4 resources read into our own values: what we take, and by name what we leave out and why.
//!
//! Pure: text in, values or a [`Skip`] out. Numbers keep the digits with which they were written, so nothing here
//! goes through a floating-point number.

mod patients;
mod records;
mod types;

use serde::Deserialize;
use serde_json::value::RawValue;
use wardbook_commands::patients::RegisterPatient;
use wardbook_events::records::{RecordBody, RecordKind, Sensitivity};
use wardbook_events::values::Insurance;

/// A resource that became something of ours.
#[derive(Debug)]
pub enum Mapped {
    /// A person to register, under the law of `US` until the importer says otherwise.
    Patient(Box<RegisterPatient>),
    /// Insurance cover of a person.
    Insurance {
        /// The patient as the source names it.
        patient: String,
        /// The cover.
        insurance: Box<Insurance>,
    },
    /// A clinical entry.
    Record {
        /// The patient as the source names it.
        patient: String,
        /// What kind of entry.
        kind: RecordKind,
        /// Why it is specially protected, if it is.
        sensitivity: Vec<Sensitivity>,
        /// The entry.
        body: Box<RecordBody>,
    },
}

/// A resource that was left out. Carries nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{resource_type}: {reason}")]
pub struct Skip {
    /// The FHIR type, or `unknown`.
    pub resource_type: String,
    /// Why it was left out.
    pub reason: String,
}

/// One resource of a bundle or a line, with the name by which others refer to it.
#[derive(Debug)]
pub struct Resource<'a> {
    /// FHIR type.
    pub resource_type: String,
    /// The `fullUrl` of the bundle entry, or `Type/id`; absent when the source gives neither.
    pub key: Option<String>,
    /// `Type/id`, by which others may refer to it besides.
    pub local: Option<String>,
    /// The resource's exact text.
    pub json: &'a str,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "resourceType")]
    resource_type: String,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow, default)]
    entry: Vec<BundleEntry<'a>>,
}

#[derive(Deserialize)]
struct BundleEntry<'a> {
    #[serde(rename = "fullUrl")]
    full_url: Option<String>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

fn head(json: &str, full_url: Option<String>) -> Result<Resource<'_>, Skip> {
    let head: Head = serde_json::from_str(json)
        .map_err(|_| Skip { resource_type: "unknown".into(), reason: "not a FHIR resource in JSON".into() })?;
    let by_id = head.id.map(|id| format!("{}/{id}", head.resource_type));
    Ok(Resource { key: full_url.or_else(|| by_id.clone()), local: by_id, resource_type: head.resource_type, json })
}

/// Splits a document into resources: a bundle into its entries, anything else into itself.
pub fn resources(json: &str) -> Vec<Result<Resource<'_>, Skip>> {
    match head(json, None) {
        Ok(resource) if resource.resource_type == "Bundle" => match serde_json::from_str::<Bundle<'_>>(json) {
            Ok(bundle) => {
                bundle.entry.into_iter().filter_map(|e| e.resource.map(|r| head(r.get(), e.full_url))).collect()
            }
            Err(_) => vec![Err(Skip { resource_type: "Bundle".into(), reason: "malformed bundle".into() })],
        },
        other => vec![other],
    }
}

/// Reads one resource.
///
/// # Errors
/// The resource's type is not supported, or it lacks what an entry of ours needs.
pub fn map(resource: &Resource<'_>) -> Result<Mapped, Skip> {
    let read = match resource.resource_type.as_str() {
        "Patient" => patients::patient(resource.json).map(|p| Mapped::Patient(Box::new(p))),
        "Coverage" => patients::coverage(resource.json),
        "AllergyIntolerance" => records::allergy(resource.json),
        "Condition" => records::condition(resource.json),
        "MedicationRequest" | "MedicationStatement" | "MedicationAdministration" => records::medication(resource.json),
        "Immunization" => records::immunization(resource.json),
        "Procedure" => records::procedure(resource.json),
        "Observation" => records::observation(resource.json),
        "DiagnosticReport" => records::report(resource.json),
        "DocumentReference" => records::document(resource.json),
        "Encounter" => records::encounter(resource.json),
        "Appointment" => records::appointment(resource.json),
        _ => Err("type is not supported".into()),
    };
    read.map_err(|reason| Skip { resource_type: resource.resource_type.clone(), reason })
}

/// Parses a resource, keeping the place of an error but none of its content.
fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("malformed at column {}", error.column()))
}

#[cfg(test)]
mod tests;
