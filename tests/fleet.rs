//! Changes of the fleet, seen by clients and backends: drains, limits, restarts, backends that are down and come back.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "fleet/close.rs"]
mod close;
#[path = "fleet/down.rs"]
mod down;
#[path = "fleet/drain.rs"]
mod drain;
#[path = "fleet/ends.rs"]
mod ends;
#[path = "fleet/room.rs"]
mod room;
#[path = "fleet/selves.rs"]
mod selves;
mod support;

use std::collections::BTreeMap;

use support::{Backend, Proxy, Setup};

/// Sessions by the room in the path.
fn rooms_of(backends: &[&Backend]) -> Setup {
    Setup::of(backends).sticky("\"path:/game/{room}\"")
}

/// Where each of some rooms lives.
fn homes(proxy: &Proxy) -> BTreeMap<String, String> {
    (0..40)
        .map(|room| format!("/game/{room}"))
        .map(|room| (room.clone(), proxy.get(&room, &[]).text()))
        .collect()
}

/// A room that lives on `backend`, found by asking for new ones.
fn room_on(proxy: &Proxy, backend: &str) -> String {
    let mut rooms = (0..1000).map(|n| format!("/game/of-{backend}-{n}"));
    rooms.find(|room| proxy.get(room, &[]).text() == backend).expect("one of a thousand rooms")
}
