//! What is written about metrics, and what is asked of them, is held against those that a proxy has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::page::Page;
use crate::support::authority::Authority;
use crate::support::process::File;
use crate::support::secure::Hello;
use crate::support::{Backend, Proxy, Setup};

/// A page with every metric there is: of a proxy with TLS, with traffic, and with a backend that leaves.
fn everything() -> Page {
    let (authority, backend) = (Authority::new("test"), Backend::named("a"));
    let issued = authority.issue(&["homing.test", "*.homing.test"]);
    let (cert, key) = (issued.cert.display(), issued.key.display());
    // It ends with the authority's folder.
    let folder = authority.file().with_file_name("state");
    let setup = Setup::of(&[&backend])
        .server(&format!("workers = 1\nstate_dir = \"{}\"", folder.display()))
        .listener(&format!("tls = [{{ cert = \"{cert}\", key = \"{key}\" }}]"))
        .sticky("\"header:x-room\"")
        .backend("a", "state = \"drain\"")
        .admin("");
    let file = File::with(&setup.toml());
    let proxy = Proxy::of_file(Path::new(file.path()));
    Hello::plain().connect(proxy.address).get("/", &["X-Room: 1"]);
    proxy.control().reload("api").unwrap();
    Page::of(&proxy)
}

fn text_of(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

// === The documentation ===

#[test]
fn every_metric_is_documented_and_nothing_else() {
    let page = everything();
    let families = page.families.iter().map(|(name, family)| {
        let labels =
            family.samples.iter().flat_map(|sample| sample.labels.keys()).filter(|label| *label != "le");
        (name.clone(), (family.kind.clone(), labels.cloned().collect::<BTreeSet<_>>()))
    });
    let known: BTreeMap<_, _> = families.collect();
    let text = text_of("docs/observability.md");
    let rows = text.lines().filter(|line| line.starts_with("| `homing_") || line.starts_with("| `process_"));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let labels = cells[3].split(", ").map(|label| label.trim_matches('`').to_owned());
            let labels: BTreeSet<_> = labels.filter(|label| !label.is_empty()).collect();
            (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
        })
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn words_of_closed_sets_are_documented() {
    let (page, text) = (everything(), text_of("docs/observability.md"));
    for (family, label) in [
        ("homing_limit_reached_total", "limit"),
        ("homing_tunnel_closes_total", "reason"),
        ("homing_rebinds_total", "cause"),
        ("homing_health_checks_total", "outcome"),
        ("homing_tls_handshakes_total", "outcome"),
        ("homing_reloads_total", "outcome"),
        ("homing_backend_state", "state"),
        ("homing_backend_health", "health"),
    ] {
        for sample in &page.families[family].samples {
            let word = format!("`{}`", sample.labels[label]);
            assert!(text.contains(&word), "{family}: {word} is not documented");
        }
    }
}

// === Queries ===

/// What a scrape adds to each series.
const SCRAPED: [&str; 2] = ["instance", "job"];

/// Checks that an expression asks for what there is: names, labels in selectors, and labels to group by.
fn check(expression: &str, names: &BTreeMap<String, BTreeSet<String>>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut asked, mut rest) = (Vec::new(), expression);
    while let Some(at) = ["homing_", "process_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        rest = &rest[at..];
        let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        let labels = names.get(name).unwrap_or_else(|| panic!("there is no {name}: {expression}"));
        rest = &rest[name.len()..];
        if let Some(selector) = rest.strip_prefix('{') {
            let (selector, after) = selector.split_once('}').expect("an end of the selector");
            for label in selector.split("\",").map(|pair| pair.split(['=', '!']).next().unwrap()) {
                let is_known = labels.contains(label) || SCRAPED.contains(&label);
                assert!(is_known, "{name} has no label {label:?}: {expression}");
            }
            rest = after;
        }
        asked.push(labels);
    }
    assert!(!asked.is_empty(), "it asks for nothing: {expression}");
    for group in expression.split(" by (").skip(1) {
        for label in group.split(')').next().unwrap().split(", ") {
            let is_known = SCRAPED.contains(&label) || asked.iter().any(|labels| labels.contains(label));
            assert!(is_known, "grouped by {label:?}, which is no label: {expression}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let names = everything().names();
    let dashboard: Value = serde_json::from_str(&text_of("packaging/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries: Vec<_> =
        panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()).collect();
    assert!(queries.len() > 40, "{}", queries.len());
    for query in queries {
        let expression = query["expr"].as_str().unwrap();
        check(expression, &names);
        let legend = query["legendFormat"].as_str().unwrap();
        for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            let is_told = expression.contains(label) || names.values().any(|labels| labels.contains(label));
            assert!(is_told || SCRAPED.contains(&label), "{label} in {legend}");
        }
        assert_eq!(query["datasource"]["uid"], "${datasource}");
    }
    let list = dashboard["templating"]["list"].as_array().unwrap();
    let pool = list.iter().find(|variable| variable["name"] == "pool").unwrap();
    check(pool["definition"].as_str().unwrap(), &names);
    check(dashboard["annotations"]["list"][0]["expr"].as_str().unwrap(), &names);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have ids of their own");
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[test]
fn alerts_ask_for_what_there_is_and_are_explained() {
    let names = everything().names();
    let rules: Rules = serde_saphyr::from_str(&text_of("packaging/alerts.yaml")).unwrap();
    let rules: Vec<_> = rules.groups.into_iter().flat_map(|group| group.rules).collect();
    for rule in &rules {
        check(&rule.expr, &names);
        assert!(["page", "ticket"].contains(&rule.labels["severity"].as_str()), "{}", rule.alert);
        assert!(!rule.annotations["summary"].is_empty());
    }
    let text = text_of("docs/observability.md");
    let explained: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("### Homing")).collect();
    let known: BTreeSet<_> = rules.iter().filter_map(|rule| rule.alert.strip_prefix("Homing")).collect();
    assert_eq!(explained, known);
}

#[test]
fn a_query_for_what_is_not_there_is_found() {
    let names = everything().names();
    for wrong in [
        "rate(homing_request_total[5m])",
        "homing_sessions{pol=\"x\"}",
        "homing_sessions{pool=\"x\",bckend=\"y\"}",
        "sum by (clas) (homing_requests_total)",
        "up",
    ] {
        assert!(std::panic::catch_unwind(|| check(wrong, &names)).is_err(), "{wrong}");
    }
}
