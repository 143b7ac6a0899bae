//! Packs messages into a write: each in its own frame, or several as one JSON list (`?batch`).

use crate::frame;

/// Collects the messages of one write.
#[derive(Default)]
pub(crate) struct Packing {
    bytes: Vec<u8>,
    /// The list being written; empty between two lists.
    list: Vec<u8>,
    batches: bool,
    messages: usize,
}

impl Packing {
    /// Begins a write. With `batches`, messages go into JSON lists.
    pub(crate) fn begin(&mut self, batches: bool) {
        self.bytes.clear();
        self.list.clear();
        self.batches = batches;
        self.messages = 0;
    }

    /// Adds a message, a whole frame. Pings and the closing frame are control frames, which cannot
    /// be in a list.
    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.messages += 1;
        if !self.batches {
            self.bytes.extend_from_slice(frame);
        } else if frame::is_text(frame) {
            self.list
                .push(if self.list.is_empty() { b'[' } else { b',' });
            self.list.extend_from_slice(frame::payload(frame));
        } else {
            self.end_list();
            self.bytes.extend_from_slice(frame);
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

    fn end_list(&mut self) {
        if !self.list.is_empty() {
            self.list.push(b']');
            frame::text(&mut self.bytes, &self.list);
            self.list.clear();
        }
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
        packing.begin(true);
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
        packing.begin(true);
        packing.push(&text("left"));
        packing.begin(false);
        packing.push(&text("one"));
        packing.push(&text("two"));
        assert_eq!(packing.end(), [text("one"), text("two")].concat());
        packing.begin(true);
        assert!(packing.end().is_empty(), "no list without a message");
    }
}
