//! Rules of the session table, one by one.

use homing::affinity::table::{Claim, Lesson, Loss, SessionTable, Settings};
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

#[test]
fn an_owner_has_no_more_new_sessions_than_it_may() {
    let table = table(100);
    table.limit_owner(1, 2);
    let epoch = held(table.claim(fingerprint(1), 1, 1, START)).epoch;
    held(table.claim(fingerprint(2), 2, 1, START));
    assert!(matches!(table.claim(fingerprint(3), 3, 1, START), Claim::OwnerFull));
    assert_eq!(held(table.claim(fingerprint(1), 1, 1, START)).epoch, epoch, "what it has, it keeps");
    let other = held(table.claim(fingerprint(4), 4, 0, START)).epoch;
    table.release(fingerprint(4), other, START);
    assert!(
        matches!(table.rebind(fingerprint(4), other, 1, START, false), Claim::OwnerFull),
        "nor by moving"
    );
    assert_eq!(table.peek(fingerprint(4), START).map(|binding| binding.owner), Some(0));
    held(table.adopt(fingerprint(5), 5, 1, START));
    assert_eq!(table.sessions(1), 3, "what was its own before, it may bring");
}

#[test]
fn the_sessions_of_a_life_that_is_over_are_swept() {
    let table = table(100);
    let live = held(table.claim(fingerprint(1), 1, 0, START)).epoch;
    learn_all(&table, 2..10, START);
    let next = table.succeed_owner(0, Loss::Restarted);
    table.sweep(START, usize::MAX);
    assert_eq!((table.len(), table.sessions(0), table.sessions(next)), (1, 1, 0), "one is live");
    table.release(fingerprint(1), live, START);
    table.sweep(START, usize::MAX);
    assert!(table.is_empty());
}

#[test]
fn a_session_ends_when_told_and_nothing_of_it_is_live() {
    let table = table(100);
    let key = fingerprint(1);
    let epoch = held(table.claim(key, 1, 0, START)).epoch;
    assert!(table.end(key, START));
    assert_eq!(held(table.claim(key, 1, 0, START)).epoch, epoch, "until then it stays where it is");
    table.release(key, epoch, START);
    assert_eq!(table.peek(key, START).map(|binding| binding.live), Some(1));
    table.release(key, epoch, START);
    assert_eq!((table.peek(key, START), table.sessions(0)), (None, 0));
    assert!(!table.end(key, START));
}

#[test]
fn a_session_lives_no_longer_than_it_may_unless_something_of_it_is_live() {
    let settings = Settings { capacity: 10, idle_timeout: seconds(10), max_lifetime: seconds(60) };
    let table = SessionTable::new(settings, 1);
    table.new_owner();
    let (idle, busy) = (fingerprint(1), fingerprint(2));
    let epoch = held(table.claim(busy, 2, 0, START)).epoch;
    for second in (0..=60).step_by(5) {
        let now = START.after(seconds(second));
        let seen = held(table.claim(idle, 1, 0, now)).epoch;
        table.release(idle, seen, now);
    }
    let late = START.after(seconds(62));
    assert!(table.peek(idle, late).is_none() && table.peek(busy, late).is_some());
    table.release(busy, epoch, late);
    assert!(table.peek(busy, late).is_none());
}
