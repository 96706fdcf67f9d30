//! Who may do what, in full, against a file that a person has read line by line: `matrix.txt`.
//!
//! After a change of policy: `UPDATE_MATRIX=1 cargo test -p wardbook-policy matrix`, then read the difference.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use wardbook_events::{Group, GroupSet, Purpose, Role};
use wardbook_policy::matrix::{Matrix, State};
use wardbook_policy::{Action, Policies, Target};

use crate::facts::{ask, me, principal, record, treated};

static MATRIX: LazyLock<Matrix> = LazyLock::new(|| Matrix::walk(&Policies::shipped().unwrap()));

/// Compares a file with what it should hold, or writes it.
fn same(path: PathBuf, found: &str) {
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    for (line, (found, reviewed)) in found.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(found, reviewed, "line {} of {}", line + 1, path.display());
    }
    assert_eq!(found.lines().count(), reviewed.lines().count(), "number of lines in {}", path.display());
}

/// One test, because the walk takes seconds and every test is a process of its own.
#[test]
fn matrix_is_as_reviewed() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    same(here.join("tests/matrix.txt"), &MATRIX.text());
    assert!(MATRIX.cells() > 1_000_000, "{} cells", MATRIX.cells());

    let permissions = here.join("../docs/PERMISSIONS.md");
    let text = std::fs::read_to_string(&permissions).unwrap();
    let (head, _) = text.split_once("<!-- made by the matrix test -->\n").expect("a mark where the tables begin");
    let tables = format!("{}\n{}", MATRIX.purposes(), MATRIX.table());
    same(permissions, &format!("{head}<!-- made by the matrix test -->\n{tables}"));

    let policies = Policies::shipped().unwrap();
    for role in Role::ALL {
        for wish in MATRIX.wishes() {
            assert_eq!(MATRIX.areas(State::Disabled, role, wish), [], "a disabled {role:?}: {wish}");
            let foreign = MATRIX.areas(State::Foreign, role, wish);
            assert!(foreign.is_empty() || !MATRIX.is_of_patient(wish), "{role:?} elsewhere: {wish}");
            for state in [State::OffHours, State::Stale] {
                assert!(MATRIX.gained(state, role, wish).is_empty(), "{role:?} {state:?} gains {wish}");
            }
            let treats = [Role::Physician, Role::Nurse, Role::Paramedic, Role::EmergencyStaff].contains(&role);
            for area in MATRIX.areas(State::Ordinary, role, wish).iter().filter(|area| area.values(2) == ["live"]) {
                let reading = wish.starts_with("read") && treats && area.values(0) == ["ETREAT"];
                assert!(reading, "a broken glass opens {wish} for {role:?}: {area}");
                assert!(!area.values(1).iter().any(|relation| relation.starts_with("own")), "one's own chart: {area}");
                assert!(!wish.contains("PSYTHPN"), "{area}");
            }
        }
    }
    assert_eq!(MATRIX.idle(&policies), [], "policies that decide nothing");
    assert_eq!(MATRIX.shadowed(&policies), [], "policies that grant nothing of their own");
    assert!(policies.rules().iter().all(|rule| !rule.why.is_empty()), "every policy has its @why");
}

#[test]
fn a_second_role_adds_no_clinical_access_to_an_admin() {
    let policies = Policies::shipped().unwrap();
    for admin in [Role::Admin, Role::SecurityAdmin, Role::SystemAdmin, Role::DatabaseAdmin] {
        let (mut who, facts) = (principal(admin), treated());
        who.roles.insert(Role::Physician);
        let note = record(Some(me()), &[]);
        let treat = ask(Purpose::Treatment);
        let permit = policies.read(&who, &facts, None, &treat, GroupSet::all(), Action::ReadChart).unwrap();
        assert!(!permit.groups().contains(Group::Clinical));
        let denial = policies.act(&who, Action::AddRecord, Target::Record(&facts, &note), &treat).unwrap_err();
        assert_eq!(denial.policies(), ["deny-admin-clinical"]);
    }
}
