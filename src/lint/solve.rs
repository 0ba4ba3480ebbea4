//! Whether a condition can hold, over all machines: exact where it compares names with constants.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::expr::formula::{Assumed, Constant, Formula, Operator, Truths, Unknown};
use crate::facts::units::{Unit, show};
use crate::facts::vocabulary::{self, FactType};
use crate::facts::{Facts, Origin};
use crate::settings::{SETTINGS, SettingSpec, SettingType};

/// Most steps of one question; some tens of milliseconds.
const MAX_STEPS: usize = 200_000;

/// The answer to whether a condition can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// On no machine.
    Never,
    /// On this one.
    On(Witness),
    /// That cannot be decided: it rests on something that is no comparison with a constant, or has too many cases.
    Undecided,
}

/// A machine, as far as a condition asks about it: each name with its value, `None` where it is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness(BTreeMap<String, Option<Value>>);

/// Asks whether the formula can become true.
pub fn can_hold(formula: &Formula) -> Answer {
    can_be(formula, Truths::TRUE)
}

/// Asks whether the formula can become what is wanted.
pub fn can_be(formula: &Formula, wanted: Truths) -> Answer {
    let formula = &with_axioms(formula);
    let unknowns = formula.unknowns();
    let constants = Constants::of(formula);
    let cells: Vec<Vec<Assumed>> = unknowns.iter().map(|unknown| constants.cells(unknown)).collect();
    let names = unknowns.iter().take_while(|unknown| matches!(unknown, Unknown::Name(_))).count();
    // First what needs nothing opaque: that is a machine. Then whether something opaque could make it so.
    for asked in [names, unknowns.len()] {
        let (unknowns, cells) = (&unknowns[..asked], &cells[..asked]);
        let mut search = Search { formula, wanted, unknowns, cells, assumed: BTreeMap::new(), steps: 0 };
        match search.from(0) {
            Some(true) if asked == names => return Answer::On(Witness::of(&search.assumed)),
            Some(false) => {}
            Some(true) | None => return Answer::Undecided,
        }
    }
    Answer::Never
}

// What is true of every machine: one whose GPU is known has a GPU.
fn with_axioms(formula: &Formula) -> Formula {
    let names = formula.unknowns();
    let has = |wanted: &str| names.iter().any(|unknown| matches!(unknown, Unknown::Name(name) if name == wanted));
    if !has("gpus") {
        return formula.clone();
    }
    let mut parts = vec![formula.clone()];
    for unknown in &names {
        if let Unknown::Name(name) = unknown
            && name.starts_with("gpu.")
        {
            let some = Formula::Compare("gpus".to_owned(), Operator::AtLeast, Constant::Number(1.0)).holds();
            parts.push(Formula::Any(vec![Formula::Known(name.clone()).negated(), some]));
        }
    }
    Formula::All(parts)
}

struct Search<'a> {
    formula: &'a Formula,
    wanted: Truths,
    unknowns: &'a [Unknown],
    cells: &'a [Vec<Assumed>],
    assumed: BTreeMap<Unknown, Assumed>,
    steps: usize,
}

impl Search<'_> {
    // Whether the rest of the unknowns can be assumed so that the formula becomes what is wanted; `None`: too many steps.
    fn from(&mut self, next: usize) -> Option<bool> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return None;
        }
        let truths =
            self.formula.truths(&|unknown: &Unknown| self.assumed.get(unknown).cloned().unwrap_or(Assumed::Open));
        if !truths.may_be(self.wanted) {
            return Some(false);
        }
        if truths == self.wanted {
            return Some(true);
        }
        let (Some(unknown), Some(cells)) = (self.unknowns.get(next), self.cells.get(next)) else { return Some(false) };
        for cell in cells {
            self.assumed.insert(unknown.clone(), cell.clone());
            match self.from(next + 1) {
                Some(false) => {}
                decided => return decided,
            }
        }
        self.assumed.remove(unknown);
        Some(false)
    }
}

// The constants that each name is compared with.
struct Constants(BTreeMap<String, Vec<Constant>>);

impl Constants {
    fn of(formula: &Formula) -> Self {
        let mut constants: BTreeMap<String, Vec<Constant>> = BTreeMap::new();
        formula.visit(&mut |part| {
            if let Formula::Compare(name, _, constant) = part {
                constants.entry(name.clone()).or_default().push(constant.clone());
            }
        });
        Self(constants)
    }

    // The cells of a name, each by one value: known ones first, at the constants before between them.
    fn cells(&self, unknown: &Unknown) -> Vec<Assumed> {
        let values = match unknown {
            Unknown::Opaque(_) => vec![Constant::Bool(true), Constant::Bool(false)],
            Unknown::Name(name) => {
                let constants = self.0.get(name).map_or(&[][..], Vec::as_slice);
                Domain::of(name).values(constants)
            }
        };
        values.into_iter().map(Assumed::Value).chain([Assumed::Missing]).collect()
    }
}

// What a name may be.
enum Domain {
    Bool,
    Numbers { whole: bool, least: f64, most: f64, step: f64 },
    Texts,
    Listed(Vec<Constant>),
}

impl Domain {
    fn of(name: &str) -> Self {
        match name.strip_prefix("settings.") {
            Some(setting) => SETTINGS.find(setting).map_or(Self::Texts, Self::of_setting),
            None => Self::of_fact(name),
        }
    }

    fn of_setting(spec: &SettingSpec) -> Self {
        let allowed: Vec<Constant> = spec.allowed().iter().filter_map(constant).collect();
        if !allowed.is_empty() {
            return Self::Listed(allowed);
        }
        let (least, most) = spec.bounds();
        match spec.ty {
            SettingType::Boolean => Self::Bool,
            SettingType::String => Self::Texts,
            SettingType::Integer => Self::Numbers { whole: true, least, most, step: spec.step() },
            SettingType::Number => Self::Numbers { whole: false, least, most, step: 1.0 },
            SettingType::Array => Self::Numbers { whole: true, least: 0.0, most: f64::INFINITY, step: 1.0 },
        }
    }

    fn of_fact(name: &str) -> Self {
        let spec = vocabulary::find(name);
        // Temperatures may be below zero; nothing else is.
        let least = match spec.and_then(|spec| spec.unit) {
            Some(Unit::Celsius) => f64::NEG_INFINITY,
            _ => 0.0,
        };
        match spec.map(|spec| spec.ty) {
            Some(FactType::Bool) => Self::Bool,
            Some(FactType::Text | FactType::Texts) | None => Self::Texts,
            Some(FactType::Float) => Self::Numbers { whole: false, least, most: f64::INFINITY, step: 1.0 },
            Some(FactType::Int | FactType::Ints | FactType::Records) => {
                Self::Numbers { whole: true, least, most: f64::INFINITY, step: 1.0 }
            }
        }
    }

    // A value of each cell that the constants make.
    fn values(&self, constants: &[Constant]) -> Vec<Constant> {
        match self {
            Self::Bool => vec![Constant::Bool(true), Constant::Bool(false)],
            Self::Listed(values) => values.clone(),
            Self::Texts => {
                let mut texts: Vec<Constant> = Vec::new();
                for constant in constants.iter().chain([&Constant::Text("other".to_owned())]) {
                    if matches!(constant, Constant::Text(_)) && !texts.contains(constant) {
                        texts.push(constant.clone());
                    }
                }
                texts
            }
            Self::Numbers { whole, least, most, step } => {
                let mut bounds: Vec<f64> = constants
                    .iter()
                    .filter_map(|constant| if let Constant::Number(number) = constant { Some(*number) } else { None })
                    .collect();
                bounds.sort_by(f64::total_cmp);
                bounds.dedup();
                let mut values = bounds.clone();
                values.extend(bounds.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0));
                match (bounds.first(), bounds.last()) {
                    (Some(first), Some(last)) => {
                        let below = if *whole || *first <= 0.0 { first - 1.0 } else { first / 2.0 };
                        values.extend([below.max(*least), (last + 1.0).min(*most)]);
                    }
                    _ => values.push(1.0_f64.clamp(*least, *most)),
                }
                if *whole {
                    // The legal numbers on both sides.
                    let legal = |value: &f64| [(value / step).floor() * step, (value / step).ceil() * step];
                    values = values.iter().flat_map(legal).collect();
                }
                let mut legal: Vec<f64> = Vec::new();
                for value in values {
                    if value >= *least && value <= *most && !legal.contains(&value) {
                        legal.push(value);
                    }
                }
                legal.into_iter().map(Constant::Number).collect()
            }
        }
    }
}

fn constant(value: &Value) -> Option<Constant> {
    match value {
        Value::Bool(value) => Some(Constant::Bool(*value)),
        Value::Number(number) => number.as_f64().map(Constant::Number),
        Value::String(text) => Some(Constant::Text(text.clone())),
        _ => None,
    }
}

impl Witness {
    fn of(assumed: &BTreeMap<Unknown, Assumed>) -> Self {
        let named = assumed.iter().filter_map(|(unknown, assumed)| match (unknown, assumed) {
            (Unknown::Name(name), Assumed::Value(constant)) => Some((name.clone(), Some(constant.to_json()))),
            (Unknown::Name(name), Assumed::Missing) => Some((name.clone(), None)),
            _ => None,
        });
        Self(named.collect())
    }

    /// The facts of that machine; whatever is not asked about is unknown.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::new("the condition does not ask about it");
        for (name, value) in &self.0 {
            match value {
                Some(value) if !name.starts_with("settings.") => assume(&mut facts, name, value),
                _ => {}
            }
        }
        facts
    }

    /// The settings that must be asked for on that machine, by index.
    pub fn pins(&self) -> BTreeMap<usize, Value> {
        let pins = self
            .0
            .iter()
            .filter_map(|(name, value)| Some((SETTINGS.index(name.strip_prefix("settings.")?)?, value.clone()?)));
        pins.collect()
    }
}

/// Makes a fact what a condition takes it to be: of `gpu.` that of the GPU that is used, which there then is; of a list its
/// length.
pub fn assume(facts: &mut Facts, name: &str, value: &Value) {
    let name = match name.strip_prefix("gpu.").filter(|rest| *rest != "index") {
        Some(rest) => {
            if facts.count("gpus").unwrap_or(0) == 0 {
                facts.know("gpus", 1, Origin::User);
            }
            format!("gpus[{}].{rest}", facts.gpu_index().unwrap_or(0))
        }
        None => name.to_owned(),
    };
    let is_list = vocabulary::find(&name).is_some_and(|spec| spec.ty == FactType::Ints);
    match value.as_i64().filter(|_| is_list) {
        Some(length) => facts.know(name, (0..length.clamp(0, 4096)).collect::<Vec<_>>(), Origin::User),
        None => facts.know(name, value.clone(), Origin::User),
    }
}

impl fmt::Display for Witness {
    /// `gpu.vram.total = 24 GiB and workload.goal unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("any machine");
        }
        let unit = |name: &str| match name.strip_prefix("settings.") {
            Some(setting) => SETTINGS.find(setting).and_then(|spec| spec.unit),
            None => vocabulary::find(name).and_then(|spec| spec.unit),
        };
        let is_list = |name: &str| {
            vocabulary::find(name)
                .is_some_and(|spec| matches!(spec.ty, FactType::Ints | FactType::Texts | FactType::Records))
        };
        let parts = self.0.iter().map(|(name, value)| match value {
            None => format!("{name} unknown"),
            Some(value) if is_list(name) => format!("{name}.len() = {value}"),
            Some(value) => format!("{name} = {}", show(value, unit(name))),
        });
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}
