//! Where patients are treated, and where and when users work: what binds a role to facilities, units and hours (ACC-03).

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, put, web};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use wardbook_commands::patients::Places;
use wardbook_events::identity::Hours;
use wardbook_events::{PatientId, UserId};
use wardbook_policy::{Action, Permit, Target};

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::patients::seen;
use crate::api::problem::{Problem, ProblemBody};
use crate::disclosure::{Case, allow};

/// Departments and facilities, all of them: names of 1 to 64 characters of `[a-z0-9-]`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacesBody {
    #[serde(default)]
    departments: BTreeSet<String>,
    #[serde(default)]
    facilities: BTreeSet<String>,
}

/// A time of the week, by the organisation's clock.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftBody {
    /// 1 Monday to 7 Sunday.
    weekday: u8,
    /// First minute of the day, 0 to 1439.
    from: u16,
    /// First minute that is no longer in it, up to 1440.
    to: u16,
}

/// When a user is on shift.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursBody {
    /// All of them; none means whenever the organisation works.
    #[serde(default)]
    shifts: Vec<ShiftBody>,
    /// On call, whatever the hour, until then (RFC 3339).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    on_call_until: Option<Timestamp>,
}

/// From where a user may log in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworksBody {
    /// All of them, such as `10.1.0.0/16`; none means anywhere.
    networks: Vec<String>,
}

/// Says where a patient is treated. With facilities named, only those who work in one of them see the chart. When it
/// answers, it holds.
#[utoipa::path(tag = "patients", security(("bearer" = [])), request_body = PlacesBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 204, description = "so from now on"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "the patient was merged", body = ProblemBody),
    (status = 422, description = "not a name of a place", body = ProblemBody),
))]
#[put("/v1/patients/{patient}/places")]
pub async fn place_patient(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<PlacesBody>,
) -> Result<HttpResponse, Problem> {
    let PlacesBody { departments, facilities } = body.into_inner();
    let case = Case::exactly(&caller.app, &caller.asker, *patient)?;
    let permit = case.act(Action::PlacePatient).await?;
    let places = Places { departments, facilities };
    let done = caller.app.commands().place_patient(&permit, &caller.origin()?, *patient, places).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

async fn manage(caller: &Caller, user: UserId) -> Result<Permit, Problem> {
    Ok(allow(&caller.app, &caller.asker, Action::ManageUsers, Target::User(user)).await?.0)
}

/// Says where a user works. With facilities named, the user sees no chart of a patient who is treated elsewhere; nurses and
/// medical assistants are bound to their departments besides. When it answers, it holds.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = PlacesBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "so from now on"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 422, description = "not a name of a place", body = ProblemBody),
))]
#[put("/v1/users/{user}/places")]
pub async fn set_places(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<PlacesBody>,
) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, *user).await?;
    let PlacesBody { departments, facilities } = body.into_inner();
    let (departments, facilities) = (departments.into_iter().collect(), facilities.into_iter().collect());
    let done = caller.app.commands().set_places(&permit, &caller.origin()?, *user, departments, facilities).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Says when a user is on shift. Roles that are bound to working hours are bound to these. When it answers, it holds.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = HoursBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "so from now on"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 422, description = "not times of a week", body = ProblemBody),
))]
#[put("/v1/users/{user}/hours")]
pub async fn set_hours(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<HoursBody>,
) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, *user).await?;
    let HoursBody { shifts, on_call_until } = body.into_inner();
    let shifts = shifts.into_iter().map(|ShiftBody { weekday, from, to }| Hours { weekday, from, to }).collect();
    let done = caller.app.commands().set_hours(&permit, &caller.origin()?, *user, shifts, on_call_until).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Says from where a user may log in (IAM-19). Sessions that live go on. When it answers, it holds.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = NetworksBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "so from now on"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 422, description = "not networks", body = ProblemBody),
))]
#[put("/v1/users/{user}/networks")]
pub async fn set_networks(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<NetworksBody>,
) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, *user).await?;
    let networks = body.into_inner().networks;
    let done = caller.app.commands().set_networks(&permit, &caller.origin()?, *user, networks).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
