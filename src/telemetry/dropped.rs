//! Lines of the log that were not written: because whoever reads it is too slow, or because it cannot be written. They
//! are counted, and said to be missing once that is over.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::ErrorCounter;

/// Lines that did not fit into the queue. There is one log in a process.
static UNQUEUED: OnceLock<ErrorCounter> = OnceLock::new();
/// Lines that could not be written.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Lines of the log that were not written since the process began.
pub fn lines_dropped() -> u64 {
    let unqueued = UNQUEUED.get().map_or(0, ErrorCounter::dropped_lines) as u64;
    unqueued + UNWRITTEN.load(Ordering::Relaxed)
}

/// From now on these lines count as dropped too.
pub(super) fn count_with(unqueued: ErrorCounter) {
    // A second log in one process is not written to.
    let _ = UNQUEUED.set(unqueued);
}

/// Writes lines, and counts those that fail instead of failing: a full disk is no reason to stop.
#[derive(Debug)]
pub(super) struct Counting<W>(pub(super) W);

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_all(octets).map(|()| octets.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if self.0.write_all(line).is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What cannot be flushed was not written, and was counted then.
        let _ = self.0.flush();
        Ok(())
    }
}

/// What is to be said of lines that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The first of them are missing.
    Begins,
    /// No more are, for now.
    Ends {
        /// Lines that are missing since it began.
        lines: u64,
    },
}

/// Looks from time to time whether lines are missing.
#[derive(Debug, Default)]
pub struct DropWatch {
    /// The count at the last look.
    seen: u64,
    /// The count before lines began to be missing, while they are.
    before: Option<u64>,
}

impl DropWatch {
    /// Takes the count of lines that are missing; says whether that is news. A line that tells of it may be missing
    /// itself: then all begins anew.
    pub fn look(&mut self, dropped: u64) -> Option<News> {
        let before = std::mem::replace(&mut self.seen, dropped);
        match (before == dropped, self.before) {
            (false, None) => {
                self.before = Some(before);
                Some(News::Begins)
            }
            (true, Some(began)) => {
                self.before = None;
                Some(News::Ends { lines: dropped.saturating_sub(began) })
            }
            (true, None) | (false, Some(_)) => None,
        }
    }

    /// Looks, and says what there is to say. Meant to be called each second.
    pub fn tell(&mut self) {
        let total = lines_dropped();
        match self.look(total) {
            None => {}
            Some(News::Begins) => {
                tracing::warn!(total, "log lines are dropped: they are not read or not written in time");
            }
            Some(News::Ends { lines }) => tracing::warn!(lines, total, "log lines were dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_when_it_begins_and_how_many_when_it_ends() {
        let mut watch = DropWatch::default();
        let said: Vec<_> =
            [0, 0, 5, 9, 9, 9, 10, 10].into_iter().map(|dropped| watch.look(dropped)).collect();
        let expected = [
            None,
            None,
            Some(News::Begins),
            None,
            Some(News::Ends { lines: 9 }),
            None,
            Some(News::Begins),
            Some(News::Ends { lines: 1 }),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_no_failure() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let before = lines_dropped();
        let mut writer = Counting(Full);
        assert!(writer.write_all(b"a\n").is_ok() && writer.write(b"b\n").is_ok() && writer.flush().is_ok());
        assert_eq!(lines_dropped() - before, 2);
    }
}
