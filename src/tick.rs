//! A price at a point in time, and its format on the wire.
//!
//! `{"symbol":"BTC/USDT","price":97123.45,"timestamp":1732270000123,"seq":42,"sent":1732270000123456}`
//!
//! Prices are never converted to floats: their digits pass through as text.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use exchanges::json::JsonText;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use exchanges::{Field, FieldSet, Fields, Price};

/// A price of one symbol, as a feed delivers it. Publishing it adds `seq` and `sent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The symbol in ccxt's unified notation, `BASE/QUOTE`, prefixed with its source where that
    /// could be misunderstood: `sim:BTC/USDT`.
    pub symbol: String,
    /// The price, in the quote currency.
    pub price: Price,
    /// When the price was valid, in Unix ms; the time of receipt if the source sends no time.
    pub timestamp: u64,
    /// What else is known of the symbol, if it was asked for.
    pub fields: Fields,
}

impl Tick {
    /// A tick without fields besides the price.
    pub fn new(symbol: impl Into<String>, price: Price, timestamp: u64) -> Self {
        Self {
            symbol: symbol.into(),
            price,
            timestamp,
            fields: Fields::default(),
        }
    }
}

/// Appends a tick's JSON to `out`. `symbol_json` is its symbol, escaped and in quotes.
pub fn write_json(out: &mut Vec<u8>, symbol_json: &str, tick: &Tick, seq: u64, sent: u64) {
    // Written by hand: `write!` took a third of the time of publishing a tick.
    out.extend_from_slice(br#"{"symbol":"#);
    out.extend_from_slice(symbol_json.as_bytes());
    out.extend_from_slice(br#","price":"#);
    out.extend_from_slice(tick.price.as_str().as_bytes());
    out.extend_from_slice(br#","timestamp":"#);
    write_number(out, tick.timestamp);
    if !tick.fields.is_empty() {
        write_members(out, &tick.fields);
    }
    out.extend_from_slice(br#","seq":"#);
    write_number(out, seq);
    out.extend_from_slice(br#","sent":"#);
    write_number(out, sent);
    out.push(b'}');
}

/// Appends the members of fields. Apart, so that a tick without any costs no more for them.
#[inline(never)]
fn write_members(out: &mut Vec<u8>, fields: &Fields) {
    for (field, value) in fields.iter() {
        out.extend_from_slice(member(field));
        out.extend_from_slice(value.as_str().as_bytes());
    }
}

/// How the member of a field begins, with the comma in front.
const fn member(field: Field) -> &'static [u8] {
    match field {
        Field::Bid => br#","bid":"#,
        Field::Ask => br#","ask":"#,
        Field::Volume => br#","volume":"#,
        Field::QuoteVolume => br#","quote_volume":"#,
        Field::Change => br#","change":"#,
        Field::High => br#","high":"#,
        Field::Low => br#","low":"#,
        Field::Open => br#","open":"#,
    }
}

/// Appends a number in decimal.
fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; DIGITS_MAX];
    let mut first = DIGITS_MAX;
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// The digits of the largest `u64`.
const DIGITS_MAX: usize = 20;

/// A message that may be a tick, as a client reads it: every field may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireTick<'a> {
    /// The symbol.
    pub symbol: Option<Cow<'a, str>>,
    /// The price as written, a number or a string without its quotes.
    pub price: Option<&'a str>,
    /// The source's time, Unix ms.
    pub timestamp: Option<u64>,
    /// Its other fields, as far as they are numbers.
    pub fields: Fields,
    /// The tick's number within its symbol.
    pub seq: Option<u64>,
    /// When the server put it on its tape, Unix µs.
    pub sent: Option<u64>,
}

impl<'a> WireTick<'a> {
    /// Reads any JSON object; fields of unexpected types count as missing.
    ///
    /// The layout that our server writes is read in one pass without a JSON parser, since a load
    /// client does this a million times a second.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn parse(text: &'a [u8]) -> serde_json::Result<Self> {
        match Self::parse_printed(text) {
            Some(tick) => Ok(tick),
            None => Self::parse_any(text),
        }
    }

    /// Reads only the layout that our server writes.
    pub fn parse_printed(text: &'a [u8]) -> Option<Self> {
        let (tick, []) = PrintedTick::parse_first(text)? else {
            return None;
        };
        Some(Self {
            symbol: Some(Cow::Borrowed(tick.symbol)),
            price: Some(std::str::from_utf8(tick.price).ok()?),
            timestamp: Some(tick.timestamp),
            fields: tick.fields(),
            seq: Some(tick.seq),
            sent: Some(tick.sent),
        })
    }

    fn parse_any(text: &'a [u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            symbol: Option<&'a RawValue>,
            #[serde(borrow)]
            price: Option<&'a RawValue>,
            #[serde(borrow)]
            timestamp: Option<&'a RawValue>,
            #[serde(borrow)]
            seq: Option<&'a RawValue>,
            #[serde(borrow)]
            sent: Option<&'a RawValue>,
            #[serde(borrow)]
            bid: Option<&'a RawValue>,
            #[serde(borrow)]
            ask: Option<&'a RawValue>,
            #[serde(borrow)]
            volume: Option<&'a RawValue>,
            #[serde(borrow)]
            quote_volume: Option<&'a RawValue>,
            #[serde(borrow)]
            change: Option<&'a RawValue>,
            #[serde(borrow)]
            high: Option<&'a RawValue>,
            #[serde(borrow)]
            low: Option<&'a RawValue>,
            #[serde(borrow)]
            open: Option<&'a RawValue>,
        }
        fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
            serde_json::from_str(raw?.get()).ok()
        }
        fn number(raw: &RawValue) -> Option<Price> {
            Price::parse(unquoted(raw)).ok()
        }

        let raw: Raw<'a> = serde_json::from_slice(text)?;
        if !text.trim_ascii_start().starts_with(b"{") {
            // serde would accept a list of the fields in order.
            return Err(serde::de::Error::custom("a list"));
        }
        let values = [
            (Field::Bid, raw.bid),
            (Field::Ask, raw.ask),
            (Field::Volume, raw.volume),
            (Field::QuoteVolume, raw.quote_volume),
            (Field::Change, raw.change),
            (Field::High, raw.high),
            (Field::Low, raw.low),
            (Field::Open, raw.open),
        ];
        let values = values.into_iter();
        Ok(Self {
            symbol: read::<JsonText<'a>>(raw.symbol).map(|text| text.0),
            price: raw.price.map(unquoted),
            timestamp: read(raw.timestamp),
            fields: values
                .filter_map(|(field, raw)| Some((field, number(raw?)?)))
                .collect(),
            seq: read(raw.seq),
            sent: read(raw.sent),
        })
    }

    /// Returns the tick, if no field is missing.
    pub fn to_tick(&self) -> Option<Tick> {
        Some(Tick {
            symbol: self.symbol.as_deref()?.to_owned(),
            price: Price::parse(self.price?).ok()?,
            timestamp: self.timestamp?,
            fields: self.fields.clone(),
        })
    }
}

/// A number as written, or in a string.
fn unquoted(raw: &RawValue) -> &str {
    raw.get().trim_matches('"')
}

/// A tick in the layout that our server writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedTick<'a> {
    /// The symbol.
    pub symbol: &'a str,
    /// The price, a decimal number.
    pub price: &'a [u8],
    /// The source's time, Unix ms.
    pub timestamp: u64,
    /// The members of its other fields, each with a comma in front; most ticks have none.
    members: &'a [u8],
    /// The tick's number within its symbol.
    pub seq: u64,
    /// When the server put it on its tape, Unix µs.
    pub sent: u64,
}

impl<'a> PrintedTick<'a> {
    /// Reads the tick at the start of `text`, and returns the rest, too.
    pub fn parse_first(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let rest = text.strip_prefix(br#"{"symbol":""#)?;
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (symbol, rest) = rest.split_at(end);
        let (price, rest) = plain_number(rest.strip_prefix(br#"","price":"#)?)?;
        let (timestamp, rest) = digits(rest.strip_prefix(br#","timestamp":"#)?)?;
        let (members, rest) = match rest.strip_prefix(SEQ) {
            Some(rest) => (&[][..], rest),
            None => {
                let behind = read_members(rest, |_, _| {})?;
                let members = &rest[..rest.len() - behind.len()];
                (members, behind.strip_prefix(SEQ)?)
            }
        };
        let (seq, rest) = digits(rest)?;
        let (sent, rest) = digits(rest.strip_prefix(br#","sent":"#)?)?;
        let tick = Self {
            symbol: std::str::from_utf8(symbol).ok()?,
            price,
            timestamp,
            members,
            seq,
            sent,
        };
        Some((tick, rest.strip_prefix(b"}")?))
    }

    /// Its fields besides the price.
    pub fn fields(&self) -> Fields {
        if self.members.is_empty() {
            return Fields::default();
        }
        let mut fields = Fields::default();
        read_members(self.members, |field, digits| {
            let value = str::from_utf8(digits).ok().map(Price::parse);
            if let Some(Ok(value)) = value {
                fields.set(field, value);
            }
        });
        fields
    }
}

const SEQ: &[u8] = br#","seq":"#;

/// Reads the members of fields at the start of `text`, in the order in which our server writes
/// them, and returns the rest.
fn read_members<'a>(
    mut text: &'a [u8],
    mut found: impl FnMut(Field, &'a [u8]),
) -> Option<&'a [u8]> {
    for field in Field::ALL {
        if let Some(value) = text.strip_prefix(member(field)) {
            let (digits, rest) = plain_number(value)?;
            found(field, digits);
            text = rest;
        }
    }
    Some(text)
}

/// The decimal number without an exponent at the start of `text`, and the rest.
fn plain_number(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = digits_length(&text[sign..]);
    let mut length = sign + whole;
    if text.get(length) == Some(&b'.') {
        length += 1 + digits_length(&text[length + 1..]);
    }
    let starts_right = whole == 1 || (whole > 1 && text[sign] != b'0');
    let ends_right = length > 0 && text[length - 1] != b'.';
    (starts_right && ends_right && length <= Price::LENGTH_MAX).then(|| text.split_at(length))
}

/// The number of digits at the start of `text`.
fn digits_length(text: &[u8]) -> usize {
    let other = text.iter().position(|byte| !byte.is_ascii_digit());
    other.unwrap_or(text.len())
}

/// The number at the start of `text`. The JSON reader rejects leading zeros.
fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut rest) = (0u64, text);
    // A number that is too long wraps around here and is rejected by its length.
    while let Some((eight, behind)) = rest.split_first_chunk()
        && let Some(value) = eight_digits(*eight)
    {
        number = number.wrapping_mul(100_000_000).wrapping_add(value);
        rest = behind;
    }
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        number = number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'));
        rest = behind;
    }
    let length = text.len() - rest.len();
    if length == 0 || length > 19 || (length > 1 && text[0] == b'0') {
        return None;
    }
    Some((number, rest))
}

/// The value of eight digits at once: stamps have 16, and a load client reads millions a second.
/// Each step adds neighbours: to four numbers of two digits, then to two of four, then to one.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let text = u64::from_le_bytes(digits);
    // For the bytes '0' to '9' the high half is three, even after adding six.
    let with_six = text.wrapping_add(0x0606_0606_0606_0606);
    if (text & HIGH) != ZEROS || (with_six & HIGH) != ZEROS {
        return None;
    }
    let ones = text & 0x0f0f_0f0f_0f0f_0f0f;
    let twos = (ones.wrapping_mul(10 * 0x100 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100 * 0x1_0000 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 * 0x1_0000_0000 + 1) >> 32)
}

/// The clock for `sent`: Unix µs, strictly increasing whatever the wall clock does.
#[derive(Debug)]
pub struct Stamps {
    last: u64,
    /// The wall clock, Unix µs.
    wall: fn() -> u64,
}

impl Default for Stamps {
    fn default() -> Self {
        Self::new(unix_us)
    }
}

impl Stamps {
    /// Stamps from a wall clock in Unix µs, which may jump.
    pub fn new(wall: fn() -> u64) -> Self {
        Self { last: 0, wall }
    }

    /// The time of the wall clock, Unix µs.
    pub fn wall_us(&self) -> u64 {
        (self.wall)()
    }

    /// Returns the stamp for the next tick to be published.
    pub fn stamp(&mut self) -> u64 {
        self.after(self.wall_us())
    }

    /// Notes a stamp from elsewhere: all later ones will be higher.
    pub fn note(&mut self, stamp: u64) {
        self.last = self.last.max(stamp);
    }

    /// The newest stamp returned or noted; zero before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    fn after(&mut self, now: u64) -> u64 {
        self.last = now.max(self.last + 1);
        self.last
    }
}

/// The wall clock in Unix µs; zero before 1970.
pub fn unix_us() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn tick(symbol: &str, price: &str, timestamp: u64, fields: &[(Field, String)]) -> Tick {
        let fields = fields.iter();
        let fields = fields.map(|(field, value)| (*field, Price::parse(value).unwrap()));
        Tick {
            symbol: symbol.to_owned(),
            price: Price::parse(price).unwrap(),
            timestamp,
            fields: fields.collect(),
        }
    }

    fn json(tick: &Tick, seq: u64, sent: u64) -> String {
        let mut out = Vec::new();
        let symbol_json = serde_json::to_string(&tick.symbol).unwrap();
        write_json(&mut out, &symbol_json, tick, seq, sent);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_tick_is_written_as_documented() {
        let plain = tick("BTC/USDT", "97123.45", 1_732_270_000_123, &[]);
        let text = json(&plain, 42, 1_732_270_000_123_456);
        assert_eq!(text.len(), 97);
        assert_eq!(
            text,
            r#"{"symbol":"BTC/USDT","price":97123.45,"timestamp":1732270000123,"seq":42,"sent":1732270000123456}"#
        );
    }

    #[test]
    fn fields_are_written_between_timestamp_and_seq_in_their_order() {
        let values = Field::ALL.map(|field| (field, format!("{}.50", field as usize)));
        let rich = tick("A/B", "1", 7, &values);
        let text = json(&rich, 2, 3);
        assert_eq!(
            text,
            r#"{"symbol":"A/B","price":1,"timestamp":7,"bid":0.50,"ask":1.50,"volume":2.50,"quote_volume":3.50,"change":4.50,"high":5.50,"low":6.50,"open":7.50,"seq":2,"sent":3}"#
        );
        let some = tick("A/B", "1", 7, &[(Field::Change, "-0.010".to_owned())]);
        assert_eq!(
            json(&some, 2, 3),
            r#"{"symbol":"A/B","price":1,"timestamp":7,"change":-0.010,"seq":2,"sent":3}"#
        );
    }

    #[test]
    fn a_field_that_is_no_number_counts_as_missing() {
        let text = br#"{"symbol":"A","price":1,"timestamp":1,"bid":"2.0","ask":null,"high":[3],"low":"","open":true,"change":1e2}"#;
        let read = WireTick::parse(text).unwrap().to_tick().unwrap();
        let expected = [
            (Field::Bid, "2.0".to_owned()),
            (Field::Change, "100".to_owned()),
        ];
        assert_eq!(read, tick("A", "1", 1, &expected));
    }

    #[test]
    fn fields_in_another_order_are_read_too() {
        let text = br#"{"symbol":"A","price":1,"timestamp":1,"ask":3,"bid":2,"seq":1,"sent":1}"#;
        assert_eq!(WireTick::parse_printed(text), None);
        let fields = WireTick::parse(text).unwrap().fields;
        let texts = fields.iter().map(|(field, value)| (field, value.as_str()));
        assert!(texts.eq([(Field::Bid, "2"), (Field::Ask, "3")]));
    }

    #[test]
    fn numbers_of_any_length_are_written_and_read() {
        for number in [0, 9, 10, 99, 100, 1_234_567_890, u64::MAX - 1, u64::MAX] {
            let tick = tick("A/B", "1", number, &[]);
            let expected = format!(
                r#"{{"symbol":"A/B","price":1,"timestamp":{number},"seq":{number},"sent":{number}}}"#
            );
            assert_eq!(json(&tick, number, number), expected);
        }
    }

    #[test]
    fn other_layouts_are_read_too() {
        let text = br#" {"sent":"soon", "price":"1.50", "symbol":"a\"b", "seq":7, "x":[{}]} "#;
        let tick = WireTick::parse(text).unwrap();
        assert_eq!(tick.symbol.as_deref(), Some("a\"b"));
        assert_eq!(tick.price, Some("1.50"));
        assert_eq!((tick.seq, tick.sent, tick.timestamp), (Some(7), None, None));
        assert!(WireTick::parse(b"[1]").is_err());
        assert!(WireTick::parse(br#"["A",1,2,3,4]"#).is_err());
        assert!(
            WireTick::parse(br#"{"symbol":"A","price":1,"timestamp":01,"seq":1,"sent":1}"#)
                .is_err()
        );
    }

    #[test]
    fn the_first_of_several_ticks_is_read() {
        let text = br#"{"symbol":"A","price":-0.5,"timestamp":1,"seq":2,"sent":3},{"x":1}"#;
        let (tick, rest) = PrintedTick::parse_first(text).unwrap();
        assert_eq!((tick.symbol, tick.price), ("A", &b"-0.5"[..]));
        assert_eq!((tick.timestamp, tick.seq, tick.sent), (1, 2, 3));
        assert_eq!(rest, br#",{"x":1}"#);
        assert_eq!(WireTick::parse_printed(text), None);
    }

    #[test]
    fn only_digits_are_read_eight_at_a_time() {
        assert_eq!(eight_digits(*b"12345678"), Some(12_345_678));
        assert_eq!(eight_digits(*b"00000000"), Some(0));
        assert_eq!(eight_digits(*b"99999999"), Some(99_999_999));
        for at in 0..8 {
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                let mut text = *b"12345678";
                text[at] = byte;
                assert_eq!(eight_digits(text), None, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn stamps_grow_whatever_the_clock_does() {
        let mut stamps = Stamps::default();
        assert_eq!(stamps.after(100), 100);
        assert_eq!(stamps.after(100), 101);
        assert_eq!(stamps.after(5), 102);
        assert_eq!(stamps.after(200), 200);
    }

    const DECIMAL: &str = "(0|[1-9][0-9]{0,29})(\\.[0-9]{1,30})?";

    const SIGNED: &str = "-?(0|[1-9][0-9]{0,29})(\\.[0-9]{1,30})?";

    /// Some of the fields, in their order.
    fn fields() -> impl Strategy<Value = Vec<(Field, String)>> {
        let decimals = proptest::array::uniform8(proptest::option::of(SIGNED));
        decimals.prop_map(|values| {
            let values = Field::ALL.into_iter().zip(values);
            values
                .filter_map(|(field, value)| Some((field, value?)))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn numbers_end_where_their_digits_do(text in "[0-9]{0,25}[^0-9]{0,9}") {
            let length = text.bytes().take_while(u8::is_ascii_digit).count();
            let fits = length <= 19 && (length == 1 || !text.starts_with('0'));
            let number = text[..length].parse().ok().filter(|_| fits);
            let read = digits(text.as_bytes());
            prop_assert_eq!(read, number.map(|number| (number, &text.as_bytes()[length..])));
        }

        #[test]
        fn only_normalised_prices_are_read_from_the_wire(text in "-?[0-9]{0,70}\\.?[0-9]{0,9}") {
            let whole = plain_number(text.as_bytes()).filter(|(_, rest)| rest.is_empty());
            let price = Price::parse(&text);
            let is_kept = price.is_ok_and(|price| price.as_str() == text);
            prop_assert_eq!(whole.is_some(), is_kept);
        }

        #[test]
        fn both_readers_agree_on_ticks_of_the_server(
            symbol in "\\PC{0,12}", price in DECIMAL, fields in fields(),
            timestamp in 0u64..1u64 << 62, seq in 0u64..1u64 << 62, sent in 0u64..1u64 << 62,
        ) {
            let exact = tick(&symbol, &price, timestamp, &fields);
            let text = json(&exact, seq, sent);
            let read = WireTick::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&read, &WireTick::parse_any(text.as_bytes()).unwrap());
            prop_assert_eq!(read.price, Some(&*price));
            prop_assert_eq!((read.seq, read.sent), (Some(seq), Some(sent)));
            prop_assert_eq!(read.to_tick(), Some(exact));
            // A name that needs escapes takes the slow way.
            let is_plain = !json(&tick(&symbol, "1", 1, &[]), 1, 1).contains('\\');
            prop_assert_eq!(WireTick::parse_printed(text.as_bytes()).is_some(), is_plain);
        }

        #[test]
        fn every_field_keeps_every_digit(fields in fields()) {
            let text = json(&tick("A/B", "1", 1, &fields), 1, 1);
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), 5 + fields.len());
            for (field, digits) in &fields {
                let member = format!(r#","{field}":{digits},"#);
                prop_assert!(text.contains(&member), "{} has no {}", text, member);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = WireTick::parse(&bytes);
        }
    }
}
