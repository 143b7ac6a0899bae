//! Frames of an open client, through the whole server: over a socket that reads and writes as
//! little as the script says, while ticks are printed and time passes.
//!
//! Whatever happens, the client gets whole frames, answers in order, each tick once, and no frame
//! after a close frame, which has the right code.

mod seen;
mod session;

use self::session::Session;
use crate::server::tests::simulation::net::End;

/// Runs the script in `bytes`: one byte chooses the size of reads, and steps follow, see
/// [`step`](Session::step).
///
/// # Panics
/// When a promise is broken.
pub fn client_frames(bytes: &[u8]) {
    let (&[size], mut script) = bytes.split_first_chunk().unwrap_or((&[3], &[]));
    let mut session = Session::new(SCRATCH_LENGTHS[usize::from(size) % SCRATCH_LENGTHS.len()]);
    while let Some((&step, rest)) = script.split_first() {
        script = session.step(step, rest);
        session.turn();
    }
    session.finish();
}

impl Session {
    /// Performs a step of the script; `rest` is the script after it, which the step may consume
    /// part of.
    fn step<'s>(&mut self, step: u8, rest: &'s [u8]) -> &'s [u8] {
        let (&[number], behind) = rest.split_first_chunk().unwrap_or((&[0], rest));
        match step {
            // These bytes arrive unchanged; after a `q` their event comes later.
            b'd' | b'q' => {
                let (bytes, behind) = behind.split_at(behind.len().min(number.into()));
                self.arrives(bytes, step == b'd');
                return behind;
            }
            // A masked frame that begins with the given byte.
            b'f' => {
                let (&[length], behind) = behind.split_first_chunk().unwrap_or((&[0], behind));
                let (payload, behind) = behind.split_at(behind.len().min(length.into()));
                self.arrives(&masked(number, payload), true);
                return behind;
            }
            b'j' => {
                let request = REQUESTS[usize::from(number) % REQUESTS.len()];
                self.arrives(&masked(0x81, request.as_bytes()), true);
            }
            b'w' => self.has_room(usize::from(number) * 4),
            // The event that reports the room comes later.
            b'g' => self.gains_room(usize::from(number) * 4),
            b't' => self.print(number),
            b'p' => self.pass(u64::from(number) * 100),
            _ => {
                self.simple_step(step);
                return rest;
            }
        }
        behind
    }

    /// Performs a step of one byte.
    fn simple_step(&mut self, step: u8) {
        match step {
            b'W' => self.has_room(usize::MAX),
            b'b' => self.has_no_room(),
            b'i' => self.is_interrupted(),
            b'h' => self.beat(),
            b'a' => self.age(),
            b'o' => self.close_overdue(),
            b'n' => self.on_ready(true, true),
            b'e' => self.ends(End::Finished),
            b'r' => self.ends(End::Reset),
            b's' => self.shut_down(),
            _ => {}
        }
    }
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let mask = MASK.iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

const REQUESTS: [&str; 8] = [
    r#"{"op":"ping","id":1}"#,
    r#"{"op":"get","symbol":"A","id":[2]}"#,
    r#"{"op":"get","symbol":"B/C"}"#,
    r#"{"op":"unsubscribe","symbols":["A"],"id":3}"#,
    r#"{"op":"subscribe","symbols":["A","€"],"id":"4"}"#,
    r#"{"op":"unsubscribe","symbols":["A","B/C","€"]}"#,
    r#"{"op":"subscribe","symbols":["B/C"]}"#,
    "nonsense",
];

/// How much to read at once: so little that every frame is cut, or as much as the server reads.
const SCRATCH_LENGTHS: [usize; 4] = [16, 67, 1024, 16 * 1024];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz_twin;
    use proptest::prelude::*;

    /// A step of the script, in bytes.
    fn step() -> impl Strategy<Value = Vec<u8>> {
        let payload = || prop::collection::vec(any::<u8>(), 0..20);
        let first = prop_oneof![
            8 => prop::sample::select(&[0x81, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88][..]),
            1 => any::<u8>(),
        ];
        let frame = (first, payload()).prop_map(|(first, payload)| {
            [&[b'f', first, payload.len() as u8], &payload[..]].concat()
        });
        let whole = (
            prop::sample::select(&REQUESTS[..]),
            prop::collection::vec(1usize..30, 1..9),
        );
        prop_oneof![
            3 => frame,
            8 => (0u8..8).prop_map(|number| vec![b'j', number]),
            3 => whole.prop_map(|(text, cuts)| in_pieces(&masked(0x81, text.as_bytes()), &cuts)),
            1 => payload().prop_map(|bytes| [&[b'd', bytes.len() as u8], &bytes[..]].concat()),
            6 => (0u8..3).prop_map(|symbol| vec![b't', symbol]),
            6 => (prop::sample::select(&b"wg"[..]), any::<u8>()).prop_map(|(step, room)| vec![step, room]),
            1 => Just([&[b'q', 26], &masked(0x81, REQUESTS[0].as_bytes())[..]].concat()),
            4 => Just(vec![b'b']),
            2 => Just(vec![b'W']),
            2 => Just(vec![b'h']),
            2 => any::<u8>().prop_map(|time| vec![b'p', time]),
            1 => prop::sample::select(&b"aoin"[..]).prop_map(|step| vec![step]),
        ]
    }

    fn in_pieces(mut bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut steps = Vec::new();
        for &cut in cuts.iter().cycle() {
            let (piece, rest) = bytes.split_at(cut.min(bytes.len()));
            steps.extend([b'd', piece.len() as u8]);
            steps.extend_from_slice(piece);
            bytes = rest;
            if bytes.is_empty() {
                break;
            }
        }
        steps
    }

    proptest! {
        #[test]
        fn whole_frames_come_out_whatever_goes_in(
            size in 0u8..4, steps in prop::collection::vec(step(), 0..40),
            end in "[ers]?",
        ) {
            client_frames(&[&[size], &steps.concat()[..], end.as_bytes()].concat());
        }

        #[test]
        fn a_damaged_script_breaks_nothing(bytes in fuzz_twin::damaged("client_frames")) {
            client_frames(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("client_frames", client_frames);
    }
}
