//! What a client connection is doing, as its sweep sees it.

use std::cell::Cell;

/// What a client connection is doing.
#[derive(Debug, Default)]
pub struct Pulse {
    beat: Cell<Beat>,
    /// A request body is under way, maybe longer than its response.
    within_body: Cell<bool>,
}

/// What a client connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing: between requests, or before the first.
    Idle,
    /// Sending a request head.
    Head,
    /// Having a request answered.
    Busy,
}

/// A reading of a [`Pulse`]: what a connection does, and how often that has changed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Beat(u32);

impl Beat {
    const ACTIVITIES: u32 = 4;

    /// What the connection does.
    pub fn activity(self) -> Activity {
        match self.0 % Self::ACTIVITIES {
            0 => Activity::Idle,
            1 => Activity::Head,
            _ => Activity::Busy,
        }
    }

    /// Whether it has had a request answered: a head, then an answer, have come before.
    pub fn has_served(self) -> bool {
        self.0 / Self::ACTIVITIES > 2
    }

    /// Wraps after a thousand million changes, but never back to the first ones.
    fn next(self, activity: Activity) -> Self {
        let changes = (self.0 / Self::ACTIVITIES + 1) % (u32::MAX / Self::ACTIVITIES);
        let changes = if self.has_served() { changes.max(3) } else { changes };
        Self(changes * Self::ACTIVITIES + activity as u32)
    }
}

impl Pulse {
    /// Notes what the connection does now.
    pub fn set(&self, activity: Activity) {
        self.beat.set(self.read().next(activity));
    }

    /// What the connection does.
    pub fn read(&self) -> Beat {
        self.beat.get()
    }

    /// Notes whether a request body is under way: what is received then is no head of another request.
    pub(super) fn set_within_body(&self, within_body: bool) {
        self.within_body.set(within_body);
    }

    /// Whether a request body is under way, or was given up before its end.
    pub fn is_within_body(&self) -> bool {
        self.within_body.get()
    }

    /// Something has come: the head of a request, unless it is more of a body.
    pub(super) fn received(&self) {
        if self.read().activity() == Activity::Idle {
            self.set(if self.is_within_body() { Activity::Idle } else { Activity::Head });
        }
    }
}
