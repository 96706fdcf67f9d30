//! What a patient allows and forbids. When a change is answered, it holds: the next request is decided by it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::Rejection;
use wardbook_commands::consent::Command;
use wardbook_events::access::ChartOpened;
use wardbook_events::consent::Whom;
use wardbook_events::records::Sensitivity;
use wardbook_events::{GroupSet, Outcome, PatientId, Role, UserId};
use wardbook_policy::Action;

use crate::api::caller::Caller;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::Case;

/// Whom a restriction is about: a user or a role, not both.
#[derive(Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhomBody {
    /// This user.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    #[param(value_type = Option<uuid::Uuid>)]
    user: Option<UserId>,
    /// Everybody in this role.
    #[serde(default)]
    #[schema(value_type = Option<schema::Role>)]
    #[param(value_type = Option<schema::Role>)]
    role: Option<Role>,
}

impl WhomBody {
    fn whom(&self) -> Result<Whom, Problem> {
        match (self.user, self.role) {
            (Some(user), None) => Ok(Whom::User(user)),
            (None, Some(role)) => Ok(Whom::Role(role)),
            _ => Err(Problem::new(Kind::Invalid, "name a user or a role, and not both")),
        }
    }
}

/// Which protected entries may be shown, and to whom.
#[derive(Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DisclosureBody {
    /// `SUD`: substance use, to all who treat. `PSYTHPN`: psychotherapy notes, to one person.
    #[schema(value_type = schema::Sensitivity)]
    #[param(value_type = schema::Sensitivity)]
    label: Sensitivity,
    /// To whom; needed for psychotherapy notes, and only for them.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    #[param(value_type = Option<uuid::Uuid>)]
    to: Option<UserId>,
}

/// For how long somebody represents the patient.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyBody {
    /// When it ends by itself (RFC 3339), such as at the age of majority.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    until: Option<Timestamp>,
}

/// Somebody who sees nothing.
#[derive(Serialize, ToSchema)]
pub struct RestrictionAnswer {
    /// In whose chart it was said: after a merge this may be another one than was asked for.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[schema(value_type = Option<schema::Role>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[schema(value_type = String)]
    since: Timestamp,
}

/// What was said last about protected entries.
#[derive(Serialize, ToSchema)]
pub struct DisclosureAnswer {
    /// In whose chart it was said.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = schema::Sensitivity)]
    label: Sensitivity,
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<UserId>,
    /// False if it was agreed to once and taken back.
    agreed: bool,
    #[schema(value_type = String)]
    since: Timestamp,
}

/// Somebody who represents the patient.
#[derive(Serialize, ToSchema)]
pub struct ProxyAnswer {
    /// In whose chart it was said.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = String)]
    since: Timestamp,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// What a patient allows and forbids. Where charts were merged, everything said in any of them, and the stricter counts.
#[derive(Serialize, ToSchema)]
pub struct ConsentsAnswer {
    restrictions: Vec<RestrictionAnswer>,
    disclosures: Vec<DisclosureAnswer>,
    proxies: Vec<ProxyAnswer>,
}

/// What a patient allows and forbids.
#[utoipa::path(tag = "consent", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "everything that holds, or was taken back", body = ConsentsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/consents")]
pub async fn list_consents(caller: Caller, patient: web::Path<PatientId>) -> Result<HttpResponse, Problem> {
    let case = Case::to_read(&caller.app, &caller.asker, *patient)?;
    let permit = case.act(Action::ManageConsent).await?;
    // It says that somebody is a patient, and of what kind the protected entries are: a look like any other.
    let fact = ChartOpened { patient: case.id(), groups: GroupSet::EMPTY, grounds: permit.grounds(), as_of: None };
    let receipt = case.tell(fact, Outcome::Success, case.family()).await?;
    let mut all = ConsentsAnswer { restrictions: Vec::new(), disclosures: Vec::new(), proxies: Vec::new() };
    for patient in case.family().iter().copied() {
        let said = caller.app.views().consent.get(patient)?;
        all.restrictions.extend(said.restrictions.into_iter().map(|one| {
            let (user, role) = match one.whom {
                Whom::User(user) => (Some(user), None),
                Whom::Role(role) => (None, Some(role)),
            };
            RestrictionAnswer { patient, user, role, since: one.since }
        }));
        all.disclosures.extend(said.disclosures.into_iter().map(|one| DisclosureAnswer {
            patient,
            label: one.label,
            to: one.to,
            agreed: one.agreed,
            since: one.since,
        }));
        let live = said.proxies.into_iter().filter(|(_, proxy)| proxy.until.is_none_or(|until| case.ask.now < until));
        all.proxies.extend(live.map(|(user, proxy)| ProxyAnswer {
            patient,
            user,
            since: proxy.since,
            until: proxy.until,
        }));
    }
    answer::receipted(StatusCode::OK, &all, &receipt)
}

async fn state(caller: &Caller, patient: PatientId, command: Command) -> Result<HttpResponse, Problem> {
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let permit = case.act(Action::ManageConsent).await?;
    let concerned = match command {
        Command::Restrict(Whom::User(user)) => Some((user, Rejection::OwnRestriction)),
        Command::GrantProxy { user, .. } => Some((user, Rejection::OwnProxy)),
        _ => None,
    };
    // Whose chart it is never changes, so the view cannot be behind in a way that matters.
    if let Some((user, refusal)) = concerned {
        let own = caller.app.views().principal(user)?.and_then(|known| known.principal.patient);
        if own.is_some_and(|own| case.family().contains(&own)) {
            return Err(refusal.into());
        }
    }
    let done = caller.app.commands().state_consent(&permit, &caller.origin()?, patient, command).await?;
    seen(caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Lets a user or everybody in a role see nothing of the patient (45 CFR 164.522(a)).
#[utoipa::path(tag = "consent", security(("bearer" = [])), request_body = WhomBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 204, description = "it holds"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "too many, or the idempotency key was used before", body = ProblemBody),
    (status = 422, description = "neither or both named, or oneself", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/restrictions")]
pub async fn restrict_access(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<WhomBody>,
) -> Result<HttpResponse, Problem> {
    state(&caller, *patient, Command::Restrict(body.whom()?)).await
}

/// Takes a restriction back; nothing happens if there is none.
#[utoipa::path(tag = "consent", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), WhomBody), responses(
    (status = 204, description = "there is none"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "the idempotency key was used before", body = ProblemBody),
    (status = 422, description = "neither or both named", body = ProblemBody),
))]
#[delete("/v1/patients/{patient}/restrictions")]
pub async fn lift_restriction(
    caller: Caller,
    patient: web::Path<PatientId>,
    query: web::Query<WhomBody>,
) -> Result<HttpResponse, Problem> {
    state(&caller, *patient, Command::Lift(query.whom()?)).await
}

/// States that the patient agrees to show entries of a protected kind (42 CFR 2.31, 45 CFR 164.508(a)(2)).
#[utoipa::path(tag = "consent", security(("bearer" = [])), request_body = DisclosureBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 204, description = "it holds"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "too many, or the idempotency key was used before", body = ProblemBody),
    (status = 422, description = "no such active user, or label and user do not fit", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/disclosures")]
pub async fn permit_disclosure(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<DisclosureBody>,
) -> Result<HttpResponse, Problem> {
    state(&caller, *patient, Command::Disclose(body.label, body.to)).await
}

/// Takes such an agreement back; nothing happens if there is none.
#[utoipa::path(tag = "consent", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), DisclosureBody), responses(
    (status = 204, description = "it holds no longer"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "the idempotency key was used before", body = ProblemBody),
))]
#[delete("/v1/patients/{patient}/disclosures")]
pub async fn withdraw_disclosure(
    caller: Caller,
    patient: web::Path<PatientId>,
    query: web::Query<DisclosureBody>,
) -> Result<HttpResponse, Problem> {
    state(&caller, *patient, Command::Withdraw(query.label, query.to)).await
}

/// Lets somebody represent the patient, or changes for how long (45 CFR 164.502(g)).
#[utoipa::path(tag = "consent", security(("bearer" = [])), request_body = ProxyBody, params(("patient" = uuid::Uuid, Path), ("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "it holds"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "too many, or the idempotency key was used before", body = ProblemBody),
    (status = 422, description = "no such active user, oneself, or an end in the past", body = ProblemBody),
))]
#[put("/v1/patients/{patient}/proxies/{user}")]
pub async fn grant_proxy(
    caller: Caller,
    path: web::Path<(PatientId, UserId)>,
    body: web::Json<ProxyBody>,
) -> Result<HttpResponse, Problem> {
    state(&caller, path.0, Command::GrantProxy { user: path.1, until: body.until }).await
}

/// Lets somebody represent the patient no longer; nothing happens if nobody like this does.
#[utoipa::path(tag = "consent", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "it holds no longer"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "the idempotency key was used before", body = ProblemBody),
))]
#[delete("/v1/patients/{patient}/proxies/{user}")]
pub async fn end_proxy(caller: Caller, path: web::Path<(PatientId, UserId)>) -> Result<HttpResponse, Problem> {
    state(&caller, path.0, Command::EndProxy(path.1)).await
}
