//! A disk whose flush takes longer, to show what a slower disk does to both sides.

use std::{io, path::Path, sync::Arc, thread, time::Duration};

use wardbook_ledger::store::file::{Disk, DiskFile, LockGuard, RealDisk};

#[derive(Debug, Clone, Copy)]
pub struct SlowDisk {
    pub flush: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn DiskFile>,
    flush: Duration,
}

impl SlowDisk {
    fn slow(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let flush = self.flush;
        Arc::new(SlowFile { file, flush })
    }
}

impl Disk for SlowDisk {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dirs(dir)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(RealDisk.open(path)?))
    }
    fn open_existing(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        Ok(RealDisk.open_existing(path)?.map(|file| self.slow(file)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        thread::sleep(self.flush);
        RealDisk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        RealDisk.lock(path)
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        thread::sleep(self.flush);
        self.file.sync()
    }
}
