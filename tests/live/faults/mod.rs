//! The promise of live prices in bad weather: for everything that can go wrong at an exchange, by
//! request over https and by stream over wss, the log says once what it is and once that it is
//! over, the loop goes on meanwhile, prices come again without a restart, and each good one arrives
//! once.
//!
//! Each fault has a fake exchange and a server process of its own; some run at a time.

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

/// The symbols that all exchanges trade here.
const SYMBOLS: [&str; 1] = ["BTC/USDT"];
