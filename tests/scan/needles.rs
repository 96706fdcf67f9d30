//! What tells who a patient is, in every form in which it could be written down.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

/// A patient of the fixture.
pub struct Person {
    pub family: String,
    pub given: Vec<String>,
    pub birth_date: String,
    /// Names, numbers and addresses, as they are written there.
    pub values: Vec<String>,
}

/// A value in clear.
#[derive(Debug)]
pub struct Hit {
    pub value: String,
    #[expect(dead_code, reason = "printed when a test fails")]
    pub place: String,
    #[expect(dead_code, reason = "printed when a test fails")]
    pub offset: usize,
}

fn texts<'a>(list: &'a Value, name: &'a str) -> impl Iterator<Item = String> + 'a {
    list.as_array().into_iter().flatten().filter_map(move |one| one[name].as_str()).map(str::to_owned)
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The patients of the fixture.
pub fn people() -> Vec<Person> {
    super::resources().iter().filter(|resource| resource["resourceType"] == "Patient").map(person).collect()
}

fn person(patient: &Value) -> Person {
    let name = &patient["name"][0];
    let (family, given) = (name["family"].as_str().unwrap().to_owned(), strings(&name["given"]));
    let mut values = vec![family.clone()];
    // Shorter given names are parts of too many words.
    values.extend(given.iter().filter(|given| given.len() >= 4).cloned());
    let numbers = patient["identifier"].as_array().into_iter().flatten();
    values.extend(
        numbers
            .filter(|id| id["system"] == "http://hl7.org/fhir/sid/us-ssn")
            .map(|id| id["value"].as_str().unwrap().to_owned()),
    );
    values.extend(texts(&patient["telecom"], "value"));
    values.extend(patient["address"].as_array().into_iter().flatten().flat_map(|address| strings(&address["line"])));
    Person { family, given, birth_date: patient["birthDate"].as_str().unwrap().to_owned(), values }
}

/// All forms of all values, found by their first bytes.
pub struct Needles {
    by_start: HashMap<[u8; 4], Vec<(Vec<u8>, String)>>,
    /// Which pairs of bytes any form begins with: most places are passed by at one look.
    begins: Vec<bool>,
}

impl Needles {
    pub fn of(people: &[Person]) -> Self {
        let mut needles = Self { by_start: HashMap::new(), begins: vec![false; 1 << 16] };
        let values: BTreeSet<_> = people.iter().flat_map(|person| &person.values).collect();
        for value in values {
            for form in forms(value) {
                needles.begins[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
                needles.by_start.entry(*form.first_chunk().unwrap()).or_default().push((form, value.clone()));
            }
        }
        needles
    }

    pub fn hits(&self, place: &str, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (offset, start) in bytes.windows(4).enumerate() {
            if !self.begins[usize::from(start[0]) << 8 | usize::from(start[1])] {
                continue;
            }
            for (form, value) in self.by_start.get(start).into_iter().flatten() {
                if bytes[offset..].starts_with(form) && !is_chance(bytes, offset, form, value) {
                    hits.push(Hit { value: value.clone(), place: place.to_owned(), offset });
                }
            }
        }
        hits
    }
}

/// Whether a short word, written as it is, stands in the middle of letters: megabytes of base64 have every four letters somewhere,
/// while a name has an end on one side at least.
fn is_chance(bytes: &[u8], offset: usize, form: &[u8], value: &str) -> bool {
    let is_letter = |at: Option<usize>| {
        let byte = at.and_then(|at| bytes.get(at));
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
    };
    let is_short_word = value.len() < 6 && form.len() == value.len();
    is_short_word && is_letter(offset.checked_sub(1)) && is_letter(Some(offset + form.len()))
}

/// As written, in small and capital letters, numbers as digits only, and all of that in base64 and hexadecimal.
fn forms(value: &str) -> BTreeSet<Vec<u8>> {
    let mut texts = vec![value.to_owned(), value.to_lowercase(), value.to_uppercase()];
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= 9 && !value.contains(char::is_alphabetic) {
        texts.push(digits);
    }
    // Three letters are everywhere: in quotes they are somebody's name.
    let short = |text: String| if text.len() < 4 { format!("\"{text}\"") } else { text };
    let mut forms = BTreeSet::new();
    for text in texts.into_iter().map(short) {
        forms.extend([hex::encode(&text).into_bytes(), hex::encode_upper(&text).into_bytes()]);
        for before in 0..3 {
            // The letters of base64 that depend on nothing but the value, wherever it stands.
            let padded = [&vec![0; before], text.as_bytes()].concat();
            let whole = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
            // Four of them are in every longer text of random letters.
            if whole.len() > 4 {
                forms.extend(
                    [&STANDARD, &URL_SAFE].map(|engine| engine.encode(&padded).as_bytes()[whole.clone()].to_vec()),
                );
            }
        }
        forms.insert(text.into_bytes());
    }
    forms
}
