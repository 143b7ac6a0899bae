//! The list of all markets of an exchange: where it is, and how its entries become symbols.
//!
//! Symbols are in unified notation even if the exchange has codes of its own: its XBT comes back as
//! BTC. A market that the exchange calls by a name that we could not ask for is left out.

use std::borrow::Cow;

use super::Symbol;
use super::answer::{not_json, text_of, whole_error};
use super::condition::Inputs;
use super::document::{Document, Raw};
use super::entry::{Entry, MarketList};
use super::json::{Node, Pointer, excerpt};
use super::quote::QuoteError;
use super::template::{SymbolFormat, Template};
use super::text::is_deceptive;

/// Reads the symbols of an answer, in their order and each once. Calls `pause` now and then, since
/// such an answer may be megabytes.
pub(super) fn read_markets(
    entry: &Entry,
    list: &MarketList,
    (status, body): (u16, &[u8]),
    pause: &mut dyn FnMut(),
) -> Result<Vec<Symbol>, QuoteError> {
    let text = text_of(body);
    let root = Pointer::default();
    let container = list.list.as_ref().or(list.map.as_ref()).unwrap_or(&root);
    let document = match &text {
        Ok(text) => Node::parse_along(text, container, pause)
            .map(Document::Json)
            .map_err(|_| QuoteError::Garbage(not_json(text))),
        Err(error) => Err(error.clone()),
    };
    pause();
    let inputs = Inputs {
        status: Some(status),
        text: text.unwrap_or_default(),
        document: document.as_ref().ok(),
    };
    let ok = list.ok.as_ref().or(entry.ok.as_ref());
    if let Some(error) = whole_error(entry, ok, status, &inputs) {
        return Err(error);
    }
    let answer = document?;
    let mut symbols = Vec::new();
    let mut piece = 0;
    let read = answer.each_entry(container, &mut |_, key, raw| {
        let Raw::Json(text) = raw else { return };
        piece += text.len();
        if piece >= PIECE {
            piece = 0;
            pause();
        }
        symbols.extend(list.symbol(&entry.spelling, (&answer, key), text));
    });
    pause();
    symbols.sort_unstable();
    symbols.dedup();
    match read {
        Some(()) if !symbols.is_empty() => Ok(symbols),
        // An exchange in trouble may send an empty list, which does not mean that it has closed.
        _ => Err(QuoteError::Garbage(format!(
            "no markets at the expected place: {}",
            excerpt(answer.text())
        ))),
    }
}

impl MarketList {
    /// The list of an exchange that answers with the prices of all markets, and writes them so that
    /// they can be taken apart.
    pub(super) fn of_prices(entry: &Entry) -> Option<Self> {
        let batch = entry.many.as_ref()?;
        let written = match batch.answer.names.as_slice() {
            [] => vec![entry.spelling.market.clone()],
            names => names.to_vec(),
        };
        let is_clear = written.iter().all(Template::has_separator);
        let is_plain = batch.url.placeholders().next().is_none() && batch.post.is_none();
        let answer = &batch.answer;
        let has_name = answer.symbol.is_some() || answer.map.is_some();
        let is_flat = answer
            .list
            .as_ref()
            .is_none_or(|list| list.inner.is_empty());
        (is_clear && is_plain && is_flat && has_name && answer.inside.is_none()).then(|| Self {
            url: batch.url.fill(|_| None),
            list: answer.list.as_ref().map(|list| list.outer.clone()),
            map: answer.map.clone(),
            base: None,
            quote: None,
            name: answer.symbol.clone().filter(|_| answer.map.is_none()),
            written,
            quotes: Vec::new(),
            bases: Vec::new(),
            trading: None,
            ok: None,
        })
    }

    /// The symbol of one entry, if it is traded and can be asked for.
    fn symbol(
        &self,
        format: &SymbolFormat,
        (answer, key): (&Document<'_>, Option<&str>),
        text: &str,
    ) -> Option<Symbol> {
        let node = Document::Json(Node::parse(text).ok()?);
        let inputs = Inputs {
            status: None,
            text,
            document: Some(&node),
        };
        if self
            .trading
            .as_ref()
            .is_some_and(|trading| !trading.holds(&inputs))
        {
            return None;
        }
        let name = match (&self.name, key) {
            (Some(name), _) => name.read(answer, &node),
            (None, Some(key)) => Some(Cow::Borrowed(key)),
            (None, None) => None,
        };
        let (Some(base), Some(quote)) = (&self.base, &self.quote) else {
            let (base, quote) = self.split(format, &name?)?;
            return symbol(format, &base, &quote);
        };
        let symbol = symbol(format, &node.scalar(base)?, &node.scalar(quote)?)?;
        let name = name.filter(|_| self.name.is_some());
        let is_asked_for = |name: Cow<'_, str>| {
            let asked = format.market(&symbol);
            asked.as_str().to_lowercase() == name.to_lowercase()
        };
        name.is_none_or(is_asked_for).then_some(symbol)
    }

    /// The codes of the two currencies in a name.
    fn split(&self, format: &SymbolFormat, name: &str) -> Option<(String, String)> {
        let mut written = self.written.iter();
        let codes = (self.bases.as_slice(), self.quotes.as_slice());
        let split = |template: &Template| template.split(name, codes);
        if self.written.is_empty() {
            split(&format.market)
        } else {
            written.find_map(split)
        }
    }
}

/// The symbol of two currencies, given as the exchange writes them.
fn symbol(format: &SymbolFormat, base: &str, quote: &str) -> Option<Symbol> {
    let unified = |code: &str| {
        // Only a code that has no capitals at all is one in another case: `AAPLx` is what it says.
        let code = if code.contains(|c: char| c.is_uppercase()) {
            code.to_owned()
        } else {
            code.to_uppercase()
        };
        let mut renames = format.renames.iter();
        let renamed = renames.find(|(_, theirs)| **theirs == code);
        renamed.map_or(code, |(ours, _)| ours.clone())
    };
    let (base, quote) = (unified(base), unified(quote));
    // These have a meaning in lists of symbols and in patterns, or cannot be seen.
    let is_odd = |c: char| matches!(c, ',' | '*' | ':' | '/') || is_deceptive(c);
    let is_clean = |code: &str| !code.contains(is_odd);
    let symbol = format!("{base}/{quote}").parse().ok();
    symbol.filter(|_| is_clean(&base) && is_clean(&quote))
}

/// The text that is read in a fraction of a millisecond.
const PIECE: usize = 32 << 10;
