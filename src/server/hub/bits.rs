//! Sets of small numbers, the slots of connections: which slots watch a symbol, and which have
//! news.

/// One bit for each number; it grows as needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number. Returns whether it was missing.
    pub(crate) fn insert(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let was_missing = self.0[word] & bit == 0;
        self.0[word] |= bit;
        was_missing
    }

    /// Takes a number out. Returns whether it was there.
    pub(crate) fn remove(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1 << (number % 64));
        let Some(word) = self.0.get_mut(word) else {
            return false;
        };
        let was_there = *word & bit != 0;
        *word &= !bit;
        was_there
    }

    /// Whether the set has a number.
    pub(crate) fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64).copied().unwrap_or(0);
        word & 1 << (number % 64) != 0
    }

    /// Adds everything in `other`.
    pub(crate) fn unite(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Whether the set is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The first number in `from..to`.
    pub(crate) fn first(&self, from: usize, to: usize) -> Option<usize> {
        let mut mask = !0 << (from % 64);
        for (index, word) in self.0.iter().enumerate().skip(from / 64) {
            if index * 64 >= to {
                break;
            }
            if word & mask != 0 {
                let number = index * 64 + (word & mask).trailing_zeros() as usize;
                return (number < to).then_some(number);
            }
            mask = !0;
        }
        None
    }

    /// All numbers, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            let left = |word: u64| (word != 0).then_some(word);
            std::iter::successors(left(word), move |word| left(word & (word - 1)))
                .map(move |word| index * 64 + word.trailing_zeros() as usize)
        })
    }

    /// The memory of the set, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

/// The slots that watch one symbol. Most symbols of a large market have few watchers, for which a
/// bit for every slot would be a waste; the popular ones have so many that a list would be.
#[derive(Clone, Debug)]
pub(crate) enum Watchers {
    /// A few, in no order.
    Few(Vec<u32>),
    /// More, and how many.
    Many { slots: Bits, count: usize },
}

impl Default for Watchers {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Watchers {
    /// Adds a slot, which must be missing.
    pub(crate) fn insert(&mut self, slot: usize) {
        match self {
            Self::Few(few) if few.len() < FEW_MAX => few.push(slot as u32),
            Self::Few(few) => {
                let mut slots = Bits::default();
                for &slot in &*few {
                    slots.insert(slot as usize);
                }
                slots.insert(slot);
                let count = few.len() + 1;
                *self = Self::Many { slots, count };
            }
            Self::Many { slots, count } => *count += usize::from(slots.insert(slot)),
        }
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, slot: usize) {
        match self {
            Self::Few(few) => {
                if let Some(index) = few.iter().position(|&other| other as usize == slot) {
                    few.swap_remove(index);
                }
                if few.is_empty() {
                    *few = Vec::new();
                }
            }
            Self::Many { slots, count } => {
                *count -= usize::from(slots.remove(slot));
                // Converts well below the number at which they became many, or one client that
                // comes and goes would have them copied each time.
                if *count < FEW_MAX / 2 {
                    *self = Self::Few(slots.iter().map(|slot| slot as u32).collect());
                }
            }
        }
    }

    /// Adds all of them to `others`.
    pub(crate) fn add_to(&self, others: &mut Bits) {
        match self {
            Self::Few(few) => {
                for &slot in few {
                    others.insert(slot as usize);
                }
            }
            Self::Many { slots, .. } => others.unite(slots),
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many { count, .. } => *count,
        }
    }

    /// The memory on the heap, in bytes.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Few(few) => few.capacity() * size_of::<u32>(),
            Self::Many { slots, .. } => slots.memory(),
        }
    }
}

/// A larger set is kept as bits: visiting this many slots one by one costs a tenth of a
/// microsecond, and a list of them takes less memory than the bits of 4,000 slots.
const FEW_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Compares with the standard library's sets, through any sequence of operations.
        #[test]
        fn bits_are_a_set(steps in proptest::collection::vec((any::<bool>(), 0usize..300), 0..200)) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for (insert, number) in steps {
                if insert {
                    prop_assert_eq!(bits.insert(number), set.insert(number));
                } else {
                    prop_assert_eq!(bits.remove(number), set.remove(&number));
                }
                prop_assert_eq!(bits.is_empty(), set.is_empty());
            }
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
            for from in 0..310 {
                for to in [from, from + 1, from + 64, 64, 128, 300, 400] {
                    let first = (from < to).then(|| set.range(from..to).next().copied()).flatten();
                    prop_assert_eq!(bits.first(from, to), first, "{} to {}", from, to);
                }
            }
        }

        #[test]
        fn a_union_has_the_members_of_both_sets(
            one in proptest::collection::btree_set(0usize..200, 0..50),
            other in proptest::collection::btree_set(0usize..300, 0..50),
        ) {
            let collect = |set: &BTreeSet<usize>| {
                let mut bits = Bits::default();
                set.iter().for_each(|&number| { bits.insert(number); });
                bits
            };
            let mut united = collect(&one);
            united.unite(&collect(&other));
            prop_assert_eq!(united.iter().collect::<BTreeSet<_>>(), &one | &other);
        }

        /// Few or many, watchers are the same set.
        #[test]
        fn watchers_are_a_set(steps in proptest::collection::vec((0u8..5, 0usize..400), 0..900)) {
            let (mut watchers, mut set) = (Watchers::default(), BTreeSet::new());
            for (kind, slot) in steps {
                if kind > 1 && set.insert(slot) {
                    watchers.insert(slot);
                } else if kind <= 1 {
                    set.remove(&slot);
                    watchers.remove(slot);
                }
                prop_assert_eq!(watchers.len(), set.len());
            }
            let mut all = Bits::default();
            watchers.add_to(&mut all);
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>(), set);
        }
    }

    #[test]
    fn a_few_watchers_take_little_memory_and_many_a_bit_each() {
        let mut watchers = Watchers::default();
        for slot in 0..5 {
            watchers.insert(slot * 3_000);
        }
        assert!(watchers.memory() <= 32);
        for slot in 0..10_000 {
            watchers.insert(20_000 + slot);
        }
        assert!(matches!(watchers, Watchers::Many { count: 10_005, .. }));
        for slot in 0..10_000 {
            watchers.remove(20_000 + slot);
        }
        assert!(matches!(&watchers, Watchers::Few(few) if few.len() == 5));
    }
}
