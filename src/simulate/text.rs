//! A report for people: what moves first, then the figures, in 80 columns.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use humantime::format_duration;

use super::{BackendFigures, Placement, Report, Sessions, Spread, TableFigures};
use crate::columns::{WIDTH, write_labelled, write_paragraph, write_table};

/// Backends shown.
const MOST: usize = 30;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_paragraph(f, &self.answer())?;
        writeln!(f, "\nPool {}", self.pool)?;
        write_labelled(f, "mode", &[self.mode.clone(), format!("balance {}", self.balance_after)])?;
        write_labelled(f, "changes", &self.changes)?;
        write_labelled(f, "keys", &self.key_words())?;
        if let Some(sessions) = &self.sessions {
            writeln!(f, "\nSessions")?;
            sessions.write(f)?;
        }
        writeln!(f, "\nNew keys")?;
        self.placement.write(f)?;
        write_labelled(f, "before", &spread_words(&self.spread_before))?;
        write_labelled(f, "after", &spread_words(&self.spread_after))?;
        writeln!(f, "\nBackends")?;
        self.write_backends(f)?;
        self.table.as_ref().map_or(Ok(()), |table| write_table_figures(f, table))
    }
}

impl Report {
    fn answer(&self) -> String {
        match &self.sessions {
            Some(sessions) => sessions.answer(),
            None => match (self.placement.moved, self.placement.moved_share) {
                (Some(0), _) => "No key moves.".to_owned(),
                (Some(moved), Some(share)) => {
                    format!(
                        "{} of {} keys move at once ({}).",
                        grouped(moved),
                        grouped(self.keys.distinct),
                        percent(share)
                    )
                }
                _ => "The policy does not place by keys.".to_owned(),
            },
        }
    }

    fn key_words(&self) -> Vec<String> {
        let keys = &self.keys;
        let mut words = vec![format!("{} different", grouped(keys.distinct))];
        words.extend(keys.lines.map(|lines| format!("in {} lines", grouped(lines))));
        words.extend(
            (keys.without_key > 0).then(|| format!("{} lines without one", grouped(keys.without_key))),
        );
        words
    }

    fn write_backends(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let arrow = |before: String, after: String| {
            if before == after { before } else { format!("{before} > {after}") }
        };
        let row = |it: &BackendFigures| {
            [
                it.name.clone(),
                arrow(it.weight_before.to_string(), it.weight_after.to_string()),
                arrow(it.keys_before.to_string(), it.keys_after.to_string()),
                it.sessions_before.to_string(),
                it.sessions_now.to_string(),
                it.sessions_by_deadline.to_string(),
            ]
        };
        let rows: Vec<_> = self.backends.iter().take(MOST).map(row).collect();
        if self.sessions.is_some() {
            let headings = ["backend", "weight", "new keys", "sessions", "now", "deadline"];
            write_table(f, headings, [20, 13, 17, 8, 8, WIDTH], &rows)?;
        } else {
            let rows: Vec<_> =
                rows.into_iter().map(|[name, weight, keys, ..]| [name, weight, keys]).collect();
            write_table(f, ["backend", "weight", "keys"], [33, 15, WIDTH], &rows)?;
        }
        match self.backends.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => writeln!(f, "    … and {more} more"),
        }
    }
}

impl Sessions {
    fn answer(&self) -> String {
        let of = |moved: u64, share: f64| {
            format!("{} of {} sessions ({})", grouped(moved), grouped(self.total), percent(share))
        };
        let later = self.moved_by_deadline > self.moved_now;
        let now = match self.moved_now {
            0 if later => "No session moves at once".to_owned(),
            0 => "No session moves".to_owned(),
            moved => format!("{} move at once", of(moved, self.moved_now_share)),
        };
        if !later {
            return format!("{now}.");
        }
        let within = format_duration(Duration::from_secs_f64(self.deadline_seconds));
        let by = of(self.moved_by_deadline, self.moved_by_deadline_share);
        format!("{now}; {by} have moved by the deadline, in {within}.")
    }

    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let line = |moved, share| vec![format!("{} move", grouped(moved)), percent(share)];
        write_labelled(f, "live", &[grouped(self.total)])?;
        write_labelled(f, "now", &line(self.moved_now, self.moved_now_share))?;
        write_labelled(f, "deadline", &line(self.moved_by_deadline, self.moved_by_deadline_share))?;
        for (label, count) in
            [("waiting", self.waiting), ("refused", self.rejected), ("homeless", self.unavailable)]
        {
            if count > 0 {
                write_labelled(f, label, &[grouped(count)])?;
            }
        }
        Ok(())
    }
}

impl Placement {
    fn write(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let least = format!("at least {} have to", percent(self.minimum_share));
        match (self.moved, self.moved_share) {
            (Some(moved), Some(share)) => {
                let mut words = vec![format!("{} elsewhere", grouped(moved)), percent(share), least];
                words.extend(self.moved_to_minimum.map(|ratio| format!("{ratio:.3} times that")));
                write_labelled(f, "placed", &words)?;
            }
            _ => write_labelled(f, "placed", &["not by the key".to_owned(), least])?,
        }
        let homeless = [(self.unplaced_before, "before"), (self.unplaced_after, "after")];
        if homeless.iter().all(|(count, _)| *count == 0) {
            return Ok(());
        }
        write_labelled(f, "no place", &homeless.map(|(count, when)| format!("{} {when}", grouped(count))))
    }
}

fn spread_words(spread: &Spread) -> Vec<String> {
    let mut words = vec![format!("{} backends", spread.backends)];
    words.extend(spread.peak_to_mean.map(|peak| format!("fullest {peak:.3} times the mean")));
    words.extend(spread.variation.map(|variation| format!("variation {}", percent(variation))));
    words
}

fn write_table_figures(f: &mut Formatter<'_>, table: &TableFigures) -> fmt::Result {
    writeln!(f, "\nSession table")?;
    let mut words = vec![
        format!("{} of {} sessions", grouped(table.sessions), grouped(table.capacity)),
        format!("{:.1} MiB", table.bytes as f64 / f64::from(1 << 20)),
    ];
    words.extend(table.bytes_per_session.map(|bytes| format!("{bytes:.1} bytes each")));
    write_labelled(f, "memory", &words)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let (first, rest) = digits.split_at(lead);
    let threes = rest.as_bytes().chunks(3).map(|three| String::from_utf8_lossy(three).into_owned());
    let first = (!first.is_empty()).then(|| first.to_owned());
    first.into_iter().chain(threes).collect::<Vec<_>>().join(",")
}
