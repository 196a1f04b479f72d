//! Buffers that all connections of a thread share, so that none holds one while it waits: what is read is kept by
//! copying as much of it as is needed, and what is written is given back when the system has taken it.

use std::cell::RefCell;

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into());
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Octets that are read at most at one time.
const SIZE: usize = 64 * 1024;
/// Buffers for writing that are kept, and the largest of them.
const SPARES: usize = 4;
const LARGEST: usize = 32 * 1024;

/// Reads with the shared buffer.
///
/// # Panics
/// If it is used within `reading`.
pub(crate) fn with<T>(reading: impl FnOnce(&mut [u8]) -> T) -> T {
    READ.with_borrow_mut(|scratch| reading(scratch))
}

/// An empty buffer to gather in what is to be written.
pub(super) fn spare() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a buffer back that is not needed any more.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    SPARE.with_borrow_mut(|spares| {
        if spares.len() < SPARES && (1..=LARGEST).contains(&buffer.capacity()) {
            buffer.clear();
            spares.push(buffer);
        }
    });
}
