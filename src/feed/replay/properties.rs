//! Properties of replaying files, see [`crate::fuzzing`]: however a file is split into reads, it
//! yields the same ticks, each with the digits of its line, and none is due before the last one.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use super::pace::{Pace, Speed};
use super::recording::{Line, Recorded, Recording};
use super::{Problem, scan};
use crate::fuzzing;
use crate::tape::SYMBOLS_MAX;
use crate::tick::{WireTick, write_json};

/// `bytes` are the file.
///
/// # Panics
/// When a promise is broken.
pub fn replay_file(bytes: &[u8]) {
    let lines = read(bytes, bytes.len() as u64);
    let pieces = Pieces {
        present: b"",
        others: fuzzing::pieces(bytes).into_iter(),
    };
    assert_eq!(
        lines,
        read(pieces, bytes.len() as u64),
        "the lines depend on how reads are split"
    );
    let ticks = lines.iter().filter_map(|line| match line {
        Line::Tick(recorded) => Some(recorded),
        _ => None,
    });
    let ticks: Vec<_> = ticks.collect();
    let sent: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != b'.').collect();
    ticks
        .iter()
        .for_each(|recorded| check_tick(recorded, bytes, &sent));
    check_pace(&ticks);
    check_summary(bytes, ticks.len());
}

fn read(reader: impl BufRead, length: u64) -> Vec<Line> {
    let mut recording = Recording::new(reader);
    let mut lines = Vec::new();
    while let Some(line) = recording.next_line().expect("memory can be read") {
        lines.push(line);
        assert!(
            recording.number() <= lines.len() as u64,
            "more lines than read"
        );
    }
    assert_eq!(recording.bytes(), length, "bytes are missing");
    lines
}

/// A file that arrives in pieces.
struct Pieces<'b> {
    present: &'b [u8],
    others: std::vec::IntoIter<&'b [u8]>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.present.is_empty() {
            self.present = self.others.next().unwrap_or_default();
        }
        Ok(self.present)
    }

    fn consume(&mut self, amount: usize) {
        self.present = &self.present[amount..];
    }
}

fn check_tick(recorded: &Recorded, bytes: &[u8], sent: &[u8]) {
    let tick = &recorded.tick;
    assert!((1..=128).contains(&tick.symbol.len()), "{}", tick.symbol);
    let digits = tick.price.as_str().replace('.', "");
    let digits = digits.trim_start_matches('-').trim_matches('0').as_bytes();
    let is_sent = digits.is_empty() || sent.windows(digits.len()).any(|part| part == digits);
    assert!(
        is_sent || bytes.contains(&b'\\'),
        "{} is not in the file",
        tick.price
    );
    // Written as JSON and read back, it is the same tick.
    let symbol = serde_json::Value::from(tick.symbol.as_str()).to_string();
    let mut json = Vec::new();
    write_json(&mut json, &symbol, tick, 1, recorded.stamp());
    let printed = WireTick::parse(&json).expect("our own layout");
    assert_eq!(printed.to_tick().as_ref(), Some(tick));
    assert_eq!(printed.sent, Some(recorded.stamp()));
}

/// If each tick is taken when it is due, none is due later than its stamp says.
fn check_pace(ticks: &[&Recorded]) {
    for speed in [Speed::Times(0.001), Speed::Times(1.0), Speed::Max] {
        let mut pace = Pace::new(speed);
        let start = Instant::now();
        let mut now = start;
        for recorded in ticks {
            let due = pace.due(recorded, now);
            assert!(
                due - now <= Duration::from_secs(1000 * CENTURIES),
                "never due"
            );
            now = now.max(due).min(start + Duration::from_secs(CENTURIES));
        }
    }
}

/// The scan before a replay counts what the replay will find.
fn check_summary(bytes: &[u8], ticks: usize) {
    match scan(bytes, Path::new("a recording")) {
        Ok(summary) => {
            assert_eq!(summary.ticks, ticks as u64);
            assert_eq!(summary.bytes, bytes.len() as u64);
            assert!((1..=SYMBOLS_MAX).contains(&summary.symbols.len()));
            let is_marked = |name: &String| name.starts_with("replay:") || name.starts_with("sim:");
            assert!(summary.symbols.iter().all(is_marked), "an old price as new");
        }
        Err(Problem::NoTick | Problem::ScriptLines) => assert_eq!(ticks, 0),
        Err(problem) => assert!(ticks > SYMBOLS_MAX, "{problem:?}"),
    }
}

/// From 1970 to the last stamp that is accepted, in seconds.
const CENTURIES: u64 = 4_102_444_800;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz_twin;
    use proptest::prelude::*;

    fn line() -> impl Strategy<Value = String> {
        let symbol = "(sim:|replay:)?[A-Z]{1,3}/USD|\\PC{0,9}";
        let price = "-?(0|[1-9][0-9]{0,12})(\\.[0-9]{1,9})?|\"[0-9]{1,4}e-?[0-9]{1,2}\"|1e400|null";
        let stamp = prop_oneof![0u64..2_000_000_000_000_000, any::<u64>()];
        let tick = (symbol, price, stamp.clone(), prop::option::of(stamp)).prop_map(
            |(symbol, price, timestamp, sent)| {
                let symbol = serde_json::Value::from(symbol);
                let sent = sent.map_or(String::new(), |sent| format!(r#","seq":1,"sent":{sent}"#));
                format!(r#"{{"symbol":{symbol},"price":{price},"timestamp":{timestamp}{sent}}}"#)
            },
        );
        prop_oneof![6 => tick, 1 => Just(String::new()), 1 => "[\\{\\[]?\\PC{0,30}"]
    }

    proptest! {
        #[test]
        fn a_recording_reads_the_same_however_reads_are_split(
            lines in prop::collection::vec(line(), 0..12), line_end in "\n|\r\n", torn in 0usize..40,
        ) {
            let text = lines.join(&line_end);
            let bytes = text.as_bytes();
            replay_file(&bytes[..bytes.len().saturating_sub(torn)]);
        }

        #[test]
        fn a_damaged_recording_reads_the_same_however_reads_are_split(bytes in fuzz_twin::damaged("replay_file")) {
            replay_file(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("replay_file", replay_file);
    }
}
