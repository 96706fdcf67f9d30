//! What security and privacy officers are told at once, and what they did about it (ACC-18, ACC-21, IAM-11, IAM-15).

use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::ids::{AlertId, EventId, PatientId, UserId};

/// The stream of one alert.
#[must_use]
pub fn stream(alert: AlertId) -> String {
    format!("alerts-{alert}")
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Somebody broke the glass.
    BreakGlassStarted,
    /// A break-glass was found inappropriate.
    BreakGlassInappropriate,
    /// A break-glass was not reviewed in time.
    BreakGlassOverdue,
    /// A refresh token was used a second time.
    RefreshTokenReused,
    /// A session was used from somewhere else.
    SessionHijackSuspected,
    /// An account was locked after failed logins.
    AccountLocked,
    /// A watched patient was looked at.
    WatchedPatientOpened,
    /// A decoy was touched: nobody has a reason to.
    DecoyTouched,
    /// Somebody asked for more patients in an hour than anybody treats.
    ManyPatients,
    /// A policy asks that the privacy officer be told.
    PolicyObligation,
    /// Somebody took a role in an emergency, without approval.
    EmergencyElevation,
    /// Keys were used far more often than usual, or at an unusual hour (ENC-17).
    UnusualKeyUse,
    /// The root key's provider cannot be reached (ENC-14).
    KeyProviderUnreachable,
    /// A key may be known to others (ENC-12).
    KeyCompromised,
    /// A patient was erased.
    PatientErased,
    /// A backup failed, is late, or does not verify (OPS-04).
    BackupFailed,
    /// A certificate of the server expires soon (ENC-21).
    CertificateExpiring,
}

/// How much it hurries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// To be looked at in the daily review.
    Medium,
    /// To be looked at now.
    High,
    /// To be acted on now.
    Critical,
}

/// How somebody was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// By e-mail.
    Email,
    /// By text message.
    Sms,
    /// By a call to another system.
    Webhook,
}

/// An alert was raised. Its id follows from the event that caused it, so that one event raises one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRaised {
    /// The alert.
    pub alert: AlertId,
    /// What it is about.
    pub kind: AlertKind,
    /// How much it hurries.
    pub severity: Severity,
    /// The event that caused it.
    pub cause: EventId,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Whom it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
}

/// The alert reached a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertDelivered {
    /// The alert.
    pub alert: AlertId,
    /// Which channel.
    pub channel: Channel,
}

/// An officer has taken note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertAcknowledged {
    /// The alert.
    pub alert: AlertId,
    /// Who.
    pub by: UserId,
}

area_events! {
    /// Events of alerts.
    AlertEvent in "alerts", upcast first_version {
        "raised" v 1 => Raised(AlertRaised),
        "delivered" v 1 => Delivered(AlertDelivered),
        "acknowledged" v 1 => Acknowledged(AlertAcknowledged),
    }
}
