//! Properties of decoding what a server sends, see [`crate::fuzzing`]: however the bytes are cut,
//! the operations are the same, memory is bounded, and nothing that a server says breaks us.

use super::decoder::{BODY_LENGTH_MAX, Decoder, LINE_LENGTH_MAX, Malformed, Op};
use super::headers::VERSION;
use super::jetstream::{Api, GetAnswer, StreamAnswer};
use super::message::Message;

/// Decodes `bytes`, whole and in pieces.
///
/// # Panics
/// When a promise is broken.
pub fn nats_codec(bytes: &[u8]) {
    let whole = decode([bytes]);
    let pieces = decode(crate::fuzzing::pieces(bytes));
    assert_eq!(whole, pieces, "cut in another way");
    let (ops, _) = whole;
    ops.iter().for_each(check);
    let written: Vec<u8> = ops.iter().flat_map(write).collect();
    assert_eq!(decode([written.as_slice()]), (ops, None), "written again");
}

/// All operations in `pieces`, and how they end if they are malformed.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Op>, Option<Malformed>) {
    let mut decoder = Decoder::default();
    let mut ops = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(error) => return (ops, Some(error)),
            }
        }
        let kept = decoder.waiting();
        assert!(
            kept <= LINE_LENGTH_MAX.max(BODY_LENGTH_MAX + 2),
            "{kept} bytes are kept"
        );
    }
    (ops, None)
}

fn check(op: &Op) {
    match op {
        Op::Message(message) => read_answers(message),
        Op::Error(text) => assert!(!text.contains(char::is_control), "{text:?}"),
        Op::Info(_) | Op::Ping | Op::Pong | Op::Ok => {}
    }
}

/// Any message may be taken for any answer.
fn read_answers(message: &Message) {
    let api = Api::new("prices", None, &["ticks", "key"]);
    let _ = api.store_answer(message);
    let _ = GetAnswer::read(message.clone());
    if let StreamAnswer::Found(stream) = StreamAnswer::read(message) {
        let _ = api.differences(&stream);
    }
}

/// An operation as a server would send it; what cannot be written the same way is left out.
fn write(op: &Op) -> Vec<u8> {
    match op {
        Op::Ping => b"PING\r\n".to_vec(),
        Op::Pong => b"PONG\r\n".to_vec(),
        Op::Ok => b"+OK\r\n".to_vec(),
        Op::Error(text) => format!("-ERR '{text}'\r\n").into_bytes(),
        Op::Info(info) => format!("INFO {}\r\n", info_text(info)).into_bytes(),
        Op::Message(message) => write_message(message),
    }
}

fn info_text(info: &super::info::Info) -> serde_json::Value {
    serde_json::json!({
        "server_name": info.server_name, "version": info.version, "max_payload": info.max_payload,
        "headers": info.headers, "jetstream": info.jetstream, "tls_required": info.tls_required,
        "tls_available": info.tls_available, "nonce": info.nonce,
        "connect_urls": info.connect_urls, "ldm": info.is_leaving,
    })
}

/// A message as a server would send it.
fn write_message(message: &Message) -> Vec<u8> {
    let Message {
        subject,
        sid,
        payload,
        ..
    } = message;
    let reply = message.reply.as_deref().unwrap_or_default();
    let block = block(message);
    let total = block.len() + payload.len();
    let line = if block.is_empty() {
        format!("MSG {subject} {sid} {reply} {total}\r\n")
    } else {
        format!("HMSG {subject} {sid} {reply} {} {total}\r\n", block.len())
    };
    [line.as_bytes(), block.as_bytes(), payload, b"\r\n"].concat()
}

fn block(message: &Message) -> String {
    let status = message.status.map(|status| format!("{status:03} "));
    let status = status.unwrap_or_default() + message.headers.description();
    let fields = message.headers.fields().iter();
    let fields: String = fields
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    if status.is_empty() && fields.is_empty() {
        return String::new();
    }
    format!("{VERSION} {status}\r\n{fields}\r\n")
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;
    use watermelon_proto::proto::{ServerOp, StreamDecoder};

    use super::*;
    use crate::fuzzing::fuzz_twin;
    use crate::nats::headers::Headers;
    use crate::nats::info::Info;

    fn word() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9_$-]{1,12}(\\.[a-zA-Z0-9_-]{1,8}){0,3}"
    }

    fn headers() -> impl Strategy<Value = (Option<u16>, Headers)> {
        let status = prop_oneof![
            Just(String::new()),
            "[1-5][0-9][0-9]( [A-Z][a-z]{1,9}){0,2}"
        ];
        let fields = prop::collection::vec(("[A-Z][a-z-]{0,12}", "[!-~]{1,20}"), 0..4);
        (status, fields).prop_map(|(status, fields)| {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"));
            let fields: String = fields.collect();
            let separator = if status.is_empty() { "" } else { " " };
            let block = format!("{VERSION}{separator}{status}\r\n{fields}\r\n");
            let (headers, status) = Headers::read(block.as_bytes());
            (status, headers)
        })
    }

    fn message() -> impl Strategy<Value = Message> {
        let payload = prop::collection::vec(any::<u8>(), 0..60);
        let reply = prop::option::of(word());
        let headers = prop::option::of(headers());
        (any::<u64>(), word(), reply, headers, payload).prop_map(
            |(sid, subject, reply, headers, payload)| {
                let (status, headers) = headers.unwrap_or_default();
                Message {
                    sid,
                    subject,
                    reply,
                    status,
                    headers,
                    payload,
                }
            },
        )
    }

    /// Without addresses: the other decoder wants them with a scheme, which servers do not send.
    fn info() -> impl Strategy<Value = Info> {
        ("[a-z0-9]{1,9}", 1..=u32::MAX, any::<[bool; 3]>()).prop_map(
            |(server_name, max_payload, [jetstream, tls_required, is_leaving])| Info {
                server_name,
                version: "2.15.1".to_owned(),
                max_payload: max_payload.into(),
                headers: true,
                jetstream,
                tls_required,
                is_leaving,
                ..Info::default()
            },
        )
    }

    /// Without `+OK`: the other decoder fails where one is torn.
    fn op() -> impl Strategy<Value = Op> {
        let error = prop::sample::select(vec![
            "Slow Consumer",
            "Authorization Violation",
            "Permissions Violation for Publish to \"a\"",
            "anything else",
        ]);
        prop_oneof![
            5 => message().prop_map(Op::Message),
            1 => info().prop_map(|info| Op::Info(Box::new(info))),
            1 => Just(Op::Ping),
            1 => Just(Op::Pong),
            1 => error.prop_map(|text| Op::Error(text.to_owned())),
        ]
    }

    /// What another decoder makes of the same pieces.
    fn oracle(pieces: &[&[u8]]) -> Vec<ServerOp> {
        let mut decoder = StreamDecoder::new();
        let mut ops = Vec::new();
        for piece in pieces {
            decoder.read_buf().put_slice(piece);
            while let Some(op) = decoder.decode().expect("what a server sends") {
                ops.push(op);
            }
        }
        ops
    }

    /// Compares an operation with the same one as the other decoder sees it.
    fn compare(ours: &Op, theirs: &ServerOp) {
        match (ours, theirs) {
            (Op::Ping, ServerOp::Ping)
            | (Op::Pong, ServerOp::Pong)
            | (Op::Ok, ServerOp::Success) => {}
            (Op::Error(text), ServerOp::Error { error }) => {
                let text = text.to_lowercase();
                let begin: String = error.to_string().chars().take(20).collect();
                assert!(
                    text.starts_with(&begin) || begin.starts_with("unknown error"),
                    "{text}"
                );
            }
            (Op::Info(ours), ServerOp::Info { info }) => compare_info(ours, info),
            (Op::Message(ours), ServerOp::Message { message }) => compare_message(ours, message),
            _ => panic!("{ours:?} is {theirs:?} to others"),
        }
    }

    fn compare_info(ours: &Info, theirs: &watermelon_proto::ServerInfo) {
        assert_eq!(ours.server_name, theirs.name);
        assert_eq!(ours.version, theirs.version);
        assert_eq!(ours.max_payload, u64::from(theirs.max_payload.get()));
        assert_eq!(ours.headers, theirs.supports_headers);
        assert_eq!(ours.jetstream, theirs.supports_jetstream);
        assert_eq!(ours.tls_required, theirs.tls_required);
        assert_eq!(ours.is_leaving, theirs.lame_duck_mode);
    }

    fn compare_message(ours: &Message, theirs: &watermelon_proto::ServerMessage) {
        let base = &theirs.base;
        assert_eq!(ours.sid, u64::from(theirs.subscription_id));
        assert_eq!(ours.subject, base.subject.as_str());
        let reply = base.reply_subject.as_deref();
        assert_eq!(ours.reply.as_deref(), reply);
        assert_eq!(ours.status, theirs.status_code.map(u16::from));
        assert_eq!(ours.payload, base.payload);
        assert_eq!(ours.headers.fields().len(), base.headers.len());
        let mut known = std::collections::HashSet::new();
        // Theirs is the first value of a name.
        for (name, ours) in ours
            .headers
            .fields()
            .iter()
            .filter(|(name, _)| known.insert(name))
        {
            let name = watermelon_proto::headers::HeaderName::try_from(name.clone()).unwrap();
            let value = base.headers.get(&name).expect("it has the header");
            assert_eq!(Some(ours.as_str()), value.to_str().ok());
        }
    }

    /// An `INFO` has fields that we do not keep and others insist on.
    fn write_for_others(op: &Op) -> Vec<u8> {
        let Op::Info(info) = op else {
            return write(op);
        };
        let mut text = info_text(info);
        for (key, value) in [("server_id", "N1"), ("go", "go1"), ("host", "0.0.0.0")] {
            text[key] = value.into();
        }
        text["port"] = 4222.into();
        text["proto"] = 1.into();
        format!("INFO {text}\r\n").into_bytes()
    }

    proptest! {
        #[test]
        fn we_agree_with_another_decoder_at_every_split(ops in prop::collection::vec(op(), 1..5)) {
            let bytes: Vec<u8> = ops.iter().flat_map(write_for_others).collect();
            for at in 0..=bytes.len() {
                let (begin, end) = bytes.split_at(at);
                prop_assert_eq!(&decode([begin, end]), &(ops.clone(), None), "split at {}", at);
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            for pieces in [vec![bytes.as_slice()], single] {
                let theirs = oracle(&pieces);
                prop_assert_eq!(theirs.len(), ops.len());
                ops.iter().zip(&theirs).for_each(|(ours, theirs)| compare(ours, theirs));
            }
        }

        #[test]
        fn what_is_sent_is_what_another_server_would_read(
            subject in word(), reply in prop::option::of(word()), sid in any::<u64>(),
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            // A server passes on what it got, with the number of the subscription.
            let mut out = Vec::new();
            crate::nats::encoder::publish(&mut out, &subject, reply.as_deref(), &[("A", "b")], &payload);
            let text = String::from_utf8_lossy(&out).into_owned();
            let line = text.lines().next().unwrap();
            let passed_on = line.replacen("HPUB ", "HMSG ", 1).replacen(&format!(" {subject} "), &format!(" {subject} {sid} "), 1);
            let bytes = [passed_on.as_bytes(), &out[line.len()..]].concat();
            let theirs = oracle(&[&bytes]);
            let (ours, None) = decode([bytes.as_slice()]) else { panic!("malformed: {text}") };
            prop_assert_eq!(ours.len(), 1);
            compare(&ours[0], &theirs[0]);
            let Op::Message(message) = &ours[0] else { panic!("{ours:?}") };
            prop_assert_eq!(&message.payload, &payload);
            prop_assert_eq!(message.headers.get("A"), Some("b"));
        }

        #[test]
        fn damaged_streams_break_no_promise(bytes in fuzz_twin::damaged("nats_codec")) {
            nats_codec(&bytes);
        }

        #[test]
        fn any_bytes_break_no_promise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            nats_codec(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("nats_codec", nats_codec);
    }
}
