//! The promise of one thread: a request, its name lookup included, is made without another one.
//! A file of its own, so that no other test's threads are counted.
#![cfg(target_os = "linux")]

#[path = "common/fibers.rs"]
mod fibers;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use ioloop::IoLoop;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, ResourceRecord};
use tickertape::http_client::dns::{Hosts, ResolvConf, Resolver};
use tickertape::http_client::{self, TransportConfig};

/// The servers, which the loop serves between the turns of the fiber.
struct State {
    names: UdpSocket,
    web: TcpListener,
    streams: Vec<TcpStream>,
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

fn serve(state: &mut State, io_loop: &mut IoLoop<State>) {
    let mut buffer = [0; 512];
    while let Ok((length, peer)) = state.names.recv_from(&mut buffer) {
        let query = Packet::parse(&buffer[..length]).expect("a good query");
        let mut reply = query.into_reply();
        let name = reply.questions[0].qname.clone();
        let address = u32::from_be_bytes([127, 0, 0, 1]);
        let record = ResourceRecord::new(name, CLASS::IN, 60, RData::A(A { address }));
        reply.answers.push(record);
        let reply = reply.build_bytes_vec().expect("a good reply");
        state.names.send_to(&reply, peer).expect("sent");
    }
    while let Ok((mut stream, _)) = state.web.accept() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(reply).expect("room in the buffer");
        state.streams.push(stream);
    }
    io_loop.call_later(Duration::from_millis(1), serve);
}

#[test]
fn a_request_starts_no_thread() -> io::Result<()> {
    let names = UdpSocket::bind("127.0.0.1:0")?;
    let web = TcpListener::bind("127.0.0.1:0")?;
    names.set_nonblocking(true)?;
    web.set_nonblocking(true)?;
    let url = format!("http://api.test:{}/", web.local_addr()?.port());

    let mut io_loop = IoLoop::new()?;
    let mut conf = ResolvConf::parse("");
    conf.servers = vec![names.local_addr()?];
    let resolver = Resolver::new(io_loop.registrar(), conf, Hosts::default());
    let settings = TransportConfig {
        proxy: None,
        ..TransportConfig::default()
    };
    let agent = http_client::agent(io_loop.registrar(), &resolver, &settings);
    let before = threads();
    fibers::spawn(&mut io_loop, move |_| {
        let fetch = || agent.get(&url).call()?.body_mut().read_to_string();
        let body = fetch().map_err(ureq::Error::into_io)?;
        assert_eq!((body.as_str(), threads()), ("hello", before));
        Ok(())
    });
    io_loop.add_callback(serve);
    io_loop.start(&mut State {
        names,
        web,
        streams: Vec::new(),
    })
}
