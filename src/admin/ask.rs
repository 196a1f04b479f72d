//! Reads what callers send: bodies, parameters and the words in them. Whatever is wrong is told with what would be right.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::answer::Refusal;
use crate::config::{self, Wanted};

/// Octets of the longest request body.
const MAX_BODY: usize = 64 << 10;
/// The longest a caller can wait for a backend to be empty.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Sessions listed, if nothing is said.
const LISTED: usize = 50;
/// Sessions listed at most.
const MOST_LISTED: usize = 1000;

/// Which sessions a caller looks at.
#[derive(Debug)]
pub(super) enum Looked {
    /// That of this key.
    One(Vec<u8>),
    /// Some.
    Many { limit: usize, backend: Option<String> },
}

/// What a backend shall be, as a caller says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    state: String,
    timeout: Option<String>,
}

/// What a backend shall be, and for a drain how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) wanted: Wanted,
    pub(super) timeout: Option<Duration>,
}

/// A JSON body that arrives within `patience`; `example` is what would be right.
pub(super) async fn json<T: DeserializeOwned>(
    body: Body,
    patience: Duration,
    example: &str,
) -> Result<T, Refusal> {
    let octets = match timeout(patience, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 64 KiB"));
        }
        Ok(Err(_)) => return Err(Refusal::bad("the body did not arrive")),
        Err(_) => return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    };
    serde_json::from_slice(&octets).map_err(|error| Refusal::bad(format!("{error}; send {example}")))
}

/// The order in a body.
pub(super) async fn order(body: Body, patience: Duration) -> Result<Order, Refusal> {
    let said: Said = json(body, patience, r#"{"state":"drain","timeout":"10m"}"#).await?;
    let named = Wanted::WORDS.iter().find(|(word, _)| *word == said.state);
    let &(_, wanted) = named.ok_or_else(|| {
        let words: Vec<_> = Wanted::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
        Refusal::bad(format!("state: {:?} is not one of {}", said.state, words.join(", ")))
    })?;
    if wanted != Wanted::Drain && said.timeout.is_some() {
        return Err(Refusal::bad(format!("timeout: only \"drain\" takes time, {:?} does not", said.state)));
    }
    let timeout = said.timeout.map(|text| duration("timeout", &text)).transpose()?;
    Ok(Order { wanted, timeout })
}

/// How long to wait, from `?wait=`; not at all without it.
pub(super) fn wait(query: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = parameter(query, "wait")? else { return Ok(Duration::ZERO) };
    let wait = duration("wait", &String::from_utf8_lossy(&text))?;
    if wait > LONGEST_WAIT {
        return Err(Refusal::bad("wait: at most \"1h\""));
    }
    Ok(wait)
}

/// The key from `?key=`.
pub(super) fn key(query: Option<&str>) -> Result<Vec<u8>, Refusal> {
    given_key(parameter(query, "key")?)
}

fn given_key(key: Option<Vec<u8>>) -> Result<Vec<u8>, Refusal> {
    let key = key.filter(|key| !key.is_empty());
    key.ok_or_else(|| Refusal::bad("say which key: ?key=…, percent-encoded"))
}

/// What to tell of a pool's sessions: of one, from `?key=`, or of many, from `?limit=` and `?backend=`.
pub(super) fn sessions(query: Option<&str>) -> Result<Looked, Refusal> {
    let [key, limit, backend] = parameters(query, ["key", "limit", "backend"])?;
    if key.is_some() {
        if limit.is_some() || backend.is_some() {
            return Err(Refusal::bad(
                "key: one session is neither limited nor of a backend; leave the others out",
            ));
        }
        return given_key(key).map(Looked::One);
    }
    let limit = limit.map_or(Ok(LISTED), |text| {
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        number
            .filter(|number| *number <= MOST_LISTED)
            .ok_or_else(|| Refusal::bad(format!("limit: write a number up to {MOST_LISTED}")))
    });
    let backend = backend.map(String::from_utf8).transpose();
    let backend = backend.map_err(|_| Refusal::bad("backend: a name is UTF-8"))?;
    Ok(Looked::Many { limit: limit?, backend })
}

/// Whether a change is only asked about, from `?plan=true`.
pub(super) fn plan(query: Option<&str>) -> Result<bool, Refusal> {
    match parameter(query, "plan")?.as_deref() {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(Refusal::bad("plan: true or false")),
    }
}

/// After which event to begin: from `Last-Event-ID`, which a browser sends when it comes back, or `?after=`.
pub(super) fn after(query: Option<&str>, headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let asked = parameter(query, "after")?;
    let resumed = headers.get(LAST_EVENT_ID).map(|value| value.as_bytes().to_vec());
    let Some(text) = resumed.or(asked) else { return Ok(None) };
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        let text = String::from_utf8_lossy(&text);
        Refusal::bad(format!("after: {text:?} is not the number of an event"))
    })
}

fn duration(what: &str, text: &str) -> Result<Duration, Refusal> {
    config::duration(text).map_err(|why| Refusal::bad(format!("{what}: {why}")))
}

/// The value of the one parameter there may be.
fn parameter(query: Option<&str>, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
    parameters(query, [name]).map(|[value]| value)
}

/// The values of the parameters there may be, percent-decoded once. A `+` is a plus: keys have such, and nobody fills
/// in forms here.
fn parameters<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<Vec<u8>>; N], Refusal> {
    let mut found = [const { None }; N];
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(place) = names.iter().position(|name| *name == own).and_then(|at| found.get_mut(at)) else {
            let names = names.map(|name| format!("{name:?}")).join(", ");
            return Err(Refusal::bad(format!("there is no parameter {own:?} here, only {names}")));
        };
        if place.replace(decoded(own, value)?).is_some() {
            return Err(Refusal::bad(format!("{own:?} is there twice")));
        }
    }
    Ok(found)
}

fn decoded(name: &str, value: &str) -> Result<Vec<u8>, Refusal> {
    let mut rest = value.split('%').skip(1);
    let is_escape =
        |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|octet| octet.is_ascii_hexdigit());
    if rest.all(is_escape) {
        return Ok(percent_decode_str(value).collect());
    }
    Err(Refusal::bad(format!("{name}: a % is followed by two hexadecimal digits; for itself write %25")))
}
