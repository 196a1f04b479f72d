//! The ends of an exchange: what the client does and has in the end, and the backend's script.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use socket2::SockRef;

use crate::exchange::{BACKEND_FRAMES, CLIENT_FRAMES, Kind};
use crate::message::{Message, Rules, Source, Stop, To, response};
use crate::support::{Client, Conn, backend::ok};
use crate::{Case, Fault, Side};

/// Far shorter than anything the proxy waits for.
const PAUSE: Duration = Duration::from_millis(1);

/// What a client has in the end.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) received: Vec<u8>,
    /// The first final response, if it is whole.
    pub(crate) answer: Option<Message>,
}

/// What the backend knows.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) case: Option<Case>,
    /// Whole requests, by method and target.
    pub(crate) requests: BTreeMap<String, usize>,
    /// What the last tunnel carried from the client, once it has ended.
    pub(crate) tunnel: Option<Vec<u8>>,
}

/// Runs the client's side of a case on a connection.
pub(crate) fn client(mut client: Client, number: usize, case: Case) -> Outcome {
    let octets = case.exchange.client(number);
    // Who asks for a WebSocket says nothing in it before it is granted.
    let head = case.exchange.request(number).len();
    let at = if case.side == Side::Client { case.at } else { octets.len() };
    send(&mut client, &octets[..at.min(head)]);
    if at < head {
        if broke(&mut client, case.fault) {
            return read(&mut client, case);
        }
        send(&mut client, &octets[at..head]);
    }
    if case.exchange.kind == Kind::Upgrade {
        return tunnel(client, case, at.saturating_sub(head));
    }
    if case.side == Side::Client && at == head {
        broke(&mut client, case.fault);
    }
    read(&mut client, case)
}

fn send(client: &mut Client, octets: &[u8]) {
    // The proxy may have answered and closed before all is sent.
    let _ = client.reader.source.write_all(octets);
}

/// Has the fault happen; whether nothing can be sent after it.
fn broke(client: &mut Client, fault: Fault) -> bool {
    match fault {
        Fault::Pause => std::thread::sleep(PAUSE),
        Fault::End => client.end(),
        Fault::Reset => {
            // It happens when the connection is dropped, and nothing is read before that.
            SockRef::from(&client.reader.source).set_linger(Some(Duration::ZERO)).unwrap();
            client.reader.ended = true;
        }
    }
    fault != Fault::Pause
}

/// Reads the answer, as far as it comes.
fn read(client: &mut Client, case: Case) -> Outcome {
    let reader = &mut client.reader;
    loop {
        let source = if reader.ended { Source::Ended } else { Source::Open };
        match final_response(&reader.buffer, source) {
            Err(Stop::More) if source == Source::Open => {
                reader.fill();
            }
            Err(Stop::Wrong(why)) => panic!("{why}: {} {case:?}", reader.buffer.escape_ascii()),
            answer => return Outcome { received: reader.buffer.clone(), answer: answer.ok() },
        }
    }
}

fn final_response(octets: &[u8], source: Source) -> Result<Message, Stop> {
    let mut before = 0;
    loop {
        let mut message = response(&octets[before..], Rules::Sent, (To::Other, source))?;
        if message.status() == 101 || message.status() >= 200 {
            message.length += before;
            return Ok(message);
        }
        before += message.length;
    }
}

/// Reads the 101, says what is to be said in the tunnel, and reads it to its end.
fn tunnel(mut client: Client, case: Case, at: usize) -> Outcome {
    let outcome = read(&mut client, case);
    let Some(head) = outcome.answer.as_ref().filter(|answer| answer.status() == 101) else { return outcome };
    let wanted = head.length + BACKEND_FRAMES.len();
    send(&mut client, &CLIENT_FRAMES[..at]);
    let broke = case.side == Side::Client && broke(&mut client, case.fault);
    if !broke {
        send(&mut client, &CLIENT_FRAMES[at..]);
        while client.reader.buffer.len() < wanted && client.reader.fill() {}
        let _ = client.reader.source.shutdown(std::net::Shutdown::Write);
    }
    while !client.reader.ended && client.reader.fill() {}
    Outcome { received: client.reader.buffer.clone(), ..outcome }
}

/// Serves a connection to the backend.
pub(crate) fn serve(conn: &mut Conn, log: &Mutex<Log>) {
    while let Some(request) = conn.request() {
        let named = format!("{} {}", request.method(), request.target());
        let (case, count) = {
            let mut log = log.lock().unwrap();
            let case = log.case;
            let count = log.requests.entry(named).or_default();
            *count += 1;
            (case, *count)
        };
        let number = request.target().strip_prefix("/case/").and_then(|number| number.parse().ok());
        let Some((number, case)) = number.zip(case) else {
            conn.send(ok(request.target()));
            continue;
        };
        if !answer(conn, &case.exchange.backend(number), case.in_answer(count)) {
            return;
        }
        if case.exchange.kind == Kind::Upgrade {
            let carried = conn.reader.rest();
            log.lock().unwrap().tunnel = Some(carried);
            return;
        }
    }
}

/// Sends an answer, with a fault in it if there is to be one; whether all goes on.
fn answer(conn: &mut Conn, octets: &[u8], fault: Option<(usize, Fault)>) -> bool {
    let Some((at, fault)) = fault else { return conn.send(octets) };
    conn.send(&octets[..at]);
    match fault {
        Fault::Reset => conn.reset(),
        Fault::End => {}
        Fault::Pause => {
            std::thread::sleep(PAUSE);
            return conn.send(&octets[at..]);
        }
    }
    false
}
