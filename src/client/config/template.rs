//! The text of requests (`--request`).

use crate::client::config::field::Field;

/// The text of a request around its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    before: String,
    /// The text after the id; `None` if the request has no id.
    after: Option<String>,
}

impl Template {
    /// Reads a request, which may be any JSON text. `"$id"` in it stands for the id. An object
    /// without one gets a member `id`, unless replies come `in_order` and need none.
    ///
    /// # Errors
    /// A sentence about what is invalid.
    pub fn parse(text: &str, id: &Field, in_order: bool) -> Result<Self, String> {
        let text = text.trim();
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("invalid JSON: {error}"))?;
        if text.len() > LENGTH_MAX {
            return Err(format!("longer than {LENGTH_MAX} bytes"));
        }
        if let Some((before, after)) = text.split_once(PLACEHOLDER) {
            return if after.contains(PLACEHOLDER) {
                Err(format!("contains more than one {PLACEHOLDER}"))
            } else {
                Ok(Self::new(before, after))
            };
        }
        let Some(object) = value.as_object().filter(|_| !in_order) else {
            return Ok(Self {
                before: text.to_owned(),
                after: None,
            });
        };
        let Some(name) = id.as_name().filter(|name| !object.contains_key(*name)) else {
            return Err(format!(
                "does not say where its id goes, write {PLACEHOLDER} there"
            ));
        };
        let members = text.strip_suffix('}').unwrap_or(text).trim_end();
        let comma = if object.is_empty() { "" } else { "," };
        let name = serde_json::Value::from(name);
        Ok(Self::new(&format!("{members}{comma}{name}:"), "}"))
    }

    fn new(before: &str, after: &str) -> Self {
        Self {
            before: before.to_owned(),
            after: Some(after.to_owned()),
        }
    }

    /// Whether replies are matched by their id.
    pub(crate) fn has_id(&self) -> bool {
        self.after.is_some()
    }

    /// The text of the request with the given id.
    pub(crate) fn text(&self, id: u64) -> String {
        match &self.after {
            None => self.before.clone(),
            Some(after) => format!("{}{id}{after}", self.before),
        }
    }
}

const PLACEHOLDER: &str = r#""$id""#;

/// The longest request; servers have to accept it, too.
const LENGTH_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<String, String> {
        Template::parse(text, &Field::parse("id").unwrap(), false).map(|template| template.text(7))
    }

    #[test]
    fn an_object_without_an_id_gets_one() {
        for (text, sent) in [
            (r#"{"op":"ping"}"#, r#"{"op":"ping","id":7}"#),
            (" { } ", r#"{"id":7}"#),
            (r#"{"p":{"id":1} }"#, r#"{"p":{"id":1},"id":7}"#),
            (r#"{"p":{"i":"$id"}}"#, r#"{"p":{"i":7}}"#),
            (r#"["get","$id"]"#, r#"["get",7]"#),
            ("[1]", "[1]"),
            (r#""hi""#, r#""hi""#),
        ] {
            assert_eq!(template(text).as_deref(), Ok(sent));
        }
        let in_order = Template::parse("{}", &Field::parse("id").unwrap(), true).unwrap();
        assert!(!in_order.has_id());
        let elsewhere = Template::parse("{}", &Field::parse("req_id").unwrap(), false).unwrap();
        assert_eq!(elsewhere.text(7), r#"{"req_id":7}"#);
    }

    #[test]
    fn invalid_requests_are_named() {
        for (text, error) in [
            ("hi", "invalid JSON: expected value at line 1 column 1"),
            (
                r#"{"id":3}"#,
                r#"does not say where its id goes, write "$id" there"#,
            ),
            (r#"["$id","$id"]"#, r#"contains more than one "$id""#),
            (
                &format!("\"{}\"", "x".repeat(LENGTH_MAX)),
                "longer than 16384 bytes",
            ),
        ] {
            assert_eq!(template(text).unwrap_err(), error);
        }
    }
}
