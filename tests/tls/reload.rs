//! Certificates that change while clients are served, and files that are of no use.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use testkit::ServerProcess;

use crate::identities::{Authority, Folder};
use crate::peer::{Secure, next_seq, secure, trust};

fn start(folder: &Folder, arguments: &[&str]) -> ServerProcess {
    ServerProcess::spawn(command(folder).args(arguments))
}

/// The certificate that a new client is shown.
fn certificate(server: &ServerProcess, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let mut stream = secure(server.connect(), Arc::clone(config));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream.conn.peer_certificates().unwrap()[0].clone()
}

fn command(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0", "--tls-cert"]);
    command.arg(folder.path("cert.pem"));
    command.arg("--tls-key").arg(folder.path("key.pem"));
    command
}

#[test]
fn sighup_shows_new_clients_the_new_certificate_and_keeps_the_old_clients() {
    let authority = Authority::new();
    let folder = Folder::new(&authority);
    let mut server = start(&folder, &["--interval", "20ms"]);
    let config = Arc::new(trust(&authority, rustls::ALL_VERSIONS));
    let first = certificate(&server, &config);
    let url = format!("wss://{}/", server.address);
    let stream = secure(server.connect(), Arc::clone(&config));
    let (mut client, _) = tungstenite::client(&url, stream).unwrap();
    next_seq(&mut client);

    folder.renew(&authority);
    server.signal(Signal::HUP);
    server.wait_for("reloaded the certificate from");
    let second = certificate(&server, &config);
    assert_ne!(first, second);

    fs::write(folder.path("key.pem"), "").unwrap();
    server.signal(Signal::HUP);
    let line = server.wait_for("no private key in ");
    assert!(line.contains("key.pem"), "{line}");
    assert!(line.ends_with("keeping the previous certificate"), "{line}");
    assert_eq!(certificate(&server, &config), second);

    let seq = next_seq(&mut client);
    assert!((1..50).all(|later| next_seq(&mut client) == seq + later));
}

#[test]
fn the_log_claims_no_answer_to_a_client_without_keys() {
    let folder = Folder::new(&Authority::new());
    let mut server = start(&folder, &["--log", "debug", "--handshake-timeout", "50ms"]);
    let silent = server.connect();
    let line = server.wait_for("no request within --handshake-timeout");
    assert!(!line.contains("answered"), "{line}");
    drop(silent);
    let mut plain = server.connect();
    plain.write_all(b"GET").unwrap();
    let line = server.wait_for("this port speaks TLS");
    assert!(line.contains("; answered with "), "{line}");
}

#[test]
fn a_handshake_that_arrived_in_time_counts_although_the_process_was_stopped() {
    let limit = Duration::from_secs(1);
    let authority = Authority::new();
    let folder = Folder::new(&authority);
    let server = start(&folder, &["--handshake-timeout", "1s"]);
    let config = Arc::new(trust(&authority, &[&rustls::version::TLS13]));
    // More than get their turn at once. A busy machine may need several attempts.
    let clients = loop {
        let began = Instant::now();
        let mut clients: Vec<_> = (0..32)
            .map(|_| secure(server.connect(), Arc::clone(&config)))
            .collect();
        clients.iter_mut().for_each(agree);
        server.signal(Signal::STOP);
        if began.elapsed() < limit / 2 {
            break clients;
        }
        server.signal(Signal::CONT);
    };
    // Their part of the keys, and the request, arrive while the server is stopped.
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
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
fn useless_files_are_named_at_the_start() {
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
