//! The model's lists of symbols: resolved from the texts of clients, one symbol after the other.

use std::collections::BTreeSet;

use crate::server::tests::simulation::model::Symbol;

/// What a client watches: symbols by their index, and the patterns that selected some of them. The
/// last pattern that matches a symbol decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List {
    pub(super) symbols: BTreeSet<usize>,
    pub(super) rules: Vec<(String, bool)>,
}

impl List {
    /// The list of a client that names no symbols: everything.
    pub(super) fn everything(symbols: &[Symbol]) -> Self {
        Self {
            symbols: (0..symbols.len()).collect(),
            rules: vec![("*".to_owned(), true)],
        }
    }

    /// The list with `entries` added or removed, or the beginning of an error.
    pub(super) fn changed(
        &self,
        entries: &[String],
        subscribe: bool,
        symbols: &[Symbol],
    ) -> Result<Self, String> {
        let mut list = self.clone();
        for entry in entries {
            let named = if entry.contains('*') {
                list.add_rule(entry, subscribe)?;
                let all = 0..symbols.len();
                all.filter(|&index| matches(entry, &symbols[index].name))
                    .collect()
            } else {
                let name = find(entry, symbols);
                // A delisted symbol can still be removed.
                vec![name.or_else(|error| {
                    if subscribe {
                        Err(error)
                    } else {
                        find_delisted(entry, symbols, error)
                    }
                })?]
            };
            for index in named {
                if subscribe {
                    list.symbols.insert(index);
                } else {
                    list.symbols.remove(&index);
                }
            }
        }
        Ok(list)
    }

    /// Whether its patterns take a symbol.
    pub(super) fn takes(&self, name: &str) -> bool {
        let mut last_first = self.rules.iter().rev();
        let last = last_first.find(|(pattern, _)| matches(pattern, name));
        last.is_some_and(|&(_, includes)| includes)
    }

    /// The members of an answer that describe the list.
    pub(super) fn describe(&self, symbols: &[Symbol]) -> String {
        let of_rules = |includes| {
            let rules = self.rules.iter().filter(move |rule| rule.1 == includes);
            rules.map(|(pattern, _)| pattern.clone())
        };
        let (mut entries, mut except) = (of_rules(true).collect(), of_rules(false).collect());
        let mut count = 0;
        for (index, symbol) in symbols
            .iter()
            .enumerate()
            .filter(|(_, symbol)| symbol.listed)
        {
            let is_watched = self.symbols.contains(&index);
            count += usize::from(is_watched);
            let unlike: &mut Vec<String> = if is_watched {
                &mut entries
            } else {
                &mut except
            };
            if is_watched != self.takes(&symbol.name) {
                unlike.push(symbol.name.clone());
            }
        }
        let entries = serde_json::Value::from(entries);
        let text = format!(r#","count":{count},"symbols":{entries}"#);
        if except.is_empty() {
            return text;
        }
        format!(r#"{text},"except":{}"#, serde_json::Value::from(except))
    }

    fn add_rule(&mut self, pattern: &str, includes: bool) -> Result<(), String> {
        if pattern != "*" && pattern.split([':', '/']).any(is_part_of_a_part) {
            return Err(format!("invalid pattern '{pattern}'"));
        }
        if pattern == "*" {
            self.rules.clear();
        }
        self.rules.retain(|(other, _)| other != pattern);
        self.rules.push((pattern.to_owned(), includes));
        while self.rules.first().is_some_and(|(_, includes)| !includes) {
            self.rules.remove(0);
        }
        Ok(())
    }
}

fn is_part_of_a_part(part: &str) -> bool {
    part.len() > 1 && part.contains('*')
}

/// The symbol that a name stands for, or the beginning of an error.
pub(super) fn find(name: &str, symbols: &[Symbol]) -> Result<usize, String> {
    let listed = || (0..symbols.len()).filter(|&index| symbols[index].listed);
    if let Some(index) = listed().find(|&index| symbols[index].name == name) {
        return Ok(index);
    }
    let has_bare_name = |index: &usize| bare(&symbols[*index].name) == Some(name);
    match listed().filter(has_bare_name).collect::<Vec<_>>()[..] {
        [index] => Ok(index),
        [] => Err(format!("unknown symbol '{name}', ")),
        _ => Err(format!("ambiguous symbol '{name}', ")),
    }
}

/// The same for names that only a delisted symbol has; `error` is the error if none has it.
fn find_delisted(name: &str, symbols: &[Symbol], error: String) -> Result<usize, String> {
    if let Some(index) = symbols.iter().position(|symbol| symbol.name == name) {
        return Ok(index);
    }
    let has_bare_name = |index: &usize| bare(&symbols[*index].name) == Some(name);
    let of_name: Vec<_> = (0..symbols.len()).filter(has_bare_name).collect();
    match of_name[..] {
        [only] if error.starts_with("unknown") => Ok(only),
        _ => Err(error),
    }
}

/// A name without its source, if it has one.
pub(super) fn bare(name: &str) -> Option<&str> {
    name.split_once(':').map(|(_, bare)| bare)
}

fn matches(pattern: &str, name: &str) -> bool {
    let (source, market) = pattern.split_once(':').unwrap_or(("*", pattern));
    let (base, quote) = market.split_once('/').unwrap_or(("*", "*"));
    let (of_source, of_market) = name.split_once(':').unwrap_or(("", name));
    let (of_base, of_quote) = of_market.split_once('/').unwrap_or((of_market, ""));
    [(source, of_source), (base, of_base), (quote, of_quote)]
        .iter()
        .all(|(part, of_name)| *part == "*" || part == of_name)
}
