//! The cryptography, reading certificates, and describing invalid ones.

use std::io;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The cryptography of all TLS in this program.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates in a PEM text, in order.
pub(crate) fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map_err(invalid))
        .collect()
}

/// Describes what is wrong with a certificate, in words that follow its name.
pub(crate) fn fault(error: &CertificateError) -> String {
    use CertificateError as E;
    let words = match error {
        E::Expired | E::ExpiredContext { .. } => "has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "is not valid yet (or our clock is wrong)",
        E::UnknownIssuer => "is not signed by a trusted authority (see --ca)",
        E::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "contains no host name (it needs a subjectAltName)"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another name",
        E::Revoked => "has been revoked",
        E::BadSignature => "has an invalid signature",
        E::BadEncoding => "cannot be read",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "is not meant for servers (it needs extendedKeyUsage serverAuth)"
        }
        E::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "belongs to an authority, not to a server (use it to sign the server's certificate)"
        }
        error => return format!("is refused: {error}"),
    };
    words.to_owned()
}

pub(crate) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
