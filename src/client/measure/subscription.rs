//! How a list is put to the server: as `symbols=` of the URL, and what that has no room for by
//! `subscribe` requests behind the upgrade.
//!
//! The URL always has some of it: a connection that names no symbol would be sent all of them.

use crate::client::config::url::{self, Url};

/// How much of its list a connection has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) struct Asked {
    /// Symbols that it has asked for.
    pub(in crate::client) symbols: usize,
    answer: Answer,
}

/// What has become of the last request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Answer {
    /// There was none, or its answer has been seen to.
    #[default]
    None,
    Awaited,
    /// It came just now.
    Came,
    /// The server refused it, so nothing more is asked for.
    Refused,
}

impl Asked {
    /// With a request under way, behind which `symbols` will have been asked for.
    pub(in crate::client) fn waiting(symbols: usize) -> Self {
        let answer = Answer::Awaited;
        Self { symbols, answer }
    }

    /// Notes that the server has answered.
    pub(in crate::client) fn on_answer(&mut self, is_error: bool) {
        self.answer = match is_error {
            true => Answer::Refused,
            false => Answer::Came,
        };
    }

    /// Whether an answer has just come.
    pub(in crate::client) fn take_answered(&mut self) -> bool {
        let came = self.answer == Answer::Came;
        if came {
            self.answer = Answer::None;
        }
        came
    }

    /// Whether the server has yet to answer.
    pub(in crate::client) fn is_unanswered(&self) -> bool {
        self.answer == Answer::Awaited
    }

    /// Whether nothing more of a list of `count` symbols is to be asked for now.
    pub(in crate::client) fn is_over(&self, count: usize) -> bool {
        self.answer != Answer::None || self.symbols >= count
    }
}

/// The id of all requests for lists, as JSON: a connection has one of them under way at most.
pub(in crate::client) const REQUEST_ID: &str = r#""watch""#;

/// How long the `symbols=` of `url` may be.
pub(in crate::client) fn query_room(url: &Url) -> usize {
    TARGET_LENGTH_MAX.saturating_sub(url.target().len() + SINCE_LENGTH_MAX)
}

/// As many of `names` as a query of the length `room` has room for, one at least, encoded; and how
/// many those are.
pub(in crate::client) fn query(names: &[&str], room: usize) -> (String, usize) {
    let mut query = String::new();
    for (count, name) in names.iter().enumerate() {
        let length = query.len();
        if count > 0 {
            query.push(',');
        }
        query.extend(url::encoded(name));
        if count > 0 && query.len() > room {
            query.truncate(length);
            return (query, count);
        }
    }
    (query, names.len())
}

/// A request for the symbols in `names` from the place `from` on, one at least; and the place
/// behind those that it has room for.
pub(in crate::client) fn request(names: &[&str], from: usize) -> (String, usize) {
    let mut text = format!(r#"{{"op":"subscribe","id":{REQUEST_ID},"symbols":["#);
    for (place, name) in names.iter().enumerate().skip(from) {
        let length = text.len();
        if place > from {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(*name).to_string());
        if place > from && text.len() + END.len() > REQUEST_LENGTH_MAX {
            text.truncate(length);
            return (text + END, place);
        }
    }
    (text + END, names.len())
}

const END: &str = "]}";

/// What every server and proxy should take (RFC 9110, section 4.1).
const TARGET_LENGTH_MAX: usize = 8_000;

/// `&since=` and `&symbols=` with a stamp in µs.
const SINCE_LENGTH_MAX: usize = 7 + 20 + 9;

/// What our own server takes from a client in one message.
const REQUEST_LENGTH_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("sim:S{n}/USDT")).collect()
    }

    #[test]
    fn a_short_list_is_in_the_url() {
        let names = ["sim:A/B", "a b&c=d+é%"];
        let asked = query(&names, 100);
        assert_eq!(asked, ("sim:A/B,a%20b%26c%3Dd%2B%C3%A9%25".to_owned(), 2));
    }

    #[test]
    fn what_has_no_room_in_the_url_is_asked_for_in_several_requests() {
        let names = names(2_000);
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let url = Url::parse("ws://h/path?every=1s").unwrap();
        let (query, mut asked) = query(&names, query_room(&url));
        let target = url.target_for(Some(u64::MAX), &query);
        assert!((7_980..=8_000).contains(&target.len()), "{}", target.len());
        assert_eq!(query, names[..asked].join(","));
        let mut requests = 0;
        while asked < names.len() {
            let (text, next) = request(&names, asked);
            assert!(text.len() <= 4096);
            let request: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(request["op"], "subscribe");
            assert_eq!(request["id"].to_string(), REQUEST_ID);
            assert_eq!(request["symbols"], Value::from(names[asked..next].to_vec()));
            assert!(next == names.len() || text.len() > 4_070, "{}", text.len());
            (asked, requests) = (next, requests + 1);
        }
        assert_eq!(requests, 6);
    }

    proptest! {
        #[test]
        fn every_name_is_asked_for_once(
            names in proptest::collection::vec("\\PC{1,300}", 1..60), room in 0_usize..2_000,
        ) {
            let names: Vec<_> = names.iter().map(|name| name.replace(',', ".")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let (query, mut asked) = query(&names, room);
            let decoded = percent_encoding::percent_decode_str(&query).decode_utf8().unwrap();
            let mut found: Vec<_> = decoded.split(',').map(str::to_owned).collect();
            prop_assert_eq!(found.len(), asked);
            prop_assert!(query.len() <= room || asked == 1);
            while asked < names.len() {
                let (text, next) = request(&names, asked);
                let request: Value = serde_json::from_str(&text).unwrap();
                let more = request["symbols"].as_array().unwrap();
                found.extend(more.iter().map(|name| name.as_str().unwrap().to_owned()));
                prop_assert!(text.len() <= 4096 || next == asked + 1);
                asked = next;
            }
            prop_assert_eq!(found, names);
        }
    }
}
