//! Reads cases from text. Every line says one thing, and a line that says nothing known fails the suite:
//!
//! ```text
//! # A comment.
//! == what holds                         begins a case
//! RFC 9112 §6.3, CVE-2025-4366          what says so
//! set limits: header_bytes = "8KiB"     a setting of the proxy, of a table or of `top`
//! a relay passes: why                   otherwise a relay must fail the case
//!
//! > GET / HTTP/1.1                      what the client sends, with a CRLF at the end of each line
//! > without\                            or without one; other escapes are those of `octets`
//! client waits for a response           reads it before it goes on
//! client waits for the backend          until that has another head
//! client waits for the backend's end    until the connection to it is closed
//! client ends                           sends no more
//!
//! < HTTP/1.1 200 OK                     what the backend answers to the whole request
//! backend answers early                 what follows is sent as soon as the head is there
//! backend answers late                  what follows is sent when the whole request is there
//! backend answers unasked               what follows is sent once the client has its response
//! backend closes, backend resets        after that
//! backend is silent                     instead of an answer
//! backend next                          what follows is for the next request
//!
//! client gets 200 "body", closed        all responses in order, and whether the connection then is closed or open:
//!                                       `200 to HEAD`, `200 cut short`, `at most 200 cut short`,
//!                                       `200 exactly` with lines of `=`, `nothing`
//!   Name: value                         all values of a field, in order; `*` is any
//!   no Name, Name                       fields that are absent
//!   nothing else                        no other fields
//!   on the same connection, on another connection
//!                                       of the backend, than the request before
//!   alone                               with nothing behind it before it is answered
//! backend gets POST /x "body"           all requests in order, the body empty if none is said:
//!                                       `part of`, `at most part of`, `nothing`
//! ```

use super::case::{Carrier, Case, End, Extent, HeadWanted, RequestWanted, Requests, ResponseWanted, Step};
use crate::backend::{After, Answer};
use crate::octets::octets;

/// All cases of a file.
///
/// # Panics
/// If the file cannot be read as cases.
pub(super) fn cases(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Parsing> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let read = match line.strip_prefix("== ") {
            Some(name) => {
                cases.push(Parsing::new(&place, name));
                Ok(())
            }
            None if line.starts_with('#') || line.is_empty() => Ok(()),
            None => cases.last_mut().ok_or("no case has begun".into()).and_then(|case| case.line(line)),
        };
        read.unwrap_or_else(|wrong| panic!("{place}: {wrong}: {line}"));
    }
    cases.into_iter().map(Parsing::finish).collect()
}

type Read = Result<(), String>;

/// A case being read.
#[derive(Default)]
struct Parsing {
    case: Case,
    answers: Vec<Answer>,
    moment: Moment,
    heads: usize,
    about: About,
}

/// When the lines that follow are answered.
#[derive(Default, Clone, Copy)]
enum Moment {
    Early,
    #[default]
    Late,
    Unasked,
}

/// What indented lines and lines of `=` are about.
#[derive(Default, Clone, Copy)]
enum About {
    #[default]
    Nothing,
    Response,
    Request,
}

impl Parsing {
    fn new(place: &str, name: &str) -> Self {
        let case = Case { place: place.into(), name: name.into(), ..Case::default() };
        Self { case, answers: vec![Answer::default()], ..Self::default() }
    }

    fn line(&mut self, line: &str) -> Read {
        if line.ends_with(' ') {
            return Err("a space at the end".into());
        }
        if let Some(sent) = marked(line, '>') {
            let sent = ended(sent)?;
            match self.case.client.last_mut() {
                Some(Step::Send(before)) => before.extend(sent),
                _ => self.case.client.push(Step::Send(sent)),
            }
            return Ok(());
        }
        if let Some(answered) = marked(line, '<') {
            let answered = ended(answered)?;
            let moment = self.moment;
            let answer = self.answer();
            let part = match moment {
                Moment::Early => &mut answer.early,
                Moment::Late => &mut answer.late,
                Moment::Unasked => &mut answer.stray,
            };
            part.extend(answered);
            return Ok(());
        }
        if let Some(exact) = marked(line, '=') {
            let response = self.case.responses.last_mut().ok_or("no response is meant")?;
            response.exactly.as_mut().ok_or("write `exactly`")?.extend(ended(exact)?);
            return Ok(());
        }
        if let Some(wanted) = line.strip_prefix("  ") {
            return self.about_message(wanted);
        }
        self.words(line)
    }

    fn words(&mut self, line: &str) -> Read {
        if let Some(wanted) = line.strip_prefix("client gets ") {
            return self.client_gets(wanted);
        }
        if let Some(wanted) = line.strip_prefix("backend gets ") {
            return self.backend_gets(wanted);
        }
        if let Some(setting) = line.strip_prefix("set ") {
            let (table, setting) = setting.split_once(": ").ok_or("no setting")?;
            self.case.settings.push((table.into(), setting.into()));
            return Ok(());
        }
        if let Some(why) = line.strip_prefix("a relay passes: ") {
            self.case.relay = Some(why.into());
            return Ok(());
        }
        if line.split(", ").all(is_source) && self.case.sources.is_empty() {
            self.case.sources = line.into();
            return Ok(());
        }
        self.does(line)
    }

    fn does(&mut self, line: &str) -> Read {
        match line {
            "client waits for a response" => self.case.client.push(Step::AwaitResponse),
            "client waits for the backend" => {
                self.heads += 1;
                self.case.client.push(Step::AwaitBackend(self.heads));
            }
            "client waits for the backend's end" => self.case.client.push(Step::AwaitBackendEnd),
            "client ends" => self.case.client.push(Step::End),
            "backend answers early" => self.moment = Moment::Early,
            "backend answers late" => self.moment = Moment::Late,
            "backend answers unasked" => self.moment = Moment::Unasked,
            "backend closes" => self.answer().after = After::Close,
            "backend resets" => self.answer().after = After::Reset,
            "backend is silent" => *self.answer() = Answer { is_silent: true, ..Answer::default() },
            "backend next" => {
                self.moment = Moment::Late;
                self.answers.push(Answer::default());
            }
            _ => return Err("what is this?".into()),
        }
        Ok(())
    }

    fn answer(&mut self) -> &mut Answer {
        self.answers.last_mut().expect("there is always one")
    }

    fn about_message(&mut self, wanted: &str) -> Read {
        if !matches!(wanted, "on the same connection" | "on another connection" | "alone") {
            return head(self.head_wanted()?, wanted);
        }
        let Requests::All(all) = &mut self.case.requests else { return Err("no request is meant".into()) };
        let request = all.last_mut().ok_or("no request is meant")?;
        match wanted {
            "alone" => request.alone = true,
            "on the same connection" => request.carrier = Carrier::Same,
            _ => request.carrier = Carrier::Other,
        }
        Ok(())
    }

    fn head_wanted(&mut self) -> Result<&mut HeadWanted, String> {
        let head = match (self.about, &mut self.case.requests) {
            (About::Response, _) => self.case.responses.last_mut().map(|response| &mut response.head),
            (About::Request, Requests::All(all)) => all.last_mut().map(|request| &mut request.head),
            _ => None,
        };
        head.ok_or("no message is meant".into())
    }

    fn client_gets(&mut self, wanted: &str) -> Read {
        if self.case.end.is_some() {
            return Err("the connection was said to be closed or open before".into());
        }
        let (wanted, end) = match wanted.rsplit_once(", ") {
            Some((wanted, "closed")) => (wanted, Some(End::Closed)),
            Some((wanted, "open")) => (wanted, Some(End::Open)),
            _ => (wanted, None),
        };
        (self.case.end, self.about) = (end, About::Response);
        if wanted == "nothing" {
            return Ok(());
        }
        let (wanted, body) = quoted(wanted)?;
        let (extent, wanted) = match wanted.strip_prefix("at most ") {
            Some(wanted) => (Extent::AtMostPart, wanted),
            None if wanted.ends_with(" cut short") => (Extent::Part, wanted),
            None => (Extent::Whole, wanted),
        };
        let mut words = wanted.splitn(2, ' ');
        let status = words.next().and_then(|status| status.parse().ok()).ok_or("no status")?;
        let mut response = ResponseWanted { status, body, extent, ..ResponseWanted::default() };
        match words.next() {
            None => {}
            Some("cut short") if extent != Extent::Whole => {}
            Some("to HEAD") => response.to_head = true,
            Some("exactly") => response.exactly = Some(Vec::new()),
            Some(_) => return Err("no response".into()),
        }
        self.case.responses.push(response);
        Ok(())
    }

    fn backend_gets(&mut self, wanted: &str) -> Read {
        self.about = About::Request;
        if wanted == "nothing" && matches!(self.case.requests, Requests::Unsaid) {
            self.case.requests = Requests::None;
            return Ok(());
        }
        let (extent, wanted) = match wanted.split_once("part of ") {
            Some(("", wanted)) => (Extent::Part, wanted),
            Some(("at most ", wanted)) => (Extent::AtMostPart, wanted),
            _ => (Extent::Whole, wanted),
        };
        let (wanted, body) = quoted(wanted)?;
        let (method, target) = wanted.split_once(' ').ok_or("no request")?;
        let target = String::from_utf8(octets(target)?).map_err(|_| "no target")?;
        let (method, body) = (method.into(), body.unwrap_or_default());
        let request = RequestWanted { method, target, body, extent, ..RequestWanted::default() };
        match &mut self.case.requests {
            Requests::All(all) => all.push(request),
            Requests::Unsaid => self.case.requests = Requests::All(vec![request]),
            Requests::None => return Err("the backend gets nothing".into()),
        }
        Ok(())
    }

    fn finish(mut self) -> Case {
        let Case { place, name, sources, end, requests, .. } = &self.case;
        assert!(!sources.is_empty(), "{place}: {name}: names no source");
        assert!(end.is_some(), "{place}: {name}: does not say whether the connection is closed or open");
        assert!(!matches!(requests, Requests::Unsaid), "{place}: {name}: does not say what the backend gets");
        self.answers.retain(Answer::is_said);
        self.case.answers = self.answers;
        self.case
    }
}

/// The rest of a line that begins with `mark`.
fn marked(line: &str, mark: char) -> Option<&str> {
    let rest = line.strip_prefix(mark)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(' ') }
}

/// The octets of a line: with a CRLF, unless it ends with a backslash.
fn ended(line: &str) -> Result<Vec<u8>, String> {
    let backslashes = line.bytes().rev().take_while(|&b| b == b'\\').count();
    if backslashes % 2 == 1 {
        return octets(&line[..line.len() - 1]);
    }
    Ok([octets(line)?, b"\r\n".to_vec()].concat())
}

/// Takes a body in quotes off the end.
fn quoted(text: &str) -> Result<(&str, Option<Vec<u8>>), String> {
    match text.split_once(" \"") {
        None => Ok((text, None)),
        Some((before, body)) => {
            let body = body.strip_suffix('"').ok_or("an open quote")?;
            Ok((before, Some(octets(body)?)))
        }
    }
}

/// `RFC number §section`, or `CVE-year-number`.
fn is_source(text: &str) -> bool {
    const RFCS: [&str; 7] = ["9110", "9112", "9113", "6455", "6265", "7540", "9209"];
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let section = |text: &str| text.strip_prefix('§').is_some_and(|rest| rest.split('.').all(number));
    match text.strip_prefix("CVE-") {
        Some(cve) => cve.split_once('-').is_some_and(|(year, id)| number(year) && number(id)),
        None => text
            .strip_prefix("RFC ")
            .and_then(|rest| rest.split_once(' '))
            .is_some_and(|(rfc, at)| RFCS.contains(&rfc) && section(at)),
    }
}

fn head(head: &mut HeadWanted, wanted: &str) -> Read {
    if wanted == "nothing else" {
        head.nothing_else = true;
    } else if let Some(names) = wanted.strip_prefix("no ") {
        head.absent.extend(names.split(", ").map(str::to_owned));
    } else {
        let (name, value) = wanted.split_once(':').ok_or("no field")?;
        let value = octets(value.trim_start())?;
        match head.fields.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(value),
            None => head.fields.push((name.into(), vec![value])),
        }
    }
    Ok(())
}

#[test]
fn a_case_is_what_its_lines_say() {
    let text = "== name\nRFC 9112 §6.3, CVE-2025-4366\n> GET / HTTP/1.1\n> Host: h\\\n\
                < HTTP/1.1 200 OK\n<\nclient gets 200 \"a\\r\", open\n  X: 1\n  X: 2\n  no Y\nbackend gets GET /";
    let case = cases("file", text).remove(0);
    assert_eq!(case.client, [Step::Send(b"GET / HTTP/1.1\r\nHost: h".to_vec())]);
    assert_eq!(case.answers[0].late, b"HTTP/1.1 200 OK\r\n\r\n");
    let response = &case.responses[0];
    assert_eq!(
        (response.status, response.body.as_deref(), case.end),
        (200, Some(&b"a\r"[..]), Some(End::Open))
    );
    assert_eq!(response.head.fields, [("X".to_owned(), vec![b"1".to_vec(), b"2".to_vec()])]);
    assert_eq!(response.head.absent, ["Y"]);
}

#[test]
fn lines_that_say_nothing_known_are_refused() {
    for wrong in [
        "client get 200, open",
        "client gets fine, open",
        "backend gets",
        "backend gets GET",
        "RFC 9112",
        "RFC 1 §2",
        "CVE-x",
        ">GET / HTTP/1.1",
        "> GET / \\q",
        "  Name: value",
        "= exact",
    ] {
        let text = format!("== name\n{wrong}");
        assert!(std::panic::catch_unwind(|| cases("file", &text)).is_err(), "{wrong}");
    }
}
