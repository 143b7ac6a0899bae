//! Whom to trust: Mozilla's root certificates and those of `--ca FILE`; and, for a server, who it
//! is: [`Identity`]. What both ends of TLS share is here, the streams themselves are with those who
//! use them.

mod identity;

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use ureq::tls::{Certificate, RootCerts};

pub use self::identity::Identity;

/// The root certificates that servers are checked against.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Beside Mozilla's.
    extra: Vec<Certificate<'static>>,
}

impl Roots {
    /// Mozilla's, and those in the PEM file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or has no certificate.
    pub fn with_file(path: &Path) -> io::Result<Self> {
        Self::with_pem(&std::fs::read(path)?)
    }

    /// Mozilla's, and those in a PEM text.
    ///
    /// # Errors
    /// When the text is broken or has no certificate.
    pub fn with_pem(pem: &[u8]) -> io::Result<Self> {
        let extra = certificates(pem)?;
        if extra.is_empty() {
            return Err(invalid("no certificate in PEM format"));
        }
        for der in &extra {
            // `ureq` would skip a bad one without a word, and then trust nobody it signed.
            RootCertStore::empty().add(der.clone()).map_err(invalid)?;
        }
        let extra = extra
            .iter()
            .map(|der| Certificate::from_der(der).to_owned());
        Ok(Self {
            extra: extra.collect(),
        })
    }

    /// As `ureq` takes them.
    pub fn for_ureq(&self) -> RootCerts {
        if self.extra.is_empty() {
            return RootCerts::WebPki;
        }
        mozilla()
            .map(|certificate| Certificate::from_der(certificate))
            .chain(self.extra.iter().cloned())
            .into()
    }

    /// For streams that are not HTTP: the configuration of a [`rustls::ClientConnection`].
    ///
    /// # Errors
    /// What `rustls` finds wrong with the whole.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(mozilla().cloned());
        for certificate in &self.extra {
            store.add(CertificateDer::from(certificate.der()))?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// The cryptography of all TLS here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates in a PEM text, in their order.
fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
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

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn mozilla() -> impl Iterator<Item = &'static CertificateDer<'static>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_good_certificate_is_refused() {
        let framed =
            |base64| format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        for pem in [String::new(), framed("!!!"), framed("aGVsbG8=")] {
            assert!(Roots::with_pem(pem.as_bytes()).is_err(), "{pem}");
        }
        assert!(Roots::with_file(Path::new("/nowhere/ca.pem")).is_err());
    }

    #[test]
    fn an_extra_certificate_comes_beside_those_of_mozilla() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key);
        let roots = Roots::with_pem(certificate.unwrap().pem().as_bytes()).unwrap();
        let RootCerts::Specific(all) = roots.for_ureq() else {
            panic!("the extra one is missing");
        };
        assert_eq!(all.len(), mozilla().count() + 1);
        assert!(roots.client_config().is_ok());
        assert!(matches!(Roots::default().for_ureq(), RootCerts::WebPki));
    }
}
