//! Field sections as HTTP/2 compresses them (RFC 7541).

mod decoder;
mod encoder;
mod huffman;
mod known;
mod table;

pub(super) use decoder::{Decoder, Field, Name, Wrong};
pub(super) use encoder::Encoder;

/// Octets of the table that either side keeps at most, unless less is agreed (RFC 9113 §6.5.2).
const TABLE: usize = 4096;
/// What an entry takes beside its name and its value (RFC 7541 §4.1).
pub(super) const OVERHEAD: usize = 32;
/// Entries of the table that never changes, which come first; the latest of the other is the next (§2.3.3).
const KNOWN: usize = 61;

/// What cannot be decompressed: nothing that follows on its connection can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbled(pub(super) &'static str);

/// How a field is written (§6).
mod form {
    /// All of it is in a table.
    pub(super) const INDEXED: u8 = 0x80;
    /// It is to be added to the table.
    pub(super) const ADDED: u8 = 0x40;
    /// The table changes its size.
    pub(super) const SIZE: u8 = 0x20;
    /// No table may ever have it (§7.1.3).
    pub(super) const NEVER: u8 = 0x10;
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::{HeaderName, HeaderValue, StatusCode};
    use proptest::prelude::*;

    use crate::headers::Fields;

    fn fields(list: &[(usize, String)]) -> Fields {
        let names = ["content-type", "x-a", "set-cookie", "date", "x-long-name-of-its-own", "content-length"];
        let field = |(name, value): &(usize, String)| {
            (HeaderName::from_static(names[*name]), HeaderValue::from_str(value).expect("a value"))
        };
        list.iter().map(field).collect()
    }

    /// Fields, by the places of their names, and what the table may count from then on.
    type Section = (Vec<(usize, String)>, Option<u32>);

    fn sections() -> impl Strategy<Value = Vec<Section>> {
        let field = (0..6_usize, "[a-z]{0,3}|[ -~]{0,200}");
        let size = prop::option::weighted(0.2, prop_oneof![0..200_u32, 0..9000_u32]);
        prop::collection::vec((prop::collection::vec(field, 0..8), size), 1..20)
    }

    proptest! {
        /// Whatever is written is read, by this decoder and by another library's, though the table changes its size.
        #[test]
        fn both_sides_stay_in_step(sections in sections()) {
            let (mut encoder, mut decoder, mut other) = (Encoder::default(), Decoder::default(), loona_hpack::Decoder::new());
            for (list, size) in sections {
                if let Some(size) = size {
                    encoder.resize(size);
                    other.set_max_allowed_table_size(TABLE);
                }
                let (fields, mut block) = (fields(&list), Vec::new());
                encoder.head(StatusCode::OK, &fields, &mut block);
                let mut read = Vec::new();
                decoder.decode(&block, |field| {
                    read.push((field.name.text().to_owned(), field.value.to_vec()));
                    Ok::<_, Garbled>(())
                }).expect("a section");
                let mut expected = vec![(":status".to_owned(), b"200".to_vec())];
                expected.extend(fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_vec())));
                prop_assert_eq!(&read, &expected);
                let theirs = other.decode(&block).expect("a section");
                let theirs: Vec<_> =
                    theirs.into_iter().map(|(name, value)| (String::from_utf8(name).expect("text"), value)).collect();
                prop_assert_eq!(theirs, expected);
            }
        }

        #[test]
        fn any_octets_are_understood_or_refused(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..5)) {
            let mut decoder = Decoder::default();
            let mut other = loona_hpack::Decoder::new();
            for block in blocks {
                let mut read = Vec::new();
                let mut theirs = Vec::new();
                let ours = decoder.decode(&block, |field| {
                    read.push(field.value.to_vec());
                    Ok::<_, Garbled>(())
                });
                let known = other.decode_with_cb(&block, |_, value| theirs.push(value.to_vec()));
                // A new size alone is a section too, which the other library does not think.
                if ours.is_err() || known == Err(loona_hpack::decoder::DecoderError::SizeUpdateAtEnd) {
                    break;
                }
                prop_assert!(known.is_ok(), "{:?} of {:x?}", known, block);
                prop_assert_eq!(read, theirs);
            }
        }
    }

    #[test]
    fn what_repeats_takes_one_octet() {
        let (mut encoder, mut block) = (Encoder::default(), Vec::new());
        let fields = fields(&[(0, "text/html".into()), (1, "x".repeat(100))]);
        encoder.head(StatusCode::OK, &fields, &mut block);
        block.clear();
        encoder.head(StatusCode::OK, &fields, &mut block);
        assert_eq!(block.len(), 3);
    }

    #[test]
    fn secrets_are_in_no_table() {
        let (mut encoder, mut block) = (Encoder::default(), Vec::new());
        let mut value = HeaderValue::from_static("1");
        value.set_sensitive(true);
        let fields = Fields::from_iter([(HeaderName::from_static("x-s"), value)]);
        for _ in 0..2 {
            block.clear();
            encoder.head(StatusCode::OK, &fields, &mut block);
            assert_eq!(block, b"\x88\x10\x03x-s\x011");
        }
    }
}
