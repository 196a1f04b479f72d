//! Hands inputs to `homing_fuzz::h2_frames`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| homing_fuzz::h2_frames::run(input));
