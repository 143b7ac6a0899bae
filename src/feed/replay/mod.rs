//! Recorded prices, at the pace of their recording, at a multiple of it, or as fast as the loop
//! turns.
//!
//! An old price is never sent as new, so every symbol is named `replay:…`, except for simulated
//! ones. The file is scanned once before the loop starts, and read again while it runs. Reading a
//! regular file counts as not blocking, since the scan has put it into the page cache.

mod pace;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod recording;

pub use self::pace::Speed;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ioloop::IoLoop;

use self::pace::Pace;
use self::recording::{Fault, Line, Recorded, Recording};
use super::publish::{Feed, Publish};
use crate::error_text::plain;
use crate::tape::SYMBOLS_MAX;
use crate::tick::FieldSet;

/// A feed that replays a recording and then ends.
pub struct Replay {
    path: PathBuf,
    recording: Recording<BufReader<io::Take<File>>>,
    summary: Summary,
    pace: Pace,
    /// The fields that ticks are to have besides the price.
    fields: FieldSet,
    /// A tick that has been read but is not due yet.
    next: Option<Recorded>,
    replayed: u64,
}

/// Why a file cannot be replayed.
#[derive(Debug)]
pub struct ReplayError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    Io(io::Error),
    NotRegular,
    NoTick,
    /// It has no tick, but lines that another source reads.
    ScriptLines,
    TooManySymbols,
}

impl Replay {
    /// Opens a recording and scans it. The scan blocks, so call this before the loop starts.
    ///
    /// # Errors
    /// When the recording cannot be read, has no tick, or has too many symbols.
    pub fn open(path: &Path, speed: Speed) -> Result<Self, ReplayError> {
        let error = |problem| ReplayError {
            path: path.to_owned(),
            problem,
        };
        let (mut file, summary) = open_and_scan(path).map_err(error)?;
        file.rewind().map_err(Problem::Io).map_err(error)?;
        // The summary does not cover what a recorder may still append, so do not replay that.
        let reader = BufReader::with_capacity(READ_SIZE, file.take(summary.bytes));
        Ok(Self {
            path: path.to_owned(),
            recording: Recording::new(reader),
            summary,
            pace: Pace::new(speed),
            fields: FieldSet::NONE,
            next: None,
            replayed: 0,
        })
    }

    /// Gives ticks these fields, as far as they were recorded. The others that were recorded are
    /// left out, so that what clients get depends on the server alone.
    #[must_use]
    pub fn with_fields(self, fields: FieldSet) -> Self {
        Self { fields, ..self }
    }

    /// Publishes the ticks that are due, a bounded number of them per turn, and comes back when the
    /// next one is and there is room for it.
    fn turn<S: Publish>(mut self: Box<Self>, state: &mut S, io_loop: &mut IoLoop<S>) {
        for _ in 0..LINES_PER_TURN {
            let line = match self.next.take() {
                Some(recorded) => Ok(Some(Line::Tick(recorded))),
                None => self.recording.next_line(),
            };
            match line {
                Ok(Some(Line::Tick(recorded))) => {
                    let now = io_loop.time();
                    let due = self.pace.due(&recorded, now);
                    if due > now {
                        self.next = Some(recorded);
                        return self.wait(due, due - now, io_loop);
                    }
                    if !state.has_room(io_loop) {
                        self.next = Some(recorded);
                        return state.when_there_is_room(io_loop, |state, io_loop| {
                            self.turn(state, io_loop);
                        });
                    }
                    self.publish(state, io_loop, recorded);
                }
                // The scan has reported bad lines already.
                Ok(Some(_)) => {}
                Ok(None) => return self.end(None),
                Err(error) => return self.end(Some(&error)),
            }
        }
        io_loop.add_callback(|state, io_loop| self.turn(state, io_loop));
    }

    fn wait<S: Publish>(self: Box<Self>, due: Instant, wait: Duration, io_loop: &mut IoLoop<S>) {
        if wait >= WAIT_ANNOUNCED {
            // A gap in the recording is replayed, but must not look like a hang.
            let (path, seconds) = (self.path.display(), wait.as_secs());
            log::info!("the replay of {path} has no tick for the next {seconds} s");
        }
        io_loop.call_at(due, |state, io_loop| self.turn(state, io_loop));
    }

    fn publish<S: Publish>(
        &mut self,
        state: &mut S,
        io_loop: &mut IoLoop<S>,
        Recorded { mut tick, .. }: Recorded,
    ) {
        tick.symbol = name(tick.symbol);
        tick.fields.retain(self.fields);
        // The file may have been rewritten since the scan; `symbols` must hold all the same.
        if self.summary.symbols.contains(&tick.symbol) {
            self.replayed += 1;
            state.publish(io_loop, tick);
        }
    }

    /// How the recorded fields differ from those that ticks are to have.
    fn about_fields(&self) -> String {
        let recorded = self.summary.fields;
        let (missing, unused) = (self.fields.without(recorded), recorded.without(self.fields));
        let mut text = String::new();
        if !missing.is_empty() {
            text += &format!("; it has no {missing}");
        }
        if !unused.is_empty() {
            text += &format!("; it also has {unused}, see --fields");
        }
        text
    }

    /// What its symbols begin with.
    fn prefixes(&self) -> String {
        let symbols = &self.summary.symbols;
        let is_used = |prefix: &&str| symbols.iter().any(|symbol| symbol.starts_with(*prefix));
        let used: Vec<_> = [PREFIX, SIMULATED].into_iter().filter(is_used).collect();
        used.join(" or ")
    }

    fn end(&self, error: Option<&io::Error>) {
        let (path, replayed) = (self.path.display(), self.replayed);
        match error {
            None => log::info!("the replay of {path} has ended: {replayed} ticks"),
            Some(error) => {
                let error = plain(error);
                log::error!("the replay of {path} failed after {replayed} ticks: {error}");
            }
        }
    }
}

impl<S: Publish> Feed<S> for Replay {
    fn symbols(&self) -> Vec<String> {
        self.summary.symbols.iter().cloned().collect()
    }

    fn describe(&self) -> String {
        format!(
            "prices are replayed from {} at {} (symbols begin with {}): {} ticks, {} symbols{}",
            self.path.display(),
            self.pace.speed(),
            self.prefixes(),
            self.summary.ticks,
            self.summary.symbols.len(),
            self.about_fields(),
        )
    }

    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        io_loop.add_callback(|state, io_loop| self.turn(state, io_loop));
    }
}

/// What the scan found in a recording.
#[derive(Default)]
pub(super) struct Summary {
    /// The symbols, named as on the wire.
    pub(super) symbols: BTreeSet<String>,
    /// The fields that any of the ticks has.
    fields: FieldSet,
    pub(super) ticks: u64,
    bad_lines: u64,
    /// Whether any line has a symbol and a price but no time.
    has_script_lines: bool,
    pub(super) bytes: u64,
}

fn open_and_scan(path: &Path) -> Result<(File, Summary), Problem> {
    // Check before opening it, since opening a pipe would wait for a writer.
    if !path.metadata().map_err(Problem::Io)?.is_file() {
        return Err(Problem::NotRegular);
    }
    let file = File::open(path).map_err(Problem::Io)?;
    let summary = scan(&file, path)?;
    if summary.bad_lines > 0 {
        let (path, bad) = (path.display(), summary.bad_lines);
        log::warn!("{path}: skipping {bad} lines that are not ticks");
    }
    Ok((file, summary))
}

/// Reads a whole recording, which the log calls `path`.
pub(super) fn scan(file: impl Read, path: &Path) -> Result<Summary, Problem> {
    let mut recording = Recording::new(BufReader::with_capacity(READ_SIZE, file));
    let mut summary = Summary::default();
    while let Some(line) = recording.next_line().map_err(Problem::Io)? {
        match line {
            Line::Tick(recorded) => {
                summary.ticks += 1;
                summary.fields = summary.fields.union(recorded.tick.fields.names());
                let symbol = name(recorded.tick.symbol);
                if !summary.symbols.contains(&symbol) && summary.symbols.len() == SYMBOLS_MAX {
                    return Err(Problem::TooManySymbols);
                }
                summary.symbols.insert(symbol);
            }
            Line::Bad(fault) => {
                summary.bad_lines += 1;
                summary.has_script_lines |= fault == Fault::NoTimestamp;
                if summary.bad_lines <= BAD_LINES_REPORTED {
                    let (path, number) = (path.display(), recording.number());
                    log::warn!("{path}, line {number}: not a tick: {fault}");
                }
            }
            Line::Torn | Line::Blank => {}
        }
    }
    summary.bytes = recording.bytes();
    if summary.ticks == 0 {
        return Err(match summary.has_script_lines {
            true => Problem::ScriptLines,
            false => Problem::NoTick,
        });
    }
    Ok(summary)
}

/// The name of a replayed symbol on the wire.
fn name(symbol: String) -> String {
    if symbol.starts_with(PREFIX) || symbol.starts_with(SIMULATED) {
        symbol
    } else {
        [PREFIX, &symbol].concat()
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot replay {}: ", self.path.display())?;
        match &self.problem {
            Problem::Io(error) => f.write_str(&plain(error)),
            Problem::NotRegular => f.write_str("not a regular file: save its contents in one"),
            Problem::NoTick => f.write_str("it contains no ticks: record some with --record FILE"),
            Problem::ScriptLines => write!(
                f,
                "its lines have no \"timestamp\"; --source lines:{} reads such lines",
                self.path.display()
            ),
            Problem::TooManySymbols => {
                write!(f, "it has more than {SYMBOLS_MAX} symbols: split the file")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

const PREFIX: &str = "replay:";

/// What names begin with that need no other mark.
const SIMULATED: &str = "sim:";

/// A bound on the work of one turn, so that others on the loop get theirs.
const LINES_PER_TURN: u32 = 64;

/// One read fetches some hundreds of ticks.
const READ_SIZE: usize = 64 * 1024;

/// How many bad lines the log reports one by one.
const BAD_LINES_REPORTED: u64 = 3;

/// The log announces a wait of this length or longer.
const WAIT_ANNOUNCED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::testing::{Audience, listen};
    use super::*;
    use crate::tick::Tick;
    use testkit::temp_file;

    fn line(symbol: &str, price: u32, sent_ms: u64) -> String {
        let sent = sent_ms * 1_000;
        format!(r#"{{"symbol":"{symbol}","price":{price},"timestamp":1000,"seq":1,"sent":{sent}}}"#)
            + "\n"
    }

    fn open(text: &str, speed: Speed) -> Result<Replay, ReplayError> {
        let file = temp_file(text);
        // The file is deleted when this returns; the replay keeps reading its open descriptor.
        Replay::open(file.path(), speed)
    }

    fn prices(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.price.as_str()).collect()
    }

    #[test]
    fn every_symbol_is_marked_as_replayed_or_simulated() {
        let symbols = ["BTC/USDT", "sim:BTC/USDT", "replay:BTC/USDT", "kraken:A/B"];
        let text: String = symbols.map(|symbol| line(symbol, 1, 0)).concat();
        let replay = open(&text, Speed::Max).unwrap();
        assert_eq!(
            Feed::<Audience>::symbols(&replay),
            ["replay:BTC/USDT", "replay:kraken:A/B", "sim:BTC/USDT"]
        );
        let ticks = listen(replay, 4);
        let symbols: Vec<&str> = ticks.iter().map(|tick| &*tick.symbol).collect();
        assert_eq!(
            symbols,
            [
                "replay:BTC/USDT",
                "sim:BTC/USDT",
                "replay:BTC/USDT",
                "replay:kraken:A/B"
            ]
        );
        assert!(ticks.iter().all(|tick| tick.timestamp == 1_000));
    }

    #[test]
    fn ticks_come_at_the_pace_of_their_recording() {
        let text = [line("A", 1, 0), line("A", 2, 30), line("A", 3, 60)].concat();
        for (speed, ms) in [(1.0, 60), (3.0, 20)] {
            let began = Instant::now();
            let ticks = listen(open(&text, Speed::Times(speed)).unwrap(), 3);
            assert_eq!(prices(&ticks), ["1", "2", "3"]);
            assert!(began.elapsed() >= Duration::from_millis(ms));
        }
    }

    #[test]
    fn at_full_speed_the_loop_still_turns_between_bounded_batches() {
        let text: String = (0..200)
            .map(|n| line("A", n, u64::from(n) * 10_000))
            .collect();
        let ticks = listen(open(&text, Speed::Max).unwrap(), 65);
        assert_eq!(ticks.len(), 128);
        assert_eq!(ticks[127].price.as_str(), "127");
    }

    #[test]
    fn lines_that_are_not_ticks_are_skipped_and_counted() {
        let text = [
            &line("A", 1, 0),
            "nonsense\n\n",
            &line("A", 2, 0),
            "{\"symbol\":\"A\",\"pri",
        ];
        let replay = open(&text.concat(), Speed::Times(1.0)).unwrap();
        assert_eq!((replay.summary.ticks, replay.summary.bad_lines), (2, 1));
        assert_eq!(prices(&listen(replay, 2)), ["1", "2"]);
    }

    #[test]
    fn ticks_have_the_fields_that_are_wanted_as_far_as_they_were_recorded() {
        let rich =
            r#"{"symbol":"A","price":1,"timestamp":1,"bid":0.90,"volume":7,"seq":1,"sent":1}"#;
        let text = format!("{rich}\n{}", line("A", 2, 0));
        let replayed = |wanted: &str| -> Vec<String> {
            let replay = open(&text, Speed::Max).unwrap();
            let replay = replay.with_fields(wanted.parse().unwrap());
            let ticks = listen(replay, 2);
            ticks
                .iter()
                .map(|tick| format!("{:?}", tick.fields))
                .collect()
        };
        assert_eq!(replayed("bid,ask"), [r#"{"bid": "0.90"}"#, "{}"]);
        assert_eq!(
            replayed("bid,volume")[0],
            r#"{"bid": "0.90", "volume": "7"}"#
        );
        assert_eq!(replayed(""), ["{}", "{}"]);
    }

    #[test]
    fn ticks_appended_after_the_scan_are_not_replayed() {
        use std::io::Write;
        let file = temp_file(line("A", 1, 0));
        let mut replay = Replay::open(file.path(), Speed::Max).unwrap();
        let mut recorder = File::options().append(true).open(file.path()).unwrap();
        recorder.write_all(line("B", 2, 0).as_bytes()).unwrap();
        assert!(matches!(
            replay.recording.next_line(),
            Ok(Some(Line::Tick(_)))
        ));
        assert_eq!(replay.recording.next_line().unwrap(), None);
    }

    #[test]
    fn errors_name_the_file_and_the_reason() {
        for (text, reason) in [
            (String::new(), "contains no ticks"),
            ("nonsense\n".repeat(5), "contains no ticks"),
            (
                "{\"symbol\":\"A\",\"price\":1}\n".to_owned(),
                "its lines have no \"timestamp\"; --source lines:/",
            ),
            (
                (0..=SYMBOLS_MAX)
                    .map(|n| line(&format!("S{n}"), 1, 0))
                    .collect(),
                "more than 65000 symbols",
            ),
        ] {
            let error = open(&text, Speed::Max).err().unwrap().to_string();
            let folder = std::env::temp_dir().display().to_string();
            assert!(error.contains(&folder), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        for (path, reason) in [
            ("/", "not a regular file"),
            ("/no/such", "no such file or directory"),
        ] {
            let error = Replay::open(Path::new(path), Speed::Max).err().unwrap();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn the_description_has_speed_ticks_and_symbols() {
        for (symbols, expected) in [
            (
                &["A"][..],
                "(symbols begin with replay:): 1 ticks, 1 symbols",
            ),
            (&["sim:A"], "(symbols begin with sim:): 1 ticks, 1 symbols"),
            (
                &["A", "sim:A"],
                "(symbols begin with replay: or sim:): 2 ticks, 2 symbols",
            ),
        ] {
            let text: String = symbols.iter().map(|symbol| line(symbol, 1, 0)).collect();
            let replay = open(&text, Speed::Times(2.5)).unwrap();
            let description = Feed::<Audience>::describe(&replay);
            let expected = format!("at 2.5x speed {expected}");
            assert!(description.ends_with(&expected), "{description}");
        }
    }

    #[test]
    fn the_description_says_how_fields_differ_from_those_recorded() {
        let rich = r#"{"symbol":"A","price":1,"timestamp":1,"bid":1,"low":7}"#;
        for (wanted, end) in [
            ("bid,low", " 1 symbols"),
            ("", " 1 symbols; it also has bid, low, see --fields"),
            ("bid,ask", "; it has no ask; it also has low, see --fields"),
        ] {
            let replay = open(rich, Speed::Max).unwrap();
            let replay = replay.with_fields(wanted.parse().unwrap());
            let description = Feed::<Audience>::describe(&replay);
            assert!(description.ends_with(end), "{description}");
        }
    }
}
