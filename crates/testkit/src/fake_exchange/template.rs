//! Texts with placeholders such as `$last`: filled to make the fake exchange's messages, and
//! matched against received ones.

use serde_json::Value;

/// Fills the placeholders of `template` using `fill`. A placeholder is a dollar sign and letters.
pub(crate) fn fill(template: &str, fill: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('$') {
        out.push_str(text);
        let end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (name, after) = after.split_at(end.unwrap_or(after.len()));
        match fill(name) {
            Some(value) => out.push_str(&value),
            None => panic!("nothing fills ${name} of {template}"),
        }
        rest = after;
    }
    out + rest
}

/// The values of placeholders in a matched message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) markets: Vec<String>,
    /// The JSON of the id, to be sent back unchanged.
    pub(crate) id: Option<String>,
}

/// The values of the placeholders if `message` matches `template`, otherwise `None`.
///
/// `$market` is any part of a string, `$id` a number or a string, `$number` a number, `$any` any
/// string. An array of one item with a market matches one or more such items. Members that the
/// template lacks are ignored, which is what the exchanges do.
pub(crate) fn matches(template: &str, message: &str) -> Option<Captured> {
    // A message that is not JSON is a plain text such as `ping`.
    let json =
        |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let mut captured = Captured::default();
    is_like(&json(template), &json(message), &mut captured).then_some(captured)
}

fn is_like(template: &Value, value: &Value, captured: &mut Captured) -> bool {
    match (template, value) {
        (Value::String(template), _) if template == "$id" => {
            captured.id = Some(value.to_string());
            value.is_number() || value.is_string()
        }
        (Value::String(template), _) if template == "$number" => value.is_number(),
        (Value::String(template), Value::String(text)) => is_text_like(template, text, captured),
        (Value::Array(items), Value::Array(values)) => match items.as_slice() {
            [item] if item.to_string().contains("$market") => {
                !values.is_empty() && values.iter().all(|value| is_like(item, value, captured))
            }
            _ => {
                let mut pairs = items.iter().zip(values);
                items.len() == values.len()
                    && pairs.all(|(item, value)| is_like(item, value, captured))
            }
        },
        (Value::Object(members), Value::Object(values)) => members.iter().all(|(key, member)| {
            let value = values.get(key);
            value.is_some_and(|value| is_like(member, value, captured))
        }),
        _ => template == value,
    }
}

fn is_text_like(template: &str, text: &str, captured: &mut Captured) -> bool {
    if template == "$any" {
        return true;
    }
    let Some((before, after)) = template.split_once("$market") else {
        return template == text;
    };
    let market = text
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    captured.markets.extend(market.map(str::to_owned));
    market.is_some_and(|market| !market.is_empty())
}

/// The markets named by `target`, the path and query of a GET, if it matches `template`.
///
/// `$market` is one market, `$list` several, separated by commas, `$json` an array of them. The
/// query must have exactly the parameters of the template.
pub(crate) fn matches_target(template: &str, target: &str) -> Option<Vec<String>> {
    let parts = |text: &str| {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let segments: Vec<_> = path.split('/').map(decoded).collect();
        (segments, query)
    };
    let ((segments, query), (asked_segments, asked_query)) = (parts(template), parts(target));
    if segments.len() != asked_segments.len() || query.len() != asked_query.len() {
        return None;
    }
    let mut markets = Vec::new();
    for (segment, asked) in segments.iter().zip(&asked_segments) {
        markets.extend(placeholder(segment, asked)?);
    }
    for (name, value) in &query {
        let (_, asked) = asked_query.iter().find(|(asked, _)| asked == name)?;
        markets.extend(placeholder(value, asked)?);
    }
    Some(markets)
}

/// The markets in a value where the template has a placeholder; `None` if it does not match.
fn placeholder(template: &str, value: &str) -> Option<Vec<String>> {
    match template {
        "$market" => Some(vec![value.to_owned()]),
        "$list" => Some(value.split(',').map(str::to_owned).collect()),
        "$json" => serde_json::from_str(value).ok(),
        _ => (template == value).then(Vec::new),
    }
}

fn decoded(segment: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(segment);
    bytes.decode_utf8_lossy().into_owned()
}
