//! Names of tiles: `tile/L/N`, `tile/entries/N`, with `.p/W` behind a tile that is not full. N is written in groups of
//! three digits, all but the last behind an `x`: 1234067 is `x001/x234/067`.

use std::{fmt, str::FromStr};

use super::{TILE_HEIGHT, TILE_WIDTH};
use crate::codec::decimal;

/// Levels of tiles that a path may name (C2SP tlog-tiles).
const TILE_LEVEL_MAX: u8 = 63;

/// Not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile: expected tile/LEVEL/INDEX or tile/entries/INDEX, such as tile/0/x001/067.p/5")]
pub struct ParsePathError;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of subtrees of `256^level` leaves.
    Hashes {
        /// The level of tiles, 0 for leaf hashes.
        level: u8,
    },
    /// Leaf entries.
    Entries,
}

/// Which tile, and how much of it: no path of a tile that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TilePath {
    /// A tile; None if the width is not 1 to 256, or the level over 63.
    #[must_use]
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level_fits = match kind {
            TileKind::Hashes { level } => level <= TILE_LEVEL_MAX,
            TileKind::Entries => true,
        };
        let fits = level_fits && (1..=TILE_WIDTH).contains(&width);
        fits.then_some(Self { kind, index, width })
    }

    /// The hash tile as wide as a tree of `size` leaves has it; None if the tree does not reach it.
    #[must_use]
    pub fn hashes_at(size: u64, level: u8, index: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT))?;
        Self::at(TileKind::Hashes { level }, hashes, index)
    }

    /// The entries tile as wide as a tree of `size` leaves has it; None if the tree does not reach it.
    #[must_use]
    pub fn entries_at(size: u64, index: u64) -> Option<Self> {
        Self::at(TileKind::Entries, size, index)
    }

    fn at(kind: TileKind, count: u64, index: u64) -> Option<Self> {
        let full = u64::from(TILE_WIDTH);
        let left = count.checked_sub(index.checked_mul(full)?)?.min(full);
        Self::new(kind, index, u16::try_from(left).ok()?)
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Which of its kind and level, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// True if it will never change again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        write_groups(f, self.index / 1000)?;
        write!(f, "{:03}", self.index % 1000)?;
        match self.is_full() {
            true => Ok(()),
            false => write!(f, ".p/{}", self.width),
        }
    }
}

fn write_groups(f: &mut fmt::Formatter<'_>, groups: u64) -> fmt::Result {
    if groups > 0 {
        write_groups(f, groups / 1000)?;
        write!(f, "x{:03}/", groups % 1000)?;
    }
    Ok(())
}

impl FromStr for TilePath {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        let path = parse(text).ok_or(ParsePathError)?;
        // One tile has one path: what is not written back the same was not written by the rules.
        match path.to_string() == text {
            true => Ok(path),
            false => Err(ParsePathError),
        }
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes { level: decimal(level)?.try_into().ok()? },
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, decimal(width)?.try_into().ok()?),
        None => (rest, TILE_WIDTH),
    };
    let mut number: u64 = 0;
    for group in index.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let group: u64 = digits.parse().ok()?;
        number = number.checked_mul(1000)?.checked_add(group)?;
    }
    TilePath::new(kind, number, width)
}
