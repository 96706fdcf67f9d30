use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wardbook::api::server::{self, ListenError};
use wardbook::config::{PlainHttp, TlsVersion};

use super::{Authority, client, config, curl, s_client, start};
use crate::helpers::{TestApp, quick_config};

#[test]
fn only_tls_1_3_is_spoken_and_nothing_is_resumed() {
    let authority = Authority::new();
    let test = start(config(&authority, "server"));
    let said = s_client(&authority, test.serving.address, &["-tls1_3", "-alpn", "http/1.1"]);
    assert!(said.ok, "{}", said.text);
    said.has("Verify return code: 0 (ok)")
        .has("New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384")
        .has("ALPN protocol: http/1.1");
    said.has_not("Session Ticket").has_not("HTTP/2");
    for other in ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"] {
        assert!(s_client(&authority, test.serving.address, &["-ciphersuites", other]).ok, "{other}");
    }
    for refused in [
        &["-tls1_2"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-alpn", "h2"],
    ] {
        let said = s_client(&authority, test.serving.address, refused);
        assert!(!said.ok, "{refused:?}: {}", said.text);
        said.has("alert");
    }
}

#[test]
fn of_tls_1_2_only_what_is_authenticated_and_forward_secret_is_taken() {
    let authority = Authority::new();
    let mut config = config(&authority, "server");
    config.tls.version_min = TlsVersion::Tls12;
    let test = start(config);
    for suite in ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"] {
        let said = s_client(&authority, test.serving.address, &["-tls1_2", "-cipher", suite]);
        assert!(said.ok, "{suite}: {}", said.text);
        said.has(&format!("New, TLSv1.2, Cipher is {suite}")).has_not("session ticket").has("Session-ID: \n");
    }
    assert!(s_client(&authority, test.serving.address, &["-tls1_3"]).ok);
    // CBC, RSA key exchange, and both.
    for suite in [
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-RSA-AES128-SHA",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "DHE-RSA-AES256-GCM-SHA384",
    ] {
        let cipher = format!("{suite}:@SECLEVEL=0");
        let said = s_client(&authority, test.serving.address, &["-tls1_2", "-cipher", &cipher]);
        assert!(!said.ok, "{suite}: {}", said.text);
        said.has("alert");
    }
    for version in ["-tls1_1", "-tls1"] {
        let said = s_client(&authority, test.serving.address, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!said.ok, "{version}: {}", said.text);
        said.has("alert");
    }
}

#[test]
fn whoever_does_not_shake_hands_is_cut_off_and_others_are_served() {
    let authority = Authority::new();
    let mut config = config(&authority, "server");
    config.tls.handshake_timeout_ms = 300;
    let test = start(config);
    let began = Instant::now();
    let mut idle: Vec<_> = (0..8).map(|_| TcpStream::connect(test.serving.address).unwrap()).collect();
    assert!(s_client(&authority, test.serving.address, &[]).ok, "others are served meanwhile");
    for stream in &mut idle {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "it is closed");
    }
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn browsers_are_told_to_stay_with_tls_and_apps_what_to_pin() {
    let authority = Authority::new();
    let mut config = config(&authority, "server");
    config.tls.next_public_key = authority.path("next.pub");
    let test = start(config);
    let base = format!("https://localhost:{}", test.serving.address.port());
    let said = curl(&authority, &["--include", &format!("{base}/health/ready")]).unwrap().to_lowercase();
    for header in [
        "strict-transport-security: max-age=63072000; includesubdomains; preload",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "x-xss-protection: 0",
    ] {
        assert!(said.contains(header), "no {header} in {said}");
    }
    assert_eq!(curl(&authority, &["--tls-max", "1.2", &base]), Err(35), "curl's code for a failed handshake");
    let ready = client(&authority, &test.base, None).get("/health/ready").json();
    let days = ready["certificates"]["days_left"].as_i64().unwrap();
    assert!((30..=397).contains(&days) && ready["certificates"]["refused"] == false, "{ready}");

    let pins = client(&authority, &test.base, None).get("/.well-known/wardbook-pins.json").json();
    let pin = |name: &str| {
        let der = ["pkey", "-in", name, "-pubout", "-outform", "DER", "-out", "spki"];
        authority.openssl(&der);
        authority.openssl(&["dgst", "-sha256", "-binary", "-out", "hash", "spki"]);
        authority.openssl(&["base64", "-in", "hash"]).trim().to_owned()
    };
    let expected = serde_json::json!({"algorithm": "sha256", "current": [pin("server.key")], "next": pin("next.key")});
    assert_eq!(pins, expected);
    let pinned = format!("sha256//{}", pin("server.key"));
    assert!(curl(&authority, &["--pinnedpubkey", &pinned, &format!("{base}/health/live")]).is_ok());
    let wrong = format!("sha256//{}", pin("next.key"));
    assert_eq!(curl(&authority, &["--pinnedpubkey", &wrong, &base]), Err(90), "curl's code for another key");
    let none = TestApp::start().stranger().get("/.well-known/wardbook-pins.json").json();
    assert_eq!(none, serde_json::json!({"algorithm": "sha256", "current": []}));
}

#[test]
fn each_name_has_its_certificate() {
    let authority = Authority::new();
    let mut config = config(&authority, "server");
    let (certificate, key) = (authority.path("other.pem"), authority.path("other.key"));
    config.tls.more.push(wardbook::config::Pair { certificate, key });
    let test = start(config);
    let named = |name| s_client(&authority, test.serving.address, &["-servername", name]);
    named("other.example").has("CN = other");
    named("localhost").has("CN = server");
    named("unknown.example").has("CN = server");
}

#[test]
fn nothing_is_served_in_the_open_by_mistake() {
    let mut config = quick_config();
    config.server.listen = ([0, 0, 0, 0], 0).into();
    let test = TestApp::start();
    let listen = |config: &wardbook::config::Config| {
        let dir = tempfile::tempdir().unwrap();
        let data = wardbook::config::DataDir::new(dir.path());
        let (clock, chance) = (test.clock.clone(), wardbook::clock::Chance::system());
        let app = wardbook::app::App::open(config.clone(), data, clock, chance, Default::default(), &()).unwrap();
        let outcome = actix_web::rt::System::new().block_on(async { server::listen(&app).map(drop) });
        app.close();
        outcome
    };
    let refused = listen(&config).unwrap_err();
    assert!(matches!(refused, ListenError::Plain(_)), "{refused}");
    assert!(refused.to_string().contains("tls.certificate"), "{refused}");
    config.server.plain_http = PlainHttp::BehindProxy;
    listen(&config).unwrap();

    let authority = Authority::new();
    let others = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(authority.path("server.key"), others).unwrap();
    let refused = listen(&super::config(&authority, "server")).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    let refused = listen(&super::config(&authority, "stranger"));
    assert!(refused.is_ok(), "an EC key is strong enough");
    let mut mixed = super::config(&authority, "renewed");
    mixed.tls.key = authority.path("next.key");
    assert!(listen(&mixed).unwrap_err().to_string().contains("cannot be used with"));
}
