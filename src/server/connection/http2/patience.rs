//! How much of what a client asks for in vain is borne (CVE-2023-44487).

use std::cell::Cell;

/// Requests of a connection that its client has given up before they were answered: each costs a connection to a
/// backend, and the client next to nothing.
#[derive(Debug, Default)]
pub(super) struct Patience {
    begun: Cell<u64>,
    given_up: Cell<u64>,
}

/// So many are always borne.
const FREE: u64 = 200;

impl Patience {
    /// Counts a request; false if its client gives up most of them.
    pub(super) fn count_begun(&self) -> bool {
        self.begun.set(self.begun.get() + 1);
        let given_up = self.given_up.get();
        given_up < FREE || given_up <= self.begun.get() / 2
    }

    /// Counts one that was given up.
    pub(super) fn count_given_up(&self) {
        self.given_up.set(self.given_up.get() + 1);
    }
}
