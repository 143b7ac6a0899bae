//! Plain HTTP beside the WebSocket: prices and symbols for clients that ask once, on connections
//! that go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::http::{Answer, read_answer};
use tickertape::server::{Config, Origins};
use tungstenite::Message;

use crate::common::{TestServer, next, read_to_end};

fn request(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// Asks on a connection that goes on.
fn ask_on(stream: &mut TcpStream, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(stream).unwrap()
}

fn get(server: &TestServer, target: &str) -> Answer {
    ask_on(&mut server.connect(), &request(target, ""))
}

fn three_symbols() -> TestServer {
    let symbols = ["sim:BTC/USDT", "sim:ETH/EUR", "own:ETH/EUR"];
    let server = TestServer::with_symbols(Config::default(), &symbols);
    for (price, symbol) in (1..).zip(symbols) {
        server.tick(symbol, price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 3);
    server
}

#[test]
fn the_newest_ticks_are_the_bytes_of_the_stream() {
    let server = three_symbols();
    let mut client = server.open("/");
    let mut stream = Vec::new();
    while stream.len() < 3 {
        if let Message::Text(text) = client.read().unwrap() {
            stream.push(text.to_string());
        }
    }
    let all = get(&server, "/ticks");
    assert_eq!(all.header("content-type"), Some("application/json"));
    assert_eq!(all.body, format!("[{}]", stream.join(",")));
    let lines = get(&server, "/ticks?format=ndjson");
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.body, stream.join("\n") + "\n");
    let wanted = request("/ticks", "Accept: application/x-ndjson\r\n");
    assert_eq!(ask_on(&mut server.connect(), &wanted).body, lines.body);
    for one in [
        "/ticks/sim:BTC/USDT",
        "/ticks/BTC/USDT",
        "/ticks/sim%3ABTC%2fUSDT",
    ] {
        assert_eq!(get(&server, one).body, stream[0], "{one}");
    }
}

#[test]
fn names_and_patterns_are_those_of_the_stream() {
    let server = three_symbols();
    let count = |query: &str| {
        let ticks = get(&server, &format!("/ticks?symbols={query}")).json();
        ticks.as_array().unwrap().len()
    };
    assert_eq!(count("sim:*/*"), 2);
    assert_eq!(count("*/EUR,BTC/USDT"), 3);
    assert_eq!(count("sim%3ABTC%2FUSDT"), 1);
    assert_eq!(count("*/JPY"), 0);
}

#[test]
fn a_stream_joins_behind_a_tick_without_a_hole() {
    let server = three_symbols();
    let ticks = get(&server, "/ticks").json();
    let sent = ticks
        .as_array()
        .unwrap()
        .iter()
        .map(|tick| tick["sent"].as_u64().unwrap());
    let newest = sent.max().unwrap();
    server.tick("sim:BTC/USDT", 7);
    server.tick("sim:BTC/USDT", 8);
    let mut client = server.open(&format!("/?since={newest}"));
    assert_eq!(next(&mut client)["price"], 7);
    assert_eq!(next(&mut client)["price"], 8);
}

#[test]
fn symbols_are_described() {
    let server = TestServer::with_symbols(Config::default(), &["sim:BTC/USDT", "A"]);
    server.tick("A", 1);
    server.wait_for_metric("ticks_total", |ticks| ticks == 1);
    let symbols = get(&server, "/symbols").json();
    let first = json!({
        "symbol": "sim:BTC/USDT", "market": "sim:BTC/USDT", "source": "sim", "stale": false,
        "age": null, "stale_after": null, "seq": 0, "sent": null,
    });
    assert_eq!(symbols[0], first);
    assert_eq!(
        (&symbols[1]["symbol"], &symbols[1]["seq"]),
        (&json!("A"), &json!(1))
    );
    assert!(
        symbols[1]["age"].is_u64() && symbols[1]["sent"].is_u64(),
        "{symbols}"
    );
    assert_eq!(
        get(&server, "/symbols?symbols=A&format=ndjson")
            .body
            .lines()
            .count(),
        1
    );
}

#[test]
fn errors_are_json_for_programs_and_text_for_people() {
    let server = three_symbols();
    for (target, status, words) in [
        ("/ticks/NO/SUCH", 404, "unknown symbol 'NO/SUCH'"),
        ("/ticks/ETH/EUR", 404, "sim:ETH/EUR, own:ETH/EUR"),
        ("/ticks?symbols=NO/SUCH", 400, "unknown symbol"),
        ("/ticks?symbol=A", 400, "did you mean symbols?"),
        ("/ticks?since=1", 400, "invalid parameter 'since'"),
        ("/ticks/%ff", 400, "percent-encoded UTF-8"),
        ("/ticks/%00%1b[31m", 404, "unknown symbol"),
        ("/ticks?format=xml", 400, "expected json or ndjson"),
        ("/symbols/A", 404, "no such page"),
    ] {
        let answer = get(&server, target);
        assert_eq!(answer.status, status, "{target}");
        let error = answer.json();
        assert_eq!(error["status"], status, "{target}");
        let message = error["error"].as_str().unwrap();
        assert!(
            message.contains(words) && !message.contains('\x1b'),
            "{message}"
        );
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let page = get(&server, "/nothing");
    assert!(page.body.starts_with("no such page: "), "{}", page.body);
    let lines = "Accept: application/json\r\n";
    let page = ask_on(&mut server.connect(), &request("/nothing", lines));
    assert_eq!(page.json()["status"], 404);
}

#[test]
fn a_symbol_without_a_price_is_not_found_yet() {
    let server = TestServer::start(Config::default());
    assert_eq!(get(&server, "/ticks").body, "[]");
    assert_eq!(get(&server, "/ticks?format=ndjson").body, "");
    let answer = get(&server, "/ticks/A");
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("there is no price of 'A' yet"));
}

#[test]
fn the_server_describes_itself_to_programs() {
    let server = three_symbols();
    let lines = "Accept: application/json\r\n";
    let info = ask_on(&mut server.connect(), &request("/", lines)).json();
    assert_eq!(info["server"], "tickertape");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&info["symbols"], &info["clients"]), (&json!(3), &json!(0)));
    assert!(info["links"].is_object());
    let browser = "Accept: text/html,application/json;q=0.9\r\n";
    let page = ask_on(&mut server.connect(), &request("/", browser));
    assert!(page.body.contains("<title>tickertape"));
}

#[test]
fn a_connection_goes_on_until_either_side_ends_it() {
    let server = three_symbols();
    let mut stream = server.connect();
    for _ in 0..3 {
        let answer = ask_on(&mut stream, &request("/ticks/BTC/USDT", ""));
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("keep-alive"))
        );
    }
    let last = ask_on(&mut stream, &request("/healthz", "Connection: close\r\n"));
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(read_to_end(&mut stream), "");
    let mut old = server.connect();
    old.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    assert!(read_to_end(&mut old).ends_with("\r\n\r\nok\n"));
    let mut old = server.connect();
    for _ in 0..2 {
        let request = "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(
            ask_on(&mut old, request).header("connection"),
            Some("keep-alive")
        );
    }
}

#[test]
fn a_websocket_may_follow_on_the_same_connection() {
    let server = three_symbols();
    let mut stream = server.connect();
    ask_on(&mut stream, &request("/ticks", ""));
    let url = format!("ws://{}/?symbols=BTC/USDT", server.address);
    let (mut client, _) = tungstenite::client(url, stream).unwrap();
    assert_eq!(next(&mut client)["price"], 1);
    server.wait_for_metric("clients", |clients| clients == 1);
}

#[test]
fn requests_in_one_packet_are_answered_in_their_order() {
    let config = Config {
        requests_per_connection: 1001,
        ..Config::default()
    };
    let server = TestServer::with_symbols(config, &["A", "B"]);
    server.tick("A", 1);
    server.wait_for_metric("ticks_total", |ticks| ticks == 1);
    let mut stream = server.connect();
    let targets = ["/ticks/A", "/healthz", "/ticks?symbols=B", "/symbols"];
    let wanted: Vec<_> = targets.iter().cycle().take(1000).collect();
    let requests: String = wanted.iter().map(|target| request(target, "")).collect();
    let mut writer = stream.try_clone().unwrap();
    let sender = thread::spawn(move || writer.write_all(requests.as_bytes()).unwrap());
    for target in wanted {
        let body = read_answer(&mut stream).unwrap().body;
        let is_right = match *target {
            "/ticks/A" => body.starts_with(r#"{"symbol":"A""#),
            "/healthz" => body == "ok\n",
            "/ticks?symbols=B" => body == "[]",
            _ => body.starts_with(r#"[{"symbol":"A""#),
        };
        assert!(is_right, "{target}: {body}");
    }
    sender.join().unwrap();
    let alive = ask_on(&mut stream, &request("/healthz", ""));
    assert_eq!(alive.header("connection"), Some("keep-alive"));
}

#[test]
fn a_connection_has_a_limit_of_requests() {
    let config = Config {
        requests_per_connection: 2,
        ..Config::default()
    };
    let server = TestServer::start(config);
    let mut stream = server.connect();
    stream
        .write_all(request("/healthz", "").repeat(5).as_bytes())
        .unwrap();
    let answers = read_to_end(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(answers.matches("Connection: close").count(), 1, "{answers}");
}

#[test]
fn a_client_that_falls_silent_between_requests_is_hung_up_on() {
    let config = Config {
        http_idle: Duration::from_millis(80),
        ..Config::default()
    };
    let server = TestServer::start(config);
    let mut idle = server.connect();
    ask_on(&mut idle, &request("/healthz", ""));
    assert_eq!(read_to_end(&mut idle), "");
    let mut half = server.connect();
    ask_on(&mut half, &request("/healthz", ""));
    half.write_all(b"GET /heal").unwrap();
    assert!(read_to_end(&mut half).starts_with("HTTP/1.1 408 "));
    server.wait_for_metric("connections", |connections| connections == 1);
}

#[test]
fn requests_may_be_cut_anywhere() {
    let server = three_symbols();
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    let two = request("/ticks/BTC/USDT", "").repeat(2);
    for byte in two.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    }
}

#[test]
fn pages_of_allowed_origins_may_read_the_answers() {
    let mut origins = Origins::default();
    origins.allow("https://b.example").unwrap();
    let config = Config {
        origins,
        ..Config::default()
    };
    let server = TestServer::start(config);
    let origin_of = |origin: &str, method: &str, target: &str| {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n");
        ask_on(&mut server.connect(), &request)
    };
    for target in ["/ticks", "/ticks/NONE", "/healthz"] {
        let answer = origin_of("https://b.example", "GET", target);
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://b.example"), "{target}");
        let foreign = origin_of("https://c.example", "GET", target);
        assert_eq!(
            foreign.header("access-control-allow-origin"),
            None,
            "{target}"
        );
        assert_eq!(
            foreign.header("vary"),
            Some("Origin, Accept, Accept-Encoding")
        );
    }
    let asked = origin_of("https://b.example", "OPTIONS", "/ticks");
    assert_eq!(asked.status, 204);
    assert!(
        asked
            .header("access-control-allow-headers")
            .unwrap()
            .contains("Authorization")
    );
    assert_eq!(asked.header("allow"), Some("GET, HEAD, OPTIONS"));
    let foreign = origin_of("https://c.example", "OPTIONS", "/ticks");
    assert_eq!(foreign.header("access-control-allow-headers"), None);
    let posted = origin_of("https://b.example", "POST", "/ticks");
    assert_eq!(
        (posted.status, posted.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn head_gets_the_head_of_the_answer_to_get() {
    let server = three_symbols();
    let mut stream = server.connect();
    let whole = ask_on(&mut stream, &request("/ticks", ""));
    let head = request("/ticks", "").replace("GET", "HEAD");
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .write_all(request("/healthz", "Connection: close\r\n").as_bytes())
        .unwrap();
    let both = read_to_end(&mut stream);
    let (head, rest) = both.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}", whole.body.len())),
        "{head}"
    );
    assert!(rest.starts_with("HTTP/1.1 200 OK"), "{rest}");
}

#[test]
fn requests_are_counted_by_endpoint() {
    let server = three_symbols();
    get(&server, "/ticks");
    get(&server, "/ticks/BTC/USDT");
    get(&server, "/symbols");
    let page = get(&server, "/metrics").body;
    for line in [
        "{endpoint=\"/ticks\"} 2",
        "{endpoint=\"/symbols\"} 1",
        "{endpoint=\"/\"} 0",
    ] {
        let line = format!("tickertape_http_requests_total{line}\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    let symbols: Vec<_> = (0..10_000)
        .map(|number| format!("S{number}/USDT"))
        .collect();
    let symbols: Vec<_> = symbols.iter().map(String::as_str).collect();
    let config = Config {
        slow_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let server = TestServer::with_symbols(config, &symbols);
    let mut slow = server.connect();
    for _ in 0..100 {
        slow.write_all(request("/symbols", "").as_bytes()).unwrap();
    }
    let mut client = server.open("/?symbols=S1/USDT");
    server.tick("S1/USDT", 5);
    assert_eq!(next(&mut client)["price"], 5);
    assert_eq!(get(&server, "/healthz").status, 200);
    server.wait_for_metric("closed_total{reason=\"slow\"}", |closed| closed == 1);
    let mut rest = Vec::new();
    // It is reset, or ends within an answer.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() < 3_000_000, "{} bytes", rest.len());
}

#[test]
fn tokens_guard_prices_but_not_what_browsers_ask_first() {
    let file = std::env::temp_dir().join(format!("tickertape-http-{}", std::process::id()));
    std::fs::write(&file, "sesame-open-up-now\n").unwrap();
    let tokens = tickertape::server::Tokens::read(file.clone()).unwrap();
    std::fs::remove_file(file).unwrap();
    let config = Config {
        tokens: Some(tokens),
        ..Config::default()
    };
    let server = TestServer::start(config);
    let refused = get(&server, "/ticks");
    assert_eq!(
        (refused.status, &refused.json()["status"]),
        (401, &Value::from(401))
    );
    assert_eq!(get(&server, "/ticks?token=sesame-open-up-now").status, 200);
    let options = request("/ticks", "").replace("GET", "OPTIONS");
    assert_eq!(ask_on(&mut server.connect(), &options).status, 204);
}

#[test]
fn a_history_has_what_the_tape_still_has() {
    let server = TestServer::start(Config::default());
    for price in 1..=5 {
        server.tick("A", price);
        server.tick("B", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 10);
    let prices = |target: &str| {
        let history = get(&server, target).json();
        let ticks = history["ticks"].as_array().unwrap().iter();
        let prices: Vec<_> = ticks.map(|tick| tick["price"].as_u64().unwrap()).collect();
        (history["complete"].as_bool().unwrap(), prices)
    };
    assert_eq!(prices("/history/A"), (true, vec![1, 2, 3, 4, 5]));
    assert_eq!(prices("/history/A?limit=2"), (false, vec![4, 5]));
    let lines = get(&server, "/history/A?format=ndjson").body;
    let third: Value = serde_json::from_str(lines.lines().nth(2).unwrap()).unwrap();
    let since = third["sent"].as_u64().unwrap();
    assert_eq!(
        prices(&format!("/history/A?since={since}")),
        (true, vec![4, 5])
    );
    assert_eq!(
        prices(&format!("/history/A?since={since}&limit=1")),
        (false, vec![5])
    );
    assert_eq!(get(&server, "/history/NONE").status, 404);
    assert_eq!(get(&server, "/history").status, 404);
    assert_eq!(get(&server, "/history/A?limit=0").status, 400);
}

#[test]
fn a_history_says_what_has_fallen_off() {
    let config = Config {
        tape_size: 64 << 10,
        ..Config::default()
    };
    let server = TestServer::start(config);
    for price in 1..=2000 {
        server.tick("A", price);
    }
    server.wait_for_metric("ticks_total", |ticks| ticks == 2000);
    let history = get(&server, "/history/A?limit=10000").json();
    assert_eq!(history["complete"], false);
    let ticks = history["ticks"].as_array().unwrap();
    let first = ticks[0]["seq"].as_u64().unwrap();
    assert_eq!(first + ticks.len() as u64 - 1, 2000);
    assert_eq!(get(&server, "/history/A?since=1").json()["complete"], false);
    let newest = ticks[ticks.len() - 1]["sent"].as_u64().unwrap();
    let none = get(&server, &format!("/history/A?since={newest}")).json();
    assert_eq!(none, json!({"complete": true, "ticks": []}));
}

#[test]
fn an_answer_that_the_client_has_is_not_sent_again() {
    let server = three_symbols();
    let mut stream = server.connect();
    let first = ask_on(&mut stream, &request("/ticks", ""));
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let again = request("/ticks", &format!("If-None-Match: {known}\r\n"));
        let answer = ask_on(&mut stream, &again);
        assert_eq!(
            (answer.status, answer.header("etag")),
            (304, Some(&*tag)),
            "{known}"
        );
    }
    server.tick("sim:BTC/USDT", 9);
    server.wait_for_metric("ticks_total", |ticks| ticks == 4);
    let again = request("/ticks", &format!("If-None-Match: {tag}\r\n"));
    let newer = ask_on(&mut stream, &again);
    assert_eq!(newer.status, 200);
    assert_ne!(newer.header("etag"), Some(&*tag));
}
