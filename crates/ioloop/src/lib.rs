//! Tornado's `IOLoop` in Rust: callbacks, timeouts, sockets and coroutines on one thread.
//!
//! A program hands its state to [`IoLoop::start`], and everything that the loop runs gets it back as
//! `&mut S`, beside the loop itself: no `Rc<RefCell<_>>`, no `Arc<Mutex<_>>`, no `async`. Code that
//! blocks runs as a [`fiber`]: a coroutine with a stack of its own, which suspends where it would
//! block the thread.
//!
//! # A TCP echo server
//!
//! ```
//! use std::io::{self, Read, Write};
//!
//! use ioloop::fiber::{Emitter, STACK_SIZE};
//! use ioloop::mio::net::TcpListener;
//! use ioloop::net::FiberStream;
//! use ioloop::{Interest, IoLoop, Ready, Token};
//!
//! /// Accepts every client that is queued: one event may stand for several of them.
//! fn connection_ready(
//!     listener: &mut TcpListener,
//!     io_loop: &mut IoLoop<TcpListener>,
//!     _: Token,
//!     _: Ready,
//! ) {
//!     while let Ok((socket, _)) = listener.accept() {
//!         let stream = FiberStream::new(io_loop.registrar(), socket);
//!         let spawned = io_loop.spawn_callback(|| handle_connection(stream?));
//!         spawned.expect("memory for a stack");
//!     }
//! }
//!
//! /// Reads as if it blocked; the loop serves the other clients meanwhile.
//! fn handle_connection(mut stream: FiberStream) -> io::Result<()> {
//!     let mut buffer = [0; 4096];
//!     loop {
//!         match stream.read(&mut buffer)? {
//!             0 => return Ok(()),
//!             length => stream.write_all(&buffer[..length])?,
//!         }
//!     }
//! }
//!
//! let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
//! let address = listener.local_addr()?;
//! let mut io_loop = IoLoop::new()?;
//! io_loop.add_handler(&mut listener, Interest::READABLE, connection_ready)?;
//!
//! // A client on the same loop. It passes the echo on to the loop, which then stops.
//! let registrar = io_loop.registrar().clone();
//! let client = move |emitter: &Emitter<[u8; 5]>| {
//!     let mut stream = FiberStream::connect(&registrar, address, None)?;
//!     stream.write_all(b"hello")?;
//!     let mut echo = [0; 5];
//!     stream.read_exact(&mut echo)?;
//!     Ok(emitter.emit(echo)?)
//! };
//! let on_emit = |_: &mut TcpListener, io_loop: &mut IoLoop<TcpListener>, echo| {
//!     assert_eq!(&echo, b"hello");
//!     io_loop.stop();
//! };
//! io_loop.spawn(STACK_SIZE, client, on_emit, |_, _, _| {})?;
//!
//! io_loop.start(&mut listener)?;
//! # io::Result::Ok(())
//! ```
//!
//! # The modules
//!
//! Each module knows only those above it in this table.
//!
//! | module | contents |
//! |---|---|
//! | `clock`, `timer_fd` | where the loop takes its time from; what ends the poll at a deadline |
//! | [`histogram`], [`lag`] | histograms of durations; how late the loop runs |
//! | [`IoLoop`] | callbacks, timeouts and handlers over [`mio::Poll`] |
//! | [`periodic`] | Tornado's `PeriodicCallback` |
//! | [`fiber`], [`net`] | blocking code as coroutines of the loop; sockets that suspend them |
//!
//! Where `epoll` or `kqueue` exists, the loop runs; deadlines are met within microseconds on Linux,
//! where a `timerfd` ends the poll, and within a millisecond elsewhere.

mod clock;
pub mod fiber;
pub mod histogram;
mod io_loop;
pub mod lag;
pub mod net;
pub mod periodic;
mod timer_fd;

/// The example of README.md, which is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use mio;
pub use mio::{Interest, Token};

pub use crate::clock::ManualClock;
pub use crate::fiber::Fiber;
pub use crate::io_loop::{
    Driver, EVENTS_PER_TURN, Handler, IoLoop, Ready, Registrar, Timeout, Wake, generation, slot,
};
pub use crate::lag::Lag;
pub use crate::periodic::PeriodicCallback;
