//! Connections whose messages are counted in another way: those that hardly read, and those that
//! have come back and must first be compared with what they had seen before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::client::measure::listener::Listener;
use crate::client::measure::message::{Kind, Message};
use crate::client::measure::observer::{Statistics, latency_histogram};
use crate::client::measure::sequence::{Sequences, Step};
use crate::client::run::users::WayBack;
use crate::client::ws::error::Failure;
use crate::client::ws::frames::Payload;
use crate::tick::unix_us;

/// Why a connection's messages are not counted as those of others.
#[derive(Debug)]
pub(in crate::client) enum Apart {
    /// It hardly reads, so what it gets says nothing about the server's speed.
    Slow(Sequences),
    /// It has come back.
    Back(Back),
}

/// A connection that has come back, until each symbol has been seen again.
#[derive(Debug)]
pub(in crate::client) struct Back {
    /// When connect was called; taken by the first tick.
    began: Option<Instant>,
    /// Unix µs by the server's clock, as far as that is known. Ticks that were sent before are what
    /// it had missed.
    joined_us: u64,
    /// Whether it had been lost, and not left.
    was_lost: bool,
    pub(in crate::client) before: Sequences,
}

/// What slow clients got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::client) struct SlowCounts {
    /// How many have joined.
    pub joined: usize,
    /// Ticks in the window.
    pub ticks: u64,
    /// The payloads of all messages in the window.
    pub bytes: u64,
    /// Ticks that they did not get in between.
    pub missed: u64,
    /// How their connections ended before the run did, by kind.
    pub ended: BTreeMap<String, u64>,
}

/// What became of connections that were opened anew.
#[derive(Clone, Debug)]
pub(in crate::client) struct Returns {
    /// Connections that were closed to be opened anew (`--churn`).
    pub churned: u64,
    /// Connections that were lost and are to be opened anew (`--reconnect`).
    pub lost: u64,
    /// Those of both that have been upgraded again.
    pub returned: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// From the call of connect to the first tick of a connection that came back, in µs.
    pub response_us: Histogram<u64>,
    /// From the end of a lost connection until the next one was upgraded, in µs.
    pub away_us: Histogram<u64>,
    /// Ticks that came later because the server had kept them.
    pub resumed: u64,
    /// Ticks that never came, by the gaps in their numbers.
    pub missed: u64,
    /// How often numbers were lower than before: what was missed is then not known.
    pub restarts: u64,
}

impl Returns {
    pub(in crate::client) fn new() -> Self {
        let histogram = latency_histogram();
        Self {
            churned: 0,
            lost: 0,
            returned: 0,
            failed: 0,
            response_us: histogram.clone(),
            away_us: histogram,
            resumed: 0,
            missed: 0,
            restarts: 0,
        }
    }
}

impl SlowCounts {
    /// A slow client's connection has ended.
    pub(in crate::client) fn end(&mut self, failure: &Failure) {
        *self.ended.entry(failure.key(&self.ended)).or_default() += 1;
    }
}

impl Statistics {
    /// Notes that a connection, whose connect was called at `began`, has come back, and begins to
    /// compare.
    pub(in crate::client) fn came_back(&mut self, way_back: WayBack, began: Instant) -> Back {
        self.returns.returned += 1;
        let was_lost = way_back.backoff.is_some();
        if was_lost {
            let away_us = microseconds(way_back.left.elapsed());
            self.returns.away_us.saturating_record(away_us);
        }
        let now_us = unix_us();
        let sync = self.sync.as_ref();
        Back {
            began: Some(began),
            joined_us: sync.map_or(now_us, |sync| sync.to_server_us(now_us)),
            was_lost,
            before: way_back.sequences,
        }
    }

    /// Counts a message of a connection that hardly reads.
    pub(in crate::client) fn slow_message(
        &mut self,
        listener: &mut Listener,
        payload: Payload<'_>,
    ) {
        listener.hear();
        if let Some(mut list) = self.reader.list(payload.bytes()) {
            while let Some((_, message)) = list.next(&self.reader) {
                self.slow_tick(listener, &message);
            }
        } else {
            let message = self.reader.read(payload.bytes());
            self.slow_tick(listener, &message);
        }
        if self.measuring {
            self.slow.bytes += payload.bytes().len() as u64;
        }
    }

    /// Counts what a connection that hardly reads has got, if it is a tick.
    fn slow_tick(&mut self, listener: &mut Listener, message: &Message<'_>) {
        listener.sent_us = message.sent_us.or(listener.sent_us);
        let is_object = message.kind == Kind::Object && message.id.is_none();
        let is_tick = self.is_pushed_tick(message) || (is_object && self.may_be_tick(message));
        let symbol = message.symbol.as_deref().unwrap_or_default();
        let (true, Some(Apart::Slow(sequences))) = (is_tick, listener.apart.as_deref_mut()) else {
            return;
        };
        let id = self.symbols.id(symbol, sequences.likely());
        let step = id.map(|id| sequences.follow(id, message.seq).0);
        if self.measuring {
            self.slow.ticks += 1;
            if let Some(Step::Gap(missed)) = step {
                self.slow.missed = self.slow.missed.saturating_add(missed);
            }
        }
    }

    /// Whether a tick of a connection that stands apart is to be counted as any other. If not, it
    /// has been counted here.
    pub(in crate::client) fn is_ordinary(
        &mut self,
        listener: &mut Listener,
        tick: &Message<'_>,
    ) -> bool {
        let Some(Apart::Back(back)) = listener.apart.as_deref_mut() else {
            return true;
        };
        let is_ordinary = self.is_ordinary_after_return(back, tick);
        let is_up_to_date = is_ordinary && back.before.is_empty();
        if !is_ordinary && self.measuring {
            // The server had kept it.
            self.ticks += 1;
            self.stamped += u64::from(tick.sent_us.is_some());
        }
        listener.sent_us = tick.sent_us.or(listener.sent_us);
        if is_up_to_date {
            listener.apart = None;
        }
        is_ordinary
    }

    fn is_ordinary_after_return(&mut self, back: &mut Back, tick: &Message<'_>) -> bool {
        if let Some(began) = back.began.take() {
            let response = microseconds(began.elapsed());
            self.returns.response_us.saturating_record(response);
        }
        let is_old = tick.sent_us.is_some_and(|sent| sent < back.joined_us);
        let symbol = tick.symbol.as_deref().unwrap_or_default();
        let id = self.symbols.id(symbol, None);
        let last = id.and_then(|id| back.before.last(id));
        if let (Some(id), Some(last), Some(seq)) = (id, last, tick.seq)
            && seq < last
        {
            // The server counts anew: this tick is the first one of its symbol.
            self.returns.restarts += u64::from(back.was_lost);
            back.before.forget(id);
            if is_old {
                // More that it had kept may follow.
                back.before.follow(id, tick.seq);
            }
            return !is_old;
        }
        let ahead = tick.seq.and_then(|seq| seq.checked_sub(last?));
        let missed = ahead.and_then(|ahead| ahead.checked_sub(1));
        if back.was_lost && !self.conflates {
            let missed = missed.unwrap_or_default();
            self.returns.missed = self.returns.missed.saturating_add(missed);
        }
        if is_old {
            // Its latency is the time away. It is followed, so that the gap behind it shows.
            if let (Some(id), Some(_)) = (id, missed) {
                self.returns.resumed += u64::from(back.was_lost);
                back.before.follow(id, tick.seq);
            }
            return false;
        }
        // This symbol is up to date again.
        if let Some(id) = id {
            back.before.forget(id);
        }
        true
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::measure::message::Fields;
    use crate::client::measure::observer::tests::statistics;
    use crate::feed::Backoff;

    /// A connection that comes back after it had seen number 10 of `A`.
    fn back(statistics: &mut Statistics) -> Listener {
        let mut sequences = Sequences::default();
        sequences.follow(statistics.symbols.id("A", None).unwrap(), Some(10));
        let now = Instant::now();
        let way_back = WayBack {
            left: now,
            backoff: Some(Backoff::new(fastrand::Rng::with_seed(1))),
            since: None,
            sequences,
        };
        let back = statistics.came_back(way_back, now);
        let mut listener = Listener::new(now);
        listener.apart = Some(Box::new(Apart::Back(back)));
        listener
    }

    /// A tick's number and stamp, and whether it is to be counted as any other.
    type Came = (u64, u64, bool);

    fn tick(seq: u64, sent: u64) -> String {
        format!(r#"{{"symbol":"A","price":1,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
    }

    #[test]
    fn what_came_meanwhile_is_told_from_what_comes_now() {
        const NEW: u64 = u64::MAX / 2;
        let cases: [(&[Came], [u64; 3]); 6] = [
            // The snapshot again, then the next one.
            (&[(10, 5, false), (11, NEW, true)], [0, 0, 0]),
            // Two that the server had kept, one of three lost.
            (
                &[(11, 5, false), (13, 6, false), (14, NEW, true)],
                [2, 1, 0],
            ),
            // Nothing was kept.
            (&[(15, NEW, true)], [0, 4, 0]),
            // A server that counts anew, first with its snapshot.
            (&[(1, 5, false), (2, NEW, true)], [0, 0, 1]),
            // The same with nothing before, and with what it had kept.
            (&[(1, NEW, true)], [0, 0, 1]),
            (
                &[(1, 5, false), (2, 6, false), (4, 7, false), (5, NEW, true)],
                [2, 1, 1],
            ),
        ];
        for (ticks, expected) in cases {
            let mut statistics = statistics();
            let mut listener = back(&mut statistics);
            for &(seq, sent, is_ordinary) in ticks {
                let text = tick(seq, sent);
                let reader = Fields::default().reader();
                let told = statistics.is_ordinary(&mut listener, &reader.read(text.as_bytes()));
                assert_eq!(told, is_ordinary, "{seq} of {ticks:?}");
            }
            let returns = &statistics.returns;
            let counted = [returns.resumed, returns.missed, returns.restarts];
            assert_eq!(counted, expected, "{ticks:?}");
            assert!(listener.apart.is_none(), "all is up to date: {ticks:?}");
        }
    }
}
