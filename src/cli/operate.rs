//! `homing drain`, `ready` and `maint`: say what a backend shall be, and wait until it is.

use std::time::Duration;

use humantime::format_duration;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::time::{Instant, sleep};

use super::answers::{Backend, read};
use super::client::{Access, Answer, Ask, Client, Failure};
use super::progress::{Progress, left};
use super::target::Target;
use super::terminal::{complain, print_json, say, span};
use super::{NO, OK};
use crate::config;

/// How often one looks who waits.
const LOOK: Duration = Duration::from_secs(1);
/// Beyond its deadline a backend may take so long to close what is left.
const GRACE: Duration = Duration::from_secs(10);
/// For a backend to be up, where nothing else is said.
const UP: Duration = Duration::from_mins(1);

/// What can be said behind `homing drain`.
#[derive(Debug, clap::Args)]
pub(super) struct DrainArguments {
    /// How long the drain may take; then the rest is moved. Without it: the pool's `drain.timeout`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    order: Arguments,
}

/// What can be said behind `homing ready`, `homing maint`, and `homing drain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The backend, as `homing status` names it.
    #[arg(value_name = "POOL/BACKEND")]
    target: Target,
    /// Wait until it is so, at most until the drain's deadline or, where one is said, for this long.
    #[arg(long, value_name = "DURATION", value_parser = duration, num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "clap's form of a flag that may have a value")]
    wait: Option<Option<Duration>>,
    /// Write the backend's state as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// What a backend shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Drain(Option<Duration>),
    Ready,
    Maint,
}

/// How a wait ended.
#[derive(Debug)]
enum Ended {
    /// It is so.
    Done(Value),
    /// It is not, in all that time.
    TooLate(Value),
    /// Somebody wants something else of it.
    Undone(Value),
    /// It is in the configuration no more, and forgotten.
    Gone,
    /// Whoever waited wants to wait no more.
    Stopped,
}

/// One who waits.
struct Wait<'a> {
    client: &'a Client,
    target: &'a Target,
    wish: Wish,
    end: Instant,
    progress: Progress,
    last: Value,
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
}

pub(super) fn drain(arguments: &DrainArguments) -> u8 {
    run(&arguments.order, Wish::Drain(arguments.timeout))
}

/// Says it, and waits if that is asked; exit code 1 where it is not so in time.
pub(super) fn run(arguments: &Arguments, wish: Wish) -> u8 {
    super::block_on(order(arguments, wish)).unwrap_or_else(|failure| failure.tell())
}

async fn order(arguments: &Arguments, wish: Wish) -> Result<u8, Failure> {
    let (client, target) = (arguments.access.client()?, &arguments.target);
    let ask = Ask::put(format!("{}/state", target.path())).with(wish.body());
    let answer = client.ask(ask).await?;
    let Some(limit) = arguments.wait else {
        if arguments.json {
            print_json(&answer);
        } else {
            say(format_args!("{}\n", wish.told(target, &read(&answer)?)));
        }
        return Ok(OK);
    };
    let backend: Backend = read(&answer)?;
    let time = limit.unwrap_or_else(|| wish.time(&backend));
    let progress = Progress::new(wish.doing(), target.to_string());
    let wait = Wait { client: &client, target, wish, end: Instant::now() + time, progress, last: answer };
    let ended = wait.until_ended().await?;
    Ok(ended.tell(arguments, wish))
}

impl Wish {
    fn word(self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Ready => "ready",
            Self::Maint => "maint",
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Drain(_) => "draining",
            Self::Ready => "awaiting",
            Self::Maint => "emptying",
        }
    }

    fn body(self) -> Value {
        match self {
            Self::Drain(Some(time)) => {
                json!({ "state": "drain", "timeout": format_duration(time).to_string().replace(' ', "") })
            }
            wish => json!({ "state": wish.word() }),
        }
    }

    /// What has been said, and what will come of it.
    fn told(self, target: &Target, backend: &Backend) -> String {
        match (self, &backend.drain) {
            (Self::Ready, _) if backend.health == "up" => format!("{target} takes new work again"),
            (Self::Ready, _) => {
                format!("{target} takes new work as soon as it is up; it is {}", backend.health)
            }
            (_, Some(drain)) if drain.done => format!("{target}: {}, and nothing is left of it", self.word()),
            (Self::Maint, _) => format!("{target} takes nothing: {}", left(backend)),
            (Self::Drain(_), drain) => {
                let time = drain.map_or(0.0, |drain| drain.seconds_left);
                format!("{target} drains: {}; at most {}", left(backend), span(time))
            }
        }
    }

    /// How long it may take.
    fn time(self, backend: &Backend) -> Duration {
        let left = backend.drain.map_or(0.0, |drain| drain.seconds_left);
        match self {
            Self::Ready => UP,
            Self::Drain(_) | Self::Maint => {
                Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX / 4) + GRACE
            }
        }
    }

    /// Whether a backend in this state, or on its way there, is what is wished.
    fn holds(self, backend: &Backend) -> bool {
        backend.state == self.word()
    }
}

impl Wait<'_> {
    async fn until_ended(mut self) -> Result<Ended, Failure> {
        let stopped = ctrl_c();
        tokio::pin!(stopped);
        loop {
            let ended = tokio::select! {
                _ = &mut stopped => Some(Ended::Stopped),
                ended = self.look() => ended?,
            };
            if let Some(ended) = ended {
                self.progress.end();
                return Ok(ended);
            }
        }
    }

    /// Looks once, for about as long as one should wait before the next look.
    async fn look(&mut self) -> Result<Option<Ended>, Failure> {
        let left = self.end.saturating_duration_since(Instant::now());
        let pause = LOOK.min(left.max(Duration::from_millis(1)));
        match self.ask(pause).await {
            Ok(answer) if answer.status == http::StatusCode::NOT_FOUND => return Ok(Some(Ended::Gone)),
            // Too many wait already: then one looks without waiting there.
            Ok(answer) if answer.body.get("state").is_none() => sleep(pause).await,
            Ok(answer) => {
                let backend: Backend = read(&answer.body)?;
                self.last = answer.body;
                if !self.wish.holds(&backend) {
                    return Ok(Some(Ended::Undone(self.last.take())));
                }
                if self.is_so(&backend) {
                    return Ok(Some(Ended::Done(self.last.take())));
                }
                self.progress.show(&backend);
                if self.wish == Wish::Ready {
                    sleep(pause).await;
                }
            }
            Err(failure) if left.is_zero() => return Err(failure),
            Err(failure) => {
                self.progress.trouble(&failure);
                sleep(pause).await;
            }
        }
        Ok(left.is_zero().then(|| Ended::TooLate(self.last.take())))
    }

    async fn ask(&self, pause: Duration) -> Result<Answer, Failure> {
        let path = self.target.path();
        match self.wish {
            Wish::Ready => self.client.hear(Ask::get(path)).await,
            Wish::Drain(_) | Wish::Maint => {
                self.client.hear(Ask::get(format!("{path}/drained?wait={}ms", pause.as_millis()))).await
            }
        }
    }

    fn is_so(&self, backend: &Backend) -> bool {
        match self.wish {
            Wish::Ready => backend.health == "up" && !backend.outlier,
            Wish::Drain(_) | Wish::Maint => backend.done == Some(true),
        }
    }
}

impl Ended {
    fn tell(self, arguments: &Arguments, wish: Wish) -> u8 {
        let (target, json) = (&arguments.target, arguments.json);
        let doing = wish.word();
        let (code, state, said) = match self {
            Self::Done(state) if wish == Wish::Ready => {
                (OK, state, format!("{target} is up and takes new work"))
            }
            Self::Done(state) => (OK, state, format!("{target}: nothing is left of it")),
            Self::Gone => {
                let gone = json!({ "done": true, "gone": true });
                (OK, gone, format!("{target} is in the configuration no more, and nothing is left of it"))
            }
            Self::TooLate(state) => {
                let backend: Backend = read(&state).unwrap_or_default();
                let why = match wish {
                    Wish::Ready => format!("it is {}", backend.health),
                    _ => left(&backend),
                };
                (NO, state, format!("{target}: the wait is over, and {why}"))
            }
            Self::Undone(state) => {
                let now = state["state"].as_str().unwrap_or("something else").to_owned();
                (
                    NO,
                    state,
                    format!("{target}: somebody wants it to be {now} now, so there is nothing to wait for"),
                )
            }
            Self::Stopped => {
                let back = if wish == Wish::Ready { "" } else { "; `homing ready` takes it back" };
                complain(&format!("waits no more; the {doing} of {target} goes on{back}"));
                return NO;
            }
        };
        if json {
            print_json(&state);
        } else if code == OK {
            say(format_args!("{said}\n"));
        } else {
            complain(&said);
        }
        code
    }
}
