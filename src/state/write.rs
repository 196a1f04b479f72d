//! Writes the file block by block, so that no more than one shard of a table is in memory twice.

use std::io::{self, Write};

use serde::Serialize;

use super::format::{self, End, HASHES, Head, Kind, LONGEST_BLOCK, LONGEST_FILE, PoolHead, RECORD, RECORDS};
use super::{BackendState, PoolState};
use crate::affinity::table::Kept;

/// A file being written. It is whole after [`Self::end`] and not before.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    sum: u64,
    octets: u64,
    counted: End,
    /// How many backends the current pool has.
    backends: u32,
    block: Vec<u8>,
}

/// What has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Octets of the file.
    pub octets: u64,
    /// Sessions in it.
    pub sessions: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file of this time, in Unix µs.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(mut out: W, saved_at: u64) -> io::Result<Self> {
        out.write_all(&format::MAGIC)?;
        out.write_all(&format::VERSION.to_le_bytes())?;
        let octets = (format::MAGIC.len() + size_of::<u32>()) as u64;
        let (sum, counted, block) = (format::first_sum(), End::default(), Vec::new());
        let mut this = Self { out, sum, octets, counted, backends: 0, block };
        this.words(Kind::Head, &Head { saved_at, hashes: HASHES })?;
        Ok(this)
    }

    /// Begins a pool.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn pool(&mut self, pool: &PoolState, backends: &[BackendState]) -> io::Result<()> {
        self.backends = u32::try_from(backends.len()).map_err(io::Error::other)?;
        self.words(Kind::Pool, &PoolHead { pool: pool.clone(), backends: self.backends })?;
        backends.iter().try_for_each(|backend| self.words(Kind::Backend, backend))?;
        self.counted.pools += 1;
        Ok(())
    }

    /// Adds sessions of the current pool, their owners being places of its backends. Those of others are left out.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn sessions(&mut self, sessions: impl IntoIterator<Item = Kept>) -> io::Result<()> {
        let backends = self.backends.min(1 << 16);
        let mut sessions = sessions.into_iter().filter(|kept| kept.owner < backends).peekable();
        while sessions.peek().is_some() {
            self.block.clear();
            for kept in sessions.by_ref().take(RECORDS) {
                self.block.extend_from_slice(&format::record(&kept));
            }
            self.counted.sessions += (self.block.len() / RECORD) as u64;
            self.write(Kind::Sessions)?;
        }
        Ok(())
    }

    /// Ends the file; returns what it was written to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(mut self) -> io::Result<(W, Written)> {
        let counted = std::mem::take(&mut self.counted);
        self.words(Kind::End, &counted)?;
        self.out.flush()?;
        Ok((self.out, Written { octets: self.octets, sessions: counted.sessions }))
    }

    fn words(&mut self, kind: Kind, content: &impl Serialize) -> io::Result<()> {
        self.block.clear();
        serde_json::to_writer(&mut self.block, content)?;
        self.write(kind)
    }

    /// Writes the block that has been made.
    fn write(&mut self, kind: Kind) -> io::Result<()> {
        let length = self.block.len();
        self.octets += (format::BEGIN + length + format::SUM) as u64;
        if length > LONGEST_BLOCK || self.octets > LONGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "there is too much to keep"));
        }
        let begin = format::begin(kind, length as u32);
        self.sum = format::sum(self.sum, begin, &self.block);
        self.out.write_all(&begin)?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&self.sum.to_le_bytes())
    }
}
