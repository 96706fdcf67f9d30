//! What every request and every answer has in common: ids, limits of rate and time, security headers, one line in the log.
//!
//! The log line has the route's pattern, never the path or the query as sent; ids in it are pseudonymous, names are not.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError, web};
use uuid::Uuid;
use wardbook_events::{Client, CorrelationId};

use crate::api::openapi;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use crate::limits::{Class, Standing, TooMany};
use crate::stages::Stages;
use crate::telemetry;

/// Name of the header that identifies one request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Name of the header that ties requests of one task together.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// What every answer has, over TLS or not (ENC-19). The filter of old browsers is turned off: it opened holes of its own.
pub const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_XSS_PROTECTION, "0"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Two years, as lists that browsers ship with ask for (RFC 6797).
const HSTS: &str = "max-age=63072000; includeSubDomains; preload";

/// What is known of a request before anything of it was read.
#[derive(Debug)]
pub struct RequestContext {
    /// This request.
    pub request: Uuid,
    /// The task that it belongs to: the client's id, or this request's.
    pub correlation: CorrelationId,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// User agent, printable ASCII, at most 200 characters.
    pub agent: Option<String>,
    /// Where the time went.
    pub stages: Stages,
    /// How much the one who asks may still ask for.
    standing: Cell<Option<Standing>>,
}

impl RequestContext {
    /// Keeps the outcome of a limit, for the answer's headers.
    ///
    /// # Errors
    /// 429 if the limit is reached.
    pub fn pass(&self, outcome: Result<Option<Standing>, TooMany>) -> Result<(), Problem> {
        let standing = outcome.as_ref().map_or_else(|TooMany(standing)| Some(*standing), |standing| *standing);
        self.standing.set(standing.or(self.standing.get()));
        Ok(outcome.map(drop)?)
    }

    /// The `client` section of this request's events.
    #[must_use]
    pub fn client(&self) -> Client {
        Client {
            session: None,
            address: self.address.map(|address| address.to_string()),
            agent: self.agent.clone(),
            device: None,
        }
    }
}

/// The outermost layer.
///
/// # Errors
/// If the request took longer than `server.request_timeout_ms`.
pub async fn edge(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR).into());
    };
    let_go_of_the_buffer(request.headers_mut());
    let context = Rc::new(context(&app, &request)?);
    let method = request.method().clone();
    request.extensions_mut().insert(Rc::clone(&context));

    // The path as the router reads it: no spelling of it gets around the limit of its class.
    let class = Class::of(method.is_safe(), request.match_info().as_str());
    if let Err(problem) = context.pass(app.limits().of_address(context.address, class)) {
        return Ok(finish(request.into_response(problem.error_response()), &app, &context, &method, began));
    }
    let limit = Duration::from_millis(app.config().server.request_timeout_ms);
    let Ok(answer) = tokio::time::timeout(limit, next.call(request)).await else {
        tracing::warn!(request = %context.request, %method, millis = began.elapsed().as_millis(), "timed out");
        let problem = Problem::new(
            Kind::Timeout,
            "nothing was disclosed; whether a change was made is not known: send it again with the same Idempotency-Key",
        );
        telemetry::answered(&method, None, problem.status_code().as_u16(), began.elapsed());
        return Err(Late { problem, context, app }.into());
    };
    Ok(finish(as_problem(answer?.map_into_boxed_body()), &app, &context, &method, began))
}

/// The values of headers are windows into the buffer that the connection was read into, and the HTTP library keeps the heads of
/// requests for those to come: with them, bodies that went through the same buffer would stay in memory for as long as it likes.
fn let_go_of_the_buffer(headers: &mut HeaderMap) {
    headers.retain(|_, value| {
        let copy = HeaderValue::from_bytes(value.as_bytes());
        copy.map(|copy| *value = copy).is_ok()
    });
}

fn finish(
    mut answer: ServiceResponse<BoxBody>,
    app: &App,
    context: &RequestContext,
    method: &Method,
    began: Instant,
) -> ServiceResponse<BoxBody> {
    let route = answer.request().match_pattern();
    dress(answer.headers_mut(), app, context);
    if app.erasing().is_recent(Duration::from_secs(app.config().server.keep_alive_s)) {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    telemetry::answered(method, route.as_deref(), answer.status().as_u16(), began.elapsed());
    tracing::info!(
        request = %context.request,
        correlation = %context.correlation,
        %method,
        route = route.as_deref().unwrap_or("-"),
        status = answer.status().as_u16(),
        micros = began.elapsed().as_micros(),
        "request"
    );
    answer
}

fn context(app: &App, request: &ServiceRequest) -> Result<RequestContext, Error> {
    let id = app.new_id().map_err(|e| Problem::internal("no request id", &e))?;
    let given = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let correlation = given(&CORRELATION_ID).and_then(|text| text.parse().ok());
    let forwarded = given(&header::X_FORWARDED_FOR)
        .filter(|_| app.config().server.trust_proxy)
        .and_then(|list| list.rsplit(',').next())
        .and_then(|last| last.trim().parse().ok());
    let agent = given(&header::USER_AGENT)
        .map(|text| text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(200).collect::<String>());
    Ok(RequestContext {
        request: id,
        correlation: correlation.unwrap_or_else(|| CorrelationId::new(id)),
        address: forwarded.or_else(|| request.peer_addr().map(|peer| peer.ip())),
        agent,
        stages: Stages::start(),
        standing: Cell::new(None),
    })
}

/// Errors that the framework made become problem documents like ours.
fn as_problem(answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE);
    // The framework's own errors are plain text or empty.
    let ours = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    // A route is found by path and method together, so a known path with another method comes here as 404.
    let unrouted = matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    let methods = unrouted.then(|| openapi::methods_at(answer.request().path())).flatten();
    let status = if methods.is_some() { StatusCode::METHOD_NOT_ALLOWED } else { status };
    let mut response = Problem::of_status(status).error_response();
    // RFC 9110 section 15.5.6 asks for it.
    if let Some(value) = methods.and_then(|methods| HeaderValue::from_str(&methods).ok()) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    ServiceResponse::new(answer.into_parts().0, response)
}

/// Headers that every answer has.
fn dress(headers: &mut HeaderMap, app: &App, context: &RequestContext) {
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if app.config().server.hsts || app.config().tls.is_on() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    let mut set = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    set(REQUEST_ID, context.request.to_string());
    set(CORRELATION_ID, context.correlation.to_string());
    if let Some(standing) = context.standing.get() {
        set(HeaderName::from_static("ratelimit-limit"), standing.limit.to_string());
        set(HeaderName::from_static("ratelimit-remaining"), standing.remaining.to_string());
        set(HeaderName::from_static("ratelimit-reset"), standing.reset_s.to_string());
    }
    if app.config().server.timing {
        context.stages.end("serialise");
        set(HeaderName::from_static("server-timing"), context.stages.header());
    }
}

/// The answer to a request that took too long; the request itself is gone by then.
struct Late {
    problem: Problem,
    context: Rc<RequestContext>,
    app: web::Data<App>,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Late({})", self.context.request)
    }
}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl ResponseError for Late {
    fn status_code(&self) -> StatusCode {
        self.problem.status_code()
    }
    fn error_response(&self) -> HttpResponse {
        let mut response = self.problem.error_response();
        dress(response.headers_mut(), &self.app, &self.context);
        response
    }
}
