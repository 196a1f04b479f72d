//! `homing explain`: asks a file, or a running proxy, where a request would go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::Value;

use super::{NO, OK, refuse};
use crate::clock::Clock;
use crate::config::Config;
use crate::explain::{Asked, Explanation, explain};
use crate::snapshot::Snapshot;
use crate::transport::call::call;

/// What can be said behind `homing explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Ask this configuration file: with every backend taken as up, and no sessions.
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml", conflicts_with = "admin")]
    config: PathBuf,
    /// Ask a running proxy instead, by the address of its admin listener
    #[arg(long, value_name = "URL", value_parser = admin)]
    admin: Option<String>,
    /// The file with the token of that listener.
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// The request's method.
    #[arg(value_name = "METHOD")]
    method: Method,
    /// Its URL: a path, or all of it with the host.
    #[arg(value_name = "URL", value_parser = url)]
    url: Uri,
    /// A header field of the request; may be given again.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = field)]
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Who sends it.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: IpAddr,
    /// Write the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// For the whole conversation with a running proxy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The question as `POST /api/explain` takes it.
#[derive(Serialize)]
struct Question<'a> {
    method: &'a str,
    url: String,
    headers: BTreeMap<&'a str, Vec<String>>,
    client_ip: IpAddr,
}

/// Answers; exit code 1 where no backend would take the request now.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let explained = match &arguments.admin {
        Some(authority) => ask(authority, arguments),
        None => read(arguments),
    };
    let explanation = match explained {
        Ok(explanation) => explanation,
        Err(why) => return refuse(&why),
    };
    if arguments.json {
        super::print_json(&explanation);
    } else {
        super::say(&explanation);
        if arguments.admin.is_none() {
            let file = arguments.config.display();
            super::say(format_args!("\nAsked of {file}: every backend taken as up, no sessions.\n"));
        }
    }
    if explanation.reason.is_served() { OK } else { NO }
}

/// Asks the file.
fn read(arguments: &Arguments) -> Result<Explanation, String> {
    let config = Config::load(&arguments.config).map_err(|errors| errors.to_string())?;
    let now = Clock::start().now();
    let snapshot = Snapshot::build(&config, None, 1, now);
    snapshot.take_as_up();
    let mut headers = HeaderMap::new();
    for (name, value) in &arguments.fields {
        headers.append(name, value.clone());
    }
    let Arguments { method, url: uri, client_ip, .. } = arguments;
    Ok(explain(&snapshot, &Asked { method, uri, headers: &headers, client_ip: *client_ip }, now))
}

/// Asks a running proxy.
fn ask(authority: &str, arguments: &Arguments) -> Result<Explanation, String> {
    let mut request = Request::post("/api/explain").header(header::CONTENT_TYPE, "application/json");
    if let Some(path) = &arguments.token_file {
        let token = std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.trim()));
    }
    let body = serde_json::to_vec(&Question::of(arguments)).map_err(|error| error.to_string())?;
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (status, body) = runtime
        .block_on(call(authority, request, PATIENCE))
        .map_err(|error| format!("http://{authority}: {error}"))?;
    if status != StatusCode::OK {
        return Err(format!("http://{authority} answers {status}{}", said(&body)));
    }
    serde_json::from_slice(&body).map_err(|error| format!("http://{authority}: not an explanation: {error}"))
}

/// What the proxy says is wrong.
fn said(body: &[u8]) -> String {
    let error = serde_json::from_slice::<Value>(body).ok();
    let error = error.as_ref().and_then(|body| body.get("error")?.as_str());
    error.map(|error| format!(": {error}")).unwrap_or_default()
}

impl<'a> Question<'a> {
    fn of(arguments: &'a Arguments) -> Self {
        let Arguments { method, url, fields, client_ip, .. } = arguments;
        let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in fields {
            headers
                .entry(name.as_str())
                .or_default()
                .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        Self { method: method.as_str(), url: url.to_string(), headers, client_ip: *client_ip }
    }
}

/// The host and port of an admin listener, with or without `http://` before it.
fn admin(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let authority = rest.parse::<http::uri::Authority>().ok();
    let authority = authority.filter(|authority| authority.port_u16().is_some() && !rest.contains('@'));
    authority.map(|authority| authority.to_string()).ok_or_else(|| "write http://127.0.0.1:9900".into())
}

fn url(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let whole = matches!(uri.scheme_str(), Some("http" | "https" | "ws" | "wss")) && uri.host().is_some();
        whole || (uri.authority().is_none() && uri.path().starts_with('/'))
    });
    uri.ok_or_else(|| "write a path, /game/7, or all of it, http://example.com/game/7".into())
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || "write 'Name: value'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    Ok((name.trim().parse().map_err(|_| wrong())?, value.trim().parse().map_err(|_| wrong())?))
}
