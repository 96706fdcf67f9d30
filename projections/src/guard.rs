//! Fences around sled, which may panic on damaged files: a panic becomes a value and prints no trace.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// Something inside panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs it; a panic inside is returned, silently. Costs nothing as long as there is none.
pub(crate) fn fenced<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // sled's own threads (named sled-io, log flusher ...) panic with what they found in a damaged file.
            let sleds =
                std::thread::current().name().is_some_and(|name| name.contains("sled") || name.contains("log flusher"));
            if !FENCED.with(Cell::get) && !sleds {
                usual(info);
            }
        }));
    });
    let before = FENCED.with(|fenced| fenced.replace(true));
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    FENCED.with(|fenced| fenced.set(before));
    result.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_and_fences_nest() {
        assert_eq!(fenced(|| 1), Ok(1));
        assert_eq!(fenced(|| fenced(|| panic!("inner")).is_err()), Ok(true));
        assert_eq!(fenced(|| panic!("outer")), Err::<(), _>(Panicked));
        assert!(!FENCED.with(Cell::get));
    }
}
