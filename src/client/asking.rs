//! What clients send of their own accord: requests when they are due, and pings for the clocks.

use std::time::{Duration, Instant};

use mio::Token;

use super::clock::Arrival;
use super::connection::Connection;
use super::failure::Failure;
use super::requests::{Asking, Timetable};
use super::statistics::Listener;
use super::sync::FIRST;
use super::{Client, Phase};
use crate::io_loop::{IoLoop, slot};

impl Client {
    /// Begins the schedule of requests, if there are any to send.
    pub(super) fn begin_requests(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.config.request.is_some() {
            let places = self.connections.len();
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
            let Some((place, round)) = timetable.take(now) else {
                io_loop.call_at(timetable.next_due(), Self::ask);
                return;
            };
            self.ask_all_at(io_loop, place, round);
        }
        io_loop.add_callback(Self::ask);
    }

    /// Sends what is due from the connection at `place`, up to `round`. It may be more than one while
    /// some reconnect and others have not gone yet.
    fn ask_all_at(&mut self, io_loop: &mut IoLoop<Self>, place: usize, round: u64) {
        let places = self.timetable.map_or(1, |timetable| timetable.places());
        for index in (place..self.connections.len()).step_by(places) {
            self.ask_from(io_loop, index, round);
        }
    }

    /// Sends what is due from the connection at `index`, up to `round`.
    fn ask_from(&mut self, io_loop: &mut IoLoop<Self>, index: usize, round: u64) {
        let connection = self.connections[index].as_mut();
        // Who hardly reads would hardly read replies.
        let Some(connection) = connection.filter(|it| it.is_open() && !it.is_slow()) else {
            return;
        };
        let first_id = self.first_id;
        let new = || Box::new(Asking::new(round, first_id));
        connection
            .listener
            .asking
            .get_or_insert_with(new)
            .is_due(round);
        let token = connection.token;
        self.send_due(io_loop, token);
    }

    /// Sends what was held back, now that the connection `token` may have room for it.
    pub(super) fn ask_held_back(&mut self, io_loop: &mut IoLoop<Self>, token: Token) {
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
        let index = slot(token);
        let limit = self.config.unanswered_max;
        let (Some(template), Some(timetable), Some(replies), Some(Some(connection))) = (
            &self.config.request,
            &self.timetable,
            &mut self.statistics.replies,
            self.connections.get_mut(index),
        ) else {
            return Ok(());
        };
        while let Some((round, asking)) = next(connection, limit) {
            let text = template.text(asking.next_id());
            let due = timetable.due(index, round);
            let window_began = self.window_began.as_ref();
            let counts = window_began.is_some_and(|began| due >= began.at);
            replies.sent(asking, due, Instant::now(), counts);
            connection.send(text)?;
        }
        Ok(())
    }

    /// Whether replies may still come that count.
    pub(super) fn awaits_replies(&self) -> bool {
        let replies = self.statistics.replies.as_ref();
        replies.is_some_and(|replies| replies.unanswered > 0)
    }

    /// Ends the schedules of the connection at `index` before it goes: no more ticks are due there.
    pub(super) fn end_schedules(&mut self, index: usize) {
        if let (true, Some(connection)) = (self.statistics.measuring, &mut self.connections[index])
        {
            let now = Instant::now();
            self.statistics.end_schedules(&mut connection.listener, now);
        }
    }

    /// Ends what is measured on a connection that goes: its schedules, if that has not happened
    /// before, and its requests.
    pub(super) fn end_measuring(&mut self, listener: &mut Listener, index: usize) {
        let now = Instant::now();
        if self.statistics.measuring {
            self.statistics.end_schedules(listener, now);
        }
        let window_began = self.window_began.as_ref().map(|moment| moment.at);
        let asking = listener.asking.take();
        if let (Some(asking), Some(replies)) = (asking, &mut self.statistics.replies) {
            let timetable = self.timetable;
            replies.end(&asking, now, |round| {
                let due = timetable.map_or(now, |timetable| timetable.due(index, round));
                (due, window_began.is_some_and(|began| due >= began))
            });
        }
    }

    /// No reply is waited for any more.
    pub(super) fn end_requests(&mut self) {
        for index in 0..self.connections.len() {
            let Some(mut connection) = self.connections[index].take() else {
                continue;
            };
            self.end_measuring(&mut connection.listener, index);
            self.connections[index] = Some(connection);
        }
    }

    /// Compares the clocks for the first time; then, or when nobody answers, goes on.
    pub(super) fn begin_sync(&mut self, io_loop: &mut IoLoop<Self>) {
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
        if sync.is_some_and(|sync| !sync.is_asking()) {
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

    /// Sends a ping on the first connection that has room for it.
    fn ping(&mut self, io_loop: &mut IoLoop<Self>) {
        let mut connections = self.connections.iter_mut().flatten();
        let with_room = connections.find(|connection| connection.has_room());
        if let (Some(connection), Some(sync)) = (with_room, &mut self.statistics.sync) {
            let token = connection.token;
            if let Err(failure) = connection.send(sync.ping(Arrival::now())) {
                self.on_end(io_loop, token, &failure);
            }
        }
    }

    /// Ends the schedules, and the sending of requests: the window is over.
    pub(super) fn end_window(&mut self, io_loop: &mut IoLoop<Self>) {
        let now = Instant::now();
        // Those that the loop was too late for; how many they are, nobody knows.
        for index in 0..self.connections.len() {
            let timetable = self.timetable.as_ref();
            if let Some(round) = timetable.and_then(|it| it.last_round(index, now)) {
                self.ask_from(io_loop, index, round);
            }
        }
        for connection in self.connections.iter_mut().flatten() {
            self.statistics.end_schedules(&mut connection.listener, now);
        }
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

/// From ping to ping while it is measured: few enough for any server's limit.
const LATER_PINGS: Duration = Duration::from_millis(500);

/// A server that has answered nothing by then does not know these pings.
const SYNC_TIMEOUT: Duration = Duration::from_secs(1);
