//! An independent, strict reading of HTTP/1.1 messages: only what RFC 9112 has a sender write, and one framing.
//! It shares no code with the proxy, and says what is wrong instead of making the best of it.

/// One message as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) start_line: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// Without chunk sizes; of a part what there is.
    pub(crate) body: Vec<u8>,
    /// Whether it came to the end that its framing promises.
    pub(crate) whole: bool,
}

/// What a message is read as: that decides about its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    ResponseToHead,
}

/// How a body ends.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    /// With the connection.
    End,
}

/// Whether more octets can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Open,
    Ended,
}

/// The message that `octets` begin with, and how many of them it takes; `None` while there is no head.
///
/// # Errors
/// Why they do not begin with one.
pub(crate) fn message(octets: &[u8], kind: Kind, source: Source) -> Result<Option<(Message, usize)>, String> {
    let Some(end) = find(octets, b"\r\n\r\n") else {
        return Ok(None);
    };
    let mut message = head(&octets[..end], kind)?;
    let framing = framing(&message, kind)?;
    let body = &octets[end + 4..];
    let used = match framing {
        Framing::Length(length) => {
            message.whole = body.len() >= length;
            message.body = body[..length.min(body.len())].to_vec();
            message.body.len()
        }
        Framing::Chunked => chunks(body, &mut message)?,
        Framing::End => {
            message.body = body.to_vec();
            message.whole = source == Source::Ended;
            body.len()
        }
    };
    Ok(Some((message, end + 4 + used)))
}

impl Message {
    /// The values of all fields called `name`, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| &value[..]).collect()
    }

    /// The second word of the start line: a request's target, a response's status.
    pub(crate) fn second(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> u16 {
        self.second().parse().unwrap_or(0)
    }
}

fn find(octets: &[u8], end: &[u8]) -> Option<usize> {
    octets.windows(end.len()).position(|window| window == end)
}

fn head(octets: &[u8], kind: Kind) -> Result<Message, String> {
    let mut lines = split(octets);
    let first = lines.next().unwrap_or_default();
    let start_line = String::from_utf8(first.to_vec()).map_err(|_| "the start line is no text")?;
    match kind {
        Kind::Request => check_request_line(&start_line)?,
        Kind::Response | Kind::ResponseToHead => check_status_line(&start_line)?,
    }
    let fields = lines.map(field).collect::<Result<_, _>>()?;
    Ok(Message { start_line, fields, ..Message::default() })
}

/// The lines between CRLFs.
fn split(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(octets);
    std::iter::from_fn(move || {
        let all = rest?;
        let Some(at) = find(all, b"\r\n") else {
            rest = None;
            return Some(all);
        };
        rest = Some(&all[at + 2..]);
        Some(&all[..at])
    })
}

fn check_request_line(line: &str) -> Result<(), String> {
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("no request line of HTTP/1.1: {line:?}"));
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(format!("no method: {method:?}"));
    }
    let is_origin_form = target.starts_with('/') || target == "*" && method == "OPTIONS";
    if !is_origin_form || !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(format!("no target in origin form: {target:?}"));
    }
    Ok(())
}

fn check_status_line(line: &str) -> Result<(), String> {
    let mut words = line.splitn(3, ' ');
    let (version, status, reason) = (words.next(), words.next().unwrap_or_default(), words.next());
    if !matches!(version, Some("HTTP/1.1" | "HTTP/1.0")) || reason.is_none() {
        return Err(format!("no status line: {line:?}"));
    }
    if status.len() != 3 || !status.bytes().all(|b| b.is_ascii_digit()) || status.starts_with('0') {
        return Err(format!("no status: {status:?}"));
    }
    if !line.bytes().all(is_text) {
        return Err(format!("control characters: {line:?}"));
    }
    Ok(())
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let shown = || line.escape_ascii();
    let Some(colon) = line.iter().position(|&b| b == b':') else {
        return Err(format!("no field: {}", shown()));
    };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(format!("no field name: {}", shown()));
    }
    if !value.iter().copied().all(is_text) {
        return Err(format!("no field value: {}", shown()));
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn is_text(b: u8) -> bool {
    b == b'\t' || b >= b' ' && b != 0x7f
}

/// RFC 9112 §6.3, without any of its leniencies.
fn framing(message: &Message, kind: Kind) -> Result<Framing, String> {
    let (codings, lengths) = (message.all("transfer-encoding"), message.all("content-length"));
    if !codings.is_empty() && !lengths.is_empty() {
        return Err("a length beside a coding".into());
    }
    if kind != Kind::Request {
        match message.status() {
            101 => return Ok(Framing::End),
            100..200 | 204 | 304 => return Ok(Framing::Length(0)),
            _ if kind == Kind::ResponseToHead => return Ok(Framing::Length(0)),
            _ => {}
        }
    }
    match (&codings[..], &lengths[..]) {
        ([], []) if kind == Kind::Request => Ok(Framing::Length(0)),
        ([], []) => Ok(Framing::End),
        ([], [length]) => decimal(length).map(Framing::Length),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        _ => Err("no clear framing".into()),
    }
}

fn decimal(text: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(text);
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| format!("no length: {text:?}"))
}

/// Chunks without extensions and trailers. Returns how many octets they take.
fn chunks(octets: &[u8], message: &mut Message) -> Result<usize, String> {
    let mut at = 0;
    loop {
        let Some(end) = find(&octets[at..], b"\r\n") else { return Ok(octets.len()) };
        let size = size(&octets[at..at + end])?;
        at += end + 2;
        let there = size.min(octets.len() - at);
        message.body.extend_from_slice(&octets[at..at + there]);
        at += there;
        match octets.get(at..at + 2) {
            None => return Ok(octets.len()),
            Some(b"\r\n") => at += 2,
            Some(other) => return Err(format!("a chunk ends with {}", other.escape_ascii())),
        }
        if size == 0 {
            message.whole = true;
            return Ok(at);
        }
    }
}

fn size(line: &[u8]) -> Result<usize, String> {
    let text = String::from_utf8_lossy(line);
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let size = usize::from_str_radix(&text, 16).ok().filter(|size| digits && *size < 1 << 32);
    size.ok_or_else(|| format!("no chunk size: {text:?}"))
}

#[test]
fn what_is_not_clear_is_no_message() {
    let read = |text: &str| message(text.as_bytes(), Kind::Request, Source::Open);
    for wrong in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\n\r\n",
        "GET /#f HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nA: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA: 1\nB: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\nx\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
    ] {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_message_takes_what_is_its_own() {
    let octets = b"POST / HTTP/1.1\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET / HT";
    let (read, used) = message(octets, Kind::Request, Source::Open).unwrap().unwrap();
    assert_eq!((&read.body[..], read.whole, &octets[used..]), (&b"ab"[..], true, &b"GET / HT"[..]));
    assert_eq!(message(&octets[used..], Kind::Request, Source::Open), Ok(None));
    let part = message(&octets[..used - 3], Kind::Request, Source::Ended).unwrap().unwrap().0;
    assert_eq!((&part.body[..], part.whole), (&b"ab"[..], false));
}

#[test]
fn answers_end_by_their_kind() {
    let read = |text: &str, kind| message(text.as_bytes(), kind, Source::Ended).unwrap().unwrap().0.body;
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab and more";
    assert_eq!((read(long, Kind::Response), read(long, Kind::ResponseToHead)), (b"ab".into(), vec![]));
    assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nall", Kind::Response), b"all");
    assert_eq!(read("HTTP/1.1 204 No\r\n\r\nall", Kind::Response), b"");
}
