//! The two directions of a connection: operations in, a buffer of bytes out.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use ioloop::fiber;

use super::address::ServerAddress;
use super::decoder::{Decoder, Op};
use super::failure::Failure;
use super::traffic::Traffic;
use crate::http_client::{HttpClient, Route, TransportError};

/// A stream of operations. Used inside a fiber, which it suspends.
pub(super) struct Link {
    route: Route,
    decoder: Decoder,
    /// What to send. The begin of it may have been sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether TLS may hold back bytes that we take for sent.
    is_held_back: bool,
    incoming: Box<[u8]>,
    traffic: Traffic,
}

/// How a wait for an operation ended.
#[derive(Debug)]
pub(super) enum Next {
    Op(Op),
    Nudged,
    TimedOut,
}

impl Link {
    pub(super) fn new(route: Route, traffic: Traffic) -> Self {
        Self {
            route,
            decoder: Decoder::default(),
            outgoing: Vec::new(),
            sent: 0,
            is_held_back: false,
            incoming: vec![0; READ_LENGTH].into(),
            traffic,
        }
    }

    /// Adds TLS. Nothing may have arrived that would have been read without it: it might come from
    /// somebody between us and the server.
    pub(super) fn secure(
        self,
        http_client: &HttpClient,
        server: &ServerAddress,
    ) -> Result<Self, Failure> {
        if self.decoder.waiting() > 0 {
            let why = "it goes on without TLS where TLS has to begin";
            return Err(Failure::Protocol(why.to_owned()));
        }
        let route = self.route.secure(http_client, server.tls_name())?;
        Ok(Self { route, ..self })
    }

    /// From now on, a nudge of the fiber ends a wait for an operation.
    pub(super) fn accept_nudges(&mut self) {
        self.route.set_accepts_nudges(true);
    }

    /// The buffer of what to send.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Sends the buffer.
    pub(super) fn flush(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.route.set_deadline(deadline);
        self.send().map_err(|error| failure(&error))
    }

    /// The next operation; sends the buffer before it waits for one. When the time is over in the
    /// middle of sending, the next call goes on there.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Next, Failure> {
        self.route.set_deadline(deadline);
        loop {
            if let Some(op) = self.decoder.next()? {
                return Ok(Next::Op(op));
            }
            match self
                .send()
                .and_then(|()| self.route.read(&mut self.incoming))
            {
                Ok(0) => return Err(failure(&ErrorKind::UnexpectedEof.into())),
                Ok(length) => {
                    self.traffic.count_received(length);
                    self.decoder.feed(&self.incoming[..length]);
                }
                Err(error) if fiber::is_nudge(&error) => return Ok(Next::Nudged),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(Next::TimedOut),
                Err(error) => return Err(failure(&error)),
            }
        }
    }

    fn send(&mut self) -> std::io::Result<()> {
        while self.sent < self.outgoing.len() {
            self.is_held_back = true;
            match self.route.write(&self.outgoing[self.sent..])? {
                0 => return Err(ErrorKind::WriteZero.into()),
                length => {
                    self.traffic.count_sent(length);
                    self.sent += length;
                }
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        if self.is_held_back {
            self.route.flush()?;
            self.is_held_back = false;
        }
        Ok(())
    }
}

fn failure(error: &std::io::Error) -> Failure {
    Failure::Transport(TransportError::from_io(error))
}

/// How much is read at once: the length of a TLS record.
const READ_LENGTH: usize = 16 << 10;
