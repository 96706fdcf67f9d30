use proptest::prelude::*;

use super::*;
use crate::scenario::*;

const RULES: EmergencyRules = EmergencyRules { lasts_s: 4 * 3600, extension_s: 2 * 3600, review_s: 24 * 3600 };
const END: &str = "2026-03-01T16:00:00Z";

fn emergency(n: u128) -> EmergencyId {
    EmergencyId::new(uuid::Uuid::from_u128(0xe0_00 + n))
}
fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
/// Another moment than noon, another user than the first.
fn when(now: &str, n: u128) -> Context {
    Context { now: at(now), user: Some(user(n)), ..context() }
}
fn begin(reason: EmergencyReason, detail: Option<&str>, location: Option<&str>) -> EmergencyStarted {
    EmergencyStarted {
        emergency: emergency(1),
        patient: patient(1),
        user: user(1),
        reason,
        detail: detail.map(sealed),
        location: location.map(str::to_owned),
        expires_at: at(END),
        review_due_at: at("2026-03-02T12:00:00Z"),
    }
}
fn started() -> Event {
    begin(EmergencyReason::CodeBlue, None, None).into()
}
fn extended() -> Event {
    EmergencyExtended { emergency: emergency(1), patient: patient(1), expires_at: at("2026-03-01T18:00:00Z") }.into()
}
fn ended() -> Event {
    EmergencyEnded { emergency: emergency(1), patient: patient(1) }.into()
}
fn reviewed(outcome: ReviewOutcome) -> Event {
    let (emergency, patient) = (emergency(1), patient(1));
    EmergencyReviewed { emergency, patient, reviewer: user(2), outcome, note: None }.into()
}
fn start(of: EmergencyStarted, context: Context) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let EmergencyStarted { emergency, patient, reason, detail, location, .. } = of;
    move |state| decide(state, Command::Start { emergency, patient, reason, detail, location, rules: RULES }, &context)
}
fn extend(context: Context) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, Command::Extend { patient: patient(1), emergency: emergency(1), rules: RULES }, &context)
}
fn end(context: Context) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, Command::End { patient: patient(1), emergency: emergency(1) }, &context)
}
fn review(outcome: ReviewOutcome, context: Context) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let (patient, emergency) = (patient(1), emergency(1));
    move |state| decide(state, Command::Review { patient, emergency, outcome, note: None }, &context)
}
use EmergencyReason::{CodeBlue, Other};
use ReviewOutcome::{Appropriate, Inappropriate, UnderInvestigation};

#[test]
fn the_glass_is_broken_for_four_hours_and_reviewed_within_a_day() {
    given(&[]).when(start(begin(CodeBlue, None, Some("ED 3/B")), context())).then([begin(
        CodeBlue,
        None,
        Some("ED 3/B"),
    )
    .into()]);
}

#[test]
fn what_is_called_other_is_told_in_words() {
    given(&[]).when(start(begin(Other, None, None), context())).rejected(Rejection::DetailNeeded);
    given(&[]).when(start(begin(Other, Some("why"), None), context())).then([begin(Other, Some("why"), None).into()]);
}

#[test]
fn a_place_is_not_a_story() {
    for location in ["", "bed of J. Doe; HIV", "über", &"x".repeat(65)] {
        given(&[]).when(start(begin(CodeBlue, None, Some(location)), context())).rejected(Rejection::BadLocation);
    }
}

#[test]
fn one_is_live_for_a_user_and_a_patient() {
    let again = || EmergencyStarted { emergency: emergency(2), ..begin(CodeBlue, None, None) };
    given(&[started()]).when(start(again(), context())).rejected(Rejection::EmergencyLive);
    given(&[started(), extended()]).when(start(again(), when(END, 1))).rejected(Rejection::EmergencyLive);
    let later = EmergencyStarted {
        expires_at: at("2026-03-01T20:00:00Z"),
        review_due_at: at("2026-03-02T16:00:00Z"),
        ..again()
    };
    given(&[started()]).when(start(later.clone(), when(END, 1))).then([later.into()]);
    given(&[started(), ended()]).when(start(again(), context())).then([again().into()]);
    let other = EmergencyStarted { user: user(2), ..again() };
    given(&[started()]).when(start(again(), when(NOW, 2))).then([other.into()]);
}

#[test]
fn it_is_extended_once_by_its_owner_while_it_lasts() {
    given(&[started()]).when(extend(context())).then([extended()]);
    given(&[started(), extended()]).when(extend(context())).rejected(Rejection::ExtendedBefore);
    given(&[started()]).when(extend(when(NOW, 2))).rejected(Rejection::NotFound);
    given(&[started()]).when(extend(when(END, 1))).rejected(Rejection::EmergencyOver);
    given(&[started(), ended()]).when(extend(context())).rejected(Rejection::EmergencyOver);
    given(&[]).when(extend(context())).rejected(Rejection::NotFound);
}

#[test]
fn only_its_owner_ends_it_and_only_once() {
    given(&[started()]).when(end(context())).then([ended()]);
    given(&[started()]).when(end(when(NOW, 2))).rejected(Rejection::NotFound);
    given(&[started(), ended()]).when(end(context())).rejected(Rejection::EmergencyOver);
    given(&[started()]).when(end(when(END, 1))).rejected(Rejection::EmergencyOver);
    given(&[started(), extended()]).when(end(when(END, 1))).then([ended()]);
}

#[test]
fn somebody_else_judges_it_once() {
    let judge = |outcome| review(outcome, when(END, 2));
    for outcome in [Appropriate, Inappropriate, UnderInvestigation] {
        given(&[started()]).when(judge(outcome)).then([reviewed(outcome)]);
        given(&[started()]).when(review(outcome, when(END, 1))).rejected(Rejection::OwnEmergency);
        given(&[started(), reviewed(Appropriate)]).when(judge(outcome)).rejected(Rejection::ReviewedBefore);
        given(&[started(), reviewed(Inappropriate)]).when(judge(outcome)).rejected(Rejection::ReviewedBefore);
    }
    given(&[]).when(judge(Appropriate)).rejected(Rejection::NotFound);
}

#[test]
fn an_investigation_comes_to_one_end() {
    let judge = |outcome| review(outcome, when(END, 2));
    let open = || [started(), reviewed(UnderInvestigation)];
    given(&open()).when(judge(UnderInvestigation)).rejected(Rejection::ReviewedBefore);
    given(&open()).when(judge(Inappropriate)).then([reviewed(Inappropriate)]);
    let closed = [started(), reviewed(UnderInvestigation), reviewed(Inappropriate)];
    given(&closed).when(judge(Appropriate)).rejected(Rejection::ReviewedBefore);
}

#[test]
fn what_still_goes_on_is_not_cleared() {
    given(&[started()]).when(review(Appropriate, when(NOW, 2))).rejected(Rejection::EmergencyLive);
    given(&[started(), ended()]).when(review(Appropriate, when(NOW, 2))).then([reviewed(Appropriate)]);
    given(&[started()]).when(review(Inappropriate, when(NOW, 2))).then([reviewed(Inappropriate)]);
}

#[test]
fn words_are_not_printed() {
    let detail = Some(wardbook_events::values::Line::new("tells of the patient").unwrap());
    let command = StartEmergency { patient: patient(1), reason: Other, detail, location: None };
    assert_eq!(format!("{command:?}"), format!("StartEmergency({}, Other, ..)", patient(1)));
}

proptest! {
    /// Whatever happened, nobody has two live ones, and none lasts longer than its time and one extension.
    #[test]
    fn nobody_has_two(steps in prop::collection::vec((0_u8..4, 0_i64..40, 1_u128..3), 0..40)) {
        let (mut state, mut now, mut count) = (State::default(), at(NOW), 0);
        for (what, minutes, who) in steps {
            now += SignedDuration::from_mins(minutes * 10);
            let context = Context { now, user: Some(user(who)), ..context() };
            let newest = emergency(count);
            let command = match what {
                0 | 1 => {
                    count += 1;
                    let (emergency, patient) = (emergency(count), patient(1));
                    Command::Start { emergency, patient, reason: CodeBlue, detail: None, location: None, rules: RULES }
                }
                2 => Command::Extend { patient: patient(1), emergency: newest, rules: RULES },
                _ => Command::End { patient: patient(1), emergency: newest },
            };
            for event in decide(&state, command, &context).unwrap_or_default() {
                state = state.evolve(&event);
            }
            for who in [user(1), user(2)] {
                let live = state.emergencies.values().filter(|one| one.user == who && one.is_live(now));
                prop_assert!(live.clone().count() <= 1);
                prop_assert!(live.into_iter().all(|one| one.until <= now + SignedDuration::from_hours(6)));
            }
        }
    }
}
