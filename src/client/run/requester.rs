//! What clients send of their own accord: requests when they are due, and pings for the clocks.

use std::mem;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, slot};
use mio::Token;

use crate::client::measure::clock::Arrival;
use crate::client::measure::clock_sync::FIRST;
use crate::client::measure::listener::Listener;
use crate::client::measure::requests::Asking;
use crate::client::run::open_loop::Timetable;
use crate::client::run::places::Place;
use crate::client::run::{Client, Phase, loop_lag};
use crate::client::ws::connection::Connection;
use crate::client::ws::error::Failure;

impl Client {
    /// Begins the schedule of requests, if there are any to send.
    pub(in crate::client) fn begin_requests(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.config.request.is_some() {
            let places = self.places.len();
            self.timetable = Some(Timetable::new(Instant::now(), self.config.rate, places));
            self.ask(io_loop);
        }
    }

    /// Sends the requests that are due, a slice per turn.
    fn ask(&mut self, io_loop: &mut IoLoop<Self>) {
        let now = Instant::now();
        for _ in 0..REQUESTS_PER_TURN {
            let Some(timetable) = self.timetable.as_mut().filter(|_| !self.phase.is_over()) else {
                return;
            };
            let Some((number, round)) = timetable.take(now) else {
                io_loop.call_at(timetable.next_due(), Self::ask);
                return;
            };
            if let Some(token) = self.note_due(number, round) {
                self.send_due(io_loop, token);
            }
        }
        io_loop.add_callback(Self::ask);
    }

    /// Notes that the client `number` is to have sent what is due up to `round`, wherever it is.
    /// Returns its connection.
    fn note_due(&mut self, number: usize, round: u64) -> Option<Token> {
        let first_id = self.statistics.ids.first_of(number);
        let (asking, token) = match self.places.get_mut(number)? {
            Place::Nowhere => return None,
            Place::Away(away) => (&mut away.asking, None),
            Place::At(token) => {
                let connection = self.connections.get_mut(slot(*token))?.as_mut()?;
                (&mut connection.listener.asking, Some(*token))
            }
        };
        let new = || Box::new(Asking::new(round, first_id));
        asking.get_or_insert_with(new).is_due(round);
        token
    }

    /// Sends what was held back, now that the connection `token` may have room for it.
    pub(in crate::client) fn ask_held_back(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if !self.phase.is_over() {
            self.send_due(io_loop, token);
        }
    }

    fn send_due(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
        if let Err(failure) = self.try_send_due(token) {
            self.on_end(io_loop, token, &failure);
        }
    }

    fn try_send_due(&mut self, token: Token) -> Result<(), Failure> {
        let limit = self.config.unanswered_max;
        let (Some(template), Some(timetable), Some(replies), Some(Some(connection))) = (
            &self.config.request,
            &self.timetable,
            &mut self.statistics.replies,
            self.connections.get_mut(slot(token)),
        ) else {
            return Ok(());
        };
        let number = connection.number;
        while let Some((round, asking)) = next(connection, limit) {
            let id = asking.next_id();
            self.statistics.ids.note(id);
            let text = template.text(id);
            let due = timetable.due(number, round);
            let window_began = self.window_began.as_ref();
            let counts = window_began.is_some_and(|began| due >= began.at);
            replies.sent(asking, due, Instant::now(), counts);
            connection.send(text)?;
        }
        Ok(())
    }

    /// Whether replies may still come that count.
    pub(in crate::client) fn awaits_replies(&self) -> bool {
        let replies = self.statistics.replies.as_ref();
        replies.is_some_and(|replies| replies.unanswered > 0)
    }

    /// Ends the schedules of the connection at `index` before it goes: no more ticks are due there.
    pub(in crate::client) fn end_schedules(&mut self, index: usize) {
        if let (true, Some(connection)) = (self.statistics.measuring, &mut self.connections[index])
        {
            let now = Instant::now();
            self.statistics.end_schedules(&mut connection.listener, now);
        }
    }

    /// Ends what is measured on a connection of the client `number` that goes: its schedules, if
    /// that has not happened before, and its requests.
    pub(in crate::client) fn end_measuring(&mut self, listener: &mut Listener, number: usize) {
        let now = Instant::now();
        if self.statistics.measuring {
            self.statistics.end_schedules(listener, now);
        }
        if let Some(asking) = listener.asking.take() {
            self.end_asking(&asking, number, now);
        }
    }

    fn end_asking(&mut self, asking: &Asking, number: usize, now: Instant) {
        let window_began = self.window_began.as_ref().map(|moment| moment.at);
        let timetable = self.timetable;
        if let Some(replies) = &mut self.statistics.replies {
            replies.end(asking, now, |round| {
                let due = timetable.map_or(now, |timetable| timetable.due(number, round));
                (due, window_began.is_some_and(|began| due >= began))
            });
        }
    }

    /// No reply is waited for any more.
    pub(in crate::client) fn end_requests(&mut self) {
        for index in 0..self.connections.len() {
            let Some(mut connection) = self.connections[index].take() else {
                continue;
            };
            self.end_measuring(&mut connection.listener, connection.number);
            self.connections[index] = Some(connection);
        }
        let away = self.away();
        let asked = away.filter_map(|(number, away)| Some((number, away.asking.take()?)));
        for (number, asking) in asked.collect::<Vec<_>>() {
            self.end_asking(&asking, number, Instant::now());
        }
    }

    /// Compares the clocks for the first time; then, or when nobody answers, goes on.
    pub(in crate::client) fn begin_sync(&mut self, io_loop: &mut IoLoop<Self>) {
        self.sync_until = Some(Instant::now() + SYNC_TIMEOUT);
        self.first_pings(io_loop);
    }

    fn first_pings(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase != Phase::Syncing {
            return;
        }
        let sync = self.statistics.sync.as_ref();
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

    /// Compares the clocks again and again until the window ends.
    fn ping_again(&mut self, io_loop: &mut IoLoop<Self>) {
        if !self.phase.is_over() {
            self.ping(io_loop);
            io_loop.call_later(LATER_PINGS, Self::ping_again);
        }
    }

    /// Sends a ping on a connection that has room for it: always the same, unless nothing is
    /// answered there.
    fn ping(&mut self, io_loop: &mut IoLoop<Self>) {
        let Some(sync) = &mut self.statistics.sync else {
            return;
        };
        let with_room = |connection: &&mut Connection| connection.has_room();
        let connections = self.connections.iter_mut().flatten().filter(with_room);
        let mut few: Vec<_> = connections.take(PINGED_MAX).collect();
        if let Some(turn) = sync.unanswered().checked_rem(few.len()) {
            let connection = few.swap_remove(turn);
            let token = connection.token;
            if let Err(failure) = connection.send(sync.ping(Arrival::now())) {
                self.on_end(io_loop, token, &failure);
            }
        }
    }

    /// The last moment of the window, if it ends when it should.
    fn window_end(&self) -> Instant {
        let limit = self.began.at + self.config.window_limit();
        let began = self.window_began.as_ref().map_or(limit, |moment| moment.at);
        limit.min(began + self.config.duration) - Duration::from_nanos(1)
    }

    /// Ends the schedules, and the sending of requests: the window is over.
    pub(in crate::client) fn end_window(&mut self) {
        let now = Instant::now();
        // Those that the loop was too late for; how many they are, nobody knows. What has become due
        // in this very moment is none of them, nor is what is due behind a window that ends late.
        let due = now.checked_sub(loop_lag::INTERVAL).unwrap_or(now);
        let due = due.min(self.window_end());
        for number in 0..self.places.len() {
            let timetable = self.timetable.as_ref();
            if let Some(round) = timetable.and_then(|it| it.last_round(number, due)) {
                self.note_due(number, round);
            }
        }
        for connection in self.connections.iter_mut().flatten() {
            self.statistics.end_schedules(&mut connection.listener, now);
        }
        let schedules = self.away().map(|(_, away)| mem::take(&mut away.schedules));
        let schedules: Vec<_> = schedules.flatten().collect();
        self.statistics.end_carried(schedules, now);
    }
}

/// The round that `connection` may send now, and its requests.
fn next(connection: &mut Connection, limit: usize) -> Option<(u64, &mut Asking)> {
    if !connection.has_room() {
        return None;
    }
    let asking = connection.listener.asking.as_mut()?;
    asking.next(limit).map(|round| (round, &mut **asking))
}

/// A slice of requests: each is a system call.
const REQUESTS_PER_TURN: usize = 32;

/// How soon the next of the first pings follows an answer.
const FIRST_PINGS: Duration = Duration::from_millis(2);

/// How soon it follows if there is none.
const PATIENCE: Duration = Duration::from_millis(100);

/// As many connections are tried, one after the other, if pings are not answered.
const PINGED_MAX: usize = 16;

/// From ping to ping while it is measured: few enough for any server's limit.
const LATER_PINGS: Duration = Duration::from_millis(500);

/// A server that has answered nothing by then does not know these pings.
const SYNC_TIMEOUT: Duration = Duration::from_secs(1);
