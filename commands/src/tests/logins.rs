//! What must hold when commands on one user meet, over a real ledger.

use wardbook_events::alerts::Channel;
use wardbook_events::identity::{EndReason, Factor, Proof, stream};
use wardbook_events::values::{Email, Phone};
use wardbook_events::{ChallengeId, Client, SessionId, UserId};
use wardbook_policy::{Action, Target};

use super::house::*;
use super::identity::{HASH, RULES, begin, nurse, stranger};
use crate::identity::{
    CODE_PURPOSE, CONTACT_PURPOSE, LoginRules, PasswordHash, RECOVERY_PURPOSE, Renewal, SendCode, TOTP_PURPOSE, Which,
};
use crate::scenario::{session, tenant};
use crate::{CommandError, IdempotencyKey, Origin, Rejection};

/// As many at once as there are sessions, and one more.
const MANY: usize = 8;

fn hash(n: u128) -> String {
    format!("{n:064x}")
}
async fn logged_in(house: &House, user: UserId, n: u128) -> SessionId {
    house.commands.log_in(tenant(), &stranger(), user, begin(n, vec![Proof::Password]), RULES).await.unwrap();
    session(n)
}
fn rejected<T: std::fmt::Debug>(result: Result<T, CommandError>) -> Rejection {
    match result {
        Err(CommandError::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_with_one_code_exactly_one_begins() {
    let house = house();
    let user = nurse(&house).await;
    house.commands.enrol_totp(tenant(), &stranger(), user, b"secret").await.unwrap();
    let tries = (0..MANY as u128).map(|n| {
        let (commands, proofs) = (house.commands.clone(), vec![Proof::Password, Proof::Totp { step: 7 }]);
        tokio::spawn(async move { commands.log_in(tenant(), &stranger(), user, begin(n, proofs), RULES).await })
    });
    let mut began = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(_) => began += 1,
            other => assert_eq!(rejected(other), Rejection::ProofUsed),
        }
    }
    assert_eq!((began, house.count("identity.logged-in")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_no_more_live_than_allowed() {
    let house = house();
    let user = nurse(&house).await;
    let tries = (0..MANY as u128).map(|n| {
        let house = house.clone();
        tokio::spawn(async move { logged_in(&house, user, n).await })
    });
    for one in tries.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let ended = house.commands.end_sessions(tenant(), &stranger(), user, Which::All, EndReason::User).await.unwrap();
    assert_eq!(ended.value.len(), 3);
    let again = house.commands.end_sessions(tenant(), &stranger(), user, Which::All, EndReason::User).await.unwrap();
    assert_eq!((again.value, again.receipts), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_have_one_refresh_token_both_lose_their_sessions() {
    let house = house();
    let user = nurse(&house).await;
    let (one, other) = (logged_in(&house, user, 1).await, logged_in(&house, user, 2).await);
    let tries = (0..2).map(|n| {
        let commands = house.commands.clone();
        tokio::spawn(async move { commands.refresh(tenant(), &stranger(), user, one, hash(1), hash(10 + n)).await })
    });
    let mut came_to = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        came_to.push(one.await.unwrap().unwrap().value);
    }
    came_to.sort_by_key(|renewal| *renewal != Renewal::Renewed);
    assert_eq!(came_to, [Renewal::Renewed, Renewal::Stolen(vec![one, other])]);
    for n in [1, 10, 11] {
        let late = house.commands.refresh(tenant(), &stranger(), user, one, hash(n), hash(20)).await;
        assert_eq!(rejected(late), Rejection::SessionEnded);
    }
    assert_eq!((house.count("identity.refresh-token-reused"), house.count("identity.sessions-ended")), (1, 1));
}

#[tokio::test]
async fn a_retry_of_a_login_tells_the_same() {
    let house = house();
    let user = nurse(&house).await;
    let keyed = || Origin { idempotency: Some(IdempotencyKey::new("k").unwrap()), ..stranger() };
    logged_in(&house, user, 1).await;
    let rules = LoginRules { sessions_max: 1, ..RULES };
    let log_in =
        async || house.commands.log_in(tenant(), &keyed(), user, begin(2, vec![Proof::Password]), rules).await.unwrap();
    let (first, again) = (log_in().await, log_in().await);
    assert_eq!((&first.value, first.receipts.len()), (&vec![session(1)], 2));
    assert_eq!((again.value, again.receipts.len()), (first.value, 2));
    assert!(again.receipts[0].is_replay());
}

#[tokio::test]
async fn failures_lock_and_then_say_nothing_more() {
    let house = house();
    let user = nurse(&house).await;
    let rules = LoginRules { failures_max: 2, ..RULES };
    #[expect(clippy::disallowed_methods, reason = "the ledger in memory has a clock of its own, the machine's")]
    let fail = async |rules| {
        let origin = Origin { now: jiff::Timestamp::now(), ..stranger() };
        house.commands.fail_login(tenant(), &origin, user, Factor::Password, false, rules).await.unwrap()
    };
    assert_eq!(fail(rules).await.value, None);
    let locked = fail(rules).await;
    assert!(locked.value.is_some() && locked.receipts.len() == 2);
    for _ in 0..20 {
        let again = fail(rules).await;
        assert_eq!((again.value, again.receipts.len()), (locked.value, 0));
    }
    assert_eq!(house.count("identity.login-failed"), 2);
}

#[tokio::test]
async fn what_is_secret_is_sealed_and_opens() {
    let house = house();
    let user = nurse(&house).await;
    let manage = house.may(ADMIN, Action::ManageUsers, Target::User(user)).unwrap();
    let contact = async |email: &str, phone: Option<&str>| {
        let email = Some(Email::new(email).unwrap());
        let phone = phone.map(|phone| Phone::new(phone).unwrap());
        house.commands.set_contact(&manage, &ADMIN.origin(), user, email, phone).await.unwrap().receipts.len()
    };
    assert_eq!(contact("joy@ward.example", None).await, 1);
    assert_eq!(contact("joy@ward.example", None).await, 0, "nothing changed");
    let commands = &house.commands;
    commands.enrol_totp(tenant(), &stranger(), user, b"OPEN SESAME").await.unwrap();
    commands.issue_recovery_codes(tenant(), &stranger(), user, vec!["aa".into(), "bb".into()]).await.unwrap();
    let code = SendCode {
        challenge: ChallengeId::new(uuid::Uuid::from_u128(9)),
        channel: Channel::Email,
        hash: "c0de".into(),
        expires_at: now() + jiff::SignedDuration::from_mins(5),
    };
    assert_eq!(format!("{code:?}"), format!("SendCode({})", code.challenge), "nothing of the hash");
    commands.send_code(tenant(), &stranger(), user, code).await.unwrap();
    commands.enrol_channel(tenant(), &stranger(), user, Channel::Email).await.unwrap();
    let entries =
        house.ledger.stream(&stream(user).parse().unwrap(), 1, wardbook_ledger::Direction::Forward, 50).unwrap();
    for (kind, field, purpose, text) in [
        ("identity.totp-enrolled", "secret", TOTP_PURPOSE, "OPEN SESAME"),
        ("identity.contact-set", "email", CONTACT_PURPOSE, "joy@ward.example"),
        ("identity.recovery-codes-issued", "hashes", RECOVERY_PURPOSE, r#"["aa","bb"]"#),
        ("identity.code-sent", "code", CODE_PURPOSE, "c0de"),
    ] {
        let entry = entries.iter().find(|entry| entry.event_type().as_str() == kind).unwrap();
        let body: serde_json::Value = serde_json::from_slice(entry.body()).unwrap();
        assert!(!body.to_string().contains(text));
        let sealed = wardbook_events::Ciphertext::new(body[field].as_str().unwrap().to_owned());
        let opened = house.keys.open_secret(tenant(), &stream(user), purpose, &sealed).unwrap();
        assert_eq!(opened.as_slice(), text.as_bytes());
    }
    // Only the telephone changes, so codes by e-mail still count.
    assert_eq!(contact("joy@ward.example", Some("+1 555 0100")).await, 1);
    let proof = Proof::EmailCode { challenge: ChallengeId::new(uuid::Uuid::from_u128(9)) };
    commands.log_in(tenant(), &stranger(), user, begin(1, vec![proof]), RULES).await.unwrap();
}

#[tokio::test]
async fn a_token_resets_the_password_once() {
    let house = house();
    let user = nurse(&house).await;
    logged_in(&house, user, 1).await;
    let ends = now() + jiff::SignedDuration::from_mins(30);
    let ask = async |n| house.commands.request_reset(tenant(), &stranger(), user, hash(n), ends).await.unwrap();
    assert_eq!((ask(1).await.receipts.len(), ask(2).await.receipts.len()), (1, 0), "the second one comes too soon");
    let reset = async |n| {
        let new = PasswordHash::new(HASH).unwrap();
        house.commands.reset_password(tenant(), &stranger(), user, hash(n), new).await
    };
    assert_eq!(rejected(reset(2).await), Rejection::ResetEnded);
    assert_eq!(reset(1).await.unwrap().receipts.len(), 2, "the password, and the end of the session");
    assert_eq!(rejected(reset(1).await), Rejection::ResetEnded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_users_with_one_account_elsewhere_exactly_one_has_it() {
    let house = house();
    let mut users = vec![nurse(&house).await];
    let permit = house.may(ADMIN, Action::ManageUsers, Target::Tenant).unwrap();
    for n in 1..MANY {
        let create = crate::identity::CreateUser {
            kind: wardbook_events::identity::AccountKind::Person,
            username: format!("user-{n}"),
            roles: [wardbook_events::Role::Nurse].into(),
            departments: vec![],
            patient: None,
            password: None,
        };
        users.push(house.commands.create_user(&permit, &ADMIN.origin(), create).await.unwrap().value);
    }
    let tries = users.into_iter().map(|user| {
        let house = house.clone();
        tokio::spawn(async move {
            let manage = house.may(ADMIN, Action::ManageUsers, Target::User(user)).unwrap();
            house.commands.link_external(&manage, &ADMIN.origin(), user, "ad".into(), hash(1)).await
        })
    });
    let mut linked = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(_) => linked += 1,
            other => assert_eq!(rejected(other), Rejection::ExternalTaken),
        }
    }
    assert_eq!(linked, 1);
}

#[tokio::test]
async fn one_changes_ones_own_password_and_keeps_the_session() {
    let house = house();
    let user = nurse(&house).await;
    let (one, _) = (logged_in(&house, user, 1).await, logged_in(&house, user, 2).await);
    let me = wardbook_policy::Principal {
        mfa: 2,
        fresh_until: Some(jiff::Timestamp::MAX),
        ..wardbook_policy::Principal::new(user, tenant(), [wardbook_events::Role::Nurse].into())
    };
    let permit = house.policies.act(&me, Action::ChangeOwnCredentials, Target::User(user), &PHYSICIAN.ask()).unwrap();
    let origin = Origin {
        actor: wardbook_events::Actor::user(user, wardbook_events::Role::Nurse),
        client: Client { session: Some(one), ..Client::default() },
        ..PHYSICIAN.origin()
    };
    let new = PasswordHash::new(HASH).unwrap();
    house.commands.change_password(&permit, &origin, new).await.unwrap();
    let left = house.commands.end_sessions(tenant(), &stranger(), user, Which::All, EndReason::User).await.unwrap();
    assert_eq!(left.value, [one]);
    // The permit is for oneself only.
    let other =
        house.commands.remove_factor(&permit, &origin, PHYSICIAN.user(), wardbook_events::identity::Removed::All);
    assert!(matches!(other.await, Err(CommandError::UnfitPermit(_))));
}
