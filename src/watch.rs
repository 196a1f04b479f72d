//! A worker's watch over everything that may take too long or be told to stop: deadlines without a timer each.
//! What being overdue means is for the one who is watched to decide.
//!
//! Deadlines are kept by a sweep, so they are precise to [`SWEEP`] and cost a store to set.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;

use crate::clock::Now;

/// Time between two sweeps: how late a deadline may be noticed.
pub const SWEEP: Duration = Duration::from_millis(250);

/// All that one worker watches of one kind, with some data for each.
#[derive(Debug)]
pub struct Watch<T> {
    slots: RefCell<Slab<Slot<T>>>,
}

/// One thing that is watched.
#[derive(Debug)]
pub struct Slot<T> {
    /// What it is.
    pub data: T,
    deadline: Cell<Now>,
    call: Cell<Option<Call>>,
    waker: RefCell<Option<Waker>>,
}

/// What one who is watched is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The deadline has passed.
    Overdue,
    /// The session key leaves its backend: give it up, politely if that is quick.
    Moved,
    /// The process stops: finish soon.
    Stopping,
    /// End at once.
    Drop,
}

/// Membership in a watch; ends when dropped.
#[derive(Debug)]
pub struct Ticket<T> {
    watch: Rc<Watch<T>>,
    id: usize,
}

impl<T> Watch<T> {
    /// Watches nothing yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { slots: RefCell::new(Slab::new()) })
    }

    /// Begins to watch something, without a deadline.
    pub fn enter(self: &Rc<Self>, data: T) -> Ticket<T> {
        let slot =
            Slot { data, deadline: Cell::new(Now::NEVER), call: Cell::new(None), waker: RefCell::new(None) };
        Ticket { id: self.slots.borrow_mut().insert(slot), watch: self.clone() }
    }

    /// Calls all that are overdue. O(watched), one after the other in memory.
    pub fn sweep(&self, now: Now) {
        for (_, slot) in self.slots.borrow().iter() {
            if slot.deadline.get() <= now {
                slot.deadline.set(Now::NEVER);
                slot.call(Call::Overdue);
            }
        }
    }

    /// Visits everything watched.
    pub fn each(&self, mut visit: impl FnMut(&Slot<T>)) {
        self.slots.borrow().iter().for_each(|(_, slot)| visit(slot));
    }

    /// Visits one, if it is still watched.
    pub fn visit(&self, id: usize, visit: impl FnOnce(&Slot<T>)) {
        if let Some(slot) = self.slots.borrow().get(id) {
            visit(slot);
        }
    }

    /// How many are watched.
    pub fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Slot<T> {
    /// Tells this one. A call that has not been heard is replaced.
    pub fn call(&self, call: Call) {
        self.call.set(Some(call));
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Sets when this one is overdue; [`Now::NEVER`] if it never is. That a former deadline passed is forgotten.
    pub fn set_deadline(&self, deadline: Now) {
        self.deadline.set(deadline);
        if self.call.get() == Some(Call::Overdue) {
            self.call.set(None);
        }
    }
}

impl<T> Ticket<T> {
    /// Looks at one's own slot.
    pub fn with<R>(&self, look: impl FnOnce(&Slot<T>) -> R) -> R {
        look(&self.watch.slots.borrow()[self.id])
    }

    /// Hears a call; without one, the task of `cx` is woken by the next.
    pub fn hear(&self, cx: &Context<'_>) -> Option<Call> {
        self.with(|slot| {
            let call = slot.call.take();
            if call.is_none() {
                let mut waker = slot.waker.borrow_mut();
                if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
            }
            call
        })
    }

    /// Sets when this one is overdue.
    pub fn set_deadline(&self, deadline: Now) {
        self.with(|slot| slot.set_deadline(deadline));
    }

    /// Its place in the watch.
    pub fn id(&self) -> usize {
        self.id
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let gone = self.watch.slots.borrow_mut().try_remove(self.id);
        // Dropping the waker may end a task, and with it other members: not while the watch is borrowed.
        drop(gone);
    }
}
