//! Reads a recording line by line: one tick a line, as on the wire, in a file that may be damaged.
//! Each call reads a bounded piece, however long a line is.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::tick::{Price, Tick, WireTick};

/// The lines of a recording.
pub(super) struct Recording<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    /// The next piece belongs to a line that was too long.
    in_long_line: bool,
}

/// The kind of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A tick with the time of its recording.
    Tick(Recorded),
    /// Not a tick.
    Bad(Fault),
    /// The last line, which the recorder did not finish.
    Torn,
    /// A blank line, or a further piece of one that is too long.
    Blank,
}

/// Why a line is not a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TooLong,
    NotJson,
    /// It has no member of that name, or one of another type.
    Missing(&'static str),
    /// It has all but the time, as the lines of a script may.
    NoTimestamp,
    Price,
    Symbol,
    Time,
}

/// A tick as it was published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) tick: Tick,
    /// When it was published, in Unix µs, if the recording says so.
    pub(super) sent: Option<u64>,
}

impl<R: BufRead> Recording<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            number: 0,
            bytes: 0,
            in_long_line: false,
        }
    }

    /// The number of the last line, counted from one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.line.clear();
        let mut piece = self.reader.by_ref().take(LINE_LENGTH_MAX);
        let length = piece.read_until(b'\n', &mut self.line)? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.bytes += length;
        let ended = self.line.ends_with(b"\n");
        let too_long = !ended && length == LINE_LENGTH_MAX;
        let more_of_it = self.in_long_line;
        self.in_long_line = !ended && (more_of_it || too_long);
        if more_of_it {
            return Ok(Some(Line::Blank));
        }
        self.number += 1;
        Ok(Some(match Recorded::parse(&self.line) {
            Ok(recorded) => Line::Tick(recorded),
            Err(_) if self.line.trim_ascii().is_empty() => Line::Blank,
            Err(_) if too_long => Line::Bad(Fault::TooLong),
            Err(_) if !ended => Line::Torn,
            Err(fault) => Line::Bad(fault),
        }))
    }
}

impl Recorded {
    /// Only a whole JSON object is a tick, so a torn line is never read as another price.
    fn parse(line: &[u8]) -> Result<Self, Fault> {
        let wire = WireTick::parse(line.trim_ascii()).map_err(|_| Fault::NotJson)?;
        let recorded = Self {
            tick: wire.to_tick().ok_or_else(|| Fault::of(&wire))?,
            sent: wire.sent,
        };
        let symbol = &recorded.tick.symbol;
        if symbol.is_empty() || symbol.len() > SYMBOL_LENGTH_MAX {
            return Err(Fault::Symbol);
        }
        if recorded.stamp() >= STAMP_MAX {
            return Err(Fault::Time);
        }
        Ok(recorded)
    }

    /// The time that decides when it is replayed, in Unix µs.
    pub(super) fn stamp(&self) -> u64 {
        self.sent
            .unwrap_or_else(|| self.tick.timestamp.saturating_mul(1_000))
    }
}

impl Fault {
    /// Why an object is not a tick.
    fn of(wire: &WireTick<'_>) -> Self {
        match (&wire.symbol, wire.price.map(Price::parse)) {
            (None, _) => Self::Missing("symbol"),
            (_, None) => Self::Missing("price"),
            (_, Some(Err(_))) => Self::Price,
            (Some(_), Some(Ok(_))) => Self::NoTimestamp,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {} KiB", LINE_LENGTH_MAX >> 10),
            Self::NotJson => f.write_str("expected a JSON object"),
            Self::Missing(member) => write!(f, "it has no valid \"{member}\""),
            Self::NoTimestamp => f.write_str("it has no valid \"timestamp\""),
            Self::Price => f.write_str("its \"price\" is not a number"),
            Self::Symbol => write!(f, "expected a \"symbol\" of 1 to {SYMBOL_LENGTH_MAX} bytes"),
            Self::Time => f.write_str("expected its \"timestamp\" in Unix ms and before 2100"),
        }
    }
}

/// The most memory that a line may take; a tick has about 100 bytes.
const LINE_LENGTH_MAX: u64 = 64 * 1024;

/// Bounds memory, together with the limit on the number of symbols.
const SYMBOL_LENGTH_MAX: usize = 128;

/// The year 2100. A later stamp must be in another unit, and a replay would wait for it for ever.
const STAMP_MAX: u64 = 4_102_444_800_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter per line.
    fn outline(text: &[u8]) -> String {
        let mut recording = Recording::new(text);
        let mut outline = String::new();
        while let Some(line) = recording.next_line().unwrap() {
            outline.push(match line {
                Line::Tick(_) => 't',
                Line::Bad(_) => 'b',
                Line::Torn => '~',
                Line::Blank => '_',
            });
        }
        assert_eq!(recording.bytes(), text.len() as u64);
        outline
    }

    const TICK: &str = r#"{"symbol":"A/B","price":1.50,"timestamp":1000,"seq":1,"sent":1000123}"#;

    #[test]
    fn bad_lines_are_told_from_blank_and_torn_ones() {
        let text = format!("{TICK}\n\n{TICK}\r\nnonsense\n[1]\n{{\"event\":\"live\"}}\n{TICK}\n");
        assert_eq!(outline(text.as_bytes()), "t_tbbbt");
        assert_eq!(outline(format!("{TICK}\n{}", &TICK[..40]).as_bytes()), "t~");
        assert_eq!(outline(format!("{TICK}\n{TICK}").as_bytes()), "tt");
        assert_eq!(outline(b""), "");
    }

    #[test]
    fn an_overlong_line_is_one_bad_line_read_in_bounded_pieces() {
        let long = "x".repeat(200_000);
        let text = format!("{TICK}\n{long}\n{TICK}\n");
        assert_eq!(outline(text.as_bytes()), "tb___t");
        let mut recording = Recording::new(text.as_bytes());
        while recording.next_line().unwrap().is_some() {
            assert!(recording.line.len() <= 65_536);
        }
        assert_eq!(recording.number(), 3);
        let exactly = "x".repeat(65_536);
        assert_eq!(outline(format!("{exactly}\n{TICK}").as_bytes()), "b_t");
    }

    #[test]
    fn the_stamp_is_the_time_of_sending_or_else_the_timestamp() {
        assert_eq!(Recorded::parse(TICK.as_bytes()).unwrap().stamp(), 1_000_123);
        let short = br#"{"price":"7","timestamp":1000,"symbol":"A/B"}"#;
        assert_eq!(Recorded::parse(short).unwrap().stamp(), 1_000_000);
    }

    #[test]
    fn a_line_that_is_not_a_tick_is_told_why() {
        let long = format!(
            r#"{{"symbol":"{}","price":1,"timestamp":1}}"#,
            "S".repeat(129)
        );
        for (line, expected) in [
            ("nonsense", "expected a JSON object"),
            ("{}", r#"it has no valid "symbol""#),
            (
                r#"{"symbol":"A","timestamp":1}"#,
                r#"it has no valid "price""#,
            ),
            (
                r#"{"symbol":"A","price":"x","timestamp":1}"#,
                r#"its "price" is not a number"#,
            ),
            (
                r#"{"symbol":"A","price":1}"#,
                r#"it has no valid "timestamp""#,
            ),
            (
                r#"{"symbol":"","price":1,"timestamp":1}"#,
                r#"expected a "symbol" of 1 to 128 bytes"#,
            ),
            (&long, r#"expected a "symbol" of 1 to 128 bytes"#),
            (
                r#"{"symbol":"A","price":1,"timestamp":1732270000123000}"#,
                "in Unix ms and before 2100",
            ),
        ] {
            let fault = Recorded::parse(line.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{line}: {fault}");
        }
    }
}
