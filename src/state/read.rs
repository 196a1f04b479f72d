//! Reads a file, or says why it is not one. Total: whatever the octets are, the answer is everything or nothing.

use std::io::{self, Read};

use serde::de::DeserializeOwned;

use super::format::{
    self, BEGIN, End, HASHES, Head, Kind, LONGEST_BLOCK, LONGEST_FILE, PoolHead, RECORD, SUM,
};
use super::{BackendState, Saved, SavedPool};

/// Why nothing of a file counts.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It begins as no such file does.
    #[error("it is not a state file")]
    Foreign,
    /// Another version of the proxy wrote it.
    #[error("it has version {0}, and this proxy reads version {ours}", ours = format::VERSION)]
    Version(u32),
    /// Keys are placed by other hashes now.
    #[error("its keys are hashed by version {0}, and this proxy's by version {ours}", ours = HASHES)]
    Hashes(u32),
    /// It is larger than any that this proxy writes.
    #[error("it has more than {LONGEST_FILE} octets")]
    TooLarge,
    /// It ends before its end.
    #[error("it is cut off")]
    CutOff,
    /// A sum is not that of what it stands behind.
    #[error("octets of it are damaged")]
    Damaged,
    /// Its sums are right, and what it says is not.
    #[error("it makes no sense: {0}")]
    Nonsense(&'static str),
    /// The system does not let it be read.
    #[error(transparent)]
    Unreadable(io::Error),
}

/// Reads a whole file. Takes memory as what is in it does, and a block more.
///
/// # Errors
/// Why it is not to be trusted; then nothing of it is.
pub fn read(input: impl Read) -> Result<Saved, Broken> {
    let mut blocks = Blocks::begin(input)?;
    let Block::Head(Head { saved_at, hashes }) = blocks.next()? else {
        return Err(Broken::Nonsense("there is no head"));
    };
    if hashes != HASHES {
        return Err(Broken::Hashes(hashes));
    }
    let (mut pools, mut found) = (Vec::<SavedPool>::new(), End::default());
    loop {
        match blocks.next()? {
            Block::Pool(head) => {
                found.pools += 1;
                pools.push(pool(&mut blocks, head)?);
            }
            Block::Sessions => {
                let pool = pools.last_mut().ok_or(Broken::Nonsense("sessions of no pool"))?;
                found.sessions += sessions(&blocks.content, pool)?;
            }
            Block::End(end) if end == found => break,
            Block::End(_) => return Err(Broken::Nonsense("something is missing")),
            Block::Head(_) | Block::Backend(_) => return Err(Broken::Nonsense("a block is out of place")),
        }
    }
    blocks.nothing_follows()?;
    Ok(Saved { saved_at, pools })
}

fn pool(blocks: &mut Blocks<impl Read>, head: PoolHead) -> Result<SavedPool, Broken> {
    let mut backends = Vec::new();
    for _ in 0..head.backends {
        let Block::Backend(backend) = blocks.next()? else {
            return Err(Broken::Nonsense("a backend is missing"));
        };
        backends.push(backend);
    }
    Ok(SavedPool { pool: head.pool, backends, sessions: Vec::new() })
}

/// Adds the sessions of a block to their pool; returns how many they are.
fn sessions(content: &[u8], pool: &mut SavedPool) -> Result<u64, Broken> {
    let (records, rest) = content.as_chunks::<RECORD>();
    if !rest.is_empty() || pool.pool.table.is_none() {
        return Err(Broken::Nonsense("sessions without a table"));
    }
    for record in records {
        let kept = format::session(record).ok_or(Broken::Nonsense("an unknown flag"))?;
        if kept.owner as usize >= pool.backends.len() {
            return Err(Broken::Nonsense("a session of no backend"));
        }
        pool.sessions.push(kept);
    }
    Ok(records.len() as u64)
}

/// One block; the content of sessions stays where it was read to.
enum Block {
    Head(Head),
    Pool(PoolHead),
    Backend(BackendState),
    Sessions,
    End(End),
}

/// A file, block by block.
struct Blocks<R> {
    input: io::Take<R>,
    sum: u64,
    content: Vec<u8>,
}

impl<R: Read> Blocks<R> {
    fn begin(input: R) -> Result<Self, Broken> {
        let mut this =
            Self { input: input.take(LONGEST_FILE), sum: format::first_sum(), content: Vec::new() };
        let mut magic = [0; format::MAGIC.len()];
        match this.fill(&mut magic) {
            Err(Broken::CutOff) => return Err(Broken::Foreign),
            other => other?,
        }
        if magic != format::MAGIC {
            return Err(Broken::Foreign);
        }
        let mut version = [0; 4];
        this.fill(&mut version)?;
        match u32::from_le_bytes(version) {
            format::VERSION => Ok(this),
            other => Err(Broken::Version(other)),
        }
    }

    fn next(&mut self) -> Result<Block, Broken> {
        let mut begin = [0; BEGIN];
        self.fill(&mut begin)?;
        let [kind, a, b, c, d] = begin;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > LONGEST_BLOCK {
            return Err(Broken::Damaged);
        }
        let mut content = std::mem::take(&mut self.content);
        content.resize(length, 0);
        self.fill(&mut content)?;
        let mut sum = [0; SUM];
        self.fill(&mut sum)?;
        self.sum = format::sum(self.sum, begin, &content);
        if self.sum != u64::from_le_bytes(sum) {
            return Err(Broken::Damaged);
        }
        self.content = content;
        match Kind::of(kind).ok_or(Broken::Nonsense("a block of an unknown kind"))? {
            Kind::Head => self.words().map(Block::Head),
            Kind::Pool => self.words().map(Block::Pool),
            Kind::Backend => self.words().map(Block::Backend),
            Kind::Sessions => Ok(Block::Sessions),
            Kind::End => self.words().map(Block::End),
        }
    }

    fn words<T: DeserializeOwned>(&self) -> Result<T, Broken> {
        serde_json::from_slice(&self.content).map_err(|_| Broken::Nonsense("a block has another form"))
    }

    fn nothing_follows(mut self) -> Result<(), Broken> {
        match self.fill(&mut [0]) {
            Err(Broken::CutOff) => Ok(()),
            Ok(()) => Err(Broken::Nonsense("something follows its end")),
            Err(other) => Err(other),
        }
    }

    fn fill(&mut self, octets: &mut [u8]) -> Result<(), Broken> {
        match self.input.read_exact(octets) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(Broken::Unreadable(error)),
            Err(_) if self.input.limit() == 0 => Err(Broken::TooLarge),
            Err(_) => Err(Broken::CutOff),
        }
    }
}
