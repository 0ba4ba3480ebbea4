//! The program, as tests and benchmarks start it: what it logs must not lie in the home of who runs them.

use std::process::Command;

/// Where it is built.
pub const PATH: &str = env!("CARGO_BIN_EXE_wan22-policy");

/// The program without a log.
pub fn program() -> Command {
    let mut command = Command::new(PATH);
    command.env("WAN22_POLICY_LOG", "off");
    command
}
