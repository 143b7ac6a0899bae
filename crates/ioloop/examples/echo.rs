//! Sends back what each client sends: `cargo run --example echo`, then `nc 127.0.0.1 8888`.

use std::io::{self, Read, Write};

use ioloop::mio::net::TcpListener;
use ioloop::net::FiberStream;
use ioloop::{Interest, IoLoop, Ready, Token};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:8888").parse();
    serve(TcpListener::bind(address.map_err(io::Error::other)?)?)
}

pub(crate) fn serve(mut listener: TcpListener) -> io::Result<()> {
    let mut io_loop = IoLoop::new()?;
    io_loop.add_handler(&mut listener, Interest::READABLE, connection_ready)?;
    eprintln!("listening on {}", listener.local_addr()?);
    io_loop.start(&mut listener)
}

/// Accepts every client that is queued: one event may stand for several of them.
fn connection_ready(
    listener: &mut TcpListener,
    io_loop: &mut IoLoop<TcpListener>,
    _: Token,
    _: Ready,
) {
    loop {
        let accepted = listener.accept();
        match accepted.and_then(|(socket, _)| FiberStream::new(io_loop.registrar(), socket)) {
            Ok(stream) => drop(io_loop.spawn_callback(move || handle_connection(stream))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return eprintln!("cannot accept a client: {error}"),
        }
    }
}

/// Reads as if it blocked; the loop serves the other clients meanwhile.
fn handle_connection(mut stream: FiberStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}
