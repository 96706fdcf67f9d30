//! Why settings are refused.

use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("the configuration file {path} is not valid: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why; a configuration holds no secrets, so the parser may quote it.
        message: String,
    },
    /// A value makes no sense.
    #[error("{setting} in the configuration {rule}")]
    Value {
        /// Which setting.
        setting: &'static str,
        /// Which rule it breaks.
        rule: &'static str,
    },
}
