//! A question to a name server, and the check of what counts as its answer. Pure except for the
//! random id.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, SimpleDnsError, TYPE,
    header_buffer,
};

/// A question for the addresses of a full name, of one kind.
#[derive(Debug)]
pub(super) struct Question {
    id: u16,
    name: String,
    kind: TYPE,
}

/// A server's reply to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The addresses, and how long they are valid.
    Addresses(Vec<IpAddr>, Duration),
    /// The name has no address of this kind.
    NoAddress,
    /// The name does not exist.
    NoName,
    /// The answer does not fit into a datagram: ask by TCP.
    Truncated,
    /// The server cannot or will not answer; another may.
    Failed(RCODE),
}

impl Question {
    pub(super) fn new(name: &str, kind: TYPE) -> Self {
        Self {
            id: random_id(),
            name: name.to_owned(),
            kind,
        }
    }

    /// The message to send.
    pub(super) fn message(&self) -> io::Result<Vec<u8>> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(self.section().map_err(invalid)?);
        packet.build_bytes_vec().map_err(invalid)
    }

    /// Reads a message. `None` if it does not answer this question: it is late, forged or broken.
    pub(super) fn reply(&self, message: &[u8]) -> Option<Reply> {
        let is_ours = header_buffer::id(message) == Ok(self.id);
        if !is_ours || !header_buffer::has_flags(message, PacketFlag::RESPONSE).ok()? {
            return None;
        }
        // A truncated message may be cut anywhere, so do not read the rest.
        if header_buffer::has_flags(message, PacketFlag::TRUNCATION).ok()? {
            return Some(Reply::Truncated);
        }
        if claims_too_much(message) {
            return None;
        }
        let packet = Packet::parse(message).ok()?;
        match packet.rcode() {
            RCODE::NoError if self.is_asked_by(&packet) => Some(self.addresses(&packet)),
            RCODE::NameError if self.is_asked_by(&packet) => Some(Reply::NoName),
            RCODE::NoError | RCODE::NameError => None,
            // A server that did not understand the question need not repeat it.
            code if packet.questions.is_empty() || self.is_asked_by(&packet) => {
                Some(Reply::Failed(code))
            }
            _ => None,
        }
    }

    fn section(&self) -> Result<simple_dns::Question<'_>, SimpleDnsError> {
        let kind = QTYPE::TYPE(self.kind);
        let class = QCLASS::CLASS(CLASS::IN);
        Ok(simple_dns::Question::new(
            Name::new(&self.name)?,
            kind,
            class,
            false,
        ))
    }

    fn is_asked_by(&self, packet: &Packet<'_>) -> bool {
        let (Ok(own), [asked]) = (self.section(), packet.questions.as_slice()) else {
            return false;
        };
        // Names compare without regard to case. The parser treats the upper bit of the class as a
        // flag of multicast DNS and removes it, so check that flag, too.
        let is_class = asked.qclass == own.qclass && !asked.unicast_response;
        asked.qname == own.qname && asked.qtype == own.qtype && is_class
    }

    /// The addresses at the end of the chain of aliases that begins with the requested name.
    /// Records of other names are ignored, since a server may send anything.
    fn addresses(&self, packet: &Packet<'_>) -> Reply {
        let Ok(mut name) = Name::new(&self.name) else {
            return Reply::NoAddress;
        };
        let mut ttl = u32::MAX;
        // Each link searches all records, so their number is limited; that also ends a circle.
        for _ in 0..ALIASES_MAX {
            let mut own = packet.answers.iter().filter(|record| record.name == name);
            let alias = own.find_map(|record| match &record.rdata {
                RData::CNAME(alias) => Some((alias.0.clone(), record.ttl)),
                _ => None,
            });
            let Some((alias, alias_ttl)) = alias else {
                break;
            };
            name = alias;
            ttl = ttl.min(alias_ttl);
        }
        let mut addresses = Vec::new();
        for record in packet.answers.iter().filter(|record| record.name == name) {
            if let Some(address) = self.address(record) {
                addresses.push(address);
                ttl = ttl.min(record.ttl);
            }
        }
        if addresses.is_empty() {
            return Reply::NoAddress;
        }
        addresses.truncate(ADDRESSES_MAX);
        Reply::Addresses(addresses, Duration::from_secs(ttl.into()))
    }

    fn address(&self, record: &ResourceRecord<'_>) -> Option<IpAddr> {
        if record.class != CLASS::IN || record.cache_flush {
            return None;
        }
        match (&record.rdata, self.kind) {
            (RData::A(a), TYPE::A) => Some(IpAddr::V4(a.address.into())),
            (RData::AAAA(aaaa), TYPE::AAAA) => Some(IpAddr::V6(aaaa.address.into())),
            _ => None,
        }
    }
}

/// Whether the header claims more records than the message can hold. The parser would reserve
/// memory for as many records as are claimed.
fn claims_too_much(message: &[u8]) -> bool {
    let counts = [
        header_buffer::questions(message).map(|count| (count, 5)),
        header_buffer::answers(message).map(|count| (count, 11)),
        header_buffer::name_servers(message).map(|count| (count, 11)),
        header_buffer::additional_records(message).map(|count| (count, 11)),
    ];
    let least = counts
        .iter()
        .flatten()
        .map(|(count, size)| usize::from(*count) * size);
    HEADER + least.sum::<usize>() > message.len()
}

/// An id that cannot be guessed without seeing the question. The standard library keys each hash
/// map with secret random numbers from the system, so even the hash of an empty value is secret.
fn random_id() -> u16 {
    let hash = RandomState::new().hash_one(());
    (hash & u64::from(u16::MAX)) as u16
}

fn invalid(error: SimpleDnsError) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}

/// The length of a message's header.
const HEADER: usize = 12;

/// How many aliases are followed; servers do not follow many more themselves.
const ALIASES_MAX: usize = 16;

/// How many addresses of an answer are kept; more would never be tried.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::rdata::{A, AAAA, CNAME};

    fn question() -> Question {
        Question::new("api.example", TYPE::A)
    }

    fn name(text: &'static str) -> Name<'static> {
        Name::new(text).unwrap()
    }

    fn record(owner: &'static str, ttl: u32, rdata: RData<'static>) -> ResourceRecord<'static> {
        ResourceRecord::new(name(owner), CLASS::IN, ttl, rdata)
    }

    fn a(owner: &'static str, ttl: u32, last: u8) -> ResourceRecord<'static> {
        let address = u32::from_be_bytes([192, 0, 2, last]);
        record(owner, ttl, RData::A(A { address }))
    }

    fn alias(owner: &'static str, target: &'static str, ttl: u32) -> ResourceRecord<'static> {
        record(owner, ttl, RData::CNAME(CNAME(name(target))))
    }

    fn answer(question: &Question, records: Vec<ResourceRecord<'static>>) -> Vec<u8> {
        let mut packet = Packet::new_reply(question.id);
        packet.questions.push(question.section().unwrap());
        packet.answers = records;
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn addresses(last: &[u8], ttl: u64) -> Option<Reply> {
        let addresses = last.iter().map(|last| IpAddr::from([192, 0, 2, *last]));
        Some(Reply::Addresses(
            addresses.collect(),
            Duration::from_secs(ttl),
        ))
    }

    #[test]
    fn a_chain_of_aliases_leads_to_the_addresses_with_the_shortest_ttl() {
        let question = question();
        let records = vec![
            a("edge.cdn.example", 60, 1),
            alias("lb.example", "edge.cdn.example", 20),
            alias("API.example", "lb.example", 300),
            a("edge.cdn.example", 90, 2),
        ];
        let message = answer(&question, records);
        assert_eq!(question.reply(&message), addresses(&[1, 2], 20));
    }

    #[test]
    fn records_of_other_names_and_kinds_are_ignored() {
        let question = question();
        let aaaa = RData::AAAA(AAAA { address: 1 });
        let records = vec![a("evil.example", 60, 66), record("api.example", 60, aaaa)];
        let message = answer(&question, records);
        assert_eq!(question.reply(&message), Some(Reply::NoAddress));
    }

    #[test]
    fn a_circle_of_aliases_has_no_address() {
        let question = question();
        let records = vec![
            alias("api.example", "b.example", 1),
            alias("b.example", "api.example", 1),
        ];
        let message = answer(&question, records);
        assert_eq!(question.reply(&message), Some(Reply::NoAddress));
    }

    #[test]
    fn a_chain_of_aliases_is_followed_up_to_a_limit() {
        const NAMES: [&str; 18] = [
            "api.example",
            "b.example",
            "c.example",
            "d.example",
            "e.example",
            "f.example",
            "g.example",
            "h.example",
            "i.example",
            "j.example",
            "k.example",
            "l.example",
            "m.example",
            "n.example",
            "o.example",
            "p.example",
            "q.example",
            "r.example",
        ];
        let question = question();
        let chain = |links: usize| {
            let links = (0..links)
                .rev()
                .map(|link| alias(NAMES[link], NAMES[link + 1], 60));
            let mut records: Vec<_> = links.collect();
            records.push(a(NAMES[records.len()], 60, 1));
            question.reply(&answer(&question, records))
        };
        assert_eq!(chain(ALIASES_MAX), addresses(&[1], 60));
        assert_eq!(chain(ALIASES_MAX + 1), Some(Reply::NoAddress));
    }

    #[test]
    fn only_an_answer_to_this_question_is_accepted() {
        let question = question();
        let records = || vec![a("api.example", 60, 1)];
        let right = answer(&question, records());
        assert_eq!(question.reply(&right), addresses(&[1], 60));

        let mut other_id = right.clone();
        other_id[0] ^= 1;
        let mut no_response = right.clone();
        no_response[2] &= 0x7f;
        let asked = |name, kind| Question {
            id: question.id,
            name,
            kind,
        };
        let other_name = answer(&asked("api.example.org".to_owned(), TYPE::A), records());
        let other_kind = answer(&asked("api.example".to_owned(), TYPE::AAAA), records());
        for wrong in [
            other_id,
            no_response,
            other_name,
            other_kind,
            right[..20].to_vec(),
        ] {
            assert_eq!(question.reply(&wrong), None);
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let question = question();
        let with_code = |code: u8| {
            let mut message = answer(&question, Vec::new());
            message[3] |= code;
            question.reply(&message)
        };
        assert_eq!(with_code(0), Some(Reply::NoAddress));
        assert_eq!(with_code(2), Some(Reply::Failed(RCODE::ServerFailure)));
        assert_eq!(with_code(3), Some(Reply::NoName));

        // The header alone, as some servers reply to a question that they do not understand.
        let mut bare = Packet::new_reply(question.id);
        *bare.rcode_mut() = RCODE::FormatError;
        let bare = bare.build_bytes_vec().unwrap();
        assert_eq!(
            question.reply(&bare),
            Some(Reply::Failed(RCODE::FormatError))
        );

        let mut truncated = answer(&question, vec![a("api.example", 60, 1)]);
        truncated[2] |= 2;
        assert_eq!(question.reply(&truncated[..30]), Some(Reply::Truncated));
    }

    #[test]
    fn a_message_that_claims_more_records_than_it_holds_is_ignored() {
        let question = question();
        let mut message = answer(&question, Vec::new());
        message[6..12].fill(0xff);
        assert!(claims_too_much(&message));
        assert_eq!(question.reply(&message), None);
    }

    #[test]
    fn an_invalid_name_is_an_error() {
        let name = "a".repeat(64);
        let error = Question::new(&name, TYPE::A).message().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
