use proptest::prelude::*;

use super::*;
use crate::client::config::field::Field;
use crate::client::config::unit::Unit;

fn reader(change: impl FnOnce(&mut Fields)) -> Reader {
    let mut fields = Fields::default();
    change(&mut fields);
    Reader::new(&fields)
}

#[test]
fn ticks_of_our_own_server_are_read_in_any_layout() {
    let printed = br#"{"symbol":"A/B","price":1.5,"timestamp":1,"seq":42,"sent":1732270000123456}"#;
    let rich = br#"{"symbol":"A/B","price":1.5,"timestamp":1,"ask":2,"change":-0.10,"seq":42,"sent":1732270000123456}"#;
    let spaced = br#" {"sent": "1732270000123456", "seq": 42, "price": "1", "symbol": "A\/B"} "#;
    let own = Reader::new(&Fields::default());
    for text in [&printed[..], rich, spaced] {
        let tick = own.read(text);
        assert_eq!(tick.kind, Kind::Tick);
        assert_eq!(tick.symbol.as_deref(), Some("A/B"));
        assert_eq!(
            (tick.seq, tick.sent_us),
            (Some(42), Some(1_732_270_000_123_456))
        );
    }
}

#[test]
fn fields_need_no_json_parser() {
    let own = Reader::new(&Fields::default());
    let rich =
        br#"{"symbol":"A/B","price":1,"timestamp":1,"bid":0.9,"low":0.10,"seq":7,"sent":8},"#;
    let (tick, rest) = own.read_printed(rich).unwrap();
    assert_eq!((tick.seq, rest), (Some(7), &b","[..]));
}

#[test]
fn nested_and_renamed_fields_are_found() {
    let reader = reader(|fields| {
        fields.sent = Field::parse("/data/0/T").unwrap();
        fields.sent_unit = Unit::Milliseconds;
        fields.seq = Field::parse("/data/0/a~1b").unwrap();
        fields.symbol = Field::parse("s").unwrap();
    });
    let tick = reader.read(br#"{"s":7,"data":[{"T":1732270000123,"a/b":"9","sent":1}]}"#);
    assert_eq!(tick.kind, Kind::Tick);
    assert_eq!(tick.symbol.as_deref(), Some("7"));
    assert_eq!(
        (tick.seq, tick.sent_us),
        (Some(9), Some(1_732_270_000_123_000))
    );
    assert_eq!(reader.read(br#"{"result":null,"id":1}"#).kind, Kind::Json);
    let list = self::reader(|fields| fields.sent = Field::parse("/1").unwrap());
    assert_eq!(list.read(b"[0,5]").sent_us, Some(5));
}

/// An element's text, kind and number.
type Element = (String, Kind, Option<u64>);

/// The elements of a list, and whether it is complete.
fn elements(reader: &Reader, text: &str) -> Option<(Vec<Element>, bool)> {
    let mut list = reader.list(text.as_bytes())?;
    let mut found = Vec::new();
    while let Some((text, message)) = list.next(reader) {
        let text = String::from_utf8(text.to_vec()).unwrap();
        found.push((text, message.kind, message.seq));
    }
    Some((found, !list.is_broken()))
}

#[test]
fn a_list_of_objects_is_read_element_by_element() {
    let own = Reader::new(&Fields::default());
    let printed = r#"{"symbol":"A/B","price":1.5,"timestamp":1,"seq":42,"sent":9}"#;
    let spaced = r#"{ "symbol":"B", "price":"1", "seq":7 }"#;
    let stale = r#"{"event":"stale","symbol":"A","age":9}"#;
    let text = format!(" [{printed},{spaced} , {stale},{printed}] ");
    let element = |text: &str, kind, seq| (text.to_owned(), kind, seq);
    let expected = [
        element(printed, Kind::Tick, Some(42)),
        element(spaced, Kind::Tick, Some(7)),
        element(stale, Kind::Json, None),
        element(printed, Kind::Tick, Some(42)),
    ];
    assert_eq!(elements(&own, &text), Some((expected.into(), true)));
    // A truncated list still contains ticks.
    for end in ["", ",", "]]", " x]", ",{\"symbol\""] {
        let (found, is_whole) = elements(&own, &format!("[{printed}{end}")).unwrap();
        assert_eq!((found.len(), is_whole), (1, false), "{end}");
    }
    for other in ["[]", "[1,{}]", "{}", "", "[[{}]]"] {
        assert_eq!(elements(&own, other), None, "{other}");
    }
    let (found, _) = elements(&own, r#"[{"a":1},5,"x"]"#).unwrap();
    let kinds: Vec<_> = found.iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::Object, Kind::Json, Kind::Json]);
}

#[test]
fn a_list_whose_positions_are_fields_is_one_message() {
    let text = r#"[{"sent":5,"s":"A"}]"#;
    let by_name = reader(|fields| fields.symbol = Field::parse("s").unwrap());
    assert_eq!(elements(&by_name, text).unwrap().0.len(), 1);
    let by_position = reader(|fields| fields.sent = Field::parse("/0/sent").unwrap());
    assert_eq!(elements(&by_position, text), None);
    assert_eq!(by_position.read(text.as_bytes()).sent_us, Some(5));
}

#[test]
fn other_messages_are_distinguished_from_ticks() {
    let own = Reader::new(&Fields::default());
    for (text, kind) in [
        (&br#"{"temperature":5}"#[..], Kind::Object),
        (br#"{"event":"stale","symbol":"A","age":9}"#, Kind::Json),
        (br#"{"op":"error","id":7,"message":"no"}"#, Kind::Json),
        (b"[1]", Kind::Json),
        (b"17", Kind::Json),
        (b"hello", Kind::NotJson),
        (b"{\"symbol\":\"A\"", Kind::NotJson),
        (b"", Kind::NotJson),
        (&[0, 159, 146, 150], Kind::NotJson),
    ] {
        assert_eq!(own.read(text).kind, kind, "{}", text.escape_ascii());
    }
}

#[test]
fn replies_have_an_id_and_may_be_errors() {
    let own = Reader::new(&Fields::default());
    let pong = own.read(br#"{"op":"pong","id":"x","time":5}"#);
    assert_eq!(
        (pong.id, pong.pong_us, pong.is_error),
        (Some(r#""x""#), Some(5), false)
    );
    let error = own.read(br#"{"op":"error","id":7,"time":5}"#);
    assert_eq!(
        (error.id, error.pong_us, error.is_error),
        (Some("7"), None, true)
    );
    assert!(own.read(br#"{"jsonrpc":"2.0","id":7,"error":{}}"#).is_error);
    assert!(!own.read(br#"{"id":7,"error":null}"#).is_error);
}

#[test]
fn times_are_read_in_all_units() {
    for (unit, text, us) in [
        ("us", "1732270000123456", Some(1_732_270_000_123_456)),
        ("us", "\"1732270000123456.9\"", Some(1_732_270_000_123_456)),
        ("ms", "1732270000123", Some(1_732_270_000_123_000)),
        ("ms", "1732270000123.456", Some(1_732_270_000_123_456)),
        ("s", "1732270000", Some(1_732_270_000_000_000)),
        ("s", "1732270000.123456789", Some(1_732_270_000_123_456)),
        ("s", "1732270000.5", Some(1_732_270_000_500_000)),
        ("s", "1.5e9", Some(1_500_000_000_000_000)),
        ("ns", "1732270000123456789", Some(1_732_270_000_123_456)),
        (
            "iso",
            "\"2024-11-22T10:06:40.123456Z\"",
            Some(1_732_270_000_123_456),
        ),
        (
            "iso",
            "\"2024-11-22T11:06:40.123456+01:00\"",
            Some(1_732_270_000_123_456),
        ),
        // Without an offset it is UTC.
        (
            "iso",
            "\"2026-01-01T00:00:00.123\"",
            Some(1_767_225_600_123_000),
        ),
        (
            "iso",
            "\"2026-01-01 00:00:00.123456789\"",
            Some(1_767_225_600_123_456),
        ),
        ("iso", "\"2026-01-01T25:00:00\"", None),
        ("iso", "1732270000", None),
        ("us", "17E14", Some(1_700_000_000_000_000)),
        ("us", "1.732270000123457e15", Some(1_732_270_000_123_457)),
        ("ms", "1.732270000123457E+12", Some(1_732_270_000_123_457)),
        ("s", "1732270000123457e-6", Some(1_732_270_000_123_457)),
        ("ns", "1.732270000123457999e18", Some(1_732_270_000_123_457)),
        ("ns", "999.9", Some(0)),
        ("us", "12e-400", Some(0)),
        ("us", "0e999999999", Some(0)),
        ("us", "1e999999999", Some(u64::MAX)),
        ("us", "1e99999999999999999999", None),
        ("us", "1.5e1.5", None),
        ("us", "e5", None),
        ("us", "1e", None),
        ("us", ".5", None),
        ("ms", "-5", None),
        ("s", "\"soon\"", None),
        ("s", "18446744073709551615", Some(u64::MAX)),
        ("s", "null", None),
    ] {
        assert_eq!(Unit::parse(unit).unwrap().read(text), us, "{unit} {text}");
    }
}

#[test]
fn invalid_fields_are_refused() {
    for text in ["", "/", "/a//b"] {
        assert!(
            Field::parse(text)
                .unwrap_err()
                .ends_with("expected something like sent or /data/sent")
        );
    }
    assert_eq!(Field::parse("sent").unwrap().as_name(), Some("sent"));
    assert_eq!(Field::parse("/a/b").unwrap().as_name(), None);
}

proptest! {
    #[test]
    fn no_message_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let nested = reader(|fields| fields.sent = Field::parse("/0/1").unwrap());
        for unit in ["us", "ms", "s", "ns", "iso"] {
            let _ = Unit::parse(unit).unwrap().read(&text);
        }
        let _ = (nested.read(&bytes), nested.read(text.as_bytes()));
        let _ = Reader::new(&Fields::default()).read(&bytes);
    }
}

#[test]
fn an_error_is_not_a_tick_but_a_named_field_makes_one() {
    let kind = |fields: &Fields, text: &str| Reader::new(fields).read(text.as_bytes()).kind;
    let own = Fields::default();
    for error in [
        r#"{"error":"no such symbol"}"#,
        r#"{"symbol":"A","price":1,"sent":5,"error":{"code":3}}"#,
    ] {
        assert_eq!(kind(&own, error), Kind::Json, "{error}");
    }
    assert_eq!(kind(&own, r#"{"a":1,"error":null}"#), Kind::Object);
    let numbered = Fields {
        seq: Field::name("n"),
        ..Fields::default()
    };
    assert_eq!(kind(&numbered, r#"{"n":7,"p":1}"#), Kind::Tick);
    for other in [r#"{"p":1}"#, r#"{"n":7,"event":"stale"}"#] {
        assert_eq!(kind(&numbered, other), Kind::Json, "{other}");
    }
}
