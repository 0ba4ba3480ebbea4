//! Reports: plans, facts, findings and edits → text for people ([`human`], [`explain`], [`findings`], [`diff`]), JSON
//! ([`json`], [`fit`], [`validation`], [`doctor`]), Markdown ([`markdown`]), SARIF ([`sarif`]) or a picture ([`svg`]).
//!
//! Everything here gives strings or serializable types; the caller prints.

pub mod diff;
pub mod doctor;
pub mod dossier;
pub mod explain;
pub mod findings;
pub mod fit;
pub mod human;
pub mod json;
pub mod load;
pub mod markdown;
pub mod paint;
pub mod sarif;
pub mod svg;
pub mod table;
pub mod validation;
