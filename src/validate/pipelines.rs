//! The pipelines of an installation in the layout of diffusers: what each `model_index.json` names, and whether it is there.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::configs::read;
use super::tree::{Entry, Tree};
use crate::facts::{Facts, Origin};

const INDEX: &str = "model_index.json";

/// Numbers that parts of a pipeline must agree on: the fact, the part whose config holds it, and its key there. What the
/// class takes where its config is silent is not told.
const NUMBERS: [(&str, &str, &str); 7] = [
    ("latent_channels", "vae", "z_dim"),
    ("in_channels", "transformer", "in_channels"),
    ("out_channels", "transformer", "out_channels"),
    ("text_width", "text_encoder", "d_model"),
    ("transformer_text_width", "transformer", "text_dim"),
    ("transformer_image_width", "transformer", "image_dim"),
    ("image_width", "image_encoder", "hidden_size"),
];

/// `installation.pipelines[]`: one for each index that can be read.
pub fn facts(tree: &Tree) -> Facts {
    let mut facts = Facts::new("no index names it");
    let mut count = 0;
    for Entry { name, path } in tree.all_files() {
        let Some(folder) = name.strip_suffix(INDEX).filter(|folder| folder.is_empty() || folder.ends_with('/')) else {
            continue;
        };
        let Some(index) = object(path).filter(is_of_wan) else { continue };
        record(&mut facts, count, &Pipeline { tree, folder, place: path.with_file_name(""), index });
        count += 1;
    }
    facts.know("installation.pipelines", count, Origin::Installation);
    facts
}

struct Pipeline<'a> {
    tree: &'a Tree,
    // With its last `/`; empty at the root.
    folder: &'a str,
    // The same on this machine.
    place: PathBuf,
    index: Map<String, Value>,
}

impl Pipeline<'_> {
    // The parts that the index names, each with its class.
    fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.index.iter().filter_map(|(name, value)| match value.as_array()?.as_slice() {
            [Value::String(_), Value::String(class)] => Some((name.as_str(), class.as_str())),
            _ => None,
        })
    }

    fn is_there(&self, part: &str) -> bool {
        self.tree.has(&format!("{}{part}/", self.folder))
    }

    // What configures a part; `None` where it has no such file, as a tokenizer.
    fn config(&self, part: &str) -> Option<Map<String, Value>> {
        let names = ["config.json", "scheduler_config.json"];
        names.iter().find_map(|name| object(&self.place.join(part).join(name)))
    }

    // Whether a part is there without the config that one of its class is built from.
    fn is_unconfigured(&self, part: &str, class: &str) -> bool {
        let has_another = ["Tokenizer", "Processor", "FeatureExtractor"].iter().any(|kind| class.contains(kind));
        self.is_there(part) && !has_another && self.config(part).is_none()
    }

    // Whether the config of a part says that it is of another class.
    fn is_another(&self, part: &str, class: &str) -> bool {
        let Some(config) = self.config(part) else { return false };
        match (&config.get("_class_name"), &config.get("architectures")) {
            (Some(Value::String(own)), _) => own != class,
            (_, Some(Value::Array(own))) => !own.is_empty() && own.iter().all(|own| own != class),
            _ => false,
        }
    }
}

fn record(facts: &mut Facts, place: usize, pipeline: &Pipeline<'_>) {
    let mut know = |name: &str, value: Value| {
        facts.know(format!("installation.pipelines[{place}].{name}"), value, Origin::Installation);
    };
    let folder = pipeline.folder.trim_end_matches('/');
    know("folder", if folder.is_empty() { "." } else { folder }.into());
    let class = pipeline.index.get("_class_name").and_then(Value::as_str);
    know("class", class.map_or(Value::Null, Value::from));
    let named = |is_meant: &dyn Fn(&str, &str) -> bool| -> Value {
        pipeline.parts().filter(|(part, class)| is_meant(part, class)).map(|(part, _)| Value::from(part)).collect()
    };
    know("parts", named(&|_, _| true));
    know("missing", named(&|part, _| !pipeline.is_there(part)));
    know("unconfigured", named(&|part, class| pipeline.is_unconfigured(part, class)));
    know("mistaken", named(&|part, class| pipeline.is_another(part, class)));
    let expands = pipeline.index.get("expand_timesteps").and_then(Value::as_bool).unwrap_or(false);
    know("expands_timesteps", expands.into());
    for (fact, part, key) in NUMBERS {
        let number = pipeline.config(part).and_then(|config| config.get(key)?.as_i64());
        know(fact, number.map_or(Value::Null, Value::from));
    }
}

// Other models are none of this program's business.
fn is_of_wan(index: &Map<String, Value>) -> bool {
    index.get("_class_name").and_then(Value::as_str).is_some_and(|class| class.starts_with("Wan"))
}

fn object(path: &Path) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&read(path).ok()?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}
