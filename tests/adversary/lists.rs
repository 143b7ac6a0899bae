//! Watchlists: lists, rates and positions of every odd shape, in the URL and in requests.
//!
//! The contract: what makes sense is answered with the list as it stands from then on, what does
//! not with an error that names the entry, and nothing changes.

pub(crate) mod changes;
pub(crate) mod floods;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cases::{self, Check};
use crate::fixture::Fixture;

/// A URL to join with, the requests then, and the expected answer to the last one.
struct Case {
    name: String,
    path: String,
    requests: Vec<String>,
    answer: Answer,
}

/// The expected result.
enum Answer {
    /// 400, with this in its text.
    Refused(String),
    /// A list that reads so: its members `count`, `symbols` and so on.
    Reads(String),
    /// An error, with this in its message.
    Error(String),
}

use Answer::{Error, Reads, Refused};
use testkit::Peer;
use testkit::frames::{frame, handshake};

/// Runs all cases; returns what failed.
pub(crate) fn run(fixture: &Fixture) -> Vec<String> {
    let cases = [joins(), refused_joins(), ways(), requests(), errors()];
    let cases: Vec<_> = cases.into_iter().flatten().collect();
    let mut wrongs = cases::run(
        "lists",
        &cases,
        |case| &case.name,
        |case| case.check(fixture),
    );
    wrongs.extend(cases::run(
        "rates",
        &["a rate that changes all the time"],
        |name| name,
        |_| changes_its_rate(fixture),
    ));
    wrongs.extend(cases::run(
        "positions",
        &positions(),
        |path| path,
        |path| resumes(fixture, path),
    ));
    wrongs
}

impl Case {
    fn check(&self, fixture: &Fixture) -> Check {
        if let Refused(words) = &self.answer {
            let mut peer = Peer::connect(&fixture.address);
            peer.send(handshake(&self.path).as_bytes());
            let received = peer.read_and_probe();
            cases::equal("status", received.status(), 400)?;
            let text = String::from_utf8_lossy(&received.bytes);
            cases::must(text.len() < 3000, || format!("{} bytes", text.len()))?;
            return cases::must(text.contains(words), || format!("{words} is not in {text}"));
        }
        let mut peer = Peer::connect(&fixture.address).upgrade_at(&self.path)?;
        let mut answer = ask(&mut peer, r#"{"op":"subscribe","symbols":[]}"#)?;
        for request in &self.requests {
            answer = ask(&mut peer, request)?;
        }
        cases::must(answer.len() < 20_000, || format!("{} bytes", answer.len()))?;
        match &self.answer {
            Reads(list) => {
                let reads = answer.ends_with(&format!(r#","id":null,{list}}}"#));
                cases::must(reads, || format!("{list} is not in {answer}"))
            }
            Refused(words) | Error(words) => {
                let answer: Value =
                    serde_json::from_str(&answer).map_err(|error| error.to_string())?;
                let message = answer["message"].as_str().unwrap_or_default();
                cases::must(message.contains(words), || {
                    format!("{words} is not in {answer}")
                })?;
                let now = ask(&mut peer, r#"{"op":"subscribe","symbols":[]}"#)?;
                cases::must(now.ends_with(&format!("{ALL}}}")), || {
                    format!("an error has changed the list: {now}")
                })
            }
        }
    }
}

/// Asks and returns the answer.
fn ask(peer: &mut Peer, request: &str) -> Result<String, String> {
    peer.send(&frame(0x81, request.as_bytes()));
    let answer =
        peer.frame(|first, payload| first == 0x81 && payload.starts_with(br#"{"op":""#))?;
    String::from_utf8(answer).map_err(|error| error.to_string())
}

fn case(path: &str, requests: &[String], answer: Answer) -> Case {
    let shown = requests.last().map_or(path, String::as_str);
    Case {
        name: format!("{shown:.60} ({} bytes)", shown.len()),
        path: path.to_owned(),
        requests: requests.to_vec(),
        answer,
    }
}

/// So a list of all four symbols reads.
const ALL: &str = r#""count":4,"symbols":["*"]"#;
const BTC: &str = r#""count":1,"symbols":["sim:BTC/USDT"]"#;
const OF_USDT: &str = r#""count":4,"symbols":["*/USDT"]"#;

/// Patterns that match nothing.
fn strangers(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("A{number}/*")).collect()
}

fn joins() -> Vec<Case> {
    let patterns = strangers(32);
    let of_patterns = format!(r#""count":0,"symbols":{}"#, json!(patterns));
    let all_but_in_vain = format!("*,{}", patterns[..31].join(","));
    let starred = [&["*".to_owned()], &patterns[..31]].concat();
    let with_all = format!(r#""count":4,"symbols":{}"#, json!(starred));
    let lists = [
        ("", ALL),
        (",,,,", ALL),
        ("*", ALL),
        ("*/*", ALL),
        ("*:*", ALL),
        ("*:*/*", ALL),
        ("%2A", ALL),
        ("*,BTC/USDT", ALL),
        ("BTC/USDT,*", ALL),
        ("BTC/*,*", ALL),
        (&"*,".repeat(8000), ALL),
        ("*/USDT", OF_USDT),
        ("%2A%2fUSDT", OF_USDT),
        (&"*/USDT,".repeat(2000), OF_USDT),
        ("sim:*", r#""count":4,"symbols":["sim:*"]"#),
        ("sim:BTC/*", r#""count":1,"symbols":["sim:BTC/*"]"#),
        ("BTC/USDT", BTC),
        ("BTC/USDT,sim:BTC/USDT,,BTC%2FUSDT", BTC),
        (&"sim:BTC/USDT,".repeat(1200), BTC),
        ("BTC/USDT&symbols=BTC/USDT", BTC),
        ("&symbols=BTC/USDT", BTC),
        (
            "ETH/USDT&symbols=BTC/*",
            r#""count":2,"symbols":["BTC/*","sim:ETH/USDT"]"#,
        ),
        ("*/GBP", r#""count":0,"symbols":["*/GBP"]"#),
        ("*/usdt", r#""count":0,"symbols":["*/usdt"]"#),
        ("nobody:*", r#""count":0,"symbols":["nobody:*"]"#),
        ("*/%C3%9F", r#""count":0,"symbols":["*/ß"]"#),
        ("*/%22", r#""count":0,"symbols":["*/\""]"#),
        ("*/%00", r#""count":0,"symbols":["*/\u0000"]"#),
        (&patterns.join(","), &of_patterns),
        (&all_but_in_vain, &with_all),
    ];
    let case = |(list, reads): (&str, &str)| {
        case(&format!("/?symbols={list}"), &[], Reads(reads.to_owned()))
    };
    lists.into_iter().map(case).collect()
}

fn refused_joins() -> Vec<Case> {
    let long = "x".repeat(15_000);
    let cut = format!("unknown symbol '{}', there are: ", "x".repeat(64));
    let hidden = format!("{},X/EUR", vec!["BTC/USDT"; 1500].join(","));
    let patterns = strangers(33).join(",");
    let lists = [
        ("x", "unknown symbol 'x', there are: sim:BTC/USDT, "),
        (
            "btc/usdt",
            "unknown symbol 'btc/usdt', similar are: sim:BTC/USDT",
        ),
        (
            "SIM:BTC/USDT",
            "unknown symbol 'SIM:BTC/USDT', similar are: sim:BTC/USDT",
        ),
        (
            "BTC/GBP",
            "unknown symbol 'BTC/GBP', similar are: sim:BTC/USDT",
        ),
        (
            "X/USDT",
            "unknown symbol 'X/USDT', similar are: sim:BTC/USDT, sim:ETH/USDT",
        ),
        ("BTC+/USDT", "unknown symbol 'BTC /USDT'"),
        ("%20BTC/USDT", "unknown symbol ' BTC/USDT'"),
        ("BTC%252FUSDT", "unknown symbol 'BTC%2FUSDT'"),
        ("BTC/USDT;ETH/USDT", "unknown symbol 'BTC/USDT;ETH/USDT'"),
        ("[%22BTC/USDT%22]", "unknown symbol '[\"BTC/USDT\"]'"),
        ("/", "unknown symbol '/'"),
        (":", "unknown symbol ':'"),
        (&hidden, "unknown symbol 'X/EUR'"),
        (&long, &cut),
        ("**", "invalid pattern '**': a * stands for a whole part"),
        ("BTC*", "invalid pattern 'BTC*'"),
        ("*BTC/USDT", "invalid pattern '*BTC/USDT'"),
        ("BTC/*/USDT", "invalid pattern 'BTC/*/USDT'"),
        ("*/*/*", "invalid pattern '*/*/*'"),
        ("*,BTC/USDT,B*/USDT", "invalid pattern 'B*/USDT'"),
        ("BTC/USDT,*/US*", "invalid pattern '*/US*'"),
        (&patterns, "too many patterns at 'A32/*'"),
    ];
    let lists = lists.map(|(list, words)| (format!("symbols={list}"), words));
    let others = [
        ("every=", "invalid every ''"),
        ("every=0", "invalid every '0'"),
        ("every=9ms", "invalid every '9ms': expected 10ms to 3600s"),
        ("every=3601s", "invalid every '3601s': expected"),
        ("every=-1s", "invalid every '-1s': expected a time"),
        ("every=1e3s", "invalid every '1e3s': expected a time"),
        (
            "every=99999999999999999999s",
            "invalid every '99999999999999999999s'",
        ),
        ("every=1s&every=never", "invalid every 'never'"),
        ("every=%00", "invalid every '"),
        ("batch=2", "invalid batch: expected true or false"),
        ("batch=%ff", "invalid batch"),
        ("since=", "invalid since: expected the stamp of a tick"),
        ("symbols=*&since=soon", "invalid since"),
        ("symbols=BTC/USDT&since=-1&every=1s", "invalid since"),
    ];
    let others = others.map(|(query, words)| (query.to_owned(), words));
    let all = lists.into_iter().chain(others);
    all.map(|(query, words)| case(&format!("/?{query}"), &[], Refused(words.to_owned())))
        .collect()
}

/// Rates and batches that are fine.
fn ways() -> Vec<Case> {
    let ways = [
        ("every=10ms", r#","every":"10ms""#),
        ("every=1", r#","every":"1000ms""#),
        ("every=1234ms", r#","every":"1200ms""#),
        ("every=3600s", r#","every":"3600000ms""#),
        ("every=1s&every=2s", r#","every":"2000ms""#),
        ("batch", r#","batch":true"#),
        ("batch=", r#","batch":true"#),
        ("batch=false", ""),
        ("batch&batch=false", ""),
        ("batch&every=1s", r#","every":"1000ms","batch":true"#),
    ];
    let case = |(way, reads): (&str, &str)| {
        let path = format!("/?symbols=BTC/USDT&{way}");
        case(&path, &[], Reads(format!("{BTC}{reads}")))
    };
    ways.into_iter().map(case).collect()
}

fn subscribe<T: AsRef<str>>(symbols: &[T]) -> String {
    let symbols: Vec<_> = symbols.iter().map(AsRef::as_ref).collect();
    json!({"op": "subscribe", "symbols": symbols}).to_string()
}

fn unsubscribe<T: AsRef<str>>(symbols: &[T]) -> String {
    subscribe(symbols).replace("subscribe", "unsubscribe")
}

fn requests() -> Vec<Case> {
    const NONE: &str = r#""count":0,"symbols":[]"#;
    let many = vec!["*"; 900];
    let escaped = r#"{"op":"subscribe","symbols":["\u0073im:\u0042TC\/USDT"]}"#;
    let without_btc = r#""count":3,"symbols":["*"],"except":["sim:BTC/USDT"]"#;
    let steps = [
        ("BTC/USDT", vec![subscribe(&["BTC/USDT"; 300])], BTC),
        ("BTC/USDT", vec![subscribe(&[""; 900])], BTC),
        ("BTC/USDT", vec![subscribe(&many)], ALL),
        ("*", vec![unsubscribe(&many)], NONE),
        (
            "*",
            vec![unsubscribe(&["*/USDT"; 400])],
            r#""count":0,"symbols":["*"],"except":["*/USDT"]"#,
        ),
        ("*", vec![unsubscribe(&["BTC/USDT"; 300])], without_btc),
        (
            "*",
            vec![unsubscribe(&["BTC/USDT"]), subscribe(&["sim:BTC/USDT"])],
            ALL,
        ),
        (
            "*",
            vec![unsubscribe(&["BTC/USDT"]), subscribe(&["BTC/*"])],
            r#""count":4,"symbols":["*","BTC/*"]"#,
        ),
        (
            "*",
            vec![unsubscribe(&["BTC/USDT"]), subscribe(&["*"])],
            ALL,
        ),
        (
            "*",
            vec![unsubscribe(&["*/GBP"; 300])],
            r#""count":4,"symbols":["*"],"except":["*/GBP"]"#,
        ),
        ("BTC/USDT", vec![unsubscribe(&["ETH/USDT"])], BTC),
        ("BTC/USDT", vec![unsubscribe(&strangers(32))], BTC),
        (
            "BTC/USDT",
            vec![unsubscribe(&["*"]), subscribe(&["BTC/USDT"])],
            BTC,
        ),
        (
            "ETH/USDT",
            vec![unsubscribe(&["*"]), escaped.to_owned()],
            BTC,
        ),
        (
            "BTC/USDT",
            vec![
                subscribe(&strangers(31)),
                unsubscribe(&["*/*"]),
                subscribe(&["BTC/USDT"]),
            ],
            BTC,
        ),
    ];
    let case = |(list, requests, reads): (&str, Vec<String>, &str)| {
        let path = format!("/?symbols={list}");
        case(&path, &requests, Reads(reads.to_owned()))
    };
    steps.into_iter().map(case).collect()
}

/// None of them changes anything, although the entries before the wrong one are fine.
fn errors() -> Vec<Case> {
    let behind = |wrong: &'static str| [vec!["BTC/USDT"; 200], vec![wrong]].concat();
    let list = |symbols: &[&str]| subscribe(symbols).replace("subscribe", "list");
    let requests = [
        (subscribe(&behind("X/Y")), "unknown symbol 'X/Y'"),
        (unsubscribe(&behind("X/Y")), "unknown symbol 'X/Y'"),
        (unsubscribe(&["btc/usdt"]), "similar are: sim:BTC/USDT"),
        (subscribe(&["\u{1f600}"; 300]), "unknown symbol '\u{1f600}'"),
        (subscribe(&["a\"b\\"]), "unknown symbol 'a\"b\\'"),
        (subscribe(&["\0"]), "unknown symbol '\0'"),
        (subscribe(&behind("B*")), "invalid pattern 'B*'"),
        (unsubscribe(&behind("BTC/*T")), "invalid pattern 'BTC/*T'"),
        (subscribe(&strangers(33)), "too many patterns at 'A31/*'"),
        (unsubscribe(&strangers(400)), "too many patterns at 'A31/*'"),
        (list(&["X/Y"]), "unknown symbol 'X/Y'"),
        (list(&["*/*/*"]), "invalid pattern '*/*/*'"),
        (
            subscribe(&["BTC/USDT,ETH/USDT"]),
            "unknown symbol 'BTC/USDT,ETH/USDT'",
        ),
        (
            r#"{"op":"subscribe","symbols":["BTC/USDT"],"every":"9ms"}"#.to_owned(),
            "invalid every '9ms'",
        ),
        (
            r#"{"op":"subscribe","symbols":["BTC/USDT"],"every":[]}"#.to_owned(),
            "invalid every: expected",
        ),
        (
            r#"{"op":"subscribe","symbols":["BTC/USDT"],"batch":1}"#.to_owned(),
            "invalid batch: expected",
        ),
        (
            r#"{"op":"subscribe","symbols":["x"],"batch":true}"#.to_owned(),
            "unknown symbol 'x'",
        ),
        (
            r#"{"op":"unsubscribe","every":"1s"}"#.to_owned(),
            "missing symbols: expected",
        ),
    ];
    let case = |(request, words): (String, &str)| case("/", &[request], Error(words.to_owned()));
    requests.into_iter().map(case).collect()
}

/// Its rate and its batches change hundreds of times, as often as it may ask; then it gets every
/// tick of its list again, one after the other.
fn changes_its_rate(fixture: &Fixture) -> Check {
    let mut peer = Peer::connect(&fixture.address).upgrade_at("/?symbols=BTC/USDT")?;
    let began = Instant::now();
    let mut asked = 0;
    while asked < CHANGES {
        let every = ["\"10ms\"", "\"3600s\"", "null", "\"20ms\""][asked % 4];
        let batch = asked % 3 == 0;
        let request = format!(r#"{{"op":"subscribe","every":{every},"batch":{batch}}}"#);
        let answer = ask(&mut peer, &request)?;
        cases::equal("a batch", answer.contains(r#""batch":true"#), batch)?;
        cases::equal("a rate", answer.contains(r#""every":"#), every != "null")?;
        asked += 1;
        // Fifty a second are allowed, and a hundred at once.
        let due = Duration::from_millis(20) * (asked as u32).saturating_sub(90);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    ask(
        &mut peer,
        r#"{"op":"subscribe","every":null,"batch":false}"#,
    )?;
    hears_all(&mut peer)
}

/// Twenty ticks without a gap.
fn hears_all(peer: &mut Peer) -> Check {
    let mut last = None;
    for _ in 0..20 {
        let tick = peer.frame(|_, payload| payload.starts_with(br#"{"symbol":"sim:BTC/USDT""#))?;
        let tick: Value = serde_json::from_slice(&tick).map_err(|error| error.to_string())?;
        let seq = tick["seq"].as_u64();
        cases::must(last.is_none() || last.map(|last| last + 1) == seq, || {
            format!("{seq:?} follows {last:?}")
        })?;
        last = seq;
    }
    Ok(())
}

/// Stamps of every kind with lists and ways of every kind.
fn positions() -> Vec<String> {
    let lists = [
        "",
        "symbols=BTC/USDT&",
        "symbols=*/USDT&",
        "symbols=*&",
        "symbols=BTC/*,sim:*&",
    ];
    let ways = ["", "&every=10ms", "&batch", "&every=10ms&batch"];
    let mut paths = Vec::new();
    for way in ways {
        for list in lists {
            for since in ["0", "1", "1732270000123456"] {
                paths.push(format!("/?{list}since={since}{way}"));
            }
        }
        // These wait until the server gives up on getting there.
        for since in ["99999999999999999", "18446744073709551615"] {
            paths.push(format!("/?symbols=BTC/USDT&since={since}{way}"));
        }
    }
    paths
}

/// It is served; and if it asks for every tick, it misses none from then on.
fn resumes(fixture: &Fixture, path: &str) -> Check {
    let mut peer = Peer::connect(&fixture.address).upgrade_at(path)?;
    if !path.contains("every") && !path.contains("batch") {
        return hears_all(&mut peer);
    }
    let is_tick = |_, payload: &[u8]| {
        let payload = payload.strip_prefix(b"[").unwrap_or(payload);
        payload.starts_with(br#"{"symbol":"sim:"#)
    };
    peer.frame(is_tick).map(|_| ())
}

/// How often the rate changes.
const CHANGES: usize = 200;
