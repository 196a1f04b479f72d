//! Octets as text: how cases write them, and how failures show them.

/// The octets that a text of a case stands for. `\r`, `\n`, `\t`, `\s` (a space), `\0`, `\"`, `\\` and `\xHH` stand for
/// one octet, `\{text*count}` for a text so often; everything else stands for itself.
///
/// # Errors
/// What is no such text.
pub(crate) fn octets(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        rest = unescape(escape, &mut octets).ok_or_else(|| format!("what is \\{escape}?"))?;
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}

/// Adds what `escape`, behind its backslash, stands for; returns what follows it.
fn unescape<'a>(escape: &'a str, octets: &mut Vec<u8>) -> Option<&'a str> {
    let (kind, rest) = (escape.chars().next()?, escape.get(1..)?);
    let octet = match kind {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        's' => b' ',
        '0' => 0,
        '"' | '\\' => kind as u8,
        'x' => {
            octets.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
            return rest.get(2..);
        }
        '{' => {
            let (repeated, rest) = rest.split_once('}')?;
            let (text, count) = repeated.rsplit_once('*')?;
            octets.extend(self::octets(text).ok()?.repeat(count.parse().ok()?));
            return Some(rest);
        }
        _ => return None,
    };
    octets.push(octet);
    Some(rest)
}

/// Octets on one line, long ones cut.
pub(crate) fn show(octets: &[u8]) -> String {
    const MOST: usize = 1500;
    let shown = octets.get(..MOST).unwrap_or(octets).escape_ascii();
    let more = octets.len().saturating_sub(MOST);
    if more > 0 { format!("\"{shown}\" and {more} more") } else { format!("\"{shown}\"") }
}

#[test]
fn texts_stand_for_octets() {
    assert_eq!(octets(r#"a\r\n\t\s\0\"\\\xfe-\{ab*3}!"#).unwrap(), b"a\r\n\t \0\"\\\xfe-ababab!");
    assert_eq!(octets("ü").unwrap(), "ü".as_bytes());
    for wrong in [r"\", r"\q", r"\x1", r"\xgg", r"\{a*}", r"\{a", r"\{a}"] {
        assert!(octets(wrong).is_err(), "{wrong}");
    }
}
