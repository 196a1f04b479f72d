//! The backend of a case: answers by a script, and records every octet that comes. What it got is read strictly, and
//! one that gets nonsense closes the connection.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::strict::{self, Kind, Message, Source};
use crate::support::backend::ok;
use crate::support::{Backend, Conn};

/// Requests for this are not the case's: they ask whether all still works.
pub(crate) const PROBE: &str = "/probe";

/// What the backend does with one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Sent when the request's head is there.
    pub(crate) early: Vec<u8>,
    /// Sent when the whole request is there.
    pub(crate) late: Vec<u8>,
    /// Sent once the client has a response, to nobody's request; then it reads to the end.
    pub(crate) stray: Vec<u8>,
    pub(crate) after: After,
    /// Nothing is answered at all.
    pub(crate) is_silent: bool,
}

impl Answer {
    /// Whether there is anything in it.
    pub(crate) fn is_said(&self) -> bool {
        self.is_silent
            || !self.stray.is_empty()
            || !self.early.is_empty()
            || !self.late.is_empty()
            || self.after != After::GoOn
    }
}

/// What the backend does after it has answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum After {
    /// Waits for the next request.
    #[default]
    GoOn,
    /// Sends no more, and reads to the end.
    Close,
    /// Resets the connection.
    Reset,
}

/// What came to the backend.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Requests, whole and not, in the order of their heads; without those for [`PROBE`].
    pub(crate) requests: Vec<Message>,
    /// How each of them came.
    pub(crate) arrivals: Vec<Arrival>,
    /// What is wrong with what came.
    pub(crate) wrong: Vec<String>,
    /// The octets of each connection.
    pub(crate) connections: Vec<Vec<u8>>,
    answered: usize,
}

/// A backend with its record.
pub(crate) struct Recorder {
    pub(crate) backend: Backend,
    record: Arc<Mutex<Record>>,
}

/// How a request came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) connection: usize,
    /// Whether more had come behind it before it was answered.
    pub(crate) is_followed: bool,
}

impl Recorder {
    /// Answers the first requests with `answers`, the others with `ok`, and a probe with `probe`.
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = record.clone();
        let backend = Backend::start("a", move |conn| {
            let Ok(mut record) = shared.lock() else { return };
            record.connections.push(Vec::new());
            let number = record.connections.len() - 1;
            drop(record);
            Serving { conn, record: &shared, answers: &answers, number, begin: 0 }.serve();
        });
        Self { backend, record }
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }
}

/// One connection being served.
struct Serving<'a> {
    conn: &'a mut Conn,
    record: &'a Mutex<Record>,
    answers: &'a [Answer],
    /// Of the connection.
    number: usize,
    /// Where in its octets the present request begins.
    begin: usize,
}

/// Why a connection is not served any longer.
struct Over;

impl Serving<'_> {
    fn serve(&mut self) {
        while let Ok(()) = self.exchange() {}
        let mut record = self.record.lock().unwrap();
        let rest = &record.connections[self.number][self.begin..];
        if !rest.is_empty() {
            let wrong = format!("the backend got what is no request: {}", crate::octets::show(rest));
            record.wrong.push(wrong);
        }
    }

    fn exchange(&mut self) -> Result<(), Over> {
        let (mut request, mut used) = self.until(|_| true)?;
        let answer = self.choose(&request);
        let place = self.note(&request);
        self.conn.send(&answer.early);
        if answer.late.is_empty() && answer.after != After::GoOn {
            self.end(&answer, place)?;
        }
        if !request.whole {
            (request, used) =
                self.until(|request| request.whole).inspect_err(|Over| self.note_part(place))?;
            if let Some(place) = place {
                self.record.lock().unwrap().requests[place].clone_from(&request);
            }
        }
        self.begin += used;
        self.note_followers(place);
        self.conn.send(&answer.late);
        if answer.late.starts_with(b"HTTP/1.1 101 ") {
            self.tunnel(&answer, place)?;
        }
        self.end(&answer, place)
    }

    /// Reads until the request is as far as `enough` says.
    fn until(&mut self, enough: impl Fn(&Message) -> bool) -> Result<(Message, usize), Over> {
        loop {
            let read = {
                let record = self.record.lock().unwrap();
                let octets = &record.connections[self.number][self.begin..];
                strict::message(octets, Kind::Request, Source::Open)
            };
            match read {
                Ok(Some((message, used))) if enough(&message) => return Ok((message, used)),
                Ok(_) => self.read()?,
                Err(wrong) => {
                    self.record.lock().unwrap().wrong.push(format!("the backend got {wrong}"));
                    return Err(Over);
                }
            }
        }
    }

    fn read(&mut self) -> Result<(), Over> {
        let more = self.conn.reader.fill();
        let octets = std::mem::take(&mut self.conn.reader.buffer);
        self.record.lock().unwrap().connections[self.number].extend(octets);
        if more { Ok(()) } else { Err(Over) }
    }

    fn choose(&mut self, request: &Message) -> Answer {
        let plain = |body| Answer { late: ok(body).into(), ..Answer::default() };
        if request.second().starts_with(PROBE) {
            return plain("probe");
        }
        let mut record = self.record.lock().unwrap();
        record.answered += 1;
        self.answers.get(record.answered - 1).cloned().unwrap_or_else(|| plain("ok"))
    }

    /// Notes a request of the case; returns its place in the record.
    fn note(&mut self, request: &Message) -> Option<usize> {
        if request.second().starts_with(PROBE) {
            return None;
        }
        let mut record = self.record.lock().unwrap();
        record.requests.push(request.clone());
        record.arrivals.push(Arrival { connection: self.number, is_followed: false });
        Some(record.requests.len() - 1)
    }

    fn note_followers(&self, place: Option<usize>) {
        let mut record = self.record.lock().unwrap();
        let is_followed = record.connections[self.number].len() > self.begin;
        if let Some(place) = place {
            record.arrivals[place].is_followed = is_followed;
        }
    }

    /// Notes all there is of a request that will not be whole.
    fn note_part(&mut self, place: Option<usize>) {
        let mut record = self.record.lock().unwrap();
        let octets = &record.connections[self.number][self.begin..];
        if let (Some(place), Ok(Some((part, used)))) =
            (place, strict::message(octets, Kind::Request, Source::Ended))
        {
            record.requests[place] = part;
            self.begin += used;
        }
    }

    /// All that comes is taken for more of the body of the request that asked for the tunnel.
    fn tunnel(&mut self, answer: &Answer, place: Option<usize>) -> Result<(), Over> {
        if answer.after == After::Close {
            let _ = self.conn.reader.source.shutdown(Shutdown::Write);
        }
        while self.read().is_ok() {}
        let mut record = self.record.lock().unwrap();
        let carried = record.connections[self.number].split_off(self.begin);
        if let Some(place) = place {
            record.requests[place].body.extend(carried);
        }
        Err(Over)
    }

    fn end(&mut self, answer: &Answer, place: Option<usize>) -> Result<(), Over> {
        if !answer.stray.is_empty() {
            self.conn.next.wait();
            self.conn.send(&answer.stray);
            while self.read().is_ok() {}
            return Err(Over);
        }
        match answer.after {
            After::GoOn => return Ok(()),
            After::Close => {
                let _ = self.conn.reader.source.flush();
                let _ = self.conn.reader.source.shutdown(Shutdown::Write);
                while self.read().is_ok() {}
            }
            After::Reset => self.conn.reset(),
        }
        self.note_part(place.filter(|_| answer.late.is_empty()));
        Err(Over)
    }
}
