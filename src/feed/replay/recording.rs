//! A recording as it is read: one tick a line, as on the wire, in a file that nobody promised to be
//! whole. It is streamed; no line and no call takes more than a bounded piece of it.

use std::io::{self, BufRead, Read};

use crate::tick::{Tick, WireTick};

/// The lines of a recording.
pub(super) struct Recording<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    /// What comes next belongs to a line that was given up as too long.
    in_long_line: bool,
}

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A tick with the time of its recording.
    Tick(Recorded),
    /// No tick.
    Bad,
    /// The last one, which the recorder did not finish.
    Torn,
    /// Nothing of its own: a blank line, or more of one that is too long.
    Blank,
}

/// A tick as it was printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) tick: Tick,
    /// When it was printed, Unix µs, if the recording says.
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

    /// Reads the next line; none at the end.
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
            Some(recorded) => Line::Tick(recorded),
            None if self.line.trim_ascii().is_empty() => Line::Blank,
            None if !ended && !too_long => Line::Torn,
            None => Line::Bad,
        }))
    }
}

impl Recorded {
    /// A line that is not a whole object is no tick, so a torn one never passes for another price.
    fn parse(line: &[u8]) -> Option<Self> {
        let wire = WireTick::parse(line.trim_ascii()).ok()?;
        let recorded = Self {
            tick: wire.to_tick()?,
            sent: wire.sent,
        };
        let symbol = &recorded.tick.symbol;
        let sane =
            !symbol.is_empty() && symbol.len() <= SYMBOL_LENGTH_MAX && recorded.stamp() < STAMP_MAX;
        sane.then_some(recorded)
    }

    /// The instant by which it is replayed, Unix µs.
    pub(super) fn stamp(&self) -> u64 {
        self.sent
            .unwrap_or_else(|| self.tick.timestamp.saturating_mul(1_000))
    }
}

/// A tick takes about 100 bytes; no line makes us allocate more than this.
const LINE_LENGTH_MAX: u64 = 64 * 1024;

/// Together with the number of symbols it bounds what a recording makes us remember.
const SYMBOL_LENGTH_MAX: usize = 128;

/// The year 2100: a stamp beyond is in another unit, and a replay would wait for it for ever.
const STAMP_MAX: u64 = 4_102_444_800_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter a line.
    fn outline(text: &[u8]) -> String {
        let mut recording = Recording::new(text);
        let mut outline = String::new();
        while let Some(line) = recording.next_line().unwrap() {
            outline.push(match line {
                Line::Tick(_) => 't',
                Line::Bad => 'b',
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
    fn a_line_without_end_is_one_bad_line_read_in_bounded_pieces() {
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
    fn a_stamp_is_when_it_was_printed_or_else_the_timestamp() {
        assert_eq!(Recorded::parse(TICK.as_bytes()).unwrap().stamp(), 1_000_123);
        let short = br#"{"price":"7","timestamp":1000,"symbol":"A/B"}"#;
        assert_eq!(Recorded::parse(short).unwrap().stamp(), 1_000_000);
    }

    #[test]
    fn what_cannot_be_replayed_sensibly_is_no_tick() {
        let long = "S".repeat(129);
        for (symbol, timestamp) in [("", "1"), (&*long, "1"), ("A/B", "1732270000123000")] {
            let line = format!(r#"{{"symbol":"{symbol}","price":1,"timestamp":{timestamp}}}"#);
            assert_eq!(Recorded::parse(line.as_bytes()), None, "{line}");
        }
    }
}
