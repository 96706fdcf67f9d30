//! What must be done besides, when a policy with `@obligation("...")` had its say.

use std::fmt;
use std::str::FromStr;

use wardbook_events::Field;

/// A duty that comes with a decision. One that nobody would fulfil is refused when policies are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obligation {
    /// Tell the privacy officer.
    NotifyPrivacyOfficer,
    /// This field stays closed although its group is granted; [`crate::Permit::covers`] sees to it.
    Withhold(Field),
}

impl fmt::Display for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotifyPrivacyOfficer => f.write_str("notify-privacy-officer"),
            Self::Withhold(field) => write!(f, "withhold {field}"),
        }
    }
}

/// Text that names no obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown obligation: expected notify-privacy-officer or withhold FIELD")]
pub struct UnknownObligation;

impl FromStr for Obligation {
    type Err = UnknownObligation;
    fn from_str(text: &str) -> Result<Self, UnknownObligation> {
        match text.trim() {
            "notify-privacy-officer" => Ok(Self::NotifyPrivacyOfficer),
            other => other
                .strip_prefix("withhold ")
                .and_then(|field| field.parse().ok())
                .map(Self::Withhold)
                .ok_or(UnknownObligation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for obligation in [Obligation::NotifyPrivacyOfficer, Obligation::Withhold(Field::Ssn)] {
            assert_eq!(obligation.to_string().parse(), Ok(obligation));
        }
        for wrong in ["", "notify", "withhold", "withhold patient.shoe-size"] {
            assert_eq!(wrong.parse::<Obligation>(), Err(UnknownObligation), "{wrong}");
        }
    }
}
