//! Durable appends against the raw file, alternated in one run.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use wardbook_ledger::{
    Draft, EventId, ExpectedVersion, Ledger, LedgerConfig, Payload, StreamId, SubjectId,
    store::file::{Disk, RealDisk},
};

use crate::{Options, cpu_seconds, raw::RawLog, slow::SlowDisk};

/// Bytes of a stored event, about; with two subjects it has five index entries.
const BODY_BYTES: usize = 700;
const META_BYTES: usize = 80;

static NEXT: AtomicU64 = AtomicU64::new(0);

pub fn draft(number: u64, salt: u64) -> Draft {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..].copy_from_slice(&salt.to_be_bytes());
    let patient = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 20_000;
    let mut subject = [0; 16];
    subject[8..].copy_from_slice(&patient.to_be_bytes());
    let stream: StreamId = format!("patient-{patient:05}").parse().unwrap();
    Draft {
        id: EventId::from_bytes(id),
        stream,
        expected: ExpectedVersion::Any,
        event_type: "access.chart_opened".parse().unwrap(),
        schema_version: 1,
        subjects: vec![SubjectId::from_bytes(subject), SubjectId::from_bytes([7; 16])],
        payload: Payload {
            meta: vec![b'm'; META_BYTES],
            client: vec![b'c'; 40],
            body: vec![(number % 256) as u8; BODY_BYTES],
        },
    }
}

#[derive(Clone)]
enum Side {
    Raw(Arc<RawLog>, usize),
    Ledger(Ledger),
}

impl Side {
    async fn append(&self, number: u64) {
        match self {
            // The same work of making an event, then bytes only.
            Self::Raw(raw, bytes) => {
                let draft = draft(number, 0);
                raw.append(vec![draft.payload.body[0]; *bytes]).await;
            }
            Self::Ledger(ledger) => {
                ledger.append(vec![draft(number, 0)]).await.unwrap();
            }
        }
    }
}

struct Measured {
    per_second: f64,
    cpu_us: f64,
    micros: Vec<u64>,
}

fn measure(side: &Side, producers: u64, time: Duration) -> Measured {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let began = Instant::now();
    let cpu = cpu_seconds();
    let tasks: Vec<_> = (0..producers)
        .map(|_| {
            let side = side.clone();
            runtime.spawn(async move {
                let mut micros = Vec::new();
                while began.elapsed() < time {
                    let sent = Instant::now();
                    side.append(NEXT.fetch_add(1, Ordering::Relaxed)).await;
                    micros.push(u64::try_from(sent.elapsed().as_nanos() / 1000).unwrap());
                }
                micros
            })
        })
        .collect();
    let mut micros: Vec<u64> = Vec::new();
    for task in tasks {
        micros.extend(runtime.block_on(task).unwrap());
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    Measured { per_second: micros.len() as f64 / seconds, cpu_us: cpu * 1e6 / micros.len() as f64, micros }
}

fn quantile(sorted: &[u64], share: f64) -> u64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Sums {
    name: &'static str,
    rates: Vec<f64>,
    cpu: Vec<f64>,
    micros: Vec<u64>,
}

pub fn run(options: &Options) {
    let dir = options.dir();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let flush = Duration::from_secs_f64(options.get("flush-ms", 0.0) / 1000.0);
    let time = Duration::from_secs_f64(options.get("seconds", 2.0));
    let rounds: usize = options.get("rounds", 3);
    let disk: Arc<dyn Disk> = match flush.is_zero() {
        true => Arc::new(RealDisk),
        false => Arc::new(SlowDisk { flush }),
    };
    let ledger = ledger_in(&dir, &disk);
    let first = ledger.append_blocking(vec![draft(u64::MAX / 2, 1)]).unwrap();
    let bytes = ledger.read(first[0].position()).unwrap().unwrap().stored().len() + 16;
    println!(
        "event: {bytes} bytes on disk, 5 index rows; added flush latency: {flush:?}; rounds of {time:?}: {rounds}"
    );
    println!(
        "{:>9} {:>12} {:>10} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "producers", "side", "events/s", "share", "p50 us", "p99 us", "p99.9 us", "cpu us/ev"
    );
    let mut rows = Vec::new();
    for producers in options.list("producers", "1,16,64,256") {
        let mut sides = ["raw", "raw-gather", "ledger"].map(|name| Sums {
            name,
            rates: Vec::new(),
            cpu: Vec::new(),
            micros: Vec::new(),
        });
        for round in 0..rounds {
            for sums in &mut sides {
                let path = dir.join(format!("raw-{}-{producers}-{round}", sums.name));
                let side = match sums.name {
                    "ledger" => Side::Ledger(ledger.clone()),
                    name => {
                        let raw = RawLog::open(Arc::clone(&disk), &path, name == "raw-gather");
                        Side::Raw(Arc::new(raw), bytes)
                    }
                };
                let measured = measure(&side, producers, time);
                sums.rates.push(measured.per_second);
                sums.cpu.push(measured.cpu_us);
                sums.micros.extend(measured.micros);
                drop(side);
                let _ = fs::remove_file(path);
            }
        }
        // The better of the two raw sides is the limit.
        let limit = sides.iter().filter(|s| s.name != "ledger").map(|s| median(s.rates.clone())).fold(0.0, f64::max);
        for sums in &mut sides {
            let rate = median(sums.rates.clone());
            sums.micros.sort_unstable();
            let q = [0.5, 0.99, 0.999].map(|share| quantile(&sums.micros, share));
            let cpu = median(sums.cpu.clone());
            println!(
                "{producers:>9} {:>12} {rate:>10.0} {:>7.0}% {:>9} {:>9} {:>9} {cpu:>9.1}",
                sums.name,
                rate / limit * 100.0,
                q[0],
                q[1],
                q[2]
            );
            rows.push(json!({
                "producers": producers, "side": sums.name, "events_per_second": rate, "share_of_raw": rate / limit,
                "p50_us": q[0], "p99_us": q[1], "p999_us": q[2], "cpu_us_per_event": cpu,
                "added_flush_ms": flush.as_secs_f64() * 1000.0,
            }));
        }
    }
    assert_eq!(ledger.stopped(), None);
    ledger.close();
    drop(ledger);
    options.write_json(&rows);
    let _ = fs::remove_dir_all(&dir);
}

pub fn ledger_in(dir: &Path, disk: &Arc<dyn Disk>) -> Ledger {
    let config = LedgerConfig {
        disk: Arc::clone(disk),
        ..LedgerConfig::new(&dir.join("ledger"), &dir.join("published"), &dir.join("keys"), "bench.example.org/ledger")
    };
    Ledger::open(config, &()).unwrap()
}
