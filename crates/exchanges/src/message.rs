//! The messages that are sent to a stream: JSON with placeholders.

use serde::Deserialize;
use serde_json::Value;

use super::json::{Node, Pointer};
use super::template::{Market, Template};

/// A message to send: a text if it is a string, else JSON whose strings are templates.
///
/// An array item that contains `{market}` is repeated for each market. If `{market}` is in no
/// array, there is one message per market. A string that consists of `{now_s}`, `{now_ms}` or
/// `{id}` becomes a number: the Unix time, or the number of the message. One that consists of a
/// pointer, `{/ping}`, becomes that value of the message being answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Message(Value);

/// The values for the placeholders of a message.
#[derive(Clone, Copy, Default)]
pub(super) struct Context<'a> {
    pub(super) now_ms: u64,
    pub(super) id: u64,
    pub(super) markets: &'a [Market],
    pub(super) answered: Option<&'a Node<'a>>,
}

impl Message {
    /// Refuses unknown placeholders.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut checked = Ok(());
        each_string(&self.0, &mut |text| {
            let placeholders = Template::parse(text).and_then(|template| {
                match text.strip_prefix("{/").and_then(|_| pointer_of(text)) {
                    Some(pointer) => Pointer::parse(pointer).map(drop),
                    None => template.allow(&["market", "now_s", "now_ms", "id"]),
                }
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
        Value::Array(items) => {
            out.push('[');
            let mut separator = "";
            for item in items {
                let is_template = market.is_none() && mentions_market(item);
                let markets = context.markets.iter().map(Some);
                let copies: Vec<_> = if is_template {
                    markets.collect()
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
        Value::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                render(value, context, market, out);
            }
            out.push('}');
        }
        Value::String(text) => render_string(text, context, market, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

fn render_string(text: &str, context: Context<'_>, market: Option<&Market>, out: &mut String) {
    let is_number = matches!(text, "{now_s}" | "{now_ms}" | "{id}");
    if is_number {
        out.push_str(&fill(text, context, None));
    } else if let Some(pointer) = pointer_of(text) {
        let answered = context.answered.zip(Pointer::parse(pointer).ok());
        let value = answered.and_then(|(answered, pointer)| answered.find(&pointer));
        out.push_str(value.unwrap_or("null"));
    } else {
        out.push_str(&Value::from(fill(text, context, market)).to_string());
    }
}

/// Fills the placeholders of one text, the market last, so that its name is never taken for a
/// template.
fn fill(text: &str, context: Context<'_>, market: Option<&Market>) -> String {
    let text = text
        .replace("{now_s}", &(context.now_ms / 1000).to_string())
        .replace("{now_ms}", &context.now_ms.to_string())
        .replace("{id}", &context.id.to_string());
    match market {
        Some(market) => text.replace("{market}", market.as_str()),
        None => text,
    }
}

fn pointer_of(text: &str) -> Option<&str> {
    let pointer = text.strip_prefix('{')?.strip_suffix('}')?;
    pointer.starts_with('/').then_some(pointer)
}

/// Whether it contains `{market}` outside of any array.
fn mentions_market(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{market}"),
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
    use crate::template::SymbolFormat;

    fn message(text: &str) -> Message {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn unknown_holes_are_refused() {
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
    }

    #[test]
    fn a_reply_repeats_values_as_they_were_sent() {
        let answered = Node::parse(r#"{"ping":18446744073709551616.50}"#).unwrap();
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
