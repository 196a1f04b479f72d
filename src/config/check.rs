//! What a whole file means: reads every table, in the order in which they need each other, into a [`Config`].
//! What one value may be is [`super::value`]'s; how problems are told is [`super::report`]'s.

mod admin;
mod cookie;
mod health;
mod listener;
mod pool;
mod route;
mod sticky;
mod tls;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use super::file::Section;
use super::report::{Complaint, Report};
use super::value::{self, Outcome, choice, duration, flag, number, parsed, positive, size};
use super::{Config, Errors, Limits, Log, LogFormat, Server, address, contract, suggest, syntax};

/// More threads than this are a slip of the finger.
const MOST_WORKERS: u64 = 1024;
/// More fields in a request head than [`http::HeaderMap`] can take would be refused late and badly.
const MOST_HEADERS: u64 = 24_576;
/// Less would refuse what browsers send.
const LEAST_HEADER_BYTES: u64 = 8 << 10;
/// A request head is held in memory as a whole.
const MOST_HEADER_BYTES: u64 = 16 << 20;

/// What one connection may hold back is so many windows.
const MOST_STREAMS: u64 = 10_000;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks `source`; `origin` names it in messages, and its relative paths begin in `directory`.
pub(super) fn config(source: &str, origin: &str, directory: &Path) -> Result<Config, Errors> {
    let report = Report::new(source, directory);
    let source = syntax::mend(source, &report);
    let (document, _) = DeTable::parse_recoverable(&source);
    let config = file(&Section::top(&report, document.get_ref()));
    report.into_result(origin, config)
}

fn file(top: &Section<'_>) -> Config {
    let pools = top.tables("pool", &contract::POOL);
    let routes = route::all(top, &pools);
    Config {
        trusted_proxies: top.list("trusted_proxies", parsed(address::network)).unwrap_or_default(),
        server: server(&top.table("server", &contract::SERVER)),
        admin: admin::read(&top.table("admin", &contract::ADMIN)),
        log: log(&top.table("log", &contract::LOG)),
        listeners: listener::all(top),
        pools: pool::all(top, &pools, &routes),
        routes,
        limits: limits(&top.table("limits", &contract::LIMITS)),
    }
}

fn server(section: &Section<'_>) -> Server {
    let cpus = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Server {
        workers: section.or("workers", cpus, value::count(MOST_WORKERS)),
        shutdown_timeout: section.or("shutdown_timeout", Duration::from_secs(20), duration),
        reload_on_change: section.or("reload_on_change", false, flag),
        reload_on_signal: section.or("reload_on_signal", true, flag),
        state_dir: section.read("state_dir", parsed(|text| directory(section, text))),
        state_interval: section.or("state_interval", Duration::from_secs(10), positive),
    }
}

/// It is made when the proxy starts, so it need not be there.
fn directory(section: &Section<'_>, text: &str) -> Outcome<PathBuf> {
    if text.is_empty() {
        return Err(Complaint::invalid("must name a directory").help("leave it out to keep nothing"));
    }
    Ok(section.near(text))
}

fn log(section: &Section<'_>) -> Log {
    let formats = choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    Log {
        level: section.or("level", "info".to_owned(), parsed(log_filter)),
        format: section.or("format", LogFormat::Text, formats),
        access: section.or("access", true, flag),
    }
}

/// A lone word would be taken for the name of a module, and silence everything else.
fn log_filter(text: &str) -> Outcome<String> {
    let is_lone = text.chars().all(char::is_alphanumeric);
    let is_level = LEVELS.contains(&text.to_ascii_lowercase().as_str());
    if is_level || (!is_lone && EnvFilter::builder().parse(text).is_ok()) {
        return Ok(text.to_owned());
    }
    let help = suggest::did_you_mean(text, LEVELS);
    let forms = || format!("{}, or a filter like \"info,homing::health=debug\"", LEVELS.join(", "));
    Err(Complaint::invalid(format!("{text:?} is not a log level")).help(help.unwrap_or_else(forms)))
}

fn limits(section: &Section<'_>) -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        connections: section.or("connections", 100_000, number(1..=u64::MAX)),
        connections_per_ip: section.or("connections_per_ip", 0, number(0..=u64::MAX)),
        streams: section.or("streams", 100, number(1..=MOST_STREAMS)),
        header_timeout: section.or("header_timeout", seconds(10), positive),
        body_timeout: section.or("body_timeout", seconds(30), positive),
        header_bytes: section.or("header_bytes", 64 << 10, size(LEAST_HEADER_BYTES..=MOST_HEADER_BYTES)),
        headers: section.or("headers", 100, number(1..=MOST_HEADERS)),
        uri_bytes: section.or("uri_bytes", 16 << 10, size(1..=MOST_HEADER_BYTES)),
        body_bytes: section.or("body_bytes", 0, size(0..=u64::MAX)),
        keep_alive: section.or("keep_alive", seconds(75), positive),
        queue: section.or("queue", 1_000, number(0..=u64::MAX)),
    }
}
