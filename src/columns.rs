//! Text for people on a terminal: labels, tables and paragraphs that fit 80 columns, and no character in them that a
//! terminal would obey. It knows nothing of what is shown.

use std::fmt::{self, Formatter};
use std::{array, iter};

use unicode_width::UnicodeWidthChar as _;

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
        if width(&line) + 1 + width(&item) + comma.len() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(LABELLED);
        }
        let space = if width(&line) == LABELLED { "" } else { " " };
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
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let mut left = WIDTH - INDENT;
    let widths: [usize; N] = array::from_fn(|n| {
        let width = widest(n).max(headings[n].len()).min(most[n]).min(left);
        left = left.saturating_sub(width + GAP);
        width
    });
    for row in iter::once(&headings.map(str::to_owned)).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| padded(cell, width));
        writeln!(f, "    {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(wide).sum()
}

/// Columns of one character; of one that is not shown as it is, those of what stands for it.
fn wide(c: char) -> usize {
    if is_obeyed(c) { 1 } else { c.width().unwrap_or(0) }
}

/// Whether a terminal might do something at this character rather than show it: controls, and what turns the direction
/// of the text around it.
pub(crate) fn is_obeyed(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// `text` as it may be shown to people, wherever it comes from.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// `text` in at most so many columns, which are at least 1, as it may be shown.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let text = clean(text);
    if width(&text) <= most {
        return text;
    }
    let mut left = most.saturating_sub(1);
    let fits = |c: &char| {
        let fits = wide(*c) <= left;
        left = left.saturating_sub(wide(*c));
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// `text` in exactly so many columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    let mut text = cut(text, columns);
    text.extend(iter::repeat_n(' ', columns.saturating_sub(width(&text))));
    text
}

/// Writes a paragraph, broken between words.
pub(crate) fn write_paragraph(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let mut line = String::new();
    for word in text.split_whitespace().map(clean) {
        if !line.is_empty() && width(&line) + 1 + width(&word) > WIDTH {
            writeln!(f, "{line}")?;
            line.clear();
        }
        let space = if line.is_empty() { "" } else { " " };
        line.extend([space, &word]);
    }
    writeln!(f, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_fits() {
        for text in ["chess", "棋棋棋棋棋棋", "a\u{301}e\u{301}bcdefgh", "🂡🂡🂡🂡🂡🂡🂡🂡", "\u{1b}[31mred", ""]
        {
            for columns in 1..12 {
                let cut = cut(text, columns);
                assert!(width(&cut) <= columns, "{cut:?} is wider than {columns}");
                assert_eq!(width(&padded(text, columns)), columns, "{text:?}");
            }
        }
        assert_eq!((cut("chess-1", 5), cut("棋棋棋", 4)), ("ches…".into(), "棋…".into()));
    }

    #[test]
    fn no_terminal_obeys_what_is_shown() {
        assert_eq!(clean("a\u{1b}[2J\u{9b}b\u{202e}\n"), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}");
    }
}
