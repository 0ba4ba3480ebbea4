//! `validate --report DIR`: the files that it writes, on a healthy, a broken and a hostile installation.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common::project::{Project, repository};
use quick_xml::events::Event;
use serde_json::{Value, json};
use wan22_policy::schema;

const FINAL: &str = "final_system_validation_report.json";
const OPTIMIZATION: &str = "performance_optimization_report.json";

/// The files that have a schema, and its name.
const JSON: [(&str, &str); 3] =
    [(FINAL, "final-system-validation"), (OPTIMIZATION, "performance-optimization"), ("validation.json", "validate")];

/// Where the report of the WAN22 UI holds something, `[]` for the items of a list.
/// Source: ramcana/wan, August 2025: infrastructure/config/final_system_validation_report.json.
const FINAL_KEYS: &[&str] = &[
    "validation_summary.validation_time",
    "validation_summary.total_tests",
    "validation_summary.passed_tests",
    "validation_summary.failed_tests",
    "validation_summary.overall_success_rate",
    "validation_summary.critical_tests_passed",
    "validation_summary.critical_tests_total",
    "validation_summary.critical_success_rate",
    "validation_summary.system_health_score",
    "validation_summary.ready_for_production",
    "performance_improvements.total_performance_improvement",
    "performance_improvements.memory_savings_mb",
    "performance_improvements.benchmark_success_rate",
    "recommendations.[]",
    "detailed_results.[].component",
    "detailed_results.[].test_name",
    "detailed_results.[].passed",
    "detailed_results.[].performance_metric",
    "detailed_results.[].target_metric",
    "detailed_results.[].margin_percent",
    "detailed_results.[].details",
    "detailed_results.[].recommendations",
];

/// The same of its other report; `*` for the name of a phase.
/// Source: ramcana/wan, August 2025: infrastructure/config/performance_optimization_report.json.
const OPTIMIZATION_KEYS: &[&str] = &[
    "session_time",
    "optimization_phases.*.results.[].component",
    "optimization_phases.*.results.[].parameter",
    "optimization_phases.*.results.[].original_value",
    "optimization_phases.*.results.[].optimized_value",
    "optimization_phases.*.results.[].performance_improvement_percent",
    "optimization_phases.*.results.[].memory_savings_mb",
    "optimization_phases.*.results.[].meets_targets",
    "optimization_phases.*.results.[].recommendations",
    "optimization_phases.*.settings",
    "benchmark_validation.validation_time",
    "benchmark_validation.total_targets",
    "benchmark_validation.passed_targets",
    "benchmark_validation.failed_targets",
    "benchmark_validation.success_rate",
    "benchmark_validation.weighted_success_rate",
    "benchmark_validation.results.[].target.component",
    "benchmark_validation.results.[].target.operation",
    "benchmark_validation.results.[].target.target_duration_ms",
    "benchmark_validation.results.[].target.max_memory_mb",
    "benchmark_validation.results.[].target.max_cpu_percent",
    "benchmark_validation.results.[].target.max_gpu_percent",
    "benchmark_validation.results.[].target.max_vram_mb",
    "benchmark_validation.results.[].target.priority",
    "benchmark_validation.results.[].metrics.timestamp",
    "benchmark_validation.results.[].metrics.component",
    "benchmark_validation.results.[].metrics.operation",
    "benchmark_validation.results.[].metrics.duration_ms",
    "benchmark_validation.results.[].metrics.memory_usage_mb",
    "benchmark_validation.results.[].metrics.cpu_usage_percent",
    "benchmark_validation.results.[].metrics.gpu_usage_percent",
    "benchmark_validation.results.[].metrics.vram_usage_mb",
    "benchmark_validation.results.[].metrics.success",
    "benchmark_validation.results.[].metrics.error_message",
    "benchmark_validation.results.[].metrics.metadata.target",
    "benchmark_validation.results.[].metrics.metadata.benchmark_validation",
    "benchmark_validation.results.[].targets_met.duration",
    "benchmark_validation.results.[].targets_met.memory",
    "benchmark_validation.results.[].targets_met.cpu",
    "benchmark_validation.results.[].targets_met.vram",
    "benchmark_validation.results.[].all_targets_met",
    "benchmark_validation.results.[].performance_margin.duration_margin_percent",
    "benchmark_validation.results.[].performance_margin.memory_margin_mb",
    "benchmark_validation.results.[].performance_margin.cpu_margin_percent",
    "benchmark_validation.results.[].performance_margin.vram_margin_mb",
    "benchmark_validation.recommendations.[]",
    "summary.total_optimizations",
    "summary.successful_optimizations",
    "summary.success_rate",
    "summary.total_performance_improvement",
    "summary.total_memory_savings_mb",
    "summary.benchmarks_passed",
    "summary.benchmark_success_rate",
    "recommendations.[]",
];

/// What a run wrote, by name, and what it printed.
struct Reports {
    files: BTreeMap<String, String>,
    printed: Value,
}

// The reports of the folder `app`, on the machine that the seed report describes.
fn reports(project: &Project, more: &[&str]) -> Reports {
    let machine = repository(&format!("tests/machines/{}.yaml", common::REFERENCE));
    let asked =
        ["validate", "--root", "app", "--no-site", "--report", "report", "--format", "json", "--facts", &machine];
    let ran = project.run(&[&asked[..], more].concat());
    assert!(matches!(ran.code, 0 | 3), "{}", ran.err);
    let files = fs::read_dir(project.path("report")).unwrap().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let text = project.read(&format!("report/{name}"));
        (name, text)
    });
    Reports { files: files.collect(), printed: ran.json("validate") }
}

impl Reports {
    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.files[file]).unwrap()
    }
}

// Both examples, whose reports hold for the same.
fn both() -> [Reports; 2] {
    ["wan22-ui", "wan22-ui-broken"].map(|name| reports(&Project::of_example(name), &[]))
}

// The values at a path of keys, and how many places there are that lack the last one.
fn at<'v>(value: &'v Value, path: &str) -> (Vec<&'v Value>, usize) {
    let mut values = vec![value];
    let mut missing = 0;
    for key in path.split('.') {
        let mut next = Vec::new();
        for value in values {
            match key {
                "[]" => next.extend(value.as_array().unwrap()),
                "*" => next.extend(value.as_object().unwrap().values()),
                key => match value.as_object().and_then(|object| object.get(key)) {
                    Some(value) => next.push(value),
                    None => missing += 1,
                },
            }
        }
        values = next;
    }
    (values, missing)
}

// Each value of a tree, with its path.
fn walk(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, value);
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), visit)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| walk(value, &format!("{path}.{i}"), visit));
        }
        _ => {}
    }
}

// Path and origin of every figure of the two reports; each is whole.
fn figures(reports: &Reports) -> BTreeMap<String, String> {
    let mut figures = BTreeMap::new();
    for file in [FINAL, OPTIMIZATION] {
        walk(&reports.json(file), file, &mut |path, value| {
            let Some(object) = value.as_object().filter(|object| object.contains_key("origin")) else { return };
            let keys: BTreeSet<&str> = object.keys().map(String::as_str).collect();
            assert_eq!(keys, BTreeSet::from(["value", "unit", "origin"]), "{path}");
            let origin = object["origin"].as_str().unwrap();
            assert!(["measured", "predicted", "published", "not-measured"].contains(&origin), "{path}: {origin}");
            assert_eq!(object["value"].is_null(), origin == "not-measured", "{path}: {value}");
            assert!(object["value"].is_null() || object["value"].is_number(), "{path}: {value}");
            figures.insert(path.to_owned(), origin.to_owned());
        });
    }
    figures
}

#[test]
fn every_json_satisfies_its_committed_schema() {
    for reports in both() {
        for (file, format) in JSON {
            let text = fs::read_to_string(repository(&format!("schemas/{format}.schema.json"))).unwrap();
            let schema: Value = serde_json::from_str(&text).unwrap();
            let report = reports.json(file);
            let validator = jsonschema::validator_for(&schema).unwrap();
            let errors: Vec<_> =
                validator.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{file}:\n{}", errors.join("\n"));
            assert_eq!(report["schema"], format!("wan22-policy/{format}/v1"));
        }
    }
}

#[test]
fn a_report_that_lacks_a_key_or_has_one_more_does_not_satisfy_its_schema() {
    let report = reports(&Project::of_example("wan22-ui"), &[]).json(OPTIMIZATION);
    let schema = serde_json::from_str(&schema::find("performance-optimization").unwrap().text()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let changed = |change: fn(&mut Value)| {
        let mut report = report.clone();
        change(&mut report);
        validator.is_valid(&report)
    };
    assert!(changed(|_| {}));
    assert!(!changed(|report| drop(report["session_time"].as_object_mut().unwrap().remove("value"))));
    assert!(!changed(|report| report["session_time"]["value"] = json!("9 s")));
    assert!(!changed(|report| report["session_time"] = json!(9.63)));
    assert!(!changed(|report| report["summary"]["praise"] = json!("optimally tuned")));
}

#[test]
fn every_key_of_the_reports_of_the_ui_is_there() {
    for reports in both() {
        for (file, keys) in [(FINAL, FINAL_KEYS), (OPTIMIZATION, OPTIMIZATION_KEYS)] {
            let report = reports.json(file);
            for path in keys {
                let (values, missing) = at(&report, path);
                assert!(!values.is_empty() && missing == 0, "{file}: {path} lacks in {missing} places");
            }
        }
    }
}

#[test]
fn counts_and_results_are_those_of_the_verdict() {
    for reports in both() {
        let verdict = &reports.printed["verdict"];
        let report = reports.json(FINAL);
        let summary = &report["validation_summary"];
        let rules = |key: &str| verdict["rules"][key].as_u64().unwrap();
        assert_eq!(summary["passed_tests"], rules("passed"));
        assert_eq!(summary["failed_tests"], rules("failed"));
        assert_eq!(summary["not_measured_tests"], rules("not_measured"));
        assert_eq!(summary["total_tests"], rules("passed") + rules("failed") + rules("not_measured"));
        assert_eq!(summary["ready_for_production"], verdict["ready"]);
        let score = verdict["score"].as_f64().unwrap() * 100.0;
        assert!((summary["system_health_score"].as_f64().unwrap() - score).abs() < 1e-9);
        let results = report["detailed_results"].as_array().unwrap();
        for result in results {
            assert_eq!(result["passed"] == true, result["result"] == "pass", "{result}");
            assert_eq!(result["recommendations"] == json!([]), result["result"] == "pass", "{result}");
        }
        let of = |result: &str| results.iter().filter(|one| one["result"] == result).count() as u64;
        assert_eq!(
            [of("pass"), of("fail"), of("not-measured")],
            [rules("passed"), rules("failed"), rules("not_measured")]
        );
    }
}

#[test]
fn no_figure_is_measured_but_those_that_are_facts() {
    let weights =
        ["--fact", "models=1", "--fact", "models[0].complete=true", "--fact", "models[0].file=vae.safetensors"];
    let project = Project::of_example("wan22-ui");
    let before = figures(&reports(&project, &weights));
    let measured = |figures: &BTreeMap<String, String>| -> BTreeSet<String> {
        figures.iter().filter(|(_, origin)| *origin == "measured").map(|(path, _)| path.clone()).collect()
    };
    let rules = |reports: &Reports, paths: &BTreeSet<String>| -> BTreeSet<String> {
        let of = |path: &String| {
            let (file, rest) = path.split_once(".json.").unwrap();
            let parts: Vec<&str> = rest.split('.').collect();
            let index: usize = parts.iter().find_map(|part| part.parse().ok()).unwrap();
            let report = reports.json(&format!("{file}.json"));
            match parts[0] {
                "detailed_results" => report["detailed_results"][index]["test_name"].as_str().unwrap().to_owned(),
                _ => {
                    report["benchmark_validation"]["results"][index]["target"]["operation"].as_str().unwrap().to_owned()
                }
            }
        };
        paths.iter().map(of).collect()
    };
    let unmeasured = reports(&project, &weights);
    // The free space is a fact of the machine, the share of sources that parse one of the installation.
    assert_eq!(
        rules(&unmeasured, &measured(&before)),
        BTreeSet::from(["disk-has-room", "syntax-goal"].map(str::to_owned))
    );
    let timed = reports(&project, &[&weights[..], &["--fact", "installation.video_time=95s"]].concat());
    let more: BTreeSet<String> = measured(&figures(&timed)).difference(&measured(&before)).cloned().collect();
    assert_eq!(rules(&timed, &more), BTreeSet::from(["video-in-time".to_owned()]), "{more:?}");
    let report = timed.json(FINAL);
    let result = report["detailed_results"].as_array().unwrap().iter().find(|one| one["test_name"] == "video-in-time");
    assert_eq!(result.unwrap()["performance_metric"], json!({ "value": 95.0, "unit": "s", "origin": "measured" }));
    let report = timed.json(OPTIMIZATION);
    let results = report["benchmark_validation"]["results"].as_array().unwrap();
    let video = results.iter().find(|one| one["target"]["operation"] == "video-in-time").unwrap();
    assert_eq!(video["metrics"]["duration_ms"], json!({ "value": 95_000.0, "unit": "ms", "origin": "measured" }));
    assert_eq!((&video["targets_met"]["duration"], &video["all_targets_met"]), (&json!(true), &json!(true)));
    // What is predicted is shown and is no pass.
    let load = results.iter().find(|one| one["target"]["operation"] == "model-loads-in-time").unwrap();
    assert_eq!(load["metrics"]["duration_ms"]["origin"], "predicted");
    assert_eq!((&load["targets_met"]["duration"], &load["all_targets_met"]), (&Value::Null, &json!(false)));
}

#[test]
fn nothing_is_said_to_be_faster_and_memory_only_where_the_model_can_tell() {
    for reports in both() {
        let mut improvements = 0;
        for file in [FINAL, OPTIMIZATION] {
            walk(&reports.json(file), file, &mut |path, value| {
                if path.contains("improvement") && value.get("origin").is_some() {
                    assert_eq!((&value["value"], &value["origin"]), (&Value::Null, &json!("not-measured")), "{path}");
                    improvements += 1;
                }
            });
        }
        assert!(improvements > 20, "{improvements}");
        let report = reports.json(OPTIMIZATION);
        for result in report["optimization_phases"]["gpu"]["results"].as_array().unwrap() {
            let savings = &result["memory_savings_mb"];
            // Its key holds a tile as the setting has it; the other keys hold something else for theirs.
            let is_tile = result["parameter"] == "tile_size" && result["original_value"].is_i64();
            assert_eq!(savings["origin"] == "predicted", is_tile, "{result}");
        }
    }
}

#[test]
fn a_saving_is_the_difference_of_two_peaks_of_the_model() {
    // Where the weights are elsewhere the decode is the peak, which the tile decides.
    let pins = ["offload.dit=block", "offload.text_encoder=cpu", "offload.vae=model", "vae.tiling=true"];
    let pins: Vec<&str> = pins.iter().flat_map(|pin| ["--set", pin]).collect();
    let project = Project::of_example("wan22-ui");
    let fit = |tile: &str| {
        let tile = format!("vae.tile_size={tile}");
        let machine = repository(&format!("tests/machines/{}.yaml", common::REFERENCE));
        let asked = ["fit", "--no-site", "--format", "json", "--facts", &machine, "--stack", "diffusers"];
        let video = ["--model", "ti2v-5b", "--size", "832x480x49", "--set", &tile];
        let answer = project.run(&[&asked[..], &video, &pins].concat()).json("fit");
        answer["fit"][0]["device_peak_bytes"].as_f64().unwrap()
    };
    let workload = ["--workload", "ti2v-5b:832x480x49", "--set", "vae.tile_size=512"];
    let report = reports(&project, &[&workload[..], &pins].concat()).json(OPTIMIZATION);
    let results = report["optimization_phases"]["gpu"]["results"].as_array().unwrap();
    let tile = results.iter().find(|one| one["details"]["key"] == "optimization.vae_tile_size").unwrap();
    assert_eq!((&tile["original_value"], &tile["optimized_value"]), (&json!(256), &json!(512)), "{tile}");
    let want = (fit("256") - fit("512")) / f64::from(1 << 20);
    let saved = tile["memory_savings_mb"]["value"].as_f64().unwrap();
    assert!(want < -100.0 && (saved - want).abs() < 1e-6, "{saved} MiB, and the two peaks differ by {want}");
}

#[test]
fn every_setting_has_its_place_with_its_policy() {
    let project = Project::of_example("wan22-ui");
    let reports = reports(&project, &[]);
    let report = reports.json(OPTIMIZATION);
    let phases = report["optimization_phases"].as_object().unwrap();
    assert_eq!(phases.keys().collect::<Vec<_>>(), ["gpu", "cpu", "system_overhead", "other"]);
    let phase_of = |component: &str| {
        let has = |phase: &Value| phase["results"].as_array().unwrap().iter().any(|one| one["component"] == component);
        phases.iter().filter(|(_, phase)| has(phase)).map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    for (component, phase) in
        [("vae", "gpu"), ("threads", "cpu"), ("numa", "cpu"), ("monitor", "system_overhead"), ("objective", "other")]
    {
        assert_eq!(phase_of(component), [phase], "{component}");
    }
    let threads =
        &phases["cpu"]["results"].as_array().unwrap().iter().find(|one| one["parameter"] == "intra_op").unwrap();
    assert_eq!((&threads["original_value"], &threads["optimized_value"]), (&Value::Null, &json!(48)));
    let details = &threads["details"];
    assert_eq!((&details["file"], &details["key"]), (&json!("config.json"), &json!("optimization.cpu_threads")));
    assert!(details["policy"].is_string() && details["why"].is_string() && details["source"].is_string(), "{details}");
    // Nothing of the plan is lost.
    let settings: usize = phases.values().map(|phase| phase["settings"].as_object().unwrap().len()).sum();
    let machine = repository(&format!("tests/machines/{}.yaml", common::REFERENCE));
    let plan = project.run(&["plan", "--no-site", "--root", "app", "--facts", &machine, "--format", "json"]);
    assert_eq!(settings, plan.json("plan")["settings"].as_object().unwrap().len());
}

#[test]
fn recommendations_say_what_to_do_and_praise_nothing() {
    for reports in both() {
        for file in [FINAL, OPTIMIZATION] {
            let report = reports.json(file);
            let said: Vec<&str> =
                report["recommendations"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
            assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "{said:?}");
            let text = said.join("\n").to_lowercase();
            for praise in ["excellent", "optimal", "production ready", "successful", "all validation tests passed"] {
                assert!(!text.contains(praise), "{text}");
            }
            assert!(text.contains("--fact installation.video_time=95s"), "{text}");
        }
    }
    let broken = reports(&Project::of_example("wan22-ui-broken"), &[]).json(FINAL);
    let said = broken["recommendations"].to_string();
    assert!(said.contains("main.py:9:19: Python cannot read this file; add `:` at the end of line 9"), "{said}");
}

// Where an element may stand and which attributes it may have, those that it must have first.
// Source: jenkinsci/xunit-plugin, junit-10.xsd.
const JUNIT: &[(&str, &str, &[&str], &[&str])] = &[
    ("testsuites", "", &[], &["name", "time", "tests", "failures", "disabled", "errors"]),
    (
        "testsuite",
        "testsuites",
        &["name", "tests"],
        &["failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"],
    ),
    ("properties", "testsuite", &[], &[]),
    ("property", "properties", &["name", "value"], &[]),
    ("testcase", "testsuite", &["name"], &["classname", "time", "status", "assertions"]),
    ("skipped", "testcase", &[], &["type", "message"]),
    ("failure", "testcase", &[], &["type", "message"]),
    ("system-out", "testcase", &[], &[]),
];

/// An element of an XML file.
#[derive(Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    below: Vec<Element>,
}

// The topmost element; every element stands where it may, with attributes that it may have.
fn junit(text: &str) -> Element {
    // Some characters no XML may hold, not even as a reference; the reader lets them pass.
    assert!(text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')), "{text:?}");
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut open = vec![Element::default()];
    let start = |tag: &quick_xml::events::BytesStart<'_>| {
        let mut element = Element { name: tag.name().as_ref().to_owned(), ..Element::default() };
        for attribute in tag.attributes() {
            let attribute = attribute.unwrap();
            let key = attribute.key.as_ref().to_owned();
            let value = quick_xml::escape::unescape(&attribute.value).unwrap().into_owned();
            assert!(element.attributes.insert(key, value).is_none());
        }
        element
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => open.push(start(&tag)),
            Event::Empty(tag) => open.last_mut().unwrap().below.push(start(&tag)),
            Event::End(_) => {
                let element = open.pop().unwrap();
                open.last_mut().unwrap().below.push(element);
            }
            Event::Text(text) => open.last_mut().unwrap().text += &*text,
            Event::GeneralRef(name) => {
                let reference = format!("&{};", &*name);
                open.last_mut().unwrap().text += &quick_xml::escape::unescape(&reference).unwrap();
            }
            Event::Eof => break,
            Event::Decl(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let [top]: [Element; 1] = open.pop().unwrap().below.try_into().ok().unwrap();
    assert!(open.is_empty());
    check(&top, "");
    top
}

fn check(element: &Element, above: &str) {
    let (_, wanted, must, may) =
        JUNIT.iter().find(|row| row.0 == element.name).unwrap_or_else(|| panic!("{}", element.name));
    assert_eq!(*wanted, above, "{}", element.name);
    let has: Vec<&str> = element.attributes.keys().map(String::as_str).collect();
    assert!(must.iter().all(|key| has.contains(key)), "{}: {has:?}", element.name);
    assert!(has.iter().all(|key| must.contains(key) || may.contains(key)), "{}: {has:?}", element.name);
    // The schema gives the order: properties first.
    let properties = element.below.iter().position(|below| below.name == "properties");
    assert!(properties.is_none_or(|place| place == 0), "{}", element.name);
    element.below.iter().for_each(|below| check(below, &element.name));
}

impl Element {
    fn number(&self, attribute: &str) -> usize {
        self.attributes[attribute].parse().unwrap()
    }

    fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.below.iter().filter(move |element| element.name == name)
    }
}

#[test]
fn junit_counts_as_the_verdict_does() {
    for reports in both() {
        let suites = junit(&reports.files["junit.xml"]);
        let rules = |key: &str| reports.printed["verdict"]["rules"][key].as_u64().unwrap() as usize;
        let total = rules("passed") + rules("failed") + rules("not_measured");
        assert_eq!((suites.number("tests"), suites.number("failures")), (total, rules("failed")));
        let sum = |attribute: &str| suites.all("testsuite").map(|suite| suite.number(attribute)).sum::<usize>();
        assert_eq!((sum("tests"), sum("failures"), sum("errors")), (total, rules("failed"), 0));
        assert_eq!(sum("skipped"), rules("not_measured"));
        let groups = reports.printed["groups"].as_array().unwrap();
        assert_eq!(suites.all("testsuite").count(), groups.len());
        for (suite, group) in suites.all("testsuite").zip(groups) {
            assert_eq!(suite.attributes["name"], group["group"].as_str().unwrap());
            let rules = group["rules"].as_array().unwrap();
            assert_eq!(suite.number("tests"), suite.all("testcase").count());
            for (case, rule) in suite.all("testcase").zip(rules) {
                assert_eq!(case.attributes["name"], rule["rule"].as_str().unwrap());
                let result = match (case.all("failure").count(), case.all("skipped").count()) {
                    (0, 0) => "pass",
                    (1, 0) => "fail",
                    (0, 1) => "not-measured",
                    other => panic!("{other:?}"),
                };
                assert_eq!(rule["result"], result, "{rule}");
                assert!(!case.attributes.contains_key("time"), "nobody measured how long {rule} takes");
            }
        }
    }
}

#[test]
fn a_failure_names_the_lines_that_it_is_for_and_a_measured_time_is_its_time() {
    let reports = reports(&Project::of_example("wan22-ui-broken"), &["--fact", "installation.video_time=95s"]);
    let suites = junit(&reports.files["junit.xml"]);
    let case = |name: &str| {
        let mut cases = suites.all("testsuite").flat_map(|suite| suite.all("testcase"));
        cases.find(|case| case.attributes["name"] == name).unwrap()
    };
    let failure = |name: &str| case(name).all("failure").next().unwrap();
    let syntax = &failure("sources-parse").text;
    for file in ["main.py:9:19: error[python-syntax]", "ui.py:24:48: ", "utils.py:13:3: "] {
        assert!(syntax.contains(file), "{syntax}");
    }
    let scheduler = &failure("unipc-scheduler-configuration").text;
    assert!(
        scheduler.contains("scheduler_config.json:14:22") && !scheduler.contains("max_vram_usage_gb"),
        "{scheduler}"
    );
    let stack = &failure("stack-configuration").text;
    assert!(stack.contains("config.json:21:26") && !stack.contains("scheduler_config.json"), "{stack}");
    let skipped = &case("starts-in-time").all("skipped").next().unwrap().attributes["message"];
    assert!(skipped.starts_with("not measured: ") && skipped.contains("--start"), "{skipped}");
    assert_eq!(case("video-in-time").attributes["time"], "95");
}

// The tables of a page, each with as many cells in every row as its head has.
fn tables(page: &str) -> usize {
    let cells = |line: &str| {
        let mut cells = 0;
        let mut is_escaped = false;
        for c in line.chars() {
            cells += usize::from(c == '|' && !is_escaped);
            is_escaped = c == '\\' && !is_escaped;
        }
        cells
    };
    let (mut tables, mut width, mut fence) = (0, None, None);
    for line in page.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            Some(opened) if ticks >= opened && line.trim_start_matches('`').is_empty() => fence = None,
            Some(_) => continue,
            None if ticks >= 3 => fence = Some(ticks),
            None if line.starts_with('|') => {
                tables += usize::from(width.is_none());
                assert_eq!(cells(line), *width.get_or_insert_with(|| cells(line)), "{line}");
                assert!(line.ends_with(" |") || line.ends_with("---|"), "{line}");
            }
            None => width = None,
        }
    }
    assert!(fence.is_none(), "a fence does not end");
    tables
}

#[test]
fn the_page_says_the_verdict_first_and_its_tables_are_whole() {
    for reports in both() {
        let page = &reports.files["report.md"];
        assert!(page.starts_with("# Validation: not ready\n\n**Not ready**: "), "{page}");
        let groups = reports.printed["groups"].as_array().unwrap();
        let filled = groups.iter().filter(|group| group["rules"] != json!([])).count();
        assert!(tables(page) >= filled + 4, "{page}");
        for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
            assert!(page.contains(&format!("| {} |", rule["rule"].as_str().unwrap())), "{rule}");
        }
        assert!(page.contains("| 256 | 384 | vae.tile\\_size |"), "{page}");
    }
    let page = &reports(&Project::of_example("wan22-ui-broken"), &[]).files["report.md"];
    assert!(page.contains("| config.json:5:22 |"), "{page}");
    assert!(page.contains("## What a repair would change") && page.contains("+    \"vae_tile_size\": 384"), "{page}");
}

#[test]
fn only_the_time_depends_on_the_clock() {
    let project = Project::of_example("wan22-ui-broken");
    let time = |reports: &Reports| {
        let report = reports.json(FINAL);
        report["validation_summary"]["validation_time"].as_str().unwrap().to_owned()
    };
    let first = reports(&project, &[]);
    let mut second = reports(&project, &[]);
    while time(&second) == time(&first) {
        second = reports(&project, &[]);
    }
    let timeless = |reports: &Reports| -> Vec<(String, String)> {
        let time = time(reports);
        // As people read it on the page.
        let shown = time.replace('T', " ").replace('Z', " UTC");
        let timeless = |text: &str| text.replace(&time, "TIME").replace(&shown, "TIME");
        reports.files.iter().map(|(name, text)| (name.clone(), timeless(text))).collect()
    };
    assert_eq!(timeless(&first), timeless(&second));
}

// Names and keys that mean something to one of the formats.
#[cfg(unix)]
#[test]
fn hostile_names_break_no_format() {
    let project = Project::of_example("wan22-ui-broken");
    let long = format!("{}.py", "l".repeat(200));
    let names = [
        "a\"b'c<script>alert(1)</script>&amp;.py",
        "]]>--><!--.py",
        "| a | **b** `c` ```` [d](e) \\.py",
        "new\nline\r\n# Ready.py",
        "\u{1b}[2J\u{1}\u{7f}\u{85}\u{202e}gnp.py",
        "\u{fffe}\u{ffff}\u{1f600}.py",
        &long,
    ];
    // One folder keeps the slash of `</script>` a part of the name.
    for name in names {
        project.write(&format!("app/{}", name.replace('/', "\u{2215}")), "def f(:\n");
    }
    project.edit("app/config.json", r#""fp16""#, r#""<b>|`]]>\u001b\u0000""#);
    let written = reports(&project, &[]);
    for (file, format) in JSON {
        let schema = serde_json::from_str(&schema::find(format).unwrap().text()).unwrap();
        assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&written.json(file)), "{file}");
    }
    let found = written.printed["findings"].as_array().unwrap();
    let hostile = found.iter().filter(|finding| finding["code"] == "python-syntax").count();
    assert_eq!(hostile, 3 + names.len(), "{found:?}");
    assert!(found.iter().any(|finding| finding["message"].as_str().unwrap().contains("<b>|`]]>")), "{found:?}");
    // The reader gives back what was written, but for what no XML may hold.
    let suites = junit(&written.files["junit.xml"]);
    let cases = suites.all("testsuite").flat_map(|suite| suite.all("testcase"));
    let texts: Vec<&str> = cases.flat_map(|case| case.all("failure")).map(|failure| failure.text.as_str()).collect();
    let text = texts.join("\n");
    assert!(text.contains("a\"b'c<script>alert(1)<\u{2215}script>&amp;.py"), "{text}");
    assert!(text.contains("]]>--><!--.py") && text.contains(&long), "{text}");
    assert!(text.contains("\u{fffd}[2J\u{fffd}"), "{text}");
    let page = &written.files["report.md"];
    tables(page);
    // A fence shows what it holds as it is.
    let read: String = page.split("\n```").step_by(2).collect();
    assert!(!read.replace(r"\\", "").replace(r"\<", "").contains('<'), "{read}");
    assert!(page.contains("<b>|`]]>") && read.contains(r"\<b\>\|\`"), "{page}");
    assert_eq!(page.matches("\n# ").count(), 0, "{page}");
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()) && !page.contains('\u{202e}'), "{page}");
    assert!(page.contains(r"\| a \| \*\*b\*\* \`c\` \`\`\`\` \[d\](e) \\.py"), "{page}");
}
