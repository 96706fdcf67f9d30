//! Patience with a provider that fails as it is told to, by a clock that is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use wardbook_keys::providers::patience::Patience;
use wardbook_keys::providers::steady::{ProviderState, Steady};
use wardbook_keys::{Clock, RootError, RootKeyProvider, RootVersion};

use crate::matrix::{HERE, KEY};

#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn unix_s(&self) -> u64 {
        self.elapsed().as_secs()
    }
}

/// Fails so many times, each time after a while; then refuses or answers.
#[derive(Clone, Default)]
struct Moody {
    failures: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    takes: Duration,
    clock: Hands,
    refuses: bool,
}

impl Moody {
    fn answer<T>(&self, answer: T) -> Result<T, RootError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.clock.advance(self.takes);
        let fails = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            let retry_after = Duration::from_secs(5);
            return Err(RootError::Unreachable { provider: "moody", why: "told to".to_owned(), retry_after });
        }
        match self.refuses {
            true => Err(RootError::Refused { provider: "moody", why: "told to".to_owned() }),
            false => Ok(answer),
        }
    }
    fn fail(&self, times: u32) {
        self.failures.store(times, Ordering::SeqCst);
    }
    fn calls(&self) -> u32 {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

impl RootKeyProvider for Moody {
    fn id(&self) -> String {
        "moody".to_owned()
    }
    fn wrap(&self, _: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        self.answer(key.to_vec())
    }
    fn unwrap(&self, _: &str, _: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, RootError> {
        self.answer(zeroize::Zeroizing::new(KEY.to_vec()))
    }
    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.answer(RootVersion::new("1"))
    }
    fn version_of(&self, _: &[u8]) -> Result<RootVersion, RootError> {
        Ok(RootVersion::new("1"))
    }
    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.answer(RootVersion::new("2"))
    }
    fn retire_before(&self, _: &RootVersion) -> Result<(), RootError> {
        self.answer(())
    }
}

const PATIENCE: Patience =
    Patience { deadline: Duration::from_secs(3), tries_max: 3, failures_max: 2, pause: Duration::from_secs(5) };

fn steady(moody: &Moody) -> Steady<Moody> {
    Steady::with_clock(moody.clone(), "moody", PATIENCE, Arc::new(moody.clock.clone()))
}

#[test]
fn what_fails_twice_works_the_third_time() {
    let moody = Moody::default();
    let root = steady(&moody);
    moody.fail(2);
    root.wrap(HERE, &KEY).unwrap();
    assert_eq!((moody.calls(), root.state()), (3, ProviderState::Reachable));
    moody.fail(3);
    assert!(matches!(root.wrap(HERE, &KEY), Err(RootError::Unreachable { .. })));
    assert_eq!((moody.calls(), root.state()), (3, ProviderState::Unreachable));
}

#[test]
fn what_must_not_happen_twice_is_tried_once() {
    let moody = Moody::default();
    moody.fail(1);
    assert!(steady(&moody).rotate().is_err());
    assert_eq!(moody.calls(), 1);
}

#[test]
fn slow_tries_end_within_the_deadline() {
    let moody = Moody { takes: PATIENCE.of_one_try(), ..Moody::default() };
    moody.fail(9);
    assert!(steady(&moody).wrap(HERE, &KEY).is_err());
    assert!(moody.clock.elapsed() <= PATIENCE.deadline);
    assert_eq!(moody.calls(), 2);
}

#[test]
fn a_refusal_is_no_outage() {
    let moody = Moody { refuses: true, ..Moody::default() };
    let root = steady(&moody);
    for _ in 0..5 {
        assert!(matches!(root.wrap(HERE, &KEY), Err(RootError::Refused { .. })));
    }
    assert_eq!((moody.calls(), root.state()), (5, ProviderState::Refusing), "asked once each time, and each time");
}

#[test]
fn after_failures_it_is_left_alone_and_then_looked_for() {
    let moody = Moody::default();
    let root = steady(&moody);
    moody.fail(6);
    for _ in 0..2 {
        assert!(root.wrap(HERE, &KEY).is_err());
    }
    assert_eq!(moody.calls(), 6);
    let told = root.wrap(HERE, &KEY).unwrap_err();
    assert_eq!(told.retry_after(), Some(PATIENCE.pause));
    assert_eq!(moody.calls(), 0, "nobody asked it");
    moody.clock.advance(PATIENCE.pause);
    root.wrap(HERE, &KEY).unwrap();
    root.wrap(HERE, &KEY).unwrap();
    assert_eq!((moody.calls(), root.state()), (2, ProviderState::Reachable));
}

/// Keeps what is counted.
#[derive(Default)]
struct Book(std::sync::Mutex<std::collections::BTreeMap<String, Arc<AtomicU64>>>);

impl Book {
    fn at(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }
    fn count(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::SeqCst))
    }
}

impl metrics::Recorder for Book {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.at(key))
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.at(key))
    }
    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[test]
fn calls_failures_and_the_breaker_are_counted() {
    let (book, moody) = (Book::default(), Moody::default());
    let root = steady(&moody);
    moody.fail(6);
    metrics::with_local_recorder(&book, || {
        for _ in 0..3 {
            assert!(root.wrap(HERE, &KEY).is_err());
        }
    });
    let breaker = "wardbook_key_provider_breaker_open moody";
    assert_eq!(book.count("wardbook_key_provider_calls_total moody wrap unreachable"), 2);
    assert_eq!(book.count("wardbook_key_provider_calls_total moody wrap shut"), 1);
    assert_eq!(book.count("wardbook_key_provider_retries_total moody wrap"), 4);
    assert_eq!(f64::from_bits(book.count(breaker)), 1.0);
    moody.clock.advance(PATIENCE.pause);
    metrics::with_local_recorder(&book, || root.wrap(HERE, &KEY)).unwrap();
    assert_eq!(book.count("wardbook_key_provider_calls_total moody wrap ok"), 1);
    assert_eq!(f64::from_bits(book.count(breaker)), 0.0);
}
