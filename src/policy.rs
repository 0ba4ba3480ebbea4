//! Policies: YAML files → a checked [`PolicySet`], with every expression compiled and every name resolved.
//!
//! [`load()`] finds and reads the files ([`source`] is their form); [`compile()`] checks them. Holding a `PolicySet` means
//! that only a machine's facts can still go wrong.

mod compile;
mod entry;
mod load;
mod order;
pub mod rule;
mod set;
pub mod source;
mod tables;
mod template;

pub use compile::{compile, table};
pub use load::{LoadError, LoadOptions, LoadedFile, What, load, load_checks, site_directories};
pub use rule::{Rule, Validation};
pub use set::{
    Allowed, Candidates, Check, Choose, Contribution, FIRST_OVERRIDE_LAYER, Into, LimitRule, Part, Policy, PolicySet,
    Provenance, RunTime, Stack, ValueRule,
};
pub use tables::{Added, Table, type_words};
pub use template::Template;
