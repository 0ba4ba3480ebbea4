//! The question, from the machine to the plan: what `plan`, `explain`, `apply` and `verify` have in common.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Map, Value};

use super::both::both;
use super::error::CliError;
use super::inputs::Inputs;
use super::machine::{MachineOptions, complete};
use super::options::{InstallationOptions, PolicyOptions, QuestionOptions, known_codes};
use crate::diag::{self, Finding};
use crate::engine::{Question, evaluate};
use crate::facts::workload::{self, Workload};
use crate::facts::{Facts, Origin};
use crate::plan::Plan;
use crate::policy::PolicySet;
use crate::settings::{self, SETTINGS};

/// The answer, and all that it was derived from.
#[derive(Debug)]
pub struct Answer {
    /// The policies.
    pub set: PolicySet,
    /// The machine and the workload.
    pub facts: Facts,
    /// What the policies say for them.
    pub plan: Plan,
    /// Everything there is to say: of the policies, the facts and the plan, as it is allowed.
    pub findings: Vec<Finding>,
    /// The question.
    pub inputs: Inputs,
}

/// What is asked: of which machine, by which policies.
#[derive(Clone, Debug, Args)]
pub struct Ask {
    #[command(flatten)]
    pub question: QuestionOptions,

    #[command(flatten)]
    pub machine: MachineOptions,

    #[command(flatten)]
    pub policies: PolicyOptions,
}

impl Ask {
    /// Gathers the machine and answers.
    pub fn answer(&self, root: &InstallationOptions) -> Result<Answer, CliError> {
        self.answer_by(root, PolicyOptions::compile)
    }

    /// The same by policies that are compiled in another way.
    pub fn answer_by(
        &self,
        root: &InstallationOptions,
        compile: fn(&PolicyOptions) -> Result<PolicySet, CliError>,
    ) -> Result<Answer, CliError> {
        let Self { question, machine, policies } = self;
        let inputs = Inputs::new(machine, root, policies, question)?;
        // The machine is asked, and the schema compiles, while the policies are read.
        let gather = || machine.gather_with_cards(root, policies);
        let (gathered, (set, ())) = both(gather, || both(|| compile(policies), settings::prepare));
        let ((facts, cards), set) = (gathered?, set?);
        known_codes(&question.allow, &set)?;
        answer(Inputs { facts: machine.to_record(&facts), ..inputs }, facts, set, &cards)
    }
}

impl Answer {
    /// The question that was asked, to ask it again.
    pub fn question(&self) -> Question {
        let pins = self.inputs.pins.iter().filter_map(|(name, value)| Some((SETTINGS.index(name)?, value.clone())));
        Question { pins: pins.collect(), as_of: self.inputs.as_of }
    }
}

/// Answers a question about a machine whose facts have been gathered, with the table of cards.
pub fn answer(mut inputs: Inputs, mut facts: Facts, set: PolicySet, cards: &Value) -> Result<Answer, CliError> {
    if let Some(asked) = &inputs.workload {
        facts.forget("workload");
        asked.parse::<Workload>().map_err(|error| CliError::usage(error.to_string()))?.record(&mut facts);
    }
    if let Some(goal) = inputs.goal {
        facts.know("workload.goal", goal.as_str(), Origin::User);
    }
    complete(&mut facts, inputs.gpu_index, &inputs.overrides, cards)?;
    let none = Map::new();
    let models = set.table("models").and_then(Value::as_object).unwrap_or(&none);
    workload::complete(&mut facts, models).map_err(|error| {
        let known = error.known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        CliError::usage(error.to_string()).help(format!("the models are {known}"))
    })?;
    let mut pins = BTreeMap::new();
    for (name, value) in &inputs.pins {
        // A pin on record may name a setting that a later version no longer has.
        let index = SETTINGS.index(name).ok_or_else(|| CliError::usage(format!("unknown setting `{name}`")))?;
        pins.insert(index, value.clone());
    }
    let plan = evaluate(&set, &facts, &Question { pins, as_of: inputs.as_of });
    let mut findings = [set.findings.as_slice(), &facts.findings, &plan.findings].concat();
    diag::allow(&mut findings, &inputs.allow);
    // The whole workload, so that the same is asked again when the table's defaults have changed.
    inputs.workload = Some(Workload::of(&facts).to_string());
    Ok(Answer { set, facts, plan, findings, inputs })
}
