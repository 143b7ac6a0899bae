//! A client that is open: where it reads the tape, and what its messages mean.
//!
//! At rest it owns a position and a few counters. Tungstenite's state machine is made when a message
//! begins and dropped when it has ended ([`Boundaries`]), so ten thousand idle clients cost little
//! more than their sockets.

use std::io::ErrorKind;

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::Moment;
use super::board::{Board, ChannelId};
use super::close::CloseReason;
use super::config::Config;
use super::connection::Desk;
use super::request::{self, Reply};
use super::socket::Socket;
use super::wire::{CodecStream, Wire};
use crate::frame::{self, Boundaries};
use crate::tape::Position;

/// Where a client reads, and what it may.
pub(crate) struct Reader {
    channel: ChannelId,
    position: Position,
    /// It resumed behind the head and has not reached it yet: it is not slow, it was away.
    resuming: bool,
    /// Present while a message is arriving, or waiting for room to answer it.
    codec: Option<Box<Codec>>,
    /// The number of the last heartbeat that it answered, or was not asked to.
    ponged: u32,
    allowance: Allowance,
}

struct Codec {
    context: WebSocketContext,
    boundaries: Boundaries,
    /// What arrived behind a message whose answer the client has not taken yet.
    backlog: Vec<u8>,
    /// Messages of what arrived have not been looked at.
    halted: bool,
}

/// How many messages a client may still send: a bucket that fills with time.
struct Allowance {
    messages: f32,
    since: Moment,
    /// Its messages are waiting until it takes the answers; that time counts in full.
    held: bool,
}

impl Reader {
    /// A reader of `channel` from `since` on, if its tape still has all that came after that stamp;
    /// else from now on, with the newest ticks appended to `out`.
    pub(crate) fn new(
        channel: ChannelId,
        since: Option<u64>,
        out: &mut Vec<u8>,
        desk: &Desk<'_>,
    ) -> Self {
        let tape = desk.board.tape(channel);
        let position = since.and_then(|sent| tape.resume(sent)).unwrap_or_else(|| {
            // A stamp from the future is none of ours: such a client has seen nothing.
            let seen = since
                .filter(|&sent| sent <= desk.board.last_stamp())
                .unwrap_or(0);
            desk.board.snapshot(channel, seen, desk.instant, out);
            tape.head()
        });
        Self {
            channel,
            position,
            resuming: position < tape.head(),
            codec: None,
            ponged: desk.heartbeat,
            allowance: Allowance::new(desk),
        }
    }

    pub(crate) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// How far it has read.
    #[cfg(test)]
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// How many bytes of messages wait for room for the answers before them.
    #[cfg(test)]
    pub(crate) fn backlog(&self) -> usize {
        self.codec.as_ref().map_or(0, |codec| codec.backlog.len())
    }

    /// Whether there is something on the tape that it has not had.
    pub(crate) fn has_unread(&self, board: &Board) -> bool {
        self.position < board.tape(self.channel).head()
    }

    /// Whether it owes the answer to `heartbeat`.
    pub(crate) fn owes_pong(&self, heartbeat: u32) -> bool {
        self.ponged < heartbeat
    }

    /// Sends what is new on the tape, as far as a wire takes it that is clear.
    pub(crate) fn pump<S: Socket>(
        &mut self,
        wire: &mut Wire<S>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        if desk
            .board
            .is_behind(self.channel, self.position, self.resuming)
        {
            wire.send(&self.skip(desk), desk.now)
                .map_err(CloseReason::Failed)?;
        }
        let tape = desk.board.tape(self.channel);
        if self.position < tape.head() && wire.is_clear() {
            let unread = tape.read(self.position);
            let written = wire
                .send_some(unread, desk.now)
                .map_err(CloseReason::Failed)?;
            let (position, rest) = tape.advance(self.position, written);
            wire.keep(rest);
            let messages = tape.messages_between(self.position, position);
            desk.counters.wrote(messages, position - self.position);
            self.position = position;
        }
        self.resuming &= self.position < tape.head();
        if desk.board.is_sealed() && self.position == tape.head() {
            // The closing frame has gone out, so nothing may follow, whenever the connection is closed.
            wire.finish();
            return Err(CloseReason::Shutdown);
        }
        Ok(())
    }

    /// Takes what arrived, and answers the messages in it.
    pub(crate) fn on_bytes<S: Socket>(
        &mut self,
        bytes: &[u8],
        wire: &mut Wire<S>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        let mut codec = self
            .codec
            .take()
            .unwrap_or_else(|| Box::new(Codec::new(desk.config)));
        let frames = codec.boundaries.advance(bytes);
        if !self.allowance.take(frames, desk) {
            return Err(CloseReason::Flood);
        }
        self.read_messages(codec, bytes, wire, desk)
    }

    /// Nothing more is read from it until it takes what was answered.
    pub(crate) fn hold(&mut self, desk: &Desk<'_>) {
        self.allowance.hold(desk);
    }

    /// All that it sent has been read.
    pub(crate) fn release(&mut self) {
        self.allowance.release();
    }

    /// Whether there are messages that waited for room for the answers before them.
    pub(crate) fn has_backlog(&self) -> bool {
        self.codec.as_ref().is_some_and(|codec| codec.halted)
    }

    /// There is room again: answers what had to wait.
    pub(crate) fn on_backlog<S: Socket>(
        &mut self,
        wire: &mut Wire<S>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        let Some(mut codec) = self.codec.take() else {
            return Ok(());
        };
        let backlog = std::mem::take(&mut codec.backlog);
        self.read_messages(codec, &backlog, wire, desk)
    }

    /// Answers one message after the other, as long as the client takes the answers.
    fn read_messages<S: Socket>(
        &mut self,
        mut codec: Box<Codec>,
        bytes: &[u8],
        wire: &mut Wire<S>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        let mut stream = CodecStream {
            input: bytes,
            wire,
            now: desk.now,
        };
        codec.halted = loop {
            match codec.context.read(&mut stream) {
                Ok(message) => self.on_message(&message, stream.wire, desk)?,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) => return Err(error.into()),
            }
            if stream.wire.has_pending() {
                break true;
            }
        };
        if codec.halted || !codec.boundaries.at_rest() {
            codec.backlog = stream.input.to_vec();
            self.codec = Some(codec);
        }
        Ok(())
    }

    /// A whole message arrived. Tungstenite answers pings and closes by itself.
    fn on_message<S: Socket>(
        &mut self,
        message: &Message,
        wire: &mut Wire<S>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        desk.counters.messages += 1;
        match message {
            Message::Text(text) => self.on_request(text, wire, desk),
            Message::Binary(_) => Err(CloseReason::Binary),
            Message::Pong(payload) => {
                self.on_pong(payload, desk.heartbeat);
                Ok(())
            }
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn on_request<S: Socket>(
        &mut self,
        text: &str,
        wire: &mut Wire<S>,
        desk: &mut Desk<'_>,
    ) -> Result<(), CloseReason> {
        let mut out = Vec::new();
        match request::answer(text, desk.board, self.channel) {
            Reply::Text(text) => frame::text(&mut out, &text),
            Reply::Move { to, text } => {
                // What it can still have of the old tape, it gets. If that fails, it reads neither.
                if wire.is_clear()
                    && let Err(reason) = self.pump(wire, desk)
                {
                    desk.board.leave(to);
                    return Err(reason);
                }
                frame::text(&mut out, &text);
                self.move_to(to, &mut out, desk);
            }
        }
        wire.send(&out, desk.now).map_err(CloseReason::Failed)
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

    /// Skips to now, and returns what it gets instead: the newest tick of each symbol that is skipped.
    fn skip(&mut self, desk: &mut Desk<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        desk.board
            .snapshot_unread(self.channel, self.position, desk.instant, &mut out);
        // The close frame is the one thing on a tape that nobody may miss.
        out.extend_from_slice(desk.board.goodbye());
        desk.counters
            .skipped(desk.board.tape(self.channel).head() - self.position);
        self.go_to(self.channel, desk);
        out
    }

    /// Goes on with another tape, the newest ticks of what is new there first.
    fn move_to(&mut self, to: ChannelId, out: &mut Vec<u8>, desk: &mut Desk<'_>) {
        if to != self.channel {
            desk.board
                .snapshot_moved((self.channel, self.position), to, desk.instant, out);
        }
        desk.board.leave(self.channel);
        if to != self.channel {
            self.go_to(to, desk);
        }
    }

    /// Stands at the head of a tape. The heartbeat may be among what is passed over.
    fn go_to(&mut self, channel: ChannelId, desk: &Desk<'_>) {
        self.channel = channel;
        self.position = desk.board.tape(channel).head();
        self.resuming = false;
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
            backlog: Vec::new(),
            halted: false,
        }
    }
}

impl Allowance {
    fn new(desk: &Desk<'_>) -> Self {
        Self {
            messages: desk.config.message_burst,
            since: desk.now,
            held: false,
        }
    }

    /// Whether `frames` more are allowed now. Fragments and control frames count like messages.
    fn take(&mut self, frames: u32, desk: &Desk<'_>) -> bool {
        self.refill(desk);
        self.messages -= frames as f32;
        self.messages >= 0.0
    }

    /// What it sends from now on waits: what it may send meanwhile is not cut to a burst.
    fn hold(&mut self, desk: &Desk<'_>) {
        self.refill(desk);
        self.held = true;
    }

    /// All that it sent has been read.
    fn release(&mut self) {
        self.held = false;
    }

    fn refill(&mut self, desk: &Desk<'_>) {
        let seconds = desk.now.wrapping_sub(self.since) as f32 / 1000.0;
        self.messages += seconds * desk.config.message_rate;
        if !self.held {
            self.messages = self.messages.min(desk.config.message_burst);
        }
        self.since = desk.now;
    }
}
