//! A proxy that has no descriptor left: it waits, says so, blames nobody, and goes on when there are some again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use support::process::{Process, connect};
use support::{Backend, Setup, eventually, get};

fn descriptors(process: &Process) -> BTreeSet<u64> {
    let open = fs::read_dir(format!("/proc/{}/fd", process.pid().as_raw_nonzero())).unwrap();
    open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Lets `process` open nothing more: a new descriptor would have the lowest number that is free.
fn leave_none(process: &Process) {
    let open = descriptors(process);
    let lowest_free = (0..=open.len() as u64).find(|number| !open.contains(number)).unwrap();
    limit(process, lowest_free);
}

/// Only the soft limit changes, so that it can be raised again.
fn limit(process: &Process, most: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(process.pid()), Resource::Nofile, Rlimit { current: Some(most), maximum }).unwrap();
}

const PLENTY: u64 = 512;

fn said(process: &Process, what: &str) -> usize {
    process.lines().iter().filter(|line| line.contains(what)).count()
}

#[test]
fn connections_wait_where_none_can_be_accepted() {
    let backend = Backend::named("a");
    let kept = Setup::of(&[&backend]).table("timeouts", "keep_alive = \"1h\"");
    let (process, address) = Process::proxy(&kept);
    // Stays open, and so does the backend's connection: nothing is given back meanwhile.
    let mut first = connect(address);
    assert_eq!(first.get("/", &[]).status, 200);
    leave_none(&process);
    let mut waiting: Vec<_> = (0..3).map(|_| connect(address)).collect();
    for client in &mut waiting {
        client.send(get("/", &[]));
    }
    eventually("it says so", || said(&process, "accept failed") >= 3);
    limit(&process, PLENTY);
    for mut client in waiting {
        assert_eq!(client.response().status, 200);
    }
    // One that tries again and again without a pause says so thousands of times.
    assert!(said(&process, "accept failed") < 1000);
}

#[test]
fn a_backend_is_not_to_blame_for_what_the_proxy_lacks() {
    let backend = Backend::named("a");
    let outlier = "consecutive_failures = 1";
    let (process, address) = Process::proxy(&Setup::of(&[&backend]).table("outlier", outlier));
    let mut client = connect(address);
    assert_eq!(client.get("/", &[]).status, 200);
    let before = descriptors(&process).len();
    backend.disconnect();
    // Until then the descriptor of the closed one would do for a new one.
    eventually("the proxy lets go of it", || descriptors(&process).len() < before);
    leave_none(&process);
    assert_eq!(client.get("/", &[]).status, 503);
    eventually("it says so", || said(&process, "no connection to a backend can be made") >= 1);
    limit(&process, PLENTY);
    assert_eq!(client.get("/", &[]).status, 200, "it was never down");
    assert_eq!(said(&process, "backend health"), 0);
}
