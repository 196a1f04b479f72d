//! Rules of the session table, one by one.

use homing::affinity::table::{Claim, Lesson, SessionTable, Settings};
use homing::clock::Now;

use crate::{IDLE_SECS, START, fingerprint, held, learn_all, seconds, table};

#[test]
fn epochs_grow_even_when_the_clock_goes_back() {
    let table = table(10);
    let first = held(table.claim(fingerprint(1), 1, 0, START)).epoch;
    table.remove(fingerprint(1));
    let yesterday = Now(START.micros() - 86_400_000_000);
    let second = held(table.claim(fingerprint(1), 1, 0, yesterday)).epoch;
    let third = held(table.rebind(fingerprint(1), second, 1, yesterday, true)).epoch;
    assert!(first < second && second < third, "{first} {second} {third}");
}

#[test]
fn a_key_of_ten_tunnels_moves_when_the_last_is_closed() {
    let table = table(10);
    let key = fingerprint(1);
    let epochs: Vec<u64> = (0..10).map(|_| held(table.claim(key, 1, 0, START)).epoch).collect();
    for &epoch in &epochs {
        assert!(matches!(table.rebind(key, epoch, 1, START, false), Claim::Moving(_)));
        assert!(matches!(table.claim(key, 1, 0, START), Claim::Moving(_)), "nobody joins what is leaving");
        assert!(matches!(table.claim(key, 1, 1, START), Claim::Changed), "it is not there yet");
        table.release(key, epoch, START);
    }
    let there = held(table.rebind(key, epochs[0], 1, START, false));
    assert_eq!((there.owner, there.live), (1, 1));
}

#[test]
fn a_move_ends_when_the_former_owner_takes_the_emptied_key() {
    let table = table(10);
    let key = fingerprint(1);
    let epoch = held(table.claim(key, 1, 0, START)).epoch;
    assert!(matches!(table.rebind(key, epoch, 1, START, false), Claim::Moving(_)));
    table.release(key, epoch, START);
    assert_eq!(held(table.claim(key, 1, 0, START)).epoch, epoch);
    assert_eq!(held(table.claim(key, 1, 0, START)).live, 2, "it is not on the move any more");
}

#[test]
fn a_table_full_of_live_sessions_takes_no_other() {
    let table = table(100);
    let epochs: Vec<u64> =
        (0..100).map(|key| held(table.claim(fingerprint(key), key, 0, START)).epoch).collect();
    assert!(matches!(table.claim(fingerprint(100), 100, 0, START), Claim::Full));
    assert_eq!(table.learn(fingerprint(100), 100, 0, START, |_| false), Lesson::Full);
    assert!(matches!(table.claim(fingerprint(7), 7, 0, START), Claim::Held(_)), "those it has, it keeps");
    table.release(fingerprint(8), epochs[8], START);
    assert!(matches!(table.claim(fingerprint(100), 100, 0, START), Claim::Held(_)));
    assert_eq!(table.peek(fingerprint(8), START), None, "the only idle one made room");
}

/// Of a table that evicts any, 10,000 strangers would leave one in eleven.
#[test]
fn sessions_seen_again_outlive_a_flood_of_strangers() {
    let table = table(4096);
    let regulars = 0..2048;
    learn_all(&table, regulars.clone(), START);
    learn_all(&table, 10_000..12_000, START);
    for key in regulars.clone() {
        let epoch = held(table.claim(fingerprint(key), key, 0, START)).epoch;
        table.release(fingerprint(key), epoch, START);
    }
    learn_all(&table, 20_000..30_000, START.after(seconds(5)));
    let left = regulars.filter(|&key| table.peek(fingerprint(key), START).is_some()).count();
    assert!(left > 2048 * 3 / 4, "{left} of 2048 regulars left");
}

/// The table counts seconds, and rounds in the session's favour.
#[test]
fn no_session_ends_before_its_time() {
    for micros in [0, 1, 500_000, 999_999] {
        let seen = Now(START.micros() / 1_000_000 * 1_000_000 + micros);
        let table = table(100);
        learn_all(&table, 0..1, seen);
        let alive = |now: Now| table.peek(fingerprint(0), now).is_some();
        assert!(alive(seen.after(seconds(IDLE_SECS.into()))), "{micros}");
        assert!(!alive(seen.after(seconds(u64::from(IDLE_SECS) + 1))), "{micros}");
    }
}

#[test]
fn a_sweep_in_steps_ends_all_that_idle_and_nothing_that_lives() {
    let table = table(100_000);
    learn_all(&table, 0..5_000, START);
    let live: Vec<u64> = (0..5_000).step_by(100).collect();
    for &key in &live {
        held(table.claim(fingerprint(key), key, 0, START));
    }
    let late = START.after(seconds(u64::from(IDLE_SECS) + 1));
    table.sweep(late, 64);
    assert!(table.len() > 2_500, "one call looks at 64 places of each shard");
    (0..100).for_each(|_| table.sweep(late, 64));
    assert_eq!((table.len(), table.sessions(0)), (live.len(), live.len() as u64));
    assert!(live.iter().all(|&key| table.peek(fingerprint(key), late).is_some()));
}

#[test]
fn a_changed_time_out_holds_for_the_sessions_there_are() {
    let table = table(10);
    let epoch = held(table.claim(fingerprint(1), 1, 0, START)).epoch;
    table.release(fingerprint(1), epoch, START);
    let late = START.after(seconds(10));
    assert!(table.peek(fingerprint(1), late).is_some());
    table.configure(Settings { capacity: 10, idle_timeout: seconds(5), max_lifetime: seconds(0) });
    assert_eq!(table.peek(fingerprint(1), late), None);
}

#[test]
fn keys_are_hashed_with_the_seed_of_their_table() {
    let settings = Settings { capacity: 1, idle_timeout: seconds(1), max_lifetime: seconds(0) };
    let of = |seed| SessionTable::new(settings, seed).fingerprint(b"room-1");
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2), "a client must not know which keys meet");
}
