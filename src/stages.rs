//! Where the time of one answer went.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How long each stage of an answer took, for `Server-Timing`.
#[derive(Debug)]
pub struct Stages(RefCell<(Instant, Vec<(&'static str, Duration)>)>);

impl Stages {
    /// The first stage begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(RefCell::new((Instant::now(), Vec::with_capacity(8))))
    }
    /// Ends the stage that began when the last one ended.
    pub fn end(&self, name: &'static str) {
        let (began, done) = &mut *self.0.borrow_mut();
        let now = Instant::now();
        done.push((name, now.duration_since(*began)));
        *began = now;
    }
    /// In the form of `Server-Timing`, milliseconds.
    #[must_use]
    pub fn header(&self) -> String {
        let parts: Vec<_> = self
            .0
            .borrow()
            .1
            .iter()
            .map(|(name, took)| format!("{name};dur={:.3}", took.as_secs_f64() * 1e3))
            .collect();
        parts.join(", ")
    }
}
