//! How a backend leaves: from which moment on, until when, and when each of its sessions has to go.
//! Pure values; who orders it, and who closes what, is elsewhere.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Now;
use crate::config::{self, Wanted};
use crate::stable_hash;

/// A backend on its way out: it takes nothing new, and keeps each of its sessions until that one's own moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// Who wants it.
    pub cause: Cause,
    /// Since when.
    pub since: Now,
    /// When the last session ends.
    pub deadline: Now,
    /// The part of the time before the deadline in which sessions end one after the other.
    pub spread: Duration,
}

/// Who wants a backend to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An operator, by the file or the API.
    Operator,
    /// The backend itself, by its health answers.
    Backend,
    /// It is in the configuration no more.
    Removed,
}

impl Cause {
    /// The word used in logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Backend => "backend",
            Self::Removed => "removed",
        }
    }
}

impl Leave {
    /// Leaving from `now` on as `drain` says.
    pub fn new(cause: Cause, now: Now, drain: config::Drain) -> Self {
        Self {
            cause,
            since: now,
            deadline: now.after(drain.timeout),
            spread: drain.spread.min(drain.timeout),
        }
    }

    /// When the session that `hash` stands for ends: all that belongs to it at once, others at other moments.
    pub fn moment(&self, hash: u64) -> Now {
        let before_the_end = self.spread.mul_f64(1.0 - stable_hash::share(hash));
        Now(self.deadline.micros().saturating_sub(crate::clock::micros(before_the_end)))
    }

    /// Whether the session that `hash` stands for has ended.
    pub fn is_over_for(&self, hash: u64, now: Now) -> bool {
        // Most of the time there is nothing to compute.
        now.after(self.spread) >= self.deadline && now >= self.moment(hash)
    }

    /// Whether all sessions have ended.
    pub fn is_over(&self, now: Now) -> bool {
        now >= self.deadline
    }

    /// Until the last session ends.
    pub fn left(&self, now: Now) -> Duration {
        self.deadline.since(now)
    }
}

/// All the reasons for which one backend may have to leave at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What the operator wants.
    pub wanted: Wanted,
    /// What the file said when it was last read: another word there is news, the same one is not.
    pub in_file: Wanted,
    pub(super) by_operator: Option<Leave>,
    pub(super) by_itself: Option<Leave>,
    pub(super) by_removal: Option<Leave>,
}

impl Wishes {
    /// Takes the operator's word. `drain` says how long a drain may take, from now on.
    pub fn order(&mut self, wanted: Wanted, drain: config::Drain, now: Now) {
        let at_once = config::Drain { timeout: Duration::ZERO, spread: Duration::ZERO };
        self.wanted = wanted;
        self.by_operator = match wanted {
            Wanted::Ready => None,
            Wanted::Drain => Some(Leave::new(Cause::Operator, now, drain)),
            Wanted::Maint => Some(Leave::new(Cause::Operator, now, at_once)),
        };
    }

    /// How the backend leaves, if its operator wants that.
    pub fn by_operator(&self) -> Option<Leave> {
        self.by_operator
    }

    /// Takes up what the operator wanted before a restart, when the file said `in_file`: if it says something else by
    /// now, that is news, and counts.
    pub fn take_up(&mut self, wanted: Wanted, in_file: Wanted, leave: Option<Leave>) {
        let leaves = wanted != Wanted::Ready;
        if self.in_file == in_file && leave.is_some() == leaves {
            (self.wanted, self.by_operator) = (wanted, leave);
        }
    }

    /// What all wishes come to: the earliest end.
    pub fn leave(&self) -> Option<Leave> {
        [self.by_operator, self.by_itself, self.by_removal]
            .into_iter()
            .flatten()
            .min_by_key(|leave| leave.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: config::Drain =
        config::Drain { timeout: Duration::from_secs(100), spread: Duration::from_secs(30) };

    #[test]
    fn sessions_end_one_after_the_other_in_the_last_part_of_the_time() {
        let leave = Leave::new(Cause::Operator, Now(0), DRAIN);
        let moments: Vec<_> = (0..1000).map(|hash| leave.moment(hash)).collect();
        assert!(moments.iter().all(|at| (70_000_000..100_000_000).contains(&at.micros())), "{moments:?}");
        let late = moments.iter().filter(|at| at.micros() >= 85_000_000).count();
        assert!((400..600).contains(&late), "half of them in half of the time: {late}");
        for (hash, at) in (0..).zip(&moments) {
            assert!(leave.is_over_for(hash, *at) && !leave.is_over_for(hash, Now(at.micros() - 1)));
        }
    }

    #[test]
    fn the_operator_is_taken_at_their_word_unless_the_file_is_newer() {
        let mut before = Wishes::default();
        before.order(Wanted::Drain, DRAIN, Now(5));
        let after = |in_file| {
            let mut wishes = Wishes { in_file, ..Wishes::default() };
            wishes.take_up(before.wanted, before.in_file, before.by_operator());
            (wishes.wanted, wishes.leave())
        };
        assert_eq!(after(Wanted::Ready), (Wanted::Drain, before.leave()));
        assert_eq!(after(Wanted::Maint), (Wanted::Ready, None));
    }

    #[test]
    fn the_earliest_end_counts() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.leave(), None);
        wishes.by_itself = Some(Leave::new(Cause::Backend, Now(5_000_000), DRAIN));
        wishes.order(Wanted::Drain, DRAIN, Now(0));
        assert_eq!(wishes.leave().map(|leave| leave.cause), Some(Cause::Operator));
        wishes.order(Wanted::Ready, DRAIN, Now(0));
        assert_eq!(wishes.leave().map(|leave| leave.cause), Some(Cause::Backend));
        wishes.order(Wanted::Maint, DRAIN, Now(7));
        assert!(wishes.leave().is_some_and(|leave| leave.is_over_for(1, Now(7)) && leave.is_over(Now(7))));
    }
}
