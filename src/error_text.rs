//! The words of errors, as parts of a sentence.

use std::io;

/// The error's text as a part of a sentence, without the number that std adds.
pub fn plain(error: &io::Error) -> String {
    plain_text(&error.to_string())
}

/// The same of any library's words.
pub(crate) fn plain_text(text: &str) -> String {
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut letters = text[..end].chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
