//! Where octets are read that nobody has asked for yet: one buffer for all connections of a thread, since what of it is
//! needed is kept by copying, and nobody keeps the rest over a wait.

use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into());
}

/// Octets of it.
pub(super) const SIZE: usize = 16 * 1024;

/// Reads with it, and copies what is needed.
///
/// # Panics
/// If it is used within `reading`.
pub(super) fn with<T>(reading: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| reading(scratch))
}
