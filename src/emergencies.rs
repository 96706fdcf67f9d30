//! Emergencies as their owners and reviewers see them, and the report of a month.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_commands::break_glass::{DETAIL_PURPOSE, NOTE_PURPOSE};
use wardbook_events::access::AuditRead;
use wardbook_events::break_glass::{EmergencyReason, ReviewOutcome, stream};
use wardbook_events::{Ciphertext, EmergencyId, Outcome, PatientId, Role, UserId};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit, Target};
use wardbook_projections::ViewError;
use wardbook_projections::break_glass::{Emergency, Touched};

use crate::api::caller::Caller;
use crate::api::problem::Problem;
use crate::api::schema;
use crate::app::App;
use crate::disclosure::allow;

mod report;

pub use report::{MonthAnswer, report};

/// Things that were opened in one emergency, listed at most.
const TOUCHED_MAX: usize = 1_000;

/// How far the review of an emergency has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewState {
    /// Nobody has judged it yet.
    Pending,
    /// Nobody has judged it, and somebody should have by now.
    Overdue,
    /// It is being looked into.
    UnderInvestigation,
    /// It was judged.
    Reviewed,
}

impl ReviewState {
    /// At this instant.
    #[must_use]
    pub fn of(emergency: &Emergency, now: Timestamp) -> Self {
        match &emergency.review {
            Some(review) if review.outcome == ReviewOutcome::UnderInvestigation => Self::UnderInvestigation,
            Some(_) => Self::Reviewed,
            None if emergency.is_overdue(now) => Self::Overdue,
            None => Self::Pending,
        }
    }
}

/// An emergency (ACC-17).
#[derive(Serialize, ToSchema)]
pub struct EmergencyAnswer {
    #[schema(value_type = uuid::Uuid)]
    emergency: EmergencyId,
    /// If the patient asked for was merged, the one who goes on.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = Option<schema::Role>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[schema(value_type = schema::EmergencyReason)]
    reason: EmergencyReason,
    /// Why, in words; for who reviews.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// Network address; for who reviews.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Device or user agent; for who reviews.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[schema(value_type = String)]
    started_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String)]
    expires_at: Timestamp,
    /// When its owner ended it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    extended: bool,
    /// Whether the chart can be read now.
    live: bool,
    /// When somebody must have judged it.
    #[schema(value_type = String)]
    review_due_at: Timestamp,
    #[schema(inline)]
    state: ReviewState,
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<EmergencyReviewAnswer>,
    /// What was opened in it: `patient:ID` for master data, `record:ID` for an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    touched: Option<Vec<String>>,
}

/// A judgement.
#[derive(Serialize, ToSchema)]
pub struct EmergencyReviewAnswer {
    #[schema(value_type = uuid::Uuid)]
    by: UserId,
    #[schema(value_type = String)]
    at: Timestamp,
    #[schema(value_type = schema::ReviewOutcome)]
    outcome: ReviewOutcome,
    /// In words; for who reviews.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl EmergencyAnswer {
    /// Without what is sealed, and without where it came from.
    #[must_use]
    pub fn of(known: &Emergency, now: Timestamp) -> Self {
        Self {
            emergency: known.emergency,
            patient: known.patient,
            user: known.user,
            role: known.role,
            reason: known.reason,
            detail: None,
            location: known.location.clone(),
            address: None,
            device: None,
            started_at: known.started_at,
            expires_at: known.expires_at,
            ended_at: known.ended_at,
            extended: known.extended,
            live: known.is_live(now),
            review_due_at: known.review_due_at,
            state: ReviewState::of(known, now),
            review: known.review.as_ref().map(|review| EmergencyReviewAnswer {
                by: review.by,
                at: review.at,
                outcome: review.outcome,
                note: None,
            }),
            touched: None,
        }
    }

    /// With what was opened.
    #[must_use]
    pub fn with_touched(self, touched: Vec<String>) -> Self {
        Self { touched: Some(touched), ..self }
    }
}

/// What was opened in an emergency, as `type:id`.
///
/// # Errors
/// If the view cannot be read.
pub fn touched(app: &App, emergency: EmergencyId) -> Result<Vec<String>, ViewError> {
    let touched = app.views().break_glass.touched(emergency, TOUCHED_MAX)?;
    let name = |one| match one {
        Touched::Patient(patient) => format!("patient:{patient}"),
        Touched::Record(record) => format!("record:{record}"),
    };
    Ok(touched.into_iter().map(name).collect())
}

/// An emergency with everything that who reviews it should know. That it is read must be durable by then.
///
/// # Errors
/// If the view cannot be read, or something sealed not opened.
pub fn for_review(app: &App, known: &Emergency, now: Timestamp) -> Result<EmergencyAnswer, Problem> {
    let stream = stream(known.patient);
    let open = |purpose: &str, sealed: Option<&Ciphertext>| -> Result<Option<String>, Problem> {
        let Some(sealed) = sealed else { return Ok(None) };
        let opened = app.keys().open_secret(known.tenant, &stream, purpose, sealed);
        let opened = opened.map_err(|error| Problem::internal("words of an emergency could not be opened", &error))?;
        Ok(Some(String::from_utf8_lossy(&opened).into_owned()))
    };
    let mut answer = EmergencyAnswer::of(known, now).with_touched(touched(app, known.emergency)?);
    answer.detail = open(DETAIL_PURPOSE, known.detail.as_ref())?;
    (answer.address, answer.device) = (known.address.clone(), known.device.clone());
    if let (Some(shown), Some(review)) = (&mut answer.review, &known.review) {
        shown.note = open(NOTE_PURPOSE, review.note.as_ref())?;
    }
    Ok(answer)
}

/// Whether the caller reviews emergencies; that others' are about to be read is durable on return.
///
/// # Errors
/// If not, or it could not be written down.
pub async fn tell_review(
    caller: &Caller,
    what: &str,
    patient: Option<PatientId>,
    limit: usize,
) -> Result<(Permit, Receipt), Problem> {
    let (app, asker) = (&caller.app, &caller.asker);
    let (permit, ask) = allow(app, asker, Action::ReviewEmergencies, Target::Tenant).await?;
    let fact = AuditRead {
        patient,
        filters: vec![what.to_owned()],
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        grounds: permit.grounds(),
    };
    let receipt = app.tell(ask.event, fact.into(), &asker.meta(Outcome::Success), &asker.client, &[]).await?;
    Ok((permit, receipt))
}

/// A calendar month in UTC, with the quarter it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    quarter_start: Timestamp,
    start: Timestamp,
    end: Timestamp,
}

impl Month {
    /// Parses `2026-03`; `None` if it is nothing of the kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        if year.len() != 4 || month.len() != 2 || !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return None;
        }
        let (year, month): (i16, i8) = (year.parse().ok()?, month.parse().ok()?);
        let first = |year, month| {
            let date = Date::new(year, month, 1).ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        let next = if month == 12 { (year.checked_add(1)?, 1) } else { (year, month + 1) };
        Some(Self {
            quarter_start: first(year, month - (month - 1).rem_euclid(3))?,
            start: first(year, month)?,
            end: first(next.0, next.1)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_in_quarters() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let month = Month::parse("2026-03").unwrap();
        assert_eq!((month.start, month.end), (at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z")));
        assert_eq!(month.quarter_start, at("2026-01-01T00:00:00Z"));
        let month = Month::parse("2025-12").unwrap();
        assert_eq!((month.quarter_start, month.end), (at("2025-10-01T00:00:00Z"), at("2026-01-01T00:00:00Z")));
        for wrong in
            ["", "2026", "2026-13", "2026-00", "2026-3", "26-03", "2026-03-01", "2026-+3", "-026-03", "٢٠٢٦-٠٣"]
        {
            assert_eq!(Month::parse(wrong), None, "{wrong}");
        }
    }
}
