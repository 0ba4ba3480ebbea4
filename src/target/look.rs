//! What is wrong with a stack's file as it is, whatever a plan would make of it.

use serde_json::Value;

use super::config::{Config, path_of};
use super::{TargetFile, span_of};
use crate::diag::{Finding, did_you_mean};

impl TargetFile {
    /// Everything that the stack would stumble over: a file that is missing or cannot be read, a value that its schema does
    /// not allow, two keys for one thing that contradict each other.
    ///
    /// `text` is `None` when the file does not exist, which only of a file that is `required` is wrong.
    pub fn look(&self, text: Option<&str>, required: bool, shown: &str) -> Vec<Finding> {
        let Some(text) = text else {
            let missing = Finding::error("config-missing", format!("`{shown}` is not there, and the stack needs it"));
            let missing = missing.help("`wan22-policy apply` writes it from the default that comes with the target");
            return required.then_some(missing).into_iter().collect();
        };
        let corrupt = |message: String, place| {
            let help = "`wan22-policy apply` replaces it by the default that comes with the target, which `rollback` takes back";
            vec![Finding::error("config-corrupt", message).at(span_of(shown, text, place), "").help(help)]
        };
        let config = match Config::read(self.format, text, &self.lists) {
            Ok(config) if config.value().is_object() => config,
            Ok(_) => return corrupt(format!("`{shown}` holds no sections, so the stack cannot use it"), (1, 1)),
            Err(error) => {
                let message = format!("`{shown}` is not {}: {}", self.format.name(), error.message);
                return corrupt(message, (error.line, error.column));
            }
        };
        let mut findings = self.values(shown, &config);
        let known = findings.len();
        self.disagreements(shown, &config, &mut findings);
        for finding in &mut findings[known..] {
            finding.help = Some("`wan22-policy apply` gives both the planned value".to_owned());
        }
        findings
    }

    fn values(&self, shown: &str, config: &Config) -> Vec<Finding> {
        let Some(validator) = self.validator() else { return Vec::new() };
        let value = config.checked(|value| validator.iter_errors(value).map(|error| path_of(&error)).collect());
        let text = config.text();
        let finding = |error: jsonschema::ValidationError<'_>| {
            let path = path_of(&error);
            let rule = error.schema_path().to_string();
            let rule = rule.rsplit_once('/').map_or("", |(above, _)| above);
            let rule = self.schema.pointer(rule).unwrap_or(&Value::Null);
            let pointer = error.instance_path().to_string();
            let held = value.pointer(&pointer).unwrap_or(&Value::Null);
            let message = match allowed(rule) {
                Some(allowed) => format!("`{}` is {held}, and may be {allowed}", path.join(".")),
                None => format!("`{}`: {error}", path.join(".")),
            };
            // An entry of a list stands where the list does.
            let place = (0..=path.len()).rev().find_map(|length| config.position(&path[..length]));
            let place = place.unwrap_or((1, 1));
            let better = nearest(held, rule).or_else(|| self.restore.value().pointer(&pointer).cloned());
            let finding = Finding::error("config-invalid", message).at(span_of(shown, &text, place), "");
            match better {
                Some(better) => finding.help(format!("write {better}")),
                None => finding,
            }
        };
        validator.iter_errors(&value).map(finding).collect()
    }
}

// What a rule of a schema allows, for people; `None` where it says something else.
fn allowed(rule: &Value) -> Option<String> {
    if let Some(values) = rule["enum"].as_array() {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return Some(values.join(", "));
    }
    let kind = match rule["type"].as_str() {
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => return Some("true or false".to_owned()),
        Some("string") => return Some("a text".to_owned()),
        Some("array") => return Some("a list".to_owned()),
        Some("object") => return Some("a section".to_owned()),
        _ => return None,
    };
    let bound = |name: &str| rule.get(name).map(Value::to_string);
    Some(match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!("{kind} from {low} to {high}"),
        (Some(low), None) => format!("{kind} from {low}"),
        (None, Some(high)) => format!("{kind} up to {high}"),
        (None, None) => kind.to_owned(),
    })
}

// The value that a rule allows and that is meant most likely; `None` where nobody can guess.
fn nearest(held: &Value, rule: &Value) -> Option<Value> {
    if let (Some(values), Some(text)) = (rule["enum"].as_array(), held.as_str()) {
        let texts = || values.iter().filter_map(Value::as_str);
        return texts()
            .find(|value| value.eq_ignore_ascii_case(text) || did_you_mean(text, [*value]).is_some())
            .map(Value::from);
    }
    let wanted = rule["type"].as_str()?;
    let number = match held {
        Value::Number(_) => held.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let low = rule["minimum"].as_f64().unwrap_or(f64::NEG_INFINITY);
    let high = rule["maximum"].as_f64().unwrap_or(f64::INFINITY);
    let near = number.max(low).min(high);
    match wanted {
        "integer" => Some(Value::from(near.round() as i64)),
        "number" => Some(if near.fract() == 0.0 { Value::from(near as i64) } else { Value::from(near) }),
        _ => None,
    }
}
