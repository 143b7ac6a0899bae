//! Symbols that change while the server runs, by a file that is read again on SIGHUP.

use std::fs;
use std::net::TcpStream;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::fake_exchange::{Config, FakeExchange};
use testkit::{NamedTempFile, ServerProcess, temp_file};
use tungstenite::WebSocket;

use crate::client::next;
use crate::upstream::{Answer, Upstream, now_ms};

/// A server whose symbols are in a file.
struct Scene {
    server: ServerProcess,
    file: NamedTempFile,
}

impl Scene {
    fn start(symbols: &str, arguments: &[&str]) -> Self {
        let file = temp_file(symbols);
        let list = format!("@{}", file.path().display());
        let mut all = vec!["--symbols", &list];
        all.extend(arguments);
        let server = ServerProcess::start(env!("CARGO_BIN_EXE_server"), &all);
        Self { server, file }
    }

    /// Lets the server read other symbols, and waits until it has.
    fn change(&mut self, symbols: &str, expected: &str) {
        fs::write(self.file.path(), symbols).unwrap();
        self.server.signal(Signal::HUP);
        self.server.wait_for(expected);
    }

    fn join(&self, query: &str) -> WebSocket<TcpStream> {
        let url = format!("ws://{}/{query}", self.server.address);
        tungstenite::client(url, self.server.connect()).unwrap().0
    }
}

const RELOADED: &str = "reloaded the list of symbols";

#[test]
fn a_symbol_that_is_taken_back_gets_prices_again() {
    let fake = FakeExchange::start(Config {
        tick_every: Duration::from_millis(20),
        ..Config::default()
    });
    let fake = fake.unwrap();
    let all = "BTC/USDT ETH/USDT SOL/USDT DOGE/USDT A1/USDT A2/USDT A3/USDT";
    for source in ["okx+stream", "bitfinex+stream", "kucoin+stream", "okx"] {
        let upstream = [
            "--source",
            source,
            "--upstream",
            &fake.http(),
            "--interval",
            "50ms",
        ];
        let mut scene = Scene::start(all, &upstream);
        let mut client = scene.join("?symbols=BTC/USDT");
        next(&mut client, "\"price\"");
        scene.change(&all.replace("BTC/USDT", ""), RELOADED);
        next(&mut client, "\"delisted\"");
        scene.change(all, RELOADED);
        let began = Instant::now();
        let mut again = loop {
            let url = format!("ws://{}/?symbols=BTC/USDT", scene.server.address);
            match tungstenite::client(url, scene.server.connect()) {
                Ok((client, _)) => break client,
                Err(error) => assert!(began.elapsed() < Duration::from_secs(5), "{error}"),
            }
        };
        // The newest price from before may come first.
        let first = next(&mut again, "\"price\"");
        let seq = |tick: &str| -> u64 {
            let seq = tick.split("\"seq\":").nth(1).unwrap();
            seq.split([',', '}']).next().unwrap().parse().unwrap()
        };
        let second = next(&mut again, "\"price\"");
        assert!(seq(&second) > seq(&first), "{source}: {first} {second}");
    }
}

const LIST: &str = "/www.okx.com/api/v5/public/instruments?instType=SPOT";

fn ok(body: String) -> Answer {
    (200, "", body)
}

/// OKX's list of these markets, or their prices, which look alike.
fn okx(markets: &[&str]) -> Answer {
    let now = now_ms();
    let entry = |market: &&str| {
        let (base, quote) = market.split_once('-').unwrap();
        format!(
            r#"{{"baseCcy":"{base}","quoteCcy":"{quote}","instId":"{market}","state":"live","last":"1","ts":"{now}"}}"#
        )
    };
    let entries: Vec<_> = markets.iter().map(entry).collect();
    ok(format!(
        r#"{{"code":"0","msg":"","data":[{}]}}"#,
        entries.join(",")
    ))
}

#[test]
fn while_a_list_is_awaited_every_change_is_obeyed() {
    let upstream = Upstream::http(|_, path| match path {
        LIST => (429, "Retry-After: 600\r\n", "{}".to_owned()),
        path => okx(&[path.rsplit('=').next().unwrap()]),
    });
    let mut scene = Scene::start(
        "*/USDT",
        &["--source", "okx", "--upstream", &upstream.url()],
    );
    for symbol in ["BTC/EUR", "ETH/EUR", "SOL/EUR"] {
        scene.change(&format!("*/USDT {symbol}"), RELOADED);
        // The exchange wants no requests for now, but the symbol is there.
        let name = format!("{symbol}: no price");
        let began = Instant::now();
        while !scene.server.get("/readyz").contains(&name) {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{}",
                scene.server.log()
            );
        }
    }
    let page = scene.server.get("/readyz");
    assert!(page.contains("okx: waiting for its list of markets, failing (rate_limited) for"));
    assert!(page.contains(", next attempt in "), "{page}");
    let waits = r#"tickertape_market_list_wait_seconds{exchange="okx"}"#;
    let waits = testkit::metrics::value(&scene.server.metrics(), waits);
    assert!(waits.is_some_and(|waits| (500..=600).contains(&waits)));
    let lists = upstream
        .asked()
        .iter()
        .filter(|(_, path)| path == LIST)
        .count();
    assert_eq!(lists, 1);
}

#[test]
fn a_change_is_checked_as_at_the_start() {
    let upstream = Upstream::http(|_, path| match path {
        path if path.contains("gold") => ok(r#"{"p":4242.1}"#.to_owned()),
        path => okx(&[path.rsplit('=').next().unwrap()]),
    });
    let gold = format!("XAU/USD={}/gold#/p", upstream.url());
    let arguments = [
        "--source",
        "okx",
        "--source",
        &gold,
        "--upstream",
        &upstream.url(),
    ];
    let mut scene = Scene::start("BTC/USDT", &arguments);
    let kept = "; keeping the current symbols";
    for (symbols, error) in [
        (
            "BTC/USDT XAU/USD",
            "XAU/USD comes from several --source: leave all but one out",
        ),
        (
            "BTC/USDT btc/usdt",
            "are the same market at okx, BTC-USDT: remove one of them",
        ),
        (
            "kraken:BTC/USD",
            "kraken:BTC/USD is from kraken, which is none of the sources: okx",
        ),
    ] {
        scene.change(symbols, &format!("{error}{kept}"));
    }
    next(&mut scene.join("?symbols=XAU/USD"), "4242.1");
    next(&mut scene.join("?symbols=BTC/USDT"), "\"price\"");
}

#[test]
fn one_symbol_of_several_exchanges_may_be_named_for_each() {
    let upstream = Upstream::http(|_, path| match path {
        path if path.contains("kraken") => {
            ok(r#"{"error":[],"result":{"XXBTZUSD":{"c":["2"]}}}"#.to_owned())
        }
        path => okx(&[path.rsplit('=').next().unwrap()]),
    });
    let arguments = ["--source", "okx,kraken", "--upstream", &upstream.url()];
    let scene = Scene::start("kraken:BTC/USD,okx:BTC/USD", &arguments);
    let mut client = scene.join("");
    next(&mut client, "kraken:BTC/USD");
    next(&mut client, "okx:BTC/USD");
}

#[test]
fn a_list_that_has_lost_most_of_its_markets_is_not_believed_at_once() {
    let reads = Arc::new(AtomicUsize::new(0));
    let read = Arc::clone(&reads);
    let all: Vec<_> = (0..30).map(|number| format!("A{number}-USDT")).collect();
    let upstream = Upstream::http(move |_, path| {
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        match path {
            LIST if read.fetch_add(1, Relaxed) == 1 => okx(&all[..3]),
            _ => okx(&all),
        }
    });
    let mut scene = Scene::start(
        "*/USDT",
        &["--source", "okx", "--upstream", &upstream.url()],
    );
    scene
        .server
        .wait_for("okx: symbols added: 30, removed: 0, in all: 30");
    scene.change(
        "*/USDT",
        "okx: its list has only 3 of 30 markets; keeping the last one",
    );
    assert_eq!(scene.server.metric("tickertape_symbols"), 30);
    // Nor is it read again before its time.
    scene.change("*/USDT A0/USDT", RELOADED);
    assert_eq!(reads.load(Relaxed), 2);
}

#[test]
fn connections_keep_the_distance_that_the_exchange_wants_after_an_outage_too() {
    let opened: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&opened);
    let upstream = Upstream::start(
        |_, path| panic!("{path}"),
        move |number, mut peer| {
            noted.lock().unwrap().push(Instant::now());
            // The first ones are cut after a while, all at the same time.
            let text = peer.text();
            if number < 3 {
                return;
            }
            drop(text);
            while peer.text().is_some() {}
        },
    );
    let own = r#"{"exchanges":[{"id":"mine","name":"Mine","spelling":{"market":"{BASE}-{QUOTE}"},
        "interval_ms":1,"stream":{"url":"wss://mine/ws","subscribe":{"sub":"{market}"},
            "most":1,"per_connection":1,"connect_every_ms":600,
            "ticks":{"when":"/last","message":{"symbol":"/id","last":"/last"}},
            "alive":{"by":"pong","every_ms":10000}}}]}"#;
    let file = temp_file(own);
    let exchanges = file.path().to_str().unwrap();
    let arguments = [
        "--source",
        "mine+stream",
        "--exchanges",
        exchanges,
        "--upstream",
        &upstream.url(),
    ];
    let _scene = Scene::start("A/X B/X C/X", &arguments);
    let began = Instant::now();
    while opened.lock().unwrap().len() < 6 {
        assert!(began.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    let opened = opened.lock().unwrap();
    // They are 600 ms apart, but a handshake may be late on a busy machine. Back-off alone would
    // open the last three within 250 ms.
    for three in [&opened[..3], &opened[3..]] {
        assert!(
            three[2] - three[0] >= Duration::from_millis(600),
            "{opened:?}"
        );
    }
}
