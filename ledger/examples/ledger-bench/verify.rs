//! The verifier against the limit of its mathematics: batches of signatures on all cores, from the same log.

use std::{fs, path::Path, time::Instant};

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
use rayon::prelude::*;
use wardbook_ledger::{
    LogReader, Position,
    checkpoint::SignedCheckpoint,
    signer::KeyRing,
    verify::{Start, Verification},
};

use crate::load::cpu_seconds;

/// As many as the verifier takes at once.
const BATCH: usize = 1024;
/// Signatures of one round of the limit.
const SIGNATURES: usize = 64 << 10;

pub struct Verified {
    pub per_second: f64,
    pub cpu_us: f64,
    /// Signatures alone.
    pub limit_per_second: f64,
    pub limit_cpu_us: f64,
    /// Least, median and greatest share of the limit measured around each round.
    pub shares: [f64; 3],
    pub peak_mib: f64,
}

/// Verifies the whole log `rounds` times, and before and after each time signatures alone.
pub fn run(dir: &Path, keys: &KeyRing, checkpoint: &SignedCheckpoint, events: u64, rounds: usize) -> Verified {
    let signed = signatures(dir, keys);
    let mut limits = vec![limit(&signed)];
    let mut rates = Vec::new();
    let mut peak_mib: f64 = 0.0;
    for _ in 0..rounds {
        forget_peak();
        rates.push(verify(dir, keys, checkpoint, events));
        peak_mib = peak_mib.max(peak());
        limits.push(limit(&signed));
    }
    let around = limits.array_windows().map(|[(before, _), (after, _)]| (before + after) / 2.0);
    let mut shares: Vec<f64> = rates.iter().zip(around).map(|((rate, _), limit)| rate / limit).collect();
    shares.sort_by(f64::total_cmp);
    let (per_second, cpu_us) = median(rates);
    let (limit_per_second, limit_cpu_us) = median(limits);
    let shares = [shares[0], shares[shares.len() / 2], shares[shares.len() - 1]];
    Verified { per_second, cpu_us, limit_per_second, limit_cpu_us, shares, peak_mib }
}

fn median(mut rates: Vec<(f64, f64)>) -> (f64, f64) {
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    rates[rates.len() / 2]
}

fn verify(dir: &Path, keys: &KeyRing, checkpoint: &SignedCheckpoint, events: u64) -> (f64, f64) {
    let reader = LogReader::open(&dir.join("ledger")).unwrap();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let verification = Verification {
        keys,
        start: Start::genesis(),
        until: None,
        checkpoints: std::slice::from_ref(checkpoint),
        progress: &|_| (),
    };
    let report = verification.run(reader.scan_stored(Position(0)));
    assert!(report.errors.is_empty() && report.verified >= events, "{report:?}");
    let (count, seconds) = (report.verified as f64, began.elapsed().as_secs_f64());
    (count / seconds, (cpu_seconds() - cpu) * 1e6 / count)
}

struct Signed {
    digests: Vec<[u8; 32]>,
    signatures: Vec<Signature>,
    keys: Vec<VerifyingKey>,
}

fn signatures(dir: &Path, keys: &KeyRing) -> Vec<Signed> {
    let entries: Vec<_> = LogReader::open(&dir.join("ledger"))
        .unwrap()
        .scan(Position(0))
        .take(SIGNATURES)
        .map(|entry| entry.unwrap())
        .collect();
    let batch = |entries: &[wardbook_ledger::Entry]| Signed {
        digests: entries.iter().map(|entry| *entry.digest().as_bytes()).collect(),
        signatures: entries.iter().map(|entry| Signature::from_bytes(entry.signature())).collect(),
        keys: entries
            .iter()
            .map(|entry| VerifyingKey::from_bytes(keys.event_key(entry.key_id()).unwrap().public_bytes()).unwrap())
            .collect(),
    };
    entries.chunks(BATCH).map(batch).collect()
}

fn limit(signed: &[Signed]) -> (f64, f64) {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let all: usize = signed
        .par_iter()
        .map(|batch| {
            let messages: Vec<&[u8]> = batch.digests.iter().map(|digest| &digest[..]).collect();
            verify_batch(&messages, &batch.signatures, &batch.keys).unwrap();
            messages.len()
        })
        .sum();
    (all as f64 / began.elapsed().as_secs_f64(), (cpu_seconds() - cpu) * 1e6 / all as f64)
}

/// The kernel starts to look for the peak anew.
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
