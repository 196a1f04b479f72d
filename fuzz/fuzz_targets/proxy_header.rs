//! Hands inputs to `homing_fuzz::proxy_header`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| homing_fuzz::proxy_header::run(input));
