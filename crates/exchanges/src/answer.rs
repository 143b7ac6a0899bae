//! Reads quotes from the body of an answer.

use std::borrow::Cow;
use std::collections::HashMap;

use super::condition::{Condition, Inputs};
use super::document::{Document, Raw};
use super::entry::{Entry, Mapping};
use super::json::{Node, Pointer, excerpt};
use super::number::Places;
use super::quote::{Quote, QuoteError, read_quote};
use super::template::Market;

/// Reads the answer to a request for `markets`, which it calls by `names`: a quote or an error for
/// each of them, in their order. Calls `pause` now and then between two pieces of work.
pub(super) fn read_answer(
    entry: &Entry,
    mapping: &Mapping,
    (markets, names): (&[Market], &Names),
    (status, body): (u16, &[u8]),
    now_ms: u64,
    pause: &mut dyn FnMut(),
) -> Result<Vec<Result<Quote, QuoteError>>, QuoteError> {
    let text = text_of(body);
    let root = Pointer::default();
    let list = mapping.container().filter(|_| mapping.inside.is_none());
    let list = list.unwrap_or(&root);
    let document = match &text {
        Ok(text) => match Node::parse_along(text, list, pause) {
            Ok(node) => Ok(Document::Json(node)),
            Err(_) => Err(QuoteError::Garbage(not_json(text))),
        },
        Err(error) => Err(error.clone()),
    };
    pause();
    let inputs = Inputs {
        status: Some(status),
        text: text.unwrap_or_default(),
        document: document.as_ref().ok(),
    };
    if let Some(error) = whole_error(entry, entry.ok.as_ref(), status, &inputs) {
        return Err(error);
    }
    let answer = &document?;
    let mut quotes = vec![Err(QuoteError::UnknownSymbol); markets.len()];
    read_mapped(
        mapping,
        answer,
        (markets, names),
        now_ms,
        pause,
        &mut |index, quote| {
            quotes[index] = quote;
        },
    )?;
    Ok(quotes)
}

/// The error that the answer as a whole stands for, if any; a good answer meets `ok`.
pub(super) fn whole_error(
    entry: &Entry,
    ok: Option<&Condition>,
    status: u16,
    inputs: &Inputs<'_>,
) -> Option<QuoteError> {
    let any = |conditions: &[Condition]| conditions.iter().any(|condition| condition.holds(inputs));
    let succeeded = (200..300).contains(&status);
    if succeeded && ok.is_some_and(|ok| ok.holds(inputs)) {
        return None;
    }
    let why = || match error_message(entry, inputs) {
        Some(message) => format!("HTTP {status}, {message}"),
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
            // 418 is how Binance and its relatives ban clients that ignored 429.
            418 | 429 => Some(QuoteError::RateLimited),
            403 | 451 => Some(QuoteError::Blocked(why())),
            500.. => Some(QuoteError::Down(why())),
            _ if !succeeded => Some(QuoteError::Refused(why())),
            // What is not JSON is reported when it is read.
            _ if inputs.document.is_none() || ok.is_none() => None,
            _ if own_words(entry, inputs).is_some() => Some(QuoteError::Refused(why())),
            _ => Some(QuoteError::Garbage(excerpt(inputs.text))),
        }
    }
}

/// The exchange's own description of what went wrong, or else the beginning of its answer.
fn error_message(entry: &Entry, inputs: &Inputs<'_>) -> Option<String> {
    let found = own_words(entry, inputs);
    let message = excerpt(found.as_deref().unwrap_or(inputs.text));
    (!message.is_empty()).then_some(message)
}

fn own_words<'a>(entry: &Entry, inputs: &Inputs<'a>) -> Option<Cow<'a, str>> {
    let mut pointers = entry.message.iter();
    pointers.find_map(|pointer| inputs.document?.scalar(pointer))
}

/// The body as text, without the byte order mark and blanks that some servers put around it.
pub(super) fn text_of(body: &[u8]) -> Result<&str, QuoteError> {
    let text =
        std::str::from_utf8(body).map_err(|_| QuoteError::Garbage("not UTF-8 text".to_owned()))?;
    Ok(text.trim_start_matches('\u{feff}').trim_ascii())
}

pub(super) fn not_json(text: &str) -> String {
    match excerpt(text) {
        text if text.is_empty() => "empty".to_owned(),
        text => format!("not JSON: {text}"),
    }
}

/// The names that answers use for the markets asked for. Case is ignored: no exchange tells markets
/// apart by it, and not all answer in the case they were asked in.
#[derive(Debug, Default)]
pub(super) struct Names {
    indexes: HashMap<String, usize>,
    /// The number of markets.
    count: usize,
    /// The market that an answer without a name is for.
    only: Option<usize>,
}

impl Names {
    /// Appends markets. Calls `pause` now and then.
    ///
    /// Where two markets could have the same name, the earlier template wins: Kraken's XTZUSD is
    /// XTZ/USD as usually written, and only then T/USD with an old prefix.
    pub(super) fn add(&mut self, mapping: &Mapping, markets: &[Market], pause: &mut dyn FnMut()) {
        let from = self.count;
        self.count += markets.len();
        let mut chunks = |name: &dyn Fn(&Market) -> String, indexes: &mut HashMap<_, _>| {
            for (number, market) in markets.iter().enumerate() {
                if number % NAMES_PER_PAUSE == NAMES_PER_PAUSE - 1 {
                    pause();
                }
                if market.is_possible() {
                    let name = name(market).to_lowercase();
                    indexes.entry(name).or_insert(from + number);
                }
            }
        };
        if mapping.names.is_empty() {
            chunks(&|market| market.as_str().to_owned(), &mut self.indexes);
        }
        for name in &mapping.names {
            let fill = |market: &Market| name.fill(|placeholder| market.value_of(placeholder));
            chunks(&fill, &mut self.indexes);
        }
    }

    /// The answer is to a request for one market, and need not say which it is.
    pub(super) fn is_about_one(&mut self) {
        self.only = Some(0);
    }

    /// For a stream whose messages carry only a channel number, which an acknowledgement announces.
    /// The number replaces the market's name, so repeated acknowledgements take no more memory.
    pub(super) fn rename(&mut self, index: usize, name: &str) {
        self.indexes.retain(|_, known| *known != index);
        self.indexes.insert(name.to_lowercase(), index);
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.indexes.get(&name.to_lowercase()).copied()
    }
}

/// Hands each entry of `answer` that belongs to one of `markets`, which it calls by `names`, to
/// `found`.
pub(super) fn read_mapped(
    mapping: &Mapping,
    answer: &Document<'_>,
    (markets, names): (&[Market], &Names),
    now_ms: u64,
    pause: &mut dyn FnMut(),
    found: &mut dyn FnMut(usize, Result<Quote, QuoteError>),
) -> Result<(), QuoteError> {
    let mut reading = Reading {
        mapping,
        markets,
        names,
        now_ms,
        pause,
        found,
    };
    let Some(inside) = &mapping.inside else {
        return reading.read(answer);
    };
    let text = answer.scalar(inside);
    let inner = text.as_deref().and_then(|text| Node::parse(text).ok());
    match inner {
        Some(inner) => reading.read(&Document::Json(inner)),
        None => Err(misplaced(answer)),
    }
}

/// The reading of one answer.
struct Reading<'r> {
    mapping: &'r Mapping,
    markets: &'r [Market],
    names: &'r Names,
    now_ms: u64,
    pause: &'r mut dyn FnMut(),
    found: &'r mut dyn FnMut(usize, Result<Quote, QuoteError>),
}

impl Reading<'_> {
    fn read(&mut self, answer: &Document<'_>) -> Result<(), QuoteError> {
        let mapping = self.mapping;
        let Some(container) = mapping.container() else {
            return self.read_single(answer);
        };
        let has_object = mapping.list.is_some() && answer.is_object(container);
        if has_object {
            return self.read_object(answer, container);
        }
        let inner = mapping.list.as_ref().map_or(&[][..], |list| &list.inner);
        let read = self.read_entries(answer, (answer, container), inner, true);
        read.ok_or_else(|| misplaced(answer))
    }

    /// Reads an answer that is about one market as a whole.
    fn read_single(&mut self, answer: &Document<'_>) -> Result<(), QuoteError> {
        let index = match self.name_of(answer, answer) {
            None => self.names.only,
            Some(name) => Some(self.names.index(&name).ok_or_else(|| {
                let name = excerpt(&name);
                QuoteError::Garbage(format!("it is for {name}"))
            })?),
        };
        if let Some(index) = index {
            self.read_entry(index, answer, answer);
        }
        Ok(())
    }

    /// Reads an object where a list should be: some exchanges leave out the list around a single
    /// entry.
    fn read_object(&mut self, answer: &Document<'_>, at: &Pointer) -> Result<(), QuoteError> {
        let entry = answer.sub(at).ok_or_else(|| misplaced(answer))?;
        let index = match self.name_of(answer, &entry) {
            Some(name) => self.names.index(&name),
            // An empty object has as little to say as an empty list.
            None => self.names.only.filter(|_| !entry.is_empty()),
        };
        if let Some(index) = index {
            self.read_entry(index, answer, &entry);
        }
        Ok(())
    }

    /// Reads the entries of the list or object at `pointer` of `parent`, or those in their own lists
    /// at `inner`. `is_only` says that there is no other such list.
    fn read_entries(
        &mut self,
        answer: &Document<'_>,
        (parent, pointer): (&Document<'_>, &Pointer),
        inner: &[Pointer],
        is_only: bool,
    ) -> Option<()> {
        let mut number = 0;
        parent.each_entry(pointer, &mut |count, key, raw| {
            number += 1;
            if number % ENTRIES_PER_PAUSE == 0 {
                (self.pause)();
            }
            let is_only = is_only && count == 1;
            match inner.split_first() {
                None => self.read_named(answer, key, raw, is_only),
                Some((pointer, inner)) => {
                    if let Some(entry) = raw.open() {
                        self.read_entries(answer, (&entry, pointer), inner, is_only);
                    }
                }
            }
        })
    }

    /// Reads an entry if it is about one of the markets.
    fn read_named(
        &mut self,
        answer: &Document<'_>,
        key: Option<&str>,
        raw: Raw<'_>,
        is_only: bool,
    ) {
        let only = self.names.only.filter(|_| is_only);
        // Kraken answers XBTUSD under the key XXBTZUSD; Lighter's keys are numbers.
        let is_key_the_name = self.mapping.map.is_some() && self.mapping.symbol.is_none();
        let by_key = key.filter(|_| is_key_the_name);
        let by_key = by_key.map(|key| self.names.index(key).or(only));
        if by_key == Some(None) {
            return;
        }
        let Some(entry) = raw.open() else {
            return;
        };
        let index = by_key.unwrap_or_else(|| match self.name_of(answer, &entry) {
            Some(name) => self.names.index(&name),
            None => only,
        });
        if let Some(index) = index {
            self.read_entry(index, answer, &entry);
        }
    }

    fn read_entry(&mut self, index: usize, answer: &Document<'_>, entry: &Document<'_>) {
        if let Some(market) = self.markets.get(index) {
            let places = Places {
                answer,
                entry,
                market,
            };
            (self.found)(index, read_quote(self.mapping, places, self.now_ms));
        }
    }

    /// The market that the entry names.
    fn name_of<'a>(&self, answer: &Document<'a>, entry: &Document<'a>) -> Option<Cow<'a, str>> {
        match (&self.mapping.symbol, &self.mapping.channel) {
            (Some(symbol), _) => symbol.read(answer, entry),
            (None, Some(channel)) => entry.scalar(channel),
            (None, None) => None,
        }
    }
}

fn misplaced(answer: &Document<'_>) -> QuoteError {
    let text = excerpt(answer.text());
    QuoteError::Garbage(format!("no prices at the expected place: {text}"))
}

/// A fraction of a millisecond.
const NAMES_PER_PAUSE: usize = 256;

/// About 30 KiB of text, a fraction of a millisecond.
const ENTRIES_PER_PAUSE: usize = 64;
