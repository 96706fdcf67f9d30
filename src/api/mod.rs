//! The HTTP API. Handlers are thin: parse, ask [`crate::disclosure`] or the write side, answer with the receipt.

pub mod access_reviews;
pub mod alerts;
pub mod answer;
pub mod audit;
pub mod auth;
pub mod backups;
pub mod break_glass;
pub mod caller;
pub mod care_teams;
pub mod compromise;
pub mod consent;
pub mod cookies;
pub mod documents;
pub mod drafts;
pub mod edge;
pub mod elevations;
pub mod erasure;
pub mod external;
pub mod factors;
pub mod health;
pub mod keys;
pub mod ledger;
pub mod openapi;
pub mod page;
pub mod passwords;
pub mod patients;
pub mod places;
pub mod policy;
pub mod problem;
pub mod projections;
pub mod records;
pub mod replay;
pub mod schema;
pub mod server;
pub mod services;
pub mod sessions;
pub mod uploads;
pub mod users;

use actix_web::error::{self, JsonPayloadError};
use actix_web::web::{self, JsonConfig, PathConfig, QueryConfig, ServiceConfig};

use crate::api::problem::{Kind, Problem};
use crate::config::Config;

/// Every route, and how what cannot be parsed is answered.
pub fn configure(config: &Config) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let body_bytes_max = config.server.body_bytes_max;
    move |routes| {
        routes
            .app_data(json_config(body_bytes_max))
            .app_data(web::PayloadConfig::new(body_bytes_max))
            .app_data(QueryConfig::default().error_handler(|_, _| {
                Problem::new(Kind::Malformed, "a query parameter is unknown or not valid: see /openapi.json").into()
            }))
            .app_data(PathConfig::default().error_handler(|_, request| {
                // `PATCH /v1/patients/search` looks like that of a patient with a strange id: the edge says which methods fit.
                let methods = openapi::methods_at(request.path()).unwrap_or_default();
                match methods.split(", ").any(|method| method == request.method().as_str()) {
                    true => Problem::new(Kind::Malformed, "an id in the path is not valid: ids are UUIDs").into(),
                    false => error::ErrorNotFound("no such method"),
                }
            }))
            .service(auth::login)
            .service(auth::logout)
            .service(auth::read_session)
            .service(auth::read_jwks)
            .service(auth::ask_passkey)
            .service(auth::passkey_login)
            .service(auth::set_pin)
            .service(auth::second_factor)
            .service(auth::refresh)
            .service(auth::step_up)
            .service(auth::confirm_step_up)
            .service(auth::rotate_keys)
            .service(sessions::list_sessions)
            .service(sessions::end_session)
            .service(sessions::end_other_sessions)
            .service(sessions::lock_session)
            .service(sessions::unlock_session)
            .service(sessions::set_documentation_mode)
            .service(sessions::list_sessions_of)
            .service(sessions::end_sessions_of)
            .service(sessions::end_session_of)
            .service(sessions::unlock_user)
            .service(patients::search_patients) // before {patient}
            .service(patients::register_patient)
            .service(patients::read_patient)
            .service(patients::correct_patient)
            .service(patients::flag_patient)
            .service(places::place_patient)
            .service(patients::merge_patient)
            .service(patients::unmerge_patient)
            .service(records::add_record)
            .service(records::list_records)
            .service(records::read_record)
            .service(records::amend_record)
            .service(records::sign_record)
            .service(records::add_addendum)
            .service(records::retract_record)
            .service(drafts::save_draft)
            .service(drafts::list_drafts)
            .service(drafts::read_draft)
            .service(drafts::discard_draft)
            .service(documents::list_documents)
            .service(documents::read_content)
            .service(documents::retract_document)
            .service(uploads::begin_upload)
            .service(uploads::read_upload)
            .service(uploads::append_upload)
            .service(uploads::finish_upload)
            .service(uploads::discard_upload)
            .service(consent::list_consents)
            .service(consent::restrict_access)
            .service(consent::lift_restriction)
            .service(consent::permit_disclosure)
            .service(consent::withdraw_disclosure)
            .service(consent::grant_proxy)
            .service(consent::end_proxy)
            .service(elevations::request_elevation)
            .service(elevations::list_elevations)
            .service(elevations::approve_elevation)
            .service(elevations::refuse_elevation)
            .service(elevations::end_elevation)
            .service(elevations::review_elevation)
            .service(erasure::request_erasure)
            .service(erasure::list_erasures)
            .service(erasure::read_erasure)
            .service(erasure::approve_erasure)
            .service(erasure::refuse_erasure)
            .service(erasure::read_certificate)
            .service(erasure::place_hold)
            .service(erasure::list_holds)
            .service(erasure::lift_hold)
            .service(access_reviews::open_review)
            .service(access_reviews::list_reviews)
            .service(access_reviews::read_review)
            .service(access_reviews::decide_holding)
            .service(access_reviews::close_review)
            .service(access_reviews::read_evidence)
            .service(care_teams::list_care_team)
            .service(care_teams::assign_member)
            .service(care_teams::end_member)
            .service(break_glass::report_emergencies) // before {emergency}
            .service(break_glass::start_emergency)
            .service(break_glass::list_emergencies)
            .service(break_glass::read_emergency)
            .service(break_glass::extend_emergency)
            .service(break_glass::end_emergency)
            .service(break_glass::review_emergency)
            .service(alerts::list_alerts)
            .service(alerts::acknowledge_alert)
            .service(backups::list_backups)
            .service(backups::create_backup)
            .service(backups::drill_backup)
            .service(backups::verify_backup)
            .service(keys::read_keys)
            .service(keys::rotate_key)
            .service(keys::rewrap_keys)
            .service(compromise::declare_compromise)
            .service(compromise::read_compromise)
            .service(audit::list_events)
            .service(audit::list_accesses)
            .service(audit::prove_accesses)
            .service(users::create_user)
            .service(users::list_users)
            .service(users::read_user)
            .service(users::grant_role)
            .service(users::revoke_role)
            .service(users::disable_user)
            .service(users::enable_user)
            .service(users::set_password)
            .service(places::set_places)
            .service(places::set_hours)
            .service(places::set_networks)
            .service(factors::enrol_factor)
            .service(factors::confirm_factor)
            .service(factors::send_code)
            .service(factors::list_factors)
            .service(factors::renew_recovery_codes)
            .service(factors::remove_factor)
            .service(factors::reset_factors)
            .service(passwords::change_password)
            .service(passwords::forgot_password)
            .service(passwords::reset_password)
            .service(passwords::set_own_contact)
            .service(passwords::set_contact)
            .service(external::end_external)
            .service(external::begin_external)
            .service(external::link_external)
            .service(external::unlink_external)
            .service(services::create_service)
            .service(services::set_service_key)
            .service(services::set_service_certificate)
            .service(services::token)
            .service(services::issue_own_key)
            .service(services::list_own_keys)
            .service(services::revoke_own_key)
            .service(services::issue_service_key)
            .service(services::list_service_keys)
            .service(services::revoke_service_key)
            .service(ledger::read_checkpoint)
            .service(ledger::read_tile)
            .service(ledger::prove_event)
            .service(ledger::list_keys)
            .service(projections::list_projections)
            .service(projections::rebuild_projection)
            .service(policy::list_policies)
            .service(policy::explain_denial)
            .service(policy::explain_decision)
            .service(replay::replay_trail)
            .service(health::health_live)
            .service(health::health_ready)
            .service(health::read_pins)
            .service(openapi::read_openapi)
            .service(openapi::read_problem);
    }
}

fn json_config(limit: usize) -> JsonConfig {
    JsonConfig::default().limit(limit).error_handler(|error, _| {
        match &error {
            JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
                Problem::new(Kind::TooLarge, "send a smaller body")
            }
            JsonPayloadError::ContentType => {
                Problem::new(Kind::UnsupportedMediaType, "send Content-Type: application/json")
            }
            JsonPayloadError::Deserialize(error) => problem::of_json(error),
            _ => Problem::new(Kind::Malformed, "the body could not be read"),
        }
        .into()
    })
}
