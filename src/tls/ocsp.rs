//! What the authority says of a certificate (RFC 6960): asked for by the server, stapled to handshakes, so that no client has to
//! ask and tell the authority where it goes.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use jiff::{SignedDuration, Timestamp};
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode};
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse, OcspResponseStatus, Request,
    SingleResponse, TbsRequest, Version,
};

/// SHA-1, by which requests name an issuer: the one hash that every responder knows (RFC 5019 section 2.1.1). It names and
/// protects nothing.
const ID_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// What a responder answers that holds no status.
const ID_BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// What the certificate of a responder is for (RFC 6960 section 4.2.2.2).
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
/// Larger answers hold something else.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// How far the responder's clock may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How long an answer without an end is kept.
const ENDLESS: SignedDuration = SignedDuration::from_hours(24);
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing new is stapled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// The request could not be made of these certificates.
    #[error("the certificate or its issuer cannot be asked about")]
    Request,
    /// No answer.
    #[error("the responder at {url} did not answer: {reason}")]
    Silent {
        /// The responder.
        url: String,
        /// What happened.
        reason: String,
    },
    /// No status.
    #[error("the responder gave no status ({0})")]
    NoStatus(&'static str),
    /// Not signed by who may say so.
    #[error("the answer is not signed by the issuer, nor by a responder that the issuer named")]
    Signature,
    /// Not about now.
    #[error("the answer is not of this time: good from {from} to {to}")]
    Time {
        /// From when on.
        from: Timestamp,
        /// Until when.
        to: Timestamp,
    },
    /// The authority took the certificate back.
    #[error("the authority has revoked the certificate: have a new one issued, for another key, at once")]
    Revoked,
    /// The authority does not know the certificate.
    #[error("the authority does not know the certificate")]
    Unknown,
}

/// An answer that may be stapled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// The answer as the responder gave it.
    pub answer: Vec<u8>,
    /// When to ask again: at half of its time.
    pub refresh_at: Timestamp,
    /// When it says nothing any more.
    pub good_until: Timestamp,
}

/// Asks a responder about a certificate. Blocks.
///
/// # Errors
/// If there is no answer that may be stapled.
pub fn ask(url: &str, certificate: &[u8], issuer: &[u8], now: Timestamp) -> Result<Staple, OcspError> {
    let silent = |reason: String| OcspError::Silent { url: url.to_owned(), reason };
    let request = request(certificate, issuer)?;
    let call = crate::outgoing::agent(PATIENCE).post(url).header("Content-Type", "application/ocsp-request");
    let mut response = call.send(&request).map_err(|error| silent(error.to_string()))?;
    if !response.status().is_success() {
        return Err(silent(format!("status {}", response.status().as_u16())));
    }
    let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    check(&read.map_err(|error| silent(error.to_string()))?, certificate, issuer, now)
}

/// The question. It has no nonce: answers are made beforehand and kept (RFC 5019 section 4).
fn request(certificate: &[u8], issuer: &[u8]) -> Result<Vec<u8>, OcspError> {
    let asked = Request { req_cert: cert_id(certificate, issuer)?, single_request_extensions: None };
    let tbs_request =
        TbsRequest { version: Version::V1, requestor_name: None, request_list: vec![asked], request_extensions: None };
    OcspRequest { tbs_request, optional_signature: None }.to_der().map_err(|_| OcspError::Request)
}

fn cert_id(certificate: &[u8], issuer: &[u8]) -> Result<CertId, OcspError> {
    let request = |_| OcspError::Request;
    let issuer = Certificate::from_der(issuer).map_err(request)?.tbs_certificate;
    let certificate = Certificate::from_der(certificate).map_err(request)?.tbs_certificate;
    let hash = |bytes: &[u8]| OctetString::new(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    Ok(CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: ID_SHA1, parameters: Some(Null.into()) },
        issuer_name_hash: hash(&issuer.subject.to_der().map_err(request)?).map_err(request)?,
        issuer_key_hash: hash(issuer.subject_public_key_info.subject_public_key.raw_bytes()).map_err(request)?,
        serial_number: certificate.serial_number,
    })
}

/// Checks an answer: whose it is, about what, of when.
///
/// # Errors
/// If it must not be stapled.
pub fn check(answer: &[u8], certificate: &[u8], issuer: &[u8], now: Timestamp) -> Result<Staple, OcspError> {
    let response = OcspResponse::from_der(answer).map_err(|_| OcspError::NoStatus("not an OCSP response"))?;
    let bytes = match (response.response_status, response.response_bytes) {
        (OcspResponseStatus::Successful, Some(bytes)) if bytes.response_type == ID_BASIC => bytes,
        (OcspResponseStatus::TryLater, _) => return Err(OcspError::NoStatus("try later")),
        (OcspResponseStatus::Unauthorized, _) => return Err(OcspError::NoStatus("it is not asked by us")),
        _ => return Err(OcspError::NoStatus("an error")),
    };
    let not_one = |_| OcspError::NoStatus("not an OCSP response");
    let basic = BasicOcspResponse::from_der(bytes.response.as_bytes()).map_err(not_one)?;
    check_signature(&basic, issuer, now)?;
    let asked = cert_id(certificate, issuer)?;
    let about = basic.tbs_response_data.responses.iter().find(|single| is_about(&single.cert_id, &asked));
    let about = about.ok_or(OcspError::NoStatus("it is about another certificate"))?;
    match about.cert_status {
        CertStatus::Good(_) => {}
        CertStatus::Revoked(_) => return Err(OcspError::Revoked),
        CertStatus::Unknown(_) => return Err(OcspError::Unknown),
    }
    let (from, to) = times(about)?;
    if from > now + SKEW || to <= now {
        return Err(OcspError::Time { from, to });
    }
    let half = to.duration_since(from) / 2;
    Ok(Staple { answer: answer.to_vec(), refresh_at: from + half, good_until: to })
}

/// The parameters of the hash may be left out or be NULL: the same thing.
fn is_about(one: &CertId, asked: &CertId) -> bool {
    one.hash_algorithm.oid == asked.hash_algorithm.oid
        && one.issuer_name_hash == asked.issuer_name_hash
        && one.issuer_key_hash == asked.issuer_key_hash
        && one.serial_number == asked.serial_number
}

fn times(about: &SingleResponse) -> Result<(Timestamp, Timestamp), OcspError> {
    let time = |at: &OcspGeneralizedTime| {
        let seconds = i64::try_from(at.0.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_err(|_| OcspError::NoStatus("a time that cannot be"))
    };
    let from = time(&about.this_update)?;
    let to = about.next_update.as_ref().map(time).transpose()?;
    Ok((from, to.unwrap_or_else(|| from.checked_add(ENDLESS).unwrap_or(from))))
}

/// Signed by the issuer itself, or by a responder whom the issuer gave a certificate for just that (RFC 6960 section 4.2.2.2).
fn check_signature(basic: &BasicOcspResponse, issuer: &[u8], now: Timestamp) -> Result<(), OcspError> {
    let issuer = Certificate::from_der(issuer).map_err(|_| OcspError::Request)?;
    let signed_by =
        |who: &Certificate| verifies(who, &basic.signature_algorithm, &basic.tbs_response_data, &basic.signature);
    let delegates = || basic.certs.iter().flatten().filter(|delegate| may_answer(delegate, &issuer, now));
    if signed_by(&issuer) || delegates().any(signed_by) { Ok(()) } else { Err(OcspError::Signature) }
}

fn may_answer(delegate: &Certificate, issuer: &Certificate, now: Timestamp) -> bool {
    let tbs = &delegate.tbs_certificate;
    let named = tbs.issuer == issuer.tbs_certificate.subject;
    let purpose = matches!(tbs.get::<ExtendedKeyUsage>(), Ok(Some((_, usage))) if usage.0.contains(&OCSP_SIGNING));
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    let (from, to) = (tbs.validity.not_before.to_unix_duration(), tbs.validity.not_after.to_unix_duration());
    let is_good = (from.as_secs()..=to.as_secs()).contains(&now);
    named && purpose && is_good && verifies(issuer, &delegate.signature_algorithm, tbs, &delegate.signature)
}

/// What is signed is encoded anew: DER has one form only, and the decoder takes no other.
fn verifies(
    by: &Certificate,
    algorithm: &AlgorithmIdentifierOwned,
    signed: &impl Encode,
    signature: &BitString,
) -> bool {
    let key = &by.tbs_certificate.subject_public_key_info;
    let all = super::server::provider().signature_verification_algorithms.all;
    let encoded = (key.algorithm.to_der(), algorithm.to_der(), signed.to_der());
    let (Ok(of_key), Ok(algorithm), Ok(signed)) = encoded else { return false };
    // rustls has the identifiers without the tag and length of their SEQUENCE.
    let fits = all.iter().filter(|known| {
        known.public_key_alg_id().as_ref() == content(&of_key)
            && known.signature_alg_id().as_ref() == content(&algorithm)
    });
    let mut outcomes =
        fits.map(|known| known.verify_signature(key.subject_public_key.raw_bytes(), &signed, signature.raw_bytes()));
    outcomes.any(|outcome| outcome.is_ok())
}

/// What is in a short SEQUENCE.
fn content(der: &[u8]) -> &[u8] {
    match der {
        [0x30, length, content @ ..] if content.len() == usize::from(*length) => content,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(check(&bytes, &bytes, &bytes, Timestamp::UNIX_EPOCH).is_err());
        }
    }
}
