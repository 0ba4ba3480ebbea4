//! Files as written → a [`PolicySet`]: every expression compiled, every name resolved, the order of settings known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::load::LoadedFile;
use super::source::{CheckEntry, ChooseEntry, FunctionEntry, LimitEntry, PolicyEntry};
use super::tables::{self, Table};
use super::template::Template;
use crate::diag::{Code, Finding, Label, Severity, Span, codes, did_you_mean};
use crate::expr::namespaces::{self, DATA_NAMESPACE};
use crate::expr::{Expr, Field, Language, Node, Read, Record, Slot, Type};
use crate::facts::vocabulary::{self, Stability};
use crate::settings::{SETTINGS, SettingSpec, SettingType};
use crate::target::Target;
use crate::yaml::{Document, ScalarText, escape};

/// Layers from here on belong to the site and the user: they may expire, and need no source.
pub const FIRST_OVERRIDE_LAYER: u8 = 80;

/// The policies of one run: checked, compiled and ordered.
#[derive(Debug)]
pub struct PolicySet {
    /// The language with all functions of the files.
    pub language: Language,
    /// Types of the namespaces.
    pub types: BTreeMap<String, Field>,
    /// The tables and constants at run time.
    pub data: Slot,
    /// The policies, by layer, file and place.
    pub policies: Vec<Policy>,
    /// The checks, by layer, file and place.
    pub checks: Vec<Check>,
    /// The targets, by id.
    pub targets: Vec<Target>,
    /// Settings that are decided together, in an order in which each group only reads earlier ones.
    pub groups: Vec<Vec<usize>>,
    /// First 16 hexadecimal digits of the SHA-256 of all files' names and texts.
    pub hash: String,
    /// Warnings about the files.
    pub findings: Vec<Finding>,
    tables: BTreeMap<String, Table>,
}

/// One policy.
#[derive(Debug)]
pub struct Policy {
    /// Its id.
    pub id: String,
    /// Its layer.
    pub layer: u8,
    /// Where it stands: the `id`.
    pub span: Span,
    /// Why it is right.
    pub why: Option<String>,
    /// Where its numbers come from.
    pub source: Option<String>,
    /// Condition; `None` means always.
    pub when: Option<Expr>,
    /// Settings that it gives a value.
    pub values: Vec<ValueRule>,
    /// Choices that it makes.
    pub chooses: Vec<Choose>,
    /// Bounds that it sets.
    pub limits: Vec<LimitRule>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
}

/// A literal, or an expression.
#[derive(Clone, Debug)]
pub enum Operand {
    /// As it stands in the file, in the canonical unit.
    Literal(Value),
    /// Evaluated for each machine.
    Expr(Box<Expr>),
}

/// `set` or `derive` of one setting.
#[derive(Debug)]
pub struct ValueRule {
    /// Index of the setting.
    pub setting: usize,
    /// The key in the file.
    pub span: Span,
    /// The value.
    pub value: Operand,
}

/// `choose`.
#[derive(Debug)]
pub struct Choose {
    /// The setting's name, or the choice's own.
    pub name: String,
    /// The key in the file.
    pub span: Span,
    /// What there is to choose from.
    pub candidates: Candidates,
    /// Condition on `it`.
    pub such_that: Expr,
    /// Settings that it decides.
    pub into: Vec<Into>,
    /// By setting index, what to take when no candidate will do.
    pub otherwise: Option<Vec<(usize, Value)>>,
}

/// What a choice has to choose from.
#[derive(Debug)]
pub enum Candidates {
    /// Literals, in canonical units.
    Literals(Vec<Value>),
    /// An expression that gives a list.
    Expr(Expr),
}

/// One setting that a choice decides.
#[derive(Debug)]
pub struct Into {
    /// Index of the setting.
    pub setting: usize,
    /// The value for a candidate `it`; `None` when the candidate itself is the value.
    pub value: Option<Expr>,
    /// When the value is just a field of the candidate: that field.
    pub field: Option<String>,
}

/// `limit` of one setting.
#[derive(Debug)]
pub struct LimitRule {
    /// Index of the setting.
    pub setting: usize,
    /// The key in the file.
    pub span: Span,
    /// Smallest value.
    pub at_least: Option<Operand>,
    /// Largest value.
    pub at_most: Option<Operand>,
    /// The only values.
    pub one_of: Option<Operand>,
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its id, the code of its finding.
    pub id: String,
    /// Its layer.
    pub layer: u8,
    /// Where it stands: the `id`.
    pub span: Span,
    /// Condition; `None` means always.
    pub when: Option<Expr>,
    /// What must be true.
    pub assert: Expr,
    /// How serious it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: Template,
    /// What to do.
    pub help: Option<Template>,
    /// Why it is asked.
    pub why: Option<String>,
}

/// How a policy takes part in deciding a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contribution {
    /// Its value rule of that index.
    Value(usize),
    /// Its choice of that index.
    Choose(usize),
    /// Its limit of that index.
    Limit(usize),
}

impl PolicySet {
    /// The policies that take part in deciding a setting.
    pub fn contributions(&self, setting: usize) -> impl Iterator<Item = (usize, Contribution)> {
        self.policies.iter().enumerate().flat_map(move |(p, policy)| {
            let values = policy.values.iter().enumerate().filter(move |(_, rule)| rule.setting == setting);
            let chooses = policy.chooses.iter().enumerate();
            let chooses = chooses.filter(move |(_, choose)| choose.into.iter().any(|into| into.setting == setting));
            let limits = policy.limits.iter().enumerate().filter(move |(_, rule)| rule.setting == setting);
            let values = values.map(move |(i, _)| (p, Contribution::Value(i)));
            let chooses = chooses.map(move |(i, _)| (p, Contribution::Choose(i)));
            values.chain(chooses).chain(limits.map(move |(i, _)| (p, Contribution::Limit(i))))
        })
    }

    /// A table or constant of `data:` as JSON, quantities in canonical units.
    pub fn table(&self, name: &str) -> Option<&Value> {
        self.tables.get(name).map(|table| &table.value)
    }

    /// What an expression reads, the functions it calls included: facts and settings.
    pub fn reads(&self, expr: &Expr) -> BTreeSet<Read> {
        self.language.all_reads(expr)
    }
}

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
    compiler.functions(&mut language, &tables);
    compiler.stop_at_errors()?;
    let disabled = compiler.disabled();
    let mut policies = Vec::new();
    let mut checks = Vec::new();
    let mut targets = Vec::new();
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
        language,
        types,
        data: data.1,
        policies,
        checks,
        targets,
        groups,
        tables,
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
    let slots: HashMap<_, _> = tables.iter().map(|(name, table)| (name.clone(), table.slot.clone())).collect();
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
        let winners = self.winners("data", "duplicate-data", |file| Box::new(file.entries.data.iter()));
        let mut read = BTreeMap::new();
        for (name, (file, entry)) in winners {
            match tables::read(name, entry, &file.document) {
                Ok(table) => {
                    read.insert(name.to_owned(), table);
                }
                Err(findings) => self.errors.extend(findings),
            }
        }
        read
    }

    // Functions are defined callee first, so that their types are known to their callers.
    fn functions(&mut self, language: &mut Language, tables: &BTreeMap<String, Table>) {
        let winners = self.winners("functions", "duplicate-function", |file| Box::new(file.entries.functions.iter()));
        let mut parsed = BTreeMap::new();
        let mut calls: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (name, (file, entry)) in &winners {
            let pointer = format!("/functions/{}", escape(name));
            if crate::expr::functions::find(name).is_some() || language.is_namespace(name) {
                let finding = Finding::error("duplicate-function", format!("`{name}` is a name of the language"));
                self.errors.push(finding.at(file.document.key_span(&pointer), ""));
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
                    let message = format!("functions call each other in a circle: {}", circle.join(" → "));
                    let span = file.document.key_span(&format!("/functions/{}", escape(first)));
                    self.errors.push(Finding::error("circular-functions", message).at(span, ""));
                }
                return;
            }
        };
        for name in order {
            let (Some((file, entry)), Some(expression)) = (winners.get(name.as_str()), parsed.remove(name.as_str()))
            else {
                continue;
            };
            if let Err(findings) = define(language, &name, entry, &file.document, expression, tables) {
                self.errors.extend(findings);
            }
        }
    }

    // Ids are unique; which of them `disable` switches off.
    fn disabled(&mut self) -> BTreeSet<&'a str> {
        let mut ids: BTreeMap<&str, (u8, Span)> = BTreeMap::new();
        for file in self.files {
            let policies =
                file.entries.policies.iter().enumerate().map(|(i, e)| (e.id.as_str(), format!("/policies/{i}/id")));
            let checks =
                file.entries.checks.iter().enumerate().map(|(i, e)| (e.id.as_str(), format!("/checks/{i}/id")));
            for (id, pointer) in policies.chain(checks) {
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
            if file.layer < FIRST_OVERRIDE_LAYER {
                self.reasons(file);
            }
        }
        disabled
    }

    fn reasons(&mut self, file: &LoadedFile) {
        for (i, entry) in file.entries.policies.iter().enumerate() {
            for (what, given) in [("why", &entry.why), ("source", &entry.source)] {
                if given.is_none() {
                    let finding = Finding::warning("missing-reason", format!("policy `{}` has no `{what}`", entry.id));
                    self.warnings.push(finding.at(file.document.span(&format!("/policies/{i}/id")), ""));
                }
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
            let finding = Finding::error("policy-file", format!("the parameter `{parameter}` would hide a namespace"));
            return Err(vec![finding.at(document.key_span(&pointer), "")]);
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

// Whether an expression gives what is wanted; whole numbers must be made whole on purpose.
fn fits(expr: &Expr, wanted: &Type, what: &str) -> Result<(), Vec<Finding>> {
    if expr.ty().fits(wanted) {
        return Ok(());
    }
    let finding = Finding::error("mixed-types", format!("{what} {}, not {wanted}", expr.ty())).at(expr.span(), "");
    let round = matches!((expr.ty(), wanted), (Type::Float(_), Type::Int(_)));
    Err(vec![finding.maybe_help(round.then(|| "make it whole with floor(…), ceil(…) or round(…)".to_owned()))])
}

struct FileCompiler<'a> {
    file: &'a LoadedFile,
    language: &'a Language,
}

// Collects what goes wrong while the rest is still looked at.
struct Errors(Vec<Finding>);

impl Errors {
    fn keep<T>(&mut self, result: Result<T, Vec<Finding>>) -> Option<T> {
        result.map_err(|findings| self.0.extend(findings)).ok()
    }
}

impl FileCompiler<'_> {
    fn document(&self) -> &Document {
        &self.file.document
    }

    fn expr(&self, text: &str, pointer: &str, locals: &[(String, Type)]) -> Result<Expr, Vec<Finding>> {
        self.language.compile(text, &self.document().scalar(pointer), locals)
    }

    // An expression that a setting rests on: it must not read what changes from minute to minute.
    fn stable(&self, text: &str, pointer: &str, locals: &[(String, Type)]) -> Result<Expr, Vec<Finding>> {
        let expr = self.expr(text, pointer, locals)?;
        let volatile = self.language.all_reads(&expr).into_iter().find_map(|read| match read {
            Read::Fact(name) => vocabulary::find(&name).filter(|s| s.stability == Stability::Volatile).map(|_| name),
            _ => None,
        });
        match volatile {
            None => Ok(expr),
            Some(name) => {
                let finding = Finding::error(
                    "volatile-fact-in-setting",
                    format!("a setting rests on `{name}`, which changes from minute to minute"),
                );
                let help = "use a stable fact such as `gpu.vram.total` or `ram.total`; volatile ones are for checks";
                Err(vec![finding.at(expr.span(), "").help(help)])
            }
        }
    }

    fn condition(
        &self,
        text: &str,
        pointer: &str,
        locals: &[(String, Type)],
        stable: bool,
    ) -> Result<Expr, Vec<Finding>> {
        let expr = match stable {
            true => self.stable(text, pointer, locals)?,
            false => self.expr(text, pointer, locals)?,
        };
        fits(&expr, &Type::Bool, "the condition gives")?;
        Ok(expr)
    }

    fn setting(&self, name: &str, pointer: &str) -> Result<(usize, &'static SettingSpec), Vec<Finding>> {
        SETTINGS.index(name).map(|index| (index, SETTINGS.get(index))).ok_or_else(|| {
            let finding = Finding::error("unknown-setting", format!("unknown setting `{name}`"));
            let help = did_you_mean(name, SETTINGS.iter().map(|spec| spec.name.as_str()));
            vec![finding.at(self.document().key_span(pointer), "").maybe_help(help)]
        })
    }

    fn literal(&self, spec: &SettingSpec, value: &Value, pointer: &str) -> Result<Value, Vec<Finding>> {
        spec.literal(value).map_err(|error| {
            let code = match error {
                crate::settings::LiteralError::Quantity(_) => "unit-mismatch",
                crate::settings::LiteralError::Range(_) => "setting-out-of-range",
            };
            let help = Some(spec.range())
                .filter(|range| !range.is_empty())
                .map(|range| format!("`{}` may be {range}", spec.name));
            let finding = Finding::error(code, format!("`{}`: {error}", spec.name));
            vec![finding.at(self.document().span(pointer), "").maybe_help(help)]
        })
    }

    fn policy(&self, index: usize, entry: &PolicyEntry) -> Result<Policy, Vec<Finding>> {
        let base = format!("/policies/{index}");
        let mut errors = Errors(Vec::new());
        let when =
            entry.when.as_ref().and_then(|text| errors.keep(self.condition(text, &format!("{base}/when"), &[], true)));
        let mut named: BTreeMap<usize, Span> = BTreeMap::new();
        let mut claim = |setting: usize, span: &Span, errors: &mut Errors| {
            if let Some(first) = named.insert(setting, span.clone()) {
                let name = &SETTINGS.get(setting).name;
                let finding = Finding::error("policy-file", format!("`{name}` is given twice in one policy"));
                errors.0.push(finding.at(span.clone(), "again here").at(first, "first here"));
            }
        };
        let mut values = Vec::new();
        for (name, value) in &entry.set {
            let pointer = format!("{base}/set/{}", escape(name));
            let span = self.document().key_span(&pointer);
            let rule = self.setting(name, &pointer).and_then(|(setting, spec)| {
                let value = Operand::Literal(self.literal(spec, value, &pointer)?);
                Ok(ValueRule { setting, span: span.clone(), value })
            });
            if let Some(rule) = errors.keep(rule) {
                claim(rule.setting, &span, &mut errors);
                values.push(rule);
            }
        }
        for (name, text) in &entry.derive {
            let pointer = format!("{base}/derive/{}", escape(name));
            let span = self.document().key_span(&pointer);
            let rule = self.setting(name, &pointer).and_then(|(setting, spec)| {
                let expr = self.stable(text, &pointer, &[])?;
                fits(&expr, &namespaces::setting_type(spec), &format!("the expression for `{name}` gives"))?;
                Ok(ValueRule { setting, span: span.clone(), value: Operand::Expr(Box::new(expr)) })
            });
            if let Some(rule) = errors.keep(rule) {
                claim(rule.setting, &span, &mut errors);
                values.push(rule);
            }
        }
        let mut chooses = Vec::new();
        for (name, choose) in &entry.choose {
            let pointer = format!("{base}/choose/{}", escape(name));
            if let Some(choose) = errors.keep(self.choose(name, choose, &pointer)) {
                for into in &choose.into {
                    claim(into.setting, &choose.span, &mut errors);
                }
                chooses.push(choose);
            }
        }
        let mut limits = Vec::new();
        for (name, limit) in &entry.limit {
            let pointer = format!("{base}/limit/{}", escape(name));
            limits.extend(errors.keep(self.limit(name, limit, &pointer)));
        }
        let span = self.document().span(&format!("{base}/id"));
        let empty =
            entry.set.is_empty() && entry.derive.is_empty() && entry.choose.is_empty() && entry.limit.is_empty();
        if empty {
            let finding = Finding::error(
                "nothing-set",
                format!("policy `{}` sets, derives, chooses and limits nothing", entry.id),
            );
            errors.0.push(finding.at(span.clone(), ""));
        }
        let expires =
            entry.expires.as_ref().and_then(|text| errors.keep(self.expiry(text, &format!("{base}/expires"))));
        if !errors.0.is_empty() {
            return Err(errors.0);
        }
        Ok(Policy {
            id: entry.id.clone(),
            layer: self.file.layer,
            span,
            why: entry.why.clone(),
            source: entry.source.clone(),
            when,
            values,
            chooses,
            limits,
            expires,
        })
    }

    fn expiry(&self, text: &str, pointer: &str) -> Result<Date, Vec<Finding>> {
        let place = || self.document().span(pointer);
        if self.file.layer < FIRST_OVERRIDE_LAYER {
            let finding = Finding::error("policy-file", "`expires` is for overrides in layers 80 and above");
            return Err(vec![finding.at(place(), "")]);
        }
        text.parse().map_err(|_| {
            let finding = Finding::error("policy-file", format!("`{text}` is not a date"));
            vec![finding.at(place(), "").help("write it as YYYY-MM-DD")]
        })
    }

    fn choose(&self, name: &str, entry: &ChooseEntry, pointer: &str) -> Result<Choose, Vec<Finding>> {
        let span = self.document().key_span(pointer);
        let single = match entry.into.is_empty() {
            true => Some(self.setting(name, pointer)?),
            false => None,
        };
        let (candidates, it) = self.candidates(entry, single.map(|(_, spec)| spec), pointer)?;
        if let Some((_, spec)) = single {
            let wanted = namespaces::setting_type(spec);
            if !it.fits(&wanted) {
                let finding =
                    Finding::error("mixed-types", format!("the candidates for `{name}` are {it}, not {wanted}"));
                let help = "when a candidate decides several settings, say which with `into:`";
                return Err(vec![finding.at(self.document().span(&format!("{pointer}/first_of")), "").help(help)]);
            }
        }
        let locals = [("it".to_owned(), it.clone())];
        let such_that = self.condition(&entry.such_that, &format!("{pointer}/such_that"), &locals, true)?;
        let mut into = Vec::new();
        if let Some((setting, _)) = single {
            into.push(Into { setting, value: None, field: None });
        }
        for (name, text) in &entry.into {
            let pointer = format!("{pointer}/into/{}", escape(name));
            let (setting, spec) = self.setting(name, &pointer)?;
            let expr = self.stable(text, &pointer, &locals)?;
            fits(&expr, &namespaces::setting_type(spec), &format!("the expression for `{name}` gives"))?;
            let field = text.trim().strip_prefix("it.").filter(|field| is_word(field)).map(str::to_owned);
            into.push(Into { setting, value: Some(expr), field });
        }
        let otherwise = match (&entry.otherwise, single) {
            (None, _) => None,
            (Some(value), Some((setting, spec))) => {
                Some(vec![(setting, self.literal(spec, value, &format!("{pointer}/otherwise"))?)])
            }
            (Some(Value::Object(literals)), None) => {
                let mut values = Vec::new();
                for (name, value) in literals {
                    let pointer = format!("{pointer}/otherwise/{}", escape(name));
                    let (setting, spec) = self.setting(name, &pointer)?;
                    values.push((setting, self.literal(spec, value, &pointer)?));
                }
                let missing = into.iter().find(|into| values.iter().all(|(setting, _)| *setting != into.setting));
                if let Some(missing) = missing {
                    let message = format!("`otherwise` does not say `{}`", SETTINGS.get(missing.setting).name);
                    let finding = Finding::error("policy-file", message);
                    return Err(vec![finding.at(self.document().key_span(&format!("{pointer}/otherwise")), "")]);
                }
                Some(values)
            }
            (Some(_), None) => {
                let finding = Finding::error("policy-file", "with `into`, `otherwise` is a map of settings");
                return Err(vec![finding.at(self.document().span(&format!("{pointer}/otherwise")), "")]);
            }
        };
        Ok(Choose { name: name.to_owned(), span, candidates, such_that, into, otherwise })
    }

    fn candidates(
        &self,
        entry: &ChooseEntry,
        spec: Option<&SettingSpec>,
        pointer: &str,
    ) -> Result<(Candidates, Type), Vec<Finding>> {
        let pointer = format!("{pointer}/first_of");
        let wrong = |message: &str| {
            let finding = Finding::error("policy-file", message).at(self.document().span(&pointer), "");
            Err(vec![finding])
        };
        match (&entry.first_of, spec) {
            (Value::Array(items), Some(_)) if items.is_empty() => wrong("`first_of` has no candidate"),
            (Value::Array(items), Some(spec)) => {
                let mut literals = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    literals.push(self.literal(spec, item, &format!("{pointer}/{i}"))?);
                }
                Ok((Candidates::Literals(literals), namespaces::setting_type(spec)))
            }
            (Value::String(text), _) => {
                let expr = self.stable(text, &pointer, &[])?;
                match expr.ty().clone() {
                    Type::List(item) => Ok((Candidates::Expr(expr), (*item).clone())),
                    other => wrong(&format!("`first_of` needs a list, not {other}")),
                }
            }
            _ => wrong(
                "`first_of` is a list of literals, or an expression that gives a list; with `into`, an expression that gives rows",
            ),
        }
    }

    fn limit(&self, name: &str, entry: &LimitEntry, pointer: &str) -> Result<LimitRule, Vec<Finding>> {
        let (setting, spec) = self.setting(name, pointer)?;
        let ty = namespaces::setting_type(spec);
        let bound = |value: &Option<Value>, key: &str, wanted: Type| match value {
            None => Ok(None),
            Some(value) => self.operand(value, &format!("{pointer}/{key}"), &wanted, name).map(Some),
        };
        let number = Type::Float(spec.unit);
        if !matches!(spec.ty, SettingType::Integer | SettingType::Number)
            && (entry.at_least.is_some() || entry.at_most.is_some())
        {
            let finding =
                Finding::error("mixed-types", format!("`{name}` is {ty}, which has no smallest or largest value"));
            return Err(vec![finding.at(self.document().key_span(pointer), "").help("limit it with `one_of`")]);
        }
        let rule = LimitRule {
            setting,
            span: self.document().key_span(pointer),
            at_least: bound(&entry.at_least, "at_least", number.clone())?,
            at_most: bound(&entry.at_most, "at_most", number)?,
            one_of: bound(&entry.one_of, "one_of", Type::List(Arc::new(ty)))?,
        };
        if rule.at_least.is_none() && rule.at_most.is_none() && rule.one_of.is_none() {
            let finding = Finding::error("nothing-set", format!("the limit on `{name}` says nothing"));
            return Err(vec![finding.at(rule.span, "").help("write `at_least`, `at_most` or `one_of`")]);
        }
        Ok(rule)
    }

    // A text is an expression; anything else is a literal.
    fn operand(&self, value: &Value, pointer: &str, wanted: &Type, name: &str) -> Result<Operand, Vec<Finding>> {
        if let Value::String(text) = value {
            let expr = self.stable(text, pointer, &[])?;
            fits(&expr, wanted, &format!("the bound of `{name}` is"))?;
            return Ok(Operand::Expr(Box::new(expr)));
        }
        let right = match wanted {
            Type::List(_) => value.is_array(),
            _ => value.is_number(),
        };
        if right {
            return Ok(Operand::Literal(value.clone()));
        }
        let finding = Finding::error("mixed-types", format!("the bound of `{name}` must be {wanted}"));
        Err(vec![finding.at(self.document().span(pointer), "")])
    }

    fn check(&self, index: usize, entry: &CheckEntry) -> Result<Check, Vec<Finding>> {
        let base = format!("/checks/{index}");
        let mut errors = Errors(Vec::new());
        let template = |text: &str, key: &str| {
            let place: ScalarText = self.document().scalar(&format!("{base}/{key}"));
            Template::compile(text, &place, self.language)
        };
        let when =
            entry.when.as_ref().and_then(|text| errors.keep(self.condition(text, &format!("{base}/when"), &[], false)));
        let assert = errors.keep(self.condition(&entry.assert, &format!("{base}/assert"), &[], false));
        let message = errors.keep(template(&entry.message, "message"));
        let help = entry.help.as_ref().and_then(|text| errors.keep(template(text, "help")));
        match (assert, message) {
            (Some(assert), Some(message)) if errors.0.is_empty() => Ok(Check {
                id: entry.id.clone(),
                layer: self.file.layer,
                span: self.document().span(&format!("{base}/id")),
                when,
                assert,
                severity: entry.severity,
                message,
                help,
                why: entry.why.clone(),
            }),
            _ => Err(errors.0),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl Check {
    /// The code of its finding.
    pub fn code(&self) -> Code {
        Code::of_check(&self.id)
    }
}

impl Policy {
    // Every expression that a setting's value may rest on.
    fn expressions(&self, setting: usize) -> Vec<&Expr> {
        let mut expressions: Vec<&Expr> = self.when.iter().collect();
        for rule in self.values.iter().filter(|rule| rule.setting == setting) {
            if let Operand::Expr(expr) = &rule.value {
                expressions.push(expr);
            }
        }
        for choose in self.chooses.iter().filter(|choose| choose.into.iter().any(|into| into.setting == setting)) {
            if let Candidates::Expr(expr) = &choose.candidates {
                expressions.push(expr);
            }
            expressions.push(&choose.such_that);
            expressions.extend(choose.into.iter().filter_map(|into| into.value.as_ref()));
        }
        for rule in self.limits.iter().filter(|rule| rule.setting == setting) {
            for bound in [&rule.at_least, &rule.at_most, &rule.one_of].into_iter().flatten() {
                if let Operand::Expr(expr) = bound {
                    expressions.push(expr);
                }
            }
        }
        expressions
    }

    /// The settings that it gives a value or a limit.
    pub fn settings(&self) -> BTreeSet<usize> {
        let values = self.values.iter().map(|rule| rule.setting);
        let chooses = self.chooses.iter().flat_map(|choose| choose.into.iter().map(|into| into.setting));
        values.chain(chooses).chain(self.limits.iter().map(|rule| rule.setting)).collect()
    }
}

// Groups of settings that one choice decides together, each after everything that it reads.
fn order(policies: &[Policy], language: &Language) -> Result<Vec<Vec<usize>>, Box<Finding>> {
    // The group of a setting is the smallest index in it.
    let mut group: Vec<usize> = (0..SETTINGS.len()).collect();
    for choose in policies.iter().flat_map(|policy| &policy.chooses) {
        let joined: BTreeSet<usize> = choose.into.iter().map(|into| group[into.setting]).collect();
        if let Some(&first) = joined.first() {
            for entry in &mut group {
                if joined.contains(entry) {
                    *entry = first;
                }
            }
        }
    }
    // Which settings a setting reads, and the expression that does.
    let mut reads: BTreeMap<usize, BTreeMap<usize, Span>> = BTreeMap::new();
    for policy in policies {
        for setting in policy.settings() {
            for expr in policy.expressions(setting) {
                for read in language.all_reads(expr) {
                    if let Read::Setting(name) = read
                        && let Some(other) = SETTINGS.index(&name)
                    {
                        reads.entry(setting).or_default().entry(other).or_insert_with(|| expr.span());
                    }
                }
            }
        }
    }
    let members = |root: usize| (0..group.len()).filter(|&s| group[s] == root).collect::<Vec<_>>();
    let roots: Vec<usize> = (0..group.len()).filter(|&s| group[s] == s).collect();
    let edges = |root: &usize| -> Vec<usize> {
        let read = members(*root)
            .into_iter()
            .flat_map(|s| reads.get(&s).into_iter().flat_map(|m| m.keys().copied()).collect::<Vec<_>>());
        read.map(|s| group[s]).collect()
    };
    let order = depth_first(&roots, edges).map_err(|circle| circle_finding(&circle, &group, &reads))?;
    Ok(order.into_iter().map(members).collect())
}

fn circle_finding(circle: &[usize], group: &[usize], reads: &BTreeMap<usize, BTreeMap<usize, Span>>) -> Box<Finding> {
    // For each step of the circle, the settings that really read each other.
    let mut names = Vec::new();
    let mut labels = Vec::new();
    for pair in circle.windows(2) {
        let step = reads.iter().find_map(|(from, to)| {
            let (to, span) = to.iter().find(|(to, _)| group[**to] == pair[1])?;
            (group[*from] == pair[0]).then_some((*from, *to, span))
        });
        if let Some((from, to, span)) = step {
            let (from, to) = (&SETTINGS.get(from).name, &SETTINGS.get(to).name);
            names.push(from.clone());
            labels.push(Label { span: span.clone(), text: format!("`{from}` reads `{to}`") });
        }
    }
    names.extend(names.first().cloned());
    let mut finding = Finding::error(
        "circular-settings",
        format!("settings depend on each other in a circle: {}", names.join(" → ")),
    );
    finding.labels = labels;
    Box::new(finding.help("read a fact in place of one of the settings"))
}

// Every node after those it leads to; on a circle the nodes of it, the first repeated at the end.
fn depth_first<N: Clone + Ord>(nodes: &[N], edges: impl Fn(&N) -> Vec<N>) -> Result<Vec<N>, Vec<N>> {
    struct Walk<N, E> {
        edges: E,
        path: Vec<N>,
        done: BTreeSet<N>,
        order: Vec<N>,
    }
    impl<N: Clone + Ord, E: Fn(&N) -> Vec<N>> Walk<N, E> {
        fn visit(&mut self, node: &N) -> Result<(), Vec<N>> {
            if self.done.contains(node) {
                return Ok(());
            }
            if let Some(start) = self.path.iter().position(|n| n == node) {
                let mut circle = self.path[start..].to_vec();
                circle.push(node.clone());
                return Err(circle);
            }
            self.path.push(node.clone());
            for next in (self.edges)(node) {
                self.visit(&next)?;
            }
            self.path.pop();
            self.done.insert(node.clone());
            self.order.push(node.clone());
            Ok(())
        }
    }
    let mut walk = Walk { edges, path: Vec::new(), done: BTreeSet::new(), order: Vec::new() };
    for node in nodes {
        walk.visit(node)?;
    }
    Ok(walk.order)
}
