//! An open client: what it watches, how far it has read, and what its messages mean.
//!
//! At rest it owns a position and a few counters. Tungstenite's state machine is made when a
//! message begins and dropped when it has ended ([`Boundaries`](crate::frame::Boundaries)), so ten
//! thousand idle clients cost little more than their sockets.

mod allowance;
mod codec;
mod requests;

use self::allowance::Allowance;
use self::codec::Codec;
use crate::server::close::CloseReason;
use crate::server::context::Context;
use crate::server::hub::{self, Debt, Hub, ListId, PeriodId, Reading, Symbols};
use crate::server::outbox::Outbox;
use crate::server::packing::Wire;
use crate::server::protocol::Delivery;
use crate::server::socket::{Deed, Socket};
use crate::tape::FrameNumber;

/// What a client watches, how far it has read, and what it may send.
pub(crate) struct Subscriber {
    /// The first frame that it has not had, or an earlier one: see `is_behind`.
    position: FrameNumber,
    list: ListId,
    /// Whether its position is exact. If not, it has had everything that the hub has
    /// [offered](Hub::offered).
    is_behind: bool,
    /// It resumed behind the head and has not reached it yet: it was away, which does not make it
    /// slow.
    is_resuming: bool,
    /// The number of the last ping that it answered or was not sent.
    ponged: u32,
    wire: Wire,
    allowance: Allowance,
    /// Present while a message is arriving, or waiting for room to answer it.
    codec: Option<Box<Codec>>,
    /// State that few clients need, or need for long.
    special: Option<Box<Special>>,
}

/// The state of a client that does not simply get each tick of its list immediately.
#[derive(Default)]
struct Special {
    /// The frames that it gets before it reads on.
    debt: Debt,
    /// Its list is to take added symbols once the debt is paid.
    must_refresh: bool,
    pace: Option<Pace>,
    /// The messages of one write go out as one JSON list.
    batches: bool,
    /// The stamp that it waits for the tape to reach; it got the stamp from a server that is ahead.
    awaited: Option<u64>,
    /// A frame still to be sent, about a change of its list.
    notice: Option<Box<[u8]>>,
}

/// The pace of a client that gets the newest ticks once a period.
#[derive(Clone, Copy)]
struct Pace {
    period: PeriodId,
    /// The last beat at which it was served.
    beat: u32,
    /// The first frame for everyone that it has not had: these frames wait for no beat.
    next_for_everyone: FrameNumber,
}

/// Where a client stands by its own account.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// It has had all its frames before this one.
    pub(crate) position: FrameNumber,
    pub(crate) list: ListId,
    pub(crate) is_resuming: bool,
    pub(crate) awaited: Option<u64>,
    /// The last beat at which it was served, if it reads at its own rate.
    pub(crate) beat: Option<u32>,
    /// It is owed frames, or the server has yet to find out whether it is.
    pub(crate) is_owed: bool,
    /// It takes added symbols once the debt is paid.
    pub(crate) must_refresh: bool,
}

/// The outcome of sending a client what it had not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More may follow.
    Open,
    /// The closing frame has gone out behind all others: no frame may follow.
    Finished,
}

impl Subscriber {
    /// A reader of `list` in `slot`, from the stamp `since` on if the tape still has everything
    /// after it; otherwise from the head on, and it is owed the newest ticks. Appends what it is
    /// owed to `out`, or the first part of it.
    pub(crate) fn new(
        slot: usize,
        list: ListId,
        (wire, since, delivery): (Wire, Option<u64>, Delivery),
        out: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Self {
        let mut subscriber = Self {
            position: context.hub.tape().head(),
            list,
            is_behind: false,
            is_resuming: false,
            ponged: context.heartbeat,
            wire,
            allowance: Allowance::new(context),
            codec: None,
            special: None,
        };
        let period = delivery
            .every
            .map(|every| context.hub.take_period(slot, every));
        if period.is_some() || delivery.batches {
            subscriber.set_delivery(period, delivery.batches, context.hub);
        }
        context.hub.join(slot, subscriber.reading());
        match since {
            Some(stamp) if stamp > context.hub.last_stamp() => {
                subscriber.special().awaited = Some(stamp);
            }
            since => subscriber.begin(since.unwrap_or(0), context),
        }
        subscriber.is_behind |= !subscriber.pay(context);
        subscriber.drop_special();
        out.extend_from_slice(context.packing.end());
        context.hub.set_news(slot, subscriber.is_behind);
        subscriber
    }

    /// The list that it reads, and how.
    pub(crate) fn reading(&self) -> Reading {
        let pace = self.special.as_ref().and_then(|special| special.pace);
        Reading {
            list: self.list,
            period: pace.map(|pace| pace.period),
        }
    }

    /// Stops reading.
    pub(crate) fn leave(&mut self, slot: usize, hub: &mut Hub) {
        let mut debt = self.take_debt();
        hub.drop_claims(&mut debt);
        hub.leave(slot, self.reading());
    }

    /// The stamp that it waits for, which came from a server that is ahead.
    pub(crate) fn awaited(&self) -> Option<u64> {
        self.special.as_ref().and_then(|special| special.awaited)
    }

    /// Where it stands, for the simulation's judge.
    #[cfg(test)]
    pub(crate) fn standing(&self, hub: &Hub) -> Standing {
        let special = self.special.as_ref();
        let pace = special.and_then(|special| special.pace);
        Standing {
            position: self.unread_from(hub),
            list: self.list,
            is_resuming: self.is_resuming,
            awaited: self.awaited(),
            beat: pace.map(|pace| pace.beat),
            is_owed: special.is_some_and(|special| !special.debt.is_empty()),
            must_refresh: special.is_some_and(|special| special.must_refresh),
        }
    }

    /// The lists that its debt has taken.
    #[cfg(test)]
    pub(crate) fn lists_of_debt(&self) -> impl Iterator<Item = ListId> {
        let debt = self.special.iter().map(|special| &special.debt);
        debt.flat_map(Debt::lists)
    }

    /// How many bytes of messages wait because the answers before them found no room.
    #[cfg(test)]
    pub(crate) fn backlog(&self) -> usize {
        self.codec.as_ref().map_or(0, |codec| codec.backlog.len())
    }

    /// How it gets its messages.
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    /// Whether it owes the pong to this ping. While it waits for a stamp it is sent no pings, and
    /// nobody can answer the comments of a stream of events.
    pub(crate) fn owes_pong(&self, ping: u32) -> bool {
        self.ponged < ping && self.wire == Wire::WebSocket && self.awaited().is_none()
    }

    /// Whether it has been sent this frame for everyone.
    pub(crate) fn has_sent(&self, frame: FrameNumber, hub: &Hub) -> bool {
        let pace = self.special.as_ref().and_then(|special| special.pace);
        frame < pace.map_or_else(|| self.unread_from(hub), |pace| pace.next_for_everyone)
    }

    /// Whether the last visit left something to send.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Serves it at the next visit, without a beat of its period: there will be no other.
    pub(crate) fn hasten(&mut self, hub: &Hub) {
        let special = self.special.as_mut();
        if let Some(pace) = special.and_then(|special| special.pace.as_mut()) {
            pace.beat = hub.beats(pace.period).wrapping_sub(1);
        }
    }

    /// Notes that its outbox takes no bytes now, although it has news.
    pub(crate) fn pin(&mut self, hub: &Hub) {
        self.position = self.unread_from(hub);
        self.is_behind = true;
    }

    /// Sends what it has not had, as far as its outbox takes it. The outbox must be clear.
    pub(crate) fn pump<S: Socket>(
        &mut self,
        slot: usize,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Progress, CloseReason> {
        context.hub.set_news(slot, false);
        // Most clients need none of it, and this runs for every write.
        if self.special.is_some()
            && let Some(progress) = self.settle(slot, outbox, context)?
        {
            return Ok(progress);
        }
        if outbox.is_clear() {
            self.read_on(outbox, context).map_err(CloseReason::Failed)?;
        } else {
            // If the debt included the closing frame, there is no more to come.
            self.is_behind = !self.is_at_head(context.hub);
        }
        self.drop_special();
        if self.is_behind {
            context.hub.set_news(slot, outbox.is_clear());
        } else if context.hub.is_closed() {
            // The closing frame has gone out, so no bytes may follow, whenever the connection is
            // closed.
            outbox.finish();
            return Ok(Progress::Finished);
        }
        Ok(Progress::Open)
    }

    /// Sends what comes before the tape: a notice, and what it is owed. Returns the progress if it
    /// is not to read on now.
    fn settle<S: Socket>(
        &mut self,
        slot: usize,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> Result<Option<Progress>, CloseReason> {
        let special = self.special.as_mut();
        if let Some(notice) = special.and_then(|special| special.notice.take()) {
            let sent = outbox.send(&notice, context.now);
            sent.map_err(CloseReason::Failed)?;
            if !outbox.is_clear() {
                self.pin(context.hub);
                return Ok(Some(Progress::Open));
            }
        }
        if let Some(stamp) = self.awaited() {
            if context.hub.last_stamp() < stamp && !context.hub.is_closed() {
                return Ok(Some(Progress::Open));
            }
            self.stop_waiting(context);
        }
        // After the closing frame requests no longer matter, and lists no longer grow.
        let is_closed = context.hub.is_closed();
        let must_pay_first = self.is_owed_much() && self.has_backlog() && !is_closed;
        if !must_pay_first && let Some(pace) = self.due_pace(context.hub) {
            self.special().pace = Some(pace);
            self.skip(context);
        }
        let is_paid = self.pay(context);
        if context.packing.messages() > 0 {
            let sent = outbox.send(context.packing.end(), context.now);
            sent.map_err(CloseReason::Failed)?;
        }
        if !is_paid {
            // The rest of the debt goes out when this reader's turn comes again.
            self.is_behind = true;
            context.hub.set_news(slot, outbox.is_clear());
            return Ok(Some(Progress::Open));
        }
        let must_refresh = self.must_refresh() && !is_closed;
        if must_refresh {
            self.refresh(slot, context);
        }
        if must_refresh || must_pay_first {
            // Requests that have waited for this come first: what follows could be as much again.
            self.is_behind = true;
            context.hub.set_news(slot, outbox.is_clear());
            return Ok(Some(Progress::Open));
        }
        Ok(None)
    }

    /// Stops waiting for the stamp of a server that is ahead: continues behind the stamp if the
    /// tape has reached it, otherwise as a client that has seen no tick of this server.
    pub(crate) fn stop_waiting(&mut self, context: &mut Context<'_>) {
        let Some(stamp) = self.awaited() else {
            return;
        };
        self.special().awaited = None;
        let is_there = stamp <= context.hub.last_stamp();
        // It was not sent the pings that went by meanwhile.
        self.ponged = context.heartbeat;
        self.begin(if is_there { stamp } else { 0 }, context);
    }

    /// Moves behind the stamp `seen` if the tape still has everything after it; otherwise to the
    /// head, and is owed the newest of what came after.
    fn begin(&mut self, seen: u64, context: &mut Context<'_>) {
        let tape = context.hub.tape();
        // At its own rate it gets the newest of what it missed, and gets it immediately.
        let is_paced = self.reading().period.is_some();
        let resumed = Some(seen).filter(|&seen| seen > 0 && !is_paced);
        if let Some(position) = resumed.and_then(|seen| tape.resume(seen)) {
            self.position = position;
            self.is_resuming = position < tape.head();
            self.is_behind = self.is_resuming;
            if !self.is_resuming {
                // Whatever has the last stamp that it has seen counts as seen, except the goodbye.
                context.hub.owe_close(&mut self.special().debt, 0);
            }
        } else {
            self.position = tape.head();
            self.is_behind = false;
            let mut debt = Debt::default();
            context.hub.owe_on_joining(&mut debt, self.list, seen);
            context.hub.owe_close(&mut debt, 0);
            self.owe(debt);
        }
        let position = self.position;
        let special = self.special.as_mut();
        if let Some(pace) = special.and_then(|special| special.pace.as_mut()) {
            pace.next_for_everyone = position;
        }
    }

    /// Skips to the head, and is owed the newest of everything that it skips.
    fn skip(&mut self, context: &mut Context<'_>) {
        let from = self.unread_from(context.hub);
        let mut debt = self.take_debt();
        context.hub.owe_for_skipping(&mut debt, self.list, from);
        let is_paced = self.reading().period.is_some();
        if !is_paced {
            context.hub.owe_close(&mut debt, from);
            // The skipped frames may include pings.
            self.ponged = context.heartbeat;
        }
        self.position = context.hub.tape().head();
        self.is_behind = false;
        self.is_resuming = false;
        self.owe(debt);
    }

    /// Packs what it is owed, up to one write. Returns whether that was all.
    fn pay(&mut self, context: &mut Context<'_>) -> bool {
        let (reading, batches) = ((self.list, self.position), self.batches());
        context.packing.begin(self.wire, batches);
        let special = self.special.as_mut();
        let Some(special) = special.filter(|special| !special.debt.is_empty()) else {
            return true;
        };
        let most = context.config.messages_per_write(batches);
        let packing = &mut *context.packing;
        context
            .hub
            .pay(&mut special.debt, reading, context.instant, |frame| {
                packing.push(frame);
                packing.len() >= WRITE_LENGTH || packing.messages() >= most
            });
        let is_paid = special.debt.is_empty();
        let length = context.packing.end().len();
        context
            .counters
            .wrote(context.packing.messages() as u64, length as u64);
        is_paid
    }

    /// Sends its frames on the tape.
    fn read_on<S: Socket>(
        &mut self,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> std::io::Result<()> {
        if let Some(pace) = self.special.as_ref().and_then(|special| special.pace) {
            return self.send_for_everyone(pace, outbox, context);
        }
        let from = self.unread_from(context.hub);
        let first = self.first_unread(from, context);
        if self.must_skip(first, context.hub) {
            context.counters.conflated += 1;
            outbox.socket().note(Deed::Skip);
            self.skip(context);
            let is_paid = self.pay(context);
            outbox.send(context.packing.end(), context.now)?;
            self.is_behind = !is_paid;
            return Ok(());
        }
        let head = context.hub.tape().head();
        if first == Some(head) {
            (self.position, self.is_behind) = (head, false);
        } else if matches!(context.hub.symbols(self.list), Symbols::Everything) && !self.is_packed()
        {
            self.send_run(from, outbox, context)?;
        } else {
            self.send_found(outbox, context)?;
        }
        self.is_behind = self.position < head;
        self.is_resuming &= self.is_behind;
        Ok(())
    }

    /// Its first frame at `from` or behind; the head if there is none; `None` if that frame may
    /// have fallen off the tape. For a list, and for messages that are not sent as the tape has
    /// them, the gatherer keeps the rest.
    fn first_unread(&self, from: FrameNumber, context: &mut Context<'_>) -> Option<FrameNumber> {
        let (tape, head) = (context.hub.tape(), context.hub.tape().head());
        match context.hub.symbols(self.list) {
            Symbols::Everything if from < tape.tail() => None,
            Symbols::Everything => {
                if self.is_packed() {
                    context.gather.take_all(from, head);
                }
                Some(from)
            }
            Symbols::Some(symbols) => {
                let is_all_there = context.gather.find(tape, symbols, from);
                let first = context.gather.found().first().copied();
                is_all_there.then(|| first.unwrap_or(head))
            }
        }
    }

    /// Whether it is so far behind that it must skip to the head: its next frame has fallen off the
    /// tape, or is too old for a reader that has been connected all along.
    fn must_skip(&self, first: Option<FrameNumber>, hub: &Hub) -> bool {
        first.is_none_or(|first| first < hub.tape().fresh_from() && !self.is_resuming)
    }

    /// Sends the tape as it is.
    fn send_run<S: Socket>(
        &mut self,
        from: FrameNumber,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> std::io::Result<()> {
        let tape = context.hub.tape();
        let (run, _) = tape.run(from);
        let written = outbox.send_some(run, context.now)?;
        let (position, rest) = tape.advance(from, written);
        outbox.keep(rest);
        let bytes = written + rest.len();
        context.counters.wrote(position - from, bytes as u64);
        self.position = position;
        Ok(())
    }

    /// Sends the gathered frames, up to one write.
    fn send_found<S: Socket>(
        &mut self,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> std::io::Result<()> {
        let (tape, found, batches) = (context.hub.tape(), context.gather.found(), self.batches());
        let most = context.config.messages_per_write(batches);
        context.packing.begin(self.wire, batches);
        let mut taken = 0;
        while taken < found.len() && taken < most && context.packing.len() < WRITE_LENGTH {
            context.packing.push(tape.frame(found[taken]));
            taken += 1;
        }
        let bytes = context.packing.end();
        let (given, length) = if batches {
            // A JSON list is one frame, so a list that was begun is sent whole.
            outbox.send(bytes, context.now)?;
            (taken, bytes.len())
        } else {
            let written = outbox.send_some(bytes, context.now)?;
            let (given, rest) = match self.wire {
                Wire::WebSocket => hub::torn(tape, &found[..taken], written),
                Wire::Events => context.packing.torn(written),
            };
            outbox.keep(rest);
            (given, written + rest.len())
        };
        context.counters.wrote(given as u64, length as u64);
        self.position = match found.get(given) {
            Some(&next) => next,
            // When gathering stopped at its limit there may be more.
            None if context.gather.is_cut() => found[given - 1] + 1,
            None => tape.head(),
        };
        Ok(())
    }

    /// Sends the frames for everyone to a reader that gets its ticks at its own rate.
    fn send_for_everyone<S: Socket>(
        &mut self,
        pace: Pace,
        outbox: &mut Outbox<S>,
        context: &mut Context<'_>,
    ) -> std::io::Result<()> {
        let tape = context.hub.tape();
        let is_all_there = context.gather.find(tape, &[], pace.next_for_everyone);
        if !is_all_there {
            // Only pings can have been lost: the closing frame comes last of all.
            self.ponged = context.heartbeat;
            context.gather.find(tape, &[], tape.tail());
        }
        context.packing.begin(self.wire, false);
        for &number in context.gather.found() {
            context.packing.push(tape.frame(number));
        }
        let messages = context.packing.messages() as u64;
        let bytes = context.packing.end();
        if messages > 0 {
            outbox.send(bytes, context.now)?;
            context.counters.wrote(messages, bytes.len() as u64);
        }
        let last = context
            .gather
            .found()
            .last()
            .filter(|_| context.gather.is_cut());
        let next_for_everyone = last.map_or(tape.head(), |last| last + 1);
        self.is_behind = next_for_everyone < tape.head();
        self.special().pace = Some(Pace {
            next_for_everyone,
            ..pace
        });
        Ok(())
    }

    /// The pace of a reader whose period has had a beat since it was served, with that beat; also
    /// at the end, when there is no beat to come.
    fn due_pace(&self, hub: &Hub) -> Option<Pace> {
        let pace = self.special.as_ref()?.pace?;
        let beat = hub.beats(pace.period);
        (beat != pace.beat || hub.is_closed()).then_some(Pace { beat, ..pace })
    }

    fn unread_from(&self, hub: &Hub) -> FrameNumber {
        if self.is_behind || self.reading().period.is_some() {
            self.position
        } else {
            self.position.max(hub.offered())
        }
    }

    /// Whether the tape can have no more frames for it.
    fn is_at_head(&self, hub: &Hub) -> bool {
        let pace = self.special.as_ref().and_then(|special| special.pace);
        let position = pace.map_or(self.position, |pace| pace.next_for_everyone);
        position == hub.tape().head()
    }

    fn set_delivery(&mut self, period: Option<PeriodId>, batches: bool, hub: &Hub) {
        let position = self.position;
        let special = self.special();
        special.batches = batches;
        let known = special.pace;
        special.pace = period.map(|period| Pace {
            period,
            beat: known
                .filter(|pace| pace.period == period)
                .map_or_else(|| hub.beats(period), |pace| pace.beat),
            next_for_everyone: known.map_or(position, |pace| pace.next_for_everyone),
        });
    }

    /// Whether its messages are not sent as the tape has them.
    fn is_packed(&self) -> bool {
        self.wire != Wire::WebSocket || self.batches()
    }

    fn batches(&self) -> bool {
        self.special.as_ref().is_some_and(|special| special.batches)
    }

    fn special(&mut self) -> &mut Special {
        self.special.get_or_insert_default()
    }

    fn take_debt(&mut self) -> Debt {
        let special = self.special.as_mut();
        special.map_or_else(Debt::default, |special| std::mem::take(&mut special.debt))
    }

    fn owe(&mut self, debt: Debt) {
        if !debt.is_empty() {
            self.special().debt = debt;
        }
    }

    /// Whether its debt is so large that requests, which could add to it, have to wait; or its list
    /// is about to change once the debt is paid, which those requests would see.
    pub(crate) fn is_owed_much(&self) -> bool {
        let special = self.special.as_ref();
        special.is_some_and(|special| special.debt.is_large() || special.must_refresh)
    }

    /// Whether its requests have to wait until `outbox` has room again for a large debt. An event
    /// tells when it has.
    pub(crate) fn must_wait_for_room<S: Socket>(&self, outbox: &Outbox<S>) -> bool {
        self.is_owed_much() && !outbox.is_clear()
    }

    /// Frees memory that it no longer needs.
    fn drop_special(&mut self) {
        let is_plain = |special: &Special| {
            special.debt.is_empty()
                && !special.must_refresh
                && special.pace.is_none()
                && special.awaited.is_none()
                && special.notice.is_none()
                && !special.batches
        };
        if self.special.as_deref().is_some_and(is_plain) {
            self.special = None;
        }
    }
}

/// The approximate size of one write: as much as the system buffers for a client.
const WRITE_LENGTH: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand idle clients have ten thousand of these.
    #[test]
    fn an_idle_client_owns_little_memory() {
        assert!(size_of::<Subscriber>() <= 56, "{}", size_of::<Subscriber>());
    }
}
