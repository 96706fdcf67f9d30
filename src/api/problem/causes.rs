//! What each of our errors means to a caller.

use wardbook_commands::{CommandError, Rejection};
use wardbook_keys::{KeyError, OpenError, RootError, SealError};
use wardbook_ledger::{AppendError, ProveError, ReadError};
use wardbook_projections::ViewError;

use super::{Kind, Problem};
use crate::clock::NoChance;
use crate::disclosure::Refusal;
use crate::limits::TooMany;
use crate::login::LoginError;
use crate::passwords::PasswordError;
use crate::passwords::of_user::NewPasswordError;
use crate::sessions::ending::EndError;

/// Nothing may be shown that is not on disk, so a ledger that cannot append means: no answer.
fn stopped(reason: &str) -> Problem {
    tracing::error!(reason, "the ledger has stopped");
    Problem::new(
        Kind::Unavailable,
        "the service is stopping: whether a change was made is not known, send it again with the same Idempotency-Key",
    )
    .retry_after(10)
}

/// A failure for want of a key. If nothing is wrong but the way to the root key's provider, it passes.
pub(super) fn of_keys(what: &'static str, root: Option<&RootError>, error: &dyn std::fmt::Display) -> Problem {
    let Some(retry_after) = root.and_then(RootError::retry_after) else { return Problem::internal(what, error) };
    tracing::warn!(what, cause = %error, "for want of a key");
    let seconds = u32::try_from(retry_after.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    Problem::new(
        Kind::KeysUnavailable,
        "the root key's provider cannot be reached, and the keys in memory have aged out: nothing was opened, try again",
    )
    .retry_after(seconds)
}

/// Told only to who may read the chart otherwise.
fn erased() -> Problem {
    Problem::new(Kind::Erased, "nothing of it is left: a person who comes back is registered anew")
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Hidden(_) => Self::not_found(),
            Refusal::Forbidden(_) => Self::new(
                Kind::Forbidden,
                "ask somebody whose role allows it, or say another purpose in Purpose-Of-Use",
            ),
            Refusal::Throttled { wait_s } => Self::new(
                Kind::TooMany,
                "so many different patients are not opened within an hour: go on with those, or wait for Retry-After",
            )
            .retry_after(wait_s),
            Refusal::TooManyOpened { wait_s } => Self::new(
                Kind::TooMany,
                "so much is not opened within a minute: ask for less, and wait for Retry-After",
            )
            .retry_after(wait_s),
            Refusal::Erased(_) => erased(),
            Refusal::Append(error) => error.into(),
            Refusal::View(error) => error.into(),
            Refusal::Open(error) => error.into(),
            Refusal::NoChance(error) => error.into(),
            Refusal::Encode => Self::internal("an event could not be encoded", &refusal),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Busy { .. } => Self::busy(),
            AppendError::Stopped { reason } => stopped(&reason),
            AppendError::TooLarge { .. } => {
                Self::new(Kind::TooLarge, "one request touches too much: narrow it or ask for a smaller page")
            }
            other => Self::internal("an event was refused by the ledger", &other),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound => Self::not_found(),
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::WrongVersion { .. } => Self::new(
                Kind::VersionMismatch,
                "read it again, and send the new ETag as If-Match if the change still makes sense",
            ),
            CommandError::Contended | CommandError::Busy { .. } => Self::busy(),
            CommandError::Stopped { reason } => stopped(&reason),
            CommandError::Key(KeyError::Destroyed { .. }) | CommandError::Seal(SealError::Destroyed { .. }) => erased(),
            CommandError::Refused(AppendError::TooLarge { .. }) => {
                Self::new(Kind::TooLarge, "the change is too large: split it")
            }
            other => of_keys("a command failed", root_of(&other), &other),
        }
    }
}

fn root_of(error: &CommandError) -> Option<&RootError> {
    match error {
        CommandError::Key(error) => error.root(),
        CommandError::Seal(error) => error.root(),
        CommandError::Token(error) => error.root(),
        CommandError::Secret(error) => error.root(),
        CommandError::Retoken(error) => error.root(),
        CommandError::Reseal(error) => error.root(),
        _ => None,
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let kind = match rejection {
            Rejection::NotFound => return Self::not_found(),
            Rejection::Duplicate => Kind::Duplicate,
            Rejection::KeyReused => Kind::KeyReused,
            Rejection::Erased => Kind::Erased,
            Rejection::NothingToErase => Kind::Invalid,
            Rejection::DateInFuture
            | Rejection::UnknownJurisdiction
            | Rejection::BadDepartment
            | Rejection::TooMany
            | Rejection::EndInPast
            | Rejection::UnknownUser
            | Rejection::BadUsername
            | Rejection::MergeWithItself
            | Rejection::NotANote => Kind::Invalid,
            Rejection::BadDisclosure
            | Rejection::OwnRestriction
            | Rejection::OwnProxy
            | Rejection::NotElevatable
            | Rejection::BadDuration
            | Rejection::BadWords
            | Rejection::NothingToReview
            | Rejection::DetailNeeded
            | Rejection::BadLocation
            | Rejection::TooManyHoldings
            | Rejection::WrongAccountKind
            | Rejection::BadLabel
            | Rejection::BadNetwork
            | Rejection::BadHours
            | Rejection::BadScope
            | Rejection::BadKeyLife
            | Rejection::BadKey
            | Rejection::BadCertificateName
            | Rejection::NoContact
            | Rejection::BadTokenLife
            | Rejection::BadHash => Kind::Invalid,
            Rejection::DraftTooLarge => Kind::TooLarge,
            Rejection::TooSoon => Kind::TooMany,
            Rejection::NotTheAuthor | Rejection::OwnCase | Rejection::OwnEmergency => Kind::Forbidden,
            _ => Kind::Conflict,
        };
        Self::new(kind, rejection.to_string())
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Late { .. } => {
                Self::new(Kind::ViewsBehind, "the ledger has it, the views have not taken it in yet: try again")
                    .retry_after(1)
            }
            ViewError::Damaged { .. } | ViewError::Outdated { .. } => {
                tracing::error!(%error, "a view must be rebuilt");
                Self::new(Kind::Unavailable, "a view is being rebuilt: try again later").retry_after(10)
            }
            other => Self::internal("a view failed", &other),
        }
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            // Who comes so far may read the chart: it was there when he asked.
            OpenError::Destroyed { .. } => erased(),
            other => of_keys("a sealed value was not opened", other.root(), &other),
        }
    }
}

impl From<ProveError> for Problem {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::NotPublished => {
                Self::new(Kind::Unavailable, "no published checkpoint covers this event yet: try again").retry_after(1)
            }
            ProveError::NoSuchPlace => Self::new(Kind::NotFound, "the published tree has no such place"),
            other => Self::internal("a proof could not be made", &other),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::IndexUnavailable => {
                Self::new(Kind::Unavailable, "the ledger's index is being rebuilt: try again later").retry_after(10)
            }
            other => Self::internal("the ledger could not be read", &other),
        }
    }
}

impl From<crate::recorded::EntryError> for Problem {
    fn from(error: crate::recorded::EntryError) -> Self {
        Self::internal("an event could not be decoded", &error)
    }
}

impl From<wardbook_keys::TokenError> for Problem {
    fn from(error: wardbook_keys::TokenError) -> Self {
        of_keys("a search token could not be made", error.root(), &error)
    }
}

impl From<crate::panels::AssignError> for Problem {
    fn from(error: crate::panels::AssignError) -> Self {
        match error {
            crate::panels::AssignError::Command(error) => error.into(),
            crate::panels::AssignError::View(error) => error.into(),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::new(Kind::Unavailable, "too many logins at once: try again").retry_after(1),
            PasswordError::Weak(_) => Self::new(Kind::Invalid, error.to_string()),
            other => Self::internal("a password could not be hashed", &other),
        }
    }
}

impl From<EndError> for Problem {
    fn from(error: EndError) -> Self {
        match error {
            EndError::Command(error) => error.into(),
            EndError::View(error) => error.into(),
            EndError::NoChance(error) => error.into(),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::new(
                Kind::LoginFailed,
                "check name and password, or ask an administrator whether the account is enabled",
            ),
            LoginError::Locked { retry_after_s } => {
                Self::new(Kind::AccountLocked, "wait until Retry-After, or ask an administrator to unlock the account")
                    .retry_after(retry_after_s)
            }
            LoginError::TooManySessions => Self::new(Kind::Conflict, error.to_string()),
            LoginError::Password(error) => error.into(),
            LoginError::Command(error) => error.into(),
            LoginError::View(error) => error.into(),
            LoginError::NoChance(error) => error.into(),
            LoginError::Proof(error) => error.into(),
            LoginError::End(error) => error.into(),
            LoginError::Secret(ref secret) => of_keys("a login failed", secret.root(), &error),
            other @ LoginError::Token(_) => Self::internal("a login failed", &other),
        }
    }
}

impl From<TooMany> for Problem {
    fn from(TooMany(standing): TooMany) -> Self {
        Self::new(Kind::TooMany, "nothing was done: try again after Retry-After").retry_after(standing.reset_s)
    }
}

impl From<NoChance> for Problem {
    fn from(error: NoChance) -> Self {
        Self::internal("no random bytes", &error)
    }
}

impl From<actix_web::error::BlockingError> for Problem {
    fn from(error: actix_web::error::BlockingError) -> Self {
        Self::internal("a blocking task was lost", &error)
    }
}

impl From<NewPasswordError> for Problem {
    fn from(error: NewPasswordError) -> Self {
        match error {
            NewPasswordError::Password(error) => error.into(),
            NewPasswordError::Secret(error) => of_keys("a password before could not be opened", error.root(), &error),
        }
    }
}
