//! Fills a data directory with so many events, for measuring with large ledgers: `cargo run --release --example fill -- DIR EVENTS
//! [DOCUMENTS BYTES]`
//!
//! One event in 25 registers a patient with a key of their own and sealed master data, one in five is a clinical entry with a
//! sealed body of 600 bytes, the rest are looks at charts. Documents are sealed objects in the store of the directory. All of
//! it goes through the ledger and the key store as in the server, only faster: many events at a time, nobody asks for leave.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a measuring tool"
)]

use std::path::PathBuf;
use std::time::Instant;

use actix_web::web::Bytes;
use wardbook::app::{App, OpenOptions, draft};
use wardbook::clock::{Chance, Clock};
use wardbook::config::{Config, DataDir};
use wardbook::documents::Store;
use wardbook_events::access::{ChartOpened, Grounds};
use wardbook_events::documents::{self, Digests, DocumentAdded, MediaType, Object};
use wardbook_events::patients::{self, PatientRegistered};
use wardbook_events::records::{self, RecordAdded, RecordKind};
use wardbook_events::{
    Actor, Client, CorrelationId, Event, EventId, Field, GroupSet, Meta, Outcome, PatientId, Purpose, RecordId, Role,
    SealedFields, TenantId, UserId,
};
use wardbook_keys::{OBJECT_CHUNK, OBJECT_FORM, ObjectId};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events that are appended together: as many patients as fit whole.
const BATCH: u64 = 250;
/// Events for each patient.
const PER_PATIENT: u64 = 25;
/// Those who add to the log at a time, so that flushes are shared.
const WRITERS: u64 = 4;

struct Filler {
    app: App,
    tenant: TenantId,
    doctor: UserId,
}

impl Filler {
    fn id(&self) -> uuid::Uuid {
        self.app.new_id().unwrap()
    }

    fn append(&self, events: &[Event]) {
        let meta = Meta {
            tenant: self.tenant,
            actor: Actor::user(self.doctor, Role::Physician),
            purpose: Purpose::Treatment,
            outcome: Outcome::Success,
            correlation: CorrelationId::new(self.id()),
            causation: None,
            command: None,
        };
        let drafts =
            events.iter().map(|event| draft(EventId::new(self.id()), event, &meta, &Client::default(), &[]).unwrap());
        self.app.ledger().append_blocking(drafts.collect()).unwrap();
    }

    /// A stretch of the log, with patients of its own.
    fn stretch(&self, events: u64) {
        let patients: Vec<_> = (0..events.div_ceil(PER_PATIENT)).map(|_| PatientId::new(self.id())).collect();
        let keys = self.app.keys();
        keys.create_patient_keys(self.tenant, &patients).unwrap();
        let seal = |patient, stream: &str, field, length: usize| {
            keys.seal(self.tenant, patient, stream, field, &"x".repeat(length)).unwrap().into_ciphertext()
        };
        let of = |number: u64| -> Event {
            let patient = patients[usize::try_from(number / PER_PATIENT).unwrap()];
            let stream = patients::stream(patient);
            match number % PER_PATIENT {
                0 => {
                    let fields = [Field::Name, Field::BirthDate, Field::Gender, Field::Mrn, Field::Addresses];
                    let fields = fields.map(|field| (field, seal(patient, &stream, field, 60)));
                    PatientRegistered {
                        patient,
                        fields: SealedFields(fields.into_iter().collect()),
                        tokens: Vec::new(),
                        departments: vec!["ward-1".into()],
                        jurisdiction: "US".into(),
                        vip: false,
                    }
                    .into()
                }
                1..=5 => {
                    let record = RecordId::new(self.id());
                    RecordAdded {
                        record,
                        patient,
                        kind: RecordKind::Note,
                        sensitivity: Vec::new(),
                        year: Some(2026),
                        author: Some(self.doctor),
                        body: seal(patient, &records::stream(record), Field::Record, 600),
                    }
                    .into()
                }
                _ => {
                    let grounds = Grounds {
                        policies: vec!["care-team".into()],
                        policy_version: "0123456789abcdef".into(),
                        emergency: None,
                        reason: None,
                    };
                    ChartOpened { patient, groups: GroupSet::all(), grounds, as_of: None }.into()
                }
            }
        };
        self.append(&(0..events).map(of).collect::<Vec<_>>());
    }

    /// A document of a patient of its own.
    async fn document(&self, bytes: u64) -> Event {
        let (patient, document) = (PatientId::new(self.id()), RecordId::new(self.id()));
        self.app.keys().create_patient_key(self.tenant, patient).unwrap();
        let id = ObjectId { tenant: self.tenant, patient, document, size: bytes };
        let (key, mut sealer) = self.app.keys().new_object(id, Field::DocumentKey).unwrap();
        let name = Store::new_name(self.app.chance()).unwrap();
        let mut writing = self.app.documents().store().write(&name).await.unwrap();
        let mut sha256 = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let mut blake3 = blake3::Hasher::new();
        for chunk in 0..id.chunks() {
            let mut text = Vec::with_capacity(OBJECT_CHUNK + 16);
            text.resize(id.chunk_size(chunk), 7);
            let sealed = sealer.seal(text).unwrap();
            sha256.update(&sealed);
            blake3.update(&sealed);
            writing.put(Bytes::from(sealed)).await.unwrap();
        }
        writing.finish().await.unwrap();
        let sealed = Digests { sha256: hex::encode(sha256.finish()), blake3: blake3.finalize().to_hex().to_string() };
        let body = "x".repeat(200);
        let body = self.app.keys().seal(self.tenant, patient, &documents::sealed_in(document), Field::Document, &body);
        DocumentAdded {
            document,
            patient,
            kind: RecordKind::Note,
            sensitivity: Vec::new(),
            year: Some(2026),
            author: self.doctor,
            media_type: MediaType::Pdf,
            size_bytes: bytes,
            object: Object { name, form: OBJECT_FORM, sealed },
            body: body.unwrap().into_ciphertext(),
            object_key: key.into_ciphertext(),
        }
        .into()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).map_or(0, |text| text.parse().unwrap());
    let (dir, events, documents, bytes): (_, u64, u64, u64) =
        (PathBuf::from(&arguments[0]), number(1), number(2), number(3));
    let options = OpenOptions::default();
    let app = App::open(Config::default(), DataDir::new(dir), Clock::system(), Chance::system(), options, &()).unwrap();
    let (tenant, doctor) = (app.config().organisation.id, UserId::new(app.new_id().unwrap()));
    let filler = Filler { app, tenant, doctor };
    let began = Instant::now();
    let batches: Vec<u64> = (0..events).step_by(BATCH as usize).map(|from| BATCH.min(events - from)).collect();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS as usize {
            let (filler, mine) = (&filler, batches.iter().skip(writer).step_by(WRITERS as usize));
            scope.spawn(move || mine.for_each(|batch| filler.stretch(*batch)));
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for _ in 0..documents {
        let added = runtime.block_on(filler.document(bytes));
        filler.append(&[added]);
    }
    // The views follow, and attest what they are at: a drill compares with that.
    let durable = filler.app.ledger().head().durable;
    runtime.block_on(filler.app.views().wait_for(durable - 1, std::time::Duration::from_secs(7_200))).unwrap();
    filler.app.close();
    println!("{events} events and {documents} documents in {:.1} s", began.elapsed().as_secs_f64());
}
