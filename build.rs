//! Builds the program anew when a policy file is added or removed. What changes inside one is noticed without this.
#![allow(clippy::print_stdout, reason = "cargo reads it")]

fn main() {
    println!("cargo::rerun-if-changed=policies");
}
