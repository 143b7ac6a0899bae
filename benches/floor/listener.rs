//! The least that a client can do: a mio loop that reads and counts bytes. Its cost is the
//! kernel's; what our client costs beyond that is its measuring.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;
use tickertape::process::{Usage, raise_descriptor_limit};

/// How clients get their ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    WebSocket,
    /// Server-sent events.
    Events,
    /// Every other client gets events.
    Both,
}

impl Wire {
    const NAMES: [(&str, Self); 3] = [
        ("websocket", Self::WebSocket),
        ("events", Self::Events),
        ("both", Self::Both),
    ];

    /// Its name on the command line of the listener.
    pub(crate) fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, wire)| *wire == self);
        named.map_or("", |(name, _)| name)
    }

    fn named(name: &str) -> Result<Self, String> {
        let named = Self::NAMES.iter().find(|(known, _)| *known == name);
        named
            .map(|&(_, wire)| wire)
            .ok_or(format!("{name}: unknown"))
    }

    fn request(self, client: u64) -> &'static [u8] {
        match self {
            Self::Events => EVENTS_REQUEST,
            Self::Both if client % 2 == 1 => EVENTS_REQUEST,
            _ => REQUEST,
        }
    }
}

/// Listens to the server at `address`, the process `pid`, with this many clients for two periods, one
/// after the other, and prints the results of the second as JSON, with the names in our client's
/// reports.
pub(crate) fn listen(words: &[String]) -> Result<(), String> {
    let [address, pid, wire, clients, warmup_ms, duration_ms] = words else {
        return Err("expected an address, a pid, a wire, a number of clients and two times".into());
    };
    let number = |word: &String| {
        word.parse::<u64>()
            .map_err(|error| format!("{word}: {error}"))
    };
    let (clients, warmup, duration) = (number(clients)?, number(warmup_ms)?, number(duration_ms)?);
    let pid = u32::try_from(number(pid)?).map_err(|error| format!("{pid}: {error}"))?;
    let wire = Wire::named(wire)?;
    let mut listener =
        Listener::connect(address, wire, clients).map_err(|error| error.to_string())?;
    let mut measure = || {
        listener.run(Duration::from_millis(warmup))?;
        let before = Usage::of(pid)?;
        let (ticks, cpu) = listener.run(Duration::from_millis(duration))?;
        Ok((ticks, cpu, Usage::of(pid)?.since(&before).cpu))
    };
    let measured: io::Result<_> = measure();
    let (ticks, client, server) = measured.map_err(|error| error.to_string())?;
    println!(
        "{}",
        json!({
            "ticks": ticks,
            "client": {"cpu_s": client.as_secs_f64()},
            "server": {"cpu_s": server.as_secs_f64()},
        })
    );
    Ok(())
}

struct Listener {
    poll: Poll,
    /// Each with the length of its first tick; others differ by a digit.
    streams: Vec<(TcpStream, u64)>,
    scratch: Vec<u8>,
}

impl Listener {
    fn connect(address: &str, wire: Wire, clients: u64) -> io::Result<Self> {
        raise_descriptor_limit()?;
        let poll = Poll::new()?;
        let mut streams = Vec::new();
        let mut scratch = vec![0; 64 * 1024];
        for client in 0..clients {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.write_all(wire.request(client))?;
            // The answer and the newest tick, if there is one, arrive together.
            let mut length = 0;
            while tick_length(&scratch[..length]) == 0 {
                match stream.read(&mut scratch[length..])? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    more => length += more,
                }
            }
            let tick = tick_length(&scratch[..length]);
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let token = Token(streams.len());
            poll.registry()
                .register(&mut stream, token, Interest::READABLE)?;
            streams.push((stream, tick));
        }
        Ok(Self {
            poll,
            streams,
            scratch,
        })
    }

    /// Returns the number of ticks received and the CPU time used.
    fn run(&mut self, duration: Duration) -> io::Result<(u64, Duration)> {
        let (until, before) = (Instant::now() + duration, Usage::of_self()?);
        let mut events = Events::with_capacity(1024);
        let mut ticks = 0.0;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            match self.poll.poll(&mut events, Some(rest)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                let index = event.token().0;
                ticks += self.drain(index)? as f64 / self.streams[index].1 as f64;
            }
        }
        Ok((ticks as u64, Usage::of_self()?.since(&before).cpu))
    }

    /// A read that does not fill the buffer has drained the socket, so it is the last.
    fn drain(&mut self, index: usize) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            match self.streams[index].0.read(&mut self.scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => bytes += length as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(bytes),
                Err(error) => return Err(error),
            }
            if bytes % self.scratch.len() as u64 != 0 {
                return Ok(bytes);
            }
        }
    }
}

/// The length of the text frame or of the event after the head of the answer; zero if there is none
/// yet.
fn tick_length(answer: &[u8]) -> u64 {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let behind = end.map_or(&[][..], |end| &answer[end + 4..]);
    match behind {
        [0x81, length @ 0..=125, ..] => 2 + u64::from(*length),
        _ => {
            let event = behind.windows(4).position(|four| four == b"id: ");
            let event = event.map_or(&[][..], |from| &behind[from..]);
            let end = event.windows(2).position(|two| two == b"\n\n");
            end.map_or(0, |end| end as u64 + 2)
        }
    }
}

const EVENTS_REQUEST: &[u8] = b"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
