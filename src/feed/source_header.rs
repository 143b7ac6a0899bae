//! Headers that requests to a URL state (`--source-header`), such as a key.
//!
//! Values are never shown, not in the log, errors or `Debug`. From a file, they are not in the list
//! of processes either.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use exchanges::Exchange;
use ureq::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::url_source::UrlSource;
use crate::error_text::plain;

/// The value of one option: a header, or a file of them.
#[derive(Clone, PartialEq, Eq)]
pub enum SourceHeader {
    /// `[SYMBOL=]NAME: VALUE`
    Text(String),
    /// `@FILE`, with one such text a line.
    File(PathBuf),
}

/// A header and the URL that it is for.
struct Header {
    /// The symbol of the URL; `None` if it is for all of them, which must have one host then.
    symbol: Option<String>,
    name: HeaderName,
    value: HeaderValue,
}

impl SourceHeader {
    /// Reads the value of the option.
    ///
    /// # Errors
    /// A sentence that shows what was expected, without the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some("") => Err("missing file name behind @".to_owned()),
            Some(path) => Ok(Self::File(path.into())),
            None => Header::parse(text).map(|_| Self::Text(text.to_owned())),
        }
    }
}

/// The headers of each of `urls`, in their order. Reads the files.
pub(super) fn of_urls(
    options: &[SourceHeader],
    urls: &[&UrlSource],
) -> Result<Vec<HeaderMap>, String> {
    let mut maps = vec![HeaderMap::new(); urls.len()];
    for header in all(options)? {
        let wanted = |url: &UrlSource| match &header.symbol {
            None => true,
            Some(symbol) => url
                .symbol
                .as_ref()
                .is_some_and(|own| own.as_str() == symbol),
        };
        let mut hosts = urls.iter().filter(|url| wanted(url)).map(|url| url.host());
        let name = &header.name;
        let Some(host) = hosts.next() else {
            let symbol = header.symbol.unwrap_or_default();
            return Err(format!(
                "the header {name} is for {symbol}, but no --source is named so"
            ));
        };
        if let Some(other) = hosts.find(|other| *other != host) {
            return Err(format!(
                "the header {name} would go to {host} and {other}: say which source it is for, as \
                 in 'XAU/USD={name}: …'"
            ));
        }
        for (map, _) in maps.iter_mut().zip(urls).filter(|(_, url)| wanted(url)) {
            map.append(name, header.value.clone());
        }
    }
    Ok(maps)
}

/// The headers that an exchange needs. Its entry has been checked.
pub(super) fn of_exchange(exchange: &Exchange) -> HeaderMap {
    let headers = exchange.headers().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    headers.collect()
}

fn all(options: &[SourceHeader]) -> Result<Vec<Header>, String> {
    let mut headers = Vec::new();
    for option in options {
        match option {
            SourceHeader::Text(text) => headers.push(Header::parse(text)?),
            SourceHeader::File(path) => headers.extend(of_file(path)?),
        }
    }
    Ok(headers)
}

fn of_file(path: &Path) -> Result<Vec<Header>, String> {
    let name = path.display();
    let cannot = |reason: &dyn fmt::Display| format!("cannot use the headers in {name}: {reason}");
    let text = fs::read_to_string(path).map_err(|error| cannot(&plain(&error)))?;
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let header = Header::parse(line);
        headers.push(header.map_err(|error| cannot(&format_args!("line {number}: {error}")))?);
    }
    if headers.is_empty() {
        return Err(cannot(&"it has none; expected NAME: VALUE, one a line"));
    }
    let metadata = path.metadata().map_err(|error| cannot(&plain(&error)))?;
    if metadata.mode() & READABLE_BY_OTHERS != 0 {
        log::warn!("any user of this machine can read the headers in {name} (try chmod o-r)");
    }
    Ok(headers)
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        // A symbol in front has a slash, which no name of a header has.
        let scoped = text
            .split_once('=')
            .filter(|(symbol, _)| symbol.contains('/') && !symbol.contains([':', ' ']));
        let (symbol, text) = match scoped {
            Some((symbol, rest)) => (Some(symbol.to_owned()), rest),
            None => (None, text),
        };
        let (name, value) = text.split_once(':').ok_or(EXPECTED)?;
        let name: HeaderName = name.trim().parse().map_err(|_| EXPECTED)?;
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| format!("invalid value of the header {name}: expected printable ASCII"))?;
        value.set_sensitive(true);
        Ok(Self {
            symbol,
            name,
            value,
        })
    }
}

/// Names what it is about, and never the value.
impl fmt::Debug for SourceHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => {
                let name = text.split(':').next().unwrap_or_default();
                write!(f, "SourceHeader({name})")
            }
            Self::File(path) => write!(f, "SourceHeader(@{})", path.display()),
        }
    }
}

const EXPECTED: &str =
    "invalid header: expected NAME: VALUE, such as 'User-Agent: Mozilla/5.0', or @FILE";

/// The permission of everybody to read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::temp_file;

    fn urls(list: &[&str]) -> Vec<UrlSource> {
        let url = |text: &&str| UrlSource::parse(text).expect("a URL").unwrap();
        list.iter().map(url).collect()
    }

    /// The headers of each URL, as `name: value`.
    fn headers(options: &[&str], list: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let options = options.iter().map(|text| SourceHeader::parse(text));
        let options = options.collect::<Result<Vec<_>, _>>()?;
        let urls = urls(list);
        let maps = of_urls(&options, &urls.iter().collect::<Vec<_>>())?;
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        Ok(maps
            .iter()
            .map(|map| map.iter().map(line).collect())
            .collect())
    }

    #[test]
    fn a_header_is_for_one_host() {
        let one = ["http://a/"];
        let both = ["A/B=http://a/", "C/D=http://b/"];
        let same = ["A/B=http://a/x", "C/D=http://a/y"];
        let agent = "User-Agent: Mozilla/5.0 (x=y)";
        let seen = "user-agent: Mozilla/5.0 (x=y)";
        assert_eq!(headers(&[agent], &one), Ok(vec![vec![seen.to_owned()]]));
        assert_eq!(headers(&[agent], &same), Ok(vec![vec![seen.to_owned()]; 2]));
        let key = "C/D=Authorization: Basic c2VjcmV0Cg==";
        let seen = "authorization: Basic c2VjcmV0Cg==";
        assert_eq!(
            headers(&[key], &both),
            Ok(vec![vec![], vec![seen.to_owned()]])
        );
        assert_eq!(
            headers(&[agent], &both).unwrap_err(),
            "the header user-agent would go to a and b: say which source it is for, as in \
             'XAU/USD=user-agent: …'"
        );
        assert_eq!(
            headers(&["E/F=X-Key: secret"], &both).unwrap_err(),
            "the header x-key is for E/F, but no --source is named so"
        );
    }

    #[test]
    fn headers_of_a_file_stand_one_a_line() {
        let file = temp_file("# mine\n\nX-Key: a b \nC/D=X-Key: c\n");
        let option = format!("@{}", file.path().display());
        let found = headers(&[&option], &["A/B=http://a/x", "C/D=http://a/y"]).unwrap();
        assert_eq!(found, [vec!["x-key: a b"], vec!["x-key: a b", "x-key: c"]]);
    }

    #[test]
    fn errors_do_not_quote_values() {
        let file = temp_file("X-Key: a\nsecret\n");
        let (in_file, empty) = (format!("@{}", file.path().display()), temp_file("\n"));
        let empty = format!("@{}", empty.path().display());
        for (option, expected) in [
            ("secret", "invalid header: expected NAME: VALUE"),
            ("X Key: secret", "invalid header: expected NAME: VALUE"),
            (
                "X-Key: secret\u{7}",
                "invalid value of the header x-key: expected printable",
            ),
            ("@", "missing file name"),
            (
                "@/no/such",
                "cannot use the headers in /no/such: no such file",
            ),
            (&in_file, "line 2: invalid header: expected NAME: VALUE"),
            (&empty, "it has none; expected NAME: VALUE, one a line"),
        ] {
            let error = headers(&[option], &["http://a/"]).unwrap_err();
            assert!(error.contains(expected), "{option}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", SourceHeader::parse("X-Key: secret"));
        assert_eq!(shown, "Ok(SourceHeader(X-Key))");
    }
}
