//! Limits of work that tests lower, so that short runs with few symbols reach them. Some runs of the
//! simulation keep what ships.

/// A limit, and what it is in tests.
#[derive(Clone, Copy)]
pub(crate) struct Scaled {
    shipped: usize,
    #[cfg(test)]
    lowered: usize,
}

impl Scaled {
    /// `shipped`, or `lowered` in tests.
    #[cfg_attr(not(test), allow(unused_variables, reason = "there are no tests"))]
    pub(crate) const fn new(shipped: usize, lowered: usize) -> Self {
        Self {
            shipped,
            #[cfg(test)]
            lowered,
        }
    }

    #[cfg(not(test))]
    pub(crate) const fn get(self) -> usize {
        self.shipped
    }

    #[cfg(test)]
    pub(crate) fn get(self) -> usize {
        if KEEPS_SHIPPED.get() {
            self.shipped
        } else {
            self.lowered
        }
    }
}

#[cfg(test)]
thread_local! {
    static KEEPS_SHIPPED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether the servers of this thread keep the limits that ship.
#[cfg(test)]
pub(crate) fn keep_shipped(keeps: bool) {
    KEEPS_SHIPPED.set(keeps);
}
