//! Somebody at the door: what is known of a request before it is known who sends it.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use wardbook_commands::{IdempotencyKey, Origin};
use wardbook_events::{Actor, Client, CorrelationId, Purpose, Role};
use wardbook_projections::identity::User;

use crate::app::App;
use crate::asker::role_and_purpose;
use crate::clock::NoChance;
use crate::sessions::secrets::DeviceToken;

/// Who wants to be let in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The task that the request belongs to.
    pub correlation: CorrelationId,
    /// Where from.
    pub client: Client,
    /// Network address.
    pub address: Option<IpAddr>,
    /// The token of a device that logged in before.
    pub device: Option<DeviceToken>,
    /// Makes the request safe to repeat.
    pub idempotency: Option<IdempotencyKey>,
}

impl Visitor {
    /// Where a command in the name of a user comes from.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn origin(&self, app: &App, user: &User) -> Result<Origin, NoChance> {
        let usual = role_and_purpose(&user.roles, None);
        let (role, purpose) = usual.unwrap_or((Role::Patient, Purpose::SystemAdministration));
        Ok(Origin {
            actor: Actor::user(user.user, role),
            purpose,
            correlation: self.correlation,
            causation: None,
            client: self.client.clone(),
            now: app.now(),
            seed: app.chance().bytes()?,
            idempotency: self.idempotency.clone(),
        })
    }

    /// Hash of the device's token, if the user logged in with it before.
    #[must_use]
    pub fn known_device(&self, user: &User) -> Option<String> {
        self.device.as_ref().map(|device| device.0.hash()).filter(|hash| user.knows_device(hash))
    }

    /// What a session is tied to (IAM-15).
    #[must_use]
    pub fn binding(&self) -> String {
        binding(self.address, self.client.agent.as_deref())
    }
}

/// The first 16 hex digits of SHA-256 over the class of the address and the user agent. The class is the /24 or /56
/// around the address, which stays the same when a phone or a household gets another address of the same provider.
#[must_use]
pub fn binding(address: Option<IpAddr>, agent: Option<&str>) -> String {
    let mut text = Vec::with_capacity(256);
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => text.extend_from_slice(v4.octets().first_chunk::<3>().unwrap_or(&[0; 3])),
        Some(IpAddr::V6(v6)) => text.extend_from_slice(v6.octets().first_chunk::<7>().unwrap_or(&[0; 7])),
        None => {}
    }
    text.push(b':');
    text.extend_from_slice(agent.unwrap_or_default().as_bytes());
    let mut hex = hex::encode(digest(&SHA256, &text));
    hex.truncate(16);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_of_the_neighbourhood_and_the_agent() {
        let of = |address: &str, agent| binding(Some(address.parse().unwrap()), Some(agent));
        assert_eq!(of("192.0.2.1", "a").len(), 16);
        assert_eq!(of("192.0.2.1", "a"), of("192.0.2.77", "a"));
        assert_eq!(of("192.0.2.1", "a"), of("::ffff:192.0.2.1", "a"));
        assert_eq!(of("2001:db8:0:1::1", "a"), of("2001:db8:0:2::1", "a"));
        for (address, agent) in [("192.0.3.1", "a"), ("192.0.2.1", "b"), ("2001:db8:0:100::1", "a")] {
            assert_ne!(of("192.0.2.1", "a"), of(address, agent));
        }
    }
}
