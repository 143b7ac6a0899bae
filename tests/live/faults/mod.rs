//! The promise of live prices when exchanges fail: for every fault, by request over https and by
//! stream over wss, the log reports once that it begins and once that it is over, the loop
//! continues meanwhile, prices return without a restart, and each good price arrives once.
//!
//! Each fault has its own fake exchange and server process; several run at a time.

mod case;
#[path = "../../soak/health.rs"]
#[allow(dead_code, reason = "a part of it is for the soak alone")]
mod health;
#[path = "../../soak/ledger.rs"]
mod ledger;
#[path = "../../soak/listener.rs"]
mod listener;
mod names;
mod rest;
mod stream;

/// The symbols that every exchange in these tests trades.
const SYMBOLS: [&str; 1] = ["BTC/USDT"];
