//! Holds the direction of imports: a room knows only those below it, and no files of a room import
//! each other in a circle. `server` and `client` have tables of their own for their rooms.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the bottom up, each with those that it may import. `fuzzing` is for tests.
const ROOMS: [(&str, &[&str]); 14] = [
    ("tick", &[]),
    ("frame", &[]),
    ("tape", &[]),
    ("error_text", &[]),
    ("backoff", &[]),
    ("token_bucket", &[]),
    ("writable", &[]),
    ("cli", &["error_text"]),
    ("process", &["tick"]),
    ("log", &["token_bucket", "writable"]),
    ("tls", &["error_text"]),
    ("http_client", &["error_text", "tick", "tls"]),
    (
        "feed",
        &["backoff", "http_client", "tape", "tick", "token_bucket"],
    ),
    (
        "client",
        &[
            "backoff",
            "cli",
            "error_text",
            "frame",
            "http_client",
            "process",
            "tick",
            "tls",
            "writable",
        ],
    ),
];

/// What the server may not import: all else is below it.
const ABOVE_THE_SERVER: [&str; 1] = ["client"];

/// A module's path in the crate: `["feed", "live", "rest"]`.
type Module = Vec<String>;

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        return found.extend(path.is_file().then(|| path.to_owned()));
    }
    for entry in fs::read_dir(path).unwrap() {
        files(&entry.unwrap().path(), found);
    }
}

/// The files of a room: of its folder, of the file beside it, or of both.
fn files_of(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src.join(format!("{room}.rs")), &mut found);
    files(&src.join(room), &mut found);
    assert!(!found.is_empty(), "there is no {room}");
    found
}

/// The paths in a source text that begin with `prefix`, without it. Comments and visibilities are
/// left out.
fn paths<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let paths = lines.flat_map(|line| {
        line.match_indices(prefix).filter_map(|(start, _)| {
            let before = &line[..start];
            let is_whole =
                !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            let rest = &line[start + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':'));
            (is_whole && !before.ends_with("(in ")).then(|| &rest[..end.unwrap_or(rest.len())])
        })
    });
    paths.collect()
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let rooms = ROOMS.iter().map(|(room, may_import)| (*room, *may_import));
    let mut below = Vec::new();
    for (room, may_import) in rooms {
        let is_below = |import: &&str| below.contains(import);
        assert!(may_import.iter().all(is_below), "{room} looks up");
        below.push(room);
        for file in files_of(room) {
            for path in paths(&fs::read_to_string(&file).unwrap(), "crate::") {
                let imported = path.split(':').next().unwrap_or_default();
                let is_allowed =
                    [room, "fuzzing"].contains(&imported) || may_import.contains(&imported);
                assert!(
                    is_allowed,
                    "{} imports {imported}, which ROOMS in {} does not let {room} do",
                    file.display(),
                    file!()
                );
            }
        }
    }
    for file in files_of("server") {
        for path in paths(&fs::read_to_string(&file).unwrap(), "crate::") {
            let imported = path.split(':').next().unwrap_or_default();
            let is_above = ABOVE_THE_SERVER.contains(&imported);
            assert!(!is_above, "{} imports {imported}", file.display());
        }
    }
}

fn module_of(file: &Path) -> Module {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let parts = path.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The modules that the text of `module` imports, tests left out.
fn imports_of(module: &Module, text: &str, modules: &[Module]) -> Vec<Module> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let parent = &module[..module.len() - 1];
    let mut imports = Vec::new();
    for (prefix, start) in [
        ("crate::", &[][..]),
        ("self::", module),
        ("super::", parent),
    ] {
        for path in paths(code, prefix) {
            let mut full = start.to_vec();
            full.extend(path.split("::").map(str::to_owned));
            // The rest are names within a module.
            while !full.is_empty() && !modules.contains(&full) {
                full.pop();
            }
            imports.push(full);
        }
    }
    imports.retain(|import| !import.is_empty() && import != module);
    imports
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for room in ["feed", "http_client", "log"] {
        let is_test = |file: &PathBuf| {
            let name = file.file_stem().unwrap();
            ["tests", "testing", "properties"]
                .iter()
                .any(|it| name == *it)
        };
        let mut files = files_of(room);
        files.retain(|file| !is_test(file));
        let modules: Vec<Module> = files.iter().map(|file| module_of(file)).collect();
        let mut imports: BTreeMap<Module, Vec<Module>> = BTreeMap::new();
        for (file, module) in files.iter().zip(&modules) {
            let text = fs::read_to_string(file).unwrap();
            imports.insert(module.clone(), imports_of(module, &text, &modules));
        }
        // Takes away, again and again, what imports nothing that is left.
        while !imports.is_empty() {
            let left = imports.clone();
            let is_free = |imports: &[Module]| !imports.iter().any(|it| left.contains_key(it));
            imports.retain(|_, imports| !is_free(imports));
            assert!(imports.len() < left.len(), "a circle: {imports:#?}");
        }
    }
}
