//! `[pool.sticky]`: where session keys are, and how they keep their backend.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::file::Section;
use crate::config::report::Complaint;
use crate::config::value::{self, choice, duration, positive};
use crate::config::{Cookie, KeySource, Mode, OnBackendDown, Preset, Sealed, Sticky, Table, contract};

use super::cookie;

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("it is not zero");
/// At 60 octets a session, more than any machine holds.
const MOST_CAPACITY: u64 = 1 << 36;

#[derive(Clone, Copy)]
enum Name {
    Hash,
    Table,
    Cookie,
}

/// The stickiness of the pool called `pool`, if it has any. `route_keys` are the sources its routes name on their own.
pub(super) fn read(section: Section<'_>, pool: Option<&str>, route_keys: &[KeySource]) -> Option<Sticky> {
    if !section.is_present() {
        return None;
    }
    let preset = section.read("preset", choice(Preset::NAMES));
    let section = &section.with_preset("preset", preset.map(Preset::settings));
    let key = section.list("key", value::key_source);
    let table = table(section, key.as_deref().unwrap_or_default(), route_keys);
    let on_backend_down = on_backend_down(section);

    check_key(section);

    let default = (!section.has("mode")).then_some(Name::Table);
    let names = choice(&[("hash", Name::Hash), ("table", Name::Table), ("cookie", Name::Cookie)]);
    let cookie = section.table("cookie", &contract::COOKIE);
    let name = section.read("mode", names).or(default)?;
    if cookie.is_present() && !matches!(name, Name::Cookie) {
        let complaint = Complaint::invalid("only `mode = \"cookie\"` has a cookie of the proxy's");
        section.complain("cookie", complaint.help("leave the table out, or use that mode"));
    }
    let mode = match name {
        Name::Hash => hash(section, &table),
        Name::Table => Mode::Table(table),
        Name::Cookie => sealed(section, &table, cookie::read(&cookie, pool)),
    };
    Some(Sticky { key: key.unwrap_or_default(), mode, on_backend_down })
}

fn on_backend_down(section: &Section<'_>) -> OnBackendDown {
    let wait_timeout = section.read("wait_timeout", duration);
    let wait = OnBackendDown::Wait(wait_timeout.unwrap_or(Duration::from_secs(10)));
    // The time to wait is filled in where it has to be.
    let words: &'static [(&'static str, Option<OnBackendDown>)] =
        &[("rebind", Some(OnBackendDown::Rebind)), ("wait", None), ("reject", Some(OnBackendDown::Reject))];
    section.or("on_backend_down", Some(OnBackendDown::Rebind), choice(words)).unwrap_or(wait)
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
        max_lifetime: section.or("max_lifetime", Duration::ZERO, value::duration),
        capacity: section.or("capacity", DEFAULT_CAPACITY, value::count(MOST_CAPACITY)),
    }
}

fn hash(section: &Section<'_>, table: &Table) -> Mode {
    refuse_to_learn(section, table, "`mode = \"hash\"` keeps nothing, so it cannot learn");
    Mode::Hash
}

fn sealed(section: &Section<'_>, table: &Table, cookie: Cookie) -> Mode {
    refuse_to_learn(section, table, "`mode = \"cookie\"` has a cookie of its own, and learns no other");
    let &Table { learn: _, idle_timeout, max_lifetime, capacity } = table;
    Mode::Cookie(Sealed { cookie, idle_timeout, max_lifetime, capacity })
}

fn refuse_to_learn(section: &Section<'_>, table: &Table, why: &str) {
    if section.has("learn") && !table.learn.is_empty() {
        let complaint = Complaint::invalid(why).help("leave it out, or use `mode = \"table\"`");
        section.complain("learn", complaint);
    }
}

/// In `cookie` mode the key is optional: it only helps to place new sessions.
fn check_key(section: &Section<'_>) {
    if section.lacks("key") && section.text("mode").is_none_or(|mode| mode != "cookie") {
        let complaint = Complaint::missing("a sticky pool needs at least one key source");
        section.complain("key", complaint.help("write `key = [\"cookie:sessionId\"]`"));
    }
}
