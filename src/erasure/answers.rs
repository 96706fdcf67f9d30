//! Requests, holds and certificates as callers see them.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_commands::erasure::{Hold as Forbids, assess};
use wardbook_events::erasure::{Basis, Because, Destroyed, HoldKind, Kept, Place, RefusalReason, Scope};
use wardbook_events::{ErasureId, EventId, Group, GroupSet, HoldId, PatientId, UserId};
use wardbook_projections::ViewError;
use wardbook_projections::erasure::{Certified, Erasure, Execution, Hold, Stage};

use super::kept_by_law;
use crate::api::schema;
use crate::app::App;
use crate::disclosure::Case;

/// One request.
#[derive(Serialize, ToSchema)]
pub struct ErasureAnswer {
    #[schema(value_type = uuid::Uuid)]
    erasure: ErasureId,
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    /// The person as a whole is asked for.
    whole: bool,
    /// The categories asked for.
    #[schema(value_type = Vec<schema::Group>)]
    groups: GroupSet,
    #[schema(value_type = schema::Basis)]
    basis: Basis,
    /// Who asks.
    #[schema(value_type = uuid::Uuid)]
    by: UserId,
    #[schema(value_type = String)]
    requested_at: Timestamp,
    /// When it must have been answered.
    #[schema(value_type = String)]
    due_at: Timestamp,
    /// Nobody has answered in time.
    overdue: bool,
    /// `asked`, `refused`, `executing` or `certified`.
    status: &'static str,
    /// Officers who agreed; it takes two.
    #[schema(value_type = Vec<uuid::Uuid>)]
    approved_by: Vec<UserId>,
    /// What may go now, or went.
    #[schema(value_type = Vec<schema::Group>)]
    may_go: GroupSet,
    /// What was asked for and must be kept, or was.
    must_stay: Vec<KeptAnswer>,
    #[schema(value_type = Option<schema::RefusalReason>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_for: Option<RefusalReason>,
    /// Who refused.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by: Option<UserId>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    executed_at: Option<Timestamp>,
    /// Where the certificate is.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

/// A category that must be kept.
#[derive(Serialize, ToSchema)]
pub struct KeptAnswer {
    #[schema(value_type = schema::Group)]
    group: Group,
    because: Vec<BecauseAnswer>,
    /// When nothing keeps it any more; missing if nobody can say.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// A hold, or a law.
#[derive(Serialize, ToSchema)]
pub struct BecauseAnswer {
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldId>,
    #[schema(value_type = Option<schema::HoldKind>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<HoldKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl From<&Kept> for KeptAnswer {
    fn from(kept: &Kept) -> Self {
        let because: Vec<_> = kept
            .because
            .iter()
            .map(|because| match because {
                Because::Hold { hold, kind, until } => {
                    BecauseAnswer { hold: Some(*hold), kind: Some(*kind), rule: None, until: *until }
                }
                Because::Retention { rule, until } => {
                    BecauseAnswer { hold: None, kind: None, rule: Some(rule.clone()), until: Some(*until) }
                }
            })
            .collect();
        // One that may last for ever hides when the others end.
        let until = because.iter().map(|one| one.until.unwrap_or(Timestamp::MAX)).max();
        Self { group: kept.group, because, until: until.filter(|until| *until < Timestamp::MAX) }
    }
}

impl ErasureAnswer {
    /// As it stands now: what waits is held against the holds and laws of this moment.
    ///
    /// # Errors
    /// If a view cannot be read.
    pub fn of(app: &App, case: &Case<'_>, found: Erasure) -> Result<Self, ViewError> {
        let now = app.now();
        let (may_go, kept) = match &found.execution {
            Some(Execution { scope, kept, .. }) => (scope.groups(), kept.clone()),
            None => {
                let mut holds = Vec::new();
                for member in case.family() {
                    let live = app.views().erasure.holds(*member)?.into_iter().filter(|hold| hold.is_live(now));
                    holds.extend(live.map(|hold| (hold.hold, Forbids::new(hold.kind, hold.groups, hold.until))));
                }
                let holds = holds.iter().map(|(id, hold)| (*id, hold));
                let says = assess(found.scope, holds, &kept_by_law(app, case)?, now);
                (says.goes.map_or(GroupSet::EMPTY, Scope::groups), says.kept)
            }
        };
        let (status, refused) = match &found.stage {
            Stage::Asked => ("asked", None),
            Stage::Refused { by, reason, .. } => ("refused", Some((*by, *reason))),
            Stage::Executing => ("executing", None),
            Stage::Certified(_) => ("certified", None),
        };
        Ok(Self {
            erasure: found.erasure,
            patient: found.patient,
            whole: found.scope == Scope::Whole,
            groups: found.scope.groups(),
            basis: found.basis,
            by: found.by,
            requested_at: found.requested_at,
            due_at: found.due_at,
            overdue: found.stage == Stage::Asked && found.due_at <= now,
            status,
            approved_by: found.approved_by.into_iter().collect(),
            may_go,
            must_stay: kept.iter().map(KeptAnswer::from).collect(),
            refused_for: refused.map(|(_, reason)| reason),
            refused_by: refused.map(|(by, _)| by),
            executed_at: found.execution.map(|execution| execution.at),
            certificate: (status == "certified").then(|| format!("/v1/erasures/{}/certificate", found.erasure)),
        })
    }
}

/// One page of requests, newest first. Without `all` a page may hold fewer than `limit` although there are more.
#[derive(Serialize, ToSchema)]
pub struct ErasuresAnswer {
    /// The requests.
    pub erasures: Vec<ErasureAnswer>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What forbids to erase.
#[derive(Serialize, ToSchema)]
pub struct HoldAnswer {
    #[schema(value_type = uuid::Uuid)]
    hold: HoldId,
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = schema::HoldKind)]
    kind: HoldKind,
    /// What must stay.
    #[schema(value_type = Vec<schema::Group>)]
    groups: GroupSet,
    reference: String,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// Who placed it.
    #[schema(value_type = uuid::Uuid)]
    by: UserId,
    #[schema(value_type = String)]
    placed_at: Timestamp,
    /// It forbids now.
    live: bool,
    /// Who lifted it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted_by: Option<UserId>,
}

impl HoldAnswer {
    /// As it stands at this instant.
    #[must_use]
    pub fn at(now: Timestamp, hold: Hold) -> Self {
        Self {
            live: hold.is_live(now),
            hold: hold.hold,
            patient: hold.patient,
            kind: hold.kind,
            groups: hold.groups,
            reference: hold.reference,
            until: hold.until,
            by: hold.by,
            placed_at: hold.placed_at,
            lifted_by: hold.lifted.map(|(by, _)| by),
        }
    }
}

/// All holds on a patient.
#[derive(Serialize, ToSchema)]
pub struct HoldsAnswer {
    /// Live ones and others.
    pub holds: Vec<HoldAnswer>,
}

/// What was destroyed in one place.
#[derive(Serialize, ToSchema)]
pub struct DestroyedAnswer {
    #[schema(value_type = schema::ErasedPlace)]
    place: Place,
    /// How many: patients whose keys are gone, copies of keys made anew, objects, accounts.
    count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

/// That somebody was erased.
#[derive(Serialize, ToSchema)]
pub struct CertificateAnswer {
    #[schema(value_type = uuid::Uuid)]
    erasure: ErasureId,
    /// Everybody who was this person, by ids that say nothing.
    #[schema(value_type = Vec<uuid::Uuid>)]
    patients: Vec<PatientId>,
    whole: bool,
    /// The categories that went.
    #[schema(value_type = Vec<schema::Group>)]
    groups: GroupSet,
    /// What was asked for and was kept.
    kept: Vec<KeptAnswer>,
    destroyed: Vec<DestroyedAnswer>,
    #[schema(value_type = Vec<uuid::Uuid>)]
    approved_by: Vec<UserId>,
    #[schema(value_type = String)]
    executed_at: Timestamp,
    #[schema(value_type = String)]
    certified_at: Timestamp,
    /// Size of the newest checkpoint before the certificate: what it proved, it still proves.
    log_size: u64,
    /// Its root hash, hex.
    log_root: String,
    /// The event of this certificate.
    #[schema(value_type = uuid::Uuid)]
    event: EventId,
    /// Its position in the whole log.
    position: u64,
    /// Proof that it stands there (C2SP tlog-proof).
    proof: String,
}

impl CertificateAnswer {
    /// With its proof.
    #[must_use]
    pub fn of(found: &Erasure, execution: &Execution, certified: &Certified, proof: String) -> Self {
        let destroyed =
            |one: &Destroyed| DestroyedAnswer { place: one.place, count: one.count, names: one.names.clone() };
        Self {
            erasure: found.erasure,
            patients: execution.patients.clone(),
            whole: execution.scope == Scope::Whole,
            groups: execution.scope.groups(),
            kept: execution.kept.iter().map(KeptAnswer::from).collect(),
            destroyed: certified.destroyed.iter().map(destroyed).collect(),
            approved_by: found.approved_by.iter().copied().collect(),
            executed_at: execution.at,
            certified_at: certified.at,
            log_size: certified.log_size,
            log_root: certified.log_root.clone(),
            event: certified.event,
            position: certified.position,
            proof,
        }
    }
}
