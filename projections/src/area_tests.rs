//! Given these events, when this is asked, then these rows: the views of the areas and the facts made from them.

use wardbook_events::patients::{GroupsErased, PatientErased};
use wardbook_events::records::RecordKind;
use wardbook_events::{ErasureId, Field, Group, GroupSet, PatientId, Role, TokenKind};

use crate::records::{RecordFilter, State};
use crate::testing::{Log, at, patient, record, sealed, session, tenant, token, user, views};
use crate::{Stretch, Views};

fn found(views: &Views, tokens: &[(TokenKind, u64)]) -> Vec<PatientId> {
    let tokens: Vec<_> = tokens.iter().map(|(kind, number)| vec![token(*kind, *number)]).collect();
    let mut found = views.patients.search(tenant(0), &tokens, 100).unwrap();
    found.sort();
    found
}

fn sorted(numbers: &[u64]) -> Vec<PatientId> {
    let mut patients: Vec<_> = numbers.iter().map(|number| patient(*number)).collect();
    patients.sort();
    patients
}

use TokenKind::{BirthDate, FamilyName, Ssn};

#[test]
fn patients_are_found_by_all_of_their_tokens() {
    let mut log = Log::default();
    for number in 0..6 {
        log.register(number, vec![token(FamilyName, number % 2), token(BirthDate, number % 3), token(Ssn, number)]);
    }
    let (_dir, views) = views(&log);
    assert_eq!(found(&views, &[(FamilyName, 1)]), sorted(&[1, 3, 5]));
    assert_eq!(found(&views, &[(FamilyName, 1), (BirthDate, 0)]), sorted(&[3]));
    assert_eq!(found(&views, &[(Ssn, 4), (FamilyName, 1)]), []);
    assert_eq!(found(&views, &[(Ssn, 1), (Ssn, 2)]), []);
    assert_eq!(found(&views, &[]), []);
    let any = |sets: &[Vec<wardbook_events::Token>]| {
        let mut found = views.patients.search(tenant(0), sets, 100).unwrap();
        found.sort();
        found
    };
    let one_or_two = vec![token(Ssn, 1), token(Ssn, 2)];
    assert_eq!(any(std::slice::from_ref(&one_or_two)), sorted(&[1, 2]), "one token of a set is enough");
    assert_eq!(any(&[one_or_two.clone(), vec![token(FamilyName, 0)]]), sorted(&[2]));
    assert_eq!(any(&[one_or_two, Vec::new()]), [], "nobody has a token of none");
    assert_eq!(views.patients.search(tenant(0), &[vec![token(FamilyName, 1)]], 2).unwrap().len(), 2);
    assert_eq!(views.patients.search(tenant(1), &[vec![token(FamilyName, 1)]], 9).unwrap(), [], "another organisation");
}

#[test]
fn a_correction_replaces_fields_and_tokens() {
    let mut log = Log::default();
    log.register(1, vec![token(FamilyName, 1), token(Ssn, 1)]);
    log.correct(1, vec![token(FamilyName, 2)]);
    log.flag(1, true);
    let (_dir, views) = views(&log);
    let known = views.patients.get(patient(1)).unwrap().unwrap();
    assert_eq!(known.fields.0, [(Field::Name, sealed(101))].into());
    assert_eq!((known.version, known.changed, known.vip), (3, 2, true));
    let name = known.sealed::<()>(Field::Name).unwrap();
    assert_eq!((name.stream(), name.subject()), (format!("patients-{}", patient(1)).as_str(), patient(1)));
    assert_eq!(found(&views, &[(FamilyName, 1)]), []);
    assert_eq!(found(&views, &[(Ssn, 1)]), []);
    assert_eq!(found(&views, &[(FamilyName, 2)]), [patient(1)]);
    assert_eq!(views.patients.get(patient(2)).unwrap(), None);
}

#[test]
fn a_merged_patient_is_one_person_with_the_one_who_goes_on() {
    let mut log = Log::default();
    for number in 1..=3 {
        log.register(number, vec![token(FamilyName, number)]);
        log.write(number, number, RecordKind::Note, None);
        log.assign(number, number, Some(at(500 + number as i64)));
    }
    log.assign(1, 2, None);
    log.merge(1, 2);
    log.merge(2, 3);
    let (_dir, views) = views(&log);
    assert_eq!(found(&views, &[(FamilyName, 1)]), [patient(3)]);
    let mut family = vec![patient(3)];
    family.extend(sorted(&[1, 2]));
    for number in 1..=3 {
        let known = views.patient_facts(patient(number)).unwrap().unwrap();
        assert_eq!(known.facts.patient, patient(number));
        assert_eq!(*known.family, *family);
        assert_eq!(known.survivor(), patient(3));
        let until = |member| known.facts.members.get(&user(member)).map(|member| member.until);
        assert_eq!((until(1), until(2), until(3)), (Some(None), Some(Some(at(502))), Some(Some(at(503)))));
        assert_eq!(known.facts.departments.len(), 3);
    }
    let page = views.records.list(&family, &RecordFilter::default(), None, 10).unwrap();
    assert_eq!(page.items.iter().map(|item| item.record).collect::<Vec<_>>(), [record(3), record(2), record(1)]);
    assert_eq!(page.items[2].patient, patient(1), "sealed under the key of the one it was written for");

    let before = log.events.len();
    log.unmerge(1, 2);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let known = views.patient_facts(patient(1)).unwrap().unwrap();
    assert_eq!(*known.family, [patient(1)]);
    assert_eq!(known.facts.members.keys().collect::<Vec<_>>(), [&user(1)]);
    assert_eq!(found(&views, &[(FamilyName, 1)]), [patient(1)]);
}

#[test]
fn records_are_listed_newest_first_and_filtered() {
    let mut log = Log::default();
    for number in 0..20 {
        let kind = if number % 2 == 0 { RecordKind::Note } else { RecordKind::LabResult };
        log.write(number, number % 4 / 3, kind, (number % 5 != 0).then_some(2000 + number as i16));
    }
    let (_dir, views) = views(&log);
    let list = |filter: RecordFilter, size| {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = views.records.list(&[patient(0), patient(1)], &filter, before, size).unwrap();
            assert!(page.items.len() <= size);
            all.extend(page.items.into_iter().map(|item| item.position));
            before = page.next;
            if before.is_none() {
                return all;
            }
        }
    };
    assert_eq!(list(RecordFilter::default(), 3), (0..20).rev().collect::<Vec<_>>());
    assert_eq!(
        list(RecordFilter { kind: Some(RecordKind::Note), ..RecordFilter::default() }, 20),
        [18, 16, 14, 12, 10, 8, 6, 4, 2, 0]
    );
    assert_eq!(list(RecordFilter { years: Some(2003..=2006), ..RecordFilter::default() }, 1), [6, 4, 3]);
    assert_eq!(views.records.list(&[patient(9)], &RecordFilter::default(), None, 5).unwrap().items, []);
}

#[test]
fn an_entry_goes_from_draft_to_signed_to_retracted() {
    use wardbook_events::records::{AddendumAdded, RecordAmended, RecordRetracted, stream};
    let (mut log, id, of) = (Log::default(), record(1), patient(1));
    log.write(1, 1, RecordKind::Note, Some(2020));
    log.add(
        stream(id),
        &[of],
        RecordAmended { record: id, patient: of, year: Some(2021), old: sealed(1), new: sealed(2) },
    );
    log.sign(1, 1);
    log.add(stream(id), &[of], AddendumAdded { record: id, patient: of, author: user(2), text: sealed(3) });
    let (_dir, views) = views(&log);
    let known = views.records.get(id).unwrap().unwrap();
    assert_eq!(known.state, State::Signed { by: user(1), at: at(2) });
    assert_eq!((known.year, known.version, known.position), (Some(2021), 4, 0));
    assert_eq!(known.sealed_body().ciphertext(), &sealed(2));
    assert_eq!((known.addenda[0].author, known.addenda[0].at), (user(2), at(3)));
    assert_eq!(known.sealed_addendum(&known.addenda[0]).field(), Field::RecordAddendum);
    assert!(known.facts().signed);

    let before = log.events.len();
    log.add(stream(id), &[of], RecordRetracted { record: id, patient: of, by: user(1) });
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let list = |retracted| {
        views.records.list(&[of], &RecordFilter { retracted, ..RecordFilter::default() }, None, 5).unwrap().items
    };
    assert_eq!(list(false), []);
    assert_eq!(list(true)[0].state, State::Retracted { by: user(1), at: at(4) });
}

#[test]
fn care_teams_are_seen_from_both_sides() {
    let mut log = Log::default();
    log.assign(1, 1, None);
    log.assign(2, 1, Some(at(50)));
    log.assign(1, 2, None);
    log.end(1, 1);
    let (_dir, views) = views(&log);
    let team = views.care_teams.get(patient(1)).unwrap();
    assert_eq!(team.members.keys().collect::<Vec<_>>(), [&user(2)]);
    assert_eq!((team.members[&user(2)].until, team.members[&user(2)].since), (Some(at(50)), at(1)));
    assert_eq!((team.version, team.changed), (3, 3));
    assert_eq!(views.care_teams.patients_of(user(1), None, 9).unwrap(), [patient(2)]);
    assert_eq!(views.care_teams.patients_of(user(2), None, 9).unwrap(), [patient(1)]);
    assert_eq!(views.care_teams.patients_of(user(2), Some(patient(1)), 9).unwrap(), []);
    assert!(views.care_teams.get(patient(7)).unwrap().members.is_empty());
}

#[test]
fn users_are_known_by_id_and_name_and_sessions_end() {
    let mut log = Log::default();
    log.user(1, vec![Role::Nurse]);
    log.log_in(1, 1);
    log.log_in(1, 2);
    log.log_out(1, 1);
    let (_dir, views) = views(&log);
    let known = views.identity.user_by_name("user-1").unwrap().unwrap();
    assert_eq!((known.user, known.version, known.changed), (user(1), 5, 0));
    assert_eq!(known.password(), Some(&sealed(1)));
    assert_eq!(format!("{known:?}"), format!("User({})", user(1)), "nothing of the name or the password");
    assert_eq!(views.identity.user_by_name("user-").unwrap(), None);
    assert_eq!(views.identity.users(None, 9).unwrap().len(), 1);
    assert_eq!(views.identity.users(Some(user(1)), 9).unwrap().len(), 0);
    let one = views.identity.session(session(1)).unwrap().unwrap();
    let two = views.identity.session(session(2)).unwrap().unwrap();
    assert!(!one.is_live(at(10)) && two.is_live(at(10)) && !two.is_live(at(1000)));
    assert_eq!(views.identity.sessions_of(user(1), at(10)).unwrap(), [two]);
    assert_eq!(views.identity.sessions_of(user(1), at(1000)).unwrap(), []);
}

#[test]
fn facts_follow_the_events_that_change_them() {
    let mut log = Log::default();
    log.user(1, vec![Role::Nurse]);
    log.register(1, Vec::new());
    let (_dir, views) = views(&log);
    let mut upto = log.events.len();
    let mut then = |log: &Log| {
        views.apply(Stretch::of(&log.events[upto..])).unwrap();
        upto = log.events.len();
        (views.principal(user(1)).unwrap().unwrap(), views.patient_facts(patient(1)).unwrap().unwrap())
    };
    let before = then(&log);
    assert_eq!((before.0.version, before.1.version), (0, 2));
    log.open_chart(&[1]);
    log.log_in(1, 1);
    let same = then(&log);
    assert!(std::sync::Arc::ptr_eq(&before.0, &same.0) && std::sync::Arc::ptr_eq(&before.1, &same.1), "kept in memory");
    let granted = log.grant(1, Role::Physician);
    let assigned = log.assign(1, 1, None);
    let after = then(&log);
    assert_eq!(after.0.principal.roles, [Role::Nurse, Role::Physician].into());
    assert!(after.1.facts.is_member(user(1), at(0)));
    assert_eq!((after.0.version, after.1.version), (granted, assigned));
    log.disable(1);
    log.end(1, 1);
    log.flag(1, true);
    let last = then(&log);
    assert!(!last.0.principal.active && last.1.facts.members.is_empty() && last.1.facts.vip);
    assert_eq!(views.principal(user(9)).unwrap(), None);
    assert_eq!(views.patient_facts(patient(9)).unwrap(), None);
}

mod consent {
    use wardbook_events::PatientId;
    use wardbook_events::consent::{
        AccessRestricted, DisclosurePermitted, DisclosureWithdrawn, ProxyGranted, RestrictionLifted, Whom, stream,
    };
    use wardbook_events::records::Sensitivity::{Psychotherapy, SubstanceUse};

    use super::*;

    fn say(log: &mut Log, patient: PatientId, event: impl Into<wardbook_events::Event>) {
        log.add(stream(patient), &[patient], event);
    }

    #[test]
    fn of_a_merged_patient_the_stricter_counts() {
        let mut log = Log::default();
        let (one, two) = (patient(1), patient(2));
        log.register(1, Vec::new());
        log.register(2, Vec::new());
        let agreed = |patient| DisclosurePermitted { patient, label: SubstanceUse, to: None };
        say(&mut log, one, agreed(one));
        say(&mut log, one, AccessRestricted { patient: one, whom: Whom::User(user(7)) });
        say(&mut log, two, AccessRestricted { patient: two, whom: Whom::Role(Role::Nurse) });
        say(&mut log, two, DisclosurePermitted { patient: two, label: Psychotherapy, to: Some(user(3)) });
        say(&mut log, one, ProxyGranted { patient: one, user: user(4), until: Some(at(50)) });
        say(&mut log, two, ProxyGranted { patient: two, user: user(4), until: None });
        log.merge(1, 2);
        let (_dir, views) = views(&log);
        for number in [1, 2] {
            let known = views.patient_facts(patient(number)).unwrap().unwrap();
            let facts = &known.facts;
            assert!(facts.sud_permitted && facts.denied_users == [user(7)].into(), "{facts:?}");
            assert_eq!((&facts.denied_roles, &facts.psychotherapy_to), (&[Role::Nurse].into(), &[user(3)].into()));
            assert_eq!(facts.proxies, [(user(4), None)].into());
        }
        let before = log.events.len();
        say(&mut log, two, DisclosureWithdrawn { patient: two, label: SubstanceUse, to: None });
        say(&mut log, one, RestrictionLifted { patient: one, whom: Whom::User(user(7)) });
        views.apply(Stretch::of(&log.events[before..])).unwrap();
        let known = views.patient_facts(one).unwrap().unwrap();
        assert!(!known.facts.sud_permitted && known.facts.denied_users.is_empty(), "seen at once");
    }
}

mod elevations {
    use wardbook_events::ElevationId;
    use wardbook_events::elevations::{ElevationEnded, ElevationGranted, ElevationRequested, stream};

    use super::*;
    use crate::elevations::Stage;
    use crate::testing::uuid;

    #[test]
    fn a_role_for_a_short_time_is_a_fact_about_the_user() {
        let mut log = Log::default();
        log.user(1, vec![Role::SystemAdmin]);
        let (elevation, user, role) = (ElevationId::new(uuid(9, 1)), user(1), Role::Admin);
        let (reason, answer_until) = ("ticket".to_owned(), at(100));
        log.add(stream(user), &[], ElevationRequested { elevation, user, role, lasts_s: 60, reason, answer_until });
        let (_dir, views) = views(&log);
        let roles = |second| views.principal(user).unwrap().unwrap().principal.roles_at(at(second));
        assert_eq!(roles(3), [Role::SystemAdmin].into());
        let granted = ElevationGranted { elevation, user, role, until: at(60), by: None, review_due_at: None };
        let before = log.events.len();
        log.add(stream(user), &[], granted);
        views.apply(Stretch::of(&log.events[before..])).unwrap();
        assert_eq!((roles(59), roles(60)), ([Role::SystemAdmin, Role::Admin].into(), [Role::SystemAdmin].into()));
        let before = log.events.len();
        log.add(stream(user), &[], ElevationEnded { elevation, user, role, by: user });
        views.apply(Stretch::of(&log.events[before..])).unwrap();
        assert_eq!(roles(5), [Role::SystemAdmin].into());
        let page = views.elevations.list(tenant(0), None, None, 5).unwrap();
        assert!(matches!(page.items[0].stage, Stage::Ended { .. }) && page.next.is_none());
        assert_eq!(views.elevations.list(tenant(1), None, None, 5).unwrap().items, []);
    }
}

fn erase(log: &mut Log, number: u64, groups: Option<GroupSet>) {
    let (of, erasure) = (patient(number), ErasureId::from_bytes([7; 16]));
    let stream = wardbook_events::patients::stream(of);
    match groups {
        None => log.add(stream, &[of], PatientErased { patient: of, erasure }),
        Some(groups) => log.add(stream, &[of], GroupsErased { patient: of, erasure, groups }),
    };
}

#[test]
fn who_is_forgotten_is_a_row_that_counts_and_nothing_else() {
    use wardbook_events::records::DraftSaved;
    let mut log = Log::default();
    for number in 1..=2 {
        log.register(number, vec![token(FamilyName, 1), token(Ssn, number)]);
        log.write(number, number, RecordKind::Note, Some(2020));
        let (of, draft, author) = (patient(number), record(number + 10), user(9));
        let saved = DraftSaved {
            draft,
            patient: of,
            author,
            kind: RecordKind::Note,
            sensitivity: Vec::new(),
            body: sealed(1),
            at: at(1),
        };
        log.add(wardbook_events::records::draft_stream(of, draft), &[of], saved);
    }
    let (_dir, views) = views(&log);
    assert!(views.patient_facts(patient(1)).unwrap().unwrap().erased_at.is_none());
    let before = log.events.len();
    erase(&mut log, 1, None);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let known = views.patients.get(patient(1)).unwrap().unwrap();
    assert!(known.fields.0.is_empty() && known.tokens.is_empty() && known.erased_at.is_some());
    assert_eq!(known.erased, GroupSet::all());
    assert_eq!(found(&views, &[(FamilyName, 1)]), [patient(2)]);
    assert_eq!(found(&views, &[(Ssn, 1)]), []);
    assert_eq!(views.records.get(record(1)).unwrap(), None);
    let all = RecordFilter { retracted: true, ..RecordFilter::default() };
    assert_eq!(views.records.list(&[patient(1)], &all, None, 9).unwrap().items, []);
    assert_eq!(views.records.counts(&[patient(1)]).unwrap().values().sum::<u64>(), 1);
    assert_eq!(views.records.last_entry(&[patient(1)]).unwrap(), None);
    let drafts = views.records.drafts_of(user(9), 9).unwrap();
    assert_eq!(drafts.iter().map(|draft| draft.patient).collect::<Vec<_>>(), [patient(2)]);
    assert!(views.patient_facts(patient(1)).unwrap().unwrap().erased_at.is_some());
    // In one batch with what was written before, the rows are the same.
    let (_other_dir, whole) = crate::testing::views(&log);
    for (one, other) in views.standings().into_iter().zip(whole.standings()) {
        assert_eq!(one.1.unwrap().root, other.1.unwrap().root, "{:?}", one.0);
    }
}

#[test]
fn an_erased_category_is_dropped_and_the_rest_stays() {
    let mut log = Log::default();
    log.register(1, vec![token(FamilyName, 1), token(Ssn, 1)]);
    log.write(1, 1, RecordKind::Note, Some(2019));
    log.write(2, 1, RecordKind::LabResult, None);
    let (_dir, views) = views(&log);
    let last = views.records.last_entry(&[patient(1)]).unwrap().unwrap();
    assert_eq!((last.year, last.undated), (Some(2019), Some(at(2))));
    let before = log.events.len();
    erase(&mut log, 1, Some([Group::Identifiers, Group::Sensitive].into_iter().collect()));
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let known = views.patients.get(patient(1)).unwrap().unwrap();
    assert_eq!(known.fields.0.keys().collect::<Vec<_>>(), [&Field::Name]);
    assert_eq!((found(&views, &[(Ssn, 1)]), found(&views, &[(FamilyName, 1)])), (vec![], vec![patient(1)]));
    assert_eq!(views.records.list(&[patient(1)], &RecordFilter::default(), None, 9).unwrap().items.len(), 2);
    let before = log.events.len();
    erase(&mut log, 1, Some([Group::Clinical].into_iter().collect()));
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert_eq!(views.records.list(&[patient(1)], &RecordFilter::default(), None, 9).unwrap().items, []);
    assert_eq!(views.records.counts(&[patient(1)]).unwrap().values().sum::<u64>(), 2);
}
