//! The live page in a real browser: what it shows of prices and fields, and what it says when it
//! cannot have them. Without a browser the tests are left out, unless `CI` is set.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use testkit::ServerProcess;
use testkit::browser::Browser;

const WIDE: (u32, u32) = (1280, 800);
const NARROW: (u32, u32) = (390, 844);

fn server(arguments: &[&str]) -> ServerProcess {
    ServerProcess::start(env!("CARGO_BIN_EXE_server"), arguments)
}

fn browser() -> Option<Browser> {
    let browser = Browser::start();
    let must = testkit::needs_all_tools();
    assert!(browser.is_some() || !must, "there is no browser here");
    if browser.is_none() {
        eprintln!("there is no browser here, so a test is left out");
    }
    browser
}

/// An expression for the text of an element.
fn text(selector: &str) -> String {
    format!("document.querySelector('{selector}')?.innerText")
}

/// Whether an element takes room on the screen.
fn is_shown(selector: &str) -> String {
    format!("document.querySelector('{selector}')?.getClientRects().length > 0")
}

/// Whether nothing has to be scrolled sideways and no cell's text leaves its cell.
const FITS: &str = "document.documentElement.scrollWidth <= innerWidth
    && [...document.querySelectorAll('tbody th, tbody td')].every((it) => it.scrollWidth <= it.clientWidth)";

#[test]
fn plain_ticks_have_plain_rows() {
    let Some(mut browser) = browser() else { return };
    let server = server(&["--symbols", "BTC/USDT,SHIB/BTC"]);
    for size in [WIDE, NARROW] {
        browser.open(&format!("http://{}/", server.address), size);
        browser.wait_for("document.querySelectorAll('tbody tr').length === 2");
        browser.wait_for(&format!("/^[▲▼]?[0-9.]+$/.test({})", text("td.price")));
        for column in ["change", "quotes", "range", "volume"] {
            browser.wait_for(&format!("!({})", is_shown(&format!("td.{column}"))));
        }
        browser.wait_for(&format!("{} === '0'", text("td.gaps")));
        browser.wait_for(FITS);
    }
}

#[test]
fn fields_are_shown_with_their_digits() {
    let Some(mut browser) = browser() else { return };
    let fields = "bid,ask,volume,quote_volume,change,high,low,open";
    let server = server(&["--symbols", "BTC/USDT,SHIB/BTC", "--fields", fields]);
    for size in [WIDE, NARROW] {
        browser.open(&format!("http://{}/", server.address), size);
        for (selector, shape) in [
            (".bid", r"^\d{5,6}\.\d\d$"),
            (".ask", r"^\d{5,6}\.\d\d$"),
            (".high", r"^\d{5,6}\.\d\d$"),
            (".low", r"^\d{5,6}\.\d\d$"),
            (".base", r"^[\d.]+[KM]? BTC$"),
            (".quote", r"^[\d.]+[MB] USDT$"),
            (".change", r"[+−]?\d+\.\d{3}\s%$"),
        ] {
            let shown = text(&format!("tbody {selector}"));
            browser.wait_for(&format!("/{shape}/.test({shown})"));
            browser.wait_for(&is_shown(&format!("tbody {selector}")));
        }
        let exact = "/^\\d+\\.\\d{5}$/.test(document.querySelector('.base').title)";
        browser.wait_for(exact);
        browser.wait_for(FITS);
    }
}

#[test]
fn only_columns_that_have_something_to_show_are_shown() {
    let Some(mut browser) = browser() else { return };
    let server = server(&["--fields", "bid"]);
    browser.open(&format!("http://{}/", server.address), WIDE);
    browser.wait_for(&is_shown("td.quotes"));
    browser.wait_for(&format!("{} === '–'", text(".ask")));
    browser.wait_for(&format!("!({})", is_shown("td.volume")));
}

#[test]
fn a_refused_query_is_explained() {
    let Some(mut browser) = browser() else { return };
    let server = server(&["--symbols", "BTC/USDT,ETH/USDT"]);
    for (query, reason) in [
        ("symbols=NOPE", "400 unknown symbol"),
        ("every=soon", "400 invalid every"),
        ("since=yesterday", "400 invalid since"),
    ] {
        browser.open(&format!("http://{}/?{query}", server.address), WIDE);
        let told = format!("{}?.includes('{reason}')", text("#status"));
        browser.wait_for(&told);
        browser.wait_for("document.querySelector('#status').innerText.includes('reconnecting')");
    }
}

#[test]
fn with_every_what_is_left_out_is_no_gap() {
    let Some(mut browser) = browser() else { return };
    let server = server(&["--interval", "10ms"]);
    browser.open(&format!("http://{}/?every=100ms", server.address), WIDE);
    browser.wait_for(&format!("{} === 'Conflated'", text("thead .gaps")));
    browser.wait_for(&format!("Number({}) > 9", text("tbody .gaps")));
    browser.wait_for("!document.querySelector('tbody tr').className.includes('gapped')");
}

#[test]
fn a_server_that_ends_is_named_as_the_reason() {
    let Some(mut browser) = browser() else { return };
    let server = server(&["--drain", "1ms"]);
    browser.open(&format!("http://{}/", server.address), WIDE);
    browser.wait_for(&format!("{} === 'live'", text("#status")));
    drop(server);
    let told = format!(
        "{}.includes('the server cannot be reached')",
        text("#status")
    );
    browser.wait_for(&told);
}

/// Passes connections on to a server, and can cut all of them.
struct Relay {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn to(server: &ServerProcess) -> Self {
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (known, target) = (Arc::clone(&connections), server.address.clone());
        let address = testkit::tcp::serve(move |client| {
            let upstream = TcpStream::connect(&target).unwrap();
            let [a, b, c, d] =
                [&client, &upstream, &client, &upstream].map(|stream| stream.try_clone().unwrap());
            known.lock().unwrap().extend([a, b]);
            std::thread::spawn(move || copy(c, d));
            copy(upstream, client);
        });
        Self {
            address,
            connections,
        }
    }

    fn cut(&self) {
        for stream in self.connections.lock().unwrap().drain(..) {
            // One that has ended already needs no cut.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Ends when either side does.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_browser_comes_back_to_its_stream_of_events_without_a_gap_or_a_repeat() {
    let Some(mut browser) = browser() else { return };
    let server = server(&["--symbols", "A/USDT,B/USDT", "--interval", "20ms"]);
    let relay = Relay::to(&server);
    browser.open(&format!("http://{}/", relay.address), WIDE);
    // Each line is one symbol's number, so that gaps and repeats show.
    browser.wait_for(
        "(window.stream ??= (() => {
           const state = { seqs: {}, ticks: 0, opened: 0, faults: [] };
           const events = new EventSource('/sse');
           events.onopen = () => state.opened++;
           events.onmessage = ({ data, lastEventId }) => {
             const tick = JSON.parse(data);
             const before = state.seqs[tick.symbol];
             if (before !== undefined && tick.seq !== before + 1) state.faults.push(data);
             if (lastEventId !== String(tick.sent)) state.faults.push(lastEventId);
             state.seqs[tick.symbol] = tick.seq;
             state.ticks++;
           };
           return state;
         })()).ticks > 20",
    );
    for opened in 2..=4 {
        relay.cut();
        browser.wait_for(&format!("stream.opened === {opened}"));
        let ticks = browser.wait_for("stream.ticks");
        browser.wait_for(&format!("stream.ticks > {ticks} + 20"));
    }
    let faults = browser.wait_for("JSON.stringify(stream.faults)");
    assert_eq!(faults, "[]");
}
