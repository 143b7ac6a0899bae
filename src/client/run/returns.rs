//! Clients that come back: after losing their connection (`--reconnect`), or after leaving it on
//! purpose (`--churn`).

use std::time::{Duration, Instant};

use fastrand::Rng;
use ioloop::IoLoop;
use mio::Token;

use crate::backoff::Backoff;
use crate::client::run::open_loop::Churn;
use crate::client::run::session::Session;
use crate::client::run::state::{CLOSE_TIMEOUT, CONNECTIONS_PER_TURN, Run};
use crate::client::run::users::{Place, Returning};

impl Run {
    /// Begins to replace connections, if configured.
    pub(super) fn begin_churn(&mut self, io_loop: &mut IoLoop<Self>) {
        if let Some(per_second) = self.config.behaviour.churn {
            self.churn = Some(Churn::new(per_second));
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

    /// The slot of the next connection in turn that has received a tick; one that has not would
    /// leave without a use. `None` if none of the next few has.
    fn next_to_leave(&mut self) -> Option<usize> {
        let slots = self.sessions.len();
        let churn = self.churn.as_mut()?;
        for _ in 0..slots.min(SLOTS_LOOKED_AT) {
            churn.slot = (churn.slot + 1) % slots;
            let session = self.sessions[churn.slot].as_ref();
            if session.is_some_and(Session::may_leave) {
                return Some(churn.slot);
            }
        }
        None
    }

    /// Closes a connection politely and at once opens another one for its client.
    fn replace(&mut self, io_loop: &mut IoLoop<Self>, index: usize) {
        let Some(session) = &mut self.sessions[index] else {
            return;
        };
        let (token, number) = (session.token, session.user);
        let closed = session.connection.close();
        let past = session.listener.past(false);
        let user = self.users.get(number);
        user.place = Place::Nowhere;
        let backoff = None;
        user.returning = Some(Box::new(Returning { past, backoff }));
        self.tally.leave(user.is_slow);
        self.tally.away += 1;
        self.observer.measurement.returns.counters.churned += 1;
        self.end_schedules(index);
        match closed {
            Ok(()) => self.limit_closing(io_loop, token),
            Err(_) => self.remove(io_loop, token),
        }
        self.come_back(io_loop, number);
    }

    /// Limits how long the server may take to end its side.
    pub(super) fn limit_closing(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        let timeout = io_loop.call_later(CLOSE_TIMEOUT, move |run: &mut Self, io_loop| {
            run.remove(io_loop, token);
            run.proceed(io_loop);
        });
        if let Some(session) = self.session(token) {
            io_loop.remove_timeout(session.timeout);
            session.timeout = timeout;
        }
    }

    /// Takes the user of a lost connection, if it is to come back.
    pub(super) fn on_loss(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if !self.config.behaviour.reconnect || self.phase.is_over() {
            return;
        }
        if let Some(session) = self.session(token) {
            let (number, past) = (session.user, session.listener.past(true));
            let backoff = Some(Backoff::new(Rng::new()));
            self.users.get(number).returning = Some(Box::new(Returning { past, backoff }));
            self.observer.measurement.returns.counters.lost += 1;
            self.tally.away += 1;
            self.come_back_later(io_loop, number);
        }
    }

    /// Handles a failed attempt to come back: the user tries again, or stays away.
    pub(super) fn on_failed_return(&mut self, io_loop: &mut IoLoop<Self>, number: usize) {
        self.observer.measurement.returns.counters.failed += 1;
        if !self.config.behaviour.reconnect || self.phase.is_over() {
            self.tally.away -= 1;
            return;
        }
        if let Some(returning) = &mut self.users.get(number).returning {
            // A user that cannot come back counts as lost, even if it left on purpose.
            returning.past.is_lost = true;
            let backoff = &mut returning.backoff;
            backoff.get_or_insert_with(|| Backoff::new(Rng::new()));
        }
        self.come_back_later(io_loop, number);
    }

    fn come_back_later(&mut self, io_loop: &mut IoLoop<Self>, number: usize) {
        let returning = self.users.get(number).returning.as_mut();
        let backoff = returning.and_then(|returning| returning.backoff.as_mut());
        let pause = backoff.map_or(Duration::ZERO, |backoff| {
            backoff.failed(FIRST_PAUSE, LONGEST_PAUSE)
        });
        io_loop.call_later(pause, move |run: &mut Self, io_loop| {
            run.come_back(io_loop, number);
        });
    }

    /// Opens a connection for a returning user as soon as there is room.
    fn come_back(&mut self, io_loop: &mut IoLoop<Self>, number: usize) {
        if self.phase.is_over() {
            self.tally.away -= 1;
            return;
        }
        self.returning.push_back(number);
        self.see_to_opening(io_loop);
    }
}

/// The pause before the first attempt to come back, and the longest pause between later ones.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A fraction of a millisecond's work.
const SLOTS_LOOKED_AT: usize = 256;
