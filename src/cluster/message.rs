//! What the log holds: messages of one header line and lines as clients get them.
//!
//! ```text
//! {"tape":"ticks","term":1732270000000,"n":42}
//! {"symbol":"BTC/USDT","price":97123.45,"timestamp":1732270000123,"seq":42,"sent":1732270000123456}
//! ```
//!
//! *Ticks* are what one origin printed together. A *key* has the newest tick of every symbol, in one
//! or more parts, and names what is stale: a reader that joins begins with it. The first message of
//! a term is a key that names the message it follows. An origin that ends says *leave*.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tick::{Tick, WireTick};

/// Where a message stands: `term` grows with each origin that takes over, `n` by one with each
/// message of a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub(crate) struct Position {
    pub(crate) term: u64,
    pub(crate) n: u64,
}

/// A tick with its number and its stamp: the same ones wherever it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Printed {
    pub(crate) tick: Tick,
    /// Its number within its symbol.
    pub(crate) seq: u64,
    /// Its stamp, Unix µs.
    pub(crate) sent: u64,
}

/// One message of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) position: Position,
    /// What it follows; only the first message of a term says so, and not that of an empty log.
    pub(crate) after: Option<Position>,
    pub(crate) content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Ticks {
        ticks: Vec<Printed>,
        /// All stale symbols, with their silence in ms; at least once a second, and all other prices
        /// stand.
        stale: Option<Silences>,
    },
    Key(Key),
    /// The origin ends.
    Leave,
}

/// The silence of symbols in ms.
pub(crate) type Silences = BTreeMap<String, u64>;

/// A part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its number, from one, and the number of parts.
    pub(crate) part: (u32, u32),
    /// Where the log has the first part of this key; `None` in the first part itself.
    pub(crate) first: Option<u64>,
    /// Where the log has the first part of the newest complete key before this one, if any.
    pub(crate) before: Option<u64>,
    /// Who wrote it.
    pub(crate) origin: String,
    /// The newest stamp of all symbols, Unix µs; zero before the first tick.
    pub(crate) sent: u64,
    /// The symbols of this part.
    pub(crate) symbols: BTreeMap<String, SymbolInfo>,
    /// Those of them that are stale.
    pub(crate) stale: Silences,
    /// The newest tick of each symbol that has had one.
    pub(crate) ticks: Vec<Printed>,
}

/// What all servers have to know of a symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SymbolInfo {
    /// The market that it is a price of.
    pub(crate) market: String,
    /// How long it may be silent, in ms; `None` if it is never stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stale_after: Option<u64>,
}

impl SymbolInfo {
    /// What there is to know of a symbol that is never stale.
    pub(crate) fn plain(symbol: &str) -> Self {
        Self {
            market: symbol.to_owned(),
            stale_after: None,
        }
    }
}

/// The header line.
#[derive(Serialize, Deserialize)]
struct Header {
    tape: Kind,
    term: u64,
    n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    symbols: Option<BTreeMap<String, SymbolInfo>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale: Option<Silences>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Ticks,
    Key,
    Leave,
}

impl Position {
    /// The position of the next message of the same term.
    pub(crate) fn next(self) -> Self {
        Self {
            n: self.n + 1,
            ..self
        }
    }
}

impl Printed {
    /// Appends the line that every client gets.
    pub(crate) fn write_line(&self, out: &mut Vec<u8>) {
        let symbol_json = serde_json::Value::from(self.tick.symbol.as_str()).to_string();
        crate::tick::write_json(out, &symbol_json, &self.tick, self.seq, self.sent);
        out.push(b'\n');
    }
}

impl Message {
    /// The bytes that go into the log.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.header()).unwrap_or_default();
        bytes.push(b'\n');
        for printed in self.ticks() {
            printed.write_line(&mut bytes);
        }
        bytes
    }

    /// Reads what the log has.
    ///
    /// # Errors
    /// A sentence on what is wrong: somebody else may write into the log, too.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let header = lines.next().unwrap_or_default();
        let header: Header = serde_json::from_slice(header)
            .map_err(|error| format!("invalid header line: {error}"))?;
        let mut ticks = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let printed = parse_line(line).ok_or_else(|| {
                let line = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned();
                format!("invalid line '{line}': expected a tick")
            })?;
            ticks.push(printed);
        }
        header.with(ticks)
    }

    /// Reads only the term of a message; `None` if it is not ours.
    pub(crate) fn term(bytes: &[u8]) -> Option<u64> {
        let header = bytes.split(|&byte| byte == b'\n').next()?;
        let header: Header = serde_json::from_slice(header).ok()?;
        Some(header.term)
    }

    /// Its ticks.
    pub(crate) fn ticks(&self) -> &[Printed] {
        match &self.content {
            Content::Ticks { ticks, .. } => ticks,
            Content::Key(key) => &key.ticks,
            Content::Leave => &[],
        }
    }

    fn header(&self) -> Header {
        let mut header = Header {
            tape: Kind::Ticks,
            term: self.position.term,
            n: self.position.n,
            after: self.after,
            origin: None,
            part: None,
            first: None,
            before: None,
            sent: None,
            symbols: None,
            stale: None,
        };
        match &self.content {
            Content::Ticks { stale, .. } => header.stale.clone_from(stale),
            Content::Leave => header.tape = Kind::Leave,
            Content::Key(key) => {
                header.tape = Kind::Key;
                header.origin = Some(key.origin.clone());
                header.part = Some(key.part).filter(|&part| part != (1, 1));
                (header.first, header.before) = (key.first, key.before);
                header.sent = Some(key.sent);
                header.symbols = Some(key.symbols.clone());
                header.stale = Some(key.stale.clone());
            }
        }
        header
    }
}

impl Header {
    fn with(self, ticks: Vec<Printed>) -> Result<Message, String> {
        let after = self.after.map(|after| [after.term, after.n]);
        let numbers = [self.term, self.n]
            .into_iter()
            .chain(after.into_iter().flatten());
        let numbers = numbers.chain(self.first).chain(self.before);
        check(numbers.chain(self.sent.filter(|&sent| sent > 0)))?;
        let content = match self.tape {
            Kind::Leave => Content::Leave,
            Kind::Ticks => Content::Ticks {
                ticks,
                stale: self.stale,
            },
            Kind::Key => {
                let part = self.part.unwrap_or((1, 1));
                if part.0 == 0 || part.0 > part.1 || part.1 > PARTS_MAX {
                    return Err(format!("invalid part {} of {}", part.0, part.1));
                }
                Content::Key(Key {
                    part,
                    first: self.first,
                    before: self.before,
                    origin: self.origin.unwrap_or_default(),
                    sent: self.sent.unwrap_or_default(),
                    symbols: self.symbols.unwrap_or_default(),
                    stale: self.stale.unwrap_or_default(),
                    ticks,
                })
            }
        };
        Ok(Message {
            position: Position {
                term: self.term,
                n: self.n,
            },
            after: self.after,
            content,
        })
    }
}

/// Refuses numbers that nobody counts up to, since others may write into the log, too.
fn check(mut numbers: impl Iterator<Item = u64>) -> Result<(), String> {
    match numbers.find(|number| !(1..NUMBER_END).contains(number)) {
        Some(number) => Err(format!(
            "invalid number {number}: expected one from 1 to 2^53"
        )),
        None => Ok(()),
    }
}

fn parse_line(line: &[u8]) -> Option<Printed> {
    let wire = WireTick::parse(line).ok()?;
    check([wire.seq?, wire.sent?].into_iter()).ok()?;
    Some(Printed {
        tick: wire.to_tick()?,
        seq: wire.seq?,
        sent: wire.sent?,
    })
}

impl From<[u64; 2]> for Position {
    fn from([term, n]: [u64; 2]) -> Self {
        Self { term, n }
    }
}

impl From<Position> for [u64; 2] {
    fn from(position: Position) -> Self {
        [position.term, position.n]
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.term, self.n)
    }
}

/// JSON readers take larger numbers for others.
pub(crate) const NUMBER_END: u64 = 1 << 53;

/// How much of a bad line is shown.
const SHOWN: usize = 80;

/// More parts than any key has: 65,536 symbols with all fields.
const PARTS_MAX: u32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Price;

    fn printed(symbol: &str, seq: u64, sent: u64) -> Printed {
        Printed {
            tick: Tick::new(symbol, Price::parse("97123.45").unwrap(), 1_732_270_000_123),
            seq,
            sent,
        }
    }

    fn position(term: u64, n: u64) -> Position {
        Position { term, n }
    }

    #[test]
    fn a_message_is_written_as_documented_and_read_back() {
        let message = Message {
            position: position(7, 42),
            after: None,
            content: Content::Ticks {
                ticks: vec![printed("BTC/USDT", 42, 1_732_270_000_123_456)],
                stale: None,
            },
        };
        let bytes = message.to_bytes();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "{\"tape\":\"ticks\",\"term\":7,\"n\":42}\n{\"symbol\":\"BTC/USDT\",\"price\":97123.45,\
             \"timestamp\":1732270000123,\"seq\":42,\"sent\":1732270000123456}\n"
        );
        assert_eq!(Message::term(&bytes), Some(7));
        assert_eq!(Message::parse(&bytes), Ok(message));
    }

    #[test]
    fn a_key_with_parts_and_a_leave_are_read_back() {
        let info = SymbolInfo {
            market: "BTC/USDT".to_owned(),
            stale_after: Some(5_000),
        };
        let key = Message {
            position: position(8, 1),
            after: Some(position(7, 99)),
            content: Content::Key(Key {
                part: (2, 3),
                first: Some(17),
                before: Some(3),
                origin: "a".to_owned(),
                sent: 5,
                symbols: [("k:BTC/USDT".to_owned(), info)].into(),
                stale: [("k:BTC/USDT".to_owned(), 6_000)].into(),
                ticks: vec![printed("k:BTC/USDT", 1, 5)],
            }),
        };
        assert_eq!(Message::parse(&key.to_bytes()), Ok(key));
        let leave = Message {
            position: position(8, 2),
            after: None,
            content: Content::Leave,
        };
        assert_eq!(Message::parse(&leave.to_bytes()), Ok(leave));
    }

    #[test]
    fn what_somebody_else_wrote_is_an_error_that_says_what_is_wrong() {
        for (bytes, expected) in [
            (&b"hello"[..], "invalid header line"),
            (b"", "invalid header line"),
            (
                br#"{"tape":"tick","term":1,"n":1}"#,
                "unknown variant `tick`",
            ),
            (
                b"{\"tape\":\"ticks\",\"term\":1,\"n\":1}\n{\"symbol\":1}\n",
                "invalid line '{\"symbol\":1}': expected a tick",
            ),
            (
                br#"{"tape":"key","term":1,"n":1,"part":[3,2]}"#,
                "invalid part 3 of 2",
            ),
            (
                br#"{"tape":"key","term":1,"n":1,"part":[2,2],"first":18446744073709551615}"#,
                "invalid number 18446744073709551615: expected one from 1 to 2^53",
            ),
            (br#"{"tape":"ticks","term":0,"n":1}"#, "invalid number 0"),
            (
                b"{\"tape\":\"ticks\",\"term\":1,\"n\":1}\n{\"symbol\":\"A/B\",\"price\":1,\"timestamp\":1,\"seq\":1,\"sent\":0}\n",
                "expected a tick",
            ),
        ] {
            let error = Message::parse(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
