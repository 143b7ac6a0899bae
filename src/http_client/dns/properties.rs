//! Properties of reading answers of name servers, see [`crate::fuzzing`]: only an answer to the
//! same question is accepted, and it yields only addresses that it contains.

use std::net::IpAddr;

use simple_dns::{Packet, TYPE};

use super::message::{Question, Reply};

/// Reads `bytes`, a message from a server, after its id has been replaced by the question's.
///
/// # Panics
/// When a promise is broken.
pub fn dns_answer(bytes: &[u8]) {
    for kind in [TYPE::A, TYPE::AAAA] {
        check(&Question::new(NAME, kind), kind, bytes);
    }
    if let Ok(name) = std::str::from_utf8(bytes) {
        check_question(name);
    }
}

fn check(question: &Question, kind: TYPE, bytes: &[u8]) {
    let Some(message) = with_id(question, bytes) else {
        assert_eq!(question.reply(bytes), None, "an answer without an id");
        return;
    };
    let mut forged = message.clone();
    forged[0] ^= 1;
    assert_eq!(
        question.reply(&forged),
        None,
        "an answer to another question"
    );
    if message.get(2).is_none_or(|flags| flags & 0x80 == 0) {
        assert_eq!(
            question.reply(&message),
            None,
            "accepted without the response flag"
        );
    }
    match question.reply(&message) {
        Some(Reply::Addresses(addresses, _)) => {
            assert!(
                repeats_question(&message, kind),
                "the question is not repeated"
            );
            assert!((1..=8).contains(&addresses.len()), "{addresses:?}");
            for address in addresses {
                assert_eq!(address.is_ipv4(), kind == TYPE::A, "{address}");
                assert!(is_in(&message, address), "{address} was not sent");
            }
        }
        Some(Reply::NoAddress | Reply::NoName) => {
            assert!(
                repeats_question(&message, kind),
                "the question is not repeated"
            );
        }
        Some(Reply::Truncated) => assert_ne!(message[2] & 2, 0, "not truncated"),
        Some(Reply::Failed(_)) => {
            // The upper half of the code would be in an additional record (RFC 6891).
            let has_more = message[10..12] != [0, 0];
            assert!(message[3] & 15 != 0 || has_more, "no failure");
        }
        None => {}
    }
}

/// `bytes` with the question's id; `None` if they are too short for one.
fn with_id(question: &Question, bytes: &[u8]) -> Option<Vec<u8>> {
    let own = question.message().expect("the name is fine");
    let rest = bytes.get(2..)?;
    Some([&own[..2], rest].concat())
}

/// Whether the question's name follows the header. It cannot be a pointer, since there is no
/// earlier name to point to.
fn repeats_question(message: &[u8], kind: TYPE) -> bool {
    let question = b"\x03api\x07example\x00";
    let end = 12 + question.len();
    let name = message.get(12..end).unwrap_or_default();
    let fields = message.get(end..end + 4);
    // Except that a pointer into the header might spell anything, which is left to the parser.
    let is_pointed = message.get(12).is_some_and(|&length| length >= 0xc0);
    is_pointed
        || (name.eq_ignore_ascii_case(question)
            && fields == Some(&[0, u16::from(kind).to_be_bytes()[1], 0, 1]))
}

fn is_in(message: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => message.windows(4).any(|part| part == address.octets()),
        IpAddr::V6(address) => message.windows(16).any(|part| part == address.octets()),
    }
}

/// A question about any name either fails or asks for exactly that name.
fn check_question(name: &str) {
    let Ok(message) = Question::new(name, TYPE::A).message() else {
        return;
    };
    assert!(message.len() <= 12 + 255 + 4, "{} bytes", message.len());
    let packet = Packet::parse(&message).expect("the question can be parsed");
    let [asked] = packet.questions.as_slice() else {
        panic!("{} questions", packet.questions.len())
    };
    let labels = asked.qname.to_string();
    let plain = name.strip_suffix('.').unwrap_or(name);
    // No host of a URL has an escape, and a lookup refuses empty labels before it asks.
    let is_host = !plain.contains('\\') && !plain.split('.').any(str::is_empty);
    assert!(
        !is_host || labels.eq_ignore_ascii_case(plain),
        "{labels} for {name}"
    );
}

const NAME: &str = "api.example";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz_twin;
    use proptest::prelude::*;
    use simple_dns::rdata::{A, AAAA, CNAME, RData, TXT};
    use simple_dns::{CLASS, Name, PacketFlag, QCLASS, QTYPE, ResourceRecord};

    const NAMES: [&str; 5] = ["api.example", "API.Example", "b.example", "c.d.example", ""];

    fn name() -> impl Strategy<Value = Name<'static>> {
        prop::sample::select(&NAMES[..]).prop_map(|name| Name::new(name).unwrap())
    }

    fn record() -> impl Strategy<Value = ResourceRecord<'static>> {
        let rdata = prop_oneof![
            3 => any::<u32>().prop_map(|address| RData::A(A { address })),
            3 => any::<u128>().prop_map(|address| RData::AAAA(AAAA { address })),
            3 => name().prop_map(|name| RData::CNAME(CNAME(name))),
            1 => Just(RData::TXT(TXT::new())),
        ];
        let class = prop_oneof![4 => Just(CLASS::IN), 1 => Just(CLASS::CH)];
        (name(), class, any::<u32>(), rdata)
            .prop_map(|(name, class, ttl, rdata)| ResourceRecord::new(name, class, ttl, rdata))
    }

    proptest! {
        #[test]
        fn only_answers_to_the_question_are_accepted(
            asked in name(), is_six in any::<bool>(), records in prop::collection::vec(record(), 0..12),
            code in prop_oneof![3 => Just(0u8), 1 => 0u8..16], compressed in any::<bool>(), truncated in any::<bool>(),
        ) {
            let mut packet = Packet::new_reply(0);
            let kind = if is_six { TYPE::AAAA } else { TYPE::A };
            packet.questions.push(simple_dns::Question::new(asked, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
            packet.answers = records;
            if truncated {
                packet.set_flags(PacketFlag::TRUNCATION);
            }
            let message = if compressed { packet.build_bytes_vec_compressed() } else { packet.build_bytes_vec() };
            let mut message = message.unwrap();
            message[3] |= code;
            dns_answer(&message);
        }

        #[test]
        fn damaged_messages_break_no_promise(bytes in fuzz_twin::damaged("dns_answer")) {
            dns_answer(&bytes);
        }

        #[test]
        fn a_question_fails_or_asks_for_exactly_the_name(name in "([a-zA-Z0-9_-]{1,12}\\.?){0,5}|\\PC{0,40}") {
            check_question(&name);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("dns_answer", dns_answer);
    }
}
