//! Mockingbird's command line.

fn main() -> std::process::ExitCode {
    mockingbird::cli::main()
}
