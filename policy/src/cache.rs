//! Remembers answers. Deciding is a pure function of the [`Question`], so an answer is right for ever and is never
//! "invalidated": other facts are another question. Bounded in number, and never by time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::permit::Verdict;
use crate::question::Question;

/// Two generations: when the young one is full it becomes the old one, and what was old and never asked again is gone.
pub(crate) struct Cache {
    generations: RwLock<Generations>,
    /// Most answers in one generation.
    capacity: usize,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Question, Arc<Verdict>>,
    old: HashMap<Question, Arc<Verdict>>,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { generations: RwLock::default(), capacity }
    }

    /// The answer, remembered or worked out. The lock is not held while deciding.
    pub(crate) fn answer(&self, question: Question, decide: impl FnOnce(&Question) -> Verdict) -> Arc<Verdict> {
        let from_old = {
            let generations = self.generations.read();
            if let Some(verdict) = generations.young.get(&question) {
                return Arc::clone(verdict);
            }
            generations.old.get(&question).map(Arc::clone)
        };
        let verdict = from_old.unwrap_or_else(|| Arc::new(decide(&question)));
        if self.capacity > 0 {
            let mut generations = self.generations.write();
            if generations.young.len() >= self.capacity {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.insert(question, Arc::clone(&verdict));
        }
        verdict
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let generations = self.generations.read();
        generations.young.len() + generations.old.len()
    }
}
