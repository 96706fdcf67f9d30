//! The matrix for people: as a text to be read line by line, and as a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use wardbook_events::Role;

use super::Matrix;
use super::boxes::{Area, areas};
use super::scene::{DIMENSIONS, State};

const RELATION: usize = 1;
const BREAK_GLASS: usize = 2;
const PATIENT: usize = 3;

/// A wish and its variant: `sign-record` and `own note`.
fn parts(wish: &str) -> (&str, &str) {
    let (head, variant) = wish.split_once(' ').unwrap_or((wish, ""));
    (head, variant.trim_start_matches('(').trim_end_matches(')'))
}

impl Matrix {
    /// Everything that is allowed, by role and area; then what is lost outside working hours, without a fresh proof, and by who
    /// is an administrator besides.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{} cells, {} allowed\n", self.cells(), self.allowed());
        self.section(&mut text, "ordinary: allowed", |role, wish| self.areas(State::Ordinary, role, wish));
        for state in [State::OffHours, State::Stale, State::AlsoAdmin] {
            let title = format!("{}: no longer allowed", state.name());
            self.section(&mut text, &title, |role, wish| areas(&self.lost(state, role, wish)));
        }
        text
    }

    /// What is allowed ordinarily of a patient who is neither watched nor shut anybody out, but not in this state.
    #[must_use]
    pub fn lost(&self, state: State, role: Role, wish: &str) -> BTreeSet<Area> {
        self.everyday(State::Ordinary, role, wish).difference(&self.everyday(state, role, wish)).copied().collect()
    }

    /// What is allowed in this state, but not ordinarily: there should be nothing.
    #[must_use]
    pub fn gained(&self, state: State, role: Role, wish: &str) -> BTreeSet<Area> {
        self.everyday(state, role, wish).difference(&self.everyday(State::Ordinary, role, wish)).copied().collect()
    }

    /// The cases of a patient who is neither watched nor shut anybody out.
    fn plain(&self, state: State, role: Role, wish: &str) -> BTreeSet<Area> {
        let plain = Area::any().with(PATIENT, 0);
        let cases = self.allowed.get(&(state, role, wish.to_owned())).into_iter().flatten();
        cases.filter(|case| case.meets(plain)).map(|case| case.without(PATIENT)).collect()
    }

    /// Of these, those in which no glass was broken.
    fn everyday(&self, state: State, role: Role, wish: &str) -> BTreeSet<Area> {
        let unbroken = Area::any().with(BREAK_GLASS, 0);
        let cases = self.plain(state, role, wish).into_iter();
        cases.filter(|case| case.meets(unbroken)).map(|case| case.without(BREAK_GLASS)).collect()
    }

    fn section(&self, text: &mut String, title: &str, areas: impl Fn(Role, &str) -> Vec<Area>) {
        let _ = write!(text, "\n# {title}\n"); // writing to a string cannot fail
        for role in Role::ALL {
            let mut by_area: BTreeMap<Area, Vec<(&str, Vec<&str>)>> = BTreeMap::new();
            for wish in &self.wishes {
                let (head, variant) = parts(wish);
                for area in areas(role, wish) {
                    let wishes = by_area.entry(area).or_default();
                    match wishes.last_mut() {
                        Some((last, variants)) if *last == head => variants.push(variant),
                        _ => wishes.push((head, vec![variant])),
                    }
                }
            }
            if !by_area.is_empty() {
                let _ = writeln!(text, "{}", role.name());
            }
            for (area, mut wishes) in by_area {
                let _ = writeln!(text, "  {area}");
                wishes.sort_by_key(|(head, _)| *head);
                for same in wishes.chunk_by(|(one, _), (other, _)| one == other) {
                    let head = same.first().map_or("", |(head, _)| head);
                    let variants: Vec<_> = same.iter().flat_map(|(_, variants)| variants).copied().collect();
                    let colon = if variants.iter().all(|variant| variant.is_empty()) { "" } else { ": " };
                    let _ = writeln!(text, "    {head}{colon}{}", variants.join(", "));
                }
            }
        }
    }

    /// A Markdown table: wishes by roles, with a letter for each relation in which it is allowed.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = String::from("| may |");
        for role in Role::ALL {
            let _ = write!(table, " {} |", role.name());
        }
        let _ = write!(table, "\n|---|{}\n", "---|".repeat(Role::ALL.len()));
        let mut rows: Vec<(&str, Vec<&str>, Vec<String>)> = Vec::new();
        for wish in &self.wishes {
            let (head, variant) = parts(wish);
            let letters: Vec<_> = Role::ALL.into_iter().map(|role| self.letters(role, wish)).collect();
            match rows.iter_mut().find(|(one, _, same)| *one == head && *same == letters) {
                Some((_, variants, _)) => variants.push(variant),
                None => rows.push((head, vec![variant], letters)),
            }
        }
        rows.sort_by_key(|(head, ..)| self.wishes.iter().position(|wish| parts(wish).0 == *head));
        for (head, variants, letters) in rows {
            let variants = variants.join(", ");
            let name = if variants.is_empty() { head.to_owned() } else { format!("{head}: {variants}") };
            let _ = writeln!(table, "| {name} | {} |", letters.join(" | "));
        }
        table
    }

    /// For which purposes each role may do anything but look after its own password.
    #[must_use]
    pub fn purposes(&self) -> String {
        let mut table = String::from("| role | acts for |\n|---|---|\n");
        let (_, purposes) = DIMENSIONS[0];
        for role in Role::ALL {
            let wishes = self.wishes.iter().filter(|wish| !wish.starts_with("change-own-credentials"));
            let cases: BTreeSet<_> = wishes.flat_map(|wish| self.plain(State::Ordinary, role, wish)).collect();
            let acts = |at: usize| cases.iter().any(|case| case.meets(Area::any().with(0, at)));
            let purposes: Vec<_> =
                purposes.iter().enumerate().filter(|(at, _)| acts(*at)).map(|(_, name)| *name).collect();
            let _ = writeln!(table, "| {} | {} |", role.name(), purposes.join(" "));
        }
        table
    }

    fn letters(&self, role: Role, wish: &str) -> String {
        let cases = self.plain(State::Ordinary, role, wish);
        let in_case = |relation, glass| {
            let wanted = Area::any().with(RELATION, relation).with(BREAK_GLASS, glass);
            cases.iter().any(|case| case.meets(wanted))
        };
        let (_, relations) = DIMENSIONS[RELATION];
        let with = |name: &str| relations.iter().position(|one| *one == name).is_some_and(|at| in_case(at, 0));
        if with("none") {
            return "A".to_owned();
        }
        let letters = [("team", "T"), ("department", "D"), ("own", "O"), ("proxy", "P")];
        let mut letters: Vec<_> =
            letters.into_iter().filter(|(name, _)| with(name)).map(|(_, letter)| letter).collect();
        letters.extend(in_case(0, 1).then_some("E"));
        letters.concat()
    }
}
