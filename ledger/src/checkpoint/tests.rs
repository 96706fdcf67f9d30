use super::*;
use crate::signer::CheckpointSigner;

fn signer(origin: &str) -> CheckpointSigner {
    CheckpointSigner::from_seed(origin, &[5; 32]).unwrap()
}

#[test]
fn a_checkpoint_is_read_back_and_verified() {
    let signer = signer("log.example/ward");
    let signed = Checkpoint::sign(&signer, 7, Hash::from_bytes([3; 32])).unwrap();
    let text = signed.to_string();
    assert!(text.starts_with("log.example/ward\n7\nAwMD"));
    let again = SignedCheckpoint::parse(&text).unwrap();
    assert_eq!(again, signed);
    let checkpoint = again.verify(&[signer.verifier().clone()]).unwrap();
    assert_eq!(checkpoint.size, 7);
    assert_eq!(checkpoint.root, Hash::from_bytes([3; 32]));
}

#[test]
fn only_the_origins_own_key_counts() {
    let log = signer("log.example/ward");
    let other = CheckpointSigner::from_seed("other.example", &[6; 32]).unwrap();
    let text = Checkpoint { origin: "log.example/ward".into(), size: 7, root: Hash::default() };
    let forged = other.sign_note(text.to_string()).unwrap().to_string();
    let forged = SignedCheckpoint::parse(&forged).unwrap();
    assert!(matches!(
        forged.verify(&[log.verifier().clone()]),
        Err(VerifyCheckpointError::Note(NoteVerifyError::Unverified))
    ));
    assert!(matches!(forged.verify(&[other.verifier().clone()]), Err(VerifyCheckpointError::Origin { .. })));
}

#[test]
fn a_witness_may_be_unknown() {
    let log = signer("log.example/ward");
    let signed = Checkpoint::sign(&log, 1, Hash::default()).unwrap();
    let cosignature =
        NoteSignature { name: "witness.example".into(), key_id: crate::ids::KeyId(9), bytes: vec![0; 72] };
    let signed = signed.with_signature(cosignature).unwrap();
    let again = SignedCheckpoint::parse(&signed.to_string()).unwrap();
    assert_eq!(again.note().signatures().len(), 2);
    again.verify(&[log.verifier().clone()]).unwrap();
}

#[test]
fn bodies_have_one_form() {
    let root = Hash::default().to_base64();
    let good = format!("o\n1\n{root}\n");
    assert_eq!(Checkpoint::parse(&good).unwrap().to_string(), good);
    for wrong in [
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n0\n{root}\n"),
        format!("\n1\n{root}\n"),
        format!("o\n1\n{root}\nextension\n"),
        format!("o\n1\n{root}"),
        format!("o\n1\n{}\n", &root[..40]),
        "o\n1\n".to_owned(),
        String::new(),
    ] {
        assert!(Checkpoint::parse(&wrong).is_err(), "{wrong:?}");
    }
}
