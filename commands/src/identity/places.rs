//! Where and when a user works, from where the user may log in, and where codes are sent.

use std::net::IpAddr;

use jiff::Timestamp;
use wardbook_events::identity::{ContactSet, Hours, HoursSet, NetworksSet, PlacesSet};
use wardbook_events::{Ciphertext, Event, UserId};

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
    if networks.len() > LIST_MAX || !networks.iter().all(|network| is_network(network)) {
        return Err(Rejection::BadNetwork);
    }
    Ok(vec![NetworksSet { user, networks }.into()])
}

/// The channel of an address that changes must be enrolled anew; see the event.
pub(super) fn set_contact(user: UserId, email: Option<Ciphertext>, phone: Option<Ciphertext>) -> Vec<Event> {
    vec![ContactSet { user, email, phone }.into()]
}

/// Address and length (RFC 4632, RFC 4291 section 2.3), written in one way only: no bit is set beyond the length.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    match address {
        IpAddr::V4(v4) => length <= 32 && v4.to_bits().checked_shl(length).unwrap_or(0) == 0,
        IpAddr::V6(v6) => length <= 128 && v6.to_bits().checked_shl(length).unwrap_or(0) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::is_network;

    #[test]
    fn a_network_is_an_address_without_bits_beyond_its_length() {
        for good in ["10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1/128"] {
            assert!(is_network(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "10.1.0.0",
            "10.1.2.3/16",
            "10.1.0.0/33",
            "2001:db8::1/32",
            "::/129",
            "10.1/16",
            "a/8",
            "10.0.0.0/-1",
            "0.0.0.1/0",
        ] {
            assert!(!is_network(bad), "{bad}");
        }
    }
}
