//! The cases without a loop.

use std::hint::black_box;
use std::time::{Duration, Instant};

use exchanges::{Catalogue, Symbol};
use tickertape::frame;
use tickertape::tape::Tape;
use tickertape::tick::{Field, Fields, Price, Tick, WireTick, write_json};

use crate::time;

const TAPE_SIZE: usize = 1 << 20;

const SYMBOL: &str = r#""sim:BTC/USDT""#;

fn tick() -> Tick {
    let price = Price::parse("97123.45").expect("a price");
    Tick::new("sim:BTC/USDT", price, 1_732_270_000_123)
}

fn tick_with_fields() -> Tick {
    Tick {
        fields: all_fields(),
        ..tick()
    }
}

/// Fields as a large market has them.
pub(crate) fn all_fields() -> Fields {
    let texts = [
        "97123.44",
        "97123.46",
        "14213.51962",
        "1380464064.1298137",
        "-0.612",
        "97881.20",
        "96704.07",
        "97721.50",
    ];
    let prices = texts.map(|text| Price::parse(text).expect("a number"));
    Field::ALL.into_iter().zip(prices).collect()
}

/// A tick in its frame on the tape.
pub(super) fn framed_tick(seq: u64) -> Vec<u8> {
    let (mut json, mut framed) = (Vec::new(), Vec::new());
    write_json(&mut json, SYMBOL, &tick(), seq, 1_732_270_000_123_456);
    frame::text(&mut framed, &json);
    framed
}

pub(super) fn tape_append(times: u32) -> Duration {
    let mut tape = Tape::new(TAPE_SIZE);
    let (frame, now) = (framed_tick(42), Instant::now());
    time(|| {
        for sent in 1..=u64::from(times) {
            tape.append(0, black_box(&frame), sent, now);
        }
        tape.head()
    })
}

pub(super) fn tape_read(times: u32) -> Duration {
    let mut tape = Tape::new(TAPE_SIZE);
    let (frame, now) = (framed_tick(42), Instant::now());
    // Until the ring has wrapped around, as on any tape that is a few minutes old.
    for sent in 1..=(2 * TAPE_SIZE / frame.len()) as u64 {
        tape.append(0, &frame, sent, now);
    }
    let position = tape.head() - 8;
    time(|| {
        for _ in 0..times {
            let (unread, _) = black_box(&tape).run(black_box(position));
            black_box(tape.advance(position, unread.len() - 7));
        }
    })
}

pub(super) fn tick_encode(times: u32) -> Duration {
    encode(times, tick())
}

pub(super) fn tick_encode_fields(times: u32) -> Duration {
    encode(times, tick_with_fields())
}

fn encode(times: u32, mut tick: Tick) -> Duration {
    let (mut json, mut framed) = (Vec::new(), Vec::new());
    time(|| {
        for seq in 0..u64::from(times) {
            json.clear();
            framed.clear();
            let stamp = 1_732_270_000_123_456 + seq;
            tick.timestamp = stamp / 1000;
            write_json(&mut json, black_box(SYMBOL), &tick, seq, stamp);
            frame::text(&mut framed, &json);
            black_box(&framed);
        }
    })
}

pub(super) fn tick_parse(times: u32) -> Duration {
    parse(times, &framed_tick(42))
}

pub(super) fn tick_parse_fields(times: u32) -> Duration {
    let (mut json, mut framed) = (Vec::new(), Vec::new());
    let stamp = 1_732_270_000_123_456;
    write_json(&mut json, SYMBOL, &tick_with_fields(), 42, stamp);
    frame::text(&mut framed, &json);
    parse(times, &framed)
}

fn parse(times: u32, framed: &[u8]) -> Duration {
    time(|| {
        for _ in 0..times {
            let (payload, _) = frame::pushed_text(black_box(framed)).expect("a whole frame");
            black_box(WireTick::parse(payload).expect("JSON"));
        }
    })
}

pub(super) fn price_parse(times: u32) -> Duration {
    let texts = ["97123.45", "0.00001234", "1.234e-5", "3100.50000000"];
    time(|| {
        for text in texts.iter().cycle().take(times as usize) {
            black_box(Price::parse(black_box(text)).expect("a price"));
        }
    })
}

/// A message of 24 members, of which two are wanted, from one of twenty markets.
pub(super) fn stream_read(times: u32) -> Duration {
    let catalogue = Catalogue::builtin();
    let binance = catalogue.get("binance").expect("it is built in");
    let symbols: Vec<Symbol> = (0..20)
        .map(|n| format!("A{n}/USDT").parse().expect("a symbol"))
        .collect();
    let mut session = binance.session(&symbols).expect("it has a stream");
    time(|| {
        let mut read = 0;
        for _ in 0..times {
            let message = session.read(black_box(BINANCE), 1_732_270_000_500);
            read += usize::from(message != exchanges::StreamMessage::Other);
        }
        read
    })
}

const BINANCE: &[u8] = br#"{"e":"24hrTicker","E":1732270000123,"s":"A7USDT","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"97123.45","Q":"10","b":"97123.44","B":"10","a":"97123.46","A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}"#;
