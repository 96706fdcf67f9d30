//! Where and when a user works, from where the user may log in, and where codes are sent.

use jiff::Timestamp;
use wardbook_events::identity::{ContactSet, Hours, HoursSet, NetworksSet, PlacesSet};
use wardbook_events::{Ciphertext, Event, Network, UserId};

use crate::patients::check_departments;
use crate::rejection::Rejection;

/// Shifts, and networks, that an account has at most.
const LIST_MAX: usize = 50;
const DAY_MINUTES: u16 = 24 * 60;

/// Facilities are named like departments.
pub(super) fn set_places(
    user: UserId,
    departments: Vec<String>,
    facilities: Vec<String>,
) -> Result<Vec<Event>, Rejection> {
    check_departments(&departments)?;
    check_departments(&facilities)?;
    Ok(vec![PlacesSet { user, departments, facilities }.into()])
}

pub(super) fn set_hours(
    user: UserId,
    shifts: Vec<Hours>,
    on_call_until: Option<Timestamp>,
) -> Result<Vec<Event>, Rejection> {
    let fits = |hours: &Hours| {
        (1..=7).contains(&hours.weekday) && hours.from < hours.to && hours.from < DAY_MINUTES && hours.to <= DAY_MINUTES
    };
    if shifts.len() > LIST_MAX || !shifts.iter().all(fits) {
        return Err(Rejection::BadHours);
    }
    Ok(vec![HoursSet { user, shifts, on_call_until }.into()])
}

pub(super) fn set_networks(user: UserId, networks: Vec<String>) -> Result<Vec<Event>, Rejection> {
    if networks.len() > LIST_MAX || networks.iter().any(|network| network.parse::<Network>().is_err()) {
        return Err(Rejection::BadNetwork);
    }
    Ok(vec![NetworksSet { user, networks }.into()])
}

/// The channel of an address that changes must be enrolled anew; see the event.
pub(super) fn set_contact(user: UserId, email: Option<Ciphertext>, phone: Option<Ciphertext>) -> Vec<Event> {
    vec![ContactSet { user, email, phone }.into()]
}
