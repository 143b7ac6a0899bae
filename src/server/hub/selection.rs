//! From what clients write to lists: names, bare names and patterns.

use std::fmt;

use super::pattern::{BadPattern, Matcher, Pattern, Rule, bare};
use super::watchlists::ListId;
use super::{Hub, SYMBOL_LENGTH_MAX, Symbols};
use crate::tape::SymbolId;

/// Why a list cannot be had. Its text names the entry and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelectError {
    /// There is no such symbol; with some that are near, or some that there are.
    Unknown { name: String, near: Near },
    /// Several symbols have that name, each with a source of its own.
    Ambiguous { name: String, full: String },
    /// A `*` that stands for less than a whole part.
    BadPattern(String),
    /// A list has so many patterns already.
    TooManyPatterns(String),
    /// The lists of all clients would take too much memory.
    TooMuchMemory,
    /// The closing frame has been printed.
    Closing,
}

/// Symbols to name in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Near {
    /// With the same base or quote, or the same letters.
    Similar(String),
    /// Any.
    Some(String),
    /// There are none at all.
    None,
}

/// A list in the making.
struct Draft {
    symbols: Vec<SymbolId>,
    rules: Vec<Rule>,
}

impl Hub {
    /// Takes a list for a reader that names nothing: everything.
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
    /// When an entry stands for nothing, and when there is no room for one more list.
    pub(crate) fn select<E: AsRef<str>>(&mut self, entries: &[E]) -> Result<ListId, SelectError> {
        let draft = Draft {
            symbols: Vec::new(),
            rules: Vec::new(),
        };
        self.complete(draft, entries, true)
    }

    /// Takes the list that `list` becomes with `entries` added, or without them.
    ///
    /// # Errors
    /// As of [`select`](Self::select).
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
                Symbols::Everything => (0..self.instruments.len() as SymbolId).collect(),
                Symbols::Some(symbols) => [symbols, &self.added_since(list)].concat(),
            },
            rules: self.lists.rules(list).to_vec(),
        };
        self.complete(draft, entries, subscribe)
    }

    /// Takes the list that `list` becomes by the symbols that were added since it was made; none if
    /// its patterns match none of them.
    pub(crate) fn refresh(&mut self, list: ListId) -> Option<ListId> {
        let mut symbols = self.added_since(list);
        if symbols.is_empty() {
            self.lists.set_tried(list, self.added.len() as u32);
            return None;
        }
        if let Symbols::Some(known) = self.lists.symbols(list) {
            symbols.extend_from_slice(known);
        }
        symbols.sort_unstable();
        let rules = self.lists.rules(list).to_vec();
        // A list that has no room to grow stays as it is.
        self.take(Some(symbols), &rules)
    }

    /// The symbols that a list's patterns match and that were added since they were tried last.
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
        let added = self.added[tried..].iter().copied();
        let added = added.filter(|&id| verdict(&matchers, self.instrument(id).parts));
        added
            .filter(|id| symbols.binary_search(id).is_err())
            .collect()
    }

    /// Takes a list whose patterns have been tried on all symbols.
    fn take(&mut self, symbols: Option<Vec<SymbolId>>, rules: &[Rule]) -> Option<ListId> {
        // An equal one that is yet to get a symbol will not stay equal.
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

    /// Appends the names of the symbols that `entries` stand for, or of all, as a JSON list.
    ///
    /// # Errors
    /// When an entry stands for nothing.
    pub(crate) fn write_names<E: AsRef<str>>(
        &self,
        entries: Option<&[E]>,
        out: &mut String,
    ) -> Result<(), SelectError> {
        self.worked(self.instruments.len());
        let ids: Vec<_> = match entries {
            None => self.listed_ids().collect(),
            Some(entries) => {
                let mut ids = Vec::new();
                for entry in entries {
                    self.add(entry.as_ref(), &mut ids, &mut Vec::new())?;
                }
                ids.retain(|&id| self.instrument(id).is_listed);
                ids.sort_unstable();
                ids.dedup();
                ids
            }
        };
        let names = ids.into_iter().map(|id| &*self.instrument(id).name_json);
        write_list(names, out);
        Ok(())
    }

    /// Appends what a list is, as members of a JSON object: how many symbols it has, the patterns and
    /// names that it is made of, and what is left out of the patterns.
    pub(crate) fn describe(&self, list: ListId, out: &mut String) {
        let (symbols, rules) = (self.lists.symbols(list), self.lists.rules(list));
        if let (Symbols::Some(symbols), []) = (symbols, rules) {
            let listed = symbols.iter().map(|&id| self.instrument(id));
            let listed = listed.filter(|instrument| instrument.is_listed);
            let names: Vec<_> = listed.map(|it| it.name_json.to_string()).collect();
            self.worked(symbols.len());
            out.push_str(&format!(r#","count":{},"symbols":"#, names.len()));
            return write_some(&names, "more", out);
        }
        self.worked(self.instruments.len() * (1 + rules.len()));
        let quoted = |rule: &Rule| serde_json::Value::from(rule.pattern.to_string()).to_string();
        let of_rules = |includes| rules.iter().filter(move |rule| rule.includes == includes);
        let mut entries: Vec<_> = of_rules(true).map(quoted).collect();
        let mut except: Vec<_> = of_rules(false).map(quoted).collect();
        let matchers = self.matchers(rules);
        let mut count = 0;
        for id in self.listed_ids() {
            let is_watched = symbols.contains(id);
            count += usize::from(is_watched);
            let by_rules = !rules.is_empty() && verdict(&matchers, self.instrument(id).parts);
            let name = || self.instrument(id).name_json.to_string();
            match (is_watched, by_rules) {
                (true, false) => entries.push(name()),
                (false, true) => except.push(name()),
                _ => {}
            }
        }
        out.push_str(&format!(r#","count":{count},"symbols":"#));
        write_some(&entries, "more", out);
        if !except.is_empty() {
            out.push_str(r#","except":"#);
            write_some(&except, "more_except", out);
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
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            if entry.is_empty() {
                continue;
            }
            if subscribe {
                self.add(entry, &mut ids, &mut draft.rules)?;
            } else {
                self.remove(entry, &mut ids, &mut draft.rules)?;
            }
            if draft.rules.len() > PATTERNS_MAX {
                return Err(SelectError::TooManyPatterns(shortened(entry)));
            }
        }
        self.worked(ids.len() + draft.symbols.len());
        ids.sort_unstable();
        ids.dedup();
        if subscribe {
            draft.symbols.extend(ids);
        } else {
            draft.symbols.retain(|id| ids.binary_search(id).is_err());
        }
        draft.symbols.sort_unstable();
        draft.symbols.dedup();
        let is_all = matches!(&*draft.rules, [rule] if rule.is_everything());
        let symbols = match is_all && draft.symbols.len() == self.instruments.len() {
            true => None,
            false => Some(draft.symbols),
        };
        let list = self.take(symbols, &draft.rules);
        list.ok_or(SelectError::TooMuchMemory)
    }

    /// Adds the symbols of an entry to `ids`, and its rule to `rules` if it is a pattern.
    fn add(
        &self,
        entry: &str,
        ids: &mut Vec<SymbolId>,
        rules: &mut Vec<Rule>,
    ) -> Result<(), SelectError> {
        match read(entry)? {
            Some(pattern) => {
                self.match_all(&pattern, ids);
                push(rules, pattern, true);
            }
            None => ids.push(self.find(entry)?),
        }
        Ok(())
    }

    /// The same for an entry that is to go. A symbol that has been delisted can go too.
    fn remove(
        &self,
        entry: &str,
        ids: &mut Vec<SymbolId>,
        rules: &mut Vec<Rule>,
    ) -> Result<(), SelectError> {
        match read(entry)? {
            Some(pattern) => {
                self.match_all(&pattern, ids);
                push(rules, pattern, false);
            }
            None => match self.find(entry) {
                Ok(id) => ids.push(id),
                Err(error) => ids.push(self.by_name.get(entry).copied().ok_or(error)?),
            },
        }
        Ok(())
    }

    /// Adds the symbols that a pattern matches; delisted ones too, since they may come back.
    fn match_all(&self, pattern: &Pattern, ids: &mut Vec<SymbolId>) {
        if let Some(matcher) = pattern.matcher(&self.parts) {
            self.worked(self.instruments.len());
            let all = 0..self.instruments.len() as SymbolId;
            ids.extend(all.filter(|&id| matcher.matches(self.instrument(id).parts)));
        }
    }

    /// The symbol that a name stands for: the one of that name, or the only one of that name with a
    /// source before it.
    fn find(&self, name: &str) -> Result<SymbolId, SelectError> {
        if let Some(id) = self.id_of(name) {
            return Ok(id);
        }
        let with_source = self.by_bare_name.get(name).into_iter().flatten().copied();
        let mut with_source = with_source.filter(|&id| self.instrument(id).is_listed);
        match (with_source.next(), with_source.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(self.unknown(name)),
            (Some(one), Some(other)) => {
                let ids = [one, other].into_iter().chain(with_source);
                Err(SelectError::Ambiguous {
                    name: shortened(name),
                    full: self.some_names(ids),
                })
            }
        }
    }

    fn unknown(&self, name: &str) -> SelectError {
        self.worked(3 * self.instruments.len());
        let market = bare(name).unwrap_or(name);
        let (base, quote) = market.split_once('/').unwrap_or((market, ""));
        let of_base = self.named(|other| other.split('/').next() == Some(base));
        let of_letters = || self.named(|other| other.eq_ignore_ascii_case(market));
        let of_quote = || self.named(|other| other.split_once('/').is_some_and(|it| it.1 == quote));
        let near = of_base.or_else(of_letters).or_else(of_quote);
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

    /// Some of the symbols whose bare name is as wanted.
    fn named(&self, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        let wanted = self.listed_ids().filter(|&id| {
            let name = &*self.instrument(id).name;
            is_wanted(bare(name).unwrap_or(name))
        });
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

    fn matchers(&self, rules: &[Rule]) -> Vec<(Option<Matcher>, bool)> {
        let matcher = |rule: &Rule| (rule.pattern.matcher(&self.parts), rule.includes);
        rules.iter().map(matcher).collect()
    }
}

impl Rule {
    fn is_everything(&self) -> bool {
        self.includes && self.pattern == Pattern::EVERYTHING
    }
}

/// Whether the last rule that matches a symbol includes it.
fn verdict(matchers: &[(Option<Matcher>, bool)], parts: super::pattern::Parts) -> bool {
    let mut last_first = matchers.iter().rev();
    let last = last_first.find(|(matcher, _)| matcher.is_some_and(|it| it.matches(parts)));
    last.is_some_and(|&(_, includes)| includes)
}

/// Adds a rule, without those that it makes meaningless.
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

/// A list of not more than [`ENTRIES_IN_REPLY`], and as another member how many more there are.
fn write_some(entries: &[String], more_name: &str, out: &mut String) {
    let more = entries.len().saturating_sub(ENTRIES_IN_REPLY);
    write_list(entries[..entries.len() - more].iter(), out);
    if more > 0 {
        out.push_str(&format!(r#","{more_name}":{more}"#));
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
                "too many patterns at '{pattern}': a list can have {PATTERNS_MAX}"
            ),
            Self::TooMuchMemory => f.write_str(
                "the lists of all clients take as much memory as they may (--list-memory); \
                 a pattern takes less than the names that it stands for",
            ),
            Self::Closing => f.write_str("the server is shutting down"),
        }
    }
}

/// Patterns in one list: trying a few dozen on twenty thousand symbols takes under a millisecond.
pub(crate) const PATTERNS_MAX: usize = 32;

/// Symbols named in an error, so that a hub of thousands still gives a readable one.
const NAMES_IN_ERROR: usize = 10;

/// Entries of a list that the answer to a request repeats.
const ENTRIES_IN_REPLY: usize = 1000;
