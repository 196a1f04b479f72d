//! What happened in the fleet, in sentences: found by comparing one look at it with the next.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::Serialize;

use super::fleet::BackendInfo;

/// Events kept for a page that is opened later.
const KEPT: usize = 40;

/// Rooms whose last home is remembered.
const MAX_ROOMS: usize = 10_000;

/// One look at the fleet.
#[derive(Default)]
pub(super) struct Look {
    pub(super) sticky: bool,
    pub(super) backends: Vec<BackendInfo>,
    /// The proxy's opinion of each backend: `up`, `down`, …
    pub(super) health: HashMap<String, String>,
    /// Backends that are being drained.
    pub(super) drains: HashMap<String, Drain>,
}

/// How far a backend is drained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drain {
    /// Nothing is left of it.
    pub(super) done: bool,
    /// Until the last session ends.
    pub(super) seconds: f64,
}

/// What happened so far.
#[derive(Default)]
pub(super) struct Chronicle {
    events: VecDeque<Event>,
    count: u64,
    last: Option<Look>,
    /// Where people were in each room at the last look: more than one backend is a split room.
    homes: BTreeMap<String, BTreeSet<String>>,
    /// The last single home of each room, with that backend's number of starts.
    settled: HashMap<String, (String, u32)>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Event {
    id: u64,
    /// Unix milliseconds.
    at: u64,
    kind: Kind,
    text: String,
    room: Option<String>,
    backend: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Killed,
    Started,
    Health,
    Moved,
    Split,
    Whole,
    Sticky,
    Joined,
    Draining,
    Drained,
    Ready,
    Left,
}

impl Chronicle {
    /// Writes down what changed since the last look.
    pub(super) fn look(&mut self, look: Look, at: u64) {
        let mut found = Vec::new();
        if let Some(last) = &self.last {
            found.extend(switch(last, &look));
            for now in &look.backends {
                let before = last.backends.iter().find(|before| before.name == now.name);
                found.extend(before.map_or_else(|| Some(joined(now)), |before| life(before, now)));
                found.extend(health(now, last.health.get(&now.name), look.health.get(&now.name)));
                found.extend(drain(now, last.drains.get(&now.name), look.drains.get(&now.name)));
            }
            let gone = last.backends.iter().filter(|before| look.find(&before.name).is_none());
            found.extend(gone.map(left));
        }
        found.extend(self.movements(&look));
        for (kind, text, room, backend) in found {
            self.count += 1;
            self.events.push_back(Event { id: self.count, at, kind, text, room, backend });
        }
        self.events.drain(..self.events.len().saturating_sub(KEPT));
        self.last = Some(look);
    }

    /// The latest events, oldest first.
    pub(super) fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    fn movements(&mut self, look: &Look) -> Vec<Found> {
        let homes = homes(&look.backends);
        let mut found = Vec::new();
        for (room, now) in &homes {
            let was_split = self.homes.get(room).is_some_and(|before| before.len() > 1);
            match now.iter().collect::<Vec<_>>()[..] {
                [home] => found.extend(self.settle(room, home, was_split, look)),
                _ if !was_split => found.push(split(room, now)),
                _ => {}
            }
        }
        self.homes = homes;
        found
    }

    /// The room has one home now: tells if that is news.
    fn settle(&mut self, room: &str, home: &str, was_split: bool, look: &Look) -> Option<Found> {
        let starts = look.find(home).map_or(0, |backend| backend.starts);
        if self.settled.len() >= MAX_ROOMS && !self.settled.contains_key(room) {
            self.settled.clear();
        }
        let before = self.settled.insert(room.to_owned(), (home.to_owned(), starts));
        let tell = |kind, text| Some((kind, text, Some(room.to_owned()), Some(home.to_owned())));
        match before {
            Some((from, starts)) if from != home => {
                let why = look.why_left(&from, starts);
                tell(Kind::Moved, format!("Room “{room}” moved from {from} to {home}: {why}."))
            }
            _ if was_split => tell(Kind::Whole, format!("Room “{room}” is whole again, on {home}.")),
            _ => None,
        }
    }
}

/// Kind, text, room, backend.
type Found = (Kind, String, Option<String>, Option<String>);

impl Look {
    fn find(&self, name: &str) -> Option<&BackendInfo> {
        self.backends.iter().find(|backend| backend.name == name)
    }

    fn why_left(&self, from: &str, starts: u32) -> String {
        let Some(backend) = self.find(from) else { return format!("{from} left the fleet") };
        let alive = backend.running && backend.starts == starts;
        let drained = self.drains.contains_key(from);
        let down = self.health.get(from).is_some_and(|health| health == "down");
        match (alive, down, self.sticky) {
            (false, ..) => format!("{from} was killed"),
            _ if drained => format!("{from} was drained"),
            (_, true, _) => format!("{from} is down"),
            (.., false) => "stickiness is off".to_owned(),
            (.., true) => "it was placed anew when stickiness came back".to_owned(),
        }
    }
}

fn switch(before: &Look, now: &Look) -> Option<Found> {
    let text = match (before.sticky, now.sticky) {
        (true, false) => "Stickiness is off: every connection goes to the next backend in turn.",
        (false, true) => "Stickiness is on: every room and login goes to its own backend.",
        _ => return None,
    };
    Some((Kind::Sticky, text.to_owned(), None, None))
}

fn life(before: &BackendInfo, now: &BackendInfo) -> Option<Found> {
    let name = &now.name;
    let (kind, text) = if before.running && !now.running {
        (Kind::Killed, format!("{name} was killed. {} gone with it.", possessions(before)))
    } else if !before.running && now.running {
        (Kind::Started, format!("{name} is back with empty memory. What lives elsewhere now stays there."))
    } else if before.starts != now.starts {
        (Kind::Started, format!("{name} was restarted. {} gone.", possessions(before)))
    } else {
        return None;
    };
    Some((kind, text, None, Some(name.clone())))
}

fn joined(backend: &BackendInfo) -> Found {
    let name = &backend.name;
    let text = format!("{name} joined the fleet. Rooms stay where they are; of new ones it gets its share.");
    (Kind::Joined, text, None, Some(name.clone()))
}

fn left(backend: &BackendInfo) -> Found {
    let name = &backend.name;
    (Kind::Left, format!("{name} has left the fleet. Nobody was there any more."), None, Some(name.clone()))
}

fn drain(backend: &BackendInfo, before: Option<&Drain>, now: Option<&Drain>) -> Option<Found> {
    let name = &backend.name;
    let (kind, text) = match (before, now) {
        (None, Some(Drain { done: true, .. })) => {
            (Kind::Drained, format!("{name} takes nothing new. It held nothing, so it is drained already."))
        }
        (None, Some(Drain { seconds, .. })) => {
            let text = "takes nothing new, and keeps what it has";
            (Kind::Draining, format!("{name} is draining: it {text} for at most {seconds} s."))
        }
        (Some(Drain { done: false, .. }), Some(Drain { done: true, .. })) => {
            (Kind::Drained, format!("{name} is drained: no session is left there, and it can be stopped."))
        }
        (Some(_), None) => (Kind::Ready, format!("{name} is ready: it takes new rooms and logins again.")),
        _ => return None,
    };
    Some((kind, text, None, Some(name.clone())))
}

fn possessions(backend: &BackendInfo) -> String {
    let rooms: BTreeSet<&str> = backend.rooms.iter().map(|room| room.room.as_str()).collect();
    let (rooms, logins) = (count(rooms.len(), "room"), count(backend.logins, "login"));
    match (rooms, logins) {
        (None, None) => "It held nothing, so nothing is".to_owned(),
        (Some((one, text)), None) | (None, Some((one, text))) => {
            format!("{text} {}", if one { "is" } else { "are" })
        }
        (Some((_, rooms)), Some((_, logins))) => format!("{rooms} and {logins} are"),
    }
}

/// Whether it is one, and how it is said; `None` for nothing.
fn count(number: usize, thing: &str) -> Option<(bool, String)> {
    match number {
        0 => None,
        1 => Some((true, format!("1 {thing}"))),
        _ => Some((false, format!("{number} {thing}s"))),
    }
}

fn health(backend: &BackendInfo, before: Option<&String>, now: Option<&String>) -> Option<Found> {
    let (before, now) = (before?, now?);
    let text = match now.as_str() {
        _ if before == now => return None,
        "up" if before == "down" => format!("The proxy's health checks find {} up again.", backend.name),
        "down" => format!("The proxy's health checks find {} down: its keys may move.", backend.name),
        _ => return None,
    };
    Some((Kind::Health, text, None, Some(backend.name.clone())))
}

fn split(room: &str, homes: &BTreeSet<String>) -> Found {
    let list = homes.iter().map(String::as_str).collect::<Vec<_>>().join(" and ");
    let text = format!("Room “{room}” is split: people in it are on {list}.");
    (Kind::Split, text, Some(room.to_owned()), None)
}

/// The backends on which each room has people.
fn homes(backends: &[BackendInfo]) -> BTreeMap<String, BTreeSet<String>> {
    let mut homes = BTreeMap::<String, BTreeSet<String>>::new();
    for backend in backends {
        for room in backend.rooms.iter().filter(|room| room.members > 0) {
            homes.entry(room.room.clone()).or_default().insert(backend.name.clone());
        }
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::backend::{RoomInfo, RoomKind};
    use crate::demo::fleet::Stay;

    fn backend(name: &str, starts: u32, members: usize) -> BackendInfo {
        let room = RoomInfo { room: "berlin".into(), kind: RoomKind::Game, members, plies: 0 };
        BackendInfo {
            name: name.into(),
            address: ([127, 0, 0, 1], 9001).into(),
            running: starts > 0,
            starts,
            stay: Stay::Always,
            logins: 0,
            rooms: vec![room],
        }
    }

    /// What is told of a room that is on `before` and then on `after`, with bob started `starts` times then.
    fn told(sticky: bool, looks: &[[usize; 2]], starts: u32) -> Vec<String> {
        let mut chronicle = Chronicle::default();
        let last = looks.len() - 1;
        for (n, [bob, cleo]) in looks.iter().enumerate() {
            let starts = if n == last { starts } else { 1 };
            let backends = vec![backend("bob", starts, *bob), backend("cleo", 1, *cleo)];
            chronicle.look(Look { sticky, backends, ..Look::default() }, 0);
        }
        chronicle.events().iter().map(|event| event.text.clone()).collect()
    }

    #[test]
    fn a_move_is_told_with_its_reason() {
        let texts = told(true, &[[2, 0], [0, 0], [0, 2]], 0);
        assert_eq!(
            texts,
            [
                "bob was killed. 1 room is gone with it.",
                "Room “berlin” moved from bob to cleo: bob was killed."
            ]
        );
        assert_eq!(
            told(false, &[[2, 0], [0, 2]], 1),
            ["Room “berlin” moved from bob to cleo: stickiness is off."]
        );
    }

    #[test]
    fn a_refresh_is_no_news() {
        assert!(told(true, &[[1, 0], [0, 0], [1, 0]], 1).is_empty());
    }

    #[test]
    fn a_split_is_told_once_and_so_is_its_end() {
        let texts = told(false, &[[1, 1], [1, 2], [2, 0]], 1);
        assert_eq!(
            texts,
            [
                "Room “berlin” is split: people in it are on bob and cleo.",
                "Room “berlin” is whole again, on bob."
            ]
        );
    }

    /// What is told when ada's drain goes through these looks, done or not, with so many people there and the rest on bob.
    fn told_of_drain(looks: &[(Option<bool>, usize)]) -> Vec<String> {
        let mut chronicle = Chronicle::default();
        for &(done, members) in looks {
            let drains = done.map(|done| ("ada".to_owned(), Drain { done, seconds: 20.0 })).into_iter();
            let backends = vec![backend("ada", 1, members), backend("bob", 1, 2 - members)];
            chronicle.look(Look { sticky: true, backends, drains: drains.collect(), ..Look::default() }, 0);
        }
        chronicle.events().iter().map(|event| event.text.clone()).collect()
    }

    #[test]
    fn a_drain_is_told_from_its_begin_to_its_end() {
        let looks =
            [(None, 2), (Some(false), 2), (Some(false), 2), (Some(false), 0), (Some(true), 0), (None, 0)];
        let expected = [
            "ada is draining: it takes nothing new, and keeps what it has for at most 20 s.",
            "Room “berlin” moved from ada to bob: ada was drained.",
            "ada is drained: no session is left there, and it can be stopped.",
            "ada is ready: it takes new rooms and logins again.",
        ];
        assert_eq!(told_of_drain(&looks), expected);
        assert_eq!(
            told_of_drain(&[(None, 0), (Some(true), 0)]),
            ["ada takes nothing new. It held nothing, so it is drained already."]
        );
    }

    #[test]
    fn who_joins_and_leaves_is_told() {
        let mut chronicle = Chronicle::default();
        for names in [&["ada"][..], &["ada", "dora"], &["ada"]] {
            let backends = names.iter().map(|name| backend(name, 1, 0)).collect();
            chronicle.look(Look { sticky: true, backends, ..Look::default() }, 0);
        }
        let texts: Vec<_> = chronicle.events().iter().map(|event| event.text.as_str()).collect();
        assert!(texts[0].starts_with("dora joined") && texts[1].starts_with("dora has left"), "{texts:?}");
        assert_eq!(texts.len(), 2, "{texts:?}");
    }

    #[test]
    fn the_chronicle_is_bounded() {
        let looks: Vec<_> = (0..200).map(|n| if n % 2 == 0 { [1, 0] } else { [0, 1] }).collect();
        assert_eq!(told(false, &looks, 1).len(), KEPT);
    }
}
