//! A list of symbols for each client (`--watch`): which symbols it draws, and how it asks the server
//! for them.
//!
//! No list is kept. The seed and the client's number among all clients of the run decide what it
//! draws, so a client that comes back draws its own list again, and it makes no difference how many
//! processes share the clients.

mod chances;

use fastrand::Rng;

use crate::client::config::url::Url;
use crate::client::config::watch::{Watch, too_few};
use crate::client::measure::subscription;
use crate::client::run::watchlists::chances::Chances;

/// What all clients of a process draw their lists from.
#[derive(Debug)]
pub(in crate::client) struct Watchlists {
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
    /// Lists as `watch` wants them, of the symbols `names`.
    ///
    /// # Errors
    /// When there are fewer symbols than a list is to have.
    pub(in crate::client) fn new(
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
    pub(in crate::client) fn count(&self) -> usize {
        self.count
    }

    /// How many there are to draw from.
    pub(in crate::client) fn symbols(&self) -> usize {
        self.names.len()
    }

    /// What draws the same lists again.
    pub(in crate::client) fn seed(&self) -> u64 {
        self.seed
    }

    /// The exponent of the symbols' popularity; none if all are equally popular.
    pub(in crate::client) fn zipf(&self) -> Option<f64> {
        self.zipf
    }

    /// The query that asks `url` for the list of this process's client `number`, as far as a URL has
    /// room for it, and how many symbols that are.
    pub(in crate::client) fn query(&mut self, url: &Url, number: usize) -> (String, usize) {
        let room = subscription::query_room(url);
        subscription::query(&self.draw(number), room)
    }

    /// The request that asks for the symbols of the list from the place `from` on, as far as one
    /// message has room for them, and the place behind those.
    pub(in crate::client) fn request(&mut self, number: usize, from: usize) -> (String, usize) {
        subscription::request(&self.draw(number), from)
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_client_draws_its_own_list_whenever_and_wherever_it_draws() {
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
}
