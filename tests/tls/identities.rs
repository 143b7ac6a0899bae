//! An authority of our own, and the files of servers that it signed for.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use testkit::TempDir;
use tickertape::server::TlsFiles;

pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Files in a folder that goes with the value.
pub struct Folder(TempDir);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "ours");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A certificate for 127.0.0.1 and its key.
    pub fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

impl Folder {
    /// With `ca.pem`, `cert.pem` and `key.pem`.
    pub fn new(authority: &Authority) -> Self {
        let folder = Self(TempDir::new().unwrap());
        fs::write(folder.path("ca.pem"), &authority.pem).unwrap();
        folder.renew(authority);
        folder
    }

    /// Another certificate in place of the one there was.
    pub fn renew(&self, authority: &Authority) {
        let (cert, key) = authority.issue();
        fs::write(self.path("cert.pem"), cert).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn files(&self) -> TlsFiles {
        TlsFiles {
            cert: self.path("cert.pem"),
            key: self.path("key.pem"),
        }
    }
}
