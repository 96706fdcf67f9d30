//! What errors of proofs, enrolments and resets mean to a caller.

use super::{Kind, Problem};
use crate::challenge::ChallengeError;
use crate::passwords::reset::ResetError;
use crate::proofs::ProofError;
use crate::proofs::external::ExternalError;

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Wrong => Self::new(Kind::LoginFailed, "what was given does not prove it: try again"),
            ProofError::NotOffered => Self::new(Kind::Conflict, error.to_string()),
            ProofError::TooMany => Self::new(Kind::TooMany, error.to_string()).retry_after(600),
            ProofError::Notify(_) => Self::busy(),
            ProofError::Command(error) => error.into(),
            ProofError::View(error) => error.into(),
            ProofError::NoChance(error) => error.into(),
            ProofError::Secret(_) | ProofError::Damaged(_) => Self::internal("a factor could not be used", &error),
        }
    }
}

impl From<ResetError> for Problem {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::Ended => Self::new(Kind::Conflict, error.to_string()),
            ResetError::Password(error) => error.into(),
            ResetError::Command(error) => error.into(),
            ResetError::View(error) => error.into(),
            ResetError::NoChance(error) => error.into(),
            ResetError::Secret(error) => Self::internal("an address could not be opened", &error),
        }
    }
}

impl From<ExternalError> for Problem {
    fn from(error: ExternalError) -> Self {
        match error {
            ExternalError::Unknown => Self::new(Kind::NotFound, error.to_string()),
            ExternalError::Wrong => Self::new(Kind::LoginFailed, error.to_string()),
            ExternalError::Provider(why) => {
                tracing::warn!(why, "a provider of logins cannot be used");
                Self::new(Kind::Unavailable, "the login elsewhere cannot be used now: try again later").retry_after(30)
            }
            ExternalError::Token(error) => error.into(),
            ExternalError::NoChance(error) => error.into(),
            ExternalError::Secret(_) | ExternalError::Lost => Self::internal("a login elsewhere failed", &error),
        }
    }
}

impl From<ChallengeError> for Problem {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Invalid | ChallengeError::Expired => {
                Self::new(Kind::LoginFailed, "the challenge is not good any more: begin again")
            }
            ChallengeError::Secret(error) => Self::internal("a challenge could not be opened", &error),
        }
    }
}
