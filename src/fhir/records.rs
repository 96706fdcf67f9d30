//! FHIR clinical resources as entries of a chart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use wardbook_events::records::{Coded, Component, RecordBody, RecordKind, Sensitivity};
use wardbook_events::values::Line;

use super::types::{
    Coding, Concept, FhirQuantity, Labels, Period, Reference, line, long_text, optional_line, sensitivity, when,
};
use super::{Mapped, parse};

/// What nearly every clinical resource has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Common {
    #[serde(default)]
    meta: Labels,
    #[serde(alias = "patient")]
    subject: Option<Reference>,
    /// A code in most types; Appointment and Encounter have a word.
    status: Option<String>,
    code: Option<Concept>,
    #[serde(default)]
    category: OneOrMany<Concept>,
    #[serde(default)]
    note: Vec<Annotation>,
}

/// `category` is a list in some types and a single value in others.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
    Word(#[allow(dead_code, reason = "read only to be passed over")] Vec<String>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn iter(&self) -> std::slice::Iter<'_, T> {
        match self {
            Self::Many(all) => all.iter(),
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Word(_) => [].iter(),
        }
    }
}

#[derive(Deserialize)]
struct Annotation {
    text: String,
}

/// An entry in the making.
struct Draft {
    patient: String,
    sensitivity: Vec<Sensitivity>,
    body: RecordBody,
}

impl Draft {
    fn new(common: &Common, code: &Concept) -> Result<Self, String> {
        let coded = code.read()?.ok_or("has no code and no text")?;
        let subject = common.subject.as_ref().and_then(|subject| subject.reference.clone());
        let notes: Vec<&str> =
            common.note.iter().map(|note| note.text.as_str()).filter(|t| !t.trim().is_empty()).collect();
        Ok(Self {
            patient: subject.ok_or("has no patient")?,
            sensitivity: sensitivity(&common.meta.security, &[code]),
            body: RecordBody {
                status: optional_line(common.status.as_deref())?,
                text: if notes.is_empty() { None } else { Some(long_text(&notes.join("\n"))?) },
                ..empty_body(coded)
            },
        })
    }

    fn begins(&mut self, text: Option<&str>) -> Result<(), String> {
        let moment = when(text)?;
        self.body.date = moment.date;
        self.body.start = moment.instant;
        self.body.details.extend(moment.partial);
        Ok(())
    }

    fn ends(&mut self, text: Option<&str>) -> Result<(), String> {
        let moment = when(text)?;
        self.body.end = moment.instant;
        if let (None, Some(day)) = (moment.instant, moment.date) {
            self.body.details.push(line(&format!("until {day}"))?);
        }
        Ok(())
    }

    fn detail(&mut self, label: &str, text: Option<&str>) -> Result<(), String> {
        if let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) {
            let labelled = if label.is_empty() { text.to_owned() } else { format!("{label}: {text}") };
            self.body.details.push(line(&labelled)?);
        }
        Ok(())
    }

    fn participants<'a>(&mut self, all: impl IntoIterator<Item = &'a Reference>) -> Result<(), String> {
        for reference in all {
            self.body.participants.extend(optional_line(reference.display.as_deref())?);
        }
        Ok(())
    }

    fn done(self, kind: RecordKind) -> Mapped {
        Mapped::Record { patient: self.patient, kind, sensitivity: self.sensitivity, body: Box::new(self.body) }
    }
}

const fn empty_body(code: Coded) -> RecordBody {
    RecordBody {
        code,
        date: None,
        start: None,
        end: None,
        status: None,
        quantity: None,
        value: None,
        components: Vec::new(),
        reference_range: None,
        interpretation: None,
        details: Vec::new(),
        text: None,
        participants: Vec::new(),
        media_type: None,
        size_bytes: None,
        sha256: None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allergy {
    #[serde(flatten)]
    common: Common,
    clinical_status: Option<Concept>,
    criticality: Option<String>,
    onset_date_time: Option<String>,
    recorded_date: Option<String>,
    #[serde(default)]
    reaction: Vec<Reaction>,
}

#[derive(Deserialize)]
struct Reaction {
    #[serde(default)]
    manifestation: Vec<Concept>,
    severity: Option<String>,
}

pub fn allergy(json: &str) -> Result<Mapped, String> {
    let fhir: Allergy = parse(json)?;
    let mut draft = Draft::new(&fhir.common, fhir.common.code.as_ref().ok_or("has no code")?)?;
    draft.begins(fhir.onset_date_time.as_deref().or(fhir.recorded_date.as_deref()))?;
    draft.body.status = fhir.clinical_status.as_ref().map(Concept::line).transpose()?.flatten();
    draft.body.interpretation = optional_line(fhir.criticality.as_deref())?;
    for reaction in &fhir.reaction {
        for manifestation in &reaction.manifestation {
            draft.detail("reaction", manifestation.words())?;
        }
        draft.detail("severity", reaction.severity.as_deref())?;
    }
    Ok(draft.done(RecordKind::Allergy))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(flatten)]
    common: Common,
    clinical_status: Option<Concept>,
    severity: Option<Concept>,
    onset_date_time: Option<String>,
    recorded_date: Option<String>,
    abatement_date_time: Option<String>,
}

pub fn condition(json: &str) -> Result<Mapped, String> {
    let fhir: Condition = parse(json)?;
    let mut draft = Draft::new(&fhir.common, fhir.common.code.as_ref().ok_or("has no code")?)?;
    draft.begins(fhir.onset_date_time.as_deref().or(fhir.recorded_date.as_deref()))?;
    draft.ends(fhir.abatement_date_time.as_deref())?;
    draft.body.status = fhir.clinical_status.as_ref().map(Concept::line).transpose()?.flatten();
    draft.detail("severity", fhir.severity.as_ref().and_then(Concept::words))?;
    Ok(draft.done(RecordKind::Condition))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Medication {
    #[serde(flatten)]
    common: Common,
    medication_codeable_concept: Option<Concept>,
    medication_reference: Option<Reference>,
    authored_on: Option<String>,
    effective_date_time: Option<String>,
    effective_period: Option<Period>,
    requester: Option<Reference>,
    #[serde(default)]
    dosage_instruction: Vec<Dosage>,
    #[serde(default)]
    dosage: OneOrMany<Dosage>,
}

#[derive(Deserialize)]
struct Dosage {
    text: Option<String>,
}

pub fn medication(json: &str) -> Result<Mapped, String> {
    let fhir: Medication = parse(json)?;
    let by_reference = || {
        let display = fhir.medication_reference.as_ref()?.display.clone()?;
        Some(Concept { coding: Vec::new(), text: Some(display) })
    };
    let drug = fhir.medication_codeable_concept.as_ref().map_or_else(by_reference, |concept| {
        Some(Concept {
            coding: concept
                .coding
                .iter()
                .map(|c| Coding { system: c.system.clone(), code: c.code.clone(), display: c.display.clone() })
                .collect(),
            text: concept.text.clone(),
        })
    });
    let mut draft = Draft::new(&fhir.common, &drug.ok_or("names its drug by reference only")?)?;
    let period = fhir.effective_period.unwrap_or_default();
    draft.begins(fhir.authored_on.as_deref().or(fhir.effective_date_time.as_deref()).or(period.start.as_deref()))?;
    draft.ends(period.end.as_deref())?;
    for dosage in fhir.dosage_instruction.iter().chain(fhir.dosage.iter()) {
        draft.detail("dosage", dosage.text.as_deref())?;
    }
    draft.participants(&fhir.requester)?;
    Ok(draft.done(RecordKind::Medication))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Immunization {
    #[serde(flatten)]
    common: Common,
    vaccine_code: Concept,
    occurrence_date_time: Option<String>,
    lot_number: Option<String>,
}

pub fn immunization(json: &str) -> Result<Mapped, String> {
    let fhir: Immunization = parse(json)?;
    let mut draft = Draft::new(&fhir.common, &fhir.vaccine_code)?;
    draft.begins(fhir.occurrence_date_time.as_deref())?;
    draft.detail("lot", fhir.lot_number.as_deref())?;
    Ok(draft.done(RecordKind::Immunization))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Procedure {
    #[serde(flatten)]
    common: Common,
    performed_date_time: Option<String>,
    performed_period: Option<Period>,
    #[serde(default)]
    performer: Vec<Performer>,
    #[serde(default)]
    reason_code: Vec<Concept>,
    outcome: Option<Concept>,
}

#[derive(Deserialize)]
struct Performer {
    actor: Option<Reference>,
}

pub fn procedure(json: &str) -> Result<Mapped, String> {
    let fhir: Procedure = parse(json)?;
    let mut draft = Draft::new(&fhir.common, fhir.common.code.as_ref().ok_or("has no code")?)?;
    let period = fhir.performed_period.unwrap_or_default();
    draft.begins(fhir.performed_date_time.as_deref().or(period.start.as_deref()))?;
    draft.ends(period.end.as_deref())?;
    draft.sensitivity.extend(sensitivity([], &fhir.reason_code.iter().collect::<Vec<_>>()));
    draft.sensitivity.sort_unstable();
    draft.sensitivity.dedup();
    for reason in &fhir.reason_code {
        draft.detail("reason", reason.words())?;
    }
    draft.detail("outcome", fhir.outcome.as_ref().and_then(Concept::words))?;
    draft.participants(fhir.performer.iter().filter_map(|performer| performer.actor.as_ref()))?;
    Ok(draft.done(RecordKind::Procedure))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation<'a> {
    effective_date_time: Option<String>,
    effective_period: Option<Period>,
    #[serde(default)]
    interpretation: Vec<Concept>,
    #[serde(default)]
    reference_range: Vec<Range>,
    #[serde(borrow, default)]
    component: Vec<FhirComponent<'a>>,
    #[serde(borrow)]
    value_quantity: Option<FhirQuantity<'a>>,
    value_codeable_concept: Option<Concept>,
    value_string: Option<String>,
    value_boolean: Option<bool>,
    #[serde(borrow)]
    value_integer: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct Range {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FhirComponent<'a> {
    code: Concept,
    #[serde(borrow)]
    value_quantity: Option<FhirQuantity<'a>>,
    value_codeable_concept: Option<Concept>,
    value_string: Option<String>,
}

pub fn observation(json: &str) -> Result<Mapped, String> {
    // Two passes: exact digits can be borrowed only where nothing is flattened.
    let common: Common = parse(json)?;
    let fhir: Observation<'_> = parse(json)?;
    let mut draft = Draft::new(&common, common.code.as_ref().ok_or("has no code")?)?;
    let period = fhir.effective_period.unwrap_or_default();
    draft.begins(fhir.effective_date_time.as_deref().or(period.start.as_deref()))?;
    draft.ends(period.end.as_deref())?;
    draft.body.quantity = match (&fhir.value_quantity, fhir.value_integer) {
        (Some(quantity), _) => quantity.read()?,
        (None, Some(number)) => FhirQuantity { value: Some(number), unit: None, code: None }.read()?,
        (None, None) => None,
    };
    draft.body.value = match (&fhir.value_codeable_concept, &fhir.value_string, fhir.value_boolean) {
        (Some(concept), _, _) => concept.read()?,
        (None, Some(text), _) if text.chars().count() > 500 => {
            draft.body.text = Some(long_text(text)?);
            None
        }
        (None, Some(text), _) => optional_line(Some(text))?.map(words),
        (None, None, Some(flag)) => Some(words(line(if flag { "yes" } else { "no" })?)),
        (None, None, None) => None,
    };
    draft.body.interpretation = fhir.interpretation.first().map(Concept::line).transpose()?.flatten();
    draft.body.reference_range = optional_line(fhir.reference_range.first().and_then(|range| range.text.as_deref()))?;
    for component in &fhir.component {
        let said =
            component.value_codeable_concept.as_ref().and_then(Concept::words).or(component.value_string.as_deref());
        draft.body.components.push(Component {
            code: component.code.read()?.ok_or("has a component without code")?,
            quantity: component.value_quantity.as_ref().map(FhirQuantity::read).transpose()?.flatten(),
            text: optional_line(said)?,
        });
    }
    let categories: Vec<&str> = common.category.iter().filter_map(Concept::first_code).collect();
    let kind = if categories.contains(&"vital-signs") {
        RecordKind::VitalSign
    } else if categories.contains(&"laboratory") {
        RecordKind::LabResult
    } else {
        RecordKind::Observation
    };
    Ok(draft.done(kind))
}

const fn words(text: Line) -> Coded {
    Coded { system: None, code: None, text }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    common: Common,
    effective_date_time: Option<String>,
    conclusion: Option<String>,
    #[serde(default)]
    conclusion_code: Vec<Concept>,
    #[serde(default)]
    presented_form: Vec<Attachment>,
    #[serde(default)]
    performer: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: Option<String>,
    data: Option<String>,
    title: Option<String>,
    size: Option<u64>,
}

impl Attachment {
    /// The text, when the attachment is text and carries its data.
    fn text(&self) -> Option<String> {
        let is_text = self.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/plain"));
        let bytes = STANDARD.decode(self.data.as_deref().filter(|_| is_text)?).ok()?;
        String::from_utf8(bytes).ok().filter(|text| !text.trim().is_empty())
    }
}

pub fn report(json: &str) -> Result<Mapped, String> {
    let fhir: Report = parse(json)?;
    let mut draft = Draft::new(&fhir.common, fhir.common.code.as_ref().ok_or("has no code")?)?;
    draft.begins(fhir.effective_date_time.as_deref())?;
    for code in &fhir.conclusion_code {
        draft.detail("conclusion", code.words())?;
    }
    let conclusion = fhir.conclusion.into_iter().filter(|text| !text.trim().is_empty());
    let texts: Vec<String> = conclusion.chain(fhir.presented_form.iter().filter_map(Attachment::text)).collect();
    if !texts.is_empty() {
        draft.body.text = Some(long_text(&texts.join("\n\n"))?);
    }
    draft.participants(&fhir.performer)?;
    Ok(draft.done(RecordKind::Document))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(flatten)]
    common: Common,
    #[serde(rename = "type")]
    kind: Option<Concept>,
    date: Option<String>,
    description: Option<String>,
    #[serde(default)]
    content: Vec<Content>,
    #[serde(default)]
    author: Vec<Reference>,
    #[serde(default)]
    security_label: Vec<Concept>,
}

#[derive(Deserialize)]
struct Content {
    attachment: Attachment,
}

pub fn document(json: &str) -> Result<Mapped, String> {
    let fhir: Document = parse(json)?;
    let mut draft = Draft::new(&fhir.common, fhir.kind.as_ref().ok_or("has no type")?)?;
    draft.begins(fhir.date.as_deref())?;
    draft.sensitivity.extend(sensitivity(fhir.security_label.iter().flat_map(|label| &label.coding), &[]));
    draft.sensitivity.sort_unstable();
    draft.sensitivity.dedup();
    draft.detail("", fhir.description.as_deref())?;
    draft.participants(&fhir.author)?;
    let attachment = &fhir.content.first().ok_or("has no content")?.attachment;
    let is_note = fhir.common.category.iter().any(|category| category.first_code() == Some("clinical-note"));
    if let Some(text) = attachment.text().filter(|_| is_note) {
        draft.body.text = Some(long_text(&text)?);
        return Ok(draft.done(RecordKind::Note));
    }
    draft.detail("title", attachment.title.as_deref())?;
    draft.body.media_type = optional_line(attachment.content_type.as_deref())?;
    draft.body.size_bytes = attachment.size;
    Ok(draft.done(RecordKind::Document))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encounter {
    #[serde(flatten)]
    common: Common,
    class: Option<Coding>,
    #[serde(default, rename = "type")]
    kind: Vec<Concept>,
    period: Option<Period>,
    #[serde(default)]
    reason_code: Vec<Concept>,
    #[serde(default)]
    participant: Vec<Participant>,
    #[serde(default)]
    location: Vec<EncounterLocation>,
}

#[derive(Deserialize)]
struct Participant {
    #[serde(alias = "actor")]
    individual: Option<Reference>,
}

#[derive(Deserialize)]
struct EncounterLocation {
    location: Reference,
}

pub fn encounter(json: &str) -> Result<Mapped, String> {
    let fhir: Encounter = parse(json)?;
    let class = Concept { coding: fhir.class.into_iter().collect(), text: None };
    let mut draft = Draft::new(&fhir.common, fhir.kind.first().unwrap_or(&class))?;
    let period = fhir.period.unwrap_or_default();
    draft.begins(period.start.as_deref())?;
    draft.ends(period.end.as_deref())?;
    draft.detail("class", class.words())?;
    draft.sensitivity = sensitivity(&fhir.common.meta.security, &fhir.reason_code.iter().collect::<Vec<_>>());
    for reason in &fhir.reason_code {
        draft.detail("reason", reason.words())?;
    }
    draft.participants(fhir.participant.iter().filter_map(|participant| participant.individual.as_ref()))?;
    for place in &fhir.location {
        draft.detail("location", place.location.display.as_deref())?;
    }
    Ok(draft.done(RecordKind::Encounter))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Appointment {
    #[serde(default)]
    meta: Labels,
    status: Option<String>,
    #[serde(default)]
    service_type: Vec<Concept>,
    appointment_type: Option<Concept>,
    #[serde(default)]
    reason_code: Vec<Concept>,
    description: Option<String>,
    start: Option<String>,
    end: Option<String>,
    #[serde(default)]
    participant: Vec<Participant>,
}

pub fn appointment(json: &str) -> Result<Mapped, String> {
    let fhir: Appointment = parse(json)?;
    let actors: Vec<&Reference> =
        fhir.participant.iter().filter_map(|participant| participant.individual.as_ref()).collect();
    let begins = |actor: &Reference, with: &str| actor.reference.as_deref().is_some_and(|r| r.starts_with(with));
    // In a bundle the names of resources do not tell their types; the patient stands first by custom.
    let prefix = if actors.iter().any(|actor| begins(actor, "Patient/")) { "Patient/" } else { "urn:uuid:" };
    let patient = actors.iter().find(|actor| begins(actor, prefix)).and_then(|actor| actor.reference.clone());
    let is_patient = |actor: &Reference| actor.reference == patient;
    let code =
        fhir.appointment_type.as_ref().or_else(|| fhir.service_type.first()).or_else(|| fhir.reason_code.first());
    let common = Common {
        meta: fhir.meta,
        subject: patient.clone().map(|reference| Reference { reference: Some(reference), display: None }),
        status: fhir.status,
        code: None,
        category: OneOrMany::default(),
        note: Vec::new(),
    };
    let fallback = Concept { coding: Vec::new(), text: Some("appointment".into()) };
    let mut draft = Draft::new(&common, code.unwrap_or(&fallback))?;
    draft.begins(fhir.start.as_deref())?;
    draft.ends(fhir.end.as_deref())?;
    draft.detail("", fhir.description.as_deref())?;
    draft.participants(actors.into_iter().filter(|actor| !is_patient(actor)))?;
    Ok(draft.done(RecordKind::Appointment))
}
