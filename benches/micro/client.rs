//! The case of the measuring client: the cost of a pushed tick, from the frame to the histogram.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use tickertape::client;
use tickertape::client::config::Config;
use tickertape::client::config::url::Url;
use tungstenite::{Bytes, Message};

use crate::pure::framed_tick;
use crate::time;

/// Different frames, so that making them costs the same for any number of steps.
const FRAMES: usize = 16 * 1024;

/// Frames in one write: as many as the client reads at a time.
const FRAMES_PER_WRITE: usize = 512;

pub(super) fn message(times: u32) -> Duration {
    let times = times as usize;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let frames: Vec<_> = (1..=FRAMES as u64).map(framed_tick).collect();
    let server = thread::spawn(move || serve(&listener, &frames, times));
    let url = Url::parse(&format!("ws://{address}/")).expect("an address makes a URL");
    let config = Config {
        quiet: true,
        ..Config::new(url)
    };
    let mut report = None;
    let took = time(|| report = Some(client::run(config, None).expect("a loop can be had")));
    server.join().expect("the server reaches its end");
    let messages = report.expect("the run has ended").counters.messages;
    assert_eq!(messages as usize, times);
    took
}

/// Sends `times` ticks to the first client, then ends the connection, and with it the client's run.
fn serve(listener: &TcpListener, frames: &[Vec<u8>], times: usize) {
    let (socket, _) = listener.accept().expect("the client connects");
    let mut socket = tungstenite::accept(socket).expect("the client asks for an upgrade");
    // Once it has answered, its window has begun: ticks that arrive together with the handshake's
    // answer would come before it.
    let ping = Message::Ping(Bytes::new());
    socket.send(ping).expect("the client reads");
    while !socket.read().expect("the client answers").is_pong() {}
    let mut left = times;
    for part in frames.chunks(FRAMES_PER_WRITE).cycle() {
        let part = &part[..part.len().min(left)];
        let bytes = part.concat();
        socket
            .get_mut()
            .write_all(&bytes)
            .expect("the client reads");
        left -= part.len();
        if left == 0 {
            return;
        }
    }
}
