//! Octets of a backend → what the client gets: the one response that is in them, an error of the proxy's, or a break
//! that cannot be missed; and what was left over reaches nobody else.

use std::sync::OnceLock;

use super::edge::{Edge, final_response};
use super::message::{Message, Rules, Source, Stop, To};
use super::recorder::{DEADLINE, Script, Then};

static EDGE: OnceLock<Edge> = OnceLock::new();

/// What the client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Get,
    Head,
    Post,
    WebSocket,
}

/// The first octet says what is asked for, and whether the backend keeps the connection; the others are its answer.
pub fn run(input: &[u8]) {
    let Some((&how, octets)) = input.split_first() else { return };
    let edge = EDGE.get_or_init(Edge::start);
    let asked = Asked::of(how);
    let open = final_response(octets, Rules::Received, (asked.to(), Source::Open));
    // Who waits for more would wait in vain, so there is no more.
    let then = if how & 4 == 0 && open.is_ok() { Then::Keep } else { Then::Close };
    let source = if then == Then::Keep { Source::Open } else { Source::Ended };
    let meant = final_response(octets, Rules::Received, (asked.to(), source));
    edge.backend.follow(Script { octets: octets.to_vec(), then });
    let mut client = edge.client();
    client.send(asked.request());
    let answer = client.answer(asked.to(), DEADLINE);
    check(asked, &answer, meant.as_ref().ok(), &client.received);
    if answer.is_ok_and(|answer| answer.status() != 101) {
        client.end();
        client.fill_to_the_end();
    }
    drop(client);
    edge.serves_others();
    edge.serves_others();
}

impl Asked {
    fn of(how: u8) -> Self {
        match how & 3 {
            0 => Self::Get,
            1 => Self::Head,
            2 => Self::Post,
            _ => Self::WebSocket,
        }
    }

    fn to(self) -> To {
        if self == Self::Head { To::Head } else { To::Other }
    }

    fn request(self) -> &'static [u8] {
        match self {
            Self::Get => b"GET /scripted HTTP/1.1\r\nhost: h\r\n\r\n",
            Self::Head => b"HEAD /scripted HTTP/1.1\r\nhost: h\r\n\r\n",
            Self::Post => b"POST /scripted HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab",
            Self::WebSocket => {
                b"GET /scripted HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
        }
    }
}

fn check(asked: Asked, answer: &Result<Message, Stop>, meant: Option<&Message>, received: &[u8]) {
    let shown = || received.escape_ascii();
    let answer = match answer {
        Ok(answer) => answer,
        Err(Stop::More) => return check_beginning(asked, meant, received),
        Err(Stop::Wrong(why)) => panic!("the client got no response: {why}: {}", shown()),
    };
    assert!(!answer.is_last, "its end cannot be told from a break: {}", shown());
    if answer.is_error() {
        return;
    }
    let Some(meant) = meant else { panic!("the backend never said this: {}", shown()) };
    assert_eq!(answer.status(), meant.status(), "another status: {}", shown());
    assert_eq!(answer.body, meant.body, "another body: {}", shown());
    if answer.status() == 101 {
        assert_eq!(asked, Asked::WebSocket, "nobody asked for it: {}", shown());
        assert!(meant.lists("upgrade", "websocket"), "not to this protocol: {}", shown());
    } else {
        assert_eq!(answer.length, received.len(), "octets behind the answer: {}", shown());
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "upgrade"] {
        let is_tunnel = answer.status() == 101 && name == "upgrade";
        assert!(answer.all(name).is_empty() || is_tunnel, "{name} belongs to one hop: {}", shown());
    }
}

/// What breaks off must not have come further than the backend's own words.
fn check_beginning(asked: Asked, meant: Option<&Message>, received: &[u8]) {
    let is_head = |meant: &Message| meant.body.is_empty() && asked != Asked::Head;
    let is_lost = meant.is_some_and(is_head) && received.is_empty();
    assert!(!is_lost, "neither an answer nor an error, though the backend's was whole");
}
