//! HTTP/1.1 messages as octets: an independent, strict reading of what the proxy sends. Shared by client and backend.

use std::io::{self, Read};

/// One message as it came: the head as text, the body without its framing.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Start line and fields, without the empty line.
    pub head: String,
    /// Without chunk sizes.
    pub body: Vec<u8>,
    /// Whether the body came to the end its framing promises.
    pub complete: bool,
    /// Fields behind the body.
    pub trailers: Vec<String>,
}

impl Message {
    pub fn start_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The request target.
    pub fn target(&self) -> &str {
        self.start_line().split(' ').nth(1).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.start_line().split(' ').next().unwrap_or_default()
    }

    /// The values of all fields called `name`, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.split("\r\n").skip(1).map(|line| line.split_once(':').unwrap_or((line, "")));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The value of the one field called `name`.
    ///
    /// # Panics
    /// If there are several.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "more than one {name}: {all:?}");
        all.first().copied()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|coding| coding == "chunked")
    }

    /// # Panics
    /// If a length is no number, or there is a coding beside it: both would be two framings of one message.
    #[track_caller]
    pub fn length(&self) -> Option<usize> {
        let length = self.field("content-length").map(|length| length.parse().expect("a length"));
        let coding = self.field("transfer-encoding");
        assert!(length.is_none() || coding.is_none(), "two framings: {}", self.head);
        length
    }
}

/// A source of octets with what was read too far.
#[derive(Debug)]
pub struct Reader<R> {
    pub source: R,
    pub buffer: Vec<u8>,
    /// The other side has ended, or is gone.
    pub ended: bool,
    /// How it went, if not in order.
    pub failed: Option<io::Error>,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), ended: false, failed: None }
    }

    /// Reads what is there; false at the end.
    ///
    /// # Panics
    /// If nothing comes in time.
    #[track_caller]
    pub fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.source.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("nothing came in time; so far: {:?}", String::from_utf8_lossy(&self.buffer))
            }
            // A read with a time-out is not resumed after its process was stopped for a while.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => (self.ended, self.failed) = (true, Some(error)),
        }
        !self.ended
    }

    /// What is there up to and including `end`; `None` if the source ends before.
    pub fn through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// `count` octets, or as many as came before the end.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        let there = count.min(self.buffer.len());
        self.buffer.drain(..there).collect()
    }

    /// Everything up to the end.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// A head with its empty line; `None` if the source ends before.
    pub fn head(&mut self) -> Option<String> {
        let mut head = self.through(b"\r\n\r\n")?;
        head.truncate(head.len() - 4);
        Some(String::from_utf8(head).expect("a head is text"))
    }

    /// The body that belongs to the head of `message`. `None` as `length`: there is no framing, it goes to the end.
    pub fn body(&mut self, message: &mut Message, length: Option<usize>) {
        if message.is_chunked() {
            let trailers = self.chunks(&mut message.body);
            message.complete = trailers.is_some();
            message.trailers = trailers.unwrap_or_default();
        } else if let Some(length) = length {
            message.body = self.take(length);
            message.complete = message.body.len() == length;
        } else {
            message.body = self.rest();
            message.complete = true;
        }
    }

    /// Decodes chunks strictly, without extensions, and returns the trailer fields. `None` if the end does not come.
    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<Vec<String>> {
        loop {
            let line = self.through(b"\r\n")?;
            let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("a size is text");
            let size =
                usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{digits:?} is no chunk size"));
            let data = self.take(size);
            body.extend_from_slice(&data);
            if data.len() < size {
                return None;
            }
            if size == 0 {
                return self.trailers();
            }
            let end = self.take(2);
            if end.len() < 2 {
                return None;
            }
            assert_eq!(end, b"\r\n", "a chunk ends with CRLF");
        }
    }

    /// Lines up to an empty one.
    fn trailers(&mut self) -> Option<Vec<String>> {
        let mut trailers = Vec::new();
        loop {
            let mut line = self.through(b"\r\n")?;
            line.truncate(line.len() - 2);
            if line.is_empty() {
                return Some(trailers);
            }
            trailers.push(String::from_utf8(line).expect("a trailer field is text"));
        }
    }
}

/// A `GET` with a `Host`, and `fields` each on a line of its own.
pub fn get(target: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
    format!("GET {target} HTTP/1.1\r\nHost: homing.test\r\n{fields}\r\n")
}
