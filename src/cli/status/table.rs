//! The picture of a running proxy, in lines no wider than the terminal, whatever names there are.

use std::time::SystemTime;

use super::rates::Rates;
use crate::cli::answers::{Backend, LastReload, Pool, Status};
use crate::cli::terminal::{Ink, Paint, counted, span};
use crate::columns::{WIDTH, cut, padded, width};

/// Columns of a backend's name on a terminal of 80, and at most.
const NAME: usize = 19;
const LONGEST_NAME: usize = 64;
/// Columns in which no picture fits; narrower terminals break lines.
const NARROWEST: usize = 72;
/// Of the columns of a backend, and between them.
const STATE: usize = 5;
const HEALTH: usize = 7;
const NUMBER: usize = 8;
const TUNNELS: usize = 7;
const GAP: &str = "  ";

/// How a picture is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) columns: usize,
    /// Shown in place of totals.
    pub(super) rates: Option<&'a Rates>,
    pub(super) paint: Paint,
}

impl View<'_> {
    pub(super) fn lines(self, status: &Status) -> Vec<String> {
        let mut lines: Vec<_> = self.proxy(status).into_iter().collect();
        lines.extend(self.warnings(status));
        for pool in &status.pools {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(self.pool(pool));
            let name = self.name_columns(pool);
            lines.push(self.headings(name));
            for backend in &pool.backends {
                lines.push(self.backend(pool, backend, name));
                lines.extend(self.reason(backend));
            }
        }
        lines
    }

    fn columns(self) -> usize {
        self.columns.max(NARROWEST)
    }

    fn proxy(self, status: &Status) -> Option<String> {
        let version = status.version.as_ref()?;
        let items = [
            Some(format!("homing {version}")),
            status.uptime_seconds.map(|seconds| format!("up {}", span(seconds))),
            status.connections.map(|number| counted(number, "connection")),
            status.generation.map(|number| format!("configuration {number}")),
        ];
        let items: Vec<_> = items.into_iter().flatten().collect();
        Some(cut(&items.join(GAP), self.columns()))
    }

    /// What somebody should look after.
    fn warnings(self, status: &Status) -> Vec<String> {
        let refused = status.reload.as_ref().filter(|reload| reload.outcome == "refused").map(refused);
        let unsaved = status.state.as_ref().and_then(|state| state.error.as_ref());
        let unsaved = unsaved.map(|error| format!("sessions are not being saved: {error}"));
        let warnings = refused.into_iter().chain(unsaved);
        warnings.map(|line| self.paint.paint(Ink::Bad, &cut(&line, self.columns()))).collect()
    }

    fn pool(self, pool: &Pool) -> String {
        let sessions = match pool.capacity {
            0 => None,
            capacity => Some(format!("{} of {} sessions", short(pool.sessions), short(capacity))),
        };
        let waiting = (pool.waiting > 0).then(|| format!("{} waiting", short(pool.waiting)));
        let items = [
            Some(format!("{}, {}", pool.mode, pool.balance)),
            sessions,
            waiting,
            pool.panicking.then(|| "too many fail: nothing moves".to_owned()),
        ];
        let items = items.into_iter().flatten().collect::<Vec<_>>().join(GAP);
        let name = cut(&pool.name, self.columns().saturating_sub(width(&items) + GAP.len()).max(NAME));
        let rest = cut(&items, self.columns() - width(&name) - GAP.len());
        format!("{}{GAP}{rest}", self.paint.paint(Ink::Strong, &name))
    }

    fn name_columns(self, pool: &Pool) -> usize {
        let longest = pool.backends.iter().map(|backend| width(&backend.name)).max().unwrap_or(0);
        let most = (NAME + self.columns()).saturating_sub(WIDTH).clamp("backend".len(), LONGEST_NAME);
        longest.clamp("backend".len(), most)
    }

    fn headings(self, name: usize) -> String {
        let last = if self.rates.is_some() { "req/s" } else { "requests" };
        let words = [
            padded("backend", name),
            padded("state", STATE),
            padded("health", HEALTH),
            right("sessions", NUMBER),
            right("tunnels", TUNNELS),
            right(last, NUMBER),
        ];
        self.paint.paint(Ink::Faint, &format!("  {}", words.join(GAP)))
    }

    fn backend(self, pool: &Pool, backend: &Backend, name: usize) -> String {
        let rate = match self.rates {
            Some(rates) => rates.of(&pool.name, &backend.name).map_or_else(|| "-".to_owned(), per_second),
            None => short(backend.requests_total),
        };
        let cells = [
            (Ink::Plain, padded(&backend.name, name)),
            (ink_of_state(&backend.state), padded(&backend.state, STATE)),
            (ink_of_health(&backend.health), padded(&backend.health, HEALTH)),
            (Ink::Plain, right(&short(backend.sessions), NUMBER)),
            (Ink::Plain, right(&short(backend.connections), TUNNELS)),
            (Ink::Plain, right(&rate, NUMBER)),
        ];
        let used = 2 + cells.iter().map(|(_, cell)| width(cell) + GAP.len()).sum::<usize>();
        let painted = cells.map(|(ink, cell)| self.paint.paint(ink, &cell)).join(GAP);
        let room = self.columns().saturating_sub(used);
        match note(backend) {
            Some(note) if room > 0 => {
                format!("  {painted}{GAP}{}", self.paint.paint(Ink::Care, &cut(&note, room)))
            }
            _ => format!("  {}", painted.trim_end()),
        }
    }

    /// Why a backend is not up.
    fn reason(self, backend: &Backend) -> Option<String> {
        let reason = backend.health_reason.as_ref().filter(|_| backend.health != "up")?;
        let since =
            backend.health_since.map(|since| format!("{} for {}: ", backend.health, span(ago(since))));
        let line = format!("    {}{reason}", since.unwrap_or_default());
        Some(self.paint.paint(Ink::Faint, &cut(&line, self.columns())))
    }
}

fn refused(reload: &LastReload) -> String {
    let problems = match reload.problems.len() as u64 {
        0 => String::new(),
        number => format!(" ({})", counted(number, "problem")),
    };
    let ago = span(ago(reload.at));
    format!("last reload refused {ago} ago{problems}: `homing reload --plan` says why")
}

fn ago(at: f64) -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs_f64() - at
}

/// What else there is to know of a backend.
fn note(backend: &Backend) -> Option<String> {
    let ejected = backend.ejected_seconds_left.map(|left| format!("ejected {}", span(left)));
    let ejected = ejected.or_else(|| backend.outlier.then(|| "ejected".to_owned()));
    let leaves = backend.drain.map(|drain| {
        if drain.done { "empty".to_owned() } else { format!("{} left", span(drain.seconds_left)) }
    });
    let slow = backend.slow_start.map(|share| format!("at {:.0} %", share * 100.0));
    let idle = backend.weight.filter(|&weight| weight == 0).map(|_| "weight 0".to_owned());
    leaves.or(ejected).or(slow).or(idle)
}

fn ink_of_state(state: &str) -> Ink {
    if state == "ready" { Ink::Plain } else { Ink::Care }
}

fn ink_of_health(health: &str) -> Ink {
    match health {
        "up" => Ink::Good,
        "down" => Ink::Bad,
        _ => Ink::Care,
    }
}

/// At the right end of so many columns.
fn right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    " ".repeat(columns.saturating_sub(width(&text))) + &text
}

/// A number in at most seven columns.
fn short(number: u64) -> String {
    const STEPS: [(u64, &str); 3] = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M")];
    if number < 10_000_000 {
        return number.to_string();
    }
    let step = STEPS.iter().find(|(unit, _)| number >= *unit);
    step.map_or_else(
        || number.to_string(),
        |(unit, word)| format!("{:.1}{word}", number as f64 / *unit as f64),
    )
}

fn per_second(rate: f64) -> String {
    match rate {
        ..1e3 => format!("{rate:.1}"),
        ..1e7 => format!("{rate:.0}"),
        _ => format!("{:.1}M", rate / 1e6),
    }
}
