//! Rooms with people in them: the bounds that games and chats share, and the queues to their members.
//! What a room is for is said in [`super::chess`] and [`super::chat`].

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::demo::socket::{Line, QUEUE};

/// Rooms of one kind that a backend keeps; beyond, the one empty for longest makes way.
pub(super) const MAX_ROOMS: usize = 2_000;

/// People in one room.
pub(super) const MAX_MEMBERS: usize = 64;

/// Something people can join.
pub(super) trait Room {
    /// How many are connected.
    fn occupancy(&self) -> usize;
}

/// All rooms of one kind on one backend.
pub(super) struct Rooms<R> {
    by_name: HashMap<String, Slot<R>>,
}

struct Slot<R> {
    room: R,
    last_used: Instant,
}

/// The people connected to one room, each with who they are there.
pub(super) struct Members<T> {
    next: u64,
    list: Vec<Member<T>>,
}

struct Member<T> {
    id: MemberId,
    who: T,
    outbox: mpsc::Sender<Line>,
}

/// One connection to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemberId(u64);

// === impl Rooms ===

impl<R: Room + Default> Rooms<R> {
    /// The room of that name, made if need be; `None` when there are too many rooms and people in all of them.
    pub(super) fn enter(&mut self, name: &str, now: Instant) -> Option<&mut R> {
        if !self.by_name.contains_key(name) {
            self.make_way()?;
        }
        let slot = self
            .by_name
            .entry(name.to_owned())
            .or_insert_with(|| Slot { room: R::default(), last_used: now });
        slot.last_used = now;
        Some(&mut slot.room)
    }

    /// The room of that name, if it is there.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut R> {
        self.by_name.get_mut(name).map(|slot| &mut slot.room)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &R)> {
        self.by_name.iter().map(|(name, slot)| (name.as_str(), &slot.room))
    }

    fn make_way(&mut self) -> Option<()> {
        if self.by_name.len() < MAX_ROOMS {
            return Some(());
        }
        let empty = self.by_name.iter().filter(|(_, slot)| slot.room.occupancy() == 0);
        let oldest = empty.min_by_key(|(_, slot)| slot.last_used)?.0.clone();
        self.by_name.remove(&oldest).map(drop)
    }
}

impl<R> Default for Rooms<R> {
    fn default() -> Self {
        Self { by_name: HashMap::new() }
    }
}

// === impl Members ===

impl<T> Members<T> {
    /// Lets `who` in, with the queue of what the room tells them; `None` when the room is full.
    pub(super) fn join(&mut self, who: T) -> Option<(MemberId, mpsc::Receiver<Line>)> {
        if self.list.len() == MAX_MEMBERS {
            return None;
        }
        let (outbox, inbox) = mpsc::channel(QUEUE);
        let id = MemberId(self.next);
        self.next += 1;
        self.list.push(Member { id, who, outbox });
        Some((id, inbox))
    }

    pub(super) fn leave(&mut self, id: MemberId) {
        self.list.retain(|member| member.id != id);
    }

    pub(super) fn get(&self, id: MemberId) -> Option<&T> {
        self.list.iter().find(|member| member.id == id).map(|member| &member.who)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.list.iter().map(|member| &member.who)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.list.iter_mut().map(|member| &mut member.who)
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Queues a line for one member.
    pub(super) fn tell(&mut self, id: MemberId, line: &Line) {
        self.list.retain(|member| member.id != id || member.outbox.try_send(line.clone()).is_ok());
    }

    /// Queues for everybody what `say` has for them. Who does not keep up loses the queue, and with it the socket.
    pub(super) fn tell_each(&mut self, mut say: impl FnMut(&T) -> Line) {
        self.list.retain(|member| member.outbox.try_send(say(&member.who)).is_ok());
    }
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { next: 0, list: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Hut(usize);

    impl Room for Hut {
        fn occupancy(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn the_room_empty_for_longest_makes_way() {
        let mut rooms = Rooms::<Hut>::default();
        let start = Instant::now();
        for n in 0..MAX_ROOMS {
            let at = start + std::time::Duration::from_secs(n as u64);
            rooms.enter(&n.to_string(), at).unwrap().0 = usize::from(n == 0);
        }
        assert!(rooms.enter("new", start).is_some());
        assert!(rooms.find("0").is_some(), "people are in it");
        assert!(rooms.find("1").is_none());
    }

    #[test]
    fn no_room_is_taken_from_people() {
        let mut rooms = Rooms::<Hut>::default();
        for n in 0..MAX_ROOMS {
            rooms.enter(&n.to_string(), Instant::now()).unwrap().0 = 1;
        }
        assert!(rooms.enter("new", Instant::now()).is_none());
    }

    #[test]
    fn who_does_not_keep_up_is_dropped() {
        let mut members = Members::default();
        let (_, mut inbox) = members.join("slow").unwrap();
        for _ in 0..=QUEUE {
            members.tell_each(|_| Line::from("x"));
        }
        assert_eq!(members.len(), 0);
        let mut left = 0;
        while inbox.try_recv().is_ok() {
            left += 1;
        }
        assert_eq!(left, QUEUE);
    }
}
