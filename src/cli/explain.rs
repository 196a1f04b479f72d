//! `homing explain`: asks a file, or a running proxy, where a request would go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Serialize;
use serde_json::json;

use super::answers::read as read_answer;
use super::client::{Ask, Client, Failure, TOKEN_FILE, authority};
use super::terminal::{print_json, say};
use super::{NO, OK};
use crate::clock::Clock;
use crate::config::Config;
use crate::explain::{Asked, Explanation, explain};
use crate::snapshot::Snapshot;

const ADMIN: &str = "Ask a running proxy instead, by its admin listener, like http://127.0.0.1:9900";

/// What can be said behind `homing explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Ask this configuration file: with every backend taken as up, and no sessions.
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml", conflicts_with = "admin")]
    config: PathBuf,
    #[arg(long, value_name = "URL", value_parser = authority, help = ADMIN)]
    admin: Option<String>,
    #[arg(long, value_name = "FILE", requires = "admin", help = TOKEN_FILE)]
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
        Err(failure) => return failure.tell(),
    };
    if arguments.json {
        print_json(&explanation);
    } else {
        say(&explanation);
        if arguments.admin.is_none() {
            let file = arguments.config.display();
            say(format_args!("\nAsked of {file}: every backend taken as up, no sessions.\n"));
        }
    }
    if explanation.reason.is_served() { OK } else { NO }
}

/// Asks the file.
fn read(arguments: &Arguments) -> Result<Explanation, Failure> {
    let config = Config::load(&arguments.config).map_err(|errors| Failure::Usage(errors.to_string()))?;
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
fn ask(authority: &str, arguments: &Arguments) -> Result<Explanation, Failure> {
    let client = Client::of(authority, arguments.token_file.as_deref())?;
    let question = json!(Question::of(arguments));
    read_answer(&super::block_on(client.ask(Ask::post("/api/explain").with(question)))?)
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
