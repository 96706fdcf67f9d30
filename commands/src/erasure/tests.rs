use std::sync::Arc;

use jiff::SignedDuration;
use uuid::Uuid;
use wardbook_events::patients::{GroupsErased, PatientAbsorbed, PatientErased, PatientMerged, PatientRegistered};
use wardbook_events::{Field, Group, SealedFields, TokenKind};

use super::*;
use crate::patients::claims::{Claims, claim, release};
use crate::patients::{self, Patient};
use crate::scenario::*;

const PATIENT: u128 = 1;
const RETIRED: u128 = 2;
/// Two officers, and who asks for himself.
const ONE: u128 = 1;
const OTHER: u128 = 2;
const SELF: u128 = 3;

fn erasure() -> ErasureId {
    ErasureId::new(Uuid::from_u128(0xe1))
}
fn hold() -> HoldId {
    HoldId::new(Uuid::from_u128(0xe2))
}
fn at(days: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days)
}
fn groups(groups: &[Group]) -> GroupSet {
    groups.iter().copied().collect()
}

fn registered(n: u128) -> Event {
    PatientRegistered {
        patient: patient(n),
        fields: SealedFields([(Field::Name, sealed("n")), (Field::Phones, sealed("p"))].into()),
        tokens: vec![token(TokenKind::Ssn, &format!("ssn-{n}")), token(TokenKind::FamilyName, "f")],
        departments: Vec::new(),
        jurisdiction: "EU".into(),
        vip: false,
    }
    .into()
}

/// The patient who goes on and one who was merged into it, each with a claimed number.
fn person() -> Person {
    let (going_on, retired) = (patient(PATIENT), patient(RETIRED));
    let absorbed = PatientAbsorbed { patient: going_on, absorbed: retired }.into();
    let merged = PatientMerged { patient: retired, into: going_on }.into();
    let state = |events: &[Event]| Arc::new(<patients::State as Evolve>::after(events));
    let members =
        vec![(going_on, state(&[registered(PATIENT), absorbed])), (retired, state(&[registered(RETIRED), merged]))];
    let mut claims = Claims::new();
    for n in [PATIENT, RETIRED] {
        let ssn = token(TokenKind::Ssn, &format!("ssn-{n}"));
        claims.insert(ssn.clone(), Evolve::after(&[claim(tenant(), patient(n), &ssn)]));
    }
    Person::new(members, claims)
}

/// Somebody does something on a day.
fn act(by: u128, day: i64, command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| {
        let holds: Vec<_> = state.live_holds(at(day)).map(|(id, hold)| (id, *hold)).collect();
        let context = Context { now: at(day), user: Some(user(by)), ..context() };
        decide(state, &person(), &holds, command, &context)
    }
}
fn request(scope: Scope, by_officer: bool) -> Command {
    Command::Request { erasure: erasure(), scope, basis: Basis::Gdpr, due_at: at(30), by_officer }
}
fn approve(in_part: bool, retention: Vec<Retention>) -> Command {
    Command::Approve { erasure: erasure(), in_part, retention }
}
fn refuse() -> Command {
    Command::Refuse { erasure: erasure(), reason: RefusalReason::LegalClaims }
}
fn law(until: i64) -> Retention {
    let kept = groups(&[Group::Demographics, Group::Identifiers, Group::Clinical, Group::Sensitive]);
    Retention { groups: kept, rule: "a law".into(), until: at(until) }
}
fn requested(scope: Scope, by: u128, by_officer: bool) -> Event {
    let (erasure, patient) = (erasure(), patient(PATIENT));
    ErasureRequested { erasure, patient, scope, basis: Basis::Gdpr, due_at: at(30), by: user(by), by_officer }.into()
}
fn approved(by: u128) -> Event {
    ErasureApproved { erasure: erasure(), patient: patient(PATIENT), by: user(by) }.into()
}
fn executed(scope: Scope, kept: Vec<Kept>) -> Event {
    let patients = vec![patient(PATIENT), patient(RETIRED)];
    ErasureExecuted { erasure: erasure(), patients, scope, kept, approved_by: vec![user(ONE), user(OTHER)] }.into()
}
fn placed(until: Option<i64>, held: GroupSet) -> Event {
    let (hold, patient, reference) = (hold(), patient(PATIENT), "case 1".to_owned());
    let (kind, until, by) = (HoldKind::Litigation, until.map(at), user(ONE));
    HoldPlaced { hold, patient, kind, groups: held, reference, until, by }.into()
}
fn forgotten(n: u128) -> [Event; 2] {
    let erased = PatientErased { patient: patient(n), erasure: erasure() }.into();
    [erased, release(tenant(), patient(n), &token(TokenKind::Ssn, &format!("ssn-{n}")))]
}
fn everybody_forgotten() -> Vec<Event> {
    [PATIENT, RETIRED].into_iter().flat_map(forgotten).collect()
}

#[test]
fn two_officers_agree_and_the_whole_family_goes() {
    given(&[]).when(act(SELF, 0, request(Scope::Whole, false))).then([requested(Scope::Whole, SELF, false)]);
    let asked = [requested(Scope::Whole, SELF, false)];
    given(&asked).when(act(ONE, 1, approve(false, vec![]))).then([approved(ONE)]);
    let agreed = [requested(Scope::Whole, SELF, false), approved(ONE)];
    given(&agreed).when(act(ONE, 2, approve(false, vec![]))).rejected(Rejection::AgreedBefore);
    let mut events = vec![approved(OTHER), executed(Scope::Whole, vec![])];
    events.extend(everybody_forgotten());
    given(&agreed).when(act(OTHER, 2, approve(false, vec![]))).then(events);
}

#[test]
fn an_officer_who_asks_is_one_of_the_two() {
    let asked = [requested(Scope::Whole, ONE, true)];
    given(&asked).when(act(ONE, 0, approve(false, vec![]))).rejected(Rejection::AgreedBefore);
    let mut events = vec![approved(OTHER), executed(Scope::Whole, vec![])];
    events.extend(everybody_forgotten());
    given(&asked).when(act(OTHER, 0, approve(false, vec![]))).then(events);
}

#[test]
fn what_the_law_keeps_stays_and_the_rest_goes_only_if_that_is_wanted() {
    let asked = [requested(Scope::Whole, ONE, true)];
    given(&asked).when(act(OTHER, 0, approve(false, vec![law(10)]))).rejected(Rejection::OnlyInPart);
    let because = vec![Because::Retention { rule: "a law".into(), until: at(10) }];
    let kept: Vec<_> = law(0).groups.iter().map(|group| Kept { group, because: because.clone() }).collect();
    let goes = groups(&[Group::Contact, Group::Billing]);
    let gone = |n| GroupsErased { patient: patient(n), erasure: erasure(), groups: goes }.into();
    let events = [approved(OTHER), executed(Scope::Groups(goes), kept), gone(PATIENT), gone(RETIRED)];
    given(&asked).when(act(OTHER, 0, approve(true, vec![law(10)]))).then(events);
    // When its time is over, it is nothing any more.
    let mut events = vec![approved(OTHER), executed(Scope::Whole, vec![])];
    events.extend(everybody_forgotten());
    given(&asked).when(act(OTHER, 10, approve(false, vec![law(10)]))).then(events);
}

#[test]
fn a_hold_forbids_until_it_is_lifted_or_over() {
    let place = |until: Option<i64>| Command::PlaceHold {
        hold: hold(),
        kind: HoldKind::Litigation,
        groups: GroupSet::all(),
        reference: "case 1".into(),
        until: until.map(at),
    };
    given(&[]).when(act(ONE, 0, place(Some(5)))).then([placed(Some(5), GroupSet::all())]);
    given(&[]).when(act(ONE, 0, place(Some(0)))).rejected(Rejection::EndInPast);
    let held = [requested(Scope::Whole, ONE, true), placed(Some(5), GroupSet::all())];
    given(&held).when(act(OTHER, 4, approve(true, vec![]))).rejected(Rejection::MustBeKept);
    assert_eq!(given::<State>(&held).0.live_holds(at(5)).count(), 0);
    given(&held).when(act(OTHER, 5, Command::LiftHold(hold()))).rejected(Rejection::Over);
    let lifted: Event = HoldLifted { hold: hold(), patient: patient(PATIENT), by: user(OTHER) }.into();
    given(&held).when(act(OTHER, 4, Command::LiftHold(hold()))).then([lifted.clone()]);
    given(&[]).when(act(OTHER, 4, Command::LiftHold(hold()))).rejected(Rejection::NotFound);
    let [one, other] = held;
    let mut events = vec![approved(OTHER), executed(Scope::Whole, vec![])];
    events.extend(everybody_forgotten());
    given(&[one, other, lifted]).when(act(OTHER, 4, approve(false, vec![]))).then(events);
}

#[test]
fn a_hold_on_some_groups_keeps_those() {
    let asked = requested(Scope::Groups(groups(&[Group::Contact, Group::Billing])), ONE, true);
    let held = [asked, placed(None, groups(&[Group::Billing]))];
    let kept = vec![Kept {
        group: Group::Billing,
        because: vec![Because::Hold { hold: hold(), kind: HoldKind::Litigation, until: None }],
    }];
    let goes = groups(&[Group::Contact]);
    let gone = |n| GroupsErased { patient: patient(n), erasure: erasure(), groups: goes }.into();
    let events = [approved(OTHER), executed(Scope::Groups(goes), kept), gone(PATIENT), gone(RETIRED)];
    given(&held).when(act(OTHER, 0, approve(true, vec![]))).then(events);
}

#[test]
fn one_request_at_a_time_and_an_answer_for_each() {
    let again = |n| Command::Request {
        erasure: ErasureId::new(Uuid::from_u128(n)),
        scope: Scope::Whole,
        basis: Basis::Pdpl,
        due_at: at(30),
        by_officer: false,
    };
    let asked = || requested(Scope::Whole, SELF, false);
    given(&[asked()]).when(act(SELF, 0, again(9))).rejected(Rejection::ErasureOpen);
    let refused: Event = ErasureRefused {
        erasure: erasure(),
        patient: patient(PATIENT),
        by: user(ONE),
        reason: RefusalReason::LegalClaims,
    }
    .into();
    given(&[asked()]).when(act(ONE, 1, refuse())).then([refused.clone()]);
    let answered = [asked(), refused];
    given(&answered).when(act(ONE, 1, refuse())).rejected(Rejection::NotPending);
    given(&answered).when(act(ONE, 1, approve(false, vec![]))).rejected(Rejection::NotPending);
    assert!(act(SELF, 2, again(9))(&given::<State>(&answered).0).is_ok());
    let begun = [asked(), approved(ONE), approved(OTHER), executed(Scope::Whole, vec![])];
    given(&begun).when(act(ONE, 1, refuse())).rejected(Rejection::NotPending);
    given(&[]).when(act(SELF, 0, request(Scope::Groups(GroupSet::EMPTY), false))).rejected(Rejection::NothingToErase);
}

#[test]
fn it_is_certified_once() {
    let certificate = Certificate { executed_at: 3, destroyed: Vec::new(), log_size: 3, log_root: "00".into() };
    let certify = || Command::Certify { erasure: erasure(), certificate: certificate.clone() };
    let begun = vec![requested(Scope::Whole, ONE, true), approved(OTHER), executed(Scope::Whole, vec![])];
    let (erasure, scope) = (erasure(), Scope::Whole);
    let Certificate { executed_at, destroyed, log_size, log_root } = certificate.clone();
    let certified: Event =
        ErasureCertified { erasure, patient: patient(PATIENT), scope, executed_at, destroyed, log_size, log_root }
            .into();
    given(&begun).when(act(ONE, 0, certify())).then([certified.clone()]);
    let part = Scope::Groups(groups(&[Group::Contact]));
    let begun_part = [requested(part, ONE, true), approved(OTHER), executed(part, vec![])];
    let events = act(ONE, 0, certify())(&given::<State>(&begun_part).0).unwrap();
    let reopened = |n| GroupsReopened { patient: patient(n), erasure, groups: groups(&[Group::Contact]) }.into();
    assert_eq!(events.get(1..), Some([reopened(PATIENT), reopened(RETIRED)].as_slice()));
    given(&begun[..1]).when(act(ONE, 0, certify())).rejected(Rejection::NotPending);
    given(&[&begun[..], &[certified]].concat()).when(act(ONE, 0, certify())).then_nothing();
}

#[test]
fn who_is_forgotten_takes_nothing_any_more() {
    let erased: Event = PatientErased { patient: patient(PATIENT), erasure: erasure() }.into();
    let state: patients::State = Evolve::after(&[registered(PATIENT), erased]);
    assert_eq!(state.active(), Err(Rejection::Erased));
    assert_eq!(state.known(), None);
    let person = Person::new(vec![(patient(PATIENT), Arc::new(state))], Claims::new());
    for command in [request(Scope::Whole, true), approve(false, vec![])] {
        let asked = State::after(&[requested(Scope::Whole, SELF, false)]);
        let state = if matches!(command, Command::Request { .. }) { State::default() } else { asked };
        assert_eq!(decide(&state, &person, &[], command, &context()), Err(Rejection::Erased));
    }
}

#[test]
fn an_erased_category_is_gone_from_fields_and_tokens_and_is_written_again_when_that_is_done() {
    let contact: Event = GroupsErased {
        patient: patient(PATIENT),
        erasure: erasure(),
        groups: groups(&[Group::Contact, Group::Identifiers]),
    }
    .into();
    let state: patients::State = Evolve::after(&[registered(PATIENT), contact]);
    let Patient { fields, tokens, closed, .. } = state.active().unwrap();
    assert_eq!(fields.0.keys().collect::<Vec<_>>(), [&Field::Name]);
    assert_eq!(tokens.iter().map(|token| token.kind).collect::<Vec<_>>(), [TokenKind::FamilyName]);
    assert_eq!(*closed, groups(&[Group::Contact, Group::Identifiers]));
    let correct = |field| {
        patients::Command::Correct(patients::Correct {
            patient: patient(PATIENT),
            changes: [(field, Some(sealed("new")))].into(),
            tokens: tokens.clone(),
            confirm_distinct: false,
        })
    };
    let decided = |field| patients::decide(&state, &Claims::new(), correct(field), &context());
    assert_eq!(decided(Field::Emails), Err(Rejection::BeingErased));
    assert_eq!(decided(Field::Name).unwrap().len(), 1);
    let reopened: Event =
        GroupsReopened { patient: patient(PATIENT), erasure: erasure(), groups: GroupSet::all() }.into();
    assert_eq!(state.clone().evolve(&reopened).active().unwrap().closed, GroupSet::EMPTY);
}
