//! Calls a running proxy by its admin listener: where that is and what must be shown there, and for every failure the
//! words that say what to do. What is asked, and what an answer means, is for the commands.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use super::terminal::complain;
use super::{NO, USAGE};
use crate::columns::clean;
use crate::config::{AdminPlace, Token, did_you_mean};
use crate::transport::call::{CallError, Streamed, call, open};

/// For the whole of a call, where it says nothing else.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where it is looked for that nothing else was said.
const FILE: &str = "proxy.toml";
/// Names offered to one who has written none of them.
const MOST_NAMES: usize = 12;

const ADMIN: &str = "Its admin listener, like http://127.0.0.1:9900 [env: HOMING_ADMIN]";
pub(super) const TOKEN_FILE: &str = "The file with the token of its admin listener [env: HOMING_TOKEN_FILE]";

/// Which proxy is meant, and what to show it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which proxy")]
pub(super) struct Access {
    #[arg(long, value_name = "URL", value_parser = authority, conflicts_with = "config", help = ADMIN)]
    admin: Option<String>,
    /// Find its admin listener and token in this file [default: proxy.toml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = TOKEN_FILE)]
    token_file: Option<PathBuf>,
}

/// One who calls.
#[derive(Debug)]
pub(super) struct Client {
    authority: String,
    /// Who said that it is there.
    whence: String,
    token: Option<(HeaderValue, PathBuf)>,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask {
    method: Method,
    target: String,
    body: Option<Value>,
    limit: Duration,
    last_event: Option<u64>,
}

/// What was answered, by whatever status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// Why there is no answer to go by.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody can be asked, or not like this.
    Usage(String),
    /// The proxy cannot be reached, or what is there is none.
    Unreachable(String),
    /// The proxy says no.
    Refused {
        /// How.
        answer: Answer,
        /// Why, and what to do.
        why: String,
    },
}

impl Access {
    /// The one who can call that proxy.
    ///
    /// # Errors
    /// It is not said where, or the token cannot be read.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let (place, whence) = self.place()?;
        let said = self.token_file.clone();
        let said = said.or_else(|| place.1.clone().filter(|_| self.config.is_some()));
        let token_file = said.or_else(|| variable("HOMING_TOKEN_FILE").map(PathBuf::from)).or(place.1);
        let token = token_file.map(|path| Ok((token(&path)?, path))).transpose();
        Ok(Client { authority: place.0, whence, token: token.map_err(Failure::Usage)? })
    }

    /// Host and port, the file with the token if one is named together with them, and who says so.
    fn place(&self) -> Result<((String, Option<PathBuf>), String), Failure> {
        if let Some(admin) = &self.admin {
            return Ok(((admin.clone(), None), "--admin".to_owned()));
        }
        if let Some(file) = &self.config {
            return of_file(file);
        }
        if let Some(url) = variable("HOMING_ADMIN") {
            let admin = authority(&url).map_err(|why| Failure::Usage(format!("HOMING_ADMIN: {why}")))?;
            return Ok(((admin, None), "HOMING_ADMIN".to_owned()));
        }
        if Path::new(FILE).exists() {
            return of_file(Path::new(FILE));
        }
        Err(Failure::Usage(
            "which proxy? Say --admin http://127.0.0.1:9900, set HOMING_ADMIN to it, or say -c FILE with an [admin] \
             table"
                .to_owned(),
        ))
    }
}

fn of_file(path: &Path) -> Result<((String, Option<PathBuf>), String), Failure> {
    let shown = path.display();
    let place = AdminPlace::of_file(path)
        .map_err(|error| Failure::Usage(format!("{shown} cannot be read: {error}")))?;
    let place = place.ok_or_else(|| {
        Failure::Usage(format!(
            "{shown} has no [admin] table with an address and a port. Add it and start the proxy anew, or say \
             --admin URL:\n  [admin]\n  address = \"127.0.0.1:9900\""
        ))
    })?;
    Ok(((place.address.to_string(), place.token_file), format!("[admin] of {shown}")))
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What to show, from a file. Nothing is sent that could not be a token.
pub(super) fn token(path: &Path) -> Result<HeaderValue, String> {
    let shown = path.display();
    let octets =
        std::fs::read(path).map_err(|error| format!("the token's file {shown} cannot be read: {error}"))?;
    let wrong =
        || format!("{shown} has no token in it: that is one line of at least {} characters", Token::LEAST);
    Token::new(&octets).ok_or_else(wrong)?;
    let credentials = [b"Bearer ", octets.trim_ascii()].concat();
    let mut value = HeaderValue::from_bytes(&credentials).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The host and port of an admin listener, with or without `http://` before it.
pub(super) fn authority(text: &str) -> Result<String, String> {
    if text.starts_with("https://") {
        return Err("the admin listener speaks plain HTTP: write http://127.0.0.1:9900".into());
    }
    let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let authority = rest.parse::<http::uri::Authority>().ok();
    let authority = authority.filter(|authority| authority.port_u16().is_some() && !rest.contains('@'));
    authority.map(|authority| authority.to_string()).ok_or_else(|| "write http://127.0.0.1:9900".into())
}

impl Ask {
    fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), body: None, limit: PATIENCE, last_event: None }
    }

    pub(super) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target)
    }

    pub(super) fn post(target: impl Into<String>) -> Self {
        Self::new(Method::POST, target)
    }

    pub(super) fn delete(target: impl Into<String>) -> Self {
        Self::new(Method::DELETE, target)
    }

    pub(super) fn put(target: impl Into<String>) -> Self {
        Self::new(Method::PUT, target)
    }

    pub(super) fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Only what came after this event.
    pub(super) fn after(mut self, event: Option<u64>) -> Self {
        self.last_event = event;
        self
    }
}

impl Client {
    /// A client of a proxy that was named outright.
    pub(super) fn of(authority: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let access = Access {
            admin: Some(authority.to_owned()),
            config: None,
            token_file: token_file.map(Path::to_owned),
        };
        access.client()
    }

    /// Asks, and goes by an answer that was done.
    ///
    /// # Errors
    /// There is no answer, or it is not that.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Value, Failure> {
        let answer = self.hear(ask).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(self.refused(answer).await) }
    }

    /// Asks, and takes any answer.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn hear(&self, ask: Ask) -> Result<Answer, Failure> {
        let limit = ask.limit;
        let answer = call(&self.authority, self.request(ask)?, limit).await;
        let (status, octets) = answer.map_err(|error| self.unreachable(&error))?;
        let body = serde_json::from_slice(&octets).map_err(|_| self.stranger(status))?;
        Ok(Answer { status, body })
    }

    /// Asks for what comes as it happens.
    ///
    /// # Errors
    /// There is no answer, or it is not that.
    pub(super) async fn follow(&self, ask: Ask) -> Result<Streamed, Failure> {
        let limit = ask.limit;
        let answer = open(&self.authority, self.request(ask)?, limit).await;
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let octets = answer.next(limit).await.map_err(|error| self.unreachable(&error))?;
        let body = serde_json::from_slice(&octets.unwrap_or_default());
        let body = body.map_err(|_| self.stranger(answer.status))?;
        Err(self.refused(Answer { status: answer.status, body }).await)
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(&ask.method).uri(ask.target);
        if let Some((token, _)) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if !ask.method.is_safe() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(event) = ask.last_event {
            request = request.header("last-event-id", event);
        }
        let body = ask.body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)));
        request.map_err(|error| Failure::Usage(format!("that cannot be asked: {error}")))
    }

    fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    fn unreachable(&self, error: &CallError) -> Failure {
        let (url, whence, authority) = (self.url(), &self.whence, &self.authority);
        let help = match error {
            CallError::Name(..) => format!("is the name in {whence} right?"),
            CallError::Dial(_) => format!(
                "is the proxy running, with this in its file?\n  [admin]\n  address = \"{authority}\""
            ),
            CallError::Http(_) | CallError::Body(_) => "is that the admin listener of a proxy?".to_owned(),
            CallError::TimedOut(_) => "is that the admin listener, and may this machine reach it?".to_owned(),
        };
        Failure::Unreachable(format!("{url} (from {whence}): {error}\n{help}"))
    }

    fn stranger(&self, status: StatusCode) -> Failure {
        let (url, whence) = (self.url(), &self.whence);
        Failure::Unreachable(format!(
            "{url} (from {whence}) answers {status}, but not as a proxy's admin listener does: is it one?"
        ))
    }

    /// Why the answer is no, and what to do.
    async fn refused(&self, answer: Answer) -> Failure {
        let said = clean(answer.said().unwrap_or("no reason given"));
        let url = self.url();
        let help = match answer.status {
            StatusCode::UNAUTHORIZED => self.about_the_token(),
            StatusCode::NOT_FOUND => self.about_names(&answer).await,
            StatusCode::MISDIRECTED_REQUEST => {
                "it has no token, so it must be called by an IP address or localhost: say --admin \
                 http://127.0.0.1:9900 or the like"
                    .to_owned()
            }
            StatusCode::SERVICE_UNAVAILABLE => "try again in a moment".to_owned(),
            _ => String::new(),
        };
        let line = if help.is_empty() { "" } else { "\n" };
        let why = match answer.status {
            StatusCode::NOT_FOUND => format!("{said}{line}{help}"),
            status => format!("{url} answers {status}: {said}{line}{help}"),
        };
        Failure::Refused { answer, why }
    }

    fn about_the_token(&self) -> String {
        match &self.token {
            None => "say --token-file FILE, or set HOMING_TOKEN_FILE to it: the `token_file` of the proxy's [admin]"
                .to_owned(),
            Some((_, path)) => format!(
                "it does not take the token in {}: is that the proxy's `token_file`, unchanged since its start? \
                 Another one is said by --token-file or HOMING_TOKEN_FILE",
                path.display()
            ),
        }
    }

    /// Which names there are, where one was not known.
    async fn about_names(&self, answer: &Answer) -> String {
        let said = answer.said().unwrap_or_default();
        let quoted: Vec<_> = said.split('"').skip(1).step_by(2).collect();
        let Ok(Answer { body, .. }) = self.hear(Ask::get("/api/status")).await else { return String::new() };
        let pools = body["pools"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
        let (word, names): (_, Vec<_>) = match quoted.as_slice() {
            [_] if said.ends_with("has no session table") => return String::new(),
            [pool] => (*pool, pools.iter().map(name).collect()),
            [pool, backend] => {
                let known = pools.iter().find(|known| known["name"] == *pool);
                let backends = known.and_then(|pool| pool["backends"].as_array());
                (*backend, backends.into_iter().flatten().map(name).collect())
            }
            _ => return "this proxy may be of another version than this command".to_owned(),
        };
        let near = did_you_mean(word, names.iter().map(String::as_str));
        clean(&near.unwrap_or_else(|| offer(&names)))
    }
}

/// The names there are.
fn offer(names: &[String]) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    match names {
        [] => "there is none".to_owned(),
        names => format!("there is {}{more}", names[..names.len().min(MOST_NAMES)].join(", ")),
    }
}

impl Answer {
    /// What the proxy says is wrong.
    pub(super) fn said(&self) -> Option<&str> {
        self.body.get("error")?.as_str()
    }
}

impl Failure {
    /// Whether it may be otherwise in a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Refused { answer, .. } if answer.status.is_server_error())
    }

    /// Says it, and returns the exit code: that the answer is no only where the proxy was asked rightly.
    pub(super) fn tell(&self) -> u8 {
        complain(self);
        match self {
            Self::Refused { answer, .. } if answer.status == StatusCode::CONFLICT => NO,
            _ => USAGE,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::Unreachable(why) | Self::Refused { why, .. } => f.write_str(why),
        }
    }
}
