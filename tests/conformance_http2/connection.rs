//! Frames that belong to the connection (§6.5, §6.7, §6.8, §6.9), and their sizes (§4.2).

use crate::case::{Case, Outcome::*, case, try_all};
use crate::support::raw_http2::*;

fn bare(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    frame(kind, flags, stream, vec![0; length])
}

#[test]
fn settings_are_understood_or_end_the_connection() {
    let twice = [settings(&[(4, 70_000)]), settings(&[(4, 80_000)])].concat();
    let max = 0x7fff_ffff;
    let cases: &[Case] = &[
        case("§6.5", "none is fine", settings(&[]), Nothing),
        case("§6.5", "the last of several counts", twice, Nothing),
        case("§6.5", "on a stream", bare(SETTINGS, 0, 1, 0), GoAway(&[PROTOCOL_ERROR])),
        case("§6.5", "an ACK with octets", bare(SETTINGS, ACK, 0, 6), GoAway(&[FRAME_SIZE_ERROR])),
        case("§6.5", "not a multiple of six", bare(SETTINGS, 0, 0, 5), GoAway(&[FRAME_SIZE_ERROR])),
        case("§6.5.2", "unknown ones are ignored", settings(&[(0xf0, 1), (0xffff, max)]), Nothing),
        case("§6.5.2", "ENABLE_PUSH 2", settings(&[(2, 2)]), GoAway(&[PROTOCOL_ERROR])),
        case("§6.5.2", "INITIAL_WINDOW_SIZE 2^31", settings(&[(4, max + 1)]), GoAway(&[FLOW_CONTROL_ERROR])),
        case("§6.5.2", "INITIAL_WINDOW_SIZE 2^31-1", settings(&[(4, max)]), Nothing),
        case("§6.5.2", "MAX_FRAME_SIZE 16383", settings(&[(5, 16_383)]), GoAway(&[PROTOCOL_ERROR])),
        case("§6.5.2", "MAX_FRAME_SIZE 2^24", settings(&[(5, 1 << 24)]), GoAway(&[PROTOCOL_ERROR])),
        case("§6.5.2", "MAX_FRAME_SIZE 2^24-1", settings(&[(5, (1 << 24) - 1)]), Nothing),
        case("§6.5.2", "HEADER_TABLE_SIZE 0", settings(&[(1, 0)]), Nothing),
        case("RFC 8441 §3", "ENABLE_CONNECT_PROTOCOL 2", settings(&[(8, 2)]), GoAway(&[PROTOCOL_ERROR])),
    ];
    try_all(cases);
}

#[test]
fn pings_are_answered() {
    let cases: &[Case] = &[
        case("§6.7", "with the same octets", frame(PING, 0, 0, b"8 octets"), Nothing),
        case("§6.7", "an answer to nothing is ignored", bare(PING, ACK, 0, 8), Nothing),
        case("§6.7", "on a stream", bare(PING, 0, 1, 8), GoAway(&[PROTOCOL_ERROR])),
        case("§6.7", "shorter than 8", bare(PING, 0, 0, 7), GoAway(&[FRAME_SIZE_ERROR])),
        case("§6.7", "longer than 8", bare(PING, 0, 0, 9), GoAway(&[FRAME_SIZE_ERROR])),
    ];
    try_all(cases);
    let backend = crate::support::Backend::named("a");
    let proxy = crate::support::Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    peer.send(frame(PING, 0, 0, b"8 octets")).until("it is answered", |peer| !peer.pongs.is_empty());
    assert_eq!(peer.pongs, [b"8 octets"]);
}

#[test]
fn windows_grow_within_limits() {
    let cases: &[Case] = &[
        case("§6.9", "by 1", window_update(0, 1), Nothing),
        case("§6.9", "by 0, on the connection", window_update(0, 0), GoAway(&[PROTOCOL_ERROR])),
        case("§6.9", "of a length other than 4", bare(WINDOW_UPDATE, 0, 0, 5), GoAway(&[FRAME_SIZE_ERROR])),
        case("§6.9.1", "beyond 2^31-1", window_update(0, 0x7fff_ffff), GoAway(&[FLOW_CONTROL_ERROR])),
        case("§5.1", "on an idle stream", window_update(9, 1), GoAway(&[PROTOCOL_ERROR])),
    ];
    try_all(cases);
}

#[test]
fn a_client_may_say_that_it_goes() {
    let going = [&[0; 8][..], b"bye"].concat();
    let cases: &[Case] = &[case("§6.8", "on a stream", bare(GOAWAY, 0, 1, 8), GoAway(&[PROTOCOL_ERROR]))];
    try_all(cases);
    // §6.8: what was begun is answered all the same.
    let backend = crate::support::Backend::start("a", |conn| {
        conn.request();
        conn.next.wait();
        conn.send(crate::support::backend::ok("a"));
    });
    let proxy = crate::support::Proxy::to(&backend);
    let mut peer = Peer::open(proxy.address);
    let stream = peer.ask(&get("/"));
    peer.send(frame(GOAWAY, 0, 0, going));
    peer.settle();
    backend.next.open();
    assert_eq!(peer.answer(stream).text(), "a");
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
    // Where nothing is under way, there is nothing to wait for.
    let mut peer = Peer::open(proxy.address);
    assert_eq!(peer.get("/").text(), "a");
    peer.send(frame(GOAWAY, 0, 0, [0; 8]));
    assert_eq!(peer.end(), End::GoAway(NO_ERROR));
}

#[test]
fn frames_have_a_size_and_a_kind() {
    let cases: &[Case] = &[
        case("§4.1", "an unknown kind is ignored", bare(0xbe, 0xff, 0, 100), Nothing),
        case("§4.1", "an unknown kind on a stream is ignored", bare(0xbe, 0xff, 7, 100), Nothing),
        case("§4.1", "unknown flags are ignored", bare(PING, 0xfe, 0, 8), Nothing),
        case("§4.1", "the reserved bit is ignored", frame(PING, 0, 1 << 31, [0; 8]), Nothing),
        case("§4.2", "longer than was agreed", bare(0xbe, 0, 0, 16_385), GoAway(&[FRAME_SIZE_ERROR])),
        case(
            "§4.2",
            "DATA longer than was agreed",
            [headers(1, 0, &request("POST", "/")), bare(DATA, 0, 1, 16_385)].concat(),
            GoAway(&[FRAME_SIZE_ERROR]),
        ),
        case("§6.4", "RST_STREAM of 3 octets", bare(RST_STREAM, 0, 1, 3), GoAway(&[FRAME_SIZE_ERROR])),
        case("§6.3", "PRIORITY of 4 octets", bare(PRIORITY, 0, 1, 4), GoAway(&[FRAME_SIZE_ERROR])),
        case("§5.3", "PRIORITY is ignored", bare(PRIORITY, 0, 3, 5), Nothing),
        case("§6.3", "PRIORITY of the connection", bare(PRIORITY, 0, 0, 5), GoAway(&[PROTOCOL_ERROR])),
        case(
            "§8.4",
            "a client pushes nothing",
            frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]),
            GoAway(&[PROTOCOL_ERROR]),
        ),
    ];
    try_all(cases);
}
