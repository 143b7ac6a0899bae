//! Stand-ins for what is upstream of a fiber: servers in threads, on loopback, and a loop to run
//! the fiber on. Nothing here sleeps to wait for readiness: listeners are bound before they are
//! known to anybody.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use simple_dns::{Packet, TYPE};
use tickertape::dns::{Hosts, ResolvConf, Resolver};
use tickertape::fiber::STACK_SIZE;
use tickertape::http::{self, Settings};
use tickertape::io_loop::{IoLoop, Registrar};
use tickertape::tls::Roots;

/// Runs `body` as a fiber on a loop of its own and returns what it returns.
pub(crate) fn in_fiber<T: 'static>(body: impl FnOnce(&Registrar) -> T + 'static) -> T {
    let mut io_loop = IoLoop::<Option<T>>::new().expect("a poll descriptor");
    io_loop.call_later(Duration::from_secs(8), |_, _| panic!("the loop hangs"));
    let registrar = io_loop.registrar().clone();
    io_loop
        .spawn(
            STACK_SIZE,
            move |emitter| Ok(emitter.emit(body(&registrar))?),
            |state, io_loop: &mut IoLoop<Option<T>>, value| {
                *state = Some(value);
                io_loop.stop();
            },
            |_, io_loop, _| io_loop.stop(),
        )
        .expect("memory for a stack");
    let mut state = None;
    io_loop.start(&mut state).expect("polling works");
    state.expect("the fiber did not panic")
}

/// A resolver that knows `hosts` and asks `servers`, each once and not for long.
pub(crate) fn resolver(registrar: &Registrar, hosts: &str, servers: &[SocketAddr]) -> Resolver {
    let mut conf = ResolvConf::parse("");
    conf.servers = servers.to_vec();
    conf.timeout = Duration::from_millis(300);
    conf.attempts = 1;
    Resolver::new(registrar, conf, Hosts::parse(hosts))
}

/// Settings that do not depend on the environment.
pub(crate) fn settings() -> Settings {
    Settings {
        timeout: Duration::from_secs(5),
        proxy: None,
        roots: Roots::default(),
    }
}

/// An agent that resolves literals and `hosts` only.
pub(crate) fn agent(registrar: &Registrar, hosts: &str, settings: &Settings) -> ureq::Agent {
    http::agent(registrar, &resolver(registrar, hosts, &[]), settings)
}

/// What a GET of `url` brings: the status and the body.
pub(crate) fn get(agent: &ureq::Agent, url: &str) -> Result<(u16, String), ureq::Error> {
    let mut response = agent.get(url).call()?;
    let body = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), body))
}

/// One GET in a fiber, of the root of `server`.
pub(crate) fn fetch(server: SocketAddr, settings: Settings) -> Result<(u16, String), ureq::Error> {
    fetch_url(format!("http://{server}/"), settings)
}

/// One GET in a fiber, of any URL.
pub(crate) fn fetch_url(url: String, settings: Settings) -> Result<(u16, String), ureq::Error> {
    in_fiber(move |registrar| get(&agent(registrar, HOSTS, &settings), &url))
}

/// What [`get`] returns when all is well.
pub(crate) fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

/// Settings for upstreams that will not answer.
pub(crate) fn impatient() -> Settings {
    Settings {
        timeout: Duration::from_millis(150),
        ..settings()
    }
}

/// Settings with an authority of one's own.
pub(crate) fn trusting(roots: &Roots) -> Settings {
    Settings {
        roots: roots.clone(),
        ..settings()
    }
}

/// Serves each connection with `handler` in a thread of its own.
pub(crate) fn serve(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handler(stream));
        }
    });
    address
}

/// Reads up to the empty line that ends the head of a request.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Answers one request with `body`.
pub(crate) fn answer(stream: &mut (impl Read + Write), body: &str) -> io::Result<()> {
    read_head(stream)?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    stream.flush()
}

/// Says nothing until the peer has gone.
pub(crate) fn hang(mut stream: impl Read) {
    while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
}

/// A certificate authority with one server.
pub(crate) struct Authority {
    pub(crate) roots: Roots,
    config: Arc<ServerConfig>,
}

impl Authority {
    /// Makes an authority, and a certificate of it for `names`.
    pub(crate) fn new(names: &[&str]) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

        let authority_key = KeyPair::generate().expect("randomness");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("randomness");
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let server = CertificateParams::new(names).expect("good names");
        let certificate = server.signed_by(&key, &issuer).expect("a certificate");

        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key fits");
        Self {
            roots: Roots::with_pem(root.pem().as_bytes()).expect("our own text"),
            config: Arc::new(config),
        }
    }

    /// The server's end of TLS over `stream`.
    pub(crate) fn accept(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).expect("a good config");
        StreamOwned::new(connection, stream)
    }
}

/// A name server that keeps a list of what it was asked.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A name, the type asked for and whether it was by TCP.
pub(crate) type Asked = (String, TYPE, bool);

impl NameServer {
    /// `answer` is given the query, and whether it came by TCP, and returns the messages to send.
    pub(crate) fn start(answer: fn(&Packet<'_>, bool) -> Vec<Vec<u8>>) -> Self {
        let (udp, tcp) = ports();
        let address = udp.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                let query = Packet::parse(&buffer[..length]).expect("a good query");
                note(&noted, &query, false);
                for message in answer(&query, false) {
                    // The peer may have enough by now.
                    let _ = udp.send_to(&message, peer);
                }
            }
        });
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("a length");
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut query).expect("a message");
                let query = Packet::parse(&query).expect("a good query");
                note(&noted, &query, true);
                for message in answer(&query, true) {
                    let length = u16::try_from(message.len()).expect("a short message");
                    let _ = stream.write_all(&length.to_be_bytes());
                    let _ = stream.write_all(&message);
                }
            }
        });
        Self { address, asked }
    }

    /// What it was asked since the last time, in order of name and type.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked.sort_by_key(|(name, kind, by_tcp)| (name.clone(), u16::from(*kind), *by_tcp));
        asked
    }
}

fn note(asked: &Mutex<Vec<Asked>>, query: &Packet<'_>, by_tcp: bool) {
    let question = &query.questions[0];
    let simple_dns::QTYPE::TYPE(kind) = question.qtype else {
        panic!("an odd question");
    };
    let asked_now = (question.qname.to_string(), kind, by_tcp);
    asked.lock().expect("no panic").push(asked_now);
}

/// The same port for UDP and TCP.
fn ports() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = udp.local_addr().expect("it is bound");
        // Some other test may have the port for TCP.
        if let Ok(tcp) = TcpListener::bind(address) {
            return (udp, tcp);
        }
    }
}

/// Names of the tests. Nobody listens at the first address of `two.test`.
const HOSTS: &str = "127.0.0.1 api.test\n127.0.0.2 two.test\n127.0.0.1 two.test\n";
