//! A price on the web, as `--source` names it: `[NAME=]URL[#PLACES]`.
//!
//! What stands behind the `#` is for us and is never sent: `#/data/price` says where the price is,
//! as RFC 6901 writes a JSON pointer behind a URL, and `#/data/price&time=/data/at` where its time
//! is, too; `#column:Close&row=first` is for a table. What it leaves out is as the options `--price`,
//! `--time` and so on say.

use exchanges::{BadSymbol, Place, Row, Scale, Symbol};
use percent_encoding::percent_decode_str;

use super::symbol_name::check_market;

/// A URL with one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlSource {
    /// The symbol that the price is published under; `None` for the one of `--symbols`.
    pub symbol: Option<Symbol>,
    /// The URL, without the places.
    pub url: String,
    /// Where its answer has the price and other things.
    pub places: Places,
}

/// Where the answer of a URL has its price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The price.
    pub price: Option<Place>,
    /// The time of the price.
    pub time: Option<Place>,
    /// The power of ten that the price is multiplied by.
    pub scale: Option<Scale>,
    /// The row of a table.
    pub row: Option<Row>,
}

impl UrlSource {
    /// Reads a URL; `None` if `text` is not one.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        let is_url = |text: &str| text.starts_with("https://") || text.starts_with("http://");
        if is_url(text) {
            return Some(Self::read(None, text));
        }
        let (name, url) = text.split_once('=').filter(|(_, url)| is_url(url))?;
        let symbol = symbol(name);
        let symbol = symbol.map_err(|error| format!("{error}, in front of the = of a URL"));
        Some(symbol.and_then(|symbol| Self::read(Some(symbol), url)))
    }

    fn read(symbol: Option<Symbol>, text: &str) -> Result<Self, String> {
        let (url, places) = text.split_once('#').unwrap_or((text, ""));
        let host = url.split('/').nth(2).unwrap_or_default();
        if host.contains('@') {
            return Err(CREDENTIALS.to_owned());
        }
        let places =
            Places::parse(places).map_err(|error| format!("{error}, behind the # of {host}"))?;
        Ok(Self {
            symbol,
            url: url.to_owned(),
            places,
        })
    }

    /// The host, with its port.
    pub(super) fn host(&self) -> &str {
        self.url.split('/').nth(2).unwrap_or_default()
    }
}

/// A symbol that is named as `--symbols` may name it.
fn symbol(name: &str) -> Result<Symbol, String> {
    check_market(name)?;
    name.parse().map_err(|error: BadSymbol| error.to_string())
}

impl Places {
    /// Reads `/data/price&time=/data/at`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut places = Self::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let is_price = part.starts_with(['/', '%']) || part.starts_with("column:");
            let (name, value) = match part.split_once('=') {
                Some(named) if !is_price => named,
                _ => ("price", part),
            };
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| format!("invalid place '{part}': expected UTF-8"))?;
            let is_new = match name {
                "price" => places.price.replace(Place::parse(&value)?).is_none(),
                "time" => places.time.replace(Place::parse(&value)?).is_none(),
                "scale" => places.scale.replace(Scale::parse(&value)?).is_none(),
                "row" => places.row.replace(row(&value)?).is_none(),
                _ => return Err(format!("invalid place '{part}': {EXPECTED}")),
            };
            if !is_new {
                return Err(format!("the {name} is given twice"));
            }
        }
        Ok(places)
    }

    /// The same, with what is missing taken from `others`.
    pub(super) fn or(&self, others: &Self) -> Self {
        Self {
            price: self.price.clone().or_else(|| others.price.clone()),
            time: self.time.clone().or_else(|| others.time.clone()),
            scale: self.scale.clone().or_else(|| others.scale.clone()),
            row: self.row.or(others.row),
        }
    }
}

/// Reads `first` or `last`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn row(text: &str) -> Result<Row, String> {
    match text {
        "first" => Ok(Row::First),
        "last" => Ok(Row::Last),
        _ => Err(format!("invalid row '{text}': expected first or last")),
    }
}

const EXPECTED: &str = "expected something like /data/price or time=/data/at";

/// A name and password in the URL would be shown by `ps` and in the log.
const CREDENTIALS: &str = "invalid URL: it has a name or password in front of the host; send them \
                           as a header, from a file: --source-header @FILE";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UrlSource, String> {
        UrlSource::parse(text).expect("a URL")
    }

    fn pointer(text: &str) -> Option<Place> {
        Some(Place::parse(text).unwrap())
    }

    #[test]
    fn a_url_may_have_a_name_in_front_and_places_behind() {
        let source = parse("https://example.com/a,b?c=d").unwrap();
        assert_eq!(source.symbol, None);
        assert_eq!(source.url, "https://example.com/a,b?c=d");
        assert_eq!(source.places, Places::default());
        let source = parse("XAU/USD=https://example.com/p?x=y#/a~1b/0&time=/at").unwrap();
        assert_eq!(source.symbol, Some("XAU/USD".parse().unwrap()));
        assert_eq!(source.url, "https://example.com/p?x=y");
        assert_eq!(source.host(), "example.com");
        assert_eq!(source.places.price, pointer("/a~1b/0"));
        assert_eq!(source.places.time, pointer("/at"));
    }

    #[test]
    fn places_are_written_as_in_a_url() {
        let places = parse("http://a/#time=/at&price=/05.%20price%26")
            .unwrap()
            .places;
        assert_eq!(places.price, pointer("/05. price&"));
        assert_eq!(places.time, pointer("/at"));
        let places = parse("http://a/#column:a%20b=c&row=first").unwrap().places;
        assert_eq!(places.price, pointer("column:a b=c"));
        assert_eq!(places.row, Some(Row::First));
        let places = parse("http://a/#/b=c").unwrap().places;
        assert_eq!(places.price, pointer("/b=c"));
    }

    #[test]
    fn errors_name_the_place() {
        let long = format!("{}/{}=http://a/", "A".repeat(32), "B".repeat(32));
        for (text, expected) in [
            (
                "gold=http://a/",
                "invalid symbol 'gold': expected BASE/QUOTE, such as BTC/USDT, in front of the =",
            ),
            (
                "A\u{202e}B/USD=http://a/",
                "invalid symbol 'A\u{fffd}B/USD'",
            ),
            ("A,B/USD=http://a/", "invalid symbol 'A,B/USD'"),
            ("*/USD=http://a/", "invalid symbol '*/USD'"),
            (&long, "expected at most 53 bytes, in front of the ="),
            ("http://a/#price", "invalid JSON pointer 'price'"),
            (
                "http://a/#cost=/p",
                "invalid place 'cost=/p': expected something like",
            ),
            (
                "http://a/#/p&price=/q",
                "the price is given twice, behind the # of a",
            ),
            ("http://me:secret@a/", "as a header, from a file"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        for text in ["sim", "binance", "a=b", "ftp://a"] {
            assert!(UrlSource::parse(text).is_none(), "{text}");
        }
    }
}
