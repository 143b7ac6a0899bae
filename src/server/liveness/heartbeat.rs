//! The heartbeat: a ping on the tape for every client, and the limits that only time can break.

use std::time::{Duration, Instant};

use ioloop::{IoLoop, PeriodicCallback};
use mio::Token;

use crate::frame;
use crate::server::Server;
use crate::server::close::CloseReason;
use crate::server::closing::Ending;
use crate::server::context::Ping;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Starts the pings and the checks for stuck clients.
    pub(crate) fn start_heartbeat(&self, io_loop: &mut IoLoop<Self>) {
        let interval = self.config.ping_interval;
        if !interval.is_zero() {
            PeriodicCallback::start(io_loop, interval, Self::beat);
        }
        // Frequent enough to keep the limit to within an eighth.
        let look = (self.config.slow_timeout / 8).clamp(LOOK_MIN, LOOK_MAX);
        PeriodicCallback::start(io_loop, look, |_: &mut Self, io_loop| {
            close_overdue_soon(io_loop, Ping::NONE);
        });
    }

    pub(crate) fn beat(&mut self, io_loop: &mut IoLoop<Self>) {
        self.heartbeat += 1;
        let mut ping = Vec::new();
        // The client's pong repeats the number (RFC 6455 section 5.5.3).
        frame::ping(&mut ping, self.heartbeat.to_string().as_bytes());
        self.ping_frame = self.hub.tape().head();
        self.hub.publish_to_everyone(&ping, io_loop.time());
        self.broadcast_soon(io_loop);
        let ping = self.last_ping();
        let limit = self.config.ping_timeout.min(self.config.ping_interval);
        io_loop.call_later(limit, move |_, io_loop| {
            close_overdue_soon(io_loop, ping);
        });
    }

    /// The newest ping.
    pub(crate) fn last_ping(&self) -> Ping {
        Ping {
            number: self.heartbeat,
            frame: self.ping_frame,
        }
    }

    /// Closes clients that have taken no bytes for too long or have not answered `ping`, except
    /// those that recover before their turn to be closed.
    pub(crate) fn close_overdue(&mut self, io_loop: &mut IoLoop<Self>, ping: Ping) {
        let (now, slow) = (self.uptime(io_loop.time()), self.config.slow_timeout);
        let hub = &self.hub;
        let overdue = self.connections.iter_mut().filter_map(|connection| {
            let reason = connection.overdue(now, (ping, hub), slow);
            reason.map(|_| (connection.token, Ending::IfOverdue(ping)))
        });
        let overdue: Vec<_> = overdue.collect();
        self.close_many(io_loop, overdue);
    }

    /// The limit that a client still breaks, if any.
    pub(crate) fn overdue(
        &mut self,
        now: Instant,
        token: Token,
        ping: Ping,
    ) -> Option<CloseReason> {
        let (now, slow) = (self.uptime(now), self.config.slow_timeout);
        let connection = self.connections.get_mut(token)?;
        connection.overdue(now, (ping, &self.hub), slow)
    }
}

/// Checks once all events that are pending now are handled. After a pause of the process the limit
/// comes due before the bytes that arrived meanwhile are read, and a pong may be among them.
fn close_overdue_soon<S: Transport>(io_loop: &mut IoLoop<Server<S>>, ping: Ping) {
    io_loop.call_after_events(move |server: &mut Server<S>, io_loop| {
        server.close_overdue(io_loop, ping);
    });
}

/// The bounds of the time between two checks for stuck clients.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Config;
    use crate::server::connection::Connection;
    use crate::server::socket::Socket;
    use crate::server::{CLOSES_PER_TURN, SCRATCH_LENGTH};
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// A test's next step once all clients are connected.
    type Then = fn(&mut Server, &mut IoLoop<Server>, Vec<TcpStream>);

    /// The pong to the first heartbeat.
    const PONG: &[u8] = b"\x8a\x81\0\0\0\x001";

    /// Serves `count` clients whose pongs are due soon after the ping; `then` runs when all are
    /// connected.
    fn serve(count: usize, then: Then) -> Server {
        let mut io_loop = IoLoop::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            ping_interval: Duration::from_secs(3600),
            // Long enough to send every client the ping.
            ping_timeout: Duration::from_millis(200),
            ..Config::default()
        };
        let mut server = Server::new(&mut io_loop, listener, config, Vec::new()).unwrap();
        join(&mut io_loop, address, Vec::new(), (count, then));
        io_loop.call_later(Duration::from_secs(30), |_, _| panic!("it hangs"));
        io_loop.start(&mut server).unwrap();
        server
    }

    /// Connects the clients one after the other, so that their order is known.
    fn join(
        io_loop: &mut IoLoop<Server>,
        address: SocketAddr,
        mut clients: Vec<TcpStream>,
        (count, then): (usize, Then),
    ) {
        io_loop.add_callback(move |server, io_loop| {
            if server.counters.clients == clients.len() as u64 {
                if clients.len() == count {
                    return then(server, io_loop, clients);
                }
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(HANDSHAKE).unwrap();
                clients.push(client);
            }
            join(io_loop, address, clients, (count, then));
        });
    }

    /// Sends a client's bytes and waits until they have arrived.
    fn say(server: &mut Server, client: &mut TcpStream, bytes: &[u8]) {
        client.write_all(bytes).unwrap();
        let address = client.local_addr().unwrap();
        let connections = &mut server.connections;
        let mut sockets = connections.iter_mut().map(Connection::socket);
        let socket = sockets.find(|socket| socket.peer_addr().unwrap() == address);
        let socket = socket.expect("it is connected");
        let mut arrived = vec![0; bytes.len()];
        while socket.transport().peek(&mut arrived).ok() != Some(bytes.len()) {
            std::thread::yield_now();
        }
    }

    fn dropped(server: &Server) -> u64 {
        server.counters.closed[CloseReason::NoPong.index()]
    }

    /// Stops a little after `count` clients were dropped, because no others may be dropped.
    fn stop_after(io_loop: &mut IoLoop<Server>, count: u64, clients: Vec<TcpStream>) {
        io_loop.add_callback(move |server, io_loop| {
            if dropped(server) < count {
                return stop_after(io_loop, count, clients);
            }
            io_loop.call_after_events(move |_, io_loop| {
                drop(clients);
                io_loop.stop();
            });
        });
    }

    #[test]
    fn pongs_in_time_count_even_if_the_server_reads_them_after_the_limit() {
        // Like a pause of the process: all clients but the first have answered, and the limit has
        // passed.
        let server = serve(100, |server, io_loop, mut clients| {
            server.beat(io_loop);
            for client in &mut clients[1..] {
                say(server, client, PONG);
            }
            stop_after(io_loop, 1, clients);
        });
        assert_eq!(dropped(&server), 1, "only the first did not answer");
    }

    #[test]
    fn a_pong_in_time_counts_behind_more_bytes_than_one_turn_reads() {
        let server = serve(2, |server, io_loop, mut clients| {
            server.beat(io_loop);
            let mut message = vec![0x81, 0xfe, 0x0f, 0xa0, 0, 0, 0, 0];
            message.resize(message.len() + 4000, b' ');
            let mut bytes = message.repeat(3 * SCRATCH_LENGTH / message.len());
            bytes.extend_from_slice(PONG);
            say(server, &mut clients[1], &bytes);
            stop_after(io_loop, 1, clients);
        });
        assert_eq!(dropped(&server), 1, "only the first did not answer");
    }

    #[test]
    fn a_client_that_answers_before_its_turn_to_be_dropped_stays() {
        const FIRST: u64 = CLOSES_PER_TURN as u64;
        let server = serve(2 * CLOSES_PER_TURN + 1, |server, io_loop, clients| {
            server.beat(io_loop);
            answer_last(io_loop, clients);
        });
        /// The last client answers after the first share was dropped and before the second.
        fn answer_last(io_loop: &mut IoLoop<Server>, mut clients: Vec<TcpStream>) {
            io_loop.add_callback(move |server, io_loop| {
                if dropped(server) < FIRST {
                    return answer_last(io_loop, clients);
                }
                assert_eq!(dropped(server), FIRST);
                say(server, clients.last_mut().unwrap(), PONG);
                stop_after(io_loop, 2 * FIRST, clients);
            });
        }
        assert_eq!(dropped(&server), 2 * FIRST);
    }
}
