//! One client: its state, what its bytes mean, and where it reads the tape.
//!
//! A connection at rest owns a socket, a position on a tape and a few counters. Tungstenite's state
//! machine is made when a message begins and dropped when it has ended ([`Boundaries`]), so ten
//! thousand idle clients cost no more than their sockets.

use std::time::Duration;

use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::Moment;
use super::board::{Board, ChannelId};
use super::close::CloseReason;
use super::config::Config;
use super::counters::Counters;
use super::head::{self, Asked, Refusal};
use super::request::{self, Reply};
use super::wire::{CodecStream, Wire};
use crate::frame::{self, Boundaries};
use crate::io_loop::{Ready, Timeout};
use crate::tape::Position;
use mio::Token;
use mio::net::TcpStream;

/// A client's connection, from accept to close.
pub(crate) struct Connection {
    pub(crate) token: Token,
    wire: Wire,
    state: State,
    /// The client's end is among what there is to read, and had its event.
    ended: bool,
}

enum State {
    /// The request head is arriving. `timeout` ends the wait for it.
    Handshaking { head: Vec<u8>, timeout: Timeout },
    /// It reads a tape.
    Open(Reader),
    /// All has been said. What still comes is thrown away, so that it does not become a reset that
    /// would destroy what was said last.
    Closing,
}

/// Where a client reads, and what it may.
struct Reader {
    channel: ChannelId,
    position: Position,
    /// Present while a message is arriving.
    codec: Option<Box<Codec>>,
    /// The number of the last heartbeat that it answered, or was not asked to.
    ponged: u32,
    allowance: Allowance,
}

struct Codec {
    context: WebSocketContext,
    boundaries: Boundaries,
}

/// How many messages a client may still send: a bucket that fills with time.
struct Allowance {
    messages: f32,
    since: Moment,
}

/// What all connections share while one of them works.
pub(crate) struct Desk<'a> {
    pub(crate) board: &'a mut Board,
    pub(crate) counters: &'a mut Counters,
    pub(crate) config: &'a Config,
    /// Where bytes from a socket are read into; nobody owns them for longer than one event.
    pub(crate) scratch: &'a mut [u8],
    pub(crate) now: Moment,
    /// The number of the last heartbeat printed.
    pub(crate) heartbeat: u32,
}

/// What is to be done after an event.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing, until the next event.
    Wait,
    /// There may be more to read: a turn's share is used up and no event will tell.
    More,
    /// The request head is there; its timeout can go.
    Head(Result<Asked, Refusal>),
    /// The client has gone too.
    Gone,
}

impl Connection {
    /// A connection that was just accepted and has until `timeout` for its request.
    pub(crate) fn new(socket: TcpStream, token: Token, timeout: Timeout) -> Self {
        let state = State::Handshaking {
            head: Vec::new(),
            timeout,
        };
        Self {
            token,
            wire: Wire::new(socket),
            state,
            ended: false,
        }
    }

    /// The socket, to be registered and removed.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.wire.socket()
    }

    /// Which tape it reads, once it is open.
    pub(crate) fn channel(&self) -> Option<ChannelId> {
        match &self.state {
            State::Open(reader) => Some(reader.channel),
            _ => None,
        }
    }

    /// The end of the wait for its request, while it waits.
    pub(crate) fn handshake_timeout(&self) -> Option<Timeout> {
        match self.state {
            State::Handshaking { timeout, .. } => Some(timeout),
            _ => None,
        }
    }

    /// Whether all has been said and only the client's end is missing.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing)
    }

    /// Something became ready.
    pub(crate) fn on_ready(
        &mut self,
        ready: Ready,
        desk: &mut Desk<'_>,
    ) -> Result<Next, CloseReason> {
        self.ended |= ready.closed;
        if ready.writable {
            let had_pending = self.wire.has_pending();
            self.wire
                .on_writable(desk.now)
                .map_err(CloseReason::Failed)?;
            self.pump(desk)?;
            if had_pending && !self.wire.has_pending() {
                // Nothing was read while an answer was waiting, and that edge is long gone.
                return self.on_readable(desk);
            }
        }
        if ready.readable {
            self.on_readable(desk)
        } else {
            Ok(Next::Wait)
        }
    }

    /// There may be something to read. One buffer is a turn's share.
    pub(crate) fn on_readable(&mut self, desk: &mut Desk<'_>) -> Result<Next, CloseReason> {
        if self.wire.has_pending() && !self.is_closing() {
            // Who does not take our answers does not get to ask for more.
            return Ok(Next::Wait);
        }
        let scratch = std::mem::take(&mut desk.scratch);
        let received = self.wire.receive(scratch);
        let next = match received {
            Ok(None) => Ok(Next::Wait),
            Ok(Some(0)) if self.is_closing() => Ok(Next::Gone),
            Ok(Some(0)) => Err(CloseReason::Vanished),
            Ok(Some(length)) => {
                // A short read has emptied the socket; whatever comes later is a new edge. But the
                // end is no byte: it may have come along.
                let drained = length < scratch.len() && !self.ended;
                self.on_bytes(&scratch[..length], desk)
                    .map(|next| match next {
                        Next::Wait if !drained => Next::More,
                        next => next,
                    })
            }
            Err(_) if self.is_closing() => Ok(Next::Gone),
            Err(error) => Err(CloseReason::Failed(error)),
        };
        desk.scratch = scratch;
        next
    }

    fn on_bytes(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Result<Next, CloseReason> {
        match &mut self.state {
            State::Handshaking { head, .. } => Ok(on_head_bytes(head, bytes, desk.config)),
            State::Open(_) => self.on_frames(bytes, desk).map(|()| Next::Wait),
            State::Closing => Ok(Next::Wait),
        }
    }

    /// Upgrades: answers with `response` and, in the same write, the newest ticks; then reads the
    /// channel's tape from `since` if that can be, else from now.
    pub(crate) fn open(
        &mut self,
        response: Vec<u8>,
        channel: ChannelId,
        since: Option<u64>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        let tape = desk.board.tape(channel);
        let mut out = response;
        let position = since.and_then(|sent| tape.resume(sent)).unwrap_or_else(|| {
            // A stamp from the future is none of ours: such a client has seen nothing.
            let seen = since
                .filter(|&sent| sent <= desk.board.last_stamp())
                .unwrap_or(0);
            desk.board.snapshot(channel, seen, &mut out);
            tape.head()
        });
        let allowance = Allowance {
            messages: desk.config.message_burst,
            since: desk.now,
        };
        let ponged = desk.heartbeat;
        self.state = State::Open(Reader {
            channel,
            position,
            codec: None,
            ponged,
            allowance,
        });
        self.wire
            .send(&out, desk.now)
            .map_err(CloseReason::Failed)?;
        self.pump(desk)
    }

    /// Sends what is new on the tape, as far as the socket takes it.
    pub(crate) fn pump(&mut self, desk: &mut Desk<'_>) -> Result<(), CloseReason> {
        let State::Open(reader) = &mut self.state else {
            return Ok(());
        };
        if !self.wire.is_clear() {
            return Ok(());
        }
        if desk.board.is_behind(reader.channel, reader.position) {
            self.wire
                .send(&reader.skip(desk), desk.now)
                .map_err(CloseReason::Failed)?;
        }
        let tape = desk.board.tape(reader.channel);
        if reader.position < tape.head() && self.wire.is_clear() {
            let unread = tape.read(reader.position);
            let unread = &unread[..unread.len().min(WRITE_LENGTH_MAX)];
            let written = self
                .wire
                .send_some(unread, desk.now)
                .map_err(CloseReason::Failed)?;
            let (position, rest) = tape.advance(reader.position, written);
            self.wire.keep(rest);
            reader.position = position;
            desk.counters.wrote(written);
        }
        if desk.board.is_sealed() && reader.position == tape.head() {
            return Err(CloseReason::Shutdown);
        }
        Ok(())
    }

    /// Whether there is something on the tape that could be sent.
    pub(crate) fn wants_pump(&self, board: &Board) -> bool {
        match &self.state {
            State::Open(reader) => {
                self.wire.is_clear() && reader.position < board.tape(reader.channel).head()
            }
            _ => false,
        }
    }

    /// Whether it has broken a limit that only time shows; `heartbeat` is the one to be answered
    /// by now.
    pub(crate) fn overdue(
        &self,
        now: Moment,
        heartbeat: u32,
        slow: Duration,
    ) -> Option<CloseReason> {
        let State::Open(reader) = &self.state else {
            return None;
        };
        let stuck = self
            .wire
            .stuck_since()
            .map(|since| now.saturating_sub(since));
        if stuck.is_some_and(|stuck| Duration::from_millis(stuck.into()) > slow) {
            return Some(CloseReason::Slow);
        }
        // A heartbeat that cannot have arrived is no reason: that is what the other limit is for.
        (reader.ponged < heartbeat && stuck.is_none()).then_some(CloseReason::NoPong)
    }

    /// Says why, and nothing after that. Returns whether the client's own end is worth waiting for:
    /// closing a socket at once could reset it, which would destroy what was said.
    pub(crate) fn close(&mut self, reason: &CloseReason, answer: &[u8], now: Moment) -> bool {
        let mut out = answer.to_vec();
        // At shutdown the closing frame is on the tape, and this reader has had it from there.
        let told = matches!(reason, CloseReason::Shutdown);
        if let (State::Open(_), Some(code), false) = (&self.state, reason.code(), told) {
            frame::close(&mut out, code, &reason.to_string());
        }
        let sent = self.wire.send(&out, now);
        self.wire.finish();
        self.state = State::Closing;
        match reason {
            // Nobody is there, or has anything on the way that a reset could answer.
            CloseReason::Vanished | CloseReason::Failed(_) | CloseReason::HandshakeTimeout => false,
            CloseReason::Slow => {
                self.wire.reset_on_drop();
                false
            }
            _ => sent.is_ok(),
        }
    }

    fn on_frames(&mut self, bytes: &[u8], desk: &mut Desk<'_>) -> Result<(), CloseReason> {
        let State::Open(reader) = &mut self.state else {
            return Ok(());
        };
        let mut codec = reader
            .codec
            .take()
            .unwrap_or_else(|| Box::new(Codec::new(desk.config)));
        let frames = codec.boundaries.advance(bytes);
        if !reader.allowance.take(frames, desk) {
            return Err(CloseReason::Flood);
        }
        let mut stream = CodecStream {
            input: bytes,
            wire: &mut self.wire,
            now: desk.now,
        };
        loop {
            match codec.context.read(&mut stream) {
                Ok(message) => reader.on_message(&message, stream.wire, desk)?,
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !codec.boundaries.at_rest() {
            reader.codec = Some(codec);
        }
        Ok(())
    }
}

impl Reader {
    /// A whole message arrived. Tungstenite answers pings and closes by itself.
    fn on_message(
        &mut self,
        message: &Message,
        wire: &mut Wire,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        desk.counters.messages += 1;
        match message {
            Message::Text(text) => {
                let mut payloads = Vec::new();
                match request::answer(text, desk.board, self.channel) {
                    Reply::Text(text) => frame::text(&mut payloads, &text),
                    Reply::Move { to, text } => {
                        frame::text(&mut payloads, &text);
                        self.move_to(to, &mut payloads, desk);
                    }
                }
                wire.send(&payloads, desk.now).map_err(CloseReason::Failed)
            }
            Message::Binary(_) => Err(CloseReason::Binary),
            Message::Pong(payload) => {
                self.on_pong(payload, desk.heartbeat);
                Ok(())
            }
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn on_pong(&mut self, payload: &[u8], heartbeat: u32) {
        // A pong that nobody asked for is allowed and means nothing (RFC 6455 section 5.5.3).
        let number = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse().ok());
        self.ponged = number
            .filter(|&number| number <= heartbeat)
            .unwrap_or(0)
            .max(self.ponged);
    }

    /// Skips to now, and returns the newest tick of each symbol that is skipped.
    fn skip(&mut self, desk: &mut Desk<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        desk.board
            .snapshot_unread(self.channel, self.position, &mut out);
        self.position = desk.board.tape(self.channel).head();
        // The heartbeat may be among what was skipped.
        self.ponged = desk.heartbeat;
        desk.counters.conflated += 1;
        out
    }

    /// Goes on with another tape, the newest ticks of what is new there first.
    fn move_to(&mut self, to: ChannelId, out: &mut Vec<u8>, desk: &mut Desk<'_>) {
        desk.board
            .snapshot_moved((self.channel, self.position), to, out);
        desk.board.leave(self.channel);
        self.channel = to;
        self.position = desk.board.tape(to).head();
        self.ponged = desk.heartbeat;
    }
}

impl Codec {
    fn new(config: &Config) -> Self {
        let limit = Some(config.max_message_size);
        // Its own buffers hold one unfinished frame at most: input comes from the server's one
        // scratch buffer and output goes to the wire at once.
        let config = WebSocketConfig::default()
            .read_buffer_size(0)
            .write_buffer_size(0)
            .max_write_buffer_size(usize::MAX)
            .max_message_size(limit)
            .max_frame_size(limit);
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self {
            context,
            boundaries: Boundaries::default(),
        }
    }
}

impl Allowance {
    /// Whether `frames` more are allowed now. Fragments and control frames count like messages.
    fn take(&mut self, frames: u32, desk: &Desk<'_>) -> bool {
        let seconds = desk.now.saturating_sub(self.since) as f32 / 1000.0;
        let filled = self.messages + seconds * desk.config.message_rate;
        self.messages = filled.min(desk.config.message_burst) - frames as f32;
        self.since = desk.now;
        self.messages >= 0.0
    }
}

fn on_head_bytes(head: &mut Vec<u8>, bytes: &[u8], config: &Config) -> Next {
    // Nearly every head comes in one piece, and then is never copied.
    let known = head.len();
    let bytes = if known == 0 {
        bytes
    } else {
        head.extend_from_slice(bytes);
        &head[..]
    };
    match head::end(bytes, known) {
        Ok(Some(end)) => {
            let more = bytes.len() > end;
            Next::Head(head::read(&bytes[..end], more, &config.origins))
        }
        Ok(None) if known == 0 => {
            *head = bytes.to_vec();
            Next::Wait
        }
        Ok(None) => Next::Wait,
        Err(refusal) => Next::Head(Err(refusal)),
    }
}

/// The most that is offered to a socket at once; it would not take more.
const WRITE_LENGTH_MAX: usize = 64 * 1024;
