use proptest::prelude::*;

use super::*;
use crate::signer::CheckpointSigner;

fn signer(name: &str, seed: u8) -> CheckpointSigner {
    CheckpointSigner::from_seed(name, &[seed; 32]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_is_read_back_and_verified(text in "[^\\x00-\\x1f\\x7f]{1,80}(\n[^\\x00-\\x1f\\x7f]{0,40}){0,4}") {
        let text = format!("{text}\n");
        let signer = signer("log.example/ward", 1);
        let note = signer.sign_note(text.clone()).unwrap();
        let again = SignedNote::parse(&note.to_string()).unwrap();
        prop_assert_eq!(&again, &note);
        prop_assert_eq!(again.text(), &text);
        prop_assert_eq!(again.verify([signer.verifier()]).unwrap(), vec![signer.verifier()]);
    }

    #[test]
    fn a_changed_bit_is_refused_or_seen(text in "[a-z]{1,20}\n([a-z]{0,9}\n){0,2}", at: prop::sample::Index, bit in 0u8..8) {
        let signer = signer("log.example/ward", 1);
        let mut bytes = signer.sign_note(text).unwrap().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes)
            && let Ok(note) = SignedNote::parse(&changed)
        {
            prop_assert_eq!(note.to_string(), changed);
            prop_assert!(note.verify([signer.verifier()]).is_err());
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in any::<String>()) {
        let _ = SignedNote::parse(&text);
        let _ = SignedNote::parse(&format!("a\n\n\u{2014} {text}\n"));
        let _ = text.parse::<VerifierKey>();
    }
}

#[test]
fn several_may_sign_and_strangers_are_ignored() {
    let (log, witness) = (signer("log.example", 1), signer("witness.example", 2));
    let note = log.sign_note("hello\n".into()).unwrap();
    let cosigned = witness.sign_note("hello\n".into()).unwrap();
    let note = note.with_signature(cosigned.signatures()[0].clone()).unwrap();
    let note = SignedNote::parse(&note.to_string()).unwrap();
    assert_eq!(note.verify([log.verifier()]).unwrap().len(), 1);
    assert_eq!(note.verify([witness.verifier(), log.verifier()]).unwrap().len(), 2);
    let stranger = signer("log.example", 3);
    assert_eq!(note.verify([stranger.verifier()]), Err(NoteVerifyError::Unverified));
}

#[test]
fn one_wrong_signature_of_a_known_key_spoils_the_note() {
    let (log, witness) = (signer("log.example", 1), signer("witness.example", 2));
    let note = log.sign_note("hello\n".into()).unwrap();
    let other = witness.sign_note("goodbye\n".into()).unwrap();
    let note = note.with_signature(other.signatures()[0].clone()).unwrap();
    assert!(note.verify([log.verifier()]).is_ok());
    let name = "witness.example".to_owned();
    assert_eq!(note.verify([log.verifier(), witness.verifier()]), Err(NoteVerifyError::Wrong { name }));
}

#[test]
fn malformed_notes_are_refused() {
    let good = signer("log.example", 1).sign_note("a\n\nb\n".into()).unwrap().to_string();
    assert!(SignedNote::parse(&good).is_ok());
    for wrong in [
        "",
        "a\n",
        "a\n\n",
        "\n\n\u{2014} n AAAAAAA=\n",
        "a\n\n\u{2014} n AAAAAA==\n",
        "a\n\n\u{2014} n AAAAAAA\n",
        "a\n\n\u{2014} n  AAAAAAA=\n",
        "a\n\n\u{2014} n+m AAAAAAA=\n",
        "a\n\n- n AAAAAAA=\n",
        "a\r\n\n\u{2014} n AAAAAAA=\n",
        good.strip_suffix('\n').unwrap(),
        &format!("{good}\n"),
        &good.replace("log.example ", "log.example\u{a0}x "),
    ] {
        assert!(SignedNote::parse(wrong).is_err(), "{wrong:?}");
    }
    assert!(SignedNote::parse("a\n\n\u{2014} n AAAAAAA=\n").is_ok());
    let line = "\u{2014} n AAAAAAA=\n";
    assert!(SignedNote::parse(&format!("a\n\n{}", line.repeat(100))).is_ok());
    assert_eq!(SignedNote::parse(&format!("a\n\n{}", line.repeat(101))), Err(NoteError::TooLarge));
}

/// A key that the Go implementation of signed notes publishes in its documentation's tests.
#[test]
fn a_published_key_of_another_implementation_is_read() {
    let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key: VerifierKey = text.parse().unwrap();
    assert_eq!(key.name(), "PeterNeumann");
    assert_eq!(key.id(), KeyId(0xc74f_20a3));
    assert_eq!(key.to_string(), text);
    for wrong in [
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10",
        "PeterNeumann+c74f20a3",
        "",
    ] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
}
