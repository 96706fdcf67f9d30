use proptest::prelude::*;
use wardbook_events::identity::StrangersCounted;

use super::*;
use crate::scenario::*;

fn created(roles: &[Role]) -> Event {
    UserCreated {
        user: user(2),
        username: "nurse.joy".into(),
        tenant: tenant(),
        roles: roles.to_vec(),
        departments: vec!["er".into()],
        patient: None,
    }
    .into()
}
fn claimed() -> Event {
    UsernameClaimed { user: user(2), username: "nurse.joy".into() }.into()
}
fn password() -> Event {
    PasswordSet { user: user(2), hash: sealed("hash") }.into()
}
fn logged_in(n: u128, expires_at: &str) -> Event {
    LoggedIn { user: user(2), session: session(n), expires_at: expires_at.parse().unwrap() }.into()
}
fn logged_out(n: u128) -> Event {
    LoggedOut { user: user(2), session: session(n) }.into()
}
fn disabled() -> Event {
    UserDisabled { user: user(2) }.into()
}
fn enabled() -> Event {
    UserEnabled { user: user(2) }.into()
}
fn granted(role: Role) -> Event {
    RoleGranted { user: user(2), role }.into()
}
fn revoked(role: Role) -> Event {
    RoleRevoked { user: user(2), role }.into()
}
fn run(command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, &Username::default(), user(2), command, &context())
}
fn create(username: &str, roles: &[Role], departments: &[&str]) -> Command {
    Command::Create {
        username: username.into(),
        roles: roles.iter().copied().collect(),
        departments: departments.iter().map(|&name| name.to_owned()).collect(),
        patient: None,
        password: Some(sealed("hash")),
    }
}
fn log_in(n: u128, expires_at: &str) -> Command {
    Command::LogIn { session: session(n), expires_at: expires_at.parse().unwrap() }
}
const NURSE: &[Role] = &[Role::Nurse];
const TONIGHT: &str = "2026-03-01T20:00:00Z";

#[test]
fn a_user_is_created_under_a_free_name() {
    let good = || create("nurse.joy", NURSE, &["er"]);
    given(&[]).when(run(good())).then([created(NURSE), claimed(), password()]);
    given(&[created(NURSE)]).when(run(good())).rejected(Rejection::AlreadyExists);
    let taken = Username::after(&[claimed()]);
    given(&[]).when(|s| decide(s, &taken, user(2), good(), &context())).rejected(Rejection::UsernameTaken);
    given(&[]).when(run(create("nurse.joy", &[], &["er"]))).rejected(Rejection::NoRole);
    given(&[]).when(run(create("nurse.joy", NURSE, &["E R"]))).rejected(Rejection::BadDepartment);
    for wrong in ["ab", "Joy", "joy!", "jöy", "joy ", "", &"j".repeat(56)] {
        given(&[]).when(run(create(wrong, NURSE, &[]))).rejected(Rejection::BadUsername);
    }
}

#[test]
fn every_good_name_fits_into_a_stream_name() {
    let longest = "j".repeat(55);
    assert_eq!(check_username(&longest), Ok(()));
    assert!(wardbook_events::identity::username_stream(&longest).len() <= 120);
}

#[test]
fn another_organisations_user_is_not_found() {
    let elsewhere = Context { tenant: TenantId::new(uuid::Uuid::from_u128(1)), ..context() };
    given(&[created(NURSE)])
        .when(|s| decide(s, &Username::default(), user(2), Command::Disable, &elsewhere))
        .rejected(Rejection::NotFound);
    given(&[]).when(run(Command::SetPassword(sealed("hash")))).rejected(Rejection::NotFound);
}

#[test]
fn a_password_is_set_again_and_again() {
    given(&[created(NURSE), password()]).when(run(Command::SetPassword(sealed("hash")))).then([password()]);
}

#[test]
fn roles_come_and_go_but_one_remains() {
    given(&[created(NURSE)]).when(run(Command::Grant(Role::Billing))).then([granted(Role::Billing)]);
    given(&[created(NURSE)]).when(run(Command::Grant(Role::Nurse))).then_nothing();
    given(&[created(NURSE), granted(Role::Billing)])
        .when(run(Command::Revoke(Role::Nurse)))
        .then([revoked(Role::Nurse)]);
    given(&[created(NURSE)]).when(run(Command::Revoke(Role::Billing))).then_nothing();
    given(&[created(NURSE)]).when(run(Command::Revoke(Role::Nurse))).rejected(Rejection::NoRole);
}

#[test]
fn users_are_disabled_and_enabled() {
    given(&[created(NURSE)]).when(run(Command::Disable)).then([disabled()]);
    given(&[created(NURSE), disabled()]).when(run(Command::Disable)).then_nothing();
    given(&[created(NURSE), disabled()]).when(run(Command::Enable)).then([enabled()]);
    given(&[created(NURSE)]).when(run(Command::Enable)).then_nothing();
}

#[test]
fn a_session_begins_for_an_enabled_user_and_has_an_end() {
    given(&[created(NURSE)]).when(run(log_in(1, TONIGHT))).then([logged_in(1, TONIGHT)]);
    given(&[created(NURSE), disabled()]).when(run(log_in(1, TONIGHT))).rejected(Rejection::UserDisabled);
    given(&[created(NURSE), logged_in(1, TONIGHT)]).when(run(log_in(1, TONIGHT))).rejected(Rejection::AlreadyExists);
    for wrong in [NOW, "2026-02-28T00:00:00Z", "2026-03-08T12:00:01Z"] {
        given(&[created(NURSE)]).when(run(log_in(1, wrong))).rejected(Rejection::SessionTooLong);
    }
}

#[test]
fn failed_logins_are_told() {
    given(&[created(NURSE)]).when(run(Command::FailLogin)).then([LoginFailed { user: user(2) }.into()]);
    given(&[created(NURSE), disabled()]).when(run(Command::FailLogin)).then([LoginFailed { user: user(2) }.into()]);
}

#[test]
fn a_session_ends_once() {
    given(&[created(NURSE), logged_in(1, TONIGHT)]).when(run(Command::LogOut(session(1)))).then([logged_out(1)]);
    given(&[created(NURSE), logged_in(1, TONIGHT), logged_out(1)])
        .when(run(Command::LogOut(session(1))))
        .then_nothing();
    given(&[created(NURSE), logged_in(1, TONIGHT), disabled()]).when(run(Command::LogOut(session(1)))).then_nothing();
    given(&[created(NURSE)]).when(run(Command::LogOut(session(1)))).then_nothing();
}

#[test]
fn sessions_that_must_have_ended_are_forgotten() {
    let state = State::after(&[created(NURSE), logged_in(1, TONIGHT), logged_in(2, "2026-03-08T21:00:00Z")]);
    assert_eq!(state.within(tenant()).unwrap().sessions.keys().copied().collect::<Vec<_>>(), [session(2)]);
}

proptest! {
    #[test]
    fn any_order_of_events_has_a_state(picks in prop::collection::vec(0_usize..11, 0..30)) {
        let all = [
            created(NURSE), claimed(), password(), granted(Role::Admin), revoked(Role::Nurse), disabled(), enabled(),
            logged_in(1, TONIGHT), logged_in(2, "+009999-12-30T22:00:00.9Z"), logged_out(1),
            StrangersCounted { minute: NOW.parse().unwrap(), tries: 3 }.into(),
        ];
        let state = State::after(picks.iter().map(|pick| &all[*pick]));
        prop_assert_eq!(state != State::Unknown, picks.contains(&0));
        let _ = Username::after(picks.iter().map(|pick| &all[*pick]));
    }
}
