//! Where a field is found in a message.

use std::fmt;

use exchanges::json::{Pointer, descend};

/// The path to a field: a member's name, or a JSON pointer (RFC 6901) to a deeper value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Pointer);

impl Field {
    /// The member called `name`.
    pub(crate) fn name(name: &str) -> Self {
        Self(Pointer::to_member(name))
    }

    /// The name of the outermost member.
    pub(crate) fn first(&self) -> &str {
        &self.0.tokens()[0]
    }

    /// Whether the outermost step is a position in a list.
    pub(crate) fn begins_with_position(&self) -> bool {
        self.first().bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Reads a name, or a pointer if the text begins with a slash.
    ///
    /// # Errors
    /// A sentence that shows a valid field.
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

    /// The member's name, if the field is not nested deeper.
    pub(crate) fn as_name(&self) -> Option<&str> {
        match self.0.tokens() {
            [name] => Some(name),
            _ => None,
        }
    }

    /// Follows the path from the JSON text of the outermost member to the text of the field.
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
