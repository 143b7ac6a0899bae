//! Counts the connections of each address, so that no address can take them all.
//!
//! Without a limit it stores nothing. With one it stores eight bytes for each connection slot, and
//! an entry for each connected address.

use std::collections::HashMap;
use std::net::IpAddr;

/// What counts as one address. For IPv6 it is the network, the upper 64 bits: a host that has one
/// address there can use them all.
type Key = u64;

/// The connections of each address, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// The most connections that an address may have; `None` means any number.
    limit: Option<usize>,
    /// Only connected addresses. The hash is keyed with a secret, because an attacker can choose
    /// addresses.
    counts: HashMap<Key, usize>,
    /// The address of the connection in each slot, so that connections need not store it.
    keys: Vec<Key>,
}

impl Addresses {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Whether `address` may have another connection.
    pub(crate) fn has_room(&self, address: IpAddr) -> bool {
        self.limit.is_none_or(|limit| {
            let count = self.counts.get(&key(address));
            count.is_none_or(|&count| count < limit)
        })
    }

    /// Counts a connection from `address` that takes a free slot.
    pub(crate) fn enter(&mut self, slot: usize, address: IpAddr) {
        if self.limit.is_none() {
            return;
        }
        if slot >= self.keys.len() {
            self.keys.resize(slot + 1, NOBODY);
        }
        let key = key(address);
        debug_assert_eq!(self.keys[slot], NOBODY, "a slot is taken twice");
        self.keys[slot] = key;
        *self.counts.entry(key).or_default() += 1;
    }

    /// Forgets the connection in a slot; does nothing if none was counted there.
    pub(crate) fn leave(&mut self, slot: usize) {
        let Some(key) = self.keys.get_mut(slot) else {
            return;
        };
        let key = std::mem::replace(key, NOBODY);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }
}

/// An IPv4 address counts as the same one when it arrives mapped to IPv6 (`::ffff:192.0.2.1`).
fn key(address: IpAddr) -> Key {
    match address.to_canonical() {
        IpAddr::V4(address) => IPV4 | Key::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as Key,
    }
}

/// The upper half of the keys for IPv4: as IPv6 networks these would be multicast, which never
/// connects.
const IPV4: Key = 0xffff_ffff_0000_0000;

/// Marks a free slot; also multicast, so no client's address.
const NOBODY: Key = Key::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_spelling_of_an_address_counts_as_the_same_address() {
        for (one, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
            ("::1", "0.0.0.0", false),
        ] {
            let [one_key, other_key] = [one, other].map(|text| key(text.parse().unwrap()));
            assert_eq!(one_key == other_key, same, "{one} and {other}");
        }
    }

    #[test]
    fn without_a_limit_no_address_is_stored() {
        let mut addresses = Addresses::new(None);
        addresses.enter(7, "::1".parse().unwrap());
        addresses.leave(7);
        assert_eq!(
            (addresses.keys.capacity(), addresses.counts.capacity()),
            (0, 0)
        );
    }

    proptest! {
        #[test]
        fn counts_are_exact(moves in proptest::collection::vec((0usize..12, 0u8..5), 0..200)) {
            let limit = 3;
            let mut addresses = Addresses::new(Some(limit));
            let mut slots = [None; 12];
            let address = |last: u8| IpAddr::from([192, 0, 2, last]);
            for (slot, last) in moves {
                let of_it = slots.iter().filter(|&&slot| slot == Some(last)).count();
                prop_assert_eq!(addresses.has_room(address(last)), of_it < limit);
                if slots[slot].take().is_some() {
                    addresses.leave(slot);
                } else if of_it < limit {
                    addresses.enter(slot, address(last));
                    slots[slot] = Some(last);
                }
            }
            let present: usize = addresses.counts.values().sum();
            prop_assert_eq!(present, slots.iter().flatten().count());
            for slot in 0..slots.len() {
                addresses.leave(slot);
                addresses.leave(slot);
            }
            prop_assert!(addresses.counts.is_empty());
        }
    }
}
