//! Clients that come back: those that lost their connection (`--reconnect`) and those that leave
//! and open another one on purpose (`--churn`).

use std::time::{Duration, Instant};

use fastrand::Rng;
use ioloop::IoLoop;
use mio::Token;

use crate::client::run::users::Seat;
use crate::client::run::{CLOSE_TIMEOUT, CONNECTIONS_PER_TURN, Client};
use crate::client::ws::connection::Connection;
use crate::feed::Backoff;

/// So many connections a second, on a fixed grid, are closed and opened anew.
#[derive(Debug)]
pub(in crate::client) struct Churn {
    began: Instant,
    per_second: f64,
    done: u64,
    /// The slot whose connection is looked at next.
    slot: usize,
}

impl Churn {
    fn due(&self) -> Instant {
        self.began + Duration::from_secs_f64(self.done as f64 / self.per_second)
    }
}

impl Client {
    /// Begins to close and open connections, if that was asked for.
    pub(in crate::client) fn begin_churn(&mut self, io_loop: &mut IoLoop<Self>) {
        if let Some(per_second) = self.config.shape.churn {
            self.churn = Some(Churn {
                began: Instant::now(),
                per_second,
                done: 0,
                slot: 0,
            });
            self.churn_on(io_loop);
        }
    }

    /// Replaces the connections that are due, a slice per turn.
    fn churn_on(&mut self, io_loop: &mut IoLoop<Self>) {
        for _ in 0..CONNECTIONS_PER_TURN {
            let Some(churn) = self.churn.as_mut().filter(|_| !self.phase.is_over()) else {
                return;
            };
            let due = churn.due();
            if due > Instant::now() {
                io_loop.call_at(due, Self::churn_on);
                return;
            }
            churn.done += 1;
            if let Some(index) = self.next_to_leave() {
                self.replace(io_loop, index);
            }
        }
        io_loop.add_callback(Self::churn_on);
    }

    /// The slot of the next connection in turn that has got a tick: one that has not would leave
    /// without having been of any use. None if there is none among the next few.
    fn next_to_leave(&mut self) -> Option<usize> {
        let slots = self.connections.len();
        let churn = self.churn.as_mut()?;
        for _ in 0..slots.min(SLOTS_LOOKED_AT) {
            churn.slot = (churn.slot + 1) % slots;
            let connection = self.connections[churn.slot].as_ref();
            if connection.is_some_and(Connection::may_leave) {
                return Some(churn.slot);
            }
        }
        None
    }

    /// Closes a connection politely and opens another one for its client at once.
    fn replace(&mut self, io_loop: &mut IoLoop<Self>, index: usize) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let (token, number) = (connection.token, connection.number);
        let closed = connection.close();
        let seat = connection.leave(None);
        self.tally.leave(seat.slow);
        self.statistics.returns.churned += 1;
        self.end_schedules(index);
        self.forget_place(number);
        match closed {
            Ok(()) => self.limit_closing(io_loop, token),
            Err(_) => self.remove(io_loop, token),
        }
        self.tally.away += 1;
        self.come_back(io_loop, seat);
    }

    /// A server that does not end its side is left after a while.
    pub(in crate::client) fn limit_closing(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let timeout = io_loop.call_later(CLOSE_TIMEOUT, move |client: &mut Self, io_loop| {
            client.remove(io_loop, token);
            client.proceed(io_loop);
        });
        if let Some(connection) = self.connection(token) {
            io_loop.remove_timeout(connection.timeout);
            connection.timeout = timeout;
        }
    }

    /// Takes the client out of a connection that was lost, if it is to come back.
    pub(in crate::client) fn on_loss(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if !self.config.shape.reconnect || self.phase.is_over() {
            return;
        }
        let backoff = Backoff::new(Rng::new());
        if let Some(connection) = self.connection(token) {
            let seat = connection.leave(Some(backoff));
            self.statistics.returns.lost += 1;
            self.tally.away += 1;
            self.come_back_later(io_loop, seat);
        }
    }

    /// An attempt to come back has failed: there will be another one, or the client stays away.
    pub(in crate::client) fn on_failed_return(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        mut seat: Seat,
    ) {
        self.statistics.returns.failed += 1;
        if !self.config.shape.reconnect || self.phase.is_over() {
            self.tally.away -= 1;
            return;
        }
        if let Some(way_back) = &mut seat.way_back {
            way_back
                .backoff
                .get_or_insert_with(|| Backoff::new(Rng::new()));
        }
        self.come_back_later(io_loop, seat);
    }

    fn come_back_later(&mut self, io_loop: &mut IoLoop<Self>, mut seat: Seat) {
        let backoff = seat.way_back.as_mut().and_then(|it| it.backoff.as_mut());
        let pause = backoff.map_or(Duration::ZERO, |it| it.failed(FIRST_PAUSE, LONGEST_PAUSE));
        io_loop.call_later(pause, move |client: &mut Self, io_loop| {
            client.come_back(io_loop, seat);
        });
    }

    /// Opens a connection for a client that had one, as soon as there is room.
    fn come_back(&mut self, io_loop: &mut IoLoop<Self>, seat: Seat) {
        if self.phase.is_over() {
            self.tally.away -= 1;
            return;
        }
        self.returning.push_back(seat);
        self.see_to_opening(io_loop);
    }
}

impl Connection {
    /// Whether it is open and has got a tick.
    fn may_leave(&self) -> bool {
        self.is_open() && self.has_heard() && !self.seat.slow
    }
}

/// The pause before the first attempt to come back, and the longest one between later attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A fraction of a millisecond's work.
const SLOTS_LOOKED_AT: usize = 256;
