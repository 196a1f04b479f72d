//! Where session keys are found: each source, several of them, and what a route says instead.

use crate::support::{Backend, Proxy, Setup};

/// A pool of five, so that a key that is missed is placed elsewhere soon.
struct Fleet {
    proxy: Proxy,
    _backends: Vec<Backend>,
}

impl Fleet {
    fn with(configure: impl FnOnce(Setup) -> Setup) -> Self {
        let backends: Vec<Backend> = ["a", "b", "c", "d", "e"].map(Backend::named).into();
        let setup = Setup::of(&backends.iter().collect::<Vec<_>>());
        Self { proxy: configure(setup).start(), _backends: backends }
    }

    fn keyed(key: &str) -> Self {
        Self::with(|setup| setup.sticky(key))
    }

    fn get(&self, target: &str, fields: &[&str]) -> String {
        self.proxy.get(target, fields).text()
    }

    /// Whether these requests have one session key: sixteen of each never leave one backend.
    fn are_one(&self, requests: &[(&str, &[&str])]) -> bool {
        let owner = self.get(requests[0].0, requests[0].1);
        let mut all = (0..16).flat_map(|_| requests);
        all.all(|(target, fields)| self.get(target, fields) == owner)
    }

    /// The source of the key of a request, if it has one.
    #[track_caller]
    fn source(&self, target: &str, fields: &[(&'static str, &str)]) -> Option<String> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, http::HeaderValue::from_str(value).unwrap());
        }
        self.proxy.explain(target, &headers).key_source
    }
}

#[test]
fn a_cookie_is_a_key() {
    let fleet = Fleet::keyed("\"cookie:sid\"");
    assert!(fleet.are_one(&[
        ("/", &["Cookie: sid=x"]),
        ("/other", &["Cookie: a=b; sid=x; c=d"]),
        ("/", &["Cookie: a=b", "Cookie: sid=\"x\""]),
    ]));
    assert!(!fleet.are_one(&[("/", &["Cookie: xsid=x; sid2=x"])]));
}

#[test]
fn a_header_is_a_key() {
    let fleet = Fleet::keyed("\"header:X-Room\"");
    assert!(fleet.are_one(&[("/", &["X-Room: 7"]), ("/other", &["x-room:   7 "])]));
    assert!(!fleet.are_one(&[("/", &[])]));
}

#[test]
fn a_query_parameter_is_a_key() {
    let fleet = Fleet::keyed("\"query:room\"");
    assert!(fleet.are_one(&[("/?room=a+b", &[]), ("/x?y=1&room=a%20b", &[])]));
    assert!(!fleet.are_one(&[("/?rooms=1", &[])]));
}

#[test]
fn a_part_of_the_path_is_a_key() {
    let fleet = Fleet::keyed("\"path:/game/{room}\"");
    assert!(fleet.are_one(&[("/game/7", &[]), ("/game/7/watch", &[]), ("/game/%37?x=y", &[])]));
    assert!(!fleet.are_one(&[("/games/7", &[])]));
}

#[test]
fn a_room_has_one_backend_whichever_way_it_is_spelt() {
    let fleet = Fleet::keyed("\"path:/game/{room}\"");
    let spellings =
        ["/game/7", "/game/%37", "//game/7", "/x/../game/7", "/./game/7", "/%67ame//7/", "/game/8/%2E./7"];
    assert!(fleet.are_one(&spellings.map(|target| (target, &[][..]))));
    assert!(fleet.are_one(&[("/game/group%2Fproject", &[]), ("//game/grou%70%2fproject/watch", &[])]));
    let sessions = || fleet.proxy.control().pool_status("app").unwrap().sessions;
    assert_eq!(sessions(), 2);
    assert!(!fleet.are_one(&[("/game%2F7", &[])]), "its only segment is `game/7`");
    assert_eq!(sessions(), 2);
}

#[test]
fn the_client_is_a_key() {
    let fleet = Fleet::with(|setup| setup.top("trusted_proxies = [\"127.0.0.1\"]").sticky("\"client_ip\""));
    assert!(fleet.are_one(&[("/", &[]), ("/x", &["Cookie: a=b"])]));
    assert!(fleet.are_one(&[
        ("/", &["X-Forwarded-For: 9.9.9.9, 1.2.3.4"]),
        ("/", &["X-Forwarded-For: 8.8.8.8, 1.2.3.4, 127.0.0.1"])
    ]));
    let spread: Vec<String> =
        (0..16).map(|n| fleet.get("/", &[&format!("X-Forwarded-For: 1.2.3.{n}")])).collect();
    assert!(spread.iter().any(|owner| *owner != spread[0]));
}

#[test]
fn an_untrusted_client_cannot_choose_its_key() {
    let fleet = Fleet::keyed("\"client_ip\"");
    assert!(fleet.are_one(&[
        ("/", &["X-Forwarded-For: 1.1.1.1"]),
        ("/", &["X-Forwarded-For: 2.2.2.2"]),
        ("/", &[])
    ]));
}

#[test]
fn the_host_is_a_key() {
    let fleet = Fleet::keyed("\"host\"");
    let get = |host: &str| fleet.proxy.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).text();
    for _ in 0..4 {
        assert_eq!(get("one.example"), get("ONE.example:8080"));
    }
    let spread: Vec<String> = (0..16).map(|n| get(&format!("{n}.example"))).collect();
    assert!(spread.iter().any(|owner| *owner != spread[0]));
}

#[test]
fn the_first_key_present_wins() {
    let fleet = Fleet::keyed("\"path:/game/{room}\", \"query:room\", \"cookie:sid\"");
    assert_eq!(fleet.source("/game/7?room=8", &[("cookie", "sid=9")]).as_deref(), Some("path:/game/{room}"));
    assert_eq!(fleet.source("/?room=8", &[("cookie", "sid=9")]).as_deref(), Some("query:room"));
    assert_eq!(fleet.source("/?room=", &[("cookie", "sid=9")]).as_deref(), Some("cookie:sid"));
    assert_eq!(fleet.source("/?room=", &[("cookie", "sid=")]), None);
    assert!(fleet.are_one(&[("/game/7", &["Cookie: sid=1"]), ("/game/7?room=8", &["Cookie: sid=2"])]));
}

#[test]
fn the_same_bytes_are_the_same_key_wherever_they_are_found() {
    let fleet = Fleet::keyed("\"path:/game/{room}\", \"query:room\", \"header:x-room\"");
    assert!(fleet.are_one(&[("/game/a%20b", &[]), ("/?room=a+b", &[]), ("/", &["X-Room: a b"])]));
}

#[test]
fn a_route_may_have_keys_of_its_own_or_none() {
    let routes = "[[route]]\npool = \"app\"\n\
                  [[route]]\npath = \"/own\"\npool = \"app\"\nkey = [\"query:own\"]\n\
                  [[route]]\npath = \"/free\"\npool = \"app\"\nkey = []";
    let fleet = Fleet::with(|setup| setup.routes(routes).sticky("\"query:room\""));
    assert_eq!(fleet.source("/?room=1&own=2", &[]).as_deref(), Some("query:room"));
    assert_eq!(fleet.source("/own?room=1&own=2", &[]).as_deref(), Some("query:own"));
    assert_eq!(fleet.source("/free?room=1", &[]), None);
    assert!(fleet.are_one(&[("/?room=1", &[]), ("/own?own=1", &[])]), "one table for both");
    assert!(!fleet.are_one(&[("/free?room=1", &[])]));
}

#[test]
fn octets_are_octets_wherever_they_are_found() {
    let backend = Backend::named("a");
    let proxy = Setup::of(&[&backend]).sticky("\"path:/game/{room}\", \"query:room\"").start();
    for target in ["/game/%FF", "/x?room=%FF", "/x?a=b&room=%ff"] {
        proxy.get(target, &[]);
    }
    assert_eq!(proxy.control().pool_status("app").unwrap().sessions, 1);
    proxy.get("/x?room=%FE", &[]);
    assert_eq!(proxy.control().pool_status("app").unwrap().sessions, 2);
}
