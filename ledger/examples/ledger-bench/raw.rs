//! The physical limit: the same bytes from the same producers into one file, group-committed, with no hash, no
//! signature, no tree and no index. Whoever comes during a flush is in the next one.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use wardbook_ledger::store::file::Disk;

type Waiting = (Vec<u8>, oneshot::Sender<()>);

struct Queue {
    waiting: Mutex<(Vec<Waiting>, bool)>,
    came: Condvar,
}

pub struct RawLog {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

impl RawLog {
    /// `gather`: wait a little for those who were in the last group, as the ledger does, so that it is the flush that
    /// is compared and not the luck of two half groups.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, gather: bool) -> Self {
        let queue = Arc::new(Queue { waiting: Mutex::new((Vec::new(), false)), came: Condvar::new() });
        let file = disk.open(path).unwrap();
        let theirs = Arc::clone(&queue);
        let writer = thread::spawn(move || {
            let (mut offset, mut last, mut typical) = (0, 1, Duration::ZERO);
            loop {
                let mut waiting = theirs.waiting.lock().unwrap();
                while waiting.0.is_empty() && !waiting.1 {
                    waiting = theirs.came.wait(waiting).unwrap();
                }
                let until = Instant::now() + typical * 15 / 100;
                while gather && waiting.0.len() < last && !waiting.1 {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    waiting = theirs.came.wait_timeout(waiting, left).unwrap().0;
                }
                let group = std::mem::take(&mut waiting.0);
                if group.is_empty() {
                    return;
                }
                drop(waiting);
                last = group.len();
                let bytes: Vec<u8> = group.iter().flat_map(|(bytes, _)| bytes).copied().collect();
                let began = Instant::now();
                file.write_at(&bytes, offset).unwrap();
                file.sync().unwrap();
                typical = (typical * 7 + began.elapsed()) / 8;
                offset += bytes.len() as u64;
                for (_, reply) in group {
                    let _ = reply.send(());
                }
            }
        });
        Self { queue, writer: Some(writer) }
    }

    pub async fn append(&self, bytes: Vec<u8>) {
        let (reply, answer) = oneshot::channel();
        self.queue.waiting.lock().unwrap().0.push((bytes, reply));
        self.queue.came.notify_one();
        answer.await.unwrap();
    }
}

impl Drop for RawLog {
    fn drop(&mut self) {
        self.queue.waiting.lock().unwrap().1 = true;
        self.queue.came.notify_one();
        self.writer.take().unwrap().join().unwrap();
    }
}
