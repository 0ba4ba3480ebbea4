//! A plan for people: every setting with its value and its policy.

use crate::facts::Facts;
use crate::facts::units::show;
use crate::plan::{Plan, Setting};
use crate::report::paint::Paint;
use crate::report::table::Table;

/// The question that was asked, and a table of the settings by family.
pub fn render(plan: &Plan, facts: &Facts, paint: Paint) -> String {
    let mut table = Table::default();
    let mut family = "";
    for (name, setting) in &plan.settings {
        let of = name.split('.').next().unwrap_or(name);
        if of != family {
            table.gap();
            family = of;
        }
        let (policy, at) = origin(setting);
        table.row([name.clone(), show(&setting.value, setting.unit), policy, at]);
    }
    format!("{}\n\n{}\n", paint.bold(&heading(facts)), table.render(paint, 2))
}

/// `ti2v-5b at 1280x704, 121 frames, 50 steps, goal balanced, on NVIDIA GeForce RTX 4080 (15.99 GiB)`.
pub fn heading(facts: &Facts) -> String {
    let fact = |name: &str| facts.value(name).map(|value| show(value, None));
    let or_unknown = |name: &str| fact(name).unwrap_or_else(|| "?".to_owned());
    let gpu = match (fact("gpu.name"), facts.value("gpu.vram.total"), facts.count("gpus")) {
        (Some(name), Some(total), _) => format!("{name} ({})", show(total, Some(crate::facts::units::Unit::Bytes))),
        (Some(name), None, _) => name,
        (None, _, Some(0)) => "a machine without an NVIDIA GPU".to_owned(),
        (None, ..) => "an unknown GPU".to_owned(),
    };
    format!(
        "{} at {}x{}, {} frames, {} steps, goal {}, on {gpu}",
        or_unknown("workload.model"),
        or_unknown("workload.width"),
        or_unknown("workload.height"),
        or_unknown("workload.frames"),
        or_unknown("workload.steps"),
        or_unknown("workload.goal"),
    )
}

// The policy and its place, with the limit that moved the value.
fn origin(setting: &Setting) -> (String, String) {
    let (mut policy, at) = match &setting.policy {
        Some(policy) => (policy.id.clone(), place(&policy.at())),
        None => ("pinned".to_owned(), String::new()),
    };
    if let Some((from, limit)) = &setting.moved {
        policy = format!("{policy}, moved from {} by {}", show(from, setting.unit), limit.id);
    }
    (policy, at)
}

/// `<built-in>/50-memory.yaml:88`.
pub fn place(at: &crate::diag::At) -> String {
    format!("{}:{}", at.file, at.line)
}
