//! A disk in memory, for tests and throw-away ledgers: it remembers what has been synced, so that it can lose power,
//! and it can be told to break at any operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::file::{Disk, DiskFile, Held, LockGuard};

/// Bytes that a disk writes or loses as one.
const SECTOR_BYTES: usize = 512;

/// How an operation breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and has no effect.
    InputOutput,
    /// The disk is full; a write leaves its first half behind.
    NoSpace,
}

/// A disk in memory. Clones share the content.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<Names>,
    locks: Mutex<BTreeSet<PathBuf>>,
    /// Held for reading by every change, for writing while a power loss is imagined: it hits all files at one moment.
    moment: RwLock<()>,
    changes: AtomicU64,
    fault: Mutex<Option<(u64, Fault)>>,
}

#[derive(Debug, Default)]
struct Names {
    live: BTreeMap<PathBuf, Arc<Inode>>,
    /// What each directory held when it was last synced.
    durable: BTreeMap<PathBuf, Arc<Inode>>,
}

#[derive(Debug, Default)]
struct Inode(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Debug)]
struct MemoryFile {
    inode: Arc<Inode>,
    shared: Arc<Shared>,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations have changed or synced something so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// Breaks the operation that comes after `changes` others, counted from the beginning of the disk's life.
    pub fn break_at(&self, changes: u64, fault: Fault) {
        *self.0.fault.lock() = Some((changes, fault));
    }

    /// The disk as a power loss now would leave it: what was synced is there; of everything else each sector of each
    /// write, each change of size and each new name may be there or not, as `coin` says.
    #[must_use]
    pub fn after_power_loss(&self, coin: &mut dyn FnMut() -> bool) -> Self {
        let _now = self.0.moment.write();
        let names = self.0.names.lock();
        let mut kept = BTreeMap::new();
        let paths: BTreeSet<&PathBuf> = names.live.keys().chain(names.durable.keys()).collect();
        for path in paths {
            let (live, durable) = (names.live.get(path), names.durable.get(path));
            let same = matches!((live, durable), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
            let inode = if same || coin() { live } else { durable };
            if let Some(inode) = inode {
                let content = inode.0.lock().after_power_loss(coin);
                kept.insert(path.clone(), Arc::new(Inode(Mutex::new(content))));
            }
        }
        let shared = Shared { names: Mutex::new(Names { live: kept.clone(), durable: kept }), ..Shared::default() };
        Self(Arc::new(shared))
    }

    /// Every file with its content, for tests that damage them one by one.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let names = self.0.names.lock();
        let files = names.live.iter();
        files.map(|(path, inode)| (path.clone(), inode.0.lock().live.clone())).collect()
    }

    /// A disk that holds these files.
    #[must_use]
    pub fn with_files(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        let disk = Self::new();
        {
            let mut names = disk.0.names.lock();
            for (path, bytes) in files {
                let content = Content { durable: bytes.clone(), live: bytes, pending: Vec::new() };
                names.live.insert(path, Arc::new(Inode(Mutex::new(content))));
            }
            names.durable = names.live.clone();
        }
        disk
    }
}

impl Shared {
    /// Counts a change and says whether it breaks.
    fn change(&self) -> Result<(), Fault> {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        match *self.fault.lock() {
            Some((at, fault)) if at == number => Err(fault),
            _ => Ok(()),
        }
    }

    fn change_io(&self) -> io::Result<()> {
        self.change().map_err(Fault::error)
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::InputOutput => io::Error::other("injected input/output error"),
            Self::NoSpace => io::Error::new(io::ErrorKind::StorageFull, "injected full disk"),
        }
    }
}

impl Content {
    fn write(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len());
        if target.len() < end {
            target.resize(end, 0);
        }
        if let Some(place) = target.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
    }

    fn after_power_loss(&self, coin: &mut dyn FnMut() -> bool) -> Self {
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            match change {
                Change::SetLen(len) if coin() => bytes.resize(*len, 0),
                Change::SetLen(_) => {}
                Change::Write { offset, bytes: new } => {
                    let mut at = *offset;
                    let first = SECTOR_BYTES - at % SECTOR_BYTES;
                    let (head, tail) = new.split_at(first.min(new.len()));
                    for sector in std::iter::once(head).chain(tail.chunks(SECTOR_BYTES)) {
                        if coin() {
                            Self::write(&mut bytes, at, sector);
                        }
                        at += sector.len();
                    }
                }
            }
        }
        Self { live: bytes.clone(), durable: bytes, pending: Vec::new() }
    }
}

impl Disk for MemoryDisk {
    fn create_dirs(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let _now = self.0.moment.read();
        let mut names = self.0.names.lock();
        if !names.live.contains_key(path) {
            self.0.change_io()?;
        }
        let inode = Arc::clone(names.live.entry(path.to_owned()).or_default());
        let shared = Arc::clone(&self.0);
        Ok(Arc::new(MemoryFile { inode, shared }))
    }

    fn open_existing(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let names = self.0.names.lock();
        let inode = names.live.get(path).cloned();
        let shared = Arc::clone(&self.0);
        Ok(inode.map(|inode| Arc::new(MemoryFile { inode, shared }) as Arc<dyn DiskFile>))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = self.0.names.lock();
        let inside = names.live.keys().filter(|path| path.parent() == Some(dir));
        let last = inside.filter_map(|path| path.file_name());
        Ok(last.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _now = self.0.moment.read();
        self.0.change_io()?;
        let mut names = self.0.names.lock();
        let inode = names.live.remove(from);
        let inode = inode.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        names.live.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let _now = self.0.moment.read();
        self.0.change_io()?;
        self.0.names.lock().live.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let _now = self.0.moment.read();
        self.0.change_io()?;
        let mut names = self.0.names.lock();
        names.durable.retain(|path, _| path.parent() != Some(dir));
        let inside = names.live.iter().filter(|(path, _)| path.parent() == Some(dir));
        let inside: Vec<_> = inside.map(|(path, inode)| (path.clone(), Arc::clone(inode))).collect();
        names.durable.extend(inside);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let free = self.0.locks.lock().insert(path.to_owned());
        Ok(free.then(|| LockGuard::new(MemoryLock { path: path.to_owned(), shared: Arc::clone(&self.0) })))
    }
}

#[derive(Debug)]
struct MemoryLock {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Held for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.shared.locks.lock().remove(&self.path);
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.0.lock().live.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.inode.0.lock();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let rest = content.live.get(offset..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..read), rest.get(..read)) {
            to.copy_from_slice(from);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let _now = self.shared.moment.read();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let fault = self.shared.change().err();
        let written = match fault {
            None => bytes,
            Some(Fault::NoSpace) => bytes.split_at(bytes.len() / 2).0,
            Some(Fault::InputOutput) => &[],
        };
        let mut content = self.inode.0.lock();
        Content::write(&mut content.live, offset, written);
        content.pending.push(Change::Write { offset, bytes: written.to_vec() });
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let _now = self.shared.moment.read();
        self.shared.change_io()?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut content = self.inode.0.lock();
        content.live.resize(len, 0);
        content.pending.push(Change::SetLen(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let _now = self.shared.moment.read();
        self.shared.change_io()?;
        let mut content = self.inode.0.lock();
        for change in std::mem::take(&mut content.pending) {
            match change {
                Change::Write { offset, bytes } => Content::write(&mut content.durable, offset, &bytes),
                Change::SetLen(len) => content.durable.resize(len, 0),
            }
        }
        Ok(())
    }
}
