//! The `chunked` transfer coding (RFC 9112 §7.1), read strictly: what another reader could take for another length is
//! an error, not a body.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;

use super::{Nonsense, fields};

/// Octets of all chunk extensions of one body, which nobody needs.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Octets of a trailer section.
const MAX_TRAILERS: usize = 64 * 1024;
/// Digits of a chunk's size: more may not fit into 64 bits.
const MAX_DIGITS: u8 = 16;

/// Where in a body the next octet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The digits of a size.
    Size,
    /// Blanks behind the digits.
    SizeBlank,
    /// What follows the digits up to the end of the line.
    Extension,
    /// The line feed behind a size.
    SizeEnd,
    /// The octets of a chunk.
    Data,
    /// The carriage return behind them.
    DataEnd,
    /// And the line feed.
    DataEndLine,
    /// Behind the last chunk.
    Trailers,
    Over,
}

/// Reads one body.
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    /// Of the chunk: what was read of its size, and then what is left of its octets.
    size: u64,
    digits: u8,
    extensions: usize,
}

/// What was found next.
#[derive(Debug)]
pub(super) enum Step {
    /// Octets of the body.
    Data(Bytes),
    /// The end, with fields behind the body.
    Trailers(HeaderMap),
    /// The end.
    End,
    /// What is there is read; more has to come.
    More,
}

const BAD_SIZE: Nonsense = Nonsense("a chunk's size is none");
const BAD_LINE: Nonsense = Nonsense("a chunk's line does not end as it should");

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { place: Place::Size, size: 0, digits: 0, extensions: 0 }
    }

    /// Reads on in `input`, and takes from it what was read.
    ///
    /// # Errors
    /// It is not so coded.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Step, Nonsense> {
        while self.place != Place::Over {
            match self.place {
                Place::Data => return Ok(self.data(input)),
                Place::Trailers => return self.trailers(input),
                _ => {}
            }
            let Some(&octet) = input.first() else { return Ok(Step::More) };
            self.octet(octet)?;
            input.advance(1);
        }
        Ok(Step::End)
    }

    /// One octet of what is around the data.
    fn octet(&mut self, octet: u8) -> Result<(), Nonsense> {
        self.place = match (self.place, octet) {
            (Place::Size, _) => return self.size(octet),
            (Place::SizeBlank, b' ' | b'\t') => Place::SizeBlank,
            (Place::SizeBlank, b';') => Place::Extension,
            (Place::SizeBlank | Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, b'\n') => return Err(BAD_LINE),
            (Place::Extension, _) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return Err(Nonsense("chunk extensions are too long"));
                }
                Place::Extension
            }
            (Place::SizeEnd, b'\n') if self.size == 0 => Place::Trailers,
            (Place::SizeEnd, b'\n') => Place::Data,
            (Place::DataEnd, b'\r') => Place::DataEndLine,
            (Place::DataEndLine, b'\n') => {
                self.digits = 0;
                Place::Size
            }
            _ => return Err(BAD_LINE),
        };
        Ok(())
    }

    fn size(&mut self, octet: u8) -> Result<(), Nonsense> {
        let digit = match octet {
            b'0'..=b'9' => octet - b'0',
            b'a'..=b'f' => octet - b'a' + 10,
            b'A'..=b'F' => octet - b'A' + 10,
            _ if self.digits == 0 => return Err(BAD_SIZE),
            b'\r' => {
                self.place = Place::SizeEnd;
                return Ok(());
            }
            b';' => {
                self.place = Place::Extension;
                return Ok(());
            }
            // Those before an extension are to be read (RFC 9112 §7.1.1, "bad whitespace").
            b' ' | b'\t' => {
                self.place = Place::SizeBlank;
                return Ok(());
            }
            _ => return Err(BAD_SIZE),
        };
        if self.digits == MAX_DIGITS {
            return Err(BAD_SIZE);
        }
        self.size = (self.size << 4) | u64::from(digit);
        self.digits += 1;
        Ok(())
    }

    fn data(&mut self, input: &mut BytesMut) -> Step {
        if input.is_empty() {
            return Step::More;
        }
        let count = usize::try_from(self.size).map_or(input.len(), |left| left.min(input.len()));
        self.size -= count as u64;
        if self.size == 0 {
            self.place = Place::DataEnd;
        }
        Step::Data(input.split_to(count).freeze())
    }

    /// The fields behind the body, once all of them are there.
    fn trailers(&mut self, input: &mut BytesMut) -> Result<Step, Nonsense> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            self.place = Place::Over;
            return Ok(Step::End);
        }
        let end = memchr::memmem::find(input, b"\r\n\r\n").map(|at| at + 4);
        if end.unwrap_or(input.len()) > MAX_TRAILERS {
            return Err(Nonsense("the trailer section is too long"));
        }
        let Some(end) = end else { return Ok(Step::More) };
        let section = input.split_to(end).freeze();
        let fields = fields::trailers(&section)?;
        self.place = Place::Over;
        Ok(Step::Trailers(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http1::Fault;

    use proptest::prelude::*;

    /// The body and the trailers of `coded`, which comes in pieces of so many octets; and what is left.
    fn read(coded: &[u8], piece: usize) -> Result<(Vec<u8>, Option<HeaderMap>, usize), Fault> {
        let (mut chunked, mut input, mut body) = (Chunked::new(), BytesMut::new(), Vec::new());
        let mut pieces = coded.chunks(piece.max(1));
        loop {
            match chunked.read(&mut input)? {
                Step::Data(data) => body.extend_from_slice(&data),
                Step::Trailers(fields) => return Ok((body, Some(fields), input.len() + pieces.len())),
                Step::End => return Ok((body, None, input.len() + pieces.len())),
                Step::More => input.extend_from_slice(pieces.next().ok_or(Fault::Closed)?),
            }
        }
    }

    fn coded(chunks: &[Vec<u8>], extension: &str) -> Vec<u8> {
        let mut coded = Vec::new();
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            coded.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            coded.extend_from_slice(chunk);
            coded.extend_from_slice(b"\r\n");
        }
        coded.extend_from_slice(b"0\r\n\r\n");
        coded
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            extension in prop_oneof![Just(""), Just(";a=b"), Just(" ;x")],
            piece in 1_usize..50,
        ) {
            let (body, trailers, left) = read(&coded(&chunks, extension), piece).expect("it is well coded");
            prop_assert_eq!((body, trailers, left), (chunks.concat(), None, 0));
        }

        #[test]
        fn pieces_make_no_difference(octets in prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'1'), Just(b'a'), Just(b';'), any::<u8>()], 0..60,
        ), piece in 1_usize..9) {
            let whole = read(&octets, octets.len()).map(|(body, trailers, _)| (body, trailers));
            let parts = read(&octets, piece).map(|(body, trailers, _)| (body, trailers));
            prop_assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
        }

        #[test]
        fn no_body_ends_before_its_last_octet(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4), cut in any::<prop::sample::Index>(),
        ) {
            let coded = coded(&chunks, "");
            let part = &coded[..cut.index(coded.len())];
            prop_assert!(matches!(read(part, 7), Err(Fault::Closed)));
        }
    }

    #[test]
    fn what_another_could_read_otherwise_is_an_error() {
        for wrong in [
            "1\nx\r\n0\r\n\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1\r\nxy\r\n0\r\n\r\n",
            " 1\r\nx\r\n0\r\n\r\n",
            "0x1\r\nx\r\n0\r\n\r\n",
            "+1\r\nx\r\n0\r\n\r\n",
            "-1\r\nx\r\n0\r\n\r\n",
            "\r\n0\r\n\r\n",
            "1 1\r\nx\r\n0\r\n\r\n",
            ";a\r\n0\r\n\r\n",
            "1;a\nb\r\nx\r\n0\r\n\r\n",
            "1\rx\r\n0\r\n\r\n",
            "00000000000000001\r\nx\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
            "0\r\na b: c\r\n\r\n",
            "0\r\na: b\n\r\n\r\n",
            "0\r\n: b\r\n\r\n",
        ] {
            assert!(matches!(read(wrong.as_bytes(), 64), Err(Fault::Nonsense(_))), "{wrong:?}");
        }
    }

    #[test]
    fn trailers_come_behind_the_body() {
        let (body, trailers, left) =
            read(b"3\r\nabc\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\nHTTP", 5).expect("a body");
        let sums: Vec<_> = trailers.expect("trailers").get_all("x-sum").iter().cloned().collect();
        assert_eq!((body.as_slice(), sums.len()), (&b"abc"[..], 2));
        assert!(left > 0, "what follows is not its own");
    }

    #[test]
    fn what_nobody_needs_is_bounded() {
        let extension = [b"1;".as_slice(), &vec![b'a'; MAX_EXTENSIONS + 1], b"\r\n"].concat();
        assert!(matches!(read(&extension, 4096), Err(Fault::Nonsense(_))));
        let trailers = [b"0\r\na: ".as_slice(), &vec![b'a'; MAX_TRAILERS], b"\r\n\r\n"].concat();
        assert!(matches!(read(&trailers, 4096), Err(Fault::Nonsense(_))));
    }
}
