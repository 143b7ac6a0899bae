//! The samples in `tests/data`: answers and messages of exchanges, recorded or documented.
#![allow(dead_code, reason = "each test file uses a part")]

use exchanges::Symbol;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(crate) struct Answer<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) symbols: Vec<String>,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) many: bool,
    #[serde(borrow)]
    pub(crate) body: Option<&'a RawValue>,
    pub(crate) text: Option<String>,
    pub(crate) expect: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Conversation<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) symbols: Vec<String>,
    pub(crate) subscribe: Vec<String>,
    pub(crate) ping: Option<String>,
    #[serde(borrow)]
    pub(crate) messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) message: Option<&'a RawValue>,
    pub(crate) text: Option<String>,
    /// The bytes of one that is not text.
    pub(crate) hex: Option<String>,
    pub(crate) means: String,
}

pub(crate) fn answers() -> Vec<Answer<'static>> {
    serde_json::from_str(include_str!("../data/exchange_answers.json")).unwrap()
}

pub(crate) fn conversations() -> Vec<Conversation<'static>> {
    serde_json::from_str(include_str!("../data/exchange_streams.json")).unwrap()
}

pub(crate) fn symbols(texts: &[impl AsRef<str>]) -> Vec<Symbol> {
    let texts = texts.iter();
    texts.map(|text| text.as_ref().parse().unwrap()).collect()
}
