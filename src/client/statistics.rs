//! What is counted while the client listens. Nothing here allocates per tick.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::apart::{Returns, SlowCounts};
use super::failure::Failure;
use super::print::Printer;
use super::sequences::{Sequences, Step, Symbols};
use crate::tick::WireTick;

/// The counts of all connections together.
#[derive(Debug)]
pub(super) struct Statistics {
    /// Whether messages count: they do in the measured window only, failures always.
    pub measuring: bool,
    /// Messages of any kind.
    pub messages: u64,
    /// Those of them that are ticks.
    pub ticks: u64,
    /// The payloads of all messages.
    pub bytes: u64,
    /// From `sent` to the read, in µs. A snapshot for a joining client is no delivery: its tick
    /// was sent before the client was there.
    pub delivery_us: Histogram<u64>,
    /// Ticks from the future: the clocks of the two machines differ.
    pub negative_latencies: u64,
    /// Places where ticks are missing.
    pub gaps: u64,
    /// The ticks missing there.
    pub missed: u64,
    /// Ticks whose number is not higher than the one before.
    pub repeats: u64,
    /// From the call of connect to the first tick, one for each connection.
    pub responses: Vec<Duration>,
    /// Failures by kind: how many, and the first one's sentence.
    pub failures: BTreeMap<String, (u64, String)>,
    /// Prints ticks as they come, measured or not. Boxed: few runs have one, and all look for it.
    pub printer: Option<Box<Printer>>,
    /// What slow clients got.
    pub slow: SlowCounts,
    /// What became of connections that were opened anew.
    pub returns: Returns,
    pub(super) symbols: Symbols,
}

/// What is remembered of one connection from message to message.
#[derive(Debug)]
pub(super) struct Listener {
    /// When connect was called; taken by the first tick.
    began: Option<Instant>,
    pub(super) sequences: Sequences,
    /// The last tick's stamp, for a connection that is to go on from there.
    pub(super) sent: Option<u64>,
}

impl Listener {
    /// The listener of a connection whose connect was called at `began`.
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began: Some(began),
            sequences: Sequences::default(),
            sent: None,
        }
    }

    /// Notes that a tick has come, where its response time does not count.
    pub(super) fn hear(&mut self) {
        self.began = None;
    }

    /// Whether a tick has come.
    pub(super) fn has_heard(&self) -> bool {
        self.began.is_none()
    }
}

impl Statistics {
    /// With nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            measuring: false,
            messages: 0,
            ticks: 0,
            bytes: 0,
            delivery_us: delivery_histogram(),
            negative_latencies: 0,
            gaps: 0,
            missed: 0,
            repeats: 0,
            responses: Vec::new(),
            failures: BTreeMap::new(),
            printer: None,
            slow: SlowCounts::default(),
            returns: Returns::new(),
            symbols: Symbols::default(),
        }
    }

    /// Counts a message that was read at `now`, in Unix µs.
    pub(super) fn message(&mut self, listener: &mut Listener, payload: &[u8], now: u64) {
        let tick = WireTick::parse(payload).unwrap_or_default();
        let is_tick = tick.symbol.is_some() && tick.price.is_some();
        if is_tick && let Some(began) = listener.began.take() {
            self.responses.push(began.elapsed());
        }
        if is_tick && let Some(printer) = &mut self.printer {
            printer.print(payload);
        }
        let step = self.follow(listener, &tick);
        listener.sent = tick.sent.or(listener.sent);
        if self.measuring {
            self.messages += 1;
            self.bytes += payload.len() as u64;
            self.ticks += u64::from(is_tick);
            self.step(step);
            if let Some(sent) = tick.sent.filter(|_| is_tick && step != Step::First) {
                self.delivery(sent, now);
            }
        }
    }

    /// Counts a failure.
    pub(super) fn failure(&mut self, failure: &Failure) {
        let kind = failure.kind().into_owned();
        let (count, _) = self
            .failures
            .entry(kind)
            .or_insert_with(|| (0, failure.to_string()));
        *count += 1;
    }

    fn follow(&mut self, listener: &mut Listener, tick: &WireTick<'_>) -> Step {
        match (&tick.symbol, tick.seq) {
            (Some(symbol), Some(seq)) => match self.symbols.id(symbol) {
                Some(id) => listener.sequences.follow(id, seq),
                None => Step::Unknown,
            },
            _ => Step::Unknown,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Gap(missed) => {
                self.gaps += 1;
                self.missed += missed;
            }
            Step::Repeat => self.repeats += 1,
            Step::First | Step::Next | Step::Unknown => {}
        }
    }

    fn delivery(&mut self, sent: u64, now: u64) {
        match now.checked_sub(sent) {
            Some(latency) => self.delivery_us.saturating_record(latency),
            None => self.negative_latencies += 1,
        }
    }
}

/// An empty histogram of delivery latencies: all have the same bounds, so that they can be added.
pub(super) fn delivery_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constant and valid")
}

/// A minute; what takes longer counts as that.
const LATENCY_US_MAX: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(symbol: &str, seq: u64, sent: u64) -> Vec<u8> {
        format!(r#"{{"symbol":"{symbol}","price":1.5,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
            .into_bytes()
    }

    fn measuring() -> (Statistics, Listener) {
        let mut statistics = Statistics::new();
        statistics.measuring = true;
        (statistics, Listener::new(Instant::now()))
    }

    #[test]
    fn latency_is_counted_from_the_second_tick_of_each_symbol_on() {
        let (mut statistics, mut listener) = measuring();
        for (symbol, seq, now) in [
            ("A", 1, 9_000),
            ("A", 2, 1_400),
            ("B", 1, 9_000),
            ("B", 2, 1_600),
        ] {
            statistics.message(&mut listener, &tick(symbol, seq, 1_000), now);
        }
        assert_eq!((statistics.ticks, statistics.delivery_us.len()), (4, 2));
        assert_eq!(statistics.delivery_us.mean(), 500.0);
        assert_eq!(statistics.responses.len(), 1);
    }

    #[test]
    fn a_tick_from_the_future_is_no_latency_and_a_very_old_one_saturates() {
        let (mut statistics, mut listener) = measuring();
        statistics.message(&mut listener, &tick("A", 1, 1), 1);
        statistics.message(&mut listener, &tick("A", 2, 2_000), 1_000);
        statistics.message(&mut listener, &tick("A", 3, 0), u64::MAX);
        assert_eq!(statistics.negative_latencies, 1);
        assert_eq!(statistics.delivery_us.len(), 1);
        let max = statistics.delivery_us.max();
        assert!((60_000_000..60_100_000).contains(&max), "{max}");
    }

    #[test]
    fn gaps_count_their_ticks_and_repeats_are_told_apart() {
        let (mut statistics, mut listener) = measuring();
        for seq in [5, 6, 9, 9, 10] {
            statistics.message(&mut listener, &tick("A", seq, 1), 1);
        }
        let counted = (statistics.gaps, statistics.missed, statistics.repeats);
        assert_eq!(counted, (1, 2, 1));
    }

    #[test]
    fn what_is_no_tick_is_a_message_all_the_same() {
        let (mut statistics, mut listener) = measuring();
        for other in [
            &br#"{"event":"stale","symbol":"A","age":9}"#[..],
            b"[1]",
            b"hello",
            b"",
        ] {
            statistics.message(&mut listener, other, 1);
        }
        assert_eq!((statistics.messages, statistics.ticks), (4, 0));
        assert!(!listener.has_heard());
        // Another server's: no seq, no sent, other fields.
        statistics.message(&mut listener, br#"{"symbol":"A","price":"1","x":[]}"#, 1);
        assert_eq!((statistics.ticks, statistics.delivery_us.len()), (1, 0));
        assert!(listener.has_heard());
    }

    #[test]
    fn before_the_window_only_sequences_and_responses_are_followed() {
        let (mut statistics, mut listener) = measuring();
        statistics.measuring = false;
        statistics.message(&mut listener, &tick("A", 1, 1), 1);
        assert_eq!((statistics.messages, statistics.responses.len()), (0, 1));
        statistics.measuring = true;
        statistics.message(&mut listener, &tick("A", 3, 1), 2);
        assert_eq!((statistics.ticks, statistics.gaps), (1, 1));
        assert_eq!(statistics.delivery_us.len(), 1);
    }

    #[test]
    fn failures_are_counted_by_kind_with_one_example_each() {
        let mut statistics = Statistics::new();
        let closed = |code| Failure::Closed {
            code,
            reason: String::new(),
        };
        for failure in [closed(1001), Failure::NoTick, closed(1013), closed(1001)] {
            statistics.failure(&failure);
        }
        let counts: Vec<_> = statistics
            .failures
            .iter()
            .map(|(kind, (count, _))| (kind.as_str(), *count))
            .collect();
        assert_eq!(
            counts,
            [
                ("closed by server (1001)", 2),
                ("closed by server (1013)", 1),
                ("no tick", 1)
            ]
        );
    }
}
