//! What both ends of TLS share: the cryptography, reading certificates, and words for what is wrong
//! with one; and a server's [`Identity`]. The streams themselves are with those who use them.

mod identity;

use std::io;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub use self::identity::Identity;

/// The cryptography of all TLS here.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates in a PEM text, in their order.
pub(crate) fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map_err(invalid))
        .collect()
}

/// What is wrong with a certificate, in words that go behind its name.
pub(crate) fn fault(error: &CertificateError) -> String {
    use CertificateError as E;
    let words = match error {
        E::Expired | E::ExpiredContext { .. } => "has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "is not valid yet (or our clock is wrong)",
        E::UnknownIssuer => "is signed by nobody that we trust (see --ca)",
        E::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "names no host (it needs a subjectAltName)"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another name",
        E::Revoked => "has been revoked",
        E::BadSignature => "has a signature that does not fit",
        E::BadEncoding => "cannot be read",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "is for another purpose than to be a server (it needs extendedKeyUsage serverAuth)"
        }
        E::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "is that of an authority, which cannot be a server's too (sign one for the server with it)"
        }
        error => return format!("is refused: {error}"),
    };
    words.to_owned()
}

pub(crate) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
