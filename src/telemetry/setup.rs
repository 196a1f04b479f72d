//! Turning `[log]` into a tracing subscriber. Lines go to standard output through a bounded queue, so that a slow
//! terminal or pipe never holds up a worker; lines beyond the queue are dropped, and counted.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use super::dropped::{self, Counting};
use crate::config::{Log, LogFormat};

/// Writes what is queued when dropped: keep it until the process ends.
#[derive(Debug)]
#[must_use]
pub struct Guard(#[allow(dead_code, reason = "kept for its drop")] WorkerGuard);

/// Lines that wait to be written.
const QUEUE: usize = 65_536;

/// Begins to log as `log` says. Only the first call in a process has an effect.
///
/// # Errors
/// `log.level` is neither a level nor a filter.
pub fn init(log: &Log) -> Result<Guard, ParseError> {
    let filter = EnvFilter::try_new(&log.level)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .finish(Counting(std::io::stdout()));
    dropped::count_with(writer.error_counter());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second call finds a subscriber in place and leaves it there.
    let _ = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout())).try_init(),
    };
    Ok(Guard(guard))
}
