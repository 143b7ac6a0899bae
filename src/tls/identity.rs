//! The identity of a server: its certificate, the certificates that it is signed by, and its key.
//!
//! What can be wrong with such files is found when they are read and not when the first client comes:
//! each error names the file and what to do about it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{CertificateError, CipherSuite, RootCertStore, ServerConfig};

use crate::error_text::plain;
use crate::tls::pki::{certificates, fault, invalid, provider};

/// A server's certificate and its key.
#[derive(Debug)]
pub struct Identity {
    provider: Arc<CryptoProvider>,
    certified: CertifiedKey,
    /// What clients will not like about it, in a line each.
    pub warnings: Vec<String>,
}

impl Identity {
    /// Reads the certificate and those that it is signed by from `cert`, and its key from `key`, both
    /// in PEM format.
    ///
    /// # Errors
    /// When a file cannot be read, has nothing of the kind, or the two do not belong together.
    pub fn read(cert: &Path, key: &Path) -> io::Result<Self> {
        let provider = provider();
        let chain = read_chain(cert)?;
        let key_file = key.display();
        let signing = provider
            .key_provider
            .load_private_key(read_key(key)?)
            .map_err(|error| {
                invalid(format!(
                    "the key in {key_file} cannot be used: {error}; RSA from 2048 bits, ECDSA \
                     P-256 and P-384 and Ed25519 can"
                ))
            })?;
        match owner(&chain, signing.as_ref())? {
            Some(0) => {}
            Some(_) => {
                return Err(invalid(format!(
                    "the certificates in {} are in the wrong order: the server's own comes first",
                    cert.display()
                )));
            }
            None => {
                return Err(invalid(format!(
                    "the key in {key_file} does not belong to the certificate in {}",
                    cert.display()
                )));
            }
        }
        Ok(Self {
            warnings: warnings(cert, &chain, &provider),
            certified: CertifiedKey::new(chain, signing),
            provider,
        })
    }

    /// The configuration of servers that show this certificate and speak `protocol` within TLS 1.2
    /// or 1.3. Sessions are resumed from tickets, which clients keep: the server remembers nothing.
    /// Of the ciphers that a client offers it takes the one that is agreed on with the least work.
    ///
    /// # Errors
    /// What `rustls` finds wrong with the whole.
    pub fn server_config(self, protocol: &str) -> Result<ServerConfig, rustls::Error> {
        let provider = quickest_first(&self.provider);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.certified)));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![protocol.into()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Its own for each certificate: a client that resumes a session is not shown the new one.
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(config)
    }
}

/// Puts AES-128 before the other ciphers. It is as good as they are for prices, and goes with SHA-256:
/// a handshake takes dozens of hashes, and processors have instructions for that one, but mostly
/// none for the SHA-384 of AES-256.
fn quickest_first(provider: &CryptoProvider) -> CryptoProvider {
    let mut provider = provider.clone();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

fn read_chain(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let file = path.display();
    let chain = certificates(&text)
        .map_err(|error| invalid(format!("cannot read the certificates in {file}: {error}")))?;
    if chain.is_empty() && text.starts_with(DER) {
        return Err(invalid(format!(
            "{file} is not in PEM format, convert it: openssl x509 -inform der -in {file} -out cert.pem"
        )));
    }
    if chain.is_empty() {
        return Err(invalid(format!(
            "no certificate in {file}: the server's own in PEM format, then those it is signed by"
        )));
    }
    for (place, der) in chain.iter().enumerate() {
        ParsedCertificate::try_from(der).map_err(|error| {
            let number = place + 1;
            invalid(format!(
                "cannot read certificate {number} in {file}: {error}"
            ))
        })?;
    }
    Ok(chain)
}

fn read_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let text = read(path)?;
    let file = path.display();
    let has = |words: &str| {
        text.windows(words.len())
            .any(|part| part == words.as_bytes())
    };
    if ENCRYPTED.iter().any(|words| has(words)) {
        return Err(invalid(format!(
            "the key in {file} is encrypted, take off its password: openssl pkey -in {file} -out key.pem"
        )));
    }
    match PrivateKeyDer::pem_slice_iter(&text).next() {
        Some(Ok(key)) => Ok(key),
        Some(Err(error)) => Err(invalid(format!("cannot read the key in {file}: {error}"))),
        None if text.starts_with(DER) => Err(invalid(format!(
            "{file} is not in PEM format, convert it: openssl pkey -inform der -in {file} -out key.pem"
        ))),
        None => Err(invalid(format!(
            "no private key in {file}: it takes one in PEM format, without a password"
        ))),
    }
}

/// Reads a file that may be read again while clients are served: nothing that could keep us waiting.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = path.display();
    let failed = |error: io::Error| {
        let words = format!("cannot read {file}: {}", plain(&error));
        io::Error::new(error.kind(), words)
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(invalid(format!("cannot read {file}: not a regular file")));
    }
    let mut text = Vec::new();
    let opened = File::open(path).map_err(failed)?;
    opened
        .take(FILE_LENGTH_MAX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > FILE_LENGTH_MAX {
        return Err(invalid(format!(
            "{file} is over {FILE_LENGTH_MAX} bytes long"
        )));
    }
    Ok(text)
}

/// Which of the certificates the key belongs to. A key that does not tell is taken to be the
/// key of the first.
fn owner(chain: &[CertificateDer<'_>], key: &dyn SigningKey) -> io::Result<Option<usize>> {
    let Some(public) = key.public_key() else {
        return Ok(Some(0));
    };
    for (place, der) in chain.iter().enumerate() {
        let certificate = ParsedCertificate::try_from(der).map_err(invalid)?;
        if certificate.subject_public_key_info() == public {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn warnings(
    path: &Path,
    chain: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Vec<String> {
    let file = path.display();
    let mut warnings = Vec::new();
    for (place, der) in chain.iter().enumerate() {
        if let Some(error) = untimely(der, provider) {
            let (number, fault) = (place + 1, fault(&error));
            warnings.push(format!(
                "certificate {number} in {file} {fault}, clients will refuse it"
            ));
        }
    }
    for (place, pair) in chain.windows(2).enumerate() {
        if !is_issuer(&pair[1], &pair[0]) {
            let (number, next) = (place + 1, place + 2);
            warnings.push(format!(
                "certificate {next} in {file} is not the one that number {number} is signed by, \
                 some clients will refuse it: put them in order"
            ));
        }
    }
    warnings
}

/// Whether this is not the time of a certificate. That is looked at before anything else about it,
/// and nothing else about it is of interest here.
fn untimely(
    der: &CertificateDer<'static>,
    provider: &Arc<CryptoProvider>,
) -> Option<CertificateError> {
    use CertificateError as E;
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    let name = ServerName::try_from("localhost").ok()?;
    let verified = verifier
        .build()
        .ok()?
        .verify_server_cert(der, &[], &name, &[], UnixTime::now());
    match verified {
        Err(rustls::Error::InvalidCertificate(
            error @ (E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. }),
        )) => Some(error),
        _ => None,
    }
}

fn is_issuer(issuer: &CertificateDer<'_>, of: &CertificateDer<'_>) -> bool {
    let (issuer, of) = (
        webpki::EndEntityCert::try_from(issuer),
        webpki::EndEntityCert::try_from(of),
    );
    matches!((issuer, of), (Ok(issuer), Ok(of)) if issuer.subject() == of.issuer())
}

/// How a certificate or key begins that was not put into PEM format.
const DER: &[u8] = &[0x30, 0x82];

/// What encrypted keys say of themselves: PKCS #8 (RFC 7468) and what came before it (RFC 1421).
const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "Proc-Type: 4,ENCRYPTED",
];

/// Longer than any chain.
const FILE_LENGTH_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests;
