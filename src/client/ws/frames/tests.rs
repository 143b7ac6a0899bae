use std::io;

use proptest::prelude::*;
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketContext};

use super::*;
use crate::client::error_kind::ErrorKind;

/// Feeds `stream` in pieces of `size`. Returns messages, bytes written and how it ended.
fn feed(
    frames: &mut Frames,
    stream: &[u8],
    size: usize,
) -> (Vec<String>, Vec<u8>, Option<ConnectionError>) {
    let (mut messages, mut written) = (Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        let taken = frames.take(piece, &mut written, |message| {
            messages.push(String::from_utf8(message.bytes().to_vec()).unwrap());
        });
        if let Err(failure) = taken {
            return (messages, written, Some(failure));
        }
    }
    (messages, written, None)
}

/// The only frame in what a client wrote.
fn sent(written: Vec<u8>) -> Message {
    let mut server = WebSocketContext::from_partially_read(written, Role::Server, None);
    server.read(&mut Cursor::new(Vec::new())).unwrap()
}

const PINGED: &[u8] = b"\x81\x01a\x89\x02hi\x81\x01b";

#[test]
fn a_ping_is_answered_without_keeping_memory() {
    for size in 1..PINGED.len() {
        let mut frames = Frames::default();
        let (messages, written, end) = feed(&mut frames, PINGED, size);
        assert_eq!(messages, ["a", "b"]);
        assert!(matches!(sent(written), Message::Pong(payload) if payload == "hi"));
        assert!(end.is_none() && frames.codec.is_none());
        assert_eq!(frames.partial.capacity(), 0);
    }
}

#[test]
fn a_pong_that_does_not_fit_is_sent_later() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut frames = Frames::default();
    frames.take(PINGED, &mut Full, |_| {}).unwrap();
    frames.flush(&mut Full).unwrap();
    let mut written = Vec::new();
    frames.flush(&mut written).unwrap();
    assert!(matches!(sent(written), Message::Pong(_)));
    assert!(frames.codec.is_none());
}

#[test]
fn a_request_is_masked_and_waits_while_the_socket_is_full() {
    struct Half<'a>(&'a mut Vec<u8>, usize);
    impl Write for Half<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.1 - self.0.len().min(self.1));
            self.0.extend_from_slice(&bytes[..taken]);
            if taken == 0 {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(taken)
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut frames, mut written) = (Frames::default(), Vec::new());
    let text = "x".repeat(10_000);
    frames
        .send(&mut Half(&mut written, 5_000), text.clone())
        .unwrap();
    assert!(!frames.has_room() && written.len() == 5_000);
    frames.flush(&mut Half(&mut written, 20_000)).unwrap();
    assert!(frames.has_room() && frames.codec.is_none());
    assert!(matches!(sent(written), Message::Text(sent) if sent == text));
}

#[test]
fn fragments_make_one_message_with_a_ping_in_between() {
    let stream = b"\x01\x01a\x89\x00\x00\x01b\x80\x01c\x81\x01d";
    for size in 1..stream.len() {
        let mut frames = Frames::default();
        let (messages, _, end) = feed(&mut frames, stream, size);
        assert_eq!(messages, ["abc", "d"]);
        assert!(end.is_none() && frames.codec.is_none());
    }
}

#[test]
fn a_close_is_answered_with_its_code() {
    let (_, written, end) = feed(&mut Frames::default(), b"\x88\x05\x03\xe9bye", 3);
    assert!(matches!(sent(written), Message::Close(Some(close)) if close.code == CloseCode::Away));
    assert_eq!(
        end.unwrap().to_string(),
        "the server closed the connection: 1001 bye"
    );
    let (_, _, end) = feed(&mut Frames::default(), b"\x88\x00", 9);
    assert_eq!(end.unwrap().kind(), ErrorKind::Closed(Some(1005)));
}

#[test]
fn no_frame_follows_our_close_frame() {
    let (mut frames, mut written) = (Frames::default(), Vec::new());
    frames.close(&mut written).unwrap();
    let length = written.len();
    let (messages, answers, end) = feed(&mut frames, b"\x81\x01a\x89\x00\x88\x02\x03\xe8", 100);
    assert_eq!(messages, ["a"], "a message in progress still counts");
    assert!(answers.is_empty(), "no pong, no second close");
    assert_eq!(end.unwrap().kind(), ErrorKind::Closed(Some(1000)));
    assert_eq!(length, 8, "a header, a mask and a code");
}

#[test]
fn protocol_violations_are_answered_with_1002() {
    for stream in [
        &b"\x81\x81mask!"[..],
        b"\xc1\x01a",
        b"\x80\x01a",
        b"\x01\x01a\x81\x01b",
        b"\x09\x00",
    ] {
        let (_, written, end) = feed(&mut Frames::default(), stream, 100);
        assert_eq!(end.unwrap().kind(), ErrorKind::Protocol, "{stream:?}");
        let answer = sent(written);
        assert!(matches!(answer, Message::Close(Some(close)) if close.code == CloseCode::Protocol));
    }
    let claimed = b"\x81\x7f\x00\x00\x00\x00\x7f\xff\xff\xff";
    let (_, _, end) = feed(&mut Frames::default(), claimed, 3);
    assert!(
        end.unwrap()
            .to_string()
            .ends_with("a message of more than 1 MiB")
    );
}

#[derive(Clone, Debug)]
enum Sent {
    Text(usize),
    Fragments(usize),
    Ping,
}

proptest! {
    #[test]
    fn cuts_in_the_stream_do_not_change_messages(
        sent in proptest::collection::vec(prop_oneof![
            4 => (0usize..300).prop_map(Sent::Text),
            1 => (65_000usize..66_000).prop_map(Sent::Text),
            1 => (1usize..300).prop_map(Sent::Fragments),
            1 => Just(Sent::Ping),
        ], 1..20),
        sizes in proptest::collection::vec(1usize..2_000, 1..20),
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (index, sent) in sent.iter().enumerate() {
            match *sent {
                Sent::Ping => frame::ping(&mut stream, b"?"),
                Sent::Text(length) => {
                    let text = index.to_string().repeat(length);
                    frame::text(&mut stream, text.as_bytes());
                    expected.push(text);
                }
                Sent::Fragments(length) => {
                    let text = index.to_string().repeat(length);
                    let (first, last) = text.split_at(text.len() / 2);
                    let mut fragment = |text: &str, opcode, last| {
                        Frame::message(text.to_owned().into_bytes(), OpCode::Data(opcode), last)
                            .format(&mut stream)
                            .unwrap();
                    };
                    fragment(first, Data::Text, false);
                    fragment(last, Data::Continue, true);
                    expected.push(text);
                }
            }
        }
        let (mut frames, mut written, mut messages) = (Frames::default(), Vec::new(), Vec::new());
        let mut rest = &stream[..];
        for &size in sizes.iter().cycle() {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            frames.take(piece, &mut written, |message| messages.push(message.bytes().to_vec())).unwrap();
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(messages.iter().map(|message| str::from_utf8(message).unwrap()).eq(&expected));
        prop_assert!(frames.codec.is_none() && frames.partial.capacity() == 0);
        let pings = sent.iter().filter(|sent| matches!(sent, Sent::Ping)).count();
        prop_assert_eq!(written.len(), pings * 7, "a header, a mask and a byte for each");
    }

    #[test]
    fn no_bytes_make_the_reader_panic(stream in proptest::collection::vec(any::<u8>(), 0..100), size in 1usize..9) {
        let mut written = Vec::new();
        let mut frames = Frames::default();
        let _ = stream.chunks(size).try_for_each(|piece| frames.take(piece, &mut written, |_| {}));
    }
}
