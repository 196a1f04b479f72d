//! The fields of one message, in the order in which they came.
//!
//! Most are passed on as they came, and few are ever looked for. So they are a list, with their values left where they
//! lie in the octets of the message's head: nothing is hashed, counted or copied for a field that nobody asks for.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields. Looking for one costs a comparison for each, which for those with well-known names is one of numbers; a head
/// has at most `limits.headers` of them.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// What parts are of.
    octets: Bytes,
    list: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    name: HeaderName,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    /// From here to there in the octets. Where exactly its name, a colon, a space, and the end of the line are around it,
    /// that plain line begins at `line`; 0 where they are not.
    Part {
        start: u32,
        end: u32,
        line: u32,
    },
    Own(HeaderValue),
}

/// What becomes of a field.
#[derive(Debug)]
pub enum Change {
    /// It stays as it is.
    Keep,
    /// It gets another value.
    To(HeaderValue),
    /// It goes.
    Remove,
}

/// Room for the fields that a proxy adds.
const ADDED: usize = 6;

impl Fields {
    /// None.
    pub const fn new() -> Self {
        Self { octets: Bytes::new(), list: Vec::new() }
    }

    /// None yet, of about `count` whose values will be parts of `octets`.
    pub fn of(octets: Bytes, count: usize) -> Self {
        Self { octets, list: Vec::with_capacity(count + ADDED) }
    }

    /// Adds one whose name and value are these parts of the octets. Whoever calls has seen that they are one.
    pub(crate) fn push_part(&mut self, name: HeaderName, spelt: Range<usize>, value: Range<usize>) {
        debug_assert!(spelt.end <= value.start && value.start <= value.end && value.end <= self.octets.len());
        let begins_with =
            |at: usize, two: &[u8; 2]| self.octets.get(at..).and_then(<[u8]>::first_chunk) == Some(two);
        let is_plain =
            value.start - spelt.end == 2 && begins_with(spelt.end, b": ") && begins_with(value.end, b"\r\n");
        // A head is shorter than 4 GiB.
        let line = if is_plain { spelt.start as u32 } else { 0 };
        let value = Value::Part { start: value.start as u32, end: value.end as u32, line };
        self.list.push(Field { name, value });
    }

    /// Adds one.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.list.push(Field { name, value: Value::Own(value) });
    }

    /// Adds one with the value of the last field called `of`; nothing if there is none.
    pub fn append_same(&mut self, name: HeaderName, of: &HeaderName) {
        if let Some(field) = self.list.iter().rfind(|field| field.name == *of) {
            let mut value = field.value.clone();
            if let Value::Part { line, .. } = &mut value {
                *line = 0;
            }
            self.list.push(Field { name, value });
        }
    }

    /// Adds one in place of all of its name.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.append(name, value);
    }

    /// Removes all of a name.
    pub fn remove(&mut self, name: &HeaderName) {
        self.retain(|found| found != name);
    }

    /// Keeps those whose names are to be kept.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&HeaderName) -> bool) {
        self.list.retain(|field| is_kept(&field.name));
    }

    /// The value of the first of a name.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let field = self.list.iter().find(|field| field.name == *name)?;
        Some(field.value.octets(&self.octets))
    }

    /// The values of all of a name, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let named = self.list.iter().filter(move |field| field.name == *name);
        named.map(|field| field.value.octets(&self.octets))
    }

    /// Whether there is one of a name.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.list.iter().any(|field| field.name == *name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.list.iter().map(|field| &field.name)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        self.list.iter().map(|field| (&field.name, field.value.octets(&self.octets)))
    }

    /// The same, with whether a value is a secret that no table may have (RFC 7541 §7.1.3).
    pub(crate) fn each(&self) -> impl Iterator<Item = (&HeaderName, &[u8], bool)> {
        self.list
            .iter()
            .map(|field| (&field.name, field.value.octets(&self.octets), field.value.is_sensitive()))
    }

    /// The same with values of their own, which may be kept.
    pub fn value(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.list.iter().find(|field| field.name == *name)?.value.to_own(&self.octets)
    }

    /// Changes all of a name as `to` says by their values.
    pub fn change(&mut self, name: &HeaderName, mut to: impl FnMut(&[u8]) -> Change) {
        let octets = &self.octets;
        self.list.retain_mut(|field| {
            if field.name != *name {
                return true;
            }
            match to(field.value.octets(octets)) {
                Change::Keep => true,
                Change::To(value) => {
                    field.value = Value::Own(value);
                    true
                }
                Change::Remove => false,
            }
        });
    }

    /// Writes them as lines of HTTP/1 behind what is in `out`. Lines that came plain go as they came, and those that came
    /// one after the other together.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for field in &self.list {
            match field.line() {
                Some(line) if line.start == run.end => run.end = line.end,
                Some(line) => self.write_run(std::mem::replace(&mut run, line), out),
                None => {
                    self.write_run(std::mem::take(&mut run), out);
                    write_line(&field.name, field.value.octets(&self.octets), out);
                }
            }
        }
        self.write_run(run, out);
    }

    fn write_run(&self, run: Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.octets.get(run).unwrap_or_default());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Field {
    /// Where its whole line is, if that is plain.
    fn line(&self) -> Option<Range<usize>> {
        let Value::Part { line: line @ 1.., end, .. } = self.value else { return None };
        Some(line as usize..end as usize + 2)
    }
}

/// Fields that come without the octets of a head of HTTP/1: those are made, so that it is as cheap to pass them on.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    octets: Vec<u8>,
    list: Vec<Field>,
}

/// Fields that a request often has.
const OFTEN: usize = 16;

impl Lines {
    /// None yet. The lines are gathered behind what is in `octets`, which is more than nothing.
    pub(crate) fn behind(octets: Vec<u8>) -> Self {
        debug_assert!(!octets.is_empty());
        Self { octets, list: Vec::with_capacity(OFTEN + ADDED) }
    }

    /// Adds a field. Whoever calls has seen that the value may be one.
    pub(crate) fn push(&mut self, name: HeaderName, value: &[u8]) {
        // Together they are shorter than 4 GiB, as a head is.
        let line = self.octets.len() as u32;
        write_line(&name, value, &mut self.octets);
        let end = self.octets.len() as u32 - 2;
        let value = Value::Part { start: end - value.len() as u32, end, line };
        self.list.push(Field { name, value });
    }

    /// Adds one whose value is a secret that no table may have (RFC 7541 §7.1.3).
    pub(crate) fn push_sensitive(&mut self, name: HeaderName, value: &[u8]) {
        if let Ok(mut value) = HeaderValue::from_bytes(value) {
            value.set_sensitive(true);
            self.list.push(Field { name, value: Value::Own(value) });
        }
    }

    /// What was gathered, and the fields, whose values are parts of `octets`, a copy of that.
    pub(crate) fn finish(self, octets: Bytes) -> (Fields, Vec<u8>) {
        debug_assert_eq!(octets, self.octets);
        (Fields { octets, list: self.list }, self.octets)
    }

    /// What was gathered so far.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// Writes one field as a line of HTTP/1.
pub(crate) fn write_line(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

impl Value {
    fn octets<'a>(&'a self, all: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Part { start, end, .. } => all.get(*start as usize..*end as usize).unwrap_or_default(),
            Self::Own(value) => value.as_bytes(),
        }
    }

    fn is_sensitive(&self) -> bool {
        matches!(self, Self::Own(value) if value.is_sensitive())
    }

    /// The same as a value that may be kept; a part was one when it was parsed.
    fn to_own(&self, all: &Bytes) -> Option<HeaderValue> {
        match self {
            Self::Own(value) => Some(value.clone()),
            Self::Part { start, end, .. } => {
                let range = *start as usize..*end as usize;
                let octets = (range.end <= all.len()).then(|| all.slice(range))?;
                HeaderValue::from_maybe_shared(octets).ok()
            }
        }
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let own = |(name, value)| Field { name, value: Value::Own(value) };
        Self { octets: Bytes::new(), list: fields.into_iter().map(own).collect() }
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::of(Bytes::new(), map.len());
        let mut last = None;
        for (name, value) in map {
            // Further values of a name come without it.
            last = name.or(last);
            if let Some(name) = &last {
                fields.append(name.clone(), value);
            }
        }
        fields
    }
}

impl From<&Fields> for HeaderMap {
    /// As HTTP/2 takes them.
    fn from(fields: &Fields) -> Self {
        let mut map = Self::with_capacity(fields.len());
        for field in &fields.list {
            // There are no more than a head may have.
            if let Some(value) = field.value.to_own(&fields.octets) {
                let _ = map.try_append(field.name.clone(), value);
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::header;
    use proptest::prelude::*;

    /// One step on both a list and a map.
    #[derive(Debug, Clone)]
    enum Step {
        Append(usize, u8),
        Insert(usize, u8),
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_usize, 0..9_u8).prop_map(|(name, value)| Step::Append(name, value)),
            (0..4_usize, 0..9_u8).prop_map(|(name, value)| Step::Insert(name, value)),
            (0..4_usize).prop_map(Step::Remove),
        ]
    }

    fn names() -> [HeaderName; 4] {
        [header::HOST, header::COOKIE, HeaderName::from_static("x-a"), HeaderName::from_static("x-b")]
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_of_them_is(steps in prop::collection::vec(step(), 0..20)) {
            let (mut fields, mut map) = (Fields::new(), HeaderMap::new());
            for step in steps {
                match step {
                    Step::Append(name, value) => {
                        fields.append(names()[name].clone(), u64::from(value).into());
                        map.append(names()[name].clone(), u64::from(value).into());
                    }
                    Step::Insert(name, value) => {
                        fields.insert(names()[name].clone(), u64::from(value).into());
                        map.insert(names()[name].clone(), u64::from(value).into());
                    }
                    Step::Remove(name) => {
                        fields.remove(&names()[name]);
                        map.remove(&names()[name]);
                    }
                }
                for name in &names() {
                    let listed: Vec<_> = fields.get_all(name).collect();
                    let mapped: Vec<_> = map.get_all(name).iter().map(HeaderValue::as_bytes).collect();
                    prop_assert_eq!(listed, mapped);
                    prop_assert_eq!(fields.get(name), map.get(name).map(HeaderValue::as_bytes));
                    prop_assert_eq!(fields.contains(name), map.contains_key(name));
                }
                prop_assert_eq!(fields.len(), map.len());
            }
            prop_assert_eq!(HeaderMap::from(&fields), map.clone());
            prop_assert_eq!(HeaderMap::from(&Fields::from(map.clone())), map);
        }
    }

    #[test]
    fn values_are_parts_of_the_head_until_they_are_changed() {
        let octets = Bytes::from_static(b"!cookie: a=1\r\n");
        let mut fields = Fields::of(octets, 1);
        fields.push_part(header::COOKIE, 1..7, 9..12);
        fields.append_same(HeaderName::from_static("x-same"), &header::COOKIE);
        fields.append_same(HeaderName::from_static("x-none"), &header::HOST);
        fields.change(&header::COOKIE, |_| Change::Keep);
        fields.change(&header::COOKIE, |value| {
            Change::To(HeaderValue::from_bytes(&value[..1]).expect("a value"))
        });
        let all: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(all, [("cookie", &b"a"[..]), ("x-same", b"a=1")]);
        fields.change(&header::COOKIE, |_| Change::Remove);
        assert_eq!(fields.len(), 1);
    }

    #[test]
    fn lines_are_written_as_they_came_only_if_they_are_plain() {
        let octets = b"!A: 1\r\nB:2\r\nC: 3\nD: 4\r\nE: 5\r\nF: 6 \r\n";
        let mut fields = Fields::of(Bytes::from_static(octets), 6);
        let ends = [2, 8, 13, 18, 24, 30];
        for (name, end) in ["a", "b", "c", "d", "e", "f"].into_iter().zip(ends) {
            let value = if name == "b" { end + 1 } else { end + 2 };
            fields.push_part(HeaderName::from_static(name), end - 1..end, value..value + 1);
        }
        let written = |fields: &Fields| {
            let mut out = Vec::new();
            fields.write(&mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(written(&fields), "A: 1\r\nb: 2\r\nc: 3\r\nD: 4\r\nE: 5\r\nf: 6\r\n");
        fields.remove(&HeaderName::from_static("d"));
        fields.append_same(HeaderName::from_static("x"), &HeaderName::from_static("e"));
        fields.insert(HeaderName::from_static("a"), HeaderValue::from_static("0"));
        assert_eq!(written(&fields), "b: 2\r\nc: 3\r\nE: 5\r\nf: 6\r\nx: 5\r\na: 0\r\n");
    }
}
