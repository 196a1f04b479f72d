//! The proxy's own cookie: what is sealed comes back, and nothing else does; a request without it is as it was.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroUsize;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cookie::{CookieJar, Key};
use homing::affinity::{Opened, Reason, Sealer, Ticket};
use homing::clock::Now;
use homing::config::{Cookie, SameSite, Sealed, Secret, Secure};
use homing::headers::Fields;
use http::{HeaderValue, header};
use proptest::prelude::*;

const NOW: Now = Now(1_800_000_000_000_000);
const IDLE: Duration = Duration::from_mins(30);
const TICKET: Ticket = Ticket {
    backend: u64::MAX,
    address: 1,
    incarnation: 0,
    session: 0x1234_5678_9abc_def0,
    epoch: NOW.micros(),
    issued: NOW.secs() - 100,
    sealed: NOW.secs(),
};

// === Round trip ===

#[test]
fn what_is_sealed_is_opened() {
    let sealer = sealer(|_| {});
    let ours = seal(&sealer, &TICKET);
    assert_eq!(sealer.open(&request(&[&ours]), NOW), Opened::Valid(TICKET));
    assert_eq!(sealer.open(&request(&["a=1", &format!("b=2; {ours}; c=3")]), NOW), Opened::Valid(TICKET));
    assert_eq!(sealer.open(&request(&["a=1; homing=2"]), NOW), Opened::Absent);
    assert_eq!(sealer.open(&request(&["homing_app=; xhoming_app=1"]), NOW), Opened::Absent);
}

#[test]
fn each_seal_is_another_and_says_when() {
    let sealer = sealer(|_| {});
    let later = NOW.after(Duration::from_secs(7));
    let [first, second] = [NOW, later].map(|now| pair(&sealer.seal(&TICKET, now, false)));
    assert_ne!(first, second);
    let expected = Ticket { sealed: later.secs(), ..TICKET };
    assert_eq!(sealer.open(&request(&[&second]), later), Opened::Valid(expected));
}

#[test]
fn nothing_of_a_ticket_can_be_read() {
    let ours = seal(&sealer(|_| {}), &TICKET);
    let value = BASE64_STANDARD.decode(ours.strip_prefix("homing_app=").unwrap()).unwrap();
    let text = b"123456789abcdef0".to_vec();
    assert!(!value.windows(text.len()).any(|window| window == text));
}

proptest! {
    #[test]
    fn every_ticket_comes_back(
        (backend, address, incarnation, session, epoch) in any::<(u64, u64, u64, u64, u64)>(),
        issued in any::<u32>(),
        sealed in any::<u32>(),
    ) {
        let sealer = sealer(|_| {});
        let ticket = Ticket { backend, address, incarnation, session, epoch, issued: issued.min(sealed), sealed };
        let now = Now(u64::from(sealed) * 1_000_000);
        let line = pair(&sealer.seal(&ticket, now, true));
        prop_assert_eq!(sealer.open(&request(&[&line]), now), Opened::Valid(ticket));
    }

    #[test]
    fn no_field_panics(value in "[!-~]{0,300}", others in "[ -~]{0,60}") {
        let mut headers = request(&[&format!("homing_app={value}; {others}"), &others]);
        sealer(|_| {}).open(&headers, NOW);
        sealer(|_| {}).strip(&mut headers);
    }
}

// === Forgery ===

#[test]
fn every_flipped_bit_of_the_text_is_noticed() {
    let sealer = sealer(|_| {});
    let ours = seal(&sealer, &TICKET).into_bytes();
    for bit in b"homing_app=".len() * 8..ours.len() * 8 {
        let mut changed = ours.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Other texts are no header values, so a client cannot send them.
        let Ok(value) = HeaderValue::from_bytes(&changed) else { continue };
        // A flip may make a `;` of an octet, at which the value ends.
        let is_empty = changed["homing_app=".len()] == b';';
        let expected = if is_empty { Opened::Absent } else { Opened::Refused(Reason::Forged) };
        let headers = Fields::from_iter([(header::COOKIE, value)]);
        assert_eq!(sealer.open(&headers, NOW), expected, "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_under_the_text_is_noticed() {
    let sealer = sealer(|_| {});
    let ours = seal(&sealer, &TICKET);
    let octets = BASE64_STANDARD.decode(ours.strip_prefix("homing_app=").unwrap()).unwrap();
    for bit in 0..octets.len() * 8 {
        let mut changed = octets.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = format!("homing_app={}", BASE64_STANDARD.encode(changed));
        assert_eq!(sealer.open(&request(&[&changed]), NOW), Opened::Refused(Reason::Forged), "bit {bit}");
    }
}

#[test]
fn another_secret_does_not_open_it() {
    let ours = seal(&sealer(|cookie| cookie.secrets = vec![secret('b')]), &TICKET);
    assert_eq!(sealer(|_| {}).open(&request(&[&ours]), NOW), Opened::Refused(Reason::Forged));
}

#[test]
fn it_does_not_pass_under_another_name() {
    let other = seal(&sealer(|cookie| cookie.name = "homing_other".to_owned()), &TICKET);
    let renamed = other.replace("homing_other", "homing_app");
    assert_eq!(sealer(|_| {}).open(&request(&[&other]), NOW), Opened::Absent);
    assert_eq!(sealer(|_| {}).open(&request(&[&renamed]), NOW), Opened::Refused(Reason::Forged));
}

/// What another program, or a later version, sealed with the same secret under the same name.
#[test]
fn what_is_not_of_this_version_is_forged() {
    let sealer = sealer(|_| {});
    let good = "1:1:2:3:4:5:6b49d200:6b49d200";
    assert!(matches!(sealer.open(&request(&[&sealed_text(good)]), NOW), Opened::Valid(_)));
    let too_large = "1:10000000000000000:2:3:4:5:6b49d200:6b49d200";
    for text in ["2:1:2:3:4:5:6b49d200:6b49d200", "", "1:", "1:1:2:3:4:5:6", &format!("{good}:0"), too_large]
    {
        let opened = sealer.open(&request(&[&sealed_text(text)]), NOW);
        assert_eq!(opened, Opened::Refused(Reason::Forged), "{text}");
    }
}

// === Several cookies ===

#[test]
fn the_first_that_counts_counts() {
    let sealer = sealer(|_| {});
    let [first, second] = [1, 2].map(|session| Ticket { session, ..TICKET });
    let [good, other] = [first, second].map(|ticket| seal(&sealer, &ticket));
    let old = pair(&sealer.seal(&TICKET, Now(0), false));
    let cookies = format!("homing_app=forged; {old}; {good}; {other}");
    assert_eq!(sealer.open(&request(&[&cookies]), NOW), Opened::Valid(first));
    let over = Opened::Over(Ticket { sealed: 0, ..TICKET }, Reason::Expired);
    assert_eq!(sealer.open(&request(&[&old, "homing_app=x"]), NOW), over);
}

#[test]
fn only_four_are_tried() {
    let sealer = sealer(|_| {});
    let good = seal(&sealer, &TICKET);
    let behind = |forged: usize| format!("{}{good}", "homing_app=forged; ".repeat(forged));
    assert_eq!(sealer.open(&request(&[&behind(3)]), NOW), Opened::Valid(TICKET));
    assert_eq!(sealer.open(&request(&[&behind(4)]), NOW), Opened::Refused(Reason::Forged));
}

// === Secrets ===

#[test]
fn a_former_secret_opens_and_the_first_seals() {
    let [a, b] = ['a', 'b'].map(|letter| sealer(|cookie| cookie.secrets = vec![secret(letter)]));
    let rotated = sealer(|cookie| cookie.secrets = vec![secret('b'), secret('a')]);
    let [by_a, by_rotated] = [&a, &rotated].map(|sealer| seal(sealer, &TICKET));
    assert_eq!(rotated.open(&request(&[&by_a]), NOW), Opened::Valid(TICKET));
    assert_eq!(b.open(&request(&[&by_rotated]), NOW), Opened::Valid(TICKET));
    assert_eq!(a.open(&request(&[&by_rotated]), NOW), Opened::Refused(Reason::Forged));
}

#[test]
fn the_whole_secret_counts() {
    let long = |end| Secret::new(format!("{}{end}", "x".repeat(200)).as_bytes()).unwrap();
    let [one, other] = ["a", "b"].map(|end| sealer(|cookie| cookie.secrets = vec![long(end)]));
    let opened = other.open(&request(&[&seal(&one, &TICKET)]), NOW);
    assert_eq!(opened, Opened::Refused(Reason::Forged));
}

#[test]
fn a_random_secret_outlasts_a_change_of_settings_and_no_other() {
    let random = |previous| Sealer::new(&settings(|cookie| cookie.secrets.clear()), previous);
    let opens = |sealer: &Sealer, by: &Sealer| sealer.open(&request(&[&seal(by, &TICKET)]), NOW);
    let (first, chosen) = (random(None), sealer(|_| {}));
    let forged = Opened::Refused(Reason::Forged);
    assert_eq!(opens(&random(Some(&first)), &first), Opened::Valid(TICKET));
    assert_eq!(opens(&random(None), &first), forged);
    assert_eq!(opens(&random(Some(&chosen)), &chosen), forged);
    assert_eq!(opens(&Sealer::new(&settings(|_| {}), Some(&first)), &first), forged);
}

#[test]
fn keys_are_shown_to_nobody() {
    let shown = format!("{:?}", sealer(|_| {}));
    let key = Key::derive_from("a".repeat(40).as_bytes());
    for secret in ["aaaa".to_owned(), "97, 97".to_owned(), format!("{:?}", &key.encryption()[..3])] {
        assert!(!shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
    }
}

// === Time ===

#[test]
fn an_idle_session_ends() {
    let sealer = sealer(|_| {});
    let request = request(&[&seal(&sealer, &TICKET)]);
    assert_eq!(sealer.open(&request, NOW.after(IDLE)), Opened::Valid(TICKET));
    let late = NOW.after(IDLE + Duration::from_secs(1));
    assert_eq!(sealer.open(&request, late), Opened::Over(TICKET, Reason::Expired));
}

#[test]
fn an_old_session_ends_however_busy() {
    let settings = Sealed { max_lifetime: Duration::from_secs(100), ..settings(|_| {}) };
    let sealer = Sealer::new(&settings, None);
    let request = request(&[&seal(&sealer, &TICKET)]);
    assert_eq!(sealer.open(&request, NOW), Opened::Valid(TICKET));
    let late = NOW.after(Duration::from_secs(1));
    assert_eq!(sealer.open(&request, late), Opened::Over(TICKET, Reason::TooOld));
}

#[test]
fn a_clock_may_be_a_minute_behind() {
    let sealer = sealer(|_| {});
    let before = |secs: u64| Now(NOW.micros() - secs * 1_000_000);
    let fresh = request(&[&seal(&sealer, &Ticket { issued: NOW.secs(), ..TICKET })]);
    assert!(matches!(sealer.open(&fresh, before(60)), Opened::Valid(_)));
    assert_eq!(sealer.open(&fresh, before(61)), Opened::Refused(Reason::FromTheFuture));
    let unborn = request(&[&seal(&sealer, &Ticket { issued: NOW.secs() + 61, ..TICKET })]);
    assert_eq!(sealer.open(&unborn, NOW), Opened::Refused(Reason::FromTheFuture));
}

#[test]
fn it_is_sealed_anew_after_a_quarter_of_its_life() {
    let renewal = |sealer: &Sealer| {
        (0..2000).find(|&secs| sealer.needs_seal(&TICKET, NOW.after(Duration::from_secs(secs))))
    };
    assert_eq!(renewal(&sealer(|_| {})), Some(450));
    assert_eq!(renewal(&sealer(|cookie| cookie.max_age = Some(Duration::from_secs(80)))), Some(20));
    assert_eq!(renewal(&sealer(|cookie| cookie.max_age = Some(Duration::from_hours(9)))), Some(450));
    assert!(!sealer(|_| {}).needs_seal(&TICKET, Now(0)));
}

// === Set-Cookie ===

#[test]
fn the_defaults_in_a_line() {
    let sealer = sealer(|_| {});
    assert_eq!(attributes(&sealer, false), ["HttpOnly", "Path=/", "SameSite=Lax"]);
    assert_eq!(attributes(&sealer, true), ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
}

#[test]
fn every_attribute_in_a_line() {
    let sealer = sealer(|cookie| {
        *cookie = Cookie {
            same_site: SameSite::None,
            secure: Secure::Always,
            http_only: false,
            path: "/shop".to_owned(),
            domain: Some("example.com".to_owned()),
            max_age: Some(Duration::from_secs(90)),
            partitioned: true,
            ..cookie.clone()
        }
    });
    let expected =
        ["Domain=example.com", "Max-Age=90", "Partitioned", "Path=/shop", "SameSite=None", "Secure"];
    assert_eq!(attributes(&sealer, false), expected);
    assert_eq!(attributes(&sealer, true), expected);
}

#[test]
fn secure_can_be_turned_off() {
    let sealer = sealer(|cookie| {
        (cookie.secure, cookie.same_site) = (Secure::Never, SameSite::Strict);
    });
    assert_eq!(attributes(&sealer, true), ["HttpOnly", "Path=/", "SameSite=Strict"]);
}

// === Stripping ===

#[test]
fn all_but_the_own_cookie_stays_octet_by_octet() {
    let cases: [(&[&str], &[&str]); 12] = [
        (&["homing_app=x"], &[]),
        (&["homing_app=x;", "homing_app=y; "], &[]),
        (&["a=1; homing_app=x; b=2"], &["a=1; b=2"]),
        (&["homing_app=x; b=2"], &["b=2"]),
        (&["a=1; homing_app=x"], &["a=1"]),
        (&["a=1;homing_app=x;b=2;"], &["a=1;b=2;"]),
        (&["a=1;  b=\"2 ;homing_app=x\"; c"], &["a=1;  b=\"2 ; c"]),
        (&["a=1", "homing_app=x", "b=2;;c=homing_app=3"], &["a=1", "b=2;;c=homing_app=3"]),
        (&["homing_app=x; homing_app=y; z= ;  ", "q"], &["z= ;  ", "q"]),
        (&["homing_app2=x; xhoming_app=y; HOMING_APP=z"], &["homing_app2=x; xhoming_app=y; HOMING_APP=z"]),
        (&["", "homing_app"], &["", "homing_app"]),
        (&[], &[]),
    ];
    for (sent, left) in cases {
        let mut headers = request(sent);
        sealer(|_| {}).strip(&mut headers);
        assert_eq!(headers, request(left), "of {sent:?}");
        assert_eq!(headers.contains(&header::COOKIE), !left.is_empty());
    }
}

#[test]
fn octets_that_are_no_text_stay() {
    let value = |octets: &[u8]| HeaderValue::from_bytes(octets).unwrap();
    let mut headers = Fields::from_iter([(header::COOKIE, value(b"a=\xff\xfe; homing_app=x\xff; b=\xe9"))]);
    sealer(|_| {}).strip(&mut headers);
    assert_eq!(headers.value(&header::COOKIE), Some(value(b"a=\xff\xfe; b=\xe9")));
}

#[test]
fn what_is_stripped_is_what_is_opened() {
    let sealer = sealer(|_| {});
    let ours = seal(&sealer, &TICKET);
    let mut headers = request(&["a=1", &format!("b=2; {ours}; {ours}"), &ours]);
    sealer.strip(&mut headers);
    assert_eq!(headers, request(&["a=1", "b=2"]));
    assert_eq!(sealer.open(&headers, NOW), Opened::Absent);
}

// === Helpers ===

fn settings(edit: impl FnOnce(&mut Cookie)) -> Sealed {
    let mut cookie = Cookie {
        name: "homing_app".to_owned(),
        secrets: vec![secret('a')],
        same_site: SameSite::Lax,
        secure: Secure::Auto,
        http_only: true,
        path: "/".to_owned(),
        domain: None,
        max_age: None,
        partitioned: false,
    };
    edit(&mut cookie);
    Sealed { cookie, idle_timeout: IDLE, max_lifetime: Duration::ZERO, capacity: NonZeroUsize::MIN }
}

fn sealer(edit: impl FnOnce(&mut Cookie)) -> Sealer {
    Sealer::new(&settings(edit), None)
}

fn secret(letter: char) -> Secret {
    Secret::new(letter.to_string().repeat(40).as_bytes()).unwrap()
}

fn request(cookies: &[&str]) -> Fields {
    let value = |cookie: &&str| (header::COOKIE, HeaderValue::from_str(cookie).unwrap());
    cookies.iter().map(value).collect()
}

/// What a client sends back of a `Set-Cookie` line.
fn pair(line: &HeaderValue) -> String {
    line.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn seal(sealer: &Sealer, ticket: &Ticket) -> String {
    pair(&sealer.seal(ticket, NOW, false))
}

/// The attributes of a `Set-Cookie` line, in alphabetical order.
fn attributes(sealer: &Sealer, over_tls: bool) -> Vec<String> {
    let line = sealer.seal(&TICKET, NOW, over_tls);
    let mut attributes: Vec<_> = line.to_str().unwrap().split("; ").skip(1).map(str::to_owned).collect();
    attributes.sort();
    attributes
}

/// `text` as a private jar seals it with the same secret.
fn sealed_text(text: &str) -> String {
    let mut jar = CookieJar::new();
    jar.private_mut(&Key::derive_from("a".repeat(40).as_bytes())).add(("homing_app", text.to_owned()));
    jar.get("homing_app").unwrap().to_string()
}
