//! Host and request target: what is one request for one host, and that targets pass as they were sent.

use crate::support::{Backend, Message, Proxy};

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
        "/a%20b/%2F/%2e%2E/../c;d=e/",
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
