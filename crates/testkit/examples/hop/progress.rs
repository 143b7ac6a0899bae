//! How far a client has come on the tape, whichever server it reads it from.

/// The newest ticks that a client has had.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The stamp of its newest tick, for `?since=`.
    sent: Option<u64>,
    /// The number of its newest tick of each symbol; zero if it had none.
    seqs: Vec<u64>,
}

/// What a tick is to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first or the next one of its symbol.
    Next,
    /// It comes behind so many that never came.
    Gap(u64),
    /// The client has had it, or a later one of the same number.
    Repeat,
    /// It has an earlier stamp than the tick before.
    Disorder,
}

impl Progress {
    /// The stamp of the newest tick.
    pub(crate) fn sent(&self) -> Option<u64> {
        self.sent
    }

    /// Takes a tick of the symbol with the number `symbol`.
    pub(crate) fn take(&mut self, symbol: usize, seq: u64, sent: u64) -> Step {
        if symbol >= self.seqs.len() {
            self.seqs.resize(symbol + 1, 0);
        }
        let last = &mut self.seqs[symbol];
        if seq <= *last {
            return Step::Repeat;
        }
        let missed = seq - *last - 1;
        let is_first = *last == 0;
        *last = seq;
        let before = self.sent;
        self.sent = before.max(Some(sent));
        if before.is_some_and(|before| sent <= before) {
            return Step::Disorder;
        }
        match missed {
            1.. if !is_first => Step::Gap(missed),
            _ => Step::Next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_symbol_is_counted_on_its_own_and_stamps_over_all() {
        let mut progress = Progress::default();
        for (symbol, seq, sent, step) in [
            (0, 7, 10, Step::Next),
            (1, 1, 11, Step::Next),
            (0, 8, 12, Step::Next),
            (0, 11, 13, Step::Gap(2)),
            (0, 11, 14, Step::Repeat),
            (1, 2, 13, Step::Disorder),
            (1, 3, 15, Step::Next),
        ] {
            assert_eq!(
                progress.take(symbol, seq, sent),
                step,
                "{symbol} {seq} {sent}"
            );
        }
        assert_eq!(progress.sent(), Some(15));
    }
}
