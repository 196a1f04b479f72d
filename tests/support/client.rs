//! A client that sends octets as they are given, and reads responses strictly.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::message::{Message, Reader, get};
use super::wait::DEADLINE;

/// A connection to a proxy.
pub struct Client<S = TcpStream> {
    pub reader: Reader<S>,
}

/// A response, with its status taken out.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub message: Message,
}

impl std::ops::Deref for Response {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: Reader::new(stream) }
    }

    /// Sends no more, but still reads.
    pub fn end(&mut self) {
        self.reader.source.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        let source = &mut self.reader.source;
        source.write_all(octets.as_ref()).and_then(|()| source.flush()).expect("the proxy reads");
        self
    }

    /// Reads a final response with its body; interim ones are skipped.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        loop {
            let response = self.one_response(false);
            if response.status >= 200 || response.status == 101 {
                return response;
            }
        }
    }

    /// Reads a response that has no body whatever its fields say.
    #[track_caller]
    pub fn response_to_head(&mut self) -> Response {
        self.one_response(true)
    }

    /// Reads the head of a response, interim ones included; its body is left where it is.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        let Some(head) = self.reader.head() else {
            let Reader { buffer, failed, .. } = &self.reader;
            panic!("no response ({failed:?}); left: {:?}", String::from_utf8_lossy(buffer))
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert!(head.starts_with("HTTP/1.") && status.is_some(), "not a status line: {head}");
        Response { status: status.unwrap(), message: Message { head, complete: true, ..Message::default() } }
    }

    #[track_caller]
    fn one_response(&mut self, bodiless: bool) -> Response {
        let mut response = self.head();
        if !bodiless && !matches!(response.status, 100..200 | 204 | 304) {
            let length = response.length();
            self.reader.body(&mut response.message, length);
        }
        response
    }

    /// Sends a `GET` and reads the response.
    #[track_caller]
    pub fn get(&mut self, target: &str, fields: &[&str]) -> Response {
        self.send(get(target, fields)).response()
    }

    /// Waits until the proxy closes, and returns what came before.
    pub fn rest(&mut self) -> Vec<u8> {
        self.reader.rest()
    }

    /// Whether the proxy closes without another octet.
    pub fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// `count` octets as they come.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        self.reader.take(count)
    }
}
