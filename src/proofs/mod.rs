//! By what people and programs prove who they are, besides passwords: codes, passkeys, keys, other organisations' word.
//!
//! What is checked here is what takes a secret or a signature. That nothing proves twice (a code's step, a recovery code, a
//! passkey's counter) is decided on the write side, where no two logins can pass at once.

pub mod assertions;
pub mod codes;
pub mod digest;
pub mod recovery;
pub mod totp;
