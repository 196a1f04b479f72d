//! `homing status`: looks at a running proxy, once or again and again. What is seen is laid out by [`table`].

mod rates;
mod screen;
mod table;

use std::io;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::rates::Rates;
use self::screen::Screen;
use self::table::View;
use super::OK;
use super::answers::{Status, read};
use super::client::{Access, Ask, Client, Failure};
use super::target::{pool, pool_path};
use super::terminal::{Heard, Paint, announce_json, print_json, say, size};

/// Between two looks.
const SHORTEST: f64 = 0.1;
const LONGEST: f64 = 3600.0;

/// What can be said behind `homing status`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this pool.
    #[arg(value_name = "POOL", value_parser = pool)]
    pool: Option<String>,
    /// Look again every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, num_args = 0..=1, default_missing_value = "2")]
    watch: Option<f64>,
    /// Write what the admin API answers; with --watch one line for each look.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (SHORTEST..=LONGEST).contains(number));
    number.ok_or_else(|| {
        format!("write a number of seconds from {SHORTEST} to {LONGEST}; a pool comes before --watch")
    })
}

/// Shows it.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let shown = super::block_on(async {
        match arguments.watch {
            Some(seconds) => watch(arguments, Duration::from_secs_f64(seconds)).await,
            None => once(arguments).await,
        }
    });
    shown.unwrap_or_else(|failure| failure.tell())
}

async fn once(arguments: &Arguments) -> Result<u8, Failure> {
    let client = arguments.access.client()?;
    let answer = look(&client, arguments.pool.as_deref()).await?;
    if arguments.json {
        print_json(&answer);
        return Ok(OK);
    }
    let stdout = io::stdout();
    let view = View { columns: size(&stdout).0, rates: None, paint: Paint::on(&stdout) };
    say(view.lines(&status(&answer)?).join("\n") + "\n");
    Ok(OK)
}

/// All of a proxy, or one pool of it.
async fn look(client: &Client, pool: Option<&str>) -> Result<Value, Failure> {
    client.ask(Ask::get(pool.map_or_else(|| "/api/status".to_owned(), pool_path))).await
}

/// An answer of either sort.
fn status(answer: &Value) -> Result<Status, Failure> {
    if answer.get("pools").is_some() {
        return read(answer);
    }
    Ok(Status { pools: vec![read(answer)?], ..Status::default() })
}

/// Looks until told to stop, or nobody reads any more. A proxy that does not answer may come back.
async fn watch(arguments: &Arguments, pause: Duration) -> Result<u8, Failure> {
    let client = arguments.access.client()?;
    let unable = |error| Failure::Usage(format!("signals cannot be caught: {error}"));
    let mut interrupted = signal(SignalKind::interrupt()).map_err(unable)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(unable)?;
    let (mut rates, mut screen) = (Rates::default(), None);
    loop {
        let looked = tokio::select! {
            looked = look(&client, arguments.pool.as_deref()) => looked,
            _ = interrupted.recv() => return Ok(OK),
            _ = terminated.recv() => return Ok(OK),
        };
        // What will not become better by waiting is told at once.
        if let Err(failure @ (Failure::Usage(_) | Failure::Refused { .. })) = looked {
            drop(screen);
            return Err(failure);
        }
        let heard = if arguments.json {
            tell_program(looked)
        } else {
            let screen = screen.get_or_insert_with(|| Screen::new(pause));
            screen.show(looked.and_then(|answer| status(&answer)), &mut rates)
        };
        if heard == Heard::Never {
            return Ok(OK);
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = interrupted.recv() => return Ok(OK),
            _ = terminated.recv() => return Ok(OK),
        }
    }
}

/// One line for each look, with the time of it.
fn tell_program(looked: Result<Value, Failure>) -> Heard {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = now.as_millis() as f64 / 1e3;
    announce_json(&match looked {
        Ok(status) => json!({ "at": at, "status": status }),
        Err(failure) => json!({ "at": at, "error": failure.to_string() }),
    })
}
