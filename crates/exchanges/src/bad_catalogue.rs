//! The error of reading a catalogue.

use std::fmt;

/// An invalid catalogue file; the text names the entry and the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCatalogue(pub(super) String);

impl fmt::Display for BadCatalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCatalogue {}
