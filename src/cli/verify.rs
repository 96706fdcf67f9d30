//! `wardbook verify`

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;
use wardbook_ledger::bundle::SubjectBundle;
use wardbook_ledger::checkpoint::SignedCheckpoint;
use wardbook_ledger::proof::TlogProof;
use wardbook_ledger::signer::KeyDir;
use wardbook_ledger::verify::{Start, Verification};
use wardbook_ledger::{KeyRing, LogReader, Position, Progress as _};

use super::output::Output;
use super::{Answer, Common, Ended, Failure, place};

/// Checks every entry again from its bytes: codec, chain, streams, subjects, signatures, tree and checkpoints. Needs
/// public keys only and works beside a running server. Exit code 1 means: it does not verify.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  wardbook verify                                   the whole log\n  wardbook verify --from 1000 --to 2000\n  \
    wardbook verify --checkpoint kept-elsewhere.txt   the log still contains what was published then\n  \
    wardbook verify --bundle my-accesses.json --keys keys.txt"
)]
pub struct Verify {
    /// First position
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Position before which to end
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    /// Checkpoints that were kept elsewhere; several times
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Public keys (GET /v1/ledger/keys); those of the data directory if not given
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Verify a completeness bundle (GET /v1/patients/{id}/access-proof) and list what it proves
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "checkpoints", "proof"])]
    bundle: Option<PathBuf>,
    /// Verify a proof of one event (GET /v1/ledger/proof/{event})
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "checkpoints"])]
    proof: Option<PathBuf>,
}

impl Verify {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let keys = match &self.keys {
            Some(path) => KeyRing::parse(&read(path)?)?,
            None => KeyDir::new(&place::data(common).ledger_keys()).public_keys()?,
        };
        match (&self.bundle, &self.proof) {
            (Some(path), _) => bundles(&read(path)?, &keys, output),
            (None, Some(path)) => proof(&read(path)?, &keys, output),
            (None, None) => self.log(common, &keys, output),
        }
    }

    fn log(&self, common: &Common, keys: &KeyRing, output: &Output) -> Ended {
        let reader = LogReader::open(&place::data(common).ledger())?;
        let from = Position(self.from.unwrap_or_default());
        let previous = match from.get().checked_sub(1) {
            Some(before) => Some(reader.read(Position(before))?.ok_or("the log does not reach that far")?.digest()),
            None => None,
        };
        let mut checkpoints = Vec::new();
        for path in &self.checkpoints {
            checkpoints.push(SignedCheckpoint::parse(&read(path)?)?);
        }
        if let Some(text) = reader.checkpoint()? {
            checkpoints.push(SignedCheckpoint::parse(&text)?);
        }
        let total = self.to.unwrap_or_else(|| reader.size()).saturating_sub(from.get());
        let began = Instant::now();
        let report = Verification {
            keys,
            start: Start::at(from, previous),
            until: self.to.map(Position),
            checkpoints: &checkpoints,
            progress: &|done| output.advance("verify", done, total),
        }
        .run(reader.scan_stored(from));
        output.finish();
        let lost = checkpoints.iter().map(|signed| signed.unverified().size).max().filter(|size| *size > reader.size());
        let seconds = began.elapsed().as_secs_f64();
        let findings: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
        if output.is_json() {
            output.json(&json!({"verified": report.is_ok(), "entries": report.count, "seconds": seconds,
                "checkpoints": checkpoints.len(), "errors": findings, "warnings": report.warnings}))?;
        } else {
            for finding in &findings {
                output.line(finding)?;
            }
            for warning in &report.warnings {
                output.line(&format!("warning: {warning}"))?;
            }
            if let (None, Some(size)) = (self.to, lost) {
                let at = reader.size();
                output.line(&format!("the entry at position {at} is damaged, or the file was cut there: nothing from it to {size} can be trusted"))?;
            }
            let verdict = if report.is_ok() { "verified" } else { "does NOT verify" };
            output.line(&format!(
                "{} entries from {}, {} checkpoints: {verdict} ({seconds:.1} s)",
                report.count,
                from.get(),
                checkpoints.len()
            ))?;
        }
        Ok(if report.is_ok() { Answer::Yes } else { Answer::No })
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

fn refused(what: &str, why: &dyn std::fmt::Display, output: &Output) -> Ended {
    if output.is_json() {
        output.json(&json!({"verified": false, "error": why.to_string()}))?;
    } else {
        output.line(&format!("{what} does NOT verify: {why}"))?;
    }
    Ok(Answer::No)
}

fn proof(text: &str, keys: &KeyRing, output: &Output) -> Ended {
    let proof = match TlogProof::parse(text) {
        Ok(proof) => proof,
        Err(error) => return refused("the proof", &error, output),
    };
    if let Err(error) = proof.verify_own_leaf(keys) {
        return refused("the proof", &error, output);
    }
    let size = proof.checkpoint.unverified().size;
    if output.is_json() {
        output.json(&json!({"verified": true, "position": proof.index, "tree_size": size}))?;
    } else {
        output.line(&format!("the event at position {} stands in the log of {size} events: verified", proof.index))?;
    }
    Ok(Answer::Yes)
}

/// A file holds one bundle a line: a patient who was merged is in several, one for each chart.
fn bundles(text: &str, keys: &KeyRing, output: &Output) -> Ended {
    let mut answer = Answer::No;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        answer = bundle(line, keys, output)?;
        if answer == Answer::No {
            return Ok(answer);
        }
    }
    Ok(answer)
}

fn bundle(text: &str, keys: &KeyRing, output: &Output) -> Ended {
    let bundle = match SubjectBundle::from_json(text) {
        Ok(bundle) => bundle,
        Err(error) => return refused("the bundle", &error, output),
    };
    let verified = match bundle.verify(keys) {
        Ok(verified) => verified,
        Err(error) => return refused("the bundle", &error, output),
    };
    let count = verified.events.len();
    if output.is_json() {
        let events: Vec<_> = verified
            .events
            .iter()
            .map(|event| {
                let header = &event.header;
                let meta = serde_json::from_slice::<serde_json::Value>(&event.meta).unwrap_or_default();
                json!({"position": header.position.get(), "type": header.event_type.as_str(), "at": instant(header.recorded_at.0), "meta": meta})
            })
            .collect();
        output.json(&json!({"verified": true, "subject": bundle.subject().to_string(), "events": events}))?;
        return Ok(Answer::Yes);
    }
    for event in &verified.events {
        let header = &event.header;
        output.line(&format!(
            "{:>8}  {}  {}",
            header.position.get(),
            instant(header.recorded_at.0),
            header.event_type.as_str()
        ))?;
    }
    output.line(&format!("{count} events about {}: complete up to the last one, verified", bundle.subject()))?;
    Ok(Answer::Yes)
}

fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |at| at.to_string())
}
