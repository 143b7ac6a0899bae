//! The catalogue against what the exchanges send, with the expected prices written by hand.
//!
//! The answers and messages in `data/` are recordings and examples of the exchanges'
//! documentation. Where neither existed, they are made from the documented fields and say so; error
//! answers are made from the documented codes.

#![allow(clippy::unwrap_used, reason = "the helpers belong to the tests")]

mod samples;

use std::collections::BTreeSet;
use std::io::Write;

use exchanges::{
    Catalogue, Custom, Exchange, Place, Quote, QuoteError, Request, Row, Scale, StreamMessage,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use samples::{answers, conversations, symbols};
use serde_json::value::RawValue;

/// 2026-12-01, later than all recordings.
const NOW: u64 = 1_796_083_200_000;

/// A quote or error as the data files write it.
fn written(quote: &Result<Quote, QuoteError>) -> String {
    match quote {
        Ok(quote) => match quote.timestamp_ms {
            Some(time) => format!("{} @ {time}", quote.price),
            None => format!("{} @ -", quote.price),
        },
        Err(error) => error.to_string(),
    }
}

fn decoded(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn every_recorded_answer_gives_its_digits_or_its_error() {
    let catalogue = Catalogue::builtin();
    let mut good = BTreeSet::new();
    for answer in answers() {
        let exchange = catalogue.get(answer.exchange).unwrap();
        let symbols = symbols(&answer.symbols);
        let request = Request {
            is_batch: answer.many,
            ..exchange.request(&symbols[0]).unwrap()
        };
        let request = Request { symbols, ..request };
        let text = answer.text.as_deref();
        let body = text.unwrap_or_else(|| answer.body.map_or("", RawValue::get));
        let quotes = exchange.read(&request, answer.status, body.as_bytes(), NOW);
        let got: Vec<_> = match &quotes {
            Ok(quotes) => quotes.iter().map(written).collect(),
            Err(error) => vec![format!("! {error}")],
        };
        assert_eq!(got, answer.expect, "{} {body}", answer.exchange);
        if quotes.is_ok_and(|quotes| quotes.iter().any(Result::is_ok)) {
            good.insert((answer.exchange, answer.many));
        }
    }
    for exchange in catalogue.iter() {
        let id = exchange.id();
        assert!(
            good.contains(&(id, false)),
            "{id} has no good answer for one symbol in data/exchange_answers.json"
        );
        let several = symbols(&(0..60).map(|n| format!("A{n}/USDT")).collect::<Vec<_>>());
        let has_batch = exchange.requests(&several)[0].is_batch;
        assert_eq!(
            good.contains(&(id, true)),
            has_batch,
            "{id}: good answers for several symbols in data/exchange_answers.json, `many` in its entry"
        );
    }
}

#[test]
fn every_recorded_message_means_what_it_should() {
    let catalogue = Catalogue::builtin();
    let mut spoken = BTreeSet::new();
    for conversation in conversations() {
        let exchange = catalogue.get(conversation.exchange).unwrap();
        let mut session = exchange.session(&symbols(&conversation.symbols)).unwrap();
        assert_eq!(session.subscribe(NOW), conversation.subscribe);
        assert_eq!(session.ping(NOW), conversation.ping);
        for message in &conversation.messages {
            let text = message.text.as_deref();
            let text = text.unwrap_or_else(|| message.message.map_or("", RawValue::get));
            let bytes = message.hex.as_deref().map(decoded);
            let bytes = bytes.unwrap_or_else(|| text.as_bytes().to_vec());
            let means = match session.read(&bytes, NOW) {
                StreamMessage::Ticks(ticks) => {
                    let symbol = |index: usize| &conversation.symbols[index];
                    let ticks = ticks.iter();
                    let ticks = ticks
                        .map(|(index, quote)| format!("{} {}", symbol(*index), written(quote)));
                    ticks.collect::<Vec<_>>().join(", ")
                }
                StreamMessage::Ack => "ack".to_owned(),
                StreamMessage::Heartbeat(None) => "heartbeat".to_owned(),
                StreamMessage::Heartbeat(Some(reply)) => format!("heartbeat {reply}"),
                StreamMessage::Alive(index) => format!("alive {}", conversation.symbols[index]),
                StreamMessage::Error(words) => format!("error {words}"),
                StreamMessage::Unreadable(what) => format!("unreadable: {what}"),
                StreamMessage::Leave => "leave".to_owned(),
                StreamMessage::Other => "other".to_owned(),
            };
            assert_eq!(means, message.means, "{} {text}", conversation.exchange);
        }
        spoken.insert(exchange.id());
    }
    let streams = catalogue.iter().filter(|exchange| exchange.has_stream());
    assert_eq!(
        streams.map(Exchange::id).collect::<BTreeSet<_>>(),
        spoken,
        "those with a stream, and those with a conversation in data/exchange_streams.json"
    );
}

#[test]
fn every_stream_says_what_shows_that_it_is_alive() {
    let file: serde_json::Value = serde_json::from_str(include_str!("../exchanges.json")).unwrap();
    for entry in file["exchanges"].as_array().unwrap() {
        let is_said = entry["stream"].is_null() || entry["stream"]["alive"].is_object();
        assert!(is_said, "{} lacks stream.alive", entry["id"]);
    }
    let catalogue = Catalogue::builtin();
    let silence_max = |id: &str| catalogue.get(id).unwrap().stream_silence_max();
    // One interval and half of another, but at least five seconds for a late sign.
    for (id, ms) in [("kraken", 6_000), ("okx", 15_000), ("bitfinex", 22_500)] {
        assert_eq!(silence_max(id).unwrap().as_millis(), ms, "{id}");
    }
    assert_eq!(silence_max("luno"), None);
}

#[test]
fn symbols_are_written_as_each_exchange_wants_them() {
    let catalogue = Catalogue::builtin();
    for (ids, expected) in [
        (
            "binance bybit mexc bitget binanceus bybiteu toobit weex hitbtc btcturk valr",
            ["BTCUSDT", "ETHUSDT", "BTCUSD"],
        ),
        (
            "coinbase okx kucoin bitvavo okxus okxeea mercado",
            ["BTC-USDT", "ETH-USDT", "BTC-USD"],
        ),
        (
            "gate cryptocom deribit whitebit poloniex bitflyer bitkub",
            ["BTC_USDT", "ETH_USDT", "BTC_USD"],
        ),
        (
            "xt lbank paribu bitso bitbank coincheck korbit",
            ["btc_usdt", "eth_usdt", "btc_usd"],
        ),
        (
            "bitstamp gemini htx indodax",
            ["btcusdt", "ethusdt", "btcusd"],
        ),
        ("upbit bithumb", ["USDT-BTC", "USDT-ETH", "USD-BTC"]),
        ("kraken luno", ["XBTUSDT", "ETHUSDT", "XBTUSD"]),
        ("bitfinex", ["tBTCUST", "tETHUST", "tBTCUSD"]),
    ] {
        for id in ids.split(' ') {
            let exchange = catalogue.get(id).unwrap();
            let symbols = symbols(&["BTC/USDT", "ETH/USDT", "BTC/USD"]);
            let markets = symbols.iter().map(|symbol| exchange.market(symbol));
            assert_eq!(markets.collect::<Vec<_>>(), expected, "{id}");
        }
    }
}

#[test]
fn requests_are_as_few_as_the_exchange_allows() {
    let catalogue = Catalogue::builtin();
    let urls = |id: &str, texts: &[&str]| {
        let requests = catalogue.get(id).unwrap().requests(&symbols(texts));
        let asked: usize = requests.iter().map(|request| request.symbols.len()).sum();
        assert_eq!(asked, texts.len());
        requests
            .into_iter()
            .map(|request| request.url)
            .collect::<Vec<_>>()
    };
    let two = ["BTC/USDT", "ETH/USDT"];
    assert_eq!(
        urls("binance", &two),
        [
            "https://data-api.binance.vision/api/v3/ticker/24hr?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D"
        ]
    );
    assert_eq!(
        urls("kraken", &two),
        ["https://api.kraken.com/0/public/Ticker?pair=XBTUSDT,ETHUSDT"]
    );
    assert_eq!(
        urls("okx", &two),
        [
            "https://www.okx.com/api/v5/market/ticker?instId=BTC-USDT",
            "https://www.okx.com/api/v5/market/ticker?instId=ETH-USDT"
        ],
        "two symbols are not worth the list of all"
    );
    assert_eq!(
        urls("bitfinex", &["DOGE/USD"]),
        ["https://api-pub.bitfinex.com/v2/ticker/tDOGE:USD"]
    );
    assert_eq!(
        urls("bitstamp", &["BTC/USD"]),
        ["https://www.bitstamp.net/api/v2/ticker/btcusd/"]
    );
    assert_eq!(
        urls("gate", &["A&B/X#"]),
        ["https://api.gateio.ws/api/v4/spot/tickers?currency_pair=A%26B_X%23"]
    );
    let many: Vec<_> = (0..45).map(|n| format!("A{n}/USDT")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(urls("binance", &many).len(), 3);
    assert_eq!(urls("okx", &many).len(), 1);
    assert_eq!(urls("coinbase", &many).len(), 45);
    assert_eq!(urls("okx", &[]).len(), 0);
}

#[test]
fn a_token_answer_says_where_to_connect() {
    let catalogue = Catalogue::builtin();
    let session = |id: &str| {
        catalogue
            .get(id)
            .unwrap()
            .session(&symbols(&["BTC/USDT"]))
            .unwrap()
    };
    let kucoin = session("kucoin");
    assert_eq!(
        kucoin.token_url(),
        Some("https://api.kucoin.com/api/v1/bullet-public")
    );
    let answer = br#"{"code":"200000","data":{"token":"2neAiu=.W+g==","instanceServers":[
        {"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket",
        "pingInterval":17000,"pingTimeout":10000}]}}"#;
    let connection = kucoin.connection(Some((200, answer)), NOW).unwrap();
    assert_eq!(
        connection.url,
        "wss://ws-api-spot.kucoin.com/?token=2neAiu%3D.W%2Bg%3D%3D&connectId=1796083200000"
    );
    // A ping is what tells whether it is alive, so it is sent more often than the answer asks.
    assert_eq!(connection.ping_every.unwrap().as_secs(), 10);
    assert_eq!(connection.silence_max.as_secs(), 15);
    let hasty = String::from_utf8_lossy(answer).replace("17000", "1");
    let connection = kucoin.connection(Some((200, hasty.as_bytes())), NOW);
    assert_eq!(connection.unwrap().ping_every.unwrap().as_secs(), 1);

    let elsewhere = br#"{"data":{"token":"t","instanceServers":[{"endpoint":"file:///etc"}]}}"#;
    let error = |answer| kucoin.connection(answer, NOW).unwrap_err().to_string();
    assert_eq!(
        error(Some((200, elsewhere))),
        "unexpected answer: invalid WebSocket URL \
         'file:///etc?token=t&connectId=1796083200000': expected ws:// or wss://"
    );
    let errors = [
        (429, &br#"{"code":"429000"}"#[..], "too many requests"),
        (429, b"", "too many requests"),
        (200, br#"{"code":"429000"}"#, "too many requests"),
        (451, b"<html>", "not available from here: HTTP 451, <html>"),
        (403, b"", "not available from here: HTTP 403"),
        (503, b"", "temporarily unavailable: HTTP 503"),
        (
            400,
            br#"{"code":"400002"}"#,
            r#"refused: no token: HTTP 400, {"code":"400002"}"#,
        ),
        (
            200,
            br#"{"code":"200000","data":null}"#,
            r#"refused: no token: HTTP 200, {"code":"200000","data":null}"#,
        ),
    ];
    for (status, body, expected) in errors {
        assert_eq!(error(Some((status, body))), expected);
    }
    assert!(error(None).starts_with("unexpected answer"));

    let cryptocom = session("cryptocom").connection(None, NOW).unwrap();
    assert_eq!(cryptocom.url, "wss://stream.crypto.com/exchange/v1/market");
    assert_eq!(
        (cryptocom.settle.as_secs(), cryptocom.ping_every),
        (1, None)
    );
}

#[test]
fn a_message_may_be_compressed_but_not_without_limit() {
    let packed = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let catalogue = Catalogue::builtin();
    let htx = catalogue.get("htx").unwrap();
    let mut session = htx.session(&symbols(&["ETH/USDT"])).unwrap();
    let tick =
        r#"{"ch":"market.ethusdt.ticker","ts":1630982370526,"tick":{"lastPrice":52735.630}}"#;
    let StreamMessage::Ticks(ticks) = session.read(&packed(tick), NOW) else {
        panic!("a price");
    };
    assert_eq!(written(&ticks[0].1), "52735.630 @ 1630982370526");
    let cut = &packed(tick)[..40];
    for message in [cut, &packed(&" ".repeat(100 << 20))] {
        assert_eq!(
            session.read(message, NOW),
            StreamMessage::Unreadable("invalid compressed data".to_owned())
        );
    }
}

#[test]
fn any_json_on_the_web_can_be_a_source() {
    let url = "https://example.com/{gold}?x=%7B";
    let custom = |url: &str| {
        Exchange::custom(Custom {
            url: url.to_owned(),
            price: Place::parse("/data/0/p")?,
            time: Some(Place::parse("/at")?),
            ..Custom::default()
        })
    };
    let exchange = custom(url).unwrap();
    let request = exchange.request(&"XAU/USD".parse().unwrap()).unwrap();
    assert_eq!(request.url, url);
    let body = b"\xEF\xBB\xBF {\"data\":[{\"p\":2650.10}],\"at\":1732270000.5}\r\n";
    let quotes = exchange.read(&request, 200, body, NOW).unwrap();
    assert_eq!(written(&quotes[0]), "2650.10 @ 1732270000500");
    let error = exchange.read(&request, 404, b"gone", NOW).unwrap_err();
    assert_eq!(error.to_string(), "refused: HTTP 404, gone");
    for invalid in ["ftp://example.com", "https://", "https://a/b c"] {
        assert!(custom(invalid).is_err(), "{invalid}");
    }
}

#[test]
fn the_price_of_a_users_source_may_be_scaled() {
    let custom = |scale: &str| {
        let price = Place::parse("/data/0/price").unwrap();
        let scale = Scale::parse(scale).unwrap();
        let url = "https://example.com".to_owned();
        Exchange::custom(Custom {
            url,
            price,
            scale,
            ..Custom::default()
        })
        .unwrap()
    };
    let body = br#"{"data":[{"price":"9897413000000","expo":-8}]}"#;
    let decimals = br#"{"data":[{"price":9897413000000,"decimals":"8"}]}"#;
    let symbol = "BTC/USD".parse().unwrap();
    for (scale, body) in [
        ("-8", &body[..]),
        ("/data/0/expo", body),
        ("-/data/0/decimals", decimals),
    ] {
        let exchange = custom(scale);
        let quotes = exchange
            .read(&exchange.request(&symbol).unwrap(), 200, body, NOW)
            .unwrap();
        assert_eq!(quotes[0].as_ref().unwrap().price.as_str(), "98974.13000000");
        assert_eq!(exchange.likely_scale(body), None, "it is scaled");
    }
    let likely = |body: &[u8]| {
        let (scale, name) = custom("0").likely_scale(body)?;
        Some(format!("{name}: {scale}"))
    };
    assert_eq!(likely(body).as_deref(), Some("expo: /data/0/expo"));
    assert_eq!(
        likely(decimals).as_deref(),
        Some("decimals: -/data/0/decimals")
    );
    for body in [
        r#"{"data":[{"price":"98974.13000000","expo":-8}]}"#,
        r#"{"data":[{"price":"989741300","expo":-8}]}"#,
        r#"{"data":[{"price":"9897413000000","expo":"high"}]}"#,
        r#"{"data":[{"price":"9897413000000"}],"expo":-8}"#,
        "nonsense",
    ] {
        assert_eq!(likely(body.as_bytes()), None, "{body}");
    }
    for text in ["", "8.5", "expo", "-x", "65"] {
        assert!(Scale::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_table_on_the_web_can_be_a_source() {
    let custom = |price: &str, time: &str, row| {
        Exchange::custom(Custom {
            url: "https://example.com/csv".to_owned(),
            price: Place::parse(price)?,
            time: Some(Place::parse(time)?),
            row,
            ..Custom::default()
        })
    };
    let exchange = custom("column:Close ~/", "column:Date", Some(Row::First)).unwrap();
    let request = exchange.request(&"XAU/USD".parse().unwrap()).unwrap();
    let body = b"Date,Close ~/\n2024-11-22T10:06:40Z,2650.10\n2024-11-21,2640\n";
    let quotes = exchange.read(&request, 200, body, NOW).unwrap();
    assert_eq!(written(&quotes[0]), "2650.10 @ 1732270000000");
    let error = exchange.read(&request, 404, b"gone", NOW).unwrap_err();
    assert_eq!(error.to_string(), "refused: HTTP 404, gone");
    for (price, time, row, expected) in [
        ("column:", "/at", None, "missing name of the column"),
        (
            "column:Close",
            "/at",
            None,
            "invalid place /at: expected column:NAME",
        ),
        (
            "/p",
            "column:At",
            None,
            "invalid place column:At: expected a JSON pointer",
        ),
        (
            "/p",
            "/at",
            Some(Row::Last),
            "the price must be in a column",
        ),
    ] {
        let error = custom(price, time, row).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// A user's file with one entry, in which `what` is replaced.
fn user_file(what: &str, with: &str) -> String {
    let file = r#"{"exchanges":[{"id":"mine","name":"Mine","spelling":{"market":"{BASE}-{QUOTE}"},
        "interval_ms":1000,"one":{"url":"https://example.com/{market}","answer":{"last":"/p"}},
        "many":{"url":"https://example.com/all","answer":{"list":"","symbol":"/s","last":"/p"}}}]}"#;
    assert!(file.contains(what), "{what}");
    file.replace(what, with)
}

#[test]
fn errors_in_a_users_file_name_the_entry_and_the_field() {
    let catalogue = Catalogue::builtin();
    let with = |text: &str| catalogue.clone().with_file(text);
    let built_in = catalogue.iter().count();
    let mine = with(&user_file("", "")).unwrap();
    assert_eq!(mine.iter().count(), built_in + 1);
    let replaced = with(&user_file("mine", "binance")).unwrap();
    assert_eq!(replaced.get("binance").unwrap().name(), "Mine");
    assert_eq!(replaced.iter().count(), built_in);

    for (what, by, expected) in [
        (r#""interval_ms":1000,"#, "", "missing field `interval_ms`"),
        (
            "1000",
            "\"soon\"",
            "field interval_ms: string \"soon\", expected a whole number",
        ),
        (
            r#"{"market":"{BASE}-{QUOTE}"}"#,
            "5",
            "field spelling: integer `5`, expected an object",
        ),
        ("1000", "0", "field interval_ms: must be at least 1"),
        (
            "1000",
            "18446744073709551615",
            "field interval_ms: must be at most 86400000 (one day)",
        ),
        (
            r#""name""#,
            r#""aliases":["MyEx"],"name""#,
            "field aliases: invalid name 'MyEx': expected only a-z",
        ),
        (
            r#""last":"/p"}},"#,
            r#""last":"p"}},"#,
            "field one.answer.last: invalid JSON pointer 'p': expected something like /data/0/last",
        ),
        (
            r#"{"last""#,
            r#"{"lats":"","last""#,
            "field one.answer.lats: unknown field `lats`, expected one of",
        ),
        (
            "-{QUOTE}",
            "-{QOUTE}",
            "field spelling.market: unknown placeholder {QOUTE}: expected one of {BASE}",
        ),
        (
            "com/{market}",
            "com/{market",
            "field one.url: invalid template 'https://example.com/{market': a { has no matching }",
        ),
        (
            "com/{market}",
            "com/",
            "field one.url: without {market} every symbol would have the same price",
        ),
        (
            "https://example.com/{",
            "example.com/{",
            "field one.url: invalid URL 'example.com/'",
        ),
        (
            r#""symbol":"/s","#,
            "",
            "field many.answer: a list needs symbol, to tell its entries apart",
        ),
        (
            r#""list":"","#,
            "",
            "field many.answer: needs list or map, to tell the symbols apart",
        ),
        (
            r#""name""#,
            r#""ok":"code = 0","name""#,
            "field ok: invalid condition 'code'",
        ),
        (
            r#""name""#,
            r#""errors":{"down":["/a","b"]},"name""#,
            "field errors.down[1]: invalid condition 'b'",
        ),
        (
            r#""name""#,
            r#""example":"BTC","name""#,
            "field example: invalid symbol 'BTC': expected something like BTC/USDT",
        ),
        (
            r#""name""#,
            r#""stream":{"url":"wss://a","subscribe":{"a":["{marketz}"]},"ticks":{"when":"/p","message":{"symbol":"/s","last":"/p"}}},"name""#,
            "field stream.subscribe: unknown placeholder {marketz}: expected one of {market}, {BASE}",
        ),
        (
            r#""name""#,
            r#""stream":{"url":"wss://a","subscribe":"x","ticks":{"when":"/p","message":{"channel":"/s","last":"/p"}}},"name""#,
            "field stream.ack: ticks with a channel need channel and symbol here",
        ),
    ] {
        let error = with(&user_file(what, by)).unwrap_err().to_string();
        let expected = format!("exchange 'mine': {expected}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
    let stream = r#""stream":{"url":"https://a","subscribe":"x","ticks":{"when":"/p","message":{"symbol":"/s","last":"/p"}}},"name""#;
    let error = with(&user_file(r#""name""#, stream))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("field stream.url: invalid WebSocket URL 'https://a'"),
        "{error}"
    );
    let error = |text: &str| with(text).unwrap_err().to_string();
    assert_eq!(
        error("[]"),
        "invalid catalogue: a list, expected an object at line 1 column 2"
    );
    assert_eq!(
        error(r#"{"exchanges":{}}"#),
        "invalid catalogue: an object, expected a list at line 1 column 13"
    );
    assert!(with(&format!("\u{feff}{}", user_file("", ""))).is_ok());
    assert_eq!(
        error(&user_file("mine", "sim")),
        "exchange 'sim': field id: 'sim' is reserved, choose another name"
    );
    let entry = user_file("", "");
    let entry = &entry[r#"{"exchanges":["#.len()..entry.len() - "]}".len()];
    assert_eq!(
        error(&format!(r#"{{"exchanges":[{entry},{entry}]}}"#)),
        "exchange 'mine': field id: already used by another exchange in this file"
    );
    assert_eq!(
        error(r#"{"exchanges":[{}]}"#),
        "exchange number 1: missing field `id`"
    );
    assert!(error("{}").starts_with("invalid catalogue: missing field `exchanges`"));
    assert!(error("").starts_with("invalid catalogue: EOF"));
    assert!(error(&user_file("mine", "My Own")).contains("field id: invalid name 'My Own'"));
}

/// An exchange with both kinds of answers, to be fed with anything.
fn synthetic() -> Exchange {
    thread_local!(static MINE: Exchange = {
        let file = user_file(
            r#""last":"/p"}}"#,
            r#""last":"/p","time":{"at":"/t","unit":"ms"}}}"#,
        );
        let catalogue = Catalogue::builtin().with_file(&file).unwrap();
        catalogue.get("mine").unwrap().clone()
    });
    MINE.with(Exchange::clone)
}

#[test]
fn deeply_nested_brackets_are_an_ordinary_error() {
    let exchange = synthetic();
    let request = exchange.request(&"BTC/USDT".parse().unwrap()).unwrap();
    let mut bodies = vec!["[".repeat(2_000_000), r#"{"p":"#.repeat(500_000)];
    bodies.push("[".repeat(1_000_000) + &"]".repeat(1_000_000));
    bodies.push(format!(r#"{{"p":{}}}"#, bodies[2]));
    for body in bodies {
        match exchange.read(&request, 200, body.as_bytes(), NOW) {
            Ok(quotes) => assert!(matches!(quotes[0], Err(QuoteError::NoPrice(_)))),
            Err(error) => assert!(matches!(error, QuoteError::Garbage(_)), "{error}"),
        }
    }
}

#[test]
fn a_long_list_is_read_with_pauses() {
    let exchange = synthetic();
    let entry = |n: usize| format!(r#"{{"s":"A{n}-USDT","p":"{n}.50"}}"#);
    let list: Vec<_> = (0..3000).map(entry).collect();
    let body = format!("[{}]", list.join(","));
    let [request] = &exchange.requests(&symbols(&["A7/USDT", "A2999/USDT"]))[..] else {
        panic!("one request for both");
    };
    let mut pauses = 0;
    let quotes = exchange
        .read_pausing(request, (200, body.as_bytes()), NOW, &mut || pauses += 1)
        .unwrap();
    let got: Vec<_> = quotes.iter().map(written).collect();
    assert_eq!(got, ["7.50 @ -", "2999.50 @ -"]);
    assert!(pauses > 40, "{pauses}");
}

/// JSON that resembles what exchanges send: the right keys with any values.
fn similar_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        "-?[0-9]{1,30}(\\.[0-9]{1,9})?(e-?[0-9]{1,4})?",
        "\"\\PC{0,8}\"",
        "\"[0-9.]{0,20}\"",
        Just("\"BTC-USDT\"".to_owned()),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        let key = "[pstad0]|data|result|error|code|list|BTC-USDT";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((key, inner), 0..8).prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_decimal_survives_byte_for_byte(
        digits in "(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?", quoted in any::<bool>(),
    ) {
        prop_assume!(digits.contains(|c: char| ('1'..='9').contains(&c)));
        let exchange = synthetic();
        let request = exchange.request(&"BTC/USDT".parse().unwrap()).unwrap();
        let quote = if quoted { "\"" } else { "" };
        let body = format!(r#"{{"p":{quote}{digits}{quote},"t":{NOW}}}"#);
        let quotes = exchange.read(&request, 200, body.as_bytes(), NOW).unwrap();
        prop_assert_eq!(written(&quotes[0]), format!("{digits} @ {NOW}"));
    }

    #[test]
    fn an_exponent_moves_the_point_and_keeps_every_digit(
        digits in "[1-9][0-9]{0,14}", point in 0usize..16, exponent in -20i32..20,
        capital in any::<bool>(), plus in any::<bool>(), quoted in any::<bool>(),
    ) {
        let length = i32::try_from(digits.len()).unwrap();
        let point = point.min(digits.len());
        let mantissa = match digits.split_at(point) {
            ("", fraction) => format!("0.{fraction}"),
            (whole, "") => whole.to_owned(),
            (whole, fraction) => format!("{whole}.{fraction}"),
        };
        let moved = i32::try_from(point).unwrap() + exponent;
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap());
        let expected = match usize::try_from(moved) {
            Err(_) | Ok(0) => format!("0.{}{digits}", zeros(-moved)),
            Ok(_) if moved >= length => digits.clone() + &zeros(moved - length),
            Ok(moved) => format!("{}.{}", &digits[..moved], &digits[moved..]),
        };
        let sign = if plus && exponent >= 0 { "+" } else { "" };
        let e = if capital { "E" } else { "e" };
        let quote = if quoted { "\"" } else { "" };
        let body = format!(r#"{{"p":{quote}{mantissa}{e}{sign}{exponent}{quote}}}"#);
        let exchange = synthetic();
        let request = exchange.request(&"BTC/USDT".parse().unwrap()).unwrap();
        let quotes = exchange.read(&request, 200, body.as_bytes(), NOW).unwrap();
        prop_assert_eq!(written(&quotes[0]), format!("{expected} @ -"));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..100), json in similar_json(), status: u16,
    ) {
        thread_local!(static CATALOGUE: Catalogue = Catalogue::builtin());
        CATALOGUE.with(|catalogue| for exchange in catalogue.iter() {
            let symbols = symbols(&["BTC/USDT", "ETH/USDT"]);
            let mut request = exchange.request(&symbols[0]).unwrap();
            for body in [&bytes[..], json.as_bytes()] {
                for (is_batch, status) in [(false, 200), (true, 200), (true, status)] {
                    request.is_batch = is_batch;
                    let _ = exchange.read(&request, status, body, NOW);
                }
                if let Some(mut session) = exchange.session(&symbols) {
                    let _ = session.read(body, NOW);
                    let _ = session.connection(Some((status, body)), NOW);
                }
            }
        });
    }
}

#[test]
fn subscribing_takes_as_long_as_the_limits_of_the_exchange_say() {
    let catalogue = Catalogue::builtin();
    let seconds = |id: &str, symbols| {
        let limits = catalogue.get(id).unwrap().stream_limits().unwrap();
        limits.subscribing(symbols).as_secs_f64()
    };
    // One symbol needs no pause, whatever the exchange.
    for exchange in catalogue.iter().filter(|exchange| exchange.has_stream()) {
        assert!(seconds(exchange.id(), 1) < 0.001, "{}", exchange.id());
    }
    // A message for each of 300 symbols, 100 ms apart.
    assert!((seconds("htx", 300) - 29.9).abs() < 0.001);
    // Eleven connections, 3 s apart.
    assert!((seconds("bitfinex", 330) - 30.0).abs() < 0.001);
}
