//! Servers of a few lines, each in a thread. After its part, a server waits for the client's close
//! frame; none outlives its test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tickertape::client::config::Config;
use tickertape::client::error_kind::ErrorKind;
use tickertape::client::report::Report;
use tickertape::client::{self, config::url::Url};
use tickertape::tick::unix_us;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

pub(crate) type Peer = WebSocket<TcpStream>;

/// Long enough for a busy machine, short enough for a suite.
pub(crate) const WINDOW: Duration = Duration::from_millis(200);

/// For runs that must not end by the clock.
pub(crate) const ENDLESS: Duration = Duration::from_secs(60);

/// How soon such a run must end.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn config(address: SocketAddr, duration: Duration) -> Config {
    let url = Url::parse(&format!("ws://{address}/")).unwrap();
    Config {
        duration,
        ..Config::new(url)
    }
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    // A test must not hang because its client has failed, or never connects.
    let mut poll = [PollFd::new(listener, PollFlags::IN)];
    let limit = Timespec::try_from(3 * SOON).unwrap();
    assert_eq!(
        rustix::event::poll(&mut poll, Some(&limit)),
        Ok(1),
        "a client comes"
    );
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The report of one client on a server that handles one bare connection.
pub(crate) fn run_bare(
    config: impl FnOnce(SocketAddr) -> Config,
    serve: impl FnOnce(TcpStream) + Send,
) -> Report {
    let (listener, address) = bind();
    let began = Instant::now();
    let report = thread::scope(|scope| {
        scope.spawn(|| serve(accept(&listener)));
        client::run(config(address), None).unwrap()
    });
    assert!(began.elapsed() < SOON, "it ends in time");
    report
}

/// The report of one client on a server whose connection has been upgraded.
pub(crate) fn run(duration: Duration, serve: impl FnOnce(&mut Peer) + Send) -> Report {
    run_bare(
        |address| config(address, duration),
        |stream| serve(&mut tungstenite::accept(stream).unwrap()),
    )
}

pub(crate) fn tick(seq: u64, age_us: u64) -> String {
    let sent = unix_us() - age_us;
    format!(r#"{{"symbol":"A/B","price":1.50,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
}

pub(crate) fn send<S: Read + Write>(peer: &mut WebSocket<S>, text: impl Into<String>) {
    peer.send(Message::text(text.into())).unwrap();
}

/// Sends a ping. Once it is answered, the client measures: it answers in the turn in which it
/// joins, the next turn begins the window, and later events come after that.
pub(crate) fn join<S: Read + Write>(peer: &mut WebSocket<S>) {
    peer.send(Message::Ping("joined?".into())).unwrap();
    let answer = peer.read().unwrap();
    assert_eq!(answer, Message::Pong("joined?".into()));
}

/// Waits until the client measures, then sends the first tick, which counts as a message but not as
/// a delivery.
pub(crate) fn begin<S: Read + Write>(peer: &mut WebSocket<S>) {
    join(peer);
    send(peer, tick(1, 0));
}

/// Waits for the client's close frame and answers it. Returns its code.
pub(crate) fn finish<S: Read + Write>(peer: &mut WebSocket<S>) -> CloseCode {
    let mut code = CloseCode::Status;
    loop {
        match peer.read() {
            Ok(Message::Close(Some(close))) => code = close.code,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return code,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn kinds(report: &Report) -> Vec<(ErrorKind, u64)> {
    let kinds = report.errors.kinds.iter();
    kinds.map(|(&kind, &count)| (kind, count)).collect()
}

/// Sends a tick every few milliseconds until the client closes.
pub(crate) fn serve_steadily(stream: TcpStream) {
    let mut peer = tungstenite::accept(stream).unwrap();
    let pause = Duration::from_millis(5);
    peer.get_ref().set_read_timeout(Some(pause)).unwrap();
    for seq in 1.. {
        if peer.can_write() {
            send(&mut peer, tick(seq, 0));
        }
        match peer.read() {
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
            Ok(_) => {}
        }
    }
}

/// Calls `act` with each request of the client, and with `None` whenever `pause` has passed without
/// one, until the client closes.
pub(crate) fn answer_requests(
    peer: &mut Peer,
    pause: Duration,
    mut act: impl FnMut(&mut Peer, Option<serde_json::Value>),
) {
    peer.get_ref().set_read_timeout(Some(pause)).unwrap();
    loop {
        match peer.read() {
            Ok(Message::Text(text)) if peer.can_write() => {
                act(peer, Some(serde_json::from_str(&text).unwrap()));
            }
            Err(tungstenite::Error::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                if peer.can_write() {
                    act(peer, None);
                }
            }
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
            Ok(_) => {}
        }
    }
}
