use super::*;
use crate::{
    ids::SubjectId,
    testlog::{TestLog, subject},
};

const PATIENT: u8 = 7;
const OTHER: u8 = 9;

/// Events of two patients, some of both; the last is the patient's own request.
fn log() -> TestLog {
    let mut log = TestLog::new();
    for n in 0..40 {
        match n % 4 {
            0 => log.append("stream-1", &[subject(PATIENT)]),
            1 => log.append("stream-2", &[subject(OTHER)]),
            2 => log.append("stream-3", &[subject(OTHER), subject(PATIENT), subject(3)]),
            _ => log.append("stream-4", &[]),
        }
    }
    log.append("access", &[subject(PATIENT)]);
    log
}

fn bundle_of(log: &TestLog, of: SubjectId) -> SubjectBundle {
    let entries = log.entries.iter().filter(|entry| entry.link(&of).is_some());
    SubjectBundle::build(of, entries, log.checkpoint(), &log.tree).unwrap()
}

#[test]
fn a_bundle_proves_every_event_from_its_text_alone() {
    let log = log();
    let text = bundle_of(&log, subject(PATIENT)).to_json().unwrap();
    let bundle = SubjectBundle::from_json(&text).unwrap();
    assert_eq!(bundle.to_json().unwrap(), text);
    let verified = bundle.verify(&log.keys.ring).unwrap();
    assert_eq!(verified.events.len(), 21);
    assert_eq!(verified.checkpoint.size, 41);
    for (event, count) in verified.events.iter().zip(1..) {
        let position = event.header.position.get();
        let entry = &log.entries[usize::try_from(position).unwrap()];
        assert_eq!(event.link.count, count);
        assert_eq!(event.digest, entry.digest());
        assert_eq!(event.meta, entry.meta());
    }
}

#[test]
fn an_event_that_is_left_out_is_missed() {
    let log = log();
    let whole = bundle_of(&log, subject(PATIENT));
    for missing in 0..whole.events.len() - 1 {
        let mut bundle = whole.clone();
        bundle.events.remove(missing);
        let error = bundle.verify(&log.keys.ring).unwrap_err();
        let count = missing as u64 + 1;
        let fault = EventFault::Count(count + 1);
        assert_eq!(error, VerifyBundleError::Event { count, fault });
    }
    let mut twice = whole.clone();
    twice.events.insert(3, twice.events[3].clone());
    assert!(twice.verify(&log.keys.ring).is_err());
    let mut none = whole;
    none.events.clear();
    assert_eq!(none.verify(&log.keys.ring), Err(VerifyBundleError::Empty));
}

#[test]
fn a_count_cannot_be_made_to_fit() {
    let log = log();
    let mut bundle = bundle_of(&log, subject(PATIENT));
    bundle.events.remove(4);
    bundle.events[4].count = 5;
    bundle.events[4].previous = log.entries[6].digest();
    assert!(matches!(
        bundle.verify(&log.keys.ring),
        Err(VerifyBundleError::Event { count: 5, fault: EventFault::Signature })
    ));
}

#[test]
fn a_bundle_of_another_log_or_subject_proves_nothing() {
    let (ours, theirs) = (log(), log());
    let bundle = bundle_of(&ours, subject(PATIENT));
    assert!(matches!(bundle.verify(&theirs.keys.ring), Err(VerifyBundleError::Checkpoint(_))));
    let mut bundle = bundle;
    bundle.subject = subject(OTHER);
    assert!(bundle.verify(&ours.keys.ring).is_err());
    let stranger = SubjectBundle::build(subject(77), &ours.entries[..1], ours.checkpoint(), &ours.tree);
    assert_eq!(stranger.err(), Some(BuildBundleError::Stranger(Position(0))));
}

#[test]
fn an_event_outside_of_the_checkpoint_cannot_be_shown() {
    let mut log = log();
    let early = log.checkpoint();
    log.append("access", &[subject(PATIENT)]);
    let entries = [log.entries.last().unwrap()];
    let built = SubjectBundle::build(subject(PATIENT), entries, early, &log.tree);
    assert!(matches!(built, Err(BuildBundleError::Proof { .. })));
}

#[test]
fn nothing_withheld_is_in_the_text() {
    let log = log();
    let text = bundle_of(&log, subject(PATIENT)).to_json().unwrap();
    let bundle = SubjectBundle::from_json(&text).unwrap();
    let mut bytes = text.clone().into_bytes();
    for event in &bundle.events {
        bytes.extend_from_slice(&event.header);
        bytes.extend_from_slice(&event.meta);
    }
    let shown = String::from_utf8_lossy(&bytes);
    assert!(shown.contains("who and why of 2"));
    for entry in &log.entries {
        let salts = hex::encode(entry.salt());
        assert!(!shown.contains(&salts), "the salt of the entry opens everything");
    }
    let other = subject(OTHER);
    for withheld in ["from where", "the facts", &other.to_string(), &hex::encode(other.as_bytes())] {
        assert!(!shown.contains(withheld), "{withheld}");
    }
    let debug = format!("{bundle:?} {:?}", bundle.verify(&log.keys.ring).unwrap());
    assert!(!debug.contains("who and why") && !debug.contains("119, 104, 111"), "{debug}");
}

#[test]
fn a_changed_byte_of_the_text_is_refused_or_changes_nothing() {
    let mut log = TestLog::new();
    log.append("s", &[subject(PATIENT), subject(OTHER)]);
    log.append("s", &[subject(OTHER)]);
    log.append("s", &[subject(PATIENT)]);
    let bundle = bundle_of(&log, subject(PATIENT));
    let text = bundle.to_json().unwrap();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let Ok(parsed) = SubjectBundle::from_json(&changed) else {
                continue;
            };
            if parsed != bundle {
                assert!(parsed.verify(&log.keys.ring).is_err(), "byte {at}: {changed}");
            }
        }
    }
}

#[test]
fn hashes_have_one_form() {
    let log = log();
    let text = bundle_of(&log, subject(PATIENT)).to_json().unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        change(&mut json);
        let parsed = SubjectBundle::from_json(&json.to_string());
        assert!(parsed.is_err(), "{json}");
    };
    refused(&|json| {
        let unused = Hash::from_bytes([1; 32]).to_base64();
        json["hashes"].as_array_mut().unwrap().push(unused.into());
    });
    refused(&|json| json["events"][0]["proof"].as_array_mut().unwrap().swap(0, 1));
    refused(&|json| json["hashes"][1] = json["hashes"][0].clone());
    refused(&|json| json["events"][0]["proof"][0] = 99_999.into());
    refused(&|json| json["events"][0]["more"] = true.into());
    refused(&|json| json["format"] = "another".into());
}
