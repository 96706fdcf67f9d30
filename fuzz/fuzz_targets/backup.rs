//! What somebody else may have put where backups lie, or typed from paper: nothing that we did not sign is a manifest, and a share
//! that is taken is the one that was made.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wardbook::backup::{Manifest, recover, split};
use wardbook_events::BackupId;
use wardbook_keys::{BackupKey, KeyDump};

static KEY: LazyLock<BackupKey> = LazyLock::new(|| BackupKey::from_bytes(&[7; 32]).expect("a key"));
/// Two of two: both are needed.
static LINES: LazyLock<[String; 2]> = LazyLock::new(|| {
    let shares = split(&KEY, 2, 2).expect("shares");
    [shares[0].line().to_string(), shares[1].line().to_string()]
});

fuzz_target!(|input: (&[u8], u16, u8)| {
    let (bytes, at, byte) = input;
    assert!(Manifest::read(bytes, BackupId::from_bytes([1; 16]), &KEY).is_err());
    let _ = KeyDump::from_bytes(bytes);
    let _ = recover(&[String::from_utf8_lossy(bytes).into_owned()]);
    let [one, other] = &*LINES;
    let mut changed = other.clone().into_bytes();
    let at = usize::from(at) % changed.len();
    changed[at] = byte;
    if let Ok(changed) = String::from_utf8(changed)
        && let Ok(recovered) = recover(&[one.clone(), changed])
    {
        assert_eq!(recovered.key.id(), KEY.id());
    }
});
