//! Packs messages into a write: as WebSocket frames or as server-sent events, each on its own or
//! several as one JSON list (`?batch`).

use crate::frame;
use crate::server::event_stream;

/// How a client gets its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As WebSocket messages.
    #[default]
    WebSocket,
    /// As server-sent events.
    Events,
}

/// Collects the messages of one write.
#[derive(Default)]
pub(crate) struct Packing {
    bytes: Vec<u8>,
    /// The list being written; empty between two lists.
    list: Vec<u8>,
    /// The stamp of the newest tick in that list.
    stamp: Vec<u8>,
    /// Where each event ends.
    ends: Vec<usize>,
    wire: Wire,
    batches: bool,
    messages: usize,
}

impl Packing {
    /// Begins a write. With `batches`, messages go into JSON lists.
    pub(crate) fn begin(&mut self, wire: Wire, batches: bool) {
        self.bytes.clear();
        self.list.clear();
        self.ends.clear();
        (self.wire, self.batches) = (wire, batches);
        self.messages = 0;
    }

    /// Adds a message, a whole frame. Pings and the closing frame are control frames, which cannot
    /// be in a list.
    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.messages += 1;
        if self.batches && frame::is_text(frame) {
            return self.push_to_list(frame::payload(frame));
        }
        self.end_list();
        match self.wire {
            Wire::WebSocket => self.bytes.extend_from_slice(frame),
            Wire::Events => {
                event_stream::write(&mut self.bytes, frame);
                self.ends.push(self.bytes.len());
            }
        }
    }

    /// How many messages were added.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// The approximate number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.list.len()
    }

    /// Ends the write. Returns its bytes.
    pub(crate) fn end(&mut self) -> &[u8] {
        self.end_list();
        &self.bytes
    }

    /// Where a client stands after `written` bytes of these events: how many were begun, and the
    /// rest of the event that the write ended in.
    pub(crate) fn torn(&self, written: usize) -> (usize, &[u8]) {
        let whole = self.ends.partition_point(|&end| end <= written);
        let begun = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
        if begun == written {
            return (whole, &[]);
        }
        (whole + 1, &self.bytes[written..self.ends[whole]])
    }

    fn push_to_list(&mut self, payload: &[u8]) {
        let is_first = self.list.is_empty();
        self.list.push(if is_first { b'[' } else { b',' });
        self.list.extend_from_slice(payload);
        if self.wire == Wire::Events {
            if is_first {
                self.stamp.clear();
            }
            if let Some(stamp) = event_stream::stamp(payload) {
                self.stamp.clear();
                self.stamp.extend_from_slice(stamp);
            }
        }
    }

    fn end_list(&mut self) {
        if self.list.is_empty() {
            return;
        }
        self.list.push(b']');
        match self.wire {
            Wire::WebSocket => frame::text(&mut self.bytes, &self.list),
            Wire::Events => {
                let stamp = Some(&self.stamp[..]).filter(|stamp| !stamp.is_empty());
                event_stream::write_list(&mut self.bytes, &self.list, stamp);
            }
        }
        self.list.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame::text(&mut out, payload.as_bytes());
        out
    }

    #[test]
    fn control_frames_split_a_list_of_messages() {
        let mut ping = Vec::new();
        frame::ping(&mut ping, b"7");
        let mut packing = Packing::default();
        packing.begin(Wire::WebSocket, true);
        for frame in [
            &text(r#"{"a":1}"#),
            &text(&"x".repeat(200)),
            &ping,
            &text("{}"),
        ] {
            packing.push(frame);
        }
        assert_eq!(packing.messages(), 4);
        let list = text(&format!(r#"[{{"a":1}},{}]"#, "x".repeat(200)));
        assert_eq!(packing.end(), [list, ping, text("[{}]")].concat());
    }

    #[test]
    fn without_lists_messages_pass_unchanged() {
        let mut packing = Packing::default();
        packing.begin(Wire::WebSocket, true);
        packing.push(&text("left"));
        packing.begin(Wire::WebSocket, false);
        packing.push(&text("one"));
        packing.push(&text("two"));
        assert_eq!(packing.end(), [text("one"), text("two")].concat());
        packing.begin(Wire::WebSocket, true);
        assert!(packing.end().is_empty(), "no list without a message");
    }

    #[test]
    fn events_are_found_again_wherever_a_write_ends() {
        let mut packing = Packing::default();
        packing.begin(Wire::Events, false);
        for payload in [r#"{"a":1,"sent":7}"#, r#"{"event":"live"}"#] {
            packing.push(&text(payload));
        }
        let bytes = packing.end().to_vec();
        let first = "id: 7\ndata: {\"a\":1,\"sent\":7}\n\n";
        assert!(bytes.starts_with(first.as_bytes()));
        for written in 0..=bytes.len() {
            let (begun, rest) = packing.torn(written);
            let end = match begun {
                0 => 0,
                1 => first.len(),
                _ => bytes.len(),
            };
            assert_eq!(&bytes[written..end], rest, "after {written}");
        }
        assert_eq!(packing.torn(bytes.len()), (2, &[][..]));
    }

    #[test]
    fn a_list_of_events_has_the_stamp_of_its_newest_tick() {
        let mut packing = Packing::default();
        packing.begin(Wire::Events, true);
        for payload in [r#"{"a":1,"sent":7}"#, r#"{"a":2,"sent":9}"#, "{}"] {
            packing.push(&text(payload));
        }
        let list = r#"[{"a":1,"sent":7},{"a":2,"sent":9},{}]"#;
        assert_eq!(packing.end(), format!("id: 9\ndata: {list}\n\n").as_bytes());
        packing.begin(Wire::Events, true);
        packing.push(&text("{}"));
        assert_eq!(packing.end(), b"data: [{}]\n\n");
    }
}
