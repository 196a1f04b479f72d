//! `homing sessions`: which backend has how many sessions of a pool, where one of them is, and its end.

use std::fmt::Write as _;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::answers::read;
use super::client::{Access, Ask, Failure};
use super::target::{encoded, pool, pool_path};
use super::terminal::{complain, counted, print_json, say, span};
use super::{NO, OK};
use crate::columns::{cut, padded};

/// Most sessions one call lists.
const MOST: u64 = 1000;

/// What can be said behind `homing sessions`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pool.
    #[arg(value_name = "POOL", value_parser = pool)]
    pool: String,
    /// Say where the session of this key is. Its value, as clients send it.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["backend", "limit"])]
    key: Option<String>,
    /// End the session of that key: its WebSockets are closed, and its next request is placed anew.
    #[arg(long, requires = "key")]
    end: bool,
    /// List only sessions of this backend.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// List at most so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MOST))]
    limit: Option<u64>,
    /// Write the answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// One session.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Session {
    #[serde(rename = "session")]
    hash: String,
    backend: Option<String>,
    epoch: u64,
    live: u64,
    idle_seconds: Option<f64>,
}

/// The sessions of a pool.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sessions {
    #[serde(rename = "sessions")]
    total: u64,
    capacity: u64,
    backends: Vec<Share>,
    list: Vec<Session>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Share {
    backend: String,
    sessions: u64,
    #[serde(rename = "share")]
    part: f64,
}

/// Columns of a backend's name, and of a bar for its share of all sessions.
const NAME: usize = 30;
const BAR: usize = 24;
/// In the list: columns of a session's hash, of its backend's name, and of its epoch, which is of this size from the start.
const HASH: usize = 16;
const OWNER: usize = 22;
const EPOCH: usize = 16;

/// Answers; exit code 1 where there is no session of that key.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let answered = super::block_on(async {
        match &arguments.key {
            Some(key) => one(arguments, key).await,
            None => all(arguments).await,
        }
    });
    answered.unwrap_or_else(|failure| failure.tell())
}

async fn one(arguments: &Arguments, key: &str) -> Result<u8, Failure> {
    let client = arguments.access.client()?;
    let target = format!("{}/sessions?key={}", pool_path(&arguments.pool), encoded(key.as_bytes()));
    let ask = if arguments.end { Ask::delete(target) } else { Ask::get(target) };
    let body = match client.ask(ask).await {
        Ok(body) => body,
        Err(Failure::Refused { answer, .. }) if is_no_session(answer.status, &answer.body) => {
            if arguments.json {
                print_json(&answer.body);
            } else {
                complain(&format!("there is no session of this key in pool {}", arguments.pool));
            }
            return Ok(NO);
        }
        Err(failure) => return Err(failure),
    };
    if arguments.json {
        print_json(&body);
    } else if arguments.end {
        say("ended\n");
    } else {
        say(read::<Session>(&body)?.told() + "\n");
    }
    Ok(OK)
}

/// Whether the pool is there, and only the session is not.
fn is_no_session(status: StatusCode, body: &Value) -> bool {
    let said = body["error"].as_str().unwrap_or_default();
    status == StatusCode::NOT_FOUND && said.starts_with("there is no session")
}

async fn all(arguments: &Arguments) -> Result<u8, Failure> {
    let client = arguments.access.client()?;
    let mut target = format!("{}/sessions", pool_path(&arguments.pool));
    let limit = arguments.limit.map(|limit| format!("limit={limit}"));
    let backend = arguments.backend.as_ref().map(|name| format!("backend={}", encoded(name.as_bytes())));
    for (index, parameter) in limit.into_iter().chain(backend).enumerate() {
        let _ = write!(target, "{}{parameter}", if index == 0 { '?' } else { '&' });
    }
    let body = client.ask(Ask::get(target)).await?;
    if arguments.json {
        print_json(&body);
    } else {
        say(read::<Sessions>(&body)?.told(&arguments.pool));
    }
    Ok(OK)
}

impl Session {
    fn told(&self) -> String {
        let place = match &self.backend {
            Some(backend) => format!("bound to {}", cut(backend, NAME)),
            None => "its backend is gone; the next request moves it".to_owned(),
        };
        format!("{place}, epoch {}, {} live", self.epoch, self.live)
    }
}

impl Sessions {
    fn told(&self, pool: &str) -> String {
        let Self { total, capacity, backends, list } = self;
        let mut text = format!("{}  {} of {capacity}\n", cut(pool, NAME), counted(*total, "session"));
        for Share { backend, sessions, part } in backends {
            let filled = (0..BAR).take_while(|&n| (n as f64 + 0.5) / BAR as f64 <= *part).count();
            let (name, bar) = (padded(backend, NAME), "█".repeat(filled) + &"·".repeat(BAR - filled));
            let _ = writeln!(text, "  {name}  {sessions:>9}  {bar} {:>5.1} %", part * 100.0);
        }
        if !list.is_empty() {
            let (session, backend) = (padded("session", HASH), padded("backend", OWNER));
            let _ = writeln!(text, "\n  {session}  {backend}  {:>EPOCH$}   live  idle", "epoch");
        }
        for session in list {
            let name = padded(session.backend.as_deref().unwrap_or("-"), OWNER);
            let idle = session.idle_seconds.map(span).unwrap_or_default();
            let Session { hash, epoch, live, .. } = session;
            let _ = writeln!(text, "  {}  {name}  {epoch:>EPOCH$}  {live:>5}  {idle}", padded(hash, HASH));
        }
        if (list.len() as u64) < *total && !list.is_empty() {
            let _ = writeln!(text, "  … {} of {total}; --limit shows up to {MOST}", list.len());
        }
        text
    }
}
