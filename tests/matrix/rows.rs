//! One row for each route: what it is about, and a body that is well-formed, so that only policy can refuse it.

use serde_json::{Value, json};

use super::scene::Scene;
use crate::helpers::person;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Nobody in particular: open to strangers.
    Public,
    /// The caller, the house, another user.
    House,
    /// One patient.
    Patient,
    /// One clinical entry of a patient: asked for each label.
    Entry,
}

pub struct Row {
    pub route: &'static str,
    pub about: About,
    pub body: fn(&Scene, Option<&str>) -> String,
    /// Ends the session of who calls it.
    pub ends_session: bool,
    /// Strangers are answered 401 by what it is, such as a login with a wrong password.
    pub is_login: bool,
    pub is_form: bool,
}

impl Row {
    pub fn content_type(&self) -> &'static str {
        if self.is_form { "application/x-www-form-urlencoded" } else { "application/json" }
    }
}

const fn row(route: &'static str, about: About, body: fn(&Scene, Option<&str>) -> String) -> Row {
    Row { route, about, body, ends_session: false, is_login: false, is_form: false }
}
const fn ends(row: Row) -> Row {
    Row { ends_session: true, ..row }
}
const fn login(row: Row) -> Row {
    Row { is_login: true, ..row }
}

fn none(_: &Scene, _: Option<&str>) -> String {
    json!({}).to_string()
}
fn text(value: Value) -> String {
    value.to_string()
}
fn labels(label: Option<&str>) -> Vec<&str> {
    label.into_iter().filter(|label| *label != "no label").collect()
}

use About::{Entry, House, Patient, Public};

pub const ROWS: &[Row] = &[
    row("GET /.well-known/jwks.json", Public, none),
    row("GET /.well-known/wardbook-pins.json", Public, none),
    row("GET /health/live", Public, none),
    row("GET /health/ready", Public, none),
    row("GET /openapi.json", Public, none),
    row("GET /problems/{kind}", Public, none),
    row("GET /v1/ledger/checkpoint", Public, none),
    row("GET /v1/ledger/keys", Public, none),
    row("GET /v1/ledger/proof/{event}", Public, none),
    row("GET /v1/ledger/tile/{path}", Public, none),
    login(row("POST /v1/auth/login", Public, |_, _| text(json!({"username": "nobody", "password": "no"})))),
    row("GET /v1/auth/passkey", Public, none),
    login(row("POST /v1/auth/passkey", Public, |_, _| text(json!({"challenge": "x", "credential": {}})))),
    ends(row("POST /v1/auth/logout", House, none)),
    row("GET /v1/auth/session", House, none),
    row("POST /v1/patients", House, |_, _| text(person("Matrix"))),
    row("POST /v1/patients/search", House, |_, _| text(json!({"name": "nobody"}))),
    row("GET /v1/patients/{patient}", Patient, none),
    row("PATCH /v1/patients/{patient}", Patient, |_, _| text(json!({"gender": "female"}))),
    row("POST /v1/patients/{patient}/merge", Patient, |scene, _| text(json!({"into": scene.patient}))),
    row("POST /v1/patients/{patient}/unmerge", Patient, |scene, _| text(json!({"from": scene.patient}))),
    row("GET /v1/patients/{patient}/access-list", Patient, none),
    row("GET /v1/patients/{patient}/access-proof", Patient, none),
    row("GET /v1/patients/{patient}/care-team", Patient, none),
    row("PUT /v1/patients/{patient}/care-team/{user}", Patient, |_, _| text(json!({"function": "consulting"}))),
    row("DELETE /v1/patients/{patient}/care-team/{user}", Patient, none),
    row("GET /v1/patients/{patient}/records", Patient, none),
    row("POST /v1/patients/{patient}/records", Entry, |_, label| {
        text(json!({"type": "note", "sensitivity": labels(label), "body": {"code": {"text": "Note"}}}))
    }),
    row("GET /v1/patients/{patient}/records/{record}", Entry, none),
    row("PUT /v1/patients/{patient}/records/{record}", Entry, |_, _| text(json!({"body": {"code": {"text": "Note"}}}))),
    row("POST /v1/patients/{patient}/records/{record}/sign", Entry, none),
    row("POST /v1/patients/{patient}/records/{record}/addenda", Entry, |_, _| text(json!({"text": "more"}))),
    row("POST /v1/patients/{patient}/records/{record}/retract", Entry, none),
    row("GET /v1/patients/{patient}/documents", Patient, none),
    row("POST /v1/patients/{patient}/documents", Entry, |_, label| {
        text(json!({"title": "Letter", "media_type": "text/plain", "size_bytes": 5, "sensitivity": labels(label)}))
    }),
    row("GET /v1/uploads/{upload}", House, none),
    row("PATCH /v1/uploads/{upload}", House, none),
    row("POST /v1/uploads/{upload}/finish", House, none),
    row("DELETE /v1/uploads/{upload}", House, none),
    row("GET /v1/documents/{document}/content", Entry, none),
    row("POST /v1/documents/{document}/retract", Entry, none),
    row("GET /v1/audit/events", House, none),
    row("POST /v1/replay", House, |_, _| text(json!({"limit": 1}))),
    row("GET /v1/projections", House, none),
    row("POST /v1/projections/{name}/rebuild", House, none),
    row("POST /v1/keys/compromise", House, |_, _| text(json!({"level": "index", "reason": "drill"}))),
    row("GET /v1/keys/compromise/{alert}", House, none),
    row("GET /v1/backups", House, none),
    row("POST /v1/backups", House, none),
    row("POST /v1/backups/drills", House, none),
    row("POST /v1/backups/{backup}/verify", House, none),
    row("GET /v1/keys", House, none),
    row("POST /v1/keys/rotate", House, |_, _| text(json!({"level": "tenant"}))),
    row("POST /v1/keys/rewrap", House, none),
    row("GET /v1/users", House, none),
    row("POST /v1/users", House, |scene, _| text(json!({"username": scene.new_name(), "roles": ["quality"]}))),
    row("GET /v1/users/{user}", House, none),
    row("POST /v1/users/{user}/disable", House, none),
    row("POST /v1/users/{user}/enable", House, none),
    row("POST /v1/users/{user}/roles", House, |_, _| text(json!({"role": "quality"}))),
    row("DELETE /v1/users/{user}/roles/{role}", House, none),
    row("PUT /v1/users/{user}/password", House, |_, _| text(json!({"password": "Some-47-quiet-Meadows"}))),
    row("GET /v1/users/{user}/sessions", House, none),
    row("DELETE /v1/users/{user}/sessions", House, none),
    row("DELETE /v1/users/{user}/sessions/{session}", House, none),
    row("POST /v1/users/{user}/unlock", House, none),
    row("DELETE /v1/users/{user}/factors", House, none),
    row("PUT /v1/users/{user}/contact", House, |_, _| text(json!({"email": "spare@example.org"}))),
    row("PUT /v1/users/{user}/external", House, |_, _| text(json!({"provider": "none", "subject": "1"}))),
    row("DELETE /v1/users/{user}/external", House, |_, _| text(json!({"provider": "none", "subject": "1"}))),
    login(row("POST /v1/auth/second-factor", Public, |_, _| {
        text(json!({"challenge": "x", "method": "totp", "code": "1"}))
    })),
    login(row("POST /v1/auth/second-factor/code", Public, |_, _| text(json!({"challenge": "x", "method": "email"})))),
    login(row("POST /v1/auth/refresh", Public, |_, _| text(json!({"refresh_token": "x"})))),
    login(Row { is_form: true, ..row("POST /v1/auth/token", Public, |_, _| "grant_type=client_credentials".into()) }),
    row("POST /v1/auth/password/forgot", Public, |_, _| text(json!({"username": "nobody"}))),
    login(row("POST /v1/auth/password/reset", Public, |_, _| {
        text(json!({"token": "x", "password": "Some-47-quiet-Meadows"}))
    })),
    login(row("GET /v1/auth/external/{provider}", Public, none)),
    login(row("POST /v1/auth/external/callback", Public, |_, _| {
        text(json!({"challenge": "x", "state": "x", "code": "x"}))
    })),
    login(row("POST /v1/auth/factors", Public, |_, _| text(json!({"challenge": "x", "method": "totp"})))),
    login(row("POST /v1/auth/factors/confirm", Public, |_, _| text(json!({"challenge": "x", "code": "1"})))),
    row("GET /v1/auth/factors", House, none),
    row("DELETE /v1/auth/factors/{factor}", House, none),
    row("POST /v1/auth/recovery-codes", House, none),
    row("POST /v1/auth/step-up", House, none),
    row("POST /v1/auth/step-up/confirm", House, |_, _| text(json!({"challenge": "x", "method": "totp", "code": "1"}))),
    row("PUT /v1/auth/contact", House, |_, _| text(json!({}))),
    row("PUT /v1/auth/password", House, |_, _| text(json!({"current": "x", "new": "Some-47-quiet-Meadows"}))),
    row("PUT /v1/auth/pin", House, |_, _| text(json!({"pin": "749205"}))),
    row("GET /v1/auth/api-keys", House, none),
    row("POST /v1/auth/api-keys", House, |_, _| {
        text(json!({"name": "k", "scopes": ["read-chart"], "expires_at": "2026-06-01T00:00:00Z"}))
    }),
    row("DELETE /v1/auth/api-keys/{key}", House, none),
    row("POST /v1/auth/keys/rotate", House, |_, _| text(json!({}))),
    row("GET /v1/sessions", House, none),
    ends(row("DELETE /v1/sessions", House, none)),
    row("DELETE /v1/sessions/{session}", House, none),
    ends(row("POST /v1/sessions/current/lock", House, none)),
    row("POST /v1/sessions/current/unlock", House, |_, _| text(json!({"method": "password", "code": "x"}))),
    row("POST /v1/sessions/current/documentation-mode", House, |_, _| text(json!({"minutes": 30}))),
    row("POST /v1/services", House, |scene, _| text(json!({"username": scene.new_name()}))),
    row("PUT /v1/services/{service}/key", House, |_, _| text(json!({"jwk": {"kty": "OKP"}, "scopes": ["read-chart"]}))),
    row("PUT /v1/services/{service}/certificate", House, |_, _| {
        text(json!({"certificate": {"name": "lab.example"}, "scopes": ["read-chart"]}))
    }),
    row("GET /v1/services/{service}/api-keys", House, none),
    row("POST /v1/services/{service}/api-keys", House, |_, _| {
        text(json!({"name": "k", "scopes": ["read-chart"], "expires_at": "2026-06-01T00:00:00Z"}))
    }),
    row("DELETE /v1/services/{service}/api-keys/{key}", House, none),
    row("GET /v1/policies", House, none),
    row("POST /v1/policies/explain", House, |scene, _| {
        text(json!({"user": scene.id("user"), "action": "read-chart", "purpose": "TREAT", "patient": scene.patient}))
    }),
    row("GET /v1/denials/{event}", House, none),
    row("GET /v1/break-glass", House, none),
    row("GET /v1/break-glass/report", House, none),
    row("GET /v1/break-glass/{emergency}", House, none),
    row("POST /v1/break-glass", House, |scene, _| {
        text(json!({"patient": scene.other, "reason": "code-blue", "attested": true}))
    }),
    row("POST /v1/break-glass/{emergency}/extend", House, none),
    row("POST /v1/break-glass/{emergency}/end", House, none),
    row("POST /v1/break-glass/{emergency}/review", House, |_, _| text(json!({"outcome": "appropriate"}))),
    row("GET /v1/alerts", House, none),
    row("POST /v1/alerts/{alert}/acknowledge", House, none),
    row("GET /v1/elevations", House, none),
    row("POST /v1/elevations", House, |_, _| {
        text(json!({"role": "database-admin", "minutes": 30, "reason": "ticket 1"}))
    }),
    row("POST /v1/elevations/{elevation}/refuse", House, none),
    row("POST /v1/elevations/{elevation}/approve", House, none),
    row("POST /v1/elevations/{elevation}/end", House, none),
    row("POST /v1/elevations/{elevation}/review", House, |_, _| text(json!({"outcome": "appropriate"}))),
    row("GET /v1/access-reviews", House, none),
    row("POST /v1/access-reviews", House, |_, _| {
        text(json!({"title": "Q1", "roles": ["quality"], "due_at": "2026-06-01T00:00:00Z"}))
    }),
    row("GET /v1/access-reviews/{review}", House, none),
    row("GET /v1/access-reviews/{review}/evidence", House, none),
    row("POST /v1/access-reviews/{review}/decisions", House, |scene, _| {
        text(json!({"user": scene.id("user"), "role": "quality", "verdict": "keep"}))
    }),
    row("POST /v1/access-reviews/{review}/close", House, none),
    row("GET /v1/patients/{patient}/drafts", Patient, none),
    row("PUT /v1/patients/{patient}/drafts/{draft}", Entry, |_, label| {
        text(json!({"kind": "note", "sensitivity": labels(label), "body": {}}))
    }),
    row("GET /v1/patients/{patient}/drafts/{draft}", Patient, none),
    row("DELETE /v1/patients/{patient}/drafts/{draft}", Patient, none),
    row("PUT /v1/patients/{patient}/flag", Patient, |_, _| text(json!({"vip": false}))),
    row("PUT /v1/patients/{patient}/places", Patient, |_, _| text(json!({"departments": [], "facilities": []}))),
    row("PUT /v1/users/{user}/places", House, |_, _| text(json!({"facilities": ["north"]}))),
    row("PUT /v1/users/{user}/hours", House, |_, _| text(json!({"shifts": [{"weekday": 1, "from": 0, "to": 1440}]}))),
    row("PUT /v1/users/{user}/networks", House, |_, _| text(json!({"networks": []}))),
    row("GET /v1/erasures", House, none),
    row("GET /v1/erasures/{erasure}", House, none),
    row("GET /v1/erasures/{erasure}/certificate", House, none),
    row("POST /v1/erasures/{erasure}/approve", House, none),
    row("POST /v1/erasures/{erasure}/refuse", House, |_, _| text(json!({"reason": "withdrawn"}))),
    row("GET /v1/patients/{patient}/holds", Patient, none),
    row("POST /v1/patients/{patient}/holds", Patient, |_, _| {
        text(json!({"kind": "litigation", "reference": "case 1"}))
    }),
    row("DELETE /v1/patients/{patient}/holds/{hold}", Patient, none),
    row("POST /v1/patients/{patient}/erasure", Patient, none),
    // At the end, because they change what others may.
    row("GET /v1/patients/{patient}/consents", Patient, none),
    row("POST /v1/patients/{patient}/restrictions", Patient, |_, _| text(json!({"role": "quality"}))),
    row("DELETE /v1/patients/{patient}/restrictions", Patient, |_, _| text(json!({"role": "quality"}))),
    row("POST /v1/patients/{patient}/disclosures", Patient, |_, _| text(json!({"label": "SUD"}))),
    row("DELETE /v1/patients/{patient}/disclosures", Patient, |_, _| text(json!({"label": "SUD"}))),
    row("PUT /v1/patients/{patient}/proxies/{user}", Patient, none),
    row("DELETE /v1/patients/{patient}/proxies/{user}", Patient, none),
];
