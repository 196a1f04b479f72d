//! Each operation as it is done, and each way in which one is refused that has to do with what it asks.

use std::collections::BTreeSet;
use std::time::Duration;

use homing::admin::{Admin, Patience};
use homing::config::Config;
use homing::server::Stop;

use crate::document::{Document, Operation};
use crate::support::events::Subscriber;
use crate::support::process::File;
use crate::support::{Backend, Client, Proxy, Setup, eventually};
use crate::{JSON, call, setup};

/// Calls, and notes what was answered to which.
struct Caller<'a> {
    document: &'a Document,
    seen: BTreeSet<(String, u16)>,
}

impl Caller<'_> {
    /// A call `METHOD PATH TARGET`, where the path is that of the document.
    #[track_caller]
    fn call(&mut self, proxy: &Proxy, (method, path, target): (&str, &str, &str), body: &str, expected: u16) {
        self.call_on(&mut proxy.connect_admin(), (method, path, target), body, expected);
    }

    #[track_caller]
    fn call_on(
        &mut self,
        client: &mut Client,
        (method, path, target): (&str, &str, &str),
        body: &str,
        expected: u16,
    ) {
        let operation = Operation::of(path, &method.to_lowercase());
        let response = call(client, method, target, &[JSON], body);
        assert_eq!(response.status, expected, "{operation}: {}", response.text());
        self.document.check(&operation, &response);
        self.seen.insert((operation.to_string(), expected));
    }
}

const POOL: &str = "/api/pools/{pool}";
const BACKEND: &str = "/api/pools/{pool}/backends/{backend}";
const STATE: &str = "/api/pools/{pool}/backends/{backend}/state";
const DRAINED: &str = "/api/pools/{pool}/backends/{backend}/drained";
const SESSIONS: &str = "/api/pools/{pool}/sessions";

fn looks(caller: &mut Caller<'_>, proxy: &Proxy) {
    for path in [
        "/healthz",
        "/readyz",
        "/api/status",
        "/api/pools",
        "/api/config",
        "/api/openapi.json",
        "/metrics",
        "/",
    ] {
        caller.call(proxy, ("GET", path, path), "", 200);
    }
    for (path, target) in [
        (POOL, "/api/pools/app"),
        (BACKEND, "/api/pools/app/backends/a"),
        (DRAINED, "/api/pools/app/backends/b/drained"),
        (SESSIONS, "/api/pools/app/sessions"),
        (SESSIONS, "/api/pools/app/sessions?key=7"),
    ] {
        caller.call(proxy, ("GET", path, target), "", 200);
    }
    for (path, target) in [
        (POOL, "/api/pools/no"),
        (BACKEND, "/api/pools/app/backends/no"),
        (DRAINED, "/api/pools/no/backends/a/drained"),
        (SESSIONS, "/api/pools/app/sessions?key=8"),
        ("/dashboard/{file}", "/dashboard/no"),
    ] {
        caller.call(proxy, ("GET", path, target), "", 404);
    }
    for (path, target) in [
        (POOL, "/api/pools/%ff"),
        (BACKEND, "/api/pools/app/backends/%ff"),
        (DRAINED, "/api/pools/app/backends/a/drained?wait=soon"),
        (SESSIONS, "/api/pools/app/sessions?limit=all"),
        ("/api/events", "/api/events?after=never"),
    ] {
        caller.call(proxy, ("GET", path, target), "", 400);
    }
    for file in ["app.js", "base.css", "icon.svg"] {
        caller.call(proxy, ("GET", "/dashboard/{file}", &format!("/dashboard/{file}")), "", 200);
    }
}

fn orders(caller: &mut Caller<'_>, proxy: &Proxy) {
    let state = "/api/pools/app/backends/a/state";
    let long = " ".repeat(65 << 10);
    caller.call(proxy, ("PUT", STATE, state), r#"{"state":"drain","timeout":"10m"}"#, 200);
    caller.call(proxy, ("GET", BACKEND, "/api/pools/app/backends/a"), "", 200);
    caller.call(proxy, ("PUT", STATE, state), r#"{"state":"gone"}"#, 400);
    caller.call(proxy, ("PUT", STATE, state), &long, 413);
    caller.call(proxy, ("PUT", STATE, "/api/pools/app/backends/no/state"), r#"{"state":"ready"}"#, 404);
    let sessions = "/api/pools/app/sessions";
    caller.call(proxy, ("DELETE", SESSIONS, sessions), "", 400);
    caller.call(proxy, ("DELETE", SESSIONS, &format!("{sessions}?key=8")), "", 404);
    caller.call(proxy, ("DELETE", SESSIONS, &format!("{sessions}?key=7")), "", 200);
    let explain = ("POST", "/api/explain", "/api/explain");
    for body in [r#"{"url":"/","headers":{"X-Room":["9"]}}"#, r#"{"url":"/","client_ip":"192.0.2.1"}"#] {
        caller.call(proxy, explain, body, 200);
    }
    caller.call(proxy, explain, r#"{"url":7}"#, 400);
    caller.call(proxy, explain, &long, 413);
    let reload = "/api/reload";
    caller.call(proxy, ("POST", reload, reload), "", 409);
    caller.call(proxy, ("POST", reload, "/api/reload?plan=perhaps"), "", 400);
}

/// A file that is read again: as it is, as it would be, changed, and wrong.
fn reloads(caller: &mut Caller<'_>, backends: [&Backend; 2]) {
    let [a, b] = backends;
    let file = File::with(&setup(&[a]).toml());
    let proxy = Proxy::of_file(&file.0);
    let reload = "/api/reload";
    caller.call(&proxy, ("POST", reload, reload), "", 200);
    std::fs::write(&file.0, setup(&[b]).toml()).unwrap();
    caller.call(&proxy, ("POST", reload, "/api/reload?plan=true"), "", 200);
    caller.call(&proxy, ("POST", reload, reload), "", 200);
    caller.call(&proxy, ("GET", "/api/status", "/api/status"), "", 200);
    std::fs::write(&file.0, setup(&[b]).toml().replace("weight = 1", "wieght = 1")).unwrap();
    caller.call(&proxy, ("POST", reload, reload), "", 422);
    caller.call(&proxy, ("GET", "/api/status", "/api/status"), "", 200);
    caller.call(&proxy, ("GET", "/api/config", "/api/config"), "", 200);
}

fn times_out(caller: &mut Caller<'_>, proxy: &Proxy) {
    let config = Config::parse(
        &setup(&[])
            .toml()
            .replace("name = \"app\"", "name = \"app\"\nbackend = [{ address = \"127.0.0.1:1\" }]"),
        "test",
    );
    let body = Duration::from_millis(50);
    let hasty = Admin::start_with(
        &config.unwrap().admin.unwrap(),
        proxy.control(),
        Patience { body, ..Patience::default() },
    )
    .unwrap();
    for (method, path, target) in
        [("PUT", STATE, "/api/pools/app/backends/a/state"), ("POST", "/api/explain", "/api/explain")]
    {
        let mut client = Client::connect(hasty.address());
        let late = client
            .send(format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 9\r\n\r\n{{"
            ))
            .response();
        assert_eq!(late.status, 408, "{}", late.text());
        let operation = Operation::of(path, &method.to_lowercase());
        caller.document.check(&operation, &late);
        caller.seen.insert((operation.to_string(), 408));
    }
}

fn crowds(caller: &mut Caller<'_>, proxy: &Proxy) {
    proxy.get("/", &["X-Room: crowd"]);
    caller.call(proxy, ("GET", DRAINED, "/api/pools/app/backends/a/drained"), "", 503);
    let followers: Vec<_> =
        (0..16).map(|_| Subscriber::open(proxy.connect_admin(), "/api/events", &[])).collect();
    caller.call(proxy, ("GET", "/api/events", "/api/events"), "", 503);
    drop(followers);
}

/// Every operation is done once, and every answer that it may give is seen: all but those that the guard gives, which are
/// seen elsewhere, and those that need a broken machine.
#[test]
fn every_operation_answers_as_described() {
    let (a, b, document) = (Backend::named("a"), Backend::named("b"), Document::read());
    let mut caller = Caller { document: &document, seen: BTreeSet::new() };
    let down = Backend::killed("a");
    let unready = setup(&[&down]).checks(1, 1).start();
    caller.call(&unready, ("GET", "/readyz", "/readyz"), "", 503);
    caller.call(&unready, ("GET", "/api/status", "/api/status"), "", 200);
    let only = setup(&[&a]).start();
    crowds(&mut caller, &only);
    times_out(&mut caller, &only);
    let proxy = setup(&[&a, &b]).table("health", "").table("slow_start", "duration = \"1h\"").start();
    proxy.until("a", "up");
    proxy.get("/", &["X-Room: 7"]);
    looks(&mut caller, &proxy);
    orders(&mut caller, &proxy);
    reloads(&mut caller, [&a, &b]);
    caller.seen.insert(("GET /api/events".to_owned(), 200));
    let given_elsewhere = ["401", "403", "415", "421", "500"];
    for operation in document.operations() {
        let statuses = document.described(&operation)["responses"].as_object().unwrap().keys();
        for status in statuses.filter(|status| !given_elsewhere.contains(&status.as_str())) {
            let wanted = (operation.to_string(), status.parse().unwrap());
            let never = (operation.to_string().as_str(), status.as_str()) == ("POST /api/reload", "503");
            assert!(never || caller.seen.contains(&wanted), "{operation} never answered {status}: is it so?");
        }
    }
}

/// Other modes have other settings, and no table.
#[test]
fn pools_of_every_kind_are_described() {
    let (a, document) = (Backend::named("a"), Document::read());
    let mut caller = Caller { document: &document, seen: BTreeSet::new() };
    for sticky in ["mode = \"hash\"\nkey = [\"client_ip\"]", "mode = \"cookie\"", "preset = \"socketio\""] {
        let proxy = Setup::of(&[&a]).table("sticky", sticky).admin("").start();
        for path in ["/api/status", "/api/config"] {
            caller.call(&proxy, ("GET", path, path), "", 200);
        }
        caller.call(&proxy, ("POST", "/api/explain", "/api/explain"), r#"{"url":"/"}"#, 200);
    }
    let config: serde_json::Value = {
        let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/full.toml");
        Config::load(&full).unwrap().effective()
    };
    document.check_value("tests/config/full.toml", &document.schema("Config"), &config);
}

#[test]
fn events_are_as_described() {
    let (a, b, document) = (Backend::named("a"), Backend::killed("b"), Document::read());
    let proxy = setup(&[&a, &b]).checks(1, 1).start();
    let mut events = Subscriber::open(proxy.connect_admin(), "/api/events", &[]);
    proxy.until("b", "down");
    call(
        &mut proxy.connect_admin(),
        "PUT",
        "/api/pools/app/backends/a/state",
        &[JSON],
        r#"{"state":"drain","timeout":"1h"}"#,
    );
    eventually("it is drained", || proxy.control().status().pools[0].backends[0].state == "drain");
    let mut kinds = BTreeSet::new();
    while !kinds.contains("drained") {
        let told = events.next().unwrap();
        if told.kind.is_empty() {
            continue;
        }
        document.check_value(&format!("event {}", told.kind), &document.schema("Event"), &told.data);
        assert_eq!(told.data["kind"], told.kind.as_str());
        kinds.insert(told.kind);
    }
    proxy.server().stop(Stop::Graceful);
    while let Some(told) = events.next() {
        if told.kind.is_empty() {
            continue;
        }
        document.check_value(&format!("event {}", told.kind), &document.schema("Event"), &told.data);
        kinds.insert(told.kind);
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["drained", "health", "state", "stopping"]);
}
