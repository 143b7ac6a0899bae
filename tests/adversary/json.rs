//! Requests: texts that are not JSON, or hard on a parser.
//!
//! The contract: an error answer and the connection stays; the id comes back as it came; every
//! answer is JSON itself.

use serde_json::value::RawValue;

use crate::cases::{self, Check};
use crate::fixture::Fixture;
use testkit::Peer;
use testkit::frames::frame;

/// A request, and what its answer must have in it.
struct Case {
    name: String,
    text: String,
    answer: String,
}

/// Runs all cases; returns what failed.
pub(crate) fn run(fixture: &Fixture) -> Vec<String> {
    let cases: Vec<_> = [nonsense(), deep(), ids(), fields()]
        .into_iter()
        .flatten()
        .collect();
    cases::run(
        "json",
        &cases,
        |case| &case.name,
        |case| case.check(fixture),
    )
}

impl Case {
    fn check(&self, fixture: &Fixture) -> Check {
        let mut peer = Peer::open(&fixture.address)?;
        let after = br#"{"op":"ping","id":"after"}"#;
        peer.send(&[frame(0x81, self.text.as_bytes()), frame(0x81, after)].concat());
        let is_answer = |first: u8, payload: &[u8]| {
            let has = |words: &[u8]| payload.windows(words.len()).any(|at| at == words);
            first == 0x81 && (has(br#"{"op":""#) || has(br#","id":"#))
        };
        let answer = peer.frame(is_answer)?;
        let answer = String::from_utf8(answer).map_err(|error| error.to_string())?;
        let is_json = serde_json::from_str::<&RawValue>(&answer).is_ok();
        cases::must(is_json, || format!("no JSON: {answer}"))?;
        let found = answer.contains(&self.answer);
        cases::must(found, || format!("{} is not in {answer:.300}", self.answer))?;
        cases::must(answer.len() < 5000, || format!("{} bytes", answer.len()))?;
        let next = String::from_utf8(peer.frame(is_answer)?).unwrap();
        let goes_on = next.starts_with(r#"{"op":"pong","id":"after""#);
        cases::must(goes_on, || format!("the next answer is {next}"))
    }
}

fn case(name: &str, text: impl Into<String>, answer: impl Into<String>) -> Case {
    Case {
        name: name.to_owned(),
        text: text.into(),
        answer: answer.into(),
    }
}

/// An error without an id.
const ERROR: &str = r#"{"op":"error","id":null,"#;

fn nonsense() -> Vec<Case> {
    let texts = [
        "",
        " ",
        "hello",
        "null",
        "true",
        "1",
        "\"ping\"",
        "[]",
        "[\"ping\"]",
        "{}",
        "{",
        "}",
        "{]",
        "{'op':'ping'}",
        "{op:\"ping\"}",
        "{\"op\":\"ping\",}",
        "{\"op\":\"ping\"}}",
        "{\"op\":\"ping\"}\n{\"op\":\"ping\"}",
        "/* */{\"op\":\"ping\"}",
        "\u{feff}{\"op\":\"ping\"}",
        "{\"op\":\"ping\"} \u{0}",
        "\u{0}",
        "{\"op\":\"pi\ng\"}",
        "{\"op\":NaN}",
        "{\"op\":Infinity}",
        "{\"op\":01}",
        "{\"op\":+1}",
        "{\"op\":.5}",
        "{\"op\":\"\\x41\"}",
        "{\"op\":\"\\u12\"}",
        "{\"op\":\"ping\",\"op\":\"ping\"}",
        "{\"op\":\"ping\",\"id\":1,\"id\":2}",
        "{\"op\":\"get\",\"symbol\":\"a\",\"symbol\":\"b\"}",
    ];
    texts
        .into_iter()
        .map(|text| case(&format!("{text:?}"), text, ERROR))
        .collect()
}

fn deep() -> Vec<Case> {
    let nested = |open: &str, close: &str, count| open.repeat(count) + &close.repeat(count);
    let id = |id: &str| format!(r#"{{"op":"ping","id":{id}}}"#);
    let lists = nested("[", "]", 2000);
    let objects = nested(r#"{"a":"#, "}", 600).replace(":}", ":1}");
    vec![
        case("2000 lists as a message", &lists, ERROR),
        case("4000 lists that never end", "[".repeat(4000), ERROR),
        case("600 objects as a message", &objects, ERROR),
        case(
            "2000 lists as an id",
            id(&lists),
            id(&lists).split_at(12).1.trim_end_matches('}'),
        ),
        case(
            "600 objects as an id",
            id(&objects),
            format!(r#""id":{objects},"#),
        ),
        case(
            "2000 lists as an op",
            format!(r#"{{"op":{lists},"id":1}}"#),
            r#"{"op":"error","id":1,"#,
        ),
        case(
            "lists as symbols",
            format!(r#"{{"op":"subscribe","symbols":{lists},"id":1}}"#),
            r#"{"op":"error","id":1,"#,
        ),
        case(
            "2000 lists where nobody looks",
            format!(r#"{{"op":"ping","x":{lists}}}"#),
            r#"{"op":"pong","#,
        ),
    ]
}

/// Whatever it is, it comes back as it came.
fn ids() -> Vec<Case> {
    let long = format!("\"{}\"", "x".repeat(3900));
    let digits = "9".repeat(3900);
    let ids = [
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1e999",
        "-1e-999",
        "1E+400",
        "12345678901234567890123",
        &digits,
        r#""""#,
        r#""a""#,
        r#""\"}""#,
        r#""\\""#,
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud83d\ude00""#,
        "\"\u{1f600}\"",
        "\"\u{2028}\"",
        r#""</script>""#,
        &long,
        "[]",
        "{}",
        "[ 1 , 2 ]",
        r#"{"a":[1,{"b":null}],"a":2}"#,
        r#"[1e999,"\ud800"]"#,
    ];
    let ids = ids.into_iter().flat_map(|id| {
        let echoed = |op| format!(r#"{{"op":"{op}","id":{id},"#);
        [
            case(
                &format!("ping {id:.40}"),
                format!(r#"{{"op":"ping","id":{id}}}"#),
                echoed("pong"),
            ),
            case(
                &format!("sell {id:.40}"),
                format!(r#"{{"op":"sell","id":{id}}}"#),
                echoed("error"),
            ),
            case(
                &format!("get {id:.40}"),
                format!(r#"{{"op":"get","symbol":"sim:BTC/USDT","id":{id}}}"#),
                format!(r#","id":{id}}}"#),
            ),
        ]
    });
    ids.collect()
}

fn fields() -> Vec<Case> {
    let error = r#"{"op":"error","id":7,"#;
    let bad = [
        r#""op":1"#,
        r#""op":null"#,
        r#""op":"PING""#,
        r#""op":"""#,
        r#""op":"\ud800""#,
        r#""op":["ping"]"#,
        r#""op":"get""#,
        r#""op":"get","symbol":1"#,
        r#""op":"get","symbol":"\ud800""#,
        r#""op":"get","symbol":"\u0000""#,
        r#""op":"get","symbol":[]"#,
        r#""op":"subscribe""#,
        r#""op":"subscribe","symbols":"sim:BTC/USDT""#,
        r#""op":"subscribe","symbols":{}"#,
        r#""op":"subscribe","symbols":[1]"#,
        r#""op":"subscribe","symbols":[null]"#,
        r#""op":"subscribe","symbols":["x"]"#,
        r#""op":"subscribe","symbols":["\ud800"]"#,
        r#""op":"unsubscribe","symbols":["x"]"#,
    ];
    let bad = bad.map(|fields| case(fields, format!(r#"{{{fields},"id":7}}"#), error));
    let many = vec!["\"sim:BTC/USDT\""; 250].join(",");
    let unknown = vec!["\"x\""; 900].join(",");
    let subscribe = |symbols: &str| format!(r#"{{"op":"subscribe","symbols":[{symbols}],"id":7}}"#);
    let others = [
        case(
            "ping in escapes",
            r#"{"\u006fp":"p\u0069ng","id":7}"#,
            r#"{"op":"pong","id":7,"#,
        ),
        case(
            "250 times the same symbol",
            subscribe(&many),
            r#"{"op":"subscribe","id":7,"#,
        ),
        case("900 unknown symbols", subscribe(&unknown), error),
        case("no symbols", subscribe(""), r#"{"op":"subscribe","id":7,"#),
        case(
            "fields that nobody knows",
            r#"{"op":"ping","__proto__":{},"id":7}"#,
            r#""id":7"#,
        ),
    ];
    bad.into_iter().chain(others).collect()
}
