//! From blocking calls to a library that is asynchronous: a small runtime on a thread of its own, and a deadline for
//! each call. The caller may be on any thread, one of another runtime too.

use std::future::Future;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// What went wrong on the way.
pub enum Lost {
    /// No answer in time.
    Late,
    /// The task ended without one.
    Gone,
}

/// The thread ends when this is dropped.
pub struct Bridge {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bridge {
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Ends with an error when the sender is dropped, which is as good.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs it over there and waits for it, so long at most; then it is dropped.
    pub fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Lost> {
        let (sender, receiver) = sync_channel(1);
        self.handle.spawn(async move {
            let done = tokio::time::timeout(deadline, work).await.map_err(|_| Lost::Late);
            // An error here means that nobody listens any more: whoever asked has given up.
            let _ = sender.send(done);
        });
        // A little longer than the task has, in case the thread is busy.
        match receiver.recv_timeout(deadline + Duration::from_millis(50)) {
            Ok(done) => done,
            Err(RecvTimeoutError::Timeout) => Err(Lost::Late),
            Err(RecvTimeoutError::Disconnected) => Err(Lost::Gone),
        }
    }

    /// Leaves something running over there for as long as the bridge stands.
    pub fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
