//! The least that a client can do: a mio loop that reads and counts bytes. Its cost is the
//! kernel's; what our client costs beyond that is its measuring.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;
use tickertape::process::{Usage, raise_descriptor_limit};

/// Listens at `address` with this many clients for two periods, one after the other, and prints the
/// results of the second as JSON, with the names in our client's reports.
pub(crate) fn listen(words: &[String]) -> Result<(), String> {
    let [address, clients, warmup_ms, duration_ms] = words else {
        return Err("expected an address, a number of clients and two times".to_owned());
    };
    let number = |word: &String| {
        word.parse::<u64>()
            .map_err(|error| format!("{word}: {error}"))
    };
    let (clients, warmup, duration) = (number(clients)?, number(warmup_ms)?, number(duration_ms)?);
    let mut listener = Listener::connect(address, clients).map_err(|error| error.to_string())?;
    let measured = listener
        .run(Duration::from_millis(warmup))
        .and_then(|_| listener.run(Duration::from_millis(duration)));
    let (bytes, cpu) = measured.map_err(|error| error.to_string())?;
    let ticks = bytes / listener.frame_length.max(1);
    println!(
        "{}",
        json!({"ticks": ticks, "client": {"cpu_s": cpu.as_secs_f64()}})
    );
    Ok(())
}

struct Listener {
    poll: Poll,
    streams: Vec<TcpStream>,
    scratch: Vec<u8>,
    /// The length of the first tick; others differ by a digit.
    frame_length: u64,
}

impl Listener {
    fn connect(address: &str, clients: u64) -> io::Result<Self> {
        raise_descriptor_limit()?;
        let poll = Poll::new()?;
        let mut streams = Vec::new();
        let mut scratch = vec![0; 64 * 1024];
        let mut frame_length = 0;
        for _ in 0..clients {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.write_all(REQUEST)?;
            // The answer and the newest tick, if there is one, arrive together.
            let length = stream.read(&mut scratch)?;
            if frame_length == 0 {
                frame_length = frame(&scratch[..length]);
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let token = Token(streams.len());
            poll.registry()
                .register(&mut stream, token, Interest::READABLE)?;
            streams.push(stream);
        }
        Ok(Self {
            poll,
            streams,
            scratch,
            frame_length,
        })
    }

    /// Returns the number of bytes received and the CPU time used.
    fn run(&mut self, duration: Duration) -> io::Result<(u64, Duration)> {
        let (until, before) = (Instant::now() + duration, Usage::of_self()?);
        let mut events = Events::with_capacity(1024);
        let mut bytes = 0;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            match self.poll.poll(&mut events, Some(rest)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                bytes += self.drain(event.token().0)?;
            }
        }
        Ok((bytes, Usage::of_self()?.since(&before).cpu))
    }

    /// A read that does not fill the buffer has drained the socket, so it is the last.
    fn drain(&mut self, index: usize) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            match self.streams[index].read(&mut self.scratch) {
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

/// The length of the text frame after the head of the answer; zero if there is none yet.
fn frame(answer: &[u8]) -> u64 {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let behind = end.map_or(&[][..], |end| &answer[end + 4..]);
    match behind {
        [0x81, length @ 0..=125, ..] => 2 + u64::from(*length),
        _ => 0,
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
