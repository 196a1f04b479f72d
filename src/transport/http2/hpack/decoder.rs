//! Field sections of clients, decompressed (RFC 7541 §3.2).

use bytes::Bytes;
use http::HeaderName;

use super::table::Table;
use super::{Garbled, KNOWN, OVERHEAD, TABLE, form, huffman, known};
use crate::headers;

/// The state of one connection's fields.
#[derive(Debug, Default)]
pub(in super::super) struct Decoder {
    table: Table<Entry>,
}

/// One field of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) value: Bytes,
    /// Octets that it counts (§4.1).
    pub(super) size: usize,
    pub(super) wrong: Option<Wrong>,
}

/// One field as it comes.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Field<'a> {
    pub(in super::super) name: &'a Name,
    pub(in super::super) value: &'a [u8],
    /// Octets that it counts (RFC 9113 §6.5.2).
    pub(in super::super) size: usize,
    /// What is wrong with it.
    pub(in super::super) wrong: Option<Wrong>,
    /// No table may ever have it (§7.1.3).
    pub(in super::super) is_sensitive: bool,
}

/// A field's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Name {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:protocol` (RFC 8441 §4).
    Protocol,
    /// `:status`, which requests do not have.
    Status,
    /// That of a field.
    Field(HeaderName),
    /// None that there may be.
    Unfit,
}

/// Why a field is not one that can be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Wrong {
    /// Its name is no token in lower case, or unknown with a colon (RFC 9113 §8.2.1, §8.3).
    Name,
    /// Its value has octets that no value has (§8.2.1).
    Value,
    /// Its value begins or ends with white space, so that others would see another value (§8.2.1).
    Padded,
}

impl Name {
    pub(super) fn parse(octets: &[u8]) -> Self {
        match octets {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":status" => Self::Status,
            _ if octets.iter().any(|octet| is_unfit(*octet)) => Self::Unfit,
            _ => headers::name(octets).map_or(Self::Unfit, Self::Field),
        }
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Method => ":method",
            Self::Scheme => ":scheme",
            Self::Authority => ":authority",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
            Self::Status => ":status",
            Self::Field(name) => name.as_str(),
            Self::Unfit => "",
        }
    }
}

/// A field that is written out.
struct Literal<'a> {
    name: Name,
    value: &'a [u8],
    size: usize,
    wrong: Option<Wrong>,
}

impl Decoder {
    /// Hands over the fields of a section, in order.
    ///
    /// # Errors
    /// It cannot be decompressed, or that of `each`: then the tables of both sides are not the same any more.
    pub(in super::super) fn decode<E: From<Garbled>>(
        &mut self,
        mut block: &[u8],
        mut each: impl FnMut(Field<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut text, mut has_fields) = (Vec::new(), false);
        while let Some(&first) = block.first() {
            if first & form::INDEXED != 0 {
                let index = integer(&mut block, 7)?;
                each(self.entry(index)?.field())?;
            } else if first & (form::ADDED | form::SIZE) == form::SIZE {
                if has_fields {
                    return Err(Garbled("the table changes its size behind a field").into());
                }
                let most = integer(&mut block, 5)?;
                self.resize(most)?;
                continue;
            } else {
                let is_added = first & form::ADDED != 0;
                let literal = self.literal(&mut block, if is_added { 6 } else { 4 }, &mut text)?;
                each(literal.field(!is_added && first & form::NEVER != 0))?;
                if is_added {
                    self.table.add(literal.size, literal.into());
                }
            }
            has_fields = true;
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<&Entry, Garbled> {
        let entry = match index.checked_sub(KNOWN + 1) {
            Some(place) => self.table.get(place),
            None => known::ENTRIES.get(index.wrapping_sub(1)),
        };
        entry.ok_or(Garbled("an index that no field has"))
    }

    /// Reads a field with an index, or else its name, and its value; `text` is for what is coded.
    fn literal<'b: 't, 't>(
        &self,
        block: &mut &'b [u8],
        prefix: u32,
        text: &'t mut Vec<u8>,
    ) -> Result<Literal<'t>, Garbled> {
        let (name, length) = match integer(block, prefix)? {
            0 => {
                let name = string(block, text)?;
                (Name::parse(name), name.len())
            }
            index => {
                let entry = self.entry(index)?;
                (entry.name.clone(), entry.size - OVERHEAD - entry.value.len())
            }
        };
        let value = string(block, text)?;
        let wrong = if name == Name::Unfit { Some(Wrong::Name) } else { wrong_with(value) };
        Ok(Literal { name, value, size: length + value.len() + OVERHEAD, wrong })
    }

    fn resize(&mut self, most: usize) -> Result<(), Garbled> {
        if most > TABLE {
            return Err(Garbled("the table becomes larger than was agreed"));
        }
        self.table.resize(most);
        Ok(())
    }
}

impl Entry {
    fn field(&self) -> Field<'_> {
        let Self { name, value, size, wrong } = self;
        Field { name, value, size: *size, wrong: *wrong, is_sensitive: false }
    }
}

impl Literal<'_> {
    fn field(&self, is_sensitive: bool) -> Field<'_> {
        let Self { name, value, size, wrong } = self;
        Field { name, value, size: *size, wrong: *wrong, is_sensitive }
    }
}

impl From<Literal<'_>> for Entry {
    fn from(literal: Literal<'_>) -> Self {
        let Literal { name, value, size, wrong } = literal;
        Self { name, value: Bytes::copy_from_slice(value), size, wrong }
    }
}

/// Whether an octet has no place in a name: `http` lets a quote pass, and what is known by a glance may be told from
/// another in lower case only (RFC 9113 §8.2.1).
fn is_unfit(octet: u8) -> bool {
    octet.is_ascii_uppercase() || octet <= b' ' || octet == b'"'
}

/// What is wrong with a value (RFC 9110 §5.5, RFC 9113 §8.2.1).
fn wrong_with(value: &[u8]) -> Option<Wrong> {
    let may_be = |octet: u8| octet >= b' ' && octet != 0x7f || octet == b'\t';
    if !value.iter().fold(true, |so_far, octet| so_far & may_be(*octet)) {
        return Some(Wrong::Value);
    }
    let is_space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    (is_space(value.first()) || is_space(value.last())).then_some(Wrong::Padded)
}

/// Reads a number of which the first octet has the last `prefix` bits (§5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Garbled> {
    const ENDLESS: Garbled = Garbled("a number that does not end");
    let first = block.split_off_first().ok_or(ENDLESS)?;
    let largest = (1_usize << prefix) - 1;
    let mut number = usize::from(*first) & largest;
    if number < largest {
        return Ok(number);
    }
    // Nothing that is counted here needs more.
    for shift in [0, 7, 14, 21] {
        let octet = *block.split_off_first().ok_or(ENDLESS)?;
        number += usize::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Garbled("a number that is too large"))
}

/// Reads a string (§5.2); one that is coded into `text`.
fn string<'b: 't, 't>(block: &mut &'b [u8], text: &'t mut Vec<u8>) -> Result<&'t [u8], Garbled> {
    let is_coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let octets = block.split_off(..length).ok_or(Garbled("a string is longer than its section"))?;
    if !is_coded {
        return Ok(octets);
    }
    text.clear();
    huffman::decode(octets, text)?;
    Ok(text)
}
