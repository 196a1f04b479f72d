//! From one TOML value to one typed setting: what type it has and which values it may take.
//! Text with a grammar of its own is read by [`super::units`], [`super::address`] and [`super::key`].

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::key::KeySource;
use super::report::Complaint;
use super::{suggest, units};

/// A setting, or what is wrong with its value.
pub(super) type Outcome<T> = Result<T, Complaint>;

/// Names longer than this would not fit on a line of a table or a log.
const LONGEST_NAME: usize = 255;

pub(super) fn text(value: &DeValue<'_>) -> Outcome<String> {
    string(value).map(str::to_owned)
}

pub(super) fn flag(value: &DeValue<'_>) -> Outcome<bool> {
    value.as_bool().ok_or_else(|| expected("true or false", value))
}

/// A string read by `parse`.
pub(super) fn parsed<T>(parse: impl Fn(&str) -> Outcome<T>) -> impl Fn(&DeValue<'_>) -> Outcome<T> {
    move |value| parse(string(value)?)
}

/// A pool's or a backend's name: it stands in log lines, in tables, and in `POOL/BACKEND`.
pub(super) fn name(value: &DeValue<'_>) -> Outcome<String> {
    let name = string(value)?;
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(Complaint::invalid(format!("{name:?} is not a name"))
        .help("write 1 to 255 octets without spaces and slashes"))
}

/// An integer within `range`.
pub(super) fn number<T>(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Outcome<T>
where
    T: TryFrom<u64>,
{
    move |value| within(&range, integer(value)?, |number| number.to_string())
}

/// How many, from one to `most`.
pub(super) fn count(most: u64) -> impl Fn(&DeValue<'_>) -> Outcome<NonZeroUsize> {
    move |value| {
        let count = number(1..=most)(value)?;
        NonZeroUsize::new(count).ok_or_else(|| Complaint::invalid("must be at least 1"))
    }
}

/// Octets within `range`, as an integer or like `"16KiB"`.
pub(super) fn size<T>(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Outcome<T>
where
    T: TryFrom<u64>,
{
    move |value| {
        let octets = match value {
            DeValue::Integer(_) => integer(value)?,
            DeValue::String(text) => i128::from(units::size(text)?),
            other => return Err(units::wants_size(article(other))),
        };
        within(&range, octets, units::shown_size)
    }
}

/// A duration, which may be zero.
pub(super) fn duration(value: &DeValue<'_>) -> Outcome<Duration> {
    let text = value.as_str().ok_or_else(|| units::wants_duration(article(value)))?;
    units::duration(text)
}

/// A duration longer than zero.
pub(super) fn positive(value: &DeValue<'_>) -> Outcome<Duration> {
    match duration(value)? {
        Duration::ZERO => Err(Complaint::invalid("must be longer than zero")),
        duration => Ok(duration),
    }
}

/// One of these words.
pub(super) fn choice<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Outcome<T> {
    move |value| {
        let word = string(value)?;
        if let Some(&(_, choice)) = words.iter().find(|&&(name, _)| name == word) {
            return Ok(choice);
        }
        let names = || words.iter().map(|&(name, _)| name);
        let list: Vec<_> = names().map(|name| format!("{name:?}")).collect();
        let near = suggest::did_you_mean(word, names());
        Err(Complaint::invalid(format!("{word:?} is not one of {}", list.join(", "))).maybe_help(near))
    }
}

/// A `KIND:NAME` of `sticky.key` or `route.key`.
pub(super) fn key_source(value: &DeValue<'_>) -> Outcome<KeySource> {
    let source = source(value)?;
    if source.is_in_requests() {
        return Ok(source);
    }
    let complaint =
        Complaint::invalid(format!("a request's body is not read: \"{source}\" can only be learned"));
    Err(complaint.help("name it in `learn` of [pool.sticky]"))
}

fn source(value: &DeValue<'_>) -> Outcome<KeySource> {
    let source = KeySource::parse(string(value)?);
    source.map_err(|error| Complaint::invalid(error.to_string()).maybe_help(error.help()))
}

/// A key source that a response can teach.
pub(super) fn learnt(value: &DeValue<'_>) -> Outcome<KeySource> {
    let source = source(value)?;
    if source.is_learnable() {
        return Ok(source);
    }
    let complaint = Complaint::invalid(format!("\"{source}\" is not in a response, and cannot be learned"));
    Err(complaint.help("only cookie:, header: and body: sources can"))
}

/// The octets of a file that a setting names, and one more than `most` if there are more: whoever names `/dev/zero`
/// shall hear of it.
pub(super) fn octets_of(path: &Path, most: u64) -> Outcome<Vec<u8>> {
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut octets));
    let cannot = |error| Complaint::invalid(format!("{:?} cannot be read: {error}", path.to_string_lossy()));
    read.map(|_| octets).map_err(cannot)
}

/// A complaint about a value's type.
pub(super) fn expected(what: &str, value: &DeValue<'_>) -> Complaint {
    Complaint::invalid(format!("expected {what}, found {}", article(value)))
}

fn string<'v>(value: &'v DeValue<'_>) -> Outcome<&'v str> {
    value.as_str().ok_or_else(|| expected("a string", value))
}

fn integer(value: &DeValue<'_>) -> Outcome<i128> {
    let integer = value.as_integer().ok_or_else(|| expected("an integer", value))?;
    // More than 128 bits are out of every range, whatever they say.
    Ok(i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX))
}

fn within<T>(range: &RangeInclusive<u64>, found: i128, show: fn(u64) -> String) -> Outcome<T>
where
    T: TryFrom<u64>,
{
    let number = u64::try_from(found).ok().filter(|number| range.contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let least = show(*range.start());
        match *range.end() {
            u64::MAX => Complaint::invalid(format!("must be at least {least}, not {found}")),
            most => Complaint::invalid(format!("must be {least} to {}, not {found}", show(most))),
        }
    })
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
