//! `homing reload`: lets a running proxy read its file again, or say what that would change.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::answers::read;
use super::client::{Access, Ask, Failure};
use super::terminal::{counted, print_json, say};
use super::{NO, OK};
use crate::columns::clean;

/// For a large file with names to be looked up.
const PATIENCE: Duration = Duration::from_mins(1);

/// What can be said behind `homing reload`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only say what would change, and how many sessions would move.
    #[arg(long)]
    plan: bool,
    /// Write the answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// What changes, or would.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plan {
    listeners: Sets,
    pools: Sets,
    backends: Vec<Change>,
    sessions: Sessions,
    new_keys: Vec<NewKeys>,
    settings: Vec<String>,
    next_start: Vec<String>,
    unchanged: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sets {
    added: Vec<Value>,
    removed: Vec<Value>,
    changed: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    pool: String,
    backend: String,
    #[serde(rename = "change")]
    what: String,
    fields: Vec<String>,
    sessions: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sessions {
    total: u64,
    r#move: u64,
    /// Those that move at once are among them.
    move_by_deadline: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewKeys {
    pool: String,
    moved: f64,
}

/// A problem of a refused file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    line: u64,
    column: u64,
    key: String,
    message: String,
    help: Option<String>,
}

/// Asks for it; exit code 1 where the file is refused.
pub(super) fn run(arguments: &Arguments) -> u8 {
    super::block_on(reload(arguments)).unwrap_or_else(|failure| failure.tell())
}

async fn reload(arguments: &Arguments) -> Result<u8, Failure> {
    let client = arguments.access.client()?;
    let target = if arguments.plan { "/api/reload?plan=true" } else { "/api/reload" };
    let body = match client.ask(Ask::post(target).within(PATIENCE)).await {
        Ok(body) => body,
        Err(Failure::Refused { answer, .. }) if answer.status == StatusCode::UNPROCESSABLE_ENTITY => {
            if arguments.json {
                print_json(&answer.body);
            } else {
                eprint!("{}", refused(&answer.body)?);
            }
            return Ok(NO);
        }
        Err(failure) => return Err(failure),
    };
    if arguments.json {
        print_json(&body);
        return Ok(OK);
    }
    let plan = body.get("changes").map(read::<Plan>).transpose()?.unwrap_or_default();
    if arguments.plan {
        say(plan.told("would change", "nothing would change"));
    } else {
        let generation = body["generation"].as_u64().map(|number| format!(", configuration {number}"));
        say(format_args!("reloaded{}\n", generation.unwrap_or_default()));
        say(plan.told("changed", "nothing has changed"));
    }
    Ok(OK)
}

/// Every problem of a refused file, as `homing check` shows them.
fn refused(body: &Value) -> Result<String, Failure> {
    let file = clean(body["file"].as_str().unwrap_or("the file"));
    let problems: Vec<Problem> = body.get("problems").map(read).transpose()?.unwrap_or_default();
    let mut text = String::new();
    for Problem { line, column, key, message, help } in &problems {
        let place = if *line > 0 { format!("{line}:{column}:") } else { String::new() };
        let key = if key.is_empty() { String::new() } else { format!(" {}:", clean(key)) };
        let _ = writeln!(text, "{file}:{place}{key} {}", clean(message));
        if let Some(help) = help {
            let _ = writeln!(text, "      = help: {}", clean(help));
        }
    }
    let number = counted(problems.len() as u64, "problem");
    let _ = writeln!(text, "\nrefused for {number} in {file}; the proxy goes on as before");
    Ok(text)
}

impl Plan {
    fn told(&self, verb: &str, nothing: &str) -> String {
        let mut text = String::new();
        for (what, sets) in [("listener", &self.listeners), ("pool", &self.pools)] {
            for (sign, names) in [('+', &sets.added), ('-', &sets.removed), ('~', &sets.changed)] {
                for name in names {
                    let _ = writeln!(text, "  {sign} {what} {}", named(name));
                }
            }
        }
        for change in &self.backends {
            let _ = writeln!(text, "  {}", change.told());
        }
        for key in &self.settings {
            let _ = writeln!(text, "  ~ {}", clean(key));
        }
        let Sessions { total, r#move: at_once, move_by_deadline } = self.sessions;
        let later = move_by_deadline.saturating_sub(at_once);
        if at_once + later > 0 {
            let _ = writeln!(
                text,
                "  of {total} sessions {at_once} move at once, {later} by the drain's deadline"
            );
        } else if total > 0 && !text.is_empty() {
            let _ = writeln!(text, "  none of {} moves", counted(total, "session"));
        }
        for NewKeys { pool, moved } in self.new_keys.iter().filter(|keys| keys.moved > 0.0) {
            let _ = writeln!(text, "  {:.1} % of new keys of {} go elsewhere", moved * 100.0, clean(pool));
        }
        for key in &self.next_start {
            let _ = writeln!(text, "  {} counts at the next start", clean(key));
        }
        if text.is_empty() || self.unchanged {
            return format!("{nothing}\n{text}");
        }
        format!("{verb}:\n{text}")
    }
}

impl Change {
    fn told(&self) -> String {
        let sign = match self.what.as_str() {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        let fields =
            if self.fields.is_empty() { String::new() } else { format!(": {}", self.fields.join(", ")) };
        let sessions = match self.sessions {
            0 => String::new(),
            number => format!(" ({})", counted(number, "session")),
        };
        clean(&format!("{sign} backend {}/{}{fields}{sessions}", self.pool, self.backend))
    }
}

/// A thing that is named, or an object with the name in it.
fn named(value: &Value) -> String {
    let name = ["name", "address", "pool"].iter().find_map(|key| value.get(key)?.as_str());
    clean(value.as_str().or(name).unwrap_or(&value.to_string()))
}
