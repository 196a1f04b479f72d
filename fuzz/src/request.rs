//! Octets of a client → what the backend gets: whole requests, no more than are in them, each with the client's body.

use std::sync::OnceLock;
use std::time::Duration;

use super::edge::{Client, Edge};
use super::message::{self, Message, Rules, Source, Stop, To};
use super::recorder::Arrival;

/// For the proxy to see what it might take for a whole request, though it is none.
const MOMENT: Duration = Duration::from_millis(2);

static EDGE: OnceLock<Edge> = OnceLock::new();

pub fn run(input: &[u8]) {
    let _ = arrivals(input);
}

/// What came to the backend, found to be in order.
///
/// # Panics
/// If it is not.
pub fn arrivals(input: &[u8]) -> Vec<Arrival> {
    let edge = EDGE.get_or_init(Edge::start);
    let (meant, end) = meant(input);
    let mut client = edge.client();
    client.send(input);
    // What cannot be read is refused, and that ends the connection; for the rest of a request the proxy would wait.
    let is_closing = matches!(end, Stop::Wrong(_));
    client.fill_while(|received| is_closing || answers(received, &meant, Source::Open).len() < meant.len());
    if end == Stop::More {
        client.fill(MOMENT);
    }
    client.end();
    client.fill_to_the_end();
    let arrivals = edge.arrivals(client.ip);
    check_arrivals(&arrivals, &meant);
    check_answers(&client, &arrivals, &meant);
    edge.serves_others();
    arrivals
}

/// The requests that an input can be read as, at most, and what comes behind them.
fn meant(input: &[u8]) -> (Vec<Message>, Stop) {
    let (mut meant, mut at) = (Vec::new(), 0);
    loop {
        match message::request(&input[at..], Rules::Received) {
            Ok(message) => {
                at += message.length;
                let is_last = message.is_last;
                meant.push(message);
                if is_last {
                    return (meant, Stop::Wrong("behind the last"));
                }
            }
            Err(stop) => return (meant, stop),
        }
    }
}

/// The final responses that came, as far as they are whole. What is left must be the beginning of one.
fn answers(received: &[u8], meant: &[Message], source: Source) -> Vec<Message> {
    let (mut answers, mut at) = (Vec::<Message>::new(), 0);
    while at < received.len() {
        let asked = meant.get(answers.len());
        let to = if asked.is_some_and(|asked| asked.method() == b"HEAD") { To::Head } else { To::Other };
        match message::response(&received[at..], Rules::Sent, (to, source)) {
            Ok(answer) => {
                at += answer.length;
                if answer.status() >= 200 {
                    answers.push(answer);
                }
            }
            Err(Stop::More) => break,
            Err(Stop::Wrong(why)) => panic!("the client got no response: {why}: {}", received.escape_ascii()),
        }
    }
    answers
}

/// In the client's order, and as the client said them; some may have been refused.
fn check_arrivals(arrivals: &[Arrival], meant: &[Message]) {
    let mut left = meant.iter();
    for arrival in arrivals {
        let is_same = left.any(|meant| says_the_same(&arrival.message, meant));
        assert!(is_same, "nobody sent this: {}\n{meant:#?}", arrival.octets.escape_ascii());
    }
}

fn says_the_same(arrived: &Message, meant: &Message) -> bool {
    arrived.method() == meant.method()
        && arrived.body == meant.body
        && arrived.target() == origin_form(meant.target())
}

/// A target without what is left out on the way: scheme and authority (RFC 9112 §3.2.2), and a fragment, which is none.
fn origin_form(target: &[u8]) -> Vec<u8> {
    let end = target.iter().position(|&octet| octet == b'#').unwrap_or(target.len());
    let target = &target[..end];
    let Some(scheme) = target.windows(3).position(|w| w == b"://").filter(|_| target[0] != b'/') else {
        return target.to_vec();
    };
    let rest = &target[scheme + 3..];
    let path = rest.iter().position(|octet| b"/?".contains(octet)).map_or(&b""[..], |at| &rest[at..]);
    if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() }
}

/// Each good answer is that of a request, in the order of the requests.
fn check_answers(client: &Client, arrivals: &[Arrival], meant: &[Message]) {
    let answers = answers(&client.received, meant, client.source);
    let shown = || client.received.escape_ascii();
    assert!(answers.len() <= meant.len() + 1, "more answers than requests: {}", shown());
    let good = answers.iter().filter(|answer| answer.status() == 200);
    let numbers: Vec<usize> = good
        .map(|answer| {
            let number = answer.all("x-number").first().copied().unwrap_or_default();
            std::str::from_utf8(number).unwrap().parse().unwrap()
        })
        .collect();
    let mut left = arrivals.iter();
    for number in numbers {
        assert!(left.any(|arrival| arrival.number == number), "the answer of another: {}", shown());
    }
}
