//! The readers of long lists, list by list: joining a list that others read costs one bit, however
//! many symbols it has.
//!
//! Each symbol has a mask of the lists that contain it, so there can be only a few of these lists.
//! The readers of all other lists are kept symbol by symbol ([`Watchers`](super::bits::Watchers)).

use super::bits::Bits;
use super::watchlists::ListId;
use crate::server::scaled::Scaled;
use crate::tape::SymbolId;

/// Long lists whose readers are kept together.
#[derive(Default)]
pub(super) struct Groups {
    groups: [Option<Group>; GROUPS_MAX],
    /// For each symbol, a bit for each group whose list has it.
    masks: Vec<u32>,
}

struct Group {
    list: ListId,
    slots: Bits,
    readers: usize,
}

impl Groups {
    /// Adds a slot to the readers of a list of `symbols`. Returns false if the list is too short
    /// for a group, or there are too many others.
    pub(super) fn join(&mut self, list: ListId, symbols: &[SymbolId], slot: usize) -> bool {
        if symbols.len() < LENGTH_MIN.get() {
            return false;
        }
        let Some(index) = self.index_of(list).or_else(|| self.form(list, symbols)) else {
            return false;
        };
        if let Some(group) = &mut self.groups[index] {
            group.readers += usize::from(group.slots.insert(slot));
        }
        true
    }

    /// Removes a slot from the readers of a list of `symbols`. Returns false if it was not among
    /// them.
    pub(super) fn leave(&mut self, list: ListId, symbols: &[SymbolId], slot: usize) -> bool {
        let Some(index) = self.index_of(list) else {
            return false;
        };
        let Some(group) = &mut self.groups[index] else {
            return false;
        };
        if !group.slots.remove(slot) {
            return false;
        }
        group.readers -= 1;
        if group.readers == 0 {
            self.dissolve(index, symbols);
        }
        true
    }

    /// Whether a slot is among the readers of a list.
    pub(super) fn has(&self, list: ListId, slot: usize) -> bool {
        let index = self.index_of(list);
        let group = index.and_then(|index| self.groups[index].as_ref());
        group.is_some_and(|group| group.slots.contains(slot))
    }

    /// A list with a single reader, which makes way for a list with more readers when there is no
    /// room.
    pub(super) fn loneliest(&self) -> Option<(ListId, usize)> {
        let all: Option<Vec<_>> = self.groups.iter().map(Option::as_ref).collect();
        let lonely = all?.into_iter().find(|group| group.readers == 1)?;
        Some((lonely.list, lonely.slots.first(0, usize::MAX)?))
    }

    /// Adds the readers of every list with this symbol to `others`.
    pub(super) fn add_to(&self, symbol: SymbolId, others: &mut Bits) {
        let mut mask = self.masks.get(usize::from(symbol)).copied().unwrap_or(0);
        while mask != 0 {
            if let Some(group) = &self.groups[mask.trailing_zeros() as usize] {
                others.unite(&group.slots);
            }
            mask &= mask - 1;
        }
    }

    /// Removes a symbol from all lists.
    pub(super) fn forget(&mut self, symbol: SymbolId) {
        if let Some(mask) = self.masks.get_mut(usize::from(symbol)) {
            *mask = 0;
        }
    }

    /// The memory of all groups, in bytes.
    pub(super) fn memory(&self) -> usize {
        let groups = self.groups.iter().flatten();
        let slots = groups.map(|group| group.slots.memory());
        slots.sum::<usize>() + self.masks.capacity() * size_of::<u32>()
    }

    fn index_of(&self, list: ListId) -> Option<usize> {
        let is_its = |group: &Option<Group>| group.as_ref().is_some_and(|group| group.list == list);
        self.groups.iter().position(is_its)
    }

    fn form(&mut self, list: ListId, symbols: &[SymbolId]) -> Option<usize> {
        let index = self.groups.iter().position(Option::is_none)?;
        self.groups[index] = Some(Group {
            list,
            slots: Bits::default(),
            readers: 0,
        });
        let needed = symbols.last().map_or(0, |&last| usize::from(last) + 1);
        if self.masks.len() < needed {
            self.masks.resize(needed, 0);
        }
        for &symbol in symbols {
            self.masks[usize::from(symbol)] |= 1 << index;
        }
        Some(index)
    }

    fn dissolve(&mut self, index: usize, symbols: &[SymbolId]) {
        self.groups[index] = None;
        for &symbol in symbols {
            self.masks[usize::from(symbol)] &= !(1 << index);
        }
    }
}

/// The most groups. Printing a symbol that all of them have costs about a microsecond with ten
/// thousand readers.
const GROUPS_MAX: usize = if cfg!(test) { 3 } else { 32 };

/// Shorter lists are not worth a group.
const LENGTH_MIN: Scaled = Scaled::new(256, 3);

const _: () = assert!(GROUPS_MAX <= u32::BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::hub::watchlists::Watchlists;

    fn told(groups: &Groups, symbol: SymbolId) -> Vec<usize> {
        let mut slots = Bits::default();
        groups.add_to(symbol, &mut slots);
        slots.iter().collect()
    }

    #[test]
    fn readers_of_a_long_list_hear_of_its_symbols_until_they_leave() {
        let mut lists = Watchlists::new(1 << 20);
        let mut groups = Groups::default();
        let (one, other) = (vec![1, 4, 9], vec![4, 7, 200]);
        let first = lists.take(Some(one.clone()), &[], 0).unwrap();
        let second = lists.take(Some(other.clone()), &[], 0).unwrap();
        assert!(groups.join(first, &one, 3) && groups.join(first, &one, 80));
        assert!(groups.join(second, &other, 5));
        assert_eq!(told(&groups, 4), [3, 5, 80]);
        assert_eq!(told(&groups, 9), [3, 80]);
        assert_eq!(told(&groups, 200), [5]);
        assert!(groups.has(first, 80) && !groups.has(second, 80));
        assert!(groups.leave(first, &one, 80) && !groups.leave(first, &one, 80));
        assert!(groups.leave(second, &other, 5));
        assert_eq!((told(&groups, 4), told(&groups, 7)), (vec![3], vec![]));
    }

    #[test]
    fn only_a_few_long_lists_become_groups() {
        let mut lists = Watchlists::new(1 << 20);
        let mut groups = Groups::default();
        let short = lists.take(Some(vec![1, 2]), &[], 0).unwrap();
        assert!(!groups.join(short, &[1, 2], 0));
        for first in 0..GROUPS_MAX as SymbolId {
            let symbols = vec![first, first + 1, first + 2];
            let list = lists.take(Some(symbols.clone()), &[], 0).unwrap();
            assert_eq!(groups.loneliest(), None, "there is room");
            assert!(groups.join(list, &symbols, usize::from(first)));
        }
        let symbols = [90, 91, 92];
        let list = lists.take(Some(symbols.to_vec()), &[], 0).unwrap();
        assert!(!groups.join(list, &symbols, 50));
        let (lonely, slot) = groups.loneliest().unwrap();
        assert!(groups.leave(lonely, &[0, 1, 2], slot));
        assert!(groups.join(list, &symbols, 50));
    }
}
