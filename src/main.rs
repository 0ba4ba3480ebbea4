//! The command `wan22-policy`; everything it does is in the library's [`cli`](wan22_policy::cli).

use std::process::ExitCode;

fn main() -> ExitCode {
    wan22_policy::cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
