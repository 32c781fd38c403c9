//! The `rds-csi` binary: parse the command line, run one role, return its exit code.

fn main() {}
