//! The session table against a reference that is too simple to be wrong, under random histories and under threads.
//!
//! The reference predicts every answer, the victim of every eviction, all live counts and who is woken. A history that
//! fails is shrunk and printed as a list of operations; `PROPTEST_CASES` runs more of them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "session_table/capacity.rs"]
mod capacity;
#[path = "session_table/histories.rs"]
mod histories;
#[path = "session_table/kept.rs"]
mod kept;
#[path = "session_table/reference.rs"]
mod reference;
#[path = "session_table/rules.rs"]
mod rules;
#[path = "session_table/threads.rs"]
mod threads;

use std::time::Duration;

use homing::affinity::table::{Binding, Claim, Fingerprint, Lesson, SessionTable, Settings};
use homing::clock::Now;
use homing::stable_hash;

const IDLE_SECS: u32 = 40;
const OWNERS: u32 = 3;
const START: Now = Now(1_800_000_000_000_000);

fn table(capacity: usize) -> SessionTable {
    let idle_timeout = Duration::from_secs(IDLE_SECS.into());
    let table = SessionTable::new(Settings { capacity, idle_timeout, max_lifetime: Duration::ZERO }, 0x5eed);
    (0..OWNERS).for_each(|number| assert_eq!(table.new_owner(), number));
    table
}

fn fingerprint(key: u64) -> Fingerprint {
    Fingerprint(stable_hash::mix(key))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[track_caller]
fn held(claim: Claim) -> Binding {
    match claim {
        Claim::Held(binding) => binding,
        other => panic!("not held: {other:?}"),
    }
}

fn learn_all(table: &SessionTable, keys: impl IntoIterator<Item = u64>, now: Now) {
    for key in keys {
        assert_eq!(table.learn(fingerprint(key), key, 0, now, |_| false), Lesson::Learned);
    }
}
