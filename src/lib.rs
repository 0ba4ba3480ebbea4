//! `wan22-policy`: every setting of the Wan2.2 video models from the machine's facts and editable policies.
//!
//! The stages, each taking one type and giving the next. Only the ends touch the machine.
//!
//! | stage | takes → gives | touches the world? |
//! |---|---|---|
//! | [`facts`] | outputs of probes, or a facts file → [`Facts`](facts::Facts) | reads, in [`facts::probe`] only |
//! | [`expr`] | text and the names in scope → [`Expr`](expr::Expr); an `Expr` and a machine → a value | no |
//! | [`policy`] | YAML text → files as written → [`PolicySet`](policy::PolicySet), checked | reads policy files |
//! | [`lint`] | a `PolicySet` → what is wrong with policies that all compile | no |
//! | [`engine`] | a `PolicySet` and `Facts` → [`Plan`](plan::Plan) | no |
//! | [`corpus`] | machine files and a `PolicySet` → their plans, and what became of them since they were reviewed | reads machine files, writes snapshots |
//! | [`impact`] | two `PolicySet`s and machines → what differs, on which machines | no |
//! | [`scaffold`] | `Facts` and a `Plan` → the machine file or policy file that an author begins with | no |
//! | [`fit`] | a `PolicySet`, `Facts` and a stack → the memory of each phase, and what would make it fit | no |
//! | [`load`] | the files of a checkpoint set → what of them is in the page cache, and how fast the disk gave it | reads model files |
//! | [`target`] | a `Plan` and the text of a config file → the new text | no |
//! | [`apply`] | new texts → files on disk, or back | writes, here only |
//! | [`validate`] | an installation → what is there, as facts and findings; with the rules of a `PolicySet` → a verdict | reads; [`validate::start`] runs the stack |
//! | [`doctor`] | texts about a machine and an installation → one archive for a bug report | no |
//! | [`report`] | any of these → text, JSON, Markdown, XML or a page | no |
//!
//! [`log`] writes down what each run did, [`redaction`] takes secrets and names out of texts that are shown to others.
//! [`measured`] keeps what was measured in an installation, and [`facts`] reads it back.
//! [`diag`] carries what there is to say, [`yaml`] keeps the place of every key and value, [`settings`] declares what
//! can be set. [`schema`] and [`docs`] write down what the tables say. [`cli`] parses arguments and prints.
//!
//! ```
//! use wan22_policy::engine::{Question, evaluate};
//! use wan22_policy::facts::{Facts, file::override_fact};
//! use wan22_policy::policy::{LoadOptions, compile, load};
//!
//! let (files, _) = load(&LoadOptions::default()).expect("the shipped policies load");
//! let policies = compile(&files).expect("and compile");
//! let mut facts = Facts::new("not asked");
//! for fact in ["gpu.compute_capability=8.9", "gpu.vram.total=16376MiB", "ram.total=64GiB"] {
//!     override_fact(&mut facts, fact).expect("the fact exists");
//! }
//! let question = Question { pins: Default::default(), as_of: "2026-11-23".parse().expect("a date") };
//! let plan = evaluate(&policies, &facts, &question);
//! assert_eq!(plan.settings["dit.dtype"].value, "bf16");
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic"))]

pub mod apply;
pub mod cli;
pub mod corpus;
pub mod diag;
pub mod docs;
pub mod doctor;
pub mod engine;
pub mod expr;
pub mod facts;
pub mod fit;
pub mod impact;
pub mod lint;
pub mod load;
pub mod log;
pub mod measured;
pub mod plan;
pub mod policy;
pub mod redaction;
pub mod report;
pub mod scaffold;
pub mod schema;
pub mod settings;
pub mod target;
pub mod validate;
pub mod yaml;
