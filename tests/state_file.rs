//! The file that keeps the state over a restart: what is written is read again, and nothing else is taken for it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io;

use homing::affinity::table::Kept;
use homing::state::{
    BackendState, Broken, LeaveState, PoolState, Saved, SavedPool, TableState, Writer, read,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn written(saved: &Saved) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), saved.saved_at).unwrap();
    for pool in &saved.pools {
        writer.pool(&pool.pool, &pool.backends).unwrap();
        writer.sessions(pool.sessions.iter().copied()).unwrap();
    }
    let (octets, counted) = writer.end().unwrap();
    let sessions: usize = saved.pools.iter().map(|pool| pool.sessions.len()).sum();
    assert_eq!((counted.octets, counted.sessions), (octets.len() as u64, sessions as u64));
    octets
}

fn backend(name: &str) -> BackendState {
    BackendState {
        name: name.into(),
        address: "backend.internal:9000".into(),
        resolved: Some("[2001:db8::1]:9000".parse().unwrap()),
        instance: Some("a \"life\"".into()),
        down: false,
        wanted: "drain".into(),
        in_file: "ready".into(),
        leave: Some(LeaveState { since: 1, deadline: 2, spread: 1 }),
    }
}

fn session(number: u64) -> Kept {
    Kept {
        fingerprint: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        placement: !number,
        epoch: 1_800_000_000_000_000 + number,
        owner: (number % 2) as u32,
        last_seen: 1_800_000_000,
        seen_again: number.is_multiple_of(3),
    }
}

/// Two pools, one of them with so many sessions.
fn sample(sessions: u64) -> Saved {
    let table = Some(TableState { seed: u64::MAX, last_epoch: 7 });
    let rooms = SavedPool {
        pool: PoolState { name: "rooms".into(), table },
        backends: vec![backend("a"), backend("b")],
        sessions: (0..sessions).map(session).collect(),
    };
    let web = SavedPool {
        pool: PoolState { name: "web".into(), table: None },
        backends: vec![BackendState { leave: None, resolved: None, instance: None, ..backend("c") }],
        sessions: Vec::new(),
    };
    Saved { saved_at: 1_800_000_000_000_000, pools: vec![rooms, web] }
}

#[test]
fn more_sessions_than_a_block_has_are_read_again() {
    for sessions in [0, 1, 2_047, 2_048, 2_049, 10_000] {
        assert_eq!(read(&written(&sample(sessions))[..]).unwrap(), sample(sessions), "{sessions}");
    }
}

#[test]
fn a_session_takes_31_octets() {
    let per_session = (written(&sample(2_048)).len() - written(&sample(1_024)).len()) / 1_024;
    assert_eq!(per_session, 31);
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let mut octets = written(&sample(3));
    for place in 0..octets.len() {
        for bit in 0..8 {
            octets[place] ^= 1 << bit;
            assert!(read(&octets[..]).is_err(), "bit {bit} of octet {place}");
            octets[place] ^= 1 << bit;
        }
    }
    assert!(read(&octets[..]).is_ok());
}

#[test]
fn no_part_of_a_file_is_one() {
    let octets = written(&sample(3));
    for length in 0..octets.len() {
        assert!(read(&octets[..length]).is_err(), "{length} octets");
    }
    for more in [&b"\0"[..], b"homing", &octets] {
        assert!(read(&[&octets[..], more].concat()[..]).is_err(), "{} octets more", more.len());
    }
}

#[test]
fn a_block_that_is_left_out_doubled_or_moved_is_missed() {
    let octets = written(&sample(3_000));
    let mut blocks = Vec::new();
    let mut at = 12;
    while at < octets.len() {
        let length = u32::from_le_bytes(octets[at + 1..at + 5].try_into().unwrap()) as usize;
        blocks.push(&octets[at..at + 5 + length + 8]);
        at += 5 + length + 8;
    }
    let file = |blocks: &[&[u8]]| [&octets[..12], &blocks.concat()].concat();
    assert!(read(&file(&blocks)[..]).is_ok() && blocks.len() == 9, "{} blocks", blocks.len());
    for place in 0..blocks.len() {
        let mut fewer = blocks.clone();
        let taken = fewer.remove(place);
        assert!(read(&file(&fewer)[..]).is_err(), "without block {place}");
        let mut more = blocks.clone();
        more.insert(place, taken);
        assert!(read(&file(&more)[..]).is_err(), "block {place} twice");
        for other in (0..blocks.len()).filter(|other| *other != place) {
            let mut moved = fewer.clone();
            moved.insert(other, taken);
            assert!(read(&file(&moved)[..]).is_err(), "block {place} at {other}");
        }
    }
}

#[test]
fn a_refusal_says_why() {
    let octets = written(&sample(3));
    let mut newer = octets.clone();
    newer[8] = 2;
    assert!(matches!(read(&newer[..]), Err(Broken::Version(2))));
    assert!(matches!(read(&octets[..octets.len() - 1]), Err(Broken::CutOff)));
    let mut damaged = octets.clone();
    damaged[40] ^= 1;
    assert!(matches!(read(&damaged[..]), Err(Broken::Damaged)));
    for foreign in [&b""[..], b"homing", b"{\"sessions\":[]}", b"#!/bin/sh\nexit 0\n"] {
        assert!(matches!(read(foreign), Err(Broken::Foreign)), "{}", foreign.escape_ascii());
    }
}

/// The reader does not take memory for a length before it has seen that many octets.
#[test]
fn a_length_is_not_believed() {
    let mut octets = written(&sample(0));
    octets[13..17].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(read(&octets[..]), Err(Broken::Damaged)));
    assert!(matches!(read(io::Read::chain(&octets[..17], io::repeat(0))), Err(Broken::Damaged)));
}

#[test]
fn what_the_system_says_is_passed_on() {
    struct Failing;
    impl io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let octets = written(&sample(3));
    let read = read(io::Read::chain(&octets[..100], Failing));
    assert!(matches!(read, Err(Broken::Unreadable(error)) if error.to_string() == "the disk is gone"));
}

#[test]
fn a_session_of_no_backend_is_not_written() {
    let mut saved = sample(4);
    saved.pools[0].sessions[1].owner = 2;
    let mut writer = Writer::begin(Vec::new(), 0).unwrap();
    writer.pool(&saved.pools[0].pool, &saved.pools[0].backends).unwrap();
    writer.sessions(saved.pools[0].sessions.iter().copied()).unwrap();
    let (octets, counted) = writer.end().unwrap();
    assert_eq!(counted.sessions, 3);
    assert_eq!(read(&octets[..]).unwrap().pools[0].sessions.len(), 3);
}

/// A file of version 1 as it lies on disks. Never to be made anew: another form is another version.
#[test]
fn files_of_this_version_stay_readable() {
    assert_eq!(read(&include_bytes!("golden/state_v1")[..]).unwrap(), sample(5));
    assert_eq!(written(&sample(5)), include_bytes!("golden/state_v1"));
}

prop_compose! {
    fn sessions()(
        fingerprint: u64, placement: u64, epoch: u64, owner in 0_u32..3, last_seen: u32, seen_again: bool,
    ) -> Kept {
        Kept { fingerprint, placement, epoch, owner, last_seen, seen_again }
    }
}

prop_compose! {
    fn backends()(
        name in "\\PC{1,20}",
        address in "\\PC{1,20}",
        resolved in option::of((any::<std::net::IpAddr>(), any::<u16>())),
        instance in option::of(".{0,20}"),
        down: bool,
        wanted in "ready|drain|maint|other",
        leave in option::of((any::<u64>(), any::<u64>(), any::<u64>())),
    ) -> BackendState {
        let resolved = resolved.map(std::net::SocketAddr::from);
        let leave = leave.map(|(since, deadline, spread)| LeaveState { since, deadline, spread });
        BackendState { name, address, resolved, instance, down, in_file: wanted.clone(), wanted, leave }
    }
}

prop_compose! {
    fn pools()(
        name in "\\PC{1,20}",
        table in option::of((any::<u64>(), any::<u64>())),
        backends in vec(backends(), 3),
        sessions in vec(sessions(), 0..40),
    ) -> SavedPool {
        let table = table.map(|(seed, last_epoch)| TableState { seed, last_epoch });
        let sessions = if table.is_some() { sessions } else { Vec::new() };
        SavedPool { pool: PoolState { name, table }, backends, sessions }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(saved_at: u64, pools in vec(pools(), 0..4)) {
        let saved = Saved { saved_at, pools };
        prop_assert_eq!(read(&written(&saved)[..]).unwrap(), saved);
    }

    #[test]
    fn nothing_makes_the_reader_panic(octets in vec(any::<u8>(), 0..300), flip: prop::sample::Index) {
        let mut begun = written(&sample(2));
        let place = flip.index(begun.len());
        begun.splice(place.., octets.iter().copied());
        let _ = read(&octets[..]);
        prop_assert!(read(&begun[..]).is_err());
    }
}
