//! Takes alerts to the officers. What reached nobody is tried again, with longer and longer waits, also after a restart.
//!
//! An alert counts as delivered by a channel when one of those reached by it took it. Who runs several servers on one
//! message system may see a message twice: it has the same id then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use wardbook_commands::identity::CONTACT_PURPOSE;
use wardbook_events::alerts::Channel;
use wardbook_events::{AlertId, Role, TenantId, identity};
use wardbook_projections::ViewError;
use wardbook_projections::alerts::Alert;
use wardbook_projections::identity::User;

use super::{IDLE, Parts, raise};
use crate::notify::Message;

/// Alerts on their way at the same time.
const AT_ONCE: usize = 16;
/// Waits between two tries of one alert.
const WAIT: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The list of officers is read anew after so long.
const OFFICERS_FOR: Duration = Duration::from_secs(5);
/// Users read at a time, and officers of one organisation told at most.
const PAGE: usize = 500;
const OFFICERS_MAX: usize = 50;

/// Somebody to be told.
#[derive(Clone)]
struct Recipient {
    channel: Channel,
    to: SecretString,
}

/// Alerts that are on their way, or wait for another try.
#[derive(Default)]
struct Tries(Mutex<HashMap<AlertId, Try>>);

enum Try {
    Running,
    Failed { wait: Duration, again: Instant },
}

impl Tries {
    /// Whether it is the alert's turn; then it is on its way.
    fn begin(&self, alert: AlertId) -> bool {
        let mut tries = self.0.lock();
        let running = tries.values().filter(|one| matches!(one, Try::Running)).count();
        let is_due = match tries.get(&alert) {
            None => true,
            Some(Try::Running) => false,
            Some(Try::Failed { again, .. }) => Instant::now() >= *again,
        };
        let begins = is_due && running < AT_ONCE;
        if begins {
            tries.insert(alert, Try::Running);
        }
        begins
    }
    fn failed(&self, alert: AlertId, waited: Duration) {
        let wait = waited.saturating_mul(2).clamp(WAIT, WAIT_MAX);
        self.0.lock().insert(alert, Try::Failed { wait, again: Instant::now() + wait });
    }
    /// How long was waited before the last try.
    fn waited(&self, alert: AlertId) -> Duration {
        match self.0.lock().get(&alert) {
            Some(Try::Failed { wait, .. }) => *wait,
            _ => Duration::ZERO,
        }
    }
    /// Forgets what needs no more tries.
    fn keep(&self, undelivered: &BTreeSet<AlertId>) {
        self.0.lock().retain(|alert, one| matches!(one, Try::Running) || undelivered.contains(alert));
    }
}

/// Delivers until told to stop.
pub fn run(parts: &Arc<Parts>, stop: &AtomicBool) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "alerts are not delivered: no runtime");
            return;
        }
    };
    // What is on its way when it is time to stop is dropped with the runtime, and tried again after the next start.
    runtime.block_on(async {
        let (tries, mut officers) = (Arc::new(Tries::default()), Officers::default());
        while !stop.load(Ordering::Acquire) {
            if let Err(error) = round(parts, &tries, &mut officers) {
                tracing::warn!(%error, "alerts were not delivered: trying again");
            }
            tokio::time::sleep(IDLE).await;
        }
    });
}

fn round(parts: &Arc<Parts>, tries: &Arc<Tries>, officers: &mut Officers) -> Result<(), ViewError> {
    let undelivered = parts.views.alerts.undelivered(PAGE)?;
    tries.keep(&undelivered.iter().map(|alert| alert.alert).collect());
    for alert in undelivered.into_iter().filter(|alert| alert.severity >= parts.config.least) {
        let recipients = officers.of(parts, alert.tenant)?;
        // Without anybody to tell there is nothing to try; the list of open alerts has it all the same.
        if recipients.is_empty() {
            continue;
        }
        let waited = tries.waited(alert.alert);
        if tries.begin(alert.alert) {
            let (parts, tries) = (Arc::clone(parts), Arc::clone(tries));
            tokio::spawn(async move {
                if !deliver(&parts, &alert, recipients).await {
                    tries.failed(alert.alert, waited);
                }
            });
        }
    }
    Ok(())
}

/// Tells everybody; whether anybody was reached, and that is durable.
async fn deliver(parts: &Parts, alert: &Alert, recipients: Vec<Recipient>) -> bool {
    let mut sending = tokio::task::JoinSet::new();
    for recipient in recipients {
        let (notifier, message) = (parts.notifier.clone(), message(alert, &recipient));
        sending.spawn(async move { notifier.send(message).await.is_ok().then_some(recipient.channel) });
    }
    let mut reached = BTreeSet::new();
    while let Some(sent) = sending.join_next().await {
        let Ok(Some(channel)) = sent else { continue };
        if !reached.insert(channel) {
            continue;
        }
        let Ok(draft) = raise::delivered(alert, channel) else { continue };
        if let Err(error) = parts.ledger.append(vec![draft]).await {
            tracing::warn!(%error, "that an alert was delivered was not written down: it will be sent again");
            reached.remove(&channel);
        }
    }
    !reached.is_empty()
}

/// Says that something happened, and not to whom: whoever reads along learns nothing of a patient.
fn message(alert: &Alert, to: &Recipient) -> Message {
    let (kind, severity) = (raise::name(alert.kind), raise::name(alert.severity));
    let text = format!(
        "Alert: {kind}\nSeverity: {severity}\nTime: {}\nAlert id: {}\n\nOpen the list of alerts to see what it is about.\n",
        alert.raised_at, alert.alert
    );
    Message {
        // One for each recipient, as a gateway may take the second message with an id for a repetition.
        id: raise::derived("message", alert.alert.bytes(), to.to.expose_secret()),
        channel: to.channel,
        to: to.to.clone(),
        subject: format!("Wardbook alert ({severity}): {kind}"),
        text: text.into(),
    }
}

/// Who is told, by organisation, for a short time.
#[derive(Default)]
struct Officers(HashMap<TenantId, (Instant, Vec<Recipient>)>);

impl Officers {
    fn of(&mut self, parts: &Parts, tenant: TenantId) -> Result<Vec<Recipient>, ViewError> {
        if let Some((read, recipients)) = self.0.get(&tenant)
            && read.elapsed() < OFFICERS_FOR
        {
            return Ok(recipients.clone());
        }
        let mut recipients = of_settings(parts);
        recipients.extend(of_accounts(parts, tenant)?);
        recipients.retain(|recipient| parts.notifier.offers(recipient.channel));
        self.0.insert(tenant, (Instant::now(), recipients.clone()));
        Ok(recipients)
    }
}

fn of_settings(parts: &Parts) -> Vec<Recipient> {
    let emails = parts.config.emails.iter().map(|to| Recipient { channel: Channel::Email, to: to.as_str().into() });
    let webhook = parts.config.webhook.then(|| Recipient { channel: Channel::Webhook, to: "".into() });
    emails.chain(webhook).collect()
}

/// Security administrators and compliance officers of the organisation who left an address.
fn of_accounts(parts: &Parts, tenant: TenantId) -> Result<Vec<Recipient>, ViewError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let users = parts.views.identity.users(after, PAGE)?;
        let Some(last) = users.last() else { return Ok(found) };
        after = Some(last.user);
        let is_officer = |user: &&User| {
            user.tenant == tenant
                && user.active
                && (user.roles.contains(&Role::SecurityAdmin) || user.roles.contains(&Role::ComplianceOfficer))
        };
        for user in users.iter().filter(is_officer) {
            let Some(sealed) = &user.email else { continue };
            let opened = parts.keys.open_secret(tenant, &identity::stream(user.user), CONTACT_PURPOSE, sealed);
            let address = opened.ok().and_then(|bytes| std::str::from_utf8(&bytes).ok().map(SecretString::from));
            match address {
                Some(to) => found.push(Recipient { channel: Channel::Email, to }),
                None => tracing::warn!(user = %user.user, "an officer's address could not be opened"),
            }
        }
        if found.len() >= OFFICERS_MAX {
            found.truncate(OFFICERS_MAX);
            return Ok(found);
        }
    }
}
