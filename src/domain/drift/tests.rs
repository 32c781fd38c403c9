//! The claims table, row by row.
