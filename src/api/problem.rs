//! Errors as RFC 9457 problem details. The only place that decides what a caller learns of a failure.
//!
//! Which error belongs where: every operation has an error type of its own and knows nothing of HTTP; here each becomes one
//! of the [`Kind`]s. A detail says what to do next and never repeats what was sent, so that no PHI comes back in an error.
//! What is our own fault is logged with its cause and answered without it.

mod causes;
mod documents;
mod keyring;
mod proofs;

use std::borrow::Cow;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal $slug:literal $title:literal;)*) => {
        /// What went wrong, as a stable type URI `/problems/...`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)* }
        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status),* } }
            /// Last part of the type URI; never change one.
            #[must_use]
            pub const fn slug(self) -> &'static str { match self { $(Self::$name => $slug),* } }
            /// The same words for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title),* } }
        }
    };
}

kinds! {
    /// The request is not well-formed.
    Malformed = 400 "malformed-request" "the request is not well-formed";
    /// No good access token.
    Unauthenticated = 401 "unauthenticated" "a valid access token is needed";
    /// Wrong name or password; which of them is not said.
    LoginFailed = 401 "login-failed" "the login failed";
    /// The user has not been active for a while.
    SessionLocked = 401 "session-locked" "the session is locked";
    /// It takes a fresh proof of who it is (RFC 9470).
    StepUpRequired = 401 "step-up-required" "a fresh proof of who you are is needed";
    /// The session is a cookie, and the request does not prove that our page sent it.
    Csrf = 403 "csrf" "the X-CSRF-Token header is needed";
    /// It came over plain HTTP.
    TlsRequired = 403 "tls-required" "this takes HTTPS";
    /// Policy said no, about something that is no secret.
    Forbidden = 403 "forbidden" "your roles do not allow this";
    /// There is no such thing, or the caller may not know of it.
    NotFound = 404 "not-found" "there is no such thing here, or you may not see it";
    /// No such method on this path.
    MethodNotAllowed = 405 "method-not-allowed" "this path does not take this method";
    /// The request took too long.
    Timeout = 408 "timeout" "the request took too long";
    /// A patient like this one is registered already.
    Duplicate = 409 "duplicate-patient" "a patient like this one may be registered already";
    /// A rule forbids it in the present state.
    Conflict = 409 "conflict" "the present state does not allow this";
    /// The idempotency key was used for something else.
    KeyReused = 409 "idempotency-key-reused" "this idempotency key was used for another request";
    /// The person was forgotten.
    Erased = 410 "erased" "this person was erased";
    /// `If-Match` names another version than the present one.
    VersionMismatch = 412 "version-mismatch" "it was changed in the meantime";
    /// The body is too large.
    TooLarge = 413 "too-large" "the request is too large";
    /// The body is of another kind than expected.
    UnsupportedMediaType = 415 "unsupported-media-type" "the body must be application/json";
    /// The document has none of the bytes asked for.
    RangeNotSatisfiable = 416 "range-not-satisfiable" "the document has none of these bytes";
    /// A value breaks a rule.
    Invalid = 422 "invalid-value" "a value is not valid";
    /// Too many logins failed.
    AccountLocked = 423 "account-locked" "too many logins failed";
    /// `If-Match` is needed.
    PreconditionRequired = 428 "precondition-required" "the If-Match header is needed";
    /// Too many tries.
    TooMany = 429 "too-many-requests" "too many requests";
    /// The object of a document is lost or damaged.
    DocumentDamaged = 500 "document-damaged" "the document is lost or damaged";
    /// Our fault.
    Internal = 500 "internal" "something failed on our side";
    /// Overloaded or stopping.
    Unavailable = 503 "unavailable" "the service cannot take the request now";
    /// The root key's provider does not answer, so nothing sealed can be opened or sealed.
    KeysUnavailable = 503 "keys-unavailable" "the keys cannot be reached now";
    /// The views have not reached the position asked for.
    ViewsBehind = 503 "views-behind" "the views have not caught up yet";
}

/// An error answer.
pub struct Problem(Box<Inner>);

struct Inner {
    kind: Kind,
    detail: Cow<'static, str>,
    retry_after_s: Option<u32>,
}

/// The members of a problem document (RFC 9457 section 3.1).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// URI of the kind of problem, such as `/problems/not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same words for every problem of the kind.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What to do about it.
    pub detail: String,
}

impl Problem {
    /// A problem with words of our own.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, detail: detail.into(), retry_after_s: None }))
    }
    /// Tells the client when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }
    /// Our own fault. The cause goes to the log, under the request's id, and not to the caller.
    #[must_use]
    pub fn internal(what: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::error!(what, cause = %cause, "internal error");
        Self::new(Kind::Internal, "nothing of your making: report the X-Request-ID of this answer to the operators")
    }
    /// There is no such thing, or the caller may not know of it: always the same words.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "check the id, and that you are on the patient's care team")
    }
    /// The access token is missing or not good. Which of them makes no difference to the answer.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            Kind::Unauthenticated,
            "log in at POST /v1/auth/login and send the access token as Authorization: Bearer",
        )
    }
    /// Overloaded; nothing was done.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(Kind::Unavailable, "too much at once: nothing was done, try again").retry_after(1)
    }
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What an HTTP status means when something else than our handlers made the answer.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::new(Kind::NotFound, "there is no such path: see /openapi.json"),
            405 => Self::new(Kind::MethodNotAllowed, "see /openapi.json for the methods of this path"),
            408 => Self::new(Kind::Timeout, "send the whole request faster"),
            413 => Self::new(Kind::TooLarge, "send a smaller body"),
            415 => Self::new(Kind::UnsupportedMediaType, "send Content-Type: application/json"),
            400..=499 => Self::new(Kind::Malformed, "see /openapi.json for what this path takes"),
            _ => Self::new(
                Kind::Internal,
                "nothing of your making: report the X-Request-ID of this answer to the operators",
            ),
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({}: {})", self.0.kind.slug(), self.0.detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    fn error_response(&self) -> HttpResponse {
        let inner = &self.0;
        let mut answer = HttpResponse::build(self.status_code());
        answer.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = inner.retry_after_s {
            answer.insert_header((header::RETRY_AFTER, seconds));
        }
        match inner.kind {
            Kind::Unauthenticated => answer.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"wardbook\"")),
            Kind::StepUpRequired => answer.insert_header((
                header::WWW_AUTHENTICATE,
                "Bearer realm=\"wardbook\", error=\"insufficient_user_authentication\"",
            )),
            _ => &mut answer,
        };
        let body = ProblemBody {
            kind: format!("/problems/{}", inner.kind.slug()),
            title: inner.kind.title(),
            status: inner.kind.status(),
            detail: inner.detail.clone().into_owned(),
        };
        answer.body(serde_json::to_string(&body).unwrap_or_default())
    }
}

/// Says why JSON was refused: where, and which of our rules it breaks, but not what stood there.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> Problem {
    let place = format!("line {} column {}", error.line(), error.column());
    if !error.is_data() {
        return Problem::new(Kind::Malformed, format!("the body is not valid JSON at {place}"));
    }
    let message = error.to_string();
    // The parser's own messages quote the input. Let through only the words that are ours: names of missing members and the
    // rules of our value types, which hold no content.
    let said = message.rsplit_once(" at line ").map_or(message.as_str(), |(said, _)| said);
    let ours = said.starts_with("missing field `")
        || said.starts_with("not a valid ")
        || RULES.iter().any(|name| {
            said.strip_prefix(name).is_some_and(|rule| {
                rule.starts_with(" must ") || rule.starts_with(" is too ") || rule.starts_with(" has too ")
            })
        });
    let said = if ours { said } else { "a member is unknown, or a value is of the wrong type or form" };
    // A value that was read but broke a rule has no place any more.
    let place = if error.line() == 0 { String::new() } else { format!(", at {place}") };
    Problem::new(Kind::Invalid, format!("{said}{place}; see /openapi.json"))
}

/// The names with which the rules of value types begin (`wardbook_events::values`).
const RULES: [&str; 10] =
    ["name", "given name", "text", "phone", "language", "ssn", "mrn", "birth date", "email", "number"];

#[cfg(test)]
mod tests {
    use super::*;
    use wardbook_events::values::{BirthDate, PersonName, Ssn};

    #[test]
    fn every_kind_has_a_page_and_a_status_of_its_class() {
        let slugs: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!((400..600).contains(&kind.status()));
            let answer = Problem::new(*kind, "x").error_response();
            assert_eq!(answer.status().as_u16(), kind.status());
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
        }
    }

    #[test]
    fn json_errors_help_and_quote_nothing() {
        fn refused<T: serde::de::DeserializeOwned>(json: &str) -> String {
            of_json(&serde_json::from_str::<T>(json).err().unwrap()).to_string()
        }
        assert!(refused::<Ssn>("\"Jane Doe\"").starts_with("ssn must be nine digits such as 123-45-6789;"));
        assert!(refused::<PersonName>(r#"{"given":["x"]}"#).starts_with("missing field `family`"));
        for text in [
            refused::<PersonName>(r#"{"family":"x","given":["y"],"Jane":1}"#),
            refused::<PersonName>(r#""Jane""#),
            refused::<BirthDate>("\"Jane-02-03\""),
            refused::<BirthDate>("\"1999-77-41\""),
            refused::<PersonName>(r#"{"family":"Jane" "#),
            refused::<PersonName>(r#"{"family":12345}"#),
        ] {
            assert!(!text.contains("Jane") && !text.contains("77") && !text.contains("12345"), "{text}");
        }
    }
}
