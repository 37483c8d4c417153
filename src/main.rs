//! Mockingbird's command line.
fn main() {}
