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
use wardbook_ledger::{
    LogReader, Position,
    store::file::{Disk, RealDisk},
    verify::{Start, Verification},
};

use crate::{Options, append::ledger_in, load::draft};

pub fn run(options: &Options) {
    let dir = options.dir();
    if let Some(events) = std::env::var_os("LEDGER_BENCH_FILL") {
        return fill(&dir, events.to_str().unwrap().parse().unwrap());
    }
    let mut rows = Vec::new();
    println!(
        "{:>10} {:>12} {:>12} {:>12} {:>14} {:>14} {:>12}",
        "events", "fill ev/s", "after kill", "after close", "without index", "verify ev/s", "peak MiB"
    );
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
        let reader = LogReader::open(&dir.join("ledger")).unwrap();
        let began = Instant::now();
        let report = Verification {
            keys: &keys,
            start: Start::genesis(),
            until: None,
            checkpoints: &[checkpoint],
            progress: &|_| (),
        }
        .run(reader.scan_stored(Position(0)));
        let verify = events as f64 / began.elapsed().as_secs_f64();
        let peak = peak_mib();
        println!(
            "{events:>10} {fill_rate:>12.0} {after_kill:>11.2}s {after_close:>11.2}s {without_index:>13.2}s {verify:>14.0} {peak:>12.0}"
        );
        rows.push(json!({
            "events": events, "fill_per_second": fill_rate, "open_after_kill_s": after_kill,
            "open_after_close_s": after_close, "open_without_index_s": without_index,
            "verify_per_second": verify, "report": format!("{report:?}"), "peak_mib": peak,
        }));
    }
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

fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
