//! Sessions that are taken from one table to another: over a restart.

use std::convert::Infallible;
use std::time::Duration;

use homing::affinity::table::{Kept, Restored, SessionTable, Settings};
use homing::clock::Now;

use crate::{IDLE_SECS, OWNERS, START, fingerprint, held, learn_all, seconds, table};

fn kept(table: &SessionTable, now: Now) -> Vec<Kept> {
    let mut all = Vec::new();
    let taken: Result<(), Infallible> = table.each_shard(now, |sessions| {
        all.extend_from_slice(sessions);
        Ok(())
    });
    let Ok(()) = taken;
    all.sort_unstable_by_key(|kept| kept.fingerprint);
    all
}

/// Another table of such a size, with all that `former` had.
fn next(former: &SessionTable, capacity: usize, now: Now) -> (SessionTable, Restored) {
    let next = table(capacity);
    let restored = next.restore(former.seed(), former.last_epoch(), kept(former, now), now);
    (next, restored)
}

#[test]
fn keys_are_found_again_with_all_that_was_known_of_them() {
    let former = table(100_000);
    learn_all(&former, 0..20_000, START);
    let (next, restored) = next(&former, 100_000, START.after(seconds(1)));
    assert_eq!((restored.sessions, restored.expired, restored.crowded_out), (20_000, 0, 0));
    assert_eq!((next.len(), next.sessions(0)), (20_000, 20_000));
    for key in 0..20_000 {
        assert_eq!(next.peek(fingerprint(key), START), former.peek(fingerprint(key), START), "{key}");
    }
    assert_eq!(kept(&next, START), kept(&former, START));
}

#[test]
fn fingerprints_mean_the_same_again() {
    let former = SessionTable::new(Settings { capacity: 9, ..settings() }, 77);
    let next = table(9);
    assert_ne!(next.fingerprint(b"room-1"), former.fingerprint(b"room-1"));
    next.restore(former.seed(), 0, Vec::new(), START);
    assert_eq!(next.fingerprint(b"room-1"), former.fingerprint(b"room-1"));
}

fn settings() -> Settings {
    let idle_timeout = seconds(IDLE_SECS.into());
    Settings { capacity: 1, idle_timeout, max_lifetime: Duration::ZERO }
}

#[test]
fn what_was_live_is_seen_at_the_end_and_live_no_more() {
    let former = table(10);
    held(former.claim(fingerprint(1), 1, 2, START));
    let late = START.after(seconds(u64::from(IDLE_SECS) * 9));
    let (next, restored) = next(&former, 10, late);
    assert_eq!(restored.sessions, 1);
    let binding = next.peek(fingerprint(1), late.after(seconds(IDLE_SECS.into()))).unwrap();
    assert_eq!((binding.owner, binding.live), (2, 0));
}

#[test]
fn what_was_about_to_end_has_ended() {
    let former = table(10);
    held(former.claim(fingerprint(1), 1, 0, START));
    assert!(former.end(fingerprint(1), START));
    assert_eq!(next(&former, 10, START).1, Restored::default());
}

#[test]
fn time_goes_on_while_nothing_runs() {
    let former = table(10);
    learn_all(&former, [1], START);
    let before = kept(&former, START);
    let next = table(10);
    let late = START.after(seconds(u64::from(IDLE_SECS) + 2));
    let restored = next.restore(former.seed(), 0, before, late);
    assert_eq!((restored.sessions, restored.expired, next.len()), (0, 1, 0));
    assert_eq!((0..OWNERS).map(|owner| next.sessions(owner)).sum::<u64>(), 0);
}

#[test]
fn of_too_many_those_seen_last_are_taken() {
    let former = table(100);
    for key in 0..100 {
        learn_all(&former, [key], START.after(seconds(key / 10)));
    }
    let now = START.after(seconds(10));
    let (next, restored) = next(&former, 30, now);
    assert_eq!((restored.sessions, restored.crowded_out, next.len()), (30, 70, 30));
    assert!((70..100).all(|key| next.peek(fingerprint(key), now).is_some()));
}

/// Though the clock went back meanwhile, and whatever was given by keys that have ended.
#[test]
fn epochs_grow_over_a_restart() {
    let former = table(100_000);
    learn_all(&former, 0..1_000, START);
    let last = former.last_epoch();
    let (next, _) = next(&former, 100_000, START);
    let earlier = Now(START.micros() - 60_000_000);
    for key in 1_000..2_000 {
        assert!(held(next.claim(fingerprint(key), key, 0, earlier)).epoch > last, "{key}");
    }
}

/// No file that anybody writes has this; one that has it must do no harm.
#[test]
fn an_epoch_from_beyond_time_is_not_believed() {
    let one = |epoch| Kept {
        fingerprint: fingerprint(1).0,
        placement: 1,
        epoch,
        owner: 0,
        last_seen: u32::MAX,
        seen_again: false,
    };
    let table = table(10);
    assert_eq!(table.restore(1, u64::MAX, vec![one(u64::MAX), one(5)], START).sessions, 1);
    assert_eq!(table.len(), 1, "a key has one owner");
    let first = table.peek(fingerprint(1), START).unwrap().epoch;
    assert!(held(table.claim(fingerprint(2), 2, 0, START)).epoch > first);
}

#[test]
fn it_is_known_whether_anything_can_have_changed() {
    let table = table(10);
    assert!(table.has_changed(), "nobody has looked yet");
    learn_all(&table, [1], START);
    kept(&table, START);
    assert!(!table.has_changed());
    table.peek(fingerprint(1), START);
    assert!(!table.has_changed(), "a look changes nothing");
    let epoch = held(table.claim(fingerprint(1), 1, 0, START)).epoch;
    assert!(table.has_changed());
    kept(&table, START);
    assert!(table.has_changed(), "what is live is seen all the time");
    table.release(fingerprint(1), epoch, START);
    kept(&table, START);
    assert!(!table.has_changed());
    table.sweep(START.after(seconds(u64::from(IDLE_SECS) + 2)), 4096);
    assert!(table.has_changed());
}
