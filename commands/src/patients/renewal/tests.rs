use wardbook_events::TokenKind;
use wardbook_events::patients::{
    PatientCorrected, PatientErased, PatientEvent, PatientMerged, PatientRegistered, PatientUnmerged, TokenClaimed,
};

use super::super::claims::{claim, release};
use super::super::{Command, Correct, decide};
use super::*;
use crate::context::Evolve;
use crate::rejection::Rejection;
use crate::scenario::*;

/// A token as a version of the index key makes it.
fn made(index: u32, kind: TokenKind, value: &str) -> Token {
    Token { kind, index, value: format!("{value}-{index}") }
}
fn ssn(index: u32) -> Token {
    made(index, TokenKind::Ssn, "s")
}
fn family(index: u32) -> Token {
    made(index, TokenKind::FamilyName, "f")
}
fn mark(index: u32) -> Token {
    made(index, TokenKind::NameAndBirthDate, "m")
}
fn registered(tokens: &[Token]) -> Event {
    PatientRegistered {
        patient: patient(1),
        fields: SealedFields([(Field::Name, sealed("name")), (Field::Ssn, sealed("ssn"))].into()),
        tokens: tokens.to_vec(),
        departments: Vec::new(),
        jurisdiction: "US".into(),
        vip: false,
    }
    .into()
}
fn reindexed(tokens: &[Token]) -> Event {
    PatientReindexed { patient: patient(1), tokens: tokens.to_vec(), forms: FORMS_VERSION }.into()
}
fn held(tokens: &[(Token, &[u128])]) -> Claims {
    let events = |token: &Token, by: &[u128]| -> Vec<Event> {
        let one = |n: &u128| TokenClaimed { tenant: tenant(), patient: patient(*n), token: token.clone() }.into();
        by.iter().map(one).collect()
    };
    tokens.iter().map(|(token, by)| (token.clone(), Evolve::after(&events(token, by)))).collect()
}
fn to(tokens: &[Token], claims: Claims) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let tokens = tokens.iter().cloned().collect();
    move |state| Ok(reindex(patient(1), state, &claims, tokens, &context()))
}
fn gone(token: &Token) -> Event {
    release(tenant(), patient(1), token)
}
fn had(token: &Token) -> Event {
    claim(tenant(), patient(1), token)
}

#[test]
fn who_is_reindexed_is_found_by_the_new_tokens_and_the_claims_go_along() {
    let (old, new) = ([ssn(1), family(1)], [ssn(2), family(2)]);
    let claims = || held(&[(ssn(1), &[1])]);
    given(&[registered(&old)]).when(to(&new, claims())).then([reindexed(&new), gone(&ssn(1)), had(&ssn(2))]);
    given(&[registered(&old), reindexed(&new)]).when(to(&new, claims())).then_nothing();
    let both = [ssn(1), ssn(2), family(1), family(2)];
    given(&[registered(&both)]).when(to(&new, claims())).then([reindexed(&new), gone(&ssn(1))]);
    let not_his = held(&[(ssn(1), &[2])]);
    given(&[registered(&old)]).when(to(&new, not_his)).then([reindexed(&new), had(&ssn(2))]);
}

#[test]
fn who_was_merged_is_reindexed_too_and_who_was_erased_is_not() {
    let (old, new) = ([ssn(1)], [ssn(2)]);
    let merged = PatientMerged { patient: patient(1), into: patient(2) };
    let parted = PatientUnmerged { patient: patient(1), from: patient(2) };
    let events = [registered(&old), merged.into(), reindexed(&new), parted.into()];
    given(&events[..2]).when(to(&new, held(&[(ssn(1), &[1])]))).then([reindexed(&new), gone(&ssn(1)), had(&ssn(2))]);
    let state: State = Evolve::after(&events);
    assert_eq!(state.active().unwrap().tokens, new.iter().cloned().collect(), "kept through the parting");
    let erased = PatientErased { patient: patient(1), erasure: wardbook_events::ErasureId::from_bytes([1; 16]) };
    given(&[registered(&old), erased.into()]).when(to(&new, Claims::new())).then_nothing();
    given(&[]).when(to(&new, Claims::new())).then_nothing();
}

fn correcting(tokens: &[Token], claims: Claims) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let command = Correct {
        patient: patient(1),
        changes: [(Field::Phones, Some(sealed("phones")))].into(),
        tokens: tokens.iter().cloned().collect(),
        confirm_distinct: false,
    };
    move |state| decide(state, &claims, Command::Correct(command), &context())
}
fn corrected(tokens: &[Token]) -> Event {
    let change =
        wardbook_events::patients::FieldChange { field: Field::Phones, old: None, new: Some(sealed("phones")) };
    PatientCorrected { patient: patient(1), changes: vec![change], tokens: tokens.to_vec() }.into()
}

/// Two people of one name and birth date, which somebody confirmed: a new version of the key makes them no duplicates.
#[test]
fn what_was_shared_under_one_version_is_shared_under_the_next() {
    let both = [mark(1), mark(2)];
    let claims = held(&[(mark(1), &[1, 2]), (mark(2), &[2])]);
    given(&[registered(&[mark(1)])]).when(correcting(&both, claims)).then([corrected(&both), had(&mark(2))]);
}

#[test]
fn a_value_that_somebody_has_is_refused_by_whichever_version_he_is_found() {
    let other = [made(1, TokenKind::Ssn, "t"), made(2, TokenKind::Ssn, "t")];
    for (old, new) in [(&[2][..], &[][..]), (&[], &[2]), (&[2], &[2])] {
        let claims = held(&[(other[0].clone(), old), (other[1].clone(), new)]);
        given(&[registered(&[ssn(1)])]).when(correcting(&other, claims)).rejected(Rejection::Duplicate);
    }
}

#[test]
fn fields_sealed_anew_take_the_place_of_the_old() {
    let anew = || BTreeMap::from([(Field::Name, sealed("name-2")), (Field::Phones, sealed("nothing"))]);
    let resealed: Event =
        PatientResealed { patient: patient(1), fields: SealedFields([(Field::Name, sealed("name-2"))].into()) }.into();
    given(&[registered(&[])]).when(|state: &State| Ok(reseal(patient(1), state, anew()))).then([resealed.clone()]);
    given(&[registered(&[])]).when(|state: &State| Ok(reseal(patient(1), state, BTreeMap::new()))).then_nothing();
    let state: State = Evolve::after(&[registered(&[]), resealed]);
    let fields = &state.active().unwrap().fields.0;
    assert_eq!((&fields[&Field::Name], &fields[&Field::Ssn]), (&sealed("name-2"), &sealed("ssn")));
    assert!(!fields.contains_key(&Field::Phones), "what was not there is not sealed anew");
    assert!(matches!(registered(&[]), Event::Patient(PatientEvent::Registered(_))));
}
