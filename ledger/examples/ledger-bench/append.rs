//! Durable appends against the raw file: both sides in turn, many times, in one run.

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use wardbook_ledger::{
    Ledger, LedgerConfig,
    store::file::{Disk, RealDisk},
};

use crate::{
    Options,
    load::{Measured, Side, draft, measure},
    raw::RawLog,
    slow::SlowDisk,
};

/// The limit is whichever of the two raw ways was quicker.
const SIDES: [&str; 3] = ["raw", "raw-gather", "ledger"];
/// Goals: producers, least share of the raw rate.
const RATE_GOALS: [(u64, f64); 2] = [(16, 0.80), (64, 0.95)];
/// Most times the raw 99th percentile.
const P99_GOAL: f64 = 1.5;

/// The rounds of one number of producers, by side.
struct Cell {
    producers: u64,
    rounds: Vec<(&'static str, Measured)>,
}

impl Cell {
    fn of<'a>(&'a self, side: &'a str) -> impl Iterator<Item = &'a Measured> {
        self.rounds.iter().filter(move |(name, _)| *name == side).map(|(_, measured)| measured)
    }

    fn spread(&self, side: &str, value: impl Fn(&Measured) -> f64) -> Spread {
        Spread::of(self.of(side).map(value).collect())
    }

    /// The raw way with the better median rate.
    fn limit(&self) -> &'static str {
        let [raw, gather] = ["raw", "raw-gather"].map(|side| self.spread(side, |m| m.per_second).median);
        if gather > raw { "raw-gather" } else { "raw" }
    }

    /// Ledger over the limit, round by round: what disturbs a round disturbs both.
    fn ratio(&self, value: impl Fn(&Measured) -> f64) -> Spread {
        let pairs = self.of("ledger").zip(self.of(self.limit()));
        Spread::of(pairs.map(|(ours, raw)| value(ours) / value(raw)).collect())
    }
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |at: usize| values.get(at).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { min: at(0), median: f64::midpoint(at(last / 2), at(values.len() / 2)), max: at(last) }
    }
}

pub fn run(options: &Options) {
    let dir = options.dir();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let flush = Duration::from_secs_f64(options.get("flush-ms", 0.0) / 1000.0);
    let time = Duration::from_secs_f64(options.get("seconds", 2.0));
    let rounds: usize = options.get("rounds", 5);
    let only: String = options.get("only", String::new());
    let disk: Arc<dyn Disk> = match flush.is_zero() {
        true => Arc::new(RealDisk),
        false => Arc::new(SlowDisk { flush }),
    };
    let ledger = ledger_in(&dir, &disk);
    let first = ledger.append_blocking(vec![draft(u64::MAX / 2, 1)]).unwrap();
    let bytes = ledger.read(first[0].position()).unwrap().unwrap().stored().len() + 16;
    println!("event: {bytes} bytes on disk, 5 index rows; added flush latency {flush:?}; {rounds} rounds of {time:?}");
    println!(
        "{:>9} {:>11} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "producers", "side", "min/s", "median/s", "max/s", "p50 us", "p99 us", "p99.9 us", "cpu us/ev", "switches/ev"
    );
    let mut cells = Vec::new();
    for producers in options.list("producers", "1,16,64,256") {
        let mut cell = Cell { producers, rounds: Vec::new() };
        for round in 0..rounds {
            for name in SIDES.into_iter().filter(|name| only.is_empty() || only == *name) {
                let path = dir.join(format!("{name}-{producers}-{round}"));
                let side = match name {
                    "ledger" => Side::Ledger(ledger.clone()),
                    _ => Side::Raw(Arc::new(RawLog::open(&*disk, &path, name == "raw-gather")), bytes),
                };
                cell.rounds.push((name, measure(&side, producers, time)));
                drop(side);
                let _ = fs::remove_file(path);
            }
        }
        print_rows(&cell);
        cells.push(cell);
    }
    assert_eq!(ledger.stopped(), None);
    ledger.close();
    drop(ledger);
    if only.is_empty() {
        print_goals(&cells);
    }
    options.write_json(&cells.iter().flat_map(|cell| json_rows(cell, flush)).collect::<Vec<_>>());
    let _ = fs::remove_dir_all(&dir);
}

fn print_rows(cell: &Cell) {
    for side in SIDES.into_iter().filter(|side| cell.of(side).next().is_some()) {
        let rate = cell.spread(side, |m| m.per_second);
        let [p50, p99, p999] = [0, 1, 2].map(|at| cell.spread(side, |m| m.quantiles[at]).median);
        let cpu = cell.spread(side, |m| m.cpu_us).median;
        let switches = cell.spread(side, |m| m.switches).median;
        println!(
            "{:>9} {side:>11} {:>8.0} {:>8.0} {:>8.0} {p50:>9.0} {p99:>9.0} {p999:>9.0} {cpu:>9.1} {switches:>11.2}",
            cell.producers, rate.min, rate.median, rate.max
        );
        let refused: u64 = cell.of(side).map(|m| m.refused).sum();
        if refused > 0 {
            println!("{:>21} {refused} appends were refused as busy and made again", "");
        }
    }
}

fn print_goals(cells: &[Cell]) {
    println!("ledger over the better raw side, round by round: median (least to most)");
    for cell in cells {
        let (rate, p99) = (cell.ratio(|m| m.per_second), cell.ratio(|m| m.quantiles[1]));
        let cpu = cell.ratio(|m| m.cpu_us);
        println!(
            "{:>9} rate {:.2} ({:.2} to {:.2})  p99 {:.2} ({:.2} to {:.2})  cpu {:.2}",
            cell.producers, rate.median, rate.min, rate.max, p99.median, p99.min, p99.max, cpu.median
        );
    }
    for cell in cells {
        let producers = cell.producers;
        let rate = cell.ratio(|m| m.per_second).median;
        if let Some((_, goal)) = RATE_GOALS.iter().find(|(at, _)| *at == producers)
            && rate < *goal
        {
            println!("FALLS SHORT at {producers} producers: {:.0}% of raw, goal {:.0}%", rate * 100.0, goal * 100.0);
        }
        let p99 = cell.ratio(|m| m.quantiles[1]).median;
        if p99 > P99_GOAL {
            println!("FALLS SHORT at {producers} producers: p99 {p99:.2} times raw's, goal {P99_GOAL}");
        }
    }
}

fn json_rows(cell: &Cell, flush: Duration) -> Vec<Value> {
    let sides = SIDES.into_iter().filter(|side| cell.of(side).next().is_some());
    let rows = sides.map(|side| {
        let rate = cell.spread(side, |m| m.per_second);
        let [p50, p99, p999] = [0, 1, 2].map(|at| cell.spread(side, |m| m.quantiles[at]).median);
        json!({
            "producers": cell.producers, "side": side, "is_limit": side == cell.limit(),
            "events_per_second": rate.median, "events_per_second_min": rate.min, "events_per_second_max": rate.max,
            "share_of_raw": cell.ratio(|m| m.per_second).median, "p99_over_raw": cell.ratio(|m| m.quantiles[1]).median,
            "p50_us": p50, "p99_us": p99, "p999_us": p999,
            "cpu_us_per_event": cell.spread(side, |m| m.cpu_us).median,
            "switches_per_event": cell.spread(side, |m| m.switches).median,
            "added_flush_ms": flush.as_secs_f64() * 1000.0,
        })
    });
    rows.collect()
}

pub fn ledger_in(dir: &Path, disk: &Arc<dyn Disk>) -> Ledger {
    let config = LedgerConfig {
        disk: Arc::clone(disk),
        ..LedgerConfig::new(&dir.join("ledger"), &dir.join("published"), &dir.join("keys"), "bench.example.org/ledger")
    };
    Ledger::open(config, &()).unwrap()
}
