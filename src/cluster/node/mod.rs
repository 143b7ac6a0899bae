//! One server of many: follows the log and says what to print. An origin also writes the log, see
//! [`origin`].
//!
//! It knows neither sockets nor clocks. It is told what comes from the broker ([`Input`]) and what
//! time it is, and says what to ask the broker for ([`Command`]) and what to do on the tape
//! ([`Effect`]). What it prints is what the log has, in the order of the log, and all of it: a
//! message that does not follow the one before waits until those between have been fetched.

mod gets;
mod held;
mod joining;
mod missing;
mod origin;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::gets::Gets;
use self::held::{Held, Waiters, Way};
use self::joining::Joining;
use self::missing::{Missing, Suspect};
use self::origin::Origin;
pub(crate) use self::origin::OriginSettings;
use super::book::{Book, Fit, KeyProgress};
use super::message::{Content, Key, Message, Position, Printed, Silences, SymbolInfo};

/// What to ask the broker for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Append this message, if the last one in the log has the number `expect`. Answers name it by
    /// the count of `message`.
    Append {
        message: u64,
        expect: u64,
        subject: Subject,
        payload: Vec<u8>,
    },
    /// Get the message with this number.
    Get(u64),
    /// Get the newest message of this kind, for the look with this count.
    GetLast { look: u64, subject: Subject },
    /// Make the log if there is none, and say what its last number is.
    Inspect,
}

/// The two subjects of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Ticks,
    Key,
}

/// What the broker reports. Messages have the numbers that the log gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// There is a connection, and it brings what is appended from now on.
    Connected,
    /// The connection is gone, with all answers that are due.
    Disconnected,
    /// A message that was just appended.
    Live { seq: u64, payload: Vec<u8> },
    /// The answer to [`Command::Get`]; the log may have no such message, or not yet.
    Got { seq: u64, found: Option<Vec<u8>> },
    /// The answer to [`Command::GetLast`].
    GotLast {
        look: u64,
        subject: Subject,
        found: Option<(u64, Vec<u8>)>,
    },
    /// The log has taken the message.
    Stored { message: u64 },
    /// The log has refused the message, since its last number is another one.
    Refused { message: u64 },
    /// The answer to [`Command::Inspect`].
    Inspected { last: u64 },
    /// Nobody can take the message now, so the log does not have it; or there is no log.
    NoLeader { message: u64 },
    /// There is no log.
    NoLog,
    /// No answer came in time, or the broker cannot give one now.
    Unanswered(Request),
}

/// A command without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Request {
    Append { message: u64 },
    Get(u64),
    GetLast { look: u64, subject: Subject },
    Inspect,
}

/// What to do on the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Print this tick.
    Print(Printed),
    /// Clients can ask for this symbol from now on, or more is known of it.
    Show { symbol: String, info: SymbolInfo },
    /// Clients can no longer ask for this symbol.
    Hide(String),
    /// The price of this symbol still stands.
    Stand(String),
    /// All prices stand but these, which are stale.
    Beat(Silences),
    /// The tape has all ticks after this stamp, and may lack earlier ones.
    CompleteAfter(u64),
    /// There is an origin, and clients may come.
    Ready,
    /// Something to be logged and counted.
    Note(Note),
}

/// Something worth a line in the operator's log or a count in the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// This origin leads from here on, and it is another server.
    Follows { origin: String },
    /// This server leads from here on.
    Leads,
    /// Another origin has taken over.
    Deposed,
    /// This server writes no more. If it led, it has handed over.
    Left { led: bool },
    /// This many ticks were lost.
    Gap { missed: u64 },
    /// The log was lost, and another one has begun.
    LogLost,
    /// The log has a message that is not ours.
    Foreign(String),
    /// The log contradicts itself about this symbol.
    Disagrees(String),
    /// This many messages were fetched that did not come by themselves.
    Fetched(u64),
    /// There is no message of any origin.
    NoOrigin,
}

/// What the node does about the log.
#[derive(Debug)]
enum Phase {
    /// It knows no position.
    Lost,
    /// It fetches a key and what follows it.
    Joining(Joining),
    /// It has printed everything up to its position.
    Following,
}

/// A look at the newest messages of both kinds; `None` until answered.
#[derive(Debug, Default)]
struct Look {
    key: Option<Option<(u64, Held)>>,
    ticks: Option<Option<(u64, Held)>>,
}

/// One server of many.
#[derive(Debug)]
pub(crate) struct Node {
    book: Book,
    keys: KeyProgress,
    /// The position of the newest message that was applied, and its number in the log.
    position: Option<Position>,
    tail: u64,
    /// The highest number that the log is known to have.
    seen: u64,
    /// The number of its newest message at the last look that found no key.
    end: u64,
    /// The newest term that such looks have found.
    end_term: u64,
    phase: Phase,
    /// Messages behind some that are missing, by number.
    held: Waiters,
    gets: Gets,
    /// Since when the log has seemed to be shorter than it was.
    shorter_since: Option<Instant>,
    /// A message that the log does not have, although a later one was announced.
    missing: Option<Missing>,
    /// A message that may begin another log.
    suspect: Option<Suspect>,
    look: Option<Look>,
    /// How many looks there were.
    looks: u64,
    /// When to look next, if nothing comes.
    look_at: Option<Instant>,
    /// When a look last found nothing new.
    looked: Option<Instant>,
    is_connected: bool,
    /// Whether the end of the log has been looked at on this connection.
    has_checked: bool,
    is_ready: bool,
    /// When the newest message was applied.
    heard: Option<Instant>,
    connected_at: Option<Instant>,
    commands: Vec<Command>,
    effects: Vec<Effect>,
    /// Fetched since the last note.
    fetched: u64,
    /// The newest stamp that was printed, Unix µs.
    printed: u64,
    /// The origin of the newest term.
    led_by: String,
    /// It lacks ticks that this origin is to write again.
    awaits_rewritten: bool,
    /// It was noted that the log is another one, which is not followed yet.
    has_noted_loss: bool,
    origin: Option<Origin>,
}

impl Node {
    /// A server that only follows.
    pub(crate) fn edge() -> Self {
        Self::new(None)
    }

    fn new(origin: Option<Origin>) -> Self {
        Self {
            book: Book::default(),
            keys: KeyProgress::default(),
            position: None,
            tail: 0,
            seen: 0,
            end: 0,
            end_term: 0,
            phase: Phase::Lost,
            held: Waiters::default(),
            gets: Gets::default(),
            shorter_since: None,
            missing: None,
            suspect: None,
            look: None,
            looks: 0,
            look_at: None,
            looked: None,
            is_connected: false,
            has_checked: false,
            is_ready: false,
            heard: None,
            connected_at: None,
            commands: Vec::new(),
            effects: Vec::new(),
            fetched: 0,
            printed: 0,
            led_by: String::new(),
            awaits_rewritten: false,
            has_noted_loss: false,
            origin,
        }
    }

    /// Takes what comes from the broker.
    pub(crate) fn take(&mut self, input: Input, now: Instant) {
        let Some(input) = input.countable() else {
            return;
        };
        match input {
            Input::Connected => {
                self.is_connected = true;
                self.has_checked = false;
                self.connected_at = Some(now);
                self.look();
            }
            Input::Disconnected => self.disconnect(),
            Input::Live { seq, payload } => self.on_live(seq, &payload, now),
            Input::Got { seq, found } => {
                if self.gets.answered(seq) {
                    self.on_got(seq, found.as_deref(), now);
                }
            }
            Input::GotLast {
                look,
                subject,
                found,
            } if self.is_looking(look) => self.on_got_last(subject, found, now),
            Input::Unanswered(Request::Get(seq)) => {
                if self.gets.answered(seq) {
                    self.gets.failed(seq, now);
                }
            }
            Input::Unanswered(Request::GetLast { look, .. }) if self.is_looking(look) => {
                self.look = None;
                self.look_later(now);
                // Old brokers do not answer for a log that is not there.
                self.open_if_nobody_leads(now);
            }
            Input::GotLast { .. } | Input::Unanswered(Request::GetLast { .. }) => {}
            Input::Stored { .. }
            | Input::Refused { .. }
            | Input::Inspected { .. }
            | Input::NoLeader { .. }
            | Input::NoLog
            | Input::Unanswered(_) => self.on_answer(&input, now),
        }
        self.fetch(now);
    }

    /// Does what is due. `silence` says how long a symbol that is stale has been silent, in ms.
    pub(crate) fn advance(&mut self, now: Instant, silence: &dyn Fn(&str) -> Option<u64>) {
        if !self.is_connected {
            return;
        }
        let is_long_ago = |at: Option<Instant>, time| at.is_none_or(|at| now >= at + time);
        let is_silent = is_long_ago(self.heard, LOOK_AFTER) && is_long_ago(self.looked, LOOK_EVERY);
        let is_due = match (&self.phase, self.look_at) {
            (_, Some(at)) => now >= at,
            (Phase::Lost, None) => true,
            (Phase::Joining(_), None) => false,
            (Phase::Following, None) => is_silent && !self.leads(),
        };
        if is_due && self.look.is_none() {
            self.look();
        }
        self.fetch(now);
        // A request may have turned out not to be needed.
        self.finish_joining(now);
        if let Phase::Joining(joining) = &self.phase
            && joining.is_overdue(now)
        {
            self.lose(now);
        }
        self.advance_origin(now, silence);
    }

    /// What to ask the broker for, since the last call.
    pub(crate) fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// What to do on the tape, since the last call.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The position of the newest message that was applied.
    pub(crate) fn position(&self) -> Option<Position> {
        self.position
    }

    /// The symbols of the log, and what is known about them.
    pub(crate) fn log_symbols(&self) -> impl Iterator<Item = (&str, &SymbolInfo)> {
        self.book.infos()
    }

    /// How long no message has come.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        let since = self.heard.or(self.connected_at).unwrap_or(now);
        now.saturating_duration_since(since)
    }

    /// Whether there is an origin.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Where it stands, in short.
    #[cfg(test)]
    pub(super) fn summary(&self) -> String {
        format!(
            "{:?} {:?} at {}, seen {}, held from {:?}, {:?}, looks {} at {:?}, end {}, {}",
            self.phase,
            self.position,
            self.tail,
            self.seen,
            self.held.first(),
            self.gets,
            self.look.is_some(),
            self.look_at,
            self.end,
            self.duty()
        )
    }

    fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }

    fn disconnect(&mut self) {
        self.is_connected = false;
        (self.look, self.look_at) = (None, None);
        self.gets.clear();
        self.held.clear();
        self.missing = None;
        if matches!(self.phase, Phase::Joining(_)) {
            self.phase = Phase::Lost;
        }
        self.disconnect_origin();
    }

    /// Asks for the newest messages, if that is neither under way nor to be put off.
    fn look_unless_looking(&mut self, now: Instant) {
        if self.look.is_none() && self.look_at.is_none_or(|at| now >= at) {
            self.look();
        }
    }

    /// Whether an answer belongs to the present look.
    fn is_looking(&self, look: u64) -> bool {
        self.look.is_some() && self.looks == look
    }

    /// Notes that the log has a message with this number.
    fn saw(&mut self, seq: u64) {
        self.seen = self.seen.max(seq);
    }

    /// Notes that it has not.
    fn unsee(&mut self, seq: u64) {
        self.seen = self.seen.min(seq - 1).max(self.tail);
        self.missing = None;
    }

    /// Whether a term goes on where this server is. When a log is lost, its leader may know one
    /// message more or one less than others; then it writes the ticks of both again.
    fn goes_on_with(&self, opening: &Message) -> bool {
        let (Some(position), Some(after)) = (self.position, opening.after) else {
            return false;
        };
        let is_near = position == after.next() || position.next() == after;
        let origin = match &opening.content {
            Content::Key(key) => key.origin.as_str(),
            Content::Ticks { .. } | Content::Leave => "",
        };
        let is_waiting = self.awaits_rewritten;
        !is_waiting && (position == after || is_near && origin == self.led_by)
    }

    /// Leaves out the ticks of an opening whose origin knows one message more than this server: they
    /// are written again, in their order, and then come the ticks of the next key. If that origin ends
    /// before, they are lost.
    fn leave_out_rewritten(&mut self, opening: &mut Message) {
        if let Content::Key(key) = &mut opening.content
            && opening.after.is_some()
            && opening.after == self.position.map(Position::next)
        {
            key.ticks.clear();
            self.awaits_rewritten = true;
        }
    }

    /// Notes that the log was lost, once until it is followed again.
    fn note_loss(&mut self) {
        if !std::mem::replace(&mut self.has_noted_loss, true) {
            self.note(Note::LogLost);
        }
    }

    /// Follows a log that ends at `last`, without knowing more of it.
    fn begin_at(&mut self, last: u64) {
        (self.tail, self.seen) = (last, last);
        self.has_checked = true;
        self.has_noted_loss = false;
        self.phase = Phase::Following;
        self.held.clear();
        self.gets.clear();
        self.keys = KeyProgress::default();
        self.missing = None;
    }

    /// Asks for the newest messages.
    fn look(&mut self) {
        self.look = Some(Look::default());
        self.look_at = None;
        self.looks += 1;
        for subject in [Subject::Key, Subject::Ticks] {
            let look = self.looks;
            self.commands.push(Command::GetLast { look, subject });
        }
    }

    /// Looks again, soon but not at once.
    fn look_later(&mut self, now: Instant) {
        self.look_at = Some(now + RETRY);
    }

    fn on_got_last(&mut self, subject: Subject, found: Option<(u64, Vec<u8>)>, now: Instant) {
        let Some(look) = &mut self.look else {
            return;
        };
        let found = found.map(|(seq, payload)| (seq, Held::read(&payload)));
        match subject {
            Subject::Key => look.key = Some(found),
            Subject::Ticks => look.ticks = Some(found),
        }
        if look.key.is_some()
            && look.ticks.is_some()
            && let Some(look) = self.look.take()
        {
            self.on_look(look.key.flatten(), look.ticks.flatten().as_ref(), now);
        }
    }

    /// Decides what to do about the newest messages.
    fn on_look(&mut self, key: Option<(u64, Held)>, ticks: Option<&(u64, Held)>, now: Instant) {
        let seq = |found: Option<&(u64, Held)>| found.map_or(0, |(seq, _)| *seq);
        let newest = seq(ticks).max(seq(key.as_ref()));
        let Some((seq, Held::Message(message))) = key else {
            return self.on_no_key(ticks, now);
        };
        self.end = 0;
        let ours = |found: &(u64, Held)| match &found.1 {
            Held::Message(message) if found.0 == self.tail => Some(message.position),
            _ => None,
        };
        let at_tail = ticks
            .and_then(ours)
            .or((seq == self.tail).then_some(message.position));
        let is_another_log = at_tail.is_some_and(|at_tail| Some(at_tail) != self.position)
            || self.is_another_log(newest, message.position, now);
        let is_another_log = is_another_log && self.position.is_some();
        if is_another_log {
            self.note_loss();
            self.lose_lead();
        }
        self.has_checked = true;
        if self.follows() && !is_another_log {
            self.judge_missing(newest, now);
        }
        if self.follows() && !is_another_log {
            if newest > self.tail {
                self.saw(newest);
            } else {
                self.looked = Some(now);
                self.after_look(now);
            }
            return;
        }
        let Content::Key(key) = &message.content else {
            return self.on_no_key(ticks, now);
        };
        match joining_point(seq, key) {
            Some(base) => self.join(base, newest, now),
            // It is being written.
            None => self.look_later(now),
        }
    }

    /// Whether the log is another one than the one that this server knows: it is shorter, and of a
    /// later term. An origin that knows nothing of the old log may begin with an earlier term, but
    /// then it stays shorter for longer than a part of the broker may lag.
    fn is_another_log(&mut self, newest: u64, position: Position, now: Instant) -> bool {
        if newest >= self.tail {
            self.shorter_since = None;
            return false;
        }
        let since = *self.shorter_since.get_or_insert(now);
        let is_later = self.position.is_none_or(|known| position.term > known.term);
        is_later || now >= since + SHORTER_MAX
    }

    /// There is no key: nobody has ever led, or the log was lost or has become too short for one.
    fn on_no_key(&mut self, newest: Option<&(u64, Held)>, now: Instant) {
        self.end = newest.map_or(0, |(seq, _)| *seq);
        if let Some((_, Held::Message(message))) = newest {
            self.end_term = self.end_term.max(message.position.term);
        }
        if self.follows() && self.end >= self.tail {
            // The next key comes soon.
            self.judge_missing(self.end, now);
            self.saw(self.end);
        }
        if self.position.is_none() {
            self.note(Note::NoOrigin);
        }
        self.look_at = Some(now + NO_ORIGIN_RETRY);
        self.open_if_nobody_leads(now);
    }

    fn on_live(&mut self, seq: u64, payload: &[u8], now: Instant) {
        if seq > self.tail || !self.follows() {
            self.saw(seq);
            self.hold(seq, payload, Way::Live, now);
            if matches!(self.phase, Phase::Lost) {
                self.heard = Some(now);
                self.look_unless_looking(now);
            }
            if self.follows() && self.tail >= seq {
                self.become_ready();
            }
            self.note_other(payload, now);
            return;
        }
        // An old number: a repetition, or another log.
        if self.is_later(payload) {
            self.suspect(seq);
        }
    }

    /// Does not count what has been fetched, since it was fetched to join.
    fn forget_fetched(&mut self) {
        self.fetched = 0;
    }

    /// There is an origin that writes.
    fn become_ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.effects.push(Effect::Ready);
        }
    }

    fn on_got(&mut self, seq: u64, found: Option<&[u8]>, now: Instant) {
        match found {
            Some(payload) if seq <= self.tail && self.follows() => {
                self.on_old(seq, payload, now);
            }
            None if seq <= self.tail && self.follows() => {}
            Some(payload) => {
                self.fetched += 1;
                self.missing = None;
                self.hold(seq, payload, Way::Fetched, now);
            }
            None => self.on_missing(seq, now),
        }
    }

    /// Gives up the position and joins again.
    fn lose(&mut self, now: Instant) {
        self.missing = None;
        // What it thought to have seen may never have been there.
        self.seen = 0;
        self.held.clear();
        self.gets.clear();
        self.phase = Phase::Lost;
        self.keys = KeyProgress::default();
        self.lose_lead();
        self.look = None;
        self.look_later(now);
    }

    /// Takes a message of the log, which may be out of turn.
    fn hold(&mut self, seq: u64, payload: &[u8], way: Way, now: Instant) {
        if self.follows() && seq == self.tail + 1 && self.accept_if_own(payload, now) {
            return;
        }
        let held = Held::read(payload);
        if way == Way::Live && self.has_to_be_fetched(seq, &held) {
            return;
        }
        if let Some(dropped) = self.held.insert(seq, held, way, payload.len()) {
            self.gets.rewind(dropped);
        }
        match &self.phase {
            Phase::Joining(_) => self.finish_joining(now),
            Phase::Following => self.go_on(now),
            Phase::Lost => {}
        }
    }

    /// Applies what follows the position, as far as it is here.
    fn go_on(&mut self, now: Instant) {
        while self.follows()
            && let Some((held, way)) = self.held.remove(self.tail + 1)
        {
            self.apply_next(held, way, now);
        }
        if self.seen <= self.tail {
            self.missing = None;
            if self.fetched > 0 {
                let fetched = std::mem::take(&mut self.fetched);
                self.note(Note::Fetched(fetched));
            }
        }
    }

    /// Applies the message with the number behind the last one's.
    fn apply_next(&mut self, held: Held, way: Way, now: Instant) {
        match held {
            Held::Foreign(why) => {
                self.tail += 1;
                self.note(Note::Foreign(why));
                self.send_again();
            }
            Held::Message(message) => {
                let position = self.position.unwrap_or_default();
                let opens = message.position.n == 1 && message.position.term > position.term;
                let follows = message.position == position.next();
                if follows || opens && self.goes_on_with(&message) {
                    self.lose_lead();
                    self.apply(message, now);
                } else if way == Way::Live {
                    // The log itself has to say so.
                    self.gets.rewind(self.tail + 1);
                } else {
                    // Either some are missing, or it is another log: a key will tell.
                    self.lose(now);
                }
            }
        }
    }

    /// Applies a message: everything that this server prints comes by here.
    fn apply(&mut self, mut message: Message, now: Instant) {
        self.tail += 1;
        self.saw(self.tail);
        let begins_term = self
            .position
            .is_none_or(|position| position.term != message.position.term);
        if begins_term {
            self.leave_out_rewritten(&mut message);
        }
        self.position = Some(message.position);
        self.heard = Some(now);
        self.looked = None;
        match message.content {
            Content::Ticks { ticks, stale } => {
                self.awaits_rewritten &= ticks.is_empty();
                ticks.into_iter().for_each(|printed| self.print(printed));
                if let Some(stale) = stale {
                    self.beat(stale);
                }
            }
            Content::Key(key) => self.apply_key(message.position, key, begins_term),
            Content::Leave => self.on_leave(),
        }
    }

    fn apply_key(&mut self, position: Position, key: Key, begins_term: bool) {
        if begins_term {
            self.led_by.clone_from(&key.origin);
        }
        if begins_term && !self.leads() {
            self.is_led();
            let origin = key.origin.clone();
            self.note(Note::Follows { origin });
        }
        let complete = self.keys.take(self.tail, position, &key);
        self.show(&key.symbols);
        for printed in key.ticks {
            let fit = self.book.take(&printed);
            if fit != Fit::Known {
                self.note(Note::Disagrees(printed.tick.symbol.clone()));
            }
            if matches!(fit, Fit::Next | Fit::Skips(_)) {
                self.put_on_tape(printed);
            }
        }
        self.book.note_sent(key.sent);
        if let Some(symbols) = complete {
            self.hide_all_but(symbols);
        }
        if key.part == (1, 1) {
            self.beat(key.stale);
        }
    }

    fn show(&mut self, symbols: &BTreeMap<String, SymbolInfo>) {
        for (symbol, info) in symbols {
            if self.book.set_info(symbol, info) {
                let (symbol, info) = (symbol.clone(), info.clone());
                self.effects.push(Effect::Show { symbol, info });
            }
        }
    }

    fn hide_all_but(&mut self, mut symbols: Vec<String>) {
        symbols.sort_unstable();
        let gone = self.book.symbols();
        let gone = gone.filter(|symbol| {
            symbols
                .binary_search_by(|known| known.as_str().cmp(symbol))
                .is_err()
        });
        let gone: Vec<_> = gone.map(str::to_owned).collect();
        for symbol in gone {
            self.book.remove(&symbol);
            self.effects.push(Effect::Hide(symbol));
        }
    }

    fn print(&mut self, printed: Printed) {
        match self.book.take(&printed) {
            Fit::Next => self.put_on_tape(printed),
            Fit::Skips(missed) => {
                self.note(Note::Gap { missed });
                self.put_on_tape(printed);
            }
            Fit::Known => {}
            Fit::Differs => self.note(Note::Disagrees(printed.tick.symbol)),
        }
    }

    /// Prints a tick, unless others with later stamps have been printed.
    fn put_on_tape(&mut self, printed: Printed) {
        if printed.sent <= self.printed {
            // Of a log that was begun again by a clock that is behind.
            return self.note(Note::Gap { missed: 1 });
        }
        self.printed = printed.sent;
        if let Some(info) = self.book.info_if_missing(&printed.tick.symbol) {
            let symbol = printed.tick.symbol.clone();
            self.effects.push(Effect::Show { symbol, info });
        }
        self.effects.push(Effect::Print(printed));
    }

    /// A sign of life: all prices stand but the stale ones.
    fn beat(&mut self, stale: Silences) {
        if self.leads() {
            self.stand();
        } else {
            self.effects.push(Effect::Beat(stale));
        }
    }

    fn follows(&self) -> bool {
        matches!(self.phase, Phase::Following)
    }

    /// Asks for the messages that are missing, some at a time.
    fn fetch(&mut self, now: Instant) {
        if !self.is_connected {
            return;
        }
        let (from, to) = match &self.phase {
            Phase::Lost => return,
            Phase::Joining(joining) => joining.range(),
            Phase::Following => {
                let to = self.held.first().map_or(self.seen, |first| first - 1);
                (self.tail + 1, to)
            }
        };
        if self.gets.is_empty() {
            // Nothing is on its way, so whatever is missing has to be asked for again.
            self.gets.rewind(from);
        }
        let is_here = |seq| self.held.contains(seq);
        for seq in self.gets.next((from, to), is_here, now) {
            self.commands.push(Command::Get(seq));
        }
    }
}

/// Where to begin to read if the newest key, or a part of it, is at `seq`.
fn joining_point(seq: u64, key: &Key) -> Option<u64> {
    let base = if key.part.0 == key.part.1 {
        Some(key.first.unwrap_or(seq))
    } else {
        key.before
    };
    base.filter(|&base| base <= seq)
}

/// How soon something that failed is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// How often to look for an origin.
const NO_ORIGIN_RETRY: Duration = Duration::from_millis(250);

/// How long the log may be silent before the node looks whether it missed something; an origin
/// writes at least once a second.
const LOOK_AFTER: Duration = Duration::from_millis(1_500);

/// How often it looks again while the silence lasts.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the log may seem shorter than it was: a part of the broker may lag.
const SHORTER_MAX: Duration = Duration::from_secs(2);
