//! Whether a failure of keys is the root key's provider's: at the edge that makes the difference between "try again" and a fault.

use crate::error::{KeyError, OpenError, SealError, SecretError, StoreError, TokenError};
use crate::reseal::{ResealError, RetokenError};
use crate::root::RootError;

impl StoreError {
    /// The root key's own error, if that is what it comes from.
    #[must_use]
    pub const fn root(&self) -> Option<&RootError> {
        match self {
            Self::Root(error) => Some(error),
            _ => None,
        }
    }
}

impl TokenError {
    /// The root key's own error, if that is what it comes from.
    #[must_use]
    pub const fn root(&self) -> Option<&RootError> {
        self.0.root()
    }
}

impl RetokenError {
    /// The root key's own error, if that is what it comes from.
    #[must_use]
    pub const fn root(&self) -> Option<&RootError> {
        match self {
            Self::Open(error) => error.root(),
            Self::KeyStore(error) => error.root(),
        }
    }
}

impl ResealError {
    /// The root key's own error, if that is what it comes from.
    #[must_use]
    pub const fn root(&self) -> Option<&RootError> {
        match self {
            Self::Open(error) => error.root(),
            Self::Seal(error) => error.root(),
        }
    }
}

macro_rules! of_key_store {
    ($($error:ident)*) => {$(
        impl $error {
            /// The root key's own error, if that is what it comes from.
            #[must_use]
            pub const fn root(&self) -> Option<&RootError> {
                match self {
                    Self::KeyStore(error) => error.root(),
                    _ => None,
                }
            }
        }
    )*};
}
of_key_store! { KeyError SealError OpenError SecretError }
