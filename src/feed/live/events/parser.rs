//! Server-Sent Events, read as the WHATWG's HTML standard says (section 9.2.6), in bounded memory.
//! Pure: the caller reads the bytes.

use std::time::Duration;

/// An unfinished stream.
#[derive(Default)]
pub(super) struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The data of the event that has not ended yet; each line of it ends in a line feed.
    data: Vec<u8>,
    name: String,
    id: String,
    /// How many bytes have been read, up to the length of a byte order mark.
    at_start: usize,
    /// The last byte was a carriage return: a line feed would belong to it.
    after_return: bool,
    /// The event is too long; its rest is skipped.
    is_too_long: bool,
}

/// What a stream contains.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Event(Message),
    /// A sign of life.
    Comment,
    /// How long to wait before reconnecting.
    Retry(Duration),
    /// An event with more data than [`LENGTH_MAX`], which is left out.
    TooLong,
}

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The kind of event; most streams have only one, which has no name.
    pub(super) name: String,
    pub(super) data: Vec<u8>,
    /// What to state on reconnecting; the newest one of the stream.
    pub(super) id: String,
}

impl Parser {
    /// A stream that goes on after the event with that id.
    pub(super) fn after(id: String) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Reads the next bytes, and returns what they complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        for &byte in bytes {
            let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if was_return => {}
                b'\r' | b'\n' => items.extend(self.end_line()),
                byte => self.add(byte),
            }
        }
        items
    }

    fn add(&mut self, byte: u8) {
        if self.line.len() + self.data.len() < LENGTH_MAX {
            self.line.push(byte);
        } else {
            self.is_too_long = true;
        }
        if self.at_start < BYTE_ORDER_MARK.len() {
            self.at_start += 1;
            if self.line == BYTE_ORDER_MARK {
                self.line.clear();
            }
        }
    }

    fn end_line(&mut self) -> Option<Item> {
        self.at_start = BYTE_ORDER_MARK.len();
        let line = std::mem::take(&mut self.line);
        let item = match line.first() {
            None => self.end_event(),
            Some(b':') => Some(Item::Comment),
            Some(_) => self.field(&line),
        };
        self.line = line;
        self.line.clear();
        item
    }

    fn field(&mut self, line: &[u8]) -> Option<Item> {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.name = text(),
            b"id" if !value.contains(&0) => self.id = text(),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                return Some(Item::Retry(Duration::from_millis(text().parse().ok()?)));
            }
            _ => {}
        }
        None
    }

    /// Ends an event; one without data is none.
    fn end_event(&mut self) -> Option<Item> {
        let mut data = std::mem::take(&mut self.data);
        let name = std::mem::take(&mut self.name);
        if std::mem::take(&mut self.is_too_long) {
            return Some(Item::TooLong);
        }
        data.pop()?;
        Some(Item::Event(Message {
            name,
            data,
            id: self.id.clone(),
        }))
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The most bytes of one event. Prices have some hundreds, and JSON of this length is read in a
/// fraction of a millisecond.
const LENGTH_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The items of a stream in words.
    fn items(pieces: &[&str]) -> Vec<String> {
        let mut parser = Parser::default();
        let items = pieces
            .iter()
            .flat_map(|piece| parser.read(piece.as_bytes()));
        let text = |item| match item {
            Item::Event(Message { name, data, id }) => {
                format!("{name}|{}|{id}", String::from_utf8(data).unwrap())
            }
            Item::Comment => ":".to_owned(),
            Item::Retry(pause) => format!("{pause:?}"),
            Item::TooLong => "…".to_owned(),
        };
        items.map(text).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read_as_it_says() {
        assert_eq!(
            items(&["data: YHOO\ndata: +2\ndata: 10\n\n"]),
            ["|YHOO\n+2\n10|"]
        );
        let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(
            items(&[stream]),
            [":", "|first event|1", "|second event|", "| third event|"]
        );
        assert_eq!(items(&["data\n\ndata\ndata\n\ndata:"]), ["||", "|\n|"]);
        assert_eq!(
            items(&["data:test\n\ndata: test\n\n"]),
            ["|test|", "|test|"]
        );
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        assert_eq!(
            items(&["data: a\r\n\r", "\ndata: b\r\rdata: c\n\n"]),
            ["|a|", "|b|", "|c|"]
        );
    }

    #[test]
    fn fields_have_their_rules() {
        assert_eq!(items(&["\u{feff}data: a\n\n"]), ["|a|"]);
        assert_eq!(items(&["\u{feff}\u{feff}data: a\n\n"]), [""; 0]);
        assert_eq!(
            items(&["event: add\ndata: a\n\ndata: b\n\n"]),
            ["add|a|", "|b|"]
        );
        assert_eq!(items(&["event: add\n\ndata: b\n\n"]), ["|b|"]);
        assert_eq!(items(&["id: 7\ndata: a\n\ndata: b\n\n"]), ["|a|7", "|b|7"]);
        assert_eq!(items(&["id: 7\nid: 8\0\ndata: a\n\n"]), ["|a|7"]);
        assert_eq!(
            items(&["retry: 1500\nretry: 1s\nretry\nother: x\n"]),
            ["1.5s"]
        );
    }

    #[test]
    fn an_event_that_does_not_end_is_none() {
        assert_eq!(items(&["data: a\n"]), [""; 0]);
    }

    #[test]
    fn an_event_that_is_too_long_is_left_out_and_takes_no_memory() {
        let long = "x".repeat(LENGTH_MAX);
        let lines = format!("data: {}\n", "x".repeat(1_000)).repeat(100);
        assert_eq!(items(&["data: ", &long, "\n\ndata: a\n\n"]), ["…", "|a|"]);
        assert_eq!(items(&[&lines, "\ndata: a\n\n"]), ["…", "|a|"]);
        let mut parser = Parser::default();
        for _ in 0..100 {
            parser.read(long.as_bytes());
        }
        assert!(parser.line.capacity() <= 2 * LENGTH_MAX);
    }

    proptest! {
        #[test]
        fn no_cut_changes_the_events(text in "[a:\r\n]{0,40}", cut in 0usize..40) {
            let text = format!("data: 1\n\n{text}\n\ndata: 2\n\n");
            let (one, other) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(items(&[one, other]), items(&[&text]));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Parser::default().read(&bytes);
        }
    }
}
