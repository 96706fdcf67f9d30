//! What errors of documents mean to a caller.

use super::{Kind, Problem};
use crate::documents::{ContentError, DocumentError, StoreError};

impl From<DocumentError> for Problem {
    fn from(error: DocumentError) -> Self {
        if error.fault().is_some() {
            return Self::new(
                Kind::DocumentDamaged,
                "what is left of it is not shown: tell the operators, who restore it from a backup",
            );
        }
        let kind = match error {
            DocumentError::NoUpload => return Self::not_found(),
            DocumentError::Command(error) => return error.into(),
            DocumentError::View(error) => return error.into(),
            DocumentError::Refusal(error) => return error.into(),
            DocumentError::NoChance(error) => return error.into(),
            DocumentError::Open(error) => return error.into(),
            DocumentError::Content(ContentError::TooLarge { .. }) => Kind::TooLarge,
            DocumentError::Content(_) => Kind::UnsupportedMediaType,
            DocumentError::Strip(_) | DocumentError::WrongHash => Kind::Invalid,
            DocumentError::Busy | DocumentError::WrongOffset { .. } | DocumentError::Incomplete { .. } => {
                Kind::Conflict
            }
            DocumentError::TooMuch { .. } => Kind::TooLarge,
            DocumentError::Store(StoreError::Failed(error)) => {
                tracing::error!(%error, "the object store failed");
                return Self::new(Kind::Unavailable, "the object store cannot be reached: try again").retry_after(10);
            }
            other => return Self::internal("a document could not be handled", &other),
        };
        Self::new(kind, error.to_string())
    }
}
