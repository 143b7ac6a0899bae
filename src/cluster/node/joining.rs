//! How a server joins: it fetches the newest complete key, some messages before it for clients that
//! resume, and what follows, and prints all of it in its order.

use std::time::{Duration, Instant};

use super::held::Held;
use super::{Effect, Node, Note, Phase};
use crate::cluster::book::{Book, Fit};
use crate::cluster::message::{Content, Message, Printed, Silences};

/// The messages that are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joining {
    /// Where the key begins: nothing from here on can be done without.
    base: u64,
    /// The first and the last message.
    from: u64,
    to: u64,
    began: Instant,
}

impl Joining {
    pub(super) fn new(base: u64, newest: u64, began: Instant) -> Self {
        let to = newest.max(base);
        let history = (to + 1).saturating_sub(HISTORY_MAX).max(1);
        Self {
            base,
            from: history.min(base),
            to,
            began,
        }
    }

    /// The numbers of the messages.
    pub(super) fn range(self) -> (u64, u64) {
        (self.from, self.to)
    }

    /// Does without messages up to `seq`, if they are not needed.
    pub(super) fn skip(&mut self, seq: u64) -> bool {
        let can = seq < self.base;
        if can {
            self.from = self.from.max(seq + 1);
        }
        can
    }

    /// Whether it takes so long that the log must have changed meanwhile.
    pub(super) fn is_overdue(self, now: Instant) -> bool {
        now >= self.began + TIME_MAX
    }

    fn length(self) -> u64 {
        self.to + 1 - self.from
    }
}

/// What the fetched messages say together.
#[derive(Default)]
struct Window {
    /// Ticks of the key that are older than all others, in their order.
    older: Vec<Printed>,
    ticks: Vec<Printed>,
    stale: Silences,
    /// The tape has all ticks after this stamp.
    complete_after: u64,
    /// Whoever wrote last.
    origin: String,
    has_left: bool,
}

impl Node {
    /// Begins to fetch the key at `base` and what follows, up to the `newest` message.
    pub(super) fn join(&mut self, base: u64, newest: u64, now: Instant) {
        self.gets.clear();
        let joining = Joining::new(base, newest, now);
        self.held.forget_before(joining.from);
        self.phase = Phase::Joining(joining);
        self.finish_joining(now);
    }

    /// Prints what was fetched, if it is complete.
    pub(super) fn finish_joining(&mut self, now: Instant) {
        let Phase::Joining(joining) = &mut self.phase else {
            return;
        };
        while self.held.length() > WINDOW_LENGTH_MAX && joining.skip(joining.from) {
            self.held.forget_before(joining.from);
        }
        let joining = *joining;
        if !self.gets.is_empty() || self.held.count(joining.range()) < joining.length() {
            return;
        }
        let mut messages = Vec::new();
        for seq in joining.from..=joining.to {
            match self.held.remove(seq) {
                Some((Held::Message(message), _)) => messages.push((seq, message)),
                Some((Held::Foreign(why), _)) => self.note(Note::Foreign(why)),
                None => {}
            }
        }
        self.held.forget_before(joining.from);
        self.enter(joining, messages, now);
    }

    /// Prints the messages and follows from there on.
    fn enter(&mut self, joining: Joining, messages: Vec<(u64, Message)>, now: Instant) {
        let mut messages = behind_the_last_break(messages);
        let is_seamless = self.is_seamless(&messages);
        if is_seamless && let Some((_, first)) = messages.first_mut() {
            self.leave_out_rewritten(first);
        }
        self.awaits_rewritten &= is_seamless && !has_ticks(&messages);
        if let Some((_, last)) = messages.last() {
            self.position = Some(last.position);
        }
        (self.tail, self.phase) = (joining.to, Phase::Following);
        self.has_noted_loss = false;
        self.heard = Some(now);
        self.saw(joining.to);
        self.forget_fetched();
        // Of another log, or after a gap, only what comes now counts.
        let before = if is_seamless {
            None
        } else {
            Some(std::mem::take(&mut self.book))
        };
        let window = self.open_window(joining, messages);
        if let Some(before) = &before {
            // What is lost, nobody here has.
            let stamp = window.complete_after.max(self.printed);
            self.effects.push(Effect::CompleteAfter(stamp));
            let gone = before.symbols().filter(|symbol| !self.book.has(symbol));
            let gone = gone.map(|symbol| Effect::Hide(symbol.to_owned()));
            self.effects.extend(gone);
        }
        let ticks = window.older.into_iter().chain(window.ticks);
        self.print_window(ticks, &before.unwrap_or_default());
        self.effects.push(Effect::Beat(window.stale));
        if self.position.is_some() {
            let origin = window.origin;
            self.led_by.clone_from(&origin);
            self.note(Note::Follows { origin });
        }
        if window.has_left {
            self.on_leave();
        }
        self.go_on(now);
    }

    /// Whether messages follow what was printed. If some are to be written again, all have to be of the
    /// origin that does so.
    fn is_seamless(&self, messages: &[(u64, Message)]) -> bool {
        let (Some((_, first)), Some((_, last))) = (messages.first(), messages.last()) else {
            return false;
        };
        let is_next = self
            .position
            .is_some_and(|at| first.position == at.next() || first.after == Some(at));
        let is_one_term = first.position.term == last.position.term;
        if self.awaits_rewritten {
            return is_next && is_one_term && first.position.n > 1;
        }
        is_next || is_one_term && self.goes_on_with(first)
    }

    /// Prints what it has not printed, and notes what is missing between that and the book `before`.
    fn print_window(&mut self, ticks: impl Iterator<Item = Printed>, before: &Book) {
        let mut missed = 0;
        for printed in ticks {
            let symbol = &printed.tick.symbol;
            let is_first = self.book.newest(symbol).is_none();
            if is_first && let Some(newest) = before.newest(symbol) {
                missed += printed.seq.saturating_sub(newest.seq + 1);
            }
            let fit = self.book.take(&printed);
            let is_new = matches!(fit, Fit::Next | Fit::Skips(_));
            if is_new && printed.sent > self.printed {
                self.put_on_tape(printed);
            }
        }
        if missed > 0 {
            self.note(Note::Gap { missed });
        }
    }

    /// Takes in what the keys say, and sorts the ticks.
    fn open_window(&mut self, joining: Joining, messages: Vec<(u64, Message)>) -> Window {
        let mut window = Window::default();
        let mut first_sent = None;
        let mut base_sent = 0;
        for (seq, message) in messages {
            window.has_left = matches!(message.content, Content::Leave);
            match message.content {
                Content::Ticks { ticks, stale } => {
                    if let Some(tick) = ticks.first() {
                        first_sent.get_or_insert(tick.sent);
                    }
                    window.ticks.extend(ticks);
                    window.stale = stale.unwrap_or(window.stale);
                }
                Content::Key(key) => {
                    let complete = self.keys.take(seq, message.position, &key);
                    window.origin.clone_from(&key.origin);
                    if seq < joining.base {
                        continue;
                    }
                    if seq == joining.base {
                        base_sent = key.sent;
                    }
                    self.show(&key.symbols);
                    self.book.note_sent(key.sent);
                    if let Some(symbols) = complete {
                        self.hide_all_but(symbols);
                    }
                    if key.part.0 == 1 {
                        window.stale.clear();
                    }
                    window.stale.extend(key.stale);
                    window.older.extend(key.ticks);
                }
                Content::Leave => {}
            }
        }
        let first_sent = first_sent.unwrap_or(u64::MAX);
        window.older.retain(|printed| printed.sent < first_sent);
        window.older.sort_by_key(|printed| printed.sent);
        window.complete_after = if first_sent <= base_sent {
            first_sent - 1
        } else {
            base_sent
        };
        window
    }
}

/// Whether some of the messages bring ticks, besides those of keys.
fn has_ticks(messages: &[(u64, Message)]) -> bool {
    let has_some = |message: &Message| match &message.content {
        Content::Ticks { ticks, .. } => !ticks.is_empty(),
        Content::Key(_) | Content::Leave => false,
    };
    messages.iter().any(|(_, message)| has_some(message))
}

/// The messages behind the last place at which one does not follow the one before: an origin that
/// knew nothing of what was before began there, with numbers of its own.
fn behind_the_last_break(mut messages: Vec<(u64, Message)>) -> Vec<(u64, Message)> {
    let follows = |before: &Message, message: &Message| {
        message.position == before.position.next() || message.after == Some(before.position)
    };
    let breaks = messages.windows(2);
    let last = breaks
        .enumerate()
        .rfind(|(_, pair)| !follows(&pair[0].1, &pair[1].1));
    match last {
        Some((index, _)) => messages.split_off(index + 1),
        None => messages,
    }
}

/// How many messages before the newest one are fetched when a server joins, so that its first
/// clients can resume: ten seconds of an origin that writes 200 times a second, in less than a
/// tenth of a second.
const HISTORY_MAX: u64 = 2_000;

/// How long fetching them may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// How many bytes they may take.
const WINDOW_LENGTH_MAX: usize = 4 << 20;
