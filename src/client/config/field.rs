//! Where in a message a field is.

use std::fmt;

use exchanges::json::{Pointer, descend};

/// The place of a field: the name of a member, or a JSON pointer (RFC 6901) to a deeper one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Pointer);

impl Field {
    /// The member of this name.
    pub(crate) fn name(name: &str) -> Self {
        Self(Pointer::to_member(name))
    }

    /// The name of its outermost member.
    pub(crate) fn first(&self) -> &str {
        &self.0.tokens()[0]
    }

    /// Whether its outermost part is a position in a list.
    pub(crate) fn begins_with_position(&self) -> bool {
        self.first().bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Reads a name, or a pointer, which begins with a slash.
    ///
    /// # Errors
    /// A sentence that shows a valid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pointer = if text.starts_with('/') {
            Pointer::parse(text)?
        } else {
            Pointer::to_member(text)
        };
        if pointer.tokens().iter().any(String::is_empty) {
            return Err(format!(
                "invalid field '{text}': expected something like sent or /data/sent"
            ));
        }
        Ok(Self(pointer))
    }

    /// Its name, if it is no deeper than that.
    pub(crate) fn as_name(&self) -> Option<&str> {
        match self.0.tokens() {
            [name] => Some(name),
            _ => None,
        }
    }

    /// From the JSON text of the outermost member to that of the field itself.
    pub(crate) fn descend<'a>(&self, text: &'a str) -> Option<&'a str> {
        descend(text, &self.0.tokens()[1..])
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}
