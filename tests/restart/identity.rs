//! Whose bindings are kept: those of a backend that is still the one that they were made with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::support::backend::ok;
use crate::support::{Backend, Setup, eventually};
use crate::{AT_THE_END, Folder, Running, setup};

#[test]
fn a_backend_with_another_address_begins_anew() {
    let backends = ["a", "b"].map(Backend::named);
    let [a, b] = &backends;
    let folder = Folder::new();
    let before = Running::start(&setup(&[a, b], &folder, AT_THE_END));
    let rooms = before.rooms(0..20);
    before.end(Signal::TERM);
    let elsewhere = Backend::named("a");
    let after = Running::start(&setup(&[&elsewhere, b], &folder, AT_THE_END));
    let of = |name: &str| rooms.iter().filter(|room| *room == name).count();
    assert!(of("a") > 0 && of("b") > 0, "{rooms:?}");
    let told = [format!("sessions={} ", of("b")), format!("homeless={}", of("a"))];
    assert!(told.iter().all(|told| after.says(told)), "{told:?}: {:?}", after.process.lines());
    assert_eq!(after.backend("a")["sessions"], 0);
    for (room, before) in rooms.iter().enumerate().filter(|(_, before)| *before == "b") {
        assert_eq!(after.room(room), *before);
    }
}

#[test]
fn sessions_of_pools_that_are_gone_are_counted_and_dropped() {
    let backends = ["a", "b"].map(Backend::named);
    let folder = Folder::new();
    let one = setup(&backends.each_ref(), &folder, AT_THE_END);
    let before = Running::start(&one);
    before.rooms(0..6);
    before.end(Signal::TERM);
    let other = crate::support::process::File::with(&one.toml().replace("\"app\"", "\"other\""));
    let after = Running::of_file(&other);
    assert!(after.says("homeless=6") && after.says("sessions=0"), "{:?}", after.process.lines());
}

/// Checked by its status, and naming its life.
fn living(name: &str, life: &Arc<AtomicUsize>, well: &Arc<AtomicBool>) -> Backend {
    let (body, life, well) = (ok(name), life.clone(), well.clone());
    Backend::start(name, move |conn| {
        while let Some(request) = conn.request() {
            let status = if well.load(Ordering::SeqCst) { 200 } else { 503 };
            let instance = life.load(Ordering::SeqCst);
            if request.target() == "/healthz" {
                let head = format!("HTTP/1.1 {status} Health\r\ncontent-length: 0\r\n");
                conn.send(format!("{head}x-instance-id: {instance}\r\n\r\n"));
            } else {
                conn.send(&body);
            }
        }
    })
}

fn checked(backends: &[&Backend], folder: &Folder) -> Setup {
    let checks =
        "path = \"/healthz\"\ninterval = \"100ms\"\nrise = 1\nfall = 40\ninstance_header = \"x-instance-id\"";
    setup(backends, folder, AT_THE_END).table("health", checks)
}

#[test]
fn a_backend_that_was_restarted_meanwhile_begins_anew() {
    let (life, well) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let (a, b) = (living("a", &life, &well), living("b", &Arc::default(), &well));
    let folder = Folder::new();
    let before = Running::start(&checked(&[&a, &b], &folder));
    let rooms = before.rooms(0..20);
    before.end(Signal::TERM);
    life.store(1, Ordering::SeqCst);
    let after = Running::start(&checked(&[&a, &b], &folder));
    eventually("it has been recognised", || after.backend("a")["instance"] == "1");
    assert_eq!(after.backend("a")["sessions"], 0);
    for (room, before) in rooms.iter().enumerate().filter(|(_, before)| *before == "b") {
        assert_eq!(after.room(room), *before);
    }
}

/// One failed check takes down whom nobody knows; sessions that were kept need as many as ever.
#[test]
fn a_first_check_that_fails_moves_nothing() {
    let (life, well) = (Arc::default(), Arc::new(AtomicBool::new(true)));
    let (a, b) = (living("a", &life, &well), Backend::checked("b", || 200));
    let folder = Folder::new();
    let before = Running::start(&checked(&[&a, &b], &folder));
    let rooms = before.rooms(0..20);
    before.end(Signal::TERM);
    well.store(false, Ordering::SeqCst);
    let checks = a.checks();
    let after = Running::start(&checked(&[&a, &b], &folder));
    eventually("it has been checked", || a.checks() > checks + 1);
    assert_eq!(after.backend("a")["health"], "suspect");
    assert_eq!(after.rooms(0..20), rooms);
    assert!(after.rooms(20..30).iter().all(|backend| backend == "b"), "a suspect one takes no new ones");
}
