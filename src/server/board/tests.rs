use super::*;
use crate::feed::Watched;
use crate::frame;
use crate::tick::{self, Price};
use std::time::Duration;

fn board() -> Board {
    Board::new(["A", "B", "C"].map(String::from).to_vec(), 4096, 3)
}

fn print(board: &mut Board, symbol: &str) {
    let tick = Tick {
        symbol: symbol.to_owned(),
        price: Price::parse("1").unwrap(),
        timestamp: 0,
    };
    assert!(board.print(&tick, Instant::now()).is_some());
}

/// The symbols and numbers of the ticks in a run of frames: `A1 B7`.
fn ticks(mut frames: &[u8]) -> String {
    let mut ticks = Vec::new();
    while let Some((payload, length)) = frame::pushed_text(frames) {
        let tick = tick::WireTick::parse(payload).unwrap();
        ticks.push(format!("{}{}", tick.symbol.unwrap(), tick.seq.unwrap()));
        frames = &frames[length..];
    }
    ticks.join(" ")
}

fn collected(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    ticks(&out)
}

#[test]
fn a_snapshot_is_the_newest_of_each_symbol_in_the_order_printed() {
    let mut board = board();
    let all = board.join(None).unwrap();
    for symbol in ["B", "A", "A", "B", "A"] {
        print(&mut board, symbol);
    }
    assert_eq!(
        collected(|out| board.snapshot(all, 0, Instant::now(), out)),
        "B2 A3"
    );
    let seen = board.last_stamp() - 1;
    assert_eq!(
        collected(|out| board.snapshot(all, seen, Instant::now(), out)),
        "A3",
        "only what came since"
    );
}

#[test]
fn who_skips_gets_only_what_it_has_not_had() {
    let mut board = board();
    let all = board.join(None).unwrap();
    print(&mut board, "A");
    print(&mut board, "B");
    let position = board.tape(all).head();
    print(&mut board, "B");
    print(&mut board, "B");
    assert_eq!(
        collected(|out| board.snapshot_unread(all, position, Instant::now(), out)),
        "B3"
    );
}

#[test]
fn who_moves_gets_what_is_new_to_it() {
    let mut board = board();
    let only_a = board.join(Some(&["A".to_owned()])).unwrap();
    for symbol in ["A", "B", "C"] {
        print(&mut board, symbol);
    }
    let position = board.tape(only_a).head();
    let to = board.rejoin(only_a, &["B".to_owned()], true).unwrap();
    let moved = |board: &Board, position| {
        collected(|out| board.snapshot_moved((only_a, position), to, Instant::now(), out))
    };
    assert_eq!(moved(&board, position), "B1", "A was seen, C is not read");
    print(&mut board, "A");
    assert_eq!(
        moved(&board, position),
        "B1 A2",
        "A went on before the client moved"
    );
}

#[test]
fn equal_sets_share_a_tape_and_the_last_reader_takes_it_along() {
    let mut board = board();
    let names = ["A", "B"].map(String::from);
    let first = board.join(Some(&names)).unwrap();
    let second = board
        .join(Some(&["B", "A", "A"].map(String::from)))
        .unwrap();
    assert_eq!(first, second);
    assert_eq!(board.tapes(), 2);
    board.leave(first);
    assert_eq!(board.tapes(), 2);
    board.leave(second);
    assert_eq!(board.tapes(), 1);
}

#[test]
fn no_more_tapes_than_their_memory_allows() {
    let mut board = board();
    let set = |name: &str| vec![name.to_owned()];
    board.join(Some(&set("A"))).unwrap();
    let second = board.join(Some(&set("B"))).unwrap();
    assert_eq!(board.join(Some(&set("C"))), Err(JoinError::TooManySets));
    assert!(board.join(Some(&set("A"))).is_ok(), "a set that is there");
    board.leave(second);
    assert!(board.join(Some(&set("C"))).is_ok());
}

#[test]
fn nothing_is_printed_behind_the_closing_frame() {
    let mut board = board();
    board.seal(b"\x88\x00", Instant::now());
    let head = board.tape(ALL).head();
    let tick = Tick {
        symbol: "A".to_owned(),
        price: Price::parse("1").unwrap(),
        timestamp: 0,
    };
    assert!(board.print(&tick, Instant::now()).is_none());
    board.print_for_all(b"\x89\x00", Instant::now());
    assert_eq!(board.tape(ALL).head(), head);
}

#[test]
fn a_symbol_that_is_not_there_is_named_with_those_that_are() {
    let mut board = board();
    let error = board.join(Some(&["X".to_owned()])).unwrap_err();
    assert_eq!(error.to_string(), "unknown symbol 'X', there are: A, B, C");
}

fn watched_board() -> (Board, Instant) {
    let mut board = Board::new(vec!["x:A".to_owned(), "y:A".to_owned()], 4096, 3);
    let start = Instant::now();
    for symbol in ["x:A", "y:A"] {
        let watched = Watched {
            symbol: symbol.to_owned(),
            market: "A".to_owned(),
            stale_after: Duration::from_secs(5),
        };
        board.watch(watched, start);
    }
    (board, start)
}

fn print_at(board: &mut Board, symbol: &str, now: Instant) {
    let tick = Tick {
        symbol: symbol.to_owned(),
        price: Price::parse("1").unwrap(),
        timestamp: 0,
    };
    board.print(&tick, now);
}

/// The texts in a run of frames.
fn texts(mut frames: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((payload, length)) = frame::pushed_text(frames) {
        texts.push(String::from_utf8(payload.to_vec()).unwrap());
        frames = &frames[length..];
    }
    texts
}

#[test]
fn silence_is_told_once_and_so_is_its_end() {
    let (mut board, start) = watched_board();
    let second = |n| start + Duration::from_secs(n);
    print_at(&mut board, "x:A", second(1));
    let position = board.tape(ALL).head();
    assert!(board.print_stale(second(5), false).is_empty());
    let silent = board.print_stale(second(7), false);
    let names: Vec<_> = silent.iter().map(|silent| &*silent.symbol).collect();
    assert_eq!(names, ["x:A", "y:A"]);
    assert!(board.print_stale(second(8), false).is_empty());
    print_at(&mut board, "x:A", second(9));
    assert!(board.confirm("y:A", second(9)));
    let printed = texts(board.tape(ALL).read(position));
    assert_eq!(printed[0], r#"{"event":"stale","symbol":"x:A","age":6000}"#);
    assert_eq!(printed[1], r#"{"event":"stale","symbol":"y:A","age":7000}"#);
    assert_eq!(printed[2], r#"{"event":"live","symbol":"x:A"}"#);
    assert!(printed[3].contains(r#""seq":2"#), "and then the price");
    assert_eq!(printed[4], r#"{"event":"live","symbol":"y:A"}"#);
}

#[test]
fn what_never_had_a_price_is_stale_at_once_when_there_is_no_hope() {
    let (mut board, start) = watched_board();
    print_at(&mut board, "x:A", start);
    assert!(board.print_stale(start, false).is_empty());
    let silent = board.print_stale(start, true);
    let names: Vec<_> = silent.iter().map(|silent| &*silent.symbol).collect();
    assert_eq!(names, ["y:A"], "the other's price is of now");
    assert!(board.print_stale(start, true).is_empty());
}

#[test]
fn who_joins_is_told_what_is_stale() {
    let (mut board, start) = watched_board();
    let all = board.join(None).unwrap();
    board.print_stale(start + Duration::from_secs(6), false);
    print_at(&mut board, "y:A", start + Duration::from_secs(6));
    let mut out = Vec::new();
    board.snapshot(all, 0, Instant::now(), &mut out);
    let told = texts(&out);
    assert!(told[0].starts_with(r#"{"symbol":"y:A""#), "{told:?}");
    assert!(told[1].starts_with(r#"{"event":"stale","symbol":"x:A","age":"#));
    assert_eq!(told.len(), 2);
}

#[test]
fn one_live_price_of_a_market_is_enough_to_be_ready() {
    let (mut board, start) = watched_board();
    let second = |n| start + Duration::from_secs(n);
    assert!(!board.is_ready(), "no price yet");
    print_at(&mut board, "y:A", second(3));
    board.print_stale(second(6), false);
    let stale = board.rows().filter(|row| row.is_stale);
    assert_eq!(stale.map(|row| row.name).collect::<Vec<_>>(), ["x:A"]);
    assert!(board.is_ready());
    board.print_stale(second(9), false);
    assert_eq!(board.unserved().collect::<Vec<_>>(), ["A"]);
}
