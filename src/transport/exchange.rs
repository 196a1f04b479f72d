//! The exchanges of one worker: requests on their way and open tunnels, with their deadlines, findable by session key.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hashbrown::HashTable;

use crate::clock::Now;
use crate::watch::{Call, Slot, Ticket, Watch};

/// What an exchange waits for, and so what it means when it is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The backend, for the response head.
    Head,
    /// The client, for more of the request body.
    RequestBody,
    /// Either side, for more of the response body to move.
    ResponseBody,
    /// Either side of a tunnel.
    Tunnel,
    /// Nothing: the response has ended, whatever of the request has not been sent.
    Over,
}

/// One exchange as its worker's watch knows it.
#[derive(Debug)]
pub struct Exchange {
    phase: Cell<Phase>,
    key: Cell<Option<Tag>>,
    home: Cell<Option<Home>>,
    fault: Cell<Option<Fault>>,
    held_back: Cell<bool>,
    /// Octets of the request body so far.
    received: Cell<u64>,
}

/// What the client did wrong while its request was on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its body is longer than allowed.
    TooLong,
    /// Its body broke off, or is not well formed.
    Broken,
}

/// A session key, in words that mean the same on every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Fingerprint in the pool's table. Tables have seeds of their own, and session ids are random, so it names the pool
    /// too.
    pub key: u64,
    /// The epoch it was taken under.
    pub epoch: u64,
}

/// The backend an exchange is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Its id, unique in the process.
    pub backend: u64,
    /// The hash that says when the exchange has to end should the backend leave.
    pub moment: u64,
}

/// All exchanges of one worker.
#[derive(Debug)]
pub struct Exchanges {
    watch: Rc<Watch<Exchange>>,
    /// Places of those with a key, by the key; several may have the same.
    by_key: RefCell<HashTable<(u64, usize)>>,
}

/// Membership of one exchange; ends when dropped.
#[derive(Debug)]
pub struct Membership {
    ticket: Ticket<Exchange>,
    all: Rc<Exchanges>,
}

impl Exchanges {
    /// None yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { watch: Watch::new(), by_key: RefCell::new(HashTable::new()) })
    }

    /// Begins an exchange.
    pub fn begin(self: &Rc<Self>) -> Membership {
        let exchange = Exchange {
            phase: Cell::new(Phase::Head),
            key: Cell::new(None),
            home: Cell::new(None),
            fault: Cell::new(None),
            held_back: Cell::new(false),
            received: Cell::new(0),
        };
        Membership { ticket: self.watch.enter(exchange), all: self.clone() }
    }

    /// Calls all that are overdue.
    pub fn sweep(&self, now: Now) {
        self.watch.sweep(now);
    }

    /// Calls all exchanges of a key that were begun under `epoch` or before.
    pub fn call_key(&self, key: u64, epoch: u64, call: Call) {
        for place in self.by_key.borrow().iter_hash(key).filter(|place| place.0 == key) {
            self.watch.visit(place.1, |slot| {
                if slot.data.key.get().is_some_and(|tag| tag.epoch <= epoch) {
                    slot.call(call);
                }
            });
        }
    }

    /// Visits every exchange.
    pub fn each(&self, visit: impl FnMut(&Slot<Exchange>)) {
        self.watch.each(visit);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.watch.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.watch.is_empty()
    }
}

impl Exchange {
    /// What is waited for.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The session key, if there is one.
    pub fn key(&self) -> Option<Tag> {
        self.key.get()
    }

    /// The backend, once there is one.
    pub fn home(&self) -> Option<Home> {
        self.home.get()
    }
}

impl Membership {
    /// Sets what is waited for, and until when.
    pub fn wait_for(&self, phase: Phase, deadline: Now) {
        self.ticket.with(|slot| {
            slot.data.phase.set(phase);
            slot.set_deadline(deadline);
        });
    }

    /// What is waited for.
    pub fn phase(&self) -> Phase {
        self.ticket.with(|slot| slot.data.phase.get())
    }

    /// What the client did wrong, if anything.
    pub fn fault(&self) -> Option<Fault> {
        self.ticket.with(|slot| slot.data.fault.get())
    }

    /// Octets of the request body that came so far.
    pub fn received(&self) -> u64 {
        self.ticket.with(|slot| slot.data.received.get())
    }

    /// Counts octets of the request body.
    pub fn count_received(&self, octets: usize) {
        self.ticket.with(|slot| slot.data.received.set(slot.data.received.get() + octets as u64));
    }

    /// Notes what the client did wrong.
    pub fn set_fault(&self, fault: Fault) {
        self.ticket.with(|slot| slot.data.fault.set(Some(fault)));
    }

    /// Whether the request body waits for the backend to agree to it.
    pub fn is_held_back(&self) -> bool {
        self.ticket.with(|slot| slot.data.held_back.get())
    }

    /// Notes whether the request body waits for the backend to agree to it.
    pub fn hold_back(&self, held_back: bool) {
        self.ticket.with(|slot| slot.data.held_back.set(held_back));
    }

    /// Makes the exchange findable by its key.
    pub fn set_key(&self, tag: Tag) {
        self.forget_key();
        self.ticket.with(|slot| slot.data.key.set(Some(tag)));
        self.all.by_key.borrow_mut().insert_unique(tag.key, (tag.key, self.ticket.id()), |place| place.0);
    }

    /// Notes which backend the exchange is with.
    pub fn set_home(&self, home: Home) {
        self.ticket.with(|slot| slot.data.home.set(Some(home)));
    }

    fn forget_key(&self) {
        let Some(tag) = self.ticket.with(|slot| slot.data.key.take()) else { return };
        let place = (tag.key, self.ticket.id());
        if let Ok(found) = self.all.by_key.borrow_mut().find_entry(tag.key, |p| *p == place) {
            found.remove();
        }
    }

    /// Hears a call; without one, the task of `cx` is woken by the next.
    pub fn hear(&self, cx: &Context<'_>) -> Option<Call> {
        self.ticket.hear(cx)
    }

    /// Completes with `future`, or with the call that comes before.
    ///
    /// # Errors
    /// The call; what the future was doing is given up.
    pub async fn unless_called<F: Future>(&self, mut future: Pin<&mut F>) -> Result<F::Output, Call> {
        std::future::poll_fn(|cx| match self.hear(cx) {
            Some(call) => Poll::Ready(Err(call)),
            None => future.as_mut().poll(cx).map(Ok),
        })
        .await
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.forget_key();
    }
}
