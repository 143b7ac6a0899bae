//! Finds the place of a symbol on one connection: a hash table of small numbers that stores no
//! keys, so it takes eight to sixteen bytes per symbol.

/// Places by the numbers of their symbols, with linear probing.
#[derive(Debug)]
pub(crate) struct Index {
    /// Each entry is a place plus one, or zero if empty. The length is a power of two, and half
    /// stay empty.
    slots: Box<[u32]>,
    used: usize,
}

impl Index {
    /// The index of `ids`, whose places are 0, 1, 2, … in order.
    pub(crate) fn of(ids: impl ExactSizeIterator<Item = u32>) -> Self {
        let size = (ids.len() * 2 + 2).next_power_of_two();
        let mut index = Self {
            slots: vec![0; size].into(),
            used: 0,
        };
        for (place, id) in ids.enumerate() {
            index.insert(id, place);
        }
        index
    }

    /// Whether half of it stays empty after one more entry.
    pub(crate) fn has_room(&self) -> bool {
        (self.used + 1) * 2 <= self.slots.len()
    }

    /// Adds the symbol `id`, which is at `place`. There must be [room](Self::has_room) for it.
    pub(crate) fn insert(&mut self, id: u32, place: usize) {
        let mut slot = self.first_slot(id);
        while self.slots[slot] != 0 {
            slot = self.behind(slot);
        }
        self.slots[slot] = u32::try_from(place + 1).unwrap_or_default();
        self.used += 1;
    }

    /// The place of the symbol `id`; `id_at` returns the symbol at a place.
    pub(crate) fn find(&self, id: u32, id_at: impl Fn(usize) -> u32) -> Option<usize> {
        let mut slot = self.first_slot(id);
        loop {
            let place = self.slots[slot].checked_sub(1)? as usize;
            if id_at(place) == id {
                return Some(place);
            }
            slot = self.behind(slot);
        }
    }

    fn behind(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// Fibonacci hashing spreads consecutive numbers over the whole table.
    fn first_slot(&self, id: u32) -> usize {
        let bits = self.slots.len().trailing_zeros();
        (id.wrapping_mul(0x9e37_79b9) >> (32 - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inserted_symbols_are_found() {
        for count in [1, 2, 7, 64, 1_000] {
            let ids: Vec<u32> = (0..count).map(|number| number * 3 + 1).collect();
            let mut index = Index::of(ids[1..].iter().copied());
            let at = |place: usize| {
                if place == ids.len() - 1 {
                    ids[0]
                } else {
                    ids[place + 1]
                }
            };
            if index.has_room() {
                index.insert(ids[0], ids.len() - 1);
                assert_eq!(index.find(ids[0], at), Some(ids.len() - 1));
            }
            for (place, &id) in ids[1..].iter().enumerate() {
                assert_eq!(index.find(id, at), Some(place));
                assert_eq!(index.find(id + 1, at), None);
            }
        }
    }
}
