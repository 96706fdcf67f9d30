//! The physical limit: the same bytes from the same producers into one file, group-committed, with no hash, no
//! signature, no tree and no index. Whoever comes during a flush is in the next one.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use wardbook_ledger::store::file::{Disk, DiskFile};

type Waiting = (Vec<u8>, oneshot::Sender<()>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<(Vec<Waiting>, bool)>,
    came: Condvar,
}

pub struct RawLog {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
    gather: bool,
}

impl RawLog {
    /// `gather`: wait a little for those who were in the last group, as the ledger does, so that it is the flush that
    /// is compared and not the luck of two half groups.
    pub fn open(disk: &dyn Disk, path: &Path, gather: bool) -> Self {
        let queue = Arc::new(Queue::default());
        let file = disk.open(path).unwrap();
        let theirs = Arc::clone(&queue);
        let writer = thread::spawn(move || write(&theirs, &*file, gather));
        Self { queue, writer: Some(writer), gather }
    }

    pub async fn append(&self, bytes: Vec<u8>) {
        let (reply, answer) = oneshot::channel();
        let count = {
            let mut waiting = self.queue.waiting.lock();
            waiting.0.push((bytes, reply));
            waiting.0.len()
        };
        // The writer takes all there are, so one who comes later need not wake it again.
        if self.gather || count == 1 {
            self.queue.came.notify_one();
        }
        answer.await.unwrap();
    }
}

fn write(queue: &Queue, file: &dyn DiskFile, gather: bool) {
    let (mut offset, mut last, mut typical) = (0, 1, Duration::ZERO);
    let mut bytes = Vec::new();
    loop {
        let mut waiting = queue.waiting.lock();
        while waiting.0.is_empty() && !waiting.1 {
            queue.came.wait(&mut waiting);
        }
        let until = Instant::now() + typical * 15 / 100;
        while gather && waiting.0.len() < last && !waiting.1 {
            if queue.came.wait_until(&mut waiting, until).timed_out() {
                break;
            }
        }
        let group = std::mem::take(&mut waiting.0);
        drop(waiting);
        if group.is_empty() {
            return;
        }
        last = group.len();
        bytes.clear();
        group.iter().for_each(|(one, _)| bytes.extend_from_slice(one));
        let began = Instant::now();
        file.write_at(&bytes, offset).unwrap();
        file.sync().unwrap();
        typical = (typical * 7 + began.elapsed()) / 8;
        offset += bytes.len() as u64;
        for (_, reply) in group {
            let _ = reply.send(());
        }
    }
}

impl Drop for RawLog {
    fn drop(&mut self) {
        self.queue.waiting.lock().1 = true;
        self.queue.came.notify_one();
        self.writer.take().unwrap().join().unwrap();
    }
}
