//! `data:` entries: constants and tables → their type and their value at run time.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use serde_json::{Map, Number, Value};

use super::load::LoadedFile;
use super::set::Provenance;
use super::source::DataEntry;
use crate::diag::{Finding, Span};
use crate::expr::runtime::to_dynamic;
use crate::expr::{Dynamic, Field, Node, Read, Record, Slot, Type};
use crate::facts::units::{Unit, parse_quantity};
use crate::yaml::{Document, escape};

/// Units of which a number without one is more often in billions, and how such a number is written.
const LARGE: [(Unit, &str); 4] = [
    (Unit::Bytes, "16 GiB"),
    (Unit::BytesPerSecond, "448 GB/s"),
    (Unit::Flop, "12 TFLOP"),
    (Unit::FlopPerSecond, "165.2 TFLOP/s"),
];

/// A constant or table, typed.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its type.
    pub ty: Type,
    /// Its value as JSON, quantities in canonical units.
    pub value: Value,
    /// Where it stands, and why it is right.
    pub provenance: Provenance,
    /// Where each of its rows stands.
    pub rows: Vec<Span>,
    /// What other files add to it.
    pub added: Vec<Added>,
}

/// Rows that a file adds to the table of another.
#[derive(Clone, Debug)]
pub struct Added {
    /// Their names; none of a list.
    pub rows: Vec<String>,
    /// Where they stand, and why they are right.
    pub provenance: Provenance,
}

impl Added {
    fn of((file, rows): &(&LoadedFile, &Value), name: &str) -> Option<Self> {
        let entry = file.entries.data.get(name)?;
        let rows = rows.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        let span = file.document.key_span(&format!("/data/{}", escape(name)));
        let (why, source) = (entry.why.clone(), Some(entry.source.clone()));
        Some(Self { rows, provenance: Provenance { layer: file.layer, span, why, source } })
    }
}

impl Table {
    /// The columns of its rows, by name; none for a constant.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Type)> {
        let row = match &self.ty {
            Type::List(row) | Type::Rows(row) => Some(&**row),
            _ => None,
        };
        let fields = row.and_then(|row| if let Type::Record(record) = row { Some(&record.fields) } else { None });
        fields.into_iter().flatten().map(|(name, field)| (name.as_str(), &field.ty))
    }

    /// Its value for expressions; `name` is that of the table.
    pub fn slot(&self, name: &str) -> Slot {
        Slot::Value(for_expressions(&self.ty, &self.value, &format!("data.{name}")))
    }
}

/// The files that add rows to a table, in order of layer and name.
pub fn additions<'a>(files: &'a [LoadedFile], name: &str) -> Vec<(&'a LoadedFile, &'a Value)> {
    let adds = |file: &'a LoadedFile| Some((file, file.entries.data.get(name)?.adds.as_ref()?));
    files.iter().filter_map(adds).collect()
}

/// Reads one entry of `data:`, with the rows that other files add to it.
///
/// # Errors
/// Cells of different types or units, each at its place.
pub fn read(
    name: &str,
    entry: &DataEntry,
    file: &LoadedFile,
    added: &[(&LoadedFile, &Value)],
) -> Result<Table, Vec<Finding>> {
    let document = &file.document;
    let pointer = format!("/data/{}", escape(name));
    let mut reader = Reader { name, document, units: IndexMap::new(), places: Vec::new(), errors: Vec::new() };
    for (column, unit) in &entry.columns {
        match Unit::of_name(unit) {
            Some(unit) => {
                reader.units.insert(column.clone(), unit);
            }
            None => reader.error(&format!("{pointer}/columns/{}", escape(column)), format!("`{unit}` is not a unit")),
        }
    }
    let unit = entry.unit.as_deref().map(|text| (text, Unit::of_name(text)));
    if let Some((text, None)) = unit {
        reader.error(&format!("{pointer}/unit"), format!("`{text}` is not a unit"));
    }
    let of_others = added.iter().filter_map(|added| Added::of(added, name)).collect();
    let table = match (&entry.value, &entry.rows) {
        (Some(value), None) => {
            let value = reader.cell(value, unit.and_then(|(_, unit)| unit), &format!("{pointer}/value"));
            type_of(&value, unit.and_then(|(_, unit)| unit)).map(|ty| (ty, value))
        }
        (None, Some(rows)) => {
            let rows = Rows { file, rows, pointer: format!("{pointer}/rows") };
            let added = added.iter().map(|(file, rows)| Rows { file, rows, pointer: format!("{pointer}/adds") });
            reader.table(&std::iter::once(rows).chain(added).collect::<Vec<_>>())
        }
        _ => None,
    };
    reader.document = document;
    if let (Some(_), Some((adding, _))) = (&entry.value, added.first()) {
        reader.document = &adding.document;
        reader.error(&pointer, "it is a constant, which takes no rows".to_owned());
    }
    match table {
        Some((ty, value)) if reader.errors.is_empty() => {
            let (why, source) = (entry.why.clone(), Some(entry.source.clone()));
            let provenance = Provenance { layer: file.layer, span: document.key_span(&pointer), why, source };
            Ok(Table { ty, value, provenance, rows: reader.places, added: of_others })
        }
        Some(_) => Err(reader.errors),
        None => {
            if reader.errors.is_empty() {
                reader.error(&pointer, "an entry of `data` has either a `value` or `rows`".to_owned());
            }
            Err(reader.errors)
        }
    }
}

type Cells = Map<String, Value>;

struct Reader<'a> {
    name: &'a str,
    document: &'a Document,
    units: IndexMap<String, Unit>,
    // Of the rows that were read.
    places: Vec<Span>,
    errors: Vec<Finding>,
}

// The rows that one file has of a table, and where they stand in it.
struct Rows<'a> {
    file: &'a LoadedFile,
    rows: &'a Value,
    pointer: String,
}

struct Row<'a> {
    file: &'a LoadedFile,
    // In a map.
    name: Option<&'a str>,
    pointer: String,
    cells: &'a Value,
}

impl<'a> Row<'a> {
    fn of(part: &Rows<'a>, name: Option<&'a str>, key: &str, cells: &'a Value) -> Self {
        Self { file: part.file, name, pointer: format!("{}/{key}", part.pointer), cells }
    }
}

impl<'a> Reader<'a> {
    fn error(&mut self, pointer: &str, message: String) {
        let finding = Finding::error("policy-file", format!("data `{}`: {message}", self.name));
        self.errors.push(finding.at(self.document.span(pointer), ""));
    }

    // A literal in its column's unit.
    fn cell(&mut self, value: &Value, unit: Option<Unit>, pointer: &str) -> Value {
        match (value, unit) {
            (Value::String(text), Some(unit)) => match parse_quantity(text, unit) {
                Ok(number) => Value::Number(number),
                Err(error) => {
                    self.error(pointer, error.to_string());
                    Value::Null
                }
            },
            (Value::Array(items), _) => {
                let items = items.iter().enumerate();
                items.map(|(i, item)| self.cell(item, unit, &format!("{pointer}/{i}"))).collect()
            }
            (Value::Number(number), Some(unit)) if number.as_f64() != Some(0.0) => {
                if let Some((unit, example)) = LARGE.iter().find(|(large, _)| *large == unit) {
                    self.bare(number, *unit, example, pointer);
                }
                value.clone()
            }
            _ => value.clone(),
        }
    }

    fn bare(&mut self, number: &Number, unit: Unit, example: &str, pointer: &str) {
        let message = format!("data `{}`: {number} has no unit, in a column of {unit}", self.name);
        let finding = Finding::error("unit-mismatch", message).help(format!("write it with its unit, as in {example}"));
        self.errors.push(finding.at(self.document.span(pointer), ""));
    }

    fn table(&mut self, parts: &[Rows<'a>]) -> Option<(Type, Value)> {
        match parts[0].rows {
            Value::Array(_) => self.list(parts),
            Value::Object(_) => self.map(parts),
            _ => None,
        }
    }

    fn list(&mut self, parts: &[Rows<'a>]) -> Option<(Type, Value)> {
        let mut rows = Vec::new();
        for part in parts {
            let Value::Array(items) = part.rows else {
                self.document = &part.file.document;
                self.error(&part.pointer, "the table is a list of rows, so what is added is one too".to_owned());
                continue;
            };
            rows.extend(items.iter().enumerate().map(|(i, row)| Row::of(part, None, &i.to_string(), row)));
        }
        if !matches!(rows.first().map(|row| row.cells), Some(Value::Object(_))) {
            let message = "the rows of a list are maps; a list of plain values is a `value`";
            self.error(&parts[0].pointer, message.to_owned());
            return None;
        }
        let (row, cells) = self.rows(&rows);
        let value = cells.into_iter().map(Value::Object).collect();
        Some((Type::List(Arc::new(row)), value))
    }

    fn map(&mut self, parts: &[Rows<'a>]) -> Option<(Type, Value)> {
        let mut rows: IndexMap<&str, Row<'a>> = IndexMap::new();
        for part in parts {
            self.document = &part.file.document;
            let Value::Object(items) = part.rows else {
                self.error(&part.pointer, "the table is a map of rows, so what is added is one too".to_owned());
                continue;
            };
            for (name, cells) in items {
                let row = Row::of(part, Some(name), &escape(name), cells);
                match rows.get(name.as_str()) {
                    Some(other) if other.file.layer == part.file.layer => self.duplicate(name, &row, other),
                    Some(other) if other.file.layer > part.file.layer => {}
                    _ => drop(rows.insert(name, row)),
                }
            }
        }
        let names: Vec<String> = rows.keys().map(|name| (*name).to_owned()).collect();
        let rows: Vec<Row<'a>> = rows.into_values().collect();
        let (row, cells) = self.rows(&rows);
        // A row that is no map is an error of the table.
        let value = names.into_iter().zip(cells.into_iter().map(Value::Object)).collect();
        Some((Type::Rows(Arc::new(row)), Value::Object(value)))
    }

    fn duplicate(&mut self, name: &str, row: &Row<'_>, other: &Row<'_>) {
        let message = format!("data `{}` has the row `{name}` twice in layer {}", self.name, row.file.layer);
        let finding = Finding::error("duplicate-data", message);
        let finding = finding.at(row.file.document.key_span(&row.pointer), "again here");
        self.errors.push(finding.at(other.file.document.key_span(&other.pointer), "first here"));
    }

    // The type of a row, over all rows, and the cells of each. Rows of a map know their own name.
    fn rows(&mut self, rows: &[Row<'a>]) -> (Type, Vec<Cells>) {
        let mut columns: BTreeMap<String, Type> = BTreeMap::new();
        let mut read = Vec::new();
        for Row { file, name, pointer, cells: row } in rows {
            self.document = &file.document;
            let Value::Object(row) = row else {
                self.error(pointer, "a row is a map of columns".to_owned());
                continue;
            };
            let mut cells = Cells::new();
            if let Some(name) = name.filter(|_| !row.contains_key("name")) {
                cells.insert("name".to_owned(), Value::from(name));
                columns.insert("name".to_owned(), Type::Text);
            }
            for (column, value) in row {
                let pointer = format!("{pointer}/{}", escape(column));
                let unit = self.units.get(column).copied();
                let value = self.cell(value, unit, &pointer);
                if value.is_null() {
                    continue;
                }
                let joined = type_of(&value, unit).and_then(|ty| columns.get(column).unwrap_or(&Type::Any).join(&ty));
                match joined {
                    Some(ty) => {
                        columns.insert(column.clone(), ty);
                        cells.insert(column.clone(), value);
                    }
                    None => self.error(&pointer, format!("the column `{column}` holds values of different types")),
                }
            }
            read.push(cells);
            self.places.push(self.document.span(pointer));
        }
        let fields = columns.into_iter().map(|(column, ty)| (column, Field { ty, read: None })).collect();
        let record = Record { title: title(self.name), namespace: false, fields };
        (Type::Record(Arc::new(record)), read)
    }
}

// A value in the form its type has, so that one column never mixes whole numbers and others. A cell that a row lacks is
// missing under its full name.
fn for_expressions(ty: &Type, value: &Value, name: &str) -> Dynamic {
    match (ty, value) {
        (Type::Float(_), Value::Number(number)) => number.as_f64().unwrap_or(f64::NAN).into(),
        (Type::List(item), Value::Array(items)) => {
            let items = items.iter().enumerate();
            Dynamic::from_array(items.map(|(i, value)| for_expressions(item, value, &format!("{name}[{i}]"))).collect())
        }
        (Type::Rows(row), Value::Object(rows)) => {
            let slot = |(title, cells): (&String, &Value)| {
                (title.clone(), Slot::Value(for_expressions(row, cells, &format!("{name}.{title}"))))
            };
            Dynamic::from(Node::new(name, rows.iter().map(slot).collect()))
        }
        (Type::Record(record), Value::Object(cells)) => {
            let slot = |(column, field): (&String, &Field)| {
                let name = format!("{name}.{column}");
                let slot = match cells.get(column) {
                    Some(value) => Slot::Value(for_expressions(&field.ty, value, &name)),
                    None => Slot::Unknown(name),
                };
                (column.clone(), slot)
            };
            Dynamic::from(Node::new(record.title.clone(), record.fields.iter().map(slot).collect()))
        }
        _ => to_dynamic(value),
    }
}

fn type_of(value: &Value, unit: Option<Unit>) -> Option<Type> {
    let fractional = matches!(unit, Some(Unit::Ratio | Unit::Seconds | Unit::Celsius | Unit::Watts));
    Some(match value {
        Value::Bool(_) => Type::Bool,
        Value::Number(number) if number.is_i64() && !fractional => Type::Int(unit),
        Value::Number(_) => Type::Float(unit),
        Value::String(_) => Type::Text,
        Value::Array(items) => {
            let item = items.iter().try_fold(Type::Any, |joined, item| joined.join(&type_of(item, unit)?))?;
            Type::List(Arc::new(item))
        }
        Value::Null | Value::Object(_) => return None,
    })
}

/// What a row of a table is called in messages.
pub fn title(name: &str) -> String {
    format!("a row of data.{name}")
}

/// The field under which expressions read the table.
pub fn field(name: &str, table: &Table) -> Field {
    Field { ty: table.ty.clone(), read: Some(Read::Data(name.to_owned())) }
}

/// The words that name the type of a parameter or result, besides `data.TABLE`.
pub fn type_words() -> impl Iterator<Item = &'static str> {
    Unit::ALL.into_iter().map(Unit::as_str).chain(["number", "bool", "text"])
}

/// The type that a parameter's or result's word names; `data.TABLE` is a row of it.
pub fn type_of_word(word: &str, tables: &BTreeMap<String, Table>) -> Option<Type> {
    match word {
        "number" => return Some(Type::Float(None)),
        "bool" => return Some(Type::Bool),
        "text" => return Some(Type::Text),
        _ => {}
    }
    if let Some(table) = word.strip_prefix("data.") {
        return match &tables.get(table)?.ty {
            Type::List(row) | Type::Rows(row) => Some((**row).clone()),
            _ => None,
        };
    }
    Some(match Unit::of_name(word)? {
        unit @ (Unit::Bytes | Unit::BytesPerSecond | Unit::Pixels | Unit::Count) => Type::Int(Some(unit)),
        unit => Type::Float(Some(unit)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_a_type() {
        assert!(type_words().all(|word| type_of_word(word, &BTreeMap::new()).is_some()));
    }
}
