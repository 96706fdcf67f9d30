//! States remembered between commands, so that a long stream is not read anew each time.
//!
//! A remembered state is only a head start: what the stream has gained since is always read, and an append expects the
//! exact version, so an old state costs time and never correctness.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// States of at most this many streams, in each of two generations.
const GENERATION: usize = 4096;

type Remembered = (u64, Arc<dyn Any + Send + Sync>);

/// Keeps what was used lately: when the young generation is full it becomes the old one, and the old one is forgotten.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<String, Remembered>,
    old: HashMap<String, Remembered>,
}

impl Memory {
    pub(crate) fn recall<S: Send + Sync + 'static>(&self, stream: &str) -> Option<(u64, Arc<S>)> {
        let mut generations = self.0.lock();
        let found = generations.young.get(stream).cloned().or_else(|| generations.old.remove(stream))?;
        let (version, state) = found;
        let typed = Arc::clone(&state).downcast().ok()?;
        generations.put(stream, version, state);
        Some((version, typed))
    }

    pub(crate) fn remember<S: Send + Sync + 'static>(&self, stream: &str, version: u64, state: Arc<S>) {
        let mut generations = self.0.lock();
        let newer = generations.young.get(stream).is_none_or(|(known, _)| *known < version);
        if newer {
            generations.put(stream, version, state);
        }
    }
}

impl Generations {
    fn put(&mut self, stream: &str, version: u64, state: Arc<dyn Any + Send + Sync>) {
        if self.young.len() >= GENERATION && !self.young.contains_key(stream) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.to_owned(), (version, state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_keeps_what_is_used() {
        let memory = Memory::default();
        for n in 0..4 * GENERATION {
            memory.remember(&format!("s{n}"), 1, Arc::new(n));
            assert_eq!(memory.recall::<usize>("s0").unwrap().1.as_ref(), &0);
        }
        let generations = memory.0.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }

    #[test]
    fn an_older_state_does_not_replace_a_newer_one() {
        let memory = Memory::default();
        memory.remember("s", 2, Arc::new(2_u8));
        memory.remember("s", 1, Arc::new(1_u8));
        assert_eq!(memory.recall::<u8>("s"), Some((2, Arc::new(2))));
        assert_eq!(memory.recall::<u8>("t"), None);
    }
}
