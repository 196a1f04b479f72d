//! A subscriber to `GET /api/events`, that reads it as strictly as a browser does.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::client::Client;
use super::wait::DEADLINE;

/// A stream of events, read as they come.
pub struct Subscriber {
    pub client: Client,
    pending: String,
}

/// One event: its number, its kind and its data; a comment has only an empty kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    pub id: Option<u64>,
    pub kind: String,
    pub data: Value,
}

impl Subscriber {
    /// Asks with these fields; panics where the answer is no stream.
    #[track_caller]
    pub fn open(mut client: Client, target: &str, fields: &[&str]) -> Self {
        let fields: String = fields.iter().flat_map(|field| [field, "\r\n"]).collect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
        let head = client.head();
        assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{head:?}");
        assert_eq!(head.field("cache-control"), Some("no-store"), "{head:?}");
        Self { client, pending: String::new() }
    }

    /// The next event; none at the end of the stream, which must be a proper one.
    #[track_caller]
    pub fn next(&mut self) -> Option<Told> {
        while !self.pending.contains("\n\n") {
            let line = self.client.reader.through(b"\r\n").expect("the stream has an end of its own");
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let chunk = self.client.octets(size + 2);
            if size == 0 {
                return None;
            }
            self.pending.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        }
        let (event, rest) = self.pending.split_once("\n\n").unwrap();
        let fields: BTreeMap<_, _> = event.lines().filter_map(|line| line.split_once(": ")).collect();
        let told = Told {
            id: fields.get("id").map(|id| id.parse().unwrap()),
            kind: fields.get("event").copied().unwrap_or_default().to_owned(),
            data: fields.get("data").map_or(Value::Null, |data| serde_json::from_str(data).unwrap()),
        };
        self.pending = rest.to_owned();
        Some(told)
    }

    /// The data of the next event of a kind; others are passed over.
    #[track_caller]
    pub fn until(&mut self, kind: &str) -> Value {
        let begun = Instant::now();
        let mut others = Vec::new();
        while begun.elapsed() < DEADLINE {
            let told = self.next().unwrap_or_else(|| panic!("the end, and no {kind}: {others:?}"));
            if told.kind == kind {
                return told.data;
            }
            others.push(told);
        }
        panic!("no {kind}: {others:?}");
    }
}
