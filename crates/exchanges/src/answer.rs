//! From the body of an answer to quotes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::condition::{Condition, Facts};
use super::entry::{Entry, Shape};
use super::json::{Node, Pointer, excerpt};
use super::quote::{Quote, QuoteError, read_quote};
use super::template::Market;

/// Reads the answer to a request for `markets`: a quote or an error for each of them, in their
/// order. `pause` is called now and then between two pieces of work.
///
/// `asks_one` says that the request itself was for one market and nothing else.
pub(super) fn read_answer(
    entry: &Entry,
    (shape, asks_one): (&Shape, bool),
    markets: &[Market],
    (status, body): (u16, &[u8]),
    now_ms: u64,
    pause: &mut dyn FnMut(),
) -> Result<Vec<Result<Quote, QuoteError>>, QuoteError> {
    let text = text_of(body);
    let root = Pointer::default();
    let list = shape.container().unwrap_or(&root);
    let json = match &text {
        Ok(text) => {
            Node::parse_along(text, list, pause).map_err(|_| QuoteError::Garbage(not_json(text)))
        }
        Err(error) => Err(error.clone()),
    };
    pause();
    let facts = Facts {
        status: Some(status),
        text: text.unwrap_or_default(),
        json: json.as_ref().ok(),
    };
    if let Some(refusal) = refusal(entry, status, &facts) {
        return Err(refusal);
    }
    let answer = &json?;
    let mut quotes = vec![Err(QuoteError::UnknownSymbol); markets.len()];
    let names = match markets {
        [market] if asks_one => Names::of_one(shape, market),
        _ => Names::new(shape, markets),
    };
    read_shape(shape, answer, &names, now_ms, pause, &mut |index, quote| {
        quotes[index] = quote;
    })?;
    Ok(quotes)
}

/// What is wrong with the answer as a whole, if anything is.
fn refusal(entry: &Entry, status: u16, facts: &Facts<'_>) -> Option<QuoteError> {
    let any = |conditions: &[Condition]| conditions.iter().any(|condition| condition.holds(facts));
    let succeeded = (200..300).contains(&status);
    if succeeded && entry.ok.as_ref().is_some_and(|ok| ok.holds(facts)) {
        return None;
    }
    let why = || match words(entry, facts) {
        Some(words) => format!("HTTP {status}, {words}"),
        None => format!("HTTP {status}"),
    };
    let errors = &entry.errors;
    if any(&errors.unknown_symbol) {
        Some(QuoteError::UnknownSymbol)
    } else if any(&errors.rate_limited) {
        Some(QuoteError::RateLimited)
    } else if any(&errors.blocked) {
        Some(QuoteError::Blocked(why()))
    } else if any(&errors.down) {
        Some(QuoteError::Down(why()))
    } else {
        match status {
            // 418 is what Binance and its kin call the ban of who ignored 429.
            418 | 429 => Some(QuoteError::RateLimited),
            403 | 451 => Some(QuoteError::Blocked(why())),
            500.. => Some(QuoteError::Down(why())),
            _ if !succeeded => Some(QuoteError::Refused(why())),
            _ if facts.json.is_some() && entry.ok.is_some() => Some(QuoteError::Refused(why())),
            _ => None,
        }
    }
}

/// The exchange's own words on what went wrong.
fn words(entry: &Entry, facts: &Facts<'_>) -> Option<String> {
    let told = facts.json.and_then(|json| {
        let mut pointers = entry.message.iter();
        pointers.find_map(|pointer| json.scalar(pointer))
    });
    let words = excerpt(told.as_deref().unwrap_or(facts.text));
    (!words.is_empty()).then_some(words)
}

/// The body as text, without what some servers put around it.
pub(super) fn text_of(body: &[u8]) -> Result<&str, QuoteError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| QuoteError::Garbage("it is not UTF-8 text".to_owned()))?;
    Ok(text.trim_start_matches('\u{feff}').trim_ascii())
}

pub(super) fn not_json(text: &str) -> String {
    match excerpt(text) {
        text if text.is_empty() => "it is empty".to_owned(),
        text => format!("not JSON: {text}"),
    }
}

/// What answers call the markets asked for, in any case: no exchange tells markets apart by it, but
/// not all answer in the one they are asked in.
#[derive(Debug)]
pub(super) struct Names {
    indexes: HashMap<String, usize>,
    /// The market that an answer without a name is about.
    only: Option<usize>,
}

impl Names {
    /// Where two markets could have the same name, it is that of the market whose names have it
    /// first: Kraken's XTZUSD is XTZ/USD as usually spelled, and only then T/USD with an old
    /// prefix.
    pub(super) fn new(shape: &Shape, markets: &[Market]) -> Self {
        let mut indexes = HashMap::new();
        if shape.names.is_empty() {
            let spelled = markets.iter().map(|market| market.spelled().to_lowercase());
            indexes.extend(spelled.zip(0..));
        }
        for name in &shape.names {
            for (index, market) in markets.iter().enumerate() {
                let name = name.fill(|hole| market.hole(hole)).to_lowercase();
                indexes.entry(name).or_insert(index);
            }
        }
        Self {
            indexes,
            only: None,
        }
    }

    /// Names for the answer to a request that was about one market: it need not say which.
    pub(super) fn of_one(shape: &Shape, market: &Market) -> Self {
        Self {
            only: Some(0),
            ..Self::new(shape, std::slice::from_ref(market))
        }
    }

    /// For a stream whose messages have only the number of their channel, which is told later. It
    /// replaces the name that the market had: however often it is told, nothing grows.
    pub(super) fn rename(&mut self, index: usize, name: &str) {
        self.indexes.retain(|_, known| *known != index);
        self.indexes.insert(name.to_lowercase(), index);
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.indexes.get(&name.to_lowercase()).copied()
    }
}

/// Hands each entry of `answer` that is about one of `names` to `found`.
pub(super) fn read_shape(
    shape: &Shape,
    answer: &Node<'_>,
    names: &Names,
    now_ms: u64,
    pause: &mut dyn FnMut(),
    found: &mut dyn FnMut(usize, Result<Quote, QuoteError>),
) -> Result<(), QuoteError> {
    let quote =
        |entry: &Node<'_>| read_quote((answer, entry), &shape.last, shape.time.as_ref(), now_ms);
    let Some(container) = shape.container() else {
        let index = match named(shape, answer) {
            None => names.only,
            Some(name) => Some(names.index(&name).ok_or_else(|| {
                let name = excerpt(&name);
                QuoteError::Garbage(format!("it is about {name}"))
            })?),
        };
        if let Some(index) = index {
            found(index, quote(answer));
        }
        return Ok(());
    };
    let read = answer.with_entries(container, |entries| {
        let is_only = entries.len() == 1;
        for (number, (key, text)) in entries.into_iter().enumerate() {
            if number % ENTRIES_PER_PAUSE == ENTRIES_PER_PAUSE - 1 {
                pause();
            }
            let Ok(entry) = Node::parse(text) else {
                continue;
            };
            let only = names.only.filter(|_| is_only);
            let index = match (key, named(shape, &entry)) {
                // Kraken answers XBTUSD under the key XXBTZUSD.
                (Some(key), _) if shape.map.is_some() => names.index(key).or(only),
                (Some(_), _) => None,
                (None, Some(name)) => names.index(&name),
                (None, None) => only,
            };
            if let Some(index) = index {
                found(index, quote(&entry));
            }
        }
    });
    read.ok_or_else(|| {
        let text = excerpt(answer.text());
        QuoteError::Garbage(format!("no prices where they should be: {text}"))
    })
}

/// What the entry says it is about.
fn named<'a>(shape: &Shape, entry: &Node<'a>) -> Option<Cow<'a, str>> {
    let pointer = shape.symbol.as_ref().or(shape.channel.as_ref())?;
    entry.scalar(pointer)
}

/// Some 30 KiB of text, a fraction of a millisecond.
const ENTRIES_PER_PAUSE: usize = 64;
