//! The dashboard's files: that all are there, of the right type, under a strict policy, and open to all. What they do is
//! checked in a browser, by `e2e/dashboard`.

use crate::support::process::File;
use crate::support::{Backend, Proxy, Response};
use crate::{assert_refused, call, setup, told};

const TOKEN: &str = "0123456789abcdef";

fn guarded() -> Proxy {
    let token = File::with(TOKEN);
    setup(&[&Backend::named("a")]).admin(&format!("token_file = \"{}\"", token.path())).start()
}

#[track_caller]
fn served(proxy: &Proxy, target: &str, media_type: &str) -> Response {
    let response = call(proxy, &format!("GET {target}"), &[], "");
    assert_eq!(response.status, 200, "{target}");
    assert_eq!(response.field("content-type"), Some(media_type), "{target}");
    assert_eq!(response.field("x-content-type-options"), Some("nosniff"), "{target}");
    assert_eq!(response.field("cache-control"), Some("no-cache"), "{target}");
    response
}

/// What stands in quotes behind this.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(['"', '\'']).next()).collect()
}

#[test]
fn the_page_and_all_that_it_asks_for_need_no_token() {
    let proxy = guarded();
    let page = served(&proxy, "/", "text/html; charset=utf-8").text();
    let (links, scripts) = (quoted(&page, " href=\"dashboard/"), quoted(&page, " src=\"dashboard/"));
    assert!(links.len() > 1 && scripts.contains(&"app.js"), "{links:?} {scripts:?}");
    let mut open: Vec<String> = links.into_iter().chain(scripts).map(str::to_owned).collect();
    let mut seen = Vec::new();
    while let Some(name) = open.pop() {
        if seen.contains(&name) {
            continue;
        }
        let media_type = match name.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        let text = served(&proxy, &format!("/dashboard/{name}"), media_type).text();
        open.extend(quoted(&text, " from './").into_iter().map(str::to_owned));
        seen.push(name);
    }
    assert!(seen.len() > 20, "every module of the page: {seen:?}");
    let missing = call(&proxy, "GET /dashboard/nothing.js", &[], "");
    assert_refused(&told(&missing), 404, "no such file");
    for target in ["/dashboard", "/index.html"] {
        assert_eq!(call(&proxy, &format!("GET {target}"), &[], "").status, 401, "{target}");
    }
}

#[test]
fn the_page_runs_nothing_but_its_own_files() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let response = served(&proxy, "/", "text/html; charset=utf-8");
    let policy = response.field("content-security-policy").unwrap().to_owned();
    for rule in [
        "default-src 'none'",
        "script-src 'self';",
        "style-src 'self';",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{rule} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(response.field("referrer-policy"), Some("no-referrer"));
    let page = response.text();
    assert!(
        !page.contains("<style") && !page.contains("style=") && !page.contains("<script>"),
        "nothing inline"
    );
    assert!(!page.contains("http:") && !page.contains("https:"), "nothing from elsewhere");
    let elsewhere = proxy.connect_admin().send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").response();
    assert_eq!(elsewhere.status, 421, "a name that somebody points at this machine");
}

#[test]
fn who_has_a_file_is_told_that_it_is_still_good() {
    let proxy = setup(&[&Backend::named("a")]).start();
    let tag = served(&proxy, "/dashboard/app.js", "text/javascript; charset=utf-8");
    let tag = tag.field("etag").unwrap();
    let again = call(&proxy, "GET /dashboard/app.js", &[&format!("If-None-Match: {tag}")], "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.field("etag"), Some(tag));
    let other = call(&proxy, "GET /dashboard/api.js", &[&format!("If-None-Match: {tag}")], "");
    assert_eq!(other.status, 200);
}

#[test]
fn files_can_only_be_read() {
    let proxy = setup(&[&Backend::named("a")]).start();
    for target in ["/", "/dashboard/app.js"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let response = call(&proxy, &format!("{method} {target}"), &[crate::JSON], "");
            assert_refused(&told(&response), 405, "other methods");
            assert_eq!(response.field("allow"), Some("GET,HEAD"), "{method} {target}");
        }
        let request = format!("HEAD {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let mut client = proxy.connect_admin();
        assert_eq!(client.send(request).response_to_head().status, 200);
        assert!(client.is_closed(), "{target}: a head alone");
    }
}
