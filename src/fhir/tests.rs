use super::*;
use wardbook_events::values::Decimal;

fn only(json: &str) -> Result<Mapped, Skip> {
    let mut all = resources(json);
    assert_eq!(all.len(), 1);
    map(&all.remove(0)?)
}

fn record(json: &str) -> (RecordKind, Vec<Sensitivity>, RecordBody) {
    match only(json).unwrap() {
        Mapped::Record { patient, kind, sensitivity, body } => {
            assert_eq!(patient, "Patient/1");
            (kind, sensitivity, *body)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_patient_with_everything() {
    let mapped = only(
        r#"{"resourceType":"Patient","id":"1","name":[{"use":"nickname","family":"X","given":["Y"]},
        {"use":"official","family":"Okafor","given":["Ngozi","Ada"],"prefix":["Dr."]}],"gender":"female","birthDate":"1980-02-29",
        "identifier":[{"type":{"coding":[{"code":"MR"}]},"system":"urn:h","value":"A-1"},
        {"system":"http://hl7.org/fhir/sid/us-ssn","value":"123-45-6789"},{"system":"urn:passport","value":"P1"}],
        "telecom":[{"system":"phone","value":"(555) 010-0000"},{"system":"email","value":"n@example.org"},{"system":"fax","value":"1"}],
        "address":[{"line":["1 Road"],"city":"Lagos","postalCode":"100001","country":"NG"}],
        "contact":[{"name":{"family":"Okafor","given":["Emeka"]},"relationship":[{"text":"brother"}],"telecom":[{"system":"phone","value":"5"}]}],
        "communication":[{"language":{"coding":[{"code":"en-US"}]}}],"deceasedDateTime":"2020-01-02T03:04:05Z"}"#,
    );
    let Mapped::Patient(fields) = mapped.unwrap() else { panic!() };
    assert_eq!(fields.name.normalised(), "okafor ngozi ada");
    assert_eq!(fields.ssn.unwrap().digits(), "123456789");
    assert_eq!(fields.mrn.unwrap().as_str(), "A-1");
    assert_eq!(
        (fields.identifiers.len(), fields.phones.len(), fields.emails.len(), fields.next_of_kin.len()),
        (1, 1, 1, 1)
    );
    assert_eq!(fields.deceased.unwrap().date.unwrap().to_string(), "2020-01-02");
}

#[test]
fn numbers_keep_their_digits() {
    let (kind, _, body) = record(
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"status":"final",
        "category":[{"coding":[{"code":"laboratory"}]}],"code":{"text":"Potassium"},"effectiveDateTime":"2026-03-04T23:30:00-05:00",
        "valueQuantity":{"value":4.50,"unit":"mmol/L"}}"#,
    );
    assert_eq!(kind, RecordKind::LabResult);
    assert!(body.quantity.unwrap().value == Decimal::new("4.50").unwrap());
    assert_eq!(body.date.unwrap().to_string(), "2026-03-04", "the day at the place where it was measured");
    assert_eq!(body.start.unwrap().to_string(), "2026-03-05T04:30:00Z");
}

#[test]
fn blood_pressure_has_two_parts() {
    let (kind, _, body) = record(
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"category":[{"coding":[{"code":"vital-signs"}]}],
        "code":{"coding":[{"code":"85354-9","display":"Blood pressure"}]},"component":[
        {"code":{"text":"Systolic"},"valueQuantity":{"value":131}},{"code":{"text":"Diastolic"},"valueQuantity":{"value":80.0}}]}"#,
    );
    assert_eq!(kind, RecordKind::VitalSign);
    let values: Vec<_> =
        body.components.iter().map(|c| c.quantity.as_ref().unwrap().value.as_str().to_owned()).collect();
    assert_eq!(values, ["131", "80.0"]);
}

#[test]
fn protected_diagnoses_are_sensitive() {
    let labels = |code: &str| {
        record(&format!(
            r#"{{"resourceType":"Condition","subject":{{"reference":"Patient/1"}},"code":{{"coding":[
            {{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"{code}"}}]}}}}"#
        ))
        .1
    };
    assert_eq!(labels("F10.20"), [Sensitivity::SubstanceUse]);
    assert_eq!(labels("F32.9"), [Sensitivity::MentalHealth]);
    assert_eq!(labels("B20"), [Sensitivity::Hiv]);
    assert!(labels("I10").is_empty());
}

#[test]
fn a_partial_date_is_kept_in_words() {
    let (_, _, body) = record(
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/1"},"code":{"text":"Asthma"},"onsetDateTime":"2019-05"}"#,
    );
    assert!(body.date.is_none());
    assert_eq!(body.details[0].as_str(), "date 2019-05");
}

#[test]
fn a_clinical_note_brings_its_text_and_another_document_its_metadata() {
    let json = |category: &str| {
        format!(
            r#"{{"resourceType":"DocumentReference","subject":{{"reference":"Patient/1"}},"type":{{"text":"Nurse note"}},
            "category":[{{"coding":[{{"code":"{category}"}}]}}],"content":[{{"attachment":{{"contentType":"text/plain","data":"YWxsIHdlbGw=","size":8}}}}]}}"#
        )
    };
    let (kind, _, body) = record(&json("clinical-note"));
    assert_eq!((kind, body.text.unwrap().as_str()), (RecordKind::Note, "all well"));
    let (kind, _, body) = record(&json("scan"));
    assert_eq!((kind, body.size_bytes), (RecordKind::Document, Some(8)));
}

#[test]
fn a_bundle_is_split_and_its_urls_are_the_keys() {
    let bundle = r#"{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:a","resource":{"resourceType":"Patient"}},
        {"resource":{"resourceType":"Group","id":"g"}},{"resource":{"id":"no type"}}]}"#;
    let all = resources(bundle);
    assert_eq!(all[0].as_ref().unwrap().key.as_deref(), Some("urn:uuid:a"));
    assert_eq!(all[1].as_ref().unwrap().key.as_deref(), Some("Group/g"));
    assert_eq!(map(all[1].as_ref().unwrap()).unwrap_err().to_string(), "Group: type is not supported");
    assert_eq!(all[2].as_ref().unwrap_err().resource_type, "unknown");
}

#[test]
fn what_is_skipped_is_named_and_quotes_nothing() {
    for (json, reason) in [
        (r#"{"resourceType":"Patient"}"#, "has no birth date"),
        (r#"{"resourceType":"Patient","birthDate":"1980"}"#, "has a birth date without month or day"),
        (r#"{"resourceType":"Condition","code":{"text":"Secret"}}"#, "has no patient"),
        (r#"{"resourceType":"Condition","code":{},"subject":{"reference":"Patient/1"}}"#, "has no code and no text"),
        (r#"{"resourceType":"Condition","code":"Secret"}"#, "malformed"),
    ] {
        let skip = only(json).unwrap_err();
        assert!(skip.reason.contains(reason), "{skip}");
        assert!(!skip.reason.contains("Secret"), "{skip}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", kind in "(Patient|Observation|Encounter|Coverage|Appointment|Bundle)") {
        for json in [text.clone(), format!(r#"{{"resourceType":"{kind}","subject":{{"reference":{}}}}}"#, serde_json::json!(text))] {
            for resource in resources(&json).into_iter().flatten() {
                let _ = map(&resource);
            }
        }
    }
}
