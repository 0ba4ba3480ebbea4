//! Targets: the config files of a stack, and how the keys in them are set in place.
//!
//! Takes the text of a file, gives the changed text. Knows no disk: [`crate::apply`] reads and writes.

pub mod json;
