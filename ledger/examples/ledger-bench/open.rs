//! What opening after a kill, after a close, without the index, and verifying cost as the log grows.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde_json::json;
use wardbook_ledger::store::file::{Disk, RealDisk};

use crate::{Options, append::ledger_in, load::draft, verify};

/// Goals: share of the signatures' rate, seconds until a ledger is open after a kill.
const SHARE_GOAL: f64 = 0.80;
const OPEN_SECONDS_MAX: f64 = 2.0;

pub fn run(options: &Options) {
    let dir = options.dir();
    if let Some(events) = std::env::var_os("LEDGER_BENCH_FILL") {
        return fill(&dir, events.to_str().unwrap().parse().unwrap());
    }
    let mut rows = Vec::new();
    println!(
        "{:>9} {:>9} {:>10} {:>11} {:>13} {:>10} {:>8} {:>10} {:>8} {:>12} {:>8}",
        "events",
        "fill/s",
        "after kill",
        "after close",
        "without index",
        "verify/s",
        "cpu us",
        "limit/s",
        "cpu us",
        "share",
        "peak MiB"
    );
    let rounds: usize = options.get("rounds", 3);
    let (mut shortfalls, mut peaks) = (Vec::new(), Vec::new());
    for events in options.list("events", "100000,1000000") {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let began = Instant::now();
        // A process of its own that kills itself: nothing is closed.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["open", "--dir", dir.to_str().unwrap()])
            .env("LEDGER_BENCH_FILL", events.to_string())
            .status();
        assert!(!status.unwrap().success(), "the filling process was to kill itself");
        let fill_rate = events as f64 / began.elapsed().as_secs_f64();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let open = || {
            let began = Instant::now();
            let ledger = ledger_in(&dir, &disk);
            let seconds = began.elapsed().as_secs_f64();
            assert!(ledger.head().durable >= events);
            (ledger, seconds)
        };
        let (ledger, after_kill) = open();
        ledger.close();
        drop(ledger);
        let (ledger, after_close) = open();
        let keys = ledger.keys();
        let checkpoint = ledger.checkpoint().unwrap();
        ledger.close();
        drop(ledger);
        fs::remove_dir_all(dir.join("ledger/index")).unwrap();
        let (ledger, without_index) = open();
        assert!(ledger.open_report().index_rebuilt.is_some());
        ledger.close();
        drop(ledger);
        let verified = verify::run(&dir, &keys, &checkpoint, events, rounds);
        let [least, share, most] = verified.shares;
        println!(
            "{events:>9} {fill_rate:>9.0} {after_kill:>9.2}s {after_close:>10.2}s {without_index:>12.2}s \
             {:>10.0} {:>8.1} {:>10.0} {:>8.1} {:>4.0}% ({:.0}-{:.0}) {:>8.0}",
            verified.per_second,
            verified.cpu_us,
            verified.limit_per_second,
            verified.limit_cpu_us,
            share * 100.0,
            least * 100.0,
            most * 100.0,
            verified.peak_mib
        );
        if share < SHARE_GOAL {
            shortfalls.push(format!(
                "verify at {events} events: {:.0}% of the batch-signature limit, goal {:.0}%",
                share * 100.0,
                SHARE_GOAL * 100.0
            ));
        }
        if after_kill > OPEN_SECONDS_MAX {
            shortfalls
                .push(format!("open after a kill at {events} events: {after_kill:.2} s, goal {OPEN_SECONDS_MAX} s"));
        }
        peaks.push(verified.peak_mib);
        rows.push(json!({
            "events": events, "fill_per_second": fill_rate, "open_after_kill_s": after_kill,
            "open_after_close_s": after_close, "open_without_index_s": without_index,
            "verify_per_second": verified.per_second, "verify_cpu_us": verified.cpu_us,
            "batch_signatures_per_second": verified.limit_per_second, "batch_signatures_cpu_us": verified.limit_cpu_us,
            "share_of_limit": share, "verify_peak_mib": verified.peak_mib,
        }));
    }
    if let ([first, ..], [.., last]) = (&peaks[..], &peaks[..])
        && *last > first * 1.5
    {
        shortfalls.push(format!("memory of verifying grows with the log: {first:.0} to {last:.0} MiB"));
    }
    shortfalls.iter().for_each(|shortfall| println!("FALLS SHORT {shortfall}"));
    options.write_json(&rows);
    let _ = fs::remove_dir_all(&dir);
}

fn fill(dir: &Path, events: u64) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let ledger = ledger_in(dir, &disk);
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for producer in 0..8 {
            let (ledger, failed) = (ledger.clone(), &failed);
            scope.spawn(move || {
                for batch in (0..events / 64 + 1).filter(|batch| batch % 8 == producer) {
                    let drafts = (0..64).map(|at| draft(batch * 64 + at, 3)).collect();
                    if let Err(error) = ledger.append_blocking(drafts) {
                        eprintln!("{error}");
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(!failed.load(Ordering::Relaxed));
    Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    std::thread::park();
}
