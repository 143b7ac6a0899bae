//! Which modules of a crate name which others, for tests of the direction of imports.
//!
//! A source is read as tokens, so that no comment or string counts, and none of these ways is
//! missed: `use crate::{a::{b, c}, d}`, `pub use`, `super::x`, a child module by its bare name, and
//! a path in the middle of an expression or a macro. Not seen are paths that macros make, and what a
//! path through an imported name leads to: after `use crate::a;`, `a::b::f()` counts as `crate::a`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module that has a file of its own.
#[derive(Debug)]
pub struct Module {
    /// Its path: `crate::feed::live`.
    pub path: String,
    /// Its file.
    pub file: PathBuf,
    /// Whether it is compiled for tests only.
    pub is_test: bool,
    /// What its code names, tests left out: the whole paths of modules and of what is in them, here
    /// and in other crates.
    pub imports: Vec<String>,
}

impl Module {
    /// The child of `parent` that this module is or is part of: `crate::feed::live::rest` is part of
    /// the child `live` of `crate::feed`.
    pub fn child_of(&self, parent: &str) -> Option<&str> {
        child_of(&self.path, parent)
    }

    /// The children of `parent` that this module names, each with the whole path that it names.
    pub fn imports_from(&self, parent: &str) -> impl Iterator<Item = (&str, &str)> {
        let imports = self.imports.iter();
        imports.filter_map(move |path| Some((child_of(path, parent)?, path.as_str())))
    }
}

fn child_of<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    let below = path.strip_prefix(parent)?.strip_prefix("::")?;
    below.split("::").next()
}

/// All modules of the crate that has this root, from one `mod` to the next.
///
/// # Panics
/// When a file is missing or is not Rust.
pub fn modules(root: &Path) -> Vec<Module> {
    let folder = root.parent().expect("a folder of sources");
    let mut found = Vec::new();
    read("crate", false, root.to_owned(), folder, &mut found);
    found
}

/// Reads a module, and its children in `folder`.
fn read(path: &str, is_test: bool, file: PathBuf, folder: &Path, found: &mut Vec<Module>) {
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let scan = Scan::of(&text, path);
    found.push(Module {
        path: path.to_owned(),
        file,
        is_test,
        imports: scan.imports,
    });
    for child in scan.children {
        let folder = folder.join(&child.name);
        let beside = folder.with_extension("rs");
        let file = if beside.is_file() {
            beside
        } else {
            folder.join("mod.rs")
        };
        let path = format!("{path}::{}", child.name);
        read(&path, is_test || child.is_test, file, &folder, found);
    }
}

/// Modules that import each other in a circle, tests left out.
pub fn circle<'m>(modules: impl IntoIterator<Item = &'m Module>) -> Vec<&'m str> {
    let code = modules.into_iter().filter(|module| !module.is_test);
    let code: Vec<_> = code.collect();
    let known: BTreeSet<_> = code.iter().map(|module| module.path.as_str()).collect();
    // The last names of a path may be within a module.
    let leads_to = |path: &'m String| {
        let ends = path.match_indices("::").map(|(end, _)| end);
        let starts = ends.chain([path.len()]).map(|end| &path[..end]);
        starts.filter(|start| known.contains(start)).last()
    };
    let imports = code.iter().map(|module| {
        let imports = module.imports.iter().filter_map(leads_to).collect();
        (module.path.as_str(), imports)
    });
    in_circles(imports.collect())
}

/// Children of `parent` that import each other in a circle, each with all modules that are part of
/// it, tests left out.
pub fn circle_of_children<'m>(modules: &'m [Module], parent: &str) -> Vec<&'m str> {
    let mut imports: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.is_test) {
        if let Some(child) = module.child_of(parent) {
            let children = module.imports_from(parent).map(|(child, _)| child);
            imports.entry(child).or_default().extend(children);
        }
    }
    in_circles(imports)
}

/// Takes away, again and again, what imports nothing that is left or is not imported by it. What
/// stays is in circles, or between two of them.
fn in_circles<'m>(mut imports: BTreeMap<&'m str, BTreeSet<&'m str>>) -> Vec<&'m str> {
    for (name, imported) in &mut imports {
        imported.remove(name);
    }
    loop {
        let names: BTreeSet<_> = imports.keys().copied().collect();
        let imported: BTreeSet<_> = imports.values().flatten().copied().collect();
        imports.retain(|name, imports| imported.contains(name) && !imports.is_disjoint(&names));
        if imports.len() == names.len() {
            return names.into_iter().collect();
        }
    }
}

/// What a source text has, tests left out.
#[derive(Debug, Default)]
struct Scan {
    imports: Vec<String>,
    children: Vec<Child>,
}

/// A module that a source declares to be in a file of its own.
#[derive(Debug)]
struct Child {
    name: String,
    is_test: bool,
}

impl Scan {
    fn of(text: &str, module: &str) -> Self {
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{module}: {error}"));
        let mut scan = Self::default();
        scan.module(tokens, module);
        scan
    }

    fn module(&mut self, tokens: TokenStream, module: &str) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let declared = tokens.windows(2).filter(|pair| is(&pair[0], "mod"));
        let children: Vec<_> = declared.map(|pair| pair[1].to_string()).collect();
        self.tokens(&tokens, (module, &children));
    }

    /// Reads tokens in a module that declares `children`.
    fn tokens(&mut self, tokens: &[TokenTree], place: (&str, &[String])) {
        let mut at = 0;
        let mut is_test = false;
        let mut is_member = false;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            let next = rest.get(1);
            at += if is_punct(token, '#') {
                if next.is_some_and(is_cfg_test) {
                    is_test = true;
                    is_member = !begins_item(&rest[2..]);
                }
                2
            } else if is(token, "mod") {
                self.declaration(rest, place.0, is_test);
                3
            } else if is(token, "use") && !next.is_some_and(|next| is_punct(next, '<')) {
                // Not the `use<'a>` that lists what a type captures.
                let end = rest.iter().position(|token| is_punct(token, ';'));
                let end = end.unwrap_or(rest.len());
                self.tree(&rest[1..end], &[], place, is_test);
                end
            } else if is(token, "pub") {
                1 + usize::from(next.is_some_and(is_restriction))
            } else if let TokenTree::Ident(_) = token {
                let names = path(rest);
                if names.len() > 1 {
                    self.note(&names, place, is_test);
                }
                3 * names.len() - 2
            } else if let TokenTree::Group(group) = token {
                if !is_test {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    self.tokens(&inner, place);
                }
                1
            } else {
                1
            };
            // An attribute belongs to one item, or to one field, variant or arm, which ends here.
            let last = &tokens[at - 1];
            let is_end = is_punct(last, ';') || is_block(last) || is_member && is_punct(last, ',');
            is_test &= !is_end;
        }
    }

    /// Reads `mod name;` or `mod name {}`.
    fn declaration(&mut self, tokens: &[TokenTree], module: &str, is_test: bool) {
        let name = tokens[1].to_string();
        match &tokens[2] {
            TokenTree::Group(_) if is_test => {}
            TokenTree::Group(group) => self.module(group.stream(), &format!("{module}::{name}")),
            _ => self.children.push(Child { name, is_test }),
        }
    }

    /// Reads the tree of a `use`, all of whose paths begin with `stem`.
    fn tree(
        &mut self,
        tokens: &[TokenTree],
        stem: &[String],
        place: (&str, &[String]),
        is_test: bool,
    ) {
        for branch in tokens.split(|token| is_punct(token, ',')) {
            let mut names = stem.to_vec();
            let mut is_stem = branch.is_empty();
            for token in branch.iter().take_while(|token| !is(token, "as")) {
                // The rest are colons, and the star for everything.
                if let TokenTree::Ident(name) = token {
                    names.push(name.to_string());
                } else if let TokenTree::Group(group) = token {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    self.tree(&inner, &names, place, is_test);
                    is_stem = true;
                }
            }
            if !is_stem {
                self.note(&names, place, is_test);
            }
        }
    }

    fn note(&mut self, names: &[String], (module, children): (&str, &[String]), is_test: bool) {
        if !is_test {
            self.imports.push(whole(names, module, children));
        }
    }
}

/// The names of the path at the beginning.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut names = vec![tokens[0].to_string()];
    while let [first, second, TokenTree::Ident(name), ..] = &tokens[3 * names.len() - 2..]
        && is_punct(first, ':')
        && is_punct(second, ':')
    {
        names.push(name.to_string());
    }
    names
}

/// The whole path that these names stand for in `module`.
fn whole(names: &[String], module: &str, children: &[String]) -> String {
    let mut path = match &*names[0] {
        "self" | "super" => module.to_owned(),
        first if children.iter().any(|child| child == first) => module.to_owned(),
        _ => String::new(),
    };
    for name in names {
        match name.as_str() {
            // At the end of a `use`, too.
            "self" => {}
            "super" => path.truncate(path.rfind("::").expect("a module above")),
            _ if path.is_empty() => path.push_str(name),
            _ => path.extend(["::", name]),
        }
    }
    path
}

/// Whether it is `[cfg(test)]` or `[cfg(any(test, …))]`.
fn is_cfg_test(attribute: &TokenTree) -> bool {
    let text: String = attribute.to_string().split_whitespace().collect();
    text.starts_with("[cfg(test)") || text.starts_with("[cfg(any(test,")
}

/// Whether these are, after attributes, the tokens of an item or a statement: of one that does not
/// end at a comma.
fn begins_item(tokens: &[TokenTree]) -> bool {
    match tokens {
        [hash, _, rest @ ..] if is_punct(hash, '#') => begins_item(rest),
        [word, restriction, rest @ ..] if is(word, "pub") && is_restriction(restriction) => {
            begins_item(rest)
        }
        [word, rest @ ..] if is(word, "pub") => begins_item(rest),
        [first, ..] => ITEMS.iter().any(|word| is(first, word)),
        [] => false,
    }
}

const ITEMS: [&str; 15] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

/// Whether it restricts a `pub`.
fn is_restriction(token: &TokenTree) -> bool {
    let text = token.to_string();
    ["(crate)", "(super)", "(self)"].contains(&&*text) || text.starts_with("(in ")
}

fn is_block(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a source of the module `crate::feed::live` names.
    fn imports(text: &str) -> Vec<String> {
        Scan::of(text, "crate::feed::live").imports
    }

    #[test]
    fn every_form_of_a_path_is_read() {
        for text in [
            "use crate::tape::Tape;",
            "use crate::{tape::Tape};",
            "use super::super::tape::Tape;",
            "use super::super::{tape::{Tape}};",
            "pub use crate::tape::Tape;",
            "pub(in crate::feed) use crate::tape::Tape as Paper;",
            "fn f() { let tape = crate::tape::Tape; }",
            "fn f() -> Vec<crate::tape::Tape> { Vec::new() }",
            "fn f() { assert!(crate::tape::Tape); }",
            "impl From<super::super::tape::Tape> for X {}",
            "struct X(pub crate::tape::Tape);",
            "mod inner { use super::super::super::tape::Tape; }",
            "#[derive(Debug)] struct X { tape: crate::tape::Tape }",
            "#[cfg(test)] mod tests { } use crate::tape::Tape;",
            "#[cfg(test)] mod tests; use crate::tape::Tape;",
            "struct X { #[cfg(test)] pub(crate) a: u8, tape: crate::tape::Tape }",
            "enum X { #[cfg(test)] A(u8), Tape(crate::tape::Tape) }",
            "fn f() { match x { #[cfg(test)] 1 => 2, _ => crate::tape::Tape } }",
            "macro_rules! m { () => { $crate::tape::Tape } }",
        ] {
            let found = imports(text);
            assert!(
                found.contains(&"crate::tape::Tape".to_owned()),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn trees_are_read_to_their_ends() {
        let text = "use crate::{a::{b, c::*, self}, d, e as f,};";
        let expected = [
            "crate::a::b",
            "crate::a::c",
            "crate::a",
            "crate::d",
            "crate::e",
        ];
        assert_eq!(imports(text), expected);
    }

    #[test]
    fn children_need_no_prefix() {
        let text = "mod rest; use rest::Rest; fn f() { rest::ask(); other::ask(); self::g(); }";
        let [own, child] = ["crate::feed::live::g", "crate::feed::live::rest::ask"];
        let expected = ["crate::feed::live::rest::Rest", child, "other::ask", own];
        assert_eq!(imports(text), expected);
    }

    #[test]
    fn comments_texts_and_tests_do_not_count() {
        for text in [
            "/// [`crate::tape`]\nfn f() {}",
            "// use crate::tape;",
            "const X: &str = \"use crate::tape;\";",
            "pub(in crate::feed) fn f() {}",
            "#[cfg(test)] mod tests { use crate::tape::Tape; }",
            "#[cfg(test)] fn f() -> crate::tape::Tape { crate::tape::Tape }",
            "#[cfg(any(test, fuzzing))] use crate::tape::Tape;",
            "#[cfg(test)] #[must_use] pub(crate) fn f<A, B>(a: A) -> B { crate::tape::Tape }",
            "struct X { #[cfg(test)] tape: crate::tape::Tape, a: u8 }",
            "fn f() -> impl Fn() + use<'_> {}",
        ] {
            assert_eq!(imports(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn circles_are_found() {
        let module = |path: &str, imports: &[&str]| Module {
            path: path.to_owned(),
            file: PathBuf::new(),
            is_test: path.ends_with("tests"),
            imports: imports.iter().map(ToString::to_string).collect(),
        };
        let mut modules = vec![
            module("crate::a", &["crate::a::X", "crate::b::one::Y", "crate::c"]),
            module("crate::b", &["crate::b::two::Z"]),
            module("crate::b::one", &["crate::c", "std::fmt"]),
            module("crate::b::two", &["crate::b::one"]),
            module("crate::c", &[]),
            module("crate::c::tests", &["crate::a"]),
        ];
        assert_eq!(circle(&modules), [""; 0]);
        assert_eq!(circle_of_children(&modules, "crate"), [""; 0]);
        // No two files import each other, but two folders do.
        modules.push(module("crate::c::last", &["crate::b::two"]));
        assert_eq!(circle(&modules), [""; 0]);
        assert_eq!(circle_of_children(&modules, "crate"), ["b", "c"]);
        modules[4].imports.push("crate::b::two::Z".to_owned());
        assert_eq!(
            circle(&modules),
            ["crate::b::one", "crate::b::two", "crate::c"]
        );
    }
}
