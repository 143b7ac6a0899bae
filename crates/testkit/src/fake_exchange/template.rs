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

/// The values of placeholders in a matched message or target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    markets: Vec<String>,
    base: Option<String>,
    quote: Option<String>,
    /// The JSON of the id, to be sent back unchanged.
    pub(crate) id: Option<String>,
}

impl Captured {
    /// The markets. Two currencies that were named separately are one market, `BASE/QUOTE`.
    pub(crate) fn markets(&self) -> Vec<String> {
        let pair = self.base.iter().zip(&self.quote);
        let pair = pair.map(|(base, quote)| format!("{base}/{quote}"));
        self.markets.iter().cloned().chain(pair).collect()
    }
}

/// The values of the placeholders if `message` matches `template`, otherwise `None`.
///
/// `$id` is a number or a string, `$number` a number, `$any` any string; [`is_text_like`] lists the
/// others. An array of one item with a market matches one or more such items.
/// Members that the template lacks are ignored, which is what the exchanges do.
pub(crate) fn matches(template: &str, message: &str) -> Option<Captured> {
    let mut captured = Captured::default();
    is_like(&json(template), &json(message), &mut captured).then_some(captured)
}

/// A message as JSON. One that is not JSON is a plain text such as `ping`, unless it has the digits
/// of Socket.IO in front: `42["a"]` is then read as `[42,["a"]]`.
fn json(text: &str) -> Value {
    let plain = || Value::String(text.to_owned());
    serde_json::from_str(text).unwrap_or_else(|_| {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let (kind, rest) = text.split_at(digits);
        match (kind, serde_json::from_str::<Value>(rest)) {
            ("", _) | (_, Err(_)) => plain(),
            (kind, Ok(rest)) => Value::Array(vec![kind.into(), rest]),
        }
    })
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

/// Whether a text matches a template with at most one of these placeholders:
///
/// | placeholder | matches |
/// |---|---|
/// | `$any` | anything |
/// | `$number` | digits |
/// | `$market` | one market |
/// | `$list` | several, separated by commas |
/// | `$items` | several, separated by commas, each with the text around it |
/// | `$json` | a JSON array of them |
/// | `$base`, `$quote` | the two currencies of one |
///
/// A template that is JSON itself matches JSON in a string.
fn is_text_like(template: &str, text: &str, captured: &mut Captured) -> bool {
    let inside = |placeholder: &str| {
        let (before, after) = template.split_once(placeholder)?;
        let inside = text
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        Some(inside.filter(|inside| !inside.is_empty()))
    };
    if template.starts_with(['{', '[']) {
        return is_like(&json(template), &json(text), captured);
    }
    if template.contains("$items") {
        let each = template.replace("$items", "$market");
        return text
            .split(',')
            .all(|item| is_text_like(&each, item, captured));
    }
    if let Some(base) = inside("$base") {
        captured.base = base.map(str::to_owned);
        return base.is_some();
    }
    if let Some(quote) = inside("$quote") {
        captured.quote = quote.map(str::to_owned);
        return quote.is_some();
    }
    if let Some(list) = inside("$list") {
        let markets = list.into_iter().flat_map(|list| list.split(','));
        captured.markets.extend(markets.map(str::to_owned));
        return list.is_some();
    }
    if let Some(market) = inside("$market") {
        captured.markets.extend(market.map(str::to_owned));
        return market.is_some();
    }
    match template {
        "$any" => true,
        "$number" => text.bytes().all(|byte| byte.is_ascii_digit()),
        "$json" => {
            let markets = serde_json::from_str::<Vec<String>>(text);
            captured.markets.extend(markets.iter().flatten().cloned());
            markets.is_ok()
        }
        _ => template == text,
    }
}

/// The values of the placeholders if `target`, the path and query of a request, matches `template`.
///
/// Each segment and parameter may have one placeholder; [`is_text_like`] lists them. The query
/// must have exactly the parameters of the template; only one whose value is `$each`, which is a
/// market, may be repeated.
pub(crate) fn matches_target(template: &str, target: &str) -> Option<Captured> {
    let parts = |text: &str| {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let segments: Vec<_> = path.split('/').map(decoded).collect();
        (segments, query)
    };
    let ((segments, query), (asked_segments, asked_query)) = (parts(template), parts(target));
    let mut captured = Captured::default();
    let mut pairs = segments.iter().zip(&asked_segments);
    let has_path = segments.len() == asked_segments.len()
        && pairs.all(|(segment, asked)| is_text_like(segment, asked, &mut captured));
    let mut unasked = asked_query.len();
    let mut parameters = query.iter();
    let has_query = parameters.all(|(name, value)| {
        let asked = asked_query.iter().filter(|(asked, _)| asked == name);
        let asked: Vec<_> = asked.map(|(_, value)| value).collect();
        unasked -= asked.len();
        let (value, is_right) = match value.as_str() {
            "$each" => ("$market", !asked.is_empty()),
            value => (value, asked.len() == 1),
        };
        let mut asked = asked.into_iter();
        is_right && asked.all(|asked| is_text_like(value, asked, &mut captured))
    });
    (has_path && has_query && unasked == 0).then_some(captured)
}

fn decoded(segment: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(segment);
    bytes.decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markets(captured: Option<Captured>) -> Vec<String> {
        captured.map_or_else(Vec::new, |captured| captured.markets())
    }

    #[test]
    fn messages_name_markets_in_many_ways() {
        for (template, message, expected) in [
            (r#"{"a":["t.$market"]}"#, r#"{"a":["t.x","t.y"]}"#, "x y"),
            (r#"{"a":"t:$list"}"#, r#"{"a":"t:x,y","more":1}"#, "x y"),
            (r#"{"a":"t:$items"}"#, r#"{"a":"t:x,t:y"}"#, "x y"),
            (
                r#"{"b":"$base","q":{"q":"$quote"}}"#,
                r#"{"b":"x","q":{"q":"y"}}"#,
                "x/y",
            ),
            (r#"42["join","t_$market"]"#, r#"42["join","t_x"]"#, "x"),
            (
                r#"{"o":"{\"m\":\"$market\"}"}"#,
                r#"{"o":"{ \"m\" : \"x\" }"}"#,
                "x",
            ),
        ] {
            let captured = markets(matches(template, message));
            assert_eq!(captured.join(" "), expected, "{template}");
        }
        assert!(matches(r#"42["a"]"#, r#"43["a"]"#).is_none());
        assert!(matches("3", "3").is_some() && matches("ping", "ping").is_some());
    }

    #[test]
    fn targets_have_the_parameters_of_the_template_and_no_others() {
        for (template, target, expected) in [
            ("/a/$market?x=1", "/a/B%2FC?x=1", "B/C"),
            ("/a?s=$list", "/a?s=x,y", "x y"),
            ("/a?s=$json", "/a?s=%5B%22x%22%5D", "x"),
            ("/a/$quote/$base", "/a/KRW/BTC", "BTC/KRW"),
            ("/a?id=$each&t=$number", "/a?id=x&t=17&id=y", "x y"),
        ] {
            let captured = markets(matches_target(template, target));
            assert_eq!(captured.join(" "), expected, "{template}");
        }
        for target in ["/a", "/a?s=x&t=1", "/a?s=x&s=y", "/b?s=x", "/a/?s=x"] {
            assert!(matches_target("/a?s=$market", target).is_none(), "{target}");
        }
    }
}
