//! A range of network addresses: from where somebody may log in, or is expected to work.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network such as `10.1.0.0/16` (RFC 4632, RFC 4291 section 2.3). One network has one spelling: no bit is set beyond the
/// length, and IPv6 is written as RFC 5952 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    base: IpAddr,
    length: u32,
}

/// Text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a network like 10.1.0.0/16 or 2001:db8::/32 with no bits beyond its length")]
pub struct NotANetwork;

impl Network {
    /// Whether the address is of this network. An IPv4 address within IPv6 is taken for what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let differs = left(self.base) ^ left(address);
        address.is_ipv4() == self.base.is_ipv4() && differs.checked_shr(128 - self.length).unwrap_or(0) == 0
    }
}

/// The bits of an address, from the left.
fn left(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for Network {
    type Err = NotANetwork;
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (base, length) = text.split_once('/').ok_or(NotANetwork)?;
        let base: IpAddr = base.parse().map_err(|_| NotANetwork)?;
        let length: u32 = length.parse().map_err(|_| NotANetwork)?;
        let length_max = if base.is_ipv4() { 32 } else { 128 };
        // An IPv4 network within IPv6 would have no addresses: they are taken for IPv4.
        let fits =
            length <= length_max && base.to_canonical() == base && left(base).checked_shl(length).unwrap_or(0) == 0;
        let network = Self { base, length };
        if fits && network.to_string() == text { Ok(network) } else { Err(NotANetwork) }
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;
    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_an_address_without_bits_beyond_its_length() {
        for good in ["10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1/128"] {
            assert_eq!(network(good).to_string(), good);
        }
        let bad = [
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
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "0.0.0.1/0",
            "2001:DB8::/32",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/8 ",
        ];
        for bad in bad {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
    }

    #[test]
    fn what_is_within_is_known_and_what_is_not_is_not() {
        let has = |of: &str, address: &str| network(of).contains(address.parse().unwrap());
        assert!(has("10.1.0.0/16", "10.1.255.255") && has("10.1.0.0/16", "::ffff:10.1.0.1"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "2001:db8::1") && !has("::/0", "203.0.113.9"));
        assert!(has("::1/128", "::1") && !has("::1/128", "::2") && has("::/0", "2001:db8::1"));
        assert!(!has("10.1.0.0/16", "10.2.0.0") && !has("10.1.2.3/32", "10.1.2.2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_written_alike(text in "[0-9a-f:./+ -]{0,24}") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(serde_json::to_value(network).unwrap(), text.as_str());
                prop_assert_eq!(serde_json::from_value::<Network>(text.into()).unwrap(), network);
            }
        }

        #[test]
        fn a_network_has_what_shares_its_first_bits(base: u128, length in 0_u32..=128, other: u128, v4: bool) {
            let length = if v4 { length % 33 } else { length };
            let keep = if length == 0 { 0 } else { u128::MAX << (128 - length) };
            let address = |bits: u128| match v4 {
                true => IpAddr::V4(((bits >> 96) as u32).into()),
                false => IpAddr::V6((bits | 1 << 127).into()),
            };
            let start = match address(base & keep) {
                IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & keep).into()),
                v4 => v4,
            };
            let network: Network = format!("{start}/{length}").parse().unwrap();
            prop_assert!(network.contains(start));
            let other = address(other);
            prop_assert_eq!(network.contains(other), left(other) & keep == left(start) & keep);
        }
    }
}
