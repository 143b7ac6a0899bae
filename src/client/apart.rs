//! Connections whose messages are counted in another way: those that hardly read, and those that
//! have come back and must first be compared with what they had seen before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::seat::WayBack;
use super::sequences::Sequences;
use super::statistics::{Listener, Statistics, delivery_histogram};
use crate::tick::{WireTick, unix_us};

/// Why a connection's messages are not counted as those of others.
#[derive(Debug)]
pub(super) enum Apart {
    /// It hardly reads, so what it gets says nothing about the server's speed.
    Slow(Sequences),
    /// It has come back.
    Back(Back),
}

/// A connection that has come back, until each symbol has been seen again.
#[derive(Debug)]
pub(super) struct Back {
    /// When connect was called; taken by the first tick.
    began: Option<Instant>,
    /// Unix µs. Ticks that were sent before are what it had missed.
    joined_us: u64,
    /// Whether it had been lost, and not left.
    was_lost: bool,
    pub(super) before: Sequences,
}

/// What slow clients got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SlowCounts {
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
pub(super) struct Returns {
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
    pub(super) fn new() -> Self {
        let histogram = delivery_histogram();
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

    /// Notes that a connection has come back, and begins to compare.
    pub(super) fn joined(&mut self, way_back: WayBack, began: Instant) -> Back {
        self.returned += 1;
        let was_lost = way_back.backoff.is_some();
        if was_lost {
            self.away_us
                .saturating_record(microseconds(way_back.left.elapsed()));
        }
        Back {
            began: Some(began),
            joined_us: unix_us(),
            was_lost,
            before: way_back.sequences,
        }
    }
}

impl SlowCounts {
    /// A slow client's connection has ended.
    pub(super) fn end(&mut self, failure: &Failure) {
        *self.ended.entry(failure.kind().into_owned()).or_default() += 1;
    }
}

impl Statistics {
    /// Whether a message of a connection that may stand apart is to be counted as any other. If
    /// not, it has been counted here.
    pub(super) fn is_ordinary(
        &mut self,
        apart: &mut Option<Box<Apart>>,
        listener: &mut Listener,
        payload: &[u8],
    ) -> bool {
        let tick = WireTick::parse(payload).unwrap_or_default();
        match apart.as_deref_mut() {
            None => true,
            Some(Apart::Slow(sequences)) => {
                listener.hear();
                listener.sent = tick.sent.or(listener.sent);
                self.slow_message(sequences, &tick, payload.len());
                false
            }
            Some(Apart::Back(back)) => {
                let is_ordinary = self.is_ordinary_after_return(back, &tick, payload.len());
                if let Some(printer) = self.printer.as_mut().filter(|_| !is_ordinary) {
                    printer.print(payload);
                }
                listener.sent = tick.sent.or(listener.sent);
                // All of it is up to date.
                if is_ordinary && back.began.is_none() && back.before.is_empty() {
                    *apart = None;
                }
                is_ordinary
            }
        }
    }

    fn slow_message(&mut self, sequences: &mut Sequences, tick: &WireTick<'_>, length: usize) {
        let missed = self.missed_since(sequences, tick);
        if let (Some(symbol), Some(seq)) = (&tick.symbol, tick.seq)
            && let Some(id) = self.symbols.id(symbol)
        {
            sequences.follow(id, seq);
        }
        if self.measuring {
            self.slow.ticks += u64::from(is_tick(tick));
            self.slow.bytes += length as u64;
            self.slow.missed += missed.unwrap_or_default();
        }
    }

    fn is_ordinary_after_return(
        &mut self,
        back: &mut Back,
        tick: &WireTick<'_>,
        length: usize,
    ) -> bool {
        if !is_tick(tick) {
            return true;
        }
        if let Some(began) = back.began.take() {
            let response = microseconds(began.elapsed());
            self.returns.response_us.saturating_record(response);
        }
        let symbol = tick.symbol.as_deref().unwrap_or_default();
        let id = self.symbols.id(symbol);
        let last = id.and_then(|id| back.before.last(id));
        if let (Some(id), Some(last)) = (id, last)
            && tick.seq.is_some_and(|seq| seq < last)
        {
            // The server counts anew: this tick is the first one of its symbol.
            self.returns.restarts += u64::from(back.was_lost);
            back.before.forget(id);
            return true;
        }
        let missed = self.missed_since(&back.before, tick);
        if back.was_lost {
            self.returns.missed += missed.unwrap_or_default();
        }
        let is_old = tick.sent.is_some_and(|sent| sent < back.joined_us);
        if is_old {
            // Its latency is the time away. It is followed, so that the gap behind it shows.
            if let (Some(id), Some(seq), Some(_)) = (id, tick.seq, missed) {
                self.returns.resumed += u64::from(back.was_lost);
                back.before.follow(id, seq);
            }
            if self.measuring {
                self.messages += 1;
                self.ticks += 1;
                self.bytes += length as u64;
            }
            return false;
        }
        // This symbol is up to date again.
        if let Some(id) = id {
            back.before.forget(id);
        }
        true
    }

    /// How many ticks are missing between the last one of this symbol and this one; none if it is
    /// not newer.
    fn missed_since(&mut self, before: &Sequences, tick: &WireTick<'_>) -> Option<u64> {
        let id = self.symbols.id(tick.symbol.as_deref()?)?;
        let ahead = tick.seq?.checked_sub(before.last(id)?)?;
        ahead.checked_sub(1)
    }
}

fn is_tick(tick: &WireTick<'_>) -> bool {
    tick.symbol.is_some() && tick.price.is_some()
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Backoff;

    /// A connection that comes back after it had seen number 10 of `A`.
    fn back(statistics: &mut Statistics) -> (Option<Box<Apart>>, Listener) {
        let mut sequences = Sequences::default();
        sequences.follow(statistics.symbols.id("A").unwrap(), 10);
        let now = Instant::now();
        let way_back = WayBack {
            left: now,
            backoff: Some(Backoff::new(fastrand::Rng::with_seed(1))),
            since: None,
            sequences,
        };
        let back = statistics.returns.joined(way_back, now);
        (Some(Box::new(Apart::Back(back))), Listener::new(now))
    }

    /// A tick's number and stamp, and whether it is to be counted as any other.
    type Came = (u64, u64, bool);

    fn tick(seq: u64, sent: u64) -> String {
        format!(r#"{{"symbol":"A","price":1,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
    }

    #[test]
    fn what_came_meanwhile_is_told_from_what_comes_now() {
        const NEW: u64 = u64::MAX / 2;
        let cases: [(&[Came], [u64; 3]); 4] = [
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
            (&[(1, 5, true), (2, NEW, true)], [0, 0, 1]),
        ];
        for (ticks, expected) in cases {
            let mut statistics = Statistics::new();
            let (mut apart, mut listener) = back(&mut statistics);
            for &(seq, sent, is_ordinary) in ticks {
                let text = tick(seq, sent);
                let told = statistics.is_ordinary(&mut apart, &mut listener, text.as_bytes());
                assert_eq!(told, is_ordinary, "{seq} of {ticks:?}");
            }
            let returns = &statistics.returns;
            let counted = [returns.resumed, returns.missed, returns.restarts];
            assert_eq!(counted, expected, "{ticks:?}");
            assert!(apart.is_none(), "all is up to date: {ticks:?}");
        }
    }
}
