//! Strings that are not copied.

use std::borrow::Cow;

use serde::Deserialize;

/// The text of a JSON string, borrowed if it has no escapes; a plain `Cow<str>` would always copy.
#[derive(Deserialize)]
pub struct JsonText<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl AsRef<str> for JsonText<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
