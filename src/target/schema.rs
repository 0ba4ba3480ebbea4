//! What a file of a stack may hold: a JSON Schema, the values that it does not allow, and what may stand in their place.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

use super::config::{Config, KeyChange, path_of};
use super::span_of;
use crate::diag::{Finding, Severity, did_you_mean, nearest};

/// Wrong values, and keys, that are told of one file, since each takes as long as the file to read. Nobody reads more.
const MOST: usize = 100;

static SHIPPED: Dir = include_dir!("$CARGO_MANIFEST_DIR/schemas/targets");

/// A JSON Schema, compiled when a file is first held against it.
#[derive(Debug)]
pub struct FileSchema {
    name: Option<String>,
    value: Value,
    validator: OnceLock<Option<Validator>>,
}

/// What is wrong with a value, and the edit that mends it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What is said of it, at its place in the file.
    pub finding: Finding,
    /// What mends it; `None` where nobody can guess what is meant.
    pub edit: Option<Edit>,
}

/// An edit that makes a value one that the schema allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Another value.
    Set(KeyChange),
    /// The key, from the outermost, goes.
    Remove(Vec<String>),
    /// The value goes to another key of its section, from which it was read under this name.
    Rename(Vec<String>, String),
    /// The whole file as it comes with the target.
    Restore,
    /// The whole file with slips mended that keep it from being read: the new text, and what was done.
    Mend(String, Vec<String>),
}

impl FileSchema {
    /// As an entry of a policy file names it: by the name of one that is shipped, or written out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_entry(entry: &Value) -> Result<Self, String> {
        let value = match entry {
            Value::String(name) => {
                let file = SHIPPED.get_file(format!("{name}.schema.json"));
                let Some(text) = file.and_then(|file| file.contents_utf8()) else {
                    let help = did_you_mean(name, Self::shipped()).map_or_else(String::new, |help| format!("; {help}"));
                    return Err(format!("there is no schema `{name}`{help}"));
                };
                serde_json::from_str(text).map_err(|error| format!("the schema `{name}` is not JSON: {error}"))?
            }
            Value::Object(_) => match jsonschema::meta::validate(entry) {
                Ok(()) => entry.clone(),
                Err(error) => return Err(format!("it is no JSON Schema: {error}, at `{}`", error.instance_path())),
            },
            _ => return Err("a schema is the name of one that is shipped, or a JSON Schema".to_owned()),
        };
        Ok(Self { name: entry.as_str().map(str::to_owned), value, validator: OnceLock::new() })
    }

    /// Its name; `None` of one that is written out.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The names of the schemas that are shipped.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        SHIPPED.files().filter_map(|file| file.path().to_str()?.strip_suffix(".schema.json"))
    }

    /// What holds values against it; `None` where it is no JSON Schema.
    pub fn validator(&self) -> Option<&Validator> {
        self.validator.get_or_init(|| jsonschema::validator_for(&self.value).ok()).as_ref()
    }

    /// Every value of a file that is not allowed, and every key that means nothing to who reads it.
    ///
    /// In the place of a value that is not only misspelt the one that the first of `others` has there is proposed, if it is
    /// allowed, else the nearest that is.
    pub fn problems(&self, config: &Config, others: &[Other<'_>], shown: &str) -> Vec<Problem> {
        let Some(validator) = self.validator() else { return Vec::new() };
        let value = config.checked(|value| validator.iter_errors(value).map(|error| path_of(&error)).collect());
        let held = Held { schema: &self.value, config, text: config.text(), value, others, shown };
        let errors: Vec<ValidationError<'_>> = validator.iter_errors(&held.value).collect();
        let (together, alone): (Vec<_>, Vec<_>) = errors.iter().partition(|error| held.reason(error).is_some());
        // What a value must be beside others is not asked of one that is wrong by itself.
        let wrong: BTreeSet<_> = alone.iter().map(|error| path_of(error)).filter(|path| !path.is_empty()).collect();
        let together = together.into_iter().filter(|error| !wrong.contains(&path_of(error)));
        let all: Vec<&ValidationError<'_>> = alone.into_iter().chain(together).collect();
        let mut problems: Vec<Problem> = all.iter().take(MOST).flat_map(|error| held.violation(error)).collect();
        if all.len() > MOST {
            let message = format!("{} more values are not what they must be", all.len() - MOST);
            let finding = held.at(Finding::error("config-invalid", message), &[]);
            problems.push(Problem { finding: finding.help("correct the first, then look again"), edit: None });
        }
        let mut of_keys = Vec::new();
        held.keys(&held.value, &self.value, &mut Vec::new(), &mut of_keys);
        problems.extend(of_keys);
        problems
    }
}

/// A file from which values are proposed.
#[derive(Clone, Copy, Debug)]
pub struct Other<'a> {
    /// What its values are: `planned`.
    pub what: &'a str,
    /// What it says.
    pub values: &'a Value,
}

// A file that is held against a schema.
struct Held<'a> {
    schema: &'a Value,
    config: &'a Config,
    text: String,
    value: Value,
    others: &'a [Other<'a>],
    shown: &'a str,
}

impl Held<'_> {
    fn at(&self, finding: Finding, path: &[String]) -> Finding {
        // An entry of a list stands where the list does.
        let place = (0..=path.len()).rev().find_map(|length| self.config.position(&path[..length]));
        finding.at(span_of(self.shown, &self.text, place.unwrap_or((1, 1))), "")
    }

    fn violation(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let path = path_of(error);
        let rule = self.rule(error);
        // Said by its key.
        if rule["deprecated"] == true {
            return Vec::new();
        }
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            let known = || rule["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
            let unknown = |name: &String| self.unknown(&joined(&path, name), known());
            return unexpected.iter().take(MOST).map(unknown).collect();
        }
        let pointer = error.instance_path().to_string();
        let found = self.value.pointer(&pointer).unwrap_or(&Value::Null);
        let name = if path.is_empty() { "the file".to_owned() } else { format!("`{}`", path.join(".")) };
        let (message, better) = match (error.kind(), self.reason(error)) {
            (_, Some(reason)) => return vec![self.unreasonable(&name, reason, &path)],
            (ValidationErrorKind::Required { property }, _) => {
                let missing = property.as_str().unwrap_or_default();
                let default = rule["properties"][missing].get("default").cloned();
                let add = |value: Value| {
                    let place = joined(&path, missing);
                    let value = instead(&value, &rule["properties"][missing])?;
                    Some((format!("add `{}`: {value}", place.join(".")), place, value))
                };
                (format!("{name} has no `{missing}`"), default.and_then(add))
            }
            _ => {
                let message = match allowed(rule) {
                    Some(allowed) => format!("{name} is {found}, and may be {allowed}"),
                    None => format!("{name}: {error}"),
                };
                let of_another = |other: &Other<'_>| {
                    let value = instead(other.values.pointer(&pointer)?, rule)?;
                    Some((format!("write {value}, which is {}", other.what), path.clone(), value))
                };
                let write = |value: Value| {
                    let value = instead(&value, rule)?;
                    Some((format!("write {value}"), path.clone(), value))
                };
                let better = meant(found, rule)
                    .and_then(write)
                    .or_else(|| self.others.iter().find_map(of_another))
                    .or_else(|| nearest_number(found, rule).and_then(write))
                    .or_else(|| rule.get("default").cloned().and_then(write));
                (message, better)
            }
        };
        let finding = self.at(Finding::error("config-invalid", message), &path);
        // What the weights decide is in the file that comes with them, and nowhere else.
        let is_meant = |value: &Value| {
            found.as_str().and_then(|text| text.trim().parse().ok()).is_some_and(|meant: Value| meant == *value)
        };
        if rule["readOnly"] == true && !better.as_ref().is_some_and(|(_, _, value)| is_meant(value)) {
            let help = "the weights decide it: take this file as it comes with the model";
            return vec![Problem { finding: finding.help(help), edit: None }];
        }
        let Some((help, path, value)) = better else { return vec![Problem { finding, edit: None }] };
        // An entry of a list is not a key of its own.
        let is_key = !path.is_empty() && path.iter().all(|key| key.parse::<usize>().is_err());
        vec![Problem { finding: finding.help(help), edit: is_key.then_some(Edit::Set(KeyChange { path, value })) }]
    }

    // What several keys must be together, or what is not allowed; which of them is wrong, or what is meant, nobody can tell.
    fn unreasonable(&self, name: &str, reason: &str, path: &[String]) -> Problem {
        let (why, help) = reason.split_once(". ").unwrap_or((reason, "correct the keys that it names"));
        let why = why.trim_end_matches('.');
        let message = if why.contains(name) { why.to_owned() } else { format!("{name}: {why}") };
        let severity = match self.severity_of(path) {
            Some("warning") => Severity::Warning,
            _ => Severity::Error,
        };
        let finding = self.at(Finding::new("config-invalid", severity, message), path);
        Problem { finding: finding.help(help.trim_end_matches('.')), edit: None }
    }

    // How serious a wrong value of a key is to who reads it, where the schema says so.
    fn severity_of(&self, path: &[String]) -> Option<&str> {
        path.iter().try_fold(self.schema, |rule, key| rule["properties"].get(key))?["x-severity"].as_str()
    }

    // Why the schema asks for what was violated, where it says so in a sentence: of several keys together, or of what is not
    // allowed.
    fn reason(&self, error: &ValidationError<'_>) -> Option<&str> {
        let path = error.schema_path().to_string();
        let together = path.find("/allOf/").and_then(|start| {
            let end = path[start + 7..].find('/').map_or(path.len(), |end| start + 7 + end);
            self.schema.pointer(&path[..end])
        });
        let forbidden = matches!(error.kind(), ValidationErrorKind::Not { .. }).then(|| self.rule(error));
        together.or(forbidden)?["description"].as_str()
    }

    // The part of the schema whose keyword an error comes from.
    fn rule(&self, error: &ValidationError<'_>) -> &Value {
        let path = error.schema_path().to_string();
        let rule = path.rsplit_once('/').map_or("", |(above, _)| above);
        self.schema.pointer(rule).unwrap_or(&Value::Null)
    }

    fn unknown<'k>(&self, path: &[String], known: impl Iterator<Item = &'k str>) -> Problem {
        let name = path.last().map_or("", String::as_str);
        let help = did_you_mean(name, known)
            .unwrap_or_else(|| "remove it, or see whether a newer version of the stack knows it".to_owned());
        let message = format!("`{}` is no attribute that is known here", path.join("."));
        Problem { finding: self.at(Finding::warning("config-unknown-key", message), path).help(help), edit: None }
    }

    // Keys that are no longer read, and those that look like slips of the pen.
    fn keys(&self, value: &Value, rule: &Value, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
        let (Value::Object(entries), Some(known)) = (value, rule["properties"].as_object()) else { return };
        for (name, value) in entries {
            if problems.len() == MOST {
                return;
            }
            path.push(name.clone());
            match known.get(name) {
                Some(rule) if rule["deprecated"] == true => {
                    problems.push(self.deprecated(path, value, (entries, known)))
                }
                Some(rule) => self.keys(value, rule, path, problems),
                // A schema that is closed has said so already.
                None if rule["additionalProperties"] != false => problems.extend(self.slip(path, entries, known)),
                None => {}
            }
            path.pop();
        }
    }

    // `section` is the one that the key stands in, and what its schema knows.
    fn deprecated(
        &self,
        path: &[String],
        value: &Value,
        (section, known): (&Map<String, Value>, &Map<String, Value>),
    ) -> Problem {
        let rule = path.last().and_then(|name| known.get(name)).unwrap_or(&Value::Null);
        let text = rule["description"].as_str().unwrap_or("Nothing reads it any more. Remove it.");
        let (why, help) = text.split_once(". ").unwrap_or((text, "Remove it."));
        // What may not stand there at all ends the load.
        let severity = if rule.get("not").is_some() { Severity::Error } else { Severity::Warning };
        let message = format!("`{}` is deprecated: {}", path.join("."), why.trim_end_matches('.'));
        let finding = self.at(Finding::new("config-deprecated-key", severity, message), path);
        let edit = match rule["x-replaced-by"].as_str() {
            None => Some(Edit::Remove(path.to_vec())),
            // Which of two values is meant nobody can tell.
            Some(other) if section.contains_key(other) => None,
            // Under a name that nothing reads a value does no harm that it would do under the one which is read.
            Some(other) => known
                .get(other)
                .and_then(|rule| instead(value, rule))
                .map(|_| Edit::Rename(path.to_vec(), other.to_owned())),
        };
        Problem { finding: finding.help(help.trim_end_matches('.')), edit }
    }

    // An unknown key of an open section that is nearly one that the section lacks.
    fn slip(&self, path: &[String], entries: &Map<String, Value>, known: &Map<String, Value>) -> Option<Problem> {
        let name = path.last()?;
        let absent = || known.keys().map(String::as_str).filter(|known| !entries.contains_key(*known));
        let meant = nearest(name, absent())?;
        (strsim::damerau_levenshtein(name, meant) <= 2).then(|| self.unknown(path, absent()))
    }
}

fn joined(path: &[String], name: &str) -> Vec<String> {
    [path, &[name.to_owned()]].concat()
}

// What a rule of a schema allows, for people; `None` where it says something else.
fn allowed(rule: &Value) -> Option<String> {
    if let Some(values) = rule["enum"].as_array() {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return Some(values.join(", "));
    }
    if let Some(value) = rule.get("const") {
        return Some(format!("only {value}"));
    }
    let kinds: Vec<&str> = types(rule)
        .map(|kind| match kind {
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "string" => "a text",
            "array" => "a list",
            "object" => "a section",
            other => other,
        })
        .collect();
    let mut kinds = kinds.join(" or ");
    if let (Some(least), true) = (rule.get("minItems"), rule.get("minItems") == rule.get("maxItems")) {
        kinds += &format!(" of {least}");
    }
    let bound = |name: &str, word: &str| rule.get(name).map(|value| format!(" {word} {value}"));
    let low = bound("minimum", "from").or_else(|| bound("exclusiveMinimum", "above")).unwrap_or_default();
    let high = match low.is_empty() {
        true => bound("maximum", "up to").or_else(|| bound("exclusiveMaximum", "below")),
        false => bound("maximum", "to").or_else(|| bound("exclusiveMaximum", "to below")),
    };
    (!kinds.is_empty()).then(|| format!("{kinds}{low}{}", high.unwrap_or_default()))
}

// The types that a rule allows.
fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule["type"].as_array().into_iter().flatten();
    std::iter::once(&rule["type"]).chain(several).filter_map(Value::as_str)
}

// The value that a rule allows and that was misspelt; `None` where nobody can guess.
fn meant(found: &Value, rule: &Value) -> Option<Value> {
    let text = found.as_str()?;
    if types(rule).any(|kind| kind == "boolean") {
        return match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true.into()),
            "false" | "no" | "off" => Some(false.into()),
            _ => None,
        };
    }
    if let Some(values) = rule["enum"].as_array() {
        let mut texts = values.iter().filter_map(Value::as_str);
        let is_meant = |value: &&str| value.eq_ignore_ascii_case(text) || did_you_mean(text, [*value]).is_some();
        return texts.find(is_meant).map(Value::from);
    }
    let number: f64 = text.trim().parse().ok()?;
    nearest_number(found, rule).filter(|near| near.as_f64() == Some(number))
}

// A value in the place of another, if a rule allows it.
fn instead(value: &Value, rule: &Value) -> Option<Value> {
    jsonschema::validator_for(rule).is_ok_and(|rule| rule.is_valid(value)).then(|| value.clone())
}

// The number that a rule allows next to one that it does not; `None` where there is none.
fn nearest_number(found: &Value, rule: &Value) -> Option<Value> {
    let wanted = types(rule).find(|kind| matches!(*kind, "integer" | "number"))?;
    // Next to a bound that is not in the range nothing is nearest.
    if rule.get("exclusiveMinimum").or(rule.get("exclusiveMaximum")).is_some() {
        return None;
    }
    let number: f64 = match found {
        Value::Number(_) => found.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // Neither `nan` nor `inf` is near to any, and beyond 2^53 a double does not tell whole numbers apart.
    if number.is_nan() || number.abs() > 9_007_199_254_740_992.0 {
        return None;
    }
    let low = rule["minimum"].as_f64().unwrap_or(f64::NEG_INFINITY);
    let high = rule["maximum"].as_f64().unwrap_or(f64::INFINITY);
    let near = number.max(low).min(high);
    match wanted {
        "integer" => Some(Value::from(near.round() as i64)),
        "number" => Some(if near.fract() == 0.0 { Value::from(near as i64) } else { Value::from(near) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::look::look_at_json;

    // What is said of a file, and the file with what can be put right.
    fn looked_at(schema: &str, text: &str) -> (Vec<String>, String) {
        let schema = FileSchema::of_entry(&Value::from(schema)).unwrap();
        let looked = look_at_json(text, &schema, "config.json");
        let findings = looked.problems.iter().map(|problem| &problem.finding);
        let said = findings.map(|finding| format!("{}; {}", finding.message, finding.help.as_deref().unwrap_or("-")));
        (said.collect(), looked.mended("").0)
    }

    #[test]
    fn what_the_weights_decide_is_not_put_right_unless_it_is_only_misspelt() {
        let text = r#"{ "_class_name": "AutoencoderKLWan", "base_dim": "96", "z_dim": 0 }"#;
        let (said, mended) = looked_at("diffusers-autoencoder-kl-wan", text);
        assert_eq!(
            said,
            [
                "`base_dim` is \"96\", and may be a whole number from 1; write 96",
                "`z_dim` is 0, and may be a whole number from 1; the weights decide it: take this file as it comes with the model",
            ]
        );
        assert_eq!(mended, r#"{ "_class_name": "AutoencoderKLWan", "base_dim": 96, "z_dim": 0 }"#);
    }

    #[test]
    fn a_value_under_a_former_name_goes_to_the_new_one() {
        let text = "{\n  \"_class_name\": \"UniPCMultistepScheduler\",\n  \"shift\": 5.0,\n  \"solver_order\": 2\n}\n";
        let (said, mended) = looked_at("diffusers-unipc-multistep-scheduler", text);
        assert!(said[0].starts_with("`shift` is deprecated: "), "{said:?}");
        assert!(said[0].ends_with("; Put the value into `flow_shift`, then remove it"), "{said:?}");
        assert!(mended.contains("\"flow_shift\": 5.0") && !mended.contains("\"shift\""), "{mended}");
        // Which of two values is meant nobody can tell.
        let both = text.replace("\"solver_order\": 2", "\"flow_shift\": 3.0");
        assert_eq!(looked_at("diffusers-unipc-multistep-scheduler", &both).1, both);
    }

    #[test]
    fn a_former_name_is_replaced_and_the_value_stays_as_it_is_written() {
        let written = |value: &str| format!("{{ \"_class_name\": \"UniPCMultistepScheduler\", \"shift\": {value} }}");
        for value in ["5.00", "5.00, \"x\": [1,2]", "1e2"] {
            let text = written(value);
            let renamed = text.replace("\"shift\"", "\"flow_shift\"");
            assert_eq!(looked_at("diffusers-unipc-multistep-scheduler", &text).1, renamed);
        }
        // What the new name does not allow would do harm there.
        for value in ["null", "\"auto\"", "0", "NaN", "1e400", "\"\\ud800\""] {
            let text = written(value);
            let (said, mended) = looked_at("diffusers-unipc-multistep-scheduler", &text);
            assert!(said[0].starts_with("`shift` is deprecated: "), "{said:?}");
            assert_eq!(mended, text);
        }
        let twice = r#"{ "_class_name": "UniPCMultistepScheduler", "shift": 1, "shift": 2.0, "solver_order": 2 }"#;
        let (_, mended) = looked_at("diffusers-unipc-multistep-scheduler", twice);
        assert_eq!(mended, r#"{ "_class_name": "UniPCMultistepScheduler", "flow_shift": 2.0, "solver_order": 2 }"#);
    }

    #[test]
    fn what_no_schema_allows_is_not_proposed() {
        // Not near to any number.
        for text in ["inf", "-inf", "nan", "1e300"] {
            let text =
                format!(r#"{{ "system": {{ "stats_refresh_interval": "{text}", "worker_threads": "{text}" }} }}"#);
            assert_eq!(looked_at("wan22-ui", &text).1, text);
        }
        let schema = serde_json::json!({
            "required": ["a"],
            "properties": { "a": { "type": "integer", "default": "x" }, "b": { "type": "integer", "multipleOf": 8, "minimum": 4 } }
        });
        let schema = FileSchema::of_entry(&schema).unwrap();
        let looked = look_at_json(r#"{ "b": 2 }"#, &schema, "config.json");
        assert_eq!(looked.problems.iter().map(|problem| &problem.edit).collect::<Vec<_>>(), [&None; 3]);
    }

    #[test]
    fn what_ends_the_load_is_an_error() {
        let text = r#"{ "_class_name": "AutoencoderKLWan", "dtype": "bfloat16", "clip_output": false }"#;
        let schema = FileSchema::of_entry(&Value::from("diffusers-autoencoder-kl-wan")).unwrap();
        let looked = look_at_json(text, &schema, "config.json");
        let severities: Vec<Severity> = looked.problems.iter().map(|problem| problem.finding.severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Warning]);
        assert_eq!(looked.mended("").0, r#"{ "_class_name": "AutoencoderKLWan" }"#);
    }

    #[test]
    fn keys_that_belong_together_are_named_by_their_reason() {
        let text = r#"{ "_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": false }"#;
        let (said, mended) = looked_at("diffusers-unipc-multistep-scheduler", text);
        assert_eq!(
            said,
            [
                "A model that predicts the flow needs flow sigmas: `use_flow_sigmas` must be true; correct the keys that it names"
            ]
        );
        assert_eq!(mended, text);
    }

    #[test]
    fn of_many_problems_the_first_are_said() {
        let text = format!(r#"{{ "optimization": {{ "quantization_levels": [{}1] }} }}"#, "1,".repeat(2 * MOST));
        let (said, mended) = looked_at("wan22-ui", &text);
        assert_eq!(said.len(), MOST + 1);
        assert_eq!(said[MOST], "101 more values are not what they must be; correct the first, then look again");
        assert_eq!(mended, text);
        let keys: String = (0..=MOST).map(|number| format!(r#""z_dim{number}": 1, "#)).collect();
        let text = format!(r#"{{ {keys}"_class_name": "AutoencoderKLWan" }}"#);
        assert!(looked_at("diffusers-autoencoder-kl-wan", &text).0.len() <= MOST);
    }

    #[test]
    fn an_unknown_schema_is_named() {
        assert_eq!(
            FileSchema::of_entry(&Value::from("wan22-u")).unwrap_err(),
            "there is no schema `wan22-u`; did you mean `wan22-ui`?"
        );
    }
}
