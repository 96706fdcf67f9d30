//! `[search]`

use serde::{Deserialize, Serialize};
use wardbook_keys::Forms;

/// How patients are searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Letters of the shortest beginning of a name that is indexed.
    pub prefix_min: usize,
    /// Letters of the longest one; 0 indexes none.
    pub prefix_max: usize,
    /// Calling code of telephone numbers that are written without one.
    pub country: String,
}

impl Default for Search {
    fn default() -> Self {
        let Forms { prefix_min, prefix_max, country } = Forms::default();
        Self { prefix_min, prefix_max, country }
    }
}

impl Search {
    /// As the keys take them.
    #[must_use]
    pub fn forms(&self) -> Forms {
        Forms { prefix_min: self.prefix_min, prefix_max: self.prefix_max, country: self.country.clone() }
    }

    /// Whether the values make sense, and what is wrong if not.
    pub(super) fn rule(&self) -> (bool, &'static str, &'static str) {
        let prefixes = self.prefix_max == 0 || (self.prefix_min..=16).contains(&self.prefix_max);
        let country = (1..=3).contains(&self.country.len())
            && self.country.bytes().all(|b| b.is_ascii_digit())
            && !self.country.starts_with('0');
        match prefixes && self.prefix_min >= 2 {
            false => (false, "search.prefix_min", "must be at least 2, and prefix_max 0 or from prefix_min to 16"),
            true => (country, "search.country", "must be a calling code of one to three digits, such as 1 or 966"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_is_no_prefix() {
        let rule = |prefix_min, prefix_max, country: &str| {
            let (holds, setting, _) = Search { prefix_min, prefix_max, country: country.into() }.rule();
            (!holds).then_some(setting)
        };
        assert_eq!([rule(2, 8, "1"), rule(3, 0, "966")], [None, None]);
        assert_eq!([rule(1, 8, "1"), rule(4, 3, "1"), rule(3, 17, "1")], [Some("search.prefix_min"); 3]);
        assert_eq!([rule(3, 8, ""), rule(3, 8, "+1"), rule(3, 8, "01")], [Some("search.country"); 3]);
    }
}
