//! Prices: decimal numbers that keep the digits that were sent.

use std::fmt;

/// A decimal number as its source wrote it, digit for digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price(Box<str>);

/// A text that is not a decimal number, or one that takes more than 64 characters in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPrice;

impl Price {
    /// No exchange quotes more digits; an exponent must not become a megabyte of zeros.
    pub const LENGTH_MAX: usize = 64;

    /// Reads a decimal number as JSON or an exchange writes it, without the quotes.
    ///
    /// An exponent is expanded exactly; the digits stay as sent, trailing zeros included. What JSON
    /// does not accept is corrected: a leading `+`, superfluous leading zeros, a bare point.
    ///
    /// # Errors
    /// [`BadPrice`] when it is not a number or too long.
    pub fn parse(text: &str) -> Result<Self, BadPrice> {
        if is_plain(text) {
            return Ok(Self(text.into()));
        }
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().map_err(|_| BadPrice)?;
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        if !has_digits || !is_digits(whole) || !is_digits(fraction) || text.len() > Self::LENGTH_MAX
        {
            return Err(BadPrice);
        }
        Self::with_parts(sign, (whole, fraction), exponent)
    }

    /// The number times ten to the power of `by`: only the decimal point moves, so every digit stays.
    ///
    /// # Errors
    /// [`BadPrice`] when the result is too long.
    pub fn shifted(&self, by: i32) -> Result<Self, BadPrice> {
        let (sign, unsigned) = match self.0.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", &*self.0),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        Self::with_parts(sign, (whole, fraction), by)
    }

    /// The decimal number `whole.fraction` times ten to the power of `exponent`; both parts consist
    /// of digits.
    fn with_parts(
        sign: &str,
        (whole, fraction): (&str, &str),
        exponent: i32,
    ) -> Result<Self, BadPrice> {
        let point = i32::try_from(whole.len())
            .map_err(|_| BadPrice)?
            .saturating_add(exponent);
        if point.unsigned_abs() as usize > Price::LENGTH_MAX {
            return Err(BadPrice);
        }
        let (whole, fraction) = with_point(&[whole, fraction].concat(), point);
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            significant => significant,
        };
        let separator = if fraction.is_empty() { "" } else { "." };
        let price = [sign, whole, separator, &fraction].concat();
        if price.len() > Price::LENGTH_MAX {
            Err(BadPrice)
        } else {
            Ok(Self(price.into()))
        }
    }

    /// The number as JSON, without an exponent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number of a sensible length")
    }
}

impl std::error::Error for BadPrice {}

/// Whether it is a JSON number without an exponent, as nearly all are.
fn is_plain(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= Price::LENGTH_MAX
        && digits(whole)
        && digits(fraction)
        && (whole.len() == 1 || !whole.starts_with('0'))
}

/// Splits `digits` at the decimal point, which comes after the first `point` of them; fills in
/// zeros.
fn with_point(digits: &str, point: i32) -> (String, String) {
    let Ok(point) = usize::try_from(point) else {
        return (
            String::new(),
            "0".repeat(point.unsigned_abs() as usize) + digits,
        );
    };
    if point >= digits.len() {
        return (
            digits.to_owned() + &"0".repeat(point - digits.len()),
            String::new(),
        );
    }
    let (whole, fraction) = digits.split_at(point);
    (whole.to_owned(), fraction.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A number as its significant digits, the last of which counts ten to the power of `exponent`.
    #[derive(Debug, PartialEq)]
    struct BigDecimal {
        is_negative: bool,
        digits: Vec<u8>,
        exponent: i32,
    }

    impl BigDecimal {
        fn read(text: &str) -> Self {
            let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
            let mut exponent = -i32::try_from(fraction.len()).unwrap();
            let bytes = text.bytes().filter(u8::is_ascii_digit);
            let mut digits: Vec<_> = bytes.skip_while(|&digit| digit == b'0').collect();
            while digits.last() == Some(&b'0') {
                digits.pop();
                exponent += 1;
            }
            Self {
                is_negative: text.starts_with('-'),
                exponent: if digits.is_empty() { 0 } else { exponent },
                digits,
            }
        }

        fn times(mut self, power: i32) -> Self {
            if !self.digits.is_empty() {
                self.exponent += power;
            }
            self
        }
    }

    fn price(text: &str) -> String {
        Price::parse(text).map_or_else(|error| error.to_string(), |price| price.to_string())
    }

    #[test]
    fn a_price_keeps_its_digits() {
        for text in [
            "97123.45",
            "0",
            "0.00001000",
            "-3.50",
            "123456789012345678901234567890.5",
        ] {
            assert_eq!(price(text), text);
        }
    }

    #[test]
    fn an_exponent_is_expanded_exactly() {
        assert_eq!(price("1e3"), "1000");
        assert_eq!(price("1.2340E-5"), "0.000012340");
        assert_eq!(price("9.7e+1"), "97");
        assert_eq!(price("12.5e0"), "12.5");
        assert_eq!(price("0e5"), "0");
        assert_eq!(price("-1.5e1"), "-15");
    }

    #[test]
    fn a_shift_moves_the_point() {
        let shifted = |text: &str, by| Price::parse(text).unwrap().shifted(by);
        for (text, by, expected) in [
            ("0.0196", 2, "1.96"),
            ("-0.0250", 2, "-2.50"),
            ("12", -2, "0.12"),
            ("97123.450", -8, "0.00097123450"),
            ("1.5", 3, "1500"),
            ("0", 2, "0"),
            ("0.5", 0, "0.5"),
        ] {
            assert_eq!(shifted(text, by).unwrap().as_str(), expected, "{text} {by}");
        }
        for by in [65, -66, i32::MAX, i32::MIN] {
            assert_eq!(shifted("1", by), Err(BadPrice), "{by}");
        }
    }

    #[test]
    fn numbers_that_json_would_refuse_are_corrected() {
        assert_eq!(price("+5"), "5");
        assert_eq!(price("007.50"), "7.50");
        assert_eq!(price(".5"), "0.5");
        assert_eq!(price("5."), "5");
    }

    #[test]
    fn anything_but_a_number_is_refused() {
        let long = "9".repeat(65);
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "0x10",
            "NaN",
            "1e",
            "1e99",
            "1e-99",
            "1e2147483648",
            "1 ",
            "--1",
            "1e1e1",
            "١",
            &long,
        ] {
            assert_eq!(Price::parse(text), Err(BadPrice), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_survives_byte_for_byte(text in "(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?") {
            prop_assert_eq!(price(&text), text);
        }

        #[test]
        fn an_exponent_only_moves_the_point(digits in "[1-9][0-9]{0,9}", exponent in 0i32..20) {
            let shifted = price(&format!("{digits}e-{exponent}"));
            prop_assert_eq!(price(&format!("{shifted}e{exponent}")), digits);
        }

        #[test]
        fn a_shift_is_a_multiplication_by_a_power_of_ten(
            digits in "-?[0-9]{1,20}(\\.[0-9]{1,20})?", by in -20i32..20,
        ) {
            let price = Price::parse(&digits).unwrap();
            let shifted = price.shifted(by).unwrap();
            prop_assert_eq!(BigDecimal::read(shifted.as_str()), BigDecimal::read(&digits).times(by));
            prop_assert_eq!(shifted.shifted(-by).map(|back| BigDecimal::read(back.as_str())),
                Ok(BigDecimal::read(&digits)));
            prop_assert_eq!(Price::parse(shifted.as_str()), Ok(shifted), "it is a plain number");
        }

        #[test]
        fn no_shift_panics(digits in "-?[0-9]{1,30}(\\.[0-9]{1,30})?", by in any::<i32>()) {
            if let Ok(shifted) = Price::parse(&digits).unwrap().shifted(by) {
                prop_assert!(shifted.as_str().len() <= Price::LENGTH_MAX);
            }
        }

        #[test]
        fn no_text_makes_the_price_panic(text in "\\PC{0,80}") {
            if let Ok(price) = Price::parse(&text) {
                let read_again = Price::parse(price.as_str());
                prop_assert_eq!(read_again.as_ref(), Ok(&price));
                prop_assert!(serde_json::from_str::<serde_json::Number>(price.as_str()).is_ok());
            }
        }
    }
}
