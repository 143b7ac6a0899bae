//! A JSON string that is read without a copy.

use std::borrow::Cow;

use serde::Deserialize;

/// The text of a JSON string: borrowed where it has no escapes, which `Cow<str>` by itself would
/// never be.
#[derive(Deserialize)]
pub(crate) struct JsonText<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl AsRef<str> for JsonText<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
