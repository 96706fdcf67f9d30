//! Cells with equal outcome, put together so that a person can read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::scene::DIMENSIONS;

/// Number of dimensions beside role, wish and state.
pub(super) const DEPTH: usize = DIMENSIONS.len();

/// Cases: a set of values in each of [`DIMENSIONS`], as bits, and all combinations of them. A single case has one value
/// in each dimension that makes a difference to it, and all in the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Area([u16; DEPTH]);

impl Area {
    /// Every case.
    pub(super) fn any() -> Self {
        Self(DIMENSIONS.map(|(_, values)| (1 << values.len()) - 1))
    }

    /// Of these cases, those with one value in one dimension.
    #[must_use]
    pub(super) fn with(mut self, dimension: usize, value: usize) -> Self {
        if let Some(values) = self.0.get_mut(dimension) {
            *values &= 1 << value;
        }
        self
    }

    /// Whatever the value in one dimension.
    #[must_use]
    pub(super) fn without(mut self, dimension: usize) -> Self {
        if let (Some(values), Some(any)) = (self.0.get_mut(dimension), Self::any().0.get(dimension)) {
            *values = *any;
        }
        self
    }

    /// Whether they have a case in common.
    #[must_use]
    pub fn meets(&self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| mine & theirs != 0)
    }

    /// The values in one dimension.
    #[must_use]
    pub fn values(&self, dimension: usize) -> Vec<&'static str> {
        let values = DIMENSIONS.get(dimension).map_or(&[][..], |(_, values)| values);
        let bits = self.0.get(dimension).copied().unwrap_or_default();
        values.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, value)| *value).collect()
    }

    fn is_any(&self, dimension: usize) -> bool {
        self.0.get(dimension) == Self::any().0.get(dimension)
    }
}

/// `purpose TREAT | relation team`; a dimension in which every value will do is left out.
impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (at, (name, _)) in DIMENSIONS.iter().enumerate() {
            if !self.is_any(at) {
                parts.push(format!("{name} {}", self.values(at).join(",")));
            }
        }
        f.write_str(&if parts.is_empty() { "always".to_owned() } else { parts.join(" | ") })
    }
}

/// Disjoint areas that together are exactly these cases. The last dimension is put together first.
pub(super) fn areas(cases: &BTreeSet<Area>) -> Vec<Area> {
    let mut areas: Vec<_> = cases.iter().map(|case| case.0).collect();
    for dimension in (0..DEPTH).rev() {
        let mut merged: BTreeMap<[u16; DEPTH], u16> = BTreeMap::new();
        for mut area in areas {
            let bits = area.get_mut(dimension).map(std::mem::take).unwrap_or_default();
            *merged.entry(area).or_default() |= bits;
        }
        let whole = |(mut rest, bits): ([u16; DEPTH], u16)| {
            if let Some(at) = rest.get_mut(dimension) {
                *at = bits;
            }
            rest
        };
        areas = merged.into_iter().map(whole).collect();
    }
    areas.sort_unstable();
    areas.into_iter().map(Area).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn case() -> impl Strategy<Value = Area> {
        let sizes: Vec<_> = DIMENSIONS.iter().map(|(_, values)| 0..values.len()).collect();
        sizes.prop_map(|values| {
            values.into_iter().enumerate().fold(Area::any(), |area, (dimension, value)| area.with(dimension, value))
        })
    }

    proptest! {
        #[test]
        fn areas_are_exactly_the_cases_and_do_not_overlap(cases in btree_set(case(), 0..200), other in case()) {
            let areas = areas(&cases);
            for case in cases.iter().chain([&other]) {
                let times = areas.iter().filter(|area| area.meets(*case)).count();
                prop_assert_eq!(times, usize::from(cases.contains(case)));
            }
        }
    }

    #[test]
    fn what_makes_no_difference_is_not_told() {
        let treatment = Area::any().with(0, 0);
        assert_eq!(treatment.to_string(), "purpose TREAT");
        assert_eq!(treatment.with(1, 1).to_string(), "purpose TREAT | relation team");
        assert_eq!(treatment.without(0).to_string(), "always");
    }
}
