//! What a certificate says of itself (RFC 5280).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

/// The bytes are no X.509 certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an X.509 certificate")]
pub struct NotACertificate;

/// A certificate, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Names that it is for: of hosts, addresses and URIs (RFC 5280 section 4.2.1.6).
    pub names: Vec<String>,
    /// Who it is about.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// When it is good no longer.
    pub not_after: Timestamp,
    /// SHA-256 of the whole.
    pub sha256: [u8; 32],
    /// What clients pin: SHA-256 of the public key with its algorithm, base64 (RFC 7469 section 2.4).
    pub pin: String,
    /// The public key.
    pub key: Key,
    /// Where its authority tells whether it is revoked.
    pub ocsp_url: Option<String>,
}

/// A public key's kind and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// RSA with a modulus of so many bits.
    Rsa(usize),
    /// A point on a curve over a field of so many bits.
    Ec(usize),
    /// Another one, such as Ed25519.
    Other,
}

impl Key {
    /// RSA with at least so many bits, or something stronger per bit (ENC-21).
    #[must_use]
    pub const fn is_strong(self, rsa_bits_min: usize) -> bool {
        match self {
            Self::Rsa(bits) => bits >= rsa_bits_min,
            Self::Ec(bits) => bits >= 256,
            Self::Other => true,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::Ec(bits) => write!(f, "EC-{bits}"),
            Self::Other => f.write_str("another kind"),
        }
    }
}

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(der: &[u8]) -> Result<Self, NotACertificate> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| NotACertificate)?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| NotACertificate);
        let spki = parsed.public_key();
        Ok(Self {
            names: names(&parsed),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            sha256: sha256(der),
            pin: pin(spki.raw),
            key: match spki.parsed() {
                Ok(PublicKey::RSA(key)) => Key::Rsa(key.key_size()),
                Ok(PublicKey::EC(point)) => Key::Ec(point.key_size()),
                _ => Key::Other,
            },
            ocsp_url: ocsp_url(&parsed),
        })
    }

    /// SHA-256 of the whole, hex: how people compare certificates.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(self.sha256)
    }

    /// SHA-256 of the whole, as tokens name it (`x5t#S256`, RFC 8705 section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.sha256)
    }

    /// Whether it is for this host (RFC 9525 section 6.3): a `*` stands for one label, the leftmost.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.names.iter().any(|name| {
            let tail = name.strip_prefix('*').zip(host.split_once('.'));
            match tail {
                Some((tail, (label, _))) => {
                    !label.is_empty() && host.get(label.len()..).is_some_and(|rest| rest.eq_ignore_ascii_case(tail))
                }
                None => name.eq_ignore_ascii_case(host),
            }
        })
    }

    /// Whether it is good at this time.
    #[must_use]
    pub fn is_good_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whole days until its end; negative if that is past.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        self.not_after.duration_since(now).as_secs().div_euclid(86_400)
    }
}

/// SHA-256 of something.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

/// The pin of a public key in its DER form (`SubjectPublicKeyInfo`).
#[must_use]
pub fn pin(spki: &[u8]) -> String {
    STANDARD.encode(sha256(spki))
}

fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|v4| std::net::IpAddr::from(v4).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|v6| std::net::IpAddr::from(v6).to_string()))
            .ok(),
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}

fn ocsp_url(parsed: &X509Certificate<'_>) -> Option<String> {
    parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => access.accessdescs.iter().find_map(|described| {
            let GeneralName::URI(url) = &described.access_location else { return None };
            (described.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP).then(|| (*url).to_owned())
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(names: &[&str]) -> Certificate {
        Certificate {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            subject: String::new(),
            issuer: String::new(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: "2026-03-21T12:00:00Z".parse().unwrap(),
            sha256: [0; 32],
            pin: String::new(),
            key: Key::Rsa(4096),
            ocsp_url: None,
        }
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let certificate = named(&["Wardbook.example", "*.ward.example", "127.0.0.1"]);
        for host in ["wardbook.example", "WARDBOOK.example.", "a.ward.example", "127.0.0.1"] {
            assert!(certificate.is_for(host), "{host}");
        }
        for host in ["", ".", "example", "a.wardbook.example", "ward.example", ".ward.example", "a.b.ward.example"] {
            assert!(!certificate.is_for(host), "{host}");
        }
    }

    #[test]
    fn days_are_counted_down_to_the_end_and_beyond() {
        let certificate = named(&[]);
        for (now, days) in [
            ("2026-03-20T12:00:00Z", 1),
            ("2026-03-20T12:00:01Z", 0),
            ("2026-03-21T12:00:00Z", 0),
            ("2026-03-21T12:00:01Z", -1),
        ] {
            assert_eq!(certificate.days_left(now.parse().unwrap()), days, "{now}");
        }
    }

    #[test]
    fn keys_are_weak_or_strong() {
        for (key, strong) in [
            (Key::Rsa(2048), false),
            (Key::Rsa(4096), true),
            (Key::Ec(224), false),
            (Key::Ec(256), true),
            (Key::Other, true),
        ] {
            assert_eq!(key.is_strong(4096), strong, "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Certificate::of(&bytes), Err(NotACertificate));
        }
        #[test]
        fn any_host_is_looked_at_without_panic(host in ".*") {
            prop_assert!(!named(&[]).is_for(&host));
            prop_assert_eq!(named(&["*.ward.example"]).is_for(&host), host.to_lowercase().trim_end_matches('.').strip_suffix(".ward.example").is_some_and(|label| !label.is_empty() && !label.contains('.')));
        }
    }
}
