//! How far a wait is: a bar on a terminal, redrawn in its line; elsewhere a line whenever something has changed. All of
//! it goes where errors go, so that answers stay alone.

use std::io::{self, IsTerminal, Write as _};

use super::answers::Backend;
use super::client::Failure;
use super::terminal::{Ink, Paint, counted, size, span};
use crate::columns::cut;

/// Columns of the bar.
const BAR: usize = 24;
/// Columns of a backend's name beside it.
const NAME: usize = 24;
/// Goes to the beginning of the line, and wipes it.
const WIPE: &str = "\r\x1b[2K";

/// What is shown of one wait.
#[derive(Debug)]
pub(super) struct Progress {
    doing: &'static str,
    target: String,
    /// The most that was ever left.
    most: u64,
    shown: String,
    paint: Paint,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new(doing: &'static str, target: String) -> Self {
        let stderr = io::stderr();
        let is_terminal = stderr.is_terminal();
        Self { doing, target, most: 0, shown: String::new(), paint: Paint::on(&stderr), is_terminal }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, backend: &Backend) {
        let amount = amount(backend);
        self.most = self.most.max(amount);
        let time = backend.drain.map(|drain| format!(", at most {}", span(drain.seconds_left)));
        let what = match backend.drain {
            Some(_) => left(backend),
            None => format!("it is {}", backend.health),
        };
        if self.is_terminal {
            self.draw(amount, &format!("{what}{}", time.unwrap_or_default()));
        } else if self.shown != what {
            write_line(&format!("{} {}: {what}{}", self.doing, self.target, time.unwrap_or_default()));
            self.shown = what;
        }
    }

    /// Shows that it is not known at the moment.
    pub(super) fn trouble(&mut self, failure: &Failure) {
        let why = failure.to_string();
        let why = why.lines().next().unwrap_or_default();
        if self.is_terminal {
            self.draw(self.most, &format!("asking again: {why}"));
        } else if self.shown != why {
            write_line(&format!("{} {}: asking again: {why}", self.doing, self.target));
            why.clone_into(&mut self.shown);
        }
    }

    /// Leaves a clean line behind.
    pub(super) fn end(&self) {
        if self.is_terminal {
            let mut out = io::stderr();
            let _ = write!(out, "{WIPE}").and_then(|()| out.flush());
        }
    }

    fn draw(&self, amount: u64, text: &str) {
        let mut out = io::stderr();
        let (columns, _) = size(&out);
        let gone = self.most.saturating_sub(amount);
        // Nothing to wait for is all that was to be waited for.
        let filled = (gone * BAR as u64).checked_div(self.most).unwrap_or(BAR as u64) as usize;
        let bar = self.paint.paint(Ink::Good, &"█".repeat(filled));
        let rest = "·".repeat(BAR - filled.min(BAR));
        let room = columns.saturating_sub(BAR + 4).max(1);
        let text = cut(&format!("{}: {text}", cut(&self.target, NAME)), room);
        let _ = write!(out, "{WIPE}▕{bar}{rest}▏ {text}").and_then(|()| out.flush());
    }
}

fn write_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What is left of a backend, as one number.
fn amount(backend: &Backend) -> u64 {
    let of = backend.drain.map_or((backend.sessions, backend.connections, backend.in_flight), |drain| {
        (drain.sessions, drain.connections, drain.in_flight)
    });
    of.0.max(of.1).max(of.2)
}

/// What is left of a backend, in words.
pub(super) fn left(backend: &Backend) -> String {
    let (sessions, tunnels, in_flight) = match backend.drain {
        Some(drain) => (drain.sessions, drain.connections, drain.in_flight),
        None => (backend.sessions, backend.connections, backend.in_flight),
    };
    let requests = in_flight.saturating_sub(tunnels);
    let parts = [(sessions, "session"), (tunnels, "tunnel"), (requests, "request")];
    let parts: Vec<_> =
        parts.iter().filter(|(number, _)| *number > 0).map(|&(number, one)| counted(number, one)).collect();
    if parts.is_empty() { "nothing live".to_owned() } else { format!("{} left", parts.join(", ")) }
}
