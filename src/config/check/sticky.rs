//! `[pool.sticky]`: where session keys are, and how they keep their backend.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::file::Section;
use crate::config::report::Complaint;
use crate::config::value::{self, choice, positive};
use crate::config::{KeySource, Mode, Sticky, Table};

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("it is not zero");
/// At 60 octets a session, more than any machine holds.
const MOST_CAPACITY: u64 = 1 << 36;

#[derive(Clone, Copy)]
enum Name {
    Hash,
    Table,
}

/// The stickiness of a pool, if it has any. `route_keys` are the sources its routes name on their own.
pub(super) fn read(section: &Section<'_>, route_keys: &[KeySource]) -> Option<Sticky> {
    if !section.is_present() {
        return None;
    }
    let key = section.list("key", value::key_source);
    let table = table(section, key.as_deref().unwrap_or_default(), route_keys);
    section.read("on_backend_down", choice(&[("rebind", ())], &["wait", "reject"]));

    check_key(section);

    let default = (!section.has("mode")).then_some(Name::Table);
    let names = choice(&[("hash", Name::Hash), ("table", Name::Table)], &["cookie"]);
    let mode = match section.read("mode", names).or(default)? {
        Name::Hash => hash(section, &table),
        Name::Table => Mode::Table(table),
    };
    Some(Sticky { key: key.unwrap_or_default(), mode })
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
