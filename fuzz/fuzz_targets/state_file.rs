//! Hands inputs to `homing_fuzz::state_file`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| homing_fuzz::state_file::run(input));
