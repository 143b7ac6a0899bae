//! Certificates that change while clients are served, and files that are of no use.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use crate::identities::{Authority, Folder};
use crate::peer::{Secure, connect, next_seq, trust};

/// A server process, ended with the value.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
}

impl Process {
    fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &["--interval", "20ms"])
    }

    fn start_with(folder: &Folder, arguments: &[&str]) -> Self {
        let mut child = command(folder)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let line = line_with(&mut log, "listening on ");
        let address = line.rsplit(' ').next().unwrap().parse().unwrap();
        Self {
            child,
            log,
            address,
        }
    }

    fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The certificate that a new client is shown.
    fn certificate(&self, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
        let mut stream = connect(self.address, config);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream.conn.peer_certificates().unwrap()[0].clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0", "--tls-cert"]);
    command.arg(folder.path("cert.pem"));
    command.arg("--tls-key").arg(folder.path("key.pem"));
    command
}

fn line_with(log: &mut impl BufRead, words: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "no '{words}'");
        if line.contains(words) {
            return line.trim_end().to_owned();
        }
    }
}

#[test]
fn sighup_shows_new_clients_the_new_certificate_and_keeps_the_old_clients() {
    let authority = Authority::new();
    let folder = Folder::new(&authority);
    let mut server = Process::start(&folder);
    let config = Arc::new(trust(&authority, rustls::ALL_VERSIONS));
    let first = server.certificate(&config);
    let url = format!("wss://{}/", server.address);
    let stream = connect(server.address, &config);
    let (mut client, _) = tungstenite::client(&url, stream).unwrap();
    next_seq(&mut client);

    folder.renew(&authority);
    server.reload();
    line_with(&mut server.log, "new clients are shown");
    let second = server.certificate(&config);
    assert_ne!(first, second);

    fs::write(folder.path("key.pem"), "").unwrap();
    server.reload();
    let line = line_with(&mut server.log, "no private key in ");
    assert!(line.contains("key.pem"), "{line}");
    assert!(
        line.ends_with("new clients are shown the old certificate"),
        "{line}"
    );
    assert_eq!(server.certificate(&config), second);

    let seq = next_seq(&mut client);
    assert!((1..50).all(|later| next_seq(&mut client) == seq + later));
}

#[test]
fn the_log_claims_no_answer_to_who_has_no_keys() {
    let folder = Folder::new(&Authority::new());
    let mut server =
        Process::start_with(&folder, &["--log", "debug", "--handshake-timeout", "50ms"]);
    let silent = TcpStream::connect(server.address).unwrap();
    let line = line_with(&mut server.log, "no request within the handshake limit");
    assert!(!line.contains("answered"), "{line}");
    drop(silent);
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET").unwrap();
    let line = line_with(&mut server.log, "this port speaks TLS");
    assert!(line.contains("; answered with "), "{line}");
}

#[test]
fn keys_that_came_in_time_count_although_the_process_was_stopped() {
    let limit = Duration::from_secs(1);
    let authority = Authority::new();
    let folder = Folder::new(&authority);
    let server = Process::start_with(&folder, &["--handshake-timeout", "1s"]);
    let config = Arc::new(trust(&authority, &[&rustls::version::TLS13]));
    // More than get their turn at once. A busy machine may need several attempts.
    let clients = loop {
        let began = Instant::now();
        let mut clients: Vec<_> = (0..32).map(|_| connect(server.address, &config)).collect();
        clients.iter_mut().for_each(agree);
        server.signal(Signal::STOP);
        if began.elapsed() < limit / 2 {
            break clients;
        }
        server.signal(Signal::CONT);
    };
    // Their part of the keys, and the request, come while nobody looks.
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let ask = |mut client: Secure| {
        client.write_all(request).unwrap();
        client
    };
    let clients: Vec<_> = clients.into_iter().map(ask).collect();
    // The pause itself, not a wait for anything.
    thread::sleep(2 * limit);
    server.signal(Signal::CONT);
    for mut client in clients {
        let mut answer = [0; 15];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}

/// Has the keys on this side, and keeps for itself what the server needs to have them too.
fn agree(client: &mut Secure) {
    client.conn.write_tls(&mut client.sock).unwrap();
    while client.conn.is_handshaking() {
        assert!(client.conn.read_tls(&mut client.sock).unwrap() > 0);
        client.conn.process_new_packets().unwrap();
    }
}

#[test]
fn files_of_no_use_are_named_at_the_start() {
    let authority = Authority::new();
    let folder = Folder::new(&authority);
    let (other, _) = authority.issue();
    fs::write(folder.path("cert.pem"), other).unwrap();
    let output = command(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let last = told.lines().last().unwrap();
    let expected = format!(
        "error: the key in {} does not belong to the certificate in {}",
        folder.path("key.pem").display(),
        folder.path("cert.pem").display()
    );
    assert_eq!(last, expected);
}
