//! Tornado's `IOLoop` in Rust: callbacks, timeouts, sockets and coroutines on one thread.
//!
//! The loop knows nothing of what it serves. Read from the bottom up, each module knows only those
//! before it:
//!
//! | module | what it is |
//! |---|---|
//! | [`histogram`], [`lag`] | histograms of durations; how late the loop runs |
//! | [`IoLoop`] | callbacks, timeouts and handlers over [`mio::Poll`] |
//! | [`periodic`] | Tornado's `PeriodicCallback` |
//! | [`fiber`], [`net`] | blocking code as coroutines of the loop; sockets that suspend them |

mod clock;
pub mod fiber;
pub mod histogram;
mod io_loop;
pub mod lag;
pub mod net;
pub mod periodic;
mod timer_fd;

pub use mio;

pub use crate::clock::ManualClock;
pub use crate::fiber::Fiber;
pub use crate::io_loop::{
    Driver, EVENTS_PER_TURN, Handler, IoLoop, Ready, Registrar, Timeout, Wake, generation, slot,
};
pub use crate::lag::Lag;
pub use crate::periodic::PeriodicCallback;
