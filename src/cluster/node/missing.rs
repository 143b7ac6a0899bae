//! What to make of announcements that the log does not bear out. Whoever may publish where the log
//! does can announce any number, and a part of the broker may lag. So nobody gives up its place
//! before the log itself has shown that it has to.

use std::time::{Duration, Instant};

use super::held::{Held, Way};
use super::{Command, Input, Node, Phase, Request};
use crate::cluster::message::{Message, NUMBER_END};

/// A message that the log does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    seq: u64,
    since: Instant,
    /// The log has later ones, at a look that came after the longest wait.
    is_behind: bool,
}

/// A message with a number that was known, of a later term: it may begin another log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    seq: u64,
    /// The newest one of the same kind.
    newest: u64,
}

impl Input {
    /// The same without numbers that nobody counts up to; `None` if there is no more to it.
    pub(super) fn countable(self) -> Option<Self> {
        match self {
            Self::Live { seq, .. } if !is_countable(seq) => None,
            Self::GotLast {
                look,
                subject,
                found: Some((seq, _)),
            } if !is_countable(seq) => Some(Self::Unanswered(Request::GetLast { look, subject })),
            Self::Inspected { last } if last >= NUMBER_END => {
                Some(Self::Unanswered(Request::Inspect))
            }
            other => Some(other),
        }
    }
}

impl Node {
    /// Whether a message that came by the subscription is to be read from the log instead. In a log,
    /// messages of others are rare; and what is being fetched has been asked for already.
    pub(super) fn has_to_be_fetched(&self, seq: u64, held: &Held) -> bool {
        let is_asked_for = match &self.phase {
            Phase::Joining(joining) => seq <= joining.range().1,
            Phase::Following | Phase::Lost => false,
        };
        is_asked_for || matches!(held, Held::Foreign(_)) || self.held.contains(seq)
    }

    /// The log does not have a message: it has fallen off, or this part of the broker has not got it
    /// yet, or there never was one.
    pub(super) fn on_missing(&mut self, seq: u64, now: Instant) {
        if let Phase::Joining(joining) = &mut self.phase
            && joining.skip(seq)
        {
            self.finish_joining(now);
            return;
        }
        if self.is_not_stored(seq, now) {
            return;
        }
        self.gets.failed(seq, now);
        if self.follows() && seq != self.tail + 1 {
            // Those before it come first.
            return;
        }
        let known = self
            .missing
            .filter(|missing| missing.seq == seq || !self.follows());
        let missing = *self.missing.insert(known.unwrap_or(Missing {
            seq,
            since: now,
            is_behind: false,
        }));
        if now < missing.since + MISSING_MAX {
            return;
        }
        if missing.is_behind || !self.follows() {
            self.lose(now);
        } else {
            self.look_unless_looking(now);
        }
    }

    /// Compares what is missing with the end of the log.
    pub(super) fn judge_missing(&mut self, newest: u64, now: Instant) {
        let next = self.tail + 1;
        let is_overdue =
            |missing: &&mut Missing| missing.seq == next && now >= missing.since + MISSING_MAX;
        let Some(missing) = self.missing.as_mut().filter(is_overdue) else {
            return;
        };
        missing.is_behind = newest >= next;
        // What was announced behind the end is not there.
        self.seen = newest.max(self.tail);
        self.held.forget_from(self.seen + 1);
        if newest < next {
            self.missing = None;
            self.gets.clear();
            if self.was_refused() {
                // Another message has to be there, so this log is not the one that it was.
                self.lose(now);
            }
        }
    }

    /// Whether a message is of a later term than this server.
    pub(super) fn is_later(&self, payload: &[u8]) -> bool {
        let term = self.position.map_or(0, |position| position.term);
        Message::term(payload).is_some_and(|of| of > term)
    }

    /// Asks the log for a message that may begin another log, one at a time.
    pub(super) fn suspect(&mut self, seq: u64) {
        match &mut self.suspect {
            Some(suspect) if self.gets.is_due(suspect.seq) => {
                suspect.newest = suspect.newest.max(seq);
            }
            _ if self.gets.ask(seq) => {
                self.suspect = Some(Suspect { seq, newest: seq });
                self.commands.push(Command::Get(seq));
            }
            _ => {}
        }
    }

    /// The log has a message at a number that this server has read before.
    pub(super) fn on_old(&mut self, seq: u64, payload: &[u8], now: Instant) {
        let suspect = self.suspect.take().filter(|suspect| suspect.seq == seq);
        if !self.is_later(payload) {
            return;
        }
        let Held::Message(message) = Held::read(payload) else {
            return;
        };
        self.note_loss();
        self.lose_lead();
        if self.goes_on_with(&message) {
            self.begin_at(seq - 1);
            self.saw(suspect.map_or(seq, |suspect| suspect.newest));
            self.hold(seq, payload, Way::Fetched, now);
            if self.tail >= seq {
                self.become_ready();
            }
        } else {
            self.lose(now);
        }
    }
}

fn is_countable(seq: u64) -> bool {
    (1..NUMBER_END).contains(&seq)
}

/// How long to wait for a message that one part of the broker does not have yet.
const MISSING_MAX: Duration = Duration::from_secs(2);
