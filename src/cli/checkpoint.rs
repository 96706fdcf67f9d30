//! `wardbook checkpoint`

use clap::Args;
use serde_json::json;
use wardbook_ledger::LogReader;
use wardbook_ledger::checkpoint::SignedCheckpoint;

use super::output::Output;
use super::{Answer, Common, Ended, place};

/// Prints the newest published checkpoint, a C2SP signed note. Works beside a running server.
#[derive(Args)]
#[command(
    after_help = "Keep checkpoints where the operator of the ledger cannot reach them: whoever has one can show that the log was changed."
)]
pub struct Checkpoint {}

impl Checkpoint {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let reader = LogReader::open(&place::data(common).ledger())?;
        let Some(text) = reader.checkpoint()? else {
            output.note("no checkpoint was published yet");
            return Ok(Answer::No);
        };
        if output.is_json() {
            let checkpoint = SignedCheckpoint::parse(&text)?;
            let body = checkpoint.unverified();
            output.json(
                &json!({"origin": body.origin, "size": body.size, "root": body.root.to_string(), "note": text}),
            )?;
        } else {
            output.raw(&text)?;
        }
        Ok(Answer::Yes)
    }
}
