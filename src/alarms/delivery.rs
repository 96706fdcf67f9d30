//! Takes alerts to the officers. What reached nobody is tried again, with longer and longer waits, also after a restart.
//!
//! An alert counts as delivered by a channel when one of those reached by it took it. Who runs several servers on one

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use wardbook_commands::identity::CONTACT_PURPOSE;
use wardbook_events::alerts::Channel;
use wardbook_events::{Role, TenantId, identity};
use wardbook_projections::ViewError;
use wardbook_projections::alerts::Alert;
use wardbook_projections::identity::User;

use super::{AGE_MAX, IDLE, Parts, raise};
use crate::notify::Message;

/// Alerts on their way at the same time.
const AT_ONCE: usize = 16;
/// Waits between two tries of one alert.
const WAIT: Duration = Duration::from_secs(2);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The list of officers is read anew after so long.
const OFFICERS_FOR: Duration = Duration::from_secs(5);
/// Alerts in memory that were not delivered yet; the others wait in the view.
const PENDING_MAX: usize = 10_000;
/// Alerts and users read at a time, and officers of one organisation told at most.
const PAGE: usize = 500;
const OFFICERS_MAX: usize = 50;

/// Somebody to be told.
#[derive(Clone)]
struct Recipient {
    channel: Channel,
    to: SecretString,
}

/// Alerts that are on their way, or wait for another try, by position.
#[derive(Default)]
struct Pending(Mutex<BTreeMap<u64, (Alert, Try)>>);

#[derive(Clone, Copy)]
enum Try {
    Running,
    Waiting { wait: Duration, again: Instant },
}

impl Pending {
    fn has_room(&self) -> bool {
        self.0.lock().len() < PENDING_MAX
    }
    fn add(&self, alert: Alert) {
        let first = Try::Waiting { wait: Duration::ZERO, again: Instant::now() };
        self.0.lock().entry(alert.position).or_insert((alert, first));
    }
    /// Those whose turn it is, oldest first; they are on their way from now on.
    fn take_due(&self) -> Vec<(Alert, Duration)> {
        let mut pending = self.0.lock();
        let running = pending.values().filter(|(_, one)| matches!(one, Try::Running)).count();
        let now = Instant::now();
        let due = pending.values_mut().filter_map(|(alert, one)| match *one {
            Try::Waiting { wait, again } if again <= now => {
                *one = Try::Running;
                Some((alert.clone(), wait))
            }
            _ => None,
        });
        due.take(AT_ONCE.saturating_sub(running)).collect()
    }
    fn done(&self, alert: &Alert) {
        self.0.lock().remove(&alert.position);
    }
    fn failed(&self, alert: &Alert, waited: Duration) {
        let wait = waited.saturating_mul(2).clamp(WAIT, WAIT_MAX);
        if let Some((_, one)) = self.0.lock().get_mut(&alert.position) {
            *one = Try::Waiting { wait, again: Instant::now() + wait };
        }
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
        let (pending, mut officers, mut next) = (Arc::new(Pending::default()), Officers::default(), 0);
        while !stop.load(Ordering::Acquire) {
            if let Err(error) = round(parts, &pending, &mut officers, &mut next) {
                tracing::warn!(%error, "alerts were not delivered: trying again");
            }
            tokio::time::sleep(IDLE).await;
        }
    });
}

/// Takes in what was raised since the last round, and begins what is due. `next` is the first position not looked at.
fn round(parts: &Arc<Parts>, pending: &Arc<Pending>, officers: &mut Officers, next: &mut u64) -> Result<(), ViewError> {
    let now = parts.clock.now();
    while pending.has_room() {
        let page = parts.views.alerts.undelivered(*next, PAGE)?;
        let is_last = page.len() < PAGE;
        for alert in page {
            *next = alert.position.saturating_add(1);
            let matters = alert.severity >= parts.config.least && now.duration_since(alert.raised_at) <= AGE_MAX;
            // With nobody to tell there is nothing to try; the list of open alerts has it all the same.
            if matters && !officers.of(parts, alert.tenant)?.is_empty() {
                pending.add(alert);
            }
        }
        if is_last {
            break;
        }
    }
    for (alert, waited) in pending.take_due() {
        let recipients = officers.of(parts, alert.tenant)?;
        let (parts, pending) = (Arc::clone(parts), Arc::clone(pending));
        tokio::spawn(async move {
            match deliver(&parts, &alert, recipients).await {
                true => pending.done(&alert),
                false => pending.failed(&alert, waited),
            }
        });
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
