//! A small hospital in which every case is played.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use wardbook_events::access::AccessReason;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EmergencyId, EventId, Group, GroupSet, PatientId, Purpose, RecordId, Role, TenantId, UserId};

use super::boxes::Area;
use crate::action::{Action, CedarAction};
use crate::facts::{Ask, Emergency, Member, PatientFacts, Principal, RecordFacts, Target, WallClock};
use crate::permit::Verdict;
use crate::policies::Policies;
use crate::question::{self, Question, Wish};

/// `-elsewhere`: the patient is treated in other facilities than those of the asker; `-other-unit`: in other departments.
const RELATIONS: &[&str] = &[
    "none",
    "team",
    "ended",
    "own",
    "own+team",
    "proxy",
    "department",
    "none-elsewhere",
    "team-elsewhere",
    "team-other-unit",
];

/// The dimensions of the matrix beside role, wish and state, with the names of their values.
pub const DIMENSIONS: [(&str, &[&str]); 4] = [
    ("purpose", &["TREAT", "ETREAT", "HPAYMT", "HOPERAT", "HRESCH", "PATRQT", "HCOMPL", "HSYSADMIN"]),
    ("relation", RELATIONS),
    ("break-glass", &["unbroken", "live", "expired"]),
    // Watched, and a reason is given or not; or the patient shut out the asker's role.
    ("patient", &["plain", "watched", "watched+reason", "restricted"]),
];

/// Circumstances that are not the patient's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// In working hours, with a fresh proof of who it is.
    Ordinary,
    /// Outside working hours, off shift and not on call.
    OffHours,
    /// The last full proof of who it is was long ago.
    Stale,
    /// The user is an administrator of accounts besides.
    AlsoAdmin,
    /// The account is disabled.
    Disabled,
    /// The patient belongs to another organisation.
    Foreign,
}

impl State {
    /// All of them. Those after the first are played with patients who are neither watched nor shut anybody out.
    pub const ALL: [Self; 6] =
        [Self::Ordinary, Self::OffHours, Self::Stale, Self::AlsoAdmin, Self::Disabled, Self::Foreign];

    /// The name in the matrix file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::OffHours => "off-hours",
            Self::Stale => "stale",
            Self::AlsoAdmin => "also-admin",
            Self::Disabled => "disabled",
            Self::Foreign => "foreign",
        }
    }
}

const NOW: Timestamp = Timestamp::constant(1_000_000, 0);
const ME: UserId = UserId::from_bytes([1; 16]);
const COLLEAGUE: UserId = UserId::from_bytes([2; 16]);
const HERE: TenantId = TenantId::from_bytes([1; 16]);
const ELSEWHERE: TenantId = TenantId::from_bytes([2; 16]);

/// What a case is about, and what is tried on it.
struct Subject {
    about: About,
    tries: Vec<(String, CedarAction)>,
}

#[derive(Clone)]
enum About {
    Chart,
    /// An entry, and whether the patient agreed to show it.
    Entry(RecordFacts, bool),
    Member(UserId),
    Trail(bool),
    Account(UserId),
    House,
}

impl About {
    /// The outcome hangs on the relation to the patient.
    const fn is_of_patient(&self) -> bool {
        matches!(self, Self::Chart | Self::Entry(..) | Self::Member(_) | Self::Trail(true))
    }

    const fn target<'a>(&'a self, facts: &'a PatientFacts) -> Target<'a> {
        match self {
            Self::Chart => Target::Patient(facts),
            Self::Entry(record, _) => Target::Record(facts, record),
            Self::Member(user) => Target::Member(facts, *user),
            Self::Trail(true) => Target::Audit(Some(facts)),
            Self::Trail(false) => Target::Audit(None),
            Self::Account(user) => Target::User(*user),
            Self::House => Target::Tenant,
        }
    }
}

const fn record(author: Option<UserId>, sensitivity: Vec<Sensitivity>) -> RecordFacts {
    let (record, kind) = (RecordId::from_bytes([4; 16]), RecordKind::Note);
    RecordFacts { record, kind, sensitivity, author, signed: false }
}

/// Every entry with a variant that makes a difference.
fn entries() -> Vec<(&'static str, RecordFacts, bool)> {
    use Sensitivity::{Hiv, MentalHealth, Psychotherapy, Reproductive, SubstanceUse};
    let mine = |labels| record(Some(ME), labels);
    let theirs = |labels| record(Some(COLLEAGUE), labels);
    vec![
        ("own note", mine(vec![]), false),
        ("own signed note", RecordFacts { signed: true, ..mine(vec![]) }, false),
        ("own medication", RecordFacts { kind: RecordKind::Medication, ..mine(vec![]) }, false),
        ("own vital sign", RecordFacts { kind: RecordKind::VitalSign, ..mine(vec![]) }, false),
        ("own PSY", mine(vec![MentalHealth]), false),
        ("own PSYTHPN", mine(vec![Psychotherapy]), false),
        ("own SUD", mine(vec![SubstanceUse]), false),
        ("another's note", theirs(vec![]), false),
        ("another's signed note", RecordFacts { signed: true, ..theirs(vec![]) }, false),
        ("another's PSY", theirs(vec![MentalHealth]), false),
        ("another's HIV", theirs(vec![Hiv]), false),
        ("another's SEX", theirs(vec![Reproductive]), false),
        ("another's SUD", theirs(vec![SubstanceUse]), false),
        ("another's permitted SUD", theirs(vec![SubstanceUse]), true),
        ("another's PSYTHPN", theirs(vec![Psychotherapy]), false),
        ("another's permitted PSYTHPN", theirs(vec![Psychotherapy]), true),
        ("nobody's note", record(None, vec![]), false),
    ]
}

/// Every wish, put to what it is about.
fn subjects() -> Vec<Subject> {
    let groups = Group::ALL.into_iter().filter(|group| *group != Group::Sensitive);
    let mut chart: Vec<_> = groups.map(|group| (format!("read {}", group.name()), CedarAction::Read(group))).collect();
    let (mut house, mut trail, mut whole, mut other, mut myself) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut member, mut mine, mut written) = (vec![], vec![], vec![]);
    for action in Action::all() {
        let name = action.name();
        for asked in CedarAction::of(action).unwrap_or_default() {
            let called = |what: &str| (format!("{name} ({what})"), asked);
            match (action, asked) {
                (_, CedarAction::Write(group)) => chart.push(called(group.name())),
                (
                    Action::AddRecord
                    | Action::AmendRecord
                    | Action::SignRecord
                    | Action::AddAddendum
                    | Action::RetractRecord,
                    _,
                ) => written.push((name, asked)),
                (Action::AssignMember | Action::EndMember, _) => {
                    member.push(called("another"));
                    mine.push(called("self"));
                }
                (Action::ReadAudit | Action::Replay, _) => {
                    trail.push(called("one patient"));
                    whole.push(called("all"));
                }
                _ => {
                    if question::fits(action, Target::User(ME)) {
                        myself.push(called("self"));
                        other.push(called("another"));
                    }
                    if question::fits(action, Target::Tenant) {
                        let both = question::fits(action, Target::User(ME));
                        house.push(if both { called("new") } else { (name.to_owned(), asked) });
                    }
                    if !question::fits(action, Target::User(ME)) && !question::fits(action, Target::Tenant) {
                        chart.push((name.to_owned(), asked));
                    }
                }
            }
        }
    }
    let mut subjects = vec![Subject { about: About::Chart, tries: chart }];
    for (name, facts, permitted) in entries() {
        let read = Policies::readable(Some(&facts)).iter().map(CedarAction::Read);
        let mut tries: Vec<_> = read.map(|asked| (format!("read-record ({name})"), asked)).collect();
        // Who may write is the same for all labels that are alike, and nobody writes what he may not read.
        if !["another's HIV", "another's SEX", "another's permitted SUD"].contains(&name) {
            tries.extend(written.iter().map(|(action, asked)| (format!("{action} ({name})"), *asked)));
        }
        subjects.push(Subject { about: About::Entry(facts, permitted), tries });
    }
    for (about, tries) in [
        (About::Member(COLLEAGUE), member),
        (About::Member(ME), mine),
        (About::Trail(true), trail),
        (About::Trail(false), whole),
        (About::Account(COLLEAGUE), other),
        (About::Account(ME), myself),
        (About::House, house),
    ] {
        subjects.push(Subject { about, tries });
    }
    subjects
}

pub(super) fn wishes() -> Vec<String> {
    subjects().into_iter().flat_map(|subject| subject.tries).map(|(name, _)| name).collect()
}

pub(super) fn is_of_patient(wish: &str) -> bool {
    let of_patient = |subject: &Subject| subject.about.is_of_patient();
    subjects().into_iter().filter(of_patient).any(|subject| subject.tries.iter().any(|(name, _)| name == wish))
}

/// Plays every case of some roles and actions, and tells of each what the policies say.
pub(super) fn walk(
    policies: &Policies,
    roles: &[Role],
    asked: impl Fn(CedarAction) -> bool,
    mut tell: impl FnMut((State, Role, &str), Area, &Verdict),
) {
    for mut subject in subjects() {
        subject.tries.retain(|(_, action)| asked(*action));
        if subject.tries.is_empty() {
            continue;
        }
        for role in roles {
            // Different cases may be one question to the policies: an assignment that ended is none.
            let mut answered: HashMap<Question, Vec<Verdict>> = HashMap::new();
            for state in State::ALL {
                for case in cases(state, &subject.about) {
                    let (who, facts, ask) = cast(state, *role, case, &subject.about);
                    let target = subject.about.target(&facts);
                    let question = Question::about(&who, Wish::Read(GroupSet::EMPTY), target, &ask);
                    let verdicts = answered.entry(question).or_insert_with_key(|question| {
                        policies.inner().answers(question, subject.tries.iter().map(|(_, asked)| *asked))
                    });
                    for ((wish, _), verdict) in subject.tries.iter().zip(verdicts) {
                        tell((state, *role, wish), case, verdict);
                    }
                }
            }
        }
    }
}

/// All combinations that can make a difference.
fn cases(state: State, about: &About) -> Vec<Area> {
    let mut cases = vec![Area::any()];
    for (dimension, (name, values)) in DIMENSIONS.iter().enumerate() {
        let counts = match *name {
            "purpose" => true,
            "relation" => about.is_of_patient(),
            "break-glass" => about.is_of_patient() && matches!(state, State::Ordinary | State::Foreign),
            _ => about.is_of_patient() && state == State::Ordinary,
        };
        if counts {
            cases = cases
                .into_iter()
                .flat_map(|case| (0..values.len()).map(move |value| case.with(dimension, value)))
                .collect();
        }
    }
    cases
}

/// Who asks about whom, and how.
fn cast(state: State, role: Role, case: Area, about: &About) -> (Principal, PatientFacts, Ask) {
    // Where it makes no difference, the first value stands for all.
    let value = |dimension| case.values(dimension).first().copied().unwrap_or_default();
    let soon = NOW + SignedDuration::from_secs(1);
    let mut who = Principal::new(ME, HERE, BTreeSet::from([role]));
    if state == State::AlsoAdmin {
        who.roles.insert(Role::Admin);
    }
    who.active = state != State::Disabled;
    who.fresh_until = (state != State::Stale).then_some(soon);
    // What a key is for is settled before the policies are asked; a program is played with a key for everything.
    let mut facts = PatientFacts::new(PatientId::from_bytes([3; 16]), HERE);
    if state == State::Foreign {
        facts.tenant = ELSEWHERE;
    }
    let member = |until| Member { function: Function::Attending, until };
    facts.members.insert(COLLEAGUE, member(None));
    match value(1) {
        "team" => {
            facts.members.insert(ME, member(Some(soon)));
        }
        // The deadline itself is already too late.
        "ended" => {
            facts.members.insert(ME, member(Some(NOW)));
        }
        "own" => who.patient = Some(facts.patient),
        "own+team" => {
            who.patient = Some(facts.patient);
            facts.members.insert(ME, member(None));
        }
        "proxy" => {
            facts.proxies.insert(ME, Some(soon));
        }
        relation @ ("none-elsewhere" | "team-elsewhere") => {
            who.facilities.insert("north".to_owned());
            facts.facilities.insert("south".to_owned());
            facts.members.extend(relation.starts_with("team").then(|| (ME, member(None))));
        }
        "team-other-unit" => {
            who.departments.insert("ward".to_owned());
            facts.departments.insert("theatre".to_owned());
            facts.members.insert(ME, member(None));
        }
        "department" => {
            who.departments.insert("ward".to_owned());
            facts.departments.insert("ward".to_owned());
        }
        _ => {}
    }
    let broken = |expires_at| Emergency { emergency: EmergencyId::from_bytes([6; 16]), expires_at };
    facts.emergencies.extend(match value(2) {
        "live" => Some((ME, broken(soon))),
        "expired" => Some((ME, broken(NOW))),
        _ => None,
    });
    facts.vip = value(3).starts_with("watched");
    if value(3) == "restricted" {
        facts.denied_roles.insert(role);
    }
    if let About::Entry(_, true) = about {
        facts.sud_permitted = true;
        facts.psychotherapy_to.insert(ME);
    }
    let purpose = value(0).parse().unwrap_or(Purpose::Research);
    let mut ask = Ask::new(NOW, purpose, EventId::from_bytes([5; 16]));
    ask.reason = (value(3) == "watched+reason").then_some(AccessReason::DirectCare);
    if state == State::OffHours {
        ask.clock = WallClock { open: false, ..WallClock::OPEN };
    }
    (who, facts, ask)
}
