//! The configuration bounds the number of series, whatever clients and backends do.

use std::collections::BTreeSet;

use crate::page::Page;
use crate::support::{Backend, Proxy, Setup};

/// Series of one backend: 5 classes, 16 of a histogram, 3 changes of health, 4 kinds of check, 4 healths, 3 states, and
/// 9 more; 2 while it leaves.
const OF_BACKEND: usize = 5 + 16 + 3 + 4 + 4 + 3 + 9;
/// Series of one pool: 5 classes, 2 histograms, 4 kinds of loss, 7 of closing, 11 more; and its decisions: keys of one
/// kind of source can be bound, placed or rebound, and without a key there is one way.
const OF_POOL: usize = 5 + 2 * 16 + 4 + 7 + 11 + (3 + 1);
/// Series of one worker.
const OF_WORKER: usize = 4;

fn fleet(pools: usize, backends: usize, workers: usize) -> Proxy {
    use std::fmt::Write as _;
    let mut toml = format!("[server]\nworkers = {workers}\n[admin]\naddress = \"127.0.0.1:0\"\n");
    toml += "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\npool = \"pool-0\"\n";
    for pool in 0..pools {
        let _ = writeln!(toml, "[[pool]]\nname = \"pool-{pool}\"\nsticky = {{ key = [\"header:x-room\"] }}");
        for backend in 0..backends {
            let _ = writeln!(
                toml,
                "[[pool.backend]]\nname = \"b-{backend}\"\naddress = \"127.0.0.1:{}\"",
                backend + 1
            );
        }
    }
    Setup::start_toml(&toml)
}

fn series(proxy: &Proxy) -> usize {
    Page::of(proxy).samples().count()
}

#[test]
fn series_grow_with_the_configuration_and_with_nothing_else() {
    let least = series(&fleet(1, 1, 1)) - OF_POOL - OF_BACKEND - OF_WORKER;
    for (pools, backends, workers) in [(1, 2, 1), (3, 1, 2), (4, 5, 3)] {
        let expected = least + pools * (OF_POOL + backends * OF_BACKEND) + workers * OF_WORKER;
        assert_eq!(series(&fleet(pools, backends, workers)), expected, "{pools} × {backends} × {workers}");
    }
    assert!(least < 100, "{least} of the proxy as a whole");
}

#[test]
fn nothing_that_clients_or_backends_say_is_a_label() {
    const MARK: &str = "m4rk3d";
    let backend = Backend::start("a", |conn| {
        while conn.request().is_some() {
            let answer =
                format!("HTTP/1.1 799 {MARK}\r\nx-room: {MARK}-{}\r\ncontent-length: 0\r\n\r\n", conn.number);
            conn.send(answer);
        }
    });
    let proxy = Setup::of(&[&backend]).sticky("\"header:x-room\", \"path:/game/{room}\"").admin("").start();
    proxy.ask("GET / HTTP/1.1\r\nHost: h\r\nX-Room: 1\r\n\r\n");
    let before: BTreeSet<_> = labels(&proxy);
    for n in 0..30 {
        proxy.ask(format!(
            "{MARK}{n} /{MARK}/{n}?{MARK} HTTP/1.1\r\nHost: {MARK}{n}.test\r\nX-Room: {MARK}{n}\r\n\r\n"
        ));
        proxy.get(
            &format!("/game/{MARK}{n}"),
            &[&format!("User-Agent: {MARK}"), &format!("X-Request-Id: {MARK}")],
        );
        proxy.get(&format!("/a/../../{MARK}"), &[]);
        proxy.get("/", &["X-Forwarded-For: 192.0.2.77", &format!("Cookie: {MARK}={MARK}{n}")]);
        proxy.connect().send(format!("{MARK} nonsense\r\n\r\n"));
    }
    let after = labels(&proxy);
    let new: Vec<_> = after.difference(&before).collect();
    // What the first request could not know: the other source of the configuration, and what has no key.
    assert!(new.iter().all(|(label, value)| label == "source" && value == "path"), "{new:?}");
    let said = crate::page::ask(&proxy, "").text();
    for secret in [MARK, "192.0.2.77", "/game", "x-room", "127.0.0.1\""] {
        assert!(!said.contains(secret), "{secret} in\n{said}");
    }
    let page = Page::of(&proxy);
    assert!(page.count("homing_requests_total", "backend=a,class=5xx") > 30);
}

fn labels(proxy: &Proxy) -> BTreeSet<(String, String)> {
    let page = Page::of(proxy);
    page.samples().flat_map(|sample| sample.labels.clone()).collect()
}
