//! Reports what is not TOML, and blanks it out, so that the rest of the file can still be checked.
//! Offsets and lines stay what they were.

use std::ops::Range;

use toml::de::{DeTable, Error};

use super::report::Report;

/// Each round finds what the errors of the one before hid; a file that needs more is beyond help.
const ROUNDS: usize = 16;

/// The source without what is not TOML, which is reported.
pub(super) fn mend(source: &str, report: &Report<'_>) -> String {
    let mut text = source.to_owned();
    let mut is_cut = false;
    for _ in 0..ROUNDS {
        let (_, errors) = DeTable::parse_recoverable(&text);
        if !is_cut && errors.iter().any(is_open) {
            cut(&mut text, &errors, report);
            is_cut = true;
            continue;
        }
        let errors: Vec<_> =
            errors.iter().filter(|error| !is_open(error)).map(|error| (start(error), error)).collect();
        if errors.is_empty() {
            break;
        }
        for (start, error) in &errors {
            report.add_syntax(*start, error.message(), unquoted(&text[line_at(&text, *start)]));
        }
        let damages: Vec<_> = errors.iter().map(|(start, _)| damage(&text, *start)).collect();
        for range in damages {
            blank(&mut text, range);
        }
    }
    text
}

/// An array or inline table that is never closed: it swallows the rest of the file, with an error in each line.
fn is_open(error: &Error) -> bool {
    ["unclosed array,", "unclosed inline"].iter().any(|message| error.message().starts_with(message))
}

/// Reports the first thing that an open array cannot swallow, and blanks the rest of the file.
fn cut(text: &mut String, errors: &[Error], report: &Report<'_>) {
    let is_inside = |error: &&Error| {
        let message = error.message().replace("array table", "");
        message.contains("array") || message.contains("inline")
    };
    if let Some(first) = errors.iter().filter(is_inside).min_by_key(|error| start(error)) {
        let help = "is the array or table above closed?".to_owned();
        report.add_syntax(start(first), first.message(), Some(help));
        let range = line_at(text, start(first)).start..text.len();
        blank(text, range);
    }
}

fn start(error: &Error) -> usize {
    error.span().unwrap_or_default().start
}

/// What an error at `offset` spoils: its line, or all of the table whose header is there.
fn damage(text: &str, offset: usize) -> Range<usize> {
    let Range { start, mut end } = line_at(text, offset);
    if let Some(broken) = header(&text[start..end]) {
        let below = |line: &str| header(line).is_none_or(|name| name.starts_with(&format!("{broken}.")));
        let lines = text[end..].split_inclusive('\n');
        end += lines.take_while(|line| below(line)).map(str::len).sum::<usize>();
    }
    start..end
}

/// The name in `[name]` or `[[name]]`, closed or not.
fn header(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.trim_start_matches('[');
    name.split([']', '#']).next().map(str::trim)
}

/// Advice for a line like `level = info`.
fn unquoted(line: &str) -> Option<String> {
    let (_, value) = line.split('#').next()?.split_once('=')?;
    let word = value.trim();
    let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c));
    (is_word && is_plain).then(|| format!("did you mean {word:?}, with quotes?"))
}

/// The line around `offset`, with its end.
fn line_at(text: &str, offset: usize) -> Range<usize> {
    let (before, after) = text.split_at(text.floor_char_boundary(offset));
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after.find('\n').map_or(text.len(), |newline| before.len() + newline + 1);
    start..end
}

fn blank(text: &mut String, range: Range<usize>) {
    let blank: String =
        text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(range, &blank);
}
