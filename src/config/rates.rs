//! Settings of paces that are made, not read.

use super::Rates;

impl Rates {
    /// No limit of any kind: for measuring, and for tests of other things.
    #[must_use]
    pub fn off() -> Self {
        Self {
            user_per_minute: 0,
            session_per_minute: 0,
            auth_per_minute: 0,
            read_per_minute: 0,
            write_per_minute: 0,
            public_per_minute: 0,
            patients_per_hour: 0,
            opens_per_minute: 0,
            ..Self::default()
        }
    }
}
