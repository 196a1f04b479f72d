//! An explanation for people: the answer first, then what led to it, in 80 columns.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use humantime::format_duration;

use super::{Bound, Candidate, Explanation, Verdict};
use crate::columns::{WIDTH, write_labelled, write_paragraph, write_table};

/// Backends shown.
const MOST: usize = 30;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_paragraph(f, &self.detail)?;
        writeln!(f)?;
        let host = if self.host.is_empty() { "no host" } else { &self.host };
        let Some((route, pool)) = self.route.as_ref().zip(self.pool.as_ref()) else {
            return write_labelled(f, "host", &[host.to_owned()]);
        };
        write_labelled(f, "route", &[route.clone(), format!("for {host}")])?;
        let words = [("mode", &self.mode), ("balance", &self.balance)];
        let words = words.map(|(label, word)| format!("{label} {}", word.as_deref().unwrap_or("none")));
        write_labelled(f, "pool", &[vec![pool.clone()], words.to_vec()].concat())?;
        self.write_key(f)?;
        let reason = self.reason.as_str().to_owned();
        write_labelled(f, "answer", &[self.backend.clone().unwrap_or_else(|| nobody(self.reason)), reason])?;
        writeln!(f)?;
        write_candidates(f, &self.candidates)
    }
}

impl Explanation {
    fn write_key(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((key, source)) = self.key.as_ref().zip(self.key_source.as_ref()) else {
            return write_labelled(f, "key", &["none".to_owned()]);
        };
        let printable: String = key.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        write_labelled(f, "key", &[printable, format!("from {source}")])?;
        if self.mode.as_deref() != Some("hash") {
            write_labelled(f, "binding", &self.binding.as_ref().map_or(vec!["none".into()], binding))?;
        }
        match &self.without_binding {
            Some(without) if self.binding.is_some() => {
                let backend = without.backend.clone().unwrap_or_else(|| nobody(without.reason));
                write_labelled(f, "without", &[backend, without.reason.as_str().to_owned()])
            }
            _ => Ok(()),
        }
    }
}

fn nobody(reason: Verdict) -> String {
    if reason.is_served() { "any of those below" } else { "no backend" }.to_owned()
}

fn binding(binding: &Bound) -> Vec<String> {
    let Bound { backend, epoch, live, age_seconds } = binding;
    let age = Duration::try_from_secs_f64(age_seconds.trunc()).unwrap_or_default();
    vec![
        backend.clone().unwrap_or_else(|| "a backend that is gone".into()),
        format!("for {}", format_duration(age)),
        format!("{live} live"),
        format!("epoch {epoch}"),
    ]
}

fn write_candidates(f: &mut Formatter<'_>, candidates: &[Candidate]) -> fmt::Result {
    let row = |it: &Candidate| {
        [
            it.rank.map_or_else(|| "-".into(), |rank| rank.to_string()),
            it.name.clone(),
            it.weight.to_string(),
            it.sessions.to_string(),
            it.in_flight.to_string(),
            it.score.map_or_else(|| "-".into(), |score| format!("{score:.4}")),
            it.why_not.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = candidates.iter().take(MOST).map(row).collect();
    let headings = ["rank", "backend", "weight", "sessions", "requests", "score", "not now, since"];
    write_table(f, headings, [5, 24, 6, 9, 9, 9, WIDTH], &rows)?;
    match candidates.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => writeln!(f, "    … and {more} more"),
    }
}
