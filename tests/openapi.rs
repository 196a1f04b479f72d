//! docs/openapi.json against the admin listener: every route is an operation there and every operation a route, and
//! every answer is as it says, to the last field.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "openapi/calls.rs"]
mod calls;
#[path = "openapi/document.rs"]
mod document;
#[path = "openapi/hostile.rs"]
mod hostile;
#[path = "openapi/secrets.rs"]
mod secrets;

use crate::document::{Document, Operation};
use crate::support::process::File;
use crate::support::{Backend, Client, Proxy, Response, Setup};

const JSON: &str = "Content-Type: application/json";
const TOKEN: &str = "0123456789abcdef-a-token";

/// One call, with these fields beside `Host`.
fn call(client: &mut Client, method: &str, target: &str, fields: &[&str], body: &str) -> Response {
    let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
    let length = body.len();
    let host = if fields.contains("Host:") { "" } else { "Host: localhost\r\n" };
    client
        .send(format!("{method} {target} HTTP/1.1\r\n{host}{fields}Content-Length: {length}\r\n\r\n{body}"));
    if method == "HEAD" { client.response_to_head() } else { client.response() }
}

/// Two backends, sticky by a header.
fn setup(backends: &[&Backend]) -> Setup {
    Setup::of(backends).sticky("\"header:x-room\"").admin("")
}

/// A token is needed.
fn guarded(backends: &[&Backend]) -> Proxy {
    let token = File::with(TOKEN);
    setup(backends).admin(&format!("token_file = \"{}\"", token.path())).start()
}

/// A call as the document describes it that a guard, or the router, answers.
fn plain(proxy: &Proxy, operation: &Operation, fields: &[&str]) -> Response {
    let method = operation.method.to_uppercase();
    call(&mut proxy.connect_admin(), &method, &operation.target(), fields, "")
}

#[test]
fn who_may_not_call_is_told_so_as_described() {
    let backend = Backend::named("a");
    let (open, guarded, document) = (setup(&[&backend]).start(), guarded(&[&backend]), Document::read());
    for operation in document.operations() {
        let foreign = plain(&open, &operation, &["Host: evil.example", JSON]);
        assert_eq!(foreign.status, 421, "{operation}");
        document.check(&operation, &foreign);
        if !operation.is_open {
            let stranger = plain(&guarded, &operation, &[JSON]);
            assert_eq!(stranger.status, 401, "{operation}");
            document.check(&operation, &stranger);
        }
        if operation.changes() {
            for (fields, status) in
                [(&["Origin: http://evil.example", JSON][..], 403), (&["Content-Type: text/plain"], 415)]
            {
                let refused = plain(&open, &operation, fields);
                assert_eq!(refused.status, status, "{operation}");
                document.check(&operation, &refused);
            }
        }
    }
}

/// The router says itself which methods it knows.
#[test]
fn each_path_has_the_methods_that_are_described() {
    let backend = Backend::named("a");
    let (proxy, document) = (setup(&[&backend]).start(), Document::read());
    for (path, methods) in document.paths() {
        let target = Operation::of(&path, "get").target();
        let response = call(&mut proxy.connect_admin(), "PATCH", &target, &[JSON], "");
        let allowed: Vec<_> =
            response.field("allow").unwrap_or_default().split(',').map(str::to_owned).collect();
        let mut expected: Vec<_> = methods.iter().map(|method| method.to_uppercase()).collect();
        if methods.iter().any(|method| method == "get") {
            expected.push("HEAD".to_owned());
        }
        let sorted = |mut all: Vec<String>| {
            all.sort();
            all
        };
        assert_eq!((response.status, sorted(allowed)), (405, sorted(expected)), "{path}");
    }
}

#[test]
fn each_route_is_described() {
    let source = |name: &str| {
        std::fs::read_to_string(format!("{}/src/admin/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let (routes, dashboard) = (source("routes.rs"), source("dashboard.rs"));
    let written = |call: &str| {
        let name = call.split([',', ')']).next().unwrap().trim();
        name.strip_prefix('"').map_or_else(
            || {
                let name = name.rsplit("::").next().unwrap();
                let line = dashboard.lines().find(|line| line.contains(&format!("const {name}:"))).unwrap();
                line.split('"').nth(1).unwrap().to_owned()
            },
            |path| path.trim_end_matches('"').to_owned(),
        )
    };
    let described = Document::read().paths();
    let mut found: Vec<_> = routes.split(".route(").skip(1).map(written).collect();
    found.sort();
    let described: Vec<_> = described.into_keys().collect();
    assert_eq!(found, described, "routes of src/admin/routes.rs, and paths of docs/openapi.json");
}

#[test]
fn looking_at_the_head_is_like_looking_and_changes_nothing() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let (proxy, document) = (setup(&[&a, &b]).start(), Document::read());
    proxy.get("/", &["X-Room: 7"]);
    for operation in document.operations().into_iter().filter(|operation| operation.method == "get") {
        let head = call(&mut proxy.connect_admin(), "HEAD", &operation.target(), &[], "");
        if operation.path != "/api/events" {
            let whole = plain(&proxy, &operation, &[]);
            assert_eq!(
                (head.status, head.field("content-type")),
                (whole.status, whole.field("content-type")),
                "{operation}"
            );
        }
    }
    for operation in document.operations().into_iter().filter(Operation::changes) {
        let known =
            document.operations().iter().any(|other| other.path == operation.path && other.method == "get");
        for method in ["GET", "HEAD"].into_iter().filter(|_| !known) {
            let response = call(
                &mut proxy.connect_admin(),
                method,
                &operation.target(),
                &[JSON],
                r#"{"state":"maint"}"#,
            );
            assert_eq!(response.status, 405, "{method} {operation}");
        }
    }
    assert_eq!(proxy.status("a").state, "ready");
    assert!(proxy.control().session("app", b"7").unwrap().is_some());
}

#[test]
fn the_document_is_served_as_it_is() {
    let backend = Backend::named("a");
    let response = call(&mut setup(&[&backend]).start().connect_admin(), "GET", "/api/openapi.json", &[], "");
    let served: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, response.field("content-type")), (200, Some("application/json")));
    assert_eq!(&served, Document::read().whole());
}
