//! How much either side may send before it is granted more (RFC 9113 §5.2, §6.9).

/// What may be sent, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window(i64);

/// The largest that there may be (§6.9.1).
pub(super) const LARGEST: u32 = (1 << 31) - 1;
/// What it is as long as nothing else is said (§6.9.2).
pub(super) const FIRST: u32 = 65_535;

impl Window {
    /// One of so many octets.
    pub(super) fn of(octets: u32) -> Self {
        Self(octets.into())
    }

    /// Octets that may be sent.
    pub(super) fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Counts what was sent; false if that was more than there was room for.
    #[must_use]
    pub(super) fn take(&mut self, octets: u32) -> bool {
        self.0 -= i64::from(octets);
        self.0 >= 0
    }

    /// Grants more; false if that is more than there may be.
    #[must_use]
    pub(super) fn grow(&mut self, octets: u32) -> bool {
        self.0 += i64::from(octets);
        self.0 <= i64::from(LARGEST)
    }

    /// Changes it as much as the first window of all streams changes, maybe to less than nothing (§6.9.2); false if it
    /// becomes larger than it may.
    #[must_use]
    pub(super) fn change(&mut self, from: u32, to: u32) -> bool {
        self.0 -= i64::from(from);
        self.grow(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_within_limits_and_shrinks_below_nothing() {
        let mut window = Window::of(10);
        assert!(window.take(4) && window.room() == 6 && window.grow(1));
        assert!(window.change(10, 0) && window.room() == 0, "3 less than nothing");
        assert!(window.grow(3) && window.room() == 0 && window.grow(1) && window.room() == 1);
        assert!(window.grow(LARGEST - 1) && !window.grow(1));
        assert!(!Window::of(0).take(1) && !Window::of(1).change(0, LARGEST));
    }
}
