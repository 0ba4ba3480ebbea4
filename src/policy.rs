//! Policies: YAML files → a checked [`PolicySet`], with every expression compiled and every name resolved.
//!
//! [`load`] finds and reads the files ([`source`] is their form); [`compile`] checks them. Holding a `PolicySet` means
//! that only a machine's facts can still go wrong.

pub mod compile;
pub mod load;
pub mod source;
mod tables;
pub mod template;

pub use compile::{
    Candidates, Check, Choose, Contribution, Into, LimitRule, Operand, Part, Policy, PolicySet, ValueRule, compile,
};
pub use load::{LoadError, LoadOptions, LoadedFile, load};
