//! The owners of a table from outside: lives of backends that begin, end and are followed by others.

use std::sync::Arc;

use super::{Loss, SessionTable};

impl SessionTable {
    /// Takes a number for a backend's new life.
    pub fn new_owner(&self) -> u32 {
        self.owners.begin(u64::MAX)
    }

    /// Bounds the sessions of an owner: beyond, it gets no new ones. Those it has stay.
    pub fn limit_owner(&self, owner: u32, most: u64) {
        self.owners.limit(owner, most);
    }

    /// Takes a number for the next life of a backend, which may have as many sessions as in its life as `former`. What
    /// is still bound to that one leads nowhere, and the sweep removes it by and by.
    pub fn succeed_owner(&self, former: u32, why: Loss) -> u32 {
        let limit = self.owners.end(former, why);
        let heir = self.owners.begin(limit.unwrap_or(u64::MAX));
        if let Some(name) = self.owners.name(former) {
            self.owners.set_name(heir, &name);
        }
        heir
    }

    /// Ends the life of a backend: what is still bound to it leads nowhere, and the sweep removes it by and by.
    pub fn end_owner(&self, owner: u32, why: Loss) {
        self.owners.end(owner, why);
    }

    /// Why the life that a number stands for is over; none while it is not.
    pub fn loss(&self, owner: u32) -> Option<Loss> {
        self.owners.loss(owner)
    }

    /// Notes whose lives a number and those that succeed it are, for those who tell of it.
    pub fn name_owner(&self, owner: u32, name: &Arc<str>) {
        self.owners.set_name(owner, name);
    }

    /// Whose life a number is, or was.
    pub fn owner_name(&self, owner: u32) -> Option<Arc<str>> {
        self.owners.name(owner)
    }

    /// Whether the life that a number stands for is over.
    pub fn is_over(&self, owner: u32) -> bool {
        self.owners.look().is_gone(owner)
    }

    /// Sessions bound to `owner`.
    pub fn sessions(&self, owner: u32) -> u64 {
        self.owners.sessions(owner)
    }
}
