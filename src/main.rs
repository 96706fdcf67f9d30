//! The `wardbook` program.

fn main() {}
