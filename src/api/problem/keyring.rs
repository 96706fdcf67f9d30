//! What our errors about keys mean to a caller.

use wardbook_keys::KeyError;

use super::causes::of_keys;
use super::{Kind, Problem};
use crate::keyring::KeyringError;

impl From<KeyringError> for Problem {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Busy => Self::new(Kind::Conflict, error.to_string()),
            KeyringError::Stopping => Self::new(Kind::Unavailable, error.to_string()).retry_after(10),
            KeyringError::Key(KeyError::UnknownKey { .. } | KeyError::Destroyed { .. }) => {
                Self::new(Kind::NotFound, "no such patient of your organisation has a key")
            }
            KeyringError::View(error) => error.into(),
            KeyringError::Tell(error) => error.into(),
            KeyringError::Append(error) => error.into(),
            KeyringError::Command(error) => error.into(),
            KeyringError::NoChance(error) => error.into(),
            other => of_keys("keys were not changed", other.root(), &other),
        }
    }
}
