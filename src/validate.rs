//! Validation: whether an installation is what it should be. It looks, and runs nothing.
//!
//! So far at its Python sources: each is read as Python reads it.

pub mod python;
pub mod sources;
