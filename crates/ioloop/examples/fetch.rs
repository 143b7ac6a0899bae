//! Fetches URLs side by side on one thread, with `ureq`, an HTTP client that blocks:
//! `cargo run --example fetch https://example.org https://crates.io`.
use std::io::{self, Read, Write};

use ioloop::fiber::{Emitter, STACK_SIZE};
use ioloop::net::FiberStream;
use ioloop::{IoLoop, Registrar};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::*;
use ureq::{Agent, Error, config::Config};

fn main() -> io::Result<()> {
    for (url, fetched) in fetch(std::env::args().skip(1).collect())? {
        println!("{url}: {fetched:?}");
    }
    Ok(())
}

/// Returns the answer of each of `urls`, in the order of arrival.
pub(crate) fn fetch(urls: Vec<String>) -> io::Result<Vec<(String, Result<String, Error>)>> {
    let mut io_loop = IoLoop::<Vec<_>>::new()?;
    let sockets = FiberConnector(io_loop.registrar().clone());
    let connector = ().chain(sockets).chain(RustlsConnector::default());
    // The resolver still blocks while it looks up a name.
    let agent = Agent::with_parts(Config::default(), connector, DefaultResolver::default());
    let (count, mut all) = (urls.len(), Vec::new());
    for url in urls {
        let agent = agent.clone();
        let body = move |emitter: &Emitter<_>| {
            let answer = agent.get(&url).call();
            let fetched = answer.and_then(|mut answer| answer.body_mut().read_to_string());
            Ok(emitter.emit((url, fetched))?)
        };
        let on_emit = |all: &mut Vec<_>, io_loop: &mut IoLoop<_>, fetched| {
            all.push(fetched);
            io_loop.stop();
        };
        io_loop.spawn(STACK_SIZE, body, on_emit, |_, _, _| {})?;
    }
    while all.len() < count {
        io_loop.start(&mut all)?;
    }
    Ok(all)
}

/// Opens sockets that suspend the fiber where `ureq`'s own would block the thread.
#[derive(Debug)]
struct FiberConnector(Registrar);

impl Connector for FiberConnector {
    type Out = Socket;

    fn connect(&self, to: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Socket>, Error> {
        let stream = FiberStream::connect_any(&self.0, &to.addrs, None)?;
        Ok(Some(Socket(stream, LazyBuffers::new(16_384, 16_384))))
    }
}

#[derive(Debug)]
struct Socket(FiberStream, LazyBuffers);

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.1
    }
    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(self.0.write_all(&self.1.output()[..amount])?)
    }
    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let amount = self.0.read(self.1.input_append_buf())?;
        self.1.input_appended(amount);
        Ok(amount > 0)
    }
    fn is_open(&mut self) -> bool {
        self.0.is_quiet()
    }
}
