//! What is counted while the client listens. Nothing here allocates per tick.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::apart::{Returns, SlowCounts};
use super::clock::Arrival;
use super::failure::Failure;
use super::fields::{Kind, Message, Reader};
use super::figures::{ClockSync, Losses, SymbolLosses};
use super::inbox::Payload;
use super::options::Config;
use super::places::Away;
use super::print::Printer;
use super::requests::{Asking, Ids, Replies};
use super::schedule::{Grid, Schedule};
use super::sequences::{Sequences, Step, Symbols};
use super::sync::Sync;

/// The counts of all connections together.
#[derive(Debug)]
pub(super) struct Statistics {
    /// Whether messages count: they do in the measured window only, failures always.
    pub measuring: bool,
    /// Messages of any kind.
    pub messages: u64,
    /// Those of them that are ticks.
    pub ticks: u64,
    /// Those of them that are binary.
    pub binary: u64,
    /// Those of them that are not JSON.
    pub no_json: u64,
    /// The reads, since the window began if it has.
    pub reads: Reads,
    /// The payloads of all messages.
    pub bytes: u64,
    /// From `sent` to the read, in µs. A snapshot for a joining client is no delivery: its tick
    /// was sent before the client was there.
    pub delivery_us: Histogram<u64>,
    /// Ticks from the future: the clocks of the two machines differ.
    pub negative_latencies: u64,
    /// Ticks of symbols that have no place.
    pub untracked: u64,
    /// A stamp that is more than a day off, by so many µs.
    pub far_off_us: Option<i64>,
    /// Ticks that say when they were sent, snapshots among them.
    pub stamped: u64,
    /// What the numbers of all symbols together say.
    pub losses: Losses,
    /// The same of each symbol, by its number.
    pub losses_by_symbol: Vec<Losses>,
    /// The symbols' names, by their numbers.
    pub symbols: Symbols,
    /// From the call of connect to the first tick, one for each connection.
    pub responses: Vec<Duration>,
    /// Failures by kind: how many, and the first one's sentence.
    pub failures: BTreeMap<String, (u64, String)>,
    /// How late ticks were against their schedule, if there is one.
    pub grid: Option<Grid>,
    /// What became of requests, if there are any.
    pub replies: Option<Replies>,
    /// The comparison of the clocks, if it was asked for.
    pub sync: Option<Sync>,
    /// What became of that in other processes.
    pub sync_elsewhere: Option<ClockSync>,
    /// Prints ticks as they come, measured or not. Boxed: few runs have one, and all look for it.
    pub printer: Option<Box<Printer>>,
    /// What slow clients got.
    pub slow: SlowCounts,
    /// What became of connections that were opened anew.
    pub returns: Returns,
    pub(super) reader: Reader,
    /// Replies have no id.
    in_order: bool,
    /// The ids of requests.
    pub(super) ids: Ids,
}

/// How much was waiting when it was read.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Reads {
    /// Reads that returned something.
    pub count: u64,
    /// Those that filled the buffer: there was more behind them.
    pub full: u64,
}

impl Reads {
    /// Notes a read of `length` bytes into a buffer with room for `room`.
    pub(super) fn note(&mut self, length: usize, room: usize) {
        self.count += 1;
        self.full += u64::from(length == room);
    }

    /// Adds those of another process.
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.full += other.full;
    }
}

/// What is remembered of one connection from message to message.
#[derive(Debug)]
pub(super) struct Listener {
    /// When connect was called; taken by the first tick.
    began: Option<Instant>,
    pub(super) sequences: Sequences,
    /// By the place of the symbol; empty without a grid, none once they have ended.
    schedules: Option<Vec<Schedule>>,
    /// Schedules of the connection before, by the numbers of symbols that have not been seen again.
    pub(super) carried: Vec<(u32, Schedule)>,
    /// The last tick's stamp in Unix µs, for a connection that is to go on from there.
    pub(super) sent_us: Option<u64>,
    /// Its requests, from the first one on.
    pub asking: Option<Box<Asking>>,
}

impl Listener {
    /// The listener of a connection whose connect was called at `began`.
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began: Some(began),
            sequences: Sequences::default(),
            schedules: Some(Vec::new()),
            carried: Vec::new(),
            sent_us: None,
            asking: None,
        }
    }

    /// Notes that a tick has come, where its response time does not count.
    pub(super) fn hear(&mut self) {
        self.began = None;
    }

    /// Takes what is due out of a connection that is lost.
    pub(super) fn leave(&mut self) -> Away {
        let mut schedules = std::mem::take(&mut self.carried);
        let here = self.schedules.take().unwrap_or_default();
        schedules.extend(self.sequences.ids().zip(here));
        Away {
            asking: self.asking.take(),
            schedules,
        }
    }

    /// Takes the schedule that the symbol `id` had on the connection before.
    fn take_carried(&mut self, id: u32) -> Option<Schedule> {
        let index = self
            .carried
            .iter()
            .position(|(carried, _)| *carried == id)?;
        Some(self.carried.swap_remove(index).1)
    }

    /// Whether a tick has come.
    pub(super) fn has_heard(&self) -> bool {
        self.began.is_none()
    }
}

impl Statistics {
    /// With nothing counted yet, of a run that begins now.
    pub(super) fn new(config: &Config) -> Self {
        let histogram = latency_histogram();
        let asks = config.request.as_ref();
        Self {
            measuring: false,
            messages: 0,
            ticks: 0,
            binary: 0,
            no_json: 0,
            reads: Reads::default(),
            bytes: 0,
            negative_latencies: 0,
            untracked: 0,
            far_off_us: None,
            stamped: 0,
            losses: Losses::default(),
            losses_by_symbol: Vec::new(),
            symbols: Symbols::default(),
            responses: Vec::new(),
            failures: BTreeMap::new(),
            grid: config.expect.map(|interval| {
                // An option has no longer ones than a century.
                let ns = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
                Grid::new(ns, Instant::now(), histogram.clone())
            }),
            replies: asks.map(|_| Replies::new(&histogram)),
            sync: config.sync.then(Sync::default),
            sync_elsewhere: None,
            printer: None,
            slow: SlowCounts::default(),
            returns: Returns::new(),
            reader: config.fields.reader(),
            ids: Ids::new(config),
            in_order: asks.is_some_and(|request| !request.has_id()),
            delivery_us: histogram,
        }
    }

    /// From now on messages count.
    pub(super) fn begin_window(&mut self) {
        self.measuring = true;
        self.reads = Reads::default();
        if let Some(sync) = &mut self.sync {
            sync.begin_window();
        }
    }

    /// Counts a message that was read at `now`.
    pub(super) fn message(&mut self, listener: &mut Listener, payload: Payload<'_>, now: Arrival) {
        let message = self.reader.read(payload.bytes());
        self.note_message(payload, &message);
        let may_be_tick = matches!(message.kind, Kind::Tick | Kind::Object);
        let is_pushed = self.is_pushed_tick(&message);
        if is_pushed || (!self.answer(listener, &message, now) && may_be_tick) {
            if let Some(printer) = &mut self.printer {
                printer.print(payload.bytes());
            }
            self.tick(listener, &message, now);
        }
    }

    /// Counts what there is to count of any message.
    pub(super) fn note_message(&mut self, payload: Payload<'_>, message: &Message<'_>) {
        if self.measuring {
            self.messages += 1;
            self.bytes += payload.bytes().len() as u64;
            self.binary += u64::from(matches!(payload, Payload::Binary(_)));
            self.no_json += u64::from(message.kind == Kind::NoJson);
        }
    }

    /// Whether it can be nothing but a tick: only a reply that is matched by its id may look like one.
    pub(super) fn is_pushed_tick(&self, message: &Message<'_>) -> bool {
        message.kind == Kind::Tick && (message.id.is_none() || self.in_order)
    }

    fn tick(&mut self, listener: &mut Listener, tick: &Message<'_>, now: Arrival) {
        if let Some(began) = listener.began.take() {
            self.responses.push(now.at.saturating_duration_since(began));
        }
        listener.sent_us = tick.sent_us.or(listener.sent_us);
        let id = self.symbols.id(tick.symbol.as_deref().unwrap_or_default());
        let (step, place) = match id {
            Some(id) => listener.sequences.follow(id, tick.seq),
            None => (Step::Unknown, None),
        };
        if let (Some(grid), Step::First, Some(id)) = (&mut self.grid, step, id)
            && let Some(before) = listener.take_carried(id)
            && self.measuring
        {
            // What was due while its client was away comes no more.
            grid.end(before, now.at);
        }
        if let (Some(grid), Some(schedules), Some(place)) =
            (&mut self.grid, &mut listener.schedules, place)
        {
            grid.follow(schedules, place, step, now.at, self.measuring);
        }
        if !self.measuring {
            return;
        }
        self.ticks += 1;
        self.stamped += u64::from(tick.sent_us.is_some());
        if tick.seq.is_some() {
            self.losses.count(step);
            if let Some(id) = id {
                self.losses_of(id).count(step);
            }
        }
        self.untracked += u64::from(place.is_none());
        // Without a place it may be the snapshot of a joining client.
        let is_delivery = place.is_some() && step != Step::First;
        if let Some(sent_us) = tick.sent_us {
            let off_us = off(now.wall_us, sent_us);
            if off_us.unsigned_abs() > DAY_US {
                self.far_off_us.get_or_insert(off_us);
            }
            if is_delivery {
                self.delivery(sent_us, now);
            }
        }
    }

    /// Takes a message that may be the answer to a ping or a request. Says no if it is neither.
    fn answer(&mut self, listener: &mut Listener, message: &Message<'_>, now: Arrival) -> bool {
        if let (Some(sync), Some(id), Some(time)) = (&mut self.sync, message.id, message.pong_us)
            && sync.pong(id, time, now)
        {
            return true;
        }
        let Some(replies) = &mut self.replies else {
            return false;
        };
        let id = message.id.filter(|_| !self.in_order);
        if id.is_none() && !self.in_order {
            return false;
        }
        if let Some(asking) = &mut listener.asking
            && replies.reply(asking, id, now.at, (message.is_error, !self.measuring))
        {
            return true;
        }
        // Too late, or meant for another client: no tick in any case.
        let is_answer = id.is_some_and(|id| self.ids.contain(id));
        replies.unexpected += u64::from(is_answer);
        is_answer
    }

    /// Counts a failure.
    pub(super) fn failure(&mut self, failure: &Failure) {
        let kind = failure.key(&self.failures);
        let (count, _) = self
            .failures
            .entry(kind)
            .or_insert_with(|| (0, failure.to_string()));
        *count += 1;
    }

    /// Ends the schedules of a connection at `now`: at the end of the window, or its own.
    pub(super) fn end_schedules(&mut self, listener: &mut Listener, now: Instant) {
        self.end_carried(std::mem::take(&mut listener.carried), now);
        if let Some(grid) = &mut self.grid {
            for schedule in listener.schedules.take().into_iter().flatten() {
                grid.end(schedule, now);
            }
        }
    }

    /// Ends the schedules of connections that were lost.
    pub(super) fn end_carried(&mut self, schedules: Vec<(u32, Schedule)>, now: Instant) {
        if let Some(grid) = &mut self.grid {
            for (_, schedule) in schedules {
                grid.end(schedule, now);
            }
        }
    }

    /// What is counted of the symbol `id`.
    pub(super) fn losses_of(&mut self, id: u32) -> &mut Losses {
        let index = id as usize;
        if self.losses_by_symbol.len() <= index {
            self.losses_by_symbol.resize(index + 1, Losses::default());
        }
        &mut self.losses_by_symbol[index]
    }

    /// What is counted of each symbol that has numbers, in the order in which they were first seen.
    pub(super) fn losses_by_name(&self) -> Vec<SymbolLosses> {
        let numbered = (0..).zip(&self.losses_by_symbol);
        let numbered = numbered.filter(|(_, losses)| losses.numbered > 0);
        let of = |(id, &losses): (u32, &Losses)| SymbolLosses {
            symbol: self.symbols.name(id).unwrap_or_default().to_owned(),
            losses,
        };
        numbered.map(of).collect()
    }

    /// Adds what another process has counted, as far as there is room for symbols.
    pub(super) fn add_losses(&mut self, by_name: &[SymbolLosses]) {
        for SymbolLosses { symbol, losses } in by_name {
            if let Some(id) = self.symbols.id(symbol) {
                self.losses_of(id).add(losses);
            }
        }
    }

    fn delivery(&mut self, sent_us: u64, now: Arrival) {
        let (now_us, error_us) = match self.sync.as_ref().map(|sync| (sync, sync.best())) {
            Some((sync, Some(best))) => (sync.to_server_us(now.wall_us), best.error_us),
            _ => (now.wall_us, 0),
        };
        // Within the error of the clocks' comparison, the past and the future are the same.
        match now_us.saturating_add(error_us).checked_sub(sent_us) {
            Some(late) => self
                .delivery_us
                .saturating_record(late.saturating_sub(error_us)),
            None => self.negative_latencies += 1,
        }
    }
}

impl Losses {
    /// Adds what another process has counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.numbered += other.numbered;
        self.gaps += other.gaps;
        self.missed = self.missed.saturating_add(other.missed);
        self.repeats += other.repeats;
        self.reordered += other.reordered;
        self.restarts += other.restarts;
    }

    fn count(&mut self, step: Step) {
        self.numbered += 1;
        match step {
            Step::Gap(missed) => {
                self.gaps += 1;
                self.missed = self.missed.saturating_add(missed);
            }
            Step::Repeat => self.repeats += 1,
            Step::Reordered => {
                self.reordered += 1;
                // The gap may have been before the window.
                self.missed = self.missed.saturating_sub(1);
            }
            Step::Restart => self.restarts += 1,
            Step::First | Step::Next | Step::Unknown => {}
        }
    }
}

/// An empty histogram of µs: all have the same bounds, so that they can be added.
pub(super) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constant and valid")
}

/// A minute; what takes longer counts as that.
pub(super) const LATENCY_US_MAX: u64 = 60_000_000;

/// By how many µs `sent_us` is before `now_us`.
fn off(now_us: u64, sent_us: u64) -> i64 {
    let off_us = i128::from(now_us) - i128::from(sent_us);
    off_us.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// No delivery takes so long, and no clock is set so wrong: it is another unit.
const DAY_US: u64 = 86_400_000_000;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn tick(symbol: &str, seq: u64, sent: u64) -> Vec<u8> {
        format!(r#"{{"symbol":"{symbol}","price":1.5,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
            .into_bytes()
    }

    /// With nothing counted, of one client that asks for nothing.
    pub(in crate::client) fn statistics() -> Statistics {
        let url = crate::client::url::Url::parse("ws://127.0.0.1:8888/").unwrap();
        Statistics::new(&Config::new(url))
    }

    /// The wall clock at `wall_us`.
    fn at(wall_us: u64) -> Arrival {
        let at = Instant::now();
        Arrival { wall_us, at }
    }

    fn measuring() -> (Statistics, Listener) {
        let mut statistics = statistics();
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
            statistics.message(
                &mut listener,
                Payload::Text(&tick(symbol, seq, 1_000)),
                at(now),
            );
        }
        assert_eq!((statistics.ticks, statistics.delivery_us.len()), (4, 2));
        assert_eq!(statistics.delivery_us.mean(), 500.0);
        assert_eq!(statistics.responses.len(), 1);
    }

    #[test]
    fn known_delays_are_measured_within_the_precision_of_the_histogram() {
        let (mut statistics, mut listener) = measuring();
        for seq in 0..=10_000 {
            let delay_us = if seq % 100 == 50 { 5_317 } else { 317 };
            let text = tick("A", seq, 1_000_000);
            statistics.message(
                &mut listener,
                Payload::Text(&text),
                at(1_000_000 + delay_us),
            );
        }
        let delivery = &statistics.delivery_us;
        assert_eq!(delivery.len(), 10_000);
        for (quantile, delay_us) in [
            (0.5, 317.0),
            (0.99, 317.0),
            (0.9901, 5_317.0),
            (0.999, 5_317.0),
        ] {
            let measured = delivery.value_at_quantile(quantile) as f64;
            assert!(
                (measured / delay_us - 1.0).abs() <= 1e-3,
                "{quantile}: {measured}"
            );
        }
        assert!(
            (delivery.mean() / 367.0 - 1.0).abs() <= 1e-3,
            "{}",
            delivery.mean()
        );
    }

    #[test]
    fn a_tick_from_the_future_is_no_latency_and_a_very_old_one_saturates() {
        let (mut statistics, mut listener) = measuring();
        statistics.message(&mut listener, Payload::Text(&tick("A", 1, 1)), at(1));
        statistics.message(
            &mut listener,
            Payload::Text(&tick("A", 2, 2_000)),
            at(1_000),
        );
        statistics.message(&mut listener, Payload::Text(&tick("A", 3, 0)), at(u64::MAX));
        assert_eq!(statistics.negative_latencies, 1);
        assert_eq!(statistics.delivery_us.len(), 1);
        let max = statistics.delivery_us.max();
        assert!((60_000_000..60_100_000).contains(&max), "{max}");
    }

    #[test]
    fn symbols_beyond_those_told_apart_are_counted_and_no_deliveries() {
        let (mut statistics, mut listener) = measuring();
        for _ in 0..2 {
            for symbol in 0..5_000 {
                let text = tick(&symbol.to_string(), 1, 1_000);
                statistics.message(&mut listener, Payload::Text(&text), at(1_500));
            }
        }
        let untracked = 2 * (5_000 - 4_096);
        assert_eq!(
            (statistics.ticks, statistics.untracked),
            (10_000, untracked)
        );
        assert_eq!(statistics.delivery_us.len(), 4_096);
    }

    #[test]
    fn a_stamp_in_another_unit_is_kept_as_an_example() {
        let (mut statistics, mut listener) = measuring();
        let text = tick("A", 1, 1_700_000_000_000);
        statistics.message(
            &mut listener,
            Payload::Text(&text),
            at(1_700_000_000_000_000),
        );
        assert_eq!(statistics.far_off_us, Some(1_698_300_000_000_000));
    }

    #[test]
    fn gaps_count_their_ticks_and_repeats_are_told_apart() {
        let (mut statistics, mut listener) = measuring();
        for seq in [5, 6, 9, 9, 10] {
            statistics.message(&mut listener, Payload::Text(&tick("A", seq, 1)), at(1));
        }
        let losses = statistics.losses;
        assert_eq!(losses, statistics.losses_by_symbol[0]);
        let counted = (losses.gaps, losses.missed, losses.repeats);
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
            statistics.message(&mut listener, Payload::Text(other), at(1));
        }
        assert_eq!((statistics.messages, statistics.ticks), (4, 0));
        assert!(!listener.has_heard());
        // Another server's: no seq, no sent, other fields.
        let other = br#"{"symbol":"A","price":"1","x":[]}"#;
        statistics.message(&mut listener, Payload::Binary(other), at(1));
        assert_eq!((statistics.no_json, statistics.binary), (2, 1));
        assert_eq!((statistics.ticks, statistics.delivery_us.len()), (1, 0));
        assert!(listener.has_heard());
    }

    #[test]
    fn before_the_window_only_sequences_and_responses_are_followed() {
        let (mut statistics, mut listener) = measuring();
        statistics.measuring = false;
        statistics.message(&mut listener, Payload::Text(&tick("A", 1, 1)), at(1));
        assert_eq!((statistics.messages, statistics.responses.len()), (0, 1));
        statistics.measuring = true;
        statistics.message(&mut listener, Payload::Text(&tick("A", 3, 1)), at(2));
        assert_eq!((statistics.ticks, statistics.losses.gaps), (1, 1));
        assert_eq!(statistics.delivery_us.len(), 1);
    }

    #[test]
    fn failures_are_counted_by_kind_with_one_example_each() {
        let mut statistics = statistics();
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
