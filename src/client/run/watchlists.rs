//! Draws a list of symbols for each client (`--watch`), and asks the server for them.
//!
//! No list is stored. The seed and the client's number among all clients of the run determine its
//! list, so a client that comes back draws the same list again, and the number of processes makes
//! no difference.

mod chances;

use fastrand::Rng;

use crate::client::config::Watch;
use crate::client::config::limits::too_few;
use crate::client::config::url::{self, Url};
use crate::client::measure::listener::REQUEST_ID;
use crate::client::measure::measurement::Watching;
use crate::client::run::watchlists::chances::Chances;

/// The symbols that all clients of a process draw their lists from.
#[derive(Debug)]
pub(crate) struct Watchlists {
    names: Vec<String>,
    chances: Chances,
    /// How many symbols a list has.
    count: usize,
    seed: u64,
    zipf: Option<f64>,
    /// The number of this process's first client among all clients of the run.
    first_client: usize,
}

impl Watchlists {
    /// Lists of the symbols `names`, as configured by `watch`.
    ///
    /// # Errors
    /// When there are fewer symbols than a list needs.
    pub(crate) fn new(
        names: Vec<String>,
        watch: &Watch,
        first_client: usize,
    ) -> Result<Self, String> {
        if names.len() < watch.count {
            let few = too_few(watch.count, names.len());
            return Err(format!("--watch: {few}"));
        }
        Ok(Self {
            chances: Chances::new(names.len(), watch.zipf.unwrap_or_default()),
            names,
            count: watch.count,
            seed: watch.seed.unwrap_or_default(),
            zipf: watch.zipf,
            first_client,
        })
    }

    /// How many symbols a list has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The description of the lists for a report.
    pub(crate) fn watching(&self) -> Watching {
        Watching {
            count: self.count,
            of: self.names.len(),
            seed: self.seed,
            zipf: self.zipf,
        }
    }

    /// The query that asks `url` for the list of this process's client `number`, or for as much of
    /// it as fits into a URL, and how many symbols that is.
    pub(crate) fn query(&mut self, url: &Url, number: usize) -> (String, usize) {
        let room = query_room(url);
        query(&self.draw(number), room)
    }

    /// The request for the symbols of the list from position `from` on, as many as fit into one
    /// message, and the position after them.
    pub(crate) fn request(&mut self, number: usize, from: usize) -> (String, usize) {
        request(&self.draw(number), from)
    }

    /// The list of this process's client `number`, in the order of the symbols.
    fn draw(&mut self, number: usize) -> Vec<&str> {
        let client = (self.first_client + number) as u64;
        let mut rng = Rng::with_seed(self.seed ^ (client + 1).wrapping_mul(GOLDEN_RATIO));
        let mut drawn = self.chances.draw(self.count, &mut rng);
        drawn.sort_unstable();
        drawn.iter().map(|&place| &*self.names[place]).collect()
    }
}

/// Spreads the numbers of clients over all seeds.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// How long `symbols=` may be in `url`.
pub(super) fn query_room(url: &Url) -> usize {
    TARGET_LENGTH_MAX.saturating_sub(url.target().len() + SINCE_LENGTH_MAX)
}

/// As many of `names`, encoded, as fit into a query of length `room`, but at least one; and their
/// number.
pub(super) fn query(names: &[&str], room: usize) -> (String, usize) {
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

/// A request for the symbols in `names` from position `from` on, at least one; and the position
/// after those that fit.
pub(super) fn request(names: &[&str], from: usize) -> (String, usize) {
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

/// The length that every server and proxy should accept (RFC 9110, section 4.1).
const TARGET_LENGTH_MAX: usize = 8_000;

/// `&since=` and `&symbols=` with a stamp in µs.
const SINCE_LENGTH_MAX: usize = 7 + 20 + 9;

/// The longest message that our own server accepts from a client.
const REQUEST_LENGTH_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn lists(names: usize, count: usize, first_client: usize) -> Watchlists {
        let names = (0..names).map(|number| format!("sim:S{number}/USDT"));
        let watch = Watch {
            count,
            seed: Some(7),
            ..Watch::default()
        };
        Watchlists::new(names.collect(), &watch, first_client).unwrap()
    }

    fn drawn(lists: &mut Watchlists, number: usize) -> Vec<String> {
        let drawn = lists.draw(number).into_iter();
        drawn.map(str::to_owned).collect()
    }

    #[test]
    fn a_client_always_draws_the_same_list() {
        let mut whole = lists(500, 20, 0);
        let all: Vec<_> = (0..50).map(|number| drawn(&mut whole, number)).collect();
        let mut second_half = lists(500, 20, 25);
        for number in (0..25).rev() {
            assert_eq!(drawn(&mut second_half, number), all[25 + number]);
        }
        let mut distinct = all.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
        let other = Watch {
            count: 20,
            seed: Some(8),
            ..Watch::default()
        };
        let mut other = Watchlists::new(whole.names.clone(), &other, 0).unwrap();
        assert_ne!(drawn(&mut other, 0), all[0]);
    }

    #[test]
    fn a_list_cannot_have_more_symbols_than_there_are() {
        let watch = Watch {
            count: 3,
            ..Watch::default()
        };
        let error = Watchlists::new(vec!["A".to_owned(), "B".to_owned()], &watch, 0).unwrap_err();
        assert_eq!(
            error,
            "--watch: cannot draw 3 different symbols: there are 2"
        );
        assert_eq!(drawn(&mut lists(3, 3, 0), 5).len(), 3);
    }

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
    fn symbols_that_do_not_fit_the_url_are_requested_in_messages() {
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
        fn every_name_is_requested_once(
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
