//! Reads ticks for the loader: by their layout, not as JSON.

/// The fields of a tick that the loader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The number in its symbol's name.
    pub(crate) symbol: u32,
    pub(crate) seq: u64,
    /// Unix µs.
    pub(crate) sent: u64,
}

/// The payload and the whole length of the frame at the start of `bytes`; `None` while the frame is
/// incomplete.
pub(crate) fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (head, length) = match *bytes {
        [_, length @ 0..=125, ..] => (2, usize::from(length)),
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    let end = head + length;
    Some((bytes.get(head..end)?, end))
}

/// Reads `{"symbol":"sim:S0042/USDT",…,"seq":7,"sent":1732270000123456}`; `None` for any other
/// payload.
pub(crate) fn tick(payload: &[u8]) -> Option<Tick> {
    let name = payload.strip_prefix(br#"{"symbol":"sim:S"#)?;
    let rest = payload.strip_suffix(b"}")?;
    let (rest, sent) = rest.split_at_checked(rest.len().checked_sub(SENT_DIGITS)?)?;
    let rest = rest.strip_suffix(br#","sent":"#)?;
    let colon = rest.iter().rposition(|&byte| byte == b':')?;
    Some(Tick {
        symbol: u32::try_from(digits(name)).ok()?,
        seq: digits(&rest[colon + 1..]),
        sent: digits(sent),
    })
}

/// The number at the start of `text`.
fn digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// The newest number of each symbol on a client's list.
pub(crate) struct Sequences {
    /// The symbols, in order.
    list: Vec<u32>,
    /// Zero for a symbol without a tick so far.
    last: Vec<u64>,
    /// Where to look for the next tick first: bursts come in the order of the symbols.
    guess: usize,
}

/// What a tick's number shows, compared with the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is the next one, or the first.
    Next,
    /// This many are missing before it.
    Gap(u64),
    /// It is not greater than the one before.
    Repeat,
    /// Its symbol is not on the list.
    Unasked,
}

impl Sequences {
    /// Expects the symbols in `list`, which must be sorted.
    pub(crate) fn new(list: Vec<u32>) -> Self {
        let last = vec![0; list.len()];
        Self {
            list,
            last,
            guess: 0,
        }
    }

    pub(crate) fn follow(&mut self, tick: &Tick) -> Step {
        let place = match self.list.get(self.guess) {
            Some(&symbol) if symbol == tick.symbol => self.guess,
            _ => match self.list.binary_search(&tick.symbol) {
                Ok(place) => place,
                Err(_) => return Step::Unasked,
            },
        };
        self.guess = (place + 1) % self.list.len();
        let last = std::mem::replace(&mut self.last[place], tick.seq);
        match tick.seq.checked_sub(last) {
            _ if last == 0 => Step::Next,
            None | Some(0) => Step::Repeat,
            Some(1) => Step::Next,
            Some(ahead) => Step::Gap(ahead - 1),
        }
    }
}

/// Unix µs have this many digits until the year 2286.
const SENT_DIGITS: usize = 16;
