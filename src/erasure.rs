//! Forgetting a person (promise 5): what the law keeps, and how an erasure that two officers agreed to is carried out.
//!
//! From `erasure.executed` on nothing opens the chart any more. What is left to do is done by [`carry_out`], step by step,
//! each of which can be done again; a server that starts goes on with what a crash left ([`finish`]).

use wardbook_commands::erasure::Retention;
use wardbook_projections::ViewError;
use wardbook_projections::records::LastEntry;

use crate::app::App;
use crate::disclosure::Case;

mod answers;
mod execution;
mod retention;

pub use answers::{CertificateAnswer, ErasureAnswer, ErasuresAnswer, HoldAnswer, HoldsAnswer};
pub use execution::{Erasing, ExecutionError, Step, carry_out, finish};
pub use retention::{Laws, RetentionError};

/// What the law asks to be kept of a person, and until when, by the law of every chart that was merged.
///
/// # Errors
/// If a view cannot answer.
pub fn kept_by_law(app: &App, case: &Case<'_>) -> Result<Vec<Retention>, ViewError> {
    let family = case.family();
    let entries = [app.views().records.last_entry(family)?, app.views().documents.last_entry(family)?];
    let Some(last) = entries.into_iter().flatten().reduce(LastEntry::or) else { return Ok(Vec::new()) };
    let mut laws = Vec::new();
    for patient in family {
        if let Some(known) = app.views().patients.get(*patient)? {
            laws.extend(app.laws().of(&known.jurisdiction, last));
        }
    }
    laws.dedup();
    Ok(laws)
}
