use wardbook::config::TlsVersion;
use wardbook::tls::tending;

use super::{Authority, config, start};
use crate::helpers::TestApp;
use crate::program::Place;

/// What `wardbook tls check` found: whether all is well, and what is not.
fn check(authority: &Authority, test: &TestApp, more: &[&str]) -> (bool, Vec<String>) {
    let place = Place::new();
    let (address, ca) = (format!("localhost:{}", test.serving.address.port()), authority.path("ca.pem"));
    let common = ["--json", "tls", "check", &address, "--ca", ca.to_str().unwrap()];
    let ended = place.run(&[&common[..], more].concat());
    let found = ended.json();
    let wrong = found.as_array().unwrap().iter().filter(|one| one["ok"] == false);
    let wrong = wrong.map(|one| one["what"].as_str().unwrap().to_owned()).collect();
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
    (ended.code == Some(0), wrong)
}

#[test]
fn a_server_as_it_should_be_passes_and_each_fault_is_named() {
    let authority = Authority::new();
    let responder = authority.responder();
    let mut config = config(&authority, "server");
    config.tls.version_min = TlsVersion::Tls12;
    // The certificate names a responder, and nothing is stapled.
    assert_eq!(check(&authority, &start(config.clone()), &[]), (false, vec!["stapled status".into()]));
    config.tls.staple = true;
    config.tls.ocsp_url = responder.url.clone();
    let test = start(config);
    tending::tend(&test.app, test.serving.tls.as_ref().unwrap()).unwrap();
    assert_eq!(check(&authority, &test, &[]), (true, vec![]));
    let elsewhere = check(&authority, &test, &["--server-name", "elsewhere.example"]);
    assert_eq!(elsewhere, (false, vec!["trust".into()]));

    let place = Place::new();
    let plain = TestApp::start();
    let address = plain.base.strip_prefix("http://").unwrap().to_owned();
    let ended = place.run(&["tls", "check", &address]).with_code(1);
    assert!(
        ended.stdout.lines().any(|line| line.trim_start().starts_with("NO") && line.contains("TLS 1.3")),
        "{}",
        ended.stdout
    );
    place.run(&["tls", "check", "localhost:1"]).with_code(2);
    place.run(&["tls", "check", "localhost"]).with_code(2);
}

/// OpenSSL with everything that it still knows switched on is what the check is for.
#[test]
fn a_server_that_speaks_too_much_is_found_out() {
    let authority = Authority::new();
    let port = crate::helpers::free_port();
    let mut server = std::process::Command::new("openssl")
        .args(["s_server", "-accept", &port.to_string(), "-cert", "server.pem", "-key", "server.key", "-www", "-quiet"])
        .args(["-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1"])
        .current_dir(authority.path(""))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::helpers::wait_for_port(port);
    let place = Place::new();
    let ca = authority.path("ca.pem");
    let ended = place.run(&["tls", "check", &format!("localhost:{port}"), "--ca", ca.to_str().unwrap()]);
    server.kill().unwrap();
    server.wait().unwrap();
    let ended = ended.with_code(1);
    for what in ["TLS 1.1", "TLS 1.0", "no forward secrecy", "resumption", "Strict-Transport-Security"] {
        assert!(
            ended.stdout.lines().any(|line| line.trim_start().starts_with("NO") && line.contains(what)),
            "{what}: {}",
            ended.stdout
        );
    }
}

#[test]
fn pins_are_printed_from_the_settings() {
    let authority = Authority::new();
    let place = Place::new();
    place.run(&["tls", "pins"]).with_code(2);
    let said = place
        .command(env!("CARGO_BIN_EXE_wardbook"))
        .args(["tls", "pins"])
        .env("WARDBOOK_CONFIG", settings(&authority))
        .output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    assert_eq!(said.lines().filter(|line| line.starts_with("sha256//")).count(), 2, "{said}");
    assert!(said.contains("  now\n") && said.contains("  next\n"), "{said}");
}

/// The settings that the script wrote, for this copy of its files.
fn settings(authority: &Authority) -> std::path::PathBuf {
    let path = authority.path("settings.toml");
    let (text, here) = (std::fs::read_to_string(&path).unwrap(), authority.path(""));
    let (_, rest) = text.split_once("certificate = \"").unwrap();
    let (there, _) = rest.split_once("/server.pem").unwrap();
    std::fs::write(&path, text.replace(there, here.to_str().unwrap().trim_end_matches('/'))).unwrap();
    path
}
