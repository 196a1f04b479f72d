//! Hands inputs to `homing_fuzz::request`, and asks a third parser about the heads that reach the backend.

#![no_main]

use libfuzzer_sys::fuzz_target;

const MOST_FIELDS: usize = 256;

fuzz_target!(|input: &[u8]| {
    for arrival in homing_fuzz::request::arrivals(input) {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let head = request.parse(&arrival.octets).expect("a request");
        assert!(head.is_complete(), "a whole head");
        let message = &arrival.message;
        assert_eq!(request.method.map(str::as_bytes), Some(message.method()));
        assert_eq!(request.path.map(str::as_bytes), Some(message.target()));
        assert_eq!(request.headers.len(), message.fields.len());
    }
});
