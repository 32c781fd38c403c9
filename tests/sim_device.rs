//! The contract of the simulated RDS: what its command channel, target and observer promise.
#![cfg(feature = "sim")]

mod sim_device {
    mod commands;
    mod driver_lines;
    mod fixture;
    mod keep;
    mod language;
    mod listing;
    mod pauses;
    mod personalities;
    mod scale;
    mod target;
}
