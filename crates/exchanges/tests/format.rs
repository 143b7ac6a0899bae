//! What a catalogue entry can say beyond URLs and pointers, each thing with an exchange that needs
//! it.

#![allow(clippy::unwrap_used, reason = "the helpers belong to the tests")]

use std::io::Write;

use exchanges::{Catalogue, Exchange, FieldSet, Quote, QuoteError, StreamMessage, Symbol};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

/// 2026-01-01.
const NOW: u64 = 1_767_225_600_000;

/// The exchange with these members beside `id`, `name` and `interval_ms`.
fn exchange(members: &str) -> Exchange {
    let catalogue = read(members).unwrap();
    let exchange = catalogue.get("mine").unwrap().clone();
    exchange.with_fields(FieldSet::ALL)
}

fn read(members: &str) -> Result<Catalogue, String> {
    let spelling = if members.contains("\"spelling\": {\"market\"") {
        ""
    } else {
        r#""spelling": {"market": "{BASE}-{QUOTE}"},"#
    };
    let comma = if members.is_empty() { "" } else { "," };
    let file = format!(
        r#"{{"exchanges": [{{{members}{comma} {spelling} "id": "mine", "name": "Mine",
        "interval_ms": 1000}}]}}"#
    );
    thread_local!(static BUILTIN: Catalogue = Catalogue::builtin());
    let catalogue = BUILTIN.with(Catalogue::clone).with_file(&file);
    catalogue.map_err(|error| error.to_string())
}

fn symbols(texts: &[&str]) -> Vec<Symbol> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A quote with its time and fields, or an error.
fn written(quote: &Result<Quote, QuoteError>) -> String {
    match quote {
        Err(error) => error.to_string(),
        Ok(quote) => {
            let mut text = quote.price.to_string();
            if let Some(time) = quote.timestamp_ms {
                text += &format!(" @{time}");
            }
            for (field, value) in quote.fields.iter() {
                text += &format!(" {field}={value}");
            }
            text
        }
    }
}

/// What an answer to the first request for `asked` says about each of them.
fn answered(exchange: &Exchange, asked: &[&str], body: &str) -> Vec<String> {
    let request = &exchange.requests(&symbols(asked))[0];
    match exchange.read(request, 200, body.as_bytes(), NOW) {
        Ok(quotes) => quotes.iter().map(written).collect(),
        Err(error) => vec![format!("! {error}")],
    }
}

/// What a message of the stream means to somebody who asked for `asked`.
fn heard(exchange: &Exchange, asked: &[&str], message: &[u8]) -> String {
    let mut session = exchange.session(&symbols(asked)).unwrap();
    match session.read(message, NOW) {
        StreamMessage::Ticks(ticks) => {
            let ticks = ticks.iter();
            let ticks = ticks.map(|(index, quote)| format!("{} {}", asked[*index], written(quote)));
            ticks.collect::<Vec<_>>().join(", ")
        }
        other => format!("{other:?}"),
    }
}

/// Members of an entry that asks for one market and reads its answer by `answer`.
fn one(answer: &str) -> String {
    format!(r#""one": {{"url": "https://a/{{market}}", "answer": {answer}}}"#)
}

/// Members of an entry that only has a stream.
fn stream(members: &str) -> String {
    format!(r#""stream": {{"url": "wss://a", "subscribe": "x", {members}}}"#)
}

fn ticks(when: &str, message: &str) -> String {
    stream(&format!(
        r#""ticks": {{"when": "{when}", "message": {message}}}"#
    ))
}

const TWO: &[&str] = &["BTC/USDT", "ETH/USDT"];

#[test]
fn the_symbol_may_be_beside_the_list() {
    let htx = ticks(
        "/tick/data",
        r#"{"list": "/tick/data", "symbol": {"at": "/ch", "of": "answer"},
            "names": ["trade.{market}"], "last": "/p"}"#,
    );
    let message = br#"{"ch":"trade.ETH-USDT","tick":{"data":[{"p":1.50},{"p":1.60}]}}"#;
    assert_eq!(
        heard(&exchange(&htx), TWO, message),
        "ETH/USDT 1.50, ETH/USDT 1.60"
    );
}

#[test]
fn a_name_may_consist_of_several_values() {
    let coinone = one(r#"{"list": "/t", "symbol": "{/target}-{/quote}", "last": "/last"}"#);
    let body =
        r#"{"t":[{"target":"btc","quote":"usdt","last":"9.0"},{"target":"btc","last":"1"}]}"#;
    assert_eq!(answered(&exchange(&coinone), &["BTC/USDT"], body), ["9.0"]);
}

#[test]
fn the_items_of_a_list_may_have_lists_themselves() {
    let coinbase = ticks(
        "/events",
        r#"{"list": ["/events", "/tickers"], "symbol": "/id", "last": "/price",
            "time": {"at": "/time", "unit": "ms", "of": "answer"}}"#,
    );
    let message =
        br#"{"time":1767225600000,"events":[{"tickers":[{"id":"BTC-USDT","price":"1.0"}]},
        {"other":1},{"tickers":[{"id":"X","price":"3"},{"id":"ETH-USDT","price":"2.0"}]}]}"#;
    assert_eq!(
        heard(&exchange(&coinbase), TWO, message),
        "BTC/USDT 1.0 @1767225600000, ETH/USDT 2.0 @1767225600000"
    );
    assert_eq!(
        heard(&exchange(&coinbase), TWO, br#"{"events":[]}"#),
        "Other"
    );
}

#[test]
fn the_last_item_of_a_list_has_a_name() {
    let bitso = ticks(
        "/book",
        r#"{"symbol": "/book", "last": "/payload/-1/r", "names": ["{base}_{quote}"]}"#,
    );
    let message = br#"{"book":"btc_usdt","payload":[{"r":"1"},{"r":"2.50"}]}"#;
    assert_eq!(heard(&exchange(&bitso), TWO, message), "BTC/USDT 2.50");
    let empty = br#"{"book":"btc_usdt","payload":[]}"#;
    assert_eq!(heard(&exchange(&bitso), TWO, empty), "Other");
}

#[test]
fn an_object_may_stand_where_a_list_should() {
    let weex = one(r#"{"list": "/d", "symbol": "/s", "last": "/p"}"#);
    for (body, expected) in [
        (r#"{"d":[{"s":"BTC-USDT","p":"1.5"}]}"#, "1.5"),
        (r#"{"d":{"s":"BTC-USDT","p":"1.5"}}"#, "1.5"),
        (r#"{"d":{"p":"1.5"}}"#, "1.5"),
        (r#"{"d":{"s":"BTC-USD","p":"1.5"}}"#, "unknown symbol"),
        (r#"{"d":[]}"#, "unknown symbol"),
        (
            r#"{"d":5}"#,
            r#"! unexpected answer: no prices at the expected place: {"d":5}"#,
        ),
    ] {
        assert_eq!(answered(&exchange(&weex), &["BTC/USDT"], body), [expected]);
    }
}

#[test]
fn the_entries_of_a_map_may_be_bare_prices() {
    let hyperliquid = r#""spelling": {"market": "{BASE}"},
        "many": {"url": "https://a/info", "post": {"type": "allMids"},
        "answer": {"map": "", "last": ""}}"#;
    let exchange = exchange(hyperliquid);
    let requests = exchange.requests(&symbols(TWO));
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url, "https://a/info");
    assert_eq!(requests[0].post.as_deref(), Some(r#"{"type":"allMids"}"#));
    let body = r#"{"BTC":"97123.50","@1":"1","ETH":3310}"#;
    assert_eq!(answered(&exchange, TWO, body), ["97123.50", "3310"]);
    assert_eq!(answered(&exchange, &["BTC/USDT"], body), ["97123.50"]);
}

#[test]
fn a_request_may_be_a_post_that_names_its_markets() {
    let each = exchange(
        r#""one": {"url": "https://a/q", "post": {"q": "{{p(s:\"{market}\"){{v}}}}", "n": "{id}"},
            "answer": {"last": "/p"}}"#,
    );
    let request = each.request(&"BTC/USDT".parse().unwrap()).unwrap();
    let body = r#"{"n":1,"q":"{p(s:\"BTC-USDT\"){v}}"}"#;
    assert_eq!(request.post.as_deref(), Some(body));
    assert_eq!(answered(&each, &["BTC/USDT"], r#"{"p":2}"#), ["2"]);
    let several = exchange(
        r#""many": {"url": "https://a/q", "post": {"names": ["{market}"], "all": "{markets}"},
            "between": "+", "most": 2, "answer": {"map": "", "last": ""}}"#,
    );
    let requests = several.requests(&symbols(&["A/B", "C/D", "E/F"]));
    let bodies: Vec<_> = requests
        .iter()
        .flat_map(|request| request.post.as_deref())
        .collect();
    assert_eq!(
        bodies,
        [
            r#"{"all":"A-B+C-D","names":["A-B","C-D"]}"#,
            r#"{"all":"E-F","names":["E-F"]}"#
        ]
    );
}

#[test]
fn a_url_may_contain_the_time_of_sending() {
    let bingx = exchange(
        r#""one": {"url": "https://a/{market}?t={now_ms}&s={now_s}", "answer": {"last": "/p"}},
        "many": {"url": "https://a/all?t={now_ms}", "answer": {"map": "", "last": "/p"}}"#,
    );
    let request = bingx.request(&"BTC/USDT".parse().unwrap()).unwrap();
    assert_eq!(
        request.url_at(NOW),
        "https://a/BTC-USDT?t=1767225600000&s=1767225600"
    );
    let all = &bingx.requests(&symbols(TWO))[0];
    assert_eq!(all.url_at(NOW + 5), "https://a/all?t=1767225600005");
    let sly = bingx.request(&"{now_ms}/X".parse().unwrap()).unwrap();
    assert!(sly.url_at(NOW).starts_with("https://a/%7BNOW_MS%7D-X?t="));
}

#[test]
fn numbers_may_be_scaled() {
    let phemex = one(
        r#"{"last": {"at": "/p", "scale": -8}, "fields": {"change": {"at": "/c", "scale": 2},
            "volume": {"at": "/v", "scale": "/e"}}}"#,
    );
    let body = r#"{"p":9712345000000,"c":"-0.0250","v":"15","e":-1}"#;
    assert_eq!(
        answered(&exchange(&phemex), &["BTC/USDT"], body),
        ["97123.45000000 volume=1.5 change=-2.50"]
    );
}

#[test]
fn the_place_of_a_number_may_depend_on_the_market() {
    let gemini = one(
        r#"{"last": "/last", "fields": {"volume": "/volume/{BASE}", "quote_volume": "/volume/{QUOTE}"}}"#,
    );
    let body = r#"{"last":"1.0","volume":{"BTC":"5.50","USDT":"600","timestamp":7}}"#;
    assert_eq!(
        answered(&exchange(&gemini), &["BTC/USDT"], body),
        ["1.0 volume=5.50 quote_volume=600"]
    );
}

#[test]
fn an_answer_may_be_json_in_a_string() {
    let ndax = ticks(
        "/n = Level1UpdateEvent",
        r#"{"inside": "/o", "symbol": "/s", "last": "/p"}"#,
    );
    let message = br#"{"n":"Level1UpdateEvent","o":"{\"s\":\"BTC-USDT\",\"p\":97123.50}"}"#;
    assert_eq!(heard(&exchange(&ndax), TWO, message), "BTC/USDT 97123.50");
    for bad in [r#""{""#, "5", "null", r#""""#] {
        let message = format!(r#"{{"n":"Level1UpdateEvent","o":{bad}}}"#);
        assert_eq!(heard(&exchange(&ndax), TWO, message.as_bytes()), "Other");
    }
    let by_request = one(r#"{"inside": "/data", "list": "", "symbol": "/s", "last": "/p"}"#);
    let body = r#"{"data":"[{\"s\":\"BTC-USDT\",\"p\":2}]"}"#;
    assert_eq!(answered(&exchange(&by_request), &["BTC/USDT"], body), ["2"]);
}

#[test]
fn messages_may_have_the_digits_of_socket_io() {
    let bitbank = exchange(
        r#""stream": {"url": "wss://a/?EIO=4&transport=websocket", "encoding": "socket_io",
            "before": ["40"], "subscribe": "42[\"join-room\",\"ticker_{base}_{quote}\"]",
            "ticks": {"when": "text ^= 42 and /0 = message", "message": {"symbol": "/1/room_name",
            "names": ["ticker_{base}_{quote}"], "last": "/1/message/data/last"}},
            "ack": {"when": "text ^= 40"},
            "heartbeats": [{"when": "text = 2", "reply": "3"}, {"when": "text ^= 0"}]}"#,
    );
    let mut session = bitbank.session(&symbols(TWO)).unwrap();
    assert_eq!(
        session.subscribe(NOW),
        [
            "40",
            r#"42["join-room","ticker_btc_usdt"]"#,
            r#"42["join-room","ticker_eth_usdt"]"#
        ]
    );
    let tick =
        br#"42["message",{"room_name":"ticker_btc_usdt","message":{"data":{"last":"97.50"}}}]"#;
    assert_eq!(heard(&bitbank, TWO, tick), "BTC/USDT 97.50");
    assert_eq!(heard(&bitbank, TWO, b"2"), r#"Heartbeat(Some("3"))"#);
    assert_eq!(heard(&bitbank, TWO, br#"0{"sid":"x"}"#), "Heartbeat(None)");
    assert_eq!(heard(&bitbank, TWO, br#"40{"sid":"x"}"#), "Ack");
}

#[test]
fn a_message_may_be_compressed_with_zlib() {
    let digifinex = exchange(&ticks("/p", r#"{"symbol": "/s", "last": "/p"}"#));
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(br#"{"s":"BTC-USDT","p":"1.50"}"#)
        .unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(heard(&digifinex, TWO, &packed), "BTC/USDT 1.50");
    assert!(heard(&digifinex, TWO, &packed[..9]).starts_with("Unreadable"));
}

/// A field of a protobuf message: a string, or a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    [&[number << 3 | 2, length], bytes].concat()
}

fn protobuf() -> Exchange {
    exchange(&stream(
        r#""encoding": "protobuf", "ticks": {"when": "/2/1", "message": {"list": "/2/1",
            "symbol": {"at": "/3", "of": "answer"}, "last": "/1", "time": {"at": "/4", "unit": "ms"},
            "fields": {"volume": "/2"}}},
        "ack": {"when": "/msg"}, "heartbeats": [{"when": "/msg = PONG"}]"#,
    ))
}

#[test]
fn messages_may_be_protobuf() {
    // 1767225600000 as a varint.
    let time = [0x20, 0x80, 0xd0, 0xea, 0xb6, 0xb7, 0x33];
    let deal = |price: &[u8]| [field(1, price), field(2, b"0.10"), time.to_vec()].concat();
    let body = [field(1, &deal(b"97123.50")), field(1, &deal(b"97123.60"))].concat();
    let message = [field(3, b"BTC-USDT"), field(2, &body)].concat();
    assert_eq!(
        heard(&protobuf(), TWO, &message),
        "BTC/USDT 97123.50 @1767225600000 volume=0.10, BTC/USDT 97123.60 @1767225600000 volume=0.10"
    );
    assert_eq!(
        heard(&protobuf(), TWO, br#"{"msg":"PONG"}"#),
        "Heartbeat(None)"
    );
    assert_eq!(heard(&protobuf(), TWO, br#"{"msg":"spot@BTC"}"#), "Ack");
    let other = [field(3, b"XRP-USDT"), field(2, &body)].concat();
    assert_eq!(heard(&protobuf(), TWO, &other), "Other");
}

#[test]
fn messages_may_name_currencies_and_join_markets() {
    let coinone = exchange(
        &stream(
            r#""subscribe": {"topic": {"base": "{BASE}", "quote": "{quote}"}},
        "ticks": {"when": "/p", "message": {"symbol": "/s", "last": "/p"}}"#,
        )
        .replacen(r#""subscribe": "x", "#, "", 1),
    );
    let mut session = coinone.session(&symbols(TWO)).unwrap();
    assert_eq!(
        session.subscribe(NOW),
        [
            r#"{"topic":{"base":"BTC","quote":"usdt"}}"#,
            r#"{"topic":{"base":"ETH","quote":"usdt"}}"#
        ]
    );
    let kucoin = exchange(
        r#""stream": {"url": "wss://a", "most": 2, "subscribe": {"topic": "/ticker:{markets}"},
            "before": [{"hello": "{id}"}], "after": [{"channel": "heartbeats"}],
            "ticks": {"when": "/p", "message": {"symbol": "/s", "last": "/p"}}}"#,
    );
    let mut session = kucoin.session(&symbols(&["A/B", "C/D", "E/F"])).unwrap();
    assert_eq!(
        session.subscribe(NOW),
        [
            r#"{"hello":1}"#,
            r#"{"topic":"/ticker:A-B,C-D"}"#,
            r#"{"topic":"/ticker:E-F"}"#,
            r#"{"channel":"heartbeats"}"#
        ]
    );
}

#[test]
fn the_url_of_a_stream_may_name_the_markets() {
    let binance = exchange(
        r#""stream": {"url": "wss://a/stream?streams={markets}", "each": "{base}{quote}@ticker",
            "between": "/", "ticks": {"when": "/p", "message": {"symbol": "/s", "last": "/p"}}}"#,
    );
    let mut session = binance.session(&symbols(&["BTC/USDT", "A&B/X"])).unwrap();
    let connection = session.connection(None, NOW).unwrap();
    assert_eq!(
        connection.url,
        "wss://a/stream?streams=btcusdt@ticker/a%26bx@ticker"
    );
    assert_eq!(session.subscribe(NOW), [""; 0]);
    let zaif = exchange(
        r#""stream": {"url": "wss://a/?pair={base}_{quote}",
            "ticks": {"when": "/p", "message": {"symbol": "/s", "last": "/p"}}}"#,
    );
    let session = zaif.session(&symbols(&["BTC/JPY"])).unwrap();
    let connection = session.connection(None, NOW).unwrap();
    assert_eq!(connection.url, "wss://a/?pair=btc_jpy");
}

#[test]
fn a_subscription_that_replaces_others_names_all_markets() {
    let upbit = exchange(
        r#""stream": {"url": "wss://a", "most": 2, "replaces": true, "subscribe": {"codes": ["{market}"]},
            "ticks": {"when": "/p", "message": {"symbol": "/s", "last": "/p"}}}"#,
    );
    let mut session = upbit.session(&symbols(&["A/B", "C/D", "E/F"])).unwrap();
    assert_eq!(session.subscribe(NOW), [r#"{"codes":["A-B","C-D","E-F"]}"#]);
}

#[test]
fn an_exchange_may_have_a_stream_only() {
    let mine = exchange(&ticks("/p", r#"{"symbol": "/s", "last": "/p"}"#));
    assert!(mine.has_stream() && !mine.has_requests());
    assert_eq!(mine.requests(&symbols(TWO)), []);
    assert_eq!(mine.request(&"BTC/USDT".parse().unwrap()), None);
}

#[test]
fn requests_may_need_headers() {
    let members = r#""headers": {"Origin": "https://a"}, "#.to_owned() + &one(r#"{"last": "/p"}"#);
    let headers: Vec<_> = exchange(&members)
        .headers()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(headers, ["Origin: https://a"]);
}

#[test]
fn wrong_uses_are_named() {
    let tick = r#""ticks": {"when": "/p", "message": {"symbol": "/s", "last": "/p"}}"#;
    for (members, expected) in [
        (
            String::new(),
            "field one: missing: without many and stream there is nothing to ask",
        ),
        (
            format!(r#""stream": {{"url": "wss://a", {tick}}}"#),
            "field stream.subscribe: missing: without it, the URL must name the markets",
        ),
        (
            format!(r#""stream": {{"url": "wss://a", "subscribe": "x", "encoding": "xml", {tick}}}"#),
            "field stream.encoding: unknown variant `xml`, expected one of `json`, `protobuf`",
        ),
        (
            stream(r#""encoding": "protobuf", "ticks": {"when": "/1", "message": {"map": "/1", "last": ""}}"#),
            "field stream.ticks.message.map: protobuf has no map of entries by symbol",
        ),
        (
            format!(r#""stream": {{"url": "wss://a", "subscribe": "x", "before": ["{{who}}"], {tick}}}"#),
            "field stream.before: unknown placeholder {who}",
        ),
        (
            one(r#"{"last": {"at": "/p", "scale": 99}}"#),
            "field one.answer.last: invalid scale 99: expected a power of ten between -64 and 64",
        ),
        (
            one(r#"{"last": "/p", "fields": {"bid": "b"}}"#),
            "field one.answer.fields.bid: invalid JSON pointer 'b'",
        ),
        (
            one(r#"{"last": "/p", "fields": {"spread": "/s"}}"#),
            "field one.answer.fields: unknown field 'spread': expected some of bid, ask, volume",
        ),
        (
            one(r#"{"last": "/p", "list": [], "symbol": "/s"}"#),
            "field one.answer.list: expected at least one JSON pointer",
        ),
        (
            one(r#"{"last": "/p", "list": 5, "symbol": "/s"}"#),
            "field one.answer.list: integer `5`, expected a JSON pointer, or a list of them",
        ),
        (
            one(r#"{"last": "/p", "symbol": "{/a}{b}"}"#),
            "field one.answer.symbol: invalid JSON pointer 'b'",
        ),
        (
            r#""one": {"url": "https://a", "post": {"a": "{market}", "t": "{now_ms}"}, "answer": {"last": "/p"}}"#.to_owned(),
            "field one.post: a body cannot contain the time",
        ),
        (
            r#""one": {"url": "https://a", "post": {"a": 1}, "answer": {"last": "/p"}}"#.to_owned(),
            "field one.url: without {market} every symbol would have the same price",
        ),
        (
            r#""headers": {"Host": "b"}, "#.to_owned() + &one(r#"{"last": "/p"}"#),
            "field headers: Host is part of the protocol and cannot be set",
        ),
        (
            r#""headers": {"X Y": "b"}, "#.to_owned() + &one(r#"{"last": "/p"}"#),
            "field headers: invalid header name 'X Y'",
        ),
        (
            r#""headers": {"X": "b\r\nY: c"}, "#.to_owned() + &one(r#"{"last": "/p"}"#),
            "field headers: invalid value of X: expected printable ASCII",
        ),
    ] {
        let error = read(&members).unwrap_err();
        let expected = format!("exchange 'mine': {expected}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_of_protobuf_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        at in 0usize..60, with: u8,
    ) {
        let deal = field(1, &[field(1, b"97123.50"), field(2, b"0.10")].concat());
        let mut message = [field(3, b"BTC-USDT"), field(2, &deal)].concat();
        if let Some(byte) = message.get_mut(at) {
            *byte = with;
        }
        thread_local!(static EXCHANGE: Exchange = protobuf());
        for message in [&bytes, &message] {
            EXCHANGE.with(|exchange| {
                let _ = heard(exchange, TWO, message);
            });
        }
    }
}
