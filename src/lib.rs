//! `wan22-policy`: every setting of the Wan2.2 video models from the machine's facts and editable policies.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic"))]

pub mod apply;
pub mod diag;
pub mod facts;
pub mod target;
pub mod yaml;
