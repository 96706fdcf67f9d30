//! Alerts, for those who answer for security and privacy.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_events::access::AuditRead;
use wardbook_events::alerts::{AlertKind, Channel, Severity};
use wardbook_events::{AlertId, EventId, Outcome, PatientId, UserId};
use wardbook_policy::{Action, Target};
use wardbook_projections::alerts::{Alert, AlertFilter};

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::allow;

/// Whether somebody has taken note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// Nobody has.
    Open,
    /// Somebody has.
    Acknowledged,
}

/// Which alerts. Everything that is given must apply.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// Whether somebody has taken note.
    #[serde(default)]
    #[param(inline)]
    state: Option<AlertState>,
    /// Of this kind.
    #[serde(default)]
    #[param(value_type = Option<schema::AlertKind>, inline)]
    kind: Option<AlertKind>,
    /// Raised at this instant or later (RFC 3339).
    #[serde(default)]
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    /// How many at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// An alert.
#[derive(Serialize, ToSchema)]
pub struct AlertAnswer {
    #[schema(value_type = uuid::Uuid)]
    alert: AlertId,
    #[schema(value_type = schema::AlertKind)]
    kind: AlertKind,
    #[schema(value_type = schema::Severity)]
    severity: Severity,
    /// The event that caused it.
    #[schema(value_type = uuid::Uuid)]
    cause: EventId,
    /// Who did it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// Whom it concerns.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<PatientId>,
    #[schema(value_type = String)]
    raised_at: Timestamp,
    /// The channels that it reached.
    #[schema(value_type = Vec<schema::Channel>)]
    delivered: Vec<Channel>,
    /// Who has taken note.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_by: Option<UserId>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_at: Option<Timestamp>,
}

impl From<Alert> for AlertAnswer {
    fn from(alert: Alert) -> Self {
        Self {
            alert: alert.alert,
            kind: alert.kind,
            severity: alert.severity,
            cause: alert.cause,
            user: alert.user,
            patient: alert.patient,
            raised_at: alert.raised_at,
            delivered: alert.delivered.into_iter().collect(),
            acknowledged_by: alert.acknowledged.map(|(by, _)| by),
            acknowledged_at: alert.acknowledged.map(|(_, at)| at),
        }
    }
}

/// One page of alerts, newest first.
#[derive(Serialize, ToSchema)]
pub struct AlertsAnswer {
    alerts: Vec<AlertAnswer>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Lists the organisation's alerts. They say who looked at whom, so that they were read is an event too.
#[utoipa::path(tag = "alerts", security(("bearer" = [])), params(AlertsQuery), responses(
    (status = 200, description = "a page of alerts", body = AlertsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/alerts")]
pub async fn list_alerts(caller: Caller, query: web::Query<AlertsQuery>) -> Result<HttpResponse, Problem> {
    let AlertsQuery { state, kind, since, cursor, limit: wanted } = query.into_inner();
    let limit = limit(caller.app.config(), wanted)?;
    let (permit, ask) = allow(&caller.app, &caller.asker, Action::ReadAlerts, Target::Tenant).await?;
    let filters = [("state", state.is_some()), ("kind", kind.is_some()), ("since", since.is_some())];
    let used = filters.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned());
    let fact = AuditRead {
        patient: None,
        filters: std::iter::once("alerts".to_owned()).chain(used).collect(),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        grounds: permit.grounds(),
    };
    let meta = caller.asker.meta(Outcome::Success);
    let receipt = caller.app.tell(ask.event, fact.into(), &meta, &caller.asker.client, &[]).await?;
    let filter = AlertFilter { acknowledged: state.map(|state| state == AlertState::Acknowledged), kind, since };
    let page = caller.app.views().alerts.list(permit.tenant(), &filter, cursor, limit)?;
    let alerts = page.items.into_iter().map(AlertAnswer::from).collect();
    answer::receipted(StatusCode::OK, &AlertsAnswer { alerts, next: page.next }, &receipt)
}

/// Takes note of an alert. Once is enough, whoever does.
#[utoipa::path(tag = "alerts", security(("bearer" = [])), params(("alert" = uuid::Uuid, Path)), responses(
    (status = 204, description = "noted"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such alert", body = ProblemBody),
))]
#[post("/v1/alerts/{alert}/acknowledge")]
pub async fn acknowledge_alert(caller: Caller, alert: web::Path<AlertId>) -> Result<HttpResponse, Problem> {
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ReadAlerts, Target::Tenant).await?;
    let known = caller.app.views().alerts.get(*alert)?.filter(|known| known.tenant == permit.tenant());
    let known = known.ok_or_else(Problem::not_found)?;
    let done = caller.app.commands().acknowledge_alert(&permit, &caller.origin()?, known.alert).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
