//! A name server on loopback whose faults are switched at run time.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::thread;

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

/// A name server that records its queries.
pub struct NameServer {
    /// Its address for UDP and TCP.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    fault: Arc<Mutex<NameFault>>,
}

/// A name, the requested type, and whether it was by TCP.
pub type Asked = (String, TYPE, bool);

/// The fault of a server made by [`NameServer::knowing_all`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameFault {
    /// No fault.
    #[default]
    None,
    /// The name does not exist.
    NxDomain,
    /// The answer is SERVFAIL.
    ServFail,
    /// The answer is REFUSED.
    Refused,
    /// The answer is truncated by UDP and complete by TCP.
    Truncated,
    /// The answer is truncated by UDP, and TCP ends before any answer.
    TruncatedForGood,
    /// The answer has the id of another query.
    WrongId,
    /// Bytes that are not a DNS message.
    Garbage,
    /// There is no answer.
    NoAnswer,
}

impl NameFault {
    /// All faults, with the names that `FromStr` takes.
    const ALL: &[(&str, Self)] = &[
        ("none", Self::None),
        ("nxdomain", Self::NxDomain),
        ("servfail", Self::ServFail),
        ("refused", Self::Refused),
        ("truncated", Self::Truncated),
        ("truncated-for-good", Self::TruncatedForGood),
        ("wrong-id", Self::WrongId),
        ("garbage", Self::Garbage),
        ("no-answer", Self::NoAnswer),
    ];
}

impl FromStr for NameFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(word, _)| *word == text);
        known.map(|(_, fault)| *fault).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|(word, _)| *word).collect();
            format!("unknown fault '{text}': expected {}", words.join(", "))
        })
    }
}

impl NameServer {
    /// Starts a server. `answer` gets the query, and whether it came by TCP, and returns the
    /// messages to send.
    pub fn start(
        answer: impl Fn(&Packet<'_>, bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(ports(0).expect("a free port"), Arc::default(), answer)
    }

    /// Starts a server that has every name at `address`, unless [`set`](Self::set) changes that.
    /// Port 0 is any.
    pub fn knowing_all(port: u16, address: IpAddr) -> io::Result<Self> {
        let fault = Arc::new(Mutex::new(NameFault::None));
        let now = Arc::clone(&fault);
        let answer = move |query: &Packet<'_>, by_tcp: bool| {
            let fault = *now.lock().expect("no panic");
            misanswer(query, by_tcp, fault, address)
        };
        Ok(Self::serve(ports(port)?, fault, answer))
    }

    /// Sets the fault for all further queries.
    pub fn set(&self, fault: NameFault) {
        *self.fault.lock().expect("no panic") = fault;
    }

    /// The queries since the last call, sorted by name and type.
    pub fn asked(&self) -> Vec<Asked> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked.sort_by_key(|(name, kind, by_tcp)| (name.clone(), u16::from(*kind), *by_tcp));
        asked
    }

    fn serve(
        (udp, tcp): (UdpSocket, TcpListener),
        fault: Arc<Mutex<NameFault>>,
        answer: impl Fn(&Packet<'_>, bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let address = udp.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let (noted, by_udp) = (Arc::clone(&asked), Arc::clone(&answer));
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                let Some(query) = query(&buffer[..length], &noted, false) else {
                    continue;
                };
                for message in by_udp(&query, false) {
                    // The peer may have closed its socket by now.
                    let _ = udp.send_to(&message, peer);
                }
            }
        });
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                // A client that hangs up early expects no answer.
                let _ = converse(&mut stream, &noted, &*answer);
            }
        });
        Self {
            address,
            asked,
            fault,
        }
    }
}

/// Far more than any test sends; a demo may run for days.
const ASKED_MAX: usize = 100_000;

/// Serves one query by TCP.
fn converse(
    stream: &mut TcpStream,
    noted: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Packet<'_>, bool) -> Vec<Vec<u8>>,
) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    let Some(query) = query(&message, noted, true) else {
        return Ok(());
    };
    for message in answer(&query, true) {
        let length = u16::try_from(message.len()).expect("a short message");
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&message)?;
    }
    Ok(())
}

/// Reads a query and records it; `None` if it is invalid.
fn query<'m>(message: &'m [u8], noted: &Mutex<Vec<Asked>>, by_tcp: bool) -> Option<Packet<'m>> {
    let query = Packet::parse(message).ok()?;
    let question = query.questions.first()?;
    let QTYPE::TYPE(kind) = question.qtype else {
        return None;
    };
    let asked = (question.qname.to_string(), kind, by_tcp);
    let mut noted = noted.lock().expect("no panic");
    if noted.len() < ASKED_MAX {
        noted.push(asked);
    }
    Some(query)
}

/// The answer that all names are at `address`, modified by `fault`.
fn misanswer(query: &Packet<'_>, by_tcp: bool, fault: NameFault, address: IpAddr) -> Vec<Vec<u8>> {
    let mut reply = query.clone().into_reply();
    match fault {
        NameFault::NoAnswer => return Vec::new(),
        NameFault::TruncatedForGood if by_tcp => return Vec::new(),
        NameFault::Garbage => return vec![b"hello".to_vec()],
        NameFault::NxDomain => *reply.rcode_mut() = RCODE::NameError,
        NameFault::ServFail => *reply.rcode_mut() = RCODE::ServerFailure,
        NameFault::Refused => *reply.rcode_mut() = RCODE::Refused,
        NameFault::Truncated | NameFault::TruncatedForGood if !by_tcp => {
            reply.set_flags(PacketFlag::TRUNCATION);
        }
        _ => {
            let question = &query.questions[0];
            let rdata = match (address, question.qtype) {
                (IpAddr::V4(address), QTYPE::TYPE(TYPE::A)) => Some(RData::A(A {
                    address: address.into(),
                })),
                (IpAddr::V6(address), QTYPE::TYPE(TYPE::AAAA)) => Some(RData::AAAA(AAAA {
                    address: address.into(),
                })),
                _ => None,
            };
            let record = |rdata| ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, rdata);
            reply.answers.extend(rdata.map(record));
        }
    }
    let mut message = reply.build_bytes_vec_compressed().expect("a good packet");
    if fault == NameFault::WrongId {
        message[1] ^= 0x55;
    }
    vec![message]
}

/// The same port for UDP and TCP.
fn ports(port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        // Another test may have the port that the system picked.
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if port != 0 => return Err(error),
            Err(_) => {}
        }
    }
}
