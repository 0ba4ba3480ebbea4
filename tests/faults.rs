//! The program is killed before and after each system call of an apply, a rollback and a recovery that touches the root, and
//! each of these calls fails in turn. The files are then the old or the new ones, the next command says what was in
//! flight and ends it, and nothing is left over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "faults/traced.rs"]
mod traced;

#[cfg(not(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[test]
fn no_tracer() {
    eprintln!("SKIPPED: only Linux on x86-64 or ARM64, with the GNU library, has the tracer of these tests");
}
