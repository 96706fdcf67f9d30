//! E-mail by SMTP.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::{Carried, Carrier, Message, NotifyError, SetupError, secret};
use crate::config;

pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    pub fn new(config: &config::Notify) -> Result<Self, SetupError> {
        let value = |setting, rule: String| SetupError::Value { setting, rule };
        let from = config.from.parse().map_err(|e| value("notify.from", format!("is not an address: {e}")))?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&config.smtp_url)
            .map_err(|e| value("notify.smtp_url", format!("is not a URL such as smtps://mail.example.org: {e}")))?
            .timeout(Some(Duration::from_millis(config.timeout_ms)));
        if !config.smtp_user.is_empty() {
            let password = secret(&config.smtp_password_file)?;
            builder =
                builder.credentials(Credentials::new(config.smtp_user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    async fn send(&self, message: &Message) -> Result<(), NotifyError> {
        let to = message.to.expose_secret().parse();
        let to: Mailbox = to.map_err(|_| NotifyError::Refused("the address is not an e-mail address".into()))?;
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(message.subject.as_str())
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.expose_secret().to_owned())
            .map_err(|_| NotifyError::Refused("the message could not be put together".into()))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            // The server's words may quote the address: only its code is told (RFC 5321 section 4.2).
            Err(error) if error.is_permanent() => Err(NotifyError::Refused(said(&error))),
            Err(error) => Err(NotifyError::Failed(said(&error))),
        }
    }
}

fn said(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() => "no TLS with the mail server".to_owned(),
        None => "the mail server was not reached".to_owned(),
    }
}

impl Carrier for Smtp {
    fn carry<'a>(&'a self, message: &'a Message) -> Carried<'a> {
        Box::pin(self.send(message))
    }
}
