//! The state of one connection that lasts from message to message.

use std::time::Instant;

use crate::client::measure::cadence::Schedule;
use crate::client::measure::requests::Outstanding;
use crate::client::measure::sequence::Sequences;

/// The state of one connection that lasts from message to message.
#[derive(Debug)]
pub(crate) struct Listener {
    /// When connect was called; taken by the first tick.
    pub(super) began: Option<Instant>,
    pub(super) sequences: Sequences,
    /// Indexed by the place of the symbol; empty without a cadence, `None` once they have ended.
    pub(super) schedules: Option<Vec<Schedule>>,
    /// Schedules from the previous connection, by symbol, until the symbol is seen again.
    pub(super) carried: Vec<(u32, Schedule)>,
    /// The stamp of the last tick in Unix µs, for a connection that resumes after it.
    pub(super) sent_us: Option<u64>,
    /// Its requests, once there is one.
    pub(crate) outstanding: Option<Box<Outstanding>>,
    /// How much of the client's own list has been requested (`--watch`).
    pub(crate) subscription: Subscription,
    pub(super) mode: Mode,
}

/// How to count the messages of a connection.
#[derive(Debug)]
pub(super) enum Mode {
    /// In the usual way.
    Normal,
    /// A slow reader's messages say nothing about the server's speed, so their numbers are followed
    /// separately.
    Slow(Box<Sequences>),
    /// The client has come back, and some symbols have not been seen again yet.
    CatchingUp(Box<CatchingUp>),
}

/// The state of a connection that has come back, until each symbol has been seen again.
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// When connect was called; taken by the first tick.
    pub(super) began: Option<Instant>,
    /// Unix µs by the server's clock, as far as that is known. The client missed the ticks that
    /// were sent before.
    pub(super) joined_us: u64,
    /// Whether the previous connection was lost rather than left on purpose.
    pub(super) was_lost: bool,
    pub(super) before: Sequences,
}

/// What was due on a lost connection, for the next connection of its client.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Its requests, once there is one.
    pub(crate) outstanding: Option<Box<Outstanding>>,
    /// The schedules of its symbols, by their numbers.
    pub(crate) schedules: Vec<(u32, Schedule)>,
}

/// What a client has seen on its connections so far.
#[derive(Debug)]
pub(crate) struct Past {
    /// When its last connection ended.
    pub(crate) left: Instant,
    /// Whether it was lost rather than left on purpose.
    pub(crate) is_lost: bool,
    /// The stamp of the last tick, to resume after it.
    pub(crate) since: Option<u64>,
    /// The number of the last tick of each symbol.
    pub(super) sequences: Sequences,
}

impl Listener {
    /// The listener of a connection whose connect was called at `began`.
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            began: Some(began),
            sequences: Sequences::default(),
            schedules: Some(Vec::new()),
            carried: Vec::new(),
            sent_us: None,
            outstanding: None,
            subscription: Subscription::default(),
            mode: Mode::Normal,
        }
    }

    /// Notes a tick whose response time does not count.
    pub(super) fn note_tick(&mut self) {
        self.began = None;
    }

    /// Continues what was due on the previous connection.
    pub(crate) fn resume(&mut self, unfinished: Unfinished) {
        self.outstanding = unfinished.outstanding;
        self.carried = unfinished.schedules;
    }

    /// Takes what is due out of a lost connection.
    pub(crate) fn take_unfinished(&mut self) -> Unfinished {
        let mut schedules = std::mem::take(&mut self.carried);
        let here = self.schedules.take().unwrap_or_default();
        schedules.extend(self.sequences.ids().zip(here));
        Unfinished {
            outstanding: self.outstanding.take(),
            schedules,
        }
    }

    /// What the client has seen so far, for its next connection. This one was lost, or left on
    /// purpose.
    pub(crate) fn past(&mut self, is_lost: bool) -> Past {
        let mut sequences = match std::mem::replace(&mut self.mode, Mode::Normal) {
            Mode::Normal => Sequences::default(),
            Mode::Slow(sequences) => *sequences,
            Mode::CatchingUp(catching_up) => catching_up.before,
        };
        sequences.catch_up(&self.sequences);
        Past {
            left: Instant::now(),
            is_lost,
            since: self.sent_us,
            sequences,
        }
    }

    /// Takes the schedule that the symbol `id` had on the previous connection.
    pub(super) fn take_carried(&mut self, id: u32) -> Option<Schedule> {
        let index = self
            .carried
            .iter()
            .position(|(carried, _)| *carried == id)?;
        Some(self.carried.swap_remove(index).1)
    }

    /// Whether a tick has arrived.
    pub(crate) fn has_tick(&self) -> bool {
        self.began.is_none()
    }
}

/// How much of its list a connection has requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// How many symbols it has requested.
    pub(crate) symbols: usize,
    request: RequestState,
}

/// The state of the last request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum RequestState {
    /// There was none, or its answer has been handled.
    #[default]
    Idle,
    /// The server has not answered yet.
    Pending,
    /// The answer has just arrived, with the server's message if it refused.
    Answered(Option<Box<str>>),
    /// The server refused, so no more symbols are requested.
    Refused,
}

/// An answer that has just arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The server has added the symbols.
    Accepted,
    /// The server refused for this reason.
    Refused(Box<str>),
}

impl Subscription {
    /// A list of which the URL has requested `symbols`.
    pub(crate) fn by_url(symbols: usize) -> Self {
        let request = RequestState::Idle;
        Self { symbols, request }
    }

    /// A request is pending, after which `symbols` will have been requested.
    pub(crate) fn pending(symbols: usize) -> Self {
        let request = RequestState::Pending;
        Self { symbols, request }
    }

    /// Notes the server's answer, with its message if it refuses.
    pub(super) fn on_answer(&mut self, refusal: Option<String>) {
        self.request = RequestState::Answered(refusal.map(String::into_boxed_str));
    }

    /// Takes an answer that has just arrived.
    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        let RequestState::Answered(refusal) = &mut self.request else {
            return None;
        };
        let refusal = refusal.take();
        self.request = match refusal {
            None => RequestState::Idle,
            Some(_) => RequestState::Refused,
        };
        Some(refusal.map_or(Answer::Accepted, Answer::Refused))
    }

    /// Whether the server has not answered yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.request == RequestState::Pending
    }

    /// Whether there is no more to request now of a list of `count` symbols.
    pub(crate) fn is_over(&self, count: usize) -> bool {
        self.request != RequestState::Idle || self.symbols >= count
    }
}

/// The id of all requests for lists, as JSON: a connection has at most one pending.
pub(crate) const REQUEST_ID: &str = r#""watch""#;
