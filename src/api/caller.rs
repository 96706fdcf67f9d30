//! The caller of a route: checked before the handler runs. A handler that names [`Caller`] in its signature cannot be
//! reached without a good token of a live session.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use wardbook_commands::{IdempotencyKey, Origin};
use wardbook_events::{Purpose, SessionId};

use crate::api::edge::RequestContext;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use crate::asker::{Asker, role_and_purpose};
use crate::login::Visitor;
use crate::sessions::secrets::DeviceToken;

/// Name of the header with the position that the views must have reached.
pub const IF_LEDGER_POSITION: &str = "if-ledger-position";
/// Name of the header with the purpose of use.
pub const PURPOSE_OF_USE: &str = "purpose-of-use";
/// Name of the header that makes a request safe to repeat.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Somebody who logged in.
pub struct Caller {
    /// The application.
    pub app: App,
    /// Who, why, from where.
    pub asker: Asker,
    /// The live session.
    pub session: SessionId,
    /// This request.
    pub context: Rc<RequestContext>,
    /// Makes the request safe to repeat.
    pub idempotency: Option<IdempotencyKey>,
    /// The version that the thing to be changed must have.
    pub if_match: Option<u64>,
}

impl Caller {
    /// Where a command of this request comes from.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn origin(&self) -> Result<Origin, Problem> {
        let seed = self.app.chance().bytes()?;
        Ok(self.asker.origin(self.app.now(), seed, self.idempotency.clone()))
    }

    /// The version in `If-Match`, which is needed here.
    ///
    /// # Errors
    /// 428 if there is none.
    pub fn must_match(&self) -> Result<u64, Problem> {
        self.if_match.ok_or_else(|| {
            Problem::new(
                Kind::PreconditionRequired,
                "send the ETag of what you read as If-Match, so that nobody's change is lost",
            )
        })
    }
}

/// What is known of every request, logged in or not.
pub struct Anyone {
    /// The application.
    pub app: App,
    /// This request.
    pub context: Rc<RequestContext>,
}

impl Anyone {
    /// Who wants to be let in. `device` is the token of a device that logged in before, as the client sent it.
    #[must_use]
    pub fn visitor(&self, device: Option<&str>) -> Visitor {
        Visitor {
            correlation: self.context.correlation,
            client: self.context.client(),
            address: self.context.address,
            device: device.and_then(DeviceToken::parse),
            idempotency: None,
        }
    }
}

impl FromRequest for Anyone {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(of(request))
    }
}

fn of(request: &HttpRequest) -> Result<Anyone, Problem> {
    let app = request.app_data::<web::Data<App>>();
    let context = request.extensions().get::<Rc<RequestContext>>().cloned();
    match app.zip(context) {
        Some((app, context)) => Ok(Anyone { app: App::clone(app), context }),
        None => Err(Problem::internal("a request without context", &"the edge layer is missing")),
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let anyone = of(&request)?;
            let position = number(request.headers(), IF_LEDGER_POSITION)?;
            if let Some(position) = position {
                // Before the session is looked at: it may be the log-in itself that the views have not seen.
                caught_up(&anyone.app, position).await?;
            }
            let caller = authenticate(anyone, request.headers())?;
            let user = caller.asker.principal().user;
            caller.context.pass(caller.app.limits().of_user(user, Some(caller.session)))?;
            caller.context.stages.end("auth");
            Ok(caller)
        })
    }
}

async fn caught_up(app: &App, position: u64) -> Result<(), Problem> {
    if position >= app.ledger().head().durable {
        return Err(Problem::new(
            Kind::VersionMismatch,
            "If-Ledger-Position lies beyond the end of this ledger: send a position that it gave you",
        ));
    }
    Ok(app.views().wait_for(position, app.config().limits.view_wait()).await?)
}

fn authenticate(anyone: Anyone, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Anyone { app, context } = anyone;
    let now = app.now();
    let token = text(headers, header::AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(Problem::unauthenticated)?;
    let claims = app.tokens().verify(token, now).map_err(|_| Problem::unauthenticated())?;
    if app.ended().has(claims.sid) || app.ended().has_user(claims.sub) {
        return Err(Problem::unauthenticated());
    }
    let user =
        app.views().principal(claims.sub)?.filter(|user| user.principal.active && user.principal.tenant == claims.tid);
    let user = user.ok_or_else(Problem::unauthenticated)?;
    let session =
        app.views().identity.session(claims.sid)?.filter(|session| session.user == claims.sub && session.is_live(now));
    // Disabling an account ends its sessions for good; enabling it again does not bring them back.
    let stands = |started_at| user.disabled_at.is_none_or(|at| started_at > at);
    if !session.is_some_and(|session| stands(session.started_at)) {
        return Err(Problem::unauthenticated());
    }
    let purpose = match text(headers, PURPOSE_OF_USE) {
        None => None,
        Some(code) => {
            Some(code.parse::<Purpose>().map_err(|e| Problem::new(Kind::Malformed, format!("Purpose-Of-Use: {e}")))?)
        }
    };
    let (role, purpose) =
        role_and_purpose(&user.principal.roles_at(now), purpose).ok_or_else(Problem::unauthenticated)?;
    let idempotency = match text(headers, IDEMPOTENCY_KEY) {
        None => None,
        Some(key) => Some(IdempotencyKey::new(key).map_err(|e| Problem::new(Kind::Malformed, e.to_string()))?),
    };
    let mut client = context.client();
    client.session = Some(claims.sid);
    let asker = Asker {
        user: Arc::clone(&user),
        role,
        purpose,
        reason: None,
        session: Some(claims.sid),
        correlation: context.correlation,
        client,
        address: context.address,
    };
    Ok(Caller { app, asker, session: claims.sid, context, idempotency, if_match: if_match(headers)? })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, Problem> {
    match headers.get(name) {
        None => Ok(None),
        Some(value) => match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::new(Kind::Malformed, format!("{name} must be a number"))),
        },
    }
}

/// `"7"`, as we give it in `ETag`.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    let version = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    match version {
        Some(version) => Ok(Some(version)),
        None => Err(Problem::new(Kind::Malformed, "If-Match must be an ETag of ours, such as \"7\"")),
    }
}
