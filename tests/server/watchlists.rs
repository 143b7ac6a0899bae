//! Each client has its own selection: names, patterns, a rate, batches; and resumes it without
//! missing a tick.

use std::fs;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::SockRef;
use testkit::frames::{frame, handshake};
use testkit::temp_file;
use tickertape::server::Config;
use tungstenite::Message;

use crate::common::{Client, TestServer, ask, closed_with, next, process, ticks};

/// A long limit, so that a machine that stalls for a second causes no gap.
fn patient() -> Config {
    Config {
        conflate_after: Duration::from_secs(60),
        ..Config::default()
    }
}

fn market() -> TestServer {
    let symbols = ["sim:BTC/USDT", "sim:ETH/USDT", "sim:BTC/EUR", "sim:ETH/EUR"];
    TestServer::with_symbols(patient(), &symbols)
}

/// The symbols `S0/USD`, `S1/USD` and so on.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("S{number}/USD")).collect()
}

/// The symbol and the number of the next tick.
fn tick(client: &mut Client) -> (String, u64) {
    let tick = next(client);
    let symbol = tick["symbol"].as_str().unwrap_or_else(|| panic!("{tick}"));
    (symbol.to_owned(), tick["seq"].as_u64().unwrap())
}

/// The symbols of the next ticks.
fn symbols(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| tick(client).0).collect()
}

/// Waits until the server has published `count` ticks.
fn published(server: &TestServer, count: u64) {
    server.wait_for_metric("ticks_total", |ticks| ticks == count);
}

fn stamp(tick: &Value) -> u64 {
    tick["sent"].as_u64().unwrap()
}

#[test]
fn a_pattern_or_a_bare_name_selects_like_the_full_names() {
    let server = market();
    let mut of_quote = server.open("/?symbols=*/EUR");
    let mut of_base = server.open("/?symbols=BTC/*");
    let mut named = server.open("/?symbols=ETH/USDT,sim:ETH/EUR");
    let mut all = server.open("/?symbols=*");
    for symbol in ["sim:BTC/USDT", "sim:ETH/USDT", "sim:BTC/EUR", "sim:ETH/EUR"] {
        server.tick(symbol, 1);
    }
    assert_eq!(symbols(&mut of_quote, 2), ["sim:BTC/EUR", "sim:ETH/EUR"]);
    assert_eq!(symbols(&mut of_base, 2), ["sim:BTC/USDT", "sim:BTC/EUR"]);
    assert_eq!(symbols(&mut named, 2), ["sim:ETH/USDT", "sim:ETH/EUR"]);
    assert_eq!(symbols(&mut all, 4).len(), 4);
}

#[test]
fn every_client_can_have_its_own_list() {
    let names = numbered(200);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = TestServer::with_symbols(patient(), &names);
    let mut dice = fastrand::Rng::with_seed(7);
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut list = dice.choose_multiple(names.iter().copied(), 5);
        list.sort_unstable();
        let client = server.open(&format!("/?symbols={}", list.join(",")));
        clients.push((client, list));
    }
    for name in &names {
        server.tick(name, 1);
    }
    for (client, list) in &mut clients {
        let mut got = symbols(client, 5);
        got.sort_unstable();
        assert_eq!(got, *list);
    }
    assert!(server.metric("lists") > 290);
    drop(clients);
    server.wait_for_metric("lists", |lists| lists == 0);
}

#[test]
fn patterns_match_later_symbols_and_delisting_is_announced() {
    let server = market();
    let mut of_quote = server.open("/?symbols=*/EUR");
    let mut named = server.open("/?symbols=BTC/EUR");
    let mut everything = server.open("/");
    server.list("sim:XRP/EUR");
    server.tick("sim:XRP/EUR", 1);
    server.tick("sim:BTC/EUR", 1);
    assert_eq!(symbols(&mut of_quote, 2), ["sim:XRP/EUR", "sim:BTC/EUR"]);
    assert_eq!(symbols(&mut everything, 2), ["sim:XRP/EUR", "sim:BTC/EUR"]);
    assert_eq!(symbols(&mut named, 1), ["sim:BTC/EUR"]);
    server.delist("sim:BTC/EUR");
    let delisted = json!({"event": "delisted", "symbol": "sim:BTC/EUR"});
    for client in [&mut of_quote, &mut named, &mut everything] {
        assert_eq!(next(client), delisted);
    }
    let answer = server.ask(handshake("/?symbols=BTC/EUR").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.list("sim:BTC/EUR");
    server.tick("sim:BTC/EUR", 2);
    for client in [&mut of_quote, &mut named, &mut everything] {
        assert_eq!(tick(client), ("sim:BTC/EUR".to_owned(), 2));
    }
}

#[test]
fn new_symbols_begin_with_their_newest_tick_and_kept_ones_continue() {
    let server = market();
    let mut client = server.open("/?symbols=BTC/USDT");
    server.tick("sim:BTC/USDT", 1);
    assert_eq!(tick(&mut client), ("sim:BTC/USDT".to_owned(), 1));
    for price in 1..=3 {
        server.tick("sim:ETH/EUR", price);
    }
    published(&server, 4);
    let answer = ask(
        &mut client,
        r#"{"op":"subscribe","symbols":["*/EUR"],"id":1}"#,
    );
    assert_eq!(
        (&answer["count"], &answer["symbols"]),
        (&json!(3), &json!(["*/EUR", "sim:BTC/USDT"]))
    );
    assert_eq!(tick(&mut client), ("sim:ETH/EUR".to_owned(), 3));
    let answer = ask(
        &mut client,
        r#"{"op":"unsubscribe","symbols":["ETH/EUR"],"id":2}"#,
    );
    assert_eq!(answer["except"], json!(["sim:ETH/EUR"]));
    for symbol in ["sim:ETH/EUR", "sim:BTC/EUR", "sim:BTC/USDT"] {
        server.tick(symbol, 9);
    }
    assert_eq!(tick(&mut client), ("sim:BTC/EUR".to_owned(), 1));
    assert_eq!(tick(&mut client), ("sim:BTC/USDT".to_owned(), 2));
}

#[test]
fn a_list_can_be_made_in_several_messages() {
    let names = numbered(2000);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = TestServer::with_symbols(patient(), &all);
    let mut client = server.open("/?symbols=S0/USD");
    let mut count = 1;
    for part in names.chunks(300) {
        let text = json!({"op": "subscribe", "symbols": part, "id": 1}).to_string();
        assert!(text.len() <= 4096, "{}", text.len());
        let answer = ask(&mut client, &text);
        count += part.len() - usize::from(count == 1);
        assert_eq!(answer["count"], json!(count));
    }
    server.tick("S1999/USD", 5);
    assert_eq!(tick(&mut client), ("S1999/USD".to_owned(), 1));
}

#[test]
fn a_returning_client_misses_no_tick_of_an_unread_list() {
    let server = market();
    let mut client = server.open("/?symbols=BTC/USDT");
    server.tick("sim:BTC/USDT", 1);
    let since = stamp(&next(&mut client));
    drop(client);
    server.wait_for_metric("clients", |clients| clients == 0);
    for price in 2..=9 {
        server.tick("sim:BTC/USDT", price);
        server.tick("sim:ETH/EUR", price);
    }
    published(&server, 17);
    let mut client = server.open(&format!("/?symbols=BTC/USDT&since={since}"));
    let expected: Vec<_> = (2..=9).map(|number| (number, number)).collect();
    assert_eq!(ticks(&mut client, 8), expected);
    // Another list, by a pattern: the ticks since then, whichever the client had read before.
    let mut other = server.open(&format!("/?symbols=*/EUR&since={since}"));
    let expected: Vec<_> = (2..=9).map(|number| (number - 1, number)).collect();
    assert_eq!(ticks(&mut other, 8), expected);
}

#[test]
fn a_change_of_the_list_loses_no_tick() {
    let server = market();
    let mut client = server.open("/?symbols=BTC/USDT,ETH/EUR");
    server.tick("sim:BTC/USDT", 1);
    let since = stamp(&next(&mut client));
    drop(client);
    for price in 2..=4 {
        server.tick("sim:ETH/EUR", price);
        server.tick("sim:ETH/USDT", price);
    }
    published(&server, 7);
    let mut client = server.open(&format!("/?symbols=ETH/*&since={since}"));
    let got: Vec<_> = (0..6).map(|_| tick(&mut client)).collect();
    let of = |symbol: &str| {
        let of = got.iter().filter(|(name, _)| name == symbol);
        of.map(|(_, number)| *number).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("sim:ETH/EUR"), of("sim:ETH/USDT")),
        (vec![1, 2, 3], vec![1, 2, 3])
    );
}

#[test]
fn a_stamp_ahead_of_the_server_waits_until_the_tape_gets_there() {
    let server = market();
    server.tick("sim:BTC/USDT", 1);
    published(&server, 1);
    let now = stamp(&next(&mut server.open("/")));
    // As after coming from a server that is half a second ahead.
    let ahead = now + 500_000;
    let mut client = server.open(&format!("/?since={ahead}"));
    let began = Instant::now();
    let mut price = 1;
    while began.elapsed() < Duration::from_millis(700) {
        price += 1;
        server.tick("sim:BTC/USDT", price);
        std::thread::sleep(Duration::from_millis(10));
    }
    let first = next(&mut client);
    assert!(stamp(&first) > ahead, "{first}");
    let before = ask(&mut client, r#"{"op":"get","symbol":"BTC/USDT","id":1}"#);
    assert!(stamp(&before) >= stamp(&first));
}

#[test]
fn a_stamp_that_the_tape_never_reaches_is_ignored() {
    let config = Config {
        resume_wait: Duration::from_millis(200),
        ..Config::default()
    };
    let server = TestServer::start(config);
    server.tick("A", 4);
    published(&server, 1);
    let began = Instant::now();
    let mut client = server.open(&format!("/?since={}", u64::MAX));
    assert_eq!(ticks(&mut client, 1), [(1, 4)]);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    server.tick("A", 5);
    assert_eq!(ticks(&mut client, 1), [(2, 5)]);
}

#[test]
fn a_client_with_its_own_rate_gets_the_newest_ticks_once_a_period() {
    let server = market();
    let mut client = server.open("/?symbols=BTC/*&every=200ms");
    let began = Instant::now();
    let mut price = 0;
    while began.elapsed() < Duration::from_millis(900) {
        price += 1;
        server.tick("sim:BTC/USDT", price);
        server.tick("sim:ETH/USDT", price);
        if price == 3 {
            server.tick("sim:BTC/EUR", price);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let last = price;
    let mut got = Vec::new();
    while got.last() != Some(&("sim:BTC/USDT".to_owned(), last)) {
        got.push(tick(&mut client));
    }
    let of = |symbol: &str| got.iter().filter(|(name, _)| name == symbol).count();
    assert_eq!(of("sim:BTC/EUR"), 1, "it changed once");
    assert!((2..=6).contains(&of("sim:BTC/USDT")), "{got:?}");
    assert_eq!(of("sim:ETH/USDT"), 0);
    // A client with its own rate does not count as slow.
    assert_eq!(server.metric("conflated_total"), 0);
}

#[test]
fn a_client_with_its_own_rate_resumes_with_the_newest_ticks_at_once() {
    let server = market();
    let mut client = server.open("/");
    server.tick("sim:BTC/USDT", 1);
    let since = stamp(&next(&mut client));
    for price in 2..=4 {
        server.tick("sim:BTC/USDT", price);
    }
    published(&server, 4);
    let mut client = server.open(&format!("/?since={since}&every=1h"));
    assert_eq!(ticks(&mut client, 1), [(4, 4)]);
    // New symbols do not wait for a beat either, and come with the ticks that changed since.
    for symbol in ["sim:ETH/EUR", "sim:BTC/USDT"] {
        server.tick(symbol, 9);
    }
    published(&server, 6);
    let answer = ask(
        &mut client,
        r#"{"op":"unsubscribe","symbols":["*/EUR"],"id":1}"#,
    );
    assert_eq!(answer["count"], json!(2));
    assert_eq!(ticks(&mut client, 1), [(5, 9)]);
    ask(
        &mut client,
        r#"{"op":"subscribe","symbols":["*/EUR"],"id":2}"#,
    );
    assert_eq!(ticks(&mut client, 1), [(1, 9)]);
}

#[test]
fn a_rate_can_be_changed_while_connected() {
    let server = market();
    let mut client = server.open("/?symbols=BTC/USDT");
    let answer = ask(&mut client, r#"{"op":"subscribe","every":"1h","id":1}"#);
    assert_eq!(
        (&answer["every"], &answer["count"]),
        (&json!("3600000ms"), &json!(1))
    );
    for price in 1..=5 {
        server.tick("sim:BTC/USDT", price);
    }
    published(&server, 5);
    client
        .send(tungstenite::Message::text(
            r#"{"op":"subscribe","every":null,"id":2}"#,
        ))
        .unwrap();
    assert_eq!(next(&mut client)["id"], json!(2), "nothing came before");
    assert_eq!(
        ticks(&mut client, 1),
        [(5, 5)],
        "the newest tick that it missed"
    );
    server.tick("sim:BTC/USDT", 6);
    assert_eq!(ticks(&mut client, 1), [(6, 6)]);
}

#[test]
fn pings_and_the_close_frame_do_not_wait_for_the_period() {
    // The timeout is as long as the interval, so there is time to answer on a busy machine.
    let ping_interval = Duration::from_secs(1);
    let config = Config {
        ping_interval,
        ping_timeout: ping_interval,
        drain: Duration::ZERO,
        ..patient()
    };
    let server = TestServer::with_symbols(config, &["A"]);
    let mut client = server.open("/?every=1h");
    for _ in 0..2 {
        let ping = client.read().unwrap();
        assert!(ping.is_ping(), "{ping:?}");
        client.flush().unwrap();
    }
    server.tick("A", 1);
    published(&server, 1);
    server.shut_down();
    let mut got = Vec::new();
    let code = loop {
        match client.read().unwrap() {
            tungstenite::Message::Text(text) => got.push(text.to_string()),
            tungstenite::Message::Close(Some(close)) => break u16::from(close.code),
            _ => client.flush().unwrap(),
        }
    };
    assert_eq!(code, 1001);
    assert!(
        got.len() == 1 && got[0].contains(r#""seq":1,"#),
        "the last tick: {got:?}"
    );
}

#[test]
fn a_batch_is_one_list_per_write_and_no_longer_than_allowed() {
    let names = numbered(50);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = Config {
        max_batch: 20,
        ..patient()
    };
    let server = TestServer::with_symbols(config, &all);
    for name in &all {
        server.tick(name, 1);
    }
    published(&server, 50);
    let mut client = server.open("/?batch");
    let mut of_list = server.open("/?batch=true&symbols=S1/USD,S7/USD");
    let lists: Vec<_> = (0..3).map(|_| next(&mut client)).collect();
    let lengths: Vec<_> = lists
        .iter()
        .map(|list| list.as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [20, 20, 10]);
    assert_eq!(lists[2][9]["symbol"], json!("S49/USD"));
    let symbols = |list: Value| {
        let list = list.as_array().unwrap().clone();
        list.iter()
            .map(|tick| tick["symbol"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(symbols(next(&mut of_list)), ["S1/USD", "S7/USD"]);
    let answer = ask(&mut of_list, r#"{"op":"ping","id":1}"#);
    assert_eq!(answer["op"], "pong", "an answer is in no list");
    server.tick("S7/USD", 2);
    assert_eq!(symbols(next(&mut of_list)), ["S7/USD"]);
    let answer = ask(&mut of_list, r#"{"op":"subscribe","batch":false,"id":2}"#);
    assert_eq!(answer.get("batch"), None);
    server.tick("S7/USD", 3);
    assert_eq!(next(&mut of_list)["seq"], json!(3));
}

#[test]
fn a_client_that_pages_through_the_names_of_all_symbols_sees_each_once() {
    let names = numbered(60_000);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = TestServer::with_symbols(patient(), &all);
    let mut client = server.open("/?symbols=S7/USD");
    let mut pages = 0;
    let mut got: Vec<String> = Vec::new();
    let mut request = json!({"op": "list", "id": 1});
    loop {
        let answer = ask(&mut client, &request.to_string());
        let page: Vec<String> = serde_json::from_value(answer["symbols"].clone()).unwrap();
        assert!(!page.is_empty() && answer.to_string().len() < 66_000);
        got.extend(page);
        pages += 1;
        let more = answer.get("more").map_or(0, |more| more.as_u64().unwrap());
        assert_eq!(got.len() as u64 + more, 60_000);
        if more == 0 {
            break;
        }
        request["after"] = json!(got.last());
    }
    assert!(got == names && pages > 5, "{} on {pages} pages", got.len());
    let answer = ask(&mut client, r#"{"op":"list","symbols":["S7/*"],"id":2}"#);
    assert_eq!(answer["symbols"], json!(["S7/USD"]));
    assert_eq!(answer.get("more"), None);
    let answer = ask(&mut client, r#"{"op":"list","after":"S7/EUR","id":3}"#);
    let message = answer["message"].as_str().unwrap();
    assert!(message.starts_with("unknown symbol 'S7/EUR'"), "{message}");
}

#[test]
fn a_client_that_joins_a_large_market_gets_all_of_it_in_order() {
    let names = numbered(5_000);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = TestServer::with_symbols(patient(), &all);
    for name in &all {
        server.tick(name, 1);
    }
    published(&server, 5_000);
    let mut client = server.open("/");
    // The client gets half a megabyte, more than a socket takes at once; this symbol ticks
    // meanwhile.
    server.tick("S4999/USD", 2);
    let mut got: Vec<_> = (0..5_000).map(|_| tick(&mut client)).collect();
    let last = got.pop().unwrap();
    let is_second = last == ("S4999/USD".to_owned(), 2);
    assert!(is_second || last == ("S4999/USD".to_owned(), 1) && tick(&mut client).1 == 2);
    let expected = names[..4_999].iter().map(|name| (name.clone(), 1));
    assert!(got.into_iter().eq(expected));
}

#[test]
fn a_request_is_answered_however_far_behind_the_client_is() {
    const SYMBOLS: usize = 2_000;
    let names = numbered(SYMBOLS);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = Config {
        conflate_after: Duration::from_millis(1),
        ..Config::default()
    };
    let server = TestServer::with_symbols(config, &all);
    for path in ["/", "/?every=10ms"] {
        let mut stream = server.connect();
        stream.write_all(handshake(path).as_bytes()).unwrap();
        let mut buffer = vec![0; 64 << 10];
        let (mut read, mut has_asked, mut is_answered) = (0, false, false);
        while !is_answered {
            // The server publishes three times as much as the client reads.
            names.iter().for_each(|name| server.tick(name, 1));
            let length = stream.read(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]);
            is_answered = text.contains(r#""id":"me""#);
            read += length;
            assert!(length > 0 && read < 50_000_000, "{path}: no answer");
            if !has_asked && read > 4_000_000 {
                let ping = frame(0x81, br#"{"op":"ping","id":"me"}"#);
                stream.write_all(&ping).unwrap();
                has_asked = true;
            }
        }
    }
}

#[test]
fn unknown_and_invalid_parameters_are_named() {
    let server = market();
    for (query, words) in [
        (
            "symbols=BTC/XYZ",
            "unknown symbol 'BTC/XYZ', similar are: sim:BTC/USDT, sim:BTC/EUR",
        ),
        (
            "symbols=BTC/USDT,B*/USDT",
            "invalid pattern 'B*/USDT': a * stands for a whole part",
        ),
        ("symbols=btc/usdt", "similar are: sim:BTC/USDT"),
        ("every=1ms", "invalid every '1ms': expected 10ms to 3600s"),
        ("every=", "invalid every ''"),
        ("batch=no", "invalid batch"),
        ("since=yesterday", "invalid since"),
    ] {
        let answer = server.ask(handshake(&format!("/?{query}")).as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains(words),
            "{answer}"
        );
    }
}

#[test]
fn lists_that_would_take_too_much_memory_are_refused() {
    let names = numbered(3_000);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = Config {
        list_memory: 64 << 10,
        ..patient()
    };
    let server = TestServer::with_symbols(config, &all);
    let mut clients = Vec::new();
    // Each list takes six kilobytes.
    let refused = loop {
        let mut client = server.open("/");
        let text = format!(
            r#"{{"op":"unsubscribe","symbols":["S{}/USD"],"id":1}}"#,
            clients.len()
        );
        let answer = ask(&mut client, &text);
        if answer["op"] == "error" {
            break answer["message"].as_str().unwrap().to_owned();
        }
        clients.push(client);
        assert!(clients.len() < 30);
    };
    assert!(refused.contains("--list-memory"), "{refused}");
    let answer = server.ask(handshake("/?symbols=*/USD").as_bytes().to_vec().as_slice());
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    server.tick("S2999/USD", 1);
    for client in &mut clients {
        assert_eq!(ticks(client, 1), [(1, 1)]);
    }
    drop(clients.pop());
    server.wait_for_metric("lists", |lists| lists < 11);
    server.open("/?symbols=*/USD");
}

#[test]
fn the_snapshot_of_a_list_is_sent_together_with_the_answer() {
    let server = market();
    server.tick("sim:BTC/USDT", 5);
    server.tick("sim:ETH/EUR", 6);
    published(&server, 2);
    let mut stream = server.connect();
    stream
        .write_all(handshake("/?symbols=ETH/*&batch").as_bytes())
        .unwrap();
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]);
    assert!(
        text.starts_with("HTTP/1.1 101")
            && text.ends_with("}]")
            && text.contains(r#"[{"symbol":"sim:ETH/EUR","price":6,"#),
        "{text}"
    );
}

#[test]
fn a_client_that_waits_for_its_stamp_gets_1001_like_others() {
    let config = Config {
        drain: Duration::ZERO,
        ..Config::default()
    };
    let server = TestServer::start(config);
    let mut client = server.open(&format!("/?since={}", u64::MAX));
    server.shut_down();
    assert_eq!(u16::from(closed_with(&mut client)), 1001);
}

#[test]
fn a_waiting_client_whose_list_has_grown_does_not_delay_the_shutdown() {
    let config = Config {
        drain: Duration::from_millis(50),
        ..Config::default()
    };
    let server = TestServer::with_symbols(config, &["A/USD"]);
    let mut client = server.open(&format!("/?symbols=*/USD&since={}", u64::MAX));
    server.list("B/USD");
    server.tick("B/USD", 1);
    published(&server, 1);
    server.shut_down();
    assert_eq!(u16::from(closed_with(&mut client)), 1001);
    drop(client);
    server.join();
}

#[test]
fn symbols_come_from_a_file_that_is_read_again_on_sighup() {
    let file = temp_file("# the market\nBTC/USDT, ETH/USDT\n\nSOL/EUR # thin\n");
    let argument = format!("--symbols=@{}", file.path().display());
    let mut server = process(&[&argument, "--interval", "20ms", "--drain", "0s"]);
    let url = format!("ws://{}/?symbols=*/EUR,BTC/USDT", server.address);
    let mut client = tungstenite::client(url, server.connect()).unwrap().0;
    let names = |client: &mut Client| ask(client, r#"{"op":"list","id":1}"#)["symbols"].clone();
    assert_eq!(
        names(&mut client),
        json!(["sim:BTC/USDT", "sim:ETH/USDT", "sim:SOL/EUR"])
    );
    fs::write(&file, "BTC/USDT SOL/EUR XRP/EUR").unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("reloaded the symbols: 1 added, 1 removed");
    while tick(&mut client).0 != "sim:XRP/EUR" {}
    assert_eq!(
        names(&mut client),
        json!(["sim:BTC/USDT", "sim:SOL/EUR", "sim:XRP/EUR"])
    );
    // An invalid file has no effect.
    fs::write(&file, "BTC/USDT nonsense").unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.wait_for(
        "invalid symbol 'nonsense': expected BASE/QUOTE, such as BTC/USDT; keeping the current symbols",
    );
    assert_eq!(names(&mut client).as_array().unwrap().len(), 3);
}

#[test]
fn a_client_that_does_not_read_costs_little_however_large_the_market_is() {
    const CLIENTS: u64 = 32;
    let names = numbered(20_000);
    let file = temp_file(names.join("\n"));
    let argument = format!("--symbols=@{}", file.path().display());
    // Most of the newest ticks have fallen off the tape.
    let server = process(&[&argument, "--interval", "3600s", "--tape", "256KiB"]);
    server.wait_for_metric("tickertape_ticks_total", |ticks| ticks >= 20_000);
    let url = format!("ws://{}/?symbols=S7/USD", server.address);
    let open = || tungstenite::client(&url, server.connect()).unwrap().0;
    let mut reader = open();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| open()).collect();
    for client in &clients {
        // The socket gets the smallest possible buffer.
        let socket = SockRef::from(client.get_ref());
        socket.set_recv_buffer_size(4096).unwrap();
    }
    let resident = || server.metric("process_resident_memory_bytes");
    let before = resident();
    for client in clients.iter_mut().chain([&mut reader]) {
        let everything = Message::text(r#"{"op":"subscribe","symbols":["*"],"id":1}"#);
        client.send(everything).unwrap();
        client
            .send(Message::text(r#"{"op":"ping","id":2}"#))
            .unwrap();
    }
    server.wait_for_metric("tickertape_slow_clients", |slow| slow >= CLIENTS);
    let each = resident().saturating_sub(before) / CLIENTS;
    assert!(each < 64 << 10, "{each} bytes each");
    // The client that reads gets all of it, and then the answer to the second request.
    assert_eq!(tick(&mut reader).0, "sim:S7/USD");
    assert_eq!(next(&mut reader)["op"], "subscribe");
    let got = symbols(&mut reader, 19_999);
    let others = names.iter().filter(|name| *name != "S7/USD");
    assert!(got.into_iter().eq(others.map(|name| format!("sim:{name}"))));
    assert_eq!(next(&mut reader)["op"], "pong");
}

#[test]
fn sighup_takes_effect_at_once_however_long_the_interval_is() {
    let file = temp_file("BTC/USDT ETH/USDT");
    let argument = format!("--symbols=@{}", file.path().display());
    for spread in [&[][..], &["--spread"]] {
        let options = [
            &[&*argument, "--interval", "3600s", "--drain", "0s"],
            spread,
        ]
        .concat();
        let server = process(&options);
        let url = format!("ws://{}/?symbols=*/EUR,ETH/USDT", server.address);
        let mut client = tungstenite::client(url, server.connect()).unwrap().0;
        assert_eq!(tick(&mut client).0, "sim:ETH/USDT");
        fs::write(&file, "BTC/USDT XRP/EUR").unwrap();
        server.signal(rustix::process::Signal::HUP);
        let delisted = json!({"event": "delisted", "symbol": "sim:ETH/USDT"});
        assert_eq!(next(&mut client), delisted);
        assert_eq!(tick(&mut client), ("sim:XRP/EUR".to_owned(), 1));
        fs::write(&file, "BTC/USDT ETH/USDT").unwrap();
        server.signal(rustix::process::Signal::HUP);
        let delisted = json!({"event": "delisted", "symbol": "sim:XRP/EUR"});
        assert_eq!(next(&mut client), delisted);
        assert_eq!(tick(&mut client).0, "sim:ETH/USDT");
    }
}

#[test]
fn a_client_without_room_for_a_longer_list_gets_an_error() {
    let names = numbered(1_000);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = Config {
        list_memory: 3_000,
        ..patient()
    };
    let server = TestServer::with_symbols(config, &all);
    let mut clients = [(); 2].map(|()| server.open("/?symbols=*/USD"));
    server.list("NEW/USD");
    for client in &mut clients {
        let error = next(client);
        assert_eq!(
            (&error["op"], &error["id"]),
            (&json!("error"), &Value::Null)
        );
        let expected = "no room for 'NEW/USD': the lists of all clients can take 3000 bytes";
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(expected), "{message}");
    }
    server.tick("NEW/USD", 1);
    server.tick("S5/USD", 1);
    for client in &mut clients {
        assert_eq!(tick(client).0, "S5/USD");
    }
}
