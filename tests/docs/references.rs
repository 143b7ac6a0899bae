//! What the documents refer to is there: files, headings, metrics.

use std::collections::BTreeSet;
use std::path::Path;

use exchanges::Catalogue;
use testkit::ServerProcess;

use crate::markdown::{document, documents, root};

#[test]
fn the_documents_know_how_many_exchanges_there_are() {
    let count = Catalogue::builtin().iter().count().to_string();
    let mut stated = 0;
    for page in documents() {
        let words: Vec<_> = page.text.split_whitespace().collect();
        for pair in words.windows(2) {
            if pair[1].starts_with("exchanges") && pair[0].parse::<usize>().is_ok() {
                assert_eq!(pair[0], count, "{}: {} {}", page.name, pair[0], pair[1]);
                stated += 1;
            }
        }
    }
    assert!(stated > 0);
}

#[test]
fn every_link_leads_somewhere() {
    for page in documents() {
        let folder = Path::new(&page.name).parent().unwrap();
        for (place, target) in page.links() {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = root().join(folder).join(file);
            assert!(file.is_empty() || path.exists(), "{place}: {target}");
            if !anchor.is_empty() {
                let other = match file {
                    "" => document(&page.name),
                    file => document(folder.join(file).to_str().unwrap()),
                };
                assert!(
                    other.anchors().iter().any(|known| known == anchor),
                    "{place}: {target}"
                );
            }
        }
    }
}

#[test]
fn every_file_that_is_named_is_there() {
    let folders = [
        "src/", "crates/", "tests/", "benches/", "scripts/", "docs/", "fuzz/",
    ];
    for document in documents() {
        for (place, span) in document.spans() {
            let path = span.split(' ').next().unwrap();
            // What `cargo fuzz` leaves is not there from the start.
            let is_path = folders.iter().any(|folder| path.starts_with(folder));
            if is_path && !path.starts_with("fuzz/artifacts") {
                assert!(root().join(path).exists(), "{place}: {path}");
            }
        }
    }
}

#[test]
fn the_metrics_in_the_table_are_those_that_are_served() {
    let operating = document("docs/operating.md");
    let rows = operating.rows();
    let table = rows.iter().filter(|(head, _)| head[0] == "metric");
    let names = table.flat_map(|(_, cells)| cells[0].split('`').skip(1).step_by(2));
    let documented: BTreeSet<_> = names.map(|name| name.split('{').next().unwrap()).collect();
    // A source whose prices never come has every series that an exchange has.
    let arguments = [
        "--source",
        "http://127.0.0.1:9/",
        "--price",
        "/p",
        "--symbols",
        "A/B",
    ];
    let server = ServerProcess::start(env!("CARGO_BIN_EXE_server"), &arguments);
    let page = server.metrics();
    let families = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE tickertape_"));
    let served: BTreeSet<_> = families
        .map(|family| family.split(' ').next().unwrap())
        .collect();
    assert_eq!(documented, served);
}

/// The map of CONTRIBUTING.md: indented names, each a file or a folder of the one above.
#[test]
fn the_map_shows_what_there_is() {
    let blocks = document("CONTRIBUTING.md").blocks();
    let map = blocks
        .iter()
        .find(|block| block.language == "text")
        .unwrap();
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut count = 0;
    for line in map.text.lines() {
        let depth = line.len() - line.trim_start().len();
        let column = line.trim_start().split("  ").next().unwrap();
        above.retain(|(other, _)| *other < depth);
        let folder: String = above.iter().map(|(_, name)| *name).collect();
        for name in column.split([',', ' ']).filter(|name| !name.is_empty()) {
            let path = root().join(format!("{folder}{name}"));
            let exists = path.exists() || path.with_extension("rs").exists();
            assert!(exists, "{}: {folder}{name}", map.place);
            count += 1;
        }
        if column.ends_with('/') && !column.contains([',', ' ']) {
            above.push((depth, column));
        }
    }
    assert!(count > 50, "{count}");
}
