//! `[pool.sticky]`: where session keys are, and how they keep their backend.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::file::Section;
use crate::config::report::Complaint;
use crate::config::value::{self, choice, duration, positive};
use crate::config::{KeySource, Mode, OnBackendDown, Preset, Sticky, Table};

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("it is not zero");
/// At 60 octets a session, more than any machine holds.
const MOST_CAPACITY: u64 = 1 << 36;

#[derive(Clone, Copy)]
enum Name {
    Hash,
    Table,
}

/// The stickiness of a pool, if it has any. `route_keys` are the sources its routes name on their own.
pub(super) fn read(section: Section<'_>, route_keys: &[KeySource]) -> Option<Sticky> {
    if !section.is_present() {
        return None;
    }
    let preset = section.read("preset", choice(Preset::NAMES, &[]));
    let section = &section.with_preset("preset", preset.map(Preset::settings));
    let key = section.list("key", value::key_source);
    let table = table(section, key.as_deref().unwrap_or_default(), route_keys);
    let on_backend_down = on_backend_down(section);

    check_key(section);

    let default = (!section.has("mode")).then_some(Name::Table);
    let names = choice(&[("hash", Name::Hash), ("table", Name::Table)], &["cookie"]);
    let mode = match section.read("mode", names).or(default)? {
        Name::Hash => hash(section, &table),
        Name::Table => Mode::Table(table),
    };
    Some(Sticky { key: key.unwrap_or_default(), mode, on_backend_down })
}

fn on_backend_down(section: &Section<'_>) -> OnBackendDown {
    let wait_timeout = section.read("wait_timeout", duration);
    let wait = OnBackendDown::Wait(wait_timeout.unwrap_or(Duration::from_secs(10)));
    // The time to wait is filled in where it has to be.
    let words: &'static [(&'static str, Option<OnBackendDown>)] =
        &[("rebind", Some(OnBackendDown::Rebind)), ("wait", None), ("reject", Some(OnBackendDown::Reject))];
    section.or("on_backend_down", Some(OnBackendDown::Rebind), choice(words, &[])).unwrap_or(wait)
}

fn table(section: &Section<'_>, key: &[KeySource], route_keys: &[KeySource]) -> Table {
    let learn = section.list("learn", value::learnt);
    let mut learnable: Vec<KeySource> = Vec::new();
    for source in key.iter().chain(route_keys).filter(|source| source.is_learnable()) {
        if !learnable.contains(source) {
            learnable.push(source.clone());
        }
    }
    Table {
        learn: learn.unwrap_or(learnable),
        idle_timeout: section.or("idle_timeout", Duration::from_mins(30), positive),
        capacity: section.or("capacity", DEFAULT_CAPACITY, value::count(MOST_CAPACITY)),
    }
}

fn hash(section: &Section<'_>, table: &Table) -> Mode {
    if section.has("learn") && !table.learn.is_empty() {
        let complaint = Complaint::invalid("`mode = \"hash\"` keeps nothing, so it cannot learn");
        section.complain("learn", complaint.help("leave it out, or use `mode = \"table\"`"));
    }
    Mode::Hash
}

/// In `cookie` mode, once there is one, the key is optional.
fn check_key(section: &Section<'_>) {
    if section.lacks("key") && section.text("mode").is_none_or(|mode| mode != "cookie") {
        let complaint = Complaint::missing("a sticky pool needs at least one key source");
        section.complain("key", complaint.help("write `key = [\"cookie:sessionId\"]`"));
    }
}
