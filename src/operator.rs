//! The person at the console: whoever can start the program on the machine that holds the keys.
//!
//! Such a person makes the first users and imports charts. Policy is asked as for everybody, the events name this actor,
//! and no role of it reads charts.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_events::{Client, CorrelationId, Purpose, Role, TenantId, UserId};
use wardbook_policy::Principal;

use crate::asker::{Asker, usual_purpose};

/// The user id in events that the console caused. There is no account of this id: nobody can log in as it.
pub const OPERATOR: UserId = UserId::new(uuid::uuid!("0190a000-0000-7000-8000-0000000000ff"));

/// The operator, acting in a role: [`Role::Admin`] to manage users, [`Role::SystemAdmin`] to rebuild views,
/// [`Role::Registrar`] to register and import. Whoever holds the machine has proved enough and is on call.
#[must_use]
pub fn operator(tenant: TenantId, role: Role, correlation: Uuid) -> Asker {
    let purpose: Purpose = usual_purpose(role);
    let principal = Principal {
        mfa: 2,
        fresh_until: Some(Timestamp::MAX),
        on_call_until: Some(Timestamp::MAX),
        ..Principal::new(OPERATOR, tenant, BTreeSet::from([role]))
    };
    Asker {
        principal: Arc::new(principal),
        role,
        purpose,
        reason: None,
        session: None,
        correlation: CorrelationId::new(correlation),
        client: Client { agent: Some("wardbook console".to_owned()), ..Client::default() },
        address: None,
    }
}
