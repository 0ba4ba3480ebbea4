//! What else on the disk would do in place of a checkpoint set that cannot be loaded, best first.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::set::{self, CheckpointSet};
use crate::engine::Question;
use crate::facts::probe::checkpoints;
use crate::facts::probe::checkpoints::sets::Model;
use crate::facts::workload::{self, Workload};
use crate::facts::{Facts, Origin};
use crate::fit::{self, Fits};
use crate::policy::PolicySet;
use crate::settings::SETTINGS;

/// How long the search of one folder may take; who waits for it has been refused something.
const PATIENCE: Duration = Duration::from_secs(6);

/// Most that are told.
const MAX: usize = 8;

/// The small size that is asked about beside a model's own, px: the one that every Wan model of 480p makes.
const SMALL: [i64; 2] = [832, 480];

/// The setting whose values say how a transformer is quantized.
const SCHEME: &str = "dit.quant_scheme";

/// A model, a quantization of it, or a part that several models share, that is whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The model, or the part that several share: `t2v-a14b`, `umt5-xxl`.
    pub name: String,
    /// `dit` for a model, else which part it is.
    pub component: &'static str,
    /// Data type of most weights; `None` where the header does not say.
    pub dtype: Option<&'static str>,
    /// Bytes of its weights.
    pub bytes: u64,
    /// What `load --model` takes: a folder, or each transformer of it.
    pub paths: Vec<PathBuf>,
    /// Whether it fits this machine; `None` where nobody knows, and of a part that several models share.
    pub fit: Option<FitAt>,
}

/// Whether a model fits, and where that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitAt {
    /// Whether it does; never that it does not.
    pub fits: Fits,
    /// Of which stack.
    pub stack: String,
    /// Width and height in px, and frames.
    pub size: [i64; 3],
    /// Whether that is the size that the model is usually run at.
    pub is_own_size: bool,
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instead {
    /// Best first.
    pub alternatives: Vec<Alternative>,
    /// How many whole models are left out, because they do not fit.
    pub too_large: usize,
    /// Why nobody knows what fits; `None` where it is known.
    pub unknown: Option<String>,
}

/// A transformer on the disk, or the two of a model with two experts.
struct Choice<'a> {
    name: &'static str,
    parts: Vec<&'a Found>,
}

struct Found {
    model: Model,
    /// What `load --model` takes for it alone.
    path: PathBuf,
    /// Where it was searched.
    folder: PathBuf,
}

/// Looks below folders for what would do in place of a set, on the machine of these facts.
pub fn instead(
    asked: Option<&CheckpointSet>,
    folders: &[&Path],
    machine: impl FnOnce() -> Option<Facts>,
    policies: &PolicySet,
    question: &Question,
) -> Instead {
    let found = search(folders);
    let lost = asked.into_iter().flat_map(CheckpointSet::damaged_files);
    let lost: BTreeSet<PathBuf> = lost.filter_map(|file| dunce::canonicalize(file).ok()).collect();
    let is_whole = |found: &&Found| {
        found.model.is_complete == Some(true) && found.model.shards.iter().all(|shard| !lost.contains(shard))
    };
    let whole: Vec<&Found> = found.iter().filter(is_whole).collect();
    let parts = asked.map(|set| &set.parts[..]).unwrap_or_default();
    let damaged = |component: &str| {
        let models = parts.iter().filter_map(|part| part.model.as_ref());
        let of_component = models.filter(|model| model.part.component == component);
        of_component.filter(|model| model.is_complete == Some(false)).collect::<Vec<_>>()
    };
    let mut answer = Instead::default();
    let mut is_a_shared_part = false;
    for component in ["text_encoder", "image_encoder", "vae"] {
        for lacking in damaged(component) {
            is_a_shared_part = true;
            let is_same =
                |found: &&&Found| found.model.part.component == component && found.model.part.name == lacking.part.name;
            answer.alternatives.extend(whole.iter().filter(is_same).filter_map(|found| shared(found)));
        }
    }
    answer.alternatives.sort_by_key(|part| (part.component, Reverse(part.bytes), part.paths.clone()));
    answer.alternatives.dedup();
    if is_a_shared_part && damaged("dit").is_empty() {
        answer.alternatives.truncate(MAX);
        return answer;
    }
    let none = Map::new();
    let models = policies.table("models").and_then(Value::as_object).unwrap_or(&none);
    let wanted: BTreeSet<&str> = parts
        .iter()
        .filter_map(|part| part.model.as_ref().filter(|model| model.part.component == "dit")?.part.name.as_ref().ok())
        .copied()
        .collect();
    let choices = choices(&whole, models);
    if choices.is_empty() {
        return answer;
    }
    let machine = machine();
    let mut transformers = Vec::new();
    for choice in &choices {
        let fit = match &machine {
            Some(machine) => asked_fit(choice, &whole, machine, policies, models, question),
            None => Err("the machine could not be asked".to_owned()),
        };
        let fit = match fit {
            Ok(None) => {
                answer.too_large += 1;
                continue;
            }
            Ok(fit) => fit,
            Err(why) => {
                answer.unknown = Some(why);
                None
            }
        };
        let dtype = choice.parts[0].model.dtypes.as_ref().ok().and_then(|all| all.first().copied());
        transformers.push(Alternative {
            name: choice.name.to_owned(),
            component: "dit",
            dtype,
            bytes: choice.parts.iter().filter_map(|part| part.model.bytes.as_ref().ok()).sum(),
            paths: paths(choice, &found),
            fit,
        });
    }
    transformers.sort_by(|a, b| order(a, b, &wanted, models));
    answer.alternatives.extend(transformers);
    answer.alternatives.truncate(MAX);
    answer
}

// What lies below the folders; each file once.
fn search(folders: &[&Path]) -> Vec<Found> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for folder in folders {
        let Ok(folder) = dunce::canonicalize(folder) else { continue };
        for model in set::models(&folder, Instant::now() + PATIENCE).unwrap_or_default() {
            if !seen.insert(model.shards.clone()) {
                continue;
            }
            // The name of a link says more than that of the file it leads to; shards without an index have no common file.
            let named = folder.join(&model.file);
            let path = if named.exists() { Some(named) } else { model.shards.first().cloned() };
            all.extend(path.map(|path| Found { model, path, folder: folder.clone() }));
        }
    }
    all
}

fn shared(found: &Found) -> Option<Alternative> {
    Some(Alternative {
        name: (*found.model.part.name.as_ref().ok()?).to_owned(),
        component: found.model.part.component,
        dtype: found.model.dtypes.as_ref().ok().and_then(|all| all.first().copied()),
        bytes: *found.model.bytes.as_ref().ok()?,
        paths: vec![found.path.clone()],
        fit: None,
    })
}

fn choices<'a>(whole: &[&'a Found], models: &Map<String, Value>) -> Vec<Choice<'a>> {
    let mut choices = Vec::new();
    for &found in whole.iter().filter(|found| found.model.part.component == "dit") {
        let Ok(name) = found.model.part.name else { continue };
        match (experts(models, name), found.model.part.expert) {
            (1, _) => choices.push(Choice { name, parts: vec![found] }),
            (2, Ok("high_noise")) => {
                let is_other = |other: &&&Found| {
                    other.model.part.name.as_ref().ok() == Some(&name)
                        && other.model.part.expert == Ok("low_noise")
                        && other.model.dtypes.as_ref().ok().and_then(|all| all.first())
                            == found.model.dtypes.as_ref().ok().and_then(|all| all.first())
                };
                // Of several the nearest.
                let nearest = whole.iter().filter(is_other).max_by_key(|other| common(&other.path, &found.path));
                choices.extend(nearest.map(|&other| Choice { name, parts: vec![found, other] }));
            }
            _ => {}
        }
    }
    choices
}

fn experts(models: &Map<String, Value>, name: &str) -> u64 {
    models.get(name).and_then(|row| row.get("experts")).and_then(Value::as_u64).unwrap_or(0)
}

fn common(one: &Path, other: &Path) -> usize {
    one.components().zip(other.components()).take_while(|(a, b)| a == b).count()
}

// The largest folder below the one that was searched in which there is no other transformer and nothing damaged; else the
// files themselves.
fn paths(choice: &Choice<'_>, found: &[Found]) -> Vec<PathBuf> {
    let first = choice.parts[0];
    let is_of_choice = |other: &Found| choice.parts.iter().any(|part| part.path == other.path);
    let is_its_own = |folder: &Path| {
        choice.parts.iter().all(|part| part.path.starts_with(folder))
            && found.iter().filter(|other| other.path.starts_with(folder)).all(|other| {
                other.model.is_complete == Some(true) && (other.model.part.component != "dit" || is_of_choice(other))
            })
    };
    let folders = first.path.ancestors().skip(1).take_while(|folder| *folder != first.folder);
    match folders.filter(|folder| is_its_own(folder)).last() {
        Some(folder) => vec![folder.to_owned()],
        None => choice.parts.iter().map(|part| part.path.clone()).collect(),
    }
}

// Where it fits; `None` where it does not.
fn asked_fit(
    choice: &Choice<'_>,
    whole: &[&Found],
    machine: &Facts,
    policies: &PolicySet,
    models: &Map<String, Value>,
    question: &Question,
) -> Result<Option<FitAt>, String> {
    let mut facts = machine.clone();
    facts.forget("models");
    facts.forget("workload");
    // As if there were nothing else on the disk. Of the other parts the best.
    let mut parts: BTreeMap<&str, &Found> = BTreeMap::new();
    for found in whole.iter().filter(|found| found.model.part.component != "dit") {
        let Ok(name) = &found.model.part.name else { continue };
        let best = parts.entry(name).or_insert(found);
        if best.model.bytes.as_ref().ok() < found.model.bytes.as_ref().ok() {
            *best = found;
        }
    }
    let all: Vec<&Found> = choice.parts.iter().copied().chain(parts.into_values()).collect();
    facts.know("models", all.len(), Origin::Checkpoint);
    for (place, found) in all.into_iter().enumerate() {
        checkpoints::record(&mut facts, place, found.model.clone());
    }
    Workload { model: choice.name.to_owned(), size: None }.record(&mut facts);
    let mut pins = question.pins.clone();
    let scheme = scheme(choice.parts[0].model.dtypes.as_ref().ok().and_then(|all| all.first().copied()));
    // Of a GGUF file nobody but the question says which it is.
    if let (true, Some(index)) = (scheme.starts_with('Q'), SETTINGS.index(SCHEME)) {
        pins.insert(index, scheme.into());
    }
    let question = Question { pins, as_of: question.as_of };
    let mut why = None;
    for size in [None, Some(SMALL)] {
        let mut facts = facts.clone();
        if let Some([width, height]) = size {
            facts.know("workload.width", width, Origin::User);
            facts.know("workload.height", height, Origin::User);
        }
        workload::complete(&mut facts, models).map_err(|error| error.to_string())?;
        let answers = policies.stacks.iter().map(|stack| fit::ask(policies, stack, &facts, &question));
        let mut best: Option<FitAt> = None;
        for answer in answers {
            match answer {
                Err(unknown) => why = Some(unknown),
                Ok(answer) if answer.fits() == Fits::No => {}
                Ok(answer) if best.as_ref().is_none_or(|best| answer.fits() < best.fits) => {
                    let size = answer.workload.size.unwrap_or_default();
                    best = Some(FitAt { fits: answer.fits(), stack: answer.stack, size, is_own_size: false });
                }
                Ok(_) => {}
            }
        }
        if let Some(best) = best {
            return Ok(Some(FitAt { is_own_size: size.is_none(), ..best }));
        }
    }
    why.map_or(Ok(None), Err)
}

// The value of the setting that means this data type of most weights.
fn scheme(dtype: Option<&str>) -> &'static str {
    match dtype.unwrap_or_default() {
        dtype if dtype.starts_with("fp8") => "fp8",
        "int8" | "uint8" => "int8",
        dtype if dtype.starts_with("q8") => "Q8_0",
        dtype if dtype.starts_with("q6") => "Q6_K",
        dtype if dtype.starts_with("q5") => "Q5_K_M",
        dtype if dtype.starts_with("q4") || dtype.starts_with("iq4") => "Q4_K_M",
        dtype if dtype.starts_with("q3") || dtype.starts_with("iq3") => "Q3_K_M",
        dtype if dtype.starts_with('q') || dtype.starts_with("iq") => "Q2_K",
        _ => "none",
    }
}

// What makes the same kind of video comes before what does not, what fits before what fits only just or only small, the model
// itself before others, the larger of others before the smaller, and of one model what is quantized least.
fn order(a: &Alternative, b: &Alternative, wanted: &BTreeSet<&str>, models: &Map<String, Value>) -> Ordering {
    let is_unlike = |name: &str| !wanted.is_empty() && !wanted.iter().any(|wanted| is_alike(name, wanted));
    let fits = |one: &Alternative| one.fit.as_ref().map_or((Fits::Yes, false), |fit| (fit.fits, !fit.is_own_size));
    let size = |one: &Alternative| {
        let row = models.get(&one.name).and_then(|row| row.get("dit_parameters")).and_then(Value::as_u64);
        Reverse(row.unwrap_or(0).saturating_mul(experts(models, &one.name)))
    };
    let key = |one: &Alternative| {
        let is_another = !wanted.contains(&*one.name);
        (is_unlike(&one.name), fits(one), is_another, size(one), one.name.clone())
    };
    let quality = || {
        let spec = SETTINGS.find(SCHEME);
        let (one, other): (Value, Value) = (scheme(a.dtype).into(), scheme(b.dtype).into());
        let is_better = |one, other| spec.is_some_and(|spec| spec.is_better(one, other));
        is_better(&other, &one).cmp(&is_better(&one, &other))
    };
    key(a).cmp(&key(b)).then_with(quality).then(b.bytes.cmp(&a.bytes)).then_with(|| a.paths.cmp(&b.paths))
}

// Whether two models make videos from the same: `t2v-…` from a text, `i2v-…` from an image, `ti2v-…` from either.
fn is_alike(one: &str, other: &str) -> bool {
    let task = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    let (one, other) = (task(one), task(other));
    let takes = |either: &str, single: &str| either == "ti2v" && ["t2v", "i2v"].contains(&single);
    one == other || takes(&one, &other) || takes(&other, &one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_alike_that_start_from_the_same() {
        assert!(is_alike("t2v-a14b", "t2v-1.3b") && is_alike("ti2v-5b", "i2v-14b") && is_alike("t2v-14b", "ti2v-5b"));
        assert!(!is_alike("t2v-a14b", "i2v-a14b") && !is_alike("s2v-14b", "ti2v-5b"));
    }

    #[test]
    fn every_scheme_is_a_value_of_the_setting() {
        let allowed = SETTINGS.find(SCHEME).unwrap().allowed();
        for dtype in ["bf16", "fp8_e4m3fn", "int8", "q8_0", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k", "iq4_xs", "fp32"] {
            assert!(allowed.contains(&scheme(Some(dtype)).into()), "{dtype}");
        }
    }
}
