//! The forensic view: every event that matches, oldest page last, streamed as lines of JSON.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, post, web};
use wardbook_events::Outcome;
use wardbook_events::governance::{GovernanceEvent, ReplayRun};
use wardbook_policy::Action;
use wardbook_projections::audit::AuditFilter;

use crate::api::answer;
use crate::api::audit::TrailQuery;
use crate::api::caller::Caller;
use crate::api::problem::{Problem, ProblemBody};
use crate::app::App;
use crate::audit::{may_read, page_blocking};

/// Replays the trail: all events that match, newest first, without what is sealed. That it was run is an event, durable
/// before the first line. `cursor` begins below a position; `limit` ends after so many events.
#[utoipa::path(tag = "replay", security(("bearer" = [])), request_body = TrailQuery, responses(
    (status = 200, description = "one event a line", body = crate::trail::TrailEntry, content_type = "application/x-ndjson"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[post("/v1/replay")]
pub async fn replay_trail(caller: Caller, body: web::Json<TrailQuery>) -> Result<HttpResponse, Problem> {
    let (asked, before, limit) = body.into_inner().split();
    asked.check()?;
    let app = &caller.app;
    let (_, event) = may_read(app, &caller.asker, Action::Replay, asked.patient).await?;
    let fact = GovernanceEvent::from(ReplayRun { filters: asked.names(), opened_phi: false });
    let receipt = app.tell(event, fact.into(), &caller.asker.meta(Outcome::Success), &caller.asker.client, &[]).await?;
    let filter = asked.filter(app, &caller.asker)?;
    let left = limit.map_or(u64::MAX, u64::from);
    // The head of the log at this moment: what comes later is not part of this replay.
    let before = before.unwrap_or_else(|| receipt.position().get());
    let lines = Lines { app: app.clone(), filter, left, before: Some(before), page: None };
    let mut response = HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/x-ndjson")).body(lines);
    answer::add_receipt(response.headers_mut(), &receipt);
    Ok(response)
}

/// Events read at once.
const PAGE: u64 = 500;

type Page = Result<(Bytes, u64, Option<u64>), Problem>;

/// A body that reads the next page when the last one was sent: memory stays flat however long the replay is.
struct Lines {
    app: App,
    filter: AuditFilter,
    left: u64,
    before: Option<u64>,
    page: Option<tokio::task::JoinHandle<Page>>,
}

impl MessageBody for Lines {
    type Error = actix_web::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(page) = &mut this.page {
                let read = std::task::ready!(Pin::new(page).poll(context));
                this.page = None;
                let (bytes, count, next) = match read.map_err(|e| Problem::internal("a blocking task was lost", &e)) {
                    Ok(Ok(page)) => page,
                    Ok(Err(problem)) | Err(problem) => return Poll::Ready(Some(Err(problem.into()))),
                };
                this.left = this.left.saturating_sub(count);
                this.before = next;
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(bytes)));
                }
            }
            let Some(before) = this.before.filter(|_| this.left > 0) else { return Poll::Ready(None) };
            let (app, filter, wanted) = (this.app.clone(), this.filter.clone(), this.left.min(PAGE));
            this.page = Some(tokio::task::spawn_blocking(move || read(&app, &filter, before, wanted)));
        }
    }
}

fn read(app: &App, filter: &AuditFilter, before: u64, wanted: u64) -> Page {
    let limit = usize::try_from(wanted).unwrap_or(usize::MAX);
    let (entries, next) = page_blocking(app, filter, Some(before), limit)?;
    let mut lines = Vec::with_capacity(entries.len() * 512);
    for entry in &entries {
        serde_json::to_writer(&mut lines, entry).map_err(|e| Problem::internal("an event has no JSON form", &e))?;
        lines.push(b'\n');
    }
    Ok((lines.into(), entries.len() as u64, next))
}
