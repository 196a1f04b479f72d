//! An event in words, in one line. One of a kind that this version does not know is told as it is.

use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_seconds;
use serde_json::Value;

use crate::cli::terminal::{Ink, Paint, counted, span};
use crate::columns::{clean, padded};

/// Columns of the word for the kind.
const KIND: usize = 12;

/// The event with its kind in it, where only the stream said that.
pub(super) fn named(mut event: Value, kind: &str) -> Value {
    if let Value::Object(fields) = &mut event
        && !fields.contains_key("kind")
    {
        fields.insert("kind".to_owned(), kind.into());
    }
    event
}

pub(super) fn line(event: &Value, kind: &str, paint: Paint) -> String {
    let at = event["at"].as_f64().and_then(|at| Duration::try_from_secs_f64(at).ok());
    let at = at.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at)).unwrap_or_else(SystemTime::now);
    let kind = event["kind"].as_str().unwrap_or(kind);
    let (ink, text) = told(event, kind);
    let time = paint.paint(Ink::Faint, &format_rfc3339_seconds(at).to_string());
    format!("{time}  {}  {}", paint.paint(ink, &padded(kind, KIND)), clean(&text))
}

fn told(event: &Value, kind: &str) -> (Ink, String) {
    let word = |key: &str| event[key].as_str().unwrap_or_default();
    let number = |key: &str| event[key].as_f64().unwrap_or_default();
    let count = |key: &str| event[key].as_u64().unwrap_or_default();
    let backend = format!("{}/{}", word("pool"), word("backend"));
    match kind {
        "health" => {
            (ink_of(word("to")), because(format!("{backend} {} → {}", word("from"), word("to")), word("why")))
        }
        "state" => {
            let time = event["timeout_seconds"].as_f64().map(|time| format!(", within {}", span(time)));
            (
                Ink::Care,
                format!("{backend} {} (by {}{})", word("state"), word("by"), time.unwrap_or_default()),
            )
        }
        "drained" => (Ink::Good, format!("{backend} has nothing left")),
        "restart" => (Ink::Care, format!("{backend} was started anew: its sessions are void")),
        "address" => (Ink::Plain, format!("{backend} is at {} now", word("address"))),
        "ejected" => (Ink::Bad, format!("{backend} takes nothing new for {}", span(number("seconds")))),
        "returned" => (Ink::Good, format!("{backend} takes new work again")),
        "rebind" => {
            let sessions = counted(count("sessions"), "session");
            let from = if word("from").is_empty() { "a backend that is gone" } else { word("from") };
            (
                Ink::Care,
                format!("{}: {sessions} from {from} to {} ({})", word("pool"), word("to"), word("cause")),
            )
        }
        "reload" => reload(event),
        "certificates" => match word("outcome") {
            "failed" => (Ink::Bad, because("failed".to_owned(), word("error"))),
            outcome => (Ink::Good, outcome.to_owned()),
        },
        "stopping" => (Ink::Care, "the proxy stops".to_owned()),
        "lagged" => (Ink::Bad, format!("{} were missed", counted(count("missed"), "event"))),
        _ => (Ink::Plain, event.to_string()),
    }
}

fn reload(event: &Value) -> (Ink, String) {
    let word = |key: &str| event[key].as_str().unwrap_or_default();
    let (outcome, by) = (word("outcome"), word("by"));
    let problems = event["problems"].as_array().map_or(0, Vec::len) as u64;
    let text = match event["generation"].as_u64() {
        Some(generation) => format!("{outcome} (by {by}), configuration {generation}"),
        None => format!("{outcome} (by {by})"),
    };
    match outcome {
        "refused" if problems > 0 => (Ink::Bad, format!("{text}: {}", counted(problems, "problem"))),
        "refused" => (Ink::Bad, because(text, word("error"))),
        _ => (Ink::Good, text),
    }
}

fn ink_of(health: &str) -> Ink {
    match health {
        "up" => Ink::Good,
        "down" => Ink::Bad,
        _ => Ink::Care,
    }
}

/// What is so, and why, where that is known.
fn because(what: String, why: &str) -> String {
    if why.is_empty() { what } else { format!("{what}: {why}") }
}
