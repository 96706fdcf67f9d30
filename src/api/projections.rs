//! The read models: how they stand, and building them anew while they answer.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_policy::Action;
use wardbook_projections::ViewName;

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::disclosure::allow_server;
use crate::rebuild::Stage;

/// How one view stands.
#[derive(Serialize, ToSchema)]
pub struct ViewAnswer {
    /// Its name.
    name: &'static str,
    /// Version of its code.
    code_version: u32,
    /// Events taken in.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// State root, hex: the same events give the same root.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    /// Why it does not answer, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    ailing: Option<String>,
    /// The last rebuild since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<Stage>,
}

/// How all views stand.
#[derive(Serialize, ToSchema)]
pub struct ViewsAnswer {
    /// Durable events of the ledger.
    log_size: u64,
    views: Vec<ViewAnswer>,
}

/// How the views stand.
#[utoipa::path(tag = "projections", security(("bearer" = [])), responses(
    (status = 200, description = "positions, roots and rebuilds", body = ViewsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/projections")]
pub async fn list_projections(caller: Caller) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    allow_server(app, &caller.asker, Action::ManageProjections).await?;
    let log_size = app.ledger().head().durable;
    let views = app.views().standings().into_iter().map(|(view, standing)| {
        let (standing, ailing) = match standing {
            Ok(standing) => (Some(standing), None),
            Err(error) => (None, Some(error.to_string())),
        };
        ViewAnswer {
            name: view.name(),
            code_version: view.code_version(),
            position: standing.map(|standing| standing.position),
            rows: standing.map(|standing| standing.rows),
            root: standing.map(|standing| standing.root.to_string()),
            ailing,
            rebuild: app.follower().rebuilds().stage(view),
        }
    });
    answer::json(StatusCode::OK, &ViewsAnswer { log_size, views: views.collect() })
}

/// Builds a view anew beside the live one. `GET /v1/projections` tells how far it is; reads go on meanwhile.
#[utoipa::path(tag = "projections", security(("bearer" = [])), params(("name" = String, Path, description = "such as `patients`")), responses(
    (status = 202, description = "it has begun"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such view", body = ProblemBody),
    (status = 409, description = "it is being rebuilt already", body = ProblemBody),
))]
#[post("/v1/projections/{name}/rebuild")]
pub async fn rebuild_projection(caller: Caller, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    allow_server(app, &caller.asker, Action::ManageProjections).await?;
    let view = ViewName::ALL.iter().copied().find(|view| view.name() == name.as_str());
    let view =
        view.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such view: GET /v1/projections lists them"))?;
    match app.follower().start_rebuild(view, true) {
        Ok(true) => Ok(answer::empty(StatusCode::ACCEPTED, None)),
        Ok(false) => Err(Problem::new(
            Kind::Conflict,
            "this view is being rebuilt already: GET /v1/projections tells how far it is",
        )),
        Err(error) => Err(Problem::internal("a rebuild could not be started", &error)),
    }
}
