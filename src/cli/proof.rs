//! `wardbook proof`

use std::path::Path;

use clap::Args;
use wardbook_events::EventId;
use wardbook_ledger::checkpoint::SignedCheckpoint;
use wardbook_ledger::proof::{TlogProof, prove_inclusion, verify_inclusion};
use wardbook_ledger::tile::{TILE_WIDTH, TilePath, TileSource};
use wardbook_ledger::tree::{Hash, leaf_hash};
use wardbook_ledger::{LogReader, Position};

use super::output::Output;
use super::{Answer, Common, Ended, Failure, place, remote};

/// Prints a C2SP tlog-proof. From the files of a ledger that may be in use, or from a server, which needs no login for
/// this.
#[derive(Args)]
#[command(after_help = "Example:\n  wardbook proof 4711 > proof; wardbook verify --proof proof --keys keys")]
pub struct Proof {
    /// Position (Wardbook-Position) or event id (Wardbook-Event)
    event: String,
    /// Ask a server, such as http://127.0.0.1:8080
    #[arg(long, env = "WARDBOOK_SERVER", value_name = "URL")]
    server: Option<String>,
}

impl Proof {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        if let Some(server) = &self.server {
            let url = format!("{}/v1/ledger/proof/{}", server.trim_end_matches('/'), self.event);
            let mut answer = remote::agent().get(url).call()?;
            if answer.status() == 404 {
                output.note("there is no such event");
                return Ok(Answer::No);
            }
            if !answer.status().is_success() {
                return Err(format!("the server answered {}", answer.status()).into());
            }
            output.raw(&answer.body_mut().read_to_string()?)?;
            return Ok(Answer::Yes);
        }
        let reader = LogReader::open(&place::data(common).ledger())?;
        let Some(position) = self.position(&reader)? else {
            output.note("there is no such event");
            return Ok(Answer::No);
        };
        output.raw(&prove(&reader, &place::data(common).ledger(), position)?.to_string())?;
        Ok(Answer::Yes)
    }

    fn position(&self, reader: &LogReader) -> Result<Option<Position>, Failure> {
        if let Ok(position) = self.event.parse::<u64>() {
            return Ok((position < reader.size()).then_some(Position(position)));
        }
        let id: EventId = self.event.parse().map_err(|_| "give a position or an event id")?;
        // Without the index, which the server has open, the log is searched.
        for entry in reader.scan(Position(0)) {
            let entry = entry?;
            if entry.id().as_bytes() == id.bytes() {
                return Ok(Some(entry.position()));
            }
        }
        Ok(None)
    }
}

/// Builds the proof from tile files, as any reader of a tlog could. A server may publish meanwhile and replace partial
/// tiles: then the newer checkpoint is taken.
fn prove(reader: &LogReader, dir: &Path, position: Position) -> Result<TlogProof, Failure> {
    let entry = reader.read(position)?.ok_or("there is no such event")?;
    let mut tries = 0;
    loop {
        let checkpoint = SignedCheckpoint::parse(&reader.checkpoint()?.ok_or("no checkpoint was published yet")?)?;
        let (size, root) = (checkpoint.unverified().size, checkpoint.unverified().root);
        if position.get() >= size {
            return Err("no checkpoint covers this event yet: try again in a second".into());
        }
        let source = TileSource::new(size, |path: &TilePath| tile(dir, path));
        let hashes = prove_inclusion(&source, position.get(), size);
        match hashes {
            Ok(hashes) if verify_inclusion(position.get(), size, leaf_hash(&entry.leaf()), &hashes, root).is_ok() => {
                return Ok(TlogProof { extra: Some(entry.leaf().to_vec()), index: position.get(), hashes, checkpoint });
            }
            _ if tries < 3 => tries += 1,
            Ok(_) => {
                return Err(
                    "the tiles do not belong to the checkpoint: open the ledger once, that makes them anew".into()
                );
            }
            Err(error) => {
                return Err(
                    format!("the tiles cannot be read: {error}; open the ledger once, that makes them anew").into()
                );
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn tile(dir: &Path, path: &TilePath) -> std::io::Result<Vec<u8>> {
    match (std::fs::read(dir.join(path.to_string())), TilePath::new(path.kind(), path.index(), TILE_WIDTH)) {
        (Err(error), Some(full)) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = std::fs::read(dir.join(full.to_string()))?;
            bytes.truncate(usize::from(path.width()) * Hash::BYTES);
            Ok(bytes)
        }
        (read, _) => read,
    }
}
