//! The command `wan22-policy`; everything it does is in the library's [`cli`](wan22_policy::cli).

use std::process::ExitCode;

use mimalloc::MiMalloc;

// A run is thousands of small allocations in a few milliseconds.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    wan22_policy::cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
