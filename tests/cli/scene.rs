//! A small hospital: one patient, on whose care team the physician is, whose name was corrected once.

use serde_json::json;

use crate::program::{Place, Server};

pub const OLD: &str = "Wrongname";
pub const NEW: &str = "Rightname";

pub struct Scene {
    pub place: Place,
    pub patient: String,
    /// The user id of the physician.
    pub physician: String,
    /// The physician's session at the server.
    pub session: String,
    /// Of the patient as registered; of the correction; of the last event.
    pub registered: u64,
    pub corrected: u64,
}

impl Scene {
    /// Plays through a server that is stopped afterwards.
    pub fn new() -> Self {
        let (scene, server) = Self::served();
        server.stop();
        scene
    }

    /// Plays, and leaves the server running.
    pub fn served() -> (Self, Server) {
        let place = Place::with_cast();
        let server = place.serve();
        let registrar = server.log_in("registrar");
        let physician = server.log_in("physician");
        let session = physician.get("/v1/auth/session").is(200).json();
        let text = |name: &str| session[name].as_str().unwrap().to_owned();
        let (user, session) = (text("user"), text("session"));
        let body = json!({"name": {"family": OLD, "given": ["Ruth"]}, "birth_date": "1948-08-18", "ssn": "900120001"});
        let made = registrar.post("/v1/patients", &body).is(201);
        let patient = made.json()["patient"].as_str().unwrap().to_owned();
        let registered = made.header("wardbook-position").to_owned();
        let path = format!("/v1/patients/{patient}");
        let registrar = registrar.with("If-Ledger-Position", &registered);
        registrar.put(&format!("{path}/care-team/{user}"), &json!({"function": "attending"})).is(204);
        let note = json!({"type": "note", "body": {"code": {"text": "Visit"}, "text": "Better"}});
        physician.post(&format!("{path}/records"), &note).is(201);
        physician.get(&path).is(200);
        let version = made.header("etag").to_owned();
        let correction = json!({"name": {"family": NEW, "given": ["Ruth"]}});
        let corrected = registrar.with("If-Match", &version).patch(&path, &correction).is(200);
        let corrected = corrected.header("wardbook-position").parse().unwrap();
        // Nobody of the care team: denied.
        server.log_in("nurse").get(&path).is(404);
        let scene =
            Self { place, patient, physician: user, session, registered: registered.parse().unwrap(), corrected };
        (scene, server)
    }
}
