//! What the server should do, said a second time and as plainly as can be: all that was printed, in
//! a list, and who may read what of it.
//!
//! Nothing here is bounded or quick. It knows the promises of the tape, not how they are kept.

use std::collections::BTreeMap;

use crate::frame;

/// A set of symbols, a bit for each.
pub(super) type Set = u32;

/// Everything printed, and who reads it.
pub(super) struct Model {
    pub(super) symbols: Vec<Symbol>,
    pub(super) channels: BTreeMap<Set, Channel>,
    pub(super) goodbye: Option<Vec<u8>>,
    pub(super) last_stamp: u64,
    pub(super) stale_after: u64,
    tape_size: u64,
    tapes_max: usize,
    /// What the counters must say.
    pub(super) ticks: u64,
    pub(super) writes: u64,
    pub(super) bytes: u64,
    pub(super) conflated: u64,
    /// What the server has counted of them: some cannot be seen.
    pub(super) counted: u64,
    pub(super) skipped: u64,
}

/// A symbol and its newest tick.
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) seq: u64,
    sent: u64,
    json: String,
    heard: u64,
    stale: bool,
}

/// What one set of symbols was given to read.
pub(super) struct Channel {
    pub(super) readers: usize,
    printed: Vec<Printed>,
    head: u64,
    /// The newest stamp when it was made.
    made: u64,
    stale_before: u64,
    newest: BTreeMap<usize, u64>,
}

struct Printed {
    start: u64,
    frame: Vec<u8>,
    stamp: u64,
    at: u64,
}

/// Where a client should be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) set: Set,
    pub(super) position: u64,
    resuming: bool,
}

impl Model {
    pub(super) fn new(names: &[String], stale_after: u64, tape: (usize, usize)) -> Self {
        let symbol = |name: &String| Symbol {
            name: name.clone(),
            seq: 0,
            sent: 0,
            json: String::new(),
            heard: 0,
            stale: false,
        };
        let mut model = Self {
            symbols: names.iter().map(symbol).collect(),
            channels: BTreeMap::new(),
            goodbye: None,
            last_stamp: 0,
            stale_after,
            tape_size: tape.0 as u64,
            tapes_max: tape.1,
            ticks: 0,
            writes: 0,
            bytes: 0,
            conflated: 0,
            counted: 0,
            skipped: 0,
        };
        model.channels.insert(model.all(), Channel::new(0));
        model
    }

    pub(super) fn all(&self) -> Set {
        (1 << self.symbols.len()) - 1
    }

    /// Returns how often anything was printed for that; the others do too.
    pub(super) fn print(&mut self, symbol: usize, price: &str, (now, wall): (u64, u64)) -> u64 {
        if self.goodbye.is_some() {
            return 0;
        }
        let live = self.hear(symbol, now);
        self.last_stamp = wall.max(self.last_stamp + 1);
        let it = &mut self.symbols[symbol];
        it.seq += 1;
        it.sent = self.last_stamp;
        it.json = format!(
            r#"{{"symbol":"{}","price":{price},"timestamp":7,"seq":{},"sent":{}}}"#,
            it.name, it.seq, it.sent
        );
        let frame = text(&it.json);
        let printed = self.append(&frame, Some(symbol), now);
        for (_, channel) in self.reading(Some(symbol)) {
            channel.newest.insert(symbol, channel.head);
        }
        self.ticks += 1;
        live + printed
    }

    pub(super) fn hear(&mut self, symbol: usize, now: u64) -> u64 {
        let it = &mut self.symbols[symbol];
        it.heard = now;
        if std::mem::take(&mut it.stale) {
            let event = format!(r#"{{"event":"live","symbol":"{}"}}"#, it.name);
            return self.append(&text(&event), Some(symbol), now);
        }
        0
    }

    pub(super) fn print_stale(&mut self, now: u64) -> u64 {
        let mut count = 0;
        for symbol in 0..self.symbols.len() {
            let it = &mut self.symbols[symbol];
            if !it.stale && now - it.heard > self.stale_after {
                it.stale = true;
                let event = it.stale_event(now);
                count += self.append(&event, Some(symbol), now);
            }
        }
        count
    }

    /// How long no symbol has been silent that is not called stale.
    pub(super) fn longest_silence(&self, now: u64) -> u64 {
        let trusted = self.symbols.iter().filter(|symbol| !symbol.stale);
        trusted.map(|symbol| now - symbol.heard).max().unwrap_or(0)
    }

    /// Prints for the readers of a symbol, or for all.
    pub(super) fn append(&mut self, frame: &[u8], symbol: Option<usize>, now: u64) -> u64 {
        let stamp = self.last_stamp;
        if self.goodbye.is_some() {
            return 0;
        }
        for (_, channel) in self.reading(symbol) {
            channel.printed.push(Printed {
                start: channel.head,
                frame: frame.to_vec(),
                stamp,
                at: now,
            });
            channel.head += frame.len() as u64;
        }
        1
    }

    fn reading(&mut self, symbol: Option<usize>) -> impl Iterator<Item = (&Set, &mut Channel)> {
        let reads = move |set: Set| symbol.is_none_or(|symbol| set >> symbol & 1 == 1);
        self.channels
            .iter_mut()
            .filter(move |(set, _)| reads(**set))
    }

    /// What was printed up to `instant` is too old from now on.
    pub(super) fn age(&mut self, instant: u64) {
        for channel in self.channels.values_mut() {
            let fresh = channel.printed.iter().rev();
            let fresh = fresh.take_while(|printed| printed.at > instant);
            channel.stale_before = fresh.last().map_or(channel.head, |first| first.start);
        }
    }

    /// Whether one more reader of `set` can be taken.
    pub(super) fn has_room(&self, set: Set) -> bool {
        self.channels.contains_key(&set) || self.channels.len() < self.tapes_max
    }

    fn join(&mut self, set: Set) {
        let made = self.last_stamp;
        let channel = self.channels.entry(set);
        channel.or_insert_with(|| Channel::new(made)).readers += 1;
    }

    pub(super) fn leave(&mut self, set: Set) {
        let channel = self.channels.get_mut(&set).expect("it is read");
        channel.readers -= 1;
        if channel.readers == 0 && set != self.all() {
            self.channels.remove(&set);
        }
    }

    /// A client comes, and finds these frames before the tape.
    pub(super) fn open(&mut self, set: Set, since: Option<u64>, now: u64) -> (Place, Vec<Vec<u8>>) {
        self.join(set);
        let channel = &self.channels[&set];
        let position = since.and_then(|stamp| channel.resume(stamp, self.tape_size));
        let seen = since.filter(|&stamp| stamp <= self.last_stamp).unwrap_or(0);
        let place = Place {
            set,
            position: position.unwrap_or(channel.head),
            resuming: position.is_some_and(|position| position < channel.head),
        };
        let frames = match position {
            Some(_) => Vec::new(),
            None => self.newest(set, now, |_, symbol| symbol.sent > seen),
        };
        (place, frames)
    }

    /// A client reads another set, and finds these frames before its tape.
    pub(super) fn change(&mut self, place: &mut Place, to: Set, now: u64) -> Vec<Vec<u8>> {
        self.join(to);
        let Place { set, position, .. } = *place;
        let mut frames = Vec::new();
        if to != set {
            let is_new = |index: usize| set >> index & 1 == 0;
            frames = self.newest(to, now, |index, _| {
                is_new(index) || self.channels[&set].is_unread(index, position)
            });
            place.position = self.channels[&to].head;
            place.set = to;
            place.resuming = false;
        }
        self.leave(set);
        frames
    }

    pub(super) fn is_behind(&self, place: &Place) -> bool {
        let channel = &self.channels[&place.set];
        place.position < channel.tail(self.tape_size)
            || (place.position < channel.stale_before && !place.resuming)
    }

    /// What a client gets instead of all that it skips.
    pub(super) fn instead(&self, place: &Place, now: u64) -> Vec<Vec<u8>> {
        let channel = &self.channels[&place.set];
        let mut frames = self.newest(place.set, now, |index, _| {
            channel.is_unread(index, place.position)
        });
        frames.extend(self.goodbye.clone());
        frames
    }

    /// A client skips what it was offered and had no room for, which it had last at `hindered`, or
    /// what the tape has lost.
    pub(super) fn skip_fairly(&mut self, place: &mut Place, hindered: Option<u64>) {
        let channel = &self.channels[&place.set];
        let oldest = channel.printed.iter().rev();
        let oldest = oldest.take_while(|printed| printed.start >= place.position);
        let oldest = oldest.last().map_or(0, |printed| printed.at);
        let is_lost = place.position < channel.tail(self.tape_size);
        assert!(
            is_lost || hindered >= Some(oldest),
            "skips what it was never offered"
        );
        self.skip(place);
    }

    pub(super) fn skip(&mut self, place: &mut Place) {
        let head = self.head(place);
        self.conflated += 1;
        self.skipped += head - place.position;
        place.position = head;
        place.resuming = false;
    }

    pub(super) fn head(&self, place: &Place) -> u64 {
        self.channels[&place.set].head
    }

    /// The frame that a client must get next; none if it has had all.
    pub(super) fn next(&self, place: &Place) -> Option<&[u8]> {
        let printed = &self.channels[&place.set].printed;
        let index = printed.partition_point(|printed| printed.start < place.position);
        printed.get(index).map(|printed| &*printed.frame)
    }

    /// A client got the next frame.
    pub(super) fn got(&mut self, place: &mut Place, length: usize) {
        place.position += length as u64;
        place.resuming &= place.position < self.head(place);
        self.bytes += length as u64;
    }

    /// The newest tick's JSON; empty before the first.
    pub(super) fn json(&self, symbol: usize) -> &str {
        &self.symbols[symbol].json
    }

    fn newest(&self, set: Set, now: u64, wanted: impl Fn(usize, &Symbol) -> bool) -> Vec<Vec<u8>> {
        let of_set = self.symbols.iter().enumerate();
        let of_set: Vec<_> = of_set.filter(|(index, _)| set >> index & 1 == 1).collect();
        let ticks = of_set
            .iter()
            .filter(|(index, symbol)| wanted(*index, symbol));
        let mut ticks: Vec<_> = ticks.filter(|(_, symbol)| symbol.seq > 0).collect();
        ticks.sort_by_key(|(_, symbol)| symbol.sent);
        let stale = of_set.iter().filter(|(_, symbol)| symbol.stale);
        let ticks = ticks.iter().map(|(_, symbol)| text(&symbol.json));
        ticks
            .chain(stale.map(|(_, symbol)| symbol.stale_event(now)))
            .collect()
    }
}

impl Symbol {
    fn stale_event(&self, now: u64) -> Vec<u8> {
        let (name, age) = (&self.name, (now - self.heard) / 1000);
        text(&format!(
            r#"{{"event":"stale","symbol":"{name}","age":{age}}}"#
        ))
    }
}

impl Channel {
    fn new(made: u64) -> Self {
        Self {
            readers: 0,
            printed: Vec::new(),
            head: 0,
            made,
            stale_before: 0,
            newest: BTreeMap::new(),
        }
    }

    /// How many frames no longer fit.
    fn lost(&self, size: u64) -> usize {
        self.printed
            .partition_point(|printed| printed.start + size < self.head)
    }

    fn tail(&self, size: u64) -> u64 {
        let kept = self.printed.get(self.lost(size));
        kept.map_or(self.head, |oldest| oldest.start)
    }

    fn resume(&self, stamp: u64, size: u64) -> Option<u64> {
        let lost = self.printed[..self.lost(size)].last();
        let forgotten = lost.map_or(self.made, |lost| lost.stamp);
        let newest = self.printed.last().map_or(self.made, |last| last.stamp);
        let next = || self.printed[self.lost(size)..].iter();
        (forgotten..=newest).contains(&stamp).then(|| {
            let next = next().find(|printed| printed.stamp > stamp);
            next.map_or(self.head, |next| next.start)
        })
    }

    fn is_unread(&self, symbol: usize, position: u64) -> bool {
        self.newest.get(&symbol).is_some_and(|&end| end > position)
    }
}

/// A text as a frame.
pub(super) fn text(payload: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::text(&mut out, payload.as_bytes());
    out
}
