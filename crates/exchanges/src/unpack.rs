//! Makes the text, or the bytes, of a message from what arrives: gzip and zlib are recognised by
//! their first bytes, which cannot begin a JSON text.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read};

use flate2::read::{GzDecoder, ZlibDecoder};

/// The message without its compression.
///
/// # Errors
/// When the data are invalid, or unpack to more than any exchange sends.
pub(super) fn unpacked(message: &[u8]) -> io::Result<Cow<'_, [u8]>> {
    match message {
        [0x1f, 0x8b, ..] => read_all(GzDecoder::new(message)).map(Cow::Owned),
        &[first, second, ..] if is_zlib(first, second) => {
            read_all(ZlibDecoder::new(message)).map(Cow::Owned)
        }
        _ => Ok(Cow::Borrowed(message)),
    }
}

/// Whether these are the first bytes of zlib: "deflate with a window of 32 KiB", and a check.
fn is_zlib(first: u8, second: u8) -> bool {
    let header = u16::from_be_bytes([first, second]);
    first == 0x78 && header.is_multiple_of(31)
}

fn read_all(unpacker: impl Read) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let length = unpacker.take(UNPACKED_MAX + 1).read_to_end(&mut plain)?;
    if length as u64 > UNPACKED_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(plain)
}

/// A few packed bytes may unpack to a thousand times as many.
const UNPACKED_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    fn zlib(plain: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_text_is_not_taken_for_packed_data() {
        for text in [&b""[..], b"x", b"pong", b"{}", b"[1]", b"xyz", b"x-"] {
            assert!(matches!(unpacked(text).unwrap(), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_small_message_cannot_fill_the_memory() {
        let much = vec![b' '; 100 << 20];
        for packed in [zlib(&much, 9), gzip(&much, 9)] {
            assert!(packed.len() < 1 << 20);
            assert_eq!(
                unpacked(&packed).unwrap_err().kind(),
                ErrorKind::FileTooLarge
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(
            plain in proptest::collection::vec(any::<u8>(), 0..2000), level in 0u32..10,
            cut: prop::sample::Index,
        ) {
            for packed in [zlib(&plain, level), gzip(&plain, level)] {
                prop_assert_eq!(&*unpacked(&packed).unwrap(), &plain[..]);
                let cut = &packed[..2 + cut.index(packed.len() - 2)];
                prop_assert!(unpacked(cut).is_err(), "a part is no message");
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            magic in prop_oneof![Just([0x1f, 0x8b]), Just([0x78, 0x9c]), Just([0x78, 0x01])],
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = unpacked(&[&magic[..], &rest].concat());
        }
    }
}
