//! How every backend of a pool stands to one piece of new work: what a decision does not say, for those who explain it.
//! Reads only, and asks the same bounds and the same policy as a decision does.

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::{Choice, Key, Pool, View};
use crate::backend::Health;
use crate::balance::{Ask, Candidate};

/// How a backend stands to a piece of new work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prospect {
    /// Position of the backend in the pool.
    pub backend: u32,
    /// Why it does not get the work; `None` where it could.
    pub bar: Option<Bar>,
    /// What the policy compares, the least being the best; `None` where it compares nothing, or the backend has no
    /// weight.
    pub score: Option<f64>,
}

/// Why a backend does not get new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// It is on its way out.
    Leaving,
    /// It has no weight.
    Weightless,
    /// Nothing is known of it yet.
    Unchecked,
    /// It is suspect, and others are not.
    Suspect,
    /// Traffic failed there too often in a row, and others are left.
    Ejected,
    /// It is down.
    Down,
    /// It has all the requests it may have.
    Busy,
    /// It has all the sessions it may have.
    Full,
    /// It has more than its share of the sessions.
    OverShare,
    /// It has just come up, and this work is not of the share it takes already.
    Starting,
}

impl Bar {
    /// The same in words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leaving => "leaving",
            Self::Weightless => "weight 0",
            Self::Unchecked => "not checked yet",
            Self::Suspect => "suspect",
            Self::Ejected => "ejected",
            Self::Down => "down",
            Self::Busy => "at max_connections",
            Self::Full => "at max_sessions",
            Self::OverShare => "more than its share",
            Self::Starting => "slow start",
        }
    }
}

impl Pool {
    /// How each backend stands to work with this key, or without one, as if the key had no binding: first those that
    /// may take it, in the order in which they would be chosen; then the others in the order of the file.
    ///
    /// `choice.skip` are backends without a place for the request. O(n log n), for `ring_hash` O(points).
    pub fn prospects(&self, view: &View, key: Option<&Key>, choice: &Choice<'_>) -> Vec<Prospect> {
        let key = key.filter(|_| self.is_sticky());
        let sessions = |backend| self.table().map_or(0, |table| table.sessions(view.owner(backend)));
        let (chooser, bounds) = match key {
            Some(key) => (self.chooser(view, key.by_turns), Bounds::of_sessions(self, view)),
            None => (&view.keyless, Bounds::of_requests(self, view)),
        };
        let ask = choice.ask(key.map_or(0, |key| key.placement), &sessions);
        let bars = bounds.bars(&chooser.candidates, &ask, choice.now);
        let skip: Vec<u32> = bars.iter().map(|(backend, _)| *backend).collect();
        let order = chooser.balancer.preference(&chooser.candidates, &Ask { skip: &skip, ..ask });
        let able = order.iter().filter_map(|&at| chooser.candidates.get(at)).map(|it| (it.backend, None));

        let among = |backend: &u32| chooser.candidates.iter().any(|it| it.backend == *backend);
        let bar = |backend: u32| match bars.iter().find(|(barred, _)| *barred == backend) {
            Some((_, bar)) => Some((backend, Some(*bar))),
            None => (!among(&backend)).then(|| (backend, Some(self.bar(view, backend)))),
        };
        let all = 0..self.backends.len() as u32;
        let score = |backend| {
            let known = self.backends.get(backend as usize).filter(|known| known.weight > 0)?;
            let candidate = Candidate { backend, weight: known.weight, node: known.node };
            chooser.balancer.scores(&[candidate], &ask)?.first().copied()
        };
        let prospects = able.chain(all.filter_map(bar));
        prospects.map(|(backend, bar)| Prospect { backend, bar, score: score(backend) }).collect()
    }

    /// Why a backend is no candidate.
    fn bar(&self, view: &View, backend: u32) -> Bar {
        let weight = self.backends.get(backend as usize).map_or(0, |backend| backend.weight);
        match view.health(backend) {
            _ if view.leave(backend).is_some() => Bar::Leaving,
            _ if weight == 0 => Bar::Weightless,
            Health::Down => Bar::Down,
            Health::Unknown => Bar::Unchecked,
            Health::Suspect | Health::Up if view.is_outlier(backend) => Bar::Ejected,
            Health::Suspect | Health::Up => Bar::Suspect,
        }
    }
}
