//! The query of a URL: `symbols=A,B`, `since=STAMP`, `every=TIME`, `batch`, `format=ndjson`.

use crate::server::http::data::Format;
use crate::server::protocol::{Delivery, parse_every};
use crate::server::rejection::Rejection;
use crate::typo::is_typo;

/// The parameters that were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// The names and patterns of symbols; `None` for all.
    pub(crate) symbols: Option<Vec<String>>,
    /// The last stamp that the client saw, Unix µs.
    pub(crate) since: Option<u64>,
    /// How the client wants its messages.
    pub(crate) delivery: Delivery,
    pub(crate) format: Option<Format>,
    /// The most ticks in an answer.
    pub(crate) limit: Option<usize>,
}

/// A parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Symbols,
    Since,
    Every,
    Batch,
    Format,
    Limit,
    Token,
}

impl Name {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Symbols, "symbols"),
        (Self::Since, "since"),
        (Self::Every, "every"),
        (Self::Batch, "batch"),
        (Self::Format, "format"),
        (Self::Limit, "limit"),
        (Self::Token, "token"),
    ];
}

/// What the query of a handshake may have.
pub(crate) const WISHES: [Name; 4] = [Name::Symbols, Name::Since, Name::Every, Name::Batch];

impl Query {
    /// Reads a query that may have the parameters `allowed`, and a token, which was checked before.
    ///
    /// # Errors
    /// The answer to a request with an invalid parameter, or one that looks like one of ours.
    pub(crate) fn read(query: &str, allowed: &[Name]) -> Result<Self, Rejection> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known = Name::ALL.iter().find(|(_, known)| *known == name);
            match known {
                Some((Name::Token, _)) => {}
                Some(&(known, _)) if allowed.contains(&known) => read.set(known, &value)?,
                Some((_, name)) => {
                    let error = format!("invalid parameter '{name}': it has no meaning here");
                    return Err(Rejection::bad_request(error));
                }
                None => check_unknown(&name)?,
            }
        }
        read.symbols = read.symbols.filter(|list| !list.is_empty());
        Ok(read)
    }

    fn set(&mut self, name: Name, value: &str) -> Result<(), Rejection> {
        match name {
            Name::Symbols => {
                let entries = value.split(',').filter(|entry| !entry.is_empty());
                let list = self.symbols.get_or_insert_default();
                list.extend(entries.map(String::from));
            }
            Name::Since => self.since = Some(stamp(value)?),
            Name::Every => {
                self.delivery.every = Some(parse_every(value).map_err(Rejection::bad_request)?);
            }
            Name::Batch => self.delivery.batches = flag(value)?,
            Name::Format => self.format = Some(format(value)?),
            Name::Limit => self.limit = Some(limit(value)?),
            Name::Token => {}
        }
        Ok(())
    }
}

fn stamp(value: &str) -> Result<u64, Rejection> {
    value.parse().map_err(|_| {
        Rejection::bad_request("invalid since: expected the stamp of a tick, its 'sent' in Unix µs")
    })
}

fn flag(value: &str) -> Result<bool, Rejection> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Rejection::bad_request(
            "invalid batch: expected true or false, or no value",
        )),
    }
}

fn limit(value: &str) -> Result<usize, Rejection> {
    let limit = value.parse().ok();
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        let error = format!("invalid limit: expected a number from 1 to {LIMIT_MAX}");
        Rejection::bad_request(error)
    })
}

/// The most ticks that one answer may have: about a megabyte.
const LIMIT_MAX: usize = 10_000;

fn format(value: &str) -> Result<Format, Rejection> {
    match value {
        "json" => Ok(Format::Json),
        "ndjson" => Ok(Format::Ndjson),
        _ => Err(Rejection::bad_request(
            "invalid format: expected json or ndjson",
        )),
    }
}

/// Refuses an unknown name that looks like one of ours: without `symbols`, a client would get
/// everything. Others are for somebody else, such as `_=1` against caches, and ignored.
fn check_unknown(name: &str) -> Result<(), Rejection> {
    let word = name.trim_end_matches("[]");
    let mut names = Name::ALL.iter().map(|(_, known)| *known);
    match names.find(|known| *known == word || is_typo(word, known)) {
        None => Ok(()),
        Some(known) => {
            let name = name.escape_debug();
            let error = format!("unknown parameter '{name}', did you mean {known}?");
            Err(Rejection::bad_request(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_parameter_is_answered_with_the_right_one() {
        for (query, expected) in [
            (
                "symbol=A/B",
                "unknown parameter 'symbol', did you mean symbols?",
            ),
            (
                "symbols[]=A",
                "unknown parameter 'symbols[]', did you mean symbols?",
            ),
            (
                "_=1&Since=7",
                "unknown parameter 'Since', did you mean since?",
            ),
            ("evrey=1s", "unknown parameter 'evrey', did you mean every?"),
            ("tokn=x", "unknown parameter 'tokn', did you mean token?"),
            (
                "batc%00",
                "unknown parameter 'batc\\0', did you mean batch?",
            ),
        ] {
            let error = Query::read(query, &[]).map(|_| ()).unwrap_err();
            assert_eq!(error.message, expected);
        }
    }

    #[test]
    fn parameters_for_others_are_ignored() {
        for query in [
            "_=1",
            "t=1732270000",
            "v=2",
            "token=x",
            "utm_source=a",
            "nonce=b",
            "",
            "&&=",
        ] {
            assert!(Query::read(query, &[]).is_ok(), "{query}");
        }
    }

    #[test]
    fn every_parameter_is_checked() {
        for (name, text) in Name::ALL {
            let query = Query::read(&format!("{text}=%00"), &[name]);
            let is_free = matches!(name, Name::Symbols | Name::Token);
            assert!(query.is_err() || is_free, "{text} is not read");
        }
    }

    #[test]
    fn a_parameter_that_has_no_meaning_is_refused() {
        let error = Query::read("since=1", &[Name::Symbols]).unwrap_err();
        assert_eq!(
            error.message,
            "invalid parameter 'since': it has no meaning here"
        );
    }
}
