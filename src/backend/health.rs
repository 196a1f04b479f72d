//! The health of a backend as a pure state machine: observations in, transitions out.

use serde::Serialize;

/// Observed health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing observed yet: takes nothing.
    Unknown,
    /// Takes all work.
    Up,
    /// Failed, but not yet often enough to be down: keeps what it has, takes new work only where no other can.
    Suspect,
    /// Takes nothing; its bindings may move.
    Down,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Up, Self::Suspect, Self::Down];

    /// The word used in logs and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// The result of a check or a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It answered as it should.
    Good,
    /// It refused the connection, or broke it off.
    Refused,
    /// It answered that it does not serve.
    Bad,
    /// It did not answer in time.
    Silent,
}

/// How sure it is that a backend which fails its checks is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    /// It refuses connections or breaks them off: nobody serves there.
    Plainly,
    /// It is slow, or answers with a bad status: it may still hold its sessions, and when many do so at once it is
    /// more likely that the checks are wrong.
    Doubtfully,
}

impl Observation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Good, Self::Refused, Self::Bad, Self::Silent];

    /// The word used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Refused => "refused",
            Self::Bad => "bad",
            Self::Silent => "silent",
        }
    }

    /// What a failed check says; `None` for a good one.
    pub const fn failing(self) -> Option<Failing> {
        match self {
            Self::Good => None,
            Self::Refused => Some(Failing::Plainly),
            Self::Bad | Self::Silent => Some(Failing::Doubtfully),
        }
    }
}

/// A change of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Before the observation.
    pub from: Health,
    /// After it.
    pub to: Health,
}

/// Turns observations into health with hysteresis: `rise` good ones in a row to come up, `fall` failed ones to go down.
///
/// The first observation decides at once: a good one means up, a bad one down. Silence is no proof, so a backend that
/// does not answer its first check is suspect: up, with one failure.
#[derive(Debug)]
pub struct Machine {
    health: Health,
    streak: u32,
    rise: u32,
    fall: u32,
}

impl Machine {
    /// Begins at `health`, with the thresholds `rise` and `fall`. `fall` 0 means never down.
    pub fn new(health: Health, rise: u32, fall: u32) -> Self {
        Self { health, streak: 0, rise, fall }
    }

    /// The health after all observations so far.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Takes an observation; returns the change it made, if any.
    pub fn observe(&mut self, observation: Observation) -> Option<Transition> {
        let from = self.health;
        self.health = match (from, observation) {
            (Health::Unknown | Health::Up | Health::Suspect, Observation::Good) => Health::Up,
            (Health::Unknown, Observation::Bad | Observation::Refused) if self.fall > 0 => Health::Down,
            (Health::Suspect, _) => self.failed(self.streak),
            (Health::Unknown | Health::Up, _) => self.failed(0),
            (Health::Down, Observation::Good) => self.recovering(),
            (Health::Down, _) => self.still_down(),
        };
        (from != self.health).then_some(Transition { from, to: self.health })
    }

    fn failed(&mut self, failures_before: u32) -> Health {
        self.streak = failures_before.saturating_add(1);
        if self.fall == 0 || self.streak < self.fall {
            return Health::Suspect;
        }
        self.streak = 0;
        Health::Down
    }

    fn recovering(&mut self) -> Health {
        self.streak += 1;
        if self.streak < self.rise { Health::Down } else { Health::Up }
    }

    fn still_down(&mut self) -> Health {
        self.streak = 0;
        Health::Down
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Observation::{Bad, Good, Refused, Silent};

    fn after(rise: u32, fall: u32, observations: &[Observation]) -> Health {
        let mut machine = Machine::new(Health::Unknown, rise, fall);
        for &observation in observations {
            machine.observe(observation);
        }
        machine.health()
    }

    #[test]
    fn the_first_observation_decides() {
        assert_eq!(after(2, 3, &[Good]), Health::Up);
        assert_eq!(after(2, 3, &[Bad]), Health::Down);
        assert_eq!(after(2, 3, &[Refused]), Health::Down);
        assert_eq!(after(2, 3, &[Silent]), Health::Suspect);
        assert_eq!(after(2, 1, &[Silent]), Health::Down);
    }

    #[test]
    fn fall_failures_in_a_row_take_it_down() {
        assert_eq!(after(2, 3, &[Good, Bad, Silent]), Health::Suspect);
        assert_eq!(after(2, 3, &[Good, Bad, Bad, Good]), Health::Up);
        assert_eq!(after(2, 3, &[Good, Bad, Bad, Good, Bad, Bad]), Health::Suspect);
        assert_eq!(after(2, 3, &[Good, Bad, Bad, Silent]), Health::Down);
    }

    #[test]
    fn rise_good_checks_in_a_row_bring_it_up() {
        assert_eq!(after(2, 3, &[Bad, Good]), Health::Down);
        assert_eq!(after(2, 3, &[Bad, Good, Bad, Good]), Health::Down);
        assert_eq!(after(2, 3, &[Bad, Good, Good]), Health::Up);
    }

    #[test]
    fn fall_zero_never_goes_down() {
        assert_eq!(after(1, 0, &[Bad, Bad, Bad, Bad]), Health::Suspect);
    }
}
