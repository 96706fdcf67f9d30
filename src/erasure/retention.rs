//! For how long the law asks that a chart be kept: `config/retention.toml`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use serde::Deserialize;
use wardbook_commands::erasure::Retention;
use wardbook_events::GroupSet;
use wardbook_projections::records::LastEntry;

/// Longer than any law asks; a larger number is a mistake.
const YEARS_MAX: u16 = 200;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}; see erasure.retention")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not well-formed.
    #[error("{path} is not a list of [[keep]] with jurisdiction, groups, years and rule: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Law {
    jurisdiction: String,
    groups: GroupSet,
    years: u16,
    rule: String,
}

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Laws {
    #[serde(default)]
    keep: Vec<Law>,
}

impl Laws {
    /// The file of the settings, or the one compiled in.
    ///
    /// # Errors
    /// If it cannot be read, or says something that makes no sense.
    pub fn load(path: &Path) -> Result<Self, RetentionError> {
        if path.as_os_str().is_empty() {
            return Self::parse(Path::new("config/retention.toml"), include_str!("../../config/retention.toml"));
        }
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| RetentionError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, RetentionError> {
        let fail = |message: String| RetentionError::Parse { path: path.to_owned(), message };
        let laws: Self = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
        let known = |law: &Law| matches!(law.jurisdiction.as_str(), "US" | "SA" | "EU");
        let wrong = laws.keep.iter().find(|law| !known(law) || law.years > YEARS_MAX || law.groups.is_empty());
        match wrong {
            Some(law) => {
                Err(fail(format!("the rule \"{}\" has no known jurisdiction, no groups, or too many years", law.rule)))
            }
            None => Ok(laws),
        }
    }

    /// What must be kept under the law of a jurisdiction, when the last entry is from then. An entry of which only the year
    /// is known counts as one of its last day.
    #[must_use]
    pub fn of(&self, jurisdiction: &str, last: LastEntry) -> Vec<Retention> {
        let dated = last.year.map(|year| date(year.clamp(1, 9_000), 12, 31));
        let undated = last.undated.map(|at| at.to_zoned(TimeZone::UTC).date());
        let Some(day) = dated.max(undated) else { return Vec::new() };
        let rules = self.keep.iter().filter(|law| law.jurisdiction == jurisdiction);
        rules.map(|law| Retention { groups: law.groups, rule: law.rule.clone(), until: end(day, law.years) }).collect()
    }
}

/// The first instant at which so many years are over.
fn end(day: Date, years: u16) -> Timestamp {
    let last = day.checked_add(jiff::Span::new().years(years)).and_then(Date::tomorrow);
    let end = last.and_then(|day| day.to_zoned(TimeZone::UTC));
    end.map_or(Timestamp::MAX, |end| end.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(year: Option<i16>, undated: Option<&str>) -> LastEntry {
        LastEntry { year, undated: undated.map(|at| at.parse().unwrap()) }
    }

    #[test]
    fn the_file_compiled_in_knows_every_jurisdiction() {
        let laws = Laws::load(Path::new("")).unwrap();
        for jurisdiction in ["US", "SA", "EU"] {
            assert!(!laws.of(jurisdiction, last(Some(2020), None)).is_empty(), "{jurisdiction}");
        }
        assert_eq!(laws.of("US", LastEntry::default()), [], "without an entry nothing must be kept");
    }

    #[test]
    fn the_time_runs_from_the_last_day_of_the_last_entry() {
        let text = "[[keep]]\njurisdiction = \"SA\"\ngroups = [\"clinical\"]\nyears = 10\nrule = \"a law\"\n";
        let laws = Laws::parse(Path::new("x"), text).unwrap();
        let until = |last| laws.of("SA", last).first().unwrap().until.to_string();
        assert_eq!(until(last(Some(2015), None)), "2026-01-01T00:00:00Z");
        assert_eq!(until(last(None, Some("2016-02-29T23:00:00Z"))), "2026-03-01T00:00:00Z");
        assert_eq!(until(last(Some(2015), Some("2016-02-28T01:00:00Z"))), "2026-03-01T00:00:00Z");
        assert_eq!(laws.of("US", last(Some(2015), None)), []);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused() {
        for (jurisdiction, groups, years) in [("FR", "\"clinical\"", 1), ("EU", "", 1), ("EU", "\"clinical\"", 900)] {
            let text = format!(
                "[[keep]]\njurisdiction = \"{jurisdiction}\"\ngroups = [{groups}]\nyears = {years}\nrule = \"a law\"\n"
            );
            assert!(Laws::parse(Path::new("x"), &text).is_err(), "{text}");
        }
        assert!(Laws::parse(Path::new("x"), "[[keeps]]\n").is_err());
        assert_eq!(Laws::parse(Path::new("x"), "").unwrap().keep, []);
    }
}
