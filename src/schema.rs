//! The JSON Schemas of every format: generated from the types, committed under `schemas/`, printed by `schema NAME`.
//!
//! What the types cannot say is added from the tables, so that an editor with a YAML language server completes and
//! explains it: the names of facts in a facts file; settings, facts, codes and units in a policy file.

mod facts;
mod policy;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::report::doctor::DoctorReport;
use crate::report::explain::ExplainReport;
use crate::report::final_validation::FinalValidationReport;
use crate::report::fit::FitReport;
use crate::report::json::{ApplyReport, FindingsReport, HistoryReport, ImpactReport, PlanReport, TestReport};
use crate::report::load::LoadReport;
use crate::report::optimization::OptimizationReport;
use crate::report::validation::ValidateReport;
use crate::settings;

/// A format and its schema.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name; the schema is the file `schemas/NAME.schema.json`.
    pub name: &'static str,
    /// What is written in it.
    pub what: &'static str,
    generate: Option<fn() -> Value>,
}

/// Every format, by name.
pub const FORMATS: &[Format] = &[
    Format {
        name: "apply",
        what: "what `apply`, `verify` and `rollback` print",
        generate: Some(schema::<ApplyReport>),
    },
    Format { name: "doctor", what: "what `doctor` prints", generate: Some(schema::<DoctorReport>) },
    Format { name: "explain", what: "what `explain` prints", generate: Some(schema::<ExplainReport>) },
    Format { name: "facts", what: "a facts file, and what `facts` prints", generate: Some(facts::schema) },
    Format {
        name: "final-system-validation",
        what: "`final_system_validation_report.json` of `validate --report`",
        generate: Some(written::<FinalValidationReport>),
    },
    Format {
        name: "findings",
        what: "what `check` prints, and every command that is refused early",
        generate: Some(schema::<FindingsReport>),
    },
    Format { name: "fit", what: "what `fit` prints", generate: Some(schema::<FitReport>) },
    Format { name: "history", what: "what `history` prints", generate: Some(schema::<HistoryReport>) },
    Format { name: "impact", what: "what `impact` prints", generate: Some(schema::<ImpactReport>) },
    Format { name: "load", what: "what `load` prints", generate: Some(schema::<LoadReport>) },
    Format {
        name: "performance-optimization",
        what: "`performance_optimization_report.json` of `validate --report`",
        generate: Some(written::<OptimizationReport>),
    },
    Format { name: "plan", what: "what `plan` prints", generate: Some(schema::<PlanReport>) },
    Format { name: "policy", what: "a policy file", generate: Some(policy::schema) },
    Format { name: "settings", what: "the settings of a plan, and what each decides", generate: None },
    Format { name: "test", what: "what `test` prints", generate: Some(schema::<TestReport>) },
    Format { name: "validate", what: "what `validate` prints", generate: Some(schema::<ValidateReport>) },
];

/// The format of that name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

impl Format {
    /// The text of its schema, as it is committed.
    pub fn text(&self) -> String {
        match self.generate {
            Some(generate) => crate::report::json::text(&generate()),
            None => settings::SCHEMA.to_owned(),
        }
    }

    /// Whether the schema follows from the types; the others are written by hand.
    pub fn is_generated(&self) -> bool {
        self.generate.is_some()
    }
}

fn schema<T: JsonSchema>() -> Value {
    generated::<T>(SchemaSettings::draft2020_12())
}

// Of a format that leaves no key out: what is unknown is null.
fn written<T: JsonSchema>() -> Value {
    generated::<T>(SchemaSettings::draft2020_12().for_serialize())
}

// What the schema is stands before what it holds.
fn generated<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let Value::Object(mut generated) = schema.to_value() else { return Value::Null };
    let mut schema = Map::new();
    for key in ["$schema", "title", "description"] {
        schema.extend(generated.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    schema.append(&mut generated);
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_every_schema_is_one() {
        assert!(FORMATS.is_sorted_by(|a, b| a.name < b.name));
        for format in FORMATS {
            let schema: Value = serde_json::from_str(&format.text()).unwrap();
            assert!(jsonschema::validator_for(&schema).is_ok(), "{}", format.name);
        }
    }
}
