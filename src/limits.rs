//! How often somebody may ask, and how many patients somebody may see (ACC-26).
//!
//! Addresses are held to their limits at the edge, before anything of a request is read; users and sessions once they are
//! known. What is remembered is bounded, and nothing of it is written down: turning a stranger away costs no event.

mod opens;
mod pace;
mod patients;

pub use opens::Opens;
pub use pace::{Pace, Standing};
pub use patients::PatientsShown;
pub(crate) use patients::admit;

use std::net::IpAddr;

use wardbook_events::{SessionId, UserId};

use crate::clock::Clock;
use crate::config::Rates;

/// Kinds of routes with a limit of their own for each address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Where passwords, codes and tokens can be guessed.
    Auth,
    /// What everybody may see: the ledger's tree, health, this API's description.
    Public,
    /// Anything else that changes nothing.
    Read,
    /// Anything else.
    Write,
}

/// Paths below `/v1/auth/` that guess nothing: every session uses them all day.
const SESSION_PATHS: [&str; 3] = ["/v1/auth/refresh", "/v1/auth/logout", "/v1/auth/session"];
const PUBLIC: [&str; 5] = ["/v1/ledger/", "/.well-known/", "/health/", "/openapi.json", "/problems/"];

impl Class {
    /// The class of a request. `path` as the router reads it, percent-decoded; `is_safe` says whether the method is (RFC 9110
    /// section 9.2.1).
    #[must_use]
    pub fn of(is_safe: bool, path: &str) -> Self {
        if path.starts_with("/v1/auth/") && !SESSION_PATHS.contains(&path) {
            Self::Auth
        } else if PUBLIC.iter().any(|prefix| path.starts_with(prefix)) {
            Self::Public
        } else if is_safe {
            Self::Read
        } else {
            Self::Write
        }
    }
}

/// A limit is reached. What to do: wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct TooMany(pub Standing);

/// All limits of this process.
#[derive(Debug)]
pub struct Limits {
    auth: Option<Pace>,
    public: Option<Pace>,
    read: Option<Pace>,
    write: Option<Pace>,
    users: Option<Pace>,
    sessions: Option<Pace>,
    patients: PatientsShown,
    opens: Option<Opens>,
}

impl Limits {
    /// Nobody has asked for anything yet.
    #[must_use]
    pub fn new(rates: &Rates, clock: &Clock) -> Self {
        let pace = |per_minute| Pace::new(per_minute, rates.burst_s, rates.keys_max, clock.clone());
        Self {
            auth: pace(rates.auth_per_minute),
            public: pace(rates.public_per_minute),
            read: pace(rates.read_per_minute),
            write: pace(rates.write_per_minute),
            users: pace(rates.user_per_minute),
            sessions: pace(rates.session_per_minute),
            patients: PatientsShown::new(rates.patients_per_hour),
            opens: Opens::new(rates.opens_per_minute, rates.burst_s, rates.keys_max, clock.clone()),
        }
    }

    /// A request from an address; `None` if there is no limit.
    ///
    /// # Errors
    /// [`TooMany`] of this class from this address.
    pub fn of_address(&self, address: Option<IpAddr>, class: Class) -> Result<Option<Standing>, TooMany> {
        let pace = match class {
            Class::Auth => &self.auth,
            Class::Public => &self.public,
            Class::Read => &self.read,
            Class::Write => &self.write,
        };
        pace.as_ref().map(|pace| pace.step(network(address))).transpose()
    }

    /// A request of a user in a session, or with a key that has none. The standing is that of the two with less left.
    ///
    /// # Errors
    /// [`TooMany`] of this user, or in this session.
    pub fn of_user(&self, user: UserId, session: Option<SessionId>) -> Result<Option<Standing>, TooMany> {
        let in_session = match (&self.sessions, session) {
            (Some(pace), Some(session)) => Some(pace.step(session)?),
            _ => None,
        };
        let of_user = self.users.as_ref().map(|pace| pace.step(user)).transpose()?;
        Ok(in_session.into_iter().chain(of_user).min_by_key(|standing| standing.remaining))
    }

    /// How many values were opened for each user; `None` if there is no limit.
    pub(crate) const fn opens(&self) -> Option<&Opens> {
        self.opens.as_ref()
    }

    /// Whom each user was shown.
    pub(crate) const fn patients(&self) -> &PatientsShown {
        &self.patients
    }
}

/// What counts as one address: of IPv6 the first 64 bits, because one customer has all addresses below them.
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => Some(IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into())),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};

    fn limits(rates: Rates) -> (Limits, Clock) {
        let clock = Clock::set_to("2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap());
        (Limits::new(&rates, &clock), clock)
    }
    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn routes_fall_into_classes() {
        for (is_safe, path, class) in [
            (false, "/v1/auth/login", Class::Auth),
            (true, "/v1/auth/oidc/callback", Class::Auth),
            (false, "/v1/auth/refresh", Class::Write),
            (true, "/v1/auth/session", Class::Read),
            (true, "/v1/ledger/checkpoint", Class::Public),
            (true, "/.well-known/jwks.json", Class::Public),
            (true, "/v1/patients/x", Class::Read),
            (false, "/v1/patients/search", Class::Write),
            (true, "/nowhere", Class::Read),
        ] {
            assert_eq!(Class::of(is_safe, path), class, "{path}");
        }
    }

    #[test]
    fn a_class_does_not_use_up_another_and_an_address_not_anothers() {
        let (limits, clock) = limits(Rates { auth_per_minute: 3, read_per_minute: 3, ..Rates::default() });
        let one = address("192.0.2.1");
        for left in [2, 1, 0] {
            assert_eq!(limits.of_address(one, Class::Auth).unwrap().unwrap().remaining, left);
        }
        let TooMany(standing) = limits.of_address(one, Class::Auth).unwrap_err();
        assert_eq!((standing.limit, standing.remaining, standing.reset_s), (3, 0, 20));
        assert!(limits.of_address(one, Class::Read).is_ok());
        assert!(limits.of_address(address("192.0.2.2"), Class::Auth).is_ok());
        clock.advance(SignedDuration::from_secs(19));
        assert!(limits.of_address(one, Class::Auth).is_err());
        clock.advance(SignedDuration::from_secs(1));
        assert!(limits.of_address(one, Class::Auth).is_ok());
        assert!(limits.of_address(one, Class::Auth).is_err());
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let (limits, _) = limits(Rates { auth_per_minute: 1, ..Rates::default() });
        assert!(limits.of_address(address("2001:db8:1:2:3::4"), Class::Auth).is_ok());
        assert!(limits.of_address(address("2001:db8:1:2:ffff::1"), Class::Auth).is_err());
        assert!(limits.of_address(address("2001:db8:1:3::4"), Class::Auth).is_ok());
        assert!(limits.of_address(address("::ffff:192.0.2.1"), Class::Auth).is_ok());
        assert!(limits.of_address(address("192.0.2.1"), Class::Auth).is_err(), "the same address, written as IPv6");
        assert!(limits.of_address(address("::ffff:192.0.2.2"), Class::Auth).is_ok());
    }

    #[test]
    fn the_narrower_of_user_and_session_is_told() {
        let (limits, _) = limits(Rates { user_per_minute: 5, session_per_minute: 2, ..Rates::default() });
        let user = UserId::new(uuid::Uuid::from_u128(1));
        let session = |id| Some(SessionId::new(uuid::Uuid::from_u128(id)));
        assert_eq!(limits.of_user(user, session(1)).unwrap().unwrap().remaining, 1);
        assert_eq!(limits.of_user(user, session(1)).unwrap().unwrap().remaining, 0);
        assert!(limits.of_user(user, session(1)).is_err());
        assert_eq!(limits.of_user(user, session(2)).unwrap().unwrap().remaining, 1);
        assert_eq!(limits.of_user(user, session(2)).unwrap().unwrap().remaining, 0);
        assert_eq!(limits.of_user(user, None).unwrap().unwrap().remaining, 0);
        assert!(limits.of_user(user, session(3)).is_err());
    }

    #[test]
    fn nought_is_no_limit() {
        let (limits, _) = limits(Rates::off());
        for _ in 0..10_000 {
            assert_eq!(limits.of_address(None, Class::Auth), Ok(None));
            assert_eq!(limits.of_user(UserId::new(uuid::Uuid::nil()), None), Ok(None));
        }
    }
}
