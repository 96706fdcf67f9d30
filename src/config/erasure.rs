//! `[erasure]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Forgetting people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Erasure {
    /// Days within which a request must have been answered (GDPR article 12(3), PRV-06).
    pub answer_days: u32,
    /// What the law asks to be kept, and how long; empty means the file compiled in.
    pub retention: PathBuf,
}

impl Default for Erasure {
    fn default() -> Self {
        Self { answer_days: 30, retention: PathBuf::new() }
    }
}
