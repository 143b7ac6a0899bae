//! Splits what a pipe brings into lines, in bounded memory: a line that is too long is skipped.
//! Pure: the caller reads.

use std::io;
use std::ops::Range;

/// A buffer of bytes that have been read, from which whole lines are taken.
pub(super) struct Splitter {
    buffer: Box<[u8]>,
    /// The bytes that have not been taken.
    unread: Range<usize>,
    /// No line ends before this byte.
    searched: usize,
    /// The number of the last line that was taken, counted from one.
    number: u64,
    /// The next bytes belong to a line that was too long.
    skips: bool,
}

/// A line as it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes, without its end.
    Text(&'a [u8]),
    /// It is longer than [`LENGTH_MAX`].
    TooLong,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; LENGTH_MAX + READ_SIZE].into_boxed_slice(),
            unread: 0..0,
            searched: 0,
            number: 0,
            skips: false,
        }
    }

    /// The number of the last line that was taken, counted from one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reads more bytes, when [`next`](Self::next) has no more lines. Returns how many.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.searched -= self.unread.start;
        self.unread = 0..self.unread.len();
        let count = read(&mut self.buffer[self.unread.end..])?;
        self.unread.end += count;
        Ok(count)
    }

    /// Takes the next whole line.
    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        let line = loop {
            let Some(line) = self.take_whole() else {
                return self.too_long();
            };
            if !std::mem::take(&mut self.skips) {
                break line;
            }
        };
        self.number += 1;
        Some(self.line(line))
    }

    /// Takes what is left at the end of the input: the last line, if nothing ends it.
    pub(super) fn last(&mut self) -> Option<Line<'_>> {
        let rest = std::mem::replace(&mut self.unread, 0..0);
        self.searched = 0;
        if std::mem::take(&mut self.skips) || rest.is_empty() {
            return None;
        }
        self.number += 1;
        Some(self.line(rest))
    }

    /// Removes the bytes up to the next end of a line.
    fn take_whole(&mut self) -> Option<Range<usize>> {
        let mut bytes = self.buffer[self.searched..self.unread.end].iter();
        let Some(length) = bytes.position(|byte| *byte == b'\n') else {
            self.searched = self.unread.end;
            return None;
        };
        let line = self.unread.start..self.searched + length;
        self.unread.start = line.end + 1;
        self.searched = self.unread.start;
        Some(line)
    }

    /// Drops the bytes of a line that is too long. Reports the line once.
    fn too_long(&mut self) -> Option<Line<'_>> {
        if !self.skips && self.unread.len() <= LENGTH_MAX {
            return None;
        }
        self.unread = 0..0;
        self.searched = 0;
        if std::mem::replace(&mut self.skips, true) {
            return None;
        }
        self.number += 1;
        Some(Line::TooLong)
    }

    fn line(&self, place: Range<usize>) -> Line<'_> {
        if place.len() > LENGTH_MAX {
            Line::TooLong
        } else {
            Line::Text(&self.buffer[place])
        }
    }
}

/// The longest line, in bytes; a tick with all fields has about 300.
pub(super) const LENGTH_MAX: usize = 16 * 1024;

/// How much is read at once: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of pieces that are read one by one, as text; `…` is one that is too long.
    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::new();
        let text = |line: Line<'_>| match line {
            Line::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Line::TooLong => "…".to_owned(),
        };
        let mut lines = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let count = splitter.fill(|buffer| {
                    let count = rest.len().min(buffer.len());
                    assert!(count > 0, "no room to read");
                    buffer[..count].copy_from_slice(&rest[..count]);
                    Ok(count)
                });
                rest = &rest[count.unwrap()..];
                while let Some(line) = splitter.next() {
                    lines.push(text(line));
                }
            }
        }
        lines.extend(splitter.last().map(text));
        assert_eq!(splitter.number(), lines.len() as u64);
        lines
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        assert_eq!(lines(&[b"a\nb", b"c", b"\n\nd\n"]), ["a", "bc", "", "d"]);
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn a_last_line_without_an_end_counts() {
        assert_eq!(lines(&[b"a\nb"]), ["a", "b"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let fits = vec![b'x'; LENGTH_MAX];
        let long = vec![b'x'; LENGTH_MAX + 1];
        let huge = vec![b'x'; 10 * (LENGTH_MAX + READ_SIZE)];
        let read = lines(&[&fits, b"\na\n", &long, b"\nb\n", &huge, b"\nc\n", &huge]);
        let expected = [str::from_utf8(&fits).unwrap(), "a", "…", "b", "…", "c", "…"];
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn no_cut_changes_the_lines(text in "[a-c\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..5)) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let expected: Vec<_> = text.lines().map(str::to_owned).collect();
            prop_assert_eq!(lines(&pieces), expected);
        }
    }
}
