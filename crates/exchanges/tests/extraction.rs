//! The catalogue's pointers against a second reading of the same samples, which shares no code with
//! the crate: prices, times and fields must agree digit for digit.
//!
//! `data/pointers.json` says where each exchange documents its numbers. It was written from the
//! documentation, not from the catalogue. In a pointer `{i}` is the index of the entry whose
//! `market` is the one asked for, and `{key}` is that market as the key of an object.

#![allow(clippy::unwrap_used, reason = "the helpers belong to the tests")]

mod samples;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use exchanges::{Catalogue, Exchange, Field, FieldSet, Quote, Request, StreamMessage};
use samples::{answers, conversations, symbols};
use serde::Deserialize;
use serde_json::value::RawValue;

/// 2027-01-01, later than all samples.
const NOW: u64 = 1_798_761_600_000;

/// Where an exchange has its numbers, in answers to requests for one symbol and for several, and in
/// messages of its stream.
#[derive(Deserialize)]
struct Row {
    exchange: String,
    /// How it writes the symbols of the samples.
    markets: BTreeMap<String, String>,
    one: Option<Pointers>,
    many: Option<Pointers>,
    stream: Option<Pointers>,
}

#[derive(Deserialize)]
struct Pointers {
    /// Where an entry names its market, if it does.
    market: Option<String>,
    price: Pointer,
    time: Option<String>,
    #[serde(default)]
    unit: String,
    /// The rest are the fields, by name.
    #[serde(flatten)]
    fields: BTreeMap<String, Pointer>,
}

/// A pointer, or one with the power of ten that its number is multiplied by.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pointer {
    Plain(String),
    Scaled { at: String, scale: i32 },
}

fn rows() -> HashMap<String, Row> {
    let rows: Vec<Row> = serde_json::from_str(include_str!("data/pointers.json")).unwrap();
    rows.into_iter()
        .map(|row| (row.exchange.clone(), row))
        .collect()
}

/// The value at a pointer: one step into an object or an array at a time.
fn walk<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return Some(json);
    };
    let (step, _) = rest.split_once('/').unwrap_or((rest, ""));
    let rest = &rest[step.len()..];
    let step = step.replace("~1", "/").replace("~0", "~");
    if json.get().starts_with('{') {
        let members: HashMap<String, &RawValue> = serde_json::from_str(json.get()).unwrap();
        match members.get(&step) {
            Some(member) => walk(member, rest),
            // Some exchanges leave out the list around a single entry.
            None if step == "0" => walk(json, rest),
            None => None,
        }
    } else {
        let items: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
        walk(items.get(step.parse::<usize>().ok()?)?, rest)
    }
}

/// A number or a string as text; `None` for everything else, and for an empty string.
fn text(json: &RawValue) -> Option<String> {
    let text = match json.get() {
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).unwrap(),
        other => other.to_owned(),
    };
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    is_number.then_some(text)
}

/// A number without an exponent, multiplied by a power of ten: the point moves, no digit changes.
fn plain(number: &str, scale: i32) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let by = exponent.parse::<i32>().unwrap() + scale;
    if by == 0 {
        return mantissa.to_owned();
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = i32::try_from(whole.len()).unwrap() + by;
    let digits = format!("{whole}{fraction}");
    let length = i32::try_from(digits.len()).unwrap();
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let digits = format!("{}{digits}{}", zeros(1 - point), zeros(point - length));
    let (whole, fraction) = digits.split_at(usize::try_from(point.max(1)).unwrap());
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// A time in Unix ms. One exchange writes its times in either of two ways.
fn milliseconds(time: &str, unit: &str) -> u64 {
    let scale = match unit {
        "s" => 3,
        "ms" => 0,
        "us" => -3,
        "ns" => -6,
        "iso or ns" if !time.contains('-') => -6,
        _ => return iso_milliseconds(time),
    };
    let moved = plain(time, scale);
    moved.split('.').next().unwrap().parse().unwrap()
}

/// ISO 8601 by its columns.
fn iso_milliseconds(time: &str) -> u64 {
    let number = |from: usize, to: usize| time[from..to].parse::<u64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days since 1970, counting years from March so that a leap day is the last of its year.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 719_469;
    let seconds = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    let fraction: String = time[19..]
        .strip_prefix('.')
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .chain("000".chars())
        .take(3)
        .collect();
    let offset = match time.rfind(['+', '-']).filter(|&at| at > 18) {
        Some(at) => (
            &time[at..=at],
            number(at + 1, at + 3) * 3600 + number(at + 4, at + 6) * 60,
        ),
        None => ("+", 0),
    };
    let local = days * 86_400 + seconds;
    let utc = match offset {
        ("-", seconds) => local + seconds,
        (_, seconds) => local - seconds,
    };
    utc * 1000 + fraction.parse::<u64>().unwrap()
}

impl Pointers {
    /// The numbers of a market, as they are compared.
    fn extract(&self, json: &RawValue, market: &str) -> BTreeMap<String, String> {
        let index = self.index(json, market);
        let value = |pointer: &str| {
            let pointer = pointer
                .replace("{i}", &index)
                .replace("{key}", &market.replace('/', "~1"));
            walk(json, &pointer).and_then(text)
        };
        let number = |pointer: &Pointer| match pointer {
            Pointer::Plain(at) => Some(plain(&value(at)?, 0)),
            Pointer::Scaled { at, scale } => Some(plain(&value(at)?, *scale)),
        };
        let fields = self.fields.iter();
        let mut found: BTreeMap<_, _> = fields
            .filter_map(|(name, pointer)| Some((name.clone(), number(pointer)?)))
            .collect();
        found.extend(number(&self.price).map(|price| ("price".to_owned(), price)));
        let time = self.time.as_ref().and_then(|time| value(time));
        let time = time.map(|time| milliseconds(&time, &self.unit).to_string());
        found.extend(time.map(|time| ("time".to_owned(), time)));
        found
    }

    /// The index of the entry that names the market.
    fn index(&self, json: &RawValue, market: &str) -> String {
        let is_it = |index: &usize| {
            let pointer = self
                .market
                .as_ref()
                .map(|item| item.replace("{i}", &index.to_string()));
            let name = pointer.and_then(|pointer| walk(json, &pointer));
            name.is_some_and(|name| name.get().trim_matches('"').eq_ignore_ascii_case(market))
        };
        (0..100).find(is_it).unwrap_or_default().to_string()
    }
}

/// What our reader made of the same.
fn ours(quote: &Quote) -> BTreeMap<String, String> {
    let fields = quote.fields.iter();
    let mut found: BTreeMap<_, _> = fields
        .map(|(field, value)| (field.name().to_owned(), value.to_string()))
        .collect();
    found.insert("price".to_owned(), quote.price.to_string());
    let time = quote.timestamp_ms;
    found.extend(time.map(|time| ("time".to_owned(), time.to_string())));
    found
}

/// Which kinds of samples of an exchange were compared.
type Compared = BTreeSet<(String, &'static str)>;

fn compare(
    compared: &mut Compared,
    row: &Row,
    kind: &'static str,
    json: &RawValue,
    it: (&str, &Quote),
) {
    let pointers = match kind {
        "one" => &row.one,
        "many" => &row.many,
        _ => &row.stream,
    };
    let (symbol, quote) = it;
    let id = &row.exchange;
    let pointers = pointers.as_ref();
    let pointers = pointers.unwrap_or_else(|| panic!("{id}: no pointers for {kind}"));
    let market = row.markets.get(symbol);
    let market = market.unwrap_or_else(|| panic!("{id}: how is {symbol} written?"));
    let found = pointers.extract(json, market);
    assert_eq!(ours(quote), found, "{id} {kind} {symbol} {json}");
    compared.insert((id.clone(), kind));
}

/// Compares all answers of the samples.
fn compare_answers(catalogue: &Catalogue, rows: &HashMap<String, Row>, compared: &mut Compared) {
    let answers = answers();
    for answer in &answers {
        let Some(row) = rows.get(answer.exchange) else {
            continue;
        };
        let exchange = wide(catalogue, answer.exchange);
        let symbols = symbols(&answer.symbols);
        let request = Request {
            is_batch: answer.many,
            ..exchange.request(&symbols[0]).unwrap()
        };
        let request = Request { symbols, ..request };
        let body = answer.text.as_deref();
        let body = body.unwrap_or_else(|| answer.body.map_or("", RawValue::get));
        let Ok(quotes) = exchange.read(&request, answer.status, body.as_bytes(), NOW) else {
            continue;
        };
        let json: Box<RawValue> = serde_json::from_str(body).unwrap();
        let kind = if answer.many { "many" } else { "one" };
        for (symbol, quote) in answer.symbols.iter().zip(&quotes) {
            if let Ok(quote) = quote {
                compare(compared, row, kind, &json, (symbol, quote));
            }
        }
    }
}

/// Compares all ticks of the samples.
fn compare_ticks(catalogue: &Catalogue, rows: &HashMap<String, Row>, compared: &mut Compared) {
    let conversations = conversations();
    for conversation in &conversations {
        let Some(row) = rows.get(conversation.exchange) else {
            continue;
        };
        let exchange = wide(catalogue, conversation.exchange);
        let mut session = exchange.session(&symbols(&conversation.symbols)).unwrap();
        session.subscribe(NOW);
        for message in &conversation.messages {
            let text = message.text.as_deref();
            let text = text.unwrap_or_else(|| message.message.map_or("", RawValue::get));
            let StreamMessage::Ticks(ticks) = session.read(text.as_bytes(), NOW) else {
                continue;
            };
            let json: Box<RawValue> = serde_json::from_str(text).unwrap();
            for (index, quote) in &ticks {
                if let Ok(quote) = quote {
                    let symbol = conversation.symbols[*index].as_str();
                    compare(compared, row, "stream", &json, (symbol, quote));
                }
            }
        }
    }
}

/// The exchange, made to read every field.
fn wide(catalogue: &Catalogue, id: &str) -> Exchange {
    let exchange = catalogue.get(id).unwrap().clone();
    exchange.with_fields(FieldSet::ALL)
}

#[test]
fn a_second_reading_of_every_sample_finds_the_same_digits() {
    let catalogue = Catalogue::builtin();
    let rows = rows();
    for row in rows.values() {
        assert!(catalogue.get(&row.exchange).is_ok(), "{}", row.exchange);
        for pointers in [&row.one, &row.many, &row.stream].into_iter().flatten() {
            for name in pointers.fields.keys() {
                assert!(name.parse::<Field>().is_ok(), "{} {name}", row.exchange);
            }
        }
    }
    let mut compared = Compared::new();
    compare_answers(&catalogue, &rows, &mut compared);
    compare_ticks(&catalogue, &rows, &mut compared);
    for row in rows.values() {
        for (kind, pointers) in [
            ("one", &row.one),
            ("many", &row.many),
            ("stream", &row.stream),
        ] {
            let key = (row.exchange.clone(), kind);
            assert_eq!(compared.contains(&key), pointers.is_some(), "{key:?}");
        }
    }
}

#[test]
fn the_second_reading_counts_and_moves_points_right() {
    for (number, scale, expected) in [
        ("97000.10", 0, "97000.10"),
        ("1e-08", 0, "0.00000001"),
        ("1.3640078E7", 0, "13640078"),
        ("9700015000000", -8, "97000.15000000"),
        ("0.0104", 2, "1.04"),
        ("-0.2472", 2, "-24.72"),
        ("5", 3, "5000"),
        ("0.5", -3, "0.0005"),
    ] {
        assert_eq!(plain(number, scale), expected, "{number} {scale}");
    }
    for (time, unit, expected) in [
        ("1970-01-01T00:00:00Z", "iso", 0),
        ("2024-02-29T23:59:59.9999999Z", "iso", 1_709_251_199_999),
        ("2000-03-01T01:00:00+01:00", "iso", 951_868_800_000),
        ("1732270000.123", "s", 1_732_270_000_123),
        ("1795986400505728630", "ns", 1_795_986_400_505),
    ] {
        assert_eq!(milliseconds(time, unit), expected, "{time}");
    }
}
