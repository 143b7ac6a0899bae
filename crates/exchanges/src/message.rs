//! The messages that are sent to a stream, and the bodies of requests: JSON with placeholders.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::document::Document;
use super::json::Pointer;
use super::template::{MARKET_PLACEHOLDERS, Market, Template};

/// A message to send: a text if it is a string, else JSON whose strings are templates.
///
/// An array item that contains a placeholder of a market (`{market}`, `{BASE}` and so on) is
/// repeated for each market. If such a placeholder is in no array, there is one message per market.
/// `{markets}` is all of them in one string. A string that consists of `{now_s}`, `{now_ms}` or
/// `{id}` becomes a number: the Unix time, or the number of the message. One that consists of a
/// pointer, `{/ping}`, becomes that value of the message being answered. An object whose only key
/// is `{json}` becomes a string that contains its value as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Message(Value);

/// The values for the placeholders of a message.
#[derive(Clone, Copy, Default)]
pub(super) struct Context<'a> {
    pub(super) now_ms: u64,
    pub(super) id: u64,
    pub(super) markets: &'a [Market],
    /// What `{markets}` stands for.
    pub(super) joined: &'a str,
    pub(super) answered: Option<&'a Document<'a>>,
}

impl Message {
    /// Refuses unknown placeholders.
    pub(super) fn check(&self) -> Result<(), String> {
        let own: &[&str] = &["markets", "now_s", "now_ms", "id"];
        let known = [MARKET_PLACEHOLDERS, own].concat();
        let mut checked = Ok(());
        each_string(&self.0, &mut |text| {
            let placeholders = Template::parse(text).and_then(|template| match pointer_of(text) {
                Some(pointer) => Pointer::parse(pointer).map(drop),
                None => template.allow(&known),
            });
            if checked.is_ok() {
                checked = placeholders;
            }
        });
        checked
    }

    /// Whether each market needs a message of its own.
    pub(super) fn is_per_market(&self) -> bool {
        mentions_market(&self.0)
    }

    /// Whether it is about markets at all.
    pub(super) fn mentions_markets(&self) -> bool {
        self.mentions(&[MARKET_PLACEHOLDERS, &["markets"]].concat())
    }

    /// Whether it has any of these placeholders.
    pub(super) fn mentions(&self, names: &[&str]) -> bool {
        let mut mentions = false;
        each_string(&self.0, &mut |text| {
            mentions |= Template::parse(text).is_ok_and(|template| template.mentions(names));
        });
        mentions
    }

    pub(super) fn render(&self, context: Context<'_>) -> String {
        let market = context.markets.first().filter(|_| self.is_per_market());
        if let Value::String(text) = &self.0 {
            return fill(text, context, market);
        }
        let mut out = String::new();
        render(&self.0, context, market, &mut out);
        out
    }
}

/// Writes `value` as JSON with its placeholders filled, those of a market from `market`.
fn render(value: &Value, context: Context<'_>, market: Option<&Market>, out: &mut String) {
    match value {
        Value::Array(items) => render_list(items, context, market, out),
        Value::Object(members) => render_object(members, context, market, out),
        Value::String(text) => render_string(text, context, market, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn render_list(items: &[Value], context: Context<'_>, market: Option<&Market>, out: &mut String) {
    out.push('[');
    let mut separator = "";
    for item in items {
        let is_template = market.is_none() && mentions_market(item);
        let copies: Vec<_> = if is_template {
            context.markets.iter().map(Some).collect()
        } else {
            vec![market]
        };
        for market in copies {
            out.push_str(separator);
            separator = ",";
            render(item, context, market, out);
        }
    }
    out.push(']');
}

fn render_object(
    members: &Map<String, Value>,
    context: Context<'_>,
    market: Option<&Market>,
    out: &mut String,
) {
    if let Some(value) = members.get("{json}").filter(|_| members.len() == 1) {
        let mut inner = String::new();
        render(value, context, market, &mut inner);
        return out.push_str(&Value::from(inner).to_string());
    }
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        render(value, context, market, out);
    }
    out.push('}');
}

fn render_string(text: &str, context: Context<'_>, market: Option<&Market>, out: &mut String) {
    let is_number = matches!(text, "{now_s}" | "{now_ms}" | "{id}");
    if is_number {
        out.push_str(&fill(text, context, None));
    } else if let Some(pointer) = pointer_of(text) {
        let answered = context.answered.zip(Pointer::parse(pointer).ok());
        let value = answered.and_then(|(answered, pointer)| answered.json(&pointer));
        out.push_str(value.unwrap_or("null"));
    } else {
        out.push_str(&Value::from(fill(text, context, market)).to_string());
    }
}

/// Fills the placeholders of one text in one pass: the name of a market is never taken for a
/// template.
fn fill(text: &str, context: Context<'_>, market: Option<&Market>) -> String {
    let Ok(template) = Template::parse(text) else {
        // A text with a lone brace; `check` refuses those.
        return text.to_owned();
    };
    template.fill(|name| match name {
        "now_s" => Some((context.now_ms / 1000).to_string()),
        "now_ms" => Some(context.now_ms.to_string()),
        "id" => Some(context.id.to_string()),
        "markets" => Some(context.joined.to_owned()),
        name => market.and_then(|market| market.value_of(name)),
    })
}

fn pointer_of(text: &str) -> Option<&str> {
    let pointer = text.strip_prefix('{')?.strip_suffix('}')?;
    pointer.starts_with('/').then_some(pointer)
}

/// Whether it contains a placeholder of a market outside of any array.
fn mentions_market(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            Template::parse(text).is_ok_and(|template| template.mentions(MARKET_PLACEHOLDERS))
        }
        Value::Object(members) => members.values().any(mentions_market),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn each_string(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_string(item, visit)),
        Value::Object(members) => members.values().for_each(|item| each_string(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Node;
    use crate::template::SymbolFormat;

    fn message(text: &str) -> Message {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        assert!(message(r#"{"a":["{markt}"]}"#).check().is_err());
        assert!(
            message(r#"{"pong":"{/ping}","t":"x {now_s}"}"#)
                .check()
                .is_ok()
        );
    }

    #[test]
    fn an_item_with_a_market_is_repeated() {
        let format: SymbolFormat = serde_json::from_str(r#"{"market":"{BASE}-{QUOTE}"}"#).unwrap();
        let markets: Vec<_> = ["BTC/USDT", "A\"B/{id}"]
            .map(|symbol| format.market(&symbol.parse().unwrap()))
            .to_vec();
        let context = Context {
            now_ms: 1_732_270_000_123,
            id: 7,
            markets: &markets,
            joined: "BTC-USDT+A/{id}",
            answered: None,
        };
        let nested = message(
            r#"[{"ticket":"t"},{"codes":["{market}"],"t":["{now_s}"],"id":"{id}","s":"n{id}"}]"#,
        );
        assert!(!nested.is_per_market());
        assert_eq!(
            nested.render(context),
            r#"[{"ticket":"t"},{"codes":["BTC-USDT","A\"B-{ID}"],"id":7,"s":"n7","t":[1732270000]}]"#
        );
        let args = message(r#"{"args":[{"instId":"{market}"}]}"#);
        assert_eq!(
            args.render(context),
            r#"{"args":[{"instId":"BTC-USDT"},{"instId":"A\"B-{ID}"}]}"#
        );
        let single = message(r#"{"topic":"/ticker:{market}"}"#);
        assert!(single.is_per_market());
        assert_eq!(single.render(context), r#"{"topic":"/ticker:BTC-USDT"}"#);
        let plain = message(r#""SUB {market} {id}""#);
        assert!(plain.is_per_market());
        assert_eq!(plain.render(context), "SUB BTC-USDT 7");
        let currencies = message(r#"{"topic":{"base":"{BASE}","quote":"{quote}"}}"#);
        assert!(currencies.is_per_market());
        assert_eq!(
            currencies.render(context),
            r#"{"topic":{"base":"BTC","quote":"usdt"}}"#
        );
        let joined = message(r#"{"topic":"/ticker:{markets}"}"#);
        assert!(!joined.is_per_market() && joined.mentions_markets());
        assert_eq!(
            joined.render(context),
            r#"{"topic":"/ticker:BTC-USDT+A/{id}"}"#
        );
        let inner = message(r#"{"m":0,"o":{"{json}":{"id":"{id}","s":"{market}"}}}"#);
        assert!(inner.is_per_market() && inner.check().is_ok());
        assert_eq!(
            inner.render(context),
            r#"{"m":0,"o":"{\"id\":7,\"s\":\"BTC-USDT\"}"}"#
        );
        assert!(!message(r#"{"op":"ping"}"#).mentions_markets());
    }

    #[test]
    fn a_reply_repeats_values_as_they_were_sent() {
        let answered = Node::parse(r#"{"ping":18446744073709551616.50}"#).unwrap();
        let answered = Document::Json(answered);
        let context = Context {
            answered: Some(&answered),
            ..Context::default()
        };
        let reply = message(r#"{"pong":"{/ping}","no":"{/other}"}"#);
        assert_eq!(
            reply.render(context),
            r#"{"no":null,"pong":18446744073709551616.50}"#
        );
        assert_eq!(message(r#""ping""#).render(context), "ping");
    }
}
