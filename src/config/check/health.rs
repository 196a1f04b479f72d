//! `[pool.health]`, `[pool.outlier]`, `[pool.timeouts]` and `[pool.drain]`: how a pool tells that a backend is gone,
//! and how it lets one go.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;

use crate::config::file::Section;
use crate::config::report::Complaint;
use crate::config::value::{Outcome, duration, flag, number, parsed, positive, text};
use crate::config::{Drain, Field, Health, Outlier, Pointer, Probe, Timeouts, address};

const STATUSES: RangeInclusive<u16> = 100..=599;

/// Active checks, where the pool has them.
pub(super) fn active(section: &Section<'_>) -> Option<Health> {
    section.is_present().then(|| Health {
        probe: probe(section),
        interval: section.or("interval", Duration::from_secs(2), positive),
        timeout: section.or("timeout", Duration::from_secs(1), positive),
        rise: section.or("rise", 2, number(1..=u64::from(u32::MAX))),
        fall: section.or("fall", 3, number(1..=u64::from(u32::MAX))),
        instance: field(section, "instance_header", "instance_json"),
        drain: field(section, "drain_header", "drain_json"),
    })
}

/// A part of the answer, in a header or in the body, not both.
fn field(section: &Section<'_>, in_header: &str, in_json: &str) -> Option<Field> {
    let header = section.read(in_header, parsed(header_name)).map(Field::Header);
    let json = section.read(in_json, parsed(pointer)).map(Field::Json);
    if section.has(in_header) && section.has(in_json) {
        let complaint = Complaint::invalid(format!("there is `{in_header}` already"));
        section.complain(in_json, complaint.help("keep one of them"));
    }
    for key in [in_header, in_json].into_iter().filter(|key| section.has(key) && !asks(section)) {
        let complaint = Complaint::invalid("without a `path` the check is only a TCP connect");
        section.complain(key, complaint.help("add `path = \"/healthz\"`"));
    }
    header.or(json)
}

/// Whether a check is more than a TCP connect.
fn asks(section: &Section<'_>) -> bool {
    section.has("path") || section.has("grpc")
}

fn header_name(text: &str) -> Outcome<HeaderName> {
    let name = HeaderName::try_from(text);
    name.map_err(|_| Complaint::invalid(format!("{text:?} cannot be the name of a header")))
}

fn pointer(text: &str) -> Outcome<Pointer> {
    Pointer::parse(text).map_err(|error| Complaint::invalid(error.to_string()).help("write \"/instance\""))
}

pub(super) fn outlier(section: &Section<'_>) -> Outlier {
    Outlier {
        consecutive_failures: section.or("consecutive_failures", 5, number(0..=u64::from(u32::MAX))),
        eject: section.or("eject", Duration::from_secs(10), positive),
        max_ejected_percent: section.or("max_ejected_percent", 50, number(0..=100)),
    }
}

pub(super) fn timeouts(section: &Section<'_>) -> Timeouts {
    Timeouts {
        connect: section.or("connect", Duration::from_secs(2), positive),
        response: section.or("response", Duration::from_mins(1), positive),
        idle: section.or("idle", Duration::from_mins(1), positive),
        tunnel_idle: section.or("tunnel_idle", Duration::from_hours(1), positive),
        keep_alive: section.or("keep_alive", Duration::from_secs(4), duration),
        queue: section.or("queue", Duration::from_secs(5), duration),
    }
}

/// The spread of a drain lies within it.
pub(super) fn drain(section: &Section<'_>) -> Drain {
    let timeout = section.or("timeout", Duration::from_mins(30), duration);
    let spread = section.read("spread", duration);
    if spread.is_some_and(|spread| spread > timeout) {
        let complaint = Complaint::invalid("the spread is longer than the time-out it lies in");
        section.complain("spread", complaint);
    }
    Drain { timeout, spread: spread.unwrap_or(Duration::from_secs(30)).min(timeout) }
}

fn probe(section: &Section<'_>) -> Probe {
    let path = section.read("path", parsed(address::target));
    let host = section.read("host", parsed(address::authority)).flatten();
    let good = vec![200..=399];
    let status = section.or("status", good.clone(), parsed(statuses));
    if section.or("grpc", false, flag) {
        return grpc(section, host);
    }
    if section.has("grpc_service") {
        let complaint = Complaint::invalid("only a gRPC check asks for a service");
        section.complain("grpc_service", complaint.help("add `grpc = true`"));
    }
    if let Some(path) = path {
        return Probe::Http { path, host, status };
    }
    for (key, is_set) in [("host", host.is_some()), ("status", status != good)] {
        if is_set && !section.has("path") {
            let complaint = Complaint::invalid("without a `path` the check is only a TCP connect");
            section.complain(key, complaint.help("add `path = \"/healthz\"`"));
        }
    }
    Probe::Tcp
}

/// A gRPC health check names its own path and knows its own answers.
fn grpc(section: &Section<'_>, host: Option<String>) -> Probe {
    for key in ["path", "status", "instance_json", "drain_json"].into_iter().filter(|key| section.has(key)) {
        let complaint = Complaint::invalid("a gRPC check has no such thing");
        section.complain(key, complaint.help(format!("leave `{key}` out, or `grpc`")));
    }
    Probe::Grpc { host, service: section.read("grpc_service", text).unwrap_or_default() }
}

/// `200-399`, `200,204`, `200-299,401`.
fn statuses(text: &str) -> Outcome<Vec<RangeInclusive<u16>>> {
    let ranges: Option<Vec<_>> = text.split(',').map(|part| statuses_between(part.trim())).collect();
    ranges.ok_or_else(|| {
        let complaint = Complaint::invalid(format!("{text:?} is not a list of statuses"));
        complaint.help("write statuses from 100 to 599 and their ranges, like \"200-399\" or \"200,204\"")
    })
}

fn statuses_between(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

fn status(text: &str) -> Option<u16> {
    let is_plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|status| is_plain && STATUSES.contains(status))
}
