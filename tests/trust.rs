//! What a stranger's policies, facts and configs cannot do: read or write outside the root, run a program, hang, or take
//! more than 256 MiB. Each hostile input goes through the real program, every system call of it watched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "trust/watched.rs"]
mod watched;

#[cfg(not(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[test]
fn no_tracer() {
    eprintln!("SKIPPED: only Linux on x86-64 or ARM64, with the GNU library, has the tracer of these tests");
}
