use jiff::SignedDuration;
use wardbook::tls::tending;

use super::{Authority, config, s_client, start};
use crate::helpers::TestApp;

fn with_responder(authority: &Authority, url: &str) -> TestApp {
    let mut config = config(authority, "server");
    config.tls.staple = true;
    config.tls.ocsp_url = url.to_owned();
    start(config)
}

#[test]
fn what_the_authority_says_is_stapled_until_it_runs_out() {
    let authority = Authority::new();
    let responder = authority.responder();
    let test = with_responder(&authority, &responder.url);
    let tls = test.serving.tls.clone().unwrap();
    let tend = || tending::tend(&test.app, &tls).unwrap();
    let status = || s_client(&authority, test.serving.address, &["-status"]);
    tend();
    // OpenSSL verifies the answer's signature and time by itself.
    status().has("OCSP Response Status: successful (0x0)").has("Cert Status: good").has_not("verify error");
    assert!(status().ok);
    // The responder is gone: the last answer is good for its day, and no longer.
    drop(responder);
    test.clock.advance(SignedDuration::from_hours(13));
    tend();
    status().has("Cert Status: good");
    test.clock.advance(SignedDuration::from_hours(11) + SignedDuration::from_mins(6));
    tend();
    let said = status();
    assert!(said.has("OCSP response: no response sent").ok);
}

#[test]
fn a_revoked_certificate_is_stapled_nothing_and_an_answer_of_others_neither() {
    let authority = Authority::new();
    authority.run(&["revoke", "server"]);
    let responder = authority.responder();
    let test = with_responder(&authority, &responder.url);
    let tls = test.serving.tls.clone().unwrap();
    tending::tend(&test.app, &tls).unwrap();
    s_client(&authority, test.serving.address, &["-status"]).has("OCSP response: no response sent");
    drop(responder);

    // Somebody else's key signs: neither the issuer's nor one that the issuer gave the right to.
    for name in ["client", "stranger"] {
        let authority = Authority::new();
        for kind in ["pem", "key"] {
            authority.replace(&format!("responder.{kind}"), &format!("{name}.{kind}"));
        }
        let responder = authority.responder();
        let test = with_responder(&authority, &responder.url);
        let tls = test.serving.tls.clone().unwrap();
        tending::tend(&test.app, &tls).unwrap();
        s_client(&authority, test.serving.address, &["-status"]).has("OCSP response: no response sent");
    }
}
