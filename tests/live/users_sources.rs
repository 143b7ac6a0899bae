//! Sources defined by users: an exchange described in a file, and a URL with pointers. Also, the
//! server's errors at startup for invalid ones.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use testkit::{ServerProcess, temp_file};

/// A web server that lasts as long as a test. Its answers close the connection.
fn web() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client may have hung up; the next one may not have.
            let _ = stream.and_then(answer);
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = BufReader::new(&stream).lines();
    let request = head.next().unwrap_or(Ok(String::new()))?;
    while head
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
        "/api.fict.example/v9/price/btc~usdt" => (
            200,
            r#"{"state":"good","quote":{"value":"97123.4500","at":1732270000}}"#,
        ),
        "/gold" => (
            200,
            r#"{"data":{"price":2.65E3,"at":"1732270000123","o":{}}}"#,
        ),
        _ => (404, r#"{"state":"bad","reason":"no such market"}"#),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// An exchange that is not in the catalogue, with a generous interval.
const FICTITIOUS: &str = r#"{"exchanges":[{"id":"fict","name":"Fictitious",
    "spelling":{"market":"{base}~{quote}"},"interval_ms":700,
    "one":{"url":"https://api.fict.example/v9/price/{market}",
        "answer":{"last":"/quote/value","time":{"at":"/quote/at","unit":"s"}}},
    "ok":"/state = good","errors":{"unknown_symbol":["status = 404"]},"message":["/reason"]}]}"#;

fn server(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--port", "0"]).args(arguments);
    command.stdin(Stdio::null());
    command
}

/// The exit code and the output of a server that must not start.
fn refusal(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = server(arguments).output().unwrap();
    let output = String::from_utf8(stderr).unwrap();
    (status.code(), output.trim_end().to_owned())
}

/// The first tick that a joining client receives.
fn first_tick(arguments: &[&str]) -> String {
    let server = ServerProcess::spawn(&mut server(arguments));
    let url = format!("ws://{}/", server.address);
    let (mut client, _) = tungstenite::client(url, server.connect()).unwrap();
    loop {
        let message = client.read().unwrap();
        match message.to_text() {
            Ok(text) if text.contains("\"price\"") => return text.to_owned(),
            _ => {}
        }
    }
}

#[test]
fn a_new_exchange_is_an_entry_in_a_file() {
    let (web, file) = (web(), temp_file(FICTITIOUS));
    let source = [
        "--exchanges",
        file.path().to_str().unwrap(),
        "--source",
        "fict",
        "--upstream",
        &web,
    ];
    let tick = first_tick(&source);
    let expected = r#"{"symbol":"BTC/USDT","price":97123.4500,"timestamp":1732270000000,"seq":"#;
    assert!(tick.starts_with(expected), "{tick}");
}

#[test]
fn an_unknown_symbol_ends_the_server_with_suggestions() {
    let (web, file) = (web(), temp_file(FICTITIOUS));
    // Time for three requests at most, of which the second finds it.
    let (code, output) = refusal(&[
        "--exchanges",
        file.path().to_str().unwrap(),
        "--source",
        "fict",
        "--upstream",
        &web,
        "--symbols",
        "BTC/UDST",
        "--request-timeout",
        "2s",
    ]);
    // A notice that the symbol is being checked may come first, if that takes a while.
    let error = output.lines().next_back();
    assert_eq!(
        error,
        Some("error: fict does not know BTC/UDST, did you mean BTC/USDT?")
    );
    assert_eq!(code, Some(1));
}

#[test]
fn a_url_with_pointers_is_a_source() {
    let url = web() + "/gold";
    let source = [
        "--source",
        &url,
        "--symbols",
        "XAU/USD",
        "--price",
        "/data/price",
    ];
    let tick = first_tick(&[&source[..], &["--time", "/data/at"]].concat());
    let expected = r#"{"symbol":"XAU/USD","price":2650,"timestamp":1732270000123,"seq":"#;
    assert!(tick.starts_with(expected), "{tick}");
}

#[test]
fn pointers_that_find_nothing_are_warned_of() {
    let web = web();
    let (url, gone) = (format!("{web}/gold"), format!("{web}/gone"));
    let host = web.strip_prefix("http://").unwrap();
    for (url, pointers, expected) in [
        (
            &url,
            vec!["/data/nope"],
            "no price: it is missing (is the place of the price right?)",
        ),
        (
            &url,
            vec!["/data/o"],
            "no price: it is {} (is the place of the price right?)",
        ),
        (
            &url,
            vec!["/data/price", "--time", "/nope"],
            "no time in the answer (is --time right?)",
        ),
        (
            &gone,
            vec!["/data/price"],
            r#"refused: HTTP 404, {"state":"bad","reason":"no such market"}"#,
        ),
    ] {
        let source = ["--source", url, "--symbols", "XAU/USD", "--price"];
        let server = ServerProcess::spawn(&mut server(&[&source[..], &pointers].concat()));
        let warning = format!("warn: {host}: {expected}; serving anyway");
        assert_eq!(server.lines(&warning), 1, "{warning}: {}", server.log());
    }
}

#[test]
fn a_source_on_this_machine_is_never_proxied() {
    let url = web() + "/gold";
    let pointers = ["--symbols", "XAU/USD", "--price", "/data/price"];
    let mut command = server(&[&["--source", &url][..], &pointers].concat());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("NO_PROXY", "other.example");
    let server = ServerProcess::spawn(&mut command);
    let url = format!("ws://{}/", server.address);
    let (mut client, _) = tungstenite::client(url, server.connect()).unwrap();
    let first = client.read().unwrap();
    assert!(
        first.to_text().unwrap().contains("\"price\":2650"),
        "{first}"
    );
}
