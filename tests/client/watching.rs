//! Each client with its own list: the symbols it draws, the requests for them, and the counts of
//! its ticks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tickertape::client;
use tickertape::client::config::{Behaviour, Config, Watch};
use tickertape::client::error_kind::ErrorKind;
use tickertape::client::report::Report;
use tickertape::tick::unix_us;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Error, Message};

use crate::program::{command, run_program, text};
use crate::server::{
    ENDLESS, Peer, WINDOW, accept, begin, bind, config, finish, join, kinds, run, run_bare, send,
};

/// A server with lists of symbols that checks the length of each message and target, and records
/// the lists of its clients.
#[derive(Default)]
struct Market {
    symbols: Vec<String>,
    /// The lists of ended connections, except those that only requested the symbols.
    lists: Mutex<Vec<Vec<String>>>,
    /// The requests for the list of symbols.
    questions: Mutex<Vec<Value>>,
    /// The server refuses a subscribe with this symbol.
    unknown: Option<String>,
    /// Whether the server closes a connection as soon as its list has had a tick.
    is_restless: bool,
    is_over: AtomicBool,
}

impl Market {
    fn new(symbols: usize) -> Self {
        Self {
            symbols: (0..symbols).map(|n| format!("sim:S{n}/USDT")).collect(),
            ..Self::default()
        }
    }

    /// Serves while `measure` runs.
    fn serve<R>(&self, measure: impl FnOnce(SocketAddr) -> R) -> R {
        let (listener, address) = bind();
        thread::scope(|scope| {
            scope.spawn(|| self.serve_all(&listener));
            let measured = measure(address);
            self.is_over.store(true, Ordering::SeqCst);
            TcpStream::connect(address).unwrap();
            measured
        })
    }

    fn serve_all(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            while let stream = accept(listener)
                && !self.is_over.load(Ordering::SeqCst)
            {
                scope.spawn(|| self.serve_one(stream));
            }
        });
    }

    /// Serves for as long as the client is there, however it leaves: a client that was to come back
    /// as the run ended just closes.
    fn serve_one(&self, stream: TcpStream) {
        let Some((mut peer, mut list)) = accept_list(stream) else {
            return;
        };
        let pause = Duration::from_millis(5);
        peer.get_ref().set_read_timeout(Some(pause)).unwrap();
        let mut seq = 0;
        loop {
            let sent = match peer.read() {
                Ok(Message::Text(text)) if peer.can_write() => {
                    let request = serde_json::from_str(&text).unwrap();
                    peer.send(Message::text(self.answer(&mut list, &request)))
                }
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    seq += 1;
                    self.tick(&mut peer, &list, seq)
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if sent.is_err() {
                break;
            }
        }
        if !list.is_empty() {
            self.lists.lock().unwrap().push(list);
        }
    }

    fn tick(&self, peer: &mut Peer, list: &[String], seq: u64) -> tungstenite::Result<()> {
        // After its own close frame it only waits for the client's.
        let list = if peer.can_write() { list } else { &[] };
        for symbol in list {
            peer.send(Message::text(tick(symbol, seq)))?;
        }
        if self.is_restless && seq == 2 {
            peer.close(None)?;
        }
        Ok(())
    }

    fn answer(&self, list: &mut Vec<String>, request: &Value) -> String {
        assert!(request.to_string().len() <= 4096);
        let (op, id) = (&request["op"], &request["id"]);
        let named = request["symbols"].as_array().map(|names| {
            let names = names.iter().map(|name| name.as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        });
        match (op.as_str().unwrap(), named) {
            ("list", named) => {
                self.questions.lock().unwrap().push(request.clone());
                let end = named.map_or(String::new(), |names| names[0].replace('*', ""));
                let matching = self.symbols.iter().filter(|name| name.ends_with(&end));
                json!({"op": op, "id": id, "symbols": matching.collect::<Vec<_>>()}).to_string()
            }
            ("subscribe", Some(named)) if self.unknown.iter().any(|name| named.contains(name)) => {
                json!({"op": "error", "id": id, "message": "no such symbol"}).to_string()
            }
            ("subscribe", Some(named)) => {
                list.extend(named);
                json!({"op": op, "id": id, "count": list.len()}).to_string()
            }
            (op, _) => panic!("{op}"),
        }
    }

    /// All lists in sorted order.
    fn into_lists(self) -> Vec<Vec<String>> {
        let mut lists = self.lists.into_inner().unwrap();
        lists.sort_unstable();
        lists
    }
}

/// Upgrades a connection and returns the symbols in its URL; `None` if it has left.
fn accept_list(stream: TcpStream) -> Option<(Peer, Vec<String>)> {
    let mut list = Vec::new();
    #[allow(clippy::result_large_err, reason = "tungstenite's own signature")]
    let look = |request: &Request, response: Response| {
        assert!(request.uri().to_string().len() <= 8_000);
        let query = request.uri().query().unwrap_or_default();
        let symbols = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("symbols="));
        let symbols = percent_decode_str(symbols.unwrap_or_default())
            .decode_utf8()
            .unwrap();
        list.extend(
            symbols
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        Ok(response)
    };
    let peer = tungstenite::accept_hdr(stream, look).ok()?;
    Some((peer, list))
}

fn tick(symbol: &str, seq: u64) -> String {
    let sent = unix_us();
    format!(r#"{{"symbol":"{symbol}","price":1.50,"timestamp":1,"seq":{seq},"sent":{sent}}}"#)
}

fn watching(address: SocketAddr, count: usize, clients: usize) -> Config {
    let watch = Watch {
        count,
        seed: Some(11),
        ..Watch::default()
    };
    Config {
        watch: Some(watch),
        clients,
        ..config(address, WINDOW)
    }
}

fn run_watching(market: &Market, config: impl FnOnce(SocketAddr) -> Config) -> Report {
    market.serve(|address| client::run(config(address), None).unwrap())
}

#[test]
fn each_client_chooses_its_own_symbols_among_those_the_server_lists() {
    let draw = || {
        let market = Market::new(40);
        let report = run_watching(&market, |address| watching(address, 5, 6));
        assert_eq!(report.errors.total, 0, "{:?}", report.errors);
        assert_eq!((report.clients.connected, report.losses.gaps), (6, 0));
        assert_eq!(
            (report.counters.other_messages, report.counters.answers),
            (0, 0)
        );
        let watch = report.watch.unwrap();
        assert_eq!((watch.count, watch.of, watch.seed), (5, 40, 11));
        let questions = market.questions.lock().unwrap().clone();
        assert_eq!(questions, [json!({"op": "list", "id": "list"})]);
        market.into_lists()
    };
    let lists = draw();
    assert_eq!(lists.len(), 6);
    for list in &lists {
        let distinct: BTreeSet<_> = list.iter().collect();
        assert_eq!((list.len(), distinct.len()), (5, 5), "{list:?}");
    }
    assert_eq!(lists.iter().collect::<BTreeSet<_>>().len(), 6, "{lists:?}");
    assert_eq!(draw(), lists, "the same seed draws the same lists");
}

#[test]
fn symbols_to_choose_from_may_be_given_as_names_and_patterns() {
    let draw = |of: &[&str]| {
        let market = Market::new(30);
        let report = run_watching(&market, |address| {
            let mut config = watching(address, 2, 3);
            let watch = config.watch.as_mut().unwrap();
            watch.of = of.iter().map(|&name| name.to_owned()).collect();
            config
        });
        let questions = market.questions.lock().unwrap().clone();
        let drawn: BTreeSet<_> = market.into_lists().into_iter().flatten().collect();
        (report.watch.unwrap().of, questions, drawn)
    };
    let (of, questions, drawn) = draw(&["sim:S1/USDT", "sim:S2/USDT"]);
    assert_eq!((of, questions.len(), drawn.len()), (2, 0, 2));
    let (of, questions, drawn) = draw(&["*3/USDT"]);
    assert_eq!((of, &questions[0]["symbols"]), (3, &json!(["*3/USDT"])));
    assert!(
        drawn.iter().all(|name| name.ends_with("3/USDT")),
        "{drawn:?}"
    );
}

#[test]
fn lists_do_not_depend_on_the_number_of_processes() {
    let draw = |processes: &str| {
        let market = Market::new(60);
        let output = market.serve(|address| {
            let url = format!("ws://{address}/");
            let options =
                "--clients 5 --watch 4 --watch-zipf --watch-seed 3 --json --duration 300ms";
            let mut arguments: Vec<_> = options.split(' ').collect();
            arguments.extend(["--url", &url, "--processes", processes]);
            command(&arguments).output().unwrap()
        });
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected = json!({"count": 4, "of": 60, "seed": 3, "zipf": 1.0});
        assert_eq!(report["watch"], expected);
        assert_eq!(report["clients"]["connected"], 5);
        market.into_lists()
    };
    let lists = draw("1");
    assert_eq!(lists.len(), 5);
    assert_eq!(draw("3"), lists);
}

#[test]
fn a_client_that_reconnects_asks_for_its_own_list_again() {
    let behaviours = [
        Behaviour {
            reconnect: true,
            ..Behaviour::default()
        },
        Behaviour {
            churn: Some(40.0),
            ..Behaviour::default()
        },
    ];
    for behaviour in behaviours {
        let market = Market {
            is_restless: behaviour.reconnect,
            ..Market::new(50)
        };
        let began = Instant::now();
        let report = run_watching(&market, |address| Config {
            behaviour,
            duration: Duration::from_secs(1),
            ..watching(address, 4, 3)
        });
        // Even if a client leaves and is to come back just as the run ends.
        assert!(began.elapsed() < Duration::from_millis(2_500));
        assert!(report.reconnects.unwrap().counters.returned > 0);
        let mut lists = BTreeMap::new();
        for list in market.into_lists() {
            *lists.entry(list).or_insert(0) += 1;
        }
        assert_eq!(lists.len(), 3, "{lists:?}");
        assert!(lists.values().sum::<i32>() > 3, "{lists:?}");
    }
}

#[test]
fn symbols_that_do_not_fit_the_url_are_subscribed_to() {
    let market = Market::new(1_500);
    let report = run_watching(&market, |address| Config {
        warmup: Duration::from_millis(300),
        ..watching(address, 1_200, 2)
    });
    assert_eq!(report.errors.total, 0, "{:?}", report.errors);
    assert_eq!(report.counters.other_messages, 0);
    for list in market.into_lists() {
        let distinct: BTreeSet<_> = list.iter().collect();
        assert_eq!((list.len(), distinct.len()), (1_200, 1_200));
    }
}

#[test]
fn a_subscribe_that_is_refused_or_unanswered_is_an_error() {
    let mut market = Market::new(800);
    market.unknown = Some("sim:S799/USDT".to_owned());
    let report = run_watching(&market, |address| watching(address, 800, 1));
    assert_eq!(kinds(&report), [(ErrorKind::SubscribeRefused, 1)]);
    let sentence = "the server refused to add symbols to a --watch list: no such symbol";
    assert_eq!(report.errors.examples, [sentence]);
    let market = Market::new(800);
    let report = run_bare(
        |address| {
            let mut config = watching(address, 800, 1);
            config.watch.as_mut().unwrap().of = market.symbols.clone();
            config
        },
        |stream| {
            let (mut peer, _) = accept_list(stream).unwrap();
            assert!(peer.read().unwrap().is_text());
            begin(&mut peer);
            finish(&mut peer);
        },
    );
    assert_eq!(kinds(&report), [(ErrorKind::SubscribeUnanswered, 1)]);
}

/// The output of the program for a server that answers its request for symbols with `serve`.
fn run_asking(arguments: &[&str], serve: impl FnOnce(&mut Peer) + Send) -> Output {
    let arguments = [&["--watch", "2"], arguments].concat();
    run_program(&arguments, |stream| {
        let mut peer = tungstenite::accept(stream).unwrap();
        let question = peer.read().unwrap();
        assert_eq!(question.to_text().unwrap(), r#"{"op":"list","id":"list"}"#);
        serve(&mut peer);
    })
}

#[test]
fn a_server_without_a_symbol_list_is_an_error_that_names_the_remedy() {
    let unknown = run_asking(&[], |peer| {
        send(peer, tick("A", 1));
        send(peer, r#"{"op":"error","id":"list","message":"unknown op"}"#);
        finish(peer);
    });
    let silent = run_asking(&["--connect-timeout", "300ms"], |peer| {
        send(peer, tick("A", 1));
        assert!(peer.read().is_err(), "it leaves without a word");
    });
    let closing = run_asking(&["--processes", "2", "--clients", "2"], |peer| {
        peer.close(None).unwrap();
        finish(peer);
    });
    for (output, words) in [
        (unknown, "the server answered 'unknown op'"),
        (silent, "no answer within 300ms"),
        (closing, "the server closed the connection without a status"),
    ] {
        assert_eq!(output.status.code(), Some(1));
        let error = format!(
            "error: cannot get the server's list of symbols ({words}): name some to draw from \
             with --symbols A,B,...\n"
        );
        assert_eq!(text(&output.stderr), error);
    }
    let (listener, address) = bind();
    drop(listener);
    let url = format!("ws://{address}/");
    let nobody = command(&["--url", &url, "--watch", "2"]).output().unwrap();
    let error = format!(
        "error: cannot connect to {address}: connection refused (is the server running?)\n"
    );
    assert_eq!(text(&nobody.stderr), error);
    let few = run_asking(&[], |peer| {
        send(peer, r#"{"op":"list","id":"list","symbols":["A"]}"#);
        finish(peer);
    });
    let error = "error: --watch: cannot draw 2 different symbols: there are 1\n";
    assert_eq!(text(&few.stderr), error);
}

#[test]
fn each_tick_of_a_batch_is_counted_and_printed() {
    let output = run_program(&["--duration", "300ms", "--print", "--batch"], |stream| {
        let mut peer = tungstenite::accept(stream).unwrap();
        begin(&mut peer);
        let stale = r#"{"event":"stale","symbol":"A","age":9}"#;
        let list = [&tick("A", 1), &tick("B", 1), stale, &tick("A", 3)].map(str::to_owned);
        send(&mut peer, format!("[{}]", list.join(",")));
        send(&mut peer, format!("[{stale}]"));
        finish(&mut peer);
    });
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout).lines();
    let symbols: Vec<_> = printed
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["symbol"].clone())
        .collect();
    assert_eq!(symbols, ["A/B", "A", "B", "A"]);
    let report = text(&output.stderr);
    for row in [
        "&batch\n",
        "Total messages                     3 of which 2 have ticks\n",
        "    ticks                            4 ",
        "Gaps                               1 with 1 ticks missed, of one symbol\n",
        "    A                                1 gaps, 1 missed, 0 repeated, 0 reordered\n",
    ] {
        let row = row.replace("&batch", "?batch");
        assert!(report.contains(&row), "{row}\n{report}");
    }
}

#[test]
fn the_symbols_that_lost_most_are_named_and_counted() {
    let report = run(WINDOW, |peer| {
        join(peer);
        for symbol in 0..100 {
            let name = format!("S{symbol}");
            send(peer, tick(&name, 1));
            // Every third symbol loses as many ticks as its number.
            let next = if symbol % 3 == 0 { 2 + symbol } else { 2 };
            send(peer, tick(&name, next));
        }
        finish(peer);
    });
    let missed: u64 = (0..100).step_by(3).sum();
    assert_eq!((report.losses.gaps, report.losses.missed), (33, missed));
    assert_eq!((report.symbols_with_gaps, report.symbols.len()), (33, 100));
    let worst: Vec<_> = report.worst_symbols.iter().take(3).collect();
    let named = worst
        .iter()
        .map(|symbol| (&*symbol.symbol, symbol.losses.missed));
    assert!(
        named.eq([("S99", 99), ("S96", 96), ("S93", 93)]),
        "{worst:?}"
    );
    assert_eq!(report.worst_symbols.len(), 20);
    assert!(
        report
            .to_string()
            .contains("with 1683 ticks missed, of 33 symbols\n")
    );
}

#[test]
fn ticks_left_out_by_every_are_conflated_and_not_missed() {
    let report = run_bare(
        |address| Config {
            every: Some(Duration::from_millis(20)),
            ..config(address, WINDOW)
        },
        |stream| {
            let mut peer = tungstenite::accept(stream).unwrap();
            begin(&mut peer);
            send(&mut peer, crate::server::tick(9, 0));
            finish(&mut peer);
        },
    );
    let losses = report.losses;
    assert_eq!((losses.gaps, losses.missed, losses.conflated), (0, 0, 7));
    assert_eq!(report.every_s, Some(0.02));
    assert!(report.to_string().contains("- conflated by --every 20ms\n"));
}

#[test]
fn a_signal_also_ends_the_request_for_symbols() {
    let (listener, address) = bind();
    let url = format!("ws://{address}/");
    let timeout = format!("{}s", ENDLESS.as_secs());
    let arguments = ["--url", &url, "--watch", "2", "--connect-timeout", &timeout];
    thread::scope(|scope| {
        let child = command(&arguments).spawn().unwrap();
        let id = child.id();
        scope.spawn(move || {
            let mut peer = tungstenite::accept(accept(&listener)).unwrap();
            assert!(peer.read().unwrap().is_text());
            crate::program::interrupt(id);
            assert!(peer.read().is_err());
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = "error: asking the server for its symbols was interrupted by a signal\n";
        assert_eq!(text(&output.stderr), error);
    });
}
