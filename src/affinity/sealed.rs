//! The proxy's own cookie: what it says, and how it is sealed so that clients keep it without being able to read or
//! change it. Choosing the backend it names, and whether it may have new work, is the pool's.
//!
//! Sealing is the `cookie` crate's private jar: AES-256-GCM under a key derived from the secret by HKDF with SHA-256,
//! with the cookie's name as associated data, so that the value of one cookie does not pass for another's. Nonces are
//! random, so one secret should seal no more than 2^32 cookies (NIST SP 800-38D §8.3).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use cookie::{Cookie, CookieJar, Key};
use http::{HeaderValue, header};

use super::Recent;
use super::source::{Pairs, cookies, value_of};
use crate::clock::Now;
use crate::config::{self, Secret, Secure};
use crate::headers::{Change, Fields};

/// What the cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The backend, as the hash of its name.
    pub backend: u64,
    /// The hash of the backend's address as text.
    pub address: u64,
    /// The hash of the instance that the backend named; 0 unknown.
    pub incarnation: u64,
    /// The random id of the session.
    pub session: u64,
    /// The epoch of the binding it tells of: of two cookies of a session, the later one has the greater.
    pub epoch: u64,
    /// When the session began, in Unix seconds.
    pub issued: u32,
    /// When this was last sealed, in Unix seconds.
    pub sealed: u32,
}

/// What a request has of the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Nothing.
    Absent,
    /// A good one.
    Valid(Ticket),
    /// One of this proxy's, whose time is over as far as the cookie tells. Its session may have been live since, by a
    /// WebSocket, on which no fresh cookie can be sent.
    Over(Ticket, Reason),
    /// Nothing that counts; this is why the first of them does not.
    Refused(Reason),
}

/// Why a cookie does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// None of the secrets opens it, or it is of a version that this one does not know.
    Forged,
    /// Unused for longer than `idle_timeout`.
    Expired,
    /// Of a session older than `max_lifetime`.
    TooOld,
    /// Sealed by a clock that is more than a minute ahead.
    FromTheFuture,
}

/// Opens and seals the cookies of one pool.
#[derive(Debug, Clone)]
pub struct Sealer {
    keys: Keys,
    /// The cookie without its value.
    template: Cookie<'static>,
    secure: Secure,
    /// Seconds, rounded up: no session ends too early.
    idle: u32,
    lifetime: Option<u32>,
    /// Seconds after which a cookie is sealed anew.
    renewal: u32,
}

#[derive(Debug, Clone)]
struct Keys {
    sealing: Key,
    /// Those that only open.
    former: Vec<Key>,
    /// Whether the key was made for this process.
    is_random: bool,
}

/// Stands before what it says; another version has another.
const VERSION: &str = "1:";
/// Cookies of this name that are looked at in one request. A client may have a few, of several paths; whoever sends
/// more must not make the proxy decrypt them all.
const MOST_TRIED: usize = 4;
/// Octets of the longest value that is decoded: a ticket takes 180 at most.
const LONGEST: usize = 256;
/// Seconds by which the clock of another proxy may be ahead.
const MOST_AHEAD: u32 = 60;

impl Sealer {
    /// For the cookies of a pool. Without a secret, a random one is made, unless `previous` has made one before.
    ///
    /// # Panics
    /// If a random secret is needed and the operating system has no randomness.
    pub fn new(settings: &config::Sealed, previous: Option<&Self>) -> Self {
        let cookie = &settings.cookie;
        let idle = seconds(settings.idle_timeout);
        let kept = cookie.max_age.map_or(idle, |age| idle.min(seconds(age)));
        Self {
            keys: Keys::new(cookie, previous),
            template: template(cookie),
            secure: cookie.secure,
            idle,
            lifetime: (!settings.max_lifetime.is_zero()).then(|| seconds(settings.max_lifetime)),
            renewal: kept / 4,
        }
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        self.template.name()
    }

    /// How long a cookie counts after it was sealed.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle.into())
    }

    /// Looks for a cookie that counts: the first, of at most four.
    pub fn open(&self, headers: &Fields, now: Now) -> Opened {
        self.find(headers, now, |value| self.unseal(value))
    }

    /// The same, by what is known of those that were opened of late.
    pub fn open_known(&self, recent: &Recent, headers: &Fields, now: Now) -> Opened {
        self.find(headers, now, |value| recent.get_or(value, || self.unseal(value)))
    }

    fn find(&self, headers: &Fields, now: Now, unseal: impl Fn(&[u8]) -> Option<Ticket>) -> Opened {
        let values = cookies(headers, self.template.name()).filter(|value| !value.is_empty());
        let mut best = Opened::Absent;
        for value in values.take(MOST_TRIED) {
            let opened = unseal(value)
                .map_or(Opened::Refused(Reason::Forged), |ticket| self.check(ticket, now.secs()));
            if matches!(opened, Opened::Valid(_)) {
                return opened;
            }
            if best == Opened::Absent {
                best = opened;
            }
        }
        best
    }

    /// The value of the `Set-Cookie` field that has a client keep `ticket`, as sealed `now`. `over_tls` tells whether
    /// the client's connection is encrypted.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn seal(&self, ticket: &Ticket, now: Now, over_tls: bool) -> HeaderValue {
        let mut cookie = self.template.clone();
        cookie.set_value(Ticket { sealed: now.secs(), ..*ticket }.to_string());
        cookie.set_secure(match self.secure {
            Secure::Auto => over_tls,
            Secure::Always => true,
            Secure::Never => false,
        });
        let mut jar = CookieJar::new();
        jar.private_mut(&self.keys.sealing).add(cookie);
        let sealed = jar.get(self.template.name()).expect("it has just been added").to_string();
        HeaderValue::try_from(sealed).expect("base64, and texts that the configuration's check let through")
    }

    /// Whether the client should get a fresh cookie: a quarter of what the old one lasts has passed.
    pub fn needs_seal(&self, ticket: &Ticket, now: Now) -> bool {
        now.secs().saturating_sub(ticket.sealed) >= self.renewal
    }

    /// Takes the cookie out of a request, so that a backend does not see it. All else stays as it is, octet by octet;
    /// a `Cookie` field with nothing else in it goes.
    pub fn strip(&self, fields: &mut Fields) {
        fields.change(&header::COOKIE, |field| without(field, self.template.name()));
    }

    fn check(&self, ticket: Ticket, now: u32) -> Opened {
        if ticket.issued.max(ticket.sealed) > now.saturating_add(MOST_AHEAD) {
            return Opened::Refused(Reason::FromTheFuture);
        }
        if self.lifetime.is_some_and(|lifetime| now.saturating_sub(ticket.issued) > lifetime) {
            return Opened::Over(ticket, Reason::TooOld);
        }
        if now.saturating_sub(ticket.sealed) > self.idle {
            return Opened::Over(ticket, Reason::Expired);
        }
        Opened::Valid(ticket)
    }

    fn unseal(&self, value: &[u8]) -> Option<Ticket> {
        let value = str::from_utf8(value).ok().filter(|value| value.len() <= LONGEST)?;
        let sealed = || Cookie::new(self.template.name().to_owned(), value.to_owned());
        let jar = CookieJar::new();
        let opened = self.keys.all().find_map(|key| jar.private(key).decrypt(sealed()))?;
        Ticket::parse(opened.value())
    }
}

impl Keys {
    fn new(cookie: &config::Cookie, previous: Option<&Sealer>) -> Self {
        if let Some((sealing, former)) = cookie.secrets.split_first() {
            return Self {
                sealing: derived(sealing),
                former: former.iter().map(derived).collect(),
                is_random: false,
            };
        }
        let known = previous.map(|sealer| &sealer.keys).filter(|keys| keys.is_random);
        known.cloned().unwrap_or_else(|| {
            tracing::warn!(
                cookie = cookie.name,
                "no secret for the cookie: with a random one, sessions end with this process"
            );
            Self { sealing: Key::generate(), former: Vec::new(), is_random: true }
        })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.former)
    }
}

/// HKDF takes all of the secret; the crate wants 32 octets at least, which every [`Secret`] has.
fn derived(secret: &Secret) -> Key {
    Key::derive_from(secret.as_bytes())
}

fn template(settings: &config::Cookie) -> Cookie<'static> {
    let mut cookie = Cookie::new(settings.name.clone(), "");
    cookie.set_same_site(settings.same_site);
    cookie.set_http_only(settings.http_only);
    cookie.set_path(settings.path.clone());
    if let Some(domain) = &settings.domain {
        cookie.set_domain(domain.clone());
    }
    if let Some(age) = settings.max_age {
        cookie.set_max_age(cookie::time::Duration::seconds(seconds(age).into()));
    }
    cookie.set_partitioned(settings.partitioned);
    cookie
}

/// What is left of a field without the cookies called `name`.
fn without(field: &[u8], name: &str) -> Change {
    let is_own = |pair: &[u8]| value_of(pair, name).is_some();
    if !Pairs(Some(field)).any(is_own) {
        return Change::Keep;
    }
    let mut left = Vec::with_capacity(field.len());
    for (position, pair) in Pairs(Some(field)).filter(|pair| !is_own(pair)).enumerate() {
        if position > 0 {
            left.push(b';');
        }
        left.extend_from_slice(if position == 0 { pair.trim_ascii_start() } else { pair });
    }
    if left.iter().all(|octet| matches!(octet, b';' | b' ' | b'\t')) {
        return Change::Remove;
    }
    let value = HeaderValue::from_maybe_shared(Bytes::from(left));
    Change::To(value.expect("a part of a field's value is one"))
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

impl Ticket {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix(VERSION)?.split(':');
        let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
        let (backend, address, incarnation, session) = (number()?, number()?, number()?, number()?);
        let epoch = number()?;
        let (issued, sealed) = (number()?.try_into().ok()?, number()?.try_into().ok()?);
        let is_whole = fields.next().is_none();
        is_whole.then_some(Self { backend, address, incarnation, session, epoch, issued, sealed })
    }
}

/// As it stands in the cookie, under the seal.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, address, incarnation, session, epoch, issued, sealed } = self;
        write!(
            f,
            "{VERSION}{backend:x}:{address:x}:{incarnation:x}:{session:x}:{epoch:x}:{issued:x}:{sealed:x}"
        )
    }
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// As it stands in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::FromTheFuture => "from_the_future",
        }
    }
}
