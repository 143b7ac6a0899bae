//! NATS's keys: Ed25519 seeds as text. A seed begins with what it is for, and ends with a checksum.

use ring::signature::Ed25519KeyPair;

/// The key of a user, which signs what a server asks us to sign.
pub(crate) struct UserKey(Ed25519KeyPair);

impl UserKey {
    /// Reads a seed such as `SUAM…`.
    pub(super) fn from_seed(text: &str) -> Result<Self, String> {
        let invalid = || "invalid key: expected a user's seed, which begins with SU".to_owned();
        let bytes = base32(text).ok_or_else(invalid)?;
        let (body, checksum) = bytes.split_last_chunk().ok_or_else(invalid)?;
        let seed = body.strip_prefix(&USER_SEED).ok_or_else(invalid)?;
        if u16::from_le_bytes(*checksum) != crc16(body) {
            return Err("invalid key: its checksum does not fit".to_owned());
        }
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| invalid())?;
        Ok(Self(key))
    }

    /// The signature of `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// Decodes base32 (RFC 4648) without padding.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u16, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|&known| known == letter)?;
        bits = bits << 5 | u16::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// The checksum that Xmodem made known.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, &byte| {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            let is_carried = crc & 0x8000 != 0;
            crc <<= 1;
            if is_carried {
                crc ^= 0x1021;
            }
        }
        crc
    })
}

/// The letters of base32, by value.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `S` for a seed and `U` for a user, five bits each, and six that are zero.
const USER_SEED: [u8; 2] = [0x95, 0];

/// Keys for tests, of users and of those who vouch for them.
#[cfg(test)]
pub(super) mod testing {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::{ALPHABET, crc16};

    /// A key pair and its public name.
    pub(in crate::nats) struct Pair {
        kind: char,
        seed: [u8; 32],
    }

    impl Pair {
        /// A pair of this kind: `O` for an operator, `A` for an account, `U` for a user.
        pub(in crate::nats) fn new(kind: char, number: u8) -> Self {
            let seed = [number; 32];
            Self { kind, seed }
        }

        fn key(&self) -> Ed25519KeyPair {
            Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
        }

        fn prefix(&self) -> u8 {
            let value = ALPHABET
                .iter()
                .position(|&letter| char::from(letter) == self.kind);
            (value.unwrap() << 3) as u8
        }

        pub(in crate::nats) fn public(&self) -> String {
            named(&[&[self.prefix()], self.key().public_key().as_ref()].concat())
        }

        pub(in crate::nats) fn seed(&self) -> String {
            let prefix = [0x90 | self.prefix() >> 5, self.prefix() << 3];
            named(&[&prefix, self.seed.as_slice()].concat())
        }

        pub(in crate::nats) fn sign(&self, message: &[u8]) -> Vec<u8> {
            self.key().sign(message).as_ref().to_vec()
        }
    }

    fn named(body: &[u8]) -> String {
        base32(&[body, &crc16(body).to_le_bytes()].concat())
    }

    fn base32(bytes: &[u8]) -> String {
        let bit = |at: usize| {
            let byte = bytes.get(at / 8).copied().unwrap_or_default();
            usize::from(byte >> (7 - at % 8) & 1)
        };
        let letters = (0..bytes.len() * 8).step_by(5);
        let letters = letters.map(|at| (at..at + 5).fold(0, |value, at| value << 1 | bit(at)));
        letters.map(|value| char::from(ALPHABET[value])).collect()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::testing::Pair;
    use super::*;

    #[test]
    fn the_checksum_is_that_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn base32_as_the_rfc_has_it() {
        assert_eq!(base32("MZXW6YTBOI"), Some(b"foobar".to_vec()));
        assert_eq!(base32(""), Some(Vec::new()));
        assert_eq!(base32("mzxw6"), None);
        assert_eq!(base32("MZXW6==="), None);
    }

    #[test]
    fn a_seed_signs_for_its_public_key() {
        // A pair that NATS's own tools made.
        let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
        let key = UserKey::from_seed(seed).unwrap();
        let public = base32("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4").unwrap();
        let public = UnparsedPublicKey::new(&ED25519, &public[1..33]);
        assert!(public.verify(b"nonce", &key.sign(b"nonce")).is_ok());
        assert!(public.verify(b"other", &key.sign(b"nonce")).is_err());
    }

    #[test]
    fn the_keys_of_tests_are_named_as_nats_names_them() {
        let pair = Pair::new('U', 1);
        assert!(pair.seed().starts_with("SU") && pair.public().starts_with('U'));
        let key = UserKey::from_seed(&pair.seed()).unwrap();
        assert_eq!(key.sign(b"x"), pair.sign(b"x"));
    }

    #[test]
    fn other_texts_are_refused_and_not_quoted() {
        let account = Pair::new('A', 1).seed();
        let expected = "invalid key: expected a user's seed, which begins with SU";
        for text in ["", "SUAM", "hello", &account] {
            assert_eq!(UserKey::from_seed(text).err().unwrap(), expected);
        }
        let mut typo = Pair::new('U', 1).seed();
        typo.replace_range(
            10..11,
            if typo[10..].starts_with('A') {
                "B"
            } else {
                "A"
            },
        );
        let expected = "invalid key: its checksum does not fit";
        assert_eq!(UserKey::from_seed(&typo).err().unwrap(), expected);
    }
}
