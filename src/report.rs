//! Reports: plans, facts, findings and edits → text for people ([`human`], [`explain`], [`findings`], [`diff`]), JSON
//! ([`json`], [`fit`], [`load`], [`doctor`], [`validation`], [`final_validation`], [`optimization`]), Markdown ([`markdown`]),
//! SARIF ([`sarif`]), JUnit XML ([`junit`]), a picture ([`svg`]) or a page for the browser ([`page`]).
//!
//! Everything here gives strings or serializable types; the caller prints.

pub mod diff;
pub mod doctor;
pub mod dossier;
pub mod explain;
pub mod figure;
pub mod final_validation;
pub mod findings;
pub mod fit;
pub mod human;
pub mod json;
pub mod junit;
pub mod load;
pub mod markdown;
pub mod optimization;
pub mod page;
pub mod paint;
pub mod sarif;
pub mod svg;
pub mod table;
pub mod validation;
