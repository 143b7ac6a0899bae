//! A certificate authority for servers on loopback.

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A certificate authority, and a server with a certificate from it.
pub struct Authority {
    /// The authority's own certificate, for `--ca`.
    pub pem: String,
    key_der: Vec<u8>,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    config: Arc<ServerConfig>,
}

/// The validity of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Valid for longer than any test runs.
    Always,
    /// Expired years ago.
    Expired,
}

impl Authority {
    /// Makes an authority, and a certificate from it for `names`.
    pub fn new(names: &[&str]) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // With rcgen's default name, OpenSSL would take every certificate for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the fake exchanges");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        let key_der = key.serialize_der();
        let issuer = Issuer::new(params, key);
        Self {
            config: issue(&issuer, &params_of(names, Validity::Always)),
            pem,
            key_der,
            der,
            issuer,
        }
    }

    /// The configuration of a server with another certificate from this authority. Sessions are not
    /// resumed across servers, so that each certificate is checked.
    pub fn issue(&self, names: &[&str], validity: Validity) -> Arc<ServerConfig> {
        issue(&self.issuer, &params_of(names, validity))
    }

    /// A certificate from this authority and its key, both in PEM format, for servers that read
    /// them from files.
    pub fn pem_for(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("randomness");
        let params = params_of(names, Validity::Always);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// The configuration of a server whose certificate is only valid for clients.
    pub fn for_clients(&self, names: &[&str]) -> Arc<ServerConfig> {
        let mut params = params_of(names, Validity::Always);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(&self.issuer, &params)
    }

    /// The configuration of a server that uses the authority's own certificate.
    pub fn itself(&self) -> Arc<ServerConfig> {
        config(self.der.clone(), self.key_der.clone())
    }

    /// The configuration of the authority's first server.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The server's end of a TLS connection over `stream`.
    pub fn accept(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        let connection = ServerConnection::new(self.config()).expect("a good config");
        StreamOwned::new(connection, stream)
    }
}

fn params_of(names: &[&str], validity: Validity) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    if validity == Validity::Expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    params
}

fn issue(issuer: &Issuer<'static, KeyPair>, params: &CertificateParams) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("randomness");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    config(certificate.der().clone(), key.serialize_der())
}

fn config(certificate: CertificateDer<'static>, key_der: Vec<u8>) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(key_der.into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key fits");
    Arc::new(config)
}
