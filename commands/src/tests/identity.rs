use jiff::SignedDuration;
use wardbook_events::identity::{AccountKind, IdentityEvent, Proof, StrangersCounted, stream};
use wardbook_events::{Actor, Event, EventId, Role, UserId};
use wardbook_ledger::Direction;
use wardbook_policy::{Action, Target};

use super::house::*;
use crate::identity::{Begin, CreateUser, LoginRules, PasswordHash};
use crate::scenario::{session, tenant};
use crate::{CommandError, Origin, Rejection};

pub(super) const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";

pub(super) async fn nurse(house: &House) -> UserId {
    let permit = house.may(ADMIN, Action::ManageUsers, Target::Tenant).unwrap();
    let command = CreateUser {
        kind: AccountKind::Person,
        username: "joy@ward.example".into(),
        roles: [Role::Nurse].into(),
        departments: vec!["er".into()],
        patient: None,
        password: PasswordHash::new(HASH),
    };
    house.commands.create_user(&permit, &ADMIN.origin(), command).await.unwrap().value
}
pub(super) const RULES: LoginRules =
    LoginRules { sessions_max: 3, drop_oldest: true, failures_max: 5, window_s: 1800, lock_s: 1800 };

pub(super) fn begin(n: u128, proofs: Vec<Proof>) -> Begin {
    let expires_at = now() + SignedDuration::from_hours(8);
    let (binding, device, refresh) = (None, None, Some(format!("{n:064x}")));
    Begin { session: session(n), expires_at, proofs, password: None, binding, device, known_device: false, refresh }
}
pub(super) fn stranger() -> Origin {
    Origin { actor: Actor::STRANGER, ..ADMIN.origin() }
}

#[tokio::test]
async fn a_password_hash_is_sealed_and_opens_for_the_login() {
    let house = house();
    let user = nurse(&house).await;
    let entries = house.ledger.stream(&stream(user).parse().unwrap(), 1, Direction::Forward, 10).unwrap();
    let last = entries.last().unwrap();
    assert!(!String::from_utf8_lossy(last.body()).contains("argon2id"));
    let Event::Identity(IdentityEvent::PasswordSet(set)) =
        Event::decode("identity.password-set", 1, last.body()).unwrap()
    else {
        panic!()
    };
    let opened = house.keys.open_secret(tenant(), &stream(user), "password-hash", &set.hash).unwrap();
    assert_eq!(opened.as_slice(), HASH.as_bytes());
    assert_eq!(format!("{:?}", PasswordHash::new(HASH)), "Some(PasswordHash(..))");
    assert!(PasswordHash::new("$2b$12$bcrypt").is_none());
}

#[tokio::test]
async fn a_disabled_user_does_not_get_in() {
    let house = house();
    let user = nurse(&house).await;
    let commands = &house.commands;
    let log_in = async |n| commands.log_in(tenant(), &stranger(), user, begin(n, vec![Proof::Password]), RULES).await;
    assert_eq!(log_in(1).await.unwrap().value, []);
    let manage = house.may(ADMIN, Action::ManageUsers, Target::User(user)).unwrap();
    commands.disable_user(&manage, &ADMIN.origin(), user).await.unwrap();
    assert!(matches!(log_in(2).await, Err(CommandError::Rejected(Rejection::UserDisabled))));
    commands.enable_user(&manage, &ADMIN.origin(), user).await.unwrap();
    log_in(3).await.unwrap();
    assert_eq!(commands.log_out(tenant(), &stranger(), user, session(3)).await.unwrap().receipts.len(), 1);
    assert_eq!(commands.log_out(tenant(), &stranger(), user, session(3)).await.unwrap().receipts.len(), 0);
    commands.grant_role(&manage, &ADMIN.origin(), user, Role::Billing).await.unwrap();
    commands.revoke_role(&manage, &ADMIN.origin(), user, Role::Nurse).await.unwrap();
    commands.set_password(&manage, &ADMIN.origin(), user, PasswordHash::new(HASH).unwrap()).await.unwrap();
    let not_managing = house.registering();
    assert!(commands.disable_user(&not_managing, &REGISTRAR.origin(), user).await.is_err());
}

/// A stream longer than a page, by a process that remembers nothing of it.
#[tokio::test]
async fn a_long_stream_is_read_to_its_end() {
    let house = house();
    let user = nurse(&house).await;
    let commands = &house.commands;
    for n in 0..130 {
        commands.log_in(tenant(), &stranger(), user, begin(n, vec![Proof::Password]), RULES).await.unwrap();
    }
    let manage = house.may(ADMIN, Action::ManageUsers, Target::User(user)).unwrap();
    house.commands.disable_user(&manage, &ADMIN.origin(), user).await.unwrap();
    let newcomer = house_over(house.ledger.clone(), house.keys.clone());
    let begin = begin(200, vec![Proof::Password]);
    let result = newcomer.commands.log_in(tenant(), &stranger(), user, begin, RULES).await;
    assert!(matches!(result, Err(CommandError::Rejected(Rejection::UserDisabled))), "{result:?}");
}

#[tokio::test]
async fn strangers_are_counted() {
    let house = house();
    let id = EventId::new(uuid::Uuid::from_u128(fresh()));
    let counted = StrangersCounted { minute: now(), tries: 4711 };
    let receipt = house.commands.count_strangers(tenant(), &stranger(), id, counted).await.unwrap();
    let entry = house.ledger.read(receipt.position()).unwrap().unwrap();
    let meta: wardbook_events::Meta = serde_json::from_slice(entry.meta()).unwrap();
    assert_eq!((meta.outcome, meta.actor), (wardbook_events::Outcome::Failed, Actor::STRANGER));
}
