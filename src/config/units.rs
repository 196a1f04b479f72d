//! Durations and sizes as they are written in strings: `"250ms"`, `"16KiB"`.
//! Which of them a setting may have is for the checks to say.

use std::fmt::Write as _;
use std::time::Duration;

use super::report::Complaint;

const DURATION_FORM: &str = "write a number and ms, s, m, h or d: \"250ms\", \"10s\", \"1h\"";
const SIZE_FORM: &str = "write a number of octets, or one with KiB, MiB or GiB: \"16KiB\", \"1MiB\", \"0\"";

/// Longer waits cannot be meant, and would overflow clocks.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// `"250ms"`, `"10s"`, `"1h30m"`.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let mut units = text.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
    let has_unit = text.ends_with(|c: char| c.is_ascii_lowercase());
    let has_form = has_unit && units.all(|unit| matches!(unit, "ms" | "s" | "m" | "h" | "d"));
    match humantime::parse_duration(text) {
        Ok(duration) if has_form && duration <= LONGEST => Ok(duration),
        Ok(_) if has_form => Err(Complaint::invalid(format!("{text:?} is longer than a year"))),
        _ => Err(Complaint::invalid(format!("{text:?} is not a duration")).help(DURATION_FORM)),
    }
}

/// `"16KiB"`, `"1MiB"`, `"512"`.
pub(super) fn size(text: &str) -> Result<u64, Complaint> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim_start() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let octets = number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    octets.ok_or_else(|| Complaint::invalid(format!("{text:?} is not a size")).help(SIZE_FORM))
}

/// A size as one would write it: [`size`] backwards.
/// A duration as it would be written in the file. What is below a millisecond cannot be written there.
pub(super) fn shown_duration(duration: Duration) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (scale, unit) in units.into_iter().filter(|(scale, _)| duration.as_millis() >= *scale) {
        let count = left / scale;
        left %= scale;
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

pub(super) fn shown_size(octets: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(scale, _)| octets > 0 && octets.is_multiple_of(*scale));
    unit.map_or_else(|| octets.to_string(), |(scale, unit)| format!("{}{unit}", octets / scale))
}

/// Tells a reader how a duration is written.
pub(super) fn wants_duration(found: &str) -> Complaint {
    Complaint::invalid(format!("expected a duration, found {found}")).help(DURATION_FORM)
}

/// Tells a reader how a size is written.
pub(super) fn wants_size(found: &str) -> Complaint {
    Complaint::invalid(format!("expected a size, found {found}")).help(SIZE_FORM)
}
