//! Resolves what clients write to lists: names, bare names and patterns.

use std::fmt;

use super::instrument::Instrument;
use super::pattern::{BadPattern, Matcher, Parts, Pattern, Rule, bare};
use super::watchlists::{ListId, merged};
use super::{Hub, SYMBOL_LENGTH_MAX, Symbols};
use crate::tape::SymbolId;

/// Why a client cannot have a list. The text names the entry and says what would work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelectError {
    /// There is no such symbol; the error names similar or other ones.
    Unknown { name: String, near: Near },
    /// Several symbols have this bare name, each from its own source.
    Ambiguous { name: String, full: String },
    /// A `*` that stands for less than a whole part.
    BadPattern(String),
    /// A list or a request already has as many patterns as it may.
    TooManyPatterns(String),
    /// The lists of all clients would take more than `limit` bytes of memory.
    TooMuchMemory { entry: String, limit: usize },
    /// The closing frame has been printed.
    Closing,
}

/// Symbols to name in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Near {
    /// Symbols with the same base or quote, or the same letters.
    Similar(String),
    /// Any symbols.
    Some(String),
    /// There are no symbols.
    None,
}

/// A list in the making.
struct Draft {
    symbols: Vec<SymbolId>,
    rules: Vec<Rule>,
}

impl Hub {
    /// Takes the list of everything, for a reader that names no symbols.
    ///
    /// # Errors
    /// After the closing frame.
    pub(crate) fn select_everything(&mut self) -> Result<ListId, SelectError> {
        if self.is_closed() {
            return Err(SelectError::Closing);
        }
        Ok(self.lists.take_everything())
    }

    /// Takes the list of the symbols that `entries` stand for: names, bare names and patterns.
    ///
    /// # Errors
    /// When an entry stands for no symbol, and when there is no room for one more list.
    pub(crate) fn select<E: AsRef<str>>(&mut self, entries: &[E]) -> Result<ListId, SelectError> {
        if self.is_closed() {
            return Err(SelectError::Closing);
        }
        if let Some(known) = self.lists.take_by_entries(entries, self.changes) {
            return Ok(known);
        }
        let draft = Draft {
            symbols: Vec::new(),
            rules: Vec::new(),
        };
        let list = self.complete(draft, entries, true)?;
        self.lists.note_entries(list, entries, self.changes);
        Ok(list)
    }

    /// Takes the list that `list` becomes when `entries` are added to it, or removed from it.
    ///
    /// # Errors
    /// As for [`select`](Self::select).
    pub(crate) fn reselect<E: AsRef<str>>(
        &mut self,
        list: ListId,
        entries: &[E],
        subscribe: bool,
    ) -> Result<ListId, SelectError> {
        if entries.is_empty() && !self.is_closed() {
            self.lists.take_again(list);
            return Ok(list);
        }
        let draft = Draft {
            symbols: match self.lists.symbols(list) {
                Symbols::Everything => self.known_ids().collect(),
                Symbols::Some(symbols) => [symbols, &self.added_since(list)].concat(),
            },
            rules: self.lists.rules(list).to_vec(),
        };
        self.complete(draft, entries, subscribe)
    }

    /// Takes the list that `list` becomes with the symbols added since it was made; `None` if its
    /// patterns match none of them.
    ///
    /// # Errors
    /// When there is no room for it: the list then stays as it is, without these symbols.
    pub(crate) fn refresh(&mut self, list: ListId) -> Result<Option<ListId>, SelectError> {
        let tried = self.added.len() as u32;
        let outcome = match self.lists.growth(list, tried) {
            Some(known) => {
                known.iter().for_each(|&grown| self.lists.take_again(grown));
                known
            }
            None => {
                let added = self.added_since(list);
                let Some(&first) = added.first() else {
                    self.lists.set_tried(list, tried);
                    return Ok(None);
                };
                let outcome = self.grow(list, &added).ok_or(first);
                if outcome.is_err() {
                    // The readers of the list are told once.
                    self.lists.set_tried(list, tried);
                }
                self.lists.note_growth(list, tried, outcome);
                outcome
            }
        };
        let no_room = |first| self.no_room_for(&self.instrument(first).name);
        outcome.map(Some).map_err(no_room)
    }

    /// Takes the list with these symbols added.
    fn grow(&mut self, list: ListId, added: &[SymbolId]) -> Option<ListId> {
        let Symbols::Some(known) = self.lists.symbols(list) else {
            return None;
        };
        let symbols = merged(known, added);
        self.worked(symbols.len() / 4);
        let rules = self.lists.rules(list).to_vec();
        self.take(Some(symbols), &rules)
    }

    fn no_room_for(&self, entry: &str) -> SelectError {
        SelectError::TooMuchMemory {
            entry: shortened(entry),
            limit: self.lists.memory_max(),
        }
    }

    /// The symbols that a list's patterns match among those added since they were last tried, in
    /// ascending order.
    fn added_since(&self, list: ListId) -> Vec<SymbolId> {
        let tried = self.lists.tried(list) as usize;
        let rules = self.lists.rules(list);
        let Symbols::Some(symbols) = self.lists.symbols(list) else {
            return Vec::new();
        };
        if rules.is_empty() || tried == self.added.len() {
            return Vec::new();
        }
        let matchers = self.matchers(rules);
        let untried = self.added.len() - tried;
        self.worked(untried * (1 + rules.len() / PATTERNS_PER_LOOK));
        let added = self.added[tried..].iter().copied();
        let added = added.filter(|&id| !self.instrument(id).is_gone);
        let added = added.filter(|&id| verdict(&matchers, self.instrument(id).parts));
        let added = added.filter(|id| symbols.binary_search(id).is_err());
        let mut added: Vec<_> = added.collect();
        added.sort_unstable();
        added.dedup();
        added
    }

    /// Takes a list whose patterns have been tried on all symbols.
    fn take(&mut self, symbols: Option<Vec<SymbolId>>, rules: &[Rule]) -> Option<ListId> {
        // An equal list that has yet to take a symbol will not stay equal.
        if let Some(known) = self.lists.find(symbols.as_deref(), rules)
            && self.added_since(known).is_empty()
        {
            self.lists.set_tried(known, self.added.len() as u32);
        }
        self.lists.take(symbols, rules, self.added.len() as u32)
    }

    /// The newest tick of a symbol as JSON; empty before the first.
    ///
    /// # Errors
    /// When the name stands for no symbol.
    pub(crate) fn newest(&self, name: &str) -> Result<&[u8], SelectError> {
        Ok(self.instrument(self.find(name)?).json())
    }

    /// Appends a JSON list of the names of the symbols that `entries` stand for, or of all symbols:
    /// those after the symbol `after`, as many as fit an answer. If there are more, another member
    /// says how many.
    ///
    /// # Errors
    /// When an entry stands for no symbol, and when there is no symbol `after`.
    pub(crate) fn write_names<E: AsRef<str>>(
        &self,
        entries: Option<&[E]>,
        after: Option<&str>,
        out: &mut String,
    ) -> Result<(), SelectError> {
        self.worked(self.instruments.len() / 2);
        let known = |name: &str| self.by_name.get(name).copied();
        let after = after.map(|name| known(name).ok_or_else(|| self.unknown(name)));
        let after = after.transpose()?;
        let ids: Vec<_> = match entries {
            None => self.listed_ids().collect(),
            Some(entries) => self.ids_of(entries, &mut Vec::new(), true)?,
        };
        let listed = ids.iter().map(|&id| (id, self.instrument(id)));
        let listed = listed.filter(|&(id, instrument)| {
            instrument.is_listed && after.is_none_or(|after| id > after)
        });
        let (begin, mut count, mut more) = (out.len(), 0, 0);
        out.push('[');
        for (_, instrument) in listed {
            if out.len() - begin > NAMES_LENGTH_MAX {
                more += 1;
                continue;
            }
            if count > 0 {
                out.push(',');
            }
            out.push_str(&instrument.name_json);
            count += 1;
        }
        out.push(']');
        if more > 0 {
            out.push_str(&format!(r#","more":{more}"#));
        }
        Ok(())
    }

    /// Appends a description of a list, as members of a JSON object: how many symbols it has, the
    /// patterns and names that it is made of, and the exceptions to the patterns.
    pub(crate) fn describe(&self, list: ListId, out: &mut String) {
        let (symbols, rules) = (self.lists.symbols(list), self.lists.rules(list));
        let (mut count, mut entries, mut except) = (0, Extract::default(), Extract::default());
        for rule in rules {
            let list = if rule.includes {
                &mut entries
            } else {
                &mut except
            };
            list.push(|| serde_json::Value::from(rule.pattern.to_string()).to_string());
        }
        match symbols {
            Symbols::Some(symbols) if rules.is_empty() => {
                self.worked(symbols.len());
                let listed = symbols.iter().map(|&id| self.instrument(id));
                for instrument in listed.filter(|instrument| instrument.is_listed) {
                    count += 1;
                    entries.push(|| instrument.name_json.to_string());
                }
            }
            _ => {
                self.tried(rules.len());
                let matchers = self.matchers(rules);
                let mut walk = symbols.walk();
                for id in self.listed_ids() {
                    let instrument = self.instrument(id);
                    let is_watched = walk.contains(id);
                    count += usize::from(is_watched);
                    let name = || instrument.name_json.to_string();
                    match (is_watched, verdict(&matchers, instrument.parts)) {
                        (true, false) => entries.push(name),
                        (false, true) => except.push(name),
                        _ => {}
                    }
                }
            }
        }
        out.push_str(&format!(r#","count":{count},"symbols":"#));
        entries.write("more", out);
        if !except.items.is_empty() {
            out.push_str(r#","except":"#);
            except.write("more_except", out);
        }
    }

    fn complete<E: AsRef<str>>(
        &mut self,
        mut draft: Draft,
        entries: &[E],
        subscribe: bool,
    ) -> Result<ListId, SelectError> {
        if self.is_closed() {
            return Err(SelectError::Closing);
        }
        let ids = self.ids_of(entries, &mut draft.rules, subscribe)?;
        self.worked(ids.len() + draft.symbols.len());
        if subscribe {
            draft.symbols.extend(ids);
        } else {
            draft.symbols.retain(|id| ids.binary_search(id).is_err());
        }
        draft.symbols.sort_unstable();
        draft.symbols.dedup();
        let is_all = matches!(&*draft.rules, [rule] if rule.is_everything());
        let count = self.instruments.len() - self.spare.len();
        let symbols = if is_all && draft.symbols.len() == count {
            None
        } else {
            Some(draft.symbols)
        };
        let list = self.take(symbols, &draft.rules);
        list.ok_or_else(|| {
            let mut entries = entries.iter().map(AsRef::as_ref);
            let first = entries.find(|entry| !entry.is_empty());
            self.no_room_for(first.unwrap_or_default())
        })
    }

    /// The symbols that `entries` stand for, in ascending order. Patterns are added to `rules`,
    /// which include or leave out the symbols that they match.
    ///
    /// All patterns are tried in one pass over the symbols, so that a request that repeats a
    /// pattern a thousand times costs no more than a request that names it once.
    fn ids_of<E: AsRef<str>>(
        &self,
        entries: &[E],
        rules: &mut Vec<Rule>,
        includes: bool,
    ) -> Result<Vec<SymbolId>, SelectError> {
        let mut ids = Vec::new();
        let mut patterns = Vec::new();
        let entries = entries.iter().map(AsRef::as_ref);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let Some(pattern) = read(entry)? else {
                ids.push(self.find_for(entry, includes)?);
                continue;
            };
            add_distinct(&mut patterns, &pattern);
            push(rules, pattern, includes);
            if patterns.len().max(rules.len()) > PATTERNS_MAX {
                return Err(SelectError::TooManyPatterns(shortened(entry)));
            }
        }
        self.match_any(&patterns, &mut ids);
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The symbol that a name stands for. A delisted symbol can be left out, but not added.
    fn find_for(&self, name: &str, includes: bool) -> Result<SymbolId, SelectError> {
        let exactly = || self.by_name.get(name).copied().filter(|_| !includes);
        let delisted = || match self.by_bare_name.get(name).map(Vec::as_slice) {
            Some(&[only]) if !includes => Some(only),
            _ => None,
        };
        match self.look_up(name) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => exactly()
                .or_else(delisted)
                .ok_or_else(|| self.unknown(name)),
            Err(ambiguous) => exactly().ok_or(ambiguous),
        }
    }

    fn match_any(&self, patterns: &[Pattern], ids: &mut Vec<SymbolId>) {
        let matchers = patterns
            .iter()
            .filter_map(|pattern| pattern.matcher(&self.parts));
        let matchers: Vec<_> = matchers.collect();
        if matchers.is_empty() {
            return;
        }
        self.tried(matchers.len());
        let matches = |&id: &SymbolId| {
            let parts = self.instrument(id).parts;
            matchers.iter().any(|matcher| matcher.matches(parts))
        };
        // Delisted symbols too, since they may come back.
        ids.extend(self.known_ids().filter(matches));
    }

    /// Notes that a client had this many patterns tried on all symbols.
    fn tried(&self, patterns: usize) {
        self.worked(self.instruments.len() * (1 + patterns / PATTERNS_PER_LOOK));
    }

    /// The symbol that a name stands for.
    pub(super) fn find(&self, name: &str) -> Result<SymbolId, SelectError> {
        self.look_up(name)?.ok_or_else(|| self.unknown(name))
    }

    /// The symbol with this name, or the only symbol with this bare name.
    fn look_up(&self, name: &str) -> Result<Option<SymbolId>, SelectError> {
        if let Some(id) = self.id_of(name) {
            return Ok(Some(id));
        }
        let with_source = self.by_bare_name.get(name).into_iter().flatten().copied();
        let mut with_source = with_source.filter(|&id| self.instrument(id).is_listed);
        match (with_source.next(), with_source.next()) {
            (Some(one), Some(other)) => {
                let ids = [one, other].into_iter().chain(with_source);
                Err(SelectError::Ambiguous {
                    name: shortened(name),
                    full: self.some_names(ids),
                })
            }
            (only, _) => Ok(only),
        }
    }

    /// The error for an unknown name, with symbols of the same base, the same letters or the same
    /// quote.
    fn unknown(&self, name: &str) -> SelectError {
        self.worked(3 * self.instruments.len());
        let market = bare(name).unwrap_or(name);
        let [of_base, of_quote] = Pattern::near(market).map(|pattern| pattern.matcher(&self.parts));
        let matched = |matcher: Matcher| self.named(|instrument| matcher.matches(instrument.parts));
        let near = of_base
            .and_then(matched)
            .or_else(|| self.named(|instrument| instrument.is_spelled(market)))
            .or_else(|| of_quote.filter(|_| market.contains('/')).and_then(matched));
        let near =
            near.map(Near::Similar)
                .unwrap_or_else(|| match self.some_names(self.listed_ids()) {
                    names if names.is_empty() => Near::None,
                    names => Near::Some(names),
                });
        SelectError::Unknown {
            name: shortened(name),
            near,
        }
    }

    /// The names of some wanted symbols; `None` if there are none.
    fn named(&self, is_wanted: impl Fn(&Instrument) -> bool) -> Option<String> {
        let ids = self.listed_ids();
        let wanted = ids.filter(|&id| is_wanted(self.instrument(id)));
        Some(self.some_names(wanted)).filter(|names| !names.is_empty())
    }

    fn some_names(&self, ids: impl Iterator<Item = SymbolId>) -> String {
        let names: Vec<_> = ids
            .take(NAMES_IN_ERROR + 1)
            .map(|id| &*self.instrument(id).name)
            .collect();
        let some = &names[..names.len().min(NAMES_IN_ERROR)];
        some.join(", ")
            + if names.len() > some.len() {
                ", …"
            } else {
                ""
            }
    }

    /// The matchers of rules, without those that match no known symbol.
    pub(super) fn matchers(&self, rules: &[Rule]) -> Vec<(Matcher, bool)> {
        let matcher = |rule: &Rule| Some((rule.pattern.matcher(&self.parts)?, rule.includes));
        rules.iter().filter_map(matcher).collect()
    }
}

impl Rule {
    fn is_everything(&self) -> bool {
        self.includes && self.pattern == Pattern::EVERYTHING
    }
}

/// Whether the last rule that matches a symbol includes it.
pub(super) fn verdict(matchers: &[(Matcher, bool)], parts: Parts) -> bool {
    let mut last_first = matchers.iter().rev();
    let last = last_first.find(|(matcher, _)| matcher.matches(parts));
    last.is_some_and(|&(_, includes)| includes)
}

/// Adds a pattern, unless the others already match everything that it does.
fn add_distinct(patterns: &mut Vec<Pattern>, pattern: &Pattern) {
    if *pattern == Pattern::EVERYTHING {
        patterns.clear();
    }
    let is_covered = |known: &Pattern| known == pattern || *known == Pattern::EVERYTHING;
    if !patterns.iter().any(is_covered) {
        patterns.push(pattern.clone());
    }
}

/// Adds a rule, and removes the rules that it makes redundant.
fn push(rules: &mut Vec<Rule>, pattern: Pattern, includes: bool) {
    if pattern == Pattern::EVERYTHING {
        rules.clear();
    }
    rules.retain(|rule| rule.pattern != pattern);
    rules.push(Rule { pattern, includes });
    let first_that_includes = rules.iter().position(|rule| rule.includes);
    rules.drain(..first_that_includes.unwrap_or(rules.len()));
}

fn read(entry: &str) -> Result<Option<Pattern>, SelectError> {
    Pattern::parse(entry).map_err(|BadPattern| SelectError::BadPattern(shortened(entry)))
}

fn shortened(text: &str) -> String {
    text.chars().take(SYMBOL_LENGTH_MAX).collect()
}

fn write_list<T: AsRef<str>>(items: impl Iterator<Item = T>, out: &mut String) {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
}

/// The first [`ENTRIES_IN_REPLY`] of a list, as JSON, and how many more there are.
#[derive(Default)]
struct Extract {
    items: Vec<String>,
    more: usize,
}

impl Extract {
    fn push(&mut self, item: impl FnOnce() -> String) {
        if self.items.len() < ENTRIES_IN_REPLY {
            self.items.push(item());
        } else {
            self.more += 1;
        }
    }

    /// Appends the list and, if there are more, another member with their number.
    fn write(&self, more_name: &str, out: &mut String) {
        write_list(self.items.iter(), out);
        if self.more > 0 {
            out.push_str(&format!(r#","{more_name}":{}"#, self.more));
        }
    }
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, near } => match near {
                Near::Similar(names) => write!(f, "unknown symbol '{name}', similar are: {names}"),
                Near::Some(names) => write!(f, "unknown symbol '{name}', there are: {names}"),
                Near::None => write!(f, "unknown symbol '{name}', there are no symbols yet"),
            },
            Self::Ambiguous { name, full } => {
                write!(f, "ambiguous symbol '{name}', name its source: {full}")
            }
            Self::BadPattern(pattern) => write!(f, "invalid pattern '{pattern}': {BadPattern}"),
            Self::TooManyPatterns(pattern) => write!(
                f,
                "too many patterns at '{pattern}': a list or a request can have {PATTERNS_MAX}"
            ),
            Self::TooMuchMemory { entry, limit } => write!(
                f,
                "no room for '{entry}': the lists of all clients can take {limit} bytes \
                 (--list-memory); equal lists are kept once, and a list of '*' alone takes nothing"
            ),
            Self::Closing => f.write_str("the server is shutting down"),
        }
    }
}

/// How many patterns one list may have, and one request may name: trying a few dozen on twenty
/// thousand symbols takes about a millisecond.
pub(crate) const PATTERNS_MAX: usize = 32;

/// Trying this many patterns on a symbol costs about as much as looking at it.
const PATTERNS_PER_LOOK: usize = 8;

/// How many symbols an error names, so that it stays readable on a hub of thousands.
const NAMES_IN_ERROR: usize = 10;

/// The names in one answer, in bytes: a client that does not read makes the server keep no more
/// than this.
const NAMES_LENGTH_MAX: usize = 64 << 10;

/// How many entries of a list an answer repeats.
const ENTRIES_IN_REPLY: usize = 1000;
