//! Builds the program anew when a policy file is added or removed; what changes inside one is noticed without this. Tells
//! the program what it is built for.
#![allow(clippy::print_stdout, reason = "cargo reads it")]

fn main() {
    println!("cargo::rerun-if-changed=policies");
    println!("cargo::rustc-env=BUILD_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
