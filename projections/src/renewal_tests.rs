//! Who is re-indexed is found by the new tokens and no more by the old; what is sealed anew takes the place of the old.

use std::collections::HashSet;

use wardbook_events::keys::{CompromiseContained, CompromiseDeclared, CompromiseReason, KeyLevel, stream};
use wardbook_events::patients::{PatientErased, PatientReindexed, PatientResealed};
use wardbook_events::records::{AddendumAdded, DraftResealed, DraftSaved, RecordKind, RecordResealed, draft_stream};
use wardbook_events::{AlertId, ErasureId, Field, SealedFields, Token, TokenKind, patients, records};

use crate::patients::Indexed;
use crate::testing::{Log, patient, record, sealed, tenant, token, user, views};
use crate::{Stretch, Views};

use TokenKind::{FamilyName, Ssn};

/// A token as a version of the index key makes it.
fn made(index: u32, kind: TokenKind, number: u64) -> Token {
    Token { index, ..token(kind, number + 1000 * u64::from(index - 1)) }
}

impl Log {
    fn reindex(&mut self, number: u64, tokens: Vec<Token>) -> u64 {
        let id = patient(number);
        self.add(patients::stream(id), &[id], PatientReindexed { patient: id, tokens, forms: 2 })
    }
}

fn lacking(views: &Views, newest: u32) -> Vec<wardbook_events::PatientId> {
    views.patients.indexed_before(tenant(0), newest, true, &HashSet::new(), 10).unwrap()
}
fn carrying(views: &Views, newest: u32) -> Vec<wardbook_events::PatientId> {
    views.patients.indexed_before(tenant(0), newest, false, &HashSet::new(), 10).unwrap()
}
fn found(views: &Views, token: Token) -> bool {
    !views.patients.search(tenant(0), &[vec![token]], 10).unwrap().is_empty()
}

#[test]
fn who_is_left_to_be_reindexed_stands_in_the_view() {
    let mut log = Log::default();
    for number in 1..=2 {
        log.register(number, vec![made(1, Ssn, number), made(1, FamilyName, 9)]);
    }
    log.register(3, vec![made(1, Ssn, 3), made(2, Ssn, 3)]);
    log.register(4, Vec::new());
    let (_dir, views) = views(&log);
    let mut all = vec![patient(1), patient(2)];
    all.sort();
    assert_eq!((lacking(&views, 2), lacking(&views, 1)), (all.clone(), vec![]));
    all.push(patient(3));
    all.sort();
    assert_eq!(carrying(&views, 2), all);
    let over = HashSet::from([patient(1), patient(3)]);
    assert_eq!(views.patients.indexed_before(tenant(0), 2, false, &over, 10).unwrap(), [patient(2)]);
    assert_eq!(views.patients.indexed_before(tenant(0), 2, false, &HashSet::new(), 2).unwrap().len(), 2);
    let counts = |newest, older_only, both| Indexed { newest, older_only, both };
    assert_eq!(views.patients.indexed(tenant(0), 2).unwrap(), counts(1, 2, 1));
    assert_eq!(views.patients.indexed(tenant(1), 2).unwrap(), counts(0, 0, 0), "another organisation");

    let before = log.events.len();
    log.reindex(1, vec![made(2, Ssn, 1), made(2, FamilyName, 9)]);
    log.reindex(3, vec![made(2, Ssn, 3)]);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert!(!found(&views, made(1, Ssn, 1)) && found(&views, made(2, Ssn, 1)));
    assert!(found(&views, made(1, Ssn, 2)), "who was not yet is found as before");
    assert_eq!((lacking(&views, 2), carrying(&views, 2)), (vec![patient(2)], vec![patient(2)]));
    assert_eq!(views.patients.indexed(tenant(0), 2).unwrap(), counts(2, 1, 0));
    let known = views.patients.get(patient(1)).unwrap().unwrap();
    assert_eq!((known.version, known.fields.0.len()), (2, 2), "nothing but the tokens changed");

    let before = log.events.len();
    let erased = PatientErased { patient: patient(2), erasure: ErasureId::from_bytes([1; 16]) };
    log.add(patients::stream(patient(2)), &[patient(2)], erased);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert_eq!(carrying(&views, 2), [], "who is erased is found by nothing");
}

#[test]
fn what_is_sealed_anew_takes_the_place_of_the_old() {
    let mut log = Log::default();
    log.register(1, vec![token(Ssn, 1)]);
    log.write(1, 1, RecordKind::Note, Some(2026));
    log.write(2, 1, RecordKind::Note, None);
    log.sign(1, 1);
    let (id, note, draft, author) = (patient(1), record(1), record(3), user(1));
    for text in [500, 501] {
        let added = AddendumAdded { record: note, patient: id, author, text: sealed(text) };
        log.add(records::stream(note), &[id], added);
    }
    let saved = DraftSaved {
        draft,
        patient: id,
        author,
        kind: RecordKind::Note,
        sensitivity: Vec::new(),
        at: crate::testing::at(1),
        body: sealed(600),
    };
    log.add(draft_stream(id, draft), &[id], saved);
    let fields = SealedFields([(Field::Name, sealed(701))].into());
    log.add(patients::stream(id), &[id], PatientResealed { patient: id, fields });
    let addenda = vec![sealed(510), sealed(511)];
    log.add(records::stream(note), &[id], RecordResealed { record: note, patient: id, body: sealed(702), addenda });
    log.add(draft_stream(id, draft), &[id], DraftResealed { draft, patient: id, author, body: sealed(703) });
    let (_dir, views) = views(&log);
    let known = views.patients.get(id).unwrap().unwrap();
    assert_eq!(known.fields.0, [(Field::Name, sealed(701)), (Field::Ssn, sealed(2))].into());
    let found = views.records.get(note).unwrap().unwrap();
    let texts: Vec<_> = found.addenda.iter().map(|addendum| addendum.text.clone()).collect();
    assert_eq!((found.body, texts, found.version), (sealed(702), vec![sealed(510), sealed(511)], 5));
    let [kept] = &views.records.drafts_for(tenant(0), Some(id)).unwrap()[..] else { panic!("one draft") };
    assert_eq!((&kept.body, kept.version), (&sealed(703), 2));
    assert_eq!(views.records.drafts_for(tenant(1), None).unwrap(), []);
    assert_eq!(views.records.drafts_for(tenant(0), Some(patient(2))).unwrap(), []);

    let first = views.records.ids(id, None, 1).unwrap();
    assert_eq!(first.iter().map(|(_, record)| *record).collect::<Vec<_>>(), [note]);
    let second = views.records.ids(id, Some(first[0].0), 9).unwrap();
    assert_eq!(second.iter().map(|(_, record)| *record).collect::<Vec<_>>(), [record(2)]);
    assert_eq!(views.records.ids(id, Some(second[0].0), 9).unwrap(), []);
}

#[test]
fn a_compromise_is_open_until_it_is_contained() {
    let mut log = Log::default();
    let alert = |n| AlertId::from_bytes([n; 16]);
    for n in [1, 2] {
        let declared = CompromiseDeclared {
            level: KeyLevel::Index,
            patient: None,
            reason: CompromiseReason::Drill,
            alert: alert(n),
            by: Some(user(1)),
        };
        log.add(stream(tenant(0)), &[], declared);
    }
    let contained = CompromiseContained { alert: alert(1), patients: 3, values: 9 };
    let at = log.add(stream(tenant(0)), &[], contained.clone());
    let (_dir, views) = views(&log);
    let open = views.keys.open_compromises(tenant(0)).unwrap();
    assert_eq!(open.iter().map(|one| one.declared.alert).collect::<Vec<_>>(), [alert(2)]);
    assert_eq!(views.keys.open_compromises(tenant(1)).unwrap(), []);
    let first = views.keys.compromise(tenant(0), alert(1)).unwrap().unwrap();
    assert_eq!(first.contained, Some((contained, crate::testing::at(at as i64))));
    assert_eq!(views.keys.compromise(tenant(1), alert(1)).unwrap(), None, "another organisation's");
}
