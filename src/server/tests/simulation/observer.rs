//! The observer: reads what the server decided to send to a client, frame by frame, and compares
//! every byte with what the model says must come.

use std::collections::BTreeSet;

use tungstenite::protocol::frame::coding::CloseCode;

use crate::server::tests::simulation::client::{Client, Expect, NORMAL_CLOSURE};
use crate::server::tests::simulation::list::find;
use crate::server::tests::simulation::model::{Model, text};
use crate::server::tests::simulation::place::{Due, Place, Source};

/// When something happened: µs since the start, and the wall clock in Unix µs.
pub(super) type Now = (u64, u64);

/// What is known of the step in which the server sent these bytes.
pub(super) struct Step {
    pub(super) now: Now,
    /// Positions, in everything sent to the client, at which the server began to write in this
    /// step.
    pub(super) attempts: BTreeSet<u64>,
    /// Where the client stands now by the server's account, while it is open.
    pub(super) stands: Option<u64>,
    /// The server's skips, by how many bytes were sent before, and where the client stood at each
    /// change.
    pub(super) skips: Vec<u64>,
    pub(super) changes: Vec<u64>,
    /// Frames printed up to this time may be skipped, however late: room was refused until then.
    pub(super) hindered: Option<u64>,
}

/// A write of printed frames.
#[derive(Clone, Copy)]
struct Writing {
    source: Source,
    /// How many messages it has so far.
    messages: usize,
}

impl Client {
    /// Reads what the server has newly decided to send: whole frames.
    pub(super) fn read(&mut self, bytes: &[u8], model: &mut Model, step: &Step) {
        let mut rest = bytes;
        if bytes.is_empty() {
            return;
        }
        if !self.let_in {
            rest = self.read_answer(bytes, model, step);
        }
        self.committed += (bytes.len() - rest.len()) as u64;
        let mut write = None;
        while !rest.is_empty() {
            let (payload, length) = payload(rest);
            let start = self.committed;
            self.committed += length as u64;
            // Each write begins with a printed frame; frames sent behind an answer in the same
            // write follow it.
            let known = write.filter(|_| !step.attempts.contains(&start));
            write = self.read_frame(&rest[..length], payload, known, model, step);
            if write.is_some() {
                model.sent.writes += u64::from(known.is_none());
                model.sent.bytes += length as u64;
            }
            rest = &rest[length..];
        }
    }

    fn read_answer<'a>(&mut self, bytes: &'a [u8], model: &mut Model, step: &Step) -> &'a [u8] {
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
        let wish = self.wish.as_ref().expect("let in without having asked");
        let list = wish.list(model).expect("let in with an invalid list");
        let mut place = Place::new(list, wish.batches, wish.every, model);
        place.note(step);
        match wish.since {
            Some(stamp) if stamp > model.last_stamp => place.awaited = Some(stamp),
            since => place.begin(since.unwrap_or(0), model),
        }
        self.place = Some(place);
        self.let_in = true;
        &bytes[end..]
    }

    /// Reads a frame; `known` is the write of the frame before it, if both belong to the same one.
    /// Returns its write if it is a printed frame, or `None` if it is for this client alone.
    fn read_frame(
        &mut self,
        frame: &[u8],
        payload: &[u8],
        known: Option<Writing>,
        model: &mut Model,
        step: &Step,
    ) -> Option<Writing> {
        assert!(self.farewell.is_none(), "a frame follows the close frame");
        let is_close = frame[0] == 0x88;
        if is_close {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            self.farewell = Some(code.unwrap_or(0));
        }
        // A client that changes gets its turn first, if its outbox is clear: an answer behind
        // printed frames, or written immediately, found it clear.
        let start = self.committed - frame.len() as u64;
        let had_turn = known.is_some() || step.attempts.contains(&start);
        if self.is_answer(frame, payload, had_turn, model, step) {
            return None;
        }
        if is_close && self.closing.is_some_and(|closed| !closed.is_finished) {
            self.check_goodbye(frame, model, step);
            return None;
        }
        if frame[0] == 0x89 {
            self.pings.push_back((self.committed, payload.to_vec()));
            let number = std::str::from_utf8(payload).ok();
            self.pinged = number.and_then(|text| text.parse().ok()).unwrap_or(0);
        }
        let batches = self.place.as_ref().is_some_and(|place| place.batches);
        let list = [frame.to_vec()];
        let list = if batches && frame[0] == 0x81 {
            members(payload).into_iter().map(text).collect()
        } else {
            list.to_vec()
        };
        assert!(
            list.len() <= model.max_batch || !batches,
            "the list is too long"
        );
        let mut write = known;
        for message in &list {
            let due = self.read_message(message, model, step);
            let messages = write.map_or(0, |write| write.messages) + 1;
            let source = due.source;
            let is_same = write.is_none_or(|write| write.source == source);
            assert!(
                is_same,
                "frames from two sources in one write: {}",
                show(frame)
            );
            write = Some(Writing { source, messages });
            // The outbox keeps no frame of the tape, only the rest of one that was begun.
            let start = self.committed - frame.len() as u64;
            let is_begun = batches || source != Source::Tape || start < self.written;
            assert!(is_begun, "kept, but not begun: {}", show(frame));
        }
        write
    }

    fn read_message(&mut self, frame: &[u8], model: &mut Model, step: &Step) -> Due {
        let Some(place) = &mut self.place else {
            panic!("a frame after the last: {}", show(frame));
        };
        if place.awaited.is_some() && step.stands.is_none() {
            // It is closed with everything that it has waited for.
            place.end_wait(step.now.0, model);
        }
        let is_control = frame[0] != 0x81;
        let Some(due) = place.due(is_control, step.now.0, model) else {
            panic!("no frame was due, but got: {}", show(frame));
        };
        if let Some(first) = due.skipped {
            place.count_skip(first, place.excuse(step), model);
        }
        compare(frame, &due.frame);
        model.sent.deliveries += 1;
        due
    }

    /// A client that is told goodbye, and takes it immediately, has had everything before.
    fn check_goodbye(&self, frame: &[u8], model: &Model, step: &Step) {
        let start = self.committed - frame.len() as u64;
        let is_away = self.farewell == Some(CloseCode::Away.into());
        if let Some(place) = self.place.as_ref()
            && is_away
            && start < self.written
        {
            let mut place = place.clone();
            let has_all = place.is_satisfied(true, model);
            let next = [false, true].map(|is_control| place.due(is_control, step.now.0, model));
            assert!(
                has_all,
                "goodbye, before all that was printed: {next:?}, {place:?}"
            );
        }
    }

    /// Whether a frame is the next answer that is due.
    fn is_answer(
        &mut self,
        frame: &[u8],
        payload: &[u8],
        had_turn: bool,
        model: &mut Model,
        step: &Step,
    ) -> bool {
        let is_close = || frame[0] == 0x88 && payload == NORMAL_CLOSURE;
        let is_text_answer = || {
            let text = String::from_utf8_lossy(payload);
            text.starts_with(r#"{"op":"#) || text.contains(r#","id":"#)
        };
        if !(frame[0] == 0x8a || is_close() || frame[0] == 0x81 && is_text_answer()) {
            return false;
        }
        let (Some(expect), Some(place)) = (self.expects.pop_front(), &mut self.place) else {
            panic!("an unexpected answer: {}", show(frame));
        };
        match expect {
            Expect::Pong(echo) => {
                compare(&[&[0x8a], payload].concat(), &[vec![0x8a], echo].concat());
            }
            Expect::Close => assert!(is_close(), "a close frame, but {}", show(frame)),
            Expect::Change(change) => {
                let start = self.committed - frame.len() as u64;
                let right = change.answer(place, model, step, (start, had_turn));
                compare_start(payload, &right);
            }
            request => compare_start(payload, &expected_text(&request, model, step.now)),
        }
        true
    }
}

impl crate::server::tests::simulation::client::Change {
    /// Reads the answer to it, in a frame that begins at `start`; `had_turn` says whether it had
    /// its turn before. The client reads the new list from then on.
    fn answer(
        &self,
        place: &mut Place,
        model: &mut Model,
        step: &Step,
        (start, had_turn): (u64, bool),
    ) -> String {
        let id = self.id;
        if model.closed.is_some() {
            return error(id, "the server is shutting down");
        }
        let mut known = place.list.clone();
        if !self.entries.is_empty() {
            known.symbols.extend(&place.fresh);
        }
        let list = match known.changed(&self.entries, self.subscribe, &model.symbols) {
            Ok(list) => list,
            Err(message) => return format!(r#"{{"op":"error","id":{id},"message":"{message}"#),
        };
        // It may skip before it changes, and if it skips pings alone it gets no frame instead; or
        // the first frame that it is owed is found only behind the answer.
        if let Some(first) = place.skip_silently(start, true, model) {
            place.count_skip(first, place.excuse(step), model);
        }
        if had_turn && place.awaited.is_none() && place.is_due(model) {
            place.serve(model);
        }
        if !self.entries.is_empty() {
            place.fresh.clear();
        }
        let every = self.every.unwrap_or(place.pace.map(|pace| pace.every));
        let batches = self.batches.unwrap_or(place.batches);
        let stands = place.changes.pop_front().expect("its list stays");
        place.change(list, (every, batches), stands, model);
        place.changed = Some(step.now.0);
        let op = if self.subscribe {
            "subscribe"
        } else {
            "unsubscribe"
        };
        let mut text = format!(r#"{{"op":"{op}","id":{id}"#);
        text += &place.list.describe(&model.symbols);
        if let Some(every) = every {
            text += &format!(r#","every":"{}ms""#, every.as_millis());
        }
        text + if batches { r#","batch":true}"# } else { "}" }
    }
}

impl Place {
    /// Stops waiting for the tape to reach its stamp.
    pub(super) fn end_wait(&mut self, now: u64, model: &Model) {
        let Some(stamp) = self.awaited else { return };
        let is_there = stamp <= model.last_stamp;
        let is_over = self.waits_until.is_some_and(|until| now >= until);
        assert!(
            is_there || is_over || model.closed.is_some(),
            "it waits no longer, too early"
        );
        self.begin(if is_there { stamp } else { 0 }, model);
    }
}

/// The beginning of the answer to a request, or the whole answer if all of it can be known.
fn expected_text(expect: &Expect, model: &Model, (_, wall): Now) -> String {
    match expect {
        Expect::Time(id) => format!(r#"{{"op":"pong","id":{id},"time":{wall}}}"#),
        Expect::Get { name, id } => match find(name, &model.symbols) {
            Ok(index) => match model.symbols[index].json.strip_suffix('}') {
                Some(json) => format!(r#"{json},"id":{id}}}"#),
                None => error(*id, "no tick yet"),
            },
            Err(message) => format!(r#"{{"op":"error","id":{id},"message":"{message}"#),
        },
        Expect::List(id) => {
            let listed = model.symbols.iter().filter(|symbol| symbol.listed);
            let names: Vec<_> = listed.map(|symbol| symbol.name.clone()).collect();
            let names = serde_json::Value::from(names);
            format!(r#"{{"op":"list","id":{id},"symbols":{names}}}"#)
        }
        Expect::Error(id) => format!(r#"{{"op":"error","id":{id},"message":"unknown op '"#),
        Expect::Change(_) | Expect::Pong(_) | Expect::Close => unreachable!("no such text"),
    }
}

fn error(id: u32, message: &str) -> String {
    format!(r#"{{"op":"error","id":{id},"message":"{message}"}}"#)
}

/// The members of a JSON list whose objects contain no others.
fn members(payload: &[u8]) -> Vec<&str> {
    let list = std::str::from_utf8(payload).expect("a text");
    let inner = list
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.unwrap_or_else(|| panic!("no list: {list}"));
    let ends = inner.match_indices('}').map(|(end, _)| end + 1);
    let mut start = 0;
    let members = ends.map(|end| {
        let member = &inner[start..end];
        start = end + 1;
        member
    });
    let members: Vec<_> = members.collect();
    assert_eq!(format!("[{}]", members.join(",")), list, "a list");
    members
}

/// The payload of the first frame in `bytes`, and the length of the whole frame.
fn payload(bytes: &[u8]) -> (&[u8], usize) {
    assert!(bytes.len() >= 2, "a torn header: {bytes:?}");
    assert!(
        [0x81, 0x88, 0x89, 0x8a].contains(&bytes[0]),
        "no frame of ours: {}",
        show(bytes)
    );
    let (start, length) = match bytes[1] {
        126 => (4, usize::from(bytes[2]) << 8 | usize::from(bytes[3])),
        127 => panic!("a frame of more than 64 KiB"),
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

/// Compares a whole answer, or only its beginning if no more can be known.
fn compare_start(found: &[u8], right: &str) {
    let is_whole = right.ends_with('}');
    let length = if is_whole { found.len() } else { right.len() };
    compare(&found[..length.min(found.len())], right.as_bytes());
}

fn show(frame: &[u8]) -> String {
    String::from_utf8_lossy(&frame[..frame.len().min(500)]).into_owned()
}
