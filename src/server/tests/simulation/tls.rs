//! TLS in the simulation: a certificate, made once, and clients that speak real TLS over the
//! simulated network. The judge sees the plain text in both directions; this module only checks
//! that TLS delivers exactly that text.
//!
//! Keys and random numbers differ from run to run. But a certificate of Ed25519 has signatures of
//! one length, so the same lengths travel in every run, and a seed remains the same run.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use testkit::{NamedTempFile, temp_file};

use crate::server::TlsFiles;

/// A certificate in files, which exist as long as the value, and the configurations of clients that
/// trust it.
pub(super) struct Authority {
    files: [NamedTempFile; 2],
    clients: [Arc<ClientConfig>; 2],
}

/// A client's end of TLS.
pub(super) struct Peer {
    session: ClientConnection,
    /// Records on their way to the server.
    outgoing: VecDeque<u8>,
    /// The ends of records that have not arrived, and how much of the client's text they then
    /// contain.
    ends: VecDeque<(u64, u64)>,
    /// Bytes of records, and of the text in them: those made and those that have arrived.
    made: (u64, u64),
    arrived: (u64, u64),
    /// Plain text that the server has sealed and the client has not read.
    expected: VecDeque<u8>,
    /// The server has said that no bytes follow, or that it has no room.
    has_ended: bool,
}

impl Authority {
    pub(super) fn new() -> Self {
        let made = &*CERTIFICATE;
        Self {
            files: [&made.cert, &made.key].map(temp_file),
            // Each run has its own configurations, so that sessions are resumed only within a run.
            clients: [&TLS13, &TLS12].map(|version| Arc::new(made.client_config(version))),
        }
    }

    pub(super) fn files(&self) -> TlsFiles {
        let [cert, key] = self.files.each_ref().map(|file| file.path().to_owned());
        TlsFiles { cert, key }
    }

    /// A client that speaks one of the versions.
    pub(super) fn peer(&self, rng: &mut fastrand::Rng) -> Peer {
        let config = Arc::clone(&self.clients[usize::from(rng.u8(..4) == 0)]);
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).expect("a client");
        session.set_buffer_limit(None);
        Peer {
            session,
            outgoing: VecDeque::new(),
            ends: VecDeque::new(),
            made: (0, 0),
            arrived: (0, 0),
            expected: VecDeque::new(),
            has_ended: false,
        }
    }
}

impl Peer {
    /// Seals what there is to say once there are keys; agrees on keys before that. Returns how many
    /// bytes are on their way.
    pub(super) fn seal(&mut self, text: &mut VecDeque<u8>) -> usize {
        if !self.session.is_handshaking() && !text.is_empty() && !self.has_ended {
            let text: Vec<u8> = text.drain(..).collect();
            let sealed = self.session.writer().write_all(&text);
            sealed.expect("its memory is unlimited");
            self.made.1 += text.len() as u64;
        }
        let mut records = Vec::new();
        while self.session.wants_write() {
            let written = self.session.write_tls(&mut records);
            written.expect("a vector takes every write");
        }
        if !records.is_empty() {
            self.made.0 += records.len() as u64;
            self.outgoing.extend(records);
            self.ends.push_back(self.made);
        }
        self.outgoing.len()
    }

    /// Whether any bytes are on their way.
    pub(super) fn has_unsaid(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The next `length` bytes arrive. Returns them, and how much of the client's text has arrived
    /// in whole records so far.
    pub(super) fn arrive(&mut self, length: usize) -> (Vec<u8>, u64) {
        self.arrived.0 += length as u64;
        while let Some(&end) = self.ends.front().filter(|end| end.0 <= self.arrived.0) {
            self.arrived.1 = end.1;
            self.ends.pop_front();
        }
        (self.outgoing.drain(..length).collect(), self.arrived.1)
    }

    /// Expects text that the server has sealed.
    pub(super) fn expect(&mut self, text: &[u8]) {
        self.expected.extend(text);
    }

    /// Takes bytes of records. Returns how much plain text they contained.
    pub(super) fn receive(&mut self, mut records: &[u8]) -> usize {
        let mut received = 0;
        while !records.is_empty() && !self.has_ended {
            self.session.read_tls(&mut records).expect("it has room");
            let state = match self.session.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // A client that finds no room is told before there are keys.
                    assert!(self.session.is_handshaking(), "{error}");
                    self.has_ended = true;
                    return received;
                }
            };
            let mut text = vec![0; state.plaintext_bytes_to_read()];
            let read = self.session.reader().read_exact(&mut text);
            read.expect("it is there");
            let right: Vec<u8> = self.expected.drain(..text.len()).collect();
            assert!(text == right, "TLS delivers different text");
            received += text.len();
            self.has_ended = state.peer_has_closed();
        }
        assert!(
            records.is_empty() || self.session.is_handshaking(),
            "after the end"
        );
        received
    }

    /// Whether it has had everything that was sealed for it.
    pub(super) fn has_all(&self) -> bool {
        self.expected.is_empty()
    }

    /// Whether it was told that no bytes follow.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }
}

struct Certificate {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn client_config(&self, version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("it is well formed");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("the provider has suites for it")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]);
    let mut params = params.expect("a name");
    params.serial_number = Some(SerialNumber::from(7));
    let cert = params.self_signed(&key).expect("a certificate");
    Certificate {
        cert: cert.pem(),
        key: key.serialize_pem(),
        der: cert.der().clone(),
    }
});
