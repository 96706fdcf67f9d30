//! Where a root key may live. Each provider is a file here, behind the feature of its name; a local file is always there.
//!
//! A provider does one try at a time and knows what its server's errors mean; [`steady::Steady`] around it has the patience.

#[cfg(feature = "aws-kms")]
pub mod aws_kms;
#[cfg(any(feature = "vault", feature = "aws-kms"))]
mod bridge;
pub mod file;
pub mod patience;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
pub mod steady;
#[cfg(feature = "vault")]
pub mod vault;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::root::RootError;

/// A secret that stands in a file of its own: a secret id, a PIN, a passphrase. White space around it does not count.
///
/// # Errors
/// If it cannot be read, others can read it too, or it is empty or too long.
pub fn secret_file(path: &Path) -> Result<Zeroizing<String>, RootError> {
    let unusable = |why: String| RootError::Secret { path: path.to_owned(), why };
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    let mode = file.metadata().map_err(|error| unusable(error.to_string()))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(unusable("it is open to others; run `chmod o= ` on it".to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(1025));
    file.take(1025).read_to_string(&mut text).map_err(|error| unusable(error.to_string()))?;
    match text.trim() {
        "" => Err(unusable("it is empty".to_owned())),
        _ if text.len() > 1024 => Err(unusable("it is longer than 1024 bytes".to_owned())),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}

/// The cause at the bottom of an error, which says what the ones above only repeat.
#[cfg(any(feature = "vault", feature = "aws-kms"))]
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
