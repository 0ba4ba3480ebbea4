//! The names that every expression sees: facts and settings as types at load, and as nodes for one machine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rhai::Dynamic;

use super::runtime::{Node, Slot, to_dynamic};
use super::types::{Field, Read, Record, Type};
use crate::facts::vocabulary::{FACTS, FactSpec, FactType};
use crate::facts::{Fact, Facts};
use crate::settings::{SETTINGS, SettingSpec, SettingType};

/// The name under which settings are read.
pub const SETTINGS_NAMESPACE: &str = "settings";
/// The name under which tables and constants of policy files are read.
pub const DATA_NAMESPACE: &str = "data";

/// Types of the facts' and settings' namespaces. `data` is the caller's, because policy files define it.
pub fn types() -> BTreeMap<String, Field> {
    let mut roots = Tree::default();
    for spec in FACTS {
        roots.insert(spec.name, fact_type(spec), Read::Fact(spec.name.to_owned()));
        if let Some(rest) = spec.name.strip_prefix("gpus[].") {
            let name = format!("gpu.{rest}");
            roots.insert(&name, fact_type(spec), Read::Fact(name.clone()));
        }
    }
    let mut types: BTreeMap<String, Field> =
        roots.children.into_iter().map(|(name, tree)| (name.clone(), tree.into_field(&name))).collect();
    let mut settings = Tree::default();
    for spec in SETTINGS.iter() {
        settings.insert(&spec.name, Some(setting_type(spec)), Read::Setting(spec.name.clone()));
    }
    types.insert(SETTINGS_NAMESPACE.to_owned(), settings.into_field(SETTINGS_NAMESPACE));
    types
}

/// The type of a setting's value.
pub fn setting_type(spec: &SettingSpec) -> Type {
    match spec.ty {
        SettingType::Boolean => Type::Bool,
        SettingType::Integer => Type::Int(spec.unit),
        SettingType::Number => Type::Float(spec.unit),
        SettingType::String => Type::Text,
        SettingType::Array => Type::List(Arc::new(Type::COUNT)),
    }
}

fn fact_type(spec: &FactSpec) -> Option<Type> {
    Some(match spec.ty {
        FactType::Bool => Type::Bool,
        FactType::Int => Type::Int(spec.unit),
        FactType::Float => Type::Float(spec.unit),
        FactType::Text => Type::Text,
        FactType::Ints => Type::List(Arc::new(Type::Int(spec.unit))),
        FactType::Texts => Type::List(Arc::new(Type::Text)),
        FactType::Records => return None,
    })
}

// Dotted names as a tree; `gpus[]` is a child that is a list.
#[derive(Default)]
struct Tree {
    leaf: Option<Leaf>,
    list: bool,
    children: BTreeMap<String, Self>,
}

struct Leaf {
    // `None` for a list of records, whose fields stand below it.
    ty: Option<Type>,
    read: Read,
}

impl Tree {
    fn insert(&mut self, name: &str, ty: Option<Type>, read: Read) {
        let mut tree = self;
        for part in name.split('.') {
            let list = part.ends_with("[]");
            tree = tree.children.entry(part.trim_end_matches("[]").to_owned()).or_default();
            tree.list |= list;
        }
        tree.leaf = Some(Leaf { ty, read });
    }

    fn into_field(self, title: &str) -> Field {
        let (ty, read) = self.leaf.map_or((None, None), |leaf| (leaf.ty, Some(leaf.read)));
        if let Some(ty) = ty {
            return Field { ty, read };
        }
        let namespace = !self.list;
        let fields = self
            .children
            .into_iter()
            .map(|(name, tree)| {
                let field = tree.into_field(&format!("{title}.{name}"));
                (name, field)
            })
            .collect();
        let record = Type::Record(Arc::new(Record { title: title.to_owned(), namespace, fields }));
        match self.list {
            true => Field { ty: Type::List(Arc::new(record)), read },
            // Reading `gpu` reads nothing yet; its fields do.
            false => Field { ty: record, read: None },
        }
    }
}

/// The namespaces of one machine.
pub fn values(types: &BTreeMap<String, Field>, facts: &Facts) -> HashMap<String, Slot> {
    types
        .iter()
        .map(|(name, field)| {
            let slot = match name.as_str() {
                SETTINGS_NAMESPACE => settings_slot(&field.ty, ""),
                "gpu" => match facts.gpu_index() {
                    Some(index) => gpu_slot(&field.ty, facts, index),
                    None => fact_slot(&field.ty, facts, name, "gpu"),
                },
                _ => fact_slot(&field.ty, facts, name, name),
            };
            (name.clone(), slot)
        })
        .collect()
}

// `name` is where the fact is recorded, `shown` how the expression calls it.
fn fact_slot(ty: &Type, facts: &Facts, name: &str, shown: &str) -> Slot {
    match ty {
        Type::Record(record) => Slot::Value(node(record, facts, name, shown)),
        Type::List(item) if matches!(**item, Type::Record(_)) => match (facts.count(name), &**item) {
            (Some(count), Type::Record(record)) => {
                let items = (0..count).map(|i| {
                    let item = format!("{name}[{i}]");
                    node(record, facts, &item, &item)
                });
                Slot::Value(Dynamic::from_array(items.collect()))
            }
            _ => Slot::Unknown(shown.to_owned()),
        },
        _ => match facts.get(name) {
            Some(Fact::Known { value, .. }) => Slot::Value(match (ty, value.as_i64()) {
                // A whole number where the table says a number with a fraction.
                (Type::Float(_), Some(n)) => (n as f64).into(),
                _ => to_dynamic(value),
            }),
            _ => Slot::Unknown(shown.to_owned()),
        },
    }
}

fn node(record: &Record, facts: &Facts, name: &str, shown: &str) -> Dynamic {
    let fields = record.fields.iter().map(|(field, Field { ty, .. })| {
        (field.clone(), fact_slot(ty, facts, &format!("{name}.{field}"), &format!("{shown}.{field}")))
    });
    Dynamic::from(Node::new(record.title.clone(), fields.collect()))
}

fn gpu_slot(ty: &Type, facts: &Facts, index: usize) -> Slot {
    let Type::Record(record) = ty else { return Slot::Unknown("gpu".to_owned()) };
    let fields = record.fields.iter().map(|(field, Field { ty, .. })| {
        let slot = match field.as_str() {
            "index" => Slot::Value(i64::try_from(index).unwrap_or(i64::MAX).into()),
            _ => fact_slot(ty, facts, &format!("gpus[{index}].{field}"), &format!("gpu.{field}")),
        };
        (field.clone(), slot)
    });
    Slot::Value(Dynamic::from(Node::new("gpu", fields.collect())))
}

fn settings_slot(ty: &Type, prefix: &str) -> Slot {
    let Type::Record(record) = ty else {
        return match SETTINGS.index(prefix) {
            Some(index) => Slot::Setting(index, format!("{SETTINGS_NAMESPACE}.{prefix}")),
            None => Slot::Unknown(prefix.to_owned()),
        };
    };
    let fields = record.fields.iter().map(|(field, Field { ty, .. })| {
        let name = if prefix.is_empty() { field.clone() } else { format!("{prefix}.{field}") };
        (field.clone(), settings_slot(ty, &name))
    });
    Slot::Value(Dynamic::from(Node::new(record.title.clone(), fields.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Source, Span};
    use crate::expr::{EvalError, Language};
    use crate::facts::Origin;
    use crate::facts::file::override_fact;
    use crate::yaml::ScalarText;
    use serde_json::{Value, json};

    fn place(text: &str) -> ScalarText {
        let source = Source::new("t", text);
        ScalarText::opaque(Span { source, range: 0..text.len() })
    }

    fn machine() -> Facts {
        let mut facts = Facts::new("not probed");
        for fact in [
            "cpu.physical_cores=64",
            "cpu.allowed_cpus=0-7",
            "gpu.vram.total=16376MiB",
            "gpu.compute_capability=8.9",
            "workload.model=ti2v-5b",
        ] {
            override_fact(&mut facts, fact).unwrap();
        }
        facts.know("gpus[0].power.limit", 320, Origin::User);
        facts
    }

    fn eval(text: &str) -> Result<Value, String> {
        let language = Language::new(types());
        let expr = language.compile(text, &place(text), &[]).map_err(|f| format!("{}: {}", f[0].code, f[0].message))?;
        let evaluation = language.evaluation(values(&types(), &machine()), SETTINGS.len());
        evaluation.decide(SETTINGS.index("vae.tile_size").unwrap(), &json!(384));
        evaluation.eval(&expr, &[]).map_err(|error| match error {
            EvalError::Unknown(name) => format!("unknown {name}"),
            EvalError::Failed { message, .. } => format!("failed: {message}"),
        })
    }

    #[test]
    fn facts_settings_and_operators_give_values() {
        let cases = [
            ("floor_div(cpu.physical_cores * 3, 4)", json!(48)),
            ("gpu.vram.total >= gib(15.5)", json!(true)),
            ("gpus.len() == 1 && gpus[0].vram.total == gpu.vram.total", json!(true)),
            ("gpus.filter(|g| g.vram.total >= gpu.vram.total).len()", json!(1)),
            ("gpus.all(|g| gpus.some(|h| h.vram.total == g.vram.total))", json!(true)),
            ("cpu.allowed_cpus.len()", json!(8)),
            ("if settings.vae.tile_size > 256 { \"large\" } else { \"small\" }", json!("large")),
            ("known(gpu.vram.total) && !known(gpu.name)", json!(true)),
            ("gpu.power.limit ?? 100.0", json!(320.0)),
            ("gpu.power.draw ?? 1.5", json!(1.5)),
            ("workload.model in [\"ti2v-5b\", \"t2v-a14b\"]", json!(true)),
            ("float(7) / 2 + 1", json!(4.5)),
            ("-3 + 2 ** 4 % 5", json!(-2)),
            ("#{a: 1, b: #{c: [2]}}.b.c[0]", json!(2)),
        ];
        for (text, want) in cases {
            assert_eq!(eval(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn an_unknown_fact_stops_the_expression_by_name() {
        for text in [
            "gpu.power.draw > 3",
            "gpu.power.draw + 1",
            "gpu.mig.enabled && true",
            "max(gpu.power.draw, 1.0)",
            "if gpu.mig.enabled { 1 } else { 2 }",
            "gpu.power.draw",
        ] {
            let error = eval(text).unwrap_err();
            assert!(error.starts_with("unknown gpu."), "{text}: {error}");
        }
        assert_eq!(eval("gpus.all(|g| g.power.draw > 3)").unwrap_err(), "unknown gpus[0].power.draw");
        assert_eq!(eval("numa.nodes.len() > 1").unwrap_err(), "unknown numa.nodes");
        assert_eq!(eval("settings.batch.size + 1").unwrap_err(), "unknown settings.batch.size");
        assert_eq!(eval("numa.nodes.map(|n| n.index)").unwrap_err(), "unknown numa.nodes");
    }

    #[test]
    fn misspelt_names_are_errors_at_load() {
        let cases = [
            ("gpu.vrm.total > 1", "unknown-fact: unknown fact `gpu.vrm`"),
            ("gpus.all(|g| g.vrm.total > 1)", "unknown-fact: unknown fact `gpus.vrm`"),
            ("gpuu.vram.total > 1", "unknown-name: unknown name `gpuu`"),
            ("settings.vae.tile > 1", "unknown-setting: unknown setting `vae.tile`"),
            ("gibi(3) > 1", "unknown-function: unknown function `gibi`"),
            ("gpus.vram", "unknown-name: a list has no `vram`"),
        ];
        for (text, want) in cases {
            assert_eq!(eval(text).unwrap_err(), want, "{text}");
        }
    }

    #[test]
    fn what_rhai_would_let_pass_silently_is_refused() {
        let cases = [
            ("24 > \"a\"", "mixed-types: `>` compares a whole number and a text"),
            ("cpu.physical_cores / 4", "integer-division: `/` on two whole numbers would truncate"),
            ("gpu", "mixed-types: `gpu` is a namespace, not a value"),
            ("gpu[\"na\" + \"me\"]", "expression-syntax: a computed field name cannot be used in a policy"),
            ("if gpu.vram.total { 1 } else { 2 }", "mixed-types: `if` needs true or false, not a whole number (bytes)"),
            ("if true { 1 }", "expression-syntax: `if` without `else` has no value"),
            ("gpu?.name", "expression-syntax: `?.` cannot be used in a policy"),
            ("#{a: 1}.b", "unknown-name: a record has no `b`"),
            (
                "gpus.all(|g| g.mig.instances.some(|i| i in g.mig.instances))",
                "expression-syntax: a closure cannot use `g` in a call on a part of `g` itself",
            ),
            ("`${1}`", "expression-syntax: a text with `${…}` cannot be used in a policy"),
            ("()", "expression-syntax: `()` cannot be used in a policy"),
            ("1..3", "expression-syntax: the operator `..` cannot be used in a policy"),
            ("sleep(1)", "unknown-function: unknown function `sleep`"),
            ("Fn(\"x\")", "unknown-function: unknown function `Fn`"),
            (
                "cpu.physical_cores in [\"a\"]",
                "mixed-types: `contains` takes a list and an item of it, or two texts, not a list and a whole number (count)",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(eval(text).unwrap_err(), want, "{text}");
        }
        for text in [
            "let x = 1",
            "x = 1",
            "while true {}",
            "eval(\"1\")",
            "switch 1 { 1 => 2 }",
            "return 1",
            "fn f() {}",
            "",
            "1; 2",
            "a ? b : c",
        ] {
            let error = eval(text).unwrap_err();
            assert!(error.starts_with("expression-syntax") || error.starts_with("unknown"), "{text}: {error}");
        }
    }

    #[test]
    fn overflow_and_division_by_zero_are_errors() {
        for text in [
            "9223372036854775807 + 1",
            "floor_div(1, 0)",
            "gib(9999999999)",
            "gpus[7].vram.total",
            "max_of([])",
            "1 % 0",
            "9223372036854775807 * 2",
        ] {
            let error = eval(text).unwrap_err();
            assert!(error.starts_with("failed"), "{text}: {error}");
        }
    }

    #[test]
    fn every_function_of_the_table_does_what_its_example_says() {
        use crate::expr::functions::FUNCTIONS;
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        for function in FUNCTIONS {
            assert_eq!(eval(function.example), Ok(json!(true)), "{}", function.name);
        }
    }

    #[test]
    fn a_stranger_wastes_at_most_a_budget() {
        let deep = format!(
            "[{}].map(|a| [{}].map(|b| [{}].map(|c| a + b + c)))",
            "1,".repeat(200),
            "1,".repeat(200),
            "1,".repeat(200)
        );
        let error = eval(&deep).unwrap_err();
        assert!(error.contains("too much work"), "{error}");
        let nested = format!("{}1{}", "(".repeat(200), ")".repeat(200));
        assert!(eval(&nested).unwrap_err().starts_with("expression-syntax"));
    }
}
