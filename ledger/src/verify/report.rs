//! What a verification found.

use std::fmt;

use crate::ids::{EventId, Position};

/// Verification stops after so many findings: by then the log is not to be trusted, and memory stays bounded.
pub const FINDINGS_MAX: usize = 100;

/// Which rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The entry could not be read from where it is stored; nothing behind it can be judged.
    Unreadable,
    /// The bytes are not an entry; nothing behind it can be judged.
    Malformed,
    /// The position is not the next.
    Position,
    /// The digest of the entry before it is another.
    Previous,
    /// The stream version is not the next.
    StreamVersion,
    /// A subject's count or previous digest is not that of its chain.
    SubjectLink,
    /// It was recorded before the entry before it.
    Time,
    /// The key is none of the log's.
    UnknownKey,
    /// The key had been replaced by a newer one already.
    RetiredKey,
    /// The signature is not that of the digest, or not in its one encoding.
    Signature,
    /// The tree over the entries has another root than a checkpoint.
    Root,
    /// The log, or the range, ends too early.
    Missing,
    /// A checkpoint is not signed by the log.
    Checkpoint,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the entry cannot be read",
            Self::Malformed => "the bytes are not an entry",
            Self::Position => "the position is not the next one",
            Self::Previous => "the previous digest is not that of the entry before",
            Self::StreamVersion => "the stream version is not the next one",
            Self::SubjectLink => "the subject link does not follow the subject's last event",
            Self::Time => "the time is before that of the entry before",
            Self::UnknownKey => "the signing key is none of the log's",
            Self::RetiredKey => "the signing key had been replaced already",
            Self::Signature => "the signature is wrong",
            Self::Root => "the tree has another root than the checkpoint",
            Self::Missing => "entries are missing at the end",
            Self::Checkpoint => "the checkpoint is not the log's",
        })
    }
}

/// A rule that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Place in the log by counting; for a checkpoint, its size.
    pub position: Position,
    /// The event there, if its bytes could be read.
    pub event_id: Option<EventId>,
    /// Which rule.
    pub fault: Fault,
    /// What had to stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {}", self.position)?;
        if let Some(id) = self.event_id {
            write!(f, " (event {id})")?;
        }
        write!(f, ": {}", self.fault)?;
        write!(f, "; expected {}, found {}", self.expected, self.found)
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The first position that was looked at.
    pub start: Position,
    /// Entries looked at.
    pub count: u64,
    /// Entries about which there is no finding.
    pub verified: u64,
    /// Checkpoints whose signature and root hold.
    pub checkpoints: u64,
    /// Size of the largest of these: what the log has committed to.
    pub committed: u64,
    /// What does not hold, in the order of the log; at most [`FINDINGS_MAX`].
    pub errors: Vec<Finding>,
    /// What could not be checked, and why.
    pub warnings: Vec<String>,
}

impl Report {
    /// True if every rule holds for every entry.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }

    /// Where the log first breaks a rule.
    #[must_use]
    pub fn first_error(&self) -> Option<&Finding> {
        self.errors.iter().min_by_key(|finding| finding.position)
    }
}
