//! How each exchange speaks, by request and by stream, from its documentation and from recordings.
//!
//! These facts were written without looking at the catalogue of the server, in order to test it.
//! Each file has the exchanges of one region, an exchange's answers and its stream together.
//!
//! [`matches_target`](super::template::matches_target) lists the placeholders in targets.
//! Answers contain `$entries` for the requested markets, and in each entry
//!
//! | placeholder | value |
//! |---|---|
//! | `$market` | the market as requested |
//! | `$key` | as answered, where that differs |
//! | `$name` | as in the list of all markets, where that differs |
//! | `$BASE`, `$QUOTE`, `$base`, `$quote` | its currencies in capitals and in small letters |
//! | `$last`, `$bid`, `$ask` | the prices |
//! | `$scaled` | the last price times 10^8 |
//! | `$ms`, `$s`, `$us`, `$ns`, `$iso`, `$naive` | the time in these units, in ISO 8601 with `Z` or without |
//! | `$korea` | the clock on a wall in Korea, in ms as if it were UTC |
//!
//! [`matches`](super::template::matches) lists the placeholders in messages that a stream receives.
//! Messages that it sends have the same placeholders as answers, and `$id` as received, `$MARKET` in
//! capitals, and `$channel`, the number of a subscription.

mod africa;
mod atlantic;
mod branches;
mod japan;
mod korea;
mod latin_america;
mod lists;
mod majors;
mod pacific;
mod perpetuals;
mod smaller;
mod southeast_asia;
mod turkey;
mod worldwide;

use std::time::Duration;

use super::notation::joined;
pub(crate) use lists::lists;
pub(crate) use majors::KUCOIN;

/// The answers of all exchanges of the catalogue.
pub(crate) fn exchanges() -> impl Iterator<Item = &'static Rest> {
    let regions = [
        majors::EXCHANGES,
        branches::EXCHANGES,
        worldwide::EXCHANGES,
        turkey::EXCHANGES,
        latin_america::EXCHANGES,
        africa::EXCHANGES,
        japan::EXCHANGES,
        korea::EXCHANGES,
        southeast_asia::EXCHANGES,
        pacific::EXCHANGES,
        perpetuals::EXCHANGES,
        atlantic::EXCHANGES,
        smaller::EXCHANGES,
    ];
    regions.into_iter().flatten()
}

/// The one quote currency of an exchange that has only one.
pub(crate) fn home(id: &str) -> Option<&'static str> {
    exchanges().find(|exchange| exchange.id == id)?.home
}

/// The streams of all exchanges of the catalogue that have one.
pub(crate) fn streams() -> impl Iterator<Item = &'static Stream> {
    let regions = [
        majors::STREAMS,
        branches::STREAMS,
        worldwide::STREAMS,
        turkey::STREAMS,
        latin_america::STREAMS,
        africa::STREAMS,
        japan::STREAMS,
        korea::STREAMS,
        southeast_asia::STREAMS,
        pacific::STREAMS,
        perpetuals::STREAMS,
        atlantic::STREAMS,
        smaller::STREAMS,
    ];
    regions.into_iter().flatten()
}

/// An exchange that answers requests.
#[derive(Clone, Copy)]
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
    /// The one quote currency of an exchange that has only one.
    pub(crate) home: Option<&'static str>,
    /// A header without which requests are refused.
    pub(crate) needs: Option<&'static str>,
}

/// The properties that most exchanges share.
const REST: Rest = Rest {
    id: "",
    authority: "",
    spell: joined,
    key: joined,
    asks: &[],
    unknown: (400, ""),
    limited: (429, ""),
    exponents: false,
    home: None,
    needs: None,
};

/// A kind of request.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) target: &'static str,
    /// The body of a POST; empty for a GET.
    pub(crate) body: &'static str,
    /// The text around the entries.
    pub(crate) answer: &'static str,
    pub(crate) entry: &'static str,
    /// The effect of an unknown market among others.
    pub(crate) unknown: Unknown,
}

impl Ask {
    /// Whether it names no market.
    pub(crate) fn lists_all(&self) -> bool {
        let texts = [self.target, self.body];
        let named = ["$market", "$list", "$items", "$json", "$each", "$base"];
        !named
            .iter()
            .any(|word| texts.iter().any(|text| text.contains(word)))
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
        body: "",
        answer,
        entry,
        unknown: Unknown::Spoils,
    }
}

/// A POST with a body.
const fn post(
    target: &'static str,
    body: &'static str,
    answer: &'static str,
    entry: &'static str,
) -> Ask {
    Ask {
        body,
        ..ask(target, answer, entry)
    }
}

/// A request from whose answer unknown markets are left out.
const fn lenient(target: &'static str, answer: &'static str, entry: &'static str) -> Ask {
    Ask {
        unknown: Unknown::IsLeftOut,
        ..ask(target, answer, entry)
    }
}

/// The list of all markets of an exchange.
#[derive(Clone, Copy)]
pub(crate) struct List {
    pub(crate) id: &'static str,
    /// The host that serves it, if not the one that serves prices.
    pub(crate) elsewhere: Option<&'static str>,
    pub(crate) target: &'static str,
    /// The text around the entries.
    pub(crate) answer: &'static str,
    pub(crate) entry: &'static str,
    /// The name of a market in an entry, if it is none of those in other answers.
    pub(crate) name: fn(&str, &str) -> String,
}

/// An exchange that has a stream.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) id: &'static str,
    pub(crate) authority: &'static str,
    /// The path; with placeholders for the markets if they are named there and not in messages.
    pub(crate) path: &'static str,
    pub(crate) spell: fn(&str, &str) -> String,
    /// The exchange's first message.
    pub(crate) greeting: &'static str,
    /// What the client has to send before anything else, and the answer to it.
    pub(crate) opening: Option<(&'static str, &'static str)>,
    pub(crate) subscribe: &'static str,
    /// Another message that a client may send, and the answer to it. The exchange's heartbeats are
    /// only for clients that have sent it.
    pub(crate) also: Option<(&'static str, &'static str)>,
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
    pub(crate) wrapping: Wrapping,
    /// A client that sends within this time after connecting is told to slow down.
    pub(crate) settle: Duration,
    /// A client that sends its next message within this time is told that it is invalid.
    pub(crate) pace: Duration,
    /// A header without which the handshake is refused.
    pub(crate) needs: Option<&'static str>,
    /// A client that has not subscribed within this time is dropped.
    pub(crate) subscribe_within: Option<Duration>,
}

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// As text frames.
    Text,
    /// The text in binary frames.
    Binary,
    /// Each message compressed.
    Gzip,
    Zlib,
    /// Prices in protobuf, whose fields the template has by number; everything else as text.
    Protobuf,
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
    /// To send `also` within this time.
    Also(Duration),
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
    opening: None,
    subscribe: "",
    also: None,
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
    wrapping: Wrapping::Text,
    settle: Duration::ZERO,
    pace: Duration::ZERO,
    needs: None,
    subscribe_within: None,
};
