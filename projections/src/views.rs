//! All views together.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::access_reviews::AccessReviewsView;
use crate::alerts::AlertsView;
use crate::audit::AuditView;
use crate::backups::BackupsView;
use crate::break_glass::BreakGlassView;
use crate::care_teams::CareTeamsView;
use crate::consent::ConsentView;
use crate::documents::DocumentsView;
use crate::elevations::ElevationsView;
use crate::erasure::ErasureView;
use crate::error::ViewError;
use crate::facts::FactsCache;
use crate::generation::Standing;
use crate::identity::IdentityView;
use crate::keys::KeysView;
use crate::patients::PatientsView;
use crate::projection::{Projection, Stretch};
use crate::rebuild::{Rebuild, RebuildError, Swapped};
use crate::records::RecordsView;

/// Where the views live and how much memory they may use.
#[derive(Debug, Clone)]
pub struct ViewsConfig {
    /// Directory of all views.
    pub dir: PathBuf,
    /// Page cache of each view's database, in bytes as stored; sled needs two to three times that in memory.
    pub cache_bytes: u64,
    /// Facts about this many users and this many patients are kept in memory.
    pub facts_max: usize,
}

impl ViewsConfig {
    /// The usual sizes: 32 MiB of pages for each view, facts about 100,000 patients and users.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir, cache_bytes: 32 << 20, facts_max: 100_000 }
    }
}

macro_rules! views {
    ($($(#[$doc:meta])* $variant:ident, $field:ident: $view:ty;)*) => {
        /// One of the views.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ViewName { $($(#[$doc])* $variant,)* }

        impl ViewName {
            /// Every view.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The name of its directory and in attestations.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => <$view as crate::View>::NAME),* }
            }
            /// Version of the view's code.
            #[must_use]
            pub const fn code_version(self) -> u32 {
                match self { $(Self::$variant => <$view as crate::View>::CODE_VERSION),* }
            }
        }

        /// All views. Shared by reference; every method may be called from any thread.
        #[derive(Debug)]
        pub struct Views {
            $($(#[$doc])* pub $field: Projection<$view>,)*
            pub(crate) facts: FactsCache,
            demand: Demand,
        }

        impl Views {
            /// Opens all views, each checked before it is believed; in parallel, as the check reads every row after a
            /// crash. A view that is damaged or outdated is listed by [`Views::ailing`] and answers errors until rebuilt.
            ///
            /// # Errors
            /// If the directory cannot be used.
            pub fn open(config: &ViewsConfig) -> Result<Self, ViewError> {
                std::thread::scope(|scope| {
                    $(let $field = scope.spawn(|| Projection::<$view>::open(&config.dir, config.cache_bytes));)*
                    Ok(Self {
                        $($field: $field.join().map_err(|_| ViewError::damaged(<$view as crate::View>::NAME, "opening it failed"))??,)*
                        facts: FactsCache::new(config.facts_max),
                        demand: Demand::default(),
                    })
                })
            }
            /// How each view stands.
            #[must_use]
            pub fn standings(&self) -> Vec<(ViewName, Result<Standing, ViewError>)> {
                vec![$((ViewName::$variant, self.$field.standing())),*]
            }
            /// How one view stands.
            ///
            /// # Errors
            /// If the view waits for a rebuild.
            pub fn standing(&self, view: ViewName) -> Result<Standing, ViewError> {
                match view { $(ViewName::$variant => self.$field.standing()),* }
            }
            /// The least position among the views that can be fed: where to read the log from.
            #[must_use]
            pub fn position(&self) -> u64 {
                [$(self.$field.position()),*].into_iter().flatten().min().unwrap_or(0)
            }
            /// Feeds every view what it has not seen yet. Views that wait for a rebuild are passed over.
            ///
            /// # Errors
            /// The first failure; the other views have been fed nevertheless.
            pub fn apply(&self, stretch: Stretch<'_>) -> Result<(), ViewError> {
                let results = if stretch.events.len() < PARALLEL_FROM {
                    [$(self.$field.take_in(stretch)),*]
                } else {
                    std::thread::scope(|scope| {
                        $(let $field = scope.spawn(|| self.$field.take_in(stretch));)*
                        [$($field.join().unwrap_or_else(|_| Err(ViewError::damaged(<$view as crate::View>::NAME, "applying failed")))),*]
                    })
                };
                // Facts before positions: whoever waited for a position must not be given facts from before it.
                self.facts.forget(stretch.events);
                $(self.$field.publish();)*
                match results.into_iter().find_map(|result| result.err().filter(|error| !error.wants_rebuild())) {
                    Some(error) => Err(error),
                    None => Ok(()),
                }
            }
            /// Begins to build a view anew beside the live one, or resumes a rebuild that was interrupted
            /// (unless `afresh`). One rebuild of a view at a time.
            ///
            /// # Errors
            /// If the new generation cannot be opened.
            pub fn begin_rebuild(&self, view: ViewName, afresh: bool) -> Result<Rebuild<'_>, ViewError> {
                match view { $(ViewName::$variant => Rebuild::begin(&self.$field, afresh),)* }
            }
            /// Waits until every view has taken in the event at this position.
            ///
            /// # Errors
            /// `Late` when the time is over.
            pub async fn wait_for(&self, position: u64, timeout: Duration) -> Result<(), ViewError> {
                if [$(self.$field.position()),*].into_iter().any(|reached| reached.is_ok_and(|reached| reached <= position)) {
                    self.demand.ask();
                }
                let all = async { $(self.$field.wait_for(position, timeout).await?;)* Ok(()) };
                tokio::time::timeout(timeout, all).await.unwrap_or(Err(ViewError::Late { view: "views", position }))
            }
            /// Hands everything in memory to the operating system.
            ///
            /// # Errors
            /// The first failure.
            pub fn flush(&self) -> Result<(), ViewError> {
                $(if let Ok(live) = self.$field.live() { live.flush()?; })*
                Ok(())
            }
        }
    };
}

/// Whether somebody waits for the views.
#[derive(Debug, Default)]
struct Demand {
    asked: Mutex<bool>,
    told: Condvar,
}

impl Demand {
    fn ask(&self) {
        *self.asked.lock() = true;
        self.told.notify_all();
    }
}

/// From this many events on, starting threads costs less than it saves.
const PARALLEL_FROM: usize = 256;

views! {
    /// Patients' master data.
    Patients, patients: PatientsView;
    /// Clinical entries.
    Records, records: RecordsView;
    /// Documents.
    Documents, documents: DocumentsView;
    /// Care teams.
    CareTeams, care_teams: CareTeamsView;
    /// Users and sessions.
    Identity, identity: IdentityView;
    /// What patients allow and forbid.
    Consent, consent: ConsentView;
    /// Roles for a short time.
    Elevations, elevations: ElevationsView;
    /// Requests to be forgotten, and holds.
    Erasure, erasure: ErasureView;
    /// Campaigns that look over who may do what.
    AccessReviews, access_reviews: AccessReviewsView;
    /// Index of the audit trail.
    Audit, audit: AuditView;
    /// Emergencies.
    BreakGlass, break_glass: BreakGlassView;
    /// Alerts.
    Alerts, alerts: AlertsView;
    /// Backups.
    Backups, backups: BackupsView;
    /// Keys: what was told of them, and how often they are used.
    Keys, keys: KeysView;
}

/// A view that must be rebuilt before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ailing {
    /// Which view.
    pub view: ViewName,
    /// What is wrong with it.
    pub reason: ViewError,
}

impl Views {
    /// Waits until somebody waits for the views, at most this long: whoever feeds them may gather events meanwhile, as
    /// a commit costs about the same for one event and for twenty. Tells whether somebody does;
    /// whoever began to wait since the last call counts.
    pub fn lull(&self, at_most: Duration) -> bool {
        let mut asked = self.demand.asked.lock();
        if !*asked {
            self.demand.told.wait_for(&mut asked, at_most);
        }
        std::mem::take(&mut *asked)
    }
    /// The views that must be rebuilt before they answer.
    #[must_use]
    pub fn ailing(&self) -> Vec<Ailing> {
        let ailing =
            |(view, standing): (ViewName, Result<Standing, ViewError>)| Some(Ailing { view, reason: standing.err()? });
        self.standings().into_iter().filter_map(ailing).collect()
    }
    /// Ends a rebuild: see [`Rebuild::finish`]. Facts kept in memory are dropped with the old view.
    ///
    /// # Errors
    /// Nothing is swapped on an error.
    pub fn finish_rebuild(
        &self,
        rebuild: Rebuild<'_>,
        fetch: impl FnMut(u64, u64) -> Result<Vec<wardbook_events::Recorded>, String>,
    ) -> Result<Swapped, RebuildError> {
        let swapped = rebuild.finish(fetch)?;
        self.facts.clear();
        Ok(swapped)
    }
}
