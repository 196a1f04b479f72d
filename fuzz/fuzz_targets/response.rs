//! Hands inputs to `homing_fuzz::response`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| homing_fuzz::response::run(input));
