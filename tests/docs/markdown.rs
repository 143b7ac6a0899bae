//! As much of Markdown as the documents use: blocks of code, spans of code, links, headings, tables.

use std::fs;
use std::path::{Path, PathBuf};

/// One of the documents.
pub(crate) struct Document {
    /// From the top of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A fenced block of code.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
    /// Where it is, for a test that fails.
    pub(crate) place: String,
}

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document: README.md, CONTRIBUTING.md, and all that is in docs/.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        paths.push(Path::new("docs").join(entry.unwrap().file_name()));
    }
    paths.sort();
    let read = |path: PathBuf| Document {
        text: fs::read_to_string(root().join(&path)).unwrap(),
        name: path.to_str().unwrap().to_owned(),
    };
    paths.into_iter().map(read).collect()
}

/// The document of that name.
pub(crate) fn document(name: &str) -> Document {
    let found = documents()
        .into_iter()
        .find(|document| document.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

/// The blocks of all documents in that language.
pub(crate) fn blocks_in(language: &str) -> Vec<Block> {
    let blocks = documents()
        .into_iter()
        .flat_map(|document| document.blocks());
    blocks.filter(|block| block.language == language).collect()
}

impl Document {
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(self.text.lines()) {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(language), None) => {
                    open = Some(Block {
                        language: language.to_owned(),
                        text: String::new(),
                        place: format!("{}:{number}", self.name),
                    });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name);
        blocks
    }

    /// The lines that are in no block, with their numbers.
    pub(crate) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut inside = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
    }

    /// What is in `backticks`, with its place. Spans do not cross lines here.
    pub(crate) fn spans(&self) -> Vec<(String, &str)> {
        let mut spans = Vec::new();
        for (number, line) in self.prose() {
            let place = format!("{}:{number}", self.name);
            let parts: Vec<_> = line.split('`').collect();
            assert!(parts.len() % 2 == 1, "{place}: a span of code has no end");
            let inside = parts.into_iter().skip(1).step_by(2);
            spans.extend(inside.map(|span| (place.clone(), span)));
        }
        spans
    }

    /// The targets of [links](links), with their places.
    pub(crate) fn links(&self) -> Vec<(String, &str)> {
        let each = self.prose().flat_map(|(number, line)| {
            let targets = line.split("](").skip(1);
            let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
            targets.map(move |target| (format!("{}:{number}", self.name), target))
        });
        each.collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose().filter(|(_, line)| line.starts_with('#'));
        let anchor = |(_, line): (usize, &str)| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        };
        headings.map(anchor).collect()
    }

    /// The rows of its tables, each with the table's head.
    pub(crate) fn rows(&self) -> Vec<(Vec<&str>, Vec<&str>)> {
        let mut rows = Vec::new();
        let mut head: Option<Vec<&str>> = None;
        for (_, line) in self.prose() {
            if !line.starts_with('|') {
                head = None;
                continue;
            }
            let cells = line.trim_matches('|').split('|').map(str::trim);
            let cells: Vec<_> = cells.collect();
            match &head {
                None => head = Some(cells),
                Some(_) if cells.iter().all(|cell| cell.trim_matches('-').is_empty()) => {}
                Some(head) => rows.push((head.clone(), cells)),
            }
        }
        rows
    }
}
