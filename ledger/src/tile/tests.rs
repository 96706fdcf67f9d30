use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::{
    proof::{prove_consistency, prove_inclusion},
    tree::{
        root_at,
        tests::{leaves, memory_tree},
    },
};

#[test]
fn paths_are_written_as_the_standard_shows_them() {
    for (level, index, width, path) in [
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (0, 0, 256, "tile/0/000"),
        (1, 5, 17, "tile/1/005.p/17"),
        (63, 1000, 1, "tile/63/x001/000.p/1"),
    ] {
        let tile = TilePath::new(TileKind::Hashes { level }, index, width).unwrap();
        assert_eq!(tile.to_string(), path);
        assert_eq!(path.parse(), Ok(tile));
    }
    let entries = TilePath::new(TileKind::Entries, 273, 3).unwrap();
    assert_eq!(entries.to_string(), "tile/entries/273.p/3");
}

#[test]
fn other_spellings_of_a_path_are_refused() {
    for wrong in [
        "tile/0/x000/067",
        "tile/00/067",
        "tile/64/067",
        "tile/0/67",
        "tile/0/0067",
        "tile/0/x067",
        "tile/0/001/067",
        "tile/0/x001/x067",
        "tile/0/067.p/256",
        "tile/0/067.p/0",
        "tile/0/067.p/01",
        "tile/0/067.p/",
        "tile/-1/067",
        "/tile/0/067",
        "tile/0/067/",
        "tile/data/067",
        "tile/entries/x999/x999/x999/x999/x999/x999/999",
        "../tile/0/067",
        "",
    ] {
        assert!(wrong.parse::<TilePath>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn paths_are_read_back(level in 0u8..=63, index in any::<u64>(), width in 1u16..=256, hashes: bool) {
        let kind = if hashes { TileKind::Hashes { level } } else { TileKind::Entries };
        let tile = TilePath::new(kind, index, width).unwrap();
        prop_assert_eq!(tile.to_string().parse(), Ok(tile));
    }

    #[test]
    fn a_changed_path_is_another_tile_or_none(index in any::<u64>(), width in 1u16..=256, at: prop::sample::Index, byte in 0u8..128) {
        let tile = TilePath::new(TileKind::Entries, index, width).unwrap();
        let mut text = tile.to_string().into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != byte);
        text[at] = byte;
        if let Ok(other) = String::from_utf8(text).unwrap().parse::<TilePath>() {
            prop_assert_ne!(other, tile);
        }
    }

    #[test]
    fn tiles_are_read_back(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..20)) {
        let bytes = encode_entries(&entries).unwrap();
        let width = u16::try_from(entries.len()).unwrap();
        prop_assert_eq!(decode_entries(&bytes, width).unwrap(), entries);
        for at in 0..bytes.len() {
            prop_assert!(decode_entries(&bytes[..at], width).is_err());
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(other) = decode_entries(&changed, width) {
                prop_assert_eq!(encode_entries(&other).unwrap(), changed);
            }
        }
        prop_assert!(decode_entries(&[&bytes[..], &[0]].concat(), width).is_err());
    }
}

#[test]
fn an_entry_must_fit_its_length_and_a_hash_tile_its_width() {
    assert!(encode_entries([vec![0; 65_535]]).is_ok());
    assert_eq!(encode_entries([vec![0; 65_536]]), Err(TileError::EntryTooLong(65_536)));
    let hashes = leaves(3);
    let bytes = encode_hashes(&hashes);
    assert_eq!(decode_hashes(&bytes, 3), Ok(hashes));
    assert!(decode_hashes(&bytes, 2).is_err());
    assert!(decode_hashes(&bytes, 4).is_err());
}

/// All tiles of a tree, as a log of that size publishes them.
fn tiles(size: u64) -> (HashMap<String, Vec<u8>>, crate::tree::MemoryTree) {
    let tree = memory_tree(&leaves(usize::try_from(size).unwrap()));
    let mut tiles = HashMap::new();
    for level in 0..3 {
        for index in 0.. {
            let Some(path) = TilePath::hashes_at(size, level, index) else {
                break;
            };
            let first = index * 256;
            let hashes = (first..first + u64::from(path.width()))
                .map(|at| tree.hash(level * 8, at).unwrap())
                .collect::<Vec<_>>();
            tiles.insert(path.to_string(), encode_hashes(&hashes));
        }
    }
    (tiles, tree)
}

#[test]
fn tiles_give_every_hash_that_the_tree_has() {
    for size in [1u64, 2, 255, 256, 257, 700, 66_000] {
        let (tiles, tree) = tiles(size);
        let source =
            TileSource::new(size, |path: &TilePath| tiles.get(&path.to_string()).cloned().ok_or("no such tile"));
        assert_eq!(root_at(&source, size).unwrap(), tree.root(), "size {size}");
        for index in [0, size / 3, size - 1] {
            let proof = prove_inclusion(&source, index, size).unwrap();
            assert_eq!(proof, prove_inclusion(&tree, index, size).unwrap());
            let proof = prove_consistency(&source, index + 1, size).unwrap();
            assert_eq!(proof, prove_consistency(&tree, index + 1, size).unwrap());
        }
        assert!(matches!(source.hash(0, size), Err(TileSourceError::NotInTree { .. })));
        assert!(source.hash(200, 0).is_err());
    }
}

#[test]
fn a_tile_of_the_wrong_width_is_refused() {
    let source = TileSource::new(3, |_: &TilePath| Ok::<_, String>(vec![0; 64]));
    assert!(matches!(source.hash(0, 0), Err(TileSourceError::Tile { .. })));
}
