//! Hands inputs to `homing_fuzz::configuration`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| homing_fuzz::configuration::run(input));
