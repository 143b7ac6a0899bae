//! The promise of the resolver: it finds what the name servers know, however badly some behave.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::fibers::{in_fiber, resolver};
use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use testkit::{NameFault, NameServer};
use tickertape::http_client::dns::{Hosts, ResolvConf, Resolver};

/// Looks `host` up with these name servers, and nothing remembered.
fn lookup(host: &'static str, servers: Vec<SocketAddr>) -> io::Result<Vec<IpAddr>> {
    in_fiber(move |registrar| {
        let resolver = resolver(registrar, "", &servers);
        resolver.lookup(host, Instant::now() + Duration::from_secs(2))
    })
}

fn is_for(query: &Packet<'_>, kind: TYPE) -> bool {
    query.questions[0].qtype == QTYPE::TYPE(kind)
}

/// A reply without records.
fn reply<'a>(query: &Packet<'a>) -> Packet<'a> {
    query.clone().into_reply()
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec_compressed().expect("a good packet")
}

fn record<'a>(name: &Name<'a>, rdata: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(name.clone(), CLASS::IN, 60, rdata)
}

fn ipv4(last: u8) -> RData<'static> {
    let address = u32::from_be_bytes([192, 0, 2, last]);
    RData::A(A { address })
}

/// A reply that gives the name 192.0.2.`last`, if it was asked for IPv4.
fn give(query: &Packet<'_>, last: u8) -> Vec<u8> {
    let mut reply = reply(query);
    if is_for(query, TYPE::A) {
        let name = &query.questions[0].qname;
        reply.answers.push(record(name, ipv4(last)));
    }
    bytes(&reply)
}

fn fail(query: &Packet<'_>, code: RCODE) -> Vec<u8> {
    let mut reply = reply(query);
    *reply.rcode_mut() = code;
    bytes(&reply)
}

fn found(last: &[u8]) -> Vec<IpAddr> {
    let addresses = last.iter().map(|last| IpAddr::from([192, 0, 2, *last]));
    addresses.collect()
}

/// A server that knows all names: 192.0.2.1.
fn good() -> NameServer {
    NameServer::start(|query, _| vec![give(query, 1)])
}

#[test]
fn both_kinds_are_asked_for_and_ipv4_is_tried_first() {
    let server = NameServer::start(|query, _| {
        let mut reply = reply(query);
        let rdata = if is_for(query, TYPE::A) {
            ipv4(1)
        } else {
            RData::AAAA(AAAA { address: 1 })
        };
        let name = &query.questions[0].qname;
        reply.answers.push(record(name, rdata));
        vec![bytes(&reply)]
    });
    let addresses = lookup("API.example", vec![server.address]).expect("found");
    let ipv6: IpAddr = "::1".parse().expect("an address");
    assert_eq!(addresses, [found(&[1])[0], ipv6]);
    let asked = |kind| ("api.example".to_owned(), kind, false);
    assert_eq!(server.asked(), [asked(TYPE::A), asked(TYPE::AAAA)]);
}

#[test]
fn a_name_with_only_ipv6_is_found() {
    let server = NameServer::start(|query, _| {
        let mut reply = reply(query);
        if is_for(query, TYPE::AAAA) {
            let name = &query.questions[0].qname;
            let address = 0x2001_0db8 << 96;
            reply
                .answers
                .push(record(name, RData::AAAA(AAAA { address })));
        }
        vec![bytes(&reply)]
    });
    let addresses = lookup("six.example", vec![server.address]).expect("found");
    assert_eq!(addresses, ["2001:db8::".parse::<IpAddr>().expect("one")]);
}

#[test]
fn aliases_are_followed() {
    let server = NameServer::start(|query, _| {
        let mut reply = reply(query);
        let edge = Name::new("edge.example").expect("a name");
        let name = &query.questions[0].qname;
        let alias = RData::CNAME(CNAME(edge.clone()));
        reply.answers.push(record(name, alias));
        if is_for(query, TYPE::A) {
            reply.answers.push(record(&edge, ipv4(9)));
        }
        vec![bytes(&reply)]
    });
    let addresses = lookup("api.example", vec![server.address]).expect("found");
    assert_eq!(addresses, found(&[9]));
}

#[test]
fn a_name_that_does_not_exist_is_not_found_and_no_other_server_is_asked() {
    let server = NameServer::start(|query, _| vec![fail(query, RCODE::NameError)]);
    let other = good();
    let error = lookup("nowhere.example", vec![server.address, other.address]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "no address of nowhere.example");
    assert_eq!(other.asked(), []);
}

#[test]
fn a_server_that_fails_refuses_or_is_not_there_is_passed_over() {
    let failing = NameServer::start(|query, _| vec![fail(query, RCODE::ServerFailure)]);
    let refusing = NameServer::start(|query, _| vec![fail(query, RCODE::Refused)]);
    // Nothing listens on the port of a closed socket: the system says so at once.
    let absent = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let good = good();
    let servers = vec![
        failing.address,
        refusing.address,
        absent.expect("a port"),
        good.address,
    ];
    let addresses = in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("options timeout:30");
        conf.servers = servers;
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        // Not enough to wait for any of them.
        resolver.lookup("api.example", Instant::now() + Duration::from_secs(4))
    });
    assert_eq!(addresses.expect("found"), found(&[1]));
}

#[test]
fn the_next_server_is_asked_when_one_does_not_answer() {
    let silent = NameServer::start(|_, _| Vec::new());
    let good = good();
    let began = Instant::now();
    let addresses = lookup("api.example", vec![silent.address, good.address]);
    assert_eq!(addresses.expect("found"), found(&[1]));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_server_that_does_not_answer_leaves_time_for_the_next_however_little_there_is() {
    let silent = NameServer::start(|_, _| Vec::new());
    let good = good();
    let addresses = in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("");
        conf.servers = vec![silent.address, good.address];
        let limit = Duration::from_millis(600);
        assert!(conf.timeout > limit);
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        resolver.lookup("api.example", Instant::now() + limit)
    });
    assert_eq!(addresses.expect("found"), found(&[1]));
}

#[test]
fn without_any_answer_the_lookup_ends_at_its_limit() {
    let silent = NameServer::start(|_, _| Vec::new());
    let error = in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("options timeout:30 attempts:5");
        conf.servers = vec![silent.address];
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        let began = Instant::now();
        let limit = Duration::from_millis(100);
        let error = resolver.lookup("api.example", began + limit).unwrap_err();
        assert!(began.elapsed() >= limit);
        error
    });
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn forged_answers_are_ignored_until_the_true_one_comes() {
    let server = NameServer::start(|query, _| {
        let mut wrong_id = give(query, 66);
        wrong_id[1] ^= 0x55;
        let mut other = query.clone();
        other.questions[0].qname = Name::new("evil.example").expect("a name");
        let wrong_question = give(&other, 67);
        let noise = b"hello".to_vec();
        vec![noise, wrong_id, wrong_question, give(query, 1)]
    });
    let addresses = lookup("api.example", vec![server.address]).expect("found");
    assert_eq!(addresses, found(&[1]));
}

#[test]
fn a_truncated_answer_is_asked_for_again_by_tcp() {
    let server = NameServer::start(|query, by_tcp| {
        let mut reply = reply(query);
        let name = &query.questions[0].qname;
        if is_for(query, TYPE::A) && by_tcp {
            for last in 1..=8 {
                reply.answers.push(record(name, ipv4(last)));
            }
        } else if is_for(query, TYPE::A) {
            reply.set_flags(PacketFlag::TRUNCATION);
        }
        vec![bytes(&reply)]
    });
    let addresses = lookup("big.example", vec![server.address]).expect("found");
    assert_eq!(addresses, found(&[1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(server.asked().iter().filter(|asked| asked.2).count(), 1);
}

#[test]
fn a_server_that_cuts_its_answers_and_then_fails_by_tcp_is_passed_over() {
    let server = NameServer::start(|query, by_tcp| {
        let mut reply = reply(query);
        reply.set_flags(PacketFlag::TRUNCATION);
        // By TCP once more cut, or nothing but the end of the stream.
        if by_tcp && is_for(query, TYPE::A) {
            Vec::new()
        } else {
            vec![bytes(&reply)]
        }
    });
    let good = good();
    let addresses = lookup("big.example", vec![server.address, good.address]);
    assert_eq!(addresses.expect("found"), found(&[1]));
}

#[test]
fn half_an_answer_is_enough_after_a_moment_for_the_other_half() {
    let server = NameServer::start(|query, _| {
        if is_for(query, TYPE::A) {
            vec![give(query, 1)]
        } else {
            Vec::new()
        }
    });
    let addresses = in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("options timeout:30");
        conf.servers = vec![server.address];
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        let began = Instant::now();
        let addresses = resolver.lookup("api.example", began + Duration::from_secs(6));
        assert!(began.elapsed() < Duration::from_secs(5), "not to the end");
        addresses
    });
    assert_eq!(addresses.expect("found"), found(&[1]));
}

#[test]
fn an_answer_is_cached() {
    let server = good();
    let address = server.address;
    in_fiber(move |registrar| {
        let resolver = resolver(registrar, "", &[address]);
        let deadline = Instant::now() + Duration::from_secs(2);
        for host in ["api.example", "API.Example"] {
            let addresses = resolver.clone().lookup(host, deadline);
            assert_eq!(addresses.expect("found"), found(&[1]));
        }
    });
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn short_names_are_looked_for_in_the_domains_of_the_search_list() {
    let server = NameServer::start(|query, _| {
        let name = query.questions[0].qname.to_string();
        match name.as_str() {
            "db.b.example" => vec![give(query, 1)],
            _ => vec![fail(query, RCODE::NameError)],
        }
    });
    let address = server.address;
    let addresses = in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("search a.example b.example");
        conf.servers = vec![address];
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        resolver.lookup("db", Instant::now() + Duration::from_secs(2))
    });
    assert_eq!(addresses.expect("found"), found(&[1]));
    let names = server.asked().into_iter().map(|(name, ..)| name);
    let mut names: Vec<_> = names.collect();
    names.dedup();
    assert_eq!(names, ["db.a.example", "db.b.example"]);
}

#[test]
fn a_domain_of_the_search_list_that_the_server_refuses_is_passed_over() {
    let server = NameServer::start(|query, _| {
        let name = query.questions[0].qname.to_string();
        match name.as_str() {
            "db.b.example" => vec![give(query, 1)],
            "db.a.example" => vec![fail(query, RCODE::Refused)],
            "other.a.example" => vec![fail(query, RCODE::ServerFailure)],
            _ => vec![fail(query, RCODE::NameError)],
        }
    });
    let address = server.address;
    let (addresses, error) = in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("search a.example b.example");
        conf.servers = vec![address];
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        let deadline = Instant::now() + Duration::from_secs(2);
        let addresses = resolver.lookup("db", deadline);
        (addresses, resolver.lookup("other", deadline).unwrap_err())
    });
    assert_eq!(addresses.expect("found"), found(&[1]));
    // Whether there is such a name is not known then.
    assert_ne!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn literals_and_hosts_need_no_server() {
    // Outside a fiber nothing can wait, so all of this answers at once or not at all.
    let io_loop = ioloop::IoLoop::<()>::new().expect("a poll descriptor");
    let resolver = resolver(io_loop.registrar(), "192.0.2.5 db.example db", &[]);
    let lookup = |host| resolver.lookup(host, Instant::now());
    assert_eq!(lookup("192.0.2.1").expect("a literal"), found(&[1]));
    let ipv6: IpAddr = "::1".parse().expect("an address");
    assert_eq!(lookup("[::1]").expect("a literal"), [ipv6]);
    assert_eq!(lookup("::1").expect("a literal"), [ipv6]);
    assert_eq!(lookup("DB.example.").expect("in the file"), found(&[5]));
    assert_eq!(lookup("feed.localhost").expect("loopback")[1], ipv6);
    for name in ["", ".", "a..b", ".a"] {
        let error = lookup(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
    }
}

#[test]
fn the_fake_name_server_misbehaves_at_run_time_and_recovers() {
    let server = NameServer::knowing_all(0, [192, 0, 2, 1].into()).expect("a port");
    let address = server.address;
    let lookup = |fault| {
        server.set(fault);
        lookup("api.example", vec![address]).map_err(|error| error.kind())
    };
    assert_eq!(lookup(NameFault::NxDomain), Err(ErrorKind::NotFound));
    for fault in [
        NameFault::ServFail,
        NameFault::Refused,
        NameFault::TruncatedForGood,
        NameFault::WrongId,
        NameFault::Garbage,
        NameFault::NoAnswer,
    ] {
        assert!(lookup(fault).is_err(), "{fault:?}");
    }
    server.asked();
    assert_eq!(lookup(NameFault::Truncated), Ok(found(&[1])));
    assert!(server.asked().iter().any(|asked| asked.2), "by TCP");
    assert_eq!(lookup(NameFault::None), Ok(found(&[1])));
    assert_eq!("wrong-id".parse(), Ok(NameFault::WrongId));
    assert!("odd".parse::<NameFault>().is_err());
}
