//! The parts of FHIR R4 data types that we read.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;
use wardbook_events::records::{Coded, Quantity, Sensitivity};
use wardbook_events::values::{Decimal, Line, Text};

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Coding {
    pub system: Option<String>,
    pub code: Option<String>,
    pub display: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Concept {
    pub coding: Vec<Coding>,
    pub text: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Reference {
    pub reference: Option<String>,
    pub display: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Period {
    pub start: Option<String>,
    pub end: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Labels {
    pub security: Vec<Coding>,
}

#[derive(Deserialize)]
pub struct FhirQuantity<'a> {
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
    pub unit: Option<String>,
    pub code: Option<String>,
}

impl FhirQuantity<'_> {
    pub fn read(&self) -> Result<Option<Quantity>, String> {
        let Some(value) = self.value else { return Ok(None) };
        let value = Decimal::new(value.get()).map_err(|error| error.to_string())?;
        Ok(Some(Quantity { value, unit: optional_line(self.unit.as_deref().or(self.code.as_deref()))? }))
    }
}

pub fn line(text: &str) -> Result<Line, String> {
    // Line breaks inside a label mean nothing; they become spaces.
    let single: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Line::new(&single).map_err(|error| error.to_string())
}

pub fn optional_line(text: Option<&str>) -> Result<Option<Line>, String> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => line(text).map(Some),
    }
}

pub fn long_text(text: &str) -> Result<Text, String> {
    Text::new(text).map_err(|error| error.to_string())
}

impl Concept {
    /// The words for it: text, or the first display, or the first code.
    pub fn words(&self) -> Option<&str> {
        let texts = self.text.as_deref().into_iter();
        let displays = self.coding.iter().filter_map(|coding| coding.display.as_deref());
        let codes = self.coding.iter().filter_map(|coding| coding.code.as_deref());
        texts.chain(displays).chain(codes).find(|words| !words.trim().is_empty())
    }

    pub fn read(&self) -> Result<Option<Coded>, String> {
        let Some(words) = self.words() else { return Ok(None) };
        let coding = self.coding.iter().find(|coding| coding.code.is_some());
        Ok(Some(Coded {
            system: optional_line(coding.and_then(|c| c.system.as_deref()))?,
            code: optional_line(coding.and_then(|c| c.code.as_deref()))?,
            text: line(words)?,
        }))
    }

    pub fn line(&self) -> Result<Option<Line>, String> {
        optional_line(self.words())
    }

    pub fn first_code(&self) -> Option<&str> {
        self.coding.iter().find_map(|coding| coding.code.as_deref())
    }
}

/// A FHIR date or date-time: the day, and the instant when one is given. A date without a day stays words.
pub struct When {
    pub date: Option<Date>,
    pub instant: Option<Timestamp>,
    pub partial: Option<Line>,
}

pub fn when(text: Option<&str>) -> Result<When, String> {
    let Some(text) = text else { return Ok(When { date: None, instant: None, partial: None }) };
    if text.len() == 4 || text.len() == 7 {
        return Ok(When { date: None, instant: None, partial: Some(line(&format!("date {text}"))?) });
    }
    if text.len() == 10 {
        let date = text.parse::<Date>().map_err(|_| "has a malformed date".to_owned())?;
        return Ok(When { date: Some(date), instant: None, partial: None });
    }
    let instant = text.parse::<Timestamp>().map_err(|_| "has a malformed date and time".to_owned())?;
    // The day is the one of the place where it happened, so it is read from the text and not from the instant in UTC.
    let date = text.get(..10).and_then(|day| day.parse::<Date>().ok());
    Ok(When { date, instant: Some(instant), partial: None })
}

/// Sensitivity from security labels and from diagnosis codes that say it by themselves.
pub fn sensitivity<'a>(labels: impl IntoIterator<Item = &'a Coding>, concepts: &[&Concept]) -> Vec<Sensitivity> {
    let labelled = labels.into_iter().filter_map(|label| match label.code.as_deref()? {
        "PSY" => Some(Sensitivity::MentalHealth),
        "PSYTHPN" => Some(Sensitivity::Psychotherapy),
        "SUD" | "ETH" | "ETHUD" | "OPIOIDUD" => Some(Sensitivity::SubstanceUse),
        "HIV" => Some(Sensitivity::Hiv),
        "SEX" | "SDV" => Some(Sensitivity::Reproductive),
        _ => None,
    });
    let coded = concepts.iter().flat_map(|concept| &concept.coding).filter_map(|coding| {
        let is_icd10 = coding.system.as_deref().is_some_and(|system| system.contains("icd-10"));
        if is_icd10 { icd10_sensitivity(coding.code.as_deref()?) } else { None }
    });
    let mut all: Vec<_> = labelled.chain(coded).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Chapters of ICD-10 that are specially protected: F10-F19 substance use, other F mental health, B20-B24 and Z21 HIV.
fn icd10_sensitivity(code: &str) -> Option<Sensitivity> {
    let letter = code.chars().next()?;
    let number: u8 = code.get(1..3)?.parse().ok()?;
    match (letter, number) {
        ('F', 10..=19) => Some(Sensitivity::SubstanceUse),
        ('F', _) => Some(Sensitivity::MentalHealth),
        ('B', 20..=24) | ('Z', 21) => Some(Sensitivity::Hiv),
        _ => None,
    }
}
