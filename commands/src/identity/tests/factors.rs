use wardbook_events::identity::PasswordResetRequested;

use super::*;
use crate::identity::factors::{self, SetBy};

fn set_password(by: SetBy) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    on(move |was| factors::set_password(was, user(2), sealed("hash"), by, &context()))
}
fn requested(token: u128, expires_at: Timestamp) -> Event {
    PasswordResetRequested { user: user(2), token: hash(token), expires_at }.into()
}

#[test]
fn a_new_password_ends_the_sessions() {
    given(&[created(NURSE), password()]).when(set_password(SetBy::Another)).then([password()]);
    let two = [created(NURSE), logged_in(1, TONIGHT), logged_in(2, TONIGHT)];
    let changed = |sessions: &[u128]| [password(), ended(sessions, EndReason::PasswordChanged)];
    given(&two).when(set_password(SetBy::Another)).then(changed(&[1, 2]));
    given(&two).when(set_password(SetBy::Oneself(Some(session(2))))).then(changed(&[1]));
    given(&two).when(set_password(SetBy::Oneself(None))).then(changed(&[1, 2]));
    given(&two[..2]).when(set_password(SetBy::Oneself(Some(session(1))))).then([password()]);
    given(&[service()]).when(set_password(SetBy::Another)).rejected(Rejection::WrongAccountKind);
}

#[test]
fn a_reset_is_asked_for_now_and_then() {
    let ask = |token: String, expires_at| {
        on(move |was| factors::request_reset(was, user(2), (token, expires_at), &context()))
    };
    given(&[created(NURSE)]).when(ask(hash(1), minutes(60))).then([requested(1, minutes(60))]);
    given(&[created(NURSE), requested(1, minutes(56))]).when(ask(hash(2), minutes(60))).then_nothing();
    given(&[created(NURSE), requested(1, minutes(55))])
        .when(ask(hash(2), minutes(60)))
        .then([requested(2, minutes(60))]);
    given(&[created(NURSE), requested(1, minutes(0))]).when(ask(hash(2), minutes(1))).then([requested(2, minutes(1))]);
    for wrong in [minutes(0), minutes(24 * 60 + 1)] {
        given(&[created(NURSE)]).when(ask(hash(1), wrong)).rejected(Rejection::BadTokenLife);
    }
    given(&[created(NURSE)]).when(ask("x".into(), minutes(60))).rejected(Rejection::BadHash);
    given(&[created(NURSE), disabled()]).when(ask(hash(1), minutes(60))).rejected(Rejection::UserDisabled);
    given(&[service()]).when(ask(hash(1), minutes(60))).rejected(Rejection::WrongAccountKind);
}

#[test]
fn a_reset_token_counts_once_and_in_time() {
    let check =
        |token: u128, minute| on(move |was| factors::check_reset(was, &hash(token), &at(minute)).map(|()| Vec::new()));
    let pending = [created(NURSE), requested(1, minutes(60))];
    given(&pending).when(check(1, 59)).then_nothing();
    given(&pending).when(check(1, 60)).rejected(Rejection::ResetEnded);
    given(&pending).when(check(2, 1)).rejected(Rejection::ResetEnded);
    for voids in [password(), requested(2, minutes(90)), disabled()] {
        let events = [&pending[..], &[voids]].concat();
        given(&events).when(check(1, 1)).rejected(Rejection::ResetEnded);
    }
    given(&[created(NURSE)]).when(check(1, 1)).rejected(Rejection::ResetEnded);
}

#[test]
fn factors_are_enrolled_by_people() {
    let app = || on(|was| factors::enrol_totp(was, user(2), sealed("totp")));
    given(&[created(NURSE)]).when(app()).then([totp()]);
    given(&[created(NURSE), disabled()]).when(app()).rejected(Rejection::UserDisabled);
    given(&[service()]).when(app()).rejected(Rejection::WrongAccountKind);

    let codes = |count| on(move |was| factors::issue_recovery_codes(was, user(2), count, sealed("codes")));
    given(&[created(NURSE)]).when(codes(10)).then([recovery(10)]);
    for wrong in [0, 21, 300] {
        given(&[created(NURSE)]).when(codes(wrong)).rejected(Rejection::TooMany);
    }

    let enrol = |n, name: &str| {
        let key = (passkey(n), name.to_owned(), sealed("key"));
        on(move |was| factors::enrol_passkey(was, user(2), key))
    };
    given(&[created(NURSE)]).when(enrol(1, "blue")).then([passkey_enrolled(1)]);
    given(&[created(NURSE)]).when(enrol(1, "")).rejected(Rejection::BadLabel);
    given(&[created(NURSE), passkey_enrolled(1)]).when(enrol(1, "blue")).rejected(Rejection::AlreadyExists);
    let mut full = vec![created(NURSE)];
    full.extend((1..=10).map(passkey_enrolled));
    given(&full).when(enrol(11, "blue")).rejected(Rejection::TooMany);
}

#[test]
fn codes_go_only_where_there_is_an_address() {
    let enrol = |channel| on(move |was| factors::enrol_channel(was, user(2), channel));
    let send = |sent| on(move |was| factors::send_code(was, sent, &context()));
    let reachable = [created(NURSE), contact(Some("a@b"), None)];
    given(&reachable).when(enrol(Channel::Email)).then([channel(Channel::Email)]);
    given(&reachable).when(enrol(Channel::Sms)).rejected(Rejection::NoContact);
    given(&reachable).when(enrol(Channel::Webhook)).rejected(Rejection::NoContact);
    let enrolled = [&reachable[..], &[channel(Channel::Email)]].concat();
    given(&enrolled).when(enrol(Channel::Email)).then_nothing();
    given(&reachable).when(send(code(1, Channel::Email))).then([code(1, Channel::Email).into()]);
    given(&reachable).when(send(code(1, Channel::Sms))).rejected(Rejection::NoContact);
    let never = CodeSent { expires_at: minutes(0), ..code(1, Channel::Email) };
    given(&reachable).when(send(never)).rejected(Rejection::BadTokenLife);
}

#[test]
fn an_address_that_changes_is_enrolled_anew() {
    let base = [created(NURSE), contact(Some("a@b"), Some("1")), channel(Channel::Email), channel(Channel::Sms)];
    let after = |then: Event| State::after(&[&base[..], &[then]].concat());
    let has = |state: &State, channel| state.within(tenant()).unwrap().means.has(Removed::Channel(channel));
    let moved = after(contact(Some("c@d"), Some("1")));
    assert!(!has(&moved, Channel::Email) && has(&moved, Channel::Sms));
    let gone = after(contact(Some("a@b"), None));
    assert!(has(&gone, Channel::Email) && !has(&gone, Channel::Sms));
}

#[test]
fn another_who_takes_a_factor_away_ends_the_sessions() {
    let remove = |what, own| on(move |was| Ok(factors::remove_factor(was, user(2), what, own, &context())));
    let base = [created(NURSE), totp(), logged_in(1, TONIGHT)];
    given(&base).when(remove(Removed::Totp, true)).then([removed(Removed::Totp)]);
    given(&base)
        .when(remove(Removed::Totp, false))
        .then([removed(Removed::Totp), ended(&[1], EndReason::FactorChanged)]);
    given(&base).when(remove(Removed::Passkey(passkey(1)), false)).then_nothing();
    given(&base[..1]).when(remove(Removed::All, true)).then_nothing();
    given(&[created(NURSE), recovery(10)]).when(remove(Removed::All, true)).then([removed(Removed::All)]);
}

/// What must be true of a proof after these events.
#[track_caller]
fn counts(events: &[Event], proof: Proof, counts: bool) {
    let login = given(&[&[created(NURSE)], events].concat()).when(log_in(1, &[Proof::Password, proof.clone()]));
    if counts {
        login.then([logged_in_with(1, TONIGHT, &[Proof::Password, proof], None)]);
    } else {
        login.rejected(Rejection::ProofUsed);
    }
}
fn before(proof: Proof) -> Event {
    logged_in_with(9, TONIGHT, &[proof], None)
}

#[test]
fn a_time_based_code_counts_once_and_none_before_it() {
    let step = |step| Proof::Totp { step };
    counts(&[], step(5), false);
    counts(&[totp()], step(5), true);
    counts(&[totp(), before(step(5))], step(5), false);
    counts(&[totp(), before(step(5))], step(4), false);
    counts(&[totp(), before(step(5))], step(6), true);
    counts(&[totp(), before(step(5)), totp()], step(5), true);
    for gone in [Removed::Totp, Removed::All] {
        counts(&[totp(), removed(gone)], step(5), false);
    }
    given(&[created(NURSE), totp()]).when(log_in(1, &[step(5), step(5)])).rejected(Rejection::ProofUsed);
}

#[test]
fn a_passkeys_counter_grows_unless_it_has_none() {
    let proof = |counter| Proof::Passkey { passkey: passkey(1), counter, user_verified: true };
    counts(&[], proof(1), false);
    counts(&[passkey_enrolled(1)], proof(0), true);
    counts(&[passkey_enrolled(1), before(proof(0))], proof(0), true);
    counts(&[passkey_enrolled(1), before(proof(3))], proof(4), true);
    counts(&[passkey_enrolled(1), before(proof(3))], proof(3), false);
    counts(&[passkey_enrolled(1), before(proof(3))], proof(0), false);
    counts(&[passkey_enrolled(1), removed(Removed::Passkey(passkey(1)))], proof(1), false);
}

#[test]
fn a_recovery_code_counts_once() {
    let proof = |index| Proof::RecoveryCode { index };
    counts(&[], proof(0), false);
    counts(&[recovery(10)], proof(9), true);
    counts(&[recovery(10)], proof(10), false);
    counts(&[recovery(10), before(proof(3))], proof(3), false);
    counts(&[recovery(10), before(proof(3))], proof(4), true);
    counts(&[recovery(10), before(proof(3)), recovery(10)], proof(3), true);
    counts(&[recovery(10), removed(Removed::All)], proof(3), false);
}

#[test]
fn a_sent_code_counts_once_in_time_and_after_two_wrong_tries_at_most() {
    let (email, sms) = (Channel::Email, Channel::Sms);
    let reachable = [contact(Some("a@b"), Some("1")), channel(email), channel(sms)];
    let with = |more: &[Event]| [&reachable[..], more].concat();
    let proof = |n| Proof::EmailCode { challenge: challenge(n) };
    let sent = |n, channel| Event::from(code(n, channel));
    counts(&with(&[sent(1, email)]), proof(1), true);
    counts(&with(&[]), proof(1), false);
    counts(&with(&[sent(1, sms)]), proof(1), false);
    counts(&with(&[sent(1, sms)]), Proof::SmsCode { challenge: challenge(1) }, true);
    counts(&with(&[sent(1, email), before(proof(1))]), proof(1), false);
    counts(&with(&[CodeSent { expires_at: minutes(0), ..code(1, email) }.into()]), proof(1), false);
    let wrong = |factor, times| vec![failed(factor, false); times];
    for (factor, times, good) in
        [(Factor::EmailCode, 2, true), (Factor::EmailCode, 3, false), (Factor::SmsCode, 3, true)]
    {
        counts(&[with(&[sent(1, email)]), wrong(factor, times)].concat(), proof(1), good);
    }
    counts(&with(&[sent(1, email), contact(None, Some("1"))]), proof(1), false);
    counts(&with(&[sent(1, email), removed(Removed::Channel(email))]), proof(1), false);
    let many: Vec<_> = (1..=6).map(|n| sent(n, email)).collect();
    counts(&with(&many), proof(1), false);
    counts(&with(&many), proof(2), true);
}
