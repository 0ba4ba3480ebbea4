//! `docs/functions.md`: what expressions call and read besides facts and settings.

use super::{file_name, head, row};
use crate::expr::functions::FUNCTIONS;
use crate::facts::units::show;
use crate::policy::{PolicySet, Provenance, Table};
use crate::report::explain::{FunctionExplanation, TableExplanation};

pub fn body(shipped: &PolicySet) -> String {
    let mut page = String::from(
        "# Functions and tables\n\n\
         What expressions call and read besides facts and settings. `wan22-policy explain NAME` shows each with its \
         expression and its place, those of your own files too.\n\n\
         ## Functions of the language\n\n\
         Called as `name(a, b)` or `a.name(b)`. Each example is true; a test evaluates it.\n\n",
    );
    page += &head(["function", "takes", "gives", "meaning", "example"]);
    for function in FUNCTIONS {
        let explained = FunctionExplanation::of_language(function);
        let example = format!("`{}`", function.example);
        page += &row([&usage(function.name, &explained), &takes(&explained), function.gives, function.doc, &example]);
    }
    page += "\n## Functions of the policies\n\n\
             Defined under `functions:` in the files that come with the program. A file of a higher layer replaces one by \
             giving its name another expression.\n";
    let functions = shipped.language.functions().filter_map(|(name, signature)| {
        let provenance = shipped.functions.get(name)?;
        Some((provenance, (name, FunctionExplanation::of_policies(signature, provenance, Vec::new()))))
    });
    for (file, functions) in by_file(functions) {
        page += &format!("\n### {file}\n\n{}", head(["function", "takes", "gives", "meaning", "source"]));
        for (name, function) in functions {
            let source = function.source.as_deref().unwrap_or_default();
            page += &row([&usage(name, &function), &takes(&function), &function.gives, &function.description, source]);
        }
    }
    page += "\n## Tables and constants\n\n\
             Defined under `data:`, read as `data.NAME`; a row of a named table as `data.NAME[\"row\"].column`. The table \
             of cards in `policies/data/gpus.yaml` is not among them: facts are completed from it, and no expression \
             reads it.\n";
    let tables = shipped.tables.iter().map(|(name, table)| (&table.provenance, (name.as_str(), table)));
    for (file, tables) in by_file(tables) {
        page += &format!("\n### {file}\n\n{}", head(["name", "holds", "meaning", "source"]));
        for (name, table) in tables {
            let source = table.provenance.source.as_deref().unwrap_or_default();
            page += &row([&format!("`data.{name}`"), &holds(table), &table.provenance.why, source]);
        }
    }
    page
}

fn usage(name: &str, function: &FunctionExplanation) -> String {
    format!("`{}`", function.usage(name))
}

// Parameters that are of one type are named together.
fn takes(function: &FunctionExplanation) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for parameter in &function.parameters {
        match groups.last_mut() {
            Some((names, ty)) if *ty == parameter.ty => names.push(&parameter.name),
            _ => groups.push((vec![&parameter.name], &parameter.ty)),
        }
    }
    let group = |(names, ty): &(Vec<&str>, &str)| format!("{}: {ty}", names.join(", "));
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

fn holds(table: &Table) -> String {
    let explained = TableExplanation::new(table, Vec::new());
    if explained.columns.is_empty() {
        return show(&table.value, explained.unit);
    }
    let rows = match &table.value {
        serde_json::Value::Object(rows) => rows.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        serde_json::Value::Array(rows) => format!("{} rows in order", rows.len()),
        _ => String::new(),
    };
    let columns = explained.columns.iter().filter(|column| column.named.name != "name").map(|column| {
        let unit = column.unit.map_or_else(String::new, |unit| format!(" ({unit})"));
        format!("`{}`{unit}", column.named.name)
    });
    format!("{rows}; each with {}", columns.collect::<Vec<_>>().join(", "))
}

// Entries in the order of their files and of their places in it.
fn by_file<'a, T>(entries: impl Iterator<Item = (&'a Provenance, T)>) -> Vec<(&'a str, Vec<T>)> {
    let mut entries: Vec<_> = entries.collect();
    let place =
        |provenance: &Provenance| (provenance.layer, provenance.span.source.name.clone(), provenance.span.range.start);
    entries.sort_by_key(|(provenance, _)| place(provenance));
    let mut files: Vec<(&str, Vec<T>)> = Vec::new();
    for (provenance, entry) in entries {
        let file = file_name(&provenance.span.source.name);
        match files.last_mut() {
            Some((last, entries)) if *last == file => entries.push(entry),
            _ => files.push((file, vec![entry])),
        }
    }
    files
}
