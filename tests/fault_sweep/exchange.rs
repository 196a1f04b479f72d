//! The exchanges that are swept, as octets of either side. The number of a case stands in both: whose answer it is.

/// What goes to and fro.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: &'static str,
    pub(crate) kind: Kind,
    /// How the body of the request is framed.
    asked: Body,
    /// How the body of the response is framed.
    answered: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first on its connection.
    Fresh,
    /// On a connection that has carried a request before.
    Again,
    /// Becomes a WebSocket.
    Upgrade,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Nothing,
    Length,
    Chunked,
}

pub(crate) const ALL: [Exchange; 6] = [
    Exchange { method: "GET", kind: Kind::Again, asked: Body::Nothing, answered: Body::Length },
    Exchange { method: "GET", kind: Kind::Fresh, asked: Body::Nothing, answered: Body::Chunked },
    Exchange { method: "POST", kind: Kind::Again, asked: Body::Length, answered: Body::Length },
    Exchange { method: "POST", kind: Kind::Fresh, asked: Body::Chunked, answered: Body::Chunked },
    Exchange { method: "PUT", kind: Kind::Again, asked: Body::Length, answered: Body::Nothing },
    Exchange { method: "GET", kind: Kind::Upgrade, asked: Body::Nothing, answered: Body::Nothing },
];

/// What the client says in a WebSocket: `hello`, masked with zeros.
pub(crate) const CLIENT_FRAMES: &[u8] = b"\x81\x85\0\0\0\0hello\x81\x80\0\0\0\0";
/// What the backend says: `hi`, and a ping.
pub(crate) const BACKEND_FRAMES: &[u8] = b"\x81\x02hi\x89\x01!";

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n";
const CLIENT_KEY: &str = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const BACKEND_KEY: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

impl Exchange {
    /// What the body of the answer is.
    pub(crate) fn answer(&self, number: usize) -> String {
        if matches!(self.answered, Body::Nothing) { String::new() } else { format!("of case {number}") }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match (self.kind, self.answered) {
            (Kind::Upgrade, _) => 101,
            (_, Body::Nothing) => 204,
            _ => 200,
        }
    }

    /// All that the client sends.
    pub(crate) fn client(&self, number: usize) -> Vec<u8> {
        [&self.request(number), self.frames(CLIENT_FRAMES)].concat()
    }

    /// All that the backend sends.
    pub(crate) fn backend(&self, number: usize) -> Vec<u8> {
        [self.response(number).as_bytes(), self.frames(BACKEND_FRAMES)].concat()
    }

    fn frames<'a>(&self, frames: &'a [u8]) -> &'a [u8] {
        if self.kind == Kind::Upgrade { frames } else { b"" }
    }

    /// Without what a WebSocket carries then.
    pub(crate) fn request(&self, number: usize) -> Vec<u8> {
        let (method, upgrade) = match self.kind {
            Kind::Upgrade => (self.method, [UPGRADE, CLIENT_KEY].concat()),
            _ => (self.method, String::new()),
        };
        let body = self.asked.framed(&format!("from {number}"));
        format!("{method} /case/{number} HTTP/1.1\r\nhost: h\r\n{upgrade}{body}").into_bytes()
    }

    /// Without what a WebSocket carries then.
    pub(crate) fn response(&self, number: usize) -> String {
        match (self.kind, self.answered) {
            (Kind::Upgrade, _) => format!("HTTP/1.1 101 Go\r\n{UPGRADE}{BACKEND_KEY}\r\n"),
            (_, Body::Nothing) => "HTTP/1.1 204 No\r\n\r\n".to_owned(),
            (_, framing) => format!("HTTP/1.1 200 OK\r\n{}", framing.framed(&self.answer(number))),
        }
    }
}

impl Body {
    /// The end of the head, and the body.
    fn framed(self, text: &str) -> String {
        let (one, other) = text.split_at(text.len() / 2);
        match self {
            Self::Nothing => "\r\n".to_owned(),
            Self::Length => format!("content-length: {}\r\n\r\n{text}", text.len()),
            Self::Chunked => {
                let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
                format!("transfer-encoding: chunked\r\n\r\n{}{}0\r\n\r\n", chunk(one), chunk(other))
            }
        }
    }
}
