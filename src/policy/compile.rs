//! Files as written → a [`PolicySet`]: every expression compiled, every name resolved, the order of settings known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::entry::{FileCompiler, fits};
use super::load::LoadedFile;
use super::order::{depth_first, order};
use super::rule::Validation;
use super::set::{Allowed, FIRST_OVERRIDE_LAYER, PolicySet, Provenance, parts};
use super::source::FunctionEntry;
use super::tables::{self, Table};
use crate::diag::placeholder::unwritten;
use crate::diag::{Finding, Span, codes, did_you_mean};
use crate::expr::namespaces::{self, DATA_NAMESPACE};
use crate::expr::{Field, Language, Node, Record, Slot, Type};
use crate::target::Target;
use crate::yaml::{Document, escape};

/// Checks the files together and compiles them.
///
/// # Errors
/// Everything that is wrong with them.
pub fn compile(files: &[LoadedFile]) -> Result<PolicySet, Vec<Finding>> {
    let mut compiler = Compiler { files, errors: Vec::new(), warnings: Vec::new() };
    let tables = compiler.tables();
    compiler.stop_at_errors()?;
    let mut types = namespaces::types();
    let data = data_namespace(&tables);
    types.insert(DATA_NAMESPACE.to_owned(), data.0);
    let mut language = Language::new(types.clone());
    for (name, table) in &tables {
        if let Value::Object(rows) = &table.value {
            language.name_rows(tables::title(name), rows.keys().cloned().collect());
        }
    }
    let functions = compiler.functions(&mut language, &tables);
    compiler.stop_at_errors()?;
    let disabled = compiler.disabled();
    let allowed = compiler.allowed();
    let mut policies = Vec::new();
    let mut checks = Vec::new();
    let mut targets = Vec::new();
    let mut stacks = Vec::new();
    for file in files {
        let unit = FileCompiler { file, language: &language };
        for (i, entry) in file.entries.policies.iter().enumerate() {
            if !disabled.contains(entry.id.as_str()) {
                compiler.keep(unit.policy(i, entry), &mut policies);
            }
        }
        for (i, entry) in file.entries.checks.iter().enumerate() {
            if !disabled.contains(entry.id.as_str()) {
                compiler.keep(unit.check(i, entry), &mut checks);
            }
        }
        for (i, entry) in file.entries.targets.iter().enumerate() {
            compiler.keep(Target::compile(entry, &file.document, &format!("/targets/{i}"), &language), &mut targets);
        }
    }
    let validation = compiler.validation(&language);
    for (file, index) in compiler.stacks().into_values() {
        let unit = FileCompiler { file, language: &language };
        compiler.keep(unit.stack(index, &file.entries.stacks[index]), &mut stacks);
    }
    let groups = match order(&policies, &language) {
        Ok(groups) => groups,
        Err(finding) => {
            compiler.errors.push(*finding);
            Vec::new()
        }
    };
    compiler.stop_at_errors()?;
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(PolicySet {
        hash: hash(files),
        findings: compiler.warnings,
        allowed,
        parts: parts(&policies, &language),
        language,
        types,
        data: data.1,
        policies,
        checks,
        targets,
        stacks,
        validation,
        groups,
        functions,
        tables,
    })
}

/// One table or constant of `data:` as JSON, quantities in canonical units; null when no file has it.
///
/// # Errors
/// What is wrong with the table.
pub fn table(files: &[LoadedFile], name: &str) -> Result<Value, Vec<Finding>> {
    let defined = |file: &LoadedFile| file.entries.data.get(name).is_some_and(|entry| entry.adds.is_none());
    let highest =
        files.iter().rev().find(|file| defined(file)).and_then(|file| Some((file, file.entries.data.get(name)?)));
    highest.map_or(Ok(Value::Null), |(file, entry)| {
        Ok(tables::read(name, entry, file, &tables::additions(files, name))?.value)
    })
}

fn hash(files: &[LoadedFile]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        for part in [&file.name, &file.document.source.text] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn data_namespace(tables: &BTreeMap<String, Table>) -> (Field, Slot) {
    let fields = tables.iter().map(|(name, table)| (name.clone(), tables::field(name, table))).collect();
    let record = Record { title: DATA_NAMESPACE.to_owned(), namespace: true, fields };
    let slots: HashMap<_, _> = tables.iter().map(|(name, table)| (name.clone(), table.slot(name))).collect();
    let field = Field { ty: Type::Record(Arc::new(record)), read: None };
    (field, Slot::Value(crate::expr::Dynamic::from(Node::new(DATA_NAMESPACE, slots))))
}

struct Compiler<'a> {
    files: &'a [LoadedFile],
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl<'a> Compiler<'a> {
    // What rests on a broken table or function would only repeat its error.
    fn stop_at_errors(&mut self) -> Result<(), Vec<Finding>> {
        match std::mem::take(&mut self.errors) {
            errors if errors.is_empty() => Ok(()),
            errors => Err(errors),
        }
    }

    fn keep<T>(&mut self, result: Result<T, Vec<Finding>>, into: &mut Vec<T>) {
        match result {
            Ok(value) => into.push(value),
            Err(findings) => self.errors.extend(findings),
        }
    }

    // Entries by name; a higher layer's replaces, two of one layer are an error.
    fn winners<T>(
        &mut self,
        section: &str,
        code: &'static str,
        entries: impl Fn(&'a LoadedFile) -> Box<dyn Iterator<Item = (&'a String, &'a T)> + 'a>,
    ) -> BTreeMap<&'a str, (&'a LoadedFile, &'a T)> {
        let mut winners: BTreeMap<&str, (&LoadedFile, &T)> = BTreeMap::new();
        for file in self.files {
            for (name, entry) in entries(file) {
                let pointer = format!("/{section}/{}", escape(name));
                if let Some((earlier, _)) = winners.get(name.as_str())
                    && earlier.layer == file.layer
                {
                    let finding = Finding::error(code, format!("`{name}` is defined twice in layer {}", file.layer));
                    let finding = finding.at(file.document.key_span(&pointer), "again here");
                    self.errors.push(finding.at(earlier.document.key_span(&pointer), "first here"));
                }
                winners.insert(name, (file, entry));
            }
        }
        winners
    }

    fn tables(&mut self) -> BTreeMap<String, Table> {
        let winners = self.winners("data", "duplicate-data", |file| {
            Box::new(file.entries.data.iter().filter(|(_, entry)| entry.adds.is_none()))
        });
        for file in self.files {
            for (name, entry) in file.entries.data.iter().filter(|(_, entry)| entry.adds.is_some()) {
                let (message, help) = if entry.value.is_some() || entry.rows.is_some() || !entry.columns.is_empty() {
                    let message = format!("data `{name}` both adds rows and is a table or constant of its own");
                    (message, Some("the table's own file has `rows` and the units of `columns`".to_owned()))
                } else if winners.contains_key(name.as_str()) {
                    continue;
                } else {
                    let help = did_you_mean(name, winners.keys().copied());
                    (format!("there is no table `{name}` to add rows to"), help)
                };
                let span = file.document.key_span(&format!("/data/{}", escape(name)));
                self.errors.push(Finding::error("policy-file", message).at(span, "").maybe_help(help));
            }
        }
        let mut read = BTreeMap::new();
        for (name, (file, entry)) in winners {
            match tables::read(name, entry, file, &tables::additions(self.files, name)) {
                Ok(table) => {
                    read.insert(name.to_owned(), table);
                }
                Err(findings) => self.errors.extend(findings),
            }
        }
        read
    }

    // By id; a higher layer's replaces, two of one layer are an error.
    fn stacks(&mut self) -> BTreeMap<&'a str, (&'a LoadedFile, usize)> {
        let mut stacks: BTreeMap<&str, (&LoadedFile, usize)> = BTreeMap::new();
        for file in self.files {
            for (index, entry) in file.entries.stacks.iter().enumerate() {
                let span = |file: &LoadedFile, index: usize| file.document.span(&format!("/stacks/{index}/id"));
                if let Some(&(earlier, first)) = stacks.get(entry.id.as_str())
                    && earlier.layer == file.layer
                {
                    let message = format!("stack `{}` is defined twice in layer {}", entry.id, file.layer);
                    let finding = Finding::error("duplicate-id", message).at(span(file, index), "again here");
                    self.errors.push(finding.at(span(earlier, first), "first here"));
                }
                stacks.insert(&entry.id, (file, index));
            }
        }
        for (file, index) in stacks.values() {
            for (i, other) in file.entries.stacks[*index].alternatives.iter().enumerate() {
                if !stacks.contains_key(other.as_str()) {
                    let finding = Finding::error("policy-file", format!("there is no stack `{other}`"));
                    let span = file.document.span(&format!("/stacks/{index}/alternatives/{i}"));
                    self.errors.push(finding.at(span, "").maybe_help(did_you_mean(other, stacks.keys().copied())));
                }
            }
        }
        stacks
    }

    // The rules of all files, and the verdict of the highest layer that has one.
    fn validation(&mut self, language: &Language) -> Validation {
        let mut validation = Validation::default();
        let disabled = self.disabled_rules();
        for (name, title) in self.files.iter().flat_map(|file| &file.entries.validation.groups) {
            match validation.groups.iter_mut().find(|(known, _)| known == name) {
                Some((_, earlier)) => earlier.clone_from(title),
                None => validation.groups.push((name.clone(), title.clone())),
            }
        }
        for file in self.files {
            let unit = FileCompiler { file, language };
            for (i, entry) in file.entries.validation.rules.iter().enumerate() {
                if disabled.get(entry.id.as_str()).is_none_or(|layer| *layer <= file.layer) {
                    self.keep(unit.rule(i, entry, &validation.groups), &mut validation.rules);
                }
            }
            let mut verdict = Vec::new();
            file.entries.validation.verdict.iter().for_each(|entry| self.keep(unit.verdict(entry), &mut verdict));
            validation.verdict = verdict.pop().or(validation.verdict);
        }
        validation
    }

    // Rules that a higher layer switches off, with that layer.
    fn disabled_rules(&mut self) -> BTreeMap<&'a str, u8> {
        let ids: BTreeSet<&str> =
            self.files.iter().flat_map(|file| &file.entries.validation.rules).map(|rule| rule.id.as_str()).collect();
        let mut disabled = BTreeMap::new();
        for file in self.files {
            for (i, id) in file.entries.validation.disable.iter().enumerate() {
                if !ids.contains(id.as_str()) {
                    let span = file.document.span(&format!("/validation/disable/{i}"));
                    let finding = Finding::warning("unknown-disabled", format!("there is no rule `{id}`"));
                    self.warnings.push(finding.at(span, "").maybe_help(did_you_mean(id, ids.iter().copied())));
                }
                disabled.insert(id.as_str(), file.layer);
            }
        }
        disabled
    }

    // Functions are defined callee first, so that their types are known to their callers.
    fn functions(&mut self, language: &mut Language, tables: &BTreeMap<String, Table>) -> BTreeMap<String, Provenance> {
        let winners = self.winners("functions", "duplicate-function", |file| Box::new(file.entries.functions.iter()));
        let mut parsed = BTreeMap::new();
        let mut calls: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (name, (file, entry)) in &winners {
            let pointer = format!("/functions/{}", escape(name));
            if crate::expr::functions::find(name).is_some() || language.is_namespace(name) {
                let finding = Finding::error("duplicate-function", format!("`{name}` is a name of the language"));
                self.errors.push(finding.at(file.document.key_span(&pointer), ""));
            }
            for (what, name, pointer) in std::iter::once(("function", *name, pointer.clone())).chain(
                entry
                    .parameters
                    .keys()
                    .map(|p| ("parameter", p.as_str(), format!("{pointer}/parameters/{}", escape(p)))),
            ) {
                if !language.is_name(name) {
                    let finding = Finding::error("invalid-name", format!("`{name}` cannot be the name of a {what}"));
                    let help = "a lower-case letter, then letters, digits and `_`; no word of the language";
                    self.errors.push(finding.at(file.document.key_span(&pointer), "").help(help));
                }
            }
            match language.parse(&entry.expression, &file.document.scalar(&format!("{pointer}/expression"))) {
                Ok(expression) => {
                    calls.insert(
                        name,
                        expression.calls().into_iter().filter(|c| winners.contains_key(c.as_str())).collect(),
                    );
                    parsed.insert(*name, expression);
                }
                Err(finding) => self.errors.push(finding),
            }
        }
        let edges = |name: &String| calls.get(name.as_str()).into_iter().flatten().cloned().collect::<Vec<_>>();
        let names: Vec<String> = parsed.keys().map(|name| (*name).to_owned()).collect();
        let order = match depth_first(&names, edges) {
            Ok(order) => order,
            Err(circle) => {
                let first = circle.first().map_or("", String::as_str);
                if let Some((file, _)) = winners.get(first) {
                    let message = match circle.first() == circle.last() {
                        true => format!("functions call each other in a circle: {}", circle.join(" → ")),
                        false => format!("functions call each other more than {} deep", circle.len()),
                    };
                    let span = file.document.key_span(&format!("/functions/{}", escape(first)));
                    self.errors.push(Finding::error("circular-functions", message).at(span, ""));
                }
                return BTreeMap::new();
            }
        };
        let mut defined = BTreeMap::new();
        for name in order {
            let (Some((file, entry)), Some(expression)) = (winners.get(name.as_str()), parsed.remove(name.as_str()))
            else {
                continue;
            };
            match define(language, &name, entry, &file.document, expression, tables) {
                Ok(()) => {
                    let span = file.document.key_span(&format!("/functions/{}", escape(&name)));
                    let (why, source) = (entry.why.clone(), entry.source.clone());
                    defined.insert(name, Provenance { layer: file.layer, span, why, source });
                }
                Err(findings) => self.errors.extend(findings),
            }
        }
        defined
    }

    // Ids are unique; which of them `disable` switches off.
    fn disabled(&mut self) -> BTreeSet<&'a str> {
        let mut ids: BTreeMap<&str, (u8, Span)> = BTreeMap::new();
        for file in self.files {
            let policies =
                file.entries.policies.iter().enumerate().map(|(i, e)| (e.id.as_str(), format!("/policies/{i}/id")));
            let checks =
                file.entries.checks.iter().enumerate().map(|(i, e)| (e.id.as_str(), format!("/checks/{i}/id")));
            let rules = file.entries.validation.rules.iter().enumerate();
            let rules = rules.map(|(i, e)| (e.id.as_str(), format!("/validation/rules/{i}/id")));
            for (id, pointer) in policies.chain(checks).chain(rules) {
                let span = file.document.span(&pointer);
                let kebab = !id.is_empty()
                    && id.split('-').all(|part| {
                        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                    });
                if !kebab {
                    let finding = Finding::error("policy-file", format!("the id `{id}` is not kebab-case"));
                    self.errors.push(finding.at(span.clone(), "").help("lower-case letters, digits and single dashes"));
                }
                if codes::find(id).is_some() {
                    let finding = Finding::error("duplicate-id", format!("`{id}` is a finding code of the program"));
                    self.errors.push(finding.at(span.clone(), ""));
                }
                if let Some((_, first)) = ids.get(id) {
                    let finding = Finding::error("duplicate-id", format!("the id `{id}` stands twice"));
                    self.errors.push(finding.at(span, "again here").at(first.clone(), "first here"));
                } else {
                    ids.insert(id, (file.layer, span));
                }
            }
        }
        let mut disabled = BTreeSet::new();
        for file in self.files {
            for (i, id) in file.entries.disable.iter().enumerate() {
                match ids.get(id.as_str()) {
                    Some((layer, _)) if *layer < file.layer => {
                        disabled.insert(id.as_str());
                    }
                    found => {
                        let message = match found {
                            Some((layer, _)) => format!("`{id}` is in layer {layer}, not below layer {}", file.layer),
                            None => format!("there is no policy or check `{id}`"),
                        };
                        let help = did_you_mean(id, ids.keys().copied().filter(|other| other != id));
                        let finding = Finding::warning("unknown-disabled", message);
                        self.warnings
                            .push(finding.at(file.document.span(&format!("/disable/{i}")), "").maybe_help(help));
                    }
                }
            }
            self.reasons(file);
        }
        disabled
    }

    // What the files accept about themselves.
    fn allowed(&mut self) -> Vec<Allowed> {
        let mut allowed = Vec::new();
        for file in self.files {
            for (code, why) in &file.entries.allow {
                let pointer = format!("/allow/{}", escape(code));
                let span = file.document.key_span(&pointer);
                if codes::find(code).is_none() {
                    let finding = Finding::error("policy-file", format!("there is no finding `{code}`"));
                    let help = did_you_mean(code, codes::CODES.iter().map(|info| info.name));
                    self.errors.push(finding.at(span.clone(), "").maybe_help(help));
                }
                if why.trim().is_empty() {
                    let finding = Finding::error("policy-file", format!("`{code}` is allowed without a reason"));
                    self.errors.push(finding.at(file.document.span(&pointer), "").help("say why it is right here"));
                }
                allowed.push(Allowed { code: code.clone(), span });
            }
        }
        allowed
    }

    // Whether it is said why the entries are right and where their numbers come from.
    fn reasons(&mut self, file: &LoadedFile) {
        if file.layer < FIRST_OVERRIDE_LAYER {
            for (i, entry) in file.entries.policies.iter().enumerate() {
                for (what, given) in [("why", &entry.why), ("source", &entry.source)] {
                    if given.is_none() {
                        let message = format!("policy `{}` has no `{what}`", entry.id);
                        let span = file.document.span(&format!("/policies/{i}/id"));
                        self.warnings.push(Finding::warning("missing-reason", message).at(span, ""));
                    }
                }
            }
        }
        for reason in file.entries.reasons() {
            for (key, text) in [("why", reason.why), ("source", reason.source)] {
                let span = || file.document.span(&format!("{}/{key}", reason.pointer));
                self.warnings.extend(unwritten(&reason.whose, key, text.unwrap_or_default(), span));
            }
        }
    }
}

fn define(
    language: &mut Language,
    name: &str,
    entry: &FunctionEntry,
    document: &Document,
    expression: crate::expr::Parsed,
    tables: &BTreeMap<String, Table>,
) -> Result<(), Vec<Finding>> {
    let pointer = format!("/functions/{}", escape(name));
    let word = |word: &str, pointer: String| {
        tables::type_of_word(word, tables).ok_or_else(|| {
            let finding = Finding::error("policy-file", format!("`{word}` is neither a unit nor a table"));
            let help =
                "write bytes, px, count, ratio, s, °C, W, number, bool, text, or data.TABLE for a row of a table";
            vec![finding.at(document.span(&pointer), "").help(help)]
        })
    };
    let mut parameters = Vec::new();
    for (parameter, ty) in &entry.parameters {
        let pointer = format!("{pointer}/parameters/{}", escape(parameter));
        if language.is_namespace(parameter) {
            let finding = Finding::error("invalid-name", format!("the parameter `{parameter}` would hide a namespace"));
            return Err(vec![finding.at(document.key_span(&pointer), "").help("name it otherwise")]);
        }
        parameters.push((parameter.clone(), word(ty, pointer)?));
    }
    let body = language.check(expression, &parameters)?;
    let result = match &entry.returns {
        None => body.ty().clone(),
        Some(returns) => {
            let wanted = word(returns, format!("{pointer}/returns"))?;
            fits(&body, &wanted, "the function gives")?;
            wanted
        }
    };
    language.define(name, parameters, body, result);
    Ok(())
}
