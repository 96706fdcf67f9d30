//! Pages of lists.

use crate::api::problem::{Kind, Problem};
use crate::config::Config;

/// How many entries a page has.
///
/// # Errors
/// If more were asked for than allowed, or none.
pub fn limit(config: &Config, wanted: Option<u32>) -> Result<usize, Problem> {
    let limits = &config.limits;
    match wanted.unwrap_or(limits.page_default) {
        limit if (1..=limits.page_max).contains(&limit) => Ok(limit as usize),
        _ => Err(Problem::new(Kind::Invalid, format!("limit must be between 1 and {}", limits.page_max))),
    }
}
