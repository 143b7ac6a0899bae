//! Properties of reading exchange answers, see [`crate::fuzzing`]: no answer yields an invented
//! price. Each requested symbol gets one quote; a price has the digits that were sent, and a
//! plausible time.

use std::sync::LazyLock;

use exchanges::text::is_deceptive;
use exchanges::{
    Catalogue, Custom, Exchange, Place, Price, Quote, QuoteError, StreamMessage, Symbol,
};

use crate::fuzzing;

/// Reads `bytes`: a line that describes the request, `many kraken 200 BTC/USD ETH/USD`, and the
/// answer. Instead of `many` it may say `one`, `token`, or `stream`; the messages of a stream are
/// separated by blank lines.
///
/// # Panics
/// When a promise is broken.
pub fn exchange_answer(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, body) = bytes.split_at(end.unwrap_or(bytes.len()));
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let kind = words.next().unwrap_or_default();
    let exchange = exchange(words.next().unwrap_or_default());
    let status = words.next().and_then(|word| word.parse().ok());
    let mut symbols: Vec<Symbol> = words.filter_map(|word| word.parse().ok()).collect();
    symbols.sort();
    symbols.dedup();
    symbols.truncate(SYMBOLS_MAX);
    if symbols.is_empty() {
        symbols.extend(exchange.example().parse::<Symbol>());
    }
    match kind {
        "stream" => check_stream(exchange, &symbols, body),
        "token" => check_token(exchange, &symbols, (status.unwrap_or(200), body)),
        kind => check_answer(
            exchange,
            &symbols,
            kind == "one",
            (status.unwrap_or(200), body),
        ),
    }
}

/// The exchange with that id; for an unknown id, any exchange.
fn exchange(id: &str) -> &'static Exchange {
    static ALL: LazyLock<Vec<Exchange>> = LazyLock::new(|| {
        let catalogue = Catalogue::builtin();
        let place = |text| Place::parse(text).expect("a pointer");
        let custom = Exchange::custom(Custom {
            url: "https://example.com/price".to_owned(),
            price: place("/data/0/price"),
            time: Some(place("/data/0/time")),
            ..Custom::default()
        });
        catalogue.iter().cloned().chain(custom).collect()
    });
    let named = ALL.iter().find(|exchange| exchange.id() == id);
    named.unwrap_or_else(|| &ALL[fuzzing::dice(id.as_bytes()).usize(0..ALL.len())])
}

fn check_answer(exchange: &Exchange, symbols: &[Symbol], one: bool, answer: (u16, &[u8])) {
    let requests = match (one, symbols) {
        (true, [symbol, ..]) => Vec::from_iter(exchange.request(symbol)),
        _ => exchange.requests(symbols),
    };
    for request in &requests {
        let quotes = exchange.read(request, answer.0, answer.1, NOW);
        let mut pauses = 0;
        let mut pause = || pauses += 1;
        let again = exchange.read_pausing(request, answer, NOW, &mut pause);
        assert_eq!(quotes, again, "not the same twice");
        assert!(pauses <= 2 + answer.1.len() / 8, "{pauses} pauses");
        match quotes {
            Err(error) => check_error(&error),
            Ok(quotes) => {
                assert_eq!(quotes.len(), request.symbols.len(), "a quote for each");
                let is_custom = exchange.id() == "custom";
                for quote in &quotes {
                    check_quote(quote, answer.1, is_custom);
                }
            }
        }
    }
}

/// Checks a quote that was read from `message`. A user's own source may have any number as a price.
fn check_quote(quote: &Result<Quote, QuoteError>, message: &[u8], is_custom: bool) {
    let quote = match quote {
        Ok(quote) => quote,
        Err(error) => return check_error(error),
    };
    let price = quote.price.as_str();
    assert_eq!(Price::parse(price).as_ref(), Ok(&quote.price), "{price}");
    assert!(price.len() <= 64, "{price}");
    assert!(is_custom || !price.starts_with('-'), "{price}");
    assert!(
        serde_json::from_str::<serde_json::Number>(price).is_ok(),
        "{price}"
    );
    if let Some(time) = quote.timestamp_ms {
        assert!((1_230_768_000_000..=NOW + 60_000).contains(&time), "{time}");
    }
    // Reading may move the point and resolve an exponent, but the digits were sent in this order.
    // In escaped or compressed messages they cannot be searched for.
    let digits = price.replace(['.', '-'], "");
    let digits = digits.trim_matches('0').as_bytes();
    assert!(is_custom || !digits.is_empty(), "a price of zero");
    if digits.is_empty() {
        return;
    }
    let is_packed = message.starts_with(&[0x1f, 0x8b]) || message.starts_with(b"x");
    let is_plain = !message.contains(&b'\\') && !is_packed;
    if is_plain {
        let sent: Vec<u8> = message
            .iter()
            .copied()
            .filter(|&byte| byte != b'.')
            .collect();
        let is_sent = sent.windows(digits.len()).any(|window| window == digits);
        assert!(is_sent, "{price} is not in what was sent");
    }
}

/// Errors go to the log, so they must be one line of a bounded length.
fn check_error(error: &QuoteError) {
    let text = error.to_string();
    assert!(!text.contains(is_deceptive), "{text:?}");
    assert!(text.chars().count() <= 250, "{text}");
}

fn check_stream(exchange: &Exchange, symbols: &[Symbol], messages: &[u8]) {
    let Some(mut session) = exchange.session(symbols) else {
        return;
    };
    let asked: usize = session.subscribe(NOW).iter().map(String::len).sum();
    let mut rest = messages;
    while !rest.is_empty() {
        let blank = rest.windows(2).position(|pair| pair == b"\n\n");
        let (message, behind) = rest.split_at(blank.unwrap_or(rest.len()));
        rest = behind.strip_prefix(b"\n\n").unwrap_or(behind);
        match session.read(message, NOW) {
            StreamMessage::Ticks(ticks) => {
                assert!(!ticks.is_empty(), "an empty list of ticks");
                for (index, quote) in &ticks {
                    assert!(*index < symbols.len(), "a symbol that was not requested");
                    check_quote(quote, message, false);
                }
            }
            StreamMessage::Error(text) | StreamMessage::Unreadable(text) => {
                assert!(
                    !text.contains(is_deceptive) && text.chars().count() <= 250,
                    "{text:?}"
                );
            }
            StreamMessage::Alive(index) => assert!(index < symbols.len(), "not requested"),
            StreamMessage::Heartbeat(reply) => {
                let length = reply.map_or(0, |reply| reply.len());
                let is_packed = message.starts_with(&[0x1f, 0x8b]) || message.starts_with(b"x");
                assert!(
                    is_packed || length <= 200 + 2 * message.len(),
                    "{length} bytes"
                );
            }
            StreamMessage::Ack | StreamMessage::Leave | StreamMessage::Other => {}
        }
    }
    let asked_again: usize = session.subscribe(NOW).iter().map(String::len).sum();
    assert!(
        asked_again <= asked + 20 * symbols.len(),
        "the subscriptions have grown"
    );
}

/// The answer decides where to connect; whatever it says, that must be a WebSocket.
fn check_token(exchange: &Exchange, symbols: &[Symbol], answer: (u16, &[u8])) {
    let Some(session) = exchange.session(symbols) else {
        return;
    };
    match session.connection(Some(answer), NOW) {
        Ok(connection) => {
            let url = &connection.url;
            assert!(
                url.starts_with("ws://") || url.starts_with("wss://"),
                "{url}"
            );
            assert!(
                !url.contains(|c: char| c.is_whitespace() || c.is_control()),
                "{url:?}"
            );
            assert!(url.len() <= 300 + 3 * answer.1.len(), "{} bytes", url.len());
            let every = connection
                .ping_every
                .map_or(1_000, |every| every.as_millis());
            assert!((1_000..=60_000).contains(&every), "a ping every {every} ms");
        }
        Err(error) => check_error(&error),
    }
}

/// 2026-01-01.
const NOW: u64 = 1_767_225_600_000;

const SYMBOLS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz_twin;
    use proptest::prelude::*;

    /// Numbers as exchanges write them, and as no exchange should.
    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "(0|[1-9][0-9]{0,12})(\\.[0-9]{1,9})?",
            1 => "-?[0-9]{0,3}\\.?[0-9]{0,3}[eE][+-]?[0-9]{1,3}",
            1 => "\"[+-]?[0-9]{0,9}\\.?[0-9]{0,9}(e-?[0-9]{1,2})?\"",
            1 => "null|\"\"|true|\\[\\]|\\{\\}|17[0-9]{8,17}",
        ]
    }

    proptest! {
        #[test]
        fn no_answer_yields_an_invented_price(
            bytes in prop::sample::select(fuzz_twin::seeds("exchange_answer")),
            numbers in prop::collection::vec(number(), 1..9),
        ) {
            // Replace every number in a valid answer.
            let text = String::from_utf8_lossy(&bytes);
            let (line, body) = text.split_once('\n').unwrap();
            let mut numbers = numbers.iter().cycle();
            let mut changed = format!("{line}\n");
            let mut rest = body;
            while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
                let length = rest[start..].find(|c: char| !c.is_ascii_digit() && c != '.');
                let (before, behind) = rest.split_at(start);
                changed += before;
                changed += numbers.next().unwrap();
                rest = &behind[length.unwrap_or(behind.len())..];
            }
            exchange_answer((changed + rest).as_bytes());
        }

        #[test]
        fn no_damaged_answer_yields_an_invented_price(bytes in fuzz_twin::damaged("exchange_answer")) {
            exchange_answer(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("exchange_answer", exchange_answer);
    }
}
