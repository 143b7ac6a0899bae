//! Draws without repetition, with a weight for each place: equal weights, or Zipf's law, which the
//! popularity of real markets follows.
//!
//! The weights are integers in a Fenwick tree. So a draw takes one step per bit of their number,
//! and the weights removed for one list can be restored exactly: every list is drawn from the same
//! weights, whatever was drawn before.

use fastrand::Rng;

/// The weights of places 0, 1, 2, …
#[derive(Debug)]
pub(crate) struct Chances {
    weights: Vec<u64>,
    /// At index `i`, from 1 on, the sum of the `i & -i` weights before place `i`.
    tree: Vec<u64>,
    total: u64,
}

impl Chances {
    /// Weights for `places` places: the first has the largest, the one at rank `r` is `1 /
    /// r^exponent` of it. An exponent of zero makes all equal.
    pub(crate) fn new(places: usize, exponent: f64) -> Self {
        let weight = |rank: usize| (FIRST / (rank as f64).powf(exponent)) as u64;
        // The least popular needs some weight, or a list of all symbols would never be complete.
        let weights: Vec<_> = (1..=places).map(|rank| weight(rank).max(1)).collect();
        let mut chances = Self {
            tree: vec![0; places + 1],
            total: 0,
            weights,
        };
        (0..places).for_each(|place| chances.put_back(place));
        chances
    }

    /// Draws `count` different places, in the order of drawing; there must be that many.
    pub(crate) fn draw(&mut self, count: usize, rng: &mut Rng) -> Vec<usize> {
        let drawn: Vec<_> = (0..count).map(|_| self.take_one(rng)).collect();
        drawn.iter().for_each(|&place| self.put_back(place));
        drawn
    }

    fn take_one(&mut self, rng: &mut Rng) -> usize {
        let place = self.find(rng.u64(..self.total));
        self.change(place, 0_u64.wrapping_sub(self.weights[place]));
        place
    }

    fn put_back(&mut self, place: usize) {
        self.change(place, self.weights[place]);
    }

    /// Adds to the weight of `place`; a negative number wraps around.
    fn change(&mut self, place: usize, by: u64) {
        self.total = self.total.wrapping_add(by);
        let mut index = place + 1;
        while let Some(sum) = self.tree.get_mut(index) {
            *sum = sum.wrapping_add(by);
            index += index & index.wrapping_neg();
        }
    }

    /// The place that contains the `number`th unit of the total weight.
    fn find(&self, mut number: u64) -> usize {
        let mut place = 0;
        let mut step = self.tree.len().next_power_of_two() / 2;
        while step > 0 {
            match self.tree.get(place + step) {
                Some(&sum) if sum <= number => {
                    number -= sum;
                    place += step;
                }
                _ => {}
            }
            step /= 2;
        }
        place
    }
}

/// The first weight: large, so that rounding hardly affects the others, but a million of them do
/// not overflow.
const FIRST: f64 = (1_u64 << 40) as f64;

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    /// How often each place is drawn in `count` draws.
    fn frequencies(places: usize, exponent: f64, count: usize) -> Vec<f64> {
        const DRAWS: u32 = 20_000;
        let mut chances = Chances::new(places, exponent);
        let mut rng = Rng::with_seed(1);
        let mut found = vec![0_u32; places];
        for _ in 0..DRAWS {
            for place in chances.draw(count, &mut rng) {
                found[place] += 1;
            }
        }
        let share = |count| f64::from(count) / f64::from(DRAWS);
        found.into_iter().map(share).collect()
    }

    #[test]
    fn draws_follow_equal_and_zipf_weights() {
        for share in frequencies(10, 0.0, 3) {
            assert!((share - 0.3).abs() < 0.02, "{share}");
        }
        let harmonic: f64 = (1..=50).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, share) in (1..).zip(frequencies(50, 1.0, 1)) {
            let expected = 1.0 / f64::from(rank) / harmonic;
            assert!((share - expected).abs() < 0.01, "{rank}: {share}");
        }
        let shares = frequencies(50, 2.0, 1);
        assert!((shares[0] / shares[1] - 4.0).abs() < 0.4, "{shares:?}");
    }

    #[test]
    fn all_places_can_be_drawn() {
        for exponent in [0.0, 1.0, 10.0] {
            let mut chances = Chances::new(300, exponent);
            let mut drawn = chances.draw(300, &mut Rng::with_seed(3));
            drawn.sort_unstable();
            assert!(drawn.into_iter().eq(0..300));
        }
    }

    proptest! {
        #[test]
        fn earlier_draws_do_not_affect_later_ones(
            places in 1_usize..200, exponent in 0.0..3.0, seed: u64, before in 0_usize..5,
        ) {
            let count = places.div_ceil(3);
            let mut chances = Chances::new(places, exponent);
            let expected = chances.draw(count, &mut Rng::with_seed(seed));
            for other in 0..before {
                chances.draw(places / (other + 1), &mut Rng::with_seed(other as u64));
            }
            prop_assert_eq!(&chances.draw(count, &mut Rng::with_seed(seed)), &expected);
            let mut distinct = expected.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), count);
            prop_assert!(expected.iter().all(|&place| place < places));
        }
    }
}
