//! The heartbeat: a ping printed on the tape for everyone, and the limits that only time shows.

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
    /// Begins to ping and to look for clients that are stuck.
    pub(crate) fn start_heartbeat(&self, io_loop: &mut IoLoop<Self>) {
        let interval = self.config.ping_interval;
        if !interval.is_zero() {
            PeriodicCallback::start(io_loop, interval, Self::beat);
        }
        // Fine enough that the limit is kept to an eighth.
        let look = (self.config.slow_timeout / 8).clamp(LOOK_MIN, LOOK_MAX);
        PeriodicCallback::start(io_loop, look, |_: &mut Self, io_loop| {
            close_overdue_soon(io_loop, Ping::NONE);
        });
    }

    pub(crate) fn beat(&mut self, io_loop: &mut IoLoop<Self>) {
        self.heartbeat += 1;
        let mut ping = Vec::new();
        // The number is what its pong will repeat (RFC 6455 section 5.5.3).
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

    /// Closes clients that have taken nothing for too long, or have not answered `ping` by now; but
    /// none that has made up for it by the time that it is its turn.
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

    /// The limit that a client has broken, if it still has.
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

/// Looks once all has been read that is there now. After a pause of the process a limit comes due
/// before anything is read that arrived meanwhile, a pong in time for one.
fn close_overdue_soon<S: Transport>(io_loop: &mut IoLoop<Server<S>>, ping: Ping) {
    io_loop.call_after_events(move |server: &mut Server<S>, io_loop| {
        server.close_overdue(io_loop, ping);
    });
}

/// Between two looks for clients that are stuck.
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

    /// What happens once all clients are in.
    type Then = fn(&mut Server, &mut IoLoop<Server>, Vec<TcpStream>);

    /// The answer to the first heartbeat.
    const PONG: &[u8] = b"\x8a\x81\0\0\0\x001";

    /// Serves `count` clients whose pongs are due soon after they are asked for; `then` runs when all
    /// are in.
    fn serve(count: usize, then: Then) -> Server {
        let mut io_loop = IoLoop::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            ping_interval: Duration::from_secs(3600),
            // Time enough for everybody to be sent the ping.
            ping_timeout: Duration::from_millis(200),
            ..Config::default()
        };
        let mut server = Server::new(&mut io_loop, listener, config, Vec::new()).unwrap();
        join(&mut io_loop, address, Vec::new(), (count, then));
        io_loop.call_later(Duration::from_secs(30), |_, _| panic!("it hangs"));
        io_loop.start(&mut server).unwrap();
        server
    }

    /// Lets in one client after the other, so that their order is known.
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

    /// A client says something, which has arrived when this returns.
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

    /// Stops once `count` were dropped, and a little later: nobody else may be.
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
    fn pongs_in_time_count_however_many_were_not_read_by_the_limit() {
        // As after a pause of the process: all have answered, and the limit is over.
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
    fn a_pong_in_time_counts_behind_more_than_one_turn_reads() {
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
    fn who_answers_before_its_turn_to_be_dropped_stays() {
        const FIRST: u64 = CLOSES_PER_TURN as u64;
        let server = serve(2 * CLOSES_PER_TURN + 1, |server, io_loop, clients| {
            server.beat(io_loop);
            answer_last(io_loop, clients);
        });
        /// The last answers when the first share is gone; the second share is next.
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
