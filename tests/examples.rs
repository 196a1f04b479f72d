//! What the documentation shows is accepted: every file in `examples/`, every `toml` block of README and `docs/`, be it
//! a whole file or a part of one, and the configuration reference names every key there is, at its right default.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use homing::config::{Balance, Config, HostPattern, KeySource, Mode, OnBackendDown, Pool, Wanted};
use toml::de::{DeTable, DeValue};

// === Examples ===

#[test]
fn every_example_is_accepted() {
    let files = files_in("examples", "toml");
    assert!(files.len() >= 10, "examples are gone: {files:?}");
    for path in files.into_iter().chain([root("proxy.toml")]) {
        if let Err(errors) = Config::load(&path) {
            panic!("\n{errors}");
        }
    }
}

#[test]
fn minimal_takes_turns() {
    let pool = &example("minimal").pools[0];
    assert_eq!((pool.balance, pool.backends.len()), (Balance::RoundRobin, 2));
    assert!(pool.sticky.is_none() && pool.health.is_none());
}

#[test]
fn rooms_share_their_key_and_the_lobby_has_none() {
    let config = example("rooms");
    assert_eq!(keys(&config.pools[0]), ["path:/game/{room}", "path:/chat/{room}"]);
    let lobby = config.routes.iter().find(|route| route.path == "/lobby").unwrap();
    assert_eq!(lobby.key, Some(Vec::new()));
    assert!(config.routes.iter().all(|route| route.pool == 0));
}

#[test]
fn a_login_is_learned_from_where_it_is_looked_for() {
    let config = example("login-cookie");
    let pool = &config.pools[0];
    let Mode::Table(table) = &pool.sticky.as_ref().unwrap().mode else { panic!("not a table") };
    let learned: Vec<_> = table.learn.iter().map(ToString::to_string).collect();
    assert_eq!(learned, keys(pool));
    assert_eq!(table.capacity.get(), 200_000);
}

#[test]
fn round_robin_is_not_sticky() {
    let config = example("round-robin");
    assert!(config.pools.iter().all(|pool| pool.sticky.is_none()));
    assert_eq!(config.routes[1].host, HostPattern::Wildcard("api.example.com".to_owned()));
    assert_eq!(config.pools[0].backends.iter().map(|backend| backend.weight).collect::<Vec<_>>(), [3, 2, 0]);
}

#[test]
fn behind_a_proxy_the_client_is_whom_that_names() {
    let config = example("behind-a-proxy");
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(keys(&config.pools[0]).last().map(String::as_str), Some("client_ip"));
}

#[test]
fn a_cache_only_hashes() {
    let config = example("cache-hash");
    let sticky = config.pools[0].sticky.as_ref().unwrap();
    assert!(matches!(sticky.mode, Mode::Hash));
    assert!(matches!(sticky.key[..], [KeySource::Path(_)]));
}

#[test]
fn backends_leave_in_their_own_time() {
    let config = example("drain-and-admin");
    assert!(config.admin.is_some_and(|admin| admin.address.ip().is_loopback()));
    let pool = &config.pools[0];
    assert_eq!(pool.backends.last().map(|backend| backend.state), Some(Wanted::Drain));
    assert!(pool.health.as_ref().is_some_and(|health| health.instance.is_some() && health.drain.is_some()));
    assert!(matches!(pool.sticky.as_ref().unwrap().on_backend_down, OnBackendDown::Wait(_)));
}

#[test]
fn a_cookie_is_kept_as_long_as_its_session_may_be_old() {
    let config = example("cookie-mode");
    let Mode::Cookie(sealed) = &config.pools[0].sticky.as_ref().unwrap().mode else { panic!("not a cookie") };
    assert_eq!(sealed.cookie.max_age, Some(sealed.max_lifetime));
    assert_eq!(config.pools[0].balance, Balance::LeastSessions);
    assert_eq!(config.routes[1].key, Some(Vec::new()));
}

#[test]
fn applications_with_a_preset_learn_what_they_are_asked_for() {
    for (name, key, learned) in
        [("mcp", "header:mcp-session-id", "header:mcp-session-id"), ("socketio", "query:sid", "body:/sid")]
    {
        let config = example(name);
        let Mode::Table(table) = &config.pools[0].sticky.as_ref().unwrap().mode else { panic!("no table") };
        assert_eq!(keys(&config.pools[0]), [key]);
        assert_eq!(table.learn.iter().map(ToString::to_string).collect::<Vec<_>>(), [learned]);
    }
}

// === Documentation ===

#[test]
fn every_toml_block_of_the_documentation_is_accepted() {
    let mut blocks = 0;
    for path in pages() {
        for (line, block) in toml_blocks(&fs::read_to_string(&path).unwrap()) {
            blocks += 1;
            let origin = format!("{}, the block in line {line}", path.display());
            if let Err(errors) = Config::parse(&whole(&block), &origin) {
                panic!("\n{errors}");
            }
        }
    }
    assert!(blocks >= 20, "only {blocks} blocks: are they still marked as toml?");
}

#[test]
fn a_part_of_a_file_is_completed_and_not_forgiven() {
    let complete = |part: &str| Config::parse(&whole(part), "part");
    let sticky = complete("[pool.sticky]\nkey = [\"query:room\"]").unwrap();
    assert_eq!((sticky.pools.len(), keys(&sticky.pools[0])), (1, vec!["query:room".to_owned()]));
    let pool = complete("[[pool]]\nname = \"web\"\nbackend = [{ address = \"10.0.0.1:1\" }]").unwrap();
    assert_eq!((pool.pools[0].name.as_str(), pool.pools.len()), ("web", 1));
    assert!(complete("[pool.sticky]\nkey = [\"body:/room\"]").is_err());
    assert!(complete("[pool.stickiness]").is_err());
}

/// The reference shows a file with every default spelled out, then the shortest with the same meaning.
#[test]
fn the_defaults_of_the_reference_are_the_defaults() {
    let reference = fs::read_to_string(root("docs/configuration.md")).unwrap();
    let blocks = toml_blocks(&reference);
    let [spelled_out, shortest, ..] = &blocks[..] else { panic!("the two files are gone") };
    let meaning = |block: &str| format!("{:#?}", Config::parse(block, "docs/configuration.md").unwrap());
    assert_eq!(meaning(&spelled_out.1), meaning(&shortest.1));
}

/// As does the block of the proxy's own cookie, whose last table spells the defaults out.
#[test]
fn the_defaults_of_the_cookie_are_the_defaults() {
    let reference = fs::read_to_string(root("docs/configuration.md")).unwrap();
    let blocks = toml_blocks(&reference);
    let spelled_out =
        blocks.iter().map(|(_, block)| block).find(|block| block.contains("[pool.sticky.cookie]"));
    let (shortest, _) = spelled_out.unwrap().split_once("[pool.sticky.cookie]").unwrap();
    let meaning = |block: &str| format!("{:#?}", Config::parse(block, "docs/configuration.md").unwrap());
    assert_eq!(meaning(spelled_out.unwrap()), meaning(shortest));
}

/// What a row says is the default is what the file with every default spelled out has.
#[test]
fn the_defaults_of_the_rows_are_those_spelled_out() {
    let reference = fs::read_to_string(root("docs/configuration.md")).unwrap();
    let blocks = toml_blocks(&reference);
    let cookie = blocks.iter().position(|(_, block)| block.contains("[pool.sticky.cookie]")).unwrap();
    let spelled_out = [&blocks[0].1, &blocks[cookie].1].map(|block| DeTable::parse(block).unwrap());
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (table, key, default) in literal_defaults(&reference) {
        let path = table.split('.').filter(|part| !part.is_empty());
        let mut found = spelled_out.iter().filter_map(|file| value_at(file.get_ref(), path.clone(), key));
        let Some(value) = found.next() else { continue };
        compared += 1;
        let line = format!("x = {default}");
        let said = DeTable::parse(&line).map(|line| plain(line.get_ref()["x"].get_ref()));
        if said.as_ref().ok() != Some(&value) {
            wrong.push(format!("[{table}] {key}: {default} in its row, {value} spelled out"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared >= 50, "only {compared} rows were compared");
}

#[test]
fn the_reference_names_every_key_of_the_contract() {
    let reference = fs::read_to_string(root("docs/configuration.md")).unwrap();
    let contract = fs::read_to_string(root("tests/config/contract.toml")).unwrap();
    let mut keys = Vec::new();
    let table = DeTable::parse(&contract).unwrap();
    collect(table.get_ref(), &mut keys);
    let missing: Vec<_> = keys.into_iter().filter(|key| !reference.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}

#[test]
fn relative_links_lead_somewhere() {
    let mut lost = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let local = targets.filter(|target| !target.is_empty() && !target.contains(':'));
        // The screenshot is made by the page check.
        for target in local.filter(|target| *target != "docs/demo.png") {
            if !path.parent().unwrap().join(target).exists() {
                lost.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn links_to_sections_lead_to_one() {
    let mut lost = Vec::new();
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        let targets =
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let sections =
            targets.filter(|target| !target.contains(':')).filter_map(|target| target.split_once('#'));
        for (page, section) in sections {
            let page = if page.is_empty() { path.clone() } else { path.parent().unwrap().join(page) };
            if !anchors(&fs::read_to_string(&page).unwrap()).contains(section) {
                lost.push(format!("{}: {}#{section}", path.display(), page.display()));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

// === Helpers ===

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn example(name: &str) -> Config {
    Config::load(&root(&format!("examples/{name}.toml"))).unwrap()
}

fn keys(pool: &Pool) -> Vec<String> {
    pool.sticky.iter().flat_map(|sticky| &sticky.key).map(ToString::to_string).collect()
}

fn files_in(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files_in(".", "md");
    pages.extend(files_in("docs", "md"));
    pages
}

/// What a link to a section of a page may name: headings as code hosts spell them, and anchors set by hand.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let spelled = headings.map(|line| {
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    });
    let set = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    spelled.chain(set.map(str::to_owned)).collect()
}

/// A file made of a block: what begins with a pool is given a listener and a route to it, what has no pool either is
/// taken for the tables of one.
fn whole(block: &str) -> String {
    let has = |header: &str| block.lines().any(|line| line.starts_with(header));
    let listener = "[[listener]]\naddress = \"127.0.0.1:8080\"\n";
    let route = |pool: &str| format!("[[route]]\npool = {pool}\n");
    if !has("[[pool]]") {
        let backends = "[{ address = \"10.0.0.1:9000\" }, { address = \"10.0.0.2:9000\" }]";
        let pool = format!("[[pool]]\nname = \"app\"\nbackend = {backends}\n");
        return [listener, &route("\"app\""), &pool, block].concat();
    }
    let name = || block.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default();
    let listener = if has("[[listener]]") { "" } else { listener };
    let route = if has("[[route]]") { String::new() } else { route(name()) };
    [listener, &route, block].concat()
}

/// The content of each block fenced as `toml`, with the line it begins in.
fn toml_blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line.trim() == "```toml" {
            let inner = lines.by_ref().take_while(|(line, _)| line.trim() != "```");
            blocks.push((number + 1, inner.flat_map(|(line, _)| [line, "\n"]).collect()));
        }
    }
    blocks
}

/// Table, key and default of all rows whose default is a literal.
fn literal_defaults(reference: &str) -> Vec<(&str, &str, &str)> {
    let (mut table, mut is_of_keys, mut found) = ("", false, Vec::new());
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading.split('`').nth(1).unwrap_or_default();
            table = name.trim_matches(['[', ']']);
        }
        is_of_keys = line.starts_with('|') && (is_of_keys || line.starts_with("| key | type | default |"));
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let (true, [_, key, _, default, ..]) = (is_of_keys, &cells[..]) {
            let literal = default.strip_prefix('`').and_then(|rest| rest.split('`').next());
            found.extend(literal.map(|literal| (table, key.trim_matches('`'), literal)));
        }
    }
    found
}

/// The value of a key in the table at `path`, of which each part may be a list of tables.
fn value_at<'a>(table: &DeTable<'_>, mut path: impl Iterator<Item = &'a str>, key: &str) -> Option<String> {
    let Some(part) = path.next() else { return table.get(key).map(|value| plain(value.get_ref())) };
    let inner = match table.get(part)?.get_ref() {
        DeValue::Array(items) => items.first()?.get_ref().as_table()?,
        value => value.as_table()?,
    };
    value_at(inner, path, key)
}

/// A value, whichever way it is written.
fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string().replace('_', ""),
        DeValue::Array(items) => items.iter().map(|item| plain(item.get_ref())).collect::<Vec<_>>().join(","),
        other => format!("{other:?}"),
    }
}

/// Names of all keys in a table and in those within it.
fn collect(table: &DeTable<'_>, keys: &mut Vec<String>) {
    for (key, value) in table {
        keys.push(key.get_ref().to_string());
        collect_within(value.get_ref(), keys);
    }
}

fn collect_within(value: &DeValue<'_>, keys: &mut Vec<String>) {
    match value {
        DeValue::Table(table) => collect(table, keys),
        DeValue::Array(items) => items.iter().for_each(|item| collect_within(item.get_ref(), keys)),
        _ => {}
    }
}
