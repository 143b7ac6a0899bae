//! Streams live prices over WebSocket to thousands of clients from one thread, and measures them.
//!
//! A stock ticker prints each price once, on a paper tape that everybody reads. This server works
//! the same way: the [`Tape`](tape::Tape) is a ring of framed messages, a connection is a position
//! on it, and sending means writing whatever the client's list selects between the position and the
//! head. One thread and one [`IoLoop`](ioloop::IoLoop) do all of it, and neither ever waits for a
//! client.
//!
//! ```text
//!   feed ──publish──▶ hub ─publish─▶ tape ◀──position── connection ──▶ outbox ──▶ socket
//!    │                                                      ▲
//!    └── timers ───────────── io_loop ────── events ────────┘
//! ```
//!
//! Each module imports only those above it in this table:
//!
//! | module | purpose |
//! |---|---|
//! | [`exchanges`] | a separate crate: the requests and answers of each exchange, as data. Pure |
//! | [`ioloop`] | a separate crate: Tornado's IOLoop over mio, with coroutines |
//! | [`tick`], [`frame`], [`tape`] | a price and its JSON; frames; the ring. Pure |
//! | [`error_text`], `typo` | errors of libraries in plain words; what a misspelled word may mean |
//! | `backoff`, `token_bucket` | pauses between attempts; a limit on how often something happens |
//! | `writable` | streams of the process, written to without waiting |
//! | [`cli`], [`process`], [`log`] | command lines; CPU and memory; a log that never blocks |
//! | [`tls`], [`http_client`] | certificates and roots; DNS without a thread, and `ureq` |
//! | `nats` | a client of NATS and JetStream, in fibers |
//! | `cluster` | the log that several servers share, and what each of them does about it |
//! | [`feed`] | the sources of prices: exchanges, URLs, scripts, a simulated walk, a recording |
//! | [`server`] | accepts clients, upgrades them, publishes and broadcasts |
//! | [`client`] | connects, measures, reports |
//!
//! The words are Tornado's: `add_handler`, `add_callback`, `call_later`, `call_at`,
//! `remove_timeout`, `PeriodicCallback`, `on_message`, `check_origin`, `ping_interval`.

pub(crate) mod backoff;
pub mod cli;
pub mod client;
pub(crate) mod cluster;
pub mod error_text;
pub mod feed;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http_client;
#[cfg(test)]
mod imports;
pub mod log;
pub(crate) mod nats;
pub mod process;
pub mod server;
pub mod tape;
pub mod tick;
pub mod tls;
pub(crate) mod token_bucket;
mod typo;
mod writable;
