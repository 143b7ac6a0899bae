//! The NATS client protocol as the server speaks it: bytes in, operations out. No I/O.
//!
//! Memory follows the bytes that arrived, never a length that a line claims, and both a line and a
//! message have a limit. After an error the decoder is of no more use: nobody knows where the next
//! operation would begin.

use std::ops::Range;

use super::headers::Headers;
use super::info::Info;
use super::message::Message;
use super::shown::{shown, shown_up_to};

/// Cuts a stream of bytes into operations.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// Where what was not decoded yet begins.
    start: usize,
    /// How many of those bytes are known to have no line break.
    searched: usize,
    /// The message whose body comes next.
    head: Option<Head>,
}

/// An operation of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `INFO`: what the server says of itself.
    Info(Box<Info>),
    /// `MSG` or `HMSG`.
    Message(Message),
    /// `PING`: wants a `PONG`.
    Ping,
    /// `PONG`: our `PING` and all before it has arrived.
    Pong,
    /// `+OK`, which only a verbose server says.
    Ok,
    /// `-ERR`, without its quotes and safe to show.
    Error(String),
}

/// Why the stream cannot be decoded, as part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// The line before the body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    subject: String,
    sid: u64,
    reply: Option<String>,
    /// The length of the headers; `None` for `MSG`.
    headers: Option<usize>,
    /// The length of the body: headers and payload.
    body: usize,
}

/// What a line is.
enum Line {
    Op(Op),
    Head(Head),
}

impl Decoder {
    /// Appends what arrived.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their operation.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next operation, if all of it has arrived.
    pub(super) fn next(&mut self) -> Result<Option<Op>, Malformed> {
        loop {
            if let Some(head) = self.head.take() {
                return self.message(head);
            }
            let Some(line) = self.line()? else {
                return Ok(None);
            };
            match parse(&self.bytes[line])? {
                Line::Op(op) => return Ok(Some(op)),
                Line::Head(head) => self.head = Some(head),
            }
        }
    }

    /// Takes a whole line, without its end.
    fn line(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        let unread = &self.bytes[self.start..];
        let found = unread[self.searched..].iter().position(|&b| b == b'\n');
        let length = found.map_or(unread.len(), |found| self.searched + found);
        if length > LINE_LENGTH_MAX {
            return Err(Malformed(format!(
                "a line is longer than {LINE_LENGTH_MAX} bytes"
            )));
        }
        if found.is_none() {
            self.searched = length;
            return Ok(None);
        }
        self.searched = 0;
        let line = self.start..self.start + length;
        self.start = line.end + 1;
        match self.bytes[line.clone()].last() {
            Some(b'\r') => Ok(Some(line.start..line.end - 1)),
            _ => Err(Malformed("a line does not end in CR LF".to_owned())),
        }
    }

    /// Takes the body of a message, or keeps `head` until all of it has arrived.
    fn message(&mut self, head: Head) -> Result<Option<Op>, Malformed> {
        let unread = &self.bytes[self.start..];
        let Some(end) = unread.get(head.body..head.body + END.len()) else {
            self.head = Some(head);
            return Ok(None);
        };
        if end != END {
            let why = "a message is not as long as its line says";
            return Err(Malformed(why.to_owned()));
        }
        let (headers, payload) = unread[..head.body].split_at(head.headers.unwrap_or(0));
        let (headers, status) = Headers::read(headers);
        let payload = payload.to_vec();
        self.start += head.body + END.len();
        Ok(Some(Op::Message(Message {
            sid: head.sid,
            subject: head.subject,
            reply: head.reply,
            status,
            headers,
            payload,
        })))
    }
}

fn parse(line: &[u8]) -> Result<Line, Malformed> {
    let end = line.iter().position(|&byte| is_space(byte));
    let (verb, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_ascii();
    let is = |name: &str| verb.eq_ignore_ascii_case(name.as_bytes());
    if is("MSG") || is("HMSG") {
        let head = head(rest, is("HMSG")).ok_or_else(|| unexpected(line))?;
        return check(head).map(Line::Head);
    }
    Ok(Line::Op(if is("PING") {
        Op::Ping
    } else if is("PONG") {
        Op::Pong
    } else if is("INFO") {
        Op::Info(info(rest)?)
    } else if is("-ERR") {
        Op::Error(error(rest))
    } else if is("+OK") {
        Op::Ok
    } else {
        return Err(unexpected(line));
    }))
}

/// `SUBJECT SID [REPLY] [HEADERS] BODY`, where the lengths are numbers.
fn head(arguments: &[u8], has_headers: bool) -> Option<Head> {
    let arguments = arguments.split(|&byte| is_space(byte));
    let arguments: Vec<_> = arguments.filter(|part| !part.is_empty()).collect();
    let (arguments, body) = take_number(&arguments)?;
    let (arguments, headers) = if has_headers {
        let (arguments, headers) = take_number(arguments)?;
        (arguments, Some(headers))
    } else {
        (arguments, None)
    };
    let (subject, sid, reply) = match arguments {
        [subject, sid] => (subject, sid, None),
        [subject, sid, reply] => (subject, sid, Some(text(reply))),
        _ => return None,
    };
    let length = |number| usize::try_from(number).unwrap_or(usize::MAX);
    Some(Head {
        subject: text(subject),
        sid: number(sid)?,
        reply,
        headers: headers.map(length),
        body: length(body),
    })
}

/// The last of `arguments` as a number, and those before it.
fn take_number<'a, 'b>(arguments: &'b [&'a [u8]]) -> Option<(&'b [&'a [u8]], u64)> {
    let (last, before) = arguments.split_last()?;
    Some((before, number(last)?))
}

/// Checks the lengths that a line claims, before anything is kept because of them.
fn check(head: Head) -> Result<Head, Malformed> {
    if head.body > BODY_LENGTH_MAX {
        return Err(Malformed(format!(
            "a message is longer than {BODY_LENGTH_MAX} bytes"
        )));
    }
    if head.headers > Some(head.body) {
        let why = "the headers of a message are longer than the message";
        return Err(Malformed(why.to_owned()));
    }
    Ok(head)
}

fn info(json: &[u8]) -> Result<Box<Info>, Malformed> {
    serde_json::from_slice(json).map_err(|error| {
        Malformed(format!(
            "its INFO cannot be read: {}",
            shown(&error.to_string())
        ))
    })
}

/// The text of an `-ERR`, which is quoted.
fn error(rest: &[u8]) -> String {
    let text = String::from_utf8_lossy(rest);
    let text = text.strip_prefix('\'').unwrap_or(&text);
    shown(text.strip_suffix('\'').unwrap_or(text))
}

fn unexpected(line: &[u8]) -> Malformed {
    let line = String::from_utf8_lossy(line);
    let quote = shown_up_to(QUOTE_LENGTH_MAX, &line);
    Malformed(format!("unexpected line '{quote}'"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Digits only: no sign, unlike what `parse` accepts.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok()?;
    is_number.then(|| digits.parse().ok())?
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The end of a message.
const END: &[u8] = b"\r\n";

/// The longest line. An `INFO` names every server of a cluster; 64 KiB are a thousand of them.
pub(super) const LINE_LENGTH_MAX: usize = 64 << 10;

/// The longest payload that we send or take: what a server accepts by default.
pub(super) const PAYLOAD_LENGTH_MAX: usize = 1 << 20;

/// The longest headers and payload together: the server adds headers of its own.
pub(super) const BODY_LENGTH_MAX: usize = PAYLOAD_LENGTH_MAX + (64 << 10);

/// How much of a line that makes no sense is shown.
const QUOTE_LENGTH_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// All operations in `bytes`, and the error at the end, if any.
    fn decode(bytes: &[u8]) -> (Vec<Op>, Option<String>) {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        let mut ops = Vec::new();
        loop {
            match decoder.next() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => return (ops, None),
                Err(Malformed(why)) => return (ops, Some(why)),
            }
        }
    }

    fn why(bytes: &[u8]) -> String {
        decode(bytes).1.expect("it is malformed")
    }

    fn message(bytes: &[u8]) -> Message {
        match decode(bytes) {
            (mut ops, None) if ops.len() == 1 => match ops.remove(0) {
                Op::Message(message) => message,
                op => panic!("{op:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn operations_without_a_body() {
        let (ops, error) = decode(b"PING\r\npong\r\n+OK\r\n-ERR 'Slow Consumer'\r\nPI");
        assert_eq!(error, None);
        let slow = Op::Error("Slow Consumer".to_owned());
        assert_eq!(ops, [Op::Ping, Op::Pong, Op::Ok, slow]);
    }

    #[test]
    fn a_message_with_and_without_a_reply() {
        let plain = message(b"MSG a.b 7 5\r\nhello\r\n");
        assert_eq!((plain.subject.as_str(), plain.sid), ("a.b", 7));
        assert_eq!((plain.reply, plain.payload), (None, b"hello".to_vec()));
        let asked = message(b"MSG a.b  7\t_INBOX.x 0 \r\n\r\n");
        assert_eq!(asked.reply.as_deref(), Some("_INBOX.x"));
        assert_eq!(asked.payload, b"");
        let binary = message(b"MSG a 1 4\r\n\r\n\0\xff\r\n");
        assert_eq!(binary.payload, b"\r\n\0\xff");
    }

    #[test]
    fn a_message_with_headers() {
        let got = message(b"HMSG a 1 r 25 27\r\nNATS/1.0 404 No\r\nA: b\r\n\r\nhi\r\n");
        assert_eq!(got.status, Some(404));
        assert_eq!(got.headers.get("A"), Some("b"));
        assert_eq!(got.payload, b"hi");
        let bare = message(b"HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
        assert_eq!((bare.status, bare.payload), (Some(503), Vec::new()));
    }

    #[test]
    fn what_the_server_says_of_itself() {
        let (ops, _) = decode(
            b"INFO {\"server_name\":\"n1\",\"max_payload\":1048576,\"headers\":true,\"x\":[1],\
            \"connect_urls\":[\"10.0.0.1:4222\"],\"ldm\":true} \r\n",
        );
        let [Op::Info(info)] = ops.as_slice() else {
            panic!("{ops:?}");
        };
        assert_eq!(info.server_name, "n1");
        assert!(info.headers && info.is_leaving && !info.jetstream);
        assert_eq!(info.connect_urls, ["10.0.0.1:4222"]);
        assert!(why(b"INFO nonsense\r\n").starts_with("its INFO cannot be read: "));
        assert!(why(b"INFO\r\n").starts_with("its INFO cannot be read: "));
    }

    #[test]
    fn lines_that_make_no_sense_are_quoted_and_safe_to_show() {
        assert_eq!(
            why(b"HTTP/1.1 200 OK\r\n"),
            "unexpected line 'HTTP/1.1 200 OK'"
        );
        for line in [
            "MSG a 1",
            "MSG a 1 +5",
            "MSG a -1 5",
            "MSG a 1 r x 5",
            "HMSG a 1 5",
            "MSG a 1 99999999999999999999999",
            "",
        ] {
            let expected = format!("unexpected line '{line}'");
            assert_eq!(why(format!("{line}\r\n").as_bytes()), expected);
        }
        let nasty = why(b"\x1b[31m\xe2\x80\xae red\r\n");
        assert!(!nasty.contains(['\x1b', '\u{202e}']), "{nasty}");
        assert!(why(&[b"x".repeat(10_000), b"\r\n".to_vec()].concat()).len() < 100);
    }

    #[test]
    fn lengths_are_refused_before_anything_is_kept_for_them() {
        let body = format!("a message is longer than {BODY_LENGTH_MAX} bytes");
        assert_eq!(why(b"MSG a 1 9223372036854775808\r\n"), body);
        assert_eq!(why(b"MSG a 1 18446744073709551615\r\n"), body);
        assert_eq!(why(b"HMSG a 1 5 1114113\r\n"), body);
        let headers = "the headers of a message are longer than the message";
        assert_eq!(why(b"HMSG a 1 6 5\r\n"), headers);
        assert_eq!(why(b"HMSG a 1 18446744073709551615 5\r\n"), headers);
        let wrong = "a message is not as long as its line says";
        assert_eq!(why(b"MSG a 1 3\r\nhello\r\n"), wrong);
        assert_eq!(why(b"PING\n"), "a line does not end in CR LF");
    }

    #[test]
    fn a_line_without_an_end_is_refused_at_the_limit() {
        let mut decoder = Decoder::default();
        let mut fed = 0;
        let error = loop {
            decoder.feed(&[b'x'; 1000]);
            fed += 1000;
            assert!(fed <= LINE_LENGTH_MAX + 1000, "it goes on");
            if let Err(error) = decoder.next() {
                break error.0;
            }
        };
        assert_eq!(error, "a line is longer than 65536 bytes");
    }

    #[test]
    fn what_was_decoded_takes_no_memory() {
        let mut decoder = Decoder::default();
        let one = b"MSG a 1 1000\r\n".iter().copied();
        let one: Vec<_> = one.chain([7; 1000]).chain(*b"\r\n").collect();
        for _ in 0..1000 {
            decoder.feed(&one);
            assert!(decoder.next().is_ok_and(|op| op.is_some()));
            assert_eq!(decoder.waiting(), 0);
        }
        assert!(decoder.bytes.capacity() < 4096);
    }
}
