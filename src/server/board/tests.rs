use super::*;
use crate::frame;
use crate::tick::{self, Price};

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
    assert_eq!(collected(|out| board.snapshot(all, 0, out)), "B2 A3");
    let seen = board.last_stamp() - 1;
    assert_eq!(
        collected(|out| board.snapshot(all, seen, out)),
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
        collected(|out| board.snapshot_unread(all, position, out)),
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
        collected(|out| board.snapshot_moved((only_a, position), to, out))
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
