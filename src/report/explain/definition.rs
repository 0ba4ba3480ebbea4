//! Explanations of what expressions call and read besides facts and settings: functions and tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ReadRecord;
use crate::diag::At;
use crate::expr::Signature;
use crate::expr::functions::Function;
use crate::facts::units::Unit;
use crate::policy::{Added, Provenance, Table};

/// A function that expressions may call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FunctionExplanation {
    /// Where it stands; absent when it is one of the language itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// What it gives, in a sentence.
    pub description: String,
    /// What it takes, in order.
    pub parameters: Vec<NamedType>,
    /// What its result is, and in which unit.
    pub gives: String,
    /// The expression that it stands for; absent when it is one of the language itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// An expression that is true; only of a function of the language itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// Where the formula comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it reads, the functions that it calls included.
    pub reads: Vec<ReadRecord>,
}

/// A name and what it stands for, in words.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NamedType {
    /// The name.
    pub name: String,
    /// Its type, with the unit of a number: `a whole number (bytes)`.
    #[serde(rename = "type")]
    pub ty: String,
}

/// A table or constant that expressions read as `data.NAME`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TableExplanation {
    /// Where it stands.
    pub at: At,
    /// What it holds, in a sentence.
    pub description: String,
    /// Where the numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What each row holds, by name; empty for a constant.
    pub columns: Vec<ColumnRecord>,
    /// The constant, or the rows: a list, or a map by name.
    pub value: Value,
    /// Canonical unit of a constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What other files add to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<AddedRecord>,
    /// The settings whose policies read it.
    pub read_by: Vec<String>,
}

/// Rows that a file adds to the table of another.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AddedRecord {
    /// Where they stand.
    pub at: At,
    /// Their names; none of a list.
    pub rows: Vec<String>,
    /// What they are, in a sentence.
    pub description: String,
    /// Where their numbers come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ColumnRecord {
    /// Its name and type.
    #[serde(flatten)]
    pub named: NamedType,
    /// Canonical unit of its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

impl FunctionExplanation {
    /// A function of the language itself.
    pub fn of_language(function: &Function) -> Self {
        let parameters = function.parameters.iter();
        Self {
            at: None,
            description: function.doc.to_owned(),
            parameters: parameters.map(|(name, takes)| NamedType::new(name, takes)).collect(),
            gives: function.gives.to_owned(),
            expression: None,
            example: Some(function.example.to_owned()),
            source: None,
            reads: Vec::new(),
        }
    }

    /// A function of a policy file.
    pub fn of_policies(signature: &Signature, provenance: &Provenance, reads: Vec<ReadRecord>) -> Self {
        Self {
            at: Some(provenance.span.at()),
            description: provenance.why.clone(),
            parameters: signature.parameters.iter().map(|(name, ty)| NamedType::new(name, ty)).collect(),
            gives: signature.result.to_string(),
            expression: Some(signature.body.text().trim().to_owned()),
            example: None,
            source: provenance.source.clone(),
            reads,
        }
    }

    /// How it is called: `clamp(x, low, high)`.
    pub fn usage(&self, name: &str) -> String {
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        format!("{name}({})", names.join(", "))
    }
}

impl TableExplanation {
    /// A table of the policies, read by the policies of these settings.
    pub fn new(table: &Table, read_by: Vec<String>) -> Self {
        let column = |(name, ty): (&str, &_)| ColumnRecord {
            named: NamedType::new(name, ty),
            unit: crate::expr::Type::unit(ty),
        };
        let columns: Vec<ColumnRecord> = table.columns().map(column).collect();
        Self {
            at: table.provenance.span.at(),
            description: table.provenance.why.clone(),
            source: table.provenance.source.clone(),
            unit: table.ty.unit().filter(|_| columns.is_empty()),
            columns,
            value: table.value.clone(),
            added: table.added.iter().map(AddedRecord::new).collect(),
            read_by,
        }
    }
}

impl AddedRecord {
    fn new(added: &Added) -> Self {
        let Added { rows, provenance } = added;
        Self {
            at: provenance.span.at(),
            rows: rows.clone(),
            description: provenance.why.clone(),
            source: provenance.source.clone(),
        }
    }
}

impl NamedType {
    fn new(name: &str, ty: impl ToString) -> Self {
        Self { name: name.to_owned(), ty: ty.to_string() }
    }
}
