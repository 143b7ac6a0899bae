use super::super::failure::PauseReason;
use super::*;
use crate::http_client::TransportError;
use exchanges::Field;

const NOW_MS: u64 = 1_732_270_000_000;

/// The streams of two exchanges with two symbols each.
fn sources(changes_only: bool) -> (Group, Instant) {
    let start = Instant::now();
    let info = |name: &str| SourceInfo {
        name: name.to_owned(),
        streams: true,
        way_out: "move".to_owned(),
        refused: None,
        silence_max: Duration::from_secs(5),
    };
    let infos = vec![info("x"), info("y")];
    let mut sources = Group::new(infos, changes_only, start);
    for (source, name) in ["x", "y"].into_iter().enumerate() {
        for symbol in ["A/B", "C/D"] {
            let wire_name = format!("{name}:{symbol}");
            sources.attach((source, 0), symbol, &wire_name, start);
        }
    }
    (sources, start)
}

fn quote(price: &str, ms: u64) -> Result<Quote, QuoteError> {
    Ok(Quote {
        price: Price::parse(price).unwrap(),
        timestamp_ms: Some(NOW_MS + ms),
        fields: exchanges::Fields::default(),
        clock: 0,
    })
}

fn quotes(quotes: Vec<(usize, Result<Quote, QuoteError>)>) -> Event {
    Event::Quotes {
        quotes,
        part: Part::WHOLE,
        received_ms: NOW_MS + 10_000,
        took: None,
    }
}

/// A quote with some fields.
fn rich(price: &str, ms: u64, fields: &[(Field, &str)]) -> Result<Quote, QuoteError> {
    let fields = fields.iter();
    let fields = fields.map(|(field, value)| (*field, Price::parse(value).unwrap()));
    Ok(Quote {
        fields: fields.collect(),
        ..quote(price, ms)?
    })
}

/// Updates as `x:A/B 1 bid=0.9`, or `x:A/B =` for an unchanged price.
fn words(updates: Vec<Update>) -> Vec<String> {
    let text = |updates| match updates {
        Update::Tick(tick) => {
            let fields = tick.fields.iter();
            let fields = fields.map(|(field, value)| format!(" {field}={value}"));
            let fields: String = fields.collect();
            format!("{} {}{fields}", tick.symbol, tick.price)
        }
        Update::Unchanged(symbol) => format!("{symbol} ="),
    };
    updates.into_iter().map(text).collect()
}

fn down() -> Event {
    Event::Failed {
        failure: TransportError::Connect("connection refused".to_owned()).into(),
        pause: Pause {
            length: Duration::from_secs(30),
            reason: PauseReason::Asked,
        },
        took: None,
    }
}

#[test]
fn only_the_serving_source_publishes_ticks() {
    let (mut sources, now) = sources(false);
    let both = |price: &str| quotes(vec![(0, quote(price, 1)), (1, quote(price, 1))]);
    assert_eq!(
        words(sources.take(0, both("1"), now)),
        ["x:A/B 1", "x:C/D 1"]
    );
    assert!(sources.take(1, both("2"), now).is_empty());
    for _ in 0..3 {
        assert!(sources.take(0, down(), now).is_empty());
    }
    assert_eq!(
        words(sources.take(1, both("2"), now)),
        ["y:A/B 2", "y:C/D 2"]
    );
    let serving: Vec<_> = sources.serving().collect();
    assert_eq!(serving, [("A/B", "y"), ("C/D", "y")]);
}

#[test]
fn each_symbol_chooses_its_own_source() {
    let (mut sources, now) = sources(false);
    let unknown = Err(QuoteError::UnknownSymbol);
    sources.take(1, quotes(vec![(0, quote("2", 1)), (1, quote("2", 1))]), now);
    let updates = sources.take(0, quotes(vec![(0, quote("1", 1)), (1, unknown)]), now);
    assert_eq!(words(updates), ["x:A/B 1"]);
    let serving: Vec<_> = sources.serving().collect();
    assert_eq!(serving, [("A/B", "x"), ("C/D", "y")]);
}

#[test]
fn outdated_prices_are_dropped_counted_and_lead_to_failover() {
    let (mut sources, now) = sources(false);
    let step = |sources: &mut Group, price: &str, ms| {
        words(sources.take(0, quotes(vec![(0, quote(price, ms))]), now))
    };
    assert_eq!(step(&mut sources, "1", 100), ["x:A/B 1"]);
    assert_eq!(
        step(&mut sources, "1", 100),
        ["x:A/B 1"],
        "a repeated time is not outdated"
    );
    assert!(step(&mut sources, "2", 99).is_empty());
    assert_eq!(sources.iter().next().unwrap().outdated(), 1);
    sources.take(1, quotes(vec![(0, quote("5", 1))]), now);
    step(&mut sources, "2", 99);
    step(&mut sources, "2", 99);
    assert_eq!(sources.serving().next(), Some(("A/B", "y")));
}

#[test]
fn with_changes_only_a_repeat_is_a_confirmation() {
    let (mut sources, now) = sources(true);
    let mut step =
        |price: &str, ms| words(sources.take(0, quotes(vec![(0, quote(price, ms))]), now));
    assert_eq!(step("1.0", 1), ["x:A/B 1.0"]);
    assert_eq!(step("1.0", 2), ["x:A/B ="]);
    assert_eq!(step("1.00", 3), ["x:A/B 1.00"]);
}

#[test]
fn the_time_of_receipt_replaces_a_missing_time() {
    let (mut sources, now) = sources(false);
    let timeless = Ok(Quote {
        price: Price::parse("1").unwrap(),
        timestamp_ms: None,
        fields: exchanges::Fields::default(),
        clock: 0,
    });
    let updates = sources.take(0, quotes(vec![(0, timeless)]), now);
    let [Update::Tick(tick)] = updates.as_slice() else {
        panic!("{updates:?}");
    };
    assert_eq!(tick.timestamp, NOW_MS + 10_000);
}

#[test]
fn failures_are_counted_by_kind() {
    let (mut sources, now) = sources(false);
    sources.take(0, down(), now);
    sources.take(0, down(), now);
    let no_price = Err(QuoteError::NoPrice("it is null".to_owned()));
    sources.take(0, quotes(vec![(0, no_price)]), now);
    let status = sources.iter().next().unwrap();
    assert_eq!(status.failures(), [("connect", 2), ("no_price", 1)]);
    assert_eq!((status.answers(), status.is_good()), (1, Some(true)));
}

/// The stream and the requests of one exchange, which share a wire name.
fn two_ways(changes_only: bool) -> (Group, Instant) {
    let start = Instant::now();
    let info = |name: &str| SourceInfo {
        name: name.to_owned(),
        streams: name.ends_with("+stream"),
        way_out: "move".to_owned(),
        refused: None,
        silence_max: Duration::from_secs(5),
    };
    let infos = vec![info("x+stream"), info("x")];
    let mut sources = Group::new(infos, changes_only, start);
    for source in 0..2 {
        sources.attach((source, 0), "A/B", "A/B", start);
    }
    (sources, start)
}

#[test]
fn a_source_that_takes_over_a_name_does_not_publish_older_prices() {
    let (mut sources, now) = two_ways(false);
    let mut step = |source, price: &str, ms, now| {
        words(sources.take(source, quotes(vec![(0, quote(price, ms))]), now))
    };
    assert_eq!(step(0, "2", 2_000, now), ["A/B 2"]);
    assert!(step(1, "1", 1_000, now).is_empty());
    let later = now + Duration::from_secs(6);
    assert!(
        step(1, "1", 1_000, later).is_empty(),
        "it serves, but lags behind"
    );
    assert_eq!(step(1, "3", 2_000, later), ["A/B 3"]);
}

#[test]
fn with_changes_only_a_price_is_compared_with_the_last_one_of_any_source() {
    let (mut sources, now) = two_ways(true);
    let mut step = |source, price: &str, ms, after| {
        let now = now + Duration::from_secs(after);
        words(sources.take(source, quotes(vec![(0, quote(price, ms))]), now))
    };
    assert_eq!(step(0, "1", 0, 0), ["A/B 1"]);
    assert_eq!(step(1, "2", 6_000, 6), ["A/B 2"]);
    for second in 7..12 {
        step(0, "1", second * 1_000, second);
    }
    // The price of this source has not changed, but the symbol's last price was another source's.
    assert_eq!(step(0, "1", 12_000, 12), ["A/B 1"]);
    assert_eq!(sources.serving().next(), Some(("A/B", "x+stream")));
}

#[test]
fn fields_that_an_update_leaves_out_still_stand() {
    use Field::{Ask, Bid};
    let (mut sources, now) = sources(false);
    let mut step = |quote| words(sources.take(0, quotes(vec![(0, quote)]), now));
    let first = rich("1", 1, &[(Bid, "0.90"), (Ask, "1.1")]);
    assert_eq!(step(first), ["x:A/B 1 bid=0.90 ask=1.1"]);
    let second = rich("2", 2, &[(Ask, "2.1")]);
    assert_eq!(step(second), ["x:A/B 2 bid=0.90 ask=2.1"]);
    assert_eq!(step(quote("3", 3)), ["x:A/B 3 bid=0.90 ask=2.1"]);
    assert!(step(rich("9", 2, &[(Bid, "8")])).is_empty());
    assert_eq!(
        step(quote("4", 4)),
        ["x:A/B 4 bid=0.90 ask=2.1"],
        "an outdated answer sets no field"
    );
}

#[test]
fn a_field_that_an_answer_leaves_out_is_gone() {
    let (mut sources, now) = two_ways(false);
    let mut step = |quote, after| {
        let now = now + Duration::from_secs(after);
        words(sources.take(1, quotes(vec![(0, quote)]), now))
    };
    assert!(step(rich("1", 1, &[(Field::Bid, "0.9")]), 1).is_empty());
    assert_eq!(
        step(rich("2", 6_000, &[(Field::Bid, "1.9")]), 6),
        ["A/B 2 bid=1.9"]
    );
    assert_eq!(step(quote("3", 7_000), 7), ["A/B 3"]);
}

#[test]
fn the_fields_of_one_symbol_are_not_those_of_another() {
    let (mut sources, now) = sources(false);
    let first = vec![
        (0, rich("1", 1, &[(Field::Bid, "0.9")])),
        (1, rich("2", 1, &[(Field::Ask, "2.1")])),
    ];
    sources.take(0, quotes(first), now);
    let second = vec![(0, quote("1", 2)), (1, quote("2", 2))];
    assert_eq!(
        words(sources.take(0, quotes(second), now)),
        ["x:A/B 1 bid=0.9", "x:C/D 2 ask=2.1"]
    );
}

#[test]
fn fields_of_one_source_never_stand_beside_a_price_of_another() {
    use Field::{Ask, Bid, Volume};
    let (mut sources, now) = two_ways(false);
    let mut step = |source, quote, after| {
        let now = now + Duration::from_secs(after);
        words(sources.take(source, quotes(vec![(0, quote)]), now))
    };
    let of_stream = rich("1", 0, &[(Bid, "0.9"), (Volume, "7")]);
    assert_eq!(step(0, of_stream, 0), ["A/B 1 bid=0.9 volume=7"]);
    // The other source has been asked all along; what it answers when it takes over is all.
    assert!(step(1, rich("1", 1, &[(Bid, "0.8")]), 1).is_empty());
    let answer = rich("2", 6_000, &[(Ask, "1.1")]);
    assert_eq!(step(1, answer, 6), ["A/B 2 ask=1.1"]);
    for second in 7..12 {
        step(0, quote("3", second * 1_000), second);
    }
    assert_eq!(step(0, quote("3", 12_000), 12), ["A/B 3 bid=0.9 volume=7"]);
}

#[test]
fn a_source_begins_without_fields_after_its_connection_ends() {
    let left = Event::Left {
        why: "maintenance".to_owned(),
        pause: Duration::ZERO,
    };
    for end in [down(), left] {
        let (mut sources, now) = sources(false);
        let mut take = |event| words(sources.take(0, event, now));
        let first = rich("1", 1, &[(Field::Bid, "0.9")]);
        assert_eq!(take(quotes(vec![(0, first)])), ["x:A/B 1 bid=0.9"]);
        take(end);
        let next = rich("2", 2, &[(Field::Ask, "2.1")]);
        assert_eq!(take(quotes(vec![(0, next)])), ["x:A/B 2 ask=2.1"]);
    }
}

#[test]
fn with_changes_only_another_field_is_a_change() {
    use Field::{Ask, Bid};
    let (mut sources, now) = sources(true);
    let mut step = |ms, fields: &[(Field, &str)]| {
        let quote = rich("1", ms, fields);
        words(sources.take(0, quotes(vec![(0, quote)]), now))
    };
    assert_eq!(step(1, &[(Bid, "0.9")]), ["x:A/B 1 bid=0.9"]);
    assert_eq!(step(2, &[(Bid, "0.9")]), ["x:A/B ="]);
    assert_eq!(step(3, &[]), ["x:A/B ="], "what is left out stands");
    assert_eq!(step(4, &[(Bid, "0.90")]), ["x:A/B 1 bid=0.90"]);
    assert_eq!(step(5, &[(Ask, "1.1")]), ["x:A/B 1 bid=0.90 ask=1.1"]);
    assert_eq!(step(6, &[(Ask, "1.1")]), ["x:A/B ="]);
}

#[test]
fn prices_of_removed_markets_are_dropped_even_after_others_took_their_places() {
    let (mut sources, now) = sources(false);
    assert_eq!(sources.detach(0, "A/B"), Some((0, 0)));
    assert_eq!(sources.detach(0, "A/B"), None);
    let step = |sources: &mut Group, source, number| {
        words(sources.take(source, quotes(vec![(number, quote("1", 1))]), now))
    };
    assert!(step(&mut sources, 0, 0).is_empty());
    assert_eq!(
        step(&mut sources, 1, 0),
        ["y:A/B 1"],
        "another has it still"
    );
    assert_eq!(sources.detach(1, "A/B"), Some((0, 0)));
    let new = sources.attach((1, 0), "E/F", "y:E/F", now).unwrap();
    assert_ne!(new, 0);
    assert!(step(&mut sources, 1, 0).is_empty());
    assert_eq!(step(&mut sources, 1, new), ["y:E/F 1"]);
    assert_eq!(sources.attach((1, 0), "E/F", "y:E/F", now), None);
    assert_eq!(sources.fetched_by(1, 0).len(), 2);
}

#[test]
fn a_failure_of_one_connection_concerns_its_own_markets_only() {
    let (mut sources, now) = sources(false);
    sources.detach(0, "C/D");
    sources.attach((0, 1), "C/D", "x:C/D", now);
    let both = |price: &str| quotes(vec![(0, quote(price, 1)), (1, quote(price, 1))]);
    sources.take(0, both("1"), now);
    sources.take(1, both("2"), now);
    for _ in 0..3 {
        sources.take_of((0, 1), down(), now);
    }
    let serving: Vec<_> = sources.serving().collect();
    assert_eq!(serving, [("A/B", "x"), ("C/D", "y")]);
    let status = sources.iter().next().unwrap();
    assert_eq!(status.is_good(), Some(true), "the other connection is");
    assert_eq!(status.failing().unwrap().0, "connect");
}

#[test]
fn the_parts_of_an_answer_count_as_one() {
    let (mut sources, now) = sources(false);
    for (is_first, is_last) in [(true, false), (false, false), (false, true)] {
        let event = Event::Quotes {
            quotes: vec![(0, quote("1", 1))],
            part: Part { is_first, is_last },
            received_ms: NOW_MS,
            took: None,
        };
        assert_eq!(words(sources.take(0, event, now)), ["x:A/B 1"]);
    }
    assert_eq!(sources.iter().next().unwrap().answers(), 1);
}

#[test]
fn a_market_has_one_clock() {
    let (mut sources, now) = sources(false);
    let mut step = |price: &str, ms, clock| {
        let quote = quote(price, ms).map(|quote| Quote { clock, ..quote });
        words(sources.take(0, quotes(vec![(0, quote)]), now))
    };
    assert_eq!(step("1", 1_000, 0), ["x:A/B 1"]);
    // The trade's time is missing, and the time of the answer stands in for it.
    assert_eq!(step("1", 9_000, 1), ["x:A/B 1"]);
    for number in 1..300 {
        let price = (number + 1).to_string();
        assert_eq!(step(&price, 1_000 + number, 0), [format!("x:A/B {price}")]);
    }
}

/// Prices from one source that are received at this second.
fn received(second: u64, list: Vec<(usize, Result<Quote, QuoteError>)>) -> Event {
    Event::Quotes {
        quotes: list,
        part: Part::WHOLE,
        received_ms: NOW_MS + 1_000 * second,
        took: None,
    }
}

#[test]
fn a_source_of_which_only_old_prices_come_is_named() {
    let (mut sources, now) = sources(false);
    sources.take(0, received(60, vec![(0, quote("1", 60_000))]), now);
    for second in 61..=70 {
        let old = vec![(0, quote("2", 1_000 + second))];
        assert!(sources.take(0, received(second, old), now).is_empty());
    }
    let status = sources.iter().next().unwrap();
    assert_eq!((status.outdated(), status.is_good()), (10, Some(true)));
    assert!(sources.is_outdated(0, 0));
    sources.take(0, received(71, vec![(0, quote("3", 61_000))]), now);
    assert!(!sources.is_outdated(0, 0));
}

#[test]
fn prices_without_a_time_are_counted() {
    let (mut sources, now) = sources(false);
    let timeless = quote("1", 1).map(|quote| Quote {
        timestamp_ms: None,
        ..quote
    });
    sources.take(0, quotes(vec![(0, timeless), (1, quote("1", 1))]), now);
    assert_eq!(sources.iter().next().unwrap().untimed(), 1);
}

#[test]
fn a_failing_source_says_how_long_it_waits() {
    let (mut sources, now) = sources(false);
    let waits = |sources: &Group, after| {
        let status = sources.iter().next().unwrap();
        status.waits(now + Duration::from_secs(after))
    };
    assert_eq!(waits(&sources, 0), None);
    sources.take(0, down(), now);
    assert_eq!(waits(&sources, 10), Some(Duration::from_secs(20)));
    assert_eq!(waits(&sources, 40), Some(Duration::ZERO));
    sources.take(0, quotes(vec![(0, quote("1", 1))]), now);
    assert_eq!(waits(&sources, 10), None);
}

#[test]
fn a_source_that_was_refused_at_the_start_fails_and_waits_from_the_start() {
    let start = Instant::now();
    let limited = Failure::Answer(QuoteError::RateLimited);
    let info = SourceInfo {
        name: "x".to_owned(),
        streams: false,
        way_out: String::new(),
        refused: Some((limited, start + Duration::from_secs(60))),
        silence_max: Duration::from_secs(5),
    };
    let sources = Group::new(vec![info], false, start);
    let status = sources.iter().next().unwrap();
    assert_eq!(status.failing(), Some(("rate_limited", start)));
    assert_eq!(status.waits(start), Some(Duration::from_secs(60)));
    assert_eq!(status.failures(), []);
}

#[test]
fn a_sign_of_life_confirms_the_published_price_and_keeps_the_source_serving() {
    let (mut sources, now) = sources(false);
    let at = |second| now + Duration::from_secs(second);
    sources.take(0, quotes(vec![(0, quote("1", 1))]), now);
    sources.take(1, quotes(vec![(0, quote("2", 1))]), now);
    for second in 1..600 {
        let confirmed = sources.take(0, Event::Confirmed(vec![0]), at(second));
        assert_eq!(words(confirmed), ["x:A/B ="]);
        let other = quotes(vec![(0, quote("2", second))]);
        assert!(sources.take(1, other, at(second)).is_empty());
    }
    assert_eq!(sources.serving().next(), Some(("A/B", "x")));
}

#[test]
fn a_sign_of_life_confirms_no_price_that_never_came_or_was_replaced() {
    let (mut sources, now) = sources(false);
    assert!(
        sources
            .take(0, Event::Confirmed(vec![0, 1]), now)
            .is_empty()
    );
    let (mut sources, now) = two_ways(false);
    sources.take(0, quotes(vec![(0, quote("1", 1))]), now);
    let later = now + Duration::from_secs(6);
    sources.take(1, quotes(vec![(0, quote("2", 2))]), later);
    assert_eq!(sources.serving().next(), Some(("A/B", "x")));
    assert!(sources.take(0, Event::Confirmed(vec![0]), later).is_empty());
}

#[test]
fn a_source_that_takes_over_by_a_sign_of_life_publishes_the_price_that_stands() {
    let (mut sources, now) = sources(false);
    let at = |second| now + Duration::from_secs(second);
    sources.take(1, quotes(vec![(0, quote("2", 1))]), now);
    for _ in 0..3 {
        sources.take(0, down(), now);
    }
    assert_eq!(sources.serving().next(), Some(("A/B", "y")));
    // Its newest price was not published, since the other source serves.
    assert!(
        sources
            .take(0, quotes(vec![(0, quote("1", 5))]), at(1))
            .is_empty()
    );
    let mut published = Vec::new();
    for second in 2..9 {
        sources.take(1, quotes(vec![(0, quote("2", second))]), at(second));
        published.extend(words(sources.take(
            0,
            Event::Confirmed(vec![0]),
            at(second),
        )));
    }
    assert_eq!(published[0], "x:A/B 1");
    assert!(
        published[1..].iter().all(|update| update == "x:A/B ="),
        "{published:?}"
    );
}
