//! Counts what arrives while the client listens. The code here does not allocate per tick.

use std::fmt;
use std::time::Instant;

use serde::Deserialize;

use crate::client::config::Config;
use crate::client::error_kind::ErrorKind;
use crate::client::measure::cadence::Schedule;
use crate::client::measure::clock_sync::{ClockOffset, ClockSync};
use crate::client::measure::listener::{Listener, Mode, REQUEST_ID, Subscription};
use crate::client::measure::losses::LossesBySymbol;
use crate::client::measure::measurement::{Measurement, Reads};
use crate::client::measure::message::{Kind, List, Message, Reader};
use crate::client::measure::requests::{Reply, RequestIds};
use crate::client::measure::sequence::{SeqEvent, Symbols};
use crate::client::received::{Arrival, Payload};

/// Counts what arrives on all connections together.
#[derive(Debug)]
pub(crate) struct Observer {
    /// Whether messages count: only in the measured window. Errors always count.
    pub(crate) measuring: bool,
    /// The counts so far.
    pub(crate) measurement: Measurement,
    /// The comparison of the clocks, if requested.
    pub(crate) clock_sync: Option<ClockSync>,
    /// The ids of requests.
    pub(crate) ids: RequestIds,
    /// The names of symbols, by their numbers.
    pub(super) symbols: Symbols,
    losses_by_symbol: LossesBySymbol,
    pub(super) reader: Reader,
    /// Whether the server was asked to leave out ticks (`--every`).
    pub(super) conflates: bool,
    /// Whether replies have no id.
    in_order: bool,
}

/// Receives the text of each tick, whether it is measured or not.
pub(crate) trait TickSink {
    /// Takes the text of one tick.
    fn tick(&mut self, text: &[u8]);
}

impl Observer {
    /// An observer with empty counts, for a run that begins now.
    pub(crate) fn new(config: &Config) -> Self {
        let request = config.request.as_ref();
        Self {
            measuring: false,
            measurement: Measurement::new(config),
            clock_sync: config.sync.then(ClockSync::default),
            ids: RequestIds::new(config),
            symbols: Symbols::default(),
            losses_by_symbol: LossesBySymbol::default(),
            reader: Reader::new(&config.fields),
            conflates: config.every.is_some(),
            in_order: request.is_some_and(|request| !request.has_id()),
        }
    }

    /// Returns the measurement at the end of the run.
    pub(crate) fn finish(mut self) -> Measurement {
        self.measurement.symbols = self.losses_by_symbol.named(&self.symbols);
        self.measurement.clock = self.clock_sync.as_ref().map(ClockOffset::of);
        self.measurement
    }

    /// Starts counting messages.
    pub(crate) fn begin_window(&mut self) {
        self.measuring = true;
        self.measurement.reads = Reads::default();
        if let Some(sync) = &mut self.clock_sync {
            sync.begin_window();
        }
    }

    /// Notes a read; `is_full` if it filled its buffer.
    pub(crate) fn note_read(&mut self, is_full: bool) {
        self.measurement.reads.reads += 1;
        self.measurement.reads.full_reads += u64::from(is_full);
    }

    /// Counts a message that was read at `now`, and passes its ticks on to `sink`.
    pub(crate) fn message(
        &mut self,
        listener: &mut Listener,
        payload: Payload<'_>,
        now: Arrival,
        sink: Option<&mut dyn TickSink>,
    ) {
        if let Mode::Slow(_) = listener.mode {
            self.slow_message(listener, payload);
            return;
        }
        if let Some(list) = self.reader.list(payload.bytes()) {
            self.list(listener, payload, list, now, sink);
            return;
        }
        let message = self.reader.read(payload.bytes());
        if !self.is_pushed_tick(&message) && self.answer(listener, payload.bytes(), &message, now) {
            self.measurement.counters.answers += u64::from(self.measuring);
            return;
        }
        let is_tick = self.pushed(listener, payload.bytes(), &message, now, sink);
        self.note_message(payload, message.kind != Kind::NotJson, is_tick);
    }

    /// Counts a message that is a list of ticks, each as if it had arrived by itself.
    fn list(
        &mut self,
        listener: &mut Listener,
        payload: Payload<'_>,
        mut list: List<'_>,
        now: Arrival,
        mut sink: Option<&mut dyn TickSink>,
    ) {
        let mut has_tick = false;
        while let Some((text, message)) = list.next(&self.reader) {
            let sink = sink.as_mut().map(|sink| &mut **sink as &mut dyn TickSink);
            has_tick |= self.pushed(listener, text, &message, now, sink);
        }
        self.measurement.counters.list_messages += u64::from(self.measuring);
        self.note_message(payload, !list.is_broken(), has_tick);
    }

    /// Counts a pushed message if it passes for a tick, and returns whether it does.
    fn pushed(
        &mut self,
        listener: &mut Listener,
        text: &[u8],
        message: &Message<'_>,
        now: Arrival,
        sink: Option<&mut dyn TickSink>,
    ) -> bool {
        if !self.may_be_tick(message) {
            return false;
        }
        if let Some(sink) = sink {
            sink.tick(text);
        }
        if matches!(listener.mode, Mode::Normal) || self.is_ordinary(listener, message) {
            self.tick(listener, message, now);
        }
        true
    }

    /// Counts what any pushed message has: its bytes and its kind.
    fn note_message(&mut self, payload: Payload<'_>, is_json: bool, has_tick: bool) {
        if self.measuring {
            let counters = &mut self.measurement.counters;
            counters.messages += 1;
            counters.other_messages += u64::from(!has_tick);
            counters.bytes += payload.bytes().len() as u64;
            counters.binary_messages += u64::from(matches!(payload, Payload::Binary(_)));
            counters.not_json_messages += u64::from(!is_json);
        }
    }

    /// Whether it can only be a tick: a reply looks like one only if it is matched by its id.
    pub(super) fn is_pushed_tick(&self, message: &Message<'_>) -> bool {
        message.kind == Kind::Tick && (message.id.is_none() || self.in_order)
    }

    /// Whether a message that is not an answer passes for a tick. Where replies have no id, it
    /// needs a tick's own fields: without them it might be a surplus reply.
    pub(super) fn may_be_tick(&self, message: &Message<'_>) -> bool {
        match message.kind {
            Kind::Tick => true,
            Kind::Object => !self.in_order,
            Kind::Json | Kind::NotJson => false,
        }
    }

    fn tick(&mut self, listener: &mut Listener, tick: &Message<'_>, now: Arrival) {
        if let Some(began) = listener.began.take() {
            let response = now.at.saturating_duration_since(began);
            self.measurement.responses.push(response);
        }
        listener.sent_us = tick.sent_us.or(listener.sent_us);
        let symbol = tick.symbol.as_deref().unwrap_or_default();
        let id = self.symbols.id(symbol, listener.sequences.likely());
        let (event, place) = match id {
            Some(id) => listener.sequences.follow(id, tick.seq),
            None => (SeqEvent::Unknown, None),
        };
        let event = if self.conflates {
            event.conflated()
        } else {
            event
        };
        self.follow_schedule(listener, (id, place), event, now.at);
        if !self.measuring {
            return;
        }
        let counters = &mut self.measurement.counters;
        counters.ticks += 1;
        counters.stamped += u64::from(tick.sent_us.is_some());
        counters.untracked += u64::from(place.is_none());
        if tick.seq.is_some() {
            self.measurement.losses.count(event);
            if let Some(id) = id {
                self.losses_by_symbol.of(id).count(event);
            }
        }
        // Without a place it may be the snapshot of a joining client.
        let is_delivery = place.is_some() && event != SeqEvent::First;
        if let Some(sent_us) = tick.sent_us {
            let off_us = off(now.wall_us, sent_us);
            if off_us.unsigned_abs() > DAY_US {
                self.measurement.implausible_stamp_us.get_or_insert(off_us);
            }
            if is_delivery {
                self.delivery(sent_us, now);
            }
        }
    }

    /// Compares a tick of the symbol `id` at `place` with its schedule, if there is one.
    fn follow_schedule(
        &mut self,
        listener: &mut Listener,
        (id, place): (Option<u32>, Option<usize>),
        event: SeqEvent,
        at: Instant,
    ) {
        let Some(cadence) = &mut self.measurement.cadence else {
            return;
        };
        if let (SeqEvent::First, Some(id)) = (event, id)
            && let Some(before) = listener.take_carried(id)
            && self.measuring
        {
            // The ticks that were due while its client was away will not arrive any more.
            cadence.end(before, at);
        }
        if let (Some(schedules), Some(place)) = (&mut listener.schedules, place) {
            cadence.follow(schedules, place, event, at, self.measuring);
        }
    }

    /// Takes a message that may answer a ping or a request. Returns false if it does neither.
    fn answer(
        &mut self,
        listener: &mut Listener,
        text: &[u8],
        message: &Message<'_>,
        now: Arrival,
    ) -> bool {
        if listener.subscription.is_pending() && message.id == Some(REQUEST_ID) {
            on_list_answer(&mut listener.subscription, text, message.is_error);
            return true;
        }
        if let (Some(sync), Some(id)) = (&mut self.clock_sync, message.id)
            && sync.answer(id, message.pong_us, now)
        {
            return true;
        }
        let Some(requests) = &mut self.measurement.requests else {
            return false;
        };
        let id = message.id.filter(|_| !self.in_order);
        if id.is_none() && !self.in_order {
            return false;
        }
        let reply = Reply {
            is_error: message.is_error,
            is_late: !self.measuring,
        };
        if let Some(outstanding) = &mut listener.outstanding
            && requests.reply(outstanding, id, now.at, reply)
        {
            return true;
        }
        if self.in_order {
            // It may be a surplus reply, unless it was sent before any request.
            let may_answer = listener.outstanding.is_some() && message.kind == Kind::Object;
            requests.counters.unexpected += u64::from(may_answer);
            return may_answer;
        }
        // It is late, or meant for another client; in any case it is not a tick.
        let is_answer = id.is_some_and(|id| self.ids.contain(id));
        requests.counters.unexpected += u64::from(is_answer);
        is_answer
    }

    /// Counts an error of this kind; `sentence` describes it.
    pub(crate) fn error(&mut self, kind: ErrorKind, sentence: impl fmt::Display) {
        self.measurement.errors.note(kind, sentence);
    }

    /// Ends the schedules of a connection at `now`: at the end of the window or of the connection.
    pub(crate) fn end_schedules(&mut self, listener: &mut Listener, now: Instant) {
        self.end_carried(std::mem::take(&mut listener.carried), now);
        if let Some(cadence) = &mut self.measurement.cadence {
            for schedule in listener.schedules.take().into_iter().flatten() {
                cadence.end(schedule, now);
            }
        }
    }

    /// Ends the schedules of lost connections.
    pub(crate) fn end_carried(&mut self, schedules: Vec<(u32, Schedule)>, now: Instant) {
        if let Some(cadence) = &mut self.measurement.cadence {
            for (_, schedule) in schedules {
                cadence.end(schedule, now);
            }
        }
    }

    fn delivery(&mut self, sent_us: u64, now: Arrival) {
        let (now_us, error_us) = match &mut self.clock_sync {
            Some(sync) => sync.arrival_us(now.wall_us),
            None => (now.wall_us, 0),
        };
        let counters = &mut self.measurement.counters;
        // Past and future cannot be distinguished within the error of the clocks' comparison.
        if now_us.saturating_add(error_us) < sent_us {
            counters.negative_latencies += 1;
            return;
        }
        counters.clamped_to_zero += u64::from(now_us < sent_us);
        let delivery = &mut self.measurement.delivery;
        delivery.record(now_us.saturating_sub(sent_us));
    }
}

/// Takes the answer to a request for part of a client's list.
fn on_list_answer(subscription: &mut Subscription, text: &[u8], is_error: bool) {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let refusal = is_error.then(|| {
        let refusal = serde_json::from_slice(text);
        refusal.map_or_else(|_| String::new(), |refusal: Refusal| refusal.message)
    });
    subscription.on_answer(refusal);
}

/// By how many µs `sent_us` precedes `now_us`.
fn off(now_us: u64, sent_us: u64) -> i64 {
    let off_us = i128::from(now_us) - i128::from(sent_us);
    off_us.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// No delivery takes this long and no clock is this wrong: the unit is another one.
const DAY_US: u64 = 86_400_000_000;

#[cfg(test)]
pub(crate) mod tests;
