use proptest::prelude::*;
use wardbook_events::records::Sensitivity;

use super::*;

fn id(size: u64) -> ObjectId {
    ObjectId {
        tenant: TenantId::from_bytes([1; 16]),
        patient: PatientId::from_bytes([2; 16]),
        document: RecordId::from_bytes([3; 16]),
        size,
    }
}

fn key() -> ObjectKey {
    ObjectKey(Secret::random().unwrap())
}

/// Content in which no two chunks are alike.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i / 7 + i / OBJECT_CHUNK * 31) as u8).collect()
}

fn sealed(chunks: &Chunks, content: &[u8]) -> Vec<Vec<u8>> {
    let mut sealer = ObjectSealer { chunks: chunks.clone(), next: 0 };
    let mut parts: Vec<_> = content.chunks(OBJECT_CHUNK).map(<[u8]>::to_vec).collect();
    if parts.is_empty() {
        parts.push(Vec::new());
    }
    let sealed = parts.into_iter().map(|part| sealer.seal(part).unwrap()).collect();
    assert!(sealer.is_complete());
    assert_eq!(sealer.seal(Vec::new()).unwrap_err(), ObjectError::WrongSize, "nothing comes after the last");
    sealed
}

/// Three chunks and a bit.
const SIZE: usize = 3 * OBJECT_CHUNK + 100;

#[test]
fn every_size_comes_back_and_any_chunk_alone() {
    for size in [0, 1, OBJECT_CHUNK - 1, OBJECT_CHUNK, OBJECT_CHUNK + 1, SIZE] {
        let (text, chunks) = (content(size), Chunks::new(id(size as u64), &key()));
        let sealed = sealed(&chunks, &text);
        assert_eq!(sealed.len() as u64, chunks.id.chunks());
        assert_eq!(sealed.iter().map(Vec::len).sum::<usize>() as u64, chunks.id.sealed_size());
        let opener = ObjectOpener(chunks);
        // Backwards: no chunk needs another one.
        for (index, chunk) in sealed.iter().enumerate().rev() {
            let from = index * OBJECT_CHUNK;
            let until = (from + OBJECT_CHUNK).min(size);
            assert_eq!(opener.open(index as u64, chunk).unwrap().as_slice(), &text[from..until]);
        }
    }
}

#[test]
fn an_object_that_was_cut_or_extended_is_named() {
    let (text, whole) = (content(2 * OBJECT_CHUNK), id(2 * OBJECT_CHUNK as u64));
    let sealed_size = whole.sealed_size();
    assert_eq!(whole.check_length(sealed_size), Ok(()));
    assert!(matches!(whole.check_length(sealed_size - 1), Err(ObjectError::Cut { .. })));
    assert!(matches!(whole.check_length(sealed_size + 1), Err(ObjectError::TooLong { .. })));
    // Whoever can also change the size that is said of it gains nothing: every chunk is bound to it.
    let key = key();
    let sealed = sealed(&Chunks::new(whole, &key), &text);
    for size in [OBJECT_CHUNK, 2 * OBJECT_CHUNK - 1, 2 * OBJECT_CHUNK + 1, 3 * OBJECT_CHUNK] {
        let opener = ObjectOpener(Chunks::new(id(size as u64), &key));
        for (index, chunk) in sealed.iter().enumerate() {
            assert!(opener.open(index as u64, chunk).is_err(), "{size} {index}");
        }
    }
}

#[test]
fn chunks_that_were_swapped_repeated_or_mixed_are_named() {
    let text = content(SIZE);
    let chunks = Chunks::new(id(SIZE as u64), &key());
    let own = sealed(&chunks, &text);
    let opener = ObjectOpener(chunks);
    for (place, of) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        let error = opener.open(place, &own[of as usize]).unwrap_err();
        assert_eq!(error, ObjectError::Misplaced { chunk: place, of });
    }
    // The same document sealed again: equal content, but the chunks of one do not open in the other.
    let again = sealed(&Chunks::new(id(SIZE as u64), &key()), &text);
    for place in 0..4 {
        assert_eq!(opener.open(place, &again[place as usize]).unwrap_err(), ObjectError::Damaged { chunk: place });
    }
    assert_eq!(opener.open(4, &own[0]).unwrap_err(), ObjectError::WrongSize);
    assert_eq!(opener.open(3, &own[0]).unwrap_err(), ObjectError::WrongSize);
}

#[test]
fn phases_do_not_mix() {
    let chunks = Chunks::new(id(100), &key());
    let (staging, opener) = (Staging(chunks.clone()), ObjectOpener(chunks.clone()));
    let stored = sealed(&chunks, &[7; 100]).remove(0);
    let (staged, tail) = (staging.seal(0, vec![7; 100]).unwrap(), staging.seal_tail(0, vec![7; 100]).unwrap());
    assert_eq!(staging.open(0, &staged).unwrap().as_slice(), [7; 100]);
    assert_eq!(staging.open_tail(0, &tail).unwrap().as_slice(), [7; 100]);
    for other in [&stored, &tail] {
        assert!(staging.open(0, other).is_err());
    }
    for other in [&stored, &staged] {
        assert!(staging.open_tail(0, other).is_err());
    }
    assert!(opener.open(0, &staged).is_err());
}

#[test]
fn wrong_contexts_never_open() {
    let key = key();
    let right = id(100);
    let chunk = sealed(&Chunks::new(right, &key), &[7; 100]).remove(0);
    let wrong = [
        ObjectId { tenant: TenantId::from_bytes([9; 16]), ..right },
        ObjectId { patient: PatientId::from_bytes([9; 16]), ..right },
        ObjectId { document: RecordId::from_bytes([9; 16]), ..right },
        ObjectId {
            patient: PatientId::from_bytes(*right.document.bytes()),
            document: RecordId::from_bytes(*right.patient.bytes()),
            ..right
        },
    ];
    for wrong in wrong {
        assert!(ObjectOpener(Chunks::new(wrong, &key)).open(0, &chunk).is_err(), "{wrong:?}");
    }
    assert!(ObjectOpener(Chunks::new(right, &key)).open(0, &chunk).is_ok());
}

#[test]
fn a_sealed_key_opens_only_as_what_it_was_sealed() {
    let keys = Keys::in_memory().unwrap();
    let id = id(10);
    keys.create_patient_key(id.tenant, id.patient).unwrap();
    let (sealed, mut sealer) = keys.new_object(id, documents::key_field(&[])).unwrap();
    let chunk = sealer.seal(vec![1; 10]).unwrap();
    let chunks = Chunks::new(id, &keys.unseal(&sealed).unwrap());
    assert_eq!(ObjectOpener(chunks).open(0, &chunk).unwrap().as_slice(), [1; 10]);
    let labelled = documents::key_field(&[Sensitivity::Hiv]);
    assert!(keys.unseal::<ObjectKey>(&id.sealed(labelled, &sealed)).is_err());
    let other = ObjectId { document: RecordId::from_bytes([9; 16]), ..id };
    assert!(keys.unseal::<ObjectKey>(&other.sealed(sealed.field(), &sealed)).is_err());
}

#[test]
fn debug_prints_nothing_of_a_key() {
    let key = key();
    assert_eq!(format!("{key:?}"), "ObjectKey(..)");
    let chunks = Chunks::new(id(5), &key);
    assert_eq!(
        format!("{:?} {:?}", Staging(chunks.clone()), ObjectOpener(chunks)),
        "Staging(5 bytes) ObjectOpener(5 bytes)"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_flipped_bit_or_cut_is_noticed(
        text in proptest::collection::vec(any::<u8>(), 0..600), bit in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
    ) {
        let chunks = Chunks::new(id(text.len() as u64), &key());
        let whole = sealed(&chunks, &text).remove(0);
        let opener = ObjectOpener(chunks);
        let opened = opener.open(0, &whole).unwrap();
        prop_assert_eq!(opened.as_slice(), text.as_slice());
        let mut flipped = whole.clone();
        let bit = bit.index(whole.len() * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(opener.open(0, &flipped).unwrap_err(), ObjectError::Damaged { chunk: 0 });
        let cut = cut.index(whole.len());
        prop_assert_eq!(opener.open(0, &whole[..cut]).unwrap_err(), ObjectError::WrongSize);
        prop_assert_eq!(opener.open(0, &[whole.as_slice(), &[0]].concat()).unwrap_err(), ObjectError::WrongSize);
    }
}
