//! The question that is asked: which model, at which size and length.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Facts, Origin};

/// The model that is meant when none is named.
pub const DEFAULT_MODEL: &str = "ti2v-5b";

/// A workload as it is written on the command line: `ti2v-5b` or `ti2v-5b:1280x704x121`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Name of the model, a row of `data.models`.
    pub model: String,
    /// `[width, height, frames]` in px, px and frames; `None` takes the model's own default.
    pub size: Option<[i64; 3]>,
}

/// A workload that is not written `MODEL` or `MODEL:WIDTHxHEIGHTxFRAMES`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a workload: write MODEL or MODEL:WIDTHxHEIGHTxFRAMES, as in ti2v-5b:1280x704x121")]
pub struct WorkloadError(String);

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        let error = || WorkloadError(text.to_owned());
        let (model, size) = match text.split_once(':') {
            Some((model, size)) => (model, Some(size)),
            None => (text, None),
        };
        if model.is_empty() {
            return Err(error());
        }
        let size = size
            .map(|size| {
                let numbers = parse_size(size).ok_or_else(error)?;
                <[i64; 3]>::try_from(numbers).map_err(|_| error())
            })
            .transpose()?;
        Ok(Self { model: model.to_lowercase(), size })
    }
}

/// The numbers of `1280x704` or `1280*704x121`; `None` where one is no size of a video.
pub fn parse_size(text: &str) -> Option<Vec<i64>> {
    text.split(['x', 'X', '×', '*'])
        .map(|part| part.parse().ok().filter(|number| (1..=65_536).contains(number)))
        .collect()
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        match self.size {
            Some([width, height, frames]) => write!(f, ":{width}x{height}x{frames}"),
            None => Ok(()),
        }
    }
}

impl Workload {
    /// What the facts say of it; no size where one of its numbers is unknown.
    pub fn of(facts: &Facts) -> Self {
        let number = |name: &str| facts.value(&format!("workload.{name}")).and_then(Value::as_i64);
        let size = || Some([number("width")?, number("height")?, number("frames")?]);
        let model = facts.value("workload.model").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { model, size: size() }
    }

    /// Records the workload as facts.
    pub fn record(&self, facts: &mut Facts) {
        facts.know("workload.model", self.model.as_str(), Origin::User);
        if let Some([width, height, frames]) = self.size {
            facts.know("workload.width", width, Origin::User);
            facts.know("workload.height", height, Origin::User);
            facts.know("workload.frames", frames, Origin::User);
        }
    }
}

/// A model that the table of models does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown model `{model}`")]
pub struct UnknownModel {
    /// As it was asked for.
    pub model: String,
    /// The models there are.
    pub known: Vec<String>,
}

/// Records what was not asked for: the model whose transformer lies on the disk, else the default one, its own size, steps and passes (its row of `data.models`), one video at a
/// time, the goal `balanced`.
///
/// # Errors
/// The table has no row for the model.
pub fn complete(facts: &mut Facts, models: &Map<String, Value>) -> Result<(), UnknownModel> {
    if facts.value("workload.model").is_none()
        && let Some(model) = on_disk(facts, models)
    {
        facts.know("workload.model", model, Origin::Checkpoint);
    }
    let mut default = |name: &str, value: Value| {
        if facts.value(name).is_none() {
            facts.know(name, value, Origin::User);
        }
    };
    default("workload.model", DEFAULT_MODEL.into());
    default("workload.batch", 1.into());
    default("workload.goal", "balanced".into());
    let model = facts.value("workload.model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(row) = models.get(&model) else {
        return Err(UnknownModel { model, known: models.keys().cloned().collect() });
    };
    for column in ["width", "height", "frames", "steps", "passes"] {
        let name = format!("workload.{column}");
        match row.get(column).cloned() {
            Some(value) if facts.value(&name).is_none() => facts.know(name, value, Origin::Table),
            _ => {}
        }
    }
    Ok(())
}

// The only model of the table whose transformer lies on the disk; `None` where there is none, or several could be meant.
fn on_disk(facts: &Facts, models: &Map<String, Value>) -> Option<String> {
    let text = |index: usize, name: &str| facts.value(&format!("models[{index}].{name}")).and_then(Value::as_str);
    let transformers = (0..facts.count("models")?).filter(|index| text(*index, "component") == Some("dit"));
    let mut names = transformers.filter_map(|index| text(index, "name")).filter(|name| models.contains_key(*name));
    let first = names.next()?;
    names.all(|name| name == first).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn models() -> Map<String, Value> {
        let models = json!({ "ti2v-5b": { "width": 1280, "height": 704, "frames": 121, "steps": 50 }, "tiny": {} });
        models.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_not_asked_comes_from_the_row_of_the_model() {
        let mut facts = Facts::new("");
        facts.know("workload.frames", 49, Origin::User);
        complete(&mut facts, &models()).unwrap();
        assert_eq!(facts.value("workload.frames"), Some(&json!(49)));
        assert_eq!(facts.value("workload.steps"), Some(&json!(50)));
        assert_eq!(facts.value("workload.goal"), Some(&json!("balanced")));
        assert_eq!(facts.origin("workload.width"), Some(Origin::Table));
    }

    #[test]
    fn the_only_model_on_the_disk_is_meant() {
        let default = |names: &[&str], asked: Option<&str>| {
            let mut facts = Facts::new("");
            facts.know("models", names.len(), Origin::Checkpoint);
            for (index, name) in names.iter().enumerate() {
                facts.know(format!("models[{index}].component"), "dit", Origin::Checkpoint);
                facts.know(format!("models[{index}].name"), *name, Origin::Checkpoint);
            }
            asked.into_iter().for_each(|model| facts.know("workload.model", model, Origin::User));
            complete(&mut facts, &models()).unwrap();
            facts.value("workload.model").and_then(Value::as_str).unwrap().to_owned()
        };
        assert_eq!(default(&[], None), "ti2v-5b");
        assert_eq!(default(&["tiny", "tiny"], None), "tiny");
        assert_eq!(default(&["of-no-row", "tiny"], None), "tiny");
        assert_eq!(default(&["tiny"], Some("ti2v-5b")), "ti2v-5b");
        // Which of several is meant nobody can tell.
        assert_eq!(default(&["tiny", "ti2v-5b"], None), "ti2v-5b");
    }

    #[test]
    fn a_model_without_a_row_names_those_that_have_one() {
        let mut facts = Facts::new("");
        facts.know("workload.model", "ti2v", Origin::User);
        let error = complete(&mut facts, &models()).unwrap_err();
        assert_eq!(error.known, ["ti2v-5b", "tiny"]);
        facts.know("workload.model", "tiny", Origin::User);
        complete(&mut facts, &models()).unwrap();
        assert_eq!(facts.value("workload.width"), None);
    }

    #[test]
    fn a_workload_is_a_model_and_perhaps_a_size() {
        let full: Workload = "ti2v-5b:1280x704x49".parse().unwrap();
        assert_eq!(full.size, Some([1280, 704, 49]));
        assert_eq!(full.to_string(), "ti2v-5b:1280x704x49");
        assert_eq!("T2V-A14B".parse::<Workload>().unwrap().model, "t2v-a14b");
        for bad in ["", ":1x2x3", "a:1x2", "a:0x2x3", "a:1x2xthree", "a:1x2x3x4"] {
            assert!(bad.parse::<Workload>().is_err(), "{bad}");
        }
    }
}
