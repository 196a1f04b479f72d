//! `homing events`: what happens to a running proxy, as it happens, over breaks of the connection.

mod stream;
mod words;

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use self::stream::{Lines, Told};
use super::OK;
use super::client::{Access, Ask, Client, Failure};
use super::terminal::{Heard, Paint, announce, announce_json, complain};

/// The proxy says something at least every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// Before asking again.
const PAUSE: Duration = Duration::from_secs(1);

/// What can be said behind `homing events`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Write each event as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// One who listens.
struct Listener<'a> {
    client: &'a Client,
    json: bool,
    paint: Paint,
    /// The last event told.
    last: Option<u64>,
}

/// Why listening ended.
enum Ended {
    /// Nobody reads any more.
    Unheard,
    /// The proxy, or what is between.
    Broken(String),
}

/// Tells events until nobody reads them any more. A proxy that cannot be reached from the start is an error; one that
/// goes away may come back.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let told = super::block_on(async {
        let client = arguments.access.client()?;
        let paint = Paint::on(&std::io::stdout());
        Listener { client: &client, json: arguments.json, paint, last: None }.listen().await
    });
    told.unwrap_or_else(|failure: Failure| failure.tell())
}

impl Listener<'_> {
    async fn listen(mut self) -> Result<u8, Failure> {
        let mut is_known = false;
        // Said once for each break, however long it takes.
        let mut is_told = false;
        loop {
            let why = match self.hear().await {
                Ok(Ended::Unheard) => return Ok(OK),
                Ok(Ended::Broken(why)) => {
                    (is_known, is_told) = (true, false);
                    why
                }
                Err(failure @ Failure::Unreachable(_)) if is_known => failure.to_string(),
                Err(failure @ Failure::Refused { .. }) if is_known && failure.is_passing() => {
                    failure.to_string()
                }
                Err(failure) => return Err(failure),
            };
            if !is_told {
                complain(&format!("{}; asking again", why.lines().next().unwrap_or_default()));
                is_told = true;
            }
            sleep(PAUSE).await;
        }
    }

    /// Tells what one connection brings.
    async fn hear(&mut self) -> Result<Ended, Failure> {
        let mut answer = self.client.follow(Ask::get("/api/events").after(self.last)).await?;
        let mut lines = Lines::default();
        loop {
            let octets = match answer.next(SILENCE).await {
                Ok(Some(octets)) => octets,
                Ok(None) => return Ok(Ended::Broken("the proxy has ended the stream of events".to_owned())),
                Err(error) => return Ok(Ended::Broken(format!("the stream of events broke: {error}"))),
            };
            lines.extend(&octets);
            while let Some(told) = lines.next_told() {
                if self.tell(&told) == Heard::Never {
                    return Ok(Ended::Unheard);
                }
            }
        }
    }

    fn tell(&mut self, told: &Told) -> Heard {
        let Ok(event) = serde_json::from_str::<Value>(&told.data) else { return Heard::Yes };
        // After a restart of the proxy they begin anew, and so does this.
        self.last = told.id.or(self.last);
        if self.json {
            return announce_json(&words::named(event, &told.kind));
        }
        announce(words::line(&event, &told.kind, self.paint) + "\n")
    }
}
