//! Runs one case: a client, a backend with its script, and the proxy or a relay between them.
//!
//! Whatever a case is about, two things are asked at its end: does an open connection answer another request, and does
//! another client get its own answer? So no case can pass that leaves something behind for somebody else.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::case::{Case, End, Extent, Step};
use crate::backend::{Arrival, PROBE, Recorder};
use crate::front::Front;
use crate::octets::show;
use crate::strict::{self, Kind, Message, Source};
use crate::support::{Setup, eventually};

/// What came of a case.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) responses: Vec<Message>,
    /// The octets of each response.
    pub(super) octets: Vec<Vec<u8>>,
    pub(super) requests: Vec<Message>,
    /// How each of them came.
    pub(super) arrivals: Vec<Arrival>,
    /// All octets the client got.
    pub(super) client: Vec<u8>,
    /// All octets the backend got, by connection.
    pub(super) backend: Vec<Vec<u8>>,
    /// What went wrong on the way.
    pub(super) wrong: Vec<String>,
}

/// Carries out a case.
pub(super) fn run(case: &Case, front: Front) -> Outcome {
    let recorder = Recorder::start(case.answers.clone());
    let running = front.start(&setup(case, &recorder), recorder.backend.address);
    let mut outcome = Outcome::default();
    let patience = front.patience();
    match Client::connect(running.address(), patience) {
        Err(error) => outcome.wrong.push(format!("nobody listens: {error}")),
        Ok(mut client) => {
            if let Err(wrong) = client.follow(case, &recorder, &mut outcome) {
                outcome.wrong.push(wrong);
            }
            outcome.client.clone_from(&client.got);
            // While the client's connection is still there, if it is open: another's must not be disturbed by it.
            if let Err(wrong) = probe(running.address(), patience) {
                outcome.wrong.push(format!("another client: {wrong}"));
            }
        }
    }
    recorder.backend.next.open();
    drop(running);
    eventually("the backend's connections end", || recorder.backend.open() == 0);
    let record = recorder.record();
    outcome.requests.clone_from(&record.requests);
    outcome.arrivals.clone_from(&record.arrivals);
    outcome.backend.clone_from(&record.connections);
    outcome.wrong.extend(record.wrong.iter().cloned());
    outcome
}

fn setup(case: &Case, recorder: &Recorder) -> Setup {
    let setup = Setup::of(&[&recorder.backend]);
    case.settings.iter().fold(setup, |setup, (table, setting)| match table.as_str() {
        "top" => setup.top(&format!("{setting}\n")),
        "limits" => setup.limits(setting),
        // Beside one for probes.
        "route" => setup.routes(&format!(
            "[[route]]\npool = \"app\"\n{setting}\n[[route]]\npool = \"app\"\npath = \"{PROBE}\""
        )),
        table => setup.table(table, setting),
    })
}

/// Asks on a connection of its own.
fn probe(address: SocketAddr, patience: Duration) -> Result<(), String> {
    let mut client = Client::connect(address, patience).map_err(|error| error.to_string())?;
    client.probe("other")
}

/// The client of a case. Unlike that of other tests it never panics: what is wrong is told.
struct Client {
    stream: TcpStream,
    got: Vec<u8>,
    /// How many of them were read as responses.
    read: usize,
    source: Source,
    patience: Duration,
}

impl Client {
    fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, got: Vec::new(), read: 0, source: Source::Open, patience })
    }

    fn follow(&mut self, case: &Case, recorder: &Recorder, outcome: &mut Outcome) -> Result<(), String> {
        for step in &case.client {
            match step {
                // It may be refused before its end; that is seen in what comes back.
                Step::Send(octets) => drop(self.stream.write_all(octets)),
                Step::AwaitResponse => {
                    self.response(case, outcome)?;
                    recorder.backend.next.open();
                }
                Step::AwaitBackend(heads) => {
                    self.wait("the backend has no head", || recorder.record().requests.len() >= *heads)?;
                }
                Step::AwaitBackendEnd => {
                    self.wait("the backend's connection stays open", || recorder.backend.open() == 0)?;
                }
                Step::End => drop(self.stream.shutdown(Shutdown::Write)),
            }
        }
        while outcome.responses.len() < case.responses.len() && self.may_get_more(case) {
            self.response(case, outcome)?;
        }
        match case.end {
            Some(End::Open) => self.probe("same"),
            _ => self.until_closed(),
        }
    }

    /// Waits until something is true, as long as for an answer.
    fn wait(&self, otherwise: &str, is_true: impl Fn() -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !is_true() {
            if begun.elapsed() > self.patience {
                return Err(otherwise.into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Waits for more octets; false if there are none, and that is as it may be.
    fn may_get_more(&mut self, case: &Case) -> bool {
        let may_lack = case.responses.iter().any(|wanted| wanted.extent == Extent::AtMostPart);
        while may_lack && self.source == Source::Open && self.got.len() == self.read {
            if self.fill().is_err() {
                break;
            }
        }
        !may_lack || self.got.len() > self.read
    }

    /// Reads the next response.
    fn response(&mut self, case: &Case, outcome: &mut Outcome) -> Result<(), String> {
        let wanted = case.responses.get(outcome.responses.len());
        let kind =
            if wanted.is_some_and(|wanted| wanted.to_head) { Kind::ResponseToHead } else { Kind::Response };
        let begin = self.read;
        let response = self.message(kind)?;
        outcome.responses.push(response);
        outcome.octets.push(self.got[begin..self.read].to_vec());
        Ok(())
    }

    fn message(&mut self, kind: Kind) -> Result<Message, String> {
        loop {
            let unread = &self.got[self.read..];
            let read = strict::message(unread, kind, self.source);
            match read.map_err(|wrong| format!("the client got {wrong}"))? {
                Some((message, used)) if message.whole || self.source == Source::Ended => {
                    self.read += used;
                    return Ok(message);
                }
                None if self.source == Source::Ended => {
                    return Err(format!("no response came, but {}", show(unread)));
                }
                _ => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> Result<(), String> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.source = Source::Ended,
            Ok(n) => self.got.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(format!("nothing more came in time than {}", show(&self.got[self.read..])));
            }
            // A reset is an end too; whether something was lost is seen in what came.
            Err(_) => self.source = Source::Ended,
        }
        Ok(())
    }

    fn until_closed(&mut self) -> Result<(), String> {
        while self.source == Source::Open {
            self.fill()?;
        }
        match &self.got[self.read..] {
            [] => Ok(()),
            more => Err(format!("more came before the end: {}", show(more))),
        }
    }

    /// Asks for what every backend answers with `probe`.
    fn probe(&mut self, who: &str) -> Result<(), String> {
        let request = format!("GET {PROBE}/{who} HTTP/1.1\r\nHost: homing.test\r\n\r\n");
        let _ = self.stream.write_all(request.as_bytes());
        let response = self.message(Kind::Response).map_err(|wrong| format!("to a probe, {wrong}"))?;
        let answered = (response.status(), &response.body[..]);
        let rest = &self.got[self.read..];
        if answered != (200, b"probe") || !rest.is_empty() {
            return Err(format!(
                "a probe was answered {} {}, and {}",
                answered.0,
                show(answered.1),
                show(rest)
            ));
        }
        Ok(())
    }
}
