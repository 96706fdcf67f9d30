//! Verifiers that we did not write accept what we publish: the crates `signed_note` and `tlog_tiles` read our
//! checkpoints, keys, tiles and proofs, and refuse them once a byte is changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{cell::RefCell, collections::HashMap};

use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Error, HashReader, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record, prove_tree,
    record_hash, stored_hash_index,
};
use wardbook_ledger::{
    Digest, Draft, Entry, ExpectedVersion, Micros, Payload, Position, SubjectId, SubjectLink,
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{Assigned, LEAF_BYTES, encode},
    note::VerifierKey,
    proof::{TlogProof, prove_consistency, prove_inclusion},
    signer::LedgerKeys,
    tile::{TileKind, TilePath, decode_entries, encode_entries, encode_hashes},
    tree::{Hash, HashSource, MemoryTree, leaf_hash, root_at},
};

const ORIGIN: &str = "log.example/ward";

/// A log and the files that it publishes.
struct Log {
    keys: LedgerKeys,
    leaves: Vec<[u8; LEAF_BYTES]>,
    tree: MemoryTree,
    files: HashMap<String, Vec<u8>>,
}

impl Log {
    fn of(size: u64) -> Self {
        let keys = LedgerKeys::generate(ORIGIN).unwrap();
        let mut tree = MemoryTree::new();
        let mut leaves = Vec::new();
        let mut previous = Digest::ZERO;
        for position in 0..size {
            let entry = entry(&keys, Position(position), previous);
            previous = entry.digest();
            tree.push(leaf_hash(&entry.leaf()));
            leaves.push(entry.leaf());
        }
        let mut log = Self { keys, leaves, tree, files: HashMap::new() };
        log.publish();
        log
    }

    fn publish(&mut self) {
        let size = self.tree.size();
        for level in 0..2 {
            for index in 0.. {
                let Some(path) = TilePath::hashes_at(size, level, index) else {
                    break;
                };
                let first = index * 256;
                let hashes: Vec<_> =
                    (first..first + u64::from(path.width())).map(|at| self.tree.hash(level * 8, at).unwrap()).collect();
                self.files.insert(path.to_string(), encode_hashes(&hashes));
            }
        }
        for index in 0.. {
            let Some(path) = TilePath::entries_at(size, index) else {
                break;
            };
            let first = usize::try_from(index * 256).unwrap();
            let entries = &self.leaves[first..first + usize::from(path.width())];
            let tile = encode_entries(entries).unwrap();
            self.files.insert(path.to_string(), tile);
        }
    }

    fn checkpoint(&self) -> SignedCheckpoint {
        Checkpoint::sign(&self.keys.checkpoints, self.tree.size(), self.tree.root()).unwrap()
    }

    fn verifiers(&self) -> VerifierList {
        let key = self.keys.checkpoints.verifier().to_string();
        VerifierList::new(vec![Box::new(StandardVerifier::new(&key).unwrap())])
    }
}

fn entry(keys: &LedgerKeys, position: Position, previous: Digest) -> Entry {
    let subject = SubjectId::from_bytes(u128::from(position.get()).to_be_bytes());
    let draft = Draft {
        id: (*subject.as_bytes()).into(),
        stream: "stream-1".parse().unwrap(),
        expected: ExpectedVersion::Any,
        event_type: "tests.happened".parse().unwrap(),
        schema_version: 1,
        subjects: vec![subject],
        payload: Payload::default(),
    };
    let assigned = Assigned {
        position,
        stream_version: position.get() + 1,
        recorded_at: Micros(1),
        key_id: keys.events.key_id(),
        previous,
        links: vec![SubjectLink::first(subject)],
        salt: [1; 16],
    };
    let unsigned = encode(&draft, assigned).unwrap();
    unsigned.sign(&keys.events).unwrap()
}

/// Our files, as the other crate asks for them.
struct Files<'l> {
    files: &'l HashMap<String, Vec<u8>>,
    read: RefCell<Vec<String>>,
}

impl TileReader for Files<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            let kind = TileKind::Hashes { level: tile.level() };
            let width = u16::try_from(tile.width()).unwrap();
            let path = TilePath::new(kind, tile.level_index(), width).unwrap();
            // The crate names tiles as Go's checksum database does: the same path with the tile height in it.
            assert_eq!(tile.path(), path.to_string().replace("tile/", "tile/8/"));
            self.read.borrow_mut().push(path.to_string());
            self.files[&path.to_string()].clone()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn theirs(hash: Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

fn all_theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().copied().map(theirs).collect()
}

#[test]
fn signed_note_accepts_our_checkpoint_and_refuses_a_changed_one() {
    let log = Log::of(5);
    let text = log.checkpoint().to_string();
    let note = Note::from_bytes(text.as_bytes()).unwrap();
    let (verified, unknown) = note.verify(&log.verifiers()).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    assert_eq!(verified[0].name(), ORIGIN);
    assert_eq!(verified[0].id(), log.keys.checkpoints.key_id().0);

    let changed = text.replacen("\n5\n", "\n6\n", 1);
    let note = Note::from_bytes(changed.as_bytes()).unwrap();
    assert!(note.verify(&log.verifiers()).is_err());
}

#[test]
fn we_accept_the_keys_and_notes_that_signed_note_makes() {
    let seed = [8; 32];
    let ours = wardbook_ledger::CheckpointSigner::from_seed(ORIGIN, &seed).unwrap();
    let public = *ours.verifier().public_bytes();
    let id = signed_note::key_id(ORIGIN, &[&[1], &public[..]].concat());
    assert_eq!(id, ours.key_id().0);

    let secret = [&[1], &seed[..]].concat();
    let secret = base64_of(&secret);
    let secret = format!("PRIVATE+KEY+{ORIGIN}+{id:08x}+{secret}");
    let signer = signed_note::StandardSigner::new(&secret).unwrap();
    let mut note = Note::new(format!("{ORIGIN}\n0\n{}\n", empty_root()).as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let text = String::from_utf8(note.to_bytes()).unwrap();
    let key: VerifierKey = ours.verifier().to_string().parse().unwrap();
    let checkpoint = SignedCheckpoint::parse(&text).unwrap();
    assert_eq!(checkpoint.verify(&[key]).unwrap().size, 0);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

fn empty_root() -> String {
    wardbook_ledger::tree::empty_root().to_base64()
}

#[test]
fn tlog_tiles_reads_our_checkpoint_and_authenticates_our_tiles() {
    for size in [1, 2, 255, 256, 257, 700] {
        let log = Log::of(size);
        let text = log.checkpoint();
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.note().text().as_bytes()).unwrap();
        assert_eq!((checkpoint.origin(), checkpoint.size()), (ORIGIN, size));
        let root = *checkpoint.hash();
        assert_eq!(root.0, *log.tree.root().as_bytes());

        let files = Files { files: &log.files, read: RefCell::default() };
        let reader = TileHashReader::new(size, root, &files);
        for index in [0, size / 2, size - 1] {
            let entries = TilePath::entries_at(size, index / 256).unwrap();
            let bytes = &log.files[&entries.to_string()];
            let leaves = decode_entries(bytes, entries.width()).unwrap();
            let leaf = leaves[usize::try_from(index % 256).unwrap()];
            let hash = record_hash(leaf);
            let stored = reader.read_hashes(&[stored_hash_index(0, index)]).unwrap();
            assert_eq!(stored, [hash]);

            // Their proof from our tiles is our proof, and their check accepts ours.
            let proof = prove_inclusion(&log.tree, index, size).unwrap();
            assert_eq!(prove_record(size, index, &reader).unwrap(), all_theirs(&proof));
            check_record(&all_theirs(&proof), size, root, index, hash).unwrap();
            assert!(check_record(&all_theirs(&proof), size, root, index, root).is_err() || size == 1);

            let old = index + 1;
            let old_root = theirs(root_at(&log.tree, old).unwrap());
            let proof = prove_consistency(&log.tree, old, size).unwrap();
            assert_eq!(prove_tree(size, old, &reader).unwrap(), all_theirs(&proof));
            check_tree(&all_theirs(&proof), size, root, old, old_root).unwrap();
        }
        assert!(files.read.borrow().iter().all(|path| path.starts_with("tile/")));
    }
}

/// At this size each complete subtree of the tree lies in a tile of its own. Where two share one (at 300, say),
/// tlog_tiles 0.2.0 leaves tiles unauthenticated, as it takes the number of subtrees for that of tiles; so it serves
/// here as a second opinion, and nothing of ours rests on it.
#[test]
fn tlog_tiles_refuses_a_tile_of_ours_with_a_changed_byte() {
    let mut log = Log::of(257);
    let root = theirs(log.tree.root());
    log.files.get_mut("tile/0/000").unwrap()[40] ^= 1;
    let files = Files { files: &log.files, read: RefCell::default() };
    let reader = TileHashReader::new(257, root, &files);
    assert!(reader.read_hashes(&[stored_hash_index(0, 1)]).is_err());
    assert!(reader.read_hashes(&[stored_hash_index(0, 256)]).is_ok());
}

#[test]
fn the_parts_of_a_tlog_proof_are_accepted() {
    let log = Log::of(300);
    let text = TlogProof {
        extra: Some(log.leaves[42].to_vec()),
        index: 42,
        hashes: prove_inclusion(&log.tree, 42, 300).unwrap(),
        checkpoint: log.checkpoint(),
    }
    .to_string();
    // Taken apart here as the standard says, without our parser.
    let (head, note) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    assert!(lines.next().unwrap().starts_with("extra "));
    assert_eq!(lines.next(), Some("index 42"));
    let hashes: Vec<_> = lines.map(|line| tlog_tiles::Hash::parse_hash(line).unwrap()).collect();
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    note.verify(&log.verifiers()).unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    let leaf = record_hash(&log.leaves[42]);
    check_record(&hashes, checkpoint.size(), *checkpoint.hash(), 42, leaf).unwrap();
}
