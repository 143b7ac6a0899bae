//! Clients that speak TLS, and a server that does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use serde_json::Value;
use tickertape::server::Config;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::common::{PATIENCE, TestServer, upgraded};
use crate::identities::{Authority, Folder};

/// A stream of TLS.
pub type Secure<S = TcpStream> = StreamOwned<ClientConnection, S>;

/// A server with TLS, and what its clients need to believe it.
pub struct SecureServer {
    pub inner: TestServer,
    pub folder: Folder,
    pub authority: Authority,
    pub trust: Arc<ClientConfig>,
}

impl SecureServer {
    pub fn start(config: Config) -> Self {
        let authority = Authority::new();
        let folder = Folder::new(&authority);
        let inner = TestServer::start(Config {
            tls: Some(folder.files()),
            ..config
        });
        Self {
            trust: Arc::new(trust(&authority, rustls::ALL_VERSIONS)),
            inner,
            folder,
            authority,
        }
    }

    /// TLS that is begun by whatever is said first.
    pub fn connect(&self) -> Secure {
        secure(self.inner.connect(), Arc::clone(&self.trust))
    }

    /// Opens a WebSocket.
    pub fn open(&self) -> WebSocket<Secure> {
        let url = format!("wss://{}/", self.inner.address);
        tungstenite::client(url, self.connect()).unwrap().0
    }

    /// Opens a WebSocket and hands out its stream.
    pub fn open_raw(&self) -> Secure {
        upgraded(self.connect())
    }

    pub fn get(&self, path: &str) -> String {
        get(self.connect(), path)
    }

    /// Waits until a metric has a value.
    pub fn wait_for_metric(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let name = format!("tickertape_{name} ");
        loop {
            let page = self.get("/metrics");
            let line = page.lines().find_map(|line| line.strip_prefix(&name));
            let value = line.unwrap_or_else(|| panic!("no {name} in {page}"));
            if wanted(value.parse::<f64>().unwrap() as u64) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {value}");
        }
    }
}

/// A client configuration that trusts an authority.
pub fn trust(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    trust_with(
        rustls::crypto::ring::default_provider(),
        authority,
        versions,
    )
}

pub fn trust_with(
    provider: CryptoProvider,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes());
    roots.add(root.unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub fn secure<S: Read + Write>(stream: S, config: Arc<ClientConfig>) -> Secure<S> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Secure {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    secure(stream, Arc::clone(config))
}

/// Asks for a page and reads to the end, which TLS must announce.
pub fn get<S: Read + Write>(mut stream: Secure<S>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The `seq` of the next tick.
pub fn next_seq<S: Read + Write>(client: &mut WebSocket<S>) -> u64 {
    loop {
        match client.read().unwrap() {
            Message::Text(text) => {
                let tick: Value = serde_json::from_str(&text).unwrap();
                return tick["seq"].as_u64().unwrap();
            }
            Message::Ping(_) => client.flush().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// The code that a client sees, by reading on; then the connection must end, as TLS announces it.
pub fn closed_with<S: Read + Write>(client: &mut WebSocket<S>) -> CloseCode {
    let code = loop {
        if let Message::Close(Some(frame)) = client.read().unwrap() {
            break frame.code;
        }
    };
    match client.read() {
        Err(tungstenite::Error::ConnectionClosed) => code,
        other => panic!("{other:?}"),
    }
}

/// Writes a byte at a time.
pub struct Dribble(pub TcpStream);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
