//! The keys of a simulation: counted, read from a file, or taken from an access log. Each is kept as its placement hash,
//! which is all that decisions look at.

use std::borrow::Cow;
use std::io::{BufRead, Read as _};

use hashbrown::HashTable;
use serde::Deserialize;

use super::Error;
use crate::stable_hash;

/// Different keys of one simulation.
pub const MOST_KEYS: usize = 10_000_000;
/// Octets of a line.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// Different keys, in the order in which they came.
#[derive(Debug, Clone)]
pub struct Keys {
    hashes: Vec<u64>,
    /// Lines read that were not empty; of a log, those of the access log and the pool.
    pub lines: Option<u64>,
    /// Those among them that had no key.
    pub without_key: u64,
}

/// Collects keys, each once.
#[derive(Default)]
struct Collector {
    hashes: Vec<u64>,
    seen: HashTable<u64>,
}

impl Collector {
    /// Placement hashes are as good as the keys: 10 million have 3 in a million chances that two are one.
    fn add(&mut self, key: &[u8]) -> Result<(), Error> {
        let hash = stable_hash::hash(key);
        if self.seen.find(hash, |known| *known == hash).is_some() {
            return Ok(());
        }
        if self.hashes.len() == MOST_KEYS {
            return Err(Error::TooManyKeys);
        }
        self.seen.insert_unique(hash, hash, |known| *known);
        self.hashes.push(hash);
        Ok(())
    }

    fn finish(self, lines: u64, without_key: u64) -> Result<Keys, Error> {
        if self.hashes.is_empty() {
            Err(Error::NoKeys)
        } else {
            Ok(Keys { hashes: self.hashes, lines: Some(lines), without_key })
        }
    }
}

impl Keys {
    /// `key-0`, `key-1` and so on, so many.
    ///
    /// # Errors
    /// None, or too many.
    pub fn counted(count: u64) -> Result<Self, Error> {
        match usize::try_from(count) {
            Ok(0) => Err(Error::NoKeys),
            Ok(count) if count <= MOST_KEYS => {
                let hash = |n| stable_hash::hash(format!("key-{n}").as_bytes());
                Ok(Self { hashes: (0..count).map(hash).collect(), lines: None, without_key: 0 })
            }
            _ => Err(Error::TooManyKeys),
        }
    }

    /// One key a line; empty lines are passed over.
    ///
    /// # Errors
    /// It cannot be read, or has no keys or too many.
    pub fn read(reader: impl BufRead) -> Result<Self, Error> {
        let (mut keys, mut count) = (Collector::default(), 0);
        each_line(reader, |line| {
            count += 1;
            keys.add(line)
        })?;
        keys.finish(count, 0)
    }

    /// The keys in the lines of `pool` in an access log, as text or JSON. Keys are hashes there; each counts as one.
    ///
    /// # Errors
    /// It cannot be read, or has no keys or too many.
    pub fn read_log(reader: impl BufRead, pool: &str) -> Result<Self, Error> {
        let (mut keys, mut count, mut without) = (Collector::default(), 0, 0);
        each_line(reader, |line| {
            let Some(access) = Access::read(line).filter(|access| access.pool.as_deref() == Some(pool))
            else {
                return Ok(());
            };
            count += 1;
            if let Some(key) = access.key {
                return keys.add(key.as_bytes());
            }
            without += 1;
            Ok(())
        })?;
        keys.finish(count, without)
    }

    /// Their placement hashes; at least one.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}

/// Reads line by line, so that a file may be larger than memory.
fn each_line(
    mut reader: impl BufRead,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        if read > LONGEST_LINE {
            return Err(Error::LongLine(number));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            take(text)?;
        }
    }
    Ok(())
}

/// What is of interest in a line of the access log.
#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Access<'a> {
    #[serde(borrow)]
    target: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pool: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

impl<'a> Access<'a> {
    /// None for lines that are about something else.
    fn read(line: &'a [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_start();
        if line.starts_with('{') {
            let access: Self = serde_json::from_str(line).ok()?;
            return (access.target.as_deref() == Some("access")).then_some(access);
        }
        let (_, fields) = line.split_once(" access: ")?;
        let mut access = Self { target: None, pool: None, key: None };
        for (name, value) in Fields(fields) {
            match name {
                "pool" => access.pool = Some(value),
                "key" => access.key = Some(value),
                _ => {}
            }
        }
        Some(access)
    }
}

/// The `name=value` pairs of a line, in which values may be quoted as Rust's strings are.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.trim_start().split_once('=')?;
        let Some(quoted) = rest.strip_prefix('"') else {
            let (value, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            self.0 = rest;
            return Some((name, value.into()));
        };
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (value, rest) = quoted.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some((name, value.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_and_keys_are_found_in_both_forms_of_the_log() {
        let text = b"2026-01-01T00:00:00Z  INFO access: client=127.0.0.1 method=GET host=\"a\" path=\"/x\\\" key=\\\"no\" \
                     status=200 pool=\"app\" key=\"00ab\" received=0";
        let json = br#"{"level":"INFO","target":"access","path":"/x","pool":"app","key":"00ab","sent":1}"#;
        for line in [&text[..], &json[..]] {
            let access = Access::read(line).expect("an access line");
            assert_eq!((access.pool.as_deref(), access.key.as_deref()), (Some("app"), Some("00ab")));
        }
        assert_eq!(
            Access::read(b"2026-01-01T00:00:00Z  INFO homing::cli: listening address=127.0.0.1:1"),
            None
        );
        assert_eq!(Access::read(br#"{"target":"homing::cli","key":"x"}"#), None);
    }

    #[test]
    fn lines_are_keys_and_each_counts_once() {
        let keys = Keys::read(&b"a\r\nb\n\na\nc"[..]).expect("keys");
        assert_eq!((keys.hashes().len(), keys.lines), (3, Some(4)));
        assert!(matches!(Keys::read(&b"\n\n"[..]), Err(Error::NoKeys)));
        let long = [b"a\n".to_vec(), vec![b'x'; LONGEST_LINE + 1]].concat();
        assert!(matches!(Keys::read(&long[..]), Err(Error::LongLine(2))));
        assert!(matches!(Keys::counted(10_000_001), Err(Error::TooManyKeys)));
    }
}
