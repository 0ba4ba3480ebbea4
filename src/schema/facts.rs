//! The schema of facts files: every fact with its type, unit and meaning.

use serde_json::{Map, Value, json};

use crate::facts::file::FactsFile;
use crate::facts::vocabulary::{FACTS, FAMILIES, FactSpec, FactType};

/// The form of a facts file, with the tree of facts below its `facts`.
pub fn schema() -> Value {
    let mut schema = super::schema::<FactsFile>();
    schema["title"] = json!("Facts file");
    let mut tree = record();
    for spec in FACTS.iter().filter(|spec| spec.name != "gpu" && !spec.name.starts_with("gpu.")) {
        insert(&mut tree, spec);
    }
    if let (Some(Value::Object(facts)), Value::Object(tree)) = (schema.pointer_mut("/properties/facts"), tree) {
        facts.extend(tree);
    }
    for (family, title) in FAMILIES {
        let of_family = format!("/properties/facts/properties/{family}");
        if let Some(Value::Object(node)) = schema.pointer_mut(&of_family) {
            node.entry("description").or_insert_with(|| json!(format!("{title}.")));
        }
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
        FactType::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        FactType::Records => json!({ "type": "array", "items": record() }),
    };
    schema["description"] = json!(spec.description());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_nested_by_their_names() {
        let schema = schema();
        let total = schema.pointer("/properties/facts/properties/gpus/items/properties/vram/properties/total").unwrap();
        assert_eq!(total["type"], json!(["integer", "string"]));
        assert!(total["description"].as_str().unwrap().contains("In bytes."));
        assert_eq!(schema.pointer("/properties/facts/properties/gpu/properties/index").unwrap()["type"], "integer");
        assert!(schema.pointer("/properties/facts/properties/ram").unwrap()["description"].is_string());
    }
}
