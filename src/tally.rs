//! Numbers that one thread counts and others read: plain loads and stores, no read-modify-write. What they count is for
//! those to say who have them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writer and many readers: it costs what a plain number costs.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Call from the owning thread only.
    pub fn up(&self) {
        self.add(1);
    }

    /// Takes one off. Call from the owning thread only.
    pub fn down(&self) {
        self.0.store(self.get().wrapping_sub(1), Ordering::Relaxed);
    }

    /// Adds `more`. Call from the owning thread only.
    pub fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Ordering::Relaxed);
    }

    /// The value now; readers on other threads may see it late.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// On cache lines of its own, so that writing it disturbs nobody who reads or writes what is beside it. 128 octets, since
/// processors fetch lines of 64 in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(pub T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Whether values of a type that lie side by side are on cache lines of their own: for assertions beside the types of
/// which each worker has one.
pub const fn is_apart<T>() -> bool {
    align_of::<T>() >= align_of::<Apart<u8>>()
}

/// Upper bounds of the buckets of a [`Histogram`], in microseconds; what takes longer is counted in one more.
pub const BOUNDS: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Buckets of a [`Histogram`]: one for each bound, and one beyond.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// How long things took, by one writer.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Counter; BUCKETS],
    micros: Counter,
}

impl Histogram {
    /// Counts something that took so many microseconds. Call from the owning thread only.
    pub fn record(&self, micros: u64) {
        // Compared with all: that takes no branch that could be guessed wrongly.
        let place = BOUNDS.iter().map(|bound| usize::from(*bound < micros)).sum::<usize>();
        if let Some(count) = self.counts.get(place) {
            count.up();
        }
        self.micros.add(micros);
    }

    /// Adds what this one has counted to a sum.
    pub fn add_to(&self, sum: &mut Times) {
        for (sum, count) in sum.counts.iter_mut().zip(&self.counts) {
            *sum = sum.wrapping_add(count.get());
        }
        sum.micros = sum.micros.wrapping_add(self.micros.get());
    }
}

/// What histograms of several threads have counted together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How many took so long: each bucket of its own, not those below with it.
    pub counts: [u64; BUCKETS],
    /// All of it together, in microseconds.
    pub micros: u64,
}

impl Times {
    /// The sum of histograms.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut sum = Self::default();
        histograms.into_iter().for_each(|histogram| histogram.add_to(&mut sum));
        sum
    }

    /// All of it together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }
}

/// Answers by the first digit of their status.
#[derive(Debug, Default)]
pub struct Classes([Counter; CLASSES.len()]);

/// The classes of statuses, in the order of [`Classes::counts`].
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Classes {
    /// Counts an answer. A status of no known class counts as 5xx, as clients take it (RFC 9110 §15). Call from the
    /// owning thread only.
    pub fn count(&self, status: u16) {
        let class = match status {
            100..=199 => 0,
            200..=299 => 1,
            300..=399 => 2,
            400..=499 => 3,
            _ => 4,
        };
        self.0[class].up();
    }

    /// How many there were of each class.
    pub fn counts(&self) -> [u64; CLASSES.len()] {
        self.0.each_ref().map(Counter::get)
    }

    /// The sum over several threads.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> [u64; CLASSES.len()] {
        all.into_iter().fold([0; CLASSES.len()], |mut sum, one| {
            sum.iter_mut().zip(one.counts()).for_each(|(sum, count)| *sum = sum.wrapping_add(count));
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_where_it_is_not_above_the_bound() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 2_500, 10_000_000, 10_000_001, u64::MAX / 2] {
            histogram.record(micros);
        }
        let times = Times::of([&histogram, &histogram]);
        let mut expected = [0; BUCKETS];
        (expected[0], expected[1], expected[12], expected[13]) = (4, 4, 2, 4);
        assert_eq!(times.counts, expected);
    }

    #[test]
    fn what_is_of_no_class_is_an_error() {
        let classes = Classes::default();
        for status in [101, 200, 299, 304, 404, 500, 600, 799, 999] {
            classes.count(status);
        }
        assert_eq!(Classes::sum([&classes]), [1, 2, 1, 1, 4]);
    }

    #[test]
    fn sums_are_of_all() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.record(1_500_000);
        other.record(500_000);
        assert!((Times::of([&one, &other]).seconds() - 2.0).abs() < 1e-9);
    }
}
