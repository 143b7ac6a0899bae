//! What is remembered of one connection from message to message.

use std::time::Instant;

use crate::client::measure::cadence::Schedule;
use crate::client::measure::requests::Outstanding;
use crate::client::measure::sequence::Sequences;

/// What is remembered of one connection from message to message.
#[derive(Debug)]
pub(crate) struct Listener {
    /// When connect was called; taken by the first tick.
    pub(super) began: Option<Instant>,
    pub(super) sequences: Sequences,
    /// By the place of the symbol; empty without a cadence, none once they have ended.
    pub(super) schedules: Option<Vec<Schedule>>,
    /// Schedules of the connection before, by the numbers of symbols that have not been seen again.
    pub(super) carried: Vec<(u32, Schedule)>,
    /// The stamp of the last tick in Unix µs, for a connection that is to go on from there.
    pub(super) sent_us: Option<u64>,
    /// Its requests, from the first one on.
    pub(crate) outstanding: Option<Box<Outstanding>>,
    /// How much of its client's own list has been asked for (`--watch`).
    pub(crate) subscription: Subscription,
    pub(super) mode: Mode,
}

/// How the messages of a connection are counted.
#[derive(Debug)]
pub(super) enum Mode {
    /// As usual.
    Normal,
    /// It hardly reads, so what it gets says nothing about the server's speed. Its numbers are
    /// followed separately.
    Slow(Box<Sequences>),
    /// It has come back, and not every symbol has been seen again.
    CatchingUp(Box<CatchingUp>),
}

/// A connection that has come back, until each symbol has been seen again.
#[derive(Debug)]
pub(super) struct CatchingUp {
    /// When connect was called; taken by the first tick.
    pub(super) began: Option<Instant>,
    /// Unix µs by the server's clock, as far as that is known. Ticks that were sent before are what
    /// it had missed.
    pub(super) joined_us: u64,
    /// Whether it had been lost, and not left.
    pub(super) was_lost: bool,
    pub(super) before: Sequences,
}

/// What was due on a connection that was lost, for the next connection of its client.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Its requests, from the first one on.
    pub(crate) outstanding: Option<Box<Outstanding>>,
    /// The schedules of its symbols, by their numbers.
    pub(crate) schedules: Vec<(u32, Schedule)>,
}

/// What a client has seen on its connections so far.
#[derive(Debug)]
pub(crate) struct Past {
    /// When its last connection ended.
    pub(crate) left: Instant,
    /// Whether that was lost, and not left on purpose.
    pub(crate) is_lost: bool,
    /// The stamp of the last tick, to go on from.
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

    /// Notes that a tick has come, where its response time does not count.
    pub(super) fn note_tick(&mut self) {
        self.began = None;
    }

    /// Goes on with what was due on the connection before.
    pub(crate) fn resume(&mut self, unfinished: Unfinished) {
        self.outstanding = unfinished.outstanding;
        self.carried = unfinished.schedules;
    }

    /// Takes what is due out of a connection that is lost.
    pub(crate) fn take_unfinished(&mut self) -> Unfinished {
        let mut schedules = std::mem::take(&mut self.carried);
        let here = self.schedules.take().unwrap_or_default();
        schedules.extend(self.sequences.ids().zip(here));
        Unfinished {
            outstanding: self.outstanding.take(),
            schedules,
        }
    }

    /// What its client has seen by now, for its next connection. This one is lost, or was left on
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

    /// Takes the schedule that the symbol `id` had on the connection before.
    pub(super) fn take_carried(&mut self, id: u32) -> Option<Schedule> {
        let index = self
            .carried
            .iter()
            .position(|(carried, _)| *carried == id)?;
        Some(self.carried.swap_remove(index).1)
    }

    /// Whether a tick has come.
    pub(crate) fn has_tick(&self) -> bool {
        self.began.is_none()
    }
}

/// How much of its list a connection has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Symbols that it has asked for.
    pub(crate) symbols: usize,
    request: RequestState,
}

/// What has become of the last request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum RequestState {
    /// There was none, or its answer has been dealt with.
    #[default]
    Idle,
    /// The server has yet to answer.
    Pending,
    /// The answer came just now; with the server's words if it refused.
    Answered(Option<Box<str>>),
    /// The server refused, so nothing more is asked for.
    Refused,
}

/// An answer that came just now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The server has added the symbols.
    Accepted,
    /// It has not, and says why.
    Refused(Box<str>),
}

impl Subscription {
    /// With `symbols` asked for by the URL.
    pub(crate) fn by_url(symbols: usize) -> Self {
        let request = RequestState::Idle;
        Self { symbols, request }
    }

    /// With a request under way, after which `symbols` will have been asked for.
    pub(crate) fn pending(symbols: usize) -> Self {
        let request = RequestState::Pending;
        Self { symbols, request }
    }

    /// Notes the server's answer, with its words if it refuses.
    pub(super) fn on_answer(&mut self, refusal: Option<String>) {
        self.request = RequestState::Answered(refusal.map(String::into_boxed_str));
    }

    /// Takes an answer that has just come.
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

    /// Whether the server has yet to answer.
    pub(crate) fn is_pending(&self) -> bool {
        self.request == RequestState::Pending
    }

    /// Whether nothing more of a list of `count` symbols is to be asked for now.
    pub(crate) fn is_over(&self, count: usize) -> bool {
        self.request != RequestState::Idle || self.symbols >= count
    }
}

/// The id of all requests for lists, as JSON: a connection has at most one of them under way.
pub(crate) const REQUEST_ID: &str = r#""watch""#;
