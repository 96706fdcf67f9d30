//! `wardbook replay`

use std::io;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use wardbook_events::governance::{GovernanceEvent, ReplayRun};
use wardbook_events::{CorrelationId, EventId, Outcome, PatientId, SessionId, UserId};
use wardbook_ledger::{LogReader, Position};

use super::output::Output;
use super::remote::Remote;
use super::{Answer, Common, Ended, Failure, place};
use wardbook::history::{self, AsOf};
use wardbook::trail::{self, TrailEntry};

/// The forensic view, oldest first (newest first with --server). Reads the journal itself, beside a running server too, and shows nothing that is
/// sealed. With --server the server reads, and that is an event. --at opens a chart as it stood: that takes --as USER, the
/// user's permission to see it today, and is an event before anything is shown.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  wardbook replay --actor ID --type access --since 2026-03-01T00:00:00Z --format csv\n  \
    wardbook replay --patient ID --at 2026-03-04T12:00:00Z --as dr.lee --password-stdin < password"
)]
pub struct Replay {
    /// Events about this patient
    #[arg(long)]
    patient: Option<PatientId>,
    /// Events caused by this user
    #[arg(long)]
    actor: Option<UserId>,
    /// Events of this session
    #[arg(long)]
    session: Option<SessionId>,
    /// Events of this request
    #[arg(long)]
    correlation: Option<CorrelationId>,
    /// Type or area, such as access.chart-opened or access
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// success, denied or failed
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Not before this instant
    #[arg(long)]
    since: Option<Timestamp>,
    /// Before this instant
    #[arg(long)]
    until: Option<Timestamp>,
    /// First position
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Last position
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    /// At most so many events
    #[arg(long)]
    limit: Option<u64>,
    /// table, jsonl or csv
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The patient's chart as it stood at a position or an instant
    #[arg(long, requires = "patient", value_name = "MOMENT")]
    at: Option<AsOf>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Jsonl,
    Csv,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    serde_json::from_value(json!(text)).map_err(|_| "expected success, denied or failed".into())
}

impl Replay {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        match (self.at, self.patient, &self.remote.server) {
            (Some(_), _, Some(_)) => {
                Err("--at reads the ledger's own files: stop the server, and leave --server out".into())
            }
            (Some(at), Some(patient), None) => self.past_chart(at, patient, common, output),
            (_, _, Some(server)) => self.through(server, output),
            (_, _, None) => self.trail(common, output),
        }
    }

    /// The trail from the journal.
    fn trail(&self, common: &Common, output: &Output) -> Ended {
        let reader = LogReader::open(&place::data(common).ledger())?;
        let mut lines = Lines::new(if output.is_json() { Format::Jsonl } else { self.format });
        let to = self.to.unwrap_or(u64::MAX);
        for entry in reader.scan(Position(self.from.unwrap_or_default())) {
            let entry = entry?;
            if entry.position().get() > to || lines.count >= self.limit.unwrap_or(u64::MAX) {
                break;
            }
            let at = entry.recorded_at().0;
            if self.since.is_some_and(|since| at < since.as_microsecond()) {
                continue;
            }
            if self.until.is_some_and(|until| at >= until.as_microsecond()) {
                break; // times never fall along the log
            }
            let (session, trail) = match trail::read(&entry)? {
                Some((recorded, trail)) => (recorded.client.session, trail),
                None => (None, trail::of_the_ledger(&entry)),
            };
            if self.session.is_none_or(|wanted| session == Some(wanted)) && self.matches(&trail) {
                lines.write(&trail)?;
            }
        }
        lines.end()
    }

    fn matches(&self, trail: &TrailEntry) -> bool {
        let of_type = |kind: &String| {
            trail.kind == kind.as_str() || trail.kind.split_once('.').is_some_and(|(area, _)| area == kind)
        };
        self.patient.is_none_or(|patient| trail.patients.contains(&patient))
            && self.actor.is_none_or(|actor| trail.actor == Some(actor))
            && self.correlation.is_none_or(|correlation| trail.correlation == correlation)
            && self.outcome.is_none_or(|outcome| trail.outcome == outcome)
            && self.kind.as_ref().is_none_or(of_type)
    }

    /// The trail from a server, which records that it was read.
    fn through(&self, server: &str, output: &Output) -> Ended {
        if self.from.is_some() || self.to.is_some() {
            return Err(
                "--from and --to read the journal itself: leave --server out, or use --since and --until".into()
            );
        }
        let session = self.remote.log_in(server)?;
        let mut body = serde_json::Map::new();
        let mut put =
            |name: &str, value: Option<serde_json::Value>| value.map(|value| body.insert(name.to_owned(), value));
        put("patient", self.patient.map(|v| json!(v)));
        put("actor", self.actor.map(|v| json!(v)));
        put("session", self.session.map(|v| json!(v)));
        put("correlation", self.correlation.map(|v| json!(v)));
        put("type", self.kind.as_ref().map(|v| json!(v)));
        put("outcome", self.outcome.map(|v| json!(v)));
        put("since", self.since.map(|v| json!(v)));
        put("until", self.until.map(|v| json!(v)));
        put("limit", self.limit.map(|v| json!(v)));
        let mut count = 0_u64;
        for line in session.post_lines("/v1/replay", &body.into())? {
            output.line(&line?)?;
            count += 1;
        }
        Ok(if count > 0 { Answer::Yes } else { Answer::No })
    }

    /// The chart as it stood.
    fn past_chart(&self, at: AsOf, patient: PatientId, common: &Common, output: &Output) -> Ended {
        let (username, password) = self.remote.credentials()?;
        let past = place::with(common, output, async |app| {
            let asker = place::user(app, username, password).await?;
            let past = history::read(app, &asker, patient, at).await?;
            let fact = ReplayRun { filters: vec!["patient".into(), "at".into()], opened_phi: true };
            let id = EventId::new(app.new_id()?);
            app.tell(id, GovernanceEvent::from(fact).into(), &asker.meta(Outcome::Success), &asker.client, &[]).await?;
            Ok(past)
        })?;
        output.finish();
        output.note(&format!(
            "the chart as it stood after the event at position {}; this look is the event at position {}",
            past.position,
            past.receipt.position().get()
        ));
        if past.closed > 0 {
            let closed = past.closed;
            output.note(&format!(
                "{closed} values or entries are left out: the versions of the key that sealed them are disabled"
            ));
        }
        let all =
            json!({"position": past.position, "chart": past.chart, "records": past.records, "closed": past.closed});
        output.line(&if output.is_json() { all.to_string() } else { serde_json::to_string_pretty(&all)? })?;
        Ok(Answer::Yes)
    }
}

/// Lines of the chosen form.
struct Lines {
    format: Format,
    csv: Option<csv::Writer<io::StdoutLock<'static>>>,
    count: u64,
}

const COLUMNS: [&str; 11] = [
    "position",
    "recorded_at",
    "type",
    "outcome",
    "actor_kind",
    "actor",
    "role",
    "purpose",
    "patients",
    "session",
    "correlation",
];

impl Lines {
    fn new(format: Format) -> Self {
        let csv = (format == Format::Csv).then(|| csv::Writer::from_writer(io::stdout().lock()));
        Self { format, csv, count: 0 }
    }

    fn write(&mut self, trail: &TrailEntry) -> Result<(), Failure> {
        use io::Write as _;
        self.count += 1;
        if self.format == Format::Jsonl {
            let mut out = io::stdout().lock();
            serde_json::to_writer(&mut out, trail)?;
            writeln!(out)?;
            return Ok(());
        }
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let cells = [
            trail.position.to_string(),
            trail.recorded_at.to_string(),
            trail.kind.to_string(),
            word(json!(trail.outcome)),
            word(json!(trail.actor_kind)),
            trail.actor.map(|actor| actor.to_string()).unwrap_or_default(),
            trail.role.map(|role| role.name().to_owned()).unwrap_or_default(),
            trail.purpose.code().to_owned(),
            trail.patients.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            trail.session.clone().unwrap_or_default(),
            trail.correlation.to_string(),
        ];
        if let Some(csv) = &mut self.csv {
            if self.count == 1 {
                csv.write_record(COLUMNS)?;
            }
            csv.write_record(&cells)?;
            return Ok(());
        }
        // Fixed widths, so that a long replay can be printed as it is read.
        let [position, at, kind, outcome, actor_kind, actor, role, purpose, patients, ..] = cells;
        let who = if actor.is_empty() { actor_kind } else { actor };
        writeln!(
            io::stdout().lock(),
            "{position:>8}  {at:<27}  {kind:<28}  {outcome:<7}  {who:<36}  {role:<18}  {purpose:<9}  {patients}"
        )?;
        Ok(())
    }

    fn end(mut self) -> Ended {
        if let Some(csv) = &mut self.csv {
            csv.flush()?;
        }
        Ok(if self.count > 0 { Answer::Yes } else { Answer::No })
    }
}
