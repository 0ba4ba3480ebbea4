//! What a policy author begins with: a file that is whole but for the sentences that only its author can write.
//!
//! [`PLACEHOLDER`] stands where those belong, and `check` names each until it is written.
//!
//! [`PLACEHOLDER`]: crate::diag::placeholder::PLACEHOLDER

pub mod machine;
pub mod policy;
