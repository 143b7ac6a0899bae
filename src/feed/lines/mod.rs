//! Ticks that any script writes, one JSON object a line, to stdin or into a FIFO or a file:
//! `{"symbol":"BTC/USDT","price":97123.45}`, with `"timestamp"` in Unix ms if the script knows it.
//!
//! The script is trusted to know its symbols: each is listed with its first line. It is not trusted
//! to write only valid lines: one that is not a tick is named in the log by its number, counted, and
//! skipped; so is a field that is not a number, without which its tick is published.
//!
//! Each turn of the loop has a bounded share of the work, and no line is handled while there is no room
//! for its price. What is not read yet stays in the pipe, and a full pipe makes its writer wait, so no
//! line is lost however fast it writes.

mod fields;
mod input;
mod line;
mod splitter;

pub use self::input::LinesFrom;

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use ioloop::IoLoop;

use self::fields::StatedFields;
use self::input::Input;
use self::line::{Problem, Stated, beginning};
use self::splitter::{Line, Splitter};
use super::live::{HasSources, SourceStatus};
use super::publish::{Feed, Watched};
use super::wanted::Wanted;
use crate::error_text::plain;
use crate::tick::{FieldSet, Fields, Price, Tick, unix_us};

/// A feed of ticks from a script.
pub struct Lines {
    from: LinesFrom,
    input: Input,
    splitter: Splitter,
    settings: LinesSettings,
    /// The symbols that have been listed.
    known: HashMap<Box<str>, Known>,
    /// What the current turn has found, for the metrics.
    found: Found,
    /// Ticks so far.
    ticks: u64,
    /// Symbols that are not wanted and that the log has named.
    unwanted: HashSet<Box<str>>,
}

/// What is done with the lines.
#[derive(Clone, Debug)]
pub(super) struct LinesSettings {
    /// The symbols that are wanted by name. All are if there are no patterns either.
    pub(super) symbols: Vec<String>,
    /// What else is wanted.
    pub(super) patterns: Vec<Wanted>,
    /// What ticks have besides the price.
    pub(super) fields: FieldSet,
    /// Whether an unchanged price is confirmed instead of published.
    pub(super) changes_only: bool,
    /// How long a symbol may be silent before it is stale.
    pub(super) stale_after: Duration,
}

/// What is known about a symbol.
#[derive(Default)]
struct Known {
    /// The newest price with its fields, if unchanged ones are not published.
    newest: Option<(Price, Fields)>,
}

/// How many lines of each kind one turn has found.
#[derive(Default)]
struct Found {
    ticks: u64,
    bad: Vec<(&'static str, u64)>,
}

/// What a line says; nothing if it is blank.
#[derive(Default)]
struct Reading {
    tick: Option<Tick>,
    complaint: Option<Complaint>,
}

/// What is wrong with a line.
struct Complaint {
    /// The first problem.
    problem: Problem,
    /// How many there are of this kind.
    count: u64,
    /// How the line begins.
    line: String,
}

/// Why a turn ends.
enum Pause {
    /// Its share of the work is done.
    Enough,
    /// There is nothing more to read for now.
    Empty,
    /// There is no room for another price.
    Full,
    /// The input has ended.
    End,
}

impl Lines {
    /// Opens the input. Its lines are read once the loop starts.
    ///
    /// # Errors
    /// A sentence that names the input, and says what to do.
    pub(super) fn open(from: LinesFrom, settings: LinesSettings) -> Result<Self, String> {
        Ok(Self {
            input: Input::open(&from)?,
            from,
            splitter: Splitter::new(),
            settings,
            known: HashMap::new(),
            found: Found::default(),
            ticks: 0,
            unwanted: HashSet::new(),
        })
    }

    /// Publishes a turn's share of lines, and comes back when there are more.
    fn turn<S: HasSources>(mut self: Box<Self>, state: &mut S, io_loop: &mut IoLoop<S>) {
        let paused = self.read_some(state, io_loop);
        self.report(state, io_loop.time());
        match paused {
            Ok(Pause::Enough) => io_loop.add_callback(|state, io_loop| self.turn(state, io_loop)),
            Ok(Pause::Empty) => self.wait(io_loop),
            Ok(Pause::Full) => {
                state.when_there_is_room(io_loop, |state, io_loop| self.turn(state, io_loop));
            }
            Ok(Pause::End) if self.input.is_fifo() => self.next_writer(state, io_loop),
            Ok(Pause::End) => self.end(state, io_loop, None),
            Err(error) => self.end(state, io_loop, Some(&error)),
        }
    }

    fn read_some<S: HasSources>(
        &mut self,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) -> io::Result<Pause> {
        let until = io_loop.time() + TURN;
        loop {
            for _ in 0..LINES_PER_LOOK {
                if !state.has_room(io_loop) {
                    return Ok(Pause::Full);
                }
                if !self.next_line(state, io_loop) {
                    match self.splitter.fill(|buffer| self.input.read(buffer)) {
                        Ok(0) => {
                            self.last_line(state, io_loop);
                            return Ok(Pause::End);
                        }
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            return Ok(Pause::Empty);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            if io_loop.time() >= until {
                return Ok(Pause::Enough);
            }
        }
    }

    /// Handles the next line that has been read; false if there is none.
    fn next_line<S: HasSources>(&mut self, state: &mut S, io_loop: &mut IoLoop<S>) -> bool {
        let reading = match self.splitter.next() {
            None => return false,
            Some(line) => Reading::of(&line, self.settings.fields),
        };
        self.handle(reading, state, io_loop);
        true
    }

    /// Handles the last line, which nothing ends: it may be whole all the same.
    fn last_line<S: HasSources>(&mut self, state: &mut S, io_loop: &mut IoLoop<S>) {
        let fields = self.settings.fields;
        let reading = self.splitter.last().map(|line| Reading::of(&line, fields));
        let mut reading = reading.unwrap_or_default();
        if let Some(Complaint { problem, .. }) = &mut reading.complaint
            && matches!(problem, Problem::NotJson(_))
        {
            *problem = Problem::Torn;
        }
        self.handle(reading, state, io_loop);
    }

    fn handle<S: HasSources>(
        &mut self,
        Reading { tick, complaint }: Reading,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) {
        if let Some(complaint) = complaint {
            self.complain(&complaint);
        }
        if let Some(tick) = tick {
            self.publish(tick, state, io_loop);
        }
    }

    fn publish<S: HasSources>(&mut self, tick: Tick, state: &mut S, io_loop: &mut IoLoop<S>) {
        if !self.known.contains_key(&*tick.symbol) && !self.list(&tick.symbol, state, io_loop) {
            return;
        }
        self.found.ticks += 1;
        if self.settings.changes_only
            && let Some(known) = self.known.get_mut(&*tick.symbol)
        {
            let is_known =
                |(price, fields): &(Price, Fields)| *price == tick.price && *fields == tick.fields;
            if known.newest.as_ref().is_some_and(is_known) {
                return state.confirm(io_loop, &tick.symbol);
            }
            known.newest = Some((tick.price.clone(), tick.fields.clone()));
        }
        state.publish(io_loop, tick);
    }

    /// Lists a symbol that has not been seen before; false if it is not wanted, or finds no room.
    fn list<S: HasSources>(
        &mut self,
        symbol: &str,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
    ) -> bool {
        if !self.settings.wants_new(symbol) {
            self.found.note("unwanted", 1);
            if self.unwanted.len() < UNWANTED_NAMED_MAX && self.unwanted.insert(symbol.into()) {
                let (from, number) = (&self.from, self.splitter.number());
                log::warn!(
                    "{from}, line {number}: leaving out {symbol}, which --symbols does not name"
                );
            }
            return false;
        }
        if state.list(io_loop, &[symbol.to_owned()]) > 0 {
            self.found.note("no_room", 1);
            let (from, number) = (&self.from, self.splitter.number());
            log::warn!("{from}, line {number}: no room for the symbol {symbol}");
            return false;
        }
        state.watch(io_loop, vec![self.settings.watched(symbol)]);
        self.known.insert(symbol.into(), Known::default());
        true
    }

    fn complain(&mut self, complaint: &Complaint) {
        self.found.note(complaint.problem.kind(), complaint.count);
        let (from, number) = (&self.from, self.splitter.number());
        log::warn!("{from}, line {number}: {complaint}");
    }

    /// Hands what this turn has found to the metrics.
    fn report<S: HasSources>(&mut self, state: &mut S, now: Instant) {
        let found = std::mem::take(&mut self.found);
        self.ticks += found.ticks;
        let Some(status) = state.sources().input() else {
            return;
        };
        for (kind, count) in found.bad {
            status.count_lines(kind, count);
        }
        if found.ticks > 0 {
            status.took_lines(found.ticks, now);
        }
    }

    fn wait<S: HasSources>(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        match self.input.token() {
            Some(token) => io_loop.call_when_ready(token, None, |state, io_loop, _| {
                self.turn(state, io_loop);
            }),
            None => io_loop.add_callback(|state, io_loop| self.turn(state, io_loop)),
        }
    }

    /// Waits for the next writer of a FIFO: the last one has closed it.
    fn next_writer<S: HasSources>(mut self: Box<Self>, state: &mut S, io_loop: &mut IoLoop<S>) {
        log::debug!("{}: its writer has left, waiting for the next", self.from);
        match self.input.reopen(io_loop.registrar()) {
            Ok(()) => self.wait(io_loop),
            Err(error) => self.end(state, io_loop, Some(&error)),
        }
    }

    /// Ends the feed. The server serves on; the prices become stale in their time.
    fn end<S: HasSources>(
        &self,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
        error: Option<&io::Error>,
    ) {
        let (from, ticks) = (&self.from, self.ticks);
        match error {
            None => {
                let s = if ticks == 1 { "" } else { "s" };
                log::warn!("{from} has ended after {ticks} tick{s}; serving its last prices");
            }
            Some(error) => {
                let error = plain(error);
                log::error!("{from} cannot be read any more: {error}; serving its last prices");
            }
        }
        if let Some(status) = state.sources().input() {
            status.ended(io_loop.time());
        }
    }
}

impl<S: HasSources> Feed<S> for Lines {
    fn symbols(&self) -> Vec<String> {
        self.settings.symbols.clone()
    }

    fn watched(&self) -> Vec<Watched> {
        let symbols = self.settings.symbols.iter();
        symbols
            .map(|symbol| self.settings.watched(symbol))
            .collect()
    }

    fn describe(&self) -> String {
        let from = &self.from;
        match self.settings.symbols.len() {
            0 if !self.settings.patterns.is_empty() => {
                let patterns = self.settings.patterns.iter().map(ToString::to_string);
                let patterns: Vec<_> = patterns.collect();
                let patterns = patterns.join(", ");
                format!("prices of {patterns} come from {from}, one JSON object a line")
            }
            0 => format!("prices come from {from}, one JSON object a line"),
            count => format!("prices of {count} symbols come from {from}, one JSON object a line"),
        }
    }

    fn start(mut self: Box<Self>, io_loop: &mut IoLoop<S>) {
        let known = self.settings.symbols.iter();
        self.known = known
            .map(|symbol| (symbol.as_str().into(), Known::default()))
            .collect();
        if let Err(error) = self.input.watch(io_loop.registrar()) {
            return log::error!("cannot watch {}: {}", self.from, plain(&error));
        }
        let from = self.from.to_string();
        io_loop.call_later(FIRST_LINE_AFTER, move |state: &mut S, _| {
            let has_failed = |status: &SourceStatus| !status.failures().is_empty();
            let is_silent = |status: &&mut SourceStatus| status.answers() == 0 && !has_failed(status);
            if state.sources().input().filter(is_silent).is_some() {
                log::warn!(
                    "nothing from {from} for {FIRST_LINE_AFTER:?}: does its writer flush after each line?"
                );
            }
        });
        io_loop.add_callback(|state: &mut S, io_loop| {
            let name = self.from.to_string();
            state.sources().add_input(name, io_loop.time());
            self.turn(state, io_loop);
        });
    }
}

impl LinesSettings {
    /// Whether a symbol is wanted that is not known from the start.
    fn wants_new(&self, symbol: &str) -> bool {
        let is_any = self.symbols.is_empty() && self.patterns.is_empty();
        is_any || self.patterns.iter().any(|pattern| pattern.covers(symbol))
    }

    fn watched(&self, symbol: &str) -> Watched {
        Watched {
            symbol: symbol.to_owned(),
            market: symbol.to_owned(),
            stale_after: self.stale_after,
        }
    }
}

impl Found {
    fn note(&mut self, kind: &'static str, more: u64) {
        match self.bad.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += more,
            None => self.bad.push((kind, more)),
        }
    }
}

impl Reading {
    /// Reads a line, for the fields that are `wanted`.
    fn of(line: &Line<'_>, wanted: FieldSet) -> Self {
        let Line::Text(text) = line else {
            return Self::bad(Problem::TooLong, &[]);
        };
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let text = text.trim_ascii();
        if text.is_empty() {
            return Self::default();
        }
        Self::of_text(text, wanted).unwrap_or_else(|problem| Self::bad(problem, text))
    }

    fn of_text(text: &[u8], wanted: FieldSet) -> Result<Self, Problem> {
        let now_ms = unix_us() / 1_000;
        let stated = Stated::read(text, now_ms)?;
        let StatedFields { fields, problems } = StatedFields::read(text, wanted)?;
        let count = problems.len() as u64;
        let first = problems.into_iter().next();
        Ok(Self {
            tick: Some(Tick {
                symbol: stated.symbol.into_owned(),
                price: stated.price,
                timestamp: stated.timestamp.unwrap_or(now_ms),
                fields,
            }),
            complaint: first.map(|problem| Complaint::new(problem, count, text)),
        })
    }

    fn bad(problem: Problem, text: &[u8]) -> Self {
        Self {
            tick: None,
            complaint: Some(Complaint::new(problem, 1, text)),
        }
    }
}

impl Complaint {
    fn new(problem: Problem, count: u64, text: &[u8]) -> Self {
        // A character has at most four bytes, so this is more than the log shows.
        let text = &text[..text.len().min(EXCERPT_BYTES)];
        Self {
            problem,
            count,
            line: beginning(&String::from_utf8_lossy(text)),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, line, .. } = self;
        write!(f, "{problem}")?;
        // Nobody can look up a line that has left the pipe.
        if line.is_empty() {
            Ok(())
        } else {
            write!(f, "; it reads {line}")
        }
    }
}

/// How much of a line its excerpt is made from.
const EXCERPT_BYTES: usize = 512;

/// How long one turn reads lines before others on the loop get theirs.
const TURN: Duration = Duration::from_micros(500);

/// How many symbols that are not wanted the log names.
const UNWANTED_NAMED_MAX: usize = 10;

/// A script that has written nothing for as long probably keeps its lines in a buffer.
const FIRST_LINE_AFTER: Duration = Duration::from_secs(5);

/// How many lines are read between two looks at the clock.
const LINES_PER_LOOK: u32 = 16;
