//! What people and programs are told: on a terminal with colours, elsewhere without, and nowhere with a character that a
//! terminal would obey. What is told is for the commands.

use std::env;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use serde::Serialize;

use crate::columns::{WIDTH, is_obeyed};

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// On its way.
    Care,
    /// Beside the point.
    Faint,
    /// A heading.
    Strong,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Colours,
    Nothing,
}

impl Paint {
    /// As it fits what is written to: colours on a terminal, unless `NO_COLOR` is set or the terminal has none.
    pub(super) fn on(stream: &impl IsTerminal) -> Self {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        if stream.is_terminal() && !set("NO_COLOR") && !dumb { Self::Colours } else { Self::Nothing }
    }

    /// `text` as it is meant.
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Care => "33",
            Ink::Faint => "2",
            Ink::Strong => "1",
        };
        match self {
            Self::Colours if !text.trim().is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Colours | Self::Nothing => text.to_owned(),
        }
    }
}

/// Columns and rows of a terminal; 80 columns and any number of rows where there is none, or it does not say.
pub(super) fn size(stream: &impl AsFd) -> (usize, usize) {
    match tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (WIDTH, usize::MAX),
    }
}

/// Whether somebody may still be reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Heard {
    Yes,
    /// What reads has gone.
    Never,
}

/// Writes `text` for people.
pub(super) fn say(text: impl Display) {
    // Nobody reads it any more if it cannot be written.
    let _ = write!(io::stdout(), "{text}");
}

/// The same at once, for those who wait for more to come.
pub(super) fn announce(text: impl Display) -> Heard {
    let mut out = io::stdout();
    if write!(out, "{text}").and_then(|()| out.flush()).is_ok() { Heard::Yes } else { Heard::Never }
}

/// Writes `why` where errors go. What is not known to be clean has been cleaned by whoever wrote it.
pub(super) fn complain(why: &dyn Display) {
    let _ = writeln!(io::stderr(), "homing: {why}");
}

/// Writes `answer` for programs.
pub(super) fn print_json(answer: &impl Serialize) {
    let text =
        serde_json::to_string_pretty(answer).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    say(format_args!("{}\n", harmless(&text)));
}

/// The same in one line, for those who wait for more to come.
pub(super) fn announce_json(answer: &impl Serialize) -> Heard {
    let text = serde_json::to_string(answer).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    announce(format_args!("{}\n", harmless(&text)))
}

/// JSON that means the same, and in which no terminal finds anything to obey: whatever of that JSON allows as it is can
/// only be in strings, but for the ends of lines.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_obeyed(c) && c != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// A time that is left or has passed, in two units at most: `8m 12s`.
pub(super) fn span(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default().as_secs();
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {seconds}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// `one` or `many` of a thing, as the number asks.
pub(super) fn counted(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_when_it_is_harmless() {
        let hostile = serde_json::json!({ "why": "a\u{1b}[2J\u{9b}31m\u{202e}b\u{7f}\n" });
        let text = harmless(&serde_json::to_string_pretty(&hostile).expect("plain data"));
        assert!(text.chars().all(|c| c == '\n' || !is_obeyed(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), hostile);
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [0.0, 59.9, 60.0, 3599.0, 3600.0, 90_000.0, -1.0, f64::NAN].map(span);
        assert_eq!(spans, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "1d 1h", "0s", "0s"]);
    }
}
