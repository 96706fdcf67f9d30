//! Providers of the root key against the real things: OpenBao, moto's KMS, SoftHSM2 and a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::print_stdout, reason = "the rows of the matrix")]

#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(any(feature = "vault", feature = "aws-kms"))]
#[path = "../../../tests/helpers/bao.rs"]
mod bao;
mod file;
mod matrix;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(any(feature = "vault", feature = "aws-kms"))]
mod proxy;
mod steady;
#[cfg(feature = "vault")]
mod vault;
