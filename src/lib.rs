//! Live prices over WebSocket to thousands of clients from one thread, and the client that proves it.
//!
//! A stock ticker prints each price once, on a paper tape that everybody reads. So does this: the
//! [`Tape`](tape::Tape) is a ring of framed messages, a connection is a position on it, and sending is
//! writing what lies between the position and the head, as far as it is on the client's list. One thread and one
//! [`IoLoop`](ioloop::IoLoop) do all of it, and neither ever waits for anybody.
//!
//! ```text
//!   feed ──publish──▶ hub ─publish─▶ tape ◀──position── connection ──▶ outbox ──▶ socket
//!    │                                                      ▲
//!    └── timers ───────────── io_loop ────── events ────────┘
//! ```
//!
//! Read from the bottom up, each module knows only those before it:
//!
//! | module | what it is |
//! |---|---|
//! | [`tick`], [`frame`], [`tape`] | a price and its JSON; frames and their boundaries; the ring. Pure |
//! | [`ioloop`] | a crate of its own: Tornado's IOLoop over mio, blocking code as its coroutines |
//! | [`cli`], [`log`], [`process`] | command lines; a log that never blocks; CPU and memory |
//! | [`tls`], [`http_client`] | certificates and trusted roots; host names without a thread, and `ureq` |
//! | [`exchanges`] | a crate of its own: how each exchange is asked and what it answers, as data. Pure |
//! | [`feed`] | where prices come from: exchanges, a simulated walk, a recording |
//! | [`server`] | accepts, upgrades, prints and broadcasts |
//! | [`client`] | connects, measures, reports |
//!
//! The words are Tornado's: `add_handler`, `add_callback`, `call_later`, `call_at`,
//! `remove_timeout`, `PeriodicCallback`, `on_message`, `check_origin`, `ping_interval`.

pub(crate) mod backoff;
pub mod cli;
pub mod client;
mod error_text;
pub mod feed;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http_client;
#[cfg(test)]
mod imports;
pub mod log;
pub mod process;
pub mod server;
pub mod tape;
pub mod tick;
pub mod tls;
pub(crate) mod token_bucket;
mod writable;
