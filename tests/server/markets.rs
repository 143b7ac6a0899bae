//! A server with the whole market of an exchange, as its clients see it.

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::fake_exchange::{Config, FakeExchange};
use testkit::temp_file;

use crate::common::{next, process};

#[test]
fn a_client_that_watches_a_pattern_is_told_when_a_market_goes_and_gets_the_one_that_comes() {
    let symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "BTC/EUR"];
    let exchange = FakeExchange::start(Config {
        symbols: symbols.map(str::to_owned).into(),
        ..Config::default()
    });
    let exchange = exchange.unwrap();
    exchange.list("okx", "SOL/USDT", false);
    let file = temp_file("*/USDT");
    let symbols = format!("--symbols=@{}", file.path().display());
    let upstream = format!("--upstream={}", exchange.http());
    let mut server = process(&[
        "--source=okx",
        &upstream,
        &symbols,
        "--interval=50ms",
        "--drain=0s",
    ]);
    let url = format!("ws://{}/?symbols=*/USDT", server.address);
    let mut client = tungstenite::client(url, server.connect()).unwrap().0;
    let mut until = |what: &dyn Fn(&Value) -> bool| {
        let mut messages = std::iter::repeat_with(|| next(&mut client)).take(1_000);
        let found = messages.find(|message| what(message));
        assert!(found.is_some(), "it is not among a thousand messages");
    };
    let is_tick_of = |symbol: &'static str| {
        move |message: &Value| message["symbol"] == symbol && message["seq"].is_u64()
    };
    until(&is_tick_of("BTC/USDT"));
    until(&is_tick_of("ETH/USDT"));
    exchange.list("okx", "ETH/USDT", false);
    exchange.list("okx", "SOL/USDT", true);
    // The list is read again each hour, and whenever the user asks for it.
    server.signal(Signal::HUP);
    let delisted = json!({"event": "delisted", "symbol": "ETH/USDT"});
    until(&|message| *message == delisted);
    until(&is_tick_of("SOL/USDT"));
    until(&is_tick_of("BTC/USDT"));
    server.wait_for("okx: symbols added: 1, removed: 1, in all: 2");
}
