//! Numbers for things that come and go. A fiber may still report on a market after it was removed,
//! so the number of a removed one is never valid again, although its place is reused.

/// Things with numbers.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    /// The number of its present or next thing.
    number: usize,
    thing: Option<T>,
}

impl<T> Numbered<T> {
    /// Adds `thing` and returns its number. The first ones are 0, 1, 2 and so on.
    pub(super) fn add(&mut self, thing: T) -> usize {
        match self.free.pop() {
            Some(place) => {
                let slot = &mut self.slots[place];
                slot.thing = Some(thing);
                slot.number
            }
            None => {
                let number = self.slots.len();
                debug_assert!(number <= PLACE);
                self.slots.push(Slot {
                    number,
                    thing: Some(thing),
                });
                number
            }
        }
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<T> {
        let slot = self.slots.get_mut(number & PLACE)?;
        let thing = slot.thing.take_if(|_| slot.number == number)?;
        slot.number = number.wrapping_add(PLACE + 1);
        self.free.push(number & PLACE);
        Some(thing)
    }

    pub(super) fn get(&self, number: usize) -> Option<&T> {
        let slot = self.slots.get(number & PLACE)?;
        slot.thing.as_ref().filter(|_| slot.number == number)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        let slot = self.slots.get_mut(number & PLACE)?;
        slot.thing.as_mut().filter(|_| slot.number == number)
    }

    /// All things with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let slots = self.slots.iter();
        slots.filter_map(|slot| Some((slot.number, slot.thing.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        let slots = self.slots.iter_mut();
        slots.filter_map(|slot| Some((slot.number, slot.thing.as_mut()?)))
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

/// The bits of a number that say its place; there are fewer than 65,536 symbols. The other bits say
/// how often the place was reused.
const PLACE: usize = (1 << 16) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_removed_thing_is_never_valid_again() {
        let mut numbered = Numbered::default();
        let numbers: Vec<_> = ["a", "b", "c"].map(|thing| numbered.add(thing)).to_vec();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(numbered.remove(1), Some("b"));
        let again = numbered.add("d");
        assert_ne!(again, 1);
        assert_eq!((numbered.get(1), numbered.get(again)), (None, Some(&"d")));
        assert_eq!(numbered.remove(1), None);
        assert_eq!(numbered.get_mut(1), None);
        assert_eq!(numbered.get(99), None);
        assert_eq!(numbered.remove(99), None);
        let all: Vec<_> = numbered.iter().map(|(_, thing)| *thing).collect();
        assert_eq!(all, ["a", "d", "c"]);
        for _ in 0..1_000 {
            let number = numbered.add("e");
            assert_eq!(numbered.remove(number), Some("e"));
        }
        assert_eq!(numbered.slots.len(), 4);
    }
}
