//! `[[route]]`: which pool a host and path lead to.

use std::collections::HashMap;

use crate::config::file::{Section, Unique};
use crate::config::report::Complaint;
use crate::config::value::{self, parsed};
use crate::config::{HostPattern, KeySource, Route, address, contract, suggest};

/// Where a route can lead, by name: the pool's position, and whether it is sticky.
type Targets = HashMap<String, (usize, bool)>;

/// Every route of the file, checked against its `pools`.
pub(super) fn all(top: &Section<'_>, pools: &[Section<'_>]) -> Vec<Route> {
    let sections = top.tables("route", &contract::ROUTE);
    if top.lacks("route") {
        let help = "add [[route]] with the name of a pool";
        top.complain("route", Complaint::missing("there is no route").help(help));
    }
    let targets = targets(pools);
    let mut taken = Unique::new();
    sections.iter().filter_map(|section| route(section, &targets, &mut taken)).collect()
}

fn targets(pools: &[Section<'_>]) -> Targets {
    let named =
        |(index, pool): (usize, &Section<'_>)| Some((pool.text("name")?, (index, pool.has("sticky"))));
    pools.iter().enumerate().rev().filter_map(named).collect()
}

fn route(
    section: &Section<'_>,
    targets: &Targets,
    taken: &mut Unique<(HostPattern, String)>,
) -> Option<Route> {
    let any = (!section.has("host")).then_some(HostPattern::Any);
    let host = section.read("host", parsed(address::host_pattern)).or(any);
    let root = (!section.has("path")).then(|| "/".to_owned());
    let path = section.read("path", parsed(address::prefix)).or(root);
    let key = section.list("key", value::key_source);
    let target = section.need("pool", value::text).and_then(|name| target(section, &name, targets));

    let (host, path) = host.zip(path)?;
    let place = if section.has("path") { "path" } else { "host" };
    taken.claim((host.clone(), path.clone()), section, place, "host and path as the route");
    let (pool, is_sticky) = target?;
    if !is_sticky {
        check_without_sticky(section, key.as_deref());
    }
    Some(Route { host, path, pool, key })
}

fn target(section: &Section<'_>, name: &str, targets: &Targets) -> Option<(usize, bool)> {
    let target = targets.get(name).copied();
    if target.is_none() {
        let near = suggest::did_you_mean(name, targets.keys().map(String::as_str));
        section.complain("pool", Complaint::missing(format!("there is no pool {name:?}")).maybe_help(near));
    }
    target
}

fn check_without_sticky(section: &Section<'_>, key: Option<&[KeySource]>) {
    if key.is_some_and(|key| !key.is_empty()) {
        let complaint = Complaint::invalid("the pool of this route is not sticky");
        section.complain("key", complaint.help("add [pool.sticky] with a key to the pool"));
    }
}
