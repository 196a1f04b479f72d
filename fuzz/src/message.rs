//! A second opinion on HTTP/1 messages, which shares no code with the proxy: strict for what the proxy sends, and as
//! generous as RFC 9112 lets a recipient be for what it gets.

/// How much is let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// One spelling of everything: a message that no two readers take for different ones.
    Sent,
    /// What a recipient may accept: lines that end with LF (§2.2), empty lines before a message (§2.2), chunk extensions
    /// (§7.1.1), equal lengths (§6.3), a length beside a coding, which then counts (§6.3).
    Received,
}

/// Why there is no whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It is not over.
    More,
    /// It is none.
    Wrong(&'static str),
}

/// Fields in their order, names in lower case, values without space around them.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// One whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Method, target and version; or version, status and reason.
    pub start: [Vec<u8>; 3],
    pub fields: Fields,
    /// Without its framing.
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// Octets it took.
    pub length: usize,
    /// Whether nothing behind it on its connection means anything.
    pub is_last: bool,
}

/// What a response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Head,
    Other,
}

/// Whether more octets may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Open,
    Ended,
}

enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    ToTheEnd,
}

impl Message {
    /// The values of all fields called `name`.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        values(&self.fields, name)
    }

    pub fn method(&self) -> &[u8] {
        &self.start[0]
    }

    pub fn target(&self) -> &[u8] {
        &self.start[1]
    }

    /// Of a response.
    pub fn status(&self) -> u16 {
        std::str::from_utf8(&self.start[1]).ok().and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// Whether the proxy made it, since the backend had no answer.
    pub fn is_error(&self) -> bool {
        let words = self.all("proxy-status");
        matches!(self.status(), 502 | 504) && words.iter().any(|words| words.starts_with(b"homing; error="))
    }

    /// Whether one of the fields called `name` lists `token`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let all = self.all(name);
        let mut tokens = all.iter().flat_map(|value| value.split(|&octet| octet == b','));
        tokens.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// The request that `octets` begin with.
///
/// # Errors
/// There is no whole one.
pub fn request(octets: &[u8], rules: Rules) -> Result<Message, Stop> {
    let mut reader = Reader { rest: octets, rules };
    reader.skip_empty_lines();
    let start = request_line(reader.line()?, rules)?;
    let fields = reader.fields()?;
    let framing = request_framing(&fields, &start[2], rules)?;
    let (body, trailers) = reader.body(&framing, Source::Open)?;
    let mut message =
        Message { start, fields, body, trailers, length: octets.len() - reader.rest.len(), is_last: false };
    let old = message.start[2] == b"HTTP/1.0" && !message.lists("connection", "keep-alive");
    let doubtful = message.all("content-length").len() * message.all("transfer-encoding").len() > 0;
    message.is_last = old || doubtful || message.lists("connection", "close");
    Ok(message)
}

/// The response that `octets` begin with, interim ones included. Behind a 101 there is no body: what follows is no HTTP.
///
/// # Errors
/// There is no whole one.
pub fn response(octets: &[u8], rules: Rules, (to, source): (To, Source)) -> Result<Message, Stop> {
    let mut reader = Reader { rest: octets, rules };
    reader.skip_empty_lines();
    let start = status_line(reader.line()?, rules)?;
    let fields = reader.fields()?;
    let bodiless = to == To::Head || start[1][0] == b'1' || start[1] == b"204" || start[1] == b"304";
    // Lengths that frame nothing may be anything (RFC 9110 §8.6), but are not sent on.
    let framing = match response_framing(&fields, &start[0], rules) {
        Err(stop) if !bodiless || rules == Rules::Sent => return Err(stop),
        _ if bodiless => Framing::Nothing,
        framing => framing?,
    };
    let is_last = matches!(framing, Framing::ToTheEnd);
    let (body, trailers) = reader.body(&framing, source)?;
    Ok(Message { start, fields, body, trailers, length: octets.len() - reader.rest.len(), is_last })
}

fn request_line(line: &[u8], rules: Rules) -> Result<[Vec<u8>; 3], Stop> {
    let mut words = line.split(|&octet| octet == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Stop::Wrong("a request line has three words"));
    };
    if !is_token(method) {
        return Err(Stop::Wrong("a method is a token"));
    }
    // Octets above 127 are no part of a URI, but the servers of this world take them.
    if target.is_empty() || target.iter().any(|&octet| octet <= b' ' || octet == 0x7f) {
        return Err(Stop::Wrong("a target has no control characters"));
    }
    let old = rules == Rules::Received && version == b"HTTP/1.0";
    if version != b"HTTP/1.1" && !old {
        return Err(Stop::Wrong("the version of a request is 1.1"));
    }
    Ok([method.to_vec(), target.to_vec(), version.to_vec()])
}

fn status_line(line: &[u8], rules: Rules) -> Result<[Vec<u8>; 3], Stop> {
    let wrong = Err(Stop::Wrong("a status line has a version, three digits and a reason"));
    let mut words = line.splitn(3, |&octet| octet == b' ');
    let (Some(version), Some(status)) = (words.next(), words.next()) else { return wrong };
    let is_known = version == b"HTTP/1.1" || version == b"HTTP/1.0";
    let is_number = status.len() == 3 && status.iter().all(u8::is_ascii_digit) && status[0] != b'0';
    let reason = words.next();
    let is_whole = reason.is_some() || rules == Rules::Received;
    let reason = reason.unwrap_or_default();
    if !is_known || !is_number || !is_whole || !is_text(reason) {
        return wrong;
    }
    Ok([version.to_vec(), status.to_vec(), reason.to_vec()])
}

fn request_framing(fields: &Fields, version: &[u8], rules: Rules) -> Result<Framing, Stop> {
    let (length, codings) = (length(fields, rules)?, values(fields, "transfer-encoding"));
    match (length, &codings[..]) {
        (None, []) => Ok(Framing::Nothing),
        (Some(length), []) => Ok(Framing::Length(length)),
        (Some(_), _) if rules == Rules::Sent => Err(Stop::Wrong("a length beside a coding")),
        (_, [coding]) if is_chunked(coding, rules) && version == b"HTTP/1.1" => Ok(Framing::Chunked),
        _ => Err(Stop::Wrong("a coding other than one chunked")),
    }
}

/// A response may come in other codings; who does not know them reads to the end (RFC 9112 §6.3).
fn response_framing(fields: &Fields, version: &[u8], rules: Rules) -> Result<Framing, Stop> {
    let codings = values(fields, "transfer-encoding");
    let last = codings.last().and_then(|codings| codings.rsplit(|&octet| octet == b',').next());
    match (last, length(fields, rules)) {
        (Some(_), _) if version == b"HTTP/1.0" => Err(Stop::Wrong("a coding in HTTP/1.0")),
        (Some(_), Ok(Some(_))) if rules == Rules::Sent => Err(Stop::Wrong("a length beside a coding")),
        (Some(coding), _) if is_chunked(coding, rules) => Ok(Framing::Chunked),
        (Some(_), _) if rules == Rules::Sent => Err(Stop::Wrong("a coding other than one chunked")),
        (None, Ok(Some(length))) => Ok(Framing::Length(length)),
        (None, Err(stop)) => Err(stop),
        (Some(_), _) | (None, Ok(None)) => Ok(Framing::ToTheEnd),
    }
}

fn is_chunked(coding: &[u8], rules: Rules) -> bool {
    match rules {
        Rules::Sent => coding == b"chunked",
        Rules::Received => coding.trim_ascii().eq_ignore_ascii_case(b"chunked"),
    }
}

fn length(fields: &Fields, rules: Rules) -> Result<Option<u64>, Stop> {
    let all = values(fields, "content-length");
    if rules == Rules::Sent && all.len() > 1 {
        return Err(Stop::Wrong("more than one length"));
    }
    let mut lengths = all.iter().flat_map(|value| value.split(|&octet| octet == b','));
    let number = |value: &[u8]| {
        let value = if rules == Rules::Received { value.trim_ascii() } else { value };
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(value).ok().filter(|_| is_number).and_then(|digits| digits.parse().ok())
    };
    let Some(first) = lengths.next() else { return Ok(None) };
    let first: Option<u64> = number(first);
    if first.is_none() || lengths.any(|other| number(other) != first) {
        return Err(Stop::Wrong("a length is one number"));
    }
    Ok(first)
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|(known, _)| known == name.as_bytes());
    named.map(|(_, value)| &value[..]).collect()
}

fn is_token(name: &[u8]) -> bool {
    let is_allowed = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
    !name.is_empty() && name.iter().all(is_allowed)
}

fn is_text(value: &[u8]) -> bool {
    value.iter().all(|&octet| octet == b'\t' || (octet >= b' ' && octet != 0x7f))
}

/// What is left to be read.
struct Reader<'a> {
    rest: &'a [u8],
    rules: Rules,
}

impl<'a> Reader<'a> {
    /// Hyper skips them before responses too.
    fn skip_empty_lines(&mut self) {
        if self.rules == Rules::Sent {
            return;
        }
        while let [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// A line of a head.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let end = self.rest.iter().position(|&octet| octet == b'\n').ok_or(Stop::More)?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        let line = match (line.strip_suffix(b"\r"), self.rules) {
            (Some(line), _) => line,
            (None, Rules::Received) => line,
            (None, Rules::Sent) => return Err(Stop::Wrong("a line ends without CR")),
        };
        if line.contains(&b'\r') { Err(Stop::Wrong("a CR within a line")) } else { Ok(line) }
    }

    fn fields(&mut self) -> Result<Fields, Stop> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|&octet| octet == b':').ok_or(Stop::Wrong("no colon"))?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if !is_token(name) {
                return Err(Stop::Wrong("the name of a field is a token"));
            }
            if !is_text(value) {
                return Err(Stop::Wrong("a field has no control characters"));
            }
            fields.push((name.to_ascii_lowercase(), value.trim_ascii().to_vec()));
        }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Stop> {
        let count = usize::try_from(count).map_err(|_| Stop::More)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Stop::More)?;
        self.rest = rest;
        Ok(taken)
    }

    fn body(&mut self, framing: &Framing, source: Source) -> Result<(Vec<u8>, Fields), Stop> {
        match framing {
            Framing::Nothing => Ok(Default::default()),
            Framing::Length(length) => Ok((self.take(*length)?.to_vec(), Fields::new())),
            Framing::ToTheEnd if source == Source::Open => Err(Stop::More),
            Framing::ToTheEnd => Ok((std::mem::take(&mut self.rest).to_vec(), Fields::new())),
            Framing::Chunked => self.chunks(),
        }
    }

    fn chunks(&mut self) -> Result<(Vec<u8>, Fields), Stop> {
        let mut body = Vec::new();
        loop {
            match self.chunk_size()? {
                0 => return Ok((body, self.fields()?)),
                size => body.extend_from_slice(self.take(size)?),
            }
            if self.take(2)? != b"\r\n" {
                return Err(Stop::Wrong("a chunk ends with CRLF"));
            }
        }
    }

    fn chunk_size(&mut self) -> Result<u64, Stop> {
        let end = self.rest.iter().position(|&octet| octet == b'\n').ok_or(Stop::More)?;
        let line = self.rest[..end].strip_suffix(b"\r").ok_or(Stop::Wrong("a size ends without CR"))?;
        self.rest = &self.rest[end + 1..];
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        let is_fine = match self.rules {
            Rules::Sent => extension.is_empty(),
            Rules::Received => matches!(extension.first(), None | Some(b';' | b' ' | b'\t')),
        };
        let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
        size.filter(|_| is_fine).ok_or(Stop::Wrong("not a chunk size"))
    }
}
