//! Live prices over WebSocket to thousands of clients from one thread, and the client that proves it.

mod alarm;
pub mod client;
pub mod feed;
pub mod frame;
pub mod io_loop;
pub mod lag;
pub mod log_stderr;
pub mod options;
pub mod periodic;
pub mod server;
pub mod tape;
pub mod tick;
pub mod usage;
