//! An origin: it writes what its sources bring into the log, and prints it when the log has it.
//!
//! One message is under way at a time, under the condition that the log's last message is the one
//! this server printed last. So nobody who was deposed can write behind a successor, whatever the
//! clocks say. If the answer is lost, the log itself tells what became of the message.
//!
//! Of several origins one leads. The others follow, and one of them takes over when the log falls
//! silent: it appends the opening of a new term at the exact end of the log.

mod adopted;
mod room;
#[cfg(test)]
mod testing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use self::adopted::Adopted;
use super::{Command, Effect, Input, Node, Note, RETRY, Request, Subject};
use crate::cluster::message::{Content, Key, Message, Position, Printed, Silences, SymbolInfo};
use crate::cluster::waiting::{BATCH_LENGTH_MAX, Waiting};
use crate::tick::{Stamps, Tick};

/// How an origin is set up.
#[derive(Clone, Debug)]
pub(crate) struct OriginSettings {
    /// Its name in the log.
    pub(crate) id: String,
    /// How long the log may be silent before it takes over.
    pub(crate) takeover_after: Duration,
    /// Whether its sources tell their symbols while they run, so that some may still be unknown when
    /// it takes over.
    pub(crate) lists_later: bool,
    /// The wall clock, in Unix µs.
    pub(crate) wall_us: fn() -> u64,
}

/// What an origin has besides what it follows.
#[derive(Debug)]
pub(super) struct Origin {
    settings: OriginSettings,
    duty: Duty,
    /// It is to hand over and to write no more.
    is_leaving: bool,
    /// Whoever led has said that it leaves.
    is_vacant: bool,
    /// The symbols of its sources.
    symbols: BTreeMap<String, SymbolInfo>,
    /// Those of them that are the log's.
    adopted: Adopted,
    /// When another origin was last heard.
    led: Option<Instant>,
    /// While it follows: the newest price of each symbol, which it may write when it takes over.
    pool: HashMap<String, Tick>,
    waiting: Waiting,
    /// The last message that the log has taken of this server.
    accepted: Vec<u8>,
    /// Ticks that were in the last message and in the one under way when the log was lost. Some
    /// servers have printed them and some have not, so they are written again as they are.
    rewritten: Vec<Printed>,
    under_way: Option<UnderWay>,
    /// How many messages it has written, or tried to.
    messages: u64,
    /// It waits for what the log says of itself.
    is_inspecting: bool,
    stamps: Stamps,
    keys: Keys,
    /// When it has to show a sign of life.
    beat_due: Option<Instant>,
    /// Symbols whose prices stand, by its sources.
    standing: BTreeSet<String>,
}

/// What an origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Follows,
    /// Its opening is under way.
    Opens,
    Leads,
    /// It has handed over.
    Left,
}

/// The message under way.
#[derive(Debug)]
struct UnderWay {
    /// Its count among the messages of this server.
    count: u64,
    message: Message,
    payload: Vec<u8>,
    subject: Subject,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be sent, but not before this instant.
    Due(Option<Instant>),
    Sent,
    /// Whether the log has it is being looked up. If it was refused, the log has something.
    Unknown {
        was_refused: bool,
    },
}

/// The key that is being written, and the next one.
#[derive(Debug, Default)]
struct Keys {
    due: Option<Instant>,
    /// The first symbols of its parts but the first; empty between keys.
    cuts: Vec<String>,
    /// The number of its next part, from one; zero between keys.
    next: u32,
    /// Where the log has its first part.
    first: Option<u64>,
    /// The last message was a part, so it is the turn of ticks.
    was_last: bool,
}

impl Origin {
    /// Has the ticks written again of which nobody knows who has printed them.
    fn rewrite(&mut self) {
        let accepted = Message::parse(&std::mem::take(&mut self.accepted)).ok();
        let under_way = self.under_way.take().map(|under_way| under_way.message);
        let messages = accepted.into_iter().chain(under_way);
        let ticks = messages.flat_map(|message| match message.content {
            Content::Ticks { ticks, .. } => ticks,
            Content::Key(_) | Content::Leave => Vec::new(),
        });
        self.rewritten.extend(ticks);
    }
}

impl Node {
    /// A server that follows, and leads when nobody else does.
    pub(crate) fn origin(settings: OriginSettings) -> Self {
        let stamps = Stamps::new(settings.wall_us);
        Self::new(Some(Origin {
            settings,
            duty: Duty::Follows,
            is_leaving: false,
            is_vacant: false,
            symbols: BTreeMap::new(),
            adopted: Adopted::default(),
            led: None,
            pool: HashMap::new(),
            waiting: Waiting::default(),
            accepted: Vec::new(),
            rewritten: Vec::new(),
            under_way: None,
            messages: 0,
            is_inspecting: false,
            stamps,
            keys: Keys::default(),
            beat_due: None,
            standing: BTreeSet::new(),
        }))
    }

    /// Whether this server leads.
    pub(crate) fn leads(&self) -> bool {
        let origin = self.origin.as_ref();
        origin.is_some_and(|origin| origin.duty == Duty::Leads)
    }

    /// Whether this server may lead.
    pub(crate) fn is_origin(&self) -> bool {
        self.origin.is_some()
    }

    /// What it does, in short.
    #[cfg(test)]
    pub(super) fn duty(&self) -> String {
        let origin = self.origin.as_ref();
        origin.map_or(String::new(), |origin| {
            let under_way = origin.under_way.as_ref();
            let state = under_way.map(|under_way| (under_way.message.position, under_way.state));
            format!("{:?} {state:?}", origin.duty)
        })
    }

    /// How far the stamps of the log are ahead of this machine's clock.
    pub(crate) fn clock_ahead(&self) -> Duration {
        let wall = self.origin.as_ref().map(|origin| origin.stamps.wall_us());
        let ahead = wall.map_or(0, |wall| self.book.sent().saturating_sub(wall));
        Duration::from_micros(ahead)
    }

    /// How many prices wait to be written, and how many ever made room for newer ones.
    pub(crate) fn waiting(&self) -> (usize, u64) {
        let waiting = self.origin.as_ref().map(|origin| &origin.waiting);
        waiting.map_or((0, 0), |waiting| (waiting.len(), waiting.conflated()))
    }

    /// Takes a price of a source. One that this server may write when it takes over makes room for
    /// the next one of its symbol; that is a loss only if nobody else has written it.
    pub(crate) fn publish(&mut self, tick: Tick, now: Instant) {
        let hears_other = self.hears_other(now);
        let Some(origin) = &mut self.origin else {
            return;
        };
        match origin.duty {
            Duty::Leads => origin.waiting.push(tick),
            Duty::Follows | Duty::Opens => {
                let before = origin.pool.insert(tick.symbol.clone(), tick);
                if before.is_some() && !hears_other {
                    origin.waiting.count_conflated();
                }
            }
            Duty::Left => {}
        }
    }

    /// Notes that a price still stands, by its source.
    pub(crate) fn confirm(&mut self, symbol: &str) {
        if let Some(origin) = &mut self.origin
            && origin.duty == Duty::Leads
            && !origin.standing.contains(symbol)
        {
            origin.standing.insert(symbol.to_owned());
        }
    }

    /// Adds symbols of the sources, or replaces what is known about them.
    pub(crate) fn add_symbols(&mut self, symbols: impl IntoIterator<Item = (String, SymbolInfo)>) {
        if let Some(origin) = &mut self.origin {
            for (symbol, info) in symbols {
                origin.adopted.confirm(&symbol);
                origin.symbols.insert(symbol, info);
            }
            origin.keys.due = None;
        }
    }

    /// What is known about a symbol of the sources.
    pub(crate) fn symbol(&self, symbol: &str) -> Option<&SymbolInfo> {
        let origin = self.origin.as_ref()?;
        let is_own = !origin.adopted.has(symbol);
        origin.symbols.get(symbol).filter(|_| is_own)
    }

    /// Removes a symbol of the sources.
    pub(crate) fn remove_symbol(&mut self, symbol: &str) {
        if let Some(origin) = &mut self.origin {
            origin.symbols.remove(symbol);
            origin.pool.remove(symbol);
            origin.keys.due = None;
        }
    }

    /// Writes a sign of life soon: some price has become stale, or is live again.
    pub(crate) fn beat_soon(&mut self) {
        if let Some(origin) = &mut self.origin {
            origin.beat_due = None;
        }
    }

    /// Hands over: writes what is waiting and that it leaves.
    pub(crate) fn leave(&mut self) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        origin.is_leaving = true;
        if origin.duty == Duty::Follows {
            origin.duty = Duty::Left;
            self.note(Note::Left { led: false });
        }
    }

    /// Whether it will write no more.
    pub(crate) fn has_left(&self) -> bool {
        let origin = self.origin.as_ref();
        origin.is_none_or(|origin| origin.duty == Duty::Left)
    }

    /// Does what is due for an origin.
    pub(super) fn advance_origin(&mut self, now: Instant, silence: &dyn Fn(&str) -> Option<u64>) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        match origin.duty {
            Duty::Left => {}
            Duty::Follows => self.consider_taking_over(now),
            // Another one may have written meanwhile, into another log even.
            Duty::Opens | Duty::Leads if !self.has_checked => {}
            Duty::Opens | Duty::Leads => {
                self.give_up_adopted(Some(now));
                let Some(origin) = &mut self.origin else {
                    return;
                };
                if origin.under_way.is_none() && origin.duty == Duty::Leads {
                    self.write_next(now, silence);
                }
                self.send(now);
            }
        }
    }

    /// Whether the log has been silent for long enough.
    fn is_vacant(&self, now: Instant) -> bool {
        self.origin.as_ref().is_some_and(|origin| {
            // Whoever leads may still be on its way back to the broker.
            let is_settled = self
                .connected_at
                .is_some_and(|at| now >= at + SETTLED_AFTER);
            let silent = is_settled && self.silence(now) >= origin.settings.takeover_after;
            origin.duty == Duty::Follows && (origin.is_vacant || silent)
        })
    }

    fn consider_taking_over(&mut self, now: Instant) {
        if !self.follows() || !self.is_vacant(now) {
            return;
        }
        match self.looked {
            Some(looked) if now < looked + LOOK_LASTS => self.open(now),
            _ => self.look_unless_looking(now),
        }
    }

    /// Continues after a look that found nothing new.
    pub(super) fn after_look(&mut self, now: Instant) {
        if let Some(under_way) = self.under_way_mut()
            && under_way.state == (State::Unknown { was_refused: false })
        {
            under_way.state = State::Due(None);
        }
        self.consider_taking_over(now);
    }

    /// Begins the log if there is none, or begins it again if it was lost. It has no key.
    pub(super) fn open_if_nobody_leads(&mut self, now: Instant) {
        let Some(origin) = &self.origin else {
            return;
        };
        let is_free = match origin.duty {
            Duty::Follows if self.end == 0 && self.position.is_none() => true,
            Duty::Follows => self.is_vacant(now),
            Duty::Opens | Duty::Leads => self.end < self.tail,
            Duty::Left => false,
        };
        if is_free {
            self.inspect();
        }
    }

    /// Takes over, or begins: writes the first part of a key behind everything.
    fn open(&mut self, now: Instant) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        origin.duty = Duty::Opens;
        origin.stamps.note(self.book.sent());
        let wall_ms = origin.stamps.wall_us() / 1_000;
        let term = self.position.map_or(0, |position| position.term);
        let term = term.max(self.end_term) + 1;
        let position = Position {
            term: term.max(wall_ms),
            n: 1,
        };
        self.adopt_symbols(now);
        self.begin_key(now);
        let key = self.next_part(&|_| None);
        let message = Message {
            position,
            after: self.position,
            content: Content::Key(key),
        };
        self.put_under_way(message, Subject::Key);
        self.send(now);
    }

    /// Prepares the next message, if one is due.
    fn write_next(&mut self, now: Instant, silence: &dyn Fn(&str) -> Option<u64>) {
        let Some(position) = self.position else {
            return;
        };
        let Some(origin) = &mut self.origin else {
            return;
        };
        if origin.keys.next == 0 && origin.keys.due.is_none_or(|due| now >= due) {
            self.begin_key(now);
        }
        let Some(origin) = &mut self.origin else {
            return;
        };
        // Others may lack what is to be written again, and take it before the next key.
        let is_rewriting = !origin.rewritten.is_empty();
        let has_part = origin.keys.next > 0 && !origin.is_leaving && !is_rewriting;
        let is_beat_due = origin.beat_due.is_none_or(|due| now >= due);
        let has_ticks = is_rewriting || !origin.waiting.is_empty();
        let (content, subject) = if has_part && !(origin.keys.was_last && has_ticks) {
            let key = self.next_part(silence);
            (Content::Key(key), Subject::Key)
        } else if has_ticks || is_beat_due {
            let ticks = self.next_ticks();
            let stale = is_beat_due.then(|| self.silences(silence));
            (Content::Ticks { ticks, stale }, Subject::Ticks)
        } else if origin.is_leaving {
            (Content::Leave, Subject::Ticks)
        } else {
            return;
        };
        if let Some(origin) = &mut self.origin {
            origin.keys.was_last = subject == Subject::Key;
            if is_beat_due {
                origin.beat_due = Some(now + BEAT_EVERY);
            }
        }
        let message = Message {
            position: position.next(),
            after: None,
            content,
        };
        self.put_under_way(message, subject);
    }

    /// All symbols that are stale.
    fn silences(&self, silence: &dyn Fn(&str) -> Option<u64>) -> Silences {
        let symbols = self.origin.iter().flat_map(|origin| origin.symbols.keys());
        symbols
            .filter_map(|symbol| Some((symbol.clone(), silence(symbol)?)))
            .collect()
    }

    /// The ticks of the next message: those to be written again, or the prices that wait.
    fn next_ticks(&mut self) -> Vec<Printed> {
        let Some(origin) = &mut self.origin else {
            return Vec::new();
        };
        if !origin.rewritten.is_empty() {
            return std::mem::take(&mut origin.rewritten);
        }
        let waiting = origin.waiting.take();
        let mut numbers = HashMap::new();
        let ticks = waiting.into_iter().map(|tick| {
            let seq = match numbers.get_mut(&tick.symbol) {
                Some(seq) => seq,
                None => {
                    let seq = self.book.next_seq(&tick.symbol);
                    numbers.entry(tick.symbol.clone()).or_insert(seq)
                }
            };
            let sent = origin.stamps.stamp();
            let printed = Printed {
                seq: *seq,
                sent,
                tick,
            };
            *seq += 1;
            printed
        });
        ticks.collect()
    }

    fn begin_key(&mut self, now: Instant) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        let (cuts, length) = self.book.cut(&origin.symbols, PART_LENGTH);
        let interval = BEAT_EVERY.mul_f64((length as f64 / KEY_RATE).max(1.0));
        origin.keys = Keys {
            due: Some(now + interval),
            cuts,
            next: 1,
            first: None,
            was_last: origin.keys.was_last,
        };
    }

    /// The next part of the key.
    fn next_part(&mut self, silence: &dyn Fn(&str) -> Option<u64>) -> Key {
        let before = self.keys.complete();
        let Some(origin) = &mut self.origin else {
            return Key::default();
        };
        let Keys {
            cuts, next, first, ..
        } = &origin.keys;
        let index = *next as usize - 1;
        let from = index.checked_sub(1).and_then(|index| cuts.get(index));
        let to = cuts.get(index);
        let symbols = origin.symbols.iter();
        let symbols = symbols
            .skip_while(|(symbol, _)| from.is_some_and(|from| *symbol < from))
            .take_while(|(symbol, _)| to.is_none_or(|to| *symbol < to));
        let symbols: BTreeMap<_, _> = symbols
            .map(|(symbol, info)| (symbol.clone(), info.clone()))
            .collect();
        let stale = symbols.keys();
        let stale = stale.filter_map(|symbol| Some((symbol.clone(), silence(symbol)?)));
        Key {
            part: (*next, cuts.len() as u32 + 1),
            first: *first,
            before,
            origin: origin.settings.id.clone(),
            sent: self.book.sent(),
            stale: stale.collect(),
            ticks: self.book.newest_of(symbols.keys()),
            symbols,
        }
    }

    fn put_under_way(&mut self, message: Message, subject: Subject) {
        if let Some(origin) = &mut self.origin {
            origin.messages += 1;
            origin.under_way = Some(UnderWay {
                count: origin.messages,
                payload: message.to_bytes(),
                message,
                subject,
                state: State::Due(None),
            });
        }
    }

    /// Sends the message under way, if it is due.
    fn send(&mut self, now: Instant) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        if let Some(under_way) = &mut origin.under_way
            && let State::Due(at) = under_way.state
            && at.is_none_or(|at| now >= at)
        {
            under_way.state = State::Sent;
            self.commands.push(Command::Append {
                message: under_way.count,
                expect: self.tail,
                subject: under_way.subject,
                payload: under_way.payload.clone(),
            });
        }
    }

    /// Takes an answer about what was appended, or about the log.
    pub(super) fn on_answer(&mut self, input: &Input, now: Instant) {
        match *input {
            Input::Stored { message } if self.is_under_way(message) => self.accept(now),
            Input::Refused { message } if self.is_under_way(message) => self.look_up(true),
            Input::Unanswered(Request::Append { message }) if self.is_under_way(message) => {
                self.look_up(false);
            }
            Input::NoLeader { message } if self.is_under_way(message) => {
                self.look_up(false);
                // The log may be gone altogether.
                self.inspect();
            }
            Input::NoLog => self.inspect(),
            Input::Inspected { last } if self.was_inspecting() => self.on_inspected(last, now),
            Input::Unanswered(Request::Inspect) if self.was_inspecting() => self.look_later(now),
            _ => {}
        }
    }

    /// Sends the message under way behind one that is not ours.
    pub(super) fn send_again(&mut self) {
        if let Some(under_way) = self.under_way_mut() {
            under_way.state = State::Due(None);
        }
    }

    /// The message under way, if there is one.
    fn under_way(&self) -> Option<&UnderWay> {
        self.origin.as_ref()?.under_way.as_ref()
    }

    fn under_way_mut(&mut self) -> Option<&mut UnderWay> {
        self.origin.as_mut()?.under_way.as_mut()
    }

    fn is_under_way(&self, message: u64) -> bool {
        self.under_way()
            .is_some_and(|under_way| under_way.count == message)
    }

    /// Asks the log about itself, once at a time.
    fn inspect(&mut self) {
        if let Some(origin) = &mut self.origin
            && !std::mem::replace(&mut origin.is_inspecting, true)
        {
            self.commands.push(Command::Inspect);
        }
    }

    /// Notes an answer about the log. Returns whether it was due.
    fn was_inspecting(&mut self) -> bool {
        let origin = self.origin.as_mut();
        origin.is_some_and(|origin| std::mem::take(&mut origin.is_inspecting))
    }

    /// Looks up what the log has where the message under way should be.
    fn look_up(&mut self, was_refused: bool) {
        if let Some(under_way) = self.under_way_mut() {
            under_way.state = State::Unknown { was_refused };
            let next = self.tail + 1;
            self.gets.rewind(next);
            self.saw(next);
        }
    }

    /// The log does not have the message under way. Returns whether that is an answer.
    pub(super) fn is_not_stored(&mut self, seq: u64, now: Instant) -> bool {
        let is_next = seq == self.tail + 1;
        let Some(under_way) = self.under_way_mut().filter(|_| is_next) else {
            return false;
        };
        match under_way.state {
            // Another message has to be there.
            State::Unknown { was_refused: true } => return false,
            State::Unknown { was_refused: false } => {
                under_way.state = State::Due(Some(now + RETRY));
            }
            // An answer to an earlier look.
            State::Sent | State::Due(_) => {}
        }
        self.unsee(seq);
        true
    }

    /// Whether the log has refused the message under way, so that it has another one there.
    pub(super) fn was_refused(&self) -> bool {
        let state = self.under_way().map(|under_way| under_way.state);
        state == Some(State::Unknown { was_refused: true })
    }

    /// Takes the message behind the newest one, if it is the one under way.
    pub(super) fn accept_if_own(&mut self, payload: &[u8], now: Instant) -> bool {
        let under_way = self.under_way();
        let is_own = under_way.is_some_and(|under_way| under_way.payload == payload);
        if is_own {
            self.accept(now);
        }
        is_own
    }

    /// The log has taken the message under way: it is printed.
    fn accept(&mut self, now: Instant) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        let Some(under_way) = origin.under_way.take() else {
            return;
        };
        if let Content::Key(key) = &under_way.message.content {
            let is_last = key.part.0 == key.part.1;
            origin.keys.next = if is_last { 0 } else { key.part.0 + 1 };
            let first = (key.part.0 == 1).then_some(self.tail + 1);
            origin.keys.first = first.or(origin.keys.first);
        }
        origin.accepted = under_way.payload;
        let has_left = under_way.message.content == Content::Leave;
        let opens = origin.duty == Duty::Opens;
        if opens {
            origin.duty = Duty::Leads;
            origin.is_vacant = false;
        }
        self.apply(under_way.message, now);
        if opens {
            self.note(Note::Leads);
            self.become_ready();
            self.write_pool();
        }
        if has_left && let Some(origin) = &mut self.origin {
            origin.duty = Duty::Left;
            self.note(Note::Left { led: true });
        }
        self.go_on(now);
    }

    /// Writes the prices that came while this server followed, as far as they are newer than those
    /// of the log.
    fn write_pool(&mut self) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        let mut pool: Vec<_> = origin.pool.drain().map(|(_, tick)| tick).collect();
        pool.sort_by(|one, other| {
            (one.timestamp, &one.symbol).cmp(&(other.timestamp, &other.symbol))
        });
        for tick in pool {
            let newest = self.book.newest(&tick.symbol);
            let is_newer = newest
                .is_none_or(|newest| tick.timestamp > newest.tick.timestamp && tick != newest.tick);
            if is_newer {
                origin.waiting.push(tick);
            }
        }
    }

    /// Another origin's message is in the log where this one's would be.
    pub(super) fn lose_lead(&mut self) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        let led = origin.duty == Duty::Leads;
        if !matches!(origin.duty, Duty::Opens | Duty::Leads) {
            return;
        }
        origin.duty = Duty::Follows;
        origin.waiting.clear();
        origin.accepted.clear();
        origin.rewritten.clear();
        origin.standing.clear();
        origin.under_way = None;
        origin.keys = Keys::default();
        self.give_up_adopted(None);
        if led {
            self.note(Note::Deposed);
        }
    }

    /// A message under way may have arrived or not.
    pub(super) fn disconnect_origin(&mut self) {
        self.was_inspecting();
        self.forget_other();
        if let Some(under_way) = self.under_way_mut()
            && under_way.state != State::Due(None)
        {
            under_way.state = State::Unknown { was_refused: false };
        }
    }

    /// Whoever led says that it leaves.
    pub(super) fn on_leave(&mut self) {
        if let Some(origin) = &mut self.origin {
            origin.is_vacant = true;
        }
    }

    /// Another origin has begun a term.
    pub(super) fn is_led(&mut self) {
        if let Some(origin) = &mut self.origin {
            origin.is_vacant = false;
        }
    }

    /// What a sign of life says to the one who wrote it: only what its own sources confirm stands.
    pub(super) fn stand(&mut self) {
        if let Some(origin) = &mut self.origin {
            let standing = std::mem::take(&mut origin.standing);
            self.effects.extend(standing.into_iter().map(Effect::Stand));
        }
    }

    /// Begins the log where it ends, unless it is the one that this server knows.
    fn on_inspected(&mut self, last: u64, now: Instant) {
        let is_vacant = self.is_vacant(now);
        let is_known = last == 0 || last == self.end;
        let Some(origin) = &mut self.origin else {
            return;
        };
        let may_open = match origin.duty {
            Duty::Left => false,
            Duty::Opens | Duty::Leads => last < self.tail,
            Duty::Follows => is_vacant || self.position.is_none(),
        };
        if !may_open || !is_known {
            return self.look_later(now);
        }
        origin.rewrite();
        if self.position.is_some() && last < self.tail {
            self.note(Note::LogLost);
        }
        self.begin_at(last);
        self.open(now);
    }
}

/// How often an origin shows a sign of life.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// The length of a part of a key.
const PART_LENGTH: usize = BATCH_LENGTH_MAX;

/// How many bytes of keys an origin writes in a second, at most: with thousands of symbols a key
/// follows every few seconds.
const KEY_RATE: f64 = 256.0 * 1024.0;

/// How long after it has connected it may take over from one who is silent: longer than others need to
/// connect again.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How long what a look has found counts.
const LOOK_LASTS: Duration = Duration::from_millis(250);
