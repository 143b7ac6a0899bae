//! Server-sent events (WHATWG HTML, section 9.2): the same messages in the framing that a browser's
//! `EventSource` reads.
//!
//! A tick is an event with an `id`, its `sent`, so that a browser that comes back says in
//! `Last-Event-ID` what it has seen. The pings of the tape become comments, which keep proxies from
//! closing a quiet connection.

use std::io::Write;

use crate::frame;

/// Appends a message of the tape, one whole frame, as an event.
pub(crate) fn write(out: &mut Vec<u8>, message: &[u8]) {
    if frame::is_text(message) {
        let payload = frame::payload(message);
        match stamp(payload) {
            Some(stamp) => write_id(out, stamp),
            None => write_type(out, payload),
        }
        write_data(out, payload);
    } else if frame::is_close(message) {
        let payload = frame::payload(message);
        if let Some((&[high, low], reason)) = payload.split_first_chunk() {
            let code = u16::from_be_bytes([high, low]);
            write_close(out, code, &String::from_utf8_lossy(reason));
        }
    } else {
        out.extend_from_slice(b":\n\n");
    }
}

/// Appends ticks and events as one event, a JSON list. Its `id` is that of the newest tick.
pub(crate) fn write_list(out: &mut Vec<u8>, list: &[u8], newest: Option<&[u8]>) {
    if let Some(stamp) = newest {
        write_id(out, stamp);
    }
    write_data(out, list);
}

/// Appends the last event: why the stream ends.
pub(crate) fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    out.extend_from_slice(b"event: close\ndata: ");
    let reason = serde_json::Value::from(reason);
    write!(
        out,
        r#"{{"event":"close","code":{code},"reason":{reason}}}"#
    )
    .expect("a vector takes every write");
    out.extend_from_slice(b"\n\n");
}

/// The digits of a tick's `sent`, which is its last member; `None` for other messages.
pub(crate) fn stamp(payload: &[u8]) -> Option<&[u8]> {
    let members = payload.strip_suffix(b"}")?;
    let digits = members
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit());
    let (members, digits) = members.split_at(members.len() - digits.count());
    (members.ends_with(br#","sent":"#) && !digits.is_empty()).then_some(digits)
}

fn write_id(out: &mut Vec<u8>, stamp: &[u8]) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(stamp);
    out.push(b'\n');
}

/// Appends the type of a message about a symbol: `stale`, `live` or `delisted`.
fn write_type(out: &mut Vec<u8>, payload: &[u8]) {
    let Some(rest) = payload.strip_prefix(br#"{"event":""#) else {
        return;
    };
    let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase());
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(&rest[..letters.count()]);
    out.push(b'\n');
}

/// Appends the data. A JSON text has no line breaks, so it is one line.
fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// What a stream begins with: how soon a browser is to come back if the connection ends, in ms.
pub(crate) const BEGINNING: &[u8] = b"retry: 1000\n\n";

#[cfg(test)]
mod tests {
    use tungstenite::protocol::frame::coding::CloseCode;

    use super::*;

    fn event(payload: &str) -> String {
        let mut message = Vec::new();
        frame::text(&mut message, payload.as_bytes());
        read(&message)
    }

    fn read(message: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, message);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_tick_has_its_stamp_as_its_id() {
        let tick = r#"{"symbol":"A","price":1,"timestamp":1,"seq":1,"sent":123456}"#;
        assert_eq!(event(tick), format!("id: 123456\ndata: {tick}\n\n"));
    }

    #[test]
    fn the_news_of_a_symbol_has_its_type_and_no_id() {
        for (kind, more) in [("stale", r#","age":7"#), ("live", ""), ("delisted", "")] {
            // A symbol may look like a stamp.
            let news = format!(r#"{{"event":"{kind}","symbol":",\"sent\":1"{more}}}"#);
            assert_eq!(event(&news), format!("event: {kind}\ndata: {news}\n\n"));
        }
    }

    #[test]
    fn a_ping_is_a_comment_and_a_close_frame_the_last_event() {
        let mut ping = Vec::new();
        frame::ping(&mut ping, b"7");
        assert_eq!(read(&ping), ":\n\n");
        let mut close = Vec::new();
        frame::close(&mut close, CloseCode::Away, "\"gone\"");
        let expected = r#"{"event":"close","code":1001,"reason":"\"gone\""}"#;
        assert_eq!(read(&close), format!("event: close\ndata: {expected}\n\n"));
    }

    #[test]
    fn only_a_whole_number_at_the_end_is_a_stamp() {
        for other in [
            "",
            "}",
            r#"{"a":",","sent":}"#,
            r#"{"sent":1.5}"#,
            r#"{"sent":1"#,
        ] {
            assert_eq!(stamp(other.as_bytes()), None, "{other}");
        }
        assert_eq!(stamp(br#"{"a":1,"sent":42}"#), Some(&b"42"[..]));
    }
}
