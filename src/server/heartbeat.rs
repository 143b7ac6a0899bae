//! The heartbeat: a ping printed on the tapes for everybody, and the limits that only time shows.

use std::time::{Duration, Instant};

use super::close::CloseReason;
use super::{Server, grace};
use crate::frame;
use crate::io_loop::IoLoop;
use crate::periodic::PeriodicCallback;

impl Server {
    /// Begins to ping and to look for clients that are stuck.
    pub(super) fn start_heartbeat(&self, io_loop: &mut IoLoop<Self>) {
        let interval = self.config.ping_interval;
        if !interval.is_zero() {
            PeriodicCallback::start(io_loop, interval, Self::beat);
        }
        self.look_later(io_loop);
    }

    /// Looks for clients that are stuck, and again.
    fn look_later(&self, io_loop: &mut IoLoop<Self>) {
        // Fine enough that the limit is kept to an eighth.
        let look = (self.config.slow_timeout / 8).clamp(LOOK_MIN, LOOK_MAX);
        grace::call_at_limit(io_loop, look, |server, io_loop| {
            server.close_overdue_soon(io_loop, 0);
            server.look_later(io_loop);
        });
    }

    fn beat(&mut self, io_loop: &mut IoLoop<Self>) {
        self.heartbeat += 1;
        let mut ping = Vec::new();
        // The number is what its pong will repeat (RFC 6455 section 5.5.3).
        frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
        self.board.print_for_all(&ping, Instant::now());
        self.sweep_soon(io_loop);
        let heartbeat = self.heartbeat;
        let limit = self.config.ping_timeout.min(self.config.ping_interval);
        grace::call_at_limit(io_loop, limit, move |server, io_loop| {
            server.close_overdue_soon(io_loop, heartbeat);
        });
    }

    /// Looks in the next turn: in this one, the limit comes due before anything is read that arrived
    /// in time, a pong for one.
    fn close_overdue_soon(&mut self, io_loop: &mut IoLoop<Self>, heartbeat: u32) {
        io_loop.add_callback(move |server, io_loop| server.close_overdue(io_loop, heartbeat));
    }

    /// Closes who has taken nothing for too long, or has not answered `heartbeat` by now.
    fn close_overdue(&mut self, io_loop: &mut IoLoop<Self>, heartbeat: u32) {
        let (now, slow) = (self.now(), self.config.slow_timeout);
        let overdue: Vec<_> = self
            .connections
            .iter_mut()
            .filter_map(|connection| {
                let reason: CloseReason = connection.overdue(now, heartbeat, slow)?;
                Some((connection.token, reason))
            })
            .collect();
        self.close_all(io_loop, overdue);
    }
}

/// Between two looks for clients that are stuck.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Config;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    const LIMIT: Duration = Duration::from_millis(100);

    const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// Answers the first heartbeat at once, then holds the loop for longer than the limit.
    fn answer_and_pause(io_loop: &mut IoLoop<Server>, mut client: TcpStream) {
        io_loop.call_later(Duration::from_millis(1), move |server, io_loop| {
            if server.counters.clients == 1 && server.heartbeat == 0 {
                server.beat(io_loop);
            }
            let mut bytes = [0; 1024];
            let read = match client.read(&mut bytes) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => panic!("{error}"),
            };
            if !bytes[..read].ends_with(b"\x89\x011") {
                return answer_and_pause(io_loop, client);
            }
            client.write_all(b"\x8a\x81\0\0\0\x001").unwrap();
            // What a stopped process does, not a wait for anything.
            std::thread::sleep(LIMIT * 2);
            io_loop.call_later(LIMIT / 2, move |server, io_loop| {
                assert_eq!(server.counters.closed[CloseReason::NoPong.index()], 0);
                assert_eq!(server.counters.clients, 1);
                drop(client);
                io_loop.stop();
            });
        });
    }

    #[test]
    fn a_pong_in_time_counts_although_the_process_was_stopped() {
        let mut io_loop = IoLoop::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let config = Config {
            ping_interval: LIMIT * 100,
            ping_timeout: LIMIT,
            ..Config::default()
        };
        let mut server = Server::new(&mut io_loop, listener, config, Vec::new()).unwrap();
        client.write_all(HANDSHAKE).unwrap();
        client.set_nonblocking(true).unwrap();
        answer_and_pause(&mut io_loop, client);
        io_loop.start(&mut server).unwrap();
        assert_eq!(server.heartbeat, 1);
    }
}
