//! What an import did, by type and reason. No content of any resource.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts of one type, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Became events in this run.
    pub imported: u64,
    /// Were there from an earlier run.
    pub already_there: u64,
    /// Were left out.
    pub skipped: u64,
}

impl Counts {
    /// All that were looked at.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.imported + self.already_there + self.skipped
    }
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By FHIR type.
    pub types: BTreeMap<String, Counts>,
    /// Why resources were left out: type, reason, how many.
    pub skipped: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Report {
    pub(super) fn imported(&mut self, kind: &str) {
        self.of(kind).imported += 1;
    }

    pub(super) fn already_there(&mut self, kind: &str) {
        self.of(kind).already_there += 1;
    }

    pub(super) fn skip(&mut self, kind: &str, reason: &str) {
        self.of(kind).skipped += 1;
        *self.skipped.entry(kind.to_owned()).or_default().entry(reason.to_owned()).or_default() += 1;
    }

    fn of(&mut self, kind: &str) -> &mut Counts {
        self.types.entry(kind.to_owned()).or_default()
    }

    /// All types together.
    #[must_use]
    pub fn totals(&self) -> Counts {
        self.types.values().fold(Counts::default(), |sum, one| Counts {
            imported: sum.imported + one.imported,
            already_there: sum.already_there + one.already_there,
            skipped: sum.skipped + one.skipped,
        })
    }

    /// Types and reasons in one line each, for the ledger.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<String, u64> {
        let of = |(kind, reasons): (&String, &BTreeMap<String, u64>)| {
            let kind = kind.clone();
            reasons.iter().map(move |(reason, count)| (format!("{kind}: {reason}"), *count)).collect::<Vec<_>>()
        };
        self.skipped.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dropped_silently() {
        let mut report = Report::default();
        report.imported("Patient");
        report.already_there("Patient");
        report.skip("Specimen", "type is not supported");
        report.skip("Specimen", "type is not supported");
        let totals = report.totals();
        assert_eq!((totals.read(), totals.imported, totals.already_there, totals.skipped), (4, 1, 1, 2));
        assert_eq!(report.reasons(), [("Specimen: type is not supported".to_owned(), 2)].into());
    }
}
