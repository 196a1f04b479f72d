//! What is kept: bindings, and what operators want.

use rustix::process::Signal;
use serde_json::json;

use crate::support::process::connect;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, eventually};
use crate::{AT_THE_END, Folder, OFTEN, Running, setup};

const STATE: &str = "PUT /api/pools/app/backends";

#[test]
fn a_graceful_restart_keeps_every_binding_and_every_order() {
    let backends = ["a", "b", "c"].map(Backend::named);
    let [a, b, c] = &backends;
    let folder = Folder::new();
    let setup = setup(&[a, b, c], &folder, AT_THE_END);
    let before = Running::start(&setup);
    let rooms = before.rooms(0..90);
    let epochs: Vec<_> = (0..90).map(|room| before.epoch(room)).collect();
    before.call(&format!("{STATE}/a/state"), r#"{"state":"drain","timeout":"10m"}"#);
    before.call(&format!("{STATE}/c/state"), r#"{"state":"maint"}"#);
    before.end(Signal::TERM);

    let after = Running::start(&setup);
    let drain = after.backend("a");
    let left = drain["drain"]["seconds_left"].as_f64().unwrap();
    assert!(drain["state"] == "drain" && left < 600.0 && left > 500.0, "{drain}");
    assert_eq!(
        (&after.backend("b")["state"], &after.backend("c")["state"]),
        (&json!("ready"), &json!("maint"))
    );
    for (room, before) in rooms.iter().enumerate() {
        let (now, kept) = (after.room(room), before != "c");
        assert!(if kept { now == *before } else { now == "b" }, "{room}: {before}, then {now}");
        assert!((after.epoch(room) == epochs[room]) == kept && after.epoch(room) >= epochs[room], "{room}");
    }
    assert!(after.rooms(90..110).iter().all(|backend| backend == "b"), "only b takes new ones");
}

/// Every binding that was made before a save began is there after it, however the process ends.
#[test]
fn a_killed_proxy_has_lost_nothing_that_was_older_than_the_interval() {
    let backends = ["a", "b", "c"].map(Backend::named);
    let [a, b, c] = &backends;
    let folder = Folder::new();
    let setup = setup(&[a, b, c], &folder, OFTEN);
    let mut running = Running::start(&setup);
    let mut rooms = Vec::new();
    for round in 0..4 {
        rooms.extend(running.rooms(round * 40..(round + 1) * 40));
        running.until_saved();
        running.process.signal(Signal::KILL);
        running = Running::start(&setup);
        assert!(running.says("state loaded"), "{:?}", running.process.lines());
        assert_eq!(running.rooms(0..rooms.len()), rooms, "round {round}");
    }
}

#[test]
fn every_way_to_stop_saves() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let backends = ["a", "b"].map(Backend::named);
        let folder = Folder::new();
        let setup = setup(&backends.each_ref(), &folder, AT_THE_END);
        let before = Running::start(&setup);
        let rooms = before.rooms(0..9);
        before.end(signal);
        assert_eq!(Running::start(&setup).rooms(0..9), rooms, "{signal:?}");
    }
}

/// A tunnel that says nothing is no idle session.
#[test]
fn what_is_live_is_kept_while_nothing_happens() {
    let events = Events::default();
    let (a, b) = (echo("a", &events), echo("b", &events));
    let folder = Folder::new();
    let setup =
        setup(&[&a, &b], &folder, OFTEN).routes("[[route]]\npool = \"app\"\nkey = [\"path:/chat/{room}\"]");
    let before = Running::start(&setup);
    let mut tunnels: Vec<_> =
        (0..6).map(|room| Tunnel::open(connect(before.address), &format!("/chat/{room}"))).collect();
    let rooms: Vec<_> = tunnels.iter_mut().map(Tunnel::hear).collect();
    before.until_saved();
    before.until_saved();
    assert_eq!(before.state()["sessions"], 6);
    before.process.signal(Signal::KILL);
    let after = Running::start(&setup);
    for (room, before) in rooms.iter().enumerate() {
        assert_eq!(Tunnel::open(connect(after.address), &format!("/chat/{room}")).hear(), *before);
    }
}

#[test]
fn where_nothing_has_changed_nothing_is_written() {
    let backends = ["a", "b"].map(Backend::named);
    let folder = Folder::new();
    let running = Running::start(&setup(&backends.each_ref(), &folder, OFTEN));
    running.rooms(0..5);
    running.until_saved();
    let octets = folder.octets();
    running.until_saved();
    running.until_saved();
    assert!(folder.octets() == octets, "written again");
    running.room(0);
    eventually("it is written again", || folder.octets() != octets);
}

/// The file says what the operator wanted; the word of the configuration is newer if it has changed since.
#[test]
fn a_changed_word_in_the_file_counts_more_than_an_old_order() {
    let backends = ["a", "b"].map(Backend::named);
    let [a, b] = &backends;
    let folder = Folder::new();
    let before = Running::start(&setup(&[a, b], &folder, AT_THE_END));
    before.call(&format!("{STATE}/a/state"), r#"{"state":"drain"}"#);
    before.end(Signal::TERM);
    let file = setup(&[a, b], &folder, AT_THE_END).backend("a", "state = \"maint\"");
    let after = Running::start(&file);
    assert_eq!(after.backend("a")["state"], "maint");
    after.call(&format!("{STATE}/a/state"), r#"{"state":"ready"}"#);
    after.end(Signal::TERM);
    assert_eq!(Running::start(&file).backend("a")["state"], "ready");
}

#[test]
fn without_a_directory_nothing_is_said_of_it() {
    let a = Backend::named("a");
    let running = Running::start(&crate::support::Setup::of(&[&a]).admin(""));
    assert_eq!(running.state(), json!(null));
}
