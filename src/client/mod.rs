//! The load client: many connections on one loop that measure what a server delivers.
//!
//! | room | what it does |
//! |---|---|
//! | [`config`] | what was asked for |
//! | [`ws`] | one connection: bytes in, messages out |
//! | [`measure`] | what is counted |
//! | [`run`](mod@run) | the loop: connections are opened, served and ended, phase by phase |
//! | [`report`] | from what was counted to numbers, text and files |
//! | [`workers`] | several processes that share a run |

pub mod config;
pub mod measure;
pub mod report;
pub mod run;
pub mod workers;
mod ws;

pub use self::run::run;
