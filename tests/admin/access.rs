//! Who may call: tokens, other sites, forms, and names that lead here.

use serde_json::json;

use crate::support::process::File;
use crate::support::{Backend, Proxy};
use crate::{JSON, assert_refused, call, look, setup, told};

const TOKEN: &str = "0123456789abcdef";
const STATE: &str = "PUT /api/pools/app/backends/a/state";
const MAINT: &str = r#"{"state":"maint"}"#;

fn guarded(backend: &Backend) -> Proxy {
    let token = File::with(&format!("{TOKEN}\n"));
    setup(&[backend]).admin(&format!("token_file = \"{}\"", token.path())).start()
}

#[test]
fn with_a_token_only_those_who_show_it_are_answered() {
    let backend = Backend::named("a");
    let proxy = guarded(&backend);
    let long = format!("Authorization: Bearer {TOKEN}0");
    for fields in [
        &[][..],
        &["Authorization: Bearer 0123456789abcdeF"],
        &["Authorization: Bearer 0123456789abcde"],
        &[&long],
        &["Authorization: Bearer"],
        &["Authorization: Basic 0123456789abcdef"],
        &["Authorization: 0123456789abcdef"],
    ] {
        for target in ["GET /api/status", "GET /nothing", STATE] {
            let response = call(&proxy, target, &[fields, &[JSON]].concat(), MAINT);
            assert_eq!(response.field("www-authenticate"), Some("Bearer"), "{fields:?}");
            assert_refused(&told(&response), 401, "token");
        }
    }
    assert_eq!(proxy.status("a").state, "ready");
    for scheme in ["Bearer", "bearer"] {
        let shown = format!("Authorization: {scheme} {TOKEN}");
        assert_eq!(call(&proxy, "GET /api/status", &[&shown], "").status, 200);
        assert_eq!(call(&proxy, STATE, &[&shown, JSON], MAINT).status, 200);
    }
}

#[test]
fn probes_need_no_token() {
    let proxy = guarded(&Backend::named("a"));
    assert_eq!(look(&proxy, "/healthz"), (200, json!({ "ok": true })));
    assert_eq!(look(&proxy, "/readyz"), (200, json!({ "ready": true })));
}

#[test]
fn with_a_token_the_host_may_have_any_name() {
    let proxy = guarded(&Backend::named("a"));
    let request =
        format!("GET /api/status HTTP/1.1\r\nHost: proxy.example\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    assert_eq!(proxy.connect_admin().send(request).response().status, 200);
}

#[test]
fn without_a_token_the_host_is_an_address_or_localhost() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let status = |start: &str| {
        let response = proxy.connect_admin().send(format!("{start}\r\n\r\n")).response();
        told(&response).0
    };
    for host in ["localhost", "LocalHost:9900", "127.0.0.1:1", "[::1]:9900", "192.0.2.7"] {
        assert_eq!(status(&format!("GET /api/status HTTP/1.1\r\nHost: {host}")), 200, "{host}");
    }
    for host in ["evil.example", "evil.example:9900", "localhost.evil.example", "127.0.0.1.evil.example", ""]
    {
        assert_eq!(status(&format!("GET /api/status HTTP/1.1\r\nHost: {host}")), 421, "{host}");
    }
    assert_eq!(status("GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example"), 421);
    assert_eq!(status("GET http://evil.example/api/status HTTP/1.1\r\nHost: localhost"), 421);
    assert_eq!(status("GET /api/status HTTP/1.0"), 421);
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    for foreign in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://evil.example",
        "Origin: http://127.0.0.1:9999",
        "Origin: null",
        "Sec-Fetch-Site: same-origin\r\nOrigin: http://evil.example",
    ] {
        let order = call(&proxy, STATE, &[JSON, foreign], MAINT);
        assert_refused(&told(&order), 403, "another site");
        let end = call(&proxy, "DELETE /api/pools/app/sessions?key=1", &[JSON, foreign], "");
        assert_refused(&told(&end), 403, "another site");
    }
    assert_eq!(proxy.status("a").state, "ready");
    for own in ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", "Origin: http://127.0.0.1"] {
        assert_eq!(call(&proxy, STATE, &[JSON, own], MAINT).status, 200, "{own}");
    }
}

#[test]
fn what_changes_something_comes_as_json() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let calls = [STATE, "POST /api/explain", "POST /api/reload", "DELETE /api/pools/app/sessions?key=1"];
    for content in [
        "X: y",
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: application/jsonp",
        "Content-Type: text/plain; application/json",
        "Content-Type: text/plain\r\nContent-Type: application/json",
        "Content-Type: application/json\r\nContent-Type: text/plain",
    ] {
        for target in calls {
            assert_refused(&told(&call(&proxy, target, &[content], MAINT)), 415, "application/json");
        }
    }
    assert_eq!(proxy.status("a").state, "ready");
    let content = "content-type: Application/JSON; charset=utf-8";
    assert_eq!(call(&proxy, STATE, &[content], MAINT).status, 200);
}
