//! Who may do what, in full, against a table that a person has read line by line: `matrix.txt`.
//!
//! After a change of policy: `UPDATE_MATRIX=1 cargo test -p wardbook-policy matrix`, then read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::SignedDuration;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{Group, GroupSet, Purpose, Role};
use wardbook_policy::{Action, Ask, PatientFacts, Policies, Principal, RecordFacts, Target};

use crate::facts::{NOW, ask, colleague, me, member, patient, patient_facts, principal, record, tenant};

/// How the asker stands to the patient.
const RELATIONS: [&str; 6] = ["stranger", "team", "ended", "own", "own+team", "proxy"];

fn relate(relation: &str, who: &mut Principal, facts: &mut PatientFacts) {
    match relation {
        "stranger" => {}
        "team" => {
            facts.members.insert(me(), member(Function::Attending, Some(NOW + SignedDuration::from_secs(1))));
        }
        // The deadline itself is already too late.
        "ended" => {
            facts.members.insert(me(), member(Function::Attending, Some(NOW)));
        }
        "own" => who.patient = Some(patient()),
        "own+team" => {
            who.patient = Some(patient());
            facts.members.insert(me(), member(Function::Attending, None));
        }
        "proxy" => drop(facts.proxies.insert(me(), None)),
        other => panic!("unknown relation {other}"),
    }
}

/// What can be read: field groups of the chart, and entries with labels.
fn readable(policies: &Policies, who: &Principal, facts: &PatientFacts, ask: &Ask) -> Vec<String> {
    let read = |record: Option<&RecordFacts>| {
        let permit = policies.read(who, facts, record, ask, GroupSet::all(), Action::ReadRecords);
        permit.map_or(GroupSet::EMPTY, |permit| permit.groups())
    };
    let mut seen: Vec<_> = read(None).iter().map(|group| group.name().to_owned()).collect();
    assert_eq!(
        read(None).contains(Group::Clinical),
        read(Some(&record(Some(colleague()), &[]))).contains(Group::Clinical),
        "an entry without a label is as readable as the chart"
    );
    for (name, author, label) in [
        ("sensitive", colleague(), Sensitivity::Hiv),
        ("psychotherapy-of-another", colleague(), Sensitivity::Psychotherapy),
        ("psychotherapy-of-self", me(), Sensitivity::Psychotherapy),
    ] {
        let groups = read(Some(&record(Some(author), &[label])));
        assert!(!groups.contains(Group::Clinical), "a labelled entry is never clinical");
        seen.extend(groups.contains(Group::Sensitive).then(|| name.to_owned()));
    }
    seen
}

/// Every deed with the variants that make a difference.
fn deeds() -> Vec<(String, Action, Option<RecordFacts>, Option<&'static str>)> {
    let mine = || record(Some(me()), &[]);
    let records = [
        ("own note", mine()),
        ("own signed note", RecordFacts { signed: true, ..mine() }),
        ("own medication", RecordFacts { kind: RecordKind::Medication, ..mine() }),
        ("own labelled note", record(Some(me()), &[Sensitivity::SubstanceUse])),
        ("own psychotherapy note", record(Some(me()), &[Sensitivity::Psychotherapy])),
        ("another's signed note", RecordFacts { signed: true, ..record(Some(colleague()), &[]) }),
        ("another's note", record(Some(colleague()), &[])),
        ("another's psychotherapy note", record(Some(colleague()), &[Sensitivity::Psychotherapy])),
        ("nobody's note", record(None, &[])),
    ];
    let mut deeds = Vec::new();
    for action in Action::all() {
        let name = action.name();
        match action {
            Action::ReadChart | Action::ReadRecords => {}
            Action::CorrectPatient(groups) => {
                for group in groups.iter() {
                    let one = Action::CorrectPatient(GroupSet::EMPTY.with(group));
                    deeds.push((format!("{name} ({group})"), one, None, Some("patient")));
                }
            }
            Action::AddRecord
            | Action::AmendRecord
            | Action::SignRecord
            | Action::AddAddendum
            | Action::RetractRecord => {
                for (variant, facts) in &records {
                    deeds.push((format!("{name} ({variant})"), action, Some(facts.clone()), None));
                }
            }
            Action::AssignMember | Action::EndMember => {
                deeds.push((format!("{name} (self)"), action, None, Some("member self")));
                deeds.push((format!("{name} (another)"), action, None, Some("member other")));
            }
            Action::MergePatients
            | Action::FlagPatient
            | Action::ReadOwnAccessList
            | Action::StartEmergency
            | Action::ManageConsent => {
                deeds.push((name.to_owned(), action, None, Some("patient")));
            }
            Action::ReadAudit | Action::Replay => {
                deeds.push((format!("{name} (one patient)"), action, None, Some("audit one")));
                deeds.push((format!("{name} (all)"), action, None, Some("audit all")));
            }
            Action::ManageUsers
            | Action::ManageSessions
            | Action::ManageServices
            | Action::GrantRoles
            | Action::ChangeOwnCredentials
            | Action::DecideElevation => {
                deeds.push((format!("{name} (self)"), action, None, Some("user self")));
                deeds.push((format!("{name} (another)"), action, None, Some("user other")));
                deeds.push((format!("{name} (new)"), action, None, None));
            }
            _ => {
                deeds.push((name.to_owned(), action, None, None));
            }
        }
    }
    deeds
}

fn target<'a>(about: Option<&str>, facts: &'a PatientFacts, record: Option<&'a RecordFacts>) -> Target<'a> {
    match (about, record) {
        (_, Some(record)) => Target::Record(facts, record),
        (Some("patient"), _) => Target::Patient(facts),
        (Some("member self"), _) => Target::Member(facts, me()),
        (Some("member other"), _) => Target::Member(facts, colleague()),
        (Some("audit one"), _) => Target::Audit(Some(facts)),
        (Some("audit all"), _) => Target::Audit(None),
        (Some("user self"), _) => Target::User(me()),
        (Some("user other"), _) => Target::User(colleague()),
        _ => Target::Tenant,
    }
}

/// Relations with equal outcome share a line.
fn lines(table: &mut String, role: Role, outcomes: BTreeMap<(String, String), Vec<&str>>) {
    for ((what, outcome), relations) in outcomes {
        let relations = if relations.len() == RELATIONS.len() { "anyone".to_owned() } else { relations.join(",") };
        writeln!(table, "{} | {what} | {relations} | {outcome}", role.name()).unwrap();
    }
}

/// One table; `alter` makes an asker or patient who must not get anything.
fn table(policies: &Policies, alter: impl Fn(&mut Principal, &mut PatientFacts)) -> String {
    let mut table = String::new();
    for role in Role::ALL {
        let mut reads: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut acts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for relation in RELATIONS {
            let (mut who, mut facts) = (principal(role), patient_facts());
            relate(relation, &mut who, &mut facts);
            who.fresh_until = Some(NOW + SignedDuration::from_secs(1));
            alter(&mut who, &mut facts);
            for purpose in Purpose::ALL {
                let seen = readable(policies, &who, &facts, &ask(purpose));
                if !seen.is_empty() {
                    reads.entry((format!("read for {}", purpose.code()), seen.join(" "))).or_default().push(relation);
                }
            }
            for (name, action, record, about) in deeds() {
                let may = |purpose: &Purpose| {
                    let target = target(about, &facts, record.as_ref());
                    policies.act(&who, action, target, &ask(*purpose)).is_ok()
                };
                let purposes: Vec<_> = Purpose::ALL.into_iter().filter(may).map(Purpose::code).collect();
                if !purposes.is_empty() {
                    acts.entry((name, purposes.join(" "))).or_default().push(relation);
                }
            }
        }
        lines(&mut table, role, reads);
        lines(&mut table, role, acts);
    }
    table
}

#[test]
fn matrix_is_as_reviewed() {
    let found = table(&Policies::shipped().unwrap(), |_, _| {});
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix.txt");
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    for (line, (found, reviewed)) in found.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(found, reviewed, "line {} of matrix.txt", line + 1);
    }
    assert_eq!(found.lines().count(), reviewed.lines().count(), "number of lines in matrix.txt");
}

#[test]
fn disabled_accounts_get_nothing_at_all() {
    assert_eq!(table(&Policies::shipped().unwrap(), |who, _| who.active = false), "");
}

#[test]
fn other_organisations_patients_are_out_of_reach() {
    let found = table(&Policies::shipped().unwrap(), |_, facts| facts.tenant = tenant(2));
    // What is left is about one's own organisation, not about the patient.
    for line in found.lines() {
        let what = line.split(" | ").nth(1).unwrap();
        let patients =
            ["read", "correct", "merge", "flag", "add", "amend", "sign", "retract", "assign", "end", "start"];
        assert!(
            !patients.iter().any(|name| what.starts_with(name))
                || what.starts_with("read-alerts")
                || what.ends_with("(all)"),
            "{line}"
        );
    }
}

#[test]
fn a_second_role_adds_no_clinical_access_to_an_admin() {
    let policies = Policies::shipped().unwrap();
    let (mut who, mut facts) = (principal(Role::Admin), patient_facts());
    who.roles.insert(Role::Physician);
    facts.members.insert(me(), member(Function::Attending, None));
    let note = record(Some(me()), &[]);
    let treat = ask(Purpose::Treatment);
    let permit = policies.read(&who, &facts, None, &treat, GroupSet::all(), Action::ReadChart).unwrap();
    assert!(!permit.groups().contains(Group::Clinical));
    let denial = policies.act(&who, Action::AddRecord, Target::Record(&facts, &note), &treat).unwrap_err();
    assert_eq!(denial.policies(), ["deny-admin-clinical"]);
}
