//! What was seen of the rooms, and what of it should not have been.
//!
//! A sighting counts while its backend was not killed since the connection began: what arrives late from a dead
//! backend says nothing.

use std::collections::BTreeMap;

use super::Gate;
use super::player::{Trouble, Who};

/// All rooms and everything that happened to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    rooms: Vec<Room>,
    /// Backends in the order of their end, each twice: as it begins and when it is over.
    kills: Vec<String>,
    /// What should not have happened.
    pub(crate) violations: Vec<Violation>,
    /// Rooms whose home was killed.
    orphans: Vec<Removal>,
    /// Rooms that were seen on another backend after that.
    moved: Vec<Removal>,
    /// Games that were being played on a backend when it was about to be replaced.
    replaced: Vec<(String, usize)>,
    /// How often all backends were asked for their rooms.
    looks: usize,
}

#[derive(Debug, Clone, Default)]
struct Room {
    home: Option<Home>,
    progress: Gate,
    mated: bool,
    came_back: bool,
    over: bool,
}

/// Where a room lives.
#[derive(Debug, Clone)]
struct Home {
    backend: String,
    since: Stamp,
}

/// A room and the backend that it left, or had to.
pub(crate) type Removal = (usize, String);

/// A moment, as far as the ends of backends go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(usize);

/// What should not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// People are in the room on several backends at one time.
    OnTwoBackends { room: usize, backends: Vec<String> },
    /// The room was seen somewhere although the backend that it lives on was not killed.
    Strayed { room: usize, home: String, seen: String },
    /// Someone came back and did not find the moves that had been made.
    BoardLost { room: usize, who: Who, left: usize, found: usize },
    /// Someone came for the first time and did not find the moves that had been made.
    BoardMissed { room: usize, who: Who, made: usize, found: usize },
    /// Someone at the board was disturbed by something that no kill explains.
    Disturbed { room: usize, who: Who, trouble: Trouble },
    /// Something did not come to its end in time.
    Stuck(String),
}

/// What a sighting means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The room is where it was.
    Home,
    /// The room has a backend that knows nothing of it: the first, or one after its own was killed.
    Anew,
    /// The backend was killed meanwhile.
    Doomed,
    /// The room is where it should not be; noted as a violation.
    Astray,
}

impl Ledger {
    pub(crate) fn new(rooms: usize) -> Self {
        Self { rooms: vec![Room::default(); rooms], ..Self::default() }
    }

    /// Now.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.kills.len())
    }

    /// A connection that was begun at `since` found the room on `backend`.
    pub(crate) fn sees(&mut self, room: usize, backend: &str, since: Stamp) -> Arrival {
        if self.killed(backend, since) {
            return Arrival::Doomed;
        }
        let new = Home { backend: backend.to_owned(), since };
        let Some(home) = self.rooms[room].home.clone() else {
            self.rooms[room].home = Some(new);
            return Arrival::Anew;
        };
        match (self.killed(&home.backend, home.since), home.backend == backend) {
            (false, true) => Arrival::Home,
            (false, false) => {
                self.violations.push(Violation::Strayed { room, home: home.backend, seen: new.backend });
                Arrival::Astray
            }
            (true, stays) => {
                self.rooms[room].home = Some(new);
                self.moved.extend((!stays).then_some((room, home.backend)));
                Arrival::Anew
            }
        }
    }

    /// Whether a kill explains that a connection, begun at `since`, ended or did not come to be. Where it led to is
    /// known once a state came through it; before, it should have led home.
    pub(crate) fn excuses(&self, room: usize, backend: Option<&str>, since: Stamp) -> bool {
        match (backend, &self.rooms[room].home) {
            (Some(backend), _) => self.killed(backend, since),
            (None, Some(home)) => self.killed(&home.backend, home.since),
            (None, None) => since < self.stamp(),
        }
    }

    /// All backends were asked, and have people in these rooms.
    pub(crate) fn looked(&mut self, occupied: impl IntoIterator<Item = (usize, String)>) {
        self.looks += 1;
        let mut by_room = BTreeMap::<usize, Vec<String>>::new();
        for (room, backend) in occupied {
            by_room.entry(room).or_default().push(backend);
        }
        for (room, backends) in by_room.into_iter().filter(|(_, backends)| backends.len() > 1) {
            let violation = Violation::OnTwoBackends { room, backends };
            if !self.violations.contains(&violation) {
                self.violations.push(violation);
            }
        }
    }

    /// A backend is about to be replaced, while games are played on it.
    pub(crate) fn replacement_begins(&mut self, backend: &str) {
        let live =
            (0..self.rooms.len()).filter(|&room| self.lives_on(room, backend) && !self.rooms[room].over);
        let live = live.count();
        self.replaced.push((backend.to_owned(), live));
    }

    /// A backend is about to be killed. Returns the rooms that must find another.
    pub(crate) fn kill_begins(&mut self, backend: &str) -> Vec<Removal> {
        self.kills.push(backend.to_owned());
        let lives_there = |room: &usize| self.lives_on(*room, backend) && !self.rooms[*room].over;
        let orphans: Vec<_> =
            (0..self.rooms.len()).filter(lives_there).map(|room| (room, backend.to_owned())).collect();
        self.orphans.extend_from_slice(&orphans);
        orphans
    }

    /// The backend is dead.
    pub(crate) fn kill_ends(&mut self, backend: &str) {
        self.kills.push(backend.to_owned());
    }

    /// Whether the room has left that backend, or nobody plays in it any more.
    pub(crate) fn has_left(&self, (room, backend): &Removal) -> bool {
        !self.lives_on(*room, backend) || self.rooms[*room].over
    }

    pub(crate) fn advances(&mut self, room: usize, gate: Gate) {
        self.rooms[room].progress = gate;
    }

    /// A player dropped the socket, came back, and found everything as it was.
    pub(crate) fn came_back(&mut self, room: usize) {
        self.rooms[room].came_back = true;
    }

    pub(crate) fn mates(&mut self, room: usize) {
        self.rooms[room].mated = true;
    }

    /// The game is over, by mate or otherwise: nobody waits for it.
    pub(crate) fn over(&mut self, room: usize) {
        self.rooms[room].over = true;
    }

    // === The report ===

    /// Games that have come so far, or are over.
    pub(crate) fn arrived(&self, gate: Gate) -> usize {
        self.count(|room| room.over || room.progress >= gate)
    }

    /// All games.
    pub(crate) fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Games that ended as they should.
    pub(crate) fn mated(&self) -> usize {
        self.count(|room| room.mated)
    }

    /// Games in which the reconnect went well.
    pub(crate) fn reconnected(&self) -> usize {
        self.count(|room| room.came_back)
    }

    /// Rooms that live on a backend.
    pub(crate) fn at_home(&self, backend: &str) -> usize {
        (0..self.rooms.len()).filter(|&room| self.lives_on(room, backend)).count()
    }

    /// Rooms whose home was killed, and those that were seen elsewhere afterwards; both in order.
    pub(crate) fn orphans_and_moved(&self) -> (Vec<Removal>, Vec<Removal>) {
        let (mut orphans, mut moved) = (self.orphans.clone(), self.moved.clone());
        orphans.sort();
        moved.sort();
        (orphans, moved)
    }

    /// Backends that were replaced, each with the games that were being played on it as that began.
    pub(crate) fn replaced(&self) -> &[(String, usize)] {
        &self.replaced
    }

    /// How often all backends were looked at.
    pub(crate) fn looks(&self) -> usize {
        self.looks
    }

    /// Violations of one kind.
    pub(crate) fn violations_like(&self, kind: impl Fn(&Violation) -> bool) -> usize {
        self.violations.iter().filter(|violation| kind(violation)).count()
    }

    fn count(&self, which: impl Fn(&Room) -> bool) -> usize {
        self.rooms.iter().filter(|room| which(room)).count()
    }

    fn lives_on(&self, room: usize, backend: &str) -> bool {
        self.rooms[room].home.as_ref().is_some_and(|home| home.backend == backend)
    }

    fn killed(&self, backend: &str, since: Stamp) -> bool {
        self.kills[since.0..].iter().any(|killed| killed == backend)
    }
}
