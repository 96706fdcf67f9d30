//! What a person or a machine sees: results, progress, errors.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use wardbook_ledger::Progress;

use super::{Common, Failure};

/// Standard output for results; bars on a terminal, a line a step elsewhere.
pub struct Output {
    json: bool,
    quiet: bool,
    is_terminal: bool,
    step: Mutex<Step>,
}

#[derive(Default)]
struct Step {
    name: &'static str,
    bar: Option<ProgressBar>,
    /// Tenths of the step that were told.
    tenths: u64,
}

impl Output {
    pub fn new(common: &Common) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { json: common.json, quiet: common.quiet, is_terminal, step: Mutex::default() }
    }

    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the result.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Text of the result as it is, such as a checkpoint, whose last byte counts.
    pub fn raw(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// The result for machines, one line.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string(value)?)
    }

    /// A sentence beside the result.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.clear();
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    pub fn error(&self, text: &str) {
        self.clear();
        let red = self.is_terminal && std::env::var_os("NO_COLOR").is_none();
        let (on, off) = if red { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
        let _ = writeln!(io::stderr().lock(), "{on}wardbook: {text}{off}");
    }

    /// Ends a bar that is still drawn.
    pub fn finish(&self) {
        self.clear();
    }

    fn clear(&self) {
        if let Ok(mut step) = self.step.lock() {
            if let Some(bar) = step.bar.take() {
                bar.finish_and_clear();
            }
            step.name = "";
        }
    }
}

/// Standard output went away, such as `wardbook replay | head`: no reason to complain.
pub fn is_closed_pipe(failure: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    failure.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl Progress for Output {
    fn advance(&self, name: &'static str, done: u64, total: u64) {
        let Ok(mut step) = self.step.lock() else { return };
        if self.quiet {
            return;
        }
        if self.is_terminal {
            if step.name != name {
                if let Some(bar) = step.bar.take() {
                    bar.finish();
                }
                *step = Step { name, bar: Some(bar(name, total)), tenths: 0 };
            }
            if let Some(bar) = &step.bar {
                bar.set_length(total.max(done));
                bar.set_position(done);
            }
            return;
        }
        let tenths = done.saturating_mul(10).checked_div(total).unwrap_or_default();
        if step.name != name {
            *step = Step { name, bar: None, tenths };
            let _ = writeln!(io::stderr().lock(), "{name}");
        } else if tenths > step.tenths {
            step.tenths = tenths;
            let _ = writeln!(io::stderr().lock(), "{name}: {done} of {total}");
        }
    }
}

fn bar(name: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("{msg:12} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(name);
    bar
}

/// A table for people.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(head.to_vec());
    table.add_rows(rows);
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
