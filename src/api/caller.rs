//! The caller of a route: checked before the handler runs. A handler that names [`Caller`] in its signature cannot be
//! reached without a good token of a live session that is in use, or an API key.

mod headers;
mod known;

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use wardbook_commands::{IdempotencyKey, Origin};
use wardbook_events::SessionId;
use wardbook_projections::identity::{Session, User};

use crate::api::edge::RequestContext;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use crate::asker::Asker;
use crate::login::Visitor;
use crate::sessions::secrets::DeviceToken;

pub use headers::{ACCESS_REASON, IDEMPOTENCY_KEY, IF_LEDGER_POSITION, PURPOSE_OF_USE};

/// Somebody who logged in, or a program with its key.
pub struct Caller {
    /// The application.
    pub app: App,
    /// Who, why, from where.
    pub asker: Asker,
    /// This request.
    pub context: Rc<RequestContext>,
    /// Makes the request safe to repeat.
    pub idempotency: Option<IdempotencyKey>,
    /// The version that the thing to be changed must have.
    pub if_match: Option<u64>,
    /// The token came in a cookie.
    pub by_cookie: bool,
    locked: bool,
}

/// A [`Caller`] whose session may be locked: for the few routes that lead out of that.
pub struct LockedCaller(pub Caller);

impl Caller {
    /// Where a command of this request comes from.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn origin(&self) -> Result<Origin, Problem> {
        let seed = self.app.chance().bytes()?;
        Ok(self.asker.origin(self.app.now(), seed, self.idempotency.clone()))
    }

    /// As [`Self::origin`], for what the request causes besides what it is for: the client's key is not for that.
    ///
    /// # Errors
    /// As there.
    pub fn own_origin(&self) -> Result<Origin, Problem> {
        Ok(self.asker.origin(self.app.now(), self.app.chance().bytes()?, None))
    }

    /// The live session, which is needed here.
    ///
    /// # Errors
    /// 403 for a program that came with its key.
    pub fn session(&self) -> Result<SessionId, Problem> {
        self.asker.session.ok_or_else(|| Problem::new(Kind::Forbidden, "an API key has no session: log in"))
    }

    /// The user and the live session as the view has them.
    ///
    /// # Errors
    /// 401 if the session ended meanwhile.
    pub fn account(&self) -> Result<(User, Session), Problem> {
        let identity = &self.app.views().identity;
        let user = identity.user(self.asker.principal().user)?.ok_or_else(Problem::unauthenticated)?;
        let session = identity.session(self.session()?)?.ok_or_else(Problem::unauthenticated)?;
        Ok((user, session))
    }

    /// Whether the session is locked; only [`LockedCaller`] finds it so.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// Refuses who has not proved lately who it is (IAM-09). To be asked before anything is looked up.
    ///
    /// # Errors
    /// 401 `step-up-required`.
    pub fn must_be_fresh(&self) -> Result<(), Problem> {
        if self.asker.principal().is_fresh(self.app.now()) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::StepUpRequired,
            "prove who you are at POST /v1/auth/step-up and /v1/auth/step-up/confirm, then send this again",
        ))
    }

    /// The caller as somebody who proves once more who it is.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        Visitor {
            correlation: self.context.correlation,
            client: self.asker.client.clone(),
            address: self.context.address,
            device: None,
            idempotency: None,
        }
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
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = LockedCaller::from_request(request, payload);
        Box::pin(async move {
            let LockedCaller(caller) = caller.await?;
            if caller.locked {
                return Err(Problem::new(
                    Kind::SessionLocked,
                    "nothing was done for a while: unlock it at POST /v1/sessions/current/unlock",
                ));
            }
            Ok(caller)
        })
    }
}

impl FromRequest for LockedCaller {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let anyone = of(&request)?;
            let position = headers::number(request.headers(), IF_LEDGER_POSITION)?;
            if let Some(position) = position {
                // Before the session is looked at: it may be the log-in itself that the views have not seen.
                caught_up(&anyone.app, position).await?;
            }
            let caller = known::authenticate(anyone, &request).await?;
            let user = caller.asker.principal().user;
            caller.context.pass(caller.app.limits().of_user(user, caller.asker.session))?;
            caller.context.stages.end("auth");
            Ok(Self(caller))
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
