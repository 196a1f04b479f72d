//! How a tunnel is closed when its session has to go: between two frames of whatever kind, with a handshake, and then
//! the end of the connection.

use std::sync::{Arc, Mutex};

use homing::config::Wanted;

use super::rooms_of;
use crate::support::websocket::{AGREE, CLOSE, Frame, TEXT, Tunnel, frame, masked};
use crate::support::{Backend, Latch, Proxy, eventually};

/// Sends these octets into each tunnel, and waits for a latch between one and the next.
fn sending(parts: Vec<Vec<u8>>) -> (Backend, Latch) {
    let gate = Latch::new();
    let opened = gate.clone();
    let backend = Backend::start("a", move |conn| {
        conn.request();
        conn.send(format!("{AGREE}\r\n"));
        let (last, first) = parts.split_last().unwrap();
        for part in first {
            conn.send(part);
        }
        opened.wait();
        conn.send(last);
        conn.until_closed();
    });
    (backend, gate)
}

fn maintain(proxy: &Proxy) {
    proxy.control().set_state("app", "a", Wanted::Maint, None).unwrap();
}

/// A frame of a message in parts: `first` has the opcode, and none but the last has FIN.
fn part(octet: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(TEXT, payload);
    bytes[0] = octet;
    bytes
}

#[test]
fn a_close_comes_after_the_frame_under_way() {
    let whole = frame(TEXT, &vec![b'x'; 70_000]);
    let (head, tail) = whole.split_at(30_000);
    let (backend, gate) = sending(vec![head.to_vec(), tail.to_vec()]);
    let proxy = rooms_of(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    // Only a frame that has begun is under way.
    assert_eq!(tunnel.client.octets(head.len()), head);
    maintain(&proxy);
    gate.open();
    assert_eq!(tunnel.client.octets(tail.len()), tail);
    assert_eq!(tunnel.frame().and_then(|frame| frame.code()), Some(1012));
}

#[test]
fn a_close_may_stand_between_the_parts_of_a_message() {
    // RFC 6455 §5.4: control frames may be put into the middle of a fragmented message.
    for (first, second) in [(0x01, 0x00), (0x41, 0x00)] {
        let (backend, _gate) =
            sending(vec![part(first, b"begun"), part(second, b"more"), part(0x80, b"end")]);
        let proxy = rooms_of(&[&backend]).start();
        let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
        assert_eq!(tunnel.hear(), "begun");
        assert_eq!(tunnel.hear(), "more");
        maintain(&proxy);
        assert_eq!(tunnel.frame().and_then(|frame| frame.code()), Some(1012), "compressed: {first:x}");
    }
}

#[test]
fn the_connection_ends_after_the_handshake_and_not_before() {
    let (backend, _gate) = sending(vec![frame(TEXT, b"hello"), Vec::new()]);
    let proxy = rooms_of(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    assert_eq!(tunnel.hear(), "hello");
    maintain(&proxy);
    let close = tunnel.frame().unwrap();
    assert_eq!((close.opcode, close.code()), (CLOSE, Some(1012)));
    tunnel.client.reader.source.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let silent = std::io::Read::read(&mut tunnel.client.reader.source, &mut [0; 1]);
    assert!(silent.is_err(), "no end before the client has answered: {silent:?}");
    tunnel.client.send(masked(CLOSE, &close.payload));
    assert_eq!(tunnel.client.rest(), b"");
    eventually("it is counted", || proxy.status("a").tunnels_closed_total == 1);
    assert_eq!(proxy.status("a").tunnels_dropped_total, 0);
}

#[test]
fn a_client_that_does_not_answer_is_dropped_and_counted_so() {
    let (backend, _gate) = sending(vec![frame(TEXT, b"hello"), Vec::new()]);
    let proxy = rooms_of(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    assert_eq!(tunnel.hear(), "hello");
    maintain(&proxy);
    assert_eq!(tunnel.frame().and_then(|frame| frame.code()), Some(1012));
    eventually("it is dropped", || proxy.status("a").tunnels_dropped_total == 1);
    assert_eq!((tunnel.client.rest(), proxy.status("a").tunnels_closed_total), (Vec::new(), 0));
}

#[test]
fn a_frame_that_never_ends_is_not_waited_for() {
    let (backend, _gate) = sending(vec![frame(TEXT, &[b'x'; 1000])[..500].to_vec(), Vec::new()]);
    let proxy = rooms_of(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    tunnel.client.octets(500);
    maintain(&proxy);
    assert_eq!(tunnel.client.rest(), b"", "nothing is put into the frame");
    assert_eq!(proxy.status("a").tunnels_dropped_total, 1);
}

#[test]
fn the_backend_is_told_before_its_connection_ends() {
    let heard: Arc<Mutex<Vec<Frame>>> = Arc::default();
    let own = heard.clone();
    let backend = Backend::start("a", move |conn| {
        conn.request();
        conn.send(format!("{AGREE}\r\n"));
        while let Some(frame) = crate::support::websocket::read_frame(&mut conn.reader) {
            own.lock().unwrap().push(frame);
        }
    });
    let proxy = rooms_of(&[&backend]).start();
    let mut tunnel = Tunnel::open(proxy.connect(), "/game/7");
    tunnel.say("hi");
    eventually("it has heard", || heard.lock().unwrap().len() == 1);
    maintain(&proxy);
    eventually("it is told", || heard.lock().unwrap().last().and_then(Frame::code) == Some(1012));
    drop(tunnel);
}
