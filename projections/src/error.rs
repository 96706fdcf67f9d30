//! Why a view could not answer or take in events.

/// Why a view could not answer or take in events. Never names a person and never quotes a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// What is stored contradicts itself. The ledger has everything: rebuild the view.
    #[error("view {view} is damaged ({what}): rebuild it")]
    Damaged {
        /// Name of the view.
        view: &'static str,
        /// What was found.
        what: String,
    },
    /// The rows were laid out by another version of the view's code.
    #[error("view {view} was built by code version {found}, this program has {expected}: rebuild it")]
    Outdated {
        /// Name of the view.
        view: &'static str,
        /// Version that built it.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// Events between the view's position and those given are missing.
    #[error(
        "view {view} stands at position {position}, but events were given from {from}: feed it from its own position"
    )]
    Gap {
        /// Name of the view.
        view: &'static str,
        /// Where the view stands.
        position: u64,
        /// Where the given events begin.
        from: u64,
    },
    /// The operating system refused to read or write.
    #[error("view {view} cannot use its files ({what}): check the disk and its permissions")]
    Storage {
        /// Name of the view.
        view: &'static str,
        /// The system's message.
        what: String,
    },
    /// The view did not reach a position in time.
    #[error("view {view} has not reached position {position} yet: try again")]
    Late {
        /// Name of the view.
        view: &'static str,
        /// The position waited for.
        position: u64,
    },
}

impl ViewError {
    pub(crate) fn damaged(view: &'static str, what: impl Into<String>) -> Self {
        Self::Damaged { view, what: what.into() }
    }
    pub(crate) fn storage(view: &'static str, error: &std::io::Error) -> Self {
        Self::Storage { view, what: error.to_string() }
    }
    /// Only a failing disk is the disk's fault; everything else that sled reports is about what it found there.
    pub(crate) fn sled(view: &'static str, error: &sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::storage(view, error),
            other => Self::damaged(view, other.to_string()),
        }
    }
    /// Whether a rebuild helps.
    #[must_use]
    pub const fn wants_rebuild(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Outdated { .. })
    }
}
