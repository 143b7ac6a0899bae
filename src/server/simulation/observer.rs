//! The judge: reads what the server decided to send to a client, frame by frame, and compares every
//! byte with what the model says must come.

use tungstenite::protocol::frame::coding::CloseCode;

use super::client::{Client, Expect, GOODBYE, listed};
use super::model::{Model, Place};

/// When something happened: µs since the start, and the wall clock in Unix µs.
pub(super) type Now = (u64, u64);

impl Client {
    /// Reads what the server newly decided to send, at `now`: whole frames.
    pub(super) fn read(&mut self, bytes: &[u8], model: &mut Model, now: Now) {
        let mut rest = bytes;
        if bytes.is_empty() {
            return;
        }
        if !self.let_in {
            rest = self.read_answer(bytes, model, now);
        }
        self.committed += (bytes.len() - rest.len()) as u64;
        while !rest.is_empty() {
            let (payload, length) = payload(rest);
            self.committed += length as u64;
            self.read_frame(&rest[..length], payload, model, now);
            rest = &rest[length..];
        }
        assert!(
            self.owed.is_empty(),
            "a snapshot breaks off, {:?} is missing",
            texts(&self.owed)
        );
    }

    fn read_answer<'a>(&mut self, bytes: &'a [u8], model: &mut Model, (now, _): Now) -> &'a [u8] {
        let known = self.answer.len();
        self.answer.extend_from_slice(bytes);
        let end = self.answer.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.map(|end| end + 4) else {
            panic!("half an answer: {}", show(bytes));
        };
        assert!(known == 0, "a second answer");
        if !self.answer.starts_with(b"HTTP/1.1 101 ") {
            return &[];
        }
        let (set, since) = self.wish;
        let set = set.expect("let in without having asked");
        let (place, frames) = model.open(set, since, now);
        self.place = Some(place);
        self.let_in = true;
        self.owed.extend(frames);
        &bytes[end..]
    }

    fn read_frame(&mut self, frame: &[u8], payload: &[u8], model: &mut Model, now: Now) {
        assert!(self.farewell.is_none(), "a frame follows the close frame");
        let is_close = frame[0] == 0x88;
        if is_close {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            self.farewell = Some(code.unwrap_or(0));
        }
        if let Some(owed) = self.owed.pop_front() {
            return compare(frame, &owed);
        }
        if self.is_answer(frame, payload, model, now) {
            return;
        }
        let Some(place) = &mut self.place else {
            assert!(is_close, "a frame after the last: {}", show(frame));
            return;
        };
        if frame[0] == 0x89 {
            self.pings.push_back((self.committed, payload.to_vec()));
        }
        let start = self.committed - frame.len() as u64;
        // Of the tape nothing is kept but the rest of a frame: one that nothing was written of is
        // the server's own last word, though it may read like that of the tape.
        let is_tape = start < self.written && model.next(place) == Some(frame);
        if is_close && self.closing.is_some() && !is_tape {
            let is_away = self.farewell == Some(CloseCode::Away.into());
            let is_early = is_away && start < self.written && model.next(place).is_some();
            assert!(!is_early, "goodbye, before all that was printed");
            return;
        }
        if model.is_behind(place) {
            let instead = model.instead(place, now.0);
            model.skip_fairly(place, self.hindered);
            self.owed.extend(instead);
            let first = self.owed.pop_front();
            return compare(frame, &first.expect("nothing to say instead"));
        }
        let next = model.next(place).unwrap_or_else(|| {
            panic!("all there was has been sent, and then: {}", show(frame));
        });
        compare(frame, next);
        model.got(place, frame.len());
        assert!(start < self.written, "kept, but not begun: {}", show(frame));
        // The tape is written from where a frame begins, and nothing else is.
        while self.writes.front().is_some_and(|&write| write < start) {
            self.writes.pop_front();
        }
        model.writes += u64::from(self.writes.front() == Some(&start));
    }

    /// Whether a frame is the next answer that is due.
    fn is_answer(&mut self, frame: &[u8], payload: &[u8], model: &mut Model, now: Now) -> bool {
        let (Some(expect), Some(place)) = (self.expects.front(), &mut self.place) else {
            return false;
        };
        let is_it = match expect {
            Expect::Pong(echo) => frame[0] == 0x8a && payload == echo,
            // Its own code again; the server's goodbye may come just before.
            Expect::Close => frame[0] == 0x88 && payload == GOODBYE,
            request => {
                let right = expected_text(request, model, place, now);
                frame[0] == 0x81 && payload.starts_with(right.as_bytes())
            }
        };
        let is_answer = frame[0] == 0x8a || payload.starts_with(br#"{"op":"#);
        assert!(is_it || !is_answer, "{expect:?}, but {}", show(frame));
        if is_it {
            if let &Expect::Change { subscribe, set, .. } = expect
                && !payload.starts_with(br#"{"op":"error""#)
            {
                let to = change(place, subscribe, set);
                // Before it moves it may skip, and of heartbeats alone nobody gets anything instead.
                if model.counted > model.conflated
                    && model.is_behind(place)
                    && model.instead(place, now.0).is_empty()
                {
                    model.skip_fairly(place, self.hindered);
                }
                self.owed = model.change(place, to, now.0).into();
            }
            self.expects.pop_front();
        }
        is_it
    }
}

/// How the answer to a request must begin, or read if all of it can be known.
fn expected_text(expect: &Expect, model: &Model, place: &Place, (_, wall): Now) -> String {
    match *expect {
        Expect::Time(id) => format!(r#"{{"op":"pong","id":{id},"time":{wall}}}"#),
        Expect::Get { symbol, id } => match model.json(symbol).strip_suffix('}') {
            Some(json) => format!(r#"{json},"id":{id}}}"#),
            None => error(id, "there has been no tick yet"),
        },
        Expect::Change { subscribe, set, id } => {
            let to = change(place, subscribe, set);
            if model.goodbye.is_some() {
                return error(id, "the server is shutting down");
            }
            if !model.has_room(to) {
                return error(id, "too many different sets of symbols are being read");
            }
            let op = if subscribe {
                "subscribe"
            } else {
                "unsubscribe"
            };
            let names: Vec<_> = model.symbols.iter().map(|it| it.name.clone()).collect();
            let symbols = serde_json::Value::from(listed(&names, to));
            format!(r#"{{"op":"{op}","id":{id},"symbols":{symbols}}}"#)
        }
        Expect::Error(id) => format!(r#"{{"op":"error","id":{id},"message":"unknown op, "#),
        Expect::Pong(_) | Expect::Close => unreachable!("no text"),
    }
}

fn error(id: u32, message: &str) -> String {
    format!(r#"{{"op":"error","id":{id},"message":"{message}"}}"#)
}

fn change(place: &Place, subscribe: bool, set: u32) -> u32 {
    if subscribe {
        place.set | set
    } else {
        place.set & !set
    }
}

/// The payload of the frame that `bytes` begin with, and the length of the whole frame.
fn payload(bytes: &[u8]) -> (&[u8], usize) {
    assert!(bytes.len() >= 2, "a torn header: {bytes:?}");
    assert!(
        [0x81, 0x88, 0x89, 0x8a].contains(&bytes[0]),
        "no frame of ours: {}",
        show(bytes)
    );
    let (start, length) = match bytes[1] {
        126 => (4, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
        length => (2, usize::from(length)),
    };
    assert!(bytes.len() >= start + length, "torn: {}", show(bytes));
    (&bytes[start..start + length], start + length)
}

fn compare(found: &[u8], right: &[u8]) {
    assert!(
        found == right,
        "sent {}\n  instead of {}",
        show(found),
        show(right)
    );
}

fn texts(frames: &std::collections::VecDeque<Vec<u8>>) -> Vec<String> {
    frames.iter().map(|frame| show(frame)).collect()
}

fn show(frame: &[u8]) -> String {
    String::from_utf8_lossy(&frame[..frame.len().min(160)]).into_owned()
}
