//! How long callers are waited for: for their heads, their bodies, and that they take their answers.

use std::time::Duration;

use homing::admin::{Admin, Patience};
use homing::config::Config;

use crate::support::{Backend, Client, Proxy, Setup, eventually};
use crate::{JSON, assert_refused, setup, told};

/// An admin listener beside the proxy's own, with another patience.
pub(crate) fn with(proxy: &Proxy, patience: Patience) -> Admin {
    let toml = setup(&[]).toml().replace("[[pool]]", "[[pool]]\nbackend = [{ address = \"127.0.0.1:1\" }]");
    let config = Config::parse(&toml, "test").unwrap();
    Admin::start_with(&config.admin.unwrap(), proxy.control(), patience).unwrap()
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let admin = with(&proxy, Patience { head: Duration::from_millis(50), ..Patience::default() });
    for begin in ["", "GET /healthz HTTP/1.1\r\nHost: local"] {
        let mut client = Client::connect(admin.address());
        assert!(!String::from_utf8_lossy(&client.send(begin).rest()).contains("200 OK"), "{begin:?}");
    }
    let answer =
        Client::connect(admin.address()).send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").response();
    assert_eq!(answer.status, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let backend = Backend::named("a");
    let proxy = setup(&[&backend]).start();
    let admin = with(&proxy, Patience { body: Duration::from_millis(50), ..Patience::default() });
    let mut client = Client::connect(admin.address());
    let head = "PUT /api/pools/app/backends/a/state HTTP/1.1\r\nHost: localhost\r\n";
    client.send(format!("{head}{JSON}\r\nContent-Length: 17\r\n\r\n{{\"state\":"));
    assert_refused(&told(&client.response()), 408, "in time");
    assert_eq!(proxy.status("a").state, "ready");
}

#[test]
fn an_answer_that_is_not_taken_is_dropped() {
    let fleet: Vec<String> = (0..12_000).map(|n| format!("backend-number-{n}")).collect();
    let address = "127.0.0.1:1".parse().unwrap();
    let backends: Vec<_> = fleet.iter().map(|name| (name.as_str(), address)).collect();
    let proxy = Setup::at(&backends).admin("").start();
    let admin = with(&proxy, Patience { take: Duration::from_millis(300), ..Patience::default() });
    let mut client = Client::connect(admin.address());
    client.send("GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let own = client.reader.source.local_addr().unwrap();
    let is_open = || crate::support::backend::is_established((admin.address(), own));
    eventually("it is answered", is_open);
    eventually("it is dropped", || !is_open());
    let (status, whole) = (client.head(), client.rest());
    assert!(whole.len() < status.length().unwrap(), "all of it was taken");
}
