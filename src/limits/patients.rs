//! How many different patients one user is shown in an hour: more than a person can treat is a machine copying (ACC-26).
//!
//! Counted where a permit leads to a disclosure. What is counted stands in the ledger anyway, so a restart forgets nothing:
//! the first time that somebody asks, the last hour comes back from the audit trail.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use wardbook_events::access::{AccessEvent, Throttled};
use wardbook_events::{Event, EventId, Outcome, PatientId, Recorded, UserId};
use wardbook_ledger::Position;
use wardbook_policy::Permit;
use wardbook_projections::audit::AuditFilter;

use crate::app::App;
use crate::asker::Asker;
use crate::disclosure::Refusal;
use crate::recorded;

/// The rule's name in events: the setting's.
pub const RULE: &str = "patients_per_hour";
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Events that disclose patients, and the one that says that this limit was reached.
const TYPES: [&str; 5] = [
    "access.chart-opened",
    "access.records-opened",
    "access.document-opened",
    "access.patients-searched",
    "access.throttled",
];
/// Events of one user's last hour that are read at most; whoever has more is held by the limit of requests.
const PAST_MAX: usize = 10_000;
/// Users are looked through for those who may be forgotten when there are so many.
const USERS_MIN: usize = 1_024;

/// Whom each user was shown within the hour.
#[derive(Debug)]
pub struct PatientsShown {
    per_hour: usize,
    inner: Mutex<Users>,
}

#[derive(Debug)]
struct Users {
    shown: HashMap<UserId, Shown>,
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Shown {
    /// When each was shown last.
    patients: HashMap<PatientId, Timestamp>,
    /// When an event last said that the limit was reached.
    told_at: Option<Timestamp>,
}

/// The limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    /// Seconds until there is room.
    wait_s: u32,
    /// Whether no event of this hour says so yet.
    is_news: bool,
}

impl Shown {
    fn note(&mut self, patient: PatientId, at: Timestamp) {
        let last = self.patients.entry(patient).or_insert(at);
        *last = at.max(*last);
    }
    fn forget_old(&mut self, now: Timestamp) {
        self.patients.retain(|_, at| now.duration_since(*at) < HOUR);
        self.told_at = self.told_at.filter(|at| now.duration_since(*at) < HOUR);
    }
    /// Seconds until so many have been forgotten.
    fn wait(&self, over: usize, now: Timestamp) -> u32 {
        let mut times: Vec<_> = self.patients.values().collect();
        times.sort_unstable();
        let last = times.get(over.saturating_sub(1)).or(times.last());
        let wait = last.map_or(HOUR, |at| HOUR - now.duration_since(**at));
        u32::try_from(wait.as_millis().div_euclid(1_000) + 1).unwrap_or(1)
    }
}

impl PatientsShown {
    pub(super) fn new(per_hour: u32) -> Self {
        let inner = Users { shown: HashMap::new(), sweep_at: USERS_MIN };
        Self { per_hour: per_hour as usize, inner: Mutex::new(inner) }
    }

    fn knows(&self, user: UserId) -> bool {
        self.inner.lock().shown.contains_key(&user)
    }

    /// Takes in what the ledger says of a user.
    fn recall(&self, user: UserId, past: &[Recorded], now: Timestamp) {
        let mut inner = self.inner.lock();
        if inner.shown.len() >= inner.sweep_at {
            inner.shown.retain(|_, shown| {
                shown.forget_old(now);
                !shown.patients.is_empty()
            });
            inner.sweep_at = USERS_MIN.max(inner.shown.len() * 2);
        }
        let shown = inner.shown.entry(user).or_default();
        for event in past {
            let at = event.recorded_at;
            match &event.event {
                Event::Access(AccessEvent::ChartOpened(e)) => shown.note(e.patient, at),
                Event::Access(AccessEvent::RecordsOpened(e)) => shown.note(e.patient, at),
                Event::Access(AccessEvent::DocumentOpened(e)) => shown.note(e.patient, at),
                Event::Access(AccessEvent::PatientsSearched(e)) => {
                    e.found.iter().for_each(|patient| shown.note(*patient, at));
                }
                Event::Access(AccessEvent::Throttled(e)) if e.rule == RULE => {
                    shown.told_at = shown.told_at.max(Some(at));
                }
                _ => {}
            }
        }
    }

    /// Counts patients who are about to be shown: all of them, or none. An emergency is counted and not stopped.
    fn show(&self, user: UserId, patients: &[PatientId], is_emergency: bool, now: Timestamp) -> Result<(), Reached> {
        let mut inner = self.inner.lock();
        let shown = inner.shown.entry(user).or_default();
        shown.forget_old(now);
        let new = patients.iter().filter(|patient| !shown.patients.contains_key(patient)).count();
        let over = (shown.patients.len() + new).saturating_sub(self.per_hour);
        if new > 0 && over > 0 && !is_emergency {
            let is_news = shown.told_at.is_none();
            shown.told_at = shown.told_at.or(Some(now));
            return Err(Reached { wait_s: shown.wait(over, now), is_news });
        }
        patients.iter().for_each(|patient| shown.note(*patient, now));
        Ok(())
    }

    /// The event could not be written: the next one tries again.
    fn not_told(&self, user: UserId) {
        if let Entry::Occupied(mut shown) = self.inner.lock().shown.entry(user) {
            shown.get_mut().told_at = None;
        }
    }
}

/// Asks for room for patients who are about to be shown, and for their values to be opened.
///
/// # Errors
/// [`Refusal::TooManyOpened`]; [`Refusal::Throttled`], the first of a user in an hour is an event, from which an alert is made.
pub(crate) async fn admit(
    app: &App,
    asker: &Asker,
    patients: &[PatientId],
    permit: Option<&Permit>,
) -> Result<(), Refusal> {
    let is_emergency = permit.is_some_and(|permit| permit.emergency().is_some());
    if let Some(opens) = app.limits().opens().filter(|_| !is_emergency) {
        opens.may(asker.principal().user).map_err(|wait_s| Refusal::TooManyOpened { wait_s })?;
    }
    let shown = app.limits().patients();
    if shown.per_hour == 0 || patients.is_empty() {
        return Ok(());
    }
    let (user, now) = (asker.principal().user, app.now());
    if !shown.knows(user) {
        let task = app.clone();
        let past = tokio::task::spawn_blocking(move || past(&task, user, now)).await;
        shown.recall(user, &past.unwrap_or_else(|_| Ok(Vec::new()))?, now);
    }
    let Err(reached) = shown.show(user, patients, is_emergency, now) else { return Ok(()) };
    if reached.is_news {
        let event = AccessEvent::from(Throttled { rule: RULE.to_owned() }).into();
        let id = EventId::new(app.new_id()?);
        let told = app.tell(id, event, &asker.meta(Outcome::Denied), &asker.client, &[]).await;
        told.inspect_err(|_| shown.not_told(user))?;
    }
    Err(Refusal::Throttled { wait_s: reached.wait_s })
}

/// What the ledger says of a user's last hour.
fn past(app: &App, user: UserId, now: Timestamp) -> Result<Vec<Recorded>, Refusal> {
    let types = TYPES.map(str::to_owned).to_vec();
    let since = now.checked_sub(HOUR).ok();
    let filter = AuditFilter { actor: Some(user), types, since, ..AuditFilter::default() };
    let mut past = Vec::new();
    for position in app.views().audit.find(&filter, None, PAST_MAX)?.items {
        let entry = app.ledger().read(Position(position));
        let decoded = entry.ok().flatten().and_then(|entry| recorded::decode(&entry).transpose());
        match decoded.transpose() {
            Ok(event) => past.extend(event),
            // The limit is no reason to withhold a chart; that an event cannot be read is told by those whose task it is.
            Err(error) => tracing::error!(%error, "an event was left out of the count of patients shown"),
        }
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const USER: UserId = UserId::new(Uuid::from_u128(1));

    fn at(minute: i64) -> Timestamp {
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }
    fn patients(ids: impl IntoIterator<Item = u128>) -> Vec<PatientId> {
        ids.into_iter().map(|id| PatientId::new(Uuid::from_u128(id))).collect()
    }
    fn wait(result: Result<(), Reached>) -> (u32, bool) {
        let Reached { wait_s, is_news } = result.unwrap_err();
        (wait_s, is_news)
    }

    #[test]
    fn different_patients_count_and_the_same_again_does_not() {
        let shown = PatientsShown::new(3);
        for id in [1, 2, 1, 3, 2] {
            shown.show(USER, &patients([id]), false, at(0)).unwrap();
        }
        assert_eq!(wait(shown.show(USER, &patients([4]), false, at(0))), (3601, true));
        assert_eq!(wait(shown.show(USER, &patients([4]), false, at(1))), (3541, false), "told once");
        shown.show(USER, &patients([1]), false, at(1)).unwrap();
        shown.show(UserId::new(Uuid::from_u128(2)), &patients([4]), false, at(1)).unwrap();
    }

    #[test]
    fn an_hour_after_the_last_look_a_patient_counts_no_more() {
        let shown = PatientsShown::new(2);
        shown.show(USER, &patients([1]), false, at(0)).unwrap();
        shown.show(USER, &patients([2]), false, at(10)).unwrap();
        shown.show(USER, &patients([1]), false, at(30)).unwrap();
        assert_eq!(wait(shown.show(USER, &patients([3]), false, at(60))), (601, true));
        shown.show(USER, &patients([3]), false, at(70)).unwrap();
        assert_eq!(wait(shown.show(USER, &patients([4]), false, at(71))), (19 * 60 + 1, false));
        shown.show(USER, &patients([4]), false, at(90)).unwrap();
        assert!(wait(shown.show(USER, &patients([5]), false, at(121))).1, "another hour, another event");
    }

    #[test]
    fn a_list_is_shown_as_a_whole_or_not_at_all() {
        let shown = PatientsShown::new(5);
        shown.show(USER, &patients(1..=3), false, at(0)).unwrap();
        assert!(shown.show(USER, &patients(3..=6), false, at(0)).is_err());
        shown.show(USER, &patients(3..=5), false, at(0)).unwrap();
    }

    #[test]
    fn an_emergency_counts_but_is_not_stopped() {
        let shown = PatientsShown::new(2);
        for id in 1..=4 {
            shown.show(USER, &patients([id]), true, at(0)).unwrap();
        }
        assert!(shown.show(USER, &patients([5]), false, at(1)).is_err());
        shown.show(USER, &patients([4]), false, at(1)).unwrap();
        assert_eq!(wait(shown.show(USER, &patients([5]), false, at(2))), (58 * 60 + 1, false));
    }

    #[test]
    fn users_who_look_at_nobody_are_forgotten() {
        let shown = PatientsShown::new(2);
        for user in 0..10_000_u128 {
            let user = UserId::new(Uuid::from_u128(user));
            let now = at(user.uuid().as_u128() as i64);
            shown.recall(user, &[], now);
            shown.show(user, &patients([1]), false, now).unwrap();
        }
        assert!(shown.inner.lock().shown.len() <= USERS_MIN + 1);
    }
}
