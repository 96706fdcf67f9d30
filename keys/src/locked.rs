//! Keys stand in pages that are not swapped out (ENC-15), as far as the system allows.
//!
//! A page is taken from the allocator, locked, and never given back; its slots are handed out, wiped and handed out again. So
//! a key is never freed unwiped, and no page is unlocked under somebody else's key.

use std::ops::{Deref, DerefMut};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Bytes of slots that are made at once.
const PAGES: usize = 16 * 1024;

static LOCKED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Bytes for keys that are locked in memory, and bytes that the system refused to lock (`RLIMIT_MEMLOCK`).
#[must_use]
pub fn locked_memory() -> (u64, u64) {
    (LOCKED.load(Ordering::Relaxed), REFUSED.load(Ordering::Relaxed))
}

/// What may stand in a slot. Its drop wipes it.
pub trait Pooled: Sized + Send + 'static {
    /// What stands in a slot that nobody has.
    fn empty() -> Self;
    /// Where the slots are.
    fn pool() -> &'static Pool<Self>;
}

/// Slots that nobody has.
pub struct Pool<T: 'static>(Mutex<Vec<&'static mut T>>);

impl<T: Pooled> Pool<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn take(&self) -> &'static mut T {
        let mut free = self.0.lock();
        if free.is_empty() {
            let count = (PAGES / size_of::<T>()).max(1);
            let slots = Box::leak((0..count).map(|_| T::empty()).collect());
            lock(slots);
            free.extend(slots);
        }
        free.pop().unwrap_or_else(|| Box::leak(Box::new(T::empty())))
    }
}

fn lock<T>(slots: &[T]) {
    static TOLD: Once = Once::new();
    let bytes = size_of_val(slots);
    match region::lock(slots.as_ptr(), bytes) {
        Ok(guard) => {
            // For ever.
            std::mem::forget(guard);
            LOCKED.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Err(error) => {
            REFUSED.fetch_add(bytes as u64, Ordering::Relaxed);
            TOLD.call_once(|| {
                tracing::warn!(%error, "keys in memory may be swapped out: raise RLIMIT_MEMLOCK (`ulimit -l`, `LimitMEMLOCK`)");
            });
        }
    }
}

/// A value in a slot; wiped and given back when dropped.
pub struct Locked<T: Pooled>(Option<&'static mut T>);

impl<T: Pooled> Locked<T> {
    /// What stands in an empty slot, to be filled in place.
    pub fn empty() -> Self {
        Self(Some(T::pool().take()))
    }
    pub fn new(value: T) -> Self {
        let mut slot = Self::empty();
        *slot = value;
        slot
    }
}

#[expect(clippy::expect_used, reason = "only its drop takes the slot away")]
impl<T: Pooled> Deref for Locked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_deref().expect("a slot")
    }
}

#[expect(clippy::expect_used, reason = "only its drop takes the slot away")]
impl<T: Pooled> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("a slot")
    }
}

impl<T: Pooled> Drop for Locked<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            *slot = T::empty();
            T::pool().0.lock().push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells when it is wiped.
    struct Probe(u8);
    static WIPED: AtomicU64 = AtomicU64::new(0);
    impl Drop for Probe {
        fn drop(&mut self) {
            WIPED.fetch_add(u64::from(self.0), Ordering::Relaxed);
        }
    }
    impl Pooled for Probe {
        fn empty() -> Self {
            Self(0)
        }
        fn pool() -> &'static Pool<Self> {
            static POOL: Pool<Probe> = Pool::new();
            &POOL
        }
    }

    #[test]
    fn slots_are_wiped_and_handed_out_again() {
        let first = Locked::new(Probe(7));
        let place = std::ptr::from_ref(&*first);
        drop(first);
        assert_eq!(WIPED.load(Ordering::Relaxed), 7);
        let again = Locked::<Probe>::empty();
        assert_eq!((std::ptr::from_ref(&*again), again.0.as_ref().unwrap().0), (place, 0));
        let (locked, refused) = locked_memory();
        assert!(locked + refused >= PAGES as u64 - 1);
    }
}
