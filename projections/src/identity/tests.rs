//! Given these events, what is known of a user and of sessions.

use proptest::prelude::*;
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{
    AccountLocked, AccountUnlocked, ApiKeyIssued, ApiKeyRevoked, ChannelEnrolled, CodeSent, ContactSet,
    DocumentationModeSet, EndReason, ExternalLinked, ExternalUnlinked, Factor, FactorRemoved, Hours, HoursSet, KnownBy,
    LoginFailed, NetworksSet, PasskeyEnrolled, PasswordResetRequested, PasswordSet, PlacesSet, Proof,
    RecoveryCodesIssued, Removed, ServiceCertificateSet, ServiceKeySet, SessionLocked, SessionRefreshed, SessionSeen,
    SessionUnlocked, SessionsEnded, SteppedUp, TotpEnrolled, external_stream, session_stream, stream,
};
use wardbook_events::{ApiKeyId, ChallengeId, Event, PasskeyId, Role, SessionId};

use crate::identity::{Session, User};
use crate::testing::{Log, at, config, logged_in, sealed, session, user, uuid, views};
use crate::{Stretch, ViewName, Views};

fn passkey(number: u64) -> PasskeyId {
    PasskeyId::new(uuid(20, number))
}
fn challenge(number: u64) -> ChallengeId {
    ChallengeId::new(uuid(21, number))
}
fn key(number: u64) -> ApiKeyId {
    ApiKeyId::new(uuid(22, number))
}

/// A log of one nurse, at position 0 and 1.
fn nurse() -> Log {
    let mut log = Log::default();
    log.user(1, vec![Role::Nurse]);
    log
}
fn of_user(log: &mut Log, event: impl Into<Event>) -> u64 {
    log.add(stream(user(1)), &[], event)
}
fn of_session(log: &mut Log, number: u64, event: impl Into<Event>) -> u64 {
    log.add(session_stream(session(number)), &[], event)
}
fn known(views: &Views) -> User {
    views.identity.user(user(1)).unwrap().unwrap()
}
fn session_row(views: &Views, number: u64) -> Session {
    views.identity.session(session(number)).unwrap().unwrap()
}
fn ended(log: &mut Log, sessions: &[u64], reason: EndReason) -> u64 {
    let sessions = sessions.iter().copied().map(session).collect();
    of_user(log, SessionsEnded { user: user(1), sessions, reason })
}
fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.session).collect()
}

#[test]
fn places_and_hours_are_for_policy_and_the_rest_is_not() {
    let mut log = nurse();
    let places = PlacesSet { user: user(1), departments: vec!["er".into()], facilities: vec!["north".into()] };
    of_user(&mut log, places);
    let shifts = vec![Hours { weekday: 1, from: 0, to: 60 }];
    let decisive = of_user(&mut log, HoursSet { user: user(1), shifts: shifts.clone(), on_call_until: Some(at(99)) });
    of_user(&mut log, NetworksSet { user: user(1), networks: vec!["10.0.0.0/8".into()] });
    of_user(&mut log, ContactSet { user: user(1), email: Some(sealed(5)), phone: None });
    let (_dir, views) = views(&log);
    let found = known(&views);
    assert_eq!((found.changed, found.version), (decisive, 6));
    assert!(found.may_come_from("10.9.9.9".parse().ok()) && !found.may_come_from("11.0.0.1".parse().ok()));
    assert!(!found.may_come_from(None));
    assert_eq!((found.email, found.phone, found.created_at), (Some(sealed(5)), None, at(0)));
    let principal = views.principal(user(1)).unwrap().unwrap();
    assert_eq!(principal.version, decisive);
    let principal = &principal.principal;
    assert_eq!((&principal.shifts, principal.on_call_until), (&shifts, Some(at(99))));
    assert_eq!((&principal.departments, &principal.facilities), (&["er".into()].into(), &["north".into()].into()));
}

#[test]
fn facts_in_memory_follow_places_and_hours() {
    let mut log = nurse();
    let (_dir, views) = views(&log);
    let before = views.principal(user(1)).unwrap().unwrap();
    let mut upto = log.events.len();
    let mut then = |log: &Log| {
        views.apply(Stretch::of(&log.events[upto..])).unwrap();
        upto = log.events.len();
        views.principal(user(1)).unwrap().unwrap()
    };
    of_user(&mut log, LoginFailed { user: user(1), factor: Factor::Totp, known_device: true });
    of_user(&mut log, TotpEnrolled { user: user(1), secret: sealed(3) });
    log.log_in(1, 1);
    assert!(std::sync::Arc::ptr_eq(&before, &then(&log)));
    of_user(&mut log, PlacesSet { user: user(1), departments: vec![], facilities: vec!["north".into()] });
    assert_eq!(then(&log).principal.facilities, ["north".to_owned()].into());
    of_user(&mut log, HoursSet { user: user(1), shifts: vec![], on_call_until: Some(at(7)) });
    assert_eq!(then(&log).principal.on_call_until, Some(at(7)));
}

#[test]
fn passwords_are_remembered_newest_first() {
    let mut log = nurse();
    of_user(&mut log, PasswordResetRequested { user: user(1), token: "t".into(), expires_at: at(50) });
    let (_dir, views) = views(&log);
    assert_eq!(known(&views).reset.map(|reset| reset.token), Some("t".into()));
    let before = log.events.len();
    for number in 10..40 {
        of_user(&mut log, PasswordSet { user: user(1), hash: sealed(number) });
    }
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let found = known(&views);
    assert_eq!((found.passwords.len(), found.password()), (24, Some(&sealed(39))));
    assert_eq!((found.reset, found.password_set_at), (None, Some(at(32))));
}

#[test]
fn factors_are_known_with_what_was_used_of_them() {
    let mut log = nurse();
    of_user(&mut log, TotpEnrolled { user: user(1), secret: sealed(7) });
    let enrolled = PasskeyEnrolled { user: user(1), passkey: passkey(1), name: "blue".into(), credential: sealed(8) };
    of_user(&mut log, enrolled);
    of_user(&mut log, RecoveryCodesIssued { user: user(1), count: 10, hashes: sealed(9) });
    let proof = Proof::Passkey { passkey: passkey(1), counter: 4, user_verified: true };
    of_user(&mut log, logged_in(1, 1, vec![Proof::Totp { step: 70 }, proof]));
    of_user(&mut log, SteppedUp { user: user(1), session: session(1), proof: Proof::RecoveryCode { index: 3 } });
    let (_dir, views) = views(&log);
    let found = known(&views);
    assert_eq!((found.totp.clone(), found.totp_step), (Some(sealed(7)), Some(70)));
    assert_eq!(found.passkey(passkey(1)).map(|one| (one.counter, one.enrolled_at)), Some((4, at(3))));
    assert_eq!((found.recovery.clone(), found.recovery_count), (Some(sealed(9)), 10));
    assert_eq!(found.recovery_used, [3].into());
    assert!(found.has_second_factor());
    let one = session_row(&views, 1);
    assert_eq!((one.mfa, one.started_at, one.proven_at, one.seen_at), (2, at(5), at(6), at(6)));
    assert_eq!(format!("{:?} {:?}", found.passkeys[0], found), format!("Passkey({}) User({})", passkey(1), user(1)));

    let before = log.events.len();
    of_user(&mut log, FactorRemoved { user: user(1), removed: Removed::All });
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let found = known(&views);
    assert!(!found.has_second_factor() && found.recovery.is_none() && found.recovery_used.is_empty());
}

#[test]
fn the_last_sent_codes_are_known_with_their_tries() {
    let mut log = nurse();
    of_user(&mut log, ContactSet { user: user(1), email: Some(sealed(5)), phone: Some(sealed(6)) });
    of_user(&mut log, ChannelEnrolled { user: user(1), channel: Channel::Email });
    let send = |log: &mut Log, number, channel| {
        let (user, challenge, code) = (user(1), challenge(number), sealed(number));
        of_user(log, CodeSent { user, challenge, channel, code, expires_at: at(300) })
    };
    for number in 1..=5 {
        send(&mut log, number, Channel::Email);
    }
    send(&mut log, 6, Channel::Sms);
    of_user(&mut log, LoginFailed { user: user(1), factor: Factor::EmailCode, known_device: false });
    of_user(&mut log, LoginFailed { user: user(1), factor: Factor::Password, known_device: false });
    of_user(&mut log, logged_in(1, 1, vec![Proof::EmailCode { challenge: challenge(5) }]));
    let (_dir, views) = views(&log);
    let code = |number| views.identity.code(challenge(number)).unwrap();
    assert_eq!(code(1), None, "five are kept");
    let told = |number| code(number).map(|code| (code.tries, code.used, code.sent_at));
    assert_eq!(told(2), Some((1, false, at(5))));
    assert_eq!(told(5), Some((1, true, at(8))));
    assert_eq!(told(6), Some((0, false, at(9))));
    let before = log.events.len();
    of_user(&mut log, ContactSet { user: user(1), email: Some(sealed(55)), phone: Some(sealed(6)) });
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert!(known(&views).channels.is_empty(), "an address that changes is enrolled anew");
}

#[test]
fn accounts_elsewhere_and_keys_lead_to_their_user() {
    let mut log = nurse();
    let (provider, subject) = (|| "ad".to_owned(), || "a".repeat(64));
    let elsewhere = external_stream(&subject());
    log.add(elsewhere.clone(), &[], ExternalLinked { user: user(1), provider: provider(), subject: subject() });
    let issued = |number| ApiKeyIssued {
        user: user(1),
        key: key(number),
        name: "lab".into(),
        secret: "s".into(),
        scopes: vec!["read-chart".into()],
        expires_at: at(500),
    };
    of_user(&mut log, issued(1));
    of_user(&mut log, issued(2));
    of_user(&mut log, ServiceKeySet { user: user(1), jwk: "{}".into(), scopes: vec!["import".into()] });
    let known_by = KnownBy::Name("urn:lab".into());
    let scopes = vec!["import".into()];
    of_user(&mut log, ServiceCertificateSet { user: user(1), certificate: known_by.clone(), scopes });
    let (_dir, views) = views(&log);
    let found = views.identity.user_by_external(&subject()).unwrap().unwrap();
    assert_eq!((found.user, found.externals.len(), found.version), (user(1), 1, 6));
    let (owner, one) = views.identity.api_key(key(1)).unwrap().unwrap();
    assert_eq!((owner.user, one.expires_at, one.issued_at), (user(1), at(500), at(3)));
    assert_eq!(owner.certificate, Some(known_by));
    assert_eq!((owner.service_key, owner.scopes), (Some("{}".into()), ["import".to_owned()].into()));
    let before = log.events.len();
    of_user(&mut log, ApiKeyRevoked { user: user(1), key: key(1) });
    log.add(elsewhere, &[], ExternalUnlinked { user: user(1), provider: provider(), subject: subject() });
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert_eq!(views.identity.user_by_external(&subject()).unwrap(), None);
    assert_eq!(views.identity.api_key(key(1)).unwrap(), None);
    assert!(views.identity.api_key(key(2)).unwrap().is_some());
}

#[test]
fn a_lock_holds_for_its_kind_of_device() {
    let mut log = nurse();
    of_user(&mut log, LoginFailed { user: user(1), factor: Factor::Password, known_device: false });
    of_user(&mut log, AccountLocked { user: user(1), until: at(100), unknown_devices_only: true });
    let (_dir, views) = views(&log);
    let found = known(&views);
    assert_eq!((found.locked(at(99), false), found.locked(at(99), true)), (Some(at(100)), None));
    assert_eq!((found.locked(at(100), false), found.failures, found.failed_at), (None, 1, Some(at(2))));
    let before = log.events.len();
    of_user(&mut log, AccountUnlocked { user: user(1) });
    of_user(&mut log, AccountLocked { user: user(1), until: at(200), unknown_devices_only: false });
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert_eq!(known(&views).locked(at(199), true), Some(at(200)));
}

#[test]
fn the_newest_ten_devices_are_known() {
    let mut log = nurse();
    for number in 0..12 {
        let mut login = logged_in(1, number, vec![Proof::Password]);
        login.device = Some(format!("d{number}"));
        of_user(&mut log, login);
    }
    let (_dir, views) = views(&log);
    let found = known(&views);
    assert_eq!((found.devices.len(), found.last_login_at), (10, Some(at(13))));
    assert!(!found.knows_device("d1") && found.knows_device("d2") && found.knows_device("d11"));
}

#[test]
fn a_session_lives_until_it_is_ended() {
    let mut log = nurse();
    for number in 1..=3 {
        log.log_in(1, number);
    }
    of_session(&mut log, 1, SessionSeen { user: user(1), session: session(1) });
    of_session(&mut log, 1, SessionRefreshed { user: user(1), session: session(1), refresh: "r2".into() });
    of_session(&mut log, 1, SessionLocked { user: user(1), session: session(1) });
    of_session(&mut log, 2, SessionLocked { user: user(1), session: session(2) });
    of_session(&mut log, 2, SessionUnlocked { user: user(1), session: session(2), proof: Proof::Password });
    of_session(&mut log, 2, DocumentationModeSet { user: user(1), session: session(2), until: at(77) });
    ended(&mut log, &[3], EndReason::Idle);
    let (_dir, views) = views(&log);
    let one = session_row(&views, 1);
    assert_eq!(
        (one.refresh.as_deref(), one.seen_at, one.locked_at),
        (Some("r2"), at(5), Some(at(7))),
        "renewing is no sign of life"
    );
    let two = session_row(&views, 2);
    assert_eq!((two.locked_at, two.seen_at, two.documentation_until), (None, at(10), Some(at(77))));
    assert_eq!((two.mfa, two.proven_at), (0, at(3)), "the password that unlocks is no step-up");
    let three = session_row(&views, 3);
    assert_eq!((three.ended_at, three.ended_because), (Some(at(11)), Some(EndReason::Idle)));
    assert_eq!(ids(&views.identity.sessions_of(user(1), at(12)).unwrap()), [session(1), session(2)]);
    assert_eq!(known(&views).version, 6, "a session's own stream is another one");

    let before = log.events.len();
    log.disable(1);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert_eq!(views.identity.sessions_of(user(1), at(12)).unwrap(), []);
    assert_eq!(views.identity.live_sessions(at(12), None, 9).unwrap(), []);
    assert_eq!(session_row(&views, 1).ended_because, Some(EndReason::Administrator));
}

#[test]
fn the_sweep_sees_live_sessions_only() {
    let mut log = Log::default();
    for number in 1..=3 {
        log.user(number, vec![Role::Nurse]);
    }
    for number in 1..=3 {
        for (one, end) in [(1, 1000), (2, 20)] {
            let mut login = logged_in(number, number * 10 + one, vec![Proof::Password]);
            login.expires_at = at(end);
            log.add(stream(user(number)), &[], login);
        }
    }
    of_session(&mut log, 11, SessionSeen { user: user(1), session: session(11) });
    log.log_out(2, 21);
    let (_dir, views) = views(&log);
    let live = |now, after: Option<&Session>, limit| views.identity.live_sessions(at(now), after, limit).unwrap();
    assert_eq!(live(15, None, 9).len(), 5);
    assert_eq!(live(20, None, 9).len(), 2, "what has run out is not walked over");
    let (mut seen, mut after) = (Vec::new(), None);
    while let Some(next) = live(15, after.as_ref(), 1).pop() {
        seen.push(next.session);
        after = Some(next);
    }
    assert_eq!(seen, ids(&live(15, None, 9)), "page by page");
    let idle = |before| ids(&views.identity.idle_sessions(at(30), at(before), 9).unwrap());
    assert_eq!(idle(11), [session(31)], "since that very instant");
    assert_eq!(idle(12).len(), 2);
    assert_eq!(views.identity.idle_sessions(at(30), at(13), 1).unwrap().len(), 1);
}

/// Everything that can happen, in any order.
fn steered(picks: &[(u8, u8)]) -> Log {
    let mut log = nurse();
    for (what, number) in picks {
        let number = u64::from(*number % 4);
        let (id, on) = (user(1), session(number));
        let mut login = logged_in(1, number, vec![Proof::Totp { step: number }]);
        login.device = Some(format!("d{number}"));
        match what % 20 {
            0..=2 => of_user(&mut log, login),
            3 => log.log_out(1, number),
            4 => ended(&mut log, &[number, number + 1], EndReason::User),
            5 => log.disable(1),
            6 => of_user(&mut log, PasswordSet { user: id, hash: sealed(number) }),
            7 => of_user(&mut log, TotpEnrolled { user: id, secret: sealed(number) }),
            8 => of_user(&mut log, FactorRemoved { user: id, removed: Removed::All }),
            9 => of_user(&mut log, LoginFailed { user: id, factor: Factor::EmailCode, known_device: true }),
            10 => of_user(&mut log, ContactSet { user: id, email: Some(sealed(number)), phone: None }),
            11..=12 => {
                let (challenge, code) = (challenge(number * 3 + u64::from(what % 2)), sealed(number));
                let sent = CodeSent { user: id, challenge, channel: Channel::Email, code, expires_at: at(300) };
                of_user(&mut log, sent)
            }
            13 => of_session(&mut log, number, SessionSeen { user: id, session: on }),
            14 => of_session(&mut log, number, SessionLocked { user: id, session: on }),
            15 => of_session(&mut log, number, SessionRefreshed { user: id, session: on, refresh: "r".into() }),
            16 => of_user(&mut log, AccountLocked { user: id, until: at(50), unknown_devices_only: false }),
            17 => of_user(&mut log, SteppedUp { user: id, session: on, proof: Proof::RecoveryCode { index: 1 } }),
            18 => of_user(&mut log, RecoveryCodesIssued { user: id, count: 10, hashes: sealed(number) }),
            _ => log.grant(1, Role::ALL[number as usize]),
        };
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_rebuild_gives_what_was_followed(picks in prop::collection::vec(any::<(u8, u8)>(), 1..120)) {
        let log = steered(&picks);
        let dir = tempfile::tempdir().unwrap();
        let views = Views::open(&config(dir.path())).unwrap();
        for event in &log.events {
            views.apply(Stretch::of(std::slice::from_ref(event))).unwrap();
        }
        let live = views.identity.standing().unwrap();
        let rebuild = views.begin_rebuild(ViewName::Identity, false).unwrap();
        let fetch = |from: u64, to: u64| Ok(log.events[from as usize..to as usize].to_vec());
        let swapped = views.finish_rebuild(rebuild, fetch).unwrap();
        prop_assert!(swapped.compared);
        prop_assert_eq!(views.identity.standing().unwrap().root, live.root);
        let end = at(log.events.len() as i64);
        let of_user = views.identity.sessions_of(user(1), end).unwrap();
        let mut of_all = views.identity.live_sessions(end, None, 99).unwrap();
        of_all.retain(|session| of_user.contains(session));
        prop_assert_eq!(of_all.len(), of_user.len(), "both lists know the same");
        prop_assert_eq!(views.identity.live_sessions(end, None, 99).unwrap().len(), of_user.len());
    }
}
