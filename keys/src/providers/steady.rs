//! Around a provider that is somewhere else: tries again, stops asking one that does not answer, and counts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::patience::{Breaker, Gate, Patience, Standing};
use crate::cache::{Clock, MonotonicClock};
use crate::root::{RootError, RootKeyProvider, RootVersion};

/// What is known of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProviderState {
    /// Nobody has asked it yet.
    #[default]
    Unknown,
    /// It answered when it was last asked.
    Reachable,
    /// It answers, and refuses us: our credentials, or a key that is disabled.
    Refusing,
    /// It did not answer.
    Unreachable,
}

impl ProviderState {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reachable => "reachable",
            Self::Refusing => "refusing",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A provider, asked with patience.
pub struct Steady<P> {
    inner: P,
    /// Which kind of provider, in metrics and errors.
    name: &'static str,
    patience: Patience,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    breaker: Breaker,
    state: ProviderState,
}

impl<P: RootKeyProvider> Steady<P> {
    /// Around `inner`, whose single tries must end within [`Patience::of_one_try`].
    #[must_use]
    pub fn new(inner: P, name: &'static str, patience: Patience) -> Self {
        Self::with_clock(inner, name, patience, Arc::new(MonotonicClock::default()))
    }

    /// As [`Self::new`], by another clock.
    #[must_use]
    pub fn with_clock(inner: P, name: &'static str, patience: Patience, clock: Arc<dyn Clock>) -> Self {
        Self { inner, name, patience, clock, known: Mutex::default() }
    }

    /// Which kind of provider it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What is known of it, without asking it.
    #[must_use]
    pub fn state(&self) -> ProviderState {
        self.known.lock().state
    }

    /// Asks as often as patience allows.
    fn call<T>(&self, operation: &'static str, ask: impl Fn(&P) -> Result<T, RootError>) -> Result<T, RootError> {
        self.call_with(self.patience, operation, ask)
    }

    /// Asks once: what is not to happen twice when only its answer was lost.
    fn once<T>(&self, operation: &'static str, ask: impl Fn(&P) -> Result<T, RootError>) -> Result<T, RootError> {
        self.call_with(Patience { tries_max: 1, ..self.patience }, operation, ask)
    }

    fn call_with<T>(
        &self,
        patience: Patience,
        operation: &'static str,
        ask: impl Fn(&P) -> Result<T, RootError>,
    ) -> Result<T, RootError> {
        let began = self.clock.elapsed();
        if let Gate::Shut(wait) = self.known.lock().breaker.ask(began, &patience) {
            counter!("wardbook_key_provider_calls_total", "provider" => self.name, "operation" => operation, "outcome" => "shut")
                .increment(1);
            let why = "it did not answer several times, and is left alone for a moment".to_owned();
            return Err(RootError::Unreachable { provider: self.name, why, retry_after: wait });
        }
        let mut tried = 0;
        let answer = loop {
            let answer = ask(&self.inner);
            tried += 1;
            if !matches!(answer, Err(RootError::Unreachable { .. })) {
                break answer;
            }
            let Some(wait) = patience.again(tried, self.clock.elapsed().saturating_sub(began), chance()) else {
                break answer;
            };
            counter!("wardbook_key_provider_retries_total", "provider" => self.name, "operation" => operation)
                .increment(1);
            std::thread::sleep(wait);
        };
        self.note(operation, began, &answer);
        answer
    }

    fn note<T>(&self, operation: &'static str, began: Duration, answer: &Result<T, RootError>) {
        let now = self.clock.elapsed();
        let mut known = self.known.lock();
        let (state, outcome) = match answer {
            Ok(_) => (ProviderState::Reachable, "ok"),
            Err(RootError::Unreachable { .. }) => (ProviderState::Unreachable, "unreachable"),
            Err(RootError::Refused { .. } | RootError::Disabled { .. }) => (ProviderState::Refusing, "refused"),
            Err(_) => (ProviderState::Reachable, "failed"),
        };
        match state {
            ProviderState::Unreachable => known.breaker.missed(now, &self.patience),
            _ => known.breaker.reached(),
        }
        if known.state != state {
            match answer {
                Ok(_) => tracing::info!(provider = self.name, "the key provider answers"),
                Err(error) => tracing::warn!(provider = self.name, operation, %error, "the key provider"),
            }
        }
        known.state = state;
        let open = match known.breaker.standing() {
            Standing::Closed => 0.0,
            Standing::HalfOpen => 0.5,
            Standing::Open => 1.0,
        };
        drop(known);
        counter!("wardbook_key_provider_calls_total", "provider" => self.name, "operation" => operation, "outcome" => outcome)
            .increment(1);
        histogram!("wardbook_key_provider_seconds", "provider" => self.name, "operation" => operation)
            .record(now.saturating_sub(began).as_secs_f64());
        gauge!("wardbook_key_provider_breaker_open", "provider" => self.name).set(open);
    }
}

/// For pauses only. Without it everybody waits equally long, which is no reason to fail.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

impl<P: RootKeyProvider> RootKeyProvider for Steady<P> {
    fn id(&self) -> String {
        self.inner.id()
    }
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        self.call("wrap", |inner| inner.wrap(context, key))
    }
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        self.call("unwrap", |inner| inner.unwrap(context, wrapped))
    }
    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.call("newest-version", RootKeyProvider::newest_version)
    }
    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        self.inner.version_of(wrapped)
    }
    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.once("rotate", RootKeyProvider::rotate)
    }
    fn rewrap(&self, context: &str, wrapped: &[u8]) -> Result<Vec<u8>, RootError> {
        self.call("rewrap", |inner| inner.rewrap(context, wrapped))
    }
    fn retire_before(&self, version: &RootVersion) -> Result<(), RootError> {
        self.call("retire", |inner| inner.retire_before(version))
    }
    fn check(&self) -> Result<(), RootError> {
        self.call("check", RootKeyProvider::check)
    }
    fn create(&self) -> Result<(), RootError> {
        self.once("create", RootKeyProvider::create)
    }
}

impl<P> fmt::Debug for Steady<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Steady({})", self.name)
    }
}
