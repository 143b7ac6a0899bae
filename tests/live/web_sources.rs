//! Prices from URLs: several of them, with headers, as a stream of events, and as CSV.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{ServerProcess, temp_file};
use tungstenite::WebSocket;

use crate::client::next;

/// A web server that lasts as long as the tests, and remembers what it was asked.
struct Web {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Answers one request, given its head. The connection is closed afterwards.
type Answer = fn(&str, &mut TcpStream) -> io::Result<()>;

impl Web {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let asked = Arc::clone(&requests);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let asked = Arc::clone(&asked);
                thread::spawn(move || -> io::Result<()> {
                    let head = head(&stream)?;
                    asked.lock().unwrap().push(head.clone());
                    answer(&head, &mut stream)
                });
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests for `path` so far, in lower case.
    fn requests(&self, path: &str) -> Vec<String> {
        let start = format!("GET {path} ");
        let requests = self.requests.lock().unwrap();
        let found = requests.iter().filter(|head| head.starts_with(&start));
        found.map(|head| head.to_lowercase()).collect()
    }
}

fn head(stream: &TcpStream) -> io::Result<String> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn ok(stream: &mut TcpStream, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn events(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";
    write!(stream, "{head}{text}")
}

fn server(arguments: &[&str]) -> ServerProcess {
    ServerProcess::spawn(&mut command(arguments))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command
        .args(["--port", "0"])
        .args(arguments)
        .env_remove("http_proxy");
    command
}

fn join(server: &ServerProcess) -> WebSocket<TcpStream> {
    let url = format!("ws://{}/", server.address);
    tungstenite::client(url, server.connect()).unwrap().0
}

fn metals(head: &str, stream: &mut TcpStream) -> io::Result<()> {
    match head.split(' ').nth(1).unwrap_or_default() {
        "/gold" => ok(stream, r#"{"price":2650.10,"at":1732270000}"#),
        "/silver" | "/silver?btc" => ok(stream, r#"{"last":{"p":"31.30"}}"#),
        _ => write!(stream, "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"),
    }
}

#[test]
fn several_urls_have_a_symbol_and_places_each() {
    let web = Web::start(metals);
    let gold = format!("XAU/USD={}#/price&time=/at", web.url("/gold"));
    let silver = format!("XAG/USD={}", web.url("/silver"));
    let server = server(&["--source", &gold, "--source", &silver, "--price", "/last/p"]);
    let mut client = join(&server);
    let gold = next(&mut client, "XAU/USD");
    assert!(
        gold.contains(r#""price":2650.10,"timestamp":1732270000000,"#),
        "{gold}"
    );
    let silver = next(&mut join(&server), "XAG/USD");
    assert!(
        silver.contains(r#""price":31.30,"timestamp":1"#),
        "{silver}"
    );
    let page = server.metrics();
    let host = web.address;
    for name in ["XAU/USD", "XAG/USD"] {
        let up = format!("tickertape_source_up{{source=\"{host} {name}\"}} 1");
        assert!(page.contains(&up), "{up}: {page}");
    }
    // Nothing of what is behind the # is sent.
    assert!(web.requests("/gold")[0].starts_with("get /gold http/1.1"));
}

#[test]
fn several_urls_that_do_not_answer_delay_the_start_no_longer_than_one() {
    // It waits until the client gives up.
    let web = Web::start(|_, stream| io::copy(stream, &mut io::sink()).map(|_| ()));
    let urls = ["A/B", "C/D", "E/F", "G/H"].map(|symbol| format!("{symbol}={}#/p", web.url("/")));
    let mut arguments = vec!["--request-timeout", "1s"];
    arguments.extend(urls.iter().flat_map(|url| ["--source", url]));
    let began = Instant::now();
    let server = server(&arguments);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(server.lines("no answer within the limit"), 4);
}

#[test]
fn a_price_beside_its_exponent_is_scaled_or_warned_of() {
    fn pyth(head: &str, stream: &mut TcpStream) -> io::Result<()> {
        let body = r#"{"price":{"price":"9897413000000","expo":-8}}"#;
        if head.starts_with("GET /stream ") {
            return events(stream, &format!("data: {body}\n\n"));
        }
        ok(stream, body)
    }
    let web = Web::start(pyth);
    for path in ["/latest", "/stream"] {
        let source = format!("BTC/USD={}#/price/price", web.url(path));
        let bare = server(&["--source", &source]);
        let advice = "add --scale /price/expo";
        assert!(bare.log().contains(advice), "{}", bare.log());
        let scaled = server(&["--source", &source, "--scale", "/price/expo"]);
        next(&mut join(&scaled), r#""price":98974.13000000,"#);
        assert!(!scaled.log().contains(advice), "{}", scaled.log());
    }
}

#[test]
fn a_table_is_a_source() {
    fn table(head: &str, stream: &mut TcpStream) -> io::Result<()> {
        assert!(head.starts_with("GET /csv "));
        ok(
            stream,
            "Date,\"Close, adjusted\"\n2024-11-21,1.50\n2024-11-22,1.60\n2024-11-23,.\n",
        )
    }
    let web = Web::start(table);
    let source = format!("A/B={}#time=column:Date", web.url("/csv"));
    let more = ["--price", "column:Close, adjusted"];
    let last = server(&[&["--source", &source], &more[..]].concat());
    let tick = next(&mut join(&last), "A/B");
    assert!(
        tick.contains(r#""price":1.60,"timestamp":1732233600000,"#),
        "{tick}"
    );
    let first = server(&[&["--source", &source, "--row", "first"], &more[..]].concat());
    next(&mut join(&first), r#""price":1.50,"#);
    let wrong = server(&["--source", &source, "--price", "column:Last"]);
    let warning = format!(
        "warn: {}: unexpected answer: no column Last in CSV that begins with: Date,\"Close, adjusted\"",
        web.address
    );
    assert_eq!(wrong.lines(&warning), 1, "{}", wrong.log());
}

#[test]
fn a_url_stands_beside_exchanges() {
    let web = Web::start(metals);
    let gold = format!("XAU/USD={}#/price", web.url("/gold"));
    let file = temp_file(format!(
        r#"{{"exchanges":[{{"id":"mine","name":"Mine","spelling":{{"market":"{{base}}"}},
        "interval_ms":100,"one":{{"url":"{}","answer":{{"last":"/last/p"}}}}}}]}}"#,
        web.url("/silver?{market}")
    ));
    let file = file.path().to_str().unwrap();
    #[rustfmt::skip]
    let server = server(&[
        "--exchanges", file, "--source", "mine", "--source", &gold, "--symbols", "BTC/USDT",
    ]);
    let mut client = join(&server);
    next(&mut client, r#""symbol":"XAU/USD","price":2650.10"#);
    next(&mut client, r#""symbol":"BTC/USDT","price":31.30"#);
}

#[test]
fn headers_are_sent_to_the_host_of_their_source_and_no_other() {
    fn redirecting(head: &str, stream: &mut TcpStream) -> io::Result<()> {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path.strip_prefix("/to?") {
            Some(target) => write!(
                stream,
                "HTTP/1.1 302 X\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
            None => ok(stream, r#"{"price":1}"#),
        }
    }
    let (web, other) = (Web::start(redirecting), Web::start(redirecting));
    let keys = temp_file("C/D=X-Key: secret2\n");
    let keys = format!("@{}", keys.path().display());
    let near = format!("A/B={}#/price", web.url("/to?/near"));
    let far = format!(
        "C/D={}#/price",
        web.url(&format!("/to?{}", other.url("/far")))
    );
    #[rustfmt::skip]
    let server = server(&[
        "--source", &near, "--source", &far, "--log", "debug",
        "--source-header", "A/B=X-Key: secret1", "--source-header", &keys,
        "--source-header", "User-Agent: Mozilla/5.0",
    ]);
    let mut client = join(&server);
    next(&mut client, "A/B");
    next(&mut join(&server), "C/D");
    for head in web.requests("/near") {
        assert!(head.contains("\r\nx-key: secret1\r\n"), "{head}");
        assert!(head.contains("\r\nuser-agent: mozilla/5.0\r\n"), "{head}");
    }
    let far = other.requests("/far");
    assert!(!far.is_empty());
    for head in far {
        assert!(
            !head.contains("x-key") && !head.contains("secret"),
            "{head}"
        );
    }
    assert!(!server.log().contains("secret"), "{}", server.log());
}

#[test]
fn a_stream_of_events_is_a_source_and_is_resumed_where_it_ended() {
    fn streaming(head: &str, stream: &mut TcpStream) -> io::Result<()> {
        let head = head.to_lowercase();
        if !head.contains("accept: text/event-stream") {
            return events(stream, "");
        }
        if !head.contains("last-event-id: 7\r\n") {
            return events(
                stream,
                "retry: 100\n\n: hello\n\nevent: greeting\ndata: {}\n\nid: 7\ndata: {\"p\":\ndata: 1.50}\n\n",
            );
        }
        events(stream, "event: price\nid: 7\ndata: {\"p\":2.50}\n\n")?;
        // It stays open until the server goes.
        let _ = head_of_nothing(stream);
        Ok(())
    }
    fn head_of_nothing(stream: &TcpStream) -> io::Result<String> {
        head(stream)
    }
    let web = Web::start(streaming);
    let source = format!("A/B={}#/p", web.url("/stream"));
    let server = server(&["--source", &source]);
    let mut client = join(&server);
    next(&mut client, r#""price":1.50,"#);
    next(&mut client, r#""price":2.50,"#);
    assert!(
        server.log().contains("reconnecting in 100.0ms"),
        "{}",
        server.log()
    );
}

#[test]
fn while_a_stream_of_events_sends_comments_its_last_price_is_not_stale() {
    fn streaming(_: &str, stream: &mut TcpStream) -> io::Result<()> {
        events(stream, "data: {\"p\":1}\n\n")?;
        for _ in 0..15 {
            thread::sleep(Duration::from_millis(100));
            write!(stream, ": still here\n\n")?;
        }
        write!(stream, "data: {{\"p\":2}}\n\n")
    }
    let web = Web::start(streaming);
    let source = format!("A/B={}#/p", web.url("/"));
    let server = server(&["--source", &source, "--stale-after", "500ms"]);
    let mut client = join(&server);
    next(&mut client, r#""price":1,"#);
    let second = next(&mut client, "");
    assert!(second.contains(r#""price":2,"#), "{second}");
}

#[test]
fn a_stream_of_events_without_the_price_is_warned_of() {
    fn streaming(_: &str, stream: &mut TcpStream) -> io::Result<()> {
        events(stream, "data: {\"q\":1}\n\n")
    }
    let web = Web::start(streaming);
    let source = format!("A/B={}#/p", web.url("/stream"));
    let server = server(&["--source", &source]);
    let warning = format!(
        "warn: {}: no price: it is missing (is the place of the price right?); serving anyway",
        web.address
    );
    assert_eq!(server.lines(&warning), 1, "{}", server.log());
}

#[test]
fn a_stream_of_events_may_become_an_answer_and_a_stream_again() {
    fn changing(head: &str, stream: &mut TcpStream) -> io::Result<()> {
        // The first request of a client that expects an answer gets events, others an answer.
        if head.to_lowercase().contains("accept: text/event-stream") {
            events(stream, "retry: 100\n\ndata: {\"p\":1}\n\n")
        } else if head.contains("first") {
            events(stream, "")
        } else {
            ok(stream, r#"{"p":2}"#)
        }
    }
    let web = Web::start(changing);
    let (one, other) = (web.url("/first"), web.url("/second"));
    let (one, other) = (format!("A/B={one}#/p"), format!("C/D={other}#/p"));
    let server = server(&["--source", &one, "--source", &other]);
    let mut client = join(&server);
    next(&mut client, r#""symbol":"A/B","price":1,"#);
    next(&mut client, r#""symbol":"C/D","price":2,"#);
}
