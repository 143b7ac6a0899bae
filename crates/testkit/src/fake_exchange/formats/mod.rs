//! How each exchange speaks, by request and by stream, from its documentation and from recordings.
//!
//! These facts were written without looking at the catalogue of the server, in order to test it.
//! Each file has the exchanges of one region, an exchange's answers and its stream together.
//!
//! The placeholders in targets are those of [`matches_target`](super::template::matches_target).
//! Answers contain `$entries` for the requested markets, and in each entry `$market` (as
//! requested), `$key` (as answered, where that differs), `$BASE`, `$QUOTE`, `$last`, `$bid`,
//! `$ask`, and the time as `$ms`, `$s`, `$us` or `$iso`.
//!
//! The placeholders in messages that a stream receives are those of
//! [`matches`](super::template::matches); messages that it sends have those of answers, and `$id` as
//! received, `$MARKET` in capitals, and `$channel`, the number of a subscription.

mod majors;

use std::time::Duration;

use super::notation::joined;
pub(crate) use majors::KUCOIN;

/// The answers of all exchanges of the catalogue.
pub(crate) fn exchanges() -> impl Iterator<Item = &'static Rest> {
    [majors::EXCHANGES].into_iter().flatten()
}

/// The streams of all exchanges of the catalogue that have one.
pub(crate) fn streams() -> impl Iterator<Item = &'static Stream> {
    [majors::STREAMS].into_iter().flatten()
}

/// An exchange that answers requests.
pub(crate) struct Rest {
    pub(crate) id: &'static str,
    pub(crate) authority: &'static str,
    /// The exchange's notation for a base and a quote currency.
    pub(crate) spell: fn(&str, &str) -> String,
    /// The notation in answers, where it differs.
    pub(crate) key: fn(&str, &str) -> String,
    pub(crate) asks: &'static [Ask],
    /// Status and body for an unknown symbol.
    pub(crate) unknown: (u16, &'static str),
    /// Status and body for a client that sends too many requests.
    pub(crate) limited: (u16, &'static str),
    /// Whether small numbers have exponents.
    pub(crate) exponents: bool,
}

/// A kind of request.
pub(crate) struct Ask {
    pub(crate) target: &'static str,
    /// The text around the entries.
    pub(crate) answer: &'static str,
    pub(crate) entry: &'static str,
    /// The effect of an unknown market among others.
    pub(crate) unknown: Unknown,
}

impl Ask {
    /// Whether it names no market.
    pub(crate) fn lists_all(&self) -> bool {
        !self.target.contains("=$") && !self.target.contains("/$")
    }
}

/// The effect of an unknown market in a request for several.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The whole answer is an error.
    Spoils,
    /// The market is omitted.
    IsLeftOut,
}

const fn ask(target: &'static str, answer: &'static str, entry: &'static str) -> Ask {
    Ask {
        target,
        answer,
        entry,
        unknown: Unknown::Spoils,
    }
}

const fn lenient(target: &'static str, answer: &'static str, entry: &'static str) -> Ask {
    Ask {
        target,
        answer,
        entry,
        unknown: Unknown::IsLeftOut,
    }
}

/// An exchange that has a stream.
pub(crate) struct Stream {
    pub(crate) id: &'static str,
    pub(crate) authority: &'static str,
    pub(crate) path: &'static str,
    pub(crate) spell: fn(&str, &str) -> String,
    /// The exchange's first message.
    pub(crate) greeting: &'static str,
    pub(crate) subscribe: &'static str,
    /// How many markets a subscribe message may name.
    pub(crate) most: usize,
    /// The confirmation: for each market, or for all at once.
    pub(crate) ack: &'static str,
    pub(crate) ack_each: bool,
    /// The answers for an unknown market, and for an invalid request.
    pub(crate) unknown: &'static str,
    pub(crate) invalid: &'static str,
    pub(crate) tick: &'static str,
    /// The ping that a client may send as text, and the answer to it.
    pub(crate) ping: Option<(&'static str, &'static str)>,
    pub(crate) rule: Rule,
    /// The exchange's own heartbeat, and its interval.
    pub(crate) heartbeat: Option<(&'static str, Duration)>,
    /// The message that asks clients to reconnect.
    pub(crate) leave: &'static str,
    /// Whether a new subscription replaces the old one.
    pub(crate) replaces: bool,
    /// Whether messages are binary frames.
    pub(crate) is_binary: bool,
    /// Whether each message is compressed separately.
    pub(crate) is_packed: bool,
    /// A client that sends within this time after connecting is told to slow down.
    pub(crate) settle: Duration,
    /// A client that has not subscribed within this time is dropped.
    pub(crate) subscribe_within: Option<Duration>,
}

/// A client's duty in order to stay connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No duty.
    Free,
    /// To send the ping at this interval. Ping frames do not count.
    Ping(Duration),
    /// To send any message at this interval, or a ping frame.
    Sign(Duration),
    /// To answer ping frames, sent at this interval, within the second time.
    Pong(Duration, Duration),
    /// To answer the text (the fourth is the answer), sent at this interval, within the second
    /// time.
    Reply(Duration, Duration, &'static str, &'static str),
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The properties that most exchanges share.
const PLAIN: Stream = Stream {
    id: "",
    authority: "",
    path: "",
    spell: joined,
    greeting: "",
    subscribe: "",
    most: 100,
    ack: "",
    ack_each: false,
    unknown: "",
    invalid: "",
    tick: "",
    ping: None,
    rule: Rule::Free,
    heartbeat: None,
    leave: "",
    replaces: false,
    is_binary: false,
    is_packed: false,
    settle: Duration::ZERO,
    subscribe_within: None,
};
