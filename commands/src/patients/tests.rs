use proptest::prelude::*;
use wardbook_events::TokenKind;
use wardbook_events::patients::{TokenClaimed, TokenReleased};

use super::claims::Holders;
use super::*;
use crate::scenario::*;

fn ssn(value: &str) -> Token {
    token(TokenKind::Ssn, value)
}
fn mark(value: &str) -> Token {
    token(TokenKind::NameAndBirthDate, value)
}
fn fields(all: &[(Field, &str)]) -> SealedFields {
    SealedFields(all.iter().map(|(field, text)| (*field, sealed(text))).collect())
}
fn registration(n: u128, tokens: &[Token]) -> Register {
    Register {
        patient: patient(n),
        fields: fields(&[(Field::Name, "name"), (Field::Ssn, "ssn")]),
        tokens: tokens.iter().cloned().collect(),
        places: Places { departments: ["cardiology".into()].into(), facilities: BTreeSet::new() },
        jurisdiction: "US".into(),
        vip: false,
        confirm_distinct: false,
    }
}
fn registered(n: u128, tokens: &[Token]) -> Event {
    let Register { patient, fields, tokens, places, jurisdiction, vip, .. } = registration(n, tokens);
    let departments = places.departments.into_iter().collect();
    PatientRegistered { patient, fields, tokens: tokens.into_iter().collect(), departments, jurisdiction, vip }.into()
}
fn claimed(n: u128, token: Token) -> Event {
    TokenClaimed { tenant: tenant(), patient: patient(n), token }.into()
}
fn released(n: u128, token: Token) -> Event {
    TokenReleased { tenant: tenant(), patient: patient(n), token }.into()
}
fn merged(n: u128, into: u128) -> Event {
    PatientMerged { patient: patient(n), into: patient(into) }.into()
}
fn absorbed(n: u128, absorbed: u128) -> Event {
    PatientAbsorbed { patient: patient(n), absorbed: patient(absorbed) }.into()
}
fn unmerged(n: u128, from: u128) -> Event {
    PatientUnmerged { patient: patient(n), from: patient(from) }.into()
}
fn parted(n: u128, parted: u128) -> Event {
    PatientParted { patient: patient(n), parted: patient(parted) }.into()
}
fn held(token: Token, by: &[u128]) -> Claims {
    let events: Vec<_> = by.iter().map(|n| claimed(*n, token.clone())).collect();
    Claims::from([(token, Holders::after(&events))])
}
fn register(state: &State, claims: &Claims, command: Register) -> Result<Vec<Event>, Rejection> {
    decide(state, claims, Command::Register(command), &context())
}
fn correct(
    changes: &[(Field, Option<&str>)],
    tokens: &[Token],
    claims: &Claims,
) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let command = Correct {
        patient: patient(1),
        changes: changes.iter().map(|(field, new)| (*field, new.map(sealed))).collect(),
        tokens: tokens.iter().cloned().collect(),
        confirm_distinct: false,
    };
    move |state| decide(state, claims, Command::Correct(command), &context())
}
fn corrected(changes: &[(Field, Option<&str>, Option<&str>)], tokens: &[Token]) -> Event {
    let changes = changes.iter().map(|(field, old, new)| FieldChange {
        field: *field,
        old: old.map(sealed),
        new: new.map(sealed),
    });
    PatientCorrected { patient: patient(1), changes: changes.collect(), tokens: tokens.to_vec() }.into()
}

#[test]
fn registering_claims_every_unique_token() {
    let family = token(TokenKind::FamilyName, "f");
    let all = [ssn("s"), family, mark("m")];
    given(&[]).when(|state| register(state, &Claims::new(), registration(1, &all))).then([
        registered(1, &all),
        claimed(1, ssn("s")),
        claimed(1, mark("m")),
    ]);
}

#[test]
fn nobody_is_registered_twice() {
    given(&[registered(1, &[])])
        .when(|s| register(s, &Claims::new(), registration(1, &[])))
        .rejected(Rejection::AlreadyExists);
    given(&[])
        .when(|s| register(s, &held(ssn("s"), &[2]), registration(1, &[ssn("s")])))
        .rejected(Rejection::Duplicate);
    given(&[])
        .when(|s| register(s, &held(mark("m"), &[2]), registration(1, &[mark("m")])))
        .rejected(Rejection::Duplicate);
}

#[test]
fn confirmed_people_share_name_and_birth_date_but_no_ssn() {
    let confirmed = |token| Register { confirm_distinct: true, ..registration(1, &[token]) };
    given(&[])
        .when(|s| register(s, &held(mark("m"), &[2]), confirmed(mark("m"))))
        .then([registered(1, &[mark("m")]), claimed(1, mark("m"))]);
    given(&[]).when(|s| register(s, &held(ssn("s"), &[2]), confirmed(ssn("s")))).rejected(Rejection::Duplicate);
}

#[test]
fn a_token_that_was_given_up_is_free() {
    let free = Holders::after(&[claimed(2, ssn("s")), released(2, ssn("s"))]);
    given(&[])
        .when(|s| register(s, &Claims::from([(ssn("s"), free)]), registration(1, &[ssn("s")])))
        .then([registered(1, &[ssn("s")]), claimed(1, ssn("s"))]);
}

#[test]
fn jurisdictions_and_departments_are_checked() {
    let elsewhere = Register { jurisdiction: "XX".into(), ..registration(1, &[]) };
    given(&[]).when(|s| register(s, &Claims::new(), elsewhere)).rejected(Rejection::UnknownJurisdiction);
    let many = (0..21).map(|n| format!("a{n}")).collect();
    for wrong in [vec![String::new()], vec!["Cardio".into()], vec!["x".repeat(65)], many] {
        let names: BTreeSet<_> = wrong.into_iter().collect();
        let departments = Places { departments: names.clone(), ..Places::default() };
        let facilities = Places { facilities: names, ..Places::default() };
        for places in [departments, facilities] {
            let command = Register { places: places.clone(), ..registration(1, &[]) };
            given(&[]).when(|s| register(s, &Claims::new(), command)).rejected(Rejection::BadDepartment);
            let command = Command::Place { patient: patient(1), places };
            given(&[registered(1, &[])])
                .when(|s: &State| decide(s, &Claims::new(), command, &context()))
                .rejected(Rejection::BadDepartment);
        }
    }
}

#[test]
fn a_patient_is_placed_at_the_registration_or_later_and_once() {
    let places =
        |facility: &str| Places { departments: ["cardiology".into()].into(), facilities: [facility.to_owned()].into() };
    let placed = |facility: &str| -> Event {
        let (departments, facilities) = (vec!["cardiology".into()], vec![facility.to_owned()]);
        PatientPlaced { patient: patient(1), departments, facilities }.into()
    };
    let place = |facility: &str| {
        let command = Command::Place { patient: patient(1), places: places(facility) };
        move |state: &State| decide(state, &Claims::new(), command, &context())
    };
    let command = Register { places: places("north"), ..registration(1, &[]) };
    given(&[]).when(|s| register(s, &Claims::new(), command)).then([registered(1, &[]), placed("north")]);
    let at_north = [registered(1, &[]), placed("north")];
    given(&at_north).when(place("north")).then_nothing();
    given(&at_north).when(place("south")).then([placed("south")]);
    given(&[]).when(place("south")).rejected(Rejection::NotFound);
}

#[test]
fn a_correction_keeps_what_was() {
    given(&[registered(1, &[ssn("s")])])
        .when(correct(&[(Field::Name, Some("new")), (Field::Ssn, None)], &[], &held(ssn("s"), &[1])))
        .then([
            corrected(&[(Field::Name, Some("name"), Some("new")), (Field::Ssn, Some("ssn"), None)], &[]),
            released(1, ssn("s")),
        ]);
}

#[test]
fn a_correction_moves_claims() {
    given(&[registered(1, &[ssn("s")])])
        .when(correct(&[(Field::Ssn, Some("new"))], &[ssn("t")], &held(ssn("s"), &[1])))
        .then([
            corrected(&[(Field::Ssn, Some("ssn"), Some("new"))], &[ssn("t")]),
            released(1, ssn("s")),
            claimed(1, ssn("t")),
        ]);
    given(&[registered(1, &[ssn("s")])])
        .when(correct(&[(Field::Ssn, Some("new"))], &[ssn("t")], &held(ssn("t"), &[2])))
        .rejected(Rejection::Duplicate);
}

#[test]
fn the_token_of_an_absorbed_patient_is_not_somebody_elses() {
    given(&[registered(1, &[]), absorbed(1, 2)])
        .when(correct(&[(Field::Ssn, Some("new"))], &[ssn("t")], &held(ssn("t"), &[2])))
        .then([corrected(&[(Field::Ssn, Some("ssn"), Some("new"))], &[ssn("t")]), claimed(1, ssn("t"))]);
}

#[test]
fn a_correction_that_changes_nothing_is_no_event() {
    given(&[registered(1, &[])]).when(correct(&[], &[], &Claims::new())).then_nothing();
    let absent_and_same = [(Field::Gender, None), (Field::Name, Some("name"))];
    given(&[registered(1, &[])]).when(correct(&absent_and_same, &[], &Claims::new())).then_nothing();
}

#[test]
fn the_unknown_and_the_retired_take_no_changes() {
    let change = || correct(&[(Field::Name, Some("new"))], &[], const { &Claims::new() });
    given(&[]).when(change()).rejected(Rejection::NotFound);
    given(&[registered(1, &[]), merged(1, 2)]).when(change()).rejected(Rejection::Retired);
}

#[test]
fn flags_change_once_and_name_who_asked() {
    let flag = |flag| {
        move |state: &State| decide(state, &Claims::new(), Command::Flag { patient: patient(1), flag }, &context())
    };
    let flagged = |Flag { vip, reason, decoy }| -> Event {
        PatientFlagged { patient: patient(1), vip, reason, decoy, by: user(1) }.into()
    };
    let board = Flag { vip: true, reason: Some(WatchReason::Board), decoy: false };
    let decoy = Flag { vip: true, reason: None, decoy: true };
    given(&[registered(1, &[])]).when(flag(board)).then([flagged(board)]);
    given(&[registered(1, &[]), flagged(board)]).when(flag(board)).then_nothing();
    given(&[registered(1, &[]), flagged(board)]).when(flag(decoy)).then([flagged(decoy)]);
    given(&[registered(1, &[]), flagged(decoy)]).when(flag(Flag::default())).then([flagged(Flag::default())]);
    given(&[]).when(flag(board)).rejected(Rejection::NotFound);
    given(&[registered(1, &[]), merged(1, 2)]).when(flag(board)).rejected(Rejection::Retired);
    let nobody = Context { user: None, ..context() };
    given(&[registered(1, &[])])
        .when(|s| decide(s, &Claims::new(), Command::Flag { patient: patient(1), flag: board }, &nobody))
        .rejected(Rejection::UnknownUser);
}

fn two(first: &[Event], second: &[Event]) -> (State, State) {
    (State::after(first), State::after(second))
}

#[test]
fn a_merge_retires_one_and_tells_the_other() {
    let (one, other) = two(&[registered(1, &[])], &[registered(2, &[])]);
    Given(()).when(|()| merge((patient(1), &one), (patient(2), &other))).then([merged(1, 2), absorbed(2, 1)]);
    Given(()).when(|()| merge((patient(1), &one), (patient(1), &one))).rejected(Rejection::MergeWithItself);
    let (gone, unknown) = two(&[registered(1, &[]), merged(1, 3)], &[]);
    Given(()).when(|()| merge((patient(1), &gone), (patient(2), &other))).rejected(Rejection::Retired);
    Given(()).when(|()| merge((patient(2), &other), (patient(1), &gone))).rejected(Rejection::Retired);
    Given(()).when(|()| merge((patient(9), &unknown), (patient(2), &other))).rejected(Rejection::NotFound);
    Given(()).when(|()| merge((patient(2), &other), (patient(9), &unknown))).rejected(Rejection::NotFound);
}

#[test]
fn a_merge_can_be_undone() {
    let (gone, other) = two(&[registered(1, &[]), merged(1, 2)], &[registered(2, &[]), absorbed(2, 1)]);
    Given(()).when(|()| unmerge((patient(1), &gone), (patient(2), &other))).then([unmerged(1, 2), parted(2, 1)]);
    let (back, apart) =
        two(&[registered(1, &[]), merged(1, 2), unmerged(1, 2)], &[registered(2, &[]), absorbed(2, 1), parted(2, 1)]);
    assert_eq!(back, State::after(&[registered(1, &[])]));
    assert_eq!(apart, State::after(&[registered(2, &[])]));
    Given(()).when(|()| unmerge((patient(1), &back), (patient(2), &apart))).rejected(Rejection::NotMerged);
    Given(()).when(|()| unmerge((patient(1), &gone), (patient(2), &apart))).rejected(Rejection::NotMerged);
    let later = State::after(&[registered(2, &[]), absorbed(2, 1), merged(2, 3)]);
    Given(()).when(|()| unmerge((patient(1), &gone), (patient(2), &later))).rejected(Rejection::Retired);
    Given(()).when(|()| unmerge((patient(9), &State::Unknown), (patient(2), &other))).rejected(Rejection::NotFound);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(registered(1, &[ssn("s")])),
        Just(corrected(&[(Field::Name, None, Some("n")), (Field::Ssn, None, None)], &[ssn("t")])),
        Just(merged(1, 2)),
        Just(unmerged(1, 2)),
        Just(unmerged(1, 3)),
        Just(absorbed(1, 2)),
        Just(parted(1, 2)),
        Just(claimed(1, ssn("s"))),
        Just(released(1, ssn("s"))),
        Just(PatientFlagged { patient: patient(1), vip: true, reason: None, decoy: true, by: user(1) }.into()),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_has_a_state(events in prop::collection::vec(any_event(), 0..30)) {
        let state = State::after(&events);
        let knows = events.iter().any(|e| e.type_name() == "patients.registered");
        prop_assert_eq!(state != State::Unknown, knows);
        let _ = Holders::after(&events);
    }

    /// What decide lets happen is what evolve takes in: after a correction the state has the new fields and tokens.
    #[test]
    fn decisions_take_effect(before in prop::collection::vec(any_event(), 0..10), value in "[a-z]{1,5}") {
        let state = State::after(&before);
        let Ok(events) = correct(&[(Field::Name, Some(&value))], &[ssn("z")], &Claims::new())(&state) else { return Ok(()) };
        let after = events.iter().fold(state, Evolve::evolve);
        let patient = after.active().unwrap();
        prop_assert_eq!(patient.fields.0.get(&Field::Name), Some(&sealed(&value)));
    }
}
