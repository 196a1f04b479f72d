//! What `--watch` writes: on a terminal one picture in place of the other, elsewhere one below the other. The terminal is
//! as it was when this goes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_seconds;
use tokio::time::Instant;

use super::rates::Rates;
use super::table::View;
use crate::cli::answers::Status;
use crate::cli::client::Failure;
use crate::cli::terminal::{Heard, Ink, Paint, announce, size};
use crate::columns::cut;

/// Another screen beside the one with the shell's text, and no cursor on it.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the beginning; wipes the rest of a line; wipes all that is below.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const BELOW: &str = "\x1b[J";

/// Where pictures are shown.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
    pause: Duration,
    paint: Paint,
    /// The last picture that was complete.
    last: Vec<String>,
}

impl Screen {
    pub(super) fn new(pause: Duration) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        if is_terminal {
            let _ = announce(ENTER);
        }
        Self { is_terminal, pause, paint: Paint::on(&stdout), last: Vec::new() }
    }

    /// Shows what was seen, or that nothing was, above what was seen last.
    pub(super) fn show(&mut self, looked: Result<Status, Failure>, rates: &mut Rates) -> Heard {
        let (columns, rows) = size(&io::stdout());
        let trouble = match looked {
            Ok(status) => {
                rates.note(&status, Instant::now());
                self.last = View { columns, rates: Some(rates), paint: self.paint }.lines(&status);
                None
            }
            Err(failure) => Some(failure),
        };
        let mut lines = vec![self.heading(columns)];
        if let Some(failure) = trouble {
            let why = failure.to_string();
            lines.extend(why.lines().map(|line| self.paint.paint(Ink::Bad, &cut(line, columns))));
            lines.push("asking again; what was seen last:".to_owned());
        }
        if !self.is_terminal {
            return announce(
                lines.iter().chain(&self.last).fold(String::new(), |text, line| text + line + "\n") + "\n",
            );
        }
        lines.extend_from_slice(&self.last);
        announce(picture(lines, rows))
    }

    fn heading(&self, columns: usize) -> String {
        let now = format_rfc3339_seconds(SystemTime::now());
        let end = if self.is_terminal { ", until Ctrl-C" } else { "" };
        let text = format!("{now}, every {:?}{end}", self.pause);
        self.paint.paint(Ink::Faint, &cut(&text, columns))
    }
}

/// Lines in place of those that are there. The last row says what did not fit.
fn picture(mut lines: Vec<String>, rows: usize) -> String {
    if lines.len() > rows {
        let hidden = lines.len() - rows + 1;
        lines.truncate(rows.saturating_sub(1));
        lines.push(format!("… {hidden} more lines: `homing status POOL --watch` shows one pool"));
    }
    let mut text = HOME.to_owned();
    for (index, line) in lines.iter().enumerate() {
        let end = if index > 0 { "\n" } else { "" };
        let _ = write!(text, "{end}{line}{REST_OF_LINE}");
    }
    text + BELOW
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let last: String = self.last.iter().flat_map(|line| [line, "\n"]).collect();
            let _ = announce(format_args!("{LEAVE}{last}"));
        }
    }
}
