//! Headers, whole, cut and malformed, and whom the proxy then takes the client for.

use crate::support::{Backend, Client, Proxy, get};
use crate::{binary, over_ipv4, wanting};

/// Sends a header and a request behind it; whom the backend was told of.
#[track_caller]
fn told(proxy: &Proxy, backend: &Backend, header: &[u8]) -> String {
    let mut client = proxy.connect();
    let asked = get("/", &["X-Forwarded-For: 6.6.6.6"]);
    assert_eq!(client.send([header, asked.as_bytes()].concat()).response().status, 200, "{header:?}");
    assert_eq!(client.get("/again", &[]).status, 200, "the header comes once");
    backend.requests().iter().rev().nth(1).unwrap().field("x-forwarded-for").unwrap().to_owned()
}

/// A TLV (§2.2): a type, a length, and so many octets.
fn tlv(kind: u8, length: u16) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes(), &vec![b'v'; length.into()]].concat()
}

/// Headers that name a client, with its address; and those that name nobody, so that the sender itself is the client.
fn good() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let ipv6 = |last: u8| [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last][..]].concat();
    let v6 = [ipv6(1), ipv6(2), vec![0, 1, 0, 2]].concat();
    let tlvs = [tlv(0x01, 2), tlv(0x04, 3), tlv(0xe0, 300)].concat();
    vec![
        ("§2.1 TCP4", b"PROXY TCP4 192.0.2.1 10.0.0.9 1111 443\r\n".to_vec(), Some("192.0.2.1")),
        ("§2.1 TCP6", b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 443\r\n".to_vec(), Some("2001:db8::1")),
        (
            "§2.1 the longest line",
            b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
                .to_vec(),
            Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ),
        ("§2.1 UNKNOWN", b"PROXY UNKNOWN\r\n".to_vec(), None),
        ("§2.1 UNKNOWN with addresses", b"PROXY UNKNOWN 192.0.2.1 10.0.0.9 1111 443\r\n".to_vec(), None),
        ("§2.2 IPv4", over_ipv4([192, 0, 2, 7], b""), Some("192.0.2.7")),
        ("§2.2 IPv6", binary(0x21, 0x21, &v6), Some("2001:db8::1")),
        ("§2.2 TLVs", over_ipv4([192, 0, 2, 8], &tlvs), Some("192.0.2.8")),
        ("§2.2 long TLVs", over_ipv4([192, 0, 2, 9], &tlv(0xe1, 3000)), Some("192.0.2.9")),
        ("§2.2 LOCAL", binary(0x20, 0, b""), None),
        ("§2.2 LOCAL with addresses", binary(0x20, 0x11, &[9; 12]), None),
        ("§2.2 an unspecified family", binary(0x21, 0, b""), None),
        ("§2.2 a Unix socket", binary(0x21, 0x31, &[0; 216]), None),
    ]
}

#[test]
fn the_client_is_whom_the_header_names() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).start();
    for (what, header, client) in good() {
        // This machine is trusted, so its own word counts where no client is named.
        let expected = client.map_or("6.6.6.6, 127.0.0.1".to_owned(), str::to_owned);
        assert_eq!(told(&proxy, &backend, &header), expected, "{what}");
    }
}

/// However it is cut, not one octet of the request is lost or taken for the header.
#[test]
fn headers_may_be_cut_anywhere() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).start();
    let headers = good();
    for (what, header, _) in [&headers[0], &headers[3], &headers[5], &headers[7]] {
        let whole = [header.as_slice(), get("/cut", &[]).as_bytes()].concat();
        let step = if header.len() > 100 { 29 } else { 1 };
        for cut in (1..header.len() + 4).step_by(step) {
            let mut client = proxy.connect();
            client.send(&whole[..cut]);
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert_eq!(client.send(&whole[cut..]).response().status, 200, "{what}, cut behind {cut}");
        }
    }
    assert!(backend.requests().iter().all(|request| request.start_line() == "GET /cut HTTP/1.1"));
}

#[test]
fn what_is_no_header_ends_the_connection() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).start();
    let request = get("/", &[]);
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("none", request.clone().into()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("§2.1 lower case", b"proxy TCP4 192.0.2.1 10.0.0.9 1111 443\r\n".to_vec()),
        ("§2.1 no such protocol", b"PROXY UDP4 192.0.2.1 10.0.0.9 1111 443\r\n".to_vec()),
        ("§2.1 an address that is none", b"PROXY TCP4 192.0.2.256 10.0.0.9 1111 443\r\n".to_vec()),
        ("§2.1 of the other family", b"PROXY TCP4 ::1 ::1 1111 443\r\n".to_vec()),
        ("§2.1 a port that is none", b"PROXY TCP4 192.0.2.1 10.0.0.9 65536 443\r\n".to_vec()),
        ("§2.1 a port too few", b"PROXY TCP4 192.0.2.1 10.0.0.9 1111\r\n".to_vec()),
        ("§2.1 something behind", b"PROXY TCP4 192.0.2.1 10.0.0.9 1111 443 x\r\n".to_vec()),
        ("§2.1 two spaces", b"PROXY TCP4  192.0.2.1 10.0.0.9 1111 443\r\n".to_vec()),
        ("§2.1 LF alone", b"PROXY TCP4 192.0.2.1 10.0.0.9 1111 443\n".to_vec()),
        ("§2.1 a line that does not end", long_line.into()),
        ("§2.2 version 1 in binary", binary(0x11, 0x11, &[0; 12])),
        ("§2.2 no such command", binary(0x22, 0x11, &[0; 12])),
        ("§2.2 addresses cut short", binary(0x21, 0x11, &[0; 11])),
        ("§2.2 longer than anybody needs", binary(0x21, 0x11, &[0; 8000])),
        ("§2.2 another signature", [b"\r\n\r\n\0\r\nQUIX\n".as_slice(), &[0x21, 0x11, 0, 0]].concat()),
    ];
    for (what, header) in cases {
        let mut client = proxy.connect();
        // Fails where the proxy has closed already.
        let _ =
            std::io::Write::write_all(&mut client.reader.source, &[&header[..], request.as_bytes()].concat());
        assert!(client.is_closed(), "{what}");
    }
    assert!(backend.requests().is_empty() && backend.garbage().is_empty());
    assert_eq!(told(&proxy, &backend, &good()[0].1), "192.0.2.1");
}

/// A header has as long as a request head, together with it.
#[test]
fn a_slow_header_is_cut_off() {
    let backend = Backend::named("a");
    let proxy = wanting(&[&backend]).limits("header_timeout = \"300ms\"\nkeep_alive = \"1h\"").start();
    let headers = good();
    for (what, header, _) in [&headers[0], &headers[5]] {
        for part in [0, 1, 14, 15, 16, header.len() - 1] {
            let mut client = proxy.connect();
            assert!(client.send(&header[..part]).is_closed(), "{what}: {part} octets");
        }
    }
    assert!(backend.connections() == 0);
}

/// Where none is wanted, one that comes is no request.
#[test]
fn headers_are_refused_where_none_is_wanted() {
    let backend = Backend::named("a");
    let proxy = Proxy::to(&backend);
    for (what, header, _) in good() {
        let mut client = Client::connect(proxy.address);
        client.send([header.as_slice(), get("/", &[]).as_bytes()].concat());
        assert_eq!(client.response().status, 400, "{what}");
        client.rest();
    }
    assert!(backend.requests().is_empty());
}
