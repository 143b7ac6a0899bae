//! A certificate authority of our own, for servers on loopback.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tickertape::tls::Roots;

/// A certificate authority, and a server of it.
pub(crate) struct Authority {
    pub(crate) roots: Roots,
    /// Its own certificate, for `--ca`.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
    config: Arc<ServerConfig>,
}

/// Until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Always,
    Expired,
}

impl Authority {
    /// Makes an authority, and a certificate of it for `names`.
    pub(crate) fn new(names: &[&str]) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // By rcgen's own name for all, OpenSSL would take each certificate for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the stand-ins");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self {
            roots: Roots::with_pem(pem.as_bytes()).expect("our own text"),
            config: issue(&issuer, names, Validity::Always),
            pem,
            issuer,
        }
    }

    /// What a server with another certificate of this authority needs. Sessions are not resumed
    /// from one server to another, so that each certificate is looked at.
    pub(crate) fn issue(&self, names: &[&str], validity: Validity) -> Arc<ServerConfig> {
        issue(&self.issuer, names, validity)
    }

    /// What the authority's first server needs.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The first server's end of TLS over `stream`.
    pub(crate) fn accept(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        let connection = ServerConnection::new(self.config()).expect("a good config");
        StreamOwned::new(connection, stream)
    }
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    names: &[&str],
    validity: Validity,
) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("randomness");
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    if validity == Validity::Expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let certificate = params.signed_by(&key, issuer).expect("a certificate");

    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key fits");
    Arc::new(config)
}
