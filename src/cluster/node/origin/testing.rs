//! An origin and a log that answers at once, for tests of what an origin does with prices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Command, Effect, Input, Node, OriginSettings, Subject};
use crate::cluster::message::SymbolInfo;
use crate::tick::{Price, Tick};

/// An origin with its log.
pub(super) struct Desk {
    pub(super) node: Node,
    now: Instant,
    /// The messages of the log, from number one on.
    log: Vec<(Subject, Vec<u8>)>,
    /// What the log has not answered yet.
    commands: Vec<Command>,
    pub(super) published: u64,
    /// The newest number of each symbol on the tape.
    newest: BTreeMap<String, u64>,
}

impl Desk {
    /// An origin with an empty log.
    pub(super) fn new(lists_later: bool) -> Self {
        Self::with_log(Vec::new(), Instant::now(), lists_later)
    }

    /// Another origin with the same log.
    pub(super) fn successor(&self, lists_later: bool) -> Self {
        Self::with_log(self.log.clone(), self.now, lists_later)
    }

    fn with_log(log: Vec<(Subject, Vec<u8>)>, now: Instant, lists_later: bool) -> Self {
        let mut desk = Self {
            node: Node::origin(OriginSettings {
                id: "origin".to_owned(),
                takeover_after: Duration::from_secs(3),
                lists_later,
                wall_us: || 1_732_270_000_000_000,
            }),
            now,
            log,
            commands: Vec::new(),
            published: 0,
            newest: BTreeMap::new(),
        };
        desk.take(Input::Connected);
        desk
    }

    pub(super) fn take(&mut self, input: Input) {
        self.node.take(input, self.now);
        self.begin_to_write();
    }

    pub(super) fn has_room(&self) -> bool {
        self.node.has_room(self.now)
    }

    /// Lets time pass until it leads.
    pub(super) fn lead(&mut self) {
        for _ in 0..200 {
            if self.node.leads() {
                return;
            }
            self.pass(Duration::from_millis(25));
        }
        panic!("it does not lead: {}", self.node.summary());
    }

    /// Lets time pass, while the log answers.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(25));
            self.answer_all();
        }
    }

    /// Names a symbol.
    pub(super) fn list(&mut self, symbol: &str) {
        let info = SymbolInfo::plain(symbol);
        self.node.add_symbols([(symbol.to_owned(), info)]);
    }

    /// Brings a price, which is written.
    pub(super) fn publish(&mut self, symbol: &str) {
        if self.node.symbol(symbol).is_none() {
            self.list(symbol);
        }
        self.publish_silently(symbol);
        self.answer_all();
    }

    /// Brings a price, without letting the origin do anything about it.
    pub(super) fn publish_silently(&mut self, symbol: &str) {
        self.published += 1;
        let price = Price::parse(&self.published.to_string()).expect("a number");
        let tick = Tick::new(symbol, price, 1_732_270_000_000 + self.published);
        self.node.publish(tick, self.now);
    }

    /// Lets the origin do what is due, without an answer of the log.
    pub(super) fn begin_to_write(&mut self) {
        self.node.advance(self.now, &|_| None);
        self.commands.extend(self.node.take_commands());
        for effect in self.node.take_effects() {
            match effect {
                Effect::Print(printed) => {
                    self.newest.insert(printed.tick.symbol, printed.seq);
                }
                Effect::Hide(symbol) => {
                    self.newest.remove(&symbol);
                }
                _ => {}
            }
        }
    }

    /// Lets the log answer until there are no more questions.
    pub(super) fn answer_all(&mut self) {
        self.begin_to_write();
        while !self.commands.is_empty() {
            let command = self.commands.remove(0);
            let answer = self.answer(command);
            self.take(answer);
        }
    }

    fn answer(&mut self, command: Command) -> Input {
        let last = self.log.len() as u64;
        match command {
            Command::Append {
                message, expect, ..
            } if expect != last => Input::Refused { message },
            Command::Append {
                message,
                subject,
                payload,
                ..
            } => {
                self.log.push((subject, payload));
                Input::Stored { message }
            }
            Command::Get(seq) => {
                let found = self.log.get(seq as usize - 1);
                let found = found.map(|(_, payload)| payload.clone());
                Input::Got { seq, found }
            }
            Command::GetLast { look, subject } => {
                let place = self.log.iter().rposition(|(kind, _)| *kind == subject);
                let found = place.map(|at| (at as u64 + 1, self.log[at].1.clone()));
                Input::GotLast {
                    look,
                    subject,
                    found,
                }
            }
            Command::Inspect => Input::Inspected { last },
        }
    }

    /// Hears what another one has written since.
    pub(super) fn hear(&mut self, other: &Self) {
        for (subject, payload) in &other.log[self.log.len()..] {
            self.log.push((*subject, payload.clone()));
            let (seq, payload) = (self.log.len() as u64, payload.clone());
            self.take(Input::Live { seq, payload });
        }
    }

    /// Loses the log with all connections.
    pub(super) fn lose_log(&mut self) {
        self.log.clear();
        self.commands.clear();
        self.take(Input::Disconnected);
        self.take(Input::Connected);
    }

    /// The newest number of a symbol on the tape.
    pub(super) fn newest(&self, symbol: &str) -> u64 {
        self.newest.get(symbol).copied().unwrap_or(0)
    }

    /// The symbols that the log has.
    pub(super) fn symbols(&self) -> Vec<&str> {
        self.node.book.symbols().collect()
    }
}
