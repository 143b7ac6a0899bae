//! Decides whether a client may connect: by the origin of its page and the name that it called the
//! server by, by its token, and by the number of connections that its address has.

pub(crate) mod addresses;
pub(crate) mod host;
pub(crate) mod origin;
pub(crate) mod tokens;

use std::collections::HashSet;

/// Advice that was given to the operator, so that each is given once. A foreign site can make up any
/// number of names, so there is a limit.
#[derive(Debug, Default)]
pub(crate) struct Advice(HashSet<String>);

impl Advice {
    /// Logs an advice, unless it was logged before or too many were.
    pub(crate) fn give(&mut self, advice: &str) {
        if self.0.len() < ADVICE_MAX && self.0.insert(advice.to_owned()) {
            log::warn!("{advice}");
            if self.0.len() == ADVICE_MAX {
                log::warn!("other pages and names that are refused are not logged any more");
            }
        }
    }
}

/// How many pages and names are logged.
const ADVICE_MAX: usize = 64;
