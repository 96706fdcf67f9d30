use proptest::prelude::*;

use super::*;
use crate::signer::EventSigner;

pub(crate) fn signer() -> EventSigner {
    EventSigner::from_seed("log.example/ward/events", &[1; 32]).unwrap()
}

fn link() -> impl Strategy<Value = SubjectLink> {
    (any::<[u8; 16]>(), 1u64..4, 1u8..).prop_map(|(subject, count, fill)| SubjectLink {
        subject: subject.into(),
        previous: match count {
            1 => Digest::ZERO,
            _ => Digest::from_bytes([fill; 32]),
        },
        count,
    })
}

fn section() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

prop_compose! {
    fn drafted()(
        id in any::<[u8; 16]>(),
        stream in "[a-z0-9._-]{1,120}",
        event_type in "[a-z0-9._]{1,64}",
        schema_version in any::<u16>(),
        links in proptest::collection::btree_map(any::<[u8; 16]>(), link(), 0..6),
        payload in (section(), section(), section()),
        assigned in (0u64..1 << 40, 1u64.., any::<i64>(), any::<[u8; 16]>()),
    ) -> (Draft, Assigned) {
        // In descending order, so that the encoder has something to put in order.
        let links: Vec<_> = links
            .into_iter()
            .rev()
            .map(|(subject, link)| SubjectLink { subject: subject.into(), ..link })
            .collect();
        let (position, stream_version, recorded_at, salt) = assigned;
        let draft = Draft {
            id: id.into(),
            stream: stream.parse().unwrap(),
            expected: ExpectedVersion::Any,
            event_type: event_type.parse().unwrap(),
            schema_version,
            subjects: links.iter().map(|link| link.subject).collect(),
            payload: Payload { meta: payload.0, client: payload.1, body: payload.2 },
        };
        let previous = match position {
            0 => Digest::ZERO,
            _ => Digest::from_bytes([9; 32]),
        };
        let assigned = Assigned {
            position: Position(position),
            stream_version,
            recorded_at: Micros(recorded_at),
            key_id: signer().key_id(),
            previous,
            links,
            salt,
        };
        (draft, assigned)
    }
}

fn seal((draft, assigned): &(Draft, Assigned)) -> Entry {
    let unsigned = encode(draft, assigned.clone()).unwrap();
    unsigned.sign(&signer()).unwrap()
}

fn small() -> (Draft, Assigned) {
    let subject = SubjectId::from_bytes([0x22; 16]);
    let draft = Draft {
        id: EventId::from_bytes([0x11; 16]),
        stream: "patient-22".parse().unwrap(),
        expected: ExpectedVersion::NoStream,
        event_type: "patients.registered".parse().unwrap(),
        schema_version: 1,
        subjects: vec![subject],
        payload: Payload { meta: b"who and why".to_vec(), client: b"from where".to_vec(), body: b"the facts".to_vec() },
    };
    let assigned = Assigned {
        position: Position(0),
        stream_version: 1,
        recorded_at: Micros(1_800_000_000_000_000),
        key_id: signer().key_id(),
        previous: Digest::ZERO,
        links: vec![SubjectLink::first(subject)],
        salt: [0x33; 16],
    };
    (draft, assigned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_is_decoded(drafted in drafted()) {
        let entry = seal(&drafted);
        let (draft, assigned) = &drafted;
        prop_assert_eq!(entry.stored().len(), draft.bytes_len());
        let again = Entry::decode(entry.stored().to_vec()).unwrap();
        prop_assert_eq!(&again, &entry);
        prop_assert!(entry.records(draft));
        prop_assert_eq!(again.position(), assigned.position);
        prop_assert_eq!(again.meta(), &draft.payload.meta);
        prop_assert_eq!(again.client(), &draft.payload.client);
        prop_assert_eq!(again.body(), &draft.payload.body);
        prop_assert!(signer().verifier().verify(entry.digest().as_bytes(), entry.signature()));
        for link in &assigned.links {
            prop_assert_eq!(again.link(&link.subject), Some(link));
        }
    }

    /// No two byte strings have one digest: every flip of a bit is refused or shows in digest or signature.
    #[test]
    fn a_changed_byte_is_refused_or_changes_the_leaf(drafted in drafted(), bit in 0u8..8) {
        let entry = seal(&drafted);
        for at in 0..entry.stored().len() {
            let mut changed = entry.stored().to_vec();
            changed[at] ^= 1 << bit;
            if let Ok(other) = Entry::decode(changed) {
                prop_assert_ne!(other.leaf(), entry.leaf(), "byte {}", at);
                if at < entry.bytes().len() {
                    prop_assert_ne!(other.digest(), entry.digest(), "byte {}", at);
                }
            }
        }
    }

    #[test]
    fn every_truncation_and_extension_is_refused(drafted in drafted()) {
        let stored = seal(&drafted).stored().to_vec();
        for len in 0..stored.len() {
            prop_assert!(Entry::decode(stored[..len].to_vec()).is_err());
        }
        prop_assert!(Entry::decode([&stored[..], &[0]].concat()).is_err());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Entry::decode(bytes.clone());
        let _ = Entry::decode([vec![1], bytes].concat());
    }
}

#[test]
fn limits_hold_before_and_after_encoding() {
    let (mut draft, assigned) = small();
    draft.payload.body = vec![0; SECTION_BYTES_MAX + 1];
    let too_large = EncodeError::SectionTooLarge(SECTION_BYTES_MAX + 1);
    assert_eq!(draft.check(), Err(too_large.clone()));
    assert_eq!(encode(&draft, assigned.clone()).err(), Some(too_large));

    draft.payload.body = vec![0; SECTION_BYTES_MAX];
    draft.check().unwrap();
    encode(&draft, assigned.clone()).unwrap();

    draft.payload.client = vec![0; SECTION_BYTES_MAX];
    assert_eq!(draft.check(), Err(EncodeError::TooLarge));
    assert_eq!(encode(&draft, assigned.clone()).err(), Some(EncodeError::TooLarge));

    let (mut draft, mut assigned) = small();
    draft.subjects = (0..=1000u128).map(|n| n.to_be_bytes().into()).collect();
    assigned.links = draft.subjects.iter().copied().map(SubjectLink::first).collect();
    let too_many = EncodeError::TooManySubjects(1001);
    assert_eq!(draft.check(), Err(too_many.clone()));
    assert_eq!(encode(&draft, assigned).err(), Some(too_many));
}

#[test]
fn what_was_assigned_must_fit_the_draft() {
    let (draft, assigned) = small();
    let mut other = assigned.clone();
    other.links = vec![];
    assert_eq!(encode(&draft, other).err(), Some(EncodeError::LinkMismatch));

    let mut other = assigned.clone();
    other.links[0].count = 2;
    assert!(matches!(encode(&draft, other), Err(EncodeError::Link(_))));

    let mut other = assigned.clone();
    other.position = Position(1);
    assert_eq!(encode(&draft, other).err(), Some(EncodeError::Header(HeaderError::Previous)));

    let mut twice = draft.clone();
    twice.subjects = vec![draft.subjects[0]; 2];
    let mut other = assigned.clone();
    other.links = vec![assigned.links[0]; 2];
    let duplicate = EncodeError::DuplicateSubject(draft.subjects[0]);
    assert_eq!(twice.check(), Err(duplicate.clone()));
    assert_eq!(encode(&twice, other).err(), Some(duplicate));

    let mut other = assigned;
    other.key_id = KeyId(1);
    let unsigned = encode(&draft, other).unwrap();
    assert!(matches!(unsigned.sign(&signer()), Err(SignError::WrongKey { .. })));
}

#[test]
fn a_retry_is_told_from_another_event_with_its_id() {
    let (draft, assigned) = small();
    let entry = seal(&(draft.clone(), assigned));
    assert!(entry.records(&draft));
    let mut retry = draft.clone();
    retry.expected = ExpectedVersion::Exact(3);
    assert!(entry.records(&retry));
    let mut other = draft;
    other.payload.body.push(b'!');
    assert!(!entry.records(&other));
}

#[test]
fn equal_sections_of_two_entries_do_not_look_equal() {
    let (draft, assigned) = small();
    let one = seal(&(draft.clone(), assigned.clone()));
    let other = seal(&(draft, Assigned { salt: [0x34; 16], ..assigned }));
    let hash = |entry: &Entry| {
        let [_, client, _] = Salts::new(entry.salt()).sections();
        hash_section(Section::Client, &client, entry.client())
    };
    assert_ne!(hash(&one), hash(&other));
}

#[test]
fn nothing_of_the_payload_is_printed() {
    let (draft, assigned) = small();
    let shown = format!("{:?} {:?}", draft.payload, draft);
    let entry = format!("{:?}", seal(&(draft, assigned)));
    for secret in ["who", "where", "facts", "119, 104, 111"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!entry.contains(secret), "{entry}");
    }
}

/// The format stays readable for ever: these bytes were written by its first version.
#[test]
fn the_golden_entry_is_still_read_and_written() {
    let golden = include_str!("golden_v1.txt");
    let line = |name: &str| {
        let mut lines = golden.lines();
        lines.find_map(|line| line.strip_prefix(name)).unwrap().trim()
    };
    let entry = seal(&small());
    assert_eq!(hex::encode(entry.stored()), line("stored"));
    assert_eq!(entry.digest().to_string(), line("digest"));
    assert_eq!(crate::tree::leaf_hash(&entry.leaf()).to_string(), line("leaf hash"));
    let read = Entry::decode(hex::decode(line("stored")).unwrap()).unwrap();
    assert_eq!(read, entry);
    assert_eq!(read.body(), b"the facts");
}
