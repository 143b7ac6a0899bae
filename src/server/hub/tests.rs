use std::time::{Duration, Instant};

use super::*;
use crate::feed::Watched;
use crate::frame;
use crate::tick::Price;

/// A hub of these symbols, and the instant at which it began.
fn hub(symbols: &[&str]) -> (Hub, Instant) {
    let symbols = symbols.iter().map(ToString::to_string).collect();
    (Hub::new(symbols, 1 << 16, 1 << 20).unwrap(), Instant::now())
}

/// The symbols `S0/USD`, `S1/USD` and so on.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("S{number}/USD")).collect()
}

fn tick(symbol: &str, price: &str) -> Tick {
    Tick::new(symbol, Price::parse(price).unwrap(), 7)
}

/// Lets `slot` read the list of `entries`.
fn join(hub: &mut Hub, slot: usize, entries: &[&str]) -> Reading {
    let list = match entries {
        [] => hub.select_everything(),
        entries => hub.select(entries),
    };
    let reading = Reading {
        list: list.unwrap(),
        period: None,
    };
    hub.join(slot, reading);
    reading
}

/// Takes the slots that have news.
fn news(hub: &mut Hub) -> Vec<usize> {
    std::iter::from_fn(|| hub.next_news(0, usize::MAX)).collect()
}

/// The messages that a reader of `list` is owed, in the order in which it gets them.
fn paid(hub: &mut Hub, debt: &mut Debt, list: ListId, position: FrameNumber) -> Vec<String> {
    let mut messages = Vec::new();
    for _ in 0..1000 {
        hub.pay(debt, (list, position), Instant::now(), |frame| {
            messages.push(String::from_utf8(frame::payload(frame).to_vec()).unwrap());
            false
        });
    }
    assert!(debt.is_empty());
    messages
}

/// The debt of a reader of `list` that joins.
fn owed_on_joining(hub: &Hub, list: ListId) -> Debt {
    let mut debt = Debt::default();
    hub.owe_on_joining(&mut debt, list, 0);
    debt
}

/// The messages for a reader of `list` that skips from `from` to the head.
fn paid_for_skipping(hub: &mut Hub, list: ListId, from: FrameNumber) -> Vec<String> {
    let mut debt = Debt::default();
    hub.owe_for_skipping(&mut debt, list, from);
    let head = hub.tape().head();
    paid(hub, &mut debt, list, head)
}

/// The symbols of the messages.
fn symbols_of(messages: &[String]) -> Vec<String> {
    let value = |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let symbol = |text| value(text)["symbol"].as_str().unwrap().to_owned();
    messages.iter().map(symbol).collect()
}

#[test]
fn only_watchers_of_a_symbol_get_its_news() {
    let (mut hub, now) = hub(&["A/USD", "B/USD", "A/EUR"]);
    join(&mut hub, 3, &["A/USD"]);
    join(&mut hub, 70, &["B/USD", "A/USD"]);
    join(&mut hub, 200, &["*/EUR"]);
    let everything = join(&mut hub, 9, &[]);
    hub.publish(&tick("A/USD", "1"), now);
    assert_eq!(news(&mut hub), [3, 9, 70]);
    assert_eq!(news(&mut hub), [0; 0]);
    hub.publish(&tick("A/EUR", "1"), now);
    assert_eq!(news(&mut hub), [9, 200]);
    hub.publish_to_everyone(b"ping", now);
    assert_eq!(news(&mut hub), [3, 9, 70, 200]);
    hub.publish(&tick("B/USD", "1"), now);
    hub.leave(9, everything);
    assert_eq!(news(&mut hub), [70]);
    hub.publish(&tick("A/USD", "2"), now);
    assert_eq!(news(&mut hub), [3, 70]);
}

#[test]
fn after_the_closing_frame_a_symbol_stays_as_its_readers_know_it() {
    let (mut hub, began) = hub(&["A/USD", "B/USD"]);
    hub.watch(
        &Watched {
            symbol: "A/USD".to_owned(),
            market: "A/USD".to_owned(),
            stale_after: Duration::from_secs(1),
        },
        began,
    );
    let later = began + Duration::from_secs(2);
    hub.publish_stale((0, 9), later, &mut Vec::new());
    hub.close(b"goodbye", later);
    let head = hub.tape().head();
    assert!(!hub.confirm("A/USD", later), "it is still stale");
    assert!(!hub.delist("B/USD", later) && !hub.list("C/USD").unwrap());
    assert!(hub.publish(&tick("B/USD", "1"), later).is_none());
    assert_eq!(hub.tape().head(), head);
    assert_eq!(hub.id_of("C/USD"), None);
    assert!(hub.id_of("B/USD").is_some());
}

#[test]
fn a_reader_that_changes_its_list_gets_news_of_the_new_list_only() {
    let (mut hub, now) = hub(&["A/USD", "B/USD"]);
    let from = join(&mut hub, 1, &["A/USD"]);
    let list = hub.reselect(from.list, &["B/USD"], true).unwrap();
    let both = Reading { list, period: None };
    hub.change(1, from, both);
    let list = hub.reselect(list, &["A/USD"], false).unwrap();
    hub.change(1, both, Reading { list, period: None });
    hub.publish(&tick("A/USD", "1"), now);
    assert_eq!(news(&mut hub), [0; 0]);
    hub.publish(&tick("B/USD", "1"), now);
    assert_eq!(news(&mut hub), [1]);
    assert_eq!(hub.counts(), (2, 1));
}

#[test]
fn a_bare_name_finds_its_only_symbol() {
    let (mut hub, _) = hub(&[
        "sim:BTC/USDT",
        "x:ETH/EUR",
        "y:ETH/EUR",
        "ETH/EUR",
        "x:Z/EUR",
        "y:Z/EUR",
    ]);
    let names = |hub: &Hub, entries: &[&str]| {
        let mut out = String::new();
        hub.write_names(Some(entries), None, &mut out).map(|()| out)
    };
    assert_eq!(names(&hub, &["BTC/USDT"]).unwrap(), r#"["sim:BTC/USDT"]"#);
    assert_eq!(
        names(&hub, &["ETH/EUR"]).unwrap(),
        r#"["ETH/EUR"]"#,
        "its own name"
    );
    let error = names(&hub, &["BTC/USDT", "Z/EUR"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "ambiguous symbol 'Z/EUR', name its source: x:Z/EUR, y:Z/EUR"
    );
    hub.delist("x:Z/EUR", Instant::now());
    assert_eq!(names(&hub, &["Z/EUR"]).unwrap(), r#"["y:Z/EUR"]"#);
    let error = names(&hub, &["usdt/btc"]).unwrap_err().to_string();
    assert!(
        error.starts_with("unknown symbol 'usdt/btc', there are: sim:BTC/USDT, "),
        "{error}"
    );
    let error = names(&hub, &["BTC/GBP"]).unwrap_err().to_string();
    assert_eq!(error, "unknown symbol 'BTC/GBP', similar are: sim:BTC/USDT");
}

#[test]
fn a_list_of_patterns_takes_added_symbols_and_a_list_of_names_does_not() {
    let (mut hub, now) = hub(&["A/USD", "B/USD"]);
    let patterned = join(&mut hub, 1, &["*/USD"]);
    let named = join(&mut hub, 2, &["A/USD", "B/USD"]);
    let everything = join(&mut hub, 3, &["*"]);
    assert_eq!((hub.list("C/USD"), hub.list("C/EUR")), (Ok(true), Ok(true)));
    assert_eq!(hub.list("A/USD"), Ok(false));
    let list = hub.refresh(patterned.list).unwrap().unwrap();
    hub.change(1, patterned, Reading { list, period: None });
    assert_eq!(hub.refresh(list), Ok(None), "it has been tried");
    assert_eq!(hub.refresh(named.list), Ok(None));
    assert_eq!(hub.refresh(everything.list), Ok(None));
    hub.publish(&tick("C/USD", "1"), now);
    assert_eq!(news(&mut hub), [1, 3]);
    hub.publish(&tick("C/EUR", "1"), now);
    assert_eq!(news(&mut hub), [3]);
}

#[test]
fn removed_patterns_take_no_added_symbols() {
    let (mut hub, _) = hub(&["A/USD", "A/EUR", "B/EUR"]);
    let reading = join(&mut hub, 1, &["*"]);
    let list = hub.reselect(reading.list, &["*/EUR"], false).unwrap();
    hub.list("C/EUR").unwrap();
    assert_eq!(hub.refresh(list), Ok(None));
    hub.list("C/USD").unwrap();
    let grown = hub.refresh(list).unwrap().unwrap();
    let mut out = String::new();
    hub.describe(grown, &mut out);
    assert_eq!(out, r#","count":2,"symbols":["*"],"except":["*/EUR"]"#);
}

#[test]
fn a_relisted_symbol_is_watched_as_before() {
    let (mut hub, now) = hub(&["A/USD", "B/USD"]);
    join(&mut hub, 4, &["A/USD"]);
    hub.publish(&tick("A/USD", "1"), now);
    news(&mut hub);
    assert!(hub.delist("A/USD", now));
    assert!(!hub.delist("A/USD", now));
    assert_eq!(news(&mut hub), [4]);
    assert!(hub.publish(&tick("A/USD", "2"), now).is_none());
    assert!(hub.select(&["A/USD"]).is_err());
    assert_eq!(hub.counts().0, 1);
    assert_eq!(hub.list("A/USD"), Ok(true));
    let json = hub.publish(&tick("A/USD", "3"), now).unwrap().to_vec();
    assert!(
        String::from_utf8(json).unwrap().contains(r#""seq":2,"#),
        "it goes on counting"
    );
    assert_eq!(news(&mut hub), [4]);
}

#[test]
fn a_pattern_takes_relisted_symbols_except_its_exceptions() {
    let (mut hub, now) = hub(&["A/USD", "B/USD"]);
    let without = join(&mut hub, 1, &["*/USD"]);
    let list = hub.reselect(without.list, &["A/USD"], false).unwrap();
    hub.change(1, without, Reading { list, period: None });
    hub.delist("A/USD", now);
    join(&mut hub, 2, &["*/USD"]);
    let everything = join(&mut hub, 3, &[]);
    let less = hub.reselect(everything.list, &["A/USD"], false).unwrap();
    assert_ne!(less, everything.list, "it does not come back to this one");
    hub.give_back(less);
    news(&mut hub);
    hub.list("A/USD").unwrap();
    assert_eq!(hub.refresh(list), Ok(None));
    hub.publish(&tick("A/USD", "1"), now);
    assert_eq!(news(&mut hub), [2, 3]);
}

#[test]
fn a_list_that_changes_before_its_refresh_takes_added_symbols() {
    let (mut hub, now) = hub(&["A/USD", "B/EUR"]);
    let reading = join(&mut hub, 1, &["*/USD"]);
    hub.list("C/USD").unwrap();
    let list = hub.reselect(reading.list, &["B/EUR"], true).unwrap();
    hub.change(1, reading, Reading { list, period: None });
    hub.publish(&tick("C/USD", "1"), now);
    assert_eq!(news(&mut hub), [1]);
}

#[test]
fn a_list_that_awaits_a_symbol_is_not_shared_with_a_list_that_does_not() {
    let (mut hub, _) = hub(&["A/USD"]);
    let early = hub.select(&["*/USD"]).unwrap();
    hub.list("B/USD").unwrap();
    let with = hub.select(&["*/USD"]).unwrap();
    let without = hub.reselect(with, &["B/USD"], false).unwrap();
    assert_ne!(without, early);
    assert_eq!(hub.refresh(without), Ok(None));
    assert_eq!(hub.refresh(early), Ok(Some(with)));
    hub.list("C/EUR").unwrap();
    let later = hub.select(&["*/USD"]).unwrap();
    assert_eq!(later, with, "it takes none of the added symbols");
}

#[test]
fn a_joining_client_is_owed_the_newest_ticks_in_the_order_of_printing() {
    let (mut hub, now) = hub(&["A/USD", "B/USD", "C/USD"]);
    for symbol in ["A/USD", "C/USD", "B/USD", "A/USD"] {
        hub.publish(&tick(symbol, "1"), now);
    }
    let list = hub.select_everything().unwrap();
    let position = hub.tape().head();
    let mut debt = owed_on_joining(&hub, list);
    let messages = paid(&mut hub, &mut debt, list, position);
    assert_eq!(symbols_of(&messages), ["C/USD", "B/USD", "A/USD"]);
    assert!(messages[2].contains(r#""seq":2,"#));
    // If a symbol ticks again meanwhile, the tape has its tick.
    let mut debt = owed_on_joining(&hub, list);
    hub.publish(&tick("B/USD", "2"), now);
    assert_eq!(
        symbols_of(&paid(&mut hub, &mut debt, list, position)),
        ["C/USD", "A/USD"]
    );
}

#[test]
fn a_skipping_client_is_owed_only_symbols_that_it_missed() {
    let (mut hub, now) = hub(&["A/USD", "B/USD", "C/USD"]);
    let list = hub.select(&["A/USD", "B/USD"]).unwrap();
    hub.publish(&tick("A/USD", "1"), now);
    let from = hub.tape().head();
    for symbol in ["B/USD", "C/USD", "B/USD"] {
        hub.publish(&tick(symbol, "2"), now);
    }
    let messages = paid_for_skipping(&mut hub, list, from);
    assert_eq!(symbols_of(&messages), ["B/USD"]);
    assert!(messages[0].contains(r#""seq":2,"#));
}

#[test]
fn an_event_after_a_read_tick_does_not_repeat_the_tick() {
    let (mut hub, now) = hub(&["A/USD"]);
    hub.watch(
        &Watched {
            symbol: "A/USD".to_owned(),
            market: "A/USD".to_owned(),
            stale_after: Duration::from_secs(1),
        },
        now,
    );
    hub.publish(&tick("A/USD", "1"), now);
    let from = hub.tape().head();
    let later = now + Duration::from_secs(5);
    let mut silent = Vec::new();
    assert_eq!(hub.publish_stale((0, 9), later, &mut silent), None);
    assert_eq!(silent.len(), 1);
    let list = hub.select_everything().unwrap();
    let messages = paid_for_skipping(&mut hub, list, from);
    assert_eq!(messages.len(), 1, "{messages:?}");
    let event = r#"{"event":"stale","symbol":"A/USD","age":"#;
    assert!(messages[0].starts_with(event), "{messages:?}");
}

#[test]
fn a_returning_client_learns_the_state_of_the_price_it_knows() {
    let (mut hub, now) = hub(&["A/USD"]);
    let watched = Watched {
        symbol: "A/USD".to_owned(),
        market: "A/USD".to_owned(),
        stale_after: Duration::from_secs(1),
    };
    hub.watch(&watched, now);
    hub.publish(&tick("A/USD", "1"), now);
    let (seen, behind_the_tick) = (hub.last_stamp(), hub.tape().head());
    let later = now + Duration::from_secs(5);
    hub.publish_stale((0, 9), later, &mut Vec::new());
    assert_eq!(hub.tape().resume(seen), Some(behind_the_tick));
    // Its readers hear that it is live again before the next tick, which has its own stamp.
    hub.publish(&tick("A/USD", "2"), later);
    let next = hub.last_stamp();
    assert_eq!(hub.tape().resume(seen), Some(behind_the_tick));
    assert_eq!(hub.tape().resume(next), Some(hub.tape().head()));
}

#[test]
fn a_debt_is_paid_in_pieces_without_repetition() {
    let names = numbered(100);
    let mut hub = Hub::new(names.clone(), 1 << 16, 1 << 20).unwrap();
    let now = Instant::now();
    for name in &names {
        hub.publish(&tick(name, "1"), now);
    }
    let list = hub.select_everything().unwrap();
    let (mut debt, position) = (owed_on_joining(&hub, list), hub.tape().head());
    let mut got = Vec::new();
    while !debt.is_empty() {
        let mut left = 7;
        hub.pay(&mut debt, (list, position), now, |frame| {
            got.push(String::from_utf8(frame::payload(frame).to_vec()).unwrap());
            left -= 1;
            left == 0
        });
    }
    assert_eq!(symbols_of(&got), names);
}

#[test]
fn a_market_is_served_while_one_of_its_symbols_is_live() {
    let (mut hub, now) = hub(&["x:A/USD", "y:A/USD", "B/USD"]);
    let watched = |symbol: &str| Watched {
        symbol: symbol.to_owned(),
        market: symbol.split(':').next_back().unwrap().to_owned(),
        stale_after: Duration::from_secs(1),
    };
    for symbol in ["x:A/USD", "y:A/USD", "B/USD"] {
        hub.watch(&watched(symbol), now);
    }
    let unserved = |hub: &Hub| {
        let silences = hub.silences(now).into_iter();
        let mut markets: Vec<_> = silences.map(|(market, _)| market.to_owned()).collect();
        markets.sort_unstable();
        markets
    };
    assert_eq!(unserved(&hub), ["A/USD", "B/USD"]);
    hub.publish(&tick("x:A/USD", "1"), now);
    hub.publish(&tick("B/USD", "1"), now);
    assert!(hub.is_ready());
    let later = now + Duration::from_secs(2);
    hub.publish(&tick("y:A/USD", "1"), later);
    let mut silent = Vec::new();
    assert_eq!(hub.publish_stale((0, 1), later, &mut silent), Some(2));
    assert_eq!(hub.publish_stale((2, 1), later, &mut silent), None);
    assert_eq!(unserved(&hub), ["B/USD"]);
    assert!(hub.confirm("B/USD", later) && hub.is_ready());
    hub.delist("y:A/USD", later);
    assert_eq!(unserved(&hub), ["A/USD"], "x is stale");
    hub.delist("x:A/USD", later);
    assert!(hub.is_ready(), "a market without symbols is not missing");
    hub.list("x:A/USD").unwrap();
    assert_eq!(unserved(&hub), ["A/USD"]);
}

#[test]
fn numbers_of_delisted_symbols_are_reused_once_released() {
    let names: Vec<String> = (0..SYMBOLS_MAX)
        .map(|number| format!("S{number}/USD"))
        .collect();
    let mut hub = Hub::new(names, 1 << 16, 1 << 20).unwrap();
    let now = Instant::now();
    let kept = hub.select(&["S1/USD"]).unwrap();
    assert_eq!(hub.list("NEW/USD"), Err(TooManySymbols));
    hub.publish(&tick("S2/USD", "1"), now);
    for symbol in ["S1/USD", "S2/USD", "S3/USD"] {
        hub.delist(symbol, now);
    }
    // Their frames, at least the events, are still on the tape.
    assert_eq!(hub.list("NEW/USD"), Err(TooManySymbols));
    for _ in 0..2000 {
        hub.publish(&tick("S9/USD", "1"), now);
    }
    assert_eq!(hub.list("NEW/USD"), Ok(true));
    assert_eq!(hub.list("NEWER/USD"), Ok(true));
    assert_eq!(
        hub.list("NEWEST/USD"),
        Err(TooManySymbols),
        "one is in a list"
    );
    let json = hub.publish(&tick("NEW/USD", "5"), now).unwrap();
    assert!(
        String::from_utf8_lossy(json)
            .starts_with(r#"{"symbol":"NEW/USD","price":5,"timestamp":7,"seq":1,"#)
    );
    assert!(matches!(hub.symbols(kept), Symbols::Some([1])));
    assert!(hub.select(&["S2/USD"]).is_err());
}

#[test]
fn a_whole_market_can_be_replaced_by_another() {
    let names = |letter: &str| -> Vec<String> {
        (0..SYMBOLS_MAX)
            .map(|number| format!("{letter}{number}/USD"))
            .collect()
    };
    let (old, new) = (names("A"), names("B"));
    let mut hub = Hub::new(old.clone(), 1 << 16, 1 << 20).unwrap();
    let now = Instant::now();
    for name in &old[1..] {
        hub.delist(name, now);
    }
    // The tape is full of these changes alone.
    for _ in 0..2000 {
        hub.publish(&tick("A0/USD", "1"), now);
    }
    assert_eq!(hub.list_all(&new), (SYMBOLS_MAX - 1, 1));
    assert_eq!(hub.list_all(&new[..9]), (0, 0));
    assert!(hub.publish(&tick("B7/USD", "1"), now).is_some());
}

#[test]
fn symbols_that_keep_coming_and_going_take_no_more_memory() {
    let (mut hub, now) = hub(&["KEPT/USD"]);
    let mut patterned = join(&mut hub, 1, &["*/USD"]);
    join(&mut hub, 2, &["KEPT/USD"]);
    join(&mut hub, 3, &[]);
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("x{round}:B{round}/USD");
        assert_eq!(hub.list(&name), Ok(true));
        if let Some(list) = hub.refresh(patterned.list).unwrap() {
            let to = Reading { list, period: None };
            hub.change(1, patterned, to);
            patterned = to;
        }
        hub.publish(&tick(&name, "1"), now).unwrap();
        assert_eq!(news(&mut hub), [1, 3]);
        hub.delist(&name, now);
        assert_eq!(news(&mut hub), [1, 3]);
        if round % (ROUNDS / 10) == 0 {
            let counts = [
                hub.instruments.len(),
                hub.by_name.len(),
                hub.by_bare_name.len(),
            ];
            let others = [hub.parts.len(), hub.markets.len(), hub.added.len() / 4096];
            sizes.push((counts, others, hub.symbol_count(patterned.list)));
        }
    }
    let (first, last) = (&sizes[3], &sizes[9]);
    assert!(first.0[0] < 2500, "{first:?}");
    for (first, last) in first
        .0
        .iter()
        .chain(&first.1)
        .zip(last.0.iter().chain(&last.1))
    {
        assert!(last.abs_diff(*first) <= 300, "{sizes:?}");
    }
    assert!(last.2.abs_diff(first.2) <= 300, "{sizes:?}");
}

/// In a build without optimisation each takes ten times as long.
const ROUNDS: usize = if cfg!(debug_assertions) {
    50_000
} else {
    1_000_000
};

#[test]
fn lists_have_a_limit_on_patterns_and_on_memory() {
    let names = numbered(500);
    let mut hub = Hub::new(names.clone(), 1 << 16, 4000).unwrap();
    let patterns: Vec<_> = (0..40).map(|number| format!("S{number}/*")).collect();
    let error = hub.select(&patterns).unwrap_err().to_string();
    assert_eq!(
        error,
        "too many patterns at 'S32/*': a list or a request can have 32"
    );
    let mut taken = Vec::new();
    let error = loop {
        match hub.select(&names[..=taken.len()]) {
            Ok(list) => taken.push(list),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("--list-memory"), "{error}");
    assert!(taken.len() > 5);
    for list in taken {
        hub.give_back(list);
    }
    assert!(hub.select(&names[..10]).is_ok());
}

#[test]
fn a_request_costs_no_more_for_repeating_itself() {
    let names = numbered(1000);
    let mut hub = Hub::new(names, 1 << 16, 1 << 20).unwrap();
    let all = hub.select_everything().unwrap();
    let work = |hub: &mut Hub, entries: &[&str]| {
        hub.rest();
        let list = hub.reselect(all, entries, false).unwrap();
        hub.give_back(list);
        hub.work()
    };
    for entry in ["*", "*/USD", "S7/*", "S7/USD"] {
        let once = work(&mut hub, &[entry]);
        assert_eq!(work(&mut hub, &[entry; 5000]), once, "{entry}");
    }
    let strangers: Vec<_> = (0..5000).map(|number| format!("S{number}/*")).collect();
    let error = hub.reselect(all, &strangers, false).unwrap_err();
    assert!(matches!(error, SelectError::TooManyPatterns(pattern) if pattern == "S31/*"));
}

#[test]
fn delisted_symbols_are_left_out_without_a_search_for_similar_ones() {
    let (mut hub, now) = hub(&["A/USD", "B/USD", "x:C/USD", "y:C/USD", "C/USD"]);
    let list = join(&mut hub, 1, &["A/USD", "B/USD", "C/USD"]).list;
    hub.delist("A/USD", now);
    hub.delist("C/USD", now);
    hub.rest();
    let rest = hub.reselect(list, &["A/USD", "C/USD"], false).unwrap();
    assert!(matches!(hub.symbols(rest), Symbols::Some([1])));
    assert!(hub.work() <= 5, "{}", hub.work());
    assert!(hub.reselect(list, &["A/USD"], true).is_err());
}

#[test]
fn every_search_finds_the_same_debt_of_a_long_list() {
    let names = numbered(500);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut hub, now) = hub(&names);
    let everything = join(&mut hub, 1, &[]).list;
    let some = join(&mut hub, 2, &names[100..499]).list;
    for symbol in &names {
        hub.publish(&tick(symbol, "1"), now).unwrap();
    }
    for printed in [3, 200] {
        let from = hub.tape().head();
        for symbol in names.iter().cycle().skip(90).step_by(7).take(printed) {
            hub.publish(&tick(symbol, "2"), now).unwrap();
        }
        hub.delist("S104/USD", now);
        hub.list("S104/USD").unwrap();
        for list in [everything, some] {
            let watched = |id: &SymbolId| hub.symbols(list).contains(*id);
            let mut numbers: Vec<_> = (0..500)
                .filter(watched)
                .flat_map(|id| [hub.instrument(id).tick, hub.instrument(id).event])
                .filter(|&number| number >= from)
                .collect();
            numbers.sort_unstable();
            let messages = paid_for_skipping(&mut hub, list, from);
            assert_eq!(messages.len(), numbers.len(), "{printed} printed");
        }
    }
}

#[test]
fn stamping_and_printing_are_separate_steps() {
    let (mut hub, now) = hub(&["A/USD"]);
    let stamp = Stamp {
        seq: 41,
        sent: 9_000,
    };
    hub.print(0, &tick("A/USD", "1.5"), stamp, now);
    let json = String::from_utf8(hub.newest("A/USD").unwrap().to_vec()).unwrap();
    assert_eq!(
        json,
        r#"{"symbol":"A/USD","price":1.5,"timestamp":7,"seq":41,"sent":9000}"#
    );
    assert_eq!(hub.tape().resume(9_000), Some(hub.tape().head()));
    let next = hub.stamp(0);
    assert!(next.seq == 42 && next.sent > 9_000);
}

#[test]
fn the_same_entries_find_their_list_again_without_work() {
    let names = numbered(2000);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut hub, now) = hub(&names);
    let memory = hub.index_memory().lists;
    let entries = ["*/USD", "S5/USD"];
    let first = join(&mut hub, 1, &entries);
    hub.rest();
    let others: Vec<_> = (2..300)
        .map(|slot| join(&mut hub, slot, &entries))
        .collect();
    assert!(hub.work() <= 2 * others.len(), "{}", hub.work());
    assert!(others.iter().all(|other| other.list == first.list));
    hub.publish(&tick("S7/USD", "1"), now);
    assert_eq!(news(&mut hub), (1..300).collect::<Vec<_>>());
    for (slot, reading) in (1..).zip([&[first][..], &others].concat()) {
        hub.leave(slot, reading);
    }
    hub.publish(&tick("S7/USD", "1"), now);
    assert_eq!(news(&mut hub), [0; 0]);
    assert_eq!(hub.index_memory().lists, memory);
}

#[test]
fn entries_are_resolved_again_when_symbols_change() {
    let (mut hub, now) = hub(&["x:A/USD", "B/USD"]);
    let entries = ["A/USD", "*/EUR"];
    let before = hub.select(&entries).unwrap();
    assert_eq!(hub.select(&entries).unwrap(), before);
    hub.list("C/EUR").unwrap();
    let after = hub.select(&entries).unwrap();
    assert!(hub.is_listed_in("C/EUR", after) && !hub.is_listed_in("C/EUR", before));
    hub.list("y:A/USD").unwrap();
    let error = hub.select(&entries).unwrap_err().to_string();
    assert!(error.starts_with("ambiguous symbol 'A/USD'"), "{error}");
    hub.delist("y:A/USD", now);
    assert_eq!(hub.select(&entries).unwrap(), after);
    hub.delist("x:A/USD", now);
    assert!(hub.select(&entries).is_err());
}

#[test]
fn readers_of_many_long_lists_are_told_of_each_symbol() {
    let names = numbered(40);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut hub, now) = hub(&names);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut readers: Vec<Option<(Vec<usize>, Reading)>> = vec![None; 30];
    for _ in 0..2000 {
        let slot = rng.usize(..readers.len());
        // Few different lists, so that some have several readers and there is not room for all.
        let (first, length) = (rng.usize(..3) * 10, rng.usize(1..4) * 3);
        let symbols: Vec<_> = (first..first + length).collect();
        let entries: Vec<&str> = symbols.iter().map(|&symbol| names[symbol]).collect();
        readers[slot] = match readers[slot].take() {
            None => Some((symbols, join(&mut hub, slot, &entries))),
            Some((_, reading)) if rng.bool() => {
                hub.leave(slot, reading);
                None
            }
            Some((_, from)) => {
                let list = hub.select(&entries).unwrap();
                let to = Reading { list, period: None };
                hub.change(slot, from, to);
                Some((symbols, to))
            }
        };
        let symbol = rng.usize(..names.len());
        hub.publish(&tick(names[symbol], "1"), now);
        let watches = |slot: &usize| {
            let reader = readers[*slot].as_ref();
            reader.is_some_and(|(symbols, _)| symbols.contains(&symbol))
        };
        let told: Vec<_> = (0..readers.len()).filter(watches).collect();
        assert_eq!(news(&mut hub), told);
    }
}

#[test]
fn every_reader_is_told_when_its_list_has_no_room_to_grow() {
    let names = numbered(200);
    let mut hub = Hub::new(names, 1 << 16, 1200).unwrap();
    let list = hub.select(&["*/USD"]).unwrap();
    assert_eq!(hub.select(&["*/USD"]).unwrap(), list);
    hub.list("NEW/EUR").unwrap();
    assert_eq!(hub.refresh(list), Ok(None));
    hub.list("NEW/USD").unwrap();
    for _ in 0..2 {
        let error = hub.refresh(list).unwrap_err().to_string();
        let expected =
            "no room for 'NEW/USD': the lists of all clients can take 1200 bytes (--list-memory)";
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(!hub.is_listed_in("NEW/USD", list) && hub.is_listed_in("S0/USD", list));
    hub.list("OTHER/EUR").unwrap();
    assert_eq!(hub.refresh(list), Ok(None), "it has been told");
}

#[test]
fn readers_of_one_list_grow_into_one_list_at_the_cost_of_one() {
    let names = numbered(1000);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut hub, _) = hub(&names);
    let list = hub.select(&["*/USD"]).unwrap();
    let readers: Vec<_> = (0..50).map(|_| hub.select(&["*/USD"]).unwrap()).collect();
    hub.list("NEW/USD").unwrap();
    let grown = hub.refresh(list).unwrap().unwrap();
    hub.rest();
    for reader in readers {
        assert_eq!(hub.refresh(reader), Ok(Some(grown)));
    }
    assert!(hub.work() <= 50, "{}", hub.work());
    assert_eq!(hub.select(&["*/USD"]), Ok(grown));
}

#[test]
fn a_debt_of_any_size_takes_little_memory() {
    let names = numbered(5000);
    let mut hub = Hub::new(names.clone(), 1 << 16, 1 << 20).unwrap();
    let now = Instant::now();
    for name in &names {
        hub.publish(&tick(name, "1"), now);
    }
    let some = hub.select(&["S1/USD"]).unwrap();
    let all = hub.select_everything().unwrap();
    let most = hub.select(&names[1..]).unwrap();
    let position = hub.tape().head();
    let mut changed = Debt::default();
    hub.owe_for_changing(&mut changed, (some, most), position);
    for (mut debt, list) in [(owed_on_joining(&hub, all), all), (changed, most)] {
        assert!(debt.is_large() && debt.memory() <= 512, "{}", debt.memory());
        // Meanwhile the tape runs on, and its old frames fall off.
        let mut got = Vec::new();
        while !debt.is_empty() {
            hub.publish(&tick("S0/USD", "2"), now);
            hub.pay(&mut debt, (list, position), now, |frame| {
                got.push(String::from_utf8(frame::payload(frame).to_vec()).unwrap());
                false
            });
        }
        let first = if list == all { 1 } else { 2 };
        assert_eq!(symbols_of(&got), names[first..]);
    }
}

/// Compares what each reader is owed with a check symbol by symbol, and expects it in the order of
/// printing.
#[test]
fn debts_are_paid_exactly_whatever_happens_meanwhile() {
    let mut rng = fastrand::Rng::with_seed(11);
    for round in 0..300 {
        let count = rng.usize(3..30);
        let names = numbered(count);
        let mut hub = Hub::new(names.clone(), 2000, 1 << 20).unwrap();
        let now = Instant::now();
        let print = |hub: &mut Hub, rng: &mut fastrand::Rng, most: usize| {
            for _ in 0..rng.usize(..most) {
                let name = &names[rng.usize(..count)];
                match rng.u8(..40) {
                    0 => drop(hub.delist(name, now)),
                    1 => drop(hub.list(name)),
                    _ => drop(hub.publish(&tick(name, "1"), now)),
                }
            }
        };
        print(&mut hub, &mut rng, 100);
        let known = hub.select_everything().unwrap();
        let from = rng.u64(1..=hub.tape().head());
        let position = hub.tape().head();
        let mut debt = Debt::default();
        let is_skip = rng.bool();
        let mut expected = Vec::new();
        for instrument in &hub.instruments {
            let is_owed = if is_skip {
                [instrument.tick >= from, instrument.event >= from]
            } else {
                [instrument.is_listed && instrument.seq > 0, false]
            };
            let frames = [instrument.tick, instrument.event].into_iter().zip(is_owed);
            let owed = frames.filter(|&(number, is_owed)| is_owed && number > 0);
            expected.extend(owed.map(|(number, _)| (number, instrument.name.clone())));
        }
        if is_skip {
            hub.owe_for_skipping(&mut debt, known, from);
        } else {
            hub.owe_on_joining(&mut debt, known, 0);
        }
        expected.sort_unstable();
        let mut got = Vec::new();
        let mut paid = 0;
        while !debt.is_empty() {
            // Symbols that are printed again are no longer owed.
            print(&mut hub, &mut rng, 4);
            let newest = hub.instruments.iter();
            let newest = newest.flat_map(|instrument| {
                [
                    (instrument.tick, instrument.name.clone()),
                    (instrument.event, instrument.name.clone()),
                ]
            });
            let newest: Vec<_> = newest.collect();
            let rest = expected.split_off(paid);
            expected.extend(rest.into_iter().filter(|owed| newest.contains(owed)));
            let mut left = rng.usize(1..4);
            hub.pay(&mut debt, (known, position), now, |frame| {
                got.push(String::from_utf8(frame::payload(frame).to_vec()).unwrap());
                left -= 1;
                left == 0
            });
            paid = got.len();
        }
        let names: Vec<_> = expected.iter().map(|(_, name)| name.to_string()).collect();
        assert_eq!(symbols_of(&got), names, "round {round}");
    }
}

#[test]
fn skipped_ticks_of_unwatched_symbols_are_not_owed_after_a_change() {
    let names = numbered(20);
    let mut hub = Hub::new(names.clone(), 1 << 16, 1 << 20).unwrap();
    let now = Instant::now();
    for name in &names {
        hub.publish(&tick(name, "1"), now);
    }
    let from = hub.tape().head();
    hub.delist("S19/USD", now);
    hub.list("S19/USD").unwrap();
    for name in &names[..10] {
        hub.publish(&tick(name, "2"), now);
    }
    let some = hub.select(&names[..10]).unwrap();
    let all = hub.select(&names).unwrap();
    let position = hub.tape().head();
    let mut debt = Debt::default();
    hub.owe_for_skipping(&mut debt, some, from);
    hub.owe_for_changing(&mut debt, (some, all), position);
    let messages = paid(&mut hub, &mut debt, all, position);
    let expected = names[10..].iter().chain(&names[..10]);
    assert!(symbols_of(&messages).iter().eq(expected), "{messages:?}");
}
