//! What clients send on their own schedule: requests when they are due, and pings for the clocks.

use std::mem;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, slot};
use mio::Token;

use crate::client::measure::clock_sync::FIRST;
use crate::client::measure::listener::Listener;
use crate::client::measure::requests::Outstanding;
use crate::client::received::Arrival;
use crate::client::run::loop_lag;
use crate::client::run::open_loop::OpenLoop;
use crate::client::run::phase::Phase;
use crate::client::run::session::Session;
use crate::client::run::state::Run;
use crate::client::run::users::Place;
use crate::client::ws::error::ConnectionError;

impl Run {
    /// Begins the schedule of requests, if there are any.
    pub(super) fn begin_requests(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.config.request.is_some() {
            let users = self.users.len();
            self.open_loop = Some(OpenLoop::new(Instant::now(), self.config.rate, users));
            self.send_requests(io_loop);
        }
    }

    /// Sends the requests that are due, a slice per turn.
    fn send_requests(&mut self, io_loop: &mut IoLoop<Self>) {
        let now = Instant::now();
        for _ in 0..REQUESTS_PER_TURN {
            let Some(open_loop) = self.open_loop.as_mut().filter(|_| !self.phase.is_over()) else {
                return;
            };
            let Some((number, round)) = open_loop.take(now) else {
                io_loop.call_at(open_loop.next_due(), Self::send_requests);
                return;
            };
            if let Some(token) = self.note_due(number, round) {
                self.send_due(io_loop, token);
            }
        }
        io_loop.add_callback(Self::send_requests);
    }

    /// Notes that the client `number` has rounds up to `round` due, whether it is connected or not.
    /// Returns its connection.
    fn note_due(&mut self, number: usize, round: u64) -> Option<Token> {
        let first_id = self.observer.ids.first_of(number);
        let (outstanding, token) = match &mut self.users.get(number).place {
            Place::Nowhere => return None,
            Place::Away(unfinished) => (&mut unfinished.outstanding, None),
            Place::At(token) => {
                let session = self.sessions.get_mut(slot(*token))?.as_mut()?;
                (&mut session.listener.outstanding, Some(*token))
            }
        };
        let new = || Box::new(Outstanding::new(round, first_id));
        outstanding.get_or_insert_with(new).is_due(round);
        token
    }

    /// Sends requests that were held back, now that the connection `token` may have room for them.
    pub(super) fn send_held_back(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if !self.phase.is_over() {
            self.send_due(io_loop, token);
        }
    }

    fn send_due(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if let Err(error) = self.try_send_due(token) {
            self.on_end(io_loop, token, &error);
        }
    }

    fn try_send_due(&mut self, token: Token) -> Result<(), ConnectionError> {
        let limit = self.config.unanswered_max;
        let (Some(template), Some(open_loop), Some(requests), Some(Some(session))) = (
            &self.config.request,
            &self.open_loop,
            &mut self.observer.measurement.requests,
            self.sessions.get_mut(slot(token)),
        ) else {
            return Ok(());
        };
        let number = session.user;
        let window_began = self.times.window_began_at();
        while let Some((round, outstanding)) = next(session, limit) {
            let id = outstanding.next_id();
            self.observer.ids.note(id);
            let text = template.text(id);
            let due = open_loop.due(number, round);
            let counts = window_began.is_some_and(|began| due >= began);
            requests.sent(outstanding, due, Instant::now(), counts);
            session.connection.send(text)?;
        }
        Ok(())
    }

    /// Whether replies that count may still arrive.
    pub(super) fn awaits_replies(&self) -> bool {
        let requests = self.observer.measurement.requests.as_ref();
        requests.is_some_and(|requests| requests.unanswered > 0)
    }

    /// Ends the schedules of the connection at `index` before it is removed: no more ticks are due
    /// on it.
    pub(super) fn end_schedules(&mut self, index: usize) {
        if let (true, Some(session)) = (self.observer.measuring, &mut self.sessions[index]) {
            self.observer
                .end_schedules(&mut session.listener, Instant::now());
        }
    }

    /// Ends the measuring on a connection of the user `number` that is removed: its schedules,
    /// unless they have already ended, and its requests.
    pub(super) fn end_measuring(&mut self, listener: &mut Listener, number: usize) {
        let now = Instant::now();
        if self.observer.measuring {
            self.observer.end_schedules(listener, now);
        }
        if let Some(outstanding) = listener.outstanding.take() {
            self.end_outstanding(&outstanding, number, now);
        }
    }

    fn end_outstanding(&mut self, outstanding: &Outstanding, number: usize, now: Instant) {
        let window_began = self.times.window_began_at();
        let open_loop = self.open_loop;
        if let Some(requests) = &mut self.observer.measurement.requests {
            requests.end(outstanding, now, |round| {
                let due = open_loop.map_or(now, |open_loop| open_loop.due(number, round));
                (due, window_began.is_some_and(|began| due >= began))
            });
        }
    }

    /// Stops waiting for replies.
    pub(super) fn end_requests(&mut self) {
        for index in 0..self.sessions.len() {
            let Some(mut session) = self.sessions[index].take() else {
                continue;
            };
            self.end_measuring(&mut session.listener, session.user);
            self.sessions[index] = Some(session);
        }
        let away = self.users.away();
        let outstanding =
            away.filter_map(|(number, user)| Some((number, user.outstanding.take()?)));
        for (number, outstanding) in outstanding.collect::<Vec<_>>() {
            self.end_outstanding(&outstanding, number, Instant::now());
        }
    }

    /// Makes the first comparison of the clocks, and continues when it is made or no server
    /// answers.
    pub(super) fn begin_sync(&mut self, io_loop: &mut IoLoop<Self>) {
        self.sync_until = Some(Instant::now() + SYNC_TIMEOUT);
        self.first_pings(io_loop);
    }

    fn first_pings(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase != Phase::Syncing {
            return;
        }
        let sync = self.observer.clock_sync.as_ref();
        let enough = sync.is_none_or(|sync| sync.answered >= FIRST);
        if enough || self.sync_until.is_none_or(|until| until <= Instant::now()) {
            self.ping_again(io_loop);
            self.gather(io_loop);
            return;
        }
        if sync.is_some_and(|sync| !sync.is_asking(Instant::now(), PATIENCE)) {
            self.ping(io_loop);
        }
        io_loop.call_later(FIRST_PINGS, Self::first_pings);
    }

    /// Keeps comparing the clocks until the window ends.
    fn ping_again(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.phase.is_over() {
            self.ping(io_loop);
            io_loop.call_later(LATER_PINGS, Self::ping_again);
        }
    }

    /// Sends a ping on a connection that has room for it: always the same connection, unless it
    /// does not answer.
    fn ping(&mut self, io_loop: &mut IoLoop<Self>) {
        let Some(sync) = &mut self.observer.clock_sync else {
            return;
        };
        let with_room = |session: &&mut Session| session.connection.has_room();
        let sessions = self.sessions.iter_mut().flatten().filter(with_room);
        let mut few: Vec<_> = sessions.take(PINGED_MAX).collect();
        if let Some(turn) = sync.unanswered().checked_rem(few.len()) {
            let session = few.swap_remove(turn);
            let token = session.token;
            if let Err(error) = session.connection.send(sync.ping(Arrival::now())) {
                self.on_end(io_loop, token, &error);
            }
        }
    }

    /// The last moment of the window, if it ends on time.
    fn window_end(&self) -> Instant {
        let limit = self.times.began.at + self.config.window_limit();
        let began = self.times.window_began_at().unwrap_or(limit);
        limit.min(began + self.config.duration) - Duration::from_nanos(1)
    }

    /// Ends the schedules and the sending of requests at the end of the window.
    pub(super) fn end_window(&mut self) {
        let now = Instant::now();
        // Finds the requests that the loop was too late to send. Requests that have become due only
        // just now are not among them, nor are those due after the end of a window that ends late.
        let due = now.checked_sub(loop_lag::INTERVAL).unwrap_or(now);
        let due = due.min(self.window_end());
        for number in 0..self.users.len() {
            let open_loop = self.open_loop.as_ref();
            if let Some(round) = open_loop.and_then(|open_loop| open_loop.last_round(number, due)) {
                self.note_due(number, round);
            }
        }
        for session in self.sessions.iter_mut().flatten() {
            self.observer.end_schedules(&mut session.listener, now);
        }
        let away = self.users.away();
        let schedules = away.map(|(_, unfinished)| mem::take(&mut unfinished.schedules));
        let schedules: Vec<_> = schedules.flatten().collect();
        self.observer.end_carried(schedules, now);
    }
}

/// The round to send now on the connection of `session`, with its requests.
fn next(session: &mut Session, limit: usize) -> Option<(u64, &mut Outstanding)> {
    if !session.connection.has_room() {
        return None;
    }
    let outstanding = session.listener.outstanding.as_mut()?;
    let round = outstanding.next(limit)?;
    Some((round, outstanding))
}

/// How many requests are sent per turn: each is a system call.
const REQUESTS_PER_TURN: usize = 32;

/// The pause between an answer and the next of the first pings.
const FIRST_PINGS: Duration = Duration::from_millis(2);

/// The same pause if there is no answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many connections to try, one after the other, if pings are not answered.
const PINGED_MAX: usize = 16;

/// The pause between pings during the window: long enough for any server's limit.
const LATER_PINGS: Duration = Duration::from_millis(500);

/// A server that has not answered by then does not support these pings.
const SYNC_TIMEOUT: Duration = Duration::from_secs(1);
