//! The newest versions of the streams and subjects that were used last, bounded in number.

use std::{collections::HashMap, hash::Hash};

/// A cache of two generations: what was not asked for during a whole generation is forgotten.
#[derive(Debug)]
pub(crate) struct Heads<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation_max: usize,
    generation: u64,
}

impl<K: Eq + Hash + Clone, V: Copy> Heads<K, V> {
    pub(crate) fn new(generation_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation_max, generation: 0 }
    }

    /// How often a generation was forgotten: what was set is remembered until this has grown by two.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(*value);
        }
        let value = self.old.remove(key)?;
        self.set(key, value);
        Some(value)
    }

    /// Remembers the value. An older one is replaced wherever it is.
    pub(crate) fn set(&mut self, key: &K, value: V) {
        if let Some(place) = self.young.get_mut(key) {
            *place = value;
            return;
        }
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
            self.generation += 1;
        }
        self.old.remove(key);
        self.young.insert(key.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_newest_value_and_no_more_than_two_generations() {
        let mut heads = Heads::new(2);
        for key in 0..10 {
            heads.set(&key, key);
            heads.set(&0, key * 100);
            assert_eq!(heads.get(&0), Some(key * 100));
            assert!(heads.young.len() + heads.old.len() <= 4);
        }
        assert_eq!(heads.get(&3), None);
    }
}
