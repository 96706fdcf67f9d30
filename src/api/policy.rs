//! Which policies are in force, why something was refused, and what policy would say: for administrators and for those
//! who watch them.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_events::access::AccessReason;
use wardbook_events::{EventId, PatientId, Purpose, RecordId, Role, UserId};
use wardbook_policy::{Action, Policies, Rule, Target};

use crate::api::caller::Caller;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::allow;
use crate::why::{self, Wanted, WhyError};

/// One policy.
#[derive(Serialize, ToSchema)]
pub struct PolicyAnswer {
    /// Its name, as events state it.
    name: String,
    /// `permit` says yes where it applies, `forbid` says no, and no wins.
    effect: &'static str,
    /// What it is for.
    why: String,
    /// What must be done besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    obligations: Vec<String>,
}

impl PolicyAnswer {
    fn of(policies: &Policies, rule: Rule) -> Self {
        let obligations = policies.obligations(&rule.name).iter().map(ToString::to_string).collect();
        Self { effect: if rule.forbids { "forbid" } else { "permit" }, obligations, name: rule.name, why: rule.why }
    }

    /// A policy of the past may be gone; its name still says something.
    fn named(policies: &Policies, name: String) -> Self {
        let gone = |name| Rule { name, forbids: true, why: "no longer among the policies in force".to_owned() };
        Self::of(policies, policies.rule(&name).unwrap_or_else(|| gone(name)))
    }
}

/// The policies in force.
#[derive(Serialize, ToSchema)]
pub struct PoliciesAnswer {
    /// First 16 hex digits of the BLAKE3 hash over their sources; access events state it.
    version: String,
    policies: Vec<PolicyAnswer>,
}

/// Why something was refused.
#[derive(Serialize, ToSchema)]
pub struct DenialAnswer {
    /// The event of the refusal.
    #[schema(value_type = uuid::Uuid)]
    event: EventId,
    position: u64,
    #[schema(value_type = String)]
    at: Timestamp,
    /// Who was refused.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// The role acted in.
    #[schema(value_type = Option<schema::Role>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[schema(value_type = String)]
    purpose: Purpose,
    /// What was tried.
    action: String,
    /// The patient concerned; missing if it was about none, or if there was no such patient.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<PatientId>,
    /// In one sentence.
    because: &'static str,
    /// The policies that said no.
    policies: Vec<PolicyAnswer>,
    /// The version of the policies at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_version: Option<String>,
}

/// What somebody would ask.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainBody {
    /// Who would ask.
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    /// What for, such as `read-chart`.
    #[schema(value_type = String, example = "read-chart")]
    action: String,
    /// Why (HL7 PurposeOfUse).
    #[schema(value_type = String, example = "TREAT")]
    purpose: Purpose,
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    patient: Option<PatientId>,
    /// An entry of that patient.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    record: Option<RecordId>,
    /// Whose account or place on the care team would be changed.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    about: Option<UserId>,
    /// The closer reason that would be given, such as `direct-care`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Option<AccessReason>,
    /// With a fresh proof of who it is.
    #[serde(default)]
    fresh: bool,
}

/// A policy that is about the action.
#[derive(Serialize, ToSchema)]
pub struct ConsideredAnswer {
    #[serde(flatten)]
    policy: PolicyAnswer,
    /// Its conditions hold.
    applies: bool,
}

/// What policy would say.
#[derive(Serialize, ToSchema)]
pub struct ExplanationAnswer {
    allowed: bool,
    /// The groups of fields that would be opened.
    #[schema(value_type = Vec<schema::Group>)]
    groups: Vec<&'static str>,
    /// Names of the policies that give the answer; none if it is denied because none says yes.
    deciding: Vec<String>,
    /// Every policy that is about the action.
    considered: Vec<ConsideredAnswer>,
    policy_version: String,
}

impl From<WhyError> for Problem {
    fn from(error: WhyError) -> Self {
        match error {
            WhyError::Refused(refusal) => refusal.into(),
            WhyError::Unknown(_) => Self::new(Kind::NotFound, "there is no such refusal, user or entry here"),
            WhyError::Incomplete(_) => {
                Self::new(Kind::Invalid, "name what the action is about: patient, record or about")
            }
            WhyError::Read(error) => error.into(),
            WhyError::Entry(error) => Self::internal("an event could not be read", &error),
        }
    }
}

/// The policies in force.
#[utoipa::path(tag = "policies", security(("bearer" = [])), responses(
    (status = 200, description = "every policy by name, and the version of all", body = PoliciesAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/policies")]
pub async fn list_policies(caller: Caller) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    allow(app, &caller.asker, Action::ReadPolicies, Target::Tenant).await?;
    let policies = app.policies();
    let all = policies.rules().into_iter().map(|rule| PolicyAnswer::of(policies, rule)).collect();
    answer::json(StatusCode::OK, &PoliciesAnswer { version: policies.version().to_owned(), policies: all })
}

/// Why something was refused: the policies that said no. The audit trail names the event, for example by the
/// `X-Correlation-ID` that the caller was given. That it was looked at is an event too.
#[utoipa::path(tag = "policies", security(("bearer" = [])), params(("event" = uuid::Uuid, Path)), responses(
    (status = 200, description = "who was refused what, and by which policies", body = DenialAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such refusal in your organisation", body = ProblemBody),
))]
#[get("/v1/denials/{event}")]
pub async fn explain_denial(caller: Caller, event: web::Path<EventId>) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    let (denial, receipt) = why::denial(app, &caller.asker, *event).await?;
    let recorded = &denial.recorded;
    let body = DenialAnswer {
        event: recorded.id,
        position: recorded.position,
        at: recorded.recorded_at,
        user: recorded.meta.actor.id,
        role: recorded.meta.actor.role,
        purpose: recorded.meta.purpose,
        action: denial.action,
        patient: denial.patient,
        because: match (&denial.policy_version, denial.policies.is_empty()) {
            (None, _) => "there is no such patient",
            (Some(_), true) => "no policy allows it",
            (Some(_), false) => "these policies forbid it",
        },
        policies: denial.policies.into_iter().map(|name| PolicyAnswer::named(app.policies(), name)).collect(),
        policy_version: denial.policy_version,
    };
    answer::receipted(StatusCode::OK, &body, &receipt)
}

/// What policy would say if a user asked for something now, and every policy that is about it. An unknown patient is
/// answered for as one whom nobody treats. That it was asked is an event too.
#[utoipa::path(tag = "policies", security(("bearer" = [])), request_body = ExplainBody, responses(
    (status = 200, description = "the decision and what it rests on", body = ExplanationAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user or entry in your organisation", body = ProblemBody),
))]
#[post("/v1/policies/explain")]
pub async fn explain_decision(caller: Caller, body: web::Json<ExplainBody>) -> Result<HttpResponse, Problem> {
    let ExplainBody { user, action, purpose, patient, record, about, reason, fresh } = body.into_inner();
    let action = Action::named(&action).ok_or_else(|| {
        Problem::new(Kind::Invalid, "there is no such action: see the names in events, such as read-chart")
    })?;
    let app = &caller.app;
    let wanted = Wanted { user, action, purpose, patient, record, about, reason, fresh };
    let (explanation, receipt) = why::decision(app, &caller.asker, wanted).await?;
    let considered = explanation
        .considered
        .into_iter()
        .map(|one| ConsideredAnswer { policy: PolicyAnswer::of(app.policies(), one.rule), applies: one.applies });
    let body = ExplanationAnswer {
        allowed: explanation.allowed,
        groups: explanation.groups.iter().map(wardbook_events::Group::name).collect(),
        deciding: explanation.deciding,
        considered: considered.collect(),
        policy_version: explanation.policy_version,
    };
    answer::receipted(StatusCode::OK, &body, &receipt)
}
