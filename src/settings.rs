//! The settings that policies may give a value, as `schemas/settings.schema.json` declares them.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::facts::units::{QuantityError, Unit, parse_quantity};

/// The text of the schema; the one declaration of names, types, units and ranges.
pub const SCHEMA: &str = include_str!("../schemas/settings.schema.json");

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingType {
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text, usually one of a few.
    String,
    /// A list of whole numbers.
    Array,
}

/// What the schema says of one setting.
#[derive(Clone, Debug, Deserialize)]
pub struct SettingSpec {
    /// Dotted name, `vae.tile_size`.
    #[serde(skip)]
    pub name: String,
    /// What it decides.
    pub description: String,
    /// Type of the value.
    #[serde(rename = "type")]
    pub ty: SettingType,
    /// Canonical unit of a number.
    pub unit: Option<Unit>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    #[serde(rename = "multipleOf")]
    multiple_of: Option<i64>,
    #[serde(rename = "enum", default)]
    allowed: Vec<Value>,
    better: Option<Better>,
}

/// Which values of a setting are better, where a better machine should have them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", untagged)]
enum Better {
    // The word `more`.
    More(MoreIsBetter),
    // The values, the best first.
    Ranked(Vec<Value>),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MoreIsBetter {
    More,
}

/// Every setting, sorted by name; a setting's index is its place here.
#[derive(Debug)]
pub struct SettingsTable {
    specs: Vec<SettingSpec>,
}

/// The declared settings.
pub static SETTINGS: LazyLock<SettingsTable> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Schema {
        properties: std::collections::BTreeMap<String, SettingSpec>,
    }
    // The schema is part of the program; a test reads it, so a mistake never leaves the build.
    let schema: Schema = serde_json::from_str(SCHEMA).unwrap_or_else(|e| panic!("schemas/settings.schema.json: {e}"));
    let specs = schema.properties.into_iter().map(|(name, spec)| SettingSpec { name, ..spec }).collect();
    SettingsTable { specs }
});

// Compiled on first use: most runs need it once, for the whole plan.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(SCHEMA).unwrap_or_default();
    jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("schemas/settings.schema.json: {e}"))
});

impl SettingsTable {
    /// Index of a setting; `None` when none has that name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.specs.binary_search_by(|spec| spec.name.as_str().cmp(name)).ok()
    }

    /// The setting at an index.
    pub fn get(&self, index: usize) -> &SettingSpec {
        &self.specs[index]
    }

    /// The setting of that name.
    pub fn find(&self, name: &str) -> Option<&SettingSpec> {
        self.index(name).map(|index| &self.specs[index])
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &SettingSpec> {
        self.specs.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there are none; there always are some.
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }
}

/// Compiles the schema ahead of the first check, which would wait for it otherwise.
pub fn prepare() {
    LazyLock::force(&VALIDATOR);
}

/// What is wrong with values, by setting: `None` when all are what the schema allows.
pub fn violations(values: &Map<String, Value>) -> Vec<(String, String)> {
    let instance = Value::Object(values.clone());
    VALIDATOR
        .iter_errors(&instance)
        .map(|error| {
            let name = error.instance_path().to_string();
            let name = name.trim_start_matches('/').split('/').next().unwrap_or_default();
            (name.replace("~1", "/"), error.to_string())
        })
        .collect()
}

/// Why a literal cannot be a setting's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// A quantity that does not fit the unit.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Outside what the schema allows.
    #[error("{0}")]
    Range(String),
}

impl SettingSpec {
    /// Whether one value is better than another; of most settings neither is.
    pub fn is_better(&self, one: &Value, other: &Value) -> bool {
        match &self.better {
            None => false,
            Some(Better::More(MoreIsBetter::More)) => {
                one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one > other)
            }
            Some(Better::Ranked(values)) => {
                let rank = |value: &Value| values.iter().position(|ranked| ranked == value);
                rank(one).zip(rank(other)).is_some_and(|(one, other)| one < other)
            }
        }
    }

    /// Reads a literal as it stands in YAML or after `--set` into the canonical unit, and checks it.
    ///
    /// # Errors
    /// When the unit, type or range is wrong.
    pub fn literal(&self, value: &Value) -> Result<Value, LiteralError> {
        let value = match (value, self.ty, self.unit) {
            (Value::String(text), SettingType::Integer | SettingType::Number, Some(unit)) => {
                Value::Number(parse_quantity(text, unit)?)
            }
            _ => value.clone(),
        };
        self.check(&value).map_err(LiteralError::Range)?;
        Ok(value)
    }

    /// Reads what a person wrote after `--set NAME=`.
    ///
    /// # Errors
    /// When the unit, type or range is wrong.
    pub fn parse(&self, text: &str) -> Result<Value, LiteralError> {
        let value = match self.ty {
            SettingType::Boolean => text.parse().map_or_else(|_| Value::from(text), Value::Bool),
            SettingType::Array => {
                crate::facts::file::parse_cpu_list(text).map_or_else(|| Value::from(text), Value::from)
            }
            SettingType::Integer | SettingType::Number | SettingType::String => Value::from(text),
        };
        self.literal(&value)
    }

    /// Whether the schema allows the value.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let mut one = Map::new();
        one.insert(self.name.clone(), value.clone());
        match violations(&one).into_iter().next() {
            None => Ok(()),
            Some((_, message)) => Err(message),
        }
    }

    /// The texts or numbers the schema lists; empty when any value in the range will do.
    pub fn allowed(&self) -> &[Value] {
        &self.allowed
    }

    /// The nearest legal number at or below (`down`) or at or above a bound; `None` when there is none.
    pub fn legal_near(&self, bound: f64, down: bool) -> Option<Value> {
        let ((low, high), step) = (self.bounds(), self.step());
        let value = match (self.ty, down) {
            (SettingType::Integer, true) => (bound.min(high) / step).floor() * step,
            (SettingType::Integer, false) => (bound.max(low) / step).ceil() * step,
            (_, true) => bound.min(high),
            (_, false) => bound.max(low),
        };
        if value < low || value > high {
            return None;
        }
        match self.ty {
            SettingType::Integer => Some(Value::from(value as i64)),
            _ => serde_json::Number::from_f64(value).map(Value::Number),
        }
    }

    /// The smallest and the largest number that the schema allows; infinite where it names none.
    pub fn bounds(&self) -> (f64, f64) {
        (self.minimum.unwrap_or(f64::NEG_INFINITY), self.maximum.unwrap_or(f64::INFINITY))
    }

    /// What a whole number must be a multiple of.
    pub fn step(&self) -> f64 {
        self.multiple_of.unwrap_or(1) as f64
    }

    /// The range in words, `64 px to 4096 px, in steps of 32`; empty when the schema names none.
    pub fn range(&self) -> String {
        let show = |number: f64| {
            let number = if number.fract() == 0.0 { Value::from(number as i64) } else { Value::from(number) };
            crate::facts::units::show(&number, self.unit)
        };
        if !self.allowed.is_empty() {
            let values: Vec<_> = self.allowed.iter().map(|v| crate::facts::units::show(v, self.unit)).collect();
            return values.join(", ");
        }
        match (self.minimum, self.maximum, self.multiple_of) {
            (Some(low), Some(high), Some(step)) => format!("{} to {}, in steps of {step}", show(low), show(high)),
            (Some(low), Some(high), None) => format!("{} to {}", show(low), show(high)),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_described_and_every_number_has_a_unit() {
        assert!(SETTINGS.iter().count() > 30);
        for spec in SETTINGS.iter() {
            assert!(spec.description.ends_with('.'), "{}", spec.name);
            let is_number = matches!(spec.ty, SettingType::Integer | SettingType::Number);
            assert_eq!(spec.unit.is_some(), is_number, "{}", spec.name);
            assert!(!is_number || !spec.range().is_empty(), "{}", spec.name);
        }
    }

    #[test]
    fn literals_carry_units_and_stay_in_range() {
        let literal = |name: &str, text: &str| SETTINGS.find(name).unwrap().parse(text).map_err(|e| e.to_string());
        assert_eq!(literal("monitor.retention", "72 h").unwrap(), Value::from(259_200));
        assert_eq!(literal("memory.fraction", "95 %").unwrap(), Value::from(0.95));
        assert_eq!(literal("numa.nodes", "0-3").unwrap(), serde_json::json!([0, 1, 2, 3]));
        assert_eq!(literal("compute.tf32", "true").unwrap(), Value::Bool(true));
        assert!(literal("vae.tile_size", "100").unwrap_err().contains("multiple"));
        assert!(literal("vae.tile_size", "2 s").unwrap_err().contains("is in s, not in px"));
        assert!(literal("dit.dtype", "fp8").unwrap_err().contains("bf16"));
    }

    #[test]
    fn a_bound_moves_to_the_nearest_legal_value() {
        let tile = SETTINGS.find("vae.tile_size").unwrap();
        assert_eq!(tile.legal_near(400.0, true), Some(Value::from(384)));
        assert_eq!(tile.legal_near(400.0, false), Some(Value::from(416)));
        assert_eq!(tile.legal_near(50.0, true), None);
    }
}
