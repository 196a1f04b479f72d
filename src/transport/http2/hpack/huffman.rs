//! The code that strings may be written in (RFC 7541 §5.2, Appendix B).
//!
//! It is a canonical one: the lengths of its codes, in order of the symbols, say all codes.

use super::Garbled;

/// Bits of the code of each octet, and of the end (256), which no string contains.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const SYMBOLS: usize = 257;
const LONGEST: usize = 30;

static CODE: Code = Code::new();

/// The code as it is read.
struct Code {
    /// Symbols by their codes.
    symbols: [u16; SYMBOLS],
    /// For each length: the first code that is longer, as the first bits of a word, and what to add to a code, with a
    /// wrap, to find the place of its symbol.
    ends: [u64; LONGEST + 1],
    places: [usize; LONGEST + 1],
    /// For the next octet of the input: the symbol whose code it begins with and how long that is; 0 if it is longer.
    short: [(u8, u8); 256],
}

impl Code {
    const fn new() -> Self {
        let (symbols, ends, places) = ([0; SYMBOLS], [0; LONGEST + 1], [0; LONGEST + 1]);
        let mut code = Self { symbols, ends, places, short: [(0, 0); 256] };
        let (mut next, mut place, mut length) = (0_u64, 0_usize, 1);
        while length <= LONGEST {
            next <<= 1;
            code.places[length] = place.wrapping_sub(next as usize);
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[place] = symbol as u16;
                    if length <= 8 {
                        code.fill(next, length, symbol);
                    }
                    (place, next) = (place + 1, next + 1);
                }
                symbol += 1;
            }
            code.ends[length] = next << (32 - length);
            length += 1;
        }
        code
    }

    /// Notes a code for all octets that begin with it.
    const fn fill(&mut self, code: u64, length: usize, symbol: usize) {
        let mut at = (code as usize) << (8 - length);
        let end = (code as usize + 1) << (8 - length);
        while at < end {
            self.short[at] = (symbol as u8, length as u8);
            at += 1;
        }
    }

    /// The symbol that a word begins with, and how long its code is.
    fn find(&self, word: u32) -> (u16, usize) {
        let (symbol, length) = self.short[(word >> 24) as usize];
        if length > 0 {
            return (symbol.into(), length.into());
        }
        let is_of = |length: &usize| u64::from(word) < self.ends[*length];
        let length = (9..LONGEST).find(is_of).unwrap_or(LONGEST);
        let place = self.places[length].wrapping_add((word >> (32 - length)) as usize);
        (self.symbols.get(place).copied().unwrap_or(END), length)
    }
}

/// The symbol of the end.
const END: u16 = 256;

/// Appends what `coded` says.
///
/// # Errors
/// It is no whole code, or padded with something else than less than eight ones.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Garbled> {
    out.reserve(coded.len() * 8 / 5);
    // The next bits are the last `count` of `bits`.
    let (mut bits, mut count) = (0_u64, 0);
    let mut rest = coded.iter();
    loop {
        while count <= 32
            && let Some(octet) = rest.next()
        {
            bits = bits << 8 | u64::from(*octet);
            count += 8;
        }
        // Behind the end there are ones, as in its padding.
        let word = if count >= 32 {
            (bits >> (count - 32)) as u32
        } else {
            ((bits << (32 - count)) | ((1 << (32 - count)) - 1)) as u32
        };
        let (symbol, length) = CODE.find(word);
        if length > count {
            let is_padding = count < 8 && word == u32::MAX;
            return if is_padding {
                Ok(())
            } else {
                Err(Garbled("a Huffman code does not end as it should"))
            };
        }
        let octet = u8::try_from(symbol).map_err(|_| Garbled("a Huffman code has the end in it"))?;
        out.push(octet);
        count -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fmt::Write as _;

    use proptest::prelude::*;

    /// What RFC 7541 §5.2 says, symbol by symbol.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for octet in text {
            let length = usize::from(LENGTHS[usize::from(*octet)]);
            let place = CODE.symbols.iter().position(|symbol| *symbol == u16::from(*octet)).expect("a place");
            let code = place.wrapping_sub(CODE.places[length]);
            write!(bits, "{code:0length$b}").expect("room");
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let octets = bits.as_bytes().chunks(8);
        octets
            .map(|octet| u8::from_str_radix(str::from_utf8(octet).expect("digits"), 2).expect("an octet"))
            .collect()
    }

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Garbled> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc_are_understood() {
        // RFC 7541 §C.4.1, §C.4.3, §C.6.1.
        let examples: [(&[u8], &str); 3] = [
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
                "https://www.example.com",
            ),
        ];
        for (coded, text) in examples {
            assert_eq!(decoded(coded).expect("a text"), text.as_bytes());
            assert_eq!(encode(text.as_bytes()), coded);
        }
    }

    #[test]
    fn padding_is_less_than_an_octet_of_ones() {
        assert_eq!(decoded(b"").expect("nothing"), b"");
        for wrong in [&b"\xff"[..], b"\x1f\xff", b"\x18", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfc"] {
            assert!(decoded(wrong).is_err(), "{wrong:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_coded_is_understood(text in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(&encode(&text)).expect("a text"), text);
        }

        #[test]
        fn any_octets_are_understood_or_refused(coded in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(text) = decoded(&coded) {
                prop_assert_eq!(encode(&text), coded);
            }
        }
    }
}
