//! Targets: which config files a stack has, and which key takes which setting.
//!
//! A target is compiled from YAML ([`source`]). [`TargetFile::edit`] turns a plan and the present text of its files into
//! the new texts, key by key, and says of each setting whether it is applied, already there, clamped by the stack's own
//! range, or cannot be expressed. Nothing here reads or writes the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod config;
pub mod json;
pub mod lines;
pub mod look;
pub mod schema;
pub mod source;
pub mod toml;
pub mod yaml;

use crate::diag::{At, Finding, Source, Span};
use crate::expr::{EvalError, Evaluation, Expr, Language, Operand, Read, Type};
use crate::facts::units::show;
use crate::plan::Plan;
use crate::settings::SETTINGS;
use crate::yaml::{Document, escape};
use config::{Config, KeyChange, TextError, path_of, same};
use schema::FileSchema;
use source::{Format, KeyEntry, Recognition, TargetEntry, TargetFileEntry, WhenMissing};

/// A stack and its config files, compiled.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub id: String,
    /// What it is.
    pub why: String,
    /// How an installation is recognised: any one is enough.
    pub recognise: Vec<Recognition>,
    /// Its config files.
    pub files: Vec<TargetFile>,
}

/// One config file of a stack.
#[derive(Debug)]
pub struct TargetFile {
    /// Where it lies, relative to the root.
    pub path: String,
    /// How it is written.
    pub format: Format,
    // Variables that hold a list of arguments.
    lists: BTreeSet<String>,
    // What stands for a missing or broken file.
    restore: Config,
    schema: FileSchema,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    // `a.b` or `NAME.--option` as it is written in the target, and the keys that lead to it.
    name: String,
    path: Vec<String>,
    setting: String,
    // `None` when the key holds the setting's value as it is.
    value: Option<Expr>,
    at_least: Option<Operand>,
    at_most: Option<Operand>,
    when_missing: WhenMissing,
    why: Option<String>,
}

/// What a key of a file is about to become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The setting.
    pub setting: String,
    /// Dotted path of the key; absent when the setting has none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the key holds now; absent when it is not in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it will hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// What becomes of the setting here.
    pub status: Status,
    /// Why, where the status does not say it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What becomes of a setting in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Status {
    /// The key gets the setting's value.
    #[serde(rename = "applied")]
    Applied,
    /// The key holds it already.
    #[serde(rename = "no-op")]
    NoOp,
    /// The stack has no key for it, or this file does not have the key.
    #[serde(rename = "not expressible here")]
    NotExpressible,
    /// The stack takes only a part of the range; the key gets the nearest value in it.
    #[serde(rename = "clamped by the target")]
    Clamped,
}

impl Change {
    /// Whether the key does not hold yet what it should.
    pub fn is_due(&self) -> bool {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => !same(from, to),
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

impl Status {
    /// The words that plans show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NoOp => "no-op",
            Self::NotExpressible => "not expressible here",
            Self::Clamped => "clamped by the target",
        }
    }
}

/// The old and the new text of one file, and how they differ in meaning.
#[derive(Clone, Debug)]
pub struct FileEdit {
    /// Name relative to the root.
    pub file: String,
    /// How it is written.
    pub format: Format,
    /// What the file holds now; `None` when there is none.
    pub before: Option<String>,
    /// What it is to hold.
    pub after: String,
    /// The same as values; null when there is no file and none is needed.
    pub values: Value,
    /// Whether it is missing or broken, and `after` is made from the default that comes with the target.
    pub restored: bool,
    /// Key by key.
    pub changes: Vec<Change>,
    /// What there is to say about the file.
    pub findings: Vec<Finding>,
    // The text before, read; `None` when there is none.
    present: Option<Config>,
}

impl FileEdit {
    /// Where a key stands in the file as it is now, which messages name `shown`.
    pub fn at(&self, shown: &str, key: &str) -> Option<At> {
        let (line, column) = self.present.as_ref()?.position(&self.format.path(key).ok()?)?;
        Some(At { file: shown.to_owned(), line, column })
    }
}

impl Target {
    /// Compiles a target.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(
        entry: &TargetEntry,
        document: &Document,
        pointer: &str,
        language: &Language,
    ) -> Result<Self, Vec<Finding>> {
        let mut files = Vec::new();
        let mut errors = Vec::new();
        for (i, file) in entry.files.iter().enumerate() {
            let compiler = KeyCompiler { document, language, pointer: format!("{pointer}/files/{i}") };
            match compiler.file(file) {
                Ok(file) => files.push(file),
                Err(findings) => errors.extend(findings),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { id: entry.id.clone(), why: entry.why.clone(), recognise: entry.recognise.clone(), files })
    }
}

struct KeyCompiler<'a> {
    document: &'a Document,
    language: &'a Language,
    pointer: String,
}

impl KeyCompiler<'_> {
    fn file(&self, entry: &TargetFileEntry) -> Result<TargetFile, Vec<Finding>> {
        let at = |key: &str| self.document.span(&format!("{}/{key}", self.pointer));
        let relative = entry
            .path
            .split(['/', '\\'])
            .all(|part| !part.is_empty() && part != ".." && part != "." && !part.contains(':'));
        if !relative {
            let finding = Finding::error("policy-file", format!("`{}` does not stay below the root", entry.path));
            return Err(vec![finding.at(at("path"), "").help("name the file relative to the root, without `..`")]);
        }
        let mut keys = Vec::new();
        let mut errors = Vec::new();
        for (name, key) in &entry.keys {
            match entry.format.path(name) {
                Ok(path) => match self.key(name, path, key) {
                    Ok(key) => keys.push(key),
                    Err(findings) => errors.extend(findings),
                },
                Err(why) => errors.push(self.wrong(&format!("keys/{}", escape(name)), why)),
            }
        }
        let lists: BTreeSet<String> = keys.iter().filter_map(|key| entry.format.list_of(&key.path)).collect();
        for key in keys.iter().filter(|key| key.path.len() == 1 && lists.contains(&key.name)) {
            let message = format!("`{}` holds a list of arguments, so it has no value of its own", key.name);
            errors.push(self.wrong(&format!("keys/{}", escape(&key.name)), message));
        }
        let restore = match entry.format.restored(&entry.restore, &lists) {
            Ok(restore) if errors.is_empty() => restore,
            Ok(_) => return Err(errors),
            Err(why) => {
                errors.push(self.wrong("restore", why));
                return Err(errors);
            }
        };
        let schema = FileSchema::of_entry(&entry.schema).map_err(|why| vec![self.wrong("schema", why)])?;
        Ok(TargetFile { path: entry.path.clone(), format: entry.format, lists, restore, schema, keys })
    }

    fn wrong(&self, key: &str, message: String) -> Finding {
        Finding::error("policy-file", message).at(self.document.span(&format!("{}/{key}", self.pointer)), "")
    }

    fn key(&self, name: &str, path: Vec<String>, entry: &KeyEntry) -> Result<Key, Vec<Finding>> {
        let pointer = format!("{}/keys/{}", self.pointer, escape(name));
        if SETTINGS.find(&entry.setting).is_none() {
            let help = crate::diag::did_you_mean(&entry.setting, SETTINGS.iter().map(|spec| spec.name.as_str()));
            let finding = Finding::error("unknown-setting", format!("unknown setting `{}`", entry.setting));
            return Err(vec![finding.at(self.document.span(&format!("{pointer}/setting")), "").maybe_help(help)]);
        }
        let expr = |text: &str, key: &str| {
            self.language.compile(text, &self.document.scalar(&format!("{pointer}/{key}")), &[])
        };
        let bound = |value: &Option<Value>, key: &str| match value {
            None => Ok(None),
            Some(Value::String(text)) => {
                let expr = expr(text, key)?;
                match expr.ty().is_number() || *expr.ty() == Type::Any {
                    true => Ok(Some(Operand::Expr(Box::new(expr)))),
                    false => Err(vec![
                        Finding::error("mixed-types", format!("a bound is a number, not {}", expr.ty()))
                            .at(expr.span(), ""),
                    ]),
                }
            }
            Some(value) if value.is_number() => Ok(Some(Operand::Literal(value.clone()))),
            Some(_) => {
                let span = self.document.span(&format!("{pointer}/{key}"));
                Err(vec![Finding::error("policy-file", "a bound is a number or an expression").at(span, "")])
            }
        };
        Ok(Key {
            name: name.to_owned(),
            path,
            setting: entry.setting.clone(),
            value: entry.value.as_ref().map(|text| expr(text, "value")).transpose()?,
            at_least: bound(&entry.at_least, "at_least")?,
            at_most: bound(&entry.at_most, "at_most")?,
            when_missing: entry.when_missing,
            why: entry.why.clone(),
        })
    }
}

// What a key should hold: the value, and whether the stack's range changed it.
struct Wanted {
    value: Value,
    clamped: Option<String>,
}

impl TargetFile {
    /// The file's new text for a plan whose settings the evaluation knows.
    ///
    /// `before` is `None` when the file does not exist. The first file of a target is restored when it is missing; others
    /// are left alone.
    pub fn edit(
        &self,
        before: Option<String>,
        required: bool,
        plan: &Plan,
        evaluation: &Evaluation<'_>,
        shown: &str,
    ) -> FileEdit {
        let mut findings = Vec::new();
        let present = before.as_deref().map(|text| Config::read(self.format, text, &self.lists));
        let corrupt = |message: String, place| {
            let help = "it is replaced by the default that comes with the target; `rollback` brings the old bytes back";
            let text = before.as_deref().unwrap_or_default();
            Finding::warning("config-corrupt", message).at(span_of(shown, text, place), "").help(help)
        };
        let usable = match present {
            None if !required => {
                return FileEdit {
                    file: self.path.clone(),
                    format: self.format,
                    before,
                    after: String::new(),
                    values: Value::Null,
                    restored: false,
                    changes: Vec::new(),
                    findings,
                    present: None,
                };
            }
            None => {
                let message =
                    format!("`{shown}` is missing and is written from the default that comes with the target");
                findings.push(Finding::warning("config-default-restored", message));
                None
            }
            Some(Ok(config)) if config.value().is_object() => Some(config),
            Some(Ok(_)) => {
                findings.push(corrupt(format!("`{shown}` holds no sections, so the stack cannot use it"), (1, 1)));
                None
            }
            Some(Err(error)) => {
                let message = format!("`{shown}` is not {}: {}", self.format.name(), error.message);
                findings.push(corrupt(message, (error.line, error.column)));
                None
            }
        };
        let restored = usable.is_none();
        let present = usable.unwrap_or_else(|| self.restore.clone());
        let mut config = present.clone();
        let (changes, edited) = self.keys(plan, evaluation, &present, &mut config, shown, &mut findings);
        self.disagreements(shown, &present, &mut findings);
        self.validate(shown, &config, &edited, &mut findings);
        FileEdit {
            file: self.path.clone(),
            format: self.format,
            before,
            after: config.text(),
            values: config.value().clone(),
            restored,
            changes,
            findings,
            present: (!restored).then_some(present),
        }
    }

    // What becomes of each setting; `config` gets the new values, and the paths that did are given back.
    fn keys(
        &self,
        plan: &Plan,
        evaluation: &Evaluation<'_>,
        present: &Config,
        config: &mut Config,
        shown: &str,
        findings: &mut Vec<Finding>,
    ) -> (Vec<Change>, Vec<Vec<String>>) {
        let mut changes = Vec::new();
        let mut edited = Vec::new();
        let mut expressed = BTreeSet::new();
        let not_expressible = |key: &Key, why: String| Change {
            setting: key.setting.clone(),
            key: Some(key.name.clone()),
            from: present.get(&key.path).cloned(),
            to: None,
            status: Status::NotExpressible,
            why: Some(why),
        };
        for key in &self.keys {
            let Some(setting) = plan.settings.get(&key.setting) else { continue };
            let wanted = match key.wanted(&setting.value, evaluation) {
                Ok(wanted) => wanted,
                Err(EvalError::Unknown(name)) => {
                    changes.push(not_expressible(key, format!("`{name}` is unknown")));
                    continue;
                }
                Err(EvalError::Failed { message, .. }) => {
                    findings.push(Finding::error(
                        "expression-failed",
                        format!("the value of key `{}` failed: {message}", key.name),
                    ));
                    continue;
                }
            };
            if let Some(error) = present.unclear(&key.path) {
                findings.push(refusal(key, shown, present, error));
                changes.push(not_expressible(key, error.message.clone()));
                continue;
            }
            let from = present.held(&key.path, &wanted.value);
            if from.is_none() && !key.may_be_added(present) {
                continue;
            }
            expressed.extend(key.settings());
            let equal = from.as_ref().is_some_and(|from| present.same(from, &wanted.value));
            if !equal {
                let change = KeyChange { path: key.path.clone(), value: wanted.value.clone() };
                if let Err(error) = config.set(&change) {
                    findings.push(refusal(key, shown, config, &error));
                    changes.push(not_expressible(key, error.message));
                    continue;
                }
                edited.push(change.path);
            }
            let status = match (&wanted.clamped, equal) {
                (Some(_), _) => Status::Clamped,
                (None, true) => Status::NoOp,
                (None, false) => Status::Applied,
            };
            // What is read as the same number keeps its spelling.
            let to = match &from {
                Some(from @ Value::String(_)) if equal => from.clone(),
                _ => present.spelt(&key.path, &wanted.value),
            };
            changes.push(Change {
                setting: key.setting.clone(),
                key: Some(key.name.clone()),
                from,
                to: Some(to),
                status,
                why: wanted.clamped.or_else(|| key.why.clone().filter(|_| !equal)),
            });
        }
        for name in plan.settings.keys().filter(|name| !expressed.contains(*name)) {
            if changes.iter().any(|change| &change.setting == name) {
                continue;
            }
            let has_key = self.keys.iter().any(|key| &key.setting == name);
            changes.push(Change {
                setting: name.clone(),
                key: None,
                from: None,
                to: None,
                status: Status::NotExpressible,
                why: has_key.then(|| "this file does not have the key".to_owned()),
            });
        }
        changes.sort_by(|a, b| (&a.setting, &a.key).cmp(&(&b.setting, &b.key)));
        (changes, edited)
    }

    // Keys that carry one setting in the same way, and hold different values now.
    fn disagreements(&self, shown: &str, present: &Config, findings: &mut Vec<Finding>) {
        let mut groups: BTreeMap<(&str, Option<&str>), Vec<&Key>> = BTreeMap::new();
        for key in &self.keys {
            groups.entry((&key.setting, key.value.as_ref().map(Expr::text))).or_default().push(key);
        }
        for ((setting, _), keys) in groups {
            let held: Vec<(&Key, &Value)> =
                keys.into_iter().filter_map(|key| Some((key, present.get(&key.path)?))).collect();
            let Some(((first, value), others)) = held.split_first() else { continue };
            if let Some((other, different)) = others.iter().find(|(_, other)| !same(value, other)) {
                let message = format!(
                    "`{}` and `{}` are the same knob (`{setting}`) and hold different values",
                    first.name, other.name
                );
                let mut finding = Finding::warning("config-disagreed", message);
                for (key, value) in [(first, value), (other, different)] {
                    if let Some(position) = present.position(&key.path) {
                        finding = finding.at(
                            span_of(shown, &present.text(), position),
                            format!("`{}` is {}", key.name, show(value, None)),
                        );
                    }
                }
                findings.push(finding.help("both get the planned value"));
            }
        }
    }

    // No value of ours may break the stack's own schema; what was broken before is said, and left alone.
    fn validate(&self, shown: &str, config: &Config, edited: &[Vec<String>], findings: &mut Vec<Finding>) {
        let Some(validator) = self.schema.validator() else {
            let message = format!("the schema of `{}` in the target is not a JSON Schema", self.path);
            findings.push(Finding::error("config-invalid", message));
            return;
        };
        let value = config.checked(|value| validator.iter_errors(value).map(|error| path_of(&error)).collect());
        let after = config.text();
        for error in validator.iter_errors(&value) {
            let path = path_of(&error);
            let ours = edited.contains(&path);
            let message = format!("`{}` in `{shown}`: {error}", path.join("."));
            let position = config.position(&path).unwrap_or((1, 1));
            let (finding, help) = match ours {
                true => (
                    Finding::error("config-invalid", message),
                    "the target's `at_least` and `at_most` should keep values inside its schema",
                ),
                false => {
                    (Finding::warning("config-invalid", message), "the value was there before and is left as it is")
                }
            };
            findings.push(finding.at(span_of(shown, &after, position), "").help(help));
        }
    }
}

impl Key {
    // The setting that it carries, and those that its value rests on.
    fn settings(&self) -> impl Iterator<Item = String> {
        let read = self.value.iter().flat_map(Expr::reads).filter_map(|read| match read {
            Read::Setting(name) => Some(name.clone()),
            _ => None,
        });
        std::iter::once(self.setting.clone()).chain(read)
    }

    fn wanted(&self, setting: &Value, evaluation: &Evaluation<'_>) -> Result<Wanted, EvalError> {
        let value = match &self.value {
            None => setting.clone(),
            Some(expr) => evaluation.eval(expr, &[])?,
        };
        let bound = |operand: &Option<Operand>| match operand {
            None => Ok(None),
            Some(operand) => evaluation.operand(operand).map(|value| value.as_f64()),
        };
        let (low, high) = (bound(&self.at_least)?, bound(&self.at_most)?);
        let Some(number) = value.as_f64() else { return Ok(Wanted { value, clamped: None }) };
        // The upper bound is the binding one: it is the card's.
        let clamped = number.max(low.unwrap_or(number)).min(high.unwrap_or(f64::INFINITY));
        if clamped == number {
            return Ok(Wanted { value, clamped: None });
        }
        let moved = if value.is_i64() || clamped.fract() == 0.0 {
            Value::from(clamped.floor() as i64)
        } else {
            Value::from(clamped)
        };
        let why = match number > clamped {
            true => format!("{} is above the {} that the stack takes", show(&value, None), show(&moved, None)),
            false => format!("{} is below the {} that the stack takes", show(&value, None), show(&moved, None)),
        };
        Ok(Wanted { value: moved, clamped: Some(why) })
    }

    fn may_be_added(&self, present: &Config) -> bool {
        match self.when_missing {
            WhenMissing::Skip => false,
            WhenMissing::Add => true,
            WhenMissing::AddToSection => {
                let section = &self.path[..self.path.len() - 1];
                present.get(section).is_some_and(Value::is_object)
            }
        }
    }
}

// A key that is not edited, and why.
fn refusal(key: &Key, shown: &str, config: &Config, error: &TextError) -> Finding {
    let message = format!("`{}` in `{shown}` is not set: {}", key.name, error.message);
    let place = span_of(shown, &config.text(), (error.line, error.column));
    Finding::error(error.fault.code(), message).at(place, "").maybe_help(error.fault.help().map(str::to_owned))
}

fn span_of(shown: &str, text: &str, (line, column): (usize, usize)) -> Span {
    let source: Arc<Source> = Source::new(shown, text);
    let line_start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[line_start.min(text.len())..];
    let start = line_start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(i, _)| i);
    let length = text[start..].find([',', '\n', '}']).unwrap_or(text.len() - start);
    Span { source, range: start..start + length }
}
