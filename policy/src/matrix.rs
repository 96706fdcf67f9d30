//! The matrix: what a set of policies says to every role, in every relation to a patient, for every purpose.
//!
//! A test compares it with a file that a person has read line by line (`policy/tests/matrix.txt`), `docs/PERMISSIONS.md` is
//! made from it, and `wardbook policy diff` shows what a change of policies changes. Cells with equal outcome are put
//! together into boxes, so that it can be read: a box is a set of values in each dimension.

mod boxes;
mod print;
mod scene;

use std::collections::{BTreeMap, BTreeSet};

use wardbook_events::Role;

use crate::action::CedarAction;
use crate::explain::Rule;
use crate::policies::Policies;

pub use boxes::Area;
pub use scene::{DIMENSIONS, State};

/// What somebody may want, such as `read clinical` or `sign-record (own note)`.
pub type Wish = String;

/// What a set of policies says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    /// The cells in which it is allowed.
    allowed: BTreeMap<(State, Role, Wish), BTreeSet<Area>>,
    /// Every wish in the order in which it is asked.
    wishes: Vec<Wish>,
    cells: usize,
    /// Policies that had a say in the outcome of at least one cell.
    deciding: BTreeSet<String>,
    /// Policies that said yes where nobody else did.
    alone: BTreeSet<String>,
}

impl Matrix {
    /// Asks the policies about every cell. Takes seconds.
    #[must_use]
    pub fn walk(policies: &Policies) -> Self {
        Self::walk_over(policies, &|_| true)
    }

    /// What a change of policies changes: [`Matrix::differences`], without asking about actions that the same policies decide
    /// before and after.
    #[must_use]
    pub fn changes(old: &Policies, new: &Policies) -> Vec<String> {
        let may_differ = |action| !old.inner().same(new.inner(), action);
        Self::walk_over(new, &may_differ).differences(&Self::walk_over(old, &may_differ))
    }

    fn walk_over(policies: &Policies, asked: &(impl Fn(CedarAction) -> bool + Sync)) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, Into::into);
        let shares = Role::ALL.chunks(Role::ALL.len().div_ceil(workers));
        std::thread::scope(|scope| {
            let walk = |roles| scope.spawn(move || Self::of(policies, roles, asked));
            let walking: Vec<_> = shares.map(walk).collect();
            // A thread that is gone took its cells with it: the count of cells would tell.
            walking.into_iter().filter_map(|part| part.join().ok()).fold(Self::default(), Self::joined)
        })
    }

    fn of(policies: &Policies, roles: &[Role], asked: &(impl Fn(CedarAction) -> bool + ?Sized)) -> Self {
        let mut matrix = Self { wishes: scene::wishes(), ..Self::default() };
        scene::walk(policies, roles, asked, |(state, role, wish), case, verdict| {
            matrix.cells += 1;
            if let (true, [one]) = (verdict.allowed, verdict.policies.as_slice()) {
                matrix.alone.insert(one.clone());
            }
            for policy in &verdict.policies {
                if !matrix.deciding.contains(policy) {
                    matrix.deciding.insert(policy.clone());
                }
            }
            if verdict.allowed {
                matrix.allowed.entry((state, role, wish.to_owned())).or_default().insert(case);
            }
        });
        matrix
    }

    fn joined(mut self, other: Self) -> Self {
        self.wishes = other.wishes;
        self.cells += other.cells;
        self.allowed.extend(other.allowed);
        self.deciding.extend(other.deciding);
        self.alone.extend(other.alone);
        self
    }

    /// Every wish, in the order in which it is asked.
    #[must_use]
    pub fn wishes(&self) -> &[Wish] {
        &self.wishes
    }

    /// Whether a wish is about a patient, and not about the organisation or an account.
    #[must_use]
    pub fn is_of_patient(&self, wish: &str) -> bool {
        scene::is_of_patient(wish)
    }

    /// How many cells were asked about.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// How many of them are allowed.
    #[must_use]
    pub fn allowed(&self) -> usize {
        self.allowed.values().map(BTreeSet::len).sum()
    }

    /// Policies that decide no cell: the rule is never needed, or the matrix does not know the case it is for.
    #[must_use]
    pub fn idle(&self, policies: &Policies) -> Vec<Rule> {
        policies.rules().into_iter().filter(|rule| !self.deciding.contains(&rule.name)).collect()
    }

    /// Permits that never allow anything that another does not allow as well, and come with no obligation.
    #[must_use]
    pub fn shadowed(&self, policies: &Policies) -> Vec<Rule> {
        let duties = |rule: &Rule| policies.obligations(&rule.name).is_empty();
        let rules = policies.rules().into_iter();
        rules.filter(|rule| !rule.forbids && !self.alone.contains(&rule.name) && duties(rule)).collect()
    }

    /// The areas in which somebody may do something.
    #[must_use]
    pub fn areas(&self, state: State, role: Role, wish: &str) -> Vec<Area> {
        self.allowed.get(&(state, role, wish.to_owned())).map(boxes::areas).unwrap_or_default()
    }

    /// What the other allows and this does not (`-`), and what this allows and the other does not (`+`): one line an area,
    /// `+ STATE | ROLE | WISH | AREA`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<_> = self.allowed.keys().chain(other.allowed.keys()).collect();
        let none = BTreeSet::new();
        let mut lines = Vec::new();
        for key in keys {
            let (mine, theirs) = (self.allowed.get(key).unwrap_or(&none), other.allowed.get(key).unwrap_or(&none));
            let (state, role, wish) = key;
            let mut tell = |sign, cells: BTreeSet<Area>| {
                let areas = boxes::areas(&cells);
                lines.extend(
                    areas.iter().map(|area| format!("{sign} {} | {} | {wish} | {area}", state.name(), role.name())),
                );
            };
            tell('-', theirs.difference(mine).copied().collect());
            tell('+', mine.difference(theirs).copied().collect());
        }
        lines
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    /// Of one role and some actions, because everything takes long.
    #[test]
    fn the_shortcut_to_changes_leaves_none_out() {
        let old = Policies::shipped().unwrap();
        let rule =
            "forbid (principal in Wardbook::Role::\"nurse\", action == Wardbook::Action::\"readContact\", resource);";
        let new = Policies::shipped_and(&format!("@id(\"no-contact\") @why(\"a test\") {rule}")).unwrap();
        let of = |policies, asked: &dyn Fn(CedarAction) -> bool| Matrix::of(policies, &[Role::Nurse], asked);
        let some = |action| {
            use wardbook_events::Group::{Billing, Contact, Demographics};
            let groups = [Contact, Demographics, Billing].map(CedarAction::Read);
            groups.contains(&action) || action == CedarAction::Act("assignMember")
        };
        let may_differ = |action| !old.inner().same(new.inner(), action);
        let changes = of(&new, &may_differ).differences(&of(&old, &may_differ));
        assert_eq!(changes, of(&new, &some).differences(&of(&old, &some)));
        assert!(
            changes.iter().all(|line| line.starts_with("- ") && line.contains("| nurse | read contact |")),
            "{changes:?}"
        );
        assert!(!changes.is_empty());
        assert!(may_differ(CedarAction::Read(wardbook_events::Group::Contact)));
        assert!(!may_differ(CedarAction::Act("searchPatients")));
    }
}
