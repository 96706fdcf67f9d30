//! Certificates and keys in files: PEM (RFC 7468), keys for their owner's eyes only, and whether a file has changed.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use super::TlsError;
use super::certificate::{Certificate, pin};

/// Larger files hold something else.
const BYTES_MAX: u64 = 16 << 20;

/// What tells that a file has changed: when it was written, its size, and which file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Option<(i64, i64, u64, u64)>);

impl Stamp {
    /// The stamp of a file; one that is not there has one too.
    pub fn of(path: &Path) -> Self {
        let stamp = |meta: std::fs::Metadata| (meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino());
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > BYTES_MAX {
        return Err(TlsError::NotPem { path: path.to_owned(), what: "anything of ours: it is too large" });
    }
    Ok(Zeroizing::new(std::fs::read(path).map_err(fail)?))
}

fn not_pem(path: &Path, what: &'static str) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), what }
}

/// The certificates in a file; at least one.
pub fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| not_pem(path, "certificates"))
}

/// The private key in a file that only its owner may read.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let meta = std::fs::metadata(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(TlsError::KeyMode { path: path.to_owned(), mode });
    }
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| not_pem(path, "a private key"))
}

/// The authorities in a file.
pub fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in chain(path)? {
        roots.add(authority).map_err(|_| not_pem(path, "certificates of authorities"))?;
    }
    Ok(roots)
}

/// The revocation lists in a file; at least one.
pub fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| not_pem(path, "certificate revocation lists"))
}

/// The pin of the public key, or of the certificate, in a file.
pub fn public_pin(path: &Path) -> Result<String, TlsError> {
    let bytes = read(path)?;
    if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(&bytes) {
        return Ok(pin(&key));
    }
    let certificate = CertificateDer::from_pem_slice(&bytes).ok().and_then(|der| Certificate::of(&der).ok());
    certificate.map(|certificate| certificate.pin).ok_or_else(|| not_pem(path, "a public key"))
}
