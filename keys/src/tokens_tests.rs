//! Who is found by what.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wardbook_events::values::{Email, Mrn, PersonName, Phone, Ssn};
use wardbook_events::{Field, PatientId, SealedFields, TenantId, Token, TokenKind, patients};

use crate::{Forms, Keys, KeysConfig, Matching, OpenError, RetokenError, RootKey, SearchTerms, SearchValues};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const PATIENT: PatientId = PatientId::from_bytes([7; 16]);

fn name(family: &str, given: &[&str]) -> PersonName {
    serde_json::from_value(serde_json::json!({ "family": family, "given": given })).unwrap()
}

fn values(family: &str, ssn: &str, mrn: &str) -> SearchValues {
    SearchValues {
        name: Some(name(family, &["Anna"])),
        birth_date: Some(serde_json::from_str("\"1980-02-29\"").unwrap()),
        ssn: Some(Ssn::new(ssn).unwrap()),
        mrn: Some(Mrn::new(mrn).unwrap()),
        emails: vec![Email::new("Anna@Example.org").unwrap(), Email::new("am@example.com").unwrap()],
        phones: vec![Phone::new("(555) 010-0199").unwrap(), Phone::new("unknown").unwrap()],
    }
}

fn indexed(keys: &Keys, family: &str, given: &[&str]) -> BTreeSet<Token> {
    keys.tokens(TENANT, &SearchValues { name: Some(name(family, given)), ..SearchValues::default() }).unwrap()
}

fn matches(keys: &Keys, terms: &SearchTerms, tokens: &BTreeSet<Token>) -> bool {
    let ways = keys.search_tokens(TENANT, terms).unwrap();
    ways.iter().any(|sets| !sets.is_empty() && sets.iter().all(|any| any.iter().any(|token| tokens.contains(token))))
}

/// Whether the query finds a patient of that name.
fn finds(keys: &Keys, query: &str, matching: Matching, tokens: &BTreeSet<Token>) -> bool {
    let terms = SearchTerms { name: Some(query.to_owned()), matching, ..SearchTerms::default() };
    matches(keys, &terms, tokens)
}

#[test]
fn names_are_found_as_written_and_as_heard() {
    let keys = Keys::in_memory().unwrap();
    let patient = indexed(&keys, "van der Müller", &["Anna", "Maria"]);
    for query in ["muller", "MÜLLER anna", "maria van der muller", "Anna"] {
        assert!(finds(&keys, query, Matching::Exact, &patient), "{query}");
    }
    assert!(!finds(&keys, "muller berta", Matching::Exact, &patient));
    assert!(!finds(&keys, "", Matching::Exact, &patient));
    assert!(!finds(&keys, "miller ana", Matching::Exact, &patient));
    assert!(finds(&keys, "miller ana", Matching::Sounds, &patient));
    assert!(finds(&keys, "schmidt", Matching::Sounds, &indexed(&keys, "Smith", &["Jo"])));
    assert!(finds(&keys, "smith", Matching::Sounds, &indexed(&keys, "Schmidt", &["Jo"])));
}

#[test]
fn names_are_found_by_their_first_letters() {
    let keys = Keys::in_memory().unwrap();
    let patient = indexed(&keys, "van der Müllersheim", &["Anna-Maria", "Li"]);
    for query in ["mül", "MULLERSH", "ann mul", "mar", "van", "li mull", "Müllersheim"] {
        assert!(finds(&keys, query, Matching::Prefix, &patient), "{query}");
    }
    for query in ["mu", "nna", "müx", "ann berta", "l"] {
        assert!(!finds(&keys, query, Matching::Prefix, &patient), "{query}");
    }
    let terms =
        |name: &str| SearchTerms { name: Some(name.into()), matching: Matching::Prefix, ..SearchTerms::default() };
    let written = name("van der Müllersheim", &["Anna-Maria", "Li"]);
    assert!(finds(&keys, "muellersheimer", Matching::Prefix, &indexed(&keys, "Muellersheim", &["A"])), "eight letters");
    assert!(!terms("müllersheimer").fits(&written), "what was typed beyond them is compared after opening");
    assert!(terms("müllersh ann").fits(&written));
}

#[test]
fn how_short_a_prefix_may_be_is_a_setting() {
    let of = |prefix_min, prefix_max| {
        let mut config =
            KeysConfig::new(tempfile::tempdir().unwrap().path().join("keys"), RootKey::ephemeral().unwrap());
        config.forms = Forms { prefix_min, prefix_max, ..Forms::default() };
        let dir = tempfile::tempdir().unwrap();
        config.path = dir.path().join("keys.sqlite");
        (Keys::open_store(config).unwrap(), dir)
    };
    let (keys, _dir) = of(2, 4);
    assert!(finds(&keys, "ok", Matching::Prefix, &indexed(&keys, "Okafor", &["N"])));
    let (keys, _dir) = of(3, 0);
    let tokens = indexed(&keys, "Okafor", &["N"]);
    assert!(tokens.iter().all(|token| !matches!(token.kind, TokenKind::FamilyPrefix | TokenKind::GivenPrefix)));
    assert!(finds(&keys, "okafor", Matching::Prefix, &tokens), "without prefixes a word must be whole");
    assert!(!finds(&keys, "okaf", Matching::Prefix, &tokens));
}

#[test]
fn tokens_of_kinds_and_tenants_never_match() {
    let keys = Keys::in_memory().unwrap();
    let same = || SearchValues {
        ssn: Some(Ssn::new("123456789").unwrap()),
        mrn: Some(Mrn::new("123456789").unwrap()),
        phones: vec![Phone::new("+123456789").unwrap()],
        ..SearchValues::default()
    };
    let of = |byte| keys.tokens(TenantId::from_bytes([byte; 16]), &same()).unwrap();
    let all: BTreeSet<_> = of(1).into_iter().chain(of(2)).map(|token| token.value).collect();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|value| value.len() == 32));
}

#[test]
fn a_patient_has_a_token_of_every_kind_and_equal_facts_have_equal_tokens() {
    let keys = Keys::in_memory().unwrap();
    let tokens = |family: &str, ssn: &str, mrn: &str| keys.tokens(TENANT, &values(family, ssn, mrn)).unwrap();
    let one = tokens("Müller", "123-45-6789", "mrn-ab");
    assert_eq!(one, tokens("MULLER", "123456789", "MRN-AB"));
    let kinds: BTreeSet<_> = one.iter().map(|token| token.kind).collect();
    assert_eq!(kinds, BTreeSet::from(TokenKind::ALL));
    assert!(one.iter().all(|token| token.index == 1));
    assert_eq!(one.iter().filter(|token| token.kind == TokenKind::Phone).count(), 1, "what is no number has no token");
}

#[test]
fn each_term_finds_and_together_they_narrow() {
    let keys = Keys::in_memory().unwrap();
    let tokens = keys.tokens(TENANT, &values("Müller", "123-45-6789", "mrn-ab")).unwrap();
    let email = |text| SearchTerms { email: Some(Email::new(text).unwrap()), ..SearchTerms::default() };
    let phone = |text| SearchTerms { phone: Some(Phone::new(text).unwrap()), ..SearchTerms::default() };
    assert!(matches(&keys, &email("ANNA@example.org"), &tokens) && matches(&keys, &email("am@example.com"), &tokens));
    assert!(!matches(&keys, &email("anna@example.com"), &tokens));
    assert!(matches(&keys, &phone("+1 555 0100199"), &tokens) && !matches(&keys, &phone("+1 555 0100198"), &tokens));
    assert!(!matches(&keys, &phone("unknown"), &tokens), "what is no number finds nobody");
    let both = |ssn: &str| SearchTerms {
        ssn: Some(Ssn::new(ssn).unwrap()),
        name: Some("muller".into()),
        ..email("am@example.com")
    };
    assert!(matches(&keys, &both("123 45 6789"), &tokens) && !matches(&keys, &both("123 45 6780"), &tokens));
    assert_eq!(
        both("123 45 6789").kinds(),
        [TokenKind::FamilyName, TokenKind::GivenName, TokenKind::Ssn, TokenKind::Email]
    );
}

fn sealed(keys: &Keys, values: &SearchValues) -> SealedFields {
    fn seal<T: serde::Serialize>(keys: &Keys, field: Field, value: &T) -> (Field, wardbook_events::Ciphertext) {
        let stream = patients::stream(PATIENT);
        (field, keys.seal(TENANT, PATIENT, &stream, field, value).unwrap().into_ciphertext())
    }
    keys.create_patient_key(TENANT, PATIENT).unwrap();
    SealedFields(
        [
            seal(keys, Field::Name, values.name.as_ref().unwrap()),
            seal(keys, Field::BirthDate, &values.birth_date.unwrap()),
            seal(keys, Field::Ssn, values.ssn.as_ref().unwrap()),
            seal(keys, Field::Mrn, values.mrn.as_ref().unwrap()),
            seal(keys, Field::Emails, &values.emails),
            seal(keys, Field::Phones, &values.phones),
        ]
        .into(),
    )
}

#[test]
fn sealed_values_give_the_tokens_of_their_plaintext() {
    let keys = Keys::in_memory().unwrap();
    let values = values("Müller", "123-45-6789", "mrn-ab");
    let mut fields = sealed(&keys, &values);
    assert_eq!(keys.retoken(TENANT, PATIENT, &fields).unwrap(), keys.tokens(TENANT, &values).unwrap());

    let moved = fields.0[&Field::Ssn].clone();
    fields.0.insert(Field::Mrn, moved);
    assert!(matches!(keys.retoken(TENANT, PATIENT, &fields), Err(RetokenError::Open(OpenError::NotAuthentic))));

    keys.destroy_patient_key(TENANT, PATIENT).unwrap();
    for fields in [fields, SealedFields::default()] {
        let erased = keys.retoken(TENANT, PATIENT, &fields);
        assert!(matches!(erased, Err(RetokenError::Open(OpenError::Destroyed { .. }))));
    }
}

proptest! {
    /// Case, marks and spaces are not what tells two names apart.
    #[test]
    fn a_name_is_found_however_it_is_written(family in "[A-Za-zéüøñ]{3,12}", given in "[A-Za-zéü]{3,12}", spaces in 1..4_usize) {
        let keys = Keys::in_memory().unwrap();
        let tokens = indexed(&keys, &family, &[&given]);
        let query = format!("{}{}{}", given.to_uppercase(), " ".repeat(spaces), family.to_lowercase());
        prop_assert!(finds(&keys, &query, Matching::Exact, &tokens));
        prop_assert!(finds(&keys, &query, Matching::Sounds, &tokens));
        prop_assert!(finds(&keys, &query, Matching::Prefix, &tokens));
    }
}
