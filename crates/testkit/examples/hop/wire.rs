//! What a server sends after the handshake: frames, and the texts in them. Each of many clients reads
//! every tick, so this looks only at what it needs.

use std::str::from_utf8;

/// A frame of a server: the byte of flags and opcode, and the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) first: u8,
    pub(crate) payload: &'a [u8],
}

/// What tells a tick from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TickText<'a> {
    pub(crate) symbol: &'a [u8],
    pub(crate) seq: u64,
    /// Its stamp, Unix µs.
    pub(crate) sent: u64,
}

/// The first frame, and what is behind it; `None` if it is not complete.
pub(crate) fn split_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match short {
        126 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(length)), rest)
        }
        127 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(length)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((Frame { first, payload }, rest))
}

/// Reads a tick: it begins with its symbol, and ends with its number and its stamp.
pub(crate) fn tick(text: &[u8]) -> Option<TickText<'_>> {
    let rest = text.strip_prefix(b"{\"symbol\":\"")?;
    let end = rest.iter().position(|&byte| byte == b'"')?;
    let (before, sent) = split_number(rest.strip_suffix(b"}")?)?;
    let (before, seq) = split_number(before.strip_suffix(b",\"sent\":")?)?;
    before.ends_with(b"\"seq\":").then_some(TickText {
        symbol: &rest[..end],
        seq,
        sent,
    })
}

/// The number at the end, and what is before it.
fn split_number(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let start = bytes.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    let (before, digits) = bytes.split_at(start);
    Some((before, from_utf8(digits).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_split_once_they_are_complete() {
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut bytes = vec![0x81];
            match length {
                0..126 => bytes.push(length as u8),
                126..65_536 => {
                    bytes.push(126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(&payload);
            assert_eq!(split_frame(&bytes[..bytes.len() - 1]), None);
            bytes.extend(b"rest");
            let frame = Frame {
                first: 0x81,
                payload: &payload,
            };
            assert_eq!(split_frame(&bytes), Some((frame, &b"rest"[..])));
        }
    }

    #[test]
    fn a_tick_is_read_whatever_other_fields_it_has() {
        for fields in ["", "\"bid\":1.5,\"volume\":3,"] {
            let text = format!(
                "{{\"symbol\":\"sim:A/B\",\"price\":97.5,\"timestamp\":5,{fields}\"seq\":42,\
                 \"sent\":1732270000123456}}"
            );
            let expected = TickText {
                symbol: b"sim:A/B",
                seq: 42,
                sent: 1_732_270_000_123_456,
            };
            assert_eq!(tick(text.as_bytes()), Some(expected));
        }
    }

    #[test]
    fn other_texts_are_no_ticks() {
        for text in [
            "",
            "{}",
            r#"{"event":"stale","symbol":"A/B","age":5012}"#,
            r#"{"symbol":"A/B","price":1,"sent":5}"#,
            r#"{"symbol":"A/B","seq":,"sent":5}"#,
        ] {
            assert_eq!(tick(text.as_bytes()), None, "{text}");
        }
    }
}
