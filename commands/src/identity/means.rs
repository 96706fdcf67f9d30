//! By what a user is known, and what of it counts no more: nothing is proved twice with the same code.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{Factor, Proof, Removed};
use wardbook_events::{ApiKeyId, ChallengeId, PasskeyId};

use crate::rejection::Rejection;

/// Wrong tries after which a sent code counts no more (IAM-08).
pub const CODE_TRIES_MAX: u8 = 3;
/// Wrong PINs after which none counts until something better was proved.
pub const PIN_TRIES_MAX: u8 = 3;
/// Sent codes that are remembered; an older one counts no more.
const CODES_MAX: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Code {
    challenge: ChallengeId,
    channel: Channel,
    expires_at: Timestamp,
    tries: u8,
}

/// By what a user is known besides the password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Means {
    /// An authenticator app is enrolled.
    totp: bool,
    /// The last step that was used.
    step: Option<u64>,
    /// Passkeys with their last counters.
    passkeys: BTreeMap<PasskeyId, u32>,
    channels: BTreeSet<Channel>,
    /// How many recovery codes there are, and which were used.
    recovery: u8,
    recovery_used: BTreeSet<u8>,
    /// Codes that can still be used, oldest first.
    codes: Vec<Code>,
    service_key: bool,
    certificate: bool,
    api_keys: BTreeMap<ApiKeyId, Timestamp>,
    /// Devices that have a PIN.
    pins: BTreeSet<String>,
    /// Wrong PINs since something better was proved.
    pin_tries: u8,
}

impl Means {
    /// Whether the proof counts now.
    ///
    /// # Errors
    /// [`Rejection::ProofUsed`] if it was used before, has run out, or belongs to nothing that is enrolled.
    pub fn check(&self, proof: &Proof, now: Timestamp) -> Result<(), Rejection> {
        let code = |channel, challenge| {
            self.channels.contains(&channel)
                && self.codes.iter().any(|code| {
                    code.challenge == challenge
                        && code.channel == channel
                        && now < code.expires_at
                        && code.tries < CODE_TRIES_MAX
                })
        };
        let counts = match proof {
            Proof::Password | Proof::External { .. } => true,
            Proof::Totp { step } => self.totp && self.step.is_none_or(|last| *step > last),
            Proof::Passkey { passkey, counter, .. } => {
                self.passkeys.get(passkey).is_some_and(|last| counter > last || (*counter == 0 && *last == 0))
            }
            Proof::RecoveryCode { index } => *index < self.recovery && !self.recovery_used.contains(index),
            Proof::EmailCode { challenge } => code(Channel::Email, *challenge),
            Proof::SmsCode { challenge } => code(Channel::Sms, *challenge),
            Proof::Assertion => self.service_key,
            Proof::Pin { device } => self.pins.contains(device) && self.pin_tries < PIN_TRIES_MAX,
            Proof::Certificate { .. } => self.certificate,
            Proof::ApiKey { key } => self.api_keys.get(key).is_some_and(|end| now < *end),
        };
        if counts { Ok(()) } else { Err(Rejection::ProofUsed) }
    }

    /// Checks several proofs of one login; none may stand in for another.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_all(&self, proofs: &[Proof], now: Timestamp) -> Result<(), Rejection> {
        let mut means = self.clone();
        proofs.iter().try_for_each(|proof| {
            means.check(proof, now)?;
            means.note(proof);
            Ok(())
        })
    }

    /// The proof was used.
    pub(super) fn note(&mut self, proof: &Proof) {
        self.pin_tries = 0;
        match proof {
            Proof::Totp { step } => self.step = self.step.max(Some(*step)),
            Proof::Passkey { passkey, counter, .. } => {
                if let Some(last) = self.passkeys.get_mut(passkey) {
                    *last = (*last).max(*counter);
                }
            }
            Proof::RecoveryCode { index } => _ = self.recovery_used.insert(*index),
            Proof::EmailCode { challenge } | Proof::SmsCode { challenge } => {
                self.codes.retain(|code| code.challenge != *challenge);
            }
            Proof::Password
            | Proof::External { .. }
            | Proof::Assertion
            | Proof::Certificate { .. }
            | Proof::ApiKey { .. }
            // Unlocks, and stands in no event of the user's own stream.
            | Proof::Pin { .. } => {}
        }
    }

    /// A wrong code was tried: it counts against every code that was sent the same way.
    pub(super) fn fail(&mut self, factor: Factor) {
        if factor == Factor::Pin {
            self.pin_tries = self.pin_tries.saturating_add(1);
        }
        for code in &mut self.codes {
            if factor_of(code.channel) == Some(factor) {
                code.tries = code.tries.saturating_add(1);
            }
        }
    }

    pub(super) const fn enrol_totp(&mut self) {
        (self.totp, self.step) = (true, None);
    }
    pub(super) fn enrol_passkey(&mut self, passkey: PasskeyId) {
        self.passkeys.insert(passkey, 0);
    }
    pub(super) fn enrol_channel(&mut self, channel: Channel) {
        self.channels.insert(channel);
    }
    pub(super) fn issue_recovery(&mut self, count: u8) {
        self.recovery = count;
        self.recovery_used.clear();
    }
    pub(super) fn send(&mut self, challenge: ChallengeId, channel: Channel, expires_at: Timestamp) {
        self.codes.retain(|code| code.challenge != challenge);
        self.codes.push(Code { challenge, channel, expires_at, tries: 0 });
        self.codes.drain(..self.codes.len().saturating_sub(CODES_MAX));
    }
    pub(super) fn set_pin(&mut self, device: String) {
        self.pins.insert(device);
    }
    /// Of devices that are forgotten, the PIN is too.
    pub(super) fn keep_pins(&mut self, known: impl Fn(&String) -> bool) {
        self.pins.retain(known);
    }
    pub(super) const fn set_service_key(&mut self) {
        self.service_key = true;
    }
    pub(super) const fn set_certificate(&mut self) {
        self.certificate = true;
    }
    pub(super) fn issue_key(&mut self, key: ApiKeyId, expires_at: Timestamp) {
        self.api_keys.insert(key, expires_at);
    }
    pub(super) fn revoke_key(&mut self, key: ApiKeyId) {
        self.api_keys.remove(&key);
    }
    pub(super) fn remove(&mut self, removed: Removed) {
        match removed {
            Removed::Totp => (self.totp, self.step) = (false, None),
            Removed::Passkey(passkey) => _ = self.passkeys.remove(&passkey),
            Removed::Channel(channel) => {
                self.channels.remove(&channel);
                self.codes.retain(|code| code.channel != channel);
            }
            Removed::Pins => self.pins.clear(),
            Removed::All => {
                let Self { service_key, certificate, .. } = *self;
                let api_keys = std::mem::take(&mut self.api_keys);
                *self = Self { service_key, certificate, api_keys, ..Self::default() };
            }
        }
    }

    /// Whether there is such a factor to take away.
    #[must_use]
    pub fn has(&self, factor: Removed) -> bool {
        match factor {
            Removed::Totp => self.totp,
            Removed::Passkey(passkey) => self.passkeys.contains_key(&passkey),
            Removed::Channel(channel) => self.channels.contains(&channel),
            Removed::Pins => !self.pins.is_empty(),
            Removed::All => {
                let enrolled = self.totp || !self.passkeys.is_empty() || !self.channels.is_empty();
                enrolled || self.recovery > 0 || !self.pins.is_empty()
            }
        }
    }
    /// How many passkeys there are.
    #[must_use]
    pub fn passkeys(&self) -> usize {
        self.passkeys.len()
    }
    /// Whether there is such an API key, and when it ends.
    #[must_use]
    pub fn api_key(&self, key: ApiKeyId) -> Option<Timestamp> {
        self.api_keys.get(&key).copied()
    }
    /// API keys that are still good.
    #[must_use]
    pub fn api_keys(&self, now: Timestamp) -> usize {
        self.api_keys.values().filter(|end| now < **end).count()
    }
}

const fn factor_of(channel: Channel) -> Option<Factor> {
    match channel {
        Channel::Email => Some(Factor::EmailCode),
        Channel::Sms => Some(Factor::SmsCode),
        Channel::Webhook => None,
    }
}
