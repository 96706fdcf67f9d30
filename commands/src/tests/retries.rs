use tempfile::TempDir;
use wardbook_keys::Keys;
use wardbook_ledger::{Digest, Ledger, LedgerConfig, Receipt};
use wardbook_policy::Action;

use super::house::*;
use crate::patients::Flag;
use crate::{CommandError, Rejection};

fn open(dir: &TempDir) -> Ledger {
    let at = |name: &str| dir.path().join(name);
    let config = LedgerConfig::new(&at("ledger"), &at("published"), &at("keys"), "wardbook.test/retries");
    Ledger::open(config, &()).unwrap()
}

fn digests(receipts: &[Receipt]) -> Vec<Digest> {
    receipts.iter().map(Receipt::digest).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_crash_gives_the_receipts_of_the_first_try() {
    let (dir, keys) = (TempDir::new().unwrap(), Keys::in_memory().unwrap());
    let command = || someone("Okafor", "1980-02-03", Some("123-45-6789"));
    let before = house_over(open(&dir), keys.clone());
    let first =
        before.commands.register_patient(&before.registering(), &REGISTRAR.keyed("k1"), command()).await.unwrap();
    assert!(first.receipts.len() == 4 && !first.receipts[0].is_replay());
    before.ledger.close();
    drop(before);

    let after = house_over(open(&dir), keys);
    let again = after.commands.register_patient(&after.registering(), &REGISTRAR.keyed("k1"), command()).await.unwrap();
    assert_eq!((again.value, again.stream_version), (first.value, 1));
    assert_eq!(digests(&again.receipts), digests(&first.receipts));
    assert!(again.receipts.iter().all(Receipt::is_replay));
    assert_eq!(after.count("patients.registered"), 1);

    let reused = after
        .commands
        .register_patient(&after.registering(), &REGISTRAR.keyed("k1"), someone("Other", "1980-02-03", None))
        .await;
    assert!(matches!(reused, Err(CommandError::Rejected(Rejection::KeyReused))), "{reused:?}");
    let other_command = after
        .commands
        .flag_patient(
            &after.on_patient(COMPLIANCE, Action::FlagPatient, first.value),
            &COMPLIANCE.keyed("k1"),
            first.value,
            Flag { vip: true, ..Flag::default() },
        )
        .await;
    assert!(other_command.is_ok(), "another user's key is another key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_at_the_same_time_is_one_command() {
    let house = house();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let house = house.clone();
            tokio::spawn(async move {
                let command = someone("Okafor", "1980-02-03", Some("123-45-6789"));
                house.commands.register_patient(&house.registering(), &REGISTRAR.keyed("same"), command).await.unwrap()
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        let done = task.await.unwrap();
        all.push((done.value, digests(&done.receipts)));
    }
    all.dedup();
    assert_eq!(all.len(), 1);
    assert_eq!(house.count("patients.registered"), 1);
}

#[tokio::test]
async fn a_retry_counts_although_the_version_has_moved_on() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let record = house.add_note(patient, "first").await;
    let amend = |key: &'static str, text: &'static str, expected| {
        let house = house.clone();
        async move {
            let permit = house.on_record(Action::AmendRecord, patient, record);
            house.commands.amend_record(&permit, &PHYSICIAN.keyed(key), (patient, record), expected, body(text)).await
        }
    };
    let first = amend("a", "second", Some(1)).await.unwrap();
    amend("b", "third", Some(2)).await.unwrap();
    let again = amend("a", "second", Some(1)).await.unwrap();
    assert_eq!(digests(&again.receipts), digests(&first.receipts));
    assert!(matches!(amend("a", "other", Some(1)).await, Err(CommandError::Rejected(Rejection::KeyReused))));
    assert!(matches!(amend("c", "fourth", Some(1)).await, Err(CommandError::WrongVersion { expected: 1, actual: 3 })));
}
