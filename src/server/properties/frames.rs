//! Frames of a client that is open, through the whole state machine of a connection: over a socket
//! that reads and writes as little as it is told to, while ticks are printed and time passes.
//!
//! Whatever happens, the client gets whole frames, answers in order, each tick once, and nothing
//! behind a close frame, which has the right code.

mod seen;
mod socket;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mio::Token;

use self::seen::Seen;
use self::socket::Scripted;
use super::super::board::Board;
use super::super::close::CloseReason;
use super::super::config::Config;
use super::super::connection::{Connection, Desk, Next};
use super::super::counters::Counters;
use super::super::head::Asked;
use crate::frame;
use crate::io_loop::{IoLoop, Ready, Timeout};
use crate::tick::{Price, Tick};

/// `bytes` are a script: one byte chooses the size of reads, then steps follow, see
/// [`step`](Server::step).
///
/// # Panics
/// When a promise is broken.
pub fn client_frames(bytes: &[u8]) {
    let (&[size], mut script) = bytes.split_first_chunk().unwrap_or((&[3], &[]));
    let mut server = Server::new(SCRATCH_LENGTHS[usize::from(size) % SCRATCH_LENGTHS.len()]);
    while let Some((&step, rest)) = script.split_first() {
        script = server.step(step, rest);
        server.read_more();
    }
    server.finish();
}

/// As much of the server as one connection needs, and what became of that.
struct Server {
    board: Board,
    counters: Counters,
    config: Config,
    scratch: Vec<u8>,
    started: Instant,
    now_ms: u32,
    heartbeat: u32,
    connection: Option<Connection<Scripted>>,
    /// The socket of a connection that has been let go.
    socket: Option<Scripted>,
    /// A turn's share is used up.
    more: bool,
    reason: Option<CloseReason>,
    /// All that the client sent once it was open.
    sent: Vec<u8>,
}

impl Server {
    /// With a connection that is open.
    fn new(scratch: usize) -> Self {
        static TIMEOUT: LazyLock<Timeout> = LazyLock::new(|| {
            let mut io_loop = IoLoop::<()>::new().expect("a poll descriptor");
            io_loop.call_later(Duration::ZERO, |(), _| {})
        });
        let connection = Connection::new(Scripted::default(), Token(0), *TIMEOUT);
        let config = Config {
            max_message_size: 512,
            message_burst: 40.0,
            ..Config::default()
        };
        let mut server = Self {
            board: Board::new(SYMBOLS.map(str::to_owned).to_vec(), 2048, 4),
            counters: Counters::default(),
            config,
            scratch: vec![0; scratch],
            started: Instant::now(),
            now_ms: 0,
            heartbeat: 0,
            connection: Some(connection),
            socket: None,
            more: false,
            reason: None,
            sent: Vec::new(),
        };
        server.print(0);
        server.arrives(HEAD, true);
        server.settle();
        server.sent.clear();
        server
    }

    /// Does what a step of the script says; `rest` is what follows it, of which it may take a part.
    fn step<'s>(&mut self, step: u8, rest: &'s [u8]) -> &'s [u8] {
        let (&[number], behind) = rest.split_first_chunk().unwrap_or((&[0], rest));
        match step {
            // These bytes arrive as they are; with the other letter, their event comes later.
            b'd' | b'q' => {
                let (bytes, behind) = behind.split_at(behind.len().min(number.into()));
                self.arrives(bytes, step == b'd');
                return behind;
            }
            // A masked frame that begins with the byte given.
            b'f' => {
                let (&[length], behind) = behind.split_first_chunk().unwrap_or((&[0], behind));
                let (payload, behind) = behind.split_at(behind.len().min(length.into()));
                self.arrives(&masked(number, payload), true);
                return behind;
            }
            b'j' => {
                let request = REQUESTS[usize::from(number) % REQUESTS.len()];
                self.arrives(&masked(0x81, request.as_bytes()), true);
            }
            b'w' => self.has_room(usize::from(number) * 4),
            // The event that says so comes later.
            b'g' => self.gains_room(usize::from(number) * 4),
            b't' => self.print(number),
            b'p' => self.now_ms += u32::from(number) * 100,
            _ => {
                self.simple_step(step);
                return rest;
            }
        }
        behind
    }

    /// A step of one byte.
    fn simple_step(&mut self, step: u8) {
        match step {
            b'W' => self.has_room(usize::MAX),
            b'b' => drop(self.with_socket(|socket| socket.room = 0)),
            b'i' => drop(self.with_socket(|socket| socket.interrupted = true)),
            b'h' => {
                self.heartbeat += 1;
                let mut ping = Vec::new();
                frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
                self.board.print_for_all(&ping, self.instant());
                self.pump();
            }
            b'a' => {
                let old = self.instant().checked_sub(self.config.conflate_after);
                old.into_iter().for_each(|old| self.board.age(old));
            }
            b'o' => self.close_overdue(),
            b'n' => self.on_ready(true, true),
            b'e' => {
                self.with_socket(|socket| socket.ended = true);
                self.on_ready(true, false);
            }
            b'r' => {
                self.with_socket(|socket| socket.broken = true);
                self.on_ready(true, true);
            }
            b's' if !self.board.is_sealed() => {
                let (mut goodbye, why) = (Vec::new(), CloseReason::Shutdown);
                let code = why.code().expect("the client is told");
                frame::close(&mut goodbye, code, &why.to_string());
                self.board.seal(&goodbye, self.instant());
                self.pump();
            }
            _ => {}
        }
    }

    fn arrives(&mut self, bytes: &[u8], is_told: bool) {
        let is_heard = self.with_socket(|socket| {
            let is_heard = !socket.ended && !socket.broken;
            if is_heard {
                socket.inbox.extend(bytes);
            }
            is_heard
        });
        if is_heard == Some(true) {
            self.sent.extend_from_slice(bytes);
            if is_told {
                self.on_ready(true, false);
            }
        }
    }

    fn has_room(&mut self, room: usize) {
        self.gains_room(room);
        self.on_ready(false, true);
    }

    fn gains_room(&mut self, room: usize) {
        self.with_socket(|socket| socket.room = socket.room.saturating_add(room));
    }

    fn print(&mut self, symbol: u8) {
        let tick = Tick {
            symbol: SYMBOLS[usize::from(symbol) % SYMBOLS.len()].to_owned(),
            price: Price::parse("1.50").expect("a price"),
            timestamp: 1_732_270_000_123,
        };
        self.board.print(&tick, self.instant());
        self.pump();
    }

    /// What the sweep does.
    fn pump(&mut self) {
        let pumped = self.with(|connection, desk| match connection.wants_pump(desk.board) {
            true => connection.pump(desk),
            false => Ok(()),
        });
        if let Some(Err(reason)) = pumped {
            self.close(reason);
        }
    }

    fn close_overdue(&mut self) {
        let (now, slow) = (self.now_ms, self.config.slow_timeout);
        let heartbeat = self.heartbeat;
        let overdue = self.with(|connection, _| connection.overdue(now, heartbeat, slow));
        if let Some(Some(reason)) = overdue {
            self.close(reason);
        }
    }

    fn on_ready(&mut self, readable: bool, writable: bool) {
        let closed = self.with_socket(|socket| socket.ended || socket.broken) == Some(true);
        let ready = Ready {
            readable,
            writable,
            closed,
        };
        let next = self.with(|connection, desk| connection.on_ready(ready, desk));
        self.go_on(next);
    }

    /// The next turn of reading, if one is due. Returns whether there was one.
    fn read_more(&mut self) -> bool {
        if !std::mem::take(&mut self.more) {
            return false;
        }
        let next = self.with(Connection::on_readable);
        self.go_on(next);
        true
    }

    /// Reads until there is nothing; each turn takes a share or is the last.
    fn settle(&mut self) {
        let unread = self.with_socket(|socket| socket.inbox.len()).unwrap_or(0);
        let turns = unread / self.scratch.len() + 4;
        let used = (0..=turns).take_while(|_| self.read_more()).count();
        assert!(used <= turns, "still reading after {turns} turns");
    }

    fn go_on(&mut self, next: Option<Result<Next, CloseReason>>) {
        match next {
            None | Some(Ok(Next::Wait)) => {}
            Some(Ok(Next::More)) => self.more = true,
            Some(Ok(Next::Head { head, unread })) => {
                let Ok(Asked::Upgrade(upgrade)) = head else {
                    panic!("the handshake is refused: {head:?}")
                };
                let channel = self.board.join(None).expect("there is room");
                let open = |connection: &mut Connection<Scripted>, desk: &mut Desk<'_>| {
                    connection.open(upgrade.response, channel, None, desk)
                };
                assert!(matches!(self.with(open), Some(Ok(()))), "cannot be opened");
                self.more = unread;
            }
            Some(Ok(Next::Gone)) => self.remove(),
            Some(Err(reason)) => self.close(reason),
        }
    }

    fn close(&mut self, reason: CloseReason) {
        let now = self.now_ms;
        let Some(connection) = self.connection.as_mut() else {
            return;
        };
        if connection.is_closing() {
            return self.remove();
        }
        if let Some(channel) = connection.channel() {
            self.board.leave(channel);
        }
        let is_slow = matches!(reason, CloseReason::Slow);
        let waits = connection.close(&reason, &[], now);
        assert_eq!(connection.socket().is_to_reset, is_slow);
        assert!(self.reason.is_none(), "closed twice");
        self.reason = Some(reason);
        match waits {
            true => self.more = true,
            false => self.remove(),
        }
    }

    fn remove(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            self.socket = Some(std::mem::take(connection.socket()));
        }
    }

    /// The client takes everything and goes: what it has had by then is judged.
    fn finish(mut self) {
        let is_whole = self.connection.is_some();
        self.has_room(usize::MAX);
        self.on_ready(true, true);
        self.settle();
        self.pump();
        let is_open = self.connection.is_some() && self.reason.is_none();
        assert!(
            is_open || self.with_socket(|socket| socket.is_finished) != Some(false),
            "no end"
        );
        self.with_socket(|socket| socket.ended = true);
        self.on_ready(true, false);
        self.settle();
        assert!(self.connection.is_none(), "it has gone, but is kept");
        assert_eq!(self.board.tapes(), 1, "a tape that nobody reads");
        let out = self
            .socket
            .take()
            .map(|socket| socket.out)
            .unwrap_or_default();
        let reason = self.reason.take().filter(|_| !is_open);
        let judged = Seen::new(&self.sent, self.config.max_message_size);
        let gaps = self.counters.conflated > 0;
        judged.check(&out, reason.as_ref(), is_whole, gaps);
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_millis(self.now_ms.into())
    }

    fn with_socket<T>(&mut self, act: impl FnOnce(&mut Scripted) -> T) -> Option<T> {
        self.connection
            .as_mut()
            .map(|connection| act(connection.socket()))
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Connection<Scripted>, &mut Desk<'_>) -> T,
    ) -> Option<T> {
        let connection = self.connection.as_mut()?;
        let mut desk = Desk {
            board: &mut self.board,
            counters: &mut self.counters,
            config: &self.config,
            scratch: &mut self.scratch,
            now: self.now_ms,
            heartbeat: self.heartbeat,
        };
        Some(act(connection, &mut desk))
    }
}

/// A frame of a client.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let mask = MASK.iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const SYMBOLS: [&str; 3] = ["A", "B/C", "€"];

const REQUESTS: [&str; 8] = [
    r#"{"op":"ping","id":1}"#,
    r#"{"op":"get","symbol":"A","id":[2]}"#,
    r#"{"op":"get","symbol":"B/C"}"#,
    r#"{"op":"unsubscribe","symbols":["A"],"id":3}"#,
    r#"{"op":"subscribe","symbols":["A","€"],"id":"4"}"#,
    r#"{"op":"unsubscribe","symbols":["A","B/C","€"]}"#,
    r#"{"op":"subscribe","symbols":["B/C"]}"#,
    "nonsense",
];

/// How much is read at once: little, so that all is cut, or as much as the server does.
const SCRATCH_LENGTHS: [usize; 4] = [16, 67, 1024, 16 * 1024];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::twin;
    use proptest::prelude::*;

    /// A step of the script as its bytes.
    fn step() -> impl Strategy<Value = Vec<u8>> {
        let payload = || prop::collection::vec(any::<u8>(), 0..20);
        let first = prop_oneof![
            8 => prop::sample::select(&[0x81, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88][..]),
            1 => any::<u8>(),
        ];
        let frame = (first, payload()).prop_map(|(first, payload)| {
            [&[b'f', first, payload.len() as u8], &payload[..]].concat()
        });
        let whole = (
            prop::sample::select(&REQUESTS[..]),
            prop::collection::vec(1usize..30, 1..9),
        );
        prop_oneof![
            3 => frame,
            8 => (0u8..8).prop_map(|number| vec![b'j', number]),
            3 => whole.prop_map(|(text, cuts)| in_pieces(&masked(0x81, text.as_bytes()), &cuts)),
            1 => payload().prop_map(|bytes| [&[b'd', bytes.len() as u8], &bytes[..]].concat()),
            6 => (0u8..3).prop_map(|symbol| vec![b't', symbol]),
            6 => (prop::sample::select(&b"wg"[..]), any::<u8>()).prop_map(|(step, room)| vec![step, room]),
            1 => Just([&[b'q', 26], &masked(0x81, REQUESTS[0].as_bytes())[..]].concat()),
            4 => Just(vec![b'b']),
            2 => Just(vec![b'W']),
            2 => Just(vec![b'h']),
            2 => any::<u8>().prop_map(|time| vec![b'p', time]),
            1 => prop::sample::select(&b"aoin"[..]).prop_map(|step| vec![step]),
        ]
    }

    fn in_pieces(mut bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut steps = Vec::new();
        for &cut in cuts.iter().cycle() {
            let (piece, rest) = bytes.split_at(cut.min(bytes.len()));
            steps.extend([b'd', piece.len() as u8]);
            steps.extend_from_slice(piece);
            bytes = rest;
            if bytes.is_empty() {
                break;
            }
        }
        steps
    }

    proptest! {
        #[test]
        fn whole_frames_come_out_whatever_goes_in(
            size in 0u8..4, steps in prop::collection::vec(step(), 0..40),
            end in "[ers]?",
        ) {
            client_frames(&[&[size], &steps.concat()[..], end.as_bytes()].concat());
        }

        #[test]
        fn a_damaged_script_breaks_nothing(bytes in twin::damaged("client_frames")) {
            client_frames(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        twin::hold("client_frames", client_frames);
    }
}
