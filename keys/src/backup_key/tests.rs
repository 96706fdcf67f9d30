use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn key() -> BackupKey {
    BackupKey::from_bytes(&[7; 32]).unwrap()
}

#[test]
fn a_made_file_is_private_loads_again_and_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.key");
    let made = BackupKey::create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let loaded = BackupKey::load(&path).unwrap();
    assert_eq!((made.id(), made.public()), (loaded.id(), loaded.public()));
    assert!(matches!(BackupKey::create(&path), Err(BackupKeyError::File(_))));
    assert_eq!(BackupKey::load(&path).unwrap().id(), made.id());
    for mode in [0o640, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(BackupKey::load(&path), Err(BackupKeyError::Exposed { mode: told }) if told == mode));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_the_file_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.key");
    key().write(&path).unwrap();
    let line = fs::read(&path).unwrap();
    let parsed = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(parse).is_some();
    assert!(parsed(&line));
    for bit in 0..line.len() * 8 {
        let mut flipped = line.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!parsed(&flipped), "bit {bit}");
    }
    assert!((0..line.len()).all(|length| !parsed(&line[..length])));
}

#[test]
fn the_id_is_that_of_the_public_half_and_signatures_are_checked_by_it() {
    let key = key();
    assert_eq!(BackupKey::id_of(key.public()), key.id());
    let signature = key.sign(b"manifest");
    assert!(BackupKey::has_signed(key.public(), b"manifest", &signature));
    assert!(!BackupKey::has_signed(key.public(), b"manifesT", &signature));
    let other = BackupKey::from_bytes(&[8; 32]).unwrap();
    assert!(!BackupKey::has_signed(other.public(), b"manifest", &signature));
}

#[test]
fn parts_of_every_length_around_a_chunk_open_again_and_only_as_they_were() {
    let part = key().part(&["backup", "part"]);
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let sealed = part.seal(&content).unwrap();
        assert_eq!(sealed, part.seal(&content).unwrap(), "an interrupted backup goes on by this");
        assert_eq!(*part.open(&sealed).unwrap(), content, "{length}");
        let step = (sealed.len() / 40).max(1);
        for at in (0..sealed.len()).step_by(step) {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(part.open(&flipped).unwrap_err(), PartDamaged, "byte {at} of {length}");
            assert_eq!(part.open(&sealed[..at]).unwrap_err(), PartDamaged, "cut at {at} of {length}");
        }
        assert!(part.open(&[sealed.as_slice(), &[0; 16]].concat()).is_err(), "something added");
    }
}

#[test]
fn chunks_cannot_be_moved_left_out_or_made_the_last() {
    let part = key().part(&["backup", "part"]);
    let sealed = part.seal(&vec![5; 3 * CHUNK]).unwrap();
    let (magic, body) = sealed.split_at(MAGIC.len());
    let chunks: Vec<&[u8]> = body.chunks(CHUNK + TAG).collect();
    let of = |order: &[usize]| {
        let chosen: Vec<u8> = order.iter().flat_map(|at| chunks[*at].to_vec()).collect();
        part.open(&[magic, &chosen].concat())
    };
    assert!(of(&[0, 1, 2]).is_ok());
    for wrong in [&[1, 0, 2][..], &[0, 2], &[0, 1], &[0], &[2], &[0, 1, 1, 2]] {
        assert!(of(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_part_opens_neither_as_another_nor_under_another_key() {
    let sealed = key().part(&["a", "bc"]).seal(b"content").unwrap();
    assert!(key().part(&["a", "bc"]).open(&sealed).is_ok());
    assert!(key().part(&["ab", "c"]).open(&sealed).is_err());
    assert!(key().part(&["a", "bd"]).open(&sealed).is_err());
    assert!(BackupKey::from_bytes(&[8; 32]).unwrap().part(&["a", "bc"]).open(&sealed).is_err());
}

#[test]
fn debug_tells_the_id_only() {
    assert_eq!(format!("{:?}", key()), format!("BackupKey({})", key().id()));
    assert_eq!(format!("{:?}", key().part(&["a"])), "PartKey(SivKey(..))");
}
