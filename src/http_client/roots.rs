//! Trusted root certificates: Mozilla's, and the ones in `--ca FILE`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, RootCerts};

use crate::tls::{certificates, invalid, provider};

/// The root certificates that servers are checked against.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Certificates in addition to Mozilla's.
    extra: Vec<Certificate<'static>>,
}

impl Roots {
    /// Mozilla's certificates, and those in the PEM file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is broken or has no certificate.
    pub fn with_file(path: &Path) -> io::Result<Self> {
        Self::with_pem(&std::fs::read(path)?)
    }

    /// Mozilla's certificates, and those in a PEM text.
    ///
    /// # Errors
    /// When the text is broken or has no certificate.
    pub fn with_pem(pem: &[u8]) -> io::Result<Self> {
        let extra = certificates(pem)?;
        if extra.is_empty() {
            return Err(invalid("no certificate in PEM format"));
        }
        for der in &extra {
            // `ureq` would skip a bad certificate silently, and then reject all that it has signed.
            RootCertStore::empty().add(der.clone()).map_err(invalid)?;
        }
        let extra = extra
            .iter()
            .map(|der| Certificate::from_der(der).to_owned());
        Ok(Self {
            extra: extra.collect(),
        })
    }

    /// The certificates in the form that `ureq` takes.
    pub fn for_ureq(&self) -> RootCerts {
        if self.extra.is_empty() {
            return RootCerts::WebPki;
        }
        mozilla()
            .map(|certificate| Certificate::from_der(certificate))
            .chain(self.extra.iter().cloned())
            .into()
    }

    /// The configuration of a [`rustls::ClientConnection`], for streams other than HTTP.
    ///
    /// # Errors
    /// When `rustls` refuses the configuration.
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
    fn an_extra_certificate_is_added_to_those_of_mozilla() {
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
