//! Text for people on a terminal: labels, tables and paragraphs that fit 80 columns.
//! It knows nothing of what is shown.

use std::fmt::{self, Formatter};
use std::{array, iter};

/// Columns of a line.
pub(crate) const WIDTH: usize = 80;
/// Before each line that belongs to something.
const INDENT: usize = 4;
/// Between columns.
const GAP: usize = 2;
/// Column in which the text behind a pool's labels begins.
const LABELLED: usize = 14;
/// Writes `items` behind `label`, over as many lines as they need.
pub(crate) fn write_labelled(f: &mut Formatter<'_>, label: &str, items: &[String]) -> fmt::Result {
    let mut line = format!("    {label:<0$}", LABELLED - 4);
    for (index, item) in items.iter().enumerate() {
        let item = cut(item, WIDTH - LABELLED - 1);
        let comma = if index + 1 < items.len() { "," } else { "" };
        if chars(&line) + 1 + chars(&item) + comma.len() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(LABELLED);
        }
        let space = if chars(&line) == LABELLED { "" } else { " " };
        line.extend([space, &item, comma]);
    }
    writeln!(f, "{}", line.trim_end())
}

/// Writes rows under headings, in columns as wide as they need to be, and at most as wide as `most` and the line allow.
pub(crate) fn write_table<const N: usize>(
    f: &mut Formatter<'_>,
    headings: [&str; N],
    most: [usize; N],
    rows: &[[String; N]],
) -> fmt::Result {
    let widest = |column: usize| rows.iter().map(|row| chars(&row[column])).max().unwrap_or(0);
    let mut left = WIDTH - INDENT;
    let widths: [usize; N] = array::from_fn(|n| {
        let width = widest(n).max(headings[n].len()).min(most[n]).min(left);
        left = left.saturating_sub(width + GAP);
        width
    });
    for row in iter::once(&headings.map(str::to_owned)).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", cut(cell, width)));
        writeln!(f, "    {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

/// `text` in at most so many columns, which are at least 1.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if chars(text) <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Writes a paragraph, broken between words.
pub(crate) fn write_paragraph(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && chars(&line) + 1 + chars(word) > WIDTH {
            writeln!(f, "{line}")?;
            line.clear();
        }
        let space = if line.is_empty() { "" } else { " " };
        line.extend([space, word]);
    }
    writeln!(f, "{line}")
}
