//! Messages by a signed call to another system, such as a gateway for text messages.
//!
//! `POST` with JSON, and `Wardbook-Signature: t=<seconds>,v1=<hex>`: HMAC-SHA-256 with the shared secret over
//! `<seconds>.<body>`. Who checks it should refuse a time that is more than some minutes off, and an id it has seen.

use std::time::Duration;

use aws_lc_rs::hmac;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{Carried, Carrier, Message, NotifyError, SetupError, secret};
use crate::clock::Clock;
use crate::{config, outgoing};

/// The header with the signature.
const SIGNATURE: &str = "Wardbook-Signature";

pub struct Webhook {
    agent: ureq::Agent,
    url: String,
    key: hmac::Key,
    clock: Clock,
}

impl Webhook {
    pub fn new(config: &config::Notify, clock: Clock) -> Result<Self, SetupError> {
        let secret = secret(&config.webhook_secret_file)?;
        if secret.expose_secret().len() < 32 {
            let rule = "must name a file with at least 32 characters".to_owned();
            return Err(SetupError::Value { setting: "notify.webhook_secret_file", rule });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let agent = outgoing::agent(Duration::from_millis(config.timeout_ms));
        Ok(Self { agent, url: config.webhook_url.clone(), key, clock })
    }
}

impl Carrier for Webhook {
    fn carry<'a>(&'a self, message: &'a Message) -> Carried<'a> {
        Box::pin(async move {
            let seconds = self.clock.now().as_second();
            let body = json!({
                "id": message.id,
                "channel": message.channel,
                "to": message.to.expose_secret(),
                "subject": message.subject,
                "text": message.text.expose_secret(),
            })
            .to_string();
            let signed = hmac::sign(&self.key, format!("{seconds}.{body}").as_bytes());
            let signature = format!("t={seconds},v1={}", hex::encode(signed));
            let (agent, url) = (self.agent.clone(), self.url.clone());
            let posted = tokio::task::spawn_blocking(move || {
                agent.post(url).content_type("application/json").header(SIGNATURE, signature).send(body)
            });
            match posted.await {
                Ok(Ok(answer)) => judge(answer.status().as_u16()),
                Ok(Err(error)) => Err(NotifyError::Failed(error.to_string())),
                Err(_) => Err(NotifyError::Stopped),
            }
        })
    }
}

fn judge(status: u16) -> Result<(), NotifyError> {
    let said = format!("the other system answered {status}");
    match status {
        200..=299 => Ok(()),
        408 | 425 | 429 | 500.. => Err(NotifyError::Failed(said)),
        _ => Err(NotifyError::Refused(said)),
    }
}
