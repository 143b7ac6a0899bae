//! Finds values in a protobuf message without its schema: a pointer consists of field numbers.
//!
//! ```text
//! /3              field 3: the last of several, as protobuf prescribes
//! /314/1/0/4      field 4 of the first of the messages in field 1 of field 314
//! /314/1/-1/4     the same of the last
//! ```
//!
//! No field has the number 0, so `0` can only mean the first. Varints are read as `int64`, and bytes
//! as text if they are UTF-8. Reading allocates nothing but the list of a repeated field; what is
//! cut off, has groups or fixed-length fields in odd places ends the search, never the program.

use std::borrow::Cow;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// A string, bytes or a message: only the schema knows which.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Its text, if it has one.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            // The type of negative numbers, `int64`, is sent as two's complement.
            Self::Varint(number) => Some(Cow::Owned(number.cast_signed().to_string())),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        }
    }
}

/// The value that `tokens` of a pointer lead to.
pub(super) fn find<'a>(message: &'a [u8], tokens: &[String]) -> Option<Value<'a>> {
    let mut found = Value::Bytes(message);
    let mut tokens = tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        let Value::Bytes(message) = found else {
            return None;
        };
        let number = field_number(token)?;
        let index = tokens.next_if(|token| *token == "0" || *token == "-1");
        let mut values = fields(message).filter(|(field, _)| *field == number);
        let value = match index.map(String::as_str) {
            Some("0") => values.next(),
            _ => values.last(),
        };
        found = value?.1;
    }
    Some(found)
}

/// The messages of the repeated field that `tokens` lead to; the message itself if there is no
/// token. `None` if the way there is missing.
pub(super) fn repeated<'a>(message: &'a [u8], tokens: &[String]) -> Option<Vec<&'a [u8]>> {
    let Some((last, path)) = tokens.split_last() else {
        return Some(vec![message]);
    };
    let Value::Bytes(parent) = find(message, path)? else {
        return None;
    };
    let number = field_number(last)?;
    let entries = fields(parent).filter_map(|(field, value)| match value {
        Value::Bytes(bytes) if field == number => Some(bytes),
        Value::Bytes(_) | Value::Varint(_) => None,
    });
    Some(entries.collect())
}

fn field_number(token: &str) -> Option<u64> {
    token.parse().ok().filter(|&number| number > 0)
}

/// The fields of a message in the order sent, up to the first that is invalid.
fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.varint()?;
            let number = key >> 3;
            match key & 7 {
                VARINT => return Some((number, Value::Varint(self.varint()?))),
                BYTES => {
                    let length = usize::try_from(self.varint()?).ok()?;
                    return Some((number, Value::Bytes(self.take(length)?)));
                }
                FIXED_64 => drop(self.take(8)?),
                FIXED_32 => drop(self.take(4)?),
                _ => return None,
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number in groups of seven bits, the lowest first, each with a bit that says whether
    /// another follows.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for group in 0..VARINT_LENGTH_MAX {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * group);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

/// Wire types. Numbers of fixed length are skipped: no exchange sends a price as a float.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// Ten groups of seven bits hold 64.
const VARINT_LENGTH_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Pointer;
    use proptest::prelude::*;

    fn varint(mut number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while number >= 0x80 {
            out.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
        out
    }

    fn number(field: u64, number: u64) -> Vec<u8> {
        [varint(field << 3), varint(number)].concat()
    }

    fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
        let length = varint(bytes.len() as u64);
        [&varint(field << 3 | 2), &length, bytes].concat()
    }

    /// Two deals, as MEXC sends them.
    fn deals() -> Vec<u8> {
        let deal = |price: &[u8], time| [bytes(1, price), number(4, time)].concat();
        let body = [
            bytes(1, &deal(b"97123.450", 1_732_270_000_123)),
            bytes(1, &deal(b"97123.50", u64::MAX)),
            bytes(2, b"spot"),
        ]
        .concat();
        [
            bytes(1, b"channel"),
            [vec![0x21], vec![9; 8]].concat(),
            bytes(3, b"BTCUSDT"),
            [vec![0x2d], vec![9; 4]].concat(),
            number(6, 1_732_270_000_500),
            bytes(314, &body),
        ]
        .concat()
    }

    fn text(message: &[u8], pointer: &str) -> Option<String> {
        let pointer = Pointer::parse(pointer).unwrap();
        find(message, pointer.tokens())?.text().map(Cow::into_owned)
    }

    #[test]
    fn field_numbers_lead_to_values() {
        let message = deals();
        for (pointer, expected) in [
            ("/3", "BTCUSDT"),
            ("/6", "1732270000500"),
            ("/314/1/0/1", "97123.450"),
            ("/314/1/0/4", "1732270000123"),
            ("/314/1/-1/1", "97123.50"),
            ("/314/1/1", "97123.50"),
            ("/314/1/4", "-1"),
            ("/314/2", "spot"),
        ] {
            assert_eq!(
                text(&message, pointer).as_deref(),
                Some(expected),
                "{pointer}"
            );
        }
        for missing in ["/2", "/0", "/x", "/6/1", "/314/3/1", "/5", "/314/1/0/9"] {
            assert_eq!(text(&message, missing), None, "{missing}");
        }
    }

    #[test]
    fn a_repeated_field_is_a_list() {
        let message = deals();
        let entries = |pointer: &str| {
            let pointer = Pointer::parse(pointer).unwrap();
            repeated(&message, pointer.tokens()).map(|entries| entries.len())
        };
        assert_eq!(entries("/314/1"), Some(2));
        assert_eq!(entries(""), Some(1));
        assert_eq!(entries("/314/7"), Some(0));
        assert_eq!(entries("/315/1"), None);
        assert_eq!(entries("/6/1"), None);
    }

    #[test]
    fn what_is_cut_off_ends_the_search() {
        let message = deals();
        for length in 0..message.len() {
            assert_eq!(text(&message[..length], "/314/1/0/1"), None, "{length}");
        }
        let group = [vec![0x0b], deals()].concat();
        assert_eq!(text(&group, "/3"), None, "groups are not read");
        let endless = [0xff; 20];
        assert_eq!(text(&endless, "/1"), None);
        let huge = [bytes(3, b"kept"), vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        assert_eq!(text(&huge, "/3").as_deref(), Some("kept"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            message in proptest::collection::vec(any::<u8>(), 0..200),
            tokens in proptest::collection::vec("0|-1|[0-9]{1,20}|x", 0..6),
        ) {
            if let Some(Value::Bytes(found)) = find(&message, &tokens) {
                prop_assert!(found.len() <= message.len());
            }
            let length: usize = repeated(&message, &tokens).unwrap_or_default().iter()
                .map(|entry| entry.len()).sum();
            prop_assert!(length <= message.len());
        }

        #[test]
        fn digits_come_through_as_they_were_sent(price in "[0-9]{1,20}(\\.[0-9]{1,20})?", time: i64) {
            let deal = [bytes(1, price.as_bytes()), number(4, time.cast_unsigned())].concat();
            let message = bytes(314, &bytes(1, &deal));
            prop_assert_eq!(text(&message, "/314/1/0/1"), Some(price));
            prop_assert_eq!(text(&message, "/314/1/0/4"), Some(time.to_string()));
        }
    }
}
