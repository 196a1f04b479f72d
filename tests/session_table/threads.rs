//! One owner at a time, also where four threads disagree about it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use homing::affinity::table::{Binding, Claim, SessionTable, Settings};
use homing::balance::Draw;
use homing::clock::Now;

use crate::{OWNERS, START, fingerprint, seconds};

const THREADS: u64 = 4;
const ROUNDS: u64 = 40_000;
const ROOMS: u64 = 40;

/// Where a room's members are, as they themselves see it.
#[derive(Debug, Default)]
struct Room {
    owner: u32,
    epoch: u64,
    members: u32,
}

impl Room {
    fn enter(&mut self, binding: Binding) {
        if self.members > 0 {
            assert_eq!((binding.owner, binding.epoch), (self.owner, self.epoch), "one owner at a time");
        }
        assert!(binding.epoch >= self.epoch, "epochs grow");
        assert!(binding.epoch > self.epoch || binding.owner == self.owner, "a new owner has a new epoch");
        *self = Self { owner: binding.owner, epoch: binding.epoch, members: self.members + 1 };
    }
}

struct House {
    table: SessionTable,
    rooms: Vec<Mutex<Room>>,
    gone: Vec<AtomicBool>,
    ticks: AtomicU64,
}

impl House {
    fn now(&self) -> Now {
        START.after(Duration::from_millis(self.ticks.fetch_add(1, Ordering::Relaxed)))
    }

    fn is_gone(&self, owner: u32) -> bool {
        self.gone[owner as usize].load(Ordering::Relaxed)
    }

    /// One attempt to enter a room as a request would: where it is bound, or else anywhere.
    fn enter(&self, room: u64, draw: &Draw) -> Option<Binding> {
        let key = fingerprint(room);
        let any = draw.below(OWNERS.into()) as u32;
        let claim = match self.table.peek(key, self.now()) {
            None => self.table.claim(key, room, any, self.now()),
            Some(binding) if self.is_gone(binding.owner) => {
                self.table.rebind(key, binding.epoch, any, self.now(), false)
            }
            Some(binding) => self.table.claim(key, room, binding.owner, self.now()),
        };
        match claim {
            Claim::Held(binding) => Some(binding),
            Claim::Changed | Claim::Moving(_) | Claim::Full | Claim::OwnerFull => None,
        }
    }

    /// The members leave before the table hears of it, as the proxy closes its sockets before it counts down.
    fn leave(&self, room: u64, binding: Binding) {
        self.rooms[room as usize].lock().unwrap().members -= 1;
        self.table.release(fingerprint(room), binding.epoch, self.now());
    }

    fn live(&self, seed: u64) {
        let draw = Draw::new(seed);
        let mut inside: Vec<(u64, Binding)> = Vec::new();
        for round in 0..ROUNDS {
            let room = draw.below(ROOMS);
            if let Some(binding) = self.enter(room, &draw) {
                self.rooms[room as usize].lock().unwrap().enter(binding);
                inside.push((room, binding));
            }
            if inside.len() > 4 {
                let (room, binding) = inside.swap_remove(draw.below(5) as usize);
                self.leave(room, binding);
            }
            match round % 64 {
                0 => self.gone[draw.below(OWNERS.into()) as usize]
                    .store(draw.next() & 1 == 0, Ordering::Relaxed),
                1 => self.table.sweep(self.now(), 16),
                2 => std::thread::yield_now(),
                _ => {}
            }
        }
        for (room, binding) in inside {
            self.leave(room, binding);
        }
    }
}

/// Room for most keys but not for all, an idle time-out that fires, owners that come and go.
#[test]
fn a_room_has_one_owner_at_a_time_whatever_threads_do() {
    let house = House {
        table: SessionTable::new(
            Settings { capacity: 30, idle_timeout: seconds(1), max_lifetime: Duration::ZERO },
            1,
        ),
        rooms: (0..ROOMS).map(|_| Mutex::default()).collect(),
        gone: (0..OWNERS).map(|_| AtomicBool::new(false)).collect(),
        ticks: AtomicU64::new(0),
    };
    (0..OWNERS).for_each(|number| assert_eq!(house.table.new_owner(), number));
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            scope.spawn({
                let house = &house;
                move || house.live(seed)
            });
        }
    });
    let sessions: u64 = (0..OWNERS).map(|owner| house.table.sessions(owner)).sum();
    assert_eq!(sessions, house.table.len() as u64);
    let live = |room| house.table.peek(fingerprint(room), START).map_or(0, |binding| binding.live);
    assert_eq!((0..ROOMS).map(live).sum::<u32>(), 0, "all have left");
    assert!(house.table.evictions() > 0, "there was not room for all");
}
