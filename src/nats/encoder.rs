//! The NATS client protocol as we speak it, into a buffer.

use super::headers::VERSION;

/// Subscribes to `subject`, whose messages will have the number `sid`.
pub(super) fn subscribe(out: &mut Vec<u8>, subject: &str, sid: u64) {
    put(out, format!("SUB {subject} {sid}\r\n"));
}

/// Ends a subscription.
#[cfg(test)]
pub(super) fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    put(out, format!("UNSUB {sid}\r\n"));
}

/// Publishes a message. Subjects and headers are ours, so nothing in them needs an escape.
pub(super) fn publish(
    out: &mut Vec<u8>,
    subject: &str,
    reply: Option<&str>,
    headers: &[(&str, &str)],
    payload: &[u8],
) {
    let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
    if headers.is_empty() {
        let length = payload.len();
        put(out, format!("PUB {subject}{reply} {length}\r\n"));
    } else {
        let block = block(headers);
        let (length, total) = (block.len(), block.len() + payload.len());
        put(out, format!("HPUB {subject}{reply} {length} {total}\r\n"));
        put(out, block);
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Introduces us: `options` is a JSON object.
pub(super) fn connect(out: &mut Vec<u8>, options: &serde_json::Value) {
    put(out, format!("CONNECT {options}\r\n"));
}

pub(super) fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

pub(super) fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

fn block(headers: &[(&str, &str)]) -> String {
    let mut block = format!("{VERSION}\r\n");
    for (name, value) in headers {
        block.push_str(&format!("{name}: {value}\r\n"));
    }
    block + "\r\n"
}

fn put(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    out.extend_from_slice(text.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_operation_as_the_server_reads_it() {
        assert_eq!(written(|out| subscribe(out, "a.>", 1)), "SUB a.> 1\r\n");
        assert_eq!(written(|out| unsubscribe(out, 1)), "UNSUB 1\r\n");
        assert_eq!(
            written(|out| publish(out, "a", None, &[], b"hi")),
            "PUB a 2\r\nhi\r\n"
        );
        assert_eq!(
            written(|out| publish(out, "a", Some("r"), &[], b"")),
            "PUB a r 0\r\n\r\n"
        );
        assert_eq!(
            written(|out| publish(out, "a", Some("r"), &[("B", "c")], b"hi")),
            "HPUB a r 18 20\r\nNATS/1.0\r\nB: c\r\n\r\nhi\r\n"
        );
        assert_eq!(
            written(|out| connect(out, &serde_json::json!({"verbose": false}))),
            "CONNECT {\"verbose\":false}\r\n"
        );
        assert_eq!(written(ping) + &written(pong), "PING\r\nPONG\r\n");
    }
}
