//! Short ways to make drafts and ledgers.

use std::{path::Path, sync::Arc};

use wardbook_ledger::{
    Draft, EventId, ExpectedVersion, IndexKind, KeySource, Ledger, LedgerConfig, Payload, SubjectId,
    signer::LedgerKeys,
    store::{file::Disk, memory::MemoryDisk},
};

pub const ORIGIN: &str = "ledger.example.org/test";

pub fn id(number: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    EventId::from_bytes(bytes)
}

pub fn subject(number: u8) -> SubjectId {
    SubjectId::from_bytes([number; 16])
}

pub fn draft(number: u64, stream: &str) -> Draft {
    Draft {
        id: id(number),
        stream: stream.parse().unwrap(),
        expected: ExpectedVersion::Any,
        event_type: if number.is_multiple_of(3) { "notes.written" } else { "notes.read" }.parse().unwrap(),
        schema_version: 1,
        subjects: vec![subject((number % 5) as u8), subject(9)],
        payload: Payload {
            meta: format!("meta {number}").into_bytes(),
            client: b"192.0.2.1".to_vec(),
            body: vec![(number % 251) as u8; 40 + (number % 100) as usize],
        },
    }
}

pub fn expecting(mut draft: Draft, expected: ExpectedVersion) -> Draft {
    draft.expected = expected;
    draft
}

pub fn keys() -> Arc<LedgerKeys> {
    Arc::new(LedgerKeys::generate(ORIGIN).unwrap())
}

/// A ledger on a disk in memory that outlives it.
pub fn on_disk(disk: &MemoryDisk, keys: &Arc<LedgerKeys>) -> LedgerConfig {
    LedgerConfig {
        disk: Arc::new(disk.clone()) as Arc<dyn Disk>,
        keys: KeySource::Given(Arc::clone(keys)),
        index: IndexKind::Memory,
        ..LedgerConfig::in_memory(ORIGIN)
    }
}

pub fn in_dir(dir: &Path) -> LedgerConfig {
    LedgerConfig::new(&dir.join("ledger"), &dir.join("published"), &dir.join("keys"), ORIGIN)
}

pub fn open(config: LedgerConfig) -> Ledger {
    Ledger::open(config, &()).unwrap()
}

/// A small source of numbers that repeats with its seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Runs the body of a test in a process of its own, which must succeed and show no trace of a panic, not even of one
/// that was caught.
pub fn no_panic_is_shown(test: &str, body: impl FnOnce()) {
    const INSIDE: &str = "WARDBOOK_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut inside = std::process::Command::new(std::env::current_exe().unwrap());
    let output = inside.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let (shown, stdout) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{shown}{stdout}");
    assert!(stdout.contains("1 passed"), "no test has the name {test}: {stdout}");
    assert!(!shown.contains("panicked at") && !shown.contains("stack backtrace"), "{shown}");
}
