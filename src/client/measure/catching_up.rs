//! Connections whose messages are counted differently: slow readers, and clients that have come
//! back, whose first messages are compared with what they had seen before.

use std::time::{Duration, Instant};

use crate::client::measure::listener::{CatchingUp, Listener, Mode, Past};
use crate::client::measure::message::{Kind, Message};
use crate::client::measure::observer::Observer;
use crate::client::measure::sequence::SeqEvent;
use crate::client::received::Payload;
use crate::tick::unix_us;

impl Observer {
    /// Notes that a connection has joined, and what its client saw on earlier ones.
    pub(crate) fn joined(&mut self, listener: &mut Listener, is_slow: bool, past: Option<Past>) {
        match past {
            None if is_slow => {
                self.measurement.slow.counters.joined += 1;
                listener.mode = Mode::Slow(Box::default());
            }
            None => {}
            Some(past) => {
                listener.sent_us = past.since;
                let catching_up = self.came_back(listener.began.take(), past);
                listener.mode = if is_slow {
                    Mode::Slow(Box::new(catching_up.before))
                } else {
                    Mode::CatchingUp(Box::new(catching_up))
                };
            }
        }
    }

    /// Notes that a client has come back, and begins to compare its ticks with the earlier ones.
    fn came_back(&mut self, began: Option<Instant>, past: Past) -> CatchingUp {
        let returns = &mut self.measurement.returns;
        returns.counters.returned += 1;
        if past.is_lost {
            returns.away.record(microseconds(past.left.elapsed()));
        }
        let now_us = unix_us();
        let sync = self.clock_sync.as_ref();
        CatchingUp {
            began,
            joined_us: sync.map_or(now_us, |sync| sync.to_server_us(now_us)),
            was_lost: past.is_lost,
            before: past.sequences,
        }
    }

    /// Counts a message on a slow reader's connection.
    pub(super) fn slow_message(&mut self, listener: &mut Listener, payload: Payload<'_>) {
        listener.note_tick();
        if let Some(mut list) = self.reader.list(payload.bytes()) {
            while let Some((_, message)) = list.next(&self.reader) {
                self.slow_tick(listener, &message);
            }
        } else {
            let message = self.reader.read(payload.bytes());
            self.slow_tick(listener, &message);
        }
        if self.measuring {
            self.measurement.slow.counters.bytes += payload.bytes().len() as u64;
        }
    }

    /// Counts a message that a slow reader received, if it is a tick.
    fn slow_tick(&mut self, listener: &mut Listener, message: &Message<'_>) {
        listener.sent_us = message.sent_us.or(listener.sent_us);
        let is_object = message.kind == Kind::Object && message.id.is_none();
        let is_tick = self.is_pushed_tick(message) || (is_object && self.may_be_tick(message));
        let symbol = message.symbol.as_deref().unwrap_or_default();
        let (true, Mode::Slow(sequences)) = (is_tick, &mut listener.mode) else {
            return;
        };
        let id = self.symbols.id(symbol, sequences.likely());
        let event = id.map(|id| sequences.follow(id, message.seq).0);
        if self.measuring {
            let slow = &mut self.measurement.slow.counters;
            slow.ticks += 1;
            if let Some(SeqEvent::Gap(missed)) = event {
                slow.missed = slow.missed.saturating_add(missed);
            }
        }
    }

    /// Whether to count a tick in the usual way. If not, it has been counted here.
    pub(super) fn is_ordinary(&mut self, listener: &mut Listener, tick: &Message<'_>) -> bool {
        let Mode::CatchingUp(back) = &mut listener.mode else {
            return true;
        };
        let is_ordinary = self.is_ordinary_after_return(back, tick);
        let is_up_to_date = is_ordinary && back.before.is_empty();
        if !is_ordinary && self.measuring {
            // The server had kept this tick.
            self.measurement.counters.ticks += 1;
            self.measurement.counters.stamped += u64::from(tick.sent_us.is_some());
        }
        listener.sent_us = tick.sent_us.or(listener.sent_us);
        if is_up_to_date {
            listener.mode = Mode::Normal;
        }
        is_ordinary
    }

    fn is_ordinary_after_return(&mut self, back: &mut CatchingUp, tick: &Message<'_>) -> bool {
        if let Some(began) = back.began.take() {
            let response = microseconds(began.elapsed());
            self.measurement.returns.response.record(response);
        }
        let is_old = tick.sent_us.is_some_and(|sent| sent < back.joined_us);
        let symbol = tick.symbol.as_deref().unwrap_or_default();
        let id = self.symbols.id(symbol, None);
        let last = id.and_then(|id| back.before.last(id));
        if let (Some(id), Some(last), Some(seq)) = (id, last, tick.seq)
            && seq < last
        {
            // The server's numbers began again: this tick is the first of its symbol.
            self.measurement.returns.counters.restarts += u64::from(back.was_lost);
            back.before.forget(id);
            if is_old {
                // More ticks that the server kept may follow.
                back.before.follow(id, tick.seq);
            }
            return !is_old;
        }
        let ahead = tick.seq.and_then(|seq| seq.checked_sub(last?));
        let missed = ahead.and_then(|ahead| ahead.checked_sub(1));
        if back.was_lost && !self.conflates {
            let missed = missed.unwrap_or_default();
            let returns = &mut self.measurement.returns.counters;
            returns.missed = returns.missed.saturating_add(missed);
        }
        if is_old {
            // Its latency would be the time away. Its number is followed so that the gap before it
            // shows.
            if let (Some(id), Some(_)) = (id, missed) {
                self.measurement.returns.counters.resumed += u64::from(back.was_lost);
                back.before.follow(id, tick.seq);
            }
            return false;
        }
        // This symbol has caught up.
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
    use crate::client::config::Fields;
    use crate::client::measure::message::Reader;
    use crate::client::measure::observer::tests::observer;
    use crate::client::measure::sequence::Sequences;

    /// A connection that comes back after its client has seen number 10 of `A`.
    fn back(observer: &mut Observer) -> Listener {
        let mut sequences = Sequences::default();
        sequences.follow(observer.symbols.id("A", None).unwrap(), Some(10));
        let mut listener = Listener::new(Instant::now());
        let past = Past {
            left: Instant::now(),
            is_lost: true,
            since: None,
            sequences,
        };
        observer.joined(&mut listener, false, Some(past));
        listener
    }

    /// A tick's number and stamp, and whether it is counted in the usual way.
    type Came = (u64, u64, bool);

    fn tick(seq: u64, sent: u64) -> String {
        format!(r#"{{"symbol":"A","price":1,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
    }

    #[test]
    fn ticks_missed_while_away_are_distinguished_from_new_ones() {
        const NEW: u64 = u64::MAX / 2;
        let cases: [(&[Came], [u64; 3]); 6] = [
            // The snapshot again, then the next tick.
            (&[(10, 5, false), (11, NEW, true)], [0, 0, 0]),
            // Of three ticks the server kept two and lost one.
            (
                &[(11, 5, false), (13, 6, false), (14, NEW, true)],
                [2, 1, 0],
            ),
            // The server kept no ticks.
            (&[(15, NEW, true)], [0, 4, 0]),
            // The server's numbers begin again, first with a snapshot.
            (&[(1, 5, false), (2, NEW, true)], [0, 0, 1]),
            // The same without a snapshot, but with kept ticks.
            (&[(1, NEW, true)], [0, 0, 1]),
            (
                &[(1, 5, false), (2, 6, false), (4, 7, false), (5, NEW, true)],
                [2, 1, 1],
            ),
        ];
        for (ticks, expected) in cases {
            let mut observer = observer();
            let mut listener = back(&mut observer);
            for &(seq, sent, is_ordinary) in ticks {
                let text = tick(seq, sent);
                let reader = Reader::new(&Fields::default());
                let told = observer.is_ordinary(&mut listener, &reader.read(text.as_bytes()));
                assert_eq!(told, is_ordinary, "{seq} of {ticks:?}");
            }
            let returns = &observer.measurement.returns.counters;
            let counted = [returns.resumed, returns.missed, returns.restarts];
            assert_eq!(counted, expected, "{ticks:?}");
            assert!(
                matches!(listener.mode, Mode::Normal),
                "all is up to date: {ticks:?}"
            );
        }
    }
}
