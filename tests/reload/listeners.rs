//! Listeners that a reload adds, removes and changes, without touching the others.

use std::net::{SocketAddr, TcpListener, TcpStream};

use homing::server::{ApplyError, ReloadError};

use crate::support::authority::Authority;
use crate::support::backend::ok;
use crate::support::secure::Hello;
use crate::support::websocket::{Tunnel, echo};
use crate::support::{Backend, Client, Events, Setup, eventually, get};
use crate::{Filed, setup};

/// A configuration with further listeners, each with its settings.
fn with(setup: &Setup, listeners: &[&str]) -> String {
    let more: Vec<_> = listeners.iter().map(|settings| format!("[[listener]]\n{settings}\n")).collect();
    setup.clone().routes(&format!("{}[[route]]\npool = \"app\"", more.concat())).toml()
}

const ANY: &str = "address = \"127.0.0.1:0\"";

fn addresses(filed: &Filed) -> Vec<SocketAddr> {
    filed.proxy.control().status().listeners.iter().map(|listener| listener.address).collect()
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn one_that_is_added_serves_and_the_others_go_on() {
    let a = Backend::named("a");
    let filed = Filed::start(&setup(&[&a]).toml());
    let mut kept = filed.proxy.connect();
    assert_eq!(kept.get("/", &[]).text(), "a");
    filed.write(&with(&setup(&[&a]), &[ANY])).reload();
    let [first, second] = addresses(&filed)[..] else { panic!("{:?}", addresses(&filed)) };
    assert_eq!((first, second.port() != 0), (filed.proxy.address, true));
    // As many as workers may be asked.
    for _ in 0..20 {
        assert_eq!(Client::connect(second).get("/", &[]).text(), "a");
    }
    assert_eq!(kept.get("/", &[]).text(), "a");
}

#[test]
fn one_that_is_removed_refuses_and_finishes_what_it_has() {
    let slow = Backend::start("a", |conn| {
        while let Some(request) = conn.request() {
            if request.target() == "/slow" {
                conn.next.wait();
            }
            conn.send(ok("a"));
        }
    });
    let filed = Filed::start(&with(&setup(&[&slow]), &[ANY]));
    let second = addresses(&filed)[1];
    let (mut other, mut idle, mut busy, mut fresh) =
        (filed.proxy.connect(), Client::connect(second), Client::connect(second), Client::connect(second));
    assert_eq!((other.get("/", &[]).status, idle.get("/", &[]).status), (200, 200));
    busy.send(get("/slow", &[]));
    eventually("it is asked", || slow.requests().iter().any(|request| request.target() == "/slow"));
    eventually("all are in", || filed.proxy.control().status().listeners[1].connections == 3);
    filed.write(&setup(&[&slow]).toml()).reload();
    let first = fresh.get("/", &[]);
    assert_eq!((first.status, first.field("connection")), (200, Some("close")), "it was let in");
    assert!(idle.is_closed() && fresh.is_closed());
    eventually("its port refuses", || refuses(second));
    slow.next.open();
    let last = busy.response();
    assert_eq!((last.status, last.field("connection")), (200, Some("close")));
    assert!(busy.is_closed());
    assert_eq!(other.get("/", &[]).text(), "a", "the other listener's connections stay");
    assert_eq!(addresses(&filed), [filed.proxy.address]);
}

#[test]
fn tunnels_outlive_their_listener() {
    let events = Events::default();
    let a = echo("a", &events);
    let filed = Filed::start(&with(&setup(&[&a]), &[ANY]));
    let second = addresses(&filed)[1];
    let mut tunnel = Tunnel::open(Client::connect(second), "/");
    tunnel.hear();
    filed.write(&setup(&[&a]).toml()).reload();
    eventually("its port refuses", || refuses(second));
    assert_eq!(tunnel.say("still here").hear(), "still here");
}

#[test]
fn one_of_an_address_that_has_just_gone_can_come_at_once() {
    let a = Backend::named("a");
    let filed = Filed::start(&with(&setup(&[&a]), &[ANY]));
    let second = addresses(&filed)[1];
    let again = format!("address = \"{second}\"");
    for _ in 0..5 {
        filed.write(&setup(&[&a]).toml()).reload();
        filed.write(&with(&setup(&[&a]), &[&again])).reload();
        assert_eq!(Client::connect(second).get("/", &[]).text(), "a");
    }
}

#[test]
fn a_port_that_another_has_refuses_all_of_it() {
    let [a, b] = ["a", "b"].map(Backend::named);
    let filed = Filed::start(&setup(&[&a]).toml());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listeners = [ANY, &format!("address = \"{address}\"")];
    let refused = filed.write(&with(&setup(&[&b]), &listeners)).try_reload().unwrap_err();
    assert!(matches!(&refused, ReloadError::Apply(ApplyError::Bind { address: at, .. }) if *at == address));
    assert!(refused.to_string().to_lowercase().contains("in use"), "{refused}");
    assert_eq!((filed.home(1).as_str(), addresses(&filed)), ("a", vec![filed.proxy.address]));
    let last = &filed.noted()[0];
    assert!(last["outcome"] == "refused" && last["error"].as_str().unwrap().contains(&address.to_string()));
    drop(taken);
    filed.reload();
    assert_eq!((filed.home(2).as_str(), addresses(&filed).len()), ("b", 3));
}

#[test]
fn one_that_is_changed_speaks_otherwise_to_those_who_come() {
    let a = Backend::named("a");
    let authority = Authority::new("test");
    let issued = authority.issue(&["homing.test"]);
    let filed = Filed::start(&with(&setup(&[&a]), &[ANY]));
    let second = addresses(&filed)[1];
    let mut former = Client::connect(second);
    assert_eq!(former.get("/", &[]).text(), "a");
    let (cert, key) = (issued.cert.display(), issued.key.display());
    let tls = format!("{ANY}\ntls = [{{ cert = '{cert}', key = '{key}' }}]\nhttp2 = false");
    let changes = filed.write(&with(&setup(&[&a]), &[&tls])).reload().changes;
    assert_eq!(changes.listeners.changed, ["127.0.0.1:0 (2)"]);
    assert_eq!(Hello::plain().connect(second).get("/", &[]).text(), "a");
    assert_eq!(former.get("/", &[]).text(), "a", "who is in goes on as before");
    let listener = &filed.proxy.control().status().listeners[1];
    assert!(listener.tls && !listener.http2 && listener.connections >= 1, "{listener:?}");
    assert_eq!(listener.certificates[0].names, ["homing.test"]);
    assert!(listener.certificates[0].not_after.is_some());
    assert_eq!(addresses(&filed), [filed.proxy.address, second]);
}
