//! Conditions on an answer or a message, as catalogue entries write them.
//!
//! ```text
//! /code                 the value exists and is not null
//! !/code                the opposite; works with every test below: !/code = 0
//! /code = 0 | 200000    its text is one of these (a string without its quotes)
//! /topic ^= tickers.    its text begins with this
//! /msg *= too many      its text contains this
//! status = 404          the same tests on the HTTP status
//! text = pong           and on the whole body or message
//! A and B               both hold
//! ```

use std::borrow::Cow;

use serde::Deserialize;

use super::document::{Document, Value};
use super::json::Pointer;

/// A condition: clauses that must all hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Condition(Vec<Clause>);

#[derive(Clone, Debug)]
struct Clause {
    subject: Subject,
    test: Test,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Subject {
    Status,
    Text,
    Value(Pointer),
}

#[derive(Clone, Debug)]
enum Test {
    Present,
    /// Whether the comparison holds with one of the values.
    Compare(Operator, Vec<String>),
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Equals,
    Begins,
    Contains,
}

/// What conditions are evaluated on.
pub(super) struct Inputs<'a> {
    /// The HTTP status; `None` for messages of a stream.
    pub(super) status: Option<u16>,
    /// The whole body or message.
    pub(super) text: &'a str,
    /// The same with its structure, if it has one.
    pub(super) document: Option<&'a Document<'a>>,
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(" and ").map(Clause::parse).collect()
    }

    /// Whether all its clauses hold.
    pub(super) fn holds(&self, inputs: &Inputs<'_>) -> bool {
        self.0.iter().all(|clause| clause.holds(inputs))
    }
}

impl FromIterator<Clause> for Condition {
    fn from_iter<I: IntoIterator<Item = Clause>>(clauses: I) -> Self {
        Self(clauses.into_iter().collect())
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Clause {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (negated, text) = match text.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, text),
        };
        for (sign, operator) in [
            (" ^= ", Operator::Begins),
            (" *= ", Operator::Contains),
            (" = ", Operator::Equals),
        ] {
            if let Some((subject, values)) = text.split_once(sign) {
                let values = values.split('|').map(|value| value.trim().to_owned());
                return Ok(Self {
                    subject: Subject::parse(subject)?,
                    test: Test::Compare(operator, values.collect()),
                    negated,
                });
            }
        }
        Ok(Self {
            subject: Subject::parse(text)?,
            test: Test::Present,
            negated,
        })
    }

    fn holds(&self, inputs: &Inputs<'_>) -> bool {
        let value = self.subject.value(inputs);
        let holds = match (&self.test, &value) {
            (Test::Present, value) => !matches!(value, Value::Missing | Value::Null),
            (Test::Compare(operator, values), Value::Text(text)) => {
                let mut values = values.iter();
                values.any(|value| operator.compare(text, value))
            }
            (Test::Compare(..), _) => false,
        };
        holds != self.negated
    }
}

impl Operator {
    fn compare(self, text: &str, value: &str) -> bool {
        match self {
            Self::Equals => text == value,
            Self::Begins => text.starts_with(value),
            Self::Contains => text.contains(value),
        }
    }
}

impl Subject {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "status" => Ok(Self::Status),
            "text" => Ok(Self::Text),
            // A blank is far more often a misspelled operator than part of a key.
            pointer if pointer.starts_with('/') && !pointer.contains(' ') => {
                Ok(Self::Value(Pointer::parse(pointer)?))
            }
            other => Err(format!(
                "invalid condition '{other}': expected something like /code = 0, status = 404 or \
                 text = pong"
            )),
        }
    }

    fn value<'a>(&self, inputs: &Inputs<'a>) -> Value<'a> {
        match self {
            Self::Status => inputs.status.map_or(Value::Missing, |status| {
                Value::Text(Cow::Owned(status.to_string()))
            }),
            Self::Text => Value::Text(Cow::Borrowed(inputs.text)),
            Self::Value(pointer) => inputs
                .document
                .map_or(Value::Missing, |document| document.value(pointer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Node;

    fn holds(condition: &str, status: u16, text: &str) -> bool {
        let document = Node::parse(text).ok().map(Document::Json);
        let inputs = Inputs {
            status: Some(status),
            text,
            document: document.as_ref(),
        };
        Condition::parse(condition).unwrap().holds(&inputs)
    }

    #[test]
    fn clauses_test_status_text_and_values() {
        let body = r#"{"code":"0","n":-1121,"e":["EQuery:Unknown"],"no":null,"ok":false}"#;
        for condition in [
            "/code = 0",
            "/n = 5 | -1121",
            "/e/0 ^= EQuery",
            "/e/0 *= Unknown",
            "/e",
            "!/no",
            "!/other",
            "/ok = false",
            "status = 404 | 400 and /code",
            "text *= EQuery:",
            "!/n = 5",
            "!/other = 5",
        ] {
            assert!(holds(condition, 400, body), "{condition}");
        }
        for condition in [
            "/code = 00",
            "/e = EQuery:Unknown",
            "/no",
            "!/code",
            "!/code = 0",
            "/code = 0 and status = 200",
        ] {
            assert!(!holds(condition, 400, body), "{condition}");
        }
        assert!(holds("text = pong", 200, "pong"));
    }

    #[test]
    fn invalid_conditions_are_errors() {
        for text in [
            "",
            "code = 0",
            "/a and",
            "!",
            "/a == 1",
            "status = 1 and nothing",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
