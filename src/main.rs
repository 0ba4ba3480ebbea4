//! The command `wan22-policy`; everything it does is in the library's [`cli`](wan22_policy::cli).

use std::io::{Write, stderr, stdout};

use mimalloc::MiMalloc;

// A run is thousands of small allocations in a few milliseconds.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let exit = wan22_policy::cli::run(std::env::args_os(), &mut stdout(), &mut stderr());
    // A reader that has gone is not waited for.
    let _ = stdout().flush().and_then(|()| stderr().flush());
    // A driver's library that is stuck holds the lock that the usual end takes to unload it, and its own end may hang as
    // well. Nothing here needs either.
    signal_hook::low_level::exit(exit as i32)
}
