//! Field sections for clients, compressed (RFC 7541 §2.4).
//!
//! What repeats from one response to the next is sent once and named by its place in the table from then on. Strings are
//! written as they are: their code saves a quarter of what is sent once, and costs more than all the rest of a head.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};

use super::table::Table;
use super::{KNOWN, OVERHEAD, TABLE, form, known};
use crate::headers::Fields;

/// What the client knows.
#[derive(Debug, Default)]
pub(in super::super) struct Encoder {
    table: Table<Entry>,
    /// The smallest that its entries might count since the last section, if that has changed: the client has to hear of it.
    lowest: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    print: u64,
    name: HeaderName,
    value: Bytes,
}

/// One field as it goes.
struct Field<'a> {
    name: &'a HeaderName,
    value: &'a [u8],
    is_sensitive: bool,
}

impl Encoder {
    /// The client keeps so many octets at most.
    pub(in super::super) fn resize(&mut self, most: u32) {
        let most = TABLE.min(most as usize);
        if most != self.table.most() {
            self.lowest = Some(self.lowest.unwrap_or(most).min(most));
            self.table.resize(most);
        }
    }

    /// Writes the head of a response behind what is in `out`.
    pub(in super::super) fn head(&mut self, status: StatusCode, fields: &Fields, out: &mut Vec<u8>) {
        self.begin(out);
        if let Some(index) = known::status(status) {
            integer(out, form::INDEXED, 7, index);
        } else {
            integer(out, 0, 4, known::STATUS);
            string(out, status.as_str().as_bytes());
        }
        self.fields(fields, out);
    }

    /// Writes trailer fields.
    pub(in super::super) fn trailers(&mut self, fields: &Fields, out: &mut Vec<u8>) {
        self.begin(out);
        self.fields(fields, out);
    }

    /// Tells how large the table is, if that has changed (§4.2).
    fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowest.take() {
            if lowest < self.table.most() {
                integer(out, form::SIZE, 5, lowest);
            }
            integer(out, form::SIZE, 5, self.table.most());
        }
    }

    fn fields(&mut self, fields: &Fields, out: &mut Vec<u8>) {
        for (name, value, is_sensitive) in fields.each() {
            // It belongs to a connection, and HTTP/2 has none (RFC 9113 §8.2.2).
            if *name != header::CONNECTION {
                self.field(&Field { name, value, is_sensitive }, out);
            }
        }
    }

    fn field(&mut self, field: &Field<'_>, out: &mut Vec<u8>) {
        if field.is_sensitive || !is_worth_keeping(field) {
            let how = if field.is_sensitive { form::NEVER } else { 0 };
            return field.write(how, 4, out);
        }
        let print = field.print();
        let is_same = |entry: &Entry| entry.print == print && entry.is(field);
        if let Some(place) = self.table.position(is_same) {
            return integer(out, form::INDEXED, 7, KNOWN + 1 + place);
        }
        field.write(form::ADDED, 6, out);
        let entry = Entry { print, name: field.name.clone(), value: Bytes::copy_from_slice(field.value) };
        self.table.add(field.name.as_str().len() + field.value.len() + OVERHEAD, entry);
    }
}

impl Entry {
    fn is(&self, field: &Field<'_>) -> bool {
        self.value == field.value && self.name == *field.name
    }
}

impl Field<'_> {
    /// What one field is told by from most others: its name and its value, eight octets at a time.
    fn print(&self) -> u64 {
        let mix =
            |print: u64, octets: u64| (print.rotate_left(23) ^ octets).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut print = self.value.len() as u64;
        for text in [self.name.as_str().as_bytes(), self.value] {
            let (chunks, rest) = text.as_chunks::<8>();
            print = chunks.iter().fold(print, |print, chunk| mix(print, u64::from_le_bytes(*chunk)));
            let last = match text.last_chunk::<8>() {
                // Some of them once more.
                Some(last) => u64::from_le_bytes(*last),
                None => rest.iter().fold(0, |so_far, octet| so_far << 8 | u64::from(*octet)),
            };
            print = mix(print, last);
        }
        print
    }

    fn write(&self, how: u8, prefix: u32, out: &mut Vec<u8>) {
        if let Some(index) = known::name(self.name) {
            integer(out, how, prefix, index);
        } else {
            out.push(how);
            string(out, self.name.as_str().as_bytes());
        }
        string(out, self.value);
    }
}

/// Whether a field may come again as it is, and is no secret that others could guess by its size (§7.1).
fn is_worth_keeping(field: &Field<'_>) -> bool {
    let is_single = [
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::LOCATION,
        header::SET_COOKIE,
        header::AGE,
    ]
    .contains(field.name);
    !is_single && field.value.len() < TABLE / 4
}

/// Writes a number behind the bits that say what it is (§5.1).
fn integer(out: &mut Vec<u8>, how: u8, prefix: u32, number: usize) {
    let largest = (1_usize << prefix) - 1;
    if number < largest {
        return out.push(how | number as u8);
    }
    out.push(how | largest as u8);
    let mut rest = number - largest;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a string as it is (§5.2).
fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}
