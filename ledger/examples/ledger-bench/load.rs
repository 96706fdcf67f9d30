//! A closed loop of producers: each sends its next event when the last one is acknowledged.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use wardbook_ledger::{
    AppendError, Draft, EventId, ExpectedVersion, Ledger, Payload, StreamId, SubjectId, ids::EventType,
};

use crate::raw::RawLog;

/// Bytes of a stored event, about; with two subjects it has five index entries.
const BODY_BYTES: usize = 700;
const META_BYTES: usize = 80;
const CLIENT_BYTES: usize = 40;
const PATIENTS: u64 = 20_000;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The look of one of the staff at one of 20,000 charts.
pub fn draft(number: u64, salt: u64) -> Draft {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id[8..].copy_from_slice(&salt.to_be_bytes());
    let patient = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % PATIENTS;
    let mut subject = [0; 16];
    subject[8..].copy_from_slice(&patient.to_be_bytes());
    let stream: StreamId = format!("patient-{patient:05}").parse().unwrap();
    let event_type: EventType = "access.chart_opened".parse().unwrap();
    Draft {
        id: EventId::from_bytes(id),
        stream,
        expected: ExpectedVersion::Any,
        event_type,
        schema_version: 1,
        subjects: vec![SubjectId::from_bytes(subject), SubjectId::from_bytes([7; 16])],
        payload: Payload {
            meta: vec![b'm'; META_BYTES],
            client: vec![b'c'; CLIENT_BYTES],
            body: vec![(number % 256) as u8; BODY_BYTES],
        },
    }
}

/// What is measured.
#[derive(Clone)]
pub enum Side {
    Raw(Arc<RawLog>, usize),
    Ledger(Ledger),
}

impl Side {
    /// Appends one event and waits until it is durable; the number of times that it was told to come back.
    async fn append(&self, number: u64) -> u64 {
        match self {
            // The same work of making an event, then bytes only.
            Self::Raw(raw, bytes) => {
                let draft = draft(number, 0);
                raw.append(vec![draft.payload.body[0]; *bytes]).await;
                0
            }
            Self::Ledger(ledger) => {
                let mut refused = 0;
                loop {
                    match ledger.append(vec![draft(number, 0)]).await {
                        Ok(_) => return refused,
                        Err(AppendError::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
                        Err(error) => panic!("{error}"),
                    }
                    refused += 1;
                }
            }
        }
    }
}

/// One round of one side.
pub struct Measured {
    pub per_second: f64,
    /// Processor time of everything, the producers too.
    pub cpu_us: f64,
    pub switches: f64,
    /// Appends that were refused as busy and made again.
    pub refused: u64,
    /// p50, p99 and p99.9 in microseconds.
    pub quantiles: [f64; 3],
}

pub fn measure(side: &Side, producers: u64, time: Duration) -> Measured {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (cpu, switches) = (cpu_seconds(), context_switches());
    let began = Instant::now();
    let tasks: Vec<_> = (0..producers)
        .map(|_| {
            let side = side.clone();
            runtime.spawn(async move {
                let (mut nanos, mut refused) = (Vec::new(), 0);
                while began.elapsed() < time {
                    let sent = Instant::now();
                    refused += side.append(NEXT.fetch_add(1, Ordering::Relaxed)).await;
                    nanos.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
                }
                (nanos, refused)
            })
        })
        .collect();
    let (mut nanos, mut refused) = (Vec::new(), 0);
    for task in tasks {
        let (theirs, times) = runtime.block_on(task).unwrap();
        nanos.extend(theirs);
        refused += times;
    }
    let events = nanos.len() as f64;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    let switches = context_switches() - switches;
    nanos.sort_unstable();
    let quantile = |share: f64| f64::from(nanos[((events - 1.0) * share) as usize]) / 1e3;
    Measured {
        per_second: events / seconds,
        cpu_us: cpu * 1e6 / events,
        switches: switches / events,
        refused,
        quantiles: [0.5, 0.99, 0.999].map(quantile),
    }
}

/// Seconds of processor time of this process so far, user and system.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// Context switches of the threads that live now.
fn context_switches() -> f64 {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let status = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
    status.map(|status| switches_of(&status)).sum()
}

fn switches_of(status: &str) -> f64 {
    let lines = status.lines().filter(|line| line.contains("ctxt_switches:"));
    lines.filter_map(|line| line.rsplit('\t').next()?.parse::<f64>().ok()).sum()
}
