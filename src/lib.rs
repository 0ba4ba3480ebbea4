//! `wan22-policy`: every setting of the Wan2.2 video models from the machine's facts and editable policies.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic"))]

pub mod apply;
pub mod cli;
pub mod diag;
pub mod engine;
pub mod expr;
pub mod facts;
pub mod plan;
pub mod policy;
pub mod report;
pub mod schema;
pub mod settings;
pub mod target;
pub mod yaml;
