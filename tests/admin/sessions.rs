//! What there is in a session table: how it is spread, and a list.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Events, Proxy, Setup, eventually};
use crate::{assert_refused, change, look, setup};

const SESSIONS: &str = "/api/pools/app/sessions";

fn asked(proxy: &Proxy, query: &str) -> Value {
    let (status, told) = look(proxy, &format!("{SESSIONS}{query}"));
    assert_eq!(status, 200, "{told}");
    told
}

fn list(told: &Value) -> &Vec<Value> {
    told["list"].as_array().unwrap()
}

/// Opens so many sessions; how many each backend has then.
fn fill(proxy: &Proxy, count: usize) -> BTreeMap<String, usize> {
    let mut homes = BTreeMap::new();
    for room in 0..count {
        *homes.entry(proxy.get("/", &[&format!("X-Room: room-{room}")]).text()).or_default() += 1;
    }
    homes
}

#[test]
fn sessions_are_counted_by_backend_and_listed() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let proxy = setup(&[&a, &b]).start();
    let homes = fill(&proxy, 80);
    let told = asked(&proxy, "?limit=1000");
    assert_eq!(
        (&told["pool"], &told["sessions"], &told["capacity"]),
        (&json!("app"), &json!(80), &json!(1_000_000))
    );
    for told in told["backends"].as_array().unwrap() {
        let count = homes[told["backend"].as_str().unwrap()];
        assert_eq!(told["sessions"], count);
        let share = told["share"].as_f64().unwrap();
        assert!((share - count as f64 / 80.0).abs() < 1e-9, "{told}");
    }
    let of = |told: &Value, name: &str| list(told).iter().filter(|one| one["backend"] == name).count();
    assert_eq!((list(&told).len(), of(&told, "a"), of(&told, "b")), (80, homes["a"], homes["b"]));
    let hashes: BTreeSet<_> = list(&told).iter().map(|one| one["session"].as_str().unwrap()).collect();
    assert_eq!(hashes.len(), 80, "each is listed once");
    assert!(!told.to_string().contains("room-"), "a key is shown: {told}");
    let of_a = asked(&proxy, "?backend=a&limit=1000");
    assert_eq!((list(&of_a).len(), of(&of_a, "a")), (homes["a"], homes["a"]));
}

#[test]
fn a_list_has_a_bound() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    fill(&proxy, 60);
    assert_eq!(
        [asked(&proxy, ""), asked(&proxy, "?limit=7"), asked(&proxy, "?limit=0")]
            .map(|told| list(&told).len()),
        [50, 7, 0]
    );
    for (query, part) in [
        ("?limit=1001", "up to 1000"),
        ("?limit=-1", "limit"),
        ("?limit=", "limit"),
        ("?limit=1&limit=2", "twice"),
        ("?backend=%ff", "UTF-8"),
        ("?backend=%", "%25"),
        ("?page=2", "only \"key\", \"limit\", \"backend\""),
    ] {
        assert_refused(&look(&proxy, &format!("{SESSIONS}{query}")), 400, part);
    }
    assert_refused(&look(&proxy, &format!("{SESSIONS}?backend=c")), 404, "no backend \"c\"");
    assert_refused(
        &look(&Setup::of(&[&Backend::named("a")]).admin("").start(), SESSIONS),
        404,
        "no session table",
    );
}

#[test]
fn a_session_shows_what_is_live_of_it_and_that_its_backend_is_gone() {
    let (a, b) = (echo("a", &Events::default()), Backend::named("b"));
    let proxy = Setup::of(&[&a]).sticky("\"path:/chat/{room}\"").admin("").start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/chat/7");
    tunnel.hear();
    let one = list(&asked(&proxy, ""))[0].clone();
    assert_eq!((&one["backend"], &one["live"], &one["idle_seconds"]), (&json!("a"), &json!(1), &json!(0)));
    let found = look(&proxy, &format!("{SESSIONS}?key=7")).1;
    assert_eq!((&found["session"], &found["epoch"]), (&one["session"], &one["epoch"]), "the same by its key");
    proxy.apply(
        &Setup::of(&[&b])
            .sticky("\"path:/chat/{room}\"")
            .table("drain", "timeout = \"0s\"\nspread = \"0s\"")
            .admin(""),
    );
    drop(tunnel);
    eventually("its backend is gone", || {
        let told = asked(&proxy, "");
        list(&told).iter().all(|one| one["backend"].is_null())
    });
}

#[test]
fn the_list_and_the_log_have_one_hash_for_a_session() {
    let backend = Backend::named("a");
    let sealed = "mode = \"cookie\"";
    for sticky in ["mode = \"table\"\nkey = [\"header:x-room\"]", sealed] {
        let setup = Setup::of(&[&backend]).table("sticky", sticky).admin("");
        let (process, address) = Process::proxy(&setup);
        let first = crate::support::process::connect(address).get("/", &["X-Room: 7"]);
        let cookie = first.field("set-cookie").unwrap_or_default().split(';').next().unwrap().to_owned();
        let again = ["X-Room: 7".to_owned(), format!("Cookie: {cookie}")];
        crate::support::process::connect(address).get("/", &[&again[0], &again[1]]);
        let line = process.access(2).pop().unwrap();
        let told = crate::told(
            &process
                .connect_admin()
                .send(format!("GET {SESSIONS} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                .response(),
        )
        .1;
        let hash = list(&told)[0]["session"].as_str().unwrap();
        assert!(
            line.contains(&format!("key=\"{hash}\"")) || line.contains(&format!("key={hash}")),
            "{hash}: {line}"
        );
    }
}

#[test]
fn a_listed_session_can_be_ended_by_its_key_only() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    fill(&proxy, 1);
    assert_eq!(change(&proxy, &format!("DELETE {SESSIONS}?key=room-0"), "").0, 200);
    assert_eq!(list(&asked(&proxy, "")).len(), 0);
}
