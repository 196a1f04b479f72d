//! Host and request target: what is one request for one host, and that targets pass as they were sent.

use crate::support::{Backend, Message, Proxy, Setup};

/// The status a request gets, and what the backend saw of it.
fn asked(request: &str) -> (u16, Vec<Message>) {
    let backend = Backend::named("a");
    let status = Proxy::to(&backend).ask(request).status;
    (status, backend.requests())
}

#[track_caller]
fn assert_refused(request: &str, status: u16) {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    let mut client = proxy.connect();
    assert_eq!(client.send(request).response().status, status, "{request:?}");
    assert!(client.is_closed(), "after {request:?} the connection cannot be trusted");
    assert!(backend.requests().is_empty(), "{request:?}");
}

/// What the backend gets as target and host.
#[track_caller]
fn forwarded(request: &str) -> (String, String) {
    let (status, requests) = asked(request);
    assert_eq!((status, requests.len()), (200, 1), "{request:?}");
    (requests[0].target().to_owned(), requests[0].field("host").unwrap().to_owned())
}

#[test]
fn there_must_be_one_valid_host() {
    assert_refused("GET / HTTP/1.1\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    for host in ["a b", "a/b", "u@a", "a:b", "a:1:2", "[::1", "a,b", "a?b", "a\\b"] {
        assert_refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
}

#[test]
fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
    for host in ["a.example", "A.Example:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "a_b", ""] {
        assert_eq!(forwarded(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).1, host);
    }
}

#[test]
fn old_clients_may_leave_the_host_out() {
    let (status, requests) = asked("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((status, requests[0].field("host")), (200, Some("")));
    assert_eq!(requests[0].start_line(), "GET / HTTP/1.1");
    assert_refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400);
}

#[test]
fn an_absolute_target_names_the_host() {
    let absolute = |target: &str| forwarded(&format!("GET {target} HTTP/1.1\r\nHost: other\r\n\r\n"));
    let is = |target: &str, host: &str| (target.to_owned(), host.to_owned());
    assert_eq!(absolute("http://a.example/x?y=%2f"), is("/x?y=%2f", "a.example"));
    assert_eq!(absolute("http://a.example:81"), is("/", "a.example:81"));
    assert_eq!(absolute("http://a.example?q"), is("/?q", "a.example"));
    assert_eq!(absolute("HTTPS://A.example/"), is("/", "A.example"));
    assert_eq!(forwarded("GET http://a.example/x HTTP/1.0\r\n\r\n"), is("/x", "a.example"));
}

#[test]
fn targets_that_are_nothing_to_forward_are_refused() {
    let refused = |target: &str| assert_refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    refused("*");
    refused("ftp://a.example/x");
    refused("http://user:word@a.example/");
    refused("a.example:80");
}

#[test]
fn options_may_ask_about_the_server_as_a_whole() {
    assert_eq!(forwarded("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").0, "*");
    assert_eq!(forwarded("OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n").0, "/x");
}

#[test]
fn connect_is_not_offered() {
    assert_refused("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 501);
}

#[test]
fn path_and_query_pass_as_they_are() {
    for target in [
        "/a%20b/%2F/x/%2e%2E/y/../c;d=e/",
        "/%61\\b/%2561/%FF",
        "/?",
        "/x?a=b&&c=%zz&d",
        "//double//slash/./dot",
        "/~!$&'()*+,;=:@-._",
        "/q?/?/path+and%2Bplus",
        "/[not]|quite^valid",
    ] {
        assert_eq!(forwarded(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).0, target);
    }
}

#[test]
fn methods_pass_as_they_are() {
    for method in ["PATCH", "PROPFIND", "M-SEARCH", "get", "TRACE"] {
        let (status, requests) = asked(&format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!((status, requests[0].method()), (200, method));
    }
}

/// Two pools: `site` has `/`, and `admin` has `/admin`.
struct Pools {
    proxy: Proxy,
    site: Backend,
    admin: Backend,
}

impl Pools {
    fn start() -> Self {
        let (site, admin) = (Backend::named("site"), Backend::named("admin"));
        let routes = format!(
            "[[route]]\npool = \"app\"\n[[route]]\npath = \"/admin\"\npool = \"admin\"\n\
             [[pool]]\nname = \"admin\"\nbackend = [{{ address = \"{}\" }}]",
            admin.address
        );
        Self { proxy: Setup::of(&[&site]).routes(&routes).start(), site, admin }
    }

    /// The pool that answers, which gets the target as it was sent, and which explaining names too.
    #[track_caller]
    fn pool(&self, target: &str) -> String {
        let pool = self.proxy.get(target, &[]).text();
        let backend = if pool == "admin" { &self.admin } else { &self.site };
        assert_eq!(backend.requests().last().unwrap().target(), target);
        let route = self.proxy.explain(target, &http::HeaderMap::new()).route;
        assert_eq!(route.as_deref(), Some(if pool == "admin" { "/admin" } else { "/" }), "{target}");
        pool
    }
}

#[test]
fn a_path_reaches_its_pool_whichever_way_it_is_spelt() {
    let pools = Pools::start();
    for target in [
        "/admin",
        "/admin/?x",
        "//admin",
        "///admin//x",
        "/./admin",
        "/x/../admin",
        "/x/y/../../admin",
        "/%61dmin",
        "/%61%64%6D%69%6e/x",
        "/admin%2Fx",
        "/admin%2f",
        "/%2Fadmin",
        "/%2e/admin",
        "/x/%2E%2e/admin",
        "/x/.%2e/%2561/../admin",
        "/admin/x/..",
        "/admin/.",
    ] {
        assert_eq!(pools.pool(target), "admin", "{target}");
    }
}

#[test]
fn what_is_another_path_is_not_taken_for_it() {
    let pools = Pools::start();
    for target in [
        "/",
        "//",
        "/Admin",
        "/admins",
        "/admin/../x",
        "/admin/..",
        "/admin/%2e%2E/",
        "/%2561dmin",
        "/admin%252Fx",
        "/admin;x",
        "/admin%3Bx",
        "/admin%20",
        "/admin\\x",
        "/x?/../admin",
        "/.admin",
        "/...//admin",
    ] {
        assert_eq!(pools.pool(target), "site", "{target}");
    }
}

#[test]
fn an_absolute_target_has_a_path_too() {
    let pools = Pools::start();
    let ask = |path: &str| pools.proxy.ask(format!("GET http://h{path} HTTP/1.1\r\nHost: h\r\n\r\n")).text();
    assert_eq!(ask("/x/../%61dmin"), "admin");
    assert_eq!(ask("/admin/.."), "site");
    assert_eq!(pools.admin.requests()[0].target(), "/x/../%61dmin");
}

#[test]
fn a_path_without_one_meaning_is_refused() {
    let pools = Pools::start();
    for target in [
        "/..",
        "/../admin",
        "/x/../../admin",
        "/%2e%2e/admin",
        "/admin%",
        "/%zzadmin",
        "/admin%0",
        "/admin%00",
        "/admin%0d%0aX:y",
        "/x/..%2Fadmin",
        "/x%2F../admin",
        "/x%2Fy/../admin",
        "/admin/..%2Fx",
        "/x/..\\admin",
        "/x/..%5Cadmin",
        "/x/..;/admin",
        "/x/..;a=b/admin",
        "/x//../admin",
    ] {
        assert_refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
        assert_eq!(pools.proxy.get(target, &[]).status, 400, "{target}");
        let explained = pools.proxy.explain(target, &http::HeaderMap::new());
        assert!(explained.route.is_none() && explained.detail.contains("400"), "{target}: {explained:?}");
    }
    assert!(pools.site.requests().is_empty() && pools.admin.requests().is_empty());
}
