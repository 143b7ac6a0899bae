//! Where a client reads by the model's account, and what the server must send it next.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::server::tests::simulation::list::List;
use crate::server::tests::simulation::model::Model;

/// How far a client has read, and how.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) list: List,
    /// The first frame that it may not have had.
    pub(super) position: u64,
    /// It was away and has not caught up, so no frame is too old for it.
    pub(super) resuming: bool,
    /// The frames that it gets before it reads on.
    debt: BTreeSet<Debt>,
    pub(super) pace: Option<Pace>,
    pub(super) batches: bool,
    /// The stamp that it waits for the tape to reach, and the end of the wait, µs.
    pub(super) awaited: Option<u64>,
    pub(super) waits_until: Option<u64>,
    /// When the server's own limits last let it be sent only a part of its frames, µs.
    pub(super) cut: Option<u64>,
    /// When its list last changed, µs: frames printed by then may not have been for it.
    pub(super) changed: Option<u64>,
    /// It is being told goodbye, and its period has no further beat.
    pub(super) leaving: bool,
    /// Symbols listed since that its patterns take.
    pub(super) fresh: BTreeSet<usize>,
    /// Whether, at the last check, the server said that it owed it frames or had yet to find out;
    /// it takes those symbols once the debt is paid.
    pub(super) owes: bool,
    pub(super) takes_later: bool,
    /// Skips of the server that the model has not followed yet, by how many bytes were sent before.
    pub(super) skips: VecDeque<u64>,
    /// Where it stood by the server's account at each change that the model has not followed yet.
    pub(super) changes: VecDeque<u64>,
}

/// The newest tick of each symbol, once per period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) every: Duration,
    /// The last beat at which it was served.
    pub(super) beat: u32,
    /// The first frame for everyone that it may not have had.
    next_for_everyone: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Debt {
    Tick(usize),
    Event(usize),
    Close,
}

/// The source of a frame; all frames of one write have the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The newest ticks.
    Debt,
    Tape,
    /// The tape without the ticks, for a reader at its own rate.
    ForEveryone,
}

/// The frame that must come next.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) frame: Vec<u8>,
    pub(super) source: Source,
    /// The oldest frame that it skips to get there.
    pub(super) skipped: Option<u64>,
}

impl Place {
    /// A client that joins at the head.
    pub(super) fn new(list: List, batches: bool, pace: Option<Duration>, model: &Model) -> Self {
        let pace = pace.map(|every| Pace {
            every,
            beat: model.beats.get(&every).copied().unwrap_or(0),
            next_for_everyone: model.head(),
        });
        Self {
            list,
            position: model.head(),
            resuming: false,
            debt: BTreeSet::new(),
            pace,
            batches,
            awaited: None,
            waits_until: None,
            cut: None,
            changed: None,
            leaving: false,
            fresh: BTreeSet::new(),
            owes: false,
            takes_later: false,
            skips: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    /// Begins to read behind the stamp `seen`, or with whatever is newer.
    pub(super) fn begin(&mut self, seen: u64, model: &Model) {
        self.awaited = None;
        // At its own rate it gets the newest of what it missed.
        let resumed = model.resume(seen);
        let resumed = resumed.filter(|_| seen > 0 && self.pace.is_none());
        self.position = resumed.unwrap_or(model.head());
        if resumed.is_some() {
            self.resuming = self.position < model.head();
            // Whatever has the last stamp that it has seen counts as seen, except the goodbye.
            if model.closed.is_some_and(|close| close < self.position) {
                self.debt.insert(Debt::Close);
            }
        } else {
            for &symbol in &self.list.symbols.clone() {
                self.owe_newest(symbol, seen, model);
            }
            if model.closed.is_some() {
                self.debt.insert(Debt::Close);
            }
        }
        if let Some(pace) = &mut self.pace {
            pace.next_for_everyone = self.position;
        }
    }

    /// Owes it a symbol's newest tick, if it is newer than `seen`, and an event if the symbol is
    /// stale.
    fn owe_newest(&mut self, symbol: usize, seen: u64, model: &Model) {
        let state = &model.symbols[symbol];
        if state.listed && state.seq > 0 && state.sent > seen {
            self.debt.insert(Debt::Tick(symbol));
        }
        if state.listed && state.stale {
            self.debt.insert(Debt::Event(symbol));
        }
    }

    /// Reads another list, or in another way, from here on. `stands` is its position by the
    /// server's account: frames between that and its next frame make no difference until now.
    pub(super) fn change(
        &mut self,
        list: List,
        (every, batches): (Option<Duration>, bool),
        stands: u64,
        model: &Model,
    ) {
        if self.pace.is_none() {
            self.note_position(stands, model);
        }
        let known = std::mem::replace(&mut self.list, list);
        if self.awaited.is_none() {
            for &symbol in self.list.symbols.clone().difference(&known.symbols) {
                self.owe_newest(symbol, 0, model);
            }
        }
        if self.pace.is_some() {
            // What is new to it does not wait for a beat, and neither does what the beat would
            // bring.
            if self.awaited.is_none() {
                self.owe_since(self.position, model);
            }
            self.position = model.head();
        }
        let beat = |every| model.beats.get(every).copied().unwrap_or(0);
        match (self.pace, every) {
            (Some(_), None) => self.pace = None,
            (Some(pace), Some(every)) if pace.every != every => {
                let beat = beat(&every);
                self.pace = Some(Pace {
                    every,
                    beat,
                    ..pace
                });
            }
            (None, Some(every)) => {
                self.pace = Some(Pace {
                    every,
                    beat: beat(&every),
                    next_for_everyone: self.position,
                });
            }
            _ => {}
        }
        self.batches = batches;
        let symbols = &self.list.symbols;
        self.debt.retain(|debt| match debt {
            Debt::Tick(symbol) | Debt::Event(symbol) => symbols.contains(symbol),
            Debt::Close => true,
        });
        self.fresh.retain(|symbol| !symbols.contains(symbol));
    }

    /// Takes the server's position for it, if that makes no difference.
    pub(super) fn note_position(&mut self, stands: u64, model: &Model) {
        let next = self.next_position(model);
        self.position = stands.clamp(self.position, next.max(self.position));
    }

    /// Owes it the newest of everything in its list that was printed since `from`.
    fn owe_since(&mut self, from: u64, model: &Model) {
        for &symbol in &self.list.symbols {
            let state = &model.symbols[symbol];
            if state.tick >= from {
                self.debt.insert(Debt::Tick(symbol));
            }
            if state.event >= from {
                self.debt.insert(Debt::Event(symbol));
            }
        }
    }

    /// Passes over everything that it has not had, and is owed the newest of it.
    fn skip(&mut self, model: &Model) {
        self.owe_since(self.position, model);
        if let (None, Some(close)) = (self.pace, model.closed)
            && close >= self.position
        {
            self.debt.insert(Debt::Close);
        }
        self.position = model.head();
        self.resuming = false;
    }

    /// Owes it what the beat of its period brings.
    ///
    /// # Panics
    /// When there was no beat.
    pub(super) fn serve(&mut self, model: &Model) {
        assert!(self.is_due(model), "served between two beats");
        let pace = self.pace.as_mut().expect("it has a period");
        pace.beat = model.beats.get(&pace.every).copied().unwrap_or(0);
        self.skip(model);
    }

    /// Whether its period has had a beat since it was served.
    pub(super) fn is_due(&self, model: &Model) -> bool {
        self.pace.is_some_and(|pace| {
            let beat = model.beats.get(&pace.every).copied().unwrap_or(0);
            beat != pace.beat || model.closed.is_some() || self.leaving
        })
    }

    /// The first frame on the tape that is for it and that it has not had.
    pub(super) fn first_unread(&self, from: u64, model: &Model) -> Option<u64> {
        let is_for_it =
            |symbol: Option<usize>| symbol.is_none_or(|symbol| self.list.symbols.contains(&symbol));
        let mut unread = model
            .from(from)
            .filter(|(_, printed)| is_for_it(printed.symbol));
        unread.next().map(|(number, _)| number)
    }

    /// The first change of its list that it has not been served.
    fn first_unserved(&self, model: &Model) -> Option<u64> {
        let since = |number: u64| (number >= self.position).then_some(number);
        let symbols = self
            .list
            .symbols
            .iter()
            .map(|&symbol| &model.symbols[symbol]);
        let newest = symbols.flat_map(|symbol| [since(symbol.tick), since(symbol.event)]);
        newest.flatten().min()
    }

    /// The furthest position at which the server may have it.
    fn next_position(&self, model: &Model) -> u64 {
        let next = match self.pace {
            None => self.first_unread(self.position, model),
            Some(_) if self.is_due(model) => self.first_unserved(model),
            Some(_) => Some(self.position),
        };
        next.unwrap_or(model.head())
    }

    /// Whether it must skip: its next frame has fallen off the tape, or is too old. Returns the
    /// oldest frame that it skips.
    pub(super) fn must_skip(&self, model: &Model) -> Option<u64> {
        let first = self.first_unread(self.position, model)?;
        let is_old = !self.resuming && model.is_old(first);
        (first < model.tail || is_old).then_some(first)
    }

    /// Skips as the server did before it sent the frame that begins `at`, if no frame was sent for
    /// the skip: either the skip left it owed no frames, or the server `owes` it some and has not
    /// found the first of them yet. Returns the oldest frame that it skips.
    pub(super) fn skip_silently(&mut self, at: u64, owes: bool, model: &Model) -> Option<u64> {
        let is_possible = self.has_skipped(at) && !self.is_owed(model);
        let first = self.must_skip(model).filter(|_| is_possible)?;
        let mut place = self.clone();
        place.skip(model);
        if place.is_owed(model) && !owes {
            return None;
        }
        *self = place;
        Some(first)
    }

    /// Whether the server let it skip before sending the frame that begins `at`.
    pub(super) fn has_skipped(&self, at: u64) -> bool {
        self.skips.front().is_some_and(|&skip| skip <= at)
    }

    /// Counts a skip, as the server has: the client was offered the frames that it skips and had no
    /// room for them, last at `hindered`, or the tape has lost them.
    ///
    /// # Panics
    /// When the server has not skipped, or was not fair.
    pub(super) fn count_skip(&mut self, first: u64, hindered: Option<u64>, model: &mut Model) {
        let (at, tail) = (model.frame(first).at, model.tail);
        assert!(
            first < tail || hindered >= Some(at),
            "skips {first} of {at} that it was never offered, {hindered:?}, {tail}"
        );
        let skipped = self.skips.pop_front();
        assert!(skipped.is_some(), "it must skip, and has not");
        model.sent.conflated += 1;
    }

    /// Whether it is to get any frame before it reads on.
    pub(super) fn is_owed(&self, model: &Model) -> bool {
        let is_unpaid = |debt: &Debt| debt.number(model) < self.position;
        self.debt.iter().any(is_unpaid)
    }

    /// The frame that must be sent next, if there is one.
    pub(super) fn due(&mut self, is_control: bool, now: u64, model: &Model) -> Option<Due> {
        if self.awaited.is_some() {
            return None;
        }
        if let Some(frame) = self.next_debt(now, model) {
            return Some(Due::newest(frame, None));
        }
        if self.pace.is_some() {
            return self.due_at_pace(is_control, now, model);
        }
        let skipped = self.must_skip(model);
        if skipped.is_some() {
            self.skip(model);
            let frame = self.next_debt(now, model)?;
            return Some(Due::newest(frame, skipped));
        }
        let number = self.first_unread(self.position, model)?;
        self.position = number + 1;
        Some(Due::on_tape(number, model))
    }

    fn due_at_pace(&mut self, is_control: bool, now: u64, model: &Model) -> Option<Due> {
        if !is_control || model.closed.is_some() || self.leaving {
            if self.is_due(model) {
                self.serve(model);
            }
            if let Some(frame) = self.next_debt(now, model) {
                return Some(Due::newest(frame, None));
            }
        }
        let pace = self.pace.as_mut().filter(|_| is_control)?;
        // Pings that have fallen off the tape are no loss.
        let from = pace.next_for_everyone.max(model.tail);
        let mut for_everyone = model
            .from(from)
            .filter(|(_, printed)| printed.symbol.is_none());
        let (number, _) = for_everyone.next()?;
        pace.next_for_everyone = number + 1;
        Some(Due {
            source: Source::ForEveryone,
            ..Due::on_tape(number, model)
        })
    }

    /// The oldest frame that it is owed. Symbols printed again since its position come by the tape.
    fn next_debt(&mut self, now: u64, model: &Model) -> Option<Vec<u8>> {
        let position = self.position;
        self.debt.retain(|debt| debt.number(model) < position);
        let in_order = |debt: &Debt| debt.number(model);
        let first = self.debt.iter().copied().min_by_key(in_order)?;
        self.debt.remove(&first);
        Some(match first {
            Debt::Tick(symbol) => {
                crate::server::tests::simulation::model::text(&model.symbols[symbol].json)
            }
            Debt::Event(symbol) => model.symbols[symbol].event_frame(now),
            Debt::Close => model.frame(first.number(model)).frame.clone(),
        })
    }

    /// Whether it has had everything that it should have by now. At the end that includes the ticks
    /// since the last beat.
    pub(super) fn is_satisfied(&self, at_the_end: bool, model: &Model) -> bool {
        let mut rest = self.clone();
        if self.awaited.is_some() {
            return true;
        }
        if at_the_end && self.pace.is_some() {
            rest.skip(model);
        }
        rest.due(false, u64::MAX, model).is_none() && rest.due(true, u64::MAX, model).is_none()
    }
}

impl Debt {
    /// The number of the frame.
    fn number(self, model: &Model) -> u64 {
        match self {
            Self::Tick(symbol) => model.symbols[symbol].tick,
            Self::Event(symbol) => model.symbols[symbol].event,
            Self::Close => model.closed.unwrap_or(u64::MAX),
        }
    }
}

impl Due {
    fn newest(frame: Vec<u8>, skipped: Option<u64>) -> Self {
        Self {
            frame,
            source: Source::Debt,
            skipped,
        }
    }

    fn on_tape(number: u64, model: &Model) -> Self {
        Self {
            frame: model.frame(number).frame.clone(),
            source: Source::Tape,
            skipped: None,
        }
    }
}
