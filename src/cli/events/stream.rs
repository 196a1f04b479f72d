//! Server-sent events out of octets as they come (WHATWG HTML, "Server-sent events"): the part of it that the proxy uses.

use std::collections::VecDeque;

/// Octets of a line, and of the data of one event, that are kept. What is longer is left out.
const LONGEST: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) id: Option<u64>,
    pub(super) kind: String,
    pub(super) data: String,
}

/// What has come so far of what is not told yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    is_too_long: bool,
    event: Told,
    told: VecDeque<Told>,
}

impl Lines {
    /// Takes more in. Carriage returns do not count; the proxy ends its lines by a line feed.
    pub(super) fn extend(&mut self, octets: &[u8]) {
        for &octet in octets {
            match octet {
                b'\n' => self.end_line(),
                b'\r' => {}
                _ if self.line.len() >= LONGEST => self.is_too_long = true,
                _ => self.line.push(octet),
            }
        }
    }

    /// The next event that is whole.
    pub(super) fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if std::mem::take(&mut self.is_too_long) {
            return;
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if !event.data.is_empty() {
                self.told.push_back(event);
            }
            return;
        }
        // A line that begins with a colon has a field without a name: a comment.
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.event.kind),
            "data" if self.event.data.len() + value.len() <= LONGEST => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(chunks: &[&str]) -> Vec<Told> {
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.extend(chunk.as_bytes());
        }
        std::iter::from_fn(|| lines.next_told()).collect()
    }

    #[test]
    fn events_come_in_any_pieces() {
        let whole = ": hello\n\nid: 7\nevent: state\ndata: {\"a\":\ndata: 1}\n\nid: 8\r\ndata:x\r\n\r\nid: 9\ndata: half";
        let expected = [
            Told { id: Some(7), kind: "state".into(), data: "{\"a\":\n1}".into() },
            Told { id: Some(8), kind: String::new(), data: "x".into() },
        ];
        assert_eq!(told(&[whole]), expected);
        let pieces: Vec<_> = whole.split_inclusive(|_| true).collect();
        assert_eq!(told(&pieces), expected);
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!("data: {long}\n\ndata: y\n\n");
        assert_eq!(told(&[&text]), [Told { data: "y".into(), ..Told::default() }]);
    }
}
