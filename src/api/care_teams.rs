//! Who treats a patient.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_events::access::ChartOpened;
use wardbook_events::care_teams::Function;
use wardbook_events::{GroupSet, Outcome, PatientId, UserId};
use wardbook_policy::{Action, Target};

use crate::api::caller::Caller;
use crate::api::patients::seen;
use crate::api::problem::{Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::Case;
use crate::panels::{Place, assign};

/// A place on the care team.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignBody {
    #[schema(value_type = schema::Function)]
    function: Function,
    /// When it ends by itself (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    until: Option<Timestamp>,
}

/// A member.
#[derive(Serialize, ToSchema)]
pub struct MemberAnswer {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = schema::Function)]
    function: Function,
    #[schema(value_type = String)]
    since: Timestamp,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// The members.
#[derive(Serialize, ToSchema)]
pub struct TeamAnswer {
    members: Vec<MemberAnswer>,
}

/// Lists the care team.
#[utoipa::path(tag = "care-teams", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the members", body = TeamAnswer),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/care-team")]
pub async fn list_care_team(caller: Caller, patient: web::Path<PatientId>) -> Result<HttpResponse, Problem> {
    let case = Case::to_read(&caller.app, &caller.asker, *patient)?;
    // Who treats somebody says that the person is a patient: told to those who may see the chart.
    let permit = case.read(GroupSet::all(), Action::ReadChart).await?;
    let fact = ChartOpened { patient: case.id(), groups: GroupSet::EMPTY, grounds: permit.grounds(), as_of: None };
    let receipt = case.tell(fact, Outcome::Success, &[]).await?;
    let mut members = Vec::new();
    for patient in case.family() {
        for (user, member) in caller.app.views().care_teams.get(*patient)?.members {
            if member.until.is_none_or(|until| case.ask.now < until) {
                members.push(MemberAnswer {
                    user,
                    function: member.function,
                    since: member.since,
                    until: member.until,
                });
            }
        }
    }
    answer::receipted(StatusCode::OK, &TeamAnswer { members }, &receipt)
}

/// Puts a user on the care team, or changes what a member does. When it answers, it holds.
#[utoipa::path(tag = "care-teams", security(("bearer" = [])), request_body = AssignBody,
    params(("patient" = uuid::Uuid, Path), ("user" = uuid::Uuid, Path)),
    responses(
        (status = 204, description = "on the care team"),
        (status = 403, description = "your roles do not allow this", body = ProblemBody),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
        (status = 409, description = "the patient was merged, or the user has as many patients as the role may have", body = ProblemBody),
        (status = 422, description = "no such active user, or the end is in the past", body = ProblemBody),
    ))]
#[put("/v1/patients/{patient}/care-team/{user}")]
pub async fn assign_member(
    caller: Caller,
    path: web::Path<(PatientId, UserId)>,
    body: web::Json<AssignBody>,
) -> Result<HttpResponse, Problem> {
    let (patient, user) = *path;
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let permit = case.act_on(Action::AssignMember, Target::Member(case.facts(), user)).await?;
    let place = Place { patient, user, function: body.function, until: body.until };
    let done = assign(&caller.app, &permit, &caller.origin()?, place).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Takes a user off the care team. When it answers, it holds.
#[utoipa::path(tag = "care-teams", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "off the care team"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "not on the care team", body = ProblemBody),
))]
#[delete("/v1/patients/{patient}/care-team/{user}")]
pub async fn end_member(caller: Caller, path: web::Path<(PatientId, UserId)>) -> Result<HttpResponse, Problem> {
    let (patient, user) = *path;
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let permit = case.act_on(Action::EndMember, Target::Member(case.facts(), user)).await?;
    let done = caller.app.commands().end_member(&permit, &caller.origin()?, patient, user).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
