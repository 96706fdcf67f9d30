use wardbook_events::ApiKeyId;
use wardbook_events::identity::{
    ApiKeyIssued, ApiKeyRevoked, ExternalLinked, ExternalUnlinked, Hours, HoursSet, KnownBy, NetworksSet, PlacesSet,
    ServiceCertificateSet, ServiceKeySet,
};

use super::*;
use crate::identity::accounts::{self, Create, Username, check_username};
use crate::identity::externals::{self, Holder};
use crate::identity::places;

fn create(username: &str, roles: &[Role], departments: &[&str]) -> Create {
    Create {
        kind: AccountKind::Person,
        username: username.into(),
        roles: roles.iter().copied().collect(),
        departments: departments.iter().map(|&name| name.to_owned()).collect(),
        patient: None,
        password: Some(sealed("hash")),
    }
}
fn creating(create: Create) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| accounts::create(state, &Username::default(), user(2), create, &context())
}
fn revoke(role: Role) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    on(move |was| accounts::revoke(was, user(2), role, &context()))
}

#[test]
fn a_user_is_created_under_a_free_name() {
    let good = || create("nurse.joy", NURSE, &["er"]);
    given(&[]).when(creating(good())).then([created(NURSE), claimed(), password()]);
    given(&[created(NURSE)]).when(creating(good())).rejected(Rejection::AlreadyExists);
    let taken = Username::after(&[claimed()]);
    given(&[]).when(|s| accounts::create(s, &taken, user(2), good(), &context())).rejected(Rejection::UsernameTaken);
    given(&[]).when(creating(create("nurse.joy", &[], &["er"]))).rejected(Rejection::NoRole);
    given(&[]).when(creating(create("nurse.joy", NURSE, &["E R"]))).rejected(Rejection::BadDepartment);
    for wrong in ["ab", "Joy", "joy!", "jöy", "joy ", "", &"j".repeat(56)] {
        given(&[]).when(creating(create(wrong, NURSE, &[]))).rejected(Rejection::BadUsername);
    }
}

#[test]
fn a_program_has_its_role_and_neither_password_nor_chart() {
    let program =
        || Create { kind: AccountKind::Service, password: None, ..create("nurse.joy", &[Role::Service], &["er"]) };
    given(&[]).when(creating(program())).then([service(), claimed()]);
    for wrong in [
        Create { password: Some(sealed("hash")), ..program() },
        Create { patient: Some(patient(1)), ..program() },
        Create { roles: [Role::Nurse].into(), ..program() },
    ] {
        given(&[]).when(creating(wrong)).rejected(Rejection::WrongAccountKind);
    }
    given(&[service(), granted(Role::Nurse)]).when(revoke(Role::Service)).rejected(Rejection::WrongAccountKind);
    given(&[service(), granted(Role::Nurse)]).when(revoke(Role::Nurse)).then([revoked(Role::Nurse)]);
}

#[test]
fn every_good_name_fits_into_a_stream_name() {
    let longest = "j".repeat(55);
    assert_eq!(check_username(&longest), Ok(()));
    assert!(wardbook_events::identity::username_stream(&longest).len() <= 120);
}

#[test]
fn another_organisations_user_is_not_found() {
    let elsewhere = wardbook_events::TenantId::new(uuid::Uuid::from_u128(1));
    assert_eq!(State::after(&[created(NURSE)]).within(elsewhere).err(), Some(Rejection::NotFound));
    assert_eq!(State::default().within(tenant()).err(), Some(Rejection::NotFound));
}

#[test]
fn roles_come_and_go_but_one_remains() {
    let grant = |role| on(move |was| Ok(accounts::grant(was, user(2), role)));
    given(&[created(NURSE)]).when(grant(Role::Billing)).then([granted(Role::Billing)]);
    given(&[created(NURSE)]).when(grant(Role::Nurse)).then_nothing();
    given(&[created(NURSE), granted(Role::Billing)]).when(revoke(Role::Nurse)).then([revoked(Role::Nurse)]);
    given(&[created(NURSE)]).when(revoke(Role::Billing)).then_nothing();
    given(&[created(NURSE)]).when(revoke(Role::Nurse)).rejected(Rejection::NoRole);
}

#[test]
fn a_role_that_is_taken_away_ends_the_sessions() {
    let over = logged_in(1, "2026-03-01T12:00:00Z");
    given(&[created(NURSE), granted(Role::Billing), over, logged_in(2, TONIGHT)])
        .when(revoke(Role::Nurse))
        .then([revoked(Role::Nurse), ended(&[2], EndReason::RoleChanged)]);
}

#[test]
fn users_are_disabled_and_enabled() {
    let disable = || on(|was| Ok(accounts::disable(was, user(2))));
    let enable = || on(|was| Ok(accounts::enable(was, user(2))));
    given(&[created(NURSE), logged_in(1, TONIGHT)]).when(disable()).then([disabled()]);
    given(&[created(NURSE), disabled()]).when(disable()).then_nothing();
    given(&[created(NURSE), disabled()]).when(enable()).then([enabled()]);
    given(&[created(NURSE)]).when(enable()).then_nothing();
}

#[test]
fn places_hours_and_networks_are_checked() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let set = PlacesSet { user: user(2), departments: names(&["er"]), facilities: names(&["north"]) };
    assert_eq!(places::set_places(user(2), names(&["er"]), names(&["north"])), Ok(vec![set.into()]));
    assert_eq!(places::set_places(user(2), names(&["er"]), names(&["No rth"])), Err(Rejection::BadDepartment));
    assert_eq!(places::set_places(user(2), vec!["er".into(); 21], vec![]), Err(Rejection::BadDepartment));

    let night = |weekday, from, to| vec![Hours { weekday, from, to }];
    let set = HoursSet { user: user(2), shifts: night(7, 0, 1440), on_call_until: None };
    assert_eq!(places::set_hours(user(2), night(7, 0, 1440), None), Ok(vec![set.into()]));
    for (weekday, from, to) in [(0, 0, 1), (8, 0, 1), (1, 0, 1441), (1, 5, 5), (1, 6, 5), (1, 1440, 1441)] {
        assert_eq!(places::set_hours(user(2), night(weekday, from, to), None), Err(Rejection::BadHours));
    }
    let many = vec![Hours { weekday: 1, from: 0, to: 1 }; 51];
    assert_eq!(places::set_hours(user(2), many, None), Err(Rejection::BadHours));

    let set = NetworksSet { user: user(2), networks: names(&["10.0.0.0/8"]) };
    assert_eq!(places::set_networks(user(2), names(&["10.0.0.0/8"])), Ok(vec![set.into()]));
    assert_eq!(places::set_networks(user(2), names(&["10.0.0.1/8"])), Err(Rejection::BadNetwork));
    assert_eq!(places::set_networks(user(2), vec!["10.0.0.0/8".into(); 51]), Err(Rejection::BadNetwork));
}

fn key(n: u128) -> ApiKeyId {
    ApiKeyId::new(uuid::Uuid::from_u128(n))
}
fn issued(n: u128) -> ApiKeyIssued {
    ApiKeyIssued {
        user: user(2),
        key: key(n),
        name: "lab import".into(),
        secret: hash(n),
        scopes: vec!["read-chart".into()],
        expires_at: minutes(60),
    }
}

#[test]
fn api_keys_have_scopes_and_an_end() {
    let issue = |issued| on(move |was| accounts::issue_key(was, issued, &context()));
    given(&[service()]).when(issue(issued(1))).then([issued(1).into()]);
    given(&[service(), issued(1).into()]).when(issue(issued(1))).rejected(Rejection::AlreadyExists);
    given(&[service(), disabled()]).when(issue(issued(1))).rejected(Rejection::UserDisabled);
    let scopes = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
    for bad in [scopes(&[]), scopes(&["everything"]), scopes(&["read-chart"; 51])] {
        given(&[service()]).when(issue(ApiKeyIssued { scopes: bad, ..issued(1) })).rejected(Rejection::BadScope);
    }
    for bad in [NOW, "2026-02-01T00:00:00Z", "2027-03-02T12:00:01Z"] {
        let bad = ApiKeyIssued { expires_at: time(bad), ..issued(1) };
        given(&[service()]).when(issue(bad)).rejected(Rejection::BadKeyLife);
    }
    for bad in ["", " lead", "new\nline", &"x".repeat(65)] {
        let bad = ApiKeyIssued { name: bad.into(), ..issued(1) };
        given(&[service()]).when(issue(bad)).rejected(Rejection::BadLabel);
    }
    given(&[service()]).when(issue(ApiKeyIssued { secret: "x".into(), ..issued(1) })).rejected(Rejection::BadHash);
    let mut full = vec![service()];
    full.extend((1..=20).map(|n| Event::from(issued(n))));
    given(&full).when(issue(issued(21))).rejected(Rejection::TooMany);

    let revoke = || on(|was| accounts::revoke_key(was, user(2), key(1)));
    let gone: Event = ApiKeyRevoked { user: user(2), key: key(1) }.into();
    given(&[service(), issued(1).into()]).when(revoke()).then([gone.clone()]);
    given(&[service(), issued(1).into(), gone.clone()]).when(revoke()).rejected(Rejection::NotFound);
    let proof = [Proof::ApiKey { key: key(1) }];
    given(&[service(), issued(1).into(), gone]).when(log_in(1, &proof)).rejected(Rejection::ProofUsed);
    let late = on(|was| was.means.check(&Proof::ApiKey { key: key(1) }, minutes(60)).map(|()| vec![]));
    given(&[service(), issued(1).into()]).when(late).rejected(Rejection::ProofUsed);
}

#[test]
fn a_program_signs_with_a_public_key() {
    const JWK: &str = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
    let set = |jwk: &str, scopes: &[&str]| {
        let key = (jwk.to_owned(), scopes.iter().map(|&scope| scope.to_owned()).collect());
        on(move |was| accounts::set_service_key(was, user(2), key, &context()))
    };
    let done = ServiceKeySet { user: user(2), jwk: JWK.into(), scopes: vec!["read-chart".into()] };
    given(&[service()]).when(set(JWK, &["read-chart"])).then([done.clone().into()]);
    given(&[service(), done.clone().into(), logged_in_with(1, TONIGHT, &[Proof::Assertion], None)])
        .when(set(JWK, &["read-chart"]))
        .then([done.clone().into(), ended(&[1], EndReason::FactorChanged)]);
    given(&[created(NURSE)]).when(set(JWK, &["read-chart"])).rejected(Rejection::WrongAccountKind);
    given(&[service()]).when(set(JWK, &[])).rejected(Rejection::BadScope);
    for bad in ["", "7", "{}", r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"x"}"#, r#"{"kty":"oct","k":"x"}"#] {
        given(&[service()]).when(set(bad, &["read-chart"])).rejected(Rejection::BadKey);
    }
    let log_in = || log_in(1, &[Proof::Assertion]);
    given(&[service()]).when(log_in()).rejected(Rejection::ProofUsed);
    given(&[service(), done.into()]).when(log_in()).then([logged_in_with(1, TONIGHT, &[Proof::Assertion], None)]);
}

#[test]
fn a_program_shows_a_certificate() {
    let set = |certificate: KnownBy| {
        let set = (certificate, vec!["read-chart".to_owned()]);
        on(move |was| accounts::set_service_certificate(was, user(2), set, &context()))
    };
    let by_hash = || KnownBy::Sha256(hash(1));
    let done: Event =
        ServiceCertificateSet { user: user(2), certificate: by_hash(), scopes: vec!["read-chart".into()] }.into();
    given(&[service()]).when(set(by_hash())).then([done.clone()]);
    given(&[created(NURSE)]).when(set(by_hash())).rejected(Rejection::WrongAccountKind);
    given(&[service()]).when(set(KnownBy::Sha256("9F".repeat(32)))).rejected(Rejection::BadHash);
    for bad in ["", "*.lab.example", "a b", "l\u{e4}b", &"x".repeat(256)] {
        given(&[service()]).when(set(KnownBy::Name(bad.into()))).rejected(Rejection::BadCertificateName);
    }
    let proof = [Proof::Certificate { sha256: hash(1) }];
    given(&[service()]).when(log_in(1, &proof)).rejected(Rejection::ProofUsed);
    let begun = logged_in_with(1, TONIGHT, &proof, None);
    given(&[service(), done.clone()]).when(log_in(1, &proof)).then([begun.clone()]);
    given(&[service(), done.clone(), begun]).when(set(by_hash())).then([done, ended(&[1], EndReason::FactorChanged)]);
}

#[test]
fn an_account_elsewhere_belongs_to_one_user() {
    let linked: Event = ExternalLinked { user: user(2), provider: "ad".into(), subject: hash(1) }.into();
    let unlinked: Event = ExternalUnlinked { user: user(2), provider: "ad".into(), subject: hash(1) }.into();
    let link = |who| move |holder: &Holder| externals::link(holder, user(who), "ad", &hash(1));
    given(&[]).when(link(2)).then([linked.clone()]);
    given(std::slice::from_ref(&linked)).when(link(2)).then_nothing();
    given(std::slice::from_ref(&linked)).when(link(3)).rejected(Rejection::ExternalTaken);
    given(&[]).when(|h: &Holder| externals::link(h, user(2), "", &hash(1))).rejected(Rejection::BadLabel);
    given(&[]).when(|h: &Holder| externals::link(h, user(2), "ad", "AB")).rejected(Rejection::BadHash);

    let state = State::after(&[created(NURSE), logged_in(1, TONIGHT)]);
    let unlink = |who| {
        let state = &state;
        move |h: &Holder| externals::unlink(state.within(tenant())?, h, user(who), ("ad", &hash(1)), &context())
    };
    given(std::slice::from_ref(&linked))
        .when(unlink(2))
        .then([unlinked.clone(), ended(&[1], EndReason::FactorChanged)]);
    given(std::slice::from_ref(&linked)).when(unlink(3)).rejected(Rejection::NotFound);
    given(&[linked.clone(), unlinked.clone()]).when(unlink(2)).rejected(Rejection::NotFound);
    given(&[linked, unlinked]).when(link(3)).then([ExternalLinked {
        user: user(3),
        provider: "ad".into(),
        subject: hash(1),
    }
    .into()]);
}
