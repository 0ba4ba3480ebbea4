//! The JSON Schemas of every format: generated from the types, committed under `schemas/`, printed by `schema NAME`.
//!
//! What the types cannot say is added from the tables: the names of facts, and the names of settings in a policy file,
//! so that an editor completes them.

use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use crate::facts::file::FactsFile;
use crate::facts::vocabulary::{FACTS, FactSpec, FactType};
use crate::policy::source::PolicyFile;
use crate::report::explain::ExplainReport;
use crate::report::json::{ApplyReport, FindingsReport, ImpactReport, PlanReport, TestReport};
use crate::settings::{self, SETTINGS, SettingSpec, SettingType};

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
    Format { name: "explain", what: "what `explain` prints", generate: Some(schema::<ExplainReport>) },
    Format { name: "facts", what: "a facts file, and what `facts` prints", generate: Some(facts) },
    Format {
        name: "findings",
        what: "what `check` prints, and every command that is refused early",
        generate: Some(schema::<FindingsReport>),
    },
    Format { name: "impact", what: "what `impact` prints", generate: Some(schema::<ImpactReport>) },
    Format { name: "plan", what: "what `plan` prints", generate: Some(schema::<PlanReport>) },
    Format { name: "policy", what: "a policy file", generate: Some(policy) },
    Format { name: "settings", what: "the settings of a plan, and what each decides", generate: None },
    Format { name: "test", what: "what `test` prints", generate: Some(schema::<TestReport>) },
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

// What the schema is stands before what it holds.
fn schema<T: JsonSchema>() -> Value {
    let Value::Object(mut generated) = schema_for!(T).to_value() else { return Value::Null };
    let mut schema = Map::new();
    for key in ["$schema", "title", "description"] {
        schema.extend(generated.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    schema.append(&mut generated);
    Value::Object(schema)
}

// The tree of facts below the `facts` of a facts file.
fn facts() -> Value {
    let mut schema = schema::<FactsFile>();
    let mut tree = record();
    for spec in FACTS.iter().filter(|spec| spec.name != "gpu" && !spec.name.starts_with("gpu.")) {
        insert(&mut tree, spec);
    }
    if let (Some(Value::Object(facts)), Value::Object(tree)) = (schema.pointer_mut("/properties/facts"), tree) {
        facts.extend(tree);
    }
    // The one fact of `gpu` that is not of every GPU.
    if let (Some(properties), Some(spec)) =
        (properties(&mut schema, "/properties/facts"), FACTS.iter().find(|spec| spec.name == "gpu.index"))
    {
        let mut gpu = record();
        insert(&mut gpu, &FactSpec { name: "index", ..*spec });
        properties.insert("gpu".to_owned(), gpu);
    }
    schema
}

fn record() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

fn properties<'a>(schema: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    schema.pointer_mut(pointer)?.get_mut("properties")?.as_object_mut()
}

fn insert(tree: &mut Value, spec: &FactSpec) {
    let mut node = tree;
    let mut parts = spec.name.split('.').peekable();
    while let Some(part) = parts.next() {
        let (key, of_list) = part.strip_suffix("[]").map_or((part, false), |key| (key, true));
        let Some(properties) = properties(node, "") else { return };
        let child = properties.entry(key).or_insert_with(record);
        if parts.peek().is_none() && !of_list {
            *child = fact(spec);
            return;
        }
        node = match child.get_mut("items") {
            Some(_) => &mut child["items"],
            None => child,
        };
    }
}

// A fact's value; a number with a unit may be written as text, `16376 MiB`.
fn fact(spec: &FactSpec) -> Value {
    let number = |name: &str| match spec.unit {
        Some(_) => json!([name, "string"]),
        None => json!(name),
    };
    let mut schema = match spec.ty {
        FactType::Bool => json!({ "type": "boolean" }),
        FactType::Int => json!({ "type": number("integer") }),
        FactType::Float => json!({ "type": number("number") }),
        FactType::Text => json!({ "type": "string" }),
        FactType::Ints => json!({ "type": ["array", "string"], "items": { "type": "integer" } }),
        FactType::Records => json!({ "type": "array", "items": record() }),
    };
    schema["description"] = json!(spec.description());
    schema
}

// The settings' names and descriptions where a policy file has them as keys.
fn policy() -> Value {
    let mut schema = schema::<PolicyFile>();
    let named = |value: fn(&SettingSpec) -> Value| -> Map<String, Value> {
        let entry = |spec: &SettingSpec| {
            let mut schema = value(spec);
            schema["description"] = json!(description(spec));
            (spec.name.clone(), schema)
        };
        SETTINGS.iter().map(entry).collect()
    };
    let expression = |_: &SettingSpec| json!({ "type": "string" });
    let limit = |_: &SettingSpec| json!({ "$ref": "#/$defs/LimitEntry" });
    let choose = |_: &SettingSpec| json!({ "$ref": "#/$defs/ChooseEntry" });
    // A choice that decides several settings has a name of its own, so other keys are right there.
    let keys = [
        ("PolicyEntry/properties/set", named(literal), true),
        ("PolicyEntry/properties/derive", named(expression), true),
        ("PolicyEntry/properties/limit", named(limit), true),
        ("PolicyEntry/properties/choose", named(choose), false),
        ("ChooseEntry/properties/into", named(expression), true),
    ];
    for (pointer, properties, only) in keys {
        if let Some(Value::Object(map)) = schema.pointer_mut(&format!("/$defs/{pointer}")) {
            map.insert("properties".to_owned(), Value::Object(properties));
            if only {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
        }
    }
    if let Some(Value::Object(setting)) = schema.pointer_mut("/$defs/KeyEntry/properties/setting") {
        setting.insert("enum".to_owned(), SETTINGS.iter().map(|spec| spec.name.clone()).collect());
    }
    schema
}

fn description(spec: &SettingSpec) -> String {
    let range = spec.range();
    if range.is_empty() { spec.description.clone() } else { format!("{} May be: {range}.", spec.description) }
}

fn literal(spec: &SettingSpec) -> Value {
    match spec.ty {
        _ if !spec.allowed().is_empty() => json!({ "enum": spec.allowed() }),
        SettingType::Boolean => json!({ "type": "boolean" }),
        SettingType::Integer | SettingType::Number => json!({ "type": ["number", "string"] }),
        SettingType::String => json!({ "type": "string" }),
        SettingType::Array => json!({ "type": "array", "items": { "type": "integer" } }),
    }
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

    #[test]
    fn facts_are_nested_by_their_names() {
        let schema = facts();
        let total = "/properties/facts/properties/gpus/items/properties/vram/properties/total";
        assert_eq!(schema.pointer(total).unwrap()["type"], json!(["integer", "string"]));
        assert_eq!(schema.pointer("/properties/facts/properties/gpu/properties/index").unwrap()["type"], "integer");
    }

    #[test]
    fn settings_are_the_keys_of_policies() {
        let schema = policy();
        let tile = schema.pointer("/$defs/PolicyEntry/properties/set/properties/vae.tile_size").unwrap();
        assert!(tile["description"].as_str().unwrap().contains("px"));
        assert!(schema.pointer("/$defs/ChooseEntry/properties/into/properties/vae.tile_size").is_some());
    }
}
