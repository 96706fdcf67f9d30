//! What is done for certificates while the server runs, each minute: changed files are read, what the authority says of them is
//! asked for, and who must know is told.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use wardbook_events::governance::{CertificatesRefused, CertificatesReplaced, GovernanceEvent};
use wardbook_events::{Client, EventId};

use super::{Reloaded, Tls, TlsError, expiry, ocsp};
use crate::app::App;
use crate::disclosure::Refusal;

/// What was done lately.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Day since the epoch on which it was last looked for certificates that end.
    looked_on: Option<i64>,
    /// Why the newest files were refused.
    refused: Option<String>,
    /// By certificate: what is stapled, and when to ask again.
    stapled: HashMap<[u8; 32], Stapled>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Stapled {
    ask_at: Timestamp,
    good_until: Option<Timestamp>,
}

/// How soon a responder that gave nothing is asked again.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Reads files that have changed, and looks once a day for certificates that end. Blocks.
///
/// # Errors
/// If an event could not be appended.
pub fn tend(app: &App, tls: &Tls) -> Result<(), Refusal> {
    if tls.is_stale() {
        reload(app, tls)?;
    }
    staple(tls, app.now());
    let today = day(app.now());
    if tls.0.tending.lock().looked_on != Some(today) {
        expiry::tell(app, tls)?;
        tls.0.tending.lock().looked_on = Some(today);
    }
    Ok(())
}

/// Reads all files again, at somebody's wish, and tells in the ledger what came of it. Blocks.
///
/// # Errors
/// If an event could not be appended; the certificates are those of the files all the same.
pub fn reload(app: &App, tls: &Tls) -> Result<(), Refusal> {
    let outcome = tls.reload();
    staple(tls, app.now());
    tls.0.tending.lock().refused = outcome.as_ref().err().map(TlsError::to_string);
    let fact: GovernanceEvent = match outcome {
        Ok(Reloaded::Same) => return Ok(()),
        Ok(Reloaded::Replaced) => {
            let fingerprints: Vec<_> = tls.certificates().iter().map(|one| one.fingerprint()).collect();
            tracing::info!(?fingerprints, "other certificates are shown from now on");
            tls.0.tending.lock().looked_on = None;
            CertificatesReplaced { fingerprints }.into()
        }
        Err(error) => {
            tracing::error!(%error, "the new certificates cannot be used: those before stay");
            CertificatesRefused { reason: error.to_string() }.into()
        }
    };
    let id = app.new_id()?;
    app.tell_blocking(EventId::new(id), fact.into(), &expiry::meta(app, id), &Client::default()).map(drop)
}

/// Asks responders whose time has come, and takes off answers that say nothing any more. The last good one stays as long.
fn staple(tls: &Tls, now: Timestamp) {
    let all = tls.0.slot.all();
    tls.0.tending.lock().stapled.retain(|sha256, _| all.iter().any(|shown| shown.certificate.sha256 == *sha256));
    for shown in all {
        let certificate = &shown.certificate;
        let mut stapled = tls.0.tending.lock().stapled.get(&certificate.sha256).copied().unwrap_or_default();
        if stapled.good_until.is_some_and(|until| until <= now) {
            tracing::warn!(names = ?certificate.names, "what the authority said is stapled no more: it has run out");
            tls.0.slot.staple(&certificate.sha256, None);
            stapled.good_until = None;
        }
        let configured = Some(&tls.0.config.ocsp_url).filter(|url| !url.is_empty());
        let url = configured.or(certificate.ocsp_url.as_ref()).filter(|_| tls.0.config.staple);
        if let (Some(url), Some((leaf, issuer))) = (url, shown.with_issuer())
            && stapled.ask_at <= now
        {
            match ocsp::ask(url, leaf, issuer, now) {
                Ok(answer) => {
                    tls.0.slot.staple(&certificate.sha256, Some(&answer.answer));
                    stapled =
                        Stapled { ask_at: answer.refresh_at.max(now + AGAIN), good_until: Some(answer.good_until) };
                }
                Err(error) => {
                    tracing::warn!(names = ?certificate.names, %error, "nothing new is stapled");
                    stapled.ask_at = now + AGAIN;
                    // What was said before is no longer true.
                    if error == ocsp::OcspError::Revoked {
                        tls.0.slot.staple(&certificate.sha256, None);
                        stapled.good_until = None;
                    }
                }
            }
        }
        tls.0.tending.lock().stapled.insert(certificate.sha256, stapled);
    }
}

impl Tls {
    /// Why the newest files were refused, if they were.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.0.tending.lock().refused.clone()
    }
}

fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(86_400)
}
