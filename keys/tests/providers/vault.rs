//! OpenBao's Transit engine.

use std::time::Duration;

use serde_json::json;
use wardbook_keys::providers::vault::{Vault, VaultSettings};
use wardbook_keys::{RootError, RootKeyProvider as _};

use crate::bao::{Bao, write_secret};
use crate::matrix::{self, HERE, KEY, TRY};
use crate::proxy::{Proxy, Weather};

fn settings(bao: &Bao, port: u16) -> VaultSettings {
    VaultSettings {
        address: bao.address().replace(&bao.port.to_string(), &port.to_string()),
        namespace: String::new(),
        mount: "transit".to_owned(),
        key: "wardbook".to_owned(),
        auth_mount: "approle".to_owned(),
        role_id: bao.role_id.clone(),
        secret_id_file: bao.secret_id_file(),
        ca_file: None,
        try_for: TRY,
    }
}

fn vault(bao: &Bao, port: u16) -> Vault {
    Vault::new(settings(bao, port)).unwrap()
}

/// Busy machines take longer; what is meant to be in time has this.
fn patient(bao: &Bao) -> Vault {
    Vault::new(VaultSettings { try_for: Duration::from_secs(20), ..settings(bao, bao.port) }).unwrap()
}

#[test]
fn every_operation() {
    let bao = Bao::start("1h");
    let root = patient(&bao);
    assert_eq!(root.id(), "vault:transit/wardbook");
    matrix::operations(&root);
    let key = bao.good("GET", "transit/keys/wardbook", &json!(null));
    for (member, value) in [("exportable", false), ("allow_plaintext_backup", false), ("derived", true)] {
        assert_eq!(key["data"][member], value, "{member}");
    }
    // It took nothing but the key's own words: what Transit says of the version is what we say.
    let wrapped = root.wrap(HERE, &KEY).unwrap();
    assert!(wrapped.starts_with(b"vault:v2:"));
}

#[test]
fn old_versions_are_retired_by_the_minimum_decryption_version() {
    let bao = Bao::start("1h");
    matrix::retirement(&patient(&bao));
    assert_eq!(bao.good("GET", "transit/keys/wardbook", &json!(null))["data"]["min_decryption_version"], 3);
}

#[test]
fn a_key_that_could_leave_is_refused() {
    let bao = Bao::start("1h");
    for (key, why) in [
        (json!({"derived": true, "exportable": true}), "exported"),
        (json!({"derived": true, "allow_plaintext_backup": true}), "backed up"),
        (json!({"derived": false}), "not derived"),
        (json!({"derived": true, "type": "chacha20-poly1305"}), "aes256-gcm96"),
    ] {
        bao.good("POST", "transit/keys/wardbook", &key);
        let told = patient(&bao).create().unwrap_err();
        assert!(matches!(&told, RootError::Unfit { what, .. } if what.contains(why)), "{told}");
        bao.good("POST", "transit/keys/wardbook/config", &json!({"deletion_allowed": true}));
        bao.good("DELETE", "transit/keys/wardbook", &json!(null));
    }
    assert!(matches!(patient(&bao).check(), Err(RootError::Disabled { .. })), "there is none");
}

#[test]
fn outages() {
    let mut bao = Bao::start("1h");
    let proxy = Proxy::to(bao.port);
    let (root, sure) = (vault(&bao, proxy.port), patient(&bao));
    sure.create().unwrap();
    let wrapped = sure.wrap(HERE, &KEY).unwrap();

    for (weather, outage) in [(Weather::Down, "it is down"), (Weather::Slow, "it is slow")] {
        proxy.set(weather);
        matrix::all_unreachable(&root, &wrapped, outage);
        proxy.set(Weather::Fair);
        matrix::all_work(&sure, &wrapped, "when it is there again");
        root.unwrap(HERE, &wrapped).unwrap();
    }
    bao.good("PUT", "sys/seal", &json!({}));
    matrix::all_unreachable(&root, &wrapped, "it is sealed");
    bao.stop();
    matrix::all_unreachable(&root, &wrapped, "its process is gone");
    bao.start_again();
    matrix::all_work(&sure, &wrapped, "after its restart");
}

#[test]
fn a_key_that_was_deleted_is_missed_and_not_made_anew() {
    let bao = Bao::start("1h");
    let root = patient(&bao);
    root.create().unwrap();
    let wrapped = root.wrap(HERE, &KEY).unwrap();
    bao.good("POST", "transit/keys/wardbook/config", &json!({"deletion_allowed": true}));
    bao.good("DELETE", "transit/keys/wardbook", &json!(null));
    matrix::all_disabled(&root, &wrapped, "its key is deleted");
    let (status, _) = bao.call("GET", "transit/keys/wardbook", &json!(null));
    assert_eq!(status, 404, "none was made by the way");
    root.create().unwrap();
    assert!(matches!(root.unwrap(HERE, &wrapped), Err(RootError::NotAuthentic)), "another key of the same name");
}

#[test]
fn wrong_credentials() {
    let bao = Bao::start("1h");
    let sure = patient(&bao);
    sure.create().unwrap();
    let wrapped = sure.wrap(HERE, &KEY).unwrap();

    write_secret(&bao.secret_id_file(), "no-such-secret");
    let root = patient(&bao);
    matrix::all_refused(&root, &wrapped, "wrong secret id");
    bao.new_secret_id();
    matrix::all_work(&root, &wrapped, "with the right secret id again");

    let nobody = VaultSettings { role_id: "nobody".to_owned(), ..settings(&bao, bao.port) };
    matrix::all_refused(&Vault::new(nobody).unwrap(), &wrapped, "unknown role");
    bao.good("PUT", "sys/policies/acl/wardbook", &json!({"policy": "path \"other\" { capabilities = [\"read\"] }"}));
    matrix::all_refused(&root, &wrapped, "nothing allowed");
}

#[test]
fn the_token_is_renewed_before_it_ends() {
    let bao = Bao::start("3s");
    let root = patient(&bao);
    root.create().unwrap();
    // With the secret gone, only renewing keeps us logged in; without it the token would end twice meanwhile.
    std::fs::remove_file(bao.secret_id_file()).unwrap();
    std::thread::sleep(Duration::from_secs(7));
    root.check().unwrap();
}

#[test]
fn a_token_that_lapsed_is_replaced() {
    let bao = Bao::start("1h");
    let root = patient(&bao);
    root.create().unwrap();
    let wrapped = root.wrap(HERE, &KEY).unwrap();
    let tokens = bao.good("LIST", "auth/token/accessors", &json!(null));
    for accessor in tokens["data"]["keys"].as_array().unwrap() {
        let about = bao.good("POST", "auth/token/lookup-accessor", &json!({"accessor": accessor}));
        if about["data"]["path"] == "auth/approle/login" {
            bao.good("POST", "auth/token/revoke-accessor", &json!({"accessor": accessor}));
        }
    }
    matrix::all_work(&root, &wrapped, "after its token was revoked");
}
