//! Reads tables of `proxy.toml` setting by setting. Unknown keys, wrong types and wrong values are reported with
//! their place and leave a `None` behind, so that one pass over the file finds everything.
//! What the settings mean together is for [`super::check`] to say.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::ops::Range;
use std::path::PathBuf;
use std::slice;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::contract::{self, Table};
use super::report::{Complaint, Report};
use super::value::{Outcome, expected};

type Value<'a> = Spanned<DeValue<'a>>;

/// One table of the file, or the place where it could be.
pub(super) struct Section<'a> {
    report: &'a Report<'a>,
    table: &'static Table,
    /// How its settings are called in messages.
    path: String,
    span: Range<usize>,
    entries: Option<&'a DeTable<'a>>,
    /// Settings that count where the file has none, and the key that brought them in.
    preset: Option<(&'static str, &'a DeTable<'a>)>,
}

impl<'a> Section<'a> {
    /// The top level of a file.
    pub(super) fn top(report: &'a Report<'a>, entries: &'a DeTable<'a>) -> Self {
        let (table, path) = (&contract::TOP, String::new());
        Self { report, table, path, span: 0..0, entries: Some(entries), preset: None }.with_known_keys()
    }

    /// Reports the keys that it cannot have.
    fn with_known_keys(self) -> Self {
        for key in self.entries.into_iter().flat_map(DeTable::keys) {
            let name: &str = key.get_ref();
            if self.table.keys.contains(&name) {
                continue;
            }
            let complaint = Complaint::unknown_key().maybe_help(contract::advice(self.table, name));
            self.report.add(self.path_of(name), &key.span(), complaint);
        }
        self
    }

    /// The same section, in which what is not set is taken from `settings`, brought in by `key`.
    pub(super) fn with_preset(self, key: &'static str, settings: Option<&'a DeTable<'a>>) -> Self {
        Self { preset: settings.map(|settings| (key, settings)), ..self }
    }

    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// Whether the file has this setting, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Whether the file has nothing there: no such key, or an empty array.
    pub(super) fn lacks(&self, key: &str) -> bool {
        let array = |value: &'a Value<'a>| value.get_ref().as_array();
        self.value(key).is_none_or(|value| array(value).is_some_and(|array| array.is_empty()))
    }

    /// A string as it is written, for those who do not mind whether it is right.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        Some(self.value(key)?.get_ref().as_str()?.to_owned())
    }

    /// The setting, if it is there and right.
    pub(super) fn read<T>(&self, key: &str, parse: impl Fn(&DeValue<'_>) -> Outcome<T>) -> Option<T> {
        let value = self.value(key)?;
        self.outcome(self.path_of(key), value, parse)
    }

    /// The setting, or its default.
    pub(super) fn or<T>(&self, key: &str, default: T, parse: impl Fn(&DeValue<'_>) -> Outcome<T>) -> T {
        self.read(key, parse).unwrap_or(default)
    }

    /// The setting, which must be there.
    pub(super) fn need<T>(&self, key: &str, parse: impl Fn(&DeValue<'_>) -> Outcome<T>) -> Option<T> {
        if !self.has(key) {
            self.complain(key, Complaint::missing(format!("`{key}` is missing")));
        }
        self.read(key, parse)
    }

    /// An array of settings, without those that are wrong.
    pub(super) fn list<T>(&self, key: &str, parse: impl Fn(&DeValue<'_>) -> Outcome<T>) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.complain(key, expected("an array", value.get_ref()));
            return None;
        };
        let path = |index| format!("{}[{index}]", self.path_of(key));
        let items = array.iter().enumerate();
        Some(items.filter_map(|(index, item)| self.outcome(path(index), item, &parse)).collect())
    }

    /// A setting or an array of them, without those that are wrong.
    pub(super) fn one_or_more<T>(&self, key: &str, parse: impl Fn(&DeValue<'_>) -> Outcome<T>) -> Vec<T> {
        if self.value(key).is_some_and(|value| value.get_ref().is_array()) {
            return self.list(key, parse).unwrap_or_default();
        }
        self.read(key, parse).into_iter().collect()
    }

    /// The file that `path` means: a relative one begins where this file is.
    pub(super) fn near(&self, path: &str) -> PathBuf {
        self.report.directory.join(path)
    }

    /// The table below this one that `table` describes; with nothing in it, if it is not there.
    pub(super) fn table(&self, key: &str, table: &'static Table) -> Section<'a> {
        let present = self.value(key).and_then(|value| self.section(self.path_of(key), value, table));
        let absent = || Self {
            report: self.report,
            table,
            path: self.path_of(key),
            span: self.span.clone(),
            entries: None,
            preset: None,
        };
        present.unwrap_or_else(absent)
    }

    /// The array of tables below this one that `table` describes. A lone table is reported, and then read as if
    /// it were an array of one.
    pub(super) fn tables(&self, key: &str, table: &'static Table) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = if let DeValue::Array(array) = value.get_ref() {
            array.iter().as_slice()
        } else {
            let complaint = expected("an array of tables", value.get_ref());
            self.complain(key, complaint.help(format!("write {} with two brackets", table.header)));
            value.get_ref().as_table().map_or(&[][..], |_| slice::from_ref(value))
        };
        let path = |index, item| self.path_of_item(key, index, item);
        let items = items.iter().enumerate();
        items.filter_map(|(index, item)| self.section(path(index, item), item, table)).collect()
    }

    /// Reports a problem with a setting, at its value, or at its table if it has none.
    pub(super) fn complain(&self, key: &str, complaint: Complaint) {
        let span = self.placed(key).map_or_else(|| self.span.clone(), Spanned::span);
        if span.is_empty() {
            self.report.add_unplaced(&self.path_of(key), complaint);
        } else {
            self.report.add(self.path_of(key), &span, complaint);
        }
    }

    fn section(&self, path: String, value: &'a Value<'a>, table: &'static Table) -> Option<Section<'a>> {
        let entries = value.get_ref().as_table();
        if entries.is_none() {
            self.report.add(path, &value.span(), expected("a table", value.get_ref()));
            return None;
        }
        let this = Self { report: self.report, table, path, span: value.span(), entries, preset: None };
        Some(this.with_known_keys())
    }

    fn outcome<T>(
        &self,
        path: String,
        value: &Value<'_>,
        parse: impl Fn(&DeValue<'_>) -> Outcome<T>,
    ) -> Option<T> {
        parse(value.get_ref()).map_err(|complaint| self.report.add(path, &value.span(), complaint)).ok()
    }

    fn value(&self, key: &str) -> Option<&'a Value<'a>> {
        debug_assert!(self.table.keys.contains(&key), "{} has no {key}", self.table.header);
        self.own(key).or_else(|| self.preset?.1.get(key))
    }

    fn own(&self, key: &str) -> Option<&'a Value<'a>> {
        self.entries?.get(key)
    }

    /// The value in the file that a setting is due to: its own, or the one that brought it in.
    fn placed(&self, key: &str) -> Option<&'a Value<'a>> {
        self.own(key).or_else(|| {
            self.preset.filter(|(_, all)| all.get(key).is_some()).and_then(|(by, _)| self.own(by))
        })
    }

    fn path_of_item(&self, key: &str, index: usize, item: &Value<'_>) -> String {
        match item.get_ref().get("name").and_then(|name| name.get_ref().as_str()) {
            Some(name) => format!("{} {name:?}", self.path_of(key)),
            None => format!("{}[{index}]", self.path_of(key)),
        }
    }

    fn path_of(&self, key: &str) -> String {
        let separator = match self.path.chars().last() {
            None => "",
            Some('"') => " ",
            Some(_) => ".",
        };
        format!("{}{separator}{key}", self.path)
    }
}

/// Values that only one section may have, and the line of the section that has them.
pub(super) struct Unique<T>(HashMap<T, usize>);

impl<T: Eq + Hash> Unique<T> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Complains about `key` in `section` when `value` has been there before; `what` it then shares with it.
    pub(super) fn claim(&mut self, value: T, section: &Section<'_>, key: &str, what: &str) {
        match self.0.entry(value) {
            Entry::Occupied(first) => {
                section.complain(key, Complaint::invalid(format!("the same {what} in line {}", first.get())));
            }
            Entry::Vacant(place) => {
                place.insert(section.report.line_of(section.span.start));
            }
        }
    }
}
