//! Building a view anew beside the live one, and swapping the two if they agree.

use std::fs;
use std::sync::Arc;

use wardbook_events::Recorded;

use crate::error::ViewError;
use crate::generation::{Generation, Standing};
use crate::projection::{Projection, Stretch, View, current, generation_name, numbers, take_in};
use crate::root::Root;

/// Why a rebuilt view did not take the place of the live one.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A view failed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The new view stands beyond the live one.
    #[error(
        "the rebuilt view {view} stands at {position}, beyond the live one at {live}: finish when the follower has caught up"
    )]
    Ahead {
        /// Name of the view.
        view: &'static str,
        /// Where the new one stands.
        position: u64,
        /// Where the live one stands.
        live: u64,
    },
    /// The same events gave another state: one of the two is wrong. The live one goes on.
    #[error(
        "the rebuilt view {view} has root {rebuilt} at {position}, the live one {live}: not swapped, find out which is wrong"
    )]
    RootMismatch {
        /// Name of the view.
        view: &'static str,
        /// Where both stand.
        position: u64,
        /// Root of the rebuilt one.
        rebuilt: Root,
        /// Root of the live one.
        live: Root,
    },
    /// The missing events could not be fetched.
    #[error("the last events could not be read from the log: {0}")]
    Fetch(String),
}

/// A rebuilt view that took the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swapped {
    /// Name of the view.
    pub view: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// Whether there was a live one of the same code version to compare with.
    pub compared: bool,
}

/// A rebuild under way. Dropped, it keeps what it has and can be resumed.
pub struct Rebuild<'a>(Box<dyn Candidate + 'a>);

impl std::fmt::Debug for Rebuild<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rebuild({} at {})", self.view(), self.position())
    }
}

/// Fetches the events in `from..to`.
type Fetch<'f> = &'f mut dyn FnMut(u64, u64) -> Result<Vec<Recorded>, String>;

trait Candidate: Send + Sync {
    fn view(&self) -> &'static str;
    fn position(&self) -> u64;
    fn live_position(&self) -> Option<u64>;
    fn apply(&self, stretch: Stretch<'_>) -> Result<(), ViewError>;
    fn finish(self: Box<Self>, fetch: Fetch<'_>) -> Result<Swapped, RebuildError>;
    fn discard(self: Box<Self>);
}

impl<'a> Rebuild<'a> {
    pub(crate) fn begin<V: View>(live: &'a Projection<V>, afresh: bool) -> Result<Self, ViewError> {
        Ok(Self(Box::new(Beside::begin(live, afresh)?)))
    }
    /// Name of the view.
    #[must_use]
    pub fn view(&self) -> &'static str {
        self.0.view()
    }
    /// The next position it expects; not 0 when an interrupted rebuild is resumed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.0.position()
    }
    /// Where the live view stands: feed up to here, then [`Rebuild::finish`]. `None` if the live one is unusable:
    /// then feed up to the log's end.
    #[must_use]
    pub fn target(&self) -> Option<u64> {
        self.0.live_position()
    }
    /// Takes in events.
    ///
    /// # Errors
    /// If there is a gap or the store fails.
    pub fn apply(&self, stretch: Stretch<'_>) -> Result<(), ViewError> {
        self.0.apply(stretch)
    }
    /// Holds the live view where it is (queries go on), fetches the few events still missing, compares the roots and swaps.
    ///
    /// # Errors
    /// Nothing is swapped on an error. On a mismatch the new generation is deleted.
    pub fn finish(
        self,
        mut fetch: impl FnMut(u64, u64) -> Result<Vec<Recorded>, String>,
    ) -> Result<Swapped, RebuildError> {
        self.0.finish(&mut fetch)
    }
    /// Gives up and deletes what was built.
    pub fn discard(self) {
        self.0.discard();
    }
}

struct Beside<'a, V: View> {
    live: &'a Projection<V>,
    number: u64,
    next: Arc<Generation>,
}

impl<'a, V: View> Beside<'a, V> {
    fn begin(live: &'a Projection<V>, afresh: bool) -> Result<Self, ViewError> {
        let storage = |error: std::io::Error| ViewError::storage(V::NAME, &error);
        let current = current(live.dir()).map_err(storage)?.unwrap_or(0);
        let begun = numbers(live.dir()).map_err(storage)?.into_iter().filter(|number| *number > current).max();
        let number = begun.unwrap_or(current + 1);
        let path = live.dir().join(generation_name(number));
        let open = || Generation::open(V::NAME, V::CODE_VERSION, &path, live.cache_bytes());
        if afresh && path.exists() {
            fs::remove_dir_all(&path).map_err(storage)?;
        }
        let next = match open() {
            Err(error) if error.wants_rebuild() => {
                fs::remove_dir_all(&path).map_err(storage)?;
                open()?
            }
            other => other?,
        };
        Ok(Self { live, number, next: Arc::new(next) })
    }
}

impl<V: View> Candidate for Beside<'_, V> {
    fn view(&self) -> &'static str {
        V::NAME
    }
    fn position(&self) -> u64 {
        self.next.position()
    }
    fn live_position(&self) -> Option<u64> {
        self.live.position().ok()
    }
    fn apply(&self, stretch: Stretch<'_>) -> Result<(), ViewError> {
        take_in::<V>(&self.next, stretch)
    }
    fn finish(self: Box<Self>, fetch: Fetch<'_>) -> Result<Swapped, RebuildError> {
        let held = self.live.hold();
        let live = self.live.live().ok();
        if let Some(live) = &live {
            let (position, target) = (self.next.position(), live.position());
            if position > target {
                return Err(RebuildError::Ahead { view: V::NAME, position, live: target });
            }
            if position < target {
                let events = fetch(position, target).map_err(RebuildError::Fetch)?;
                self.apply(Stretch::new(position, &events, target))?;
            }
            let (rebuilt, old) = (self.next.standing(), live.standing());
            if rebuilt.root != old.root || rebuilt.rows != old.rows {
                self.next.doom();
                return Err(RebuildError::RootMismatch {
                    view: V::NAME,
                    position: target,
                    rebuilt: rebuilt.root,
                    live: old.root,
                });
            }
        }
        self.next.flush()?;
        let standing = self.next.standing();
        self.live.swap(Arc::clone(&self.next), self.number)?;
        drop(held);
        self.live.publish();
        Ok(Swapped { view: V::NAME, standing, compared: live.is_some() })
    }
    fn discard(self: Box<Self>) {
        self.next.doom();
    }
}
