//! Trying out a restore (OPS-05): the newest backup of a place comes back to life beside the system, is measured, and goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use wardbook_events::backups::{BackupStep, DrillFinished};
use wardbook_events::governance::GovernanceEvent;
use wardbook_events::{Event, PatientId, TenantId};
use wardbook_ledger::{Direction, Ledger, LedgerConfig, Position, Progress};
use wardbook_projections::{Stretch, Views, ViewsConfig};

use super::catalog::Setup;
use super::restore::{Reach, Restore, Restored};
use super::run::{RunError, failed, place_of, tell};
use crate::app::App;
use crate::by::By;
use crate::config::{self, DataDir};
use crate::recorded;

/// Events taken in at once.
const BATCH: usize = 4_096;
/// Patients whose keys are unwrapped.
const SAMPLE: usize = 32;

/// Restores the newest backup of a place (the first if none is named) into a directory of its own below the data directory, opens
/// it, holds the views' state roots against those attested in the ledger, and writes down how long it took (RTO) and what would
/// have been lost (RPO). No PHI is opened: that keys unwrap is tried with the patients' keys only.
///
/// # Errors
/// If it does not come back; that is an event too.
pub fn drill(app: &App, by: &By, place: Option<&str>, progress: &dyn Progress) -> Result<DrillFinished, RunError> {
    let dir = DataDir::new(app.data().root().join("drill"));
    let clear = || match fs::remove_dir_all(dir.root()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "what a drill left behind was not removed");
        }
        _ => {}
    };
    clear();
    let finished = attempt(app, &dir, place, progress);
    clear();
    match &finished {
        Ok(finished) => tell(app, by, finished.clone())?,
        Err(error) => failed(app, by, BackupStep::Drill, None, place.map(str::to_owned), error)?,
    }
    finished
}

fn attempt(app: &App, dir: &DataDir, place: Option<&str>, progress: &dyn Progress) -> Result<DrillFinished, RunError> {
    let wrong = |error: &dyn std::fmt::Display| RunError::Drill(error.to_string());
    let mut setup = Setup::open(&app.config().backup)?;
    let name = place_of(&setup, place)?.name().to_owned();
    setup.places.retain(|one| one.name() == name);
    let mut steps = Steps::default();
    // Beside the system: never into the bucket that it works with.
    let beside = config::Documents { place: config::DocumentsPlace::Directory, ..config::Documents::default() };
    let restore = Restore { setup: &setup, backup: None, reach: Reach::End, target: dir.clone(), documents: &beside };
    let restored = restore.run(progress).map_err(|error| wrong(&error))?;
    let Restored { told, patients, newest_at, documents, .. } = restored;
    steps.end("restore");
    steps.apart("documents", documents.took_ms, "restore");
    let settings = &app.config().ledger;
    let config = LedgerConfig::new(&dir.ledger(), &dir.published(), &dir.ledger_keys(), &settings.origin);
    let ledger = Ledger::open(config, progress).map_err(|error| wrong(&error))?;
    steps.end("ledger");
    let compared = views(&ledger, &dir.views(), progress).map_err(|error| wrong(&error))?;
    ledger.close();
    steps.end("views");
    let unwrapped = unwrapped(app, &patients);
    steps.end("keys");
    let live = app.ledger().head().durable;
    let lost_events = live.saturating_sub(told.to);
    let lost_s = app.now().duration_since(newest_at).as_secs();
    Ok(DrillFinished {
        backup: told.backup,
        place: name,
        passed: compared.differ.is_empty() && told.keys_missing == 0 && unwrapped && documents.missing == 0,
        events: told.to,
        patients: patients.len() as u64,
        views: compared.equal,
        keys_missing: told.keys_missing,
        documents: documents.count,
        documents_missing: documents.missing,
        recovery_ms: steps.done.values().sum(),
        steps_ms: steps.done,
        lost_s: if lost_events == 0 { 0 } else { u64::try_from(lost_s).unwrap_or(0) },
        lost_events,
    })
}

/// Time by step.
struct Steps {
    began: Instant,
    done: BTreeMap<String, u64>,
}

impl Default for Steps {
    fn default() -> Self {
        Self { began: Instant::now(), done: BTreeMap::new() }
    }
}

impl Steps {
    fn end(&mut self, name: &str) {
        let now = Instant::now();
        let took = now.duration_since(self.began).as_millis();
        self.done.insert(name.to_owned(), u64::try_from(took).unwrap_or(u64::MAX));
        self.began = now;
    }

    /// Tells what took so long within a step apart from it.
    fn apart(&mut self, name: &str, took_ms: u64, within: &str) {
        if let Some(whole) = self.done.get_mut(within) {
            *whole = whole.saturating_sub(took_ms);
        }
        self.done.insert(name.to_owned(), took_ms);
    }
}

/// How the views compare with what the ledger attests.
struct Compared {
    equal: u32,
    differ: Vec<&'static str>,
}

/// Builds every view, stopping at the newest attestation to compare.
fn views(ledger: &Ledger, dir: &Path, progress: &dyn Progress) -> Result<Compared, Box<dyn std::error::Error>> {
    fs::create_dir_all(dir)?;
    let views = Views::open(&ViewsConfig::new(dir.to_owned()))?;
    let (attested_at, roots) = attested(ledger)?;
    let end = ledger.head().durable;
    feed(ledger, &views, 0, attested_at, end, progress)?;
    let mut compared = Compared { equal: 0, differ: Vec::new() };
    for (view, standing) in views.standings() {
        let Some((version, root)) = roots.get(view.name()) else { continue };
        match *version == view.code_version() && standing?.root.to_string() == *root {
            true => compared.equal += 1,
            // A newer program has views of a newer form: nothing to compare.
            false if *version != view.code_version() => {}
            false => compared.differ.push(view.name()),
        }
    }
    for view in &compared.differ {
        tracing::error!(view, "a restored view has another root than the ledger attests");
    }
    feed(ledger, &views, attested_at, end, end, progress)?;
    views.flush()?;
    Ok(compared)
}

/// Code version and root of each view.
type Roots = BTreeMap<String, (u32, String)>;

/// The size of the log at which most views were attested, the newest such: code version and root of each. A backup may end
/// within a round of attestations.
fn attested(ledger: &Ledger) -> Result<(u64, Roots), Box<dyn std::error::Error>> {
    let kind = "governance.projection-attested".parse()?;
    let entries = ledger.by_type(&kind, Position(u64::MAX), Direction::Backward, 64)?;
    let mut rounds: BTreeMap<u64, BTreeMap<String, (u32, String)>> = BTreeMap::new();
    for entry in &entries {
        let Some(recorded) = recorded::decode(entry)? else { continue };
        let Event::Governance(GovernanceEvent::ProjectionAttested(one)) = recorded.event else { continue };
        rounds.entry(one.log_size).or_default().entry(one.view).or_insert((one.code_version, one.root));
    }
    Ok(rounds.into_iter().max_by_key(|(size, roots)| (roots.len(), *size)).unwrap_or_default())
}

fn feed(
    ledger: &Ledger,
    views: &Views,
    from: u64,
    to: u64,
    end: u64,
    progress: &dyn Progress,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut entries = ledger.scan(Position(from));
    let mut at = from;
    while at < to {
        let wanted = usize::try_from(to - at).unwrap_or(BATCH).min(BATCH);
        let batch = entries.by_ref().take(wanted).collect::<Result<Vec<_>, _>>()?;
        if batch.is_empty() {
            return Err("the log ends too early".into());
        }
        let next = at + batch.len() as u64;
        views.apply(Stretch::new(at, &recorded::decode_all(&batch)?, next))?;
        at = next;
        progress.advance("views", at, end);
    }
    Ok(())
}

/// Whether the keys of some patients unwrap with the root key that is in use.
fn unwrapped(app: &App, patients: &BTreeSet<(TenantId, PatientId)>) -> bool {
    let step = (patients.len() / SAMPLE).max(1);
    patients.iter().step_by(step).all(|(tenant, patient)| {
        let erased = !app.keys().has_key(*tenant, *patient).unwrap_or(true);
        let tried = app.keys().try_unwrap(*tenant, *patient);
        if let Err(error) = &tried
            && !erased
        {
            tracing::error!(%error, "a patient's key does not unwrap");
        }
        erased || tried.is_ok()
    })
}
