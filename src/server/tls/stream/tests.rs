use super::*;

use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::SockRef;

use crate::server::outbox::Outbox;

type Peer = StreamOwned<ClientConnection, std::net::TcpStream>;

/// A socket and its client, which blocks.
fn pair() -> (TlsSocket<TcpStream>, Peer) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let limit = Some(Duration::from_secs(10));
    stream.set_read_timeout(limit).unwrap();
    stream.set_write_timeout(limit).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    SockRef::from(&accepted).set_send_buffer_size(8192).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(client), name).unwrap();
    session.set_buffer_limit(None);
    (
        TlsSocket::new(TcpStream::from_std(accepted), Arc::new(server)),
        StreamOwned::new(session, stream),
    )
}

/// A pair that has completed its handshake.
fn secured() -> (TlsSocket<TcpStream>, Peer) {
    let (mut socket, mut peer) = pair();
    assert!(socket.is_securing());
    let peer = std::thread::spawn(move || {
        while peer.conn.is_handshaking() {
            peer.conn.complete_io(&mut peer.sock).unwrap();
        }
        peer
    });
    let began = Instant::now();
    while socket.is_securing() {
        assert!(began.elapsed() < Duration::from_secs(10));
        let nothing = socket.read(&mut [0; 64]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    }
    (socket, peer.join().unwrap())
}

/// Waits until records with `length` bytes of plain text can be read.
fn wait_for(socket: &TlsSocket<TcpStream>, length: usize) {
    let mut buffer = vec![0; 2 * length];
    let began = Instant::now();
    while socket.socket.peek(&mut buffer).unwrap_or(0) < length {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn one_event_is_read_completely_while_has_unread_says_so() {
    let (mut socket, mut peer) = secured();
    let text: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
    peer.write_all(&text).unwrap();
    wait_for(&socket, text.len());
    let mut buffer = [0; 1_000];
    let mut seen = 0;
    assert!(
        socket.read(&mut buffer).is_err() && socket.has_unread(),
        "no whole record"
    );
    while socket.has_unread() {
        // A read may end with the last record, so that the next one finds none.
        let length = socket.read(&mut buffer).unwrap_or(0);
        assert_eq!(buffer[..length], text[seen..seen + length]);
        seen += length;
    }
    assert_eq!(seen, text.len());
}

#[test]
fn an_end_right_behind_the_last_bytes_needs_no_event_of_its_own() {
    let (mut socket, mut peer) = secured();
    peer.conn.writer().write_all(b"last").unwrap();
    peer.conn.send_close_notify();
    peer.flush().unwrap();
    wait_for(&socket, 4);
    let mut buffer = [0; 64];
    // The two records may arrive together or apart.
    while socket.read(&mut buffer).is_err() {}
    assert_eq!(&buffer[..4], b"last");
    while !socket.has_unread() {
        let nothing = socket.read(&mut buffer);
        if matches!(nothing, Ok(0)) {
            return;
        }
    }
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);
}

#[test]
fn a_ticket_goes_out_with_the_first_answer() {
    let (mut socket, mut peer) = secured();
    assert!(!socket.has_unsent());
    let nothing_comes = |peer: &Peer| {
        peer.sock.set_nonblocking(true).unwrap();
        let nothing = peer.sock.peek(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        peer.sock.set_nonblocking(false).unwrap();
    };
    nothing_comes(&peer);
    assert_eq!(socket.write(b"answer").unwrap(), 6);
    let mut answer = [0; 6];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
    assert_eq!(peer.conn.tls13_tickets_received(), 2);
    nothing_comes(&peer);
}

#[test]
fn a_ticket_goes_out_before_an_end_without_an_answer() {
    let (mut socket, mut peer) = secured();
    socket.finish();
    assert_eq!(peer.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(peer.conn.tls13_tickets_received(), 2);
}

#[test]
fn a_finished_socket_reads_only_the_end() {
    let (mut socket, mut peer) = secured();
    socket.finish();
    peer.conn.writer().write_all(&[b'x'; 300]).unwrap();
    peer.flush().unwrap();
    wait_for(&socket, 300);
    let mut buffer = [0; 64];
    let began = Instant::now();
    let nothing = socket.read(&mut buffer).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    assert!(socket.has_unread(), "more than a turn's share");
    peer.sock.shutdown(Shutdown::Write).unwrap();
    while socket.read(&mut buffer).is_err() {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);
}

#[test]
fn at_most_one_record_is_kept_that_the_system_has_not_taken() {
    let (mut socket, mut peer) = secured();
    let text: Vec<u8> = (0..4_000_000_u32).map(|number| number as u8).collect();
    let mut taken = 0;
    loop {
        match socket.write(&text[taken..]) {
            Ok(more) => taken += more,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(taken < text.len());
    assert!(socket.has_unsent());
    assert!(
        socket.outgoing.capacity() < 2 * RECORD,
        "more than a record"
    );
    let began = Instant::now();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while seen.len() < taken {
        assert!(began.elapsed() < Duration::from_secs(10));
        let length = peer.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..length]);
        let _ = socket.flush();
    }
    assert!(seen == text[..taken], "torn or repeated");
    assert!(!socket.has_unsent());
    assert_eq!(socket.outgoing.capacity(), 0);
}

#[test]
fn an_outbox_counts_the_records_that_its_socket_holds_as_unsent() {
    let (socket, mut peer) = secured();
    let mut outbox = Outbox::new(socket);
    let mut now = 0;
    while !outbox.socket().has_unsent() {
        now += 1;
        outbox.send(&[7; 100], now).unwrap();
    }
    assert_eq!(outbox.stuck_since(), Some(now));
    assert!(outbox.has_pending() && !outbox.is_clear());
    outbox.finish();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        peer.read_to_end(&mut seen).unwrap();
        seen.len()
    });
    let began = Instant::now();
    while outbox.has_pending() {
        assert!(began.elapsed() < Duration::from_secs(10));
        outbox.on_writable(now).unwrap();
    }
    assert_eq!(outbox.stuck_since(), None);
    // After all that comes the end: of TLS, and of the stream.
    assert_eq!(reader.join().unwrap(), 100 * now as usize);
}
