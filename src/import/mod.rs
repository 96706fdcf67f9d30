//! FHIR documents into the ledger, through the same commands as everything else.
//!
//! Patients first, their entries afterwards, many at a time so that flushes are shared. Every command carries an
//! idempotency key made of the source's own name for the resource: an import that was interrupted is run again, and what
//! is there already is found and counted, not written twice.

mod report;
mod source;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;

use tokio::task::JoinSet;
use wardbook_commands::patients::RegisterPatient;
use wardbook_commands::records::AddRecord;
use wardbook_commands::{CommandError, Done, IdempotencyKey, Origin, Rejection};
use wardbook_events::governance::ImportFinished;
use wardbook_events::values::Insurance;
use wardbook_events::{Outcome, PatientId};
use wardbook_ledger::Progress;
use wardbook_policy::{Action, Permit, Target};

use crate::app::App;
use crate::asker::Asker;
use crate::disclosure::{Refusal, allow};
use crate::fhir::{self, Mapped, Resource};

pub use report::{Counts, Report};
pub use source::{SourceError, documents};

/// Commands under way at once: enough to share flushes, few enough to hold little in memory.
const UNDER_WAY: usize = 64;

/// How an import is to be done.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Tells sources apart whose names for resources may collide.
    pub source: String,
    /// Register patients also if one of the same name and birth date is there.
    pub confirm_distinct: bool,
    /// Law that applies to the patients: `US`, `SA`, `EU`.
    pub jurisdiction: String,
}

/// Why an import ended early. What was imported stays; run it again to go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Policy does not let this user import.
    #[error("the import was refused: {0}")]
    Refused(#[from] Refusal),
    /// The ledger or the key store failed.
    #[error("the import stopped: {0}; what was imported stays, run the same command again to go on")]
    Stopped(CommandError),
    /// The operating system has no random bytes to give.
    #[error(transparent)]
    NoChance(#[from] crate::clock::NoChance),
}

/// One run.
struct Run<'a> {
    app: &'a App,
    asker: &'a Asker,
    permit: Permit,
    options: &'a ImportOptions,
    report: Report,
    patients: HashMap<String, PatientId>,
}

/// The names by which the source refers to a patient, how much cover came along, and what came of it.
type Registered = (Vec<String>, usize, Result<Done<PatientId>, CommandError>);

/// What became of one resource.
enum End {
    Imported,
    AlreadyThere,
    Refused(String),
}

/// Imports files and directories of FHIR bundles (`.json`) and bulk data (`.ndjson`).
///
/// # Errors
/// [`ImportError`]; resources that cannot be taken are not errors but counted in the report by type and reason.
pub async fn run(
    app: &App,
    asker: &Asker,
    paths: &[PathBuf],
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Report, ImportError> {
    let (permit, _) = allow(app, asker, Action::Import, Target::Tenant).await?;
    let mut run = Run { app, asker, permit, options, report: Report::default(), patients: HashMap::new() };
    let total = source::count(paths, progress)?;
    let insurance = run.collect_insurance(paths)?;
    run.patients(paths, insurance, progress, total).await?;
    run.records(paths, progress, total).await?;
    run.finish().await
}

impl<'a> Run<'a> {
    /// Insurance stands in documents of its own but belongs to master data: it is read ahead.
    fn collect_insurance(&mut self, paths: &[PathBuf]) -> Result<HashMap<String, Vec<Insurance>>, ImportError> {
        let mut all: HashMap<String, Vec<Insurance>> = HashMap::new();
        for document in documents(paths)? {
            for resource in fhir::resources(&document?).into_iter().flatten().filter(|r| r.resource_type == "Coverage")
            {
                match fhir::map(&resource) {
                    Ok(Mapped::Insurance { patient, insurance }) => match all.entry(patient) {
                        Entry::Occupied(mut known) => known.get_mut().push(*insurance),
                        Entry::Vacant(vacant) => {
                            vacant.insert(vec![*insurance]);
                        }
                    },
                    Ok(_) => {}
                    Err(skip) => self.report.skip(&skip.resource_type, &skip.reason),
                }
            }
        }
        Ok(all)
    }

    async fn patients(
        &mut self,
        paths: &[PathBuf],
        mut insurance: HashMap<String, Vec<Insurance>>,
        progress: &dyn Progress,
        total: source::Total,
    ) -> Result<(), ImportError> {
        let mut under_way = JoinSet::<Registered>::new();
        let mut done = 0;
        for document in documents(paths)? {
            let document = document?;
            for resource in fhir::resources(&document).into_iter().flatten().filter(|r| r.resource_type == "Patient") {
                let fields = match fhir::map(&resource) {
                    Ok(Mapped::Patient(fields)) => *fields,
                    Ok(_) => continue,
                    Err(skip) => {
                        self.report.skip(&skip.resource_type, &skip.reason);
                        continue;
                    }
                };
                let names: Vec<String> = resource.key.iter().chain(&resource.local).cloned().collect();
                let covers: Vec<Insurance> = names.iter().filter_map(|name| insurance.remove(name)).flatten().collect();
                let command = register(fields, covers, self.options);
                if under_way.len() >= UNDER_WAY {
                    self.one_patient(&mut under_way).await?;
                }
                let origin = self.origin(&resource)?;
                let (app, permit) = (self.app.clone(), self.permit.clone());
                under_way.spawn(async move {
                    let covers = command.insurance.len();
                    (names, covers, app.commands().register_patient(&permit, &origin, command).await)
                });
                done += 1;
                progress.advance("patients", done, total.patients);
            }
        }
        while !under_way.is_empty() {
            self.one_patient(&mut under_way).await?;
        }
        for covers in insurance.into_values() {
            for _ in covers {
                self.report.skip("Coverage", NO_PATIENT);
            }
        }
        Ok(())
    }

    async fn one_patient(&mut self, under_way: &mut JoinSet<Registered>) -> Result<(), ImportError> {
        let Some(Ok((names, covers, result))) = under_way.join_next().await else { return Ok(()) };
        if let Ok(done) = &result {
            self.patients.extend(names.into_iter().map(|name| (name, done.value)));
        }
        let end = end_of(result)?;
        for _ in 0..covers {
            self.count("Coverage", &end);
        }
        self.count("Patient", &end);
        Ok(())
    }

    async fn records(
        &mut self,
        paths: &[PathBuf],
        progress: &dyn Progress,
        total: source::Total,
    ) -> Result<(), ImportError> {
        let mut under_way = JoinSet::new();
        let mut done = total.patients;
        for document in documents(paths)? {
            let document = document?;
            for resource in fhir::resources(&document) {
                let resource = match resource {
                    Ok(resource) if matches!(resource.resource_type.as_str(), "Patient" | "Coverage") => continue,
                    Ok(resource) => resource,
                    Err(skip) => {
                        self.report.skip(&skip.resource_type, &skip.reason);
                        continue;
                    }
                };
                done += 1;
                progress.advance("entries", done, total.resources);
                let Some((origin, command)) = self.entry(&resource)? else { continue };
                if under_way.len() >= UNDER_WAY {
                    self.one_record(&mut under_way).await?;
                }
                let (app, permit) = (self.app.clone(), self.permit.clone());
                let kind = resource.resource_type;
                under_way.spawn(async move {
                    (kind, app.commands().add_record(&permit, &origin, command).await.map(drop_value))
                });
            }
        }
        while !under_way.is_empty() {
            self.one_record(&mut under_way).await?;
        }
        progress.advance("entries", total.resources, total.resources);
        Ok(())
    }

    fn entry(&mut self, resource: &Resource<'_>) -> Result<Option<(Origin, AddRecord)>, ImportError> {
        let (patient, kind, sensitivity, body) = match fhir::map(resource) {
            Ok(Mapped::Record { patient, kind, sensitivity, body }) => (patient, kind, sensitivity, *body),
            Ok(_) => return Ok(None),
            Err(skip) => {
                self.report.skip(&skip.resource_type, &skip.reason);
                return Ok(None);
            }
        };
        let Some(patient) = self.patients.get(&patient).copied() else {
            self.report.skip(&resource.resource_type, NO_PATIENT);
            return Ok(None);
        };
        Ok(Some((self.origin(resource)?, AddRecord { patient, kind, sensitivity, body })))
    }

    async fn one_record(
        &mut self,
        under_way: &mut JoinSet<(String, Result<Done<()>, CommandError>)>,
    ) -> Result<(), ImportError> {
        let Some(Ok((kind, result))) = under_way.join_next().await else { return Ok(()) };
        let end = end_of(result)?;
        self.count(&kind, &end);
        Ok(())
    }

    fn count(&mut self, kind: &str, end: &End) {
        match end {
            End::Imported => self.report.imported(kind),
            End::AlreadyThere => self.report.already_there(kind),
            End::Refused(reason) => self.report.skip(kind, reason),
        }
    }

    /// The origin of the command for a resource. Its key is a hash, so that names of the source do not enter the ledger.
    fn origin(&self, resource: &Resource<'_>) -> Result<Origin, ImportError> {
        let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 import key v1");
        for part in
            [self.options.source.as_str(), &resource.resource_type, resource.key.as_deref().unwrap_or(resource.json)]
        {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let key = format!("import-{}", hasher.finalize().to_hex());
        Ok(Origin {
            actor: self.asker.actor(),
            purpose: self.asker.purpose,
            correlation: self.asker.correlation,
            causation: None,
            client: self.asker.client.clone(),
            now: self.app.now(),
            seed: self.app.chance().bytes()?,
            idempotency: IdempotencyKey::new(&key).ok(),
        })
    }

    async fn finish(self) -> Result<Report, ImportError> {
        let counts = self.report.totals();
        let fact = ImportFinished { read: counts.read(), imported: counts.imported, skipped: self.report.reasons() };
        let id = wardbook_events::EventId::new(self.app.new_id()?);
        self.app
            .tell(
                id,
                wardbook_events::governance::GovernanceEvent::from(fact).into(),
                &self.asker.meta(Outcome::Success),
                &self.asker.client,
                &[],
            )
            .await?;
        Ok(self.report)
    }
}

const NO_PATIENT: &str = "its patient was not imported";

fn drop_value<T>(done: Done<T>) -> Done<()> {
    Done { value: (), receipts: done.receipts, stream_version: done.stream_version }
}

/// Sorts what a command came to: an end of this resource, or of the run.
fn end_of<T>(result: Result<Done<T>, CommandError>) -> Result<End, ImportError> {
    match result {
        Ok(done) if done.receipts.iter().all(wardbook_ledger::Receipt::is_replay) => Ok(End::AlreadyThere),
        Ok(_) => Ok(End::Imported),
        Err(CommandError::Rejected(Rejection::KeyReused)) => {
            Ok(End::Refused("another resource was imported under this name: give this source a name of its own".into()))
        }
        Err(CommandError::Rejected(rejection)) => Ok(End::Refused(rejection.to_string())),
        Err(CommandError::NotFound) => Ok(End::Refused(NO_PATIENT.into())),
        Err(error @ CommandError::Refused(_)) => Ok(End::Refused(error.to_string())),
        Err(error) => Err(ImportError::Stopped(error)),
    }
}

fn register(mut command: RegisterPatient, insurance: Vec<Insurance>, options: &ImportOptions) -> RegisterPatient {
    command.insurance = insurance;
    command.confirm_distinct = options.confirm_distinct;
    command.jurisdiction.clone_from(&options.jurisdiction);
    command
}
