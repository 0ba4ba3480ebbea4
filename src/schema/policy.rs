//! The schema of policy files: what an editor completes and explains beyond the types.
//!
//! Facts stand inside expressions, which are texts to a JSON Schema: an editor offers them where an expression begins
//! (`defaultSnippets`) and can explain none. `docs/facts.md` does, and so does `wan22-policy explain`.

use serde_json::{Map, Value, json};

use crate::diag::CODES;
use crate::facts::units::Unit;
use crate::facts::vocabulary::FACTS;
use crate::policy::source::PolicyFile;
use crate::policy::{self, LoadOptions};
use crate::settings::{SETTINGS, SettingSpec, SettingType};

/// Where the types have an expression.
const EXPRESSIONS: &[&str] = &[
    "PolicyEntry/properties/when",
    "ChooseEntry/properties/such_that",
    "CheckEntry/properties/when",
    "CheckEntry/properties/assert",
    "FunctionEntry/properties/expression",
    "KeyEntry/properties/value",
];

/// What an expression may read, said wherever one may stand.
const EXPRESSION: &str = "An expression reads facts (docs/facts.md), `settings.NAME` (docs/settings.md), `data.NAME` and \
                          functions (docs/functions.md); `wan22-policy explain NAME` tells of each.";

/// The form of a policy file.
pub fn schema() -> Value {
    let mut schema = super::schema::<PolicyFile>();
    schema["title"] = json!("Policy file");
    without_null(&mut schema);
    settings(&mut schema);
    if let Some(Value::Object(definitions)) = schema.pointer_mut("/$defs") {
        definitions.insert("Expression".to_owned(), expression());
        definitions.insert("Unit".to_owned(), unit());
        definitions.insert("TypeWord".to_owned(), type_word());
    }
    for place in EXPRESSIONS {
        let pointer = format!("/$defs/{place}");
        refer(&mut schema, &pointer, "Expression");
        if let Some(Value::String(description)) = schema.pointer_mut(&format!("{pointer}/description")) {
            *description = format!("{description} {EXPRESSION}");
        }
    }
    for (place, definition) in [
        ("DataEntry/properties/unit", "Unit"),
        ("DataEntry/properties/columns/additionalProperties", "Unit"),
        ("FunctionEntry/properties/returns", "TypeWord"),
        ("FunctionEntry/properties/parameters/additionalProperties", "TypeWord"),
    ] {
        refer(&mut schema, &format!("/$defs/{place}"), definition);
    }
    if let Some(Value::Object(allow)) = schema.pointer_mut("/properties/allow") {
        let code = |info: &crate::diag::CodeInfo| {
            (info.name.to_owned(), json!({ "type": "string", "description": info.description }))
        };
        allow.insert("properties".to_owned(), Value::Object(CODES.iter().map(code).collect()));
        allow.insert("additionalProperties".to_owned(), json!(false));
    }
    if let Some(items) = schema.pointer_mut("/properties/disable/items") {
        *items = json!({ "anyOf": [checks(), { "type": "string" }] });
    }
    schema
}

// What may be left out is left out, so an editor need not offer `null` for it.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|ty| ty != "null");
                if let [ty] = types.as_slice() {
                    let ty = ty.clone();
                    map.insert("type".to_owned(), ty);
                }
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

// Replaces the type at a place by a definition; the description stays.
fn refer(schema: &mut Value, pointer: &str, definition: &str) {
    if let Some(Value::Object(place)) = schema.pointer_mut(pointer) {
        place.shift_remove("type");
        place.insert("$ref".to_owned(), json!(format!("#/$defs/{definition}")));
    }
}

// The settings' names and descriptions where a policy file has them as keys.
fn settings(schema: &mut Value) {
    let named = |value: fn(&SettingSpec) -> Value| -> Map<String, Value> {
        let entry = |spec: &SettingSpec| {
            let mut schema = value(spec);
            schema["description"] = json!(description(spec));
            (spec.name.clone(), schema)
        };
        SETTINGS.iter().map(entry).collect()
    };
    let expression = |_: &SettingSpec| json!({ "$ref": "#/$defs/Expression" });
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
        setting.insert("enumDescriptions".to_owned(), SETTINGS.iter().map(description).collect());
    }
}

// What it decides, in which unit, which values it may have, and where its value comes from without this file.
fn description(spec: &SettingSpec) -> String {
    let unit = match spec.unit {
        None | Some(Unit::Count) => String::new(),
        Some(Unit::Ratio) => " A share, such as `95 %`.".to_owned(),
        Some(unit) => format!(" In {unit}."),
    };
    let range = match spec.range() {
        range if range.is_empty() => range,
        range => format!(" May be: {range}."),
    };
    let name = &spec.name;
    format!("{}{unit}{range} `wan22-policy explain {name}` shows what decides it on a machine.", spec.description)
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

fn expression() -> Value {
    let snippet = |name: &str, description: String| json!({ "label": name, "description": description, "body": name });
    let facts = FACTS.iter().filter_map(|spec| match spec.name.strip_prefix("gpus[].") {
        Some(rest) => Some(snippet(&format!("gpu.{rest}"), spec.description())),
        // Of other lists an expression asks with a closure.
        None if spec.name.contains("[]") => None,
        None => Some(snippet(spec.name, spec.description())),
    });
    json!({
        "type": "string",
        "description": EXPRESSION,
        "defaultSnippets": facts.collect::<Vec<_>>(),
    })
}

fn unit() -> Value {
    json!({ "enum": Unit::ALL.map(Unit::as_str), "description": "The canonical unit of a number." })
}

fn type_word() -> Value {
    json!({
        "anyOf": [
            { "enum": policy::type_words().collect::<Vec<_>>() },
            { "type": "string", "pattern": "^data\\.[a-z]", "description": "A row of a table." },
        ],
        "description": "The unit of a number, `number` for a plain one, `bool`, `text`, or `data.TABLE` for a row of a table.",
    })
}

// The checks that come with the program, for `disable`.
fn checks() -> Value {
    let files = policy::load(&LoadOptions::default()).map(|(files, _)| files).unwrap_or_default();
    let checks: Vec<_> = files.iter().flat_map(|file| &file.entries.checks).collect();
    json!({
        "enum": checks.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(),
        "enumDescriptions": checks.iter().map(|check| check.message.trim()).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_the_keys_of_policies() {
        let schema = schema();
        let tile = schema.pointer("/$defs/PolicyEntry/properties/set/properties/vae.tile_size").unwrap();
        let text = tile["description"].as_str().unwrap();
        assert!(text.contains("In px. May be: 64 px to 4096 px, in steps of 32."), "{text}");
        assert!(schema.pointer("/$defs/ChooseEntry/properties/into/properties/vae.tile_size").is_some());
    }

    #[test]
    fn every_key_of_the_language_is_described() {
        let schema = schema();
        let mut seen = 0;
        let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        for (key, value) in definitions.filter_map(|definition| definition["properties"].as_object()).flatten() {
            assert!(value["description"].as_str().is_some_and(|text| text.ends_with('.')), "{key}: {value}");
            seen += 1;
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn expressions_and_words_are_where_the_types_have_them() {
        let schema = schema();
        for place in EXPRESSIONS {
            let at = schema.pointer(&format!("/$defs/{place}")).unwrap();
            assert_eq!(at["$ref"], "#/$defs/Expression", "{place}");
            assert!(at["description"].as_str().unwrap().ends_with(EXPRESSION), "{place}");
        }
        assert_eq!(schema.pointer("/$defs/DataEntry/properties/unit/$ref").unwrap(), "#/$defs/Unit");
        let checks = &schema.pointer("/properties/disable/items/anyOf/0/enum").unwrap();
        assert!(checks.as_array().unwrap().contains(&json!("does-not-fit")));
        assert!(schema.pointer("/properties/allow/properties/nominal-vram/description").is_some());
    }
}
