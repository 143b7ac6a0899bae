//! The cases without a loop.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tickertape::frame;
use tickertape::tape::Tape;
use tickertape::tick::{Price, WireTick, write_json};

use crate::time;

const TAPE_SIZE: usize = 1 << 20;

const SYMBOL: &str = r#""sim:BTC/USDT""#;

/// A tick in its frame on the tape.
pub(super) fn framed_tick(seq: u64) -> Vec<u8> {
    let price = Price::parse("97123.45").expect("a price");
    let (mut json, mut framed) = (Vec::new(), Vec::new());
    write_json(
        &mut json,
        SYMBOL,
        (&price, 1_732_270_000_123),
        seq,
        1_732_270_000_123_456,
    );
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
    // Until the ring has wrapped around, like that of any tape that is a few minutes old.
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
    let price = Price::parse("97123.45").expect("a price");
    let (mut json, mut framed) = (Vec::new(), Vec::new());
    time(|| {
        for seq in 0..u64::from(times) {
            json.clear();
            framed.clear();
            let stamp = 1_732_270_000_123_456 + seq;
            write_json(
                &mut json,
                black_box(SYMBOL),
                (&price, stamp / 1000),
                seq,
                stamp,
            );
            frame::text(&mut framed, &json);
            black_box(&framed);
        }
    })
}

pub(super) fn tick_parse(times: u32) -> Duration {
    let framed = framed_tick(42);
    time(|| {
        for _ in 0..times {
            let (payload, _) = frame::pushed_text(black_box(&framed)).expect("a whole frame");
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
