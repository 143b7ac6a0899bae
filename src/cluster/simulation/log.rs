//! The log as the nodes see it, and the rules that it must keep.

use std::collections::BTreeMap;

use crate::cluster::message::{Content, Message, Position, Printed};
use crate::cluster::node::{Command, Input, Request, Subject};

/// The log of the broker.
#[derive(Default)]
pub(super) struct Log {
    messages: BTreeMap<u64, (Subject, Vec<u8>)>,
    pub(super) last: u64,
    /// Nobody can append or inspect.
    pub(super) has_no_leader: bool,
    /// There is no log.
    is_missing: bool,
    /// The broker is one that does not answer for a log that is not there.
    is_old: bool,
    /// Every tick that it ever took, in its order.
    pub(super) truth: Vec<Printed>,
    /// How often it was begun by an origin that knew nothing.
    pub(super) generation: u64,
    pub(super) was_lost: bool,
    position: Option<Position>,
    /// The origin that leads.
    leader: String,
    /// What a log that was lost had and its leader had not heard of: others may have printed it.
    unsure: Vec<Printed>,
}

impl Log {
    /// None has been made yet.
    pub(super) fn missing(is_old: bool) -> Self {
        Self {
            is_missing: true,
            is_old,
            ..Self::default()
        }
    }

    /// Answers a command. A part of the broker that lags does not know the newest `lag` messages.
    /// The message that was appended, if any, goes to all who listen.
    pub(super) fn answer(&mut self, command: Command, lag: u64) -> Result<(Input, bool), String> {
        let visible = self.last.saturating_sub(lag);
        let answer = match command {
            Command::Append { message, .. } if self.has_no_leader => {
                Input::Unanswered(Request::Append { message })
            }
            Command::Append { .. } if self.is_missing => Input::NoLog,
            Command::Append {
                message, expect, ..
            } if expect != self.last => Input::Refused { message },
            Command::Append {
                message,
                subject,
                payload,
                ..
            } => {
                self.append(subject, payload)?;
                return Ok((Input::Stored { message }, true));
            }
            Command::Get(seq) => Input::Got {
                seq,
                found: self
                    .messages
                    .get(&seq)
                    .filter(|_| seq <= visible)
                    .map(|(_, payload)| payload.clone()),
            },
            Command::GetLast { look, subject } if self.is_missing && self.is_old => {
                Input::Unanswered(Request::GetLast { look, subject })
            }
            Command::GetLast { look, subject } => {
                let mut all = self.messages.range(..=visible).rev();
                let found = all.find(|(_, (other, _))| *other == subject);
                Input::GotLast {
                    look,
                    subject,
                    found: found.map(|(seq, (_, payload))| (*seq, payload.clone())),
                }
            }
            Command::Inspect if self.has_no_leader => Input::Unanswered(Request::Inspect),
            Command::Inspect => {
                self.is_missing = false;
                Input::Inspected { last: self.last }
            }
        };
        Ok((answer, false))
    }

    /// Takes a message. Behind an opening nobody else may write.
    fn append(&mut self, subject: Subject, payload: Vec<u8>) -> Result<(), String> {
        let message = Message::parse(&payload).map_err(|why| format!("it wrote: {why}"))?;
        // Where there is no key, nobody who comes can know what was before: numbers begin again, for
        // all to see.
        let has_key = self
            .messages
            .values()
            .any(|(kind, _)| *kind == Subject::Key);
        let is_anew = !has_key && message.position.n == 1 && message.after != self.position;
        let follows = match self.position {
            None => true,
            Some(_) if is_anew => true,
            Some(position) if position.term == message.position.term => {
                message.position == position.next()
            }
            Some(position) => {
                message.position.term > position.term && message.after == Some(position)
            }
        };
        if !follows {
            let (old, new) = (self.position, message.position);
            return Err(format!("{new} was appended behind {old:?}"));
        }
        let is_of_another = match &message.content {
            Content::Key(key) => {
                std::mem::replace(&mut self.leader, key.origin.clone()) != key.origin
            }
            _ => false,
        };
        if is_anew || is_of_another && !self.unsure.is_empty() {
            self.truth.clear();
            self.generation += 1;
            self.unsure.clear();
        }
        let is_key = subject == Subject::Key;
        if !is_key {
            let unsure = std::mem::take(&mut self.unsure);
            // What is written again is as it was.
            let is_known = |printed: &&Printed| self.truth.contains(printed);
            let again = message.ticks().iter().take_while(is_known).count();
            let ticks = &message.ticks()[again..];
            if !ticks.starts_with(&unsure) {
                return Err(format!("{unsure:?} was written in other words"));
            }
            self.truth.extend(ticks.iter().cloned());
        }
        self.position = Some(message.position);
        self.last += 1;
        self.messages.insert(self.last, (subject, payload));
        Ok(())
    }

    /// An origin dies, and what it knew with it.
    pub(super) fn forget(&mut self, origin: &str) {
        if self.leader == origin {
            self.leader.clear();
        }
    }

    /// The position of its newest message.
    pub(super) fn position(&self) -> Option<Position> {
        self.position
    }

    /// Somebody else writes into it.
    pub(super) fn scribble(&mut self) -> (u64, Vec<u8>) {
        self.last += 1;
        let payload = b"hello".to_vec();
        self.messages
            .insert(self.last, (Subject::Ticks, payload.clone()));
        (self.last, payload)
    }

    /// The newest message.
    pub(super) fn newest(&self) -> (u64, Vec<u8>) {
        let payload = self.messages.get(&self.last);
        (
            self.last,
            payload
                .map(|(_, payload)| payload.clone())
                .unwrap_or_default(),
        )
    }

    /// It forgets all but the newest `kept` messages.
    pub(super) fn shorten(&mut self, kept: u64) {
        let from = (self.last + 1).saturating_sub(kept);
        self.messages = self.messages.split_off(&from);
    }

    /// It is lost. Its leader knows it up to `known`, which may lack one message.
    pub(super) fn lose(&mut self, known: Position) {
        if self.position != Some(known) {
            let mut all = self.messages.values().rev();
            let newest = all.find_map(|(_, payload)| Message::parse(payload).ok());
            self.unsure = match newest.map(|newest| newest.content) {
                Some(Content::Ticks { ticks, .. }) => ticks,
                _ => Vec::new(),
            };
            self.truth.truncate(self.truth.len() - self.unsure.len());
            self.position = Some(known);
        }
        self.messages.clear();
        (self.last, self.is_missing) = (0, true);
        self.was_lost = true;
    }
}
