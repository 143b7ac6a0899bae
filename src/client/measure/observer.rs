//! What is counted while the client listens. Nothing here allocates per tick.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::client::config::Config;
use crate::client::measure::cadence::{Grid, Schedule};
use crate::client::measure::catching_up::{Returns, SlowCounts};
use crate::client::measure::clock::Arrival;
use crate::client::measure::clock_sync::Sync;
use crate::client::measure::listener::Listener;
use crate::client::measure::message::{Kind, Message, Reader};
use crate::client::measure::message_list::List;
use crate::client::measure::request_ids::Ids;
use crate::client::measure::requests::Replies;
use crate::client::measure::sequence::{Step, Symbols};
use crate::client::measure::subscription::{Asked, REQUEST_ID};
use crate::client::report::figures::{ClockSync, Losses};
use crate::client::run::tick_printer::Printer;
use crate::client::ws::error::Failure;
use crate::client::ws::frames::Payload;

/// The counts of all connections together.
#[derive(Debug)]
pub(in crate::client) struct Statistics {
    /// Whether messages count: they do in the measured window only, failures always.
    pub measuring: bool,
    /// Messages that the server pushed, of any kind.
    pub messages: u64,
    /// Those that it did not: replies to requests, and pongs.
    pub answers: u64,
    /// Messages with at least one tick.
    pub with_ticks: u64,
    /// Messages that are lists of ticks.
    pub lists: u64,
    /// Messages that are binary.
    pub binary: u64,
    /// Messages that are not JSON.
    pub no_json: u64,
    /// Ticks in all these messages.
    pub ticks: u64,
    /// The reads, since the window began if it has.
    pub reads: Reads,
    /// The payloads of what was pushed.
    pub bytes: u64,
    /// From `sent` to the read, in µs. A snapshot for a joining client is no delivery: its tick
    /// was sent before the client was there.
    pub delivery_us: Histogram<u64>,
    /// Ticks from the future: the clocks of the two machines differ.
    pub negative_latencies: u64,
    /// Ticks from the future by no more than the clocks' comparison may be wrong: they count as
    /// just sent.
    pub within_error: u64,
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
    pub(in crate::client) reader: Reader,
    /// Whether the server was asked to leave ticks out (`--every`).
    pub(in crate::client) conflates: bool,
    /// Replies have no id.
    in_order: bool,
    /// The ids of requests.
    pub(in crate::client) ids: Ids,
}

/// How much was waiting when it was read.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::client) struct Reads {
    /// Reads that returned something.
    pub count: u64,
    /// Those that filled the buffer: there was more behind them.
    pub full: u64,
}

impl Reads {
    /// Notes a read of `length` bytes into a buffer with room for `room`.
    pub(in crate::client) fn note(&mut self, length: usize, room: usize) {
        self.count += 1;
        self.full += u64::from(length == room);
    }

    /// Adds those of another process.
    pub(in crate::client) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.full += other.full;
    }
}

impl Statistics {
    /// With nothing counted yet, of a run that begins now.
    pub(in crate::client) fn new(config: &Config) -> Self {
        let histogram = latency_histogram();
        let asks = config.request.as_ref();
        Self {
            measuring: false,
            messages: 0,
            answers: 0,
            ticks: 0,
            with_ticks: 0,
            lists: 0,
            binary: 0,
            no_json: 0,
            reads: Reads::default(),
            bytes: 0,
            negative_latencies: 0,
            within_error: 0,
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
            conflates: config.every.is_some(),
            ids: Ids::new(config),
            in_order: asks.is_some_and(|request| !request.has_id()),
            delivery_us: histogram,
        }
    }

    /// From now on messages count.
    pub(in crate::client) fn begin_window(&mut self) {
        self.measuring = true;
        self.reads = Reads::default();
        if let Some(sync) = &mut self.sync {
            sync.begin_window();
        }
    }

    /// Counts a message that was read at `now`.
    pub(in crate::client) fn message(
        &mut self,
        listener: &mut Listener,
        payload: Payload<'_>,
        now: Arrival,
    ) {
        if listener.is_slow() {
            self.slow_message(listener, payload);
            return;
        }
        if let Some(list) = self.reader.list(payload.bytes()) {
            self.list(listener, payload, list, now);
            return;
        }
        let message = self.reader.read(payload.bytes());
        if !self.is_pushed_tick(&message) && self.answer(listener, payload.bytes(), &message, now) {
            self.answers += u64::from(self.measuring);
            return;
        }
        let is_tick = self.pushed(listener, payload.bytes(), &message, now);
        self.note_message(payload, message.kind != Kind::NoJson, is_tick);
    }

    /// Counts a message that is a list of ticks, each as if it had come by itself.
    fn list(
        &mut self,
        listener: &mut Listener,
        payload: Payload<'_>,
        mut list: List<'_>,
        now: Arrival,
    ) {
        let mut has_tick = false;
        while let Some((text, message)) = list.next(&self.reader) {
            has_tick |= self.pushed(listener, text, &message, now);
        }
        self.lists += u64::from(self.measuring);
        self.note_message(payload, !list.is_broken(), has_tick);
    }

    /// Counts what was pushed, if it is taken for a tick; says whether it is.
    fn pushed(
        &mut self,
        listener: &mut Listener,
        text: &[u8],
        message: &Message<'_>,
        now: Arrival,
    ) -> bool {
        if !self.may_be_tick(message) {
            return false;
        }
        if let Some(printer) = &mut self.printer {
            printer.print(text);
        }
        if listener.apart.is_none() || self.is_ordinary(listener, message) {
            self.tick(listener, message, now);
        }
        true
    }

    /// Counts what there is to count of any message that was pushed.
    fn note_message(&mut self, payload: Payload<'_>, is_json: bool, has_tick: bool) {
        if self.measuring {
            self.messages += 1;
            self.with_ticks += u64::from(has_tick);
            self.bytes += payload.bytes().len() as u64;
            self.binary += u64::from(matches!(payload, Payload::Binary(_)));
            self.no_json += u64::from(!is_json);
        }
    }

    /// Whether it can be nothing but a tick: only a reply that is matched by its id may look like one.
    pub(in crate::client) fn is_pushed_tick(&self, message: &Message<'_>) -> bool {
        message.kind == Kind::Tick && (message.id.is_none() || self.in_order)
    }

    /// Whether it is taken for a tick, now that it is no answer. Among replies that have no id only
    /// its own fields make a message one: without them it might as well be a reply too many.
    pub(in crate::client) fn may_be_tick(&self, message: &Message<'_>) -> bool {
        match message.kind {
            Kind::Tick => true,
            Kind::Object => !self.in_order,
            Kind::Json | Kind::NoJson => false,
        }
    }

    fn tick(&mut self, listener: &mut Listener, tick: &Message<'_>, now: Arrival) {
        if let Some(began) = listener.began.take() {
            self.responses.push(now.at.saturating_duration_since(began));
        }
        listener.sent_us = tick.sent_us.or(listener.sent_us);
        let symbol = tick.symbol.as_deref().unwrap_or_default();
        let id = self.symbols.id(symbol, listener.sequences.likely());
        let (step, place) = match id {
            Some(id) => listener.sequences.follow(id, tick.seq),
            None => (Step::Unknown, None),
        };
        let step = if self.conflates {
            step.conflated()
        } else {
            step
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
    fn answer(
        &mut self,
        listener: &mut Listener,
        text: &[u8],
        message: &Message<'_>,
        now: Arrival,
    ) -> bool {
        if listener.asked.is_unanswered() && message.id == Some(REQUEST_ID) {
            self.list_answer(&mut listener.asked, text, message.is_error);
            return true;
        }
        if let (Some(sync), Some(id)) = (&mut self.sync, message.id)
            && sync.answer(id, message.pong_us, now)
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
        if self.in_order {
            // One too many, unless it was sent before anything was asked for.
            let may_answer = listener.asking.is_some() && message.kind == Kind::Object;
            replies.unexpected += u64::from(may_answer);
            return may_answer;
        }
        // Too late, or meant for another client: no tick in any case.
        let is_answer = id.is_some_and(|id| self.ids.contain(id));
        replies.unexpected += u64::from(is_answer);
        is_answer
    }

    /// Takes the answer to a request for a part of a client's list.
    fn list_answer(&mut self, asked: &mut Asked, text: &[u8], is_error: bool) {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        asked.on_answer(is_error);
        if is_error {
            let refusal = serde_json::from_slice(text);
            let words = refusal.map_or_else(|_| String::new(), |it: Refusal| it.message);
            self.failure(&Failure::SubscribeRefused(words));
        }
    }

    /// Counts a failure.
    pub(in crate::client) fn failure(&mut self, failure: &Failure) {
        let kind = failure.key(&self.failures);
        let (count, _) = self
            .failures
            .entry(kind)
            .or_insert_with(|| (0, failure.to_string()));
        *count += 1;
    }

    /// Ends the schedules of a connection at `now`: at the end of the window, or its own.
    pub(in crate::client) fn end_schedules(&mut self, listener: &mut Listener, now: Instant) {
        self.end_carried(std::mem::take(&mut listener.carried), now);
        if let Some(grid) = &mut self.grid {
            for schedule in listener.schedules.take().into_iter().flatten() {
                grid.end(schedule, now);
            }
        }
    }

    /// Ends the schedules of connections that were lost.
    pub(in crate::client) fn end_carried(&mut self, schedules: Vec<(u32, Schedule)>, now: Instant) {
        if let Some(grid) = &mut self.grid {
            for (_, schedule) in schedules {
                grid.end(schedule, now);
            }
        }
    }

    fn delivery(&mut self, sent_us: u64, now: Arrival) {
        let (now_us, error_us) = match &mut self.sync {
            Some(sync) => sync.arrival_us(now.wall_us),
            None => (now.wall_us, 0),
        };
        // Within the error of the clocks' comparison, the past and the future are the same.
        if now_us.saturating_add(error_us) < sent_us {
            self.negative_latencies += 1;
            return;
        }
        self.within_error += u64::from(now_us < sent_us);
        self.delivery_us
            .saturating_record(now_us.saturating_sub(sent_us));
    }
}

/// An empty histogram of µs: all have the same bounds, so that they can be added.
pub(in crate::client) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constant and valid")
}

/// A minute; what takes longer counts as that.
pub(in crate::client) const LATENCY_US_MAX: u64 = 60_000_000;

/// By how many µs `sent_us` is before `now_us`.
fn off(now_us: u64, sent_us: u64) -> i64 {
    let off_us = i128::from(now_us) - i128::from(sent_us);
    off_us.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// No delivery takes so long, and no clock is set so wrong: it is another unit.
const DAY_US: u64 = 86_400_000_000;

#[cfg(test)]
pub(in crate::client) mod tests;
