//! What is decided of conditions, against what an evaluation of them says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use common::POLICIES;
use proptest::prelude::*;
use serde_json::Value;
use wan22_policy::diag::{Source, Span};
use wan22_policy::engine;
use wan22_policy::expr::formula::{Assumed, Constant, Truths, Unknown};
use wan22_policy::expr::{EvalError, Expr, Formula};
use wan22_policy::facts::{Facts, Origin};
use wan22_policy::lint::solve::{Answer, can_hold};
use wan22_policy::policy::{self, LoadOptions, PolicySet, load};
use wan22_policy::yaml::ScalarText;

const GIB: i64 = 1 << 30;

fn compile(text: &str) -> Expr {
    compile_in(&POLICIES, text)
}

fn compile_in(set: &PolicySet, text: &str) -> Expr {
    let source = Source::new("condition", text);
    let place = ScalarText::opaque(Span { source, range: 0..text.len() });
    set.language.compile(text, &place, &[]).unwrap_or_else(|findings| panic!("{text}: {findings:?}"))
}

fn formula(expr: &Expr) -> Formula {
    POLICIES.language.formula(expr, POLICIES.data.node().as_ref())
}

// What the evaluator makes of a condition.
fn outcome(expr: &Expr, facts: &Facts) -> Truths {
    match engine::undecided(&POLICIES, facts).test(expr, &[]) {
        Ok((true, _)) => Truths::TRUE,
        Ok((false, _)) => Truths::FALSE,
        Err(EvalError::Unknown(_)) => Truths::NOTHING,
        Err(error) => panic!("{}: {error:?}", expr.text()),
    }
}

fn assumed(facts: &Facts, unknown: &Unknown) -> Assumed {
    let Unknown::Name(name) = unknown else { return Assumed::Open };
    match facts.value(name) {
        None => Assumed::Missing,
        Some(Value::Bool(value)) => Assumed::Value(Constant::Bool(*value)),
        Some(Value::String(text)) => Assumed::Value(Constant::Text(text.clone())),
        Some(Value::Array(items)) => Assumed::Value(Constant::Number(items.len() as f64)),
        Some(number) => Assumed::Value(Constant::Number(number.as_f64().unwrap())),
    }
}

// A number that rests on facts, some of them unknown. What it is multiplied with are powers of two, so that both sides are
// exact.
fn number() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "8",
        "31.5",
        "cpu.physical_cores",
        "cpu.quota",
        "(cpu.quota ?? 2.5)",
        "cpu.allowed_cpus.len()",
        "gpus.len()",
        "usable_cores()",
        "(if host.wsl { cpu.quota } else { float(cpu.physical_cores) })",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(2, 4, 3, |inner| {
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            two().prop_map(|(a, b)| format!("min({a}, {b})")),
            two().prop_map(|(a, b)| format!("max({a}, {b})")),
            two().prop_map(|(a, b)| format!("clamp({a}, {b}, 32)")),
            two().prop_map(|(a, b)| format!("({a} ?? {b})")),
            (
                inner,
                prop::sample::select(vec!["floor(x)", "ceil(x)", "x * 2", "x * -0.5", "x - 1", "3 - x", "x / 4.0"])
            )
                .prop_map(|(a, form)| format!("({})", form.replace('x', &a))),
        ]
    })
}

fn atom() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let size = prop::sample::select(vec!["gib(8)", "mib(12282)", "gib(11.5) + mib(3)", "gib(24)"]);
    let count = prop::sample::select(vec!["8", "31.5", "32", "3 * 16"]);
    prop_oneof![
        (operator.clone(), size.clone()).prop_map(|(op, n)| format!("gpu.vram.total {op} {n}")),
        (operator.clone(), size.clone()).prop_map(|(op, n)| format!("{n} {op} ram.total - gib(1)")),
        (operator.clone(), size.clone()).prop_map(|(op, n)| format!("(ram.total ?? gib(9)) {op} {n}")),
        (operator.clone(), size).prop_map(|(op, n)| format!("device_memory() {op} {n}")),
        (operator.clone(), count.clone()).prop_map(|(op, n)| format!("cpu.physical_cores * 2 {op} {n}")),
        (operator.clone(), count.clone()).prop_map(|(op, n)| format!("cpu.allowed_cpus.len() {op} {n}")),
        (operator.clone(), count).prop_map(|(op, n)| format!("gpus.len() {op} {n}")),
        (operator.clone(), prop::sample::select(vec!["gib(8)", "gib(11.5) + mib(3)"]))
            .prop_map(|(op, n)| format!("usable_ram() {op} {n}")),
        (number(), operator, prop::sample::select(vec!["-2", "1", "2.5", "8", "31.5", "32"]))
            .prop_map(|(a, op, n)| format!("{a} {op} {n}")),
        number().prop_map(|a| format!("known({a} ?? cpu.quota)")),
        prop::sample::select(vec![
            "host.wsl",
            "(host.wsl ?? false)",
            "host.wsl == false",
            "known(host.wsl)",
            "known(gpu.vram.total)",
            "known(gpus)",
            "known(ram.total ?? gpu.vram.total)",
            "host.os == \"linux\"",
            "host.os in [\"windows\", \"linux\"]",
            "!(host.os in [\"windows\"])",
            "version_at_least(software.torch, \"2.9\")",
            "software.torch != \"2.9.1\"",
            "gpu.compute_capability in [8.0, 8.9]",
            "gpu.compute_capability >= 8.9",
            "device_memory_is_known()",
            "(if host.wsl { ram.total } else { gpu.vram.total }) > gib(10)",
            "gpus.len() == 0",
            "true",
        ])
        .prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(if {a} {{ {b} }} else {{ {c} }})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

prop_compose! {
    fn machine()(
        gpus in prop::option::of(0_i64..=2),
        vram in prop::option::of(prop::sample::select(vec![4 * GIB, 8 * GIB, 12282 << 20, 24 * GIB, 80 * GIB])),
        capability in prop::option::of(prop::sample::select(vec![7.5, 8.0, 8.6, 8.9, 12.0])),
        ram in prop::option::of(prop::sample::select(vec![8 * GIB, 9 * GIB, 25 * GIB, 64 * GIB])),
        cores in prop::option::of(1_i64..=40),
        quota in prop::option::of(prop::sample::select(vec![0.5, 1.0, 2.5, 8.0, 31.25, 31.5, 32.0])),
        allowed in prop::option::of(0_i64..=50),
        wsl in prop::option::of(any::<bool>()),
        os in prop::option::of(prop::sample::select(vec!["linux", "windows", "macos"])),
        torch in prop::option::of(prop::sample::select(vec!["2.8.0", "2.9.1", "2.10.0+cu128"])),
    ) -> Facts {
        let mut facts = Facts::new("not asked");
        let mut know = |name: &str, value: Option<Value>| facts.know(name, value.unwrap_or_default(), Origin::User);
        know("gpus", gpus.map(Value::from));
        for gpu in 0..gpus.unwrap_or(0) {
            know(&format!("gpus[{gpu}].vram.total"), vram.map(Value::from));
            know(&format!("gpus[{gpu}].compute_capability"), capability.map(Value::from));
        }
        know("ram.total", ram.map(Value::from));
        know("cpu.physical_cores", cores.map(Value::from));
        know("cpu.quota", quota.map(Value::from));
        know("cpu.allowed_cpus", allowed.map(|n| (0..n).collect()));
        know("host.wsl", wsl.map(Value::from));
        know("host.os", os.map(Value::from));
        know("software.torch", torch.map(Value::from));
        facts
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_formula_is_what_the_evaluator_says(text in condition(), facts in machine()) {
        let expr = compile(&text);
        let truths = formula(&expr).truths(&|unknown: &Unknown| assumed(&facts, unknown));
        prop_assert_eq!(truths, outcome(&expr, &facts), "{}", text);
    }

    #[test]
    fn what_is_decided_of_two_conditions_is_so(a in condition(), b in condition(), facts in machine()) {
        let (a, b) = (compile(&a), compile(&b));
        let both = Formula::All(vec![formula(&a), formula(&b)]);
        match can_hold(&both) {
            Answer::Never => {
                prop_assert!(outcome(&a, &facts) != Truths::TRUE || outcome(&b, &facts) != Truths::TRUE);
            }
            Answer::On(witness) => {
                let machine = witness.facts();
                prop_assert_eq!(outcome(&a, &machine), Truths::TRUE, "{}: {}", witness, a.text());
                prop_assert_eq!(outcome(&b, &machine), Truths::TRUE, "{}: {}", witness, b.text());
            }
            Answer::Undecided => {
                let is_opaque = |unknown: Unknown| matches!(unknown, Unknown::Opaque(_));
                prop_assert!(both.unknowns().into_iter().any(is_opaque), "not decided: {} && {}", a.text(), b.text());
            }
        }
    }
}

/// A condition that rests on more than comparisons with constants is not decided, unless its own contrary stands beside it.
#[test]
fn what_cannot_be_decided_is_not() {
    for text in [
        "gpu.vram.total > ram.total",
        "workload.frames % 4 == 1",
        "gpus.all(|g| g.vram.total > gib(1))",
        "gpu.name.len() > 3",
    ] {
        assert_eq!(can_hold(&formula(&compile(text))), Answer::Undecided, "{text}");
    }
    let half = "min(cpu.physical_cores, cpu.logical_cpus % 7) > 3";
    assert_eq!(can_hold(&formula(&compile(half))), Answer::Undecided);
    let never = "gpu.vram.total > ram.total && host.wsl && !(gpu.vram.total > ram.total)";
    assert_eq!(can_hold(&formula(&compile(never))), Answer::Never);
}

/// Conditions of many names, as the property above made one, have more cases than any shipped one.
#[test]
fn many_cases_are_decided() {
    let any = "((known(clamp(gpus.len(), usable_cores(), 32) ?? cpu.quota) || usable_ram() == gib(8)) || \
               (if usable_cores() == 1 { gib(8) == ram.total - gib(1) } else { \
               (if host.wsl { gpu.vram.total == gib(8) } else { cpu.physical_cores * 2 == 8 }) }))";
    let all = "(known(8 ?? cpu.quota) && (gpu.vram.total == gib(8) || cpu.physical_cores * 2 == 8))";
    let both = Formula::All(vec![formula(&compile(any)), formula(&compile(all))]);
    let Answer::On(witness) = can_hold(&both) else { panic!("not decided") };
    for text in [any, all] {
        assert_eq!(outcome(&compile(text), &witness.facts()), Truths::TRUE, "{witness}: {text}");
    }
}

/// What `min`, `max`, `clamp`, `floor` and `ceil` make of a number is looked into, exactly at its bounds.
#[test]
fn functions_of_numbers_are_decided() {
    for (text, value) in [
        ("min(cpu.physical_cores, 8) >= 8 && cpu.physical_cores <= 8", Some(("cpu.physical_cores", 8.0))),
        ("min(cpu.physical_cores, 8) > 8", None),
        ("max(cpu.physical_cores, 8) == 8 && cpu.physical_cores > 7", Some(("cpu.physical_cores", 8.0))),
        ("max(cpu.physical_cores, 8) < 8", None),
        ("clamp(cpu.physical_cores, 1, 8) * 2 + 1 > 17", None),
        ("ceil(cpu.quota) == 8 && cpu.quota > 7 && cpu.quota <= 7", None),
        ("ceil(cpu.quota) >= 7.5 && cpu.quota < 7.25", Some(("cpu.quota", 7.125))),
        ("ceil(cpu.quota) < 7.5 && cpu.quota > 7", None),
        ("floor(cpu.quota * 0.5) == 3 && cpu.quota >= 8", None),
        ("floor(cpu.quota * 0.5) != 3 && cpu.quota >= 6 && cpu.quota <= 8", Some(("cpu.quota", 8.0))),
        ("floor(cpu.quota) == 2.5", None),
        ("usable_cores() >= 32 && cpu.physical_cores < 32", None),
        ("usable_cores() < 32 && cpu.physical_cores > 32 && !known(cpu.quota) && !known(cpu.allowed_cores)", None),
    ] {
        match (can_hold(&formula(&compile(text))), value) {
            (Answer::Never, None) => {}
            (Answer::On(witness), Some((name, value))) => {
                assert_eq!(witness.facts().value(name).and_then(Value::as_f64), Some(value), "{text}");
            }
            (answer, _) => panic!("{text}: {answer:?}"),
        }
    }
}

/// A part of a function is told apart by what the function is given.
#[test]
fn calls_with_other_arguments_are_other_conditions() {
    let text =
        "functions: { is_odd: { parameters: { n: count }, returns: bool, expression: n % 2 == 1, why: a test } }";
    let texts = vec![("85-odd.yaml".to_owned(), Source::new("85-odd.yaml", text))];
    let set = policy::compile(&load(&LoadOptions { texts, ..LoadOptions::default() }).unwrap().0).unwrap();
    let formula = |text: &str| set.language.formula(&compile_in(&set, text), set.data.node().as_ref());
    let both = |a: &str, b: &str| can_hold(&Formula::All(vec![formula(a), formula(b)]));
    assert_eq!(both("is_odd(cpu.physical_cores)", "!is_odd(cpu.logical_cpus)"), Answer::Undecided);
    assert_eq!(both("is_odd(cpu.physical_cores)", "!is_odd(cpu.physical_cores)"), Answer::Never);
}
