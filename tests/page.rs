//! The page of `validate --report`: it is valid, nothing from outside breaks out of its place, and a real browser shows it
//! without a network, light and dark, wide and narrow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

#[cfg(unix)]
#[path = "page/browser.rs"]
mod browser;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use common::project::{Project, repository};
use common::{AS_OF, CORPUS, POLICIES, REFERENCE, read_machine};
use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use rayon::prelude::*;
use serde_json::{Value, json};
use wan22_policy::engine::{Question, evaluate};
use wan22_policy::facts::{Facts, Origin};
use wan22_policy::fit::fit;
use wan22_policy::report::dossier::Dossier;
use wan22_policy::report::json::{PlanReport, TargetRecord};
use wan22_policy::report::page::page;
use wan22_policy::report::validation::ValidateReport;
use wan22_policy::scaffold::machine::summary;
use wan22_policy::target::{Change, Status};

/// Most bytes of a page.
const MOST: usize = 300_000;

const STYLE: &str = include_str!("../src/report/page/style.css");

/// What was found in the broken example, with its repairs.
static BROKEN: LazyLock<ValidateReport> =
    LazyLock::new(|| serde_json::from_value(report("wan22-ui-broken", REFERENCE, &["--fix", "--dry-run"]).0).unwrap());

// The reports of an example on a machine: `validation.json`, and the page in its folder.
fn report(example: &str, machine: &str, more: &[&str]) -> (Value, Project) {
    let project = Project::empty();
    let (root, facts) =
        (repository(&format!("examples/{example}")), repository(&format!("tests/machines/{machine}.yaml")));
    let asked = ["validate", "--root", &root, "--no-site", "--facts", &facts, "--report", "report"];
    project.run(&[&asked[..], more].concat()).expect(3);
    (serde_json::from_str(&project.read("report/validation.json")).unwrap(), project)
}

fn facts(machine: &str) -> Facts {
    read_machine(Path::new(&repository(&format!("tests/machines/{machine}.yaml"))), "ti2v-5b:1280x704x121")
}

// The page of a machine and of what was found.
fn written(facts: &Facts, validation: &ValidateReport, targets: Vec<TargetRecord>) -> String {
    let question = Question { pins: Default::default(), as_of: AS_OF.parse().unwrap() };
    let plan = evaluate(&POLICIES, facts, &question);
    let stack = POLICIES.stacks.iter().find(|stack| stack.id == "diffusers").unwrap();
    page(&Dossier {
        validation,
        machine: summary(facts),
        facts,
        plan: PlanReport::new(&plan, &plan.findings, targets),
        fit: fit(&POLICIES, stack, facts, &question).ok(),
        savings: Default::default(),
        time: "2026-11-23T10:00:00Z".to_owned(),
    })
}

// An element of a page.
#[derive(Debug, PartialEq, Eq)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    /// Its own text.
    text: String,
    /// That and the text of all in it.
    whole: String,
}

// The elements in order, each with its own text, and what a browser would have to overlook.
fn read(page: &str) -> (Vec<Element>, Vec<String>) {
    fn walk(node: &Handle, elements: &mut Vec<Element>) -> String {
        let place = elements.len();
        if let NodeData::Element { name, attrs, .. } = &node.data {
            let attributes = attrs.borrow();
            let attributes = attributes.iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
            let (text, whole) = (String::new(), String::new());
            elements.push(Element { name: name.local.to_string(), attributes, text, whole });
        }
        let (mut text, mut whole) = (String::new(), String::new());
        for child in node.children.borrow().iter() {
            if let NodeData::Text { contents } = &child.data {
                text += &contents.borrow();
                whole += &contents.borrow();
            }
            assert!(!matches!(child.data, NodeData::Comment { .. } | NodeData::ProcessingInstruction { .. }));
            whole += &walk(child, elements);
        }
        if matches!(node.data, NodeData::Element { .. }) {
            (elements[place].text, elements[place].whole) = (text, whole.clone());
        }
        whole
    }
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    let mut elements = Vec::new();
    walk(&dom.document, &mut elements);
    let errors = dom.errors.borrow().iter().map(ToString::to_string).collect();
    (elements, errors)
}

fn attributes<'a>(elements: &'a [Element], name: &str) -> Vec<&'a str> {
    elements.iter().filter_map(|element| element.attributes.get(name).map(String::as_str)).collect()
}

// What holds of every page.
fn assert_sound(whose: &str, page: &str) -> Vec<Element> {
    let (elements, errors) = read(page);
    assert_eq!(errors, Vec::<String>::new(), "{whose}");
    assert!(page.len() < MOST, "{whose}: {} bytes", page.len());
    // Nothing is loaded, and nothing runs but the one script.
    for element in &elements {
        for (name, value) in &element.attributes {
            assert!(!name.starts_with("on") && name != "style" && name != "src", "{whose}: {element:?}");
            if name == "href" {
                let is_source = ["https://", "http://"].iter().any(|scheme| value.starts_with(scheme));
                assert!(element.name == "a" && (value.starts_with('#') || is_source), "{whose}: {element:?}");
                assert!(!is_source || element.attributes["rel"] == "noreferrer noopener", "{whose}: {element:?}");
            }
        }
        assert!(!["img", "iframe", "link", "object", "base", "form", "image", "use"].contains(&element.name.as_str()));
    }
    let of = |name: &str| elements.iter().filter(|element| element.name == name).collect::<Vec<_>>();
    assert_eq!((of("script").len(), of("style").len(), of("h1").len(), of("title").len() > 1), (1, 1, 1, true));
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    // What is pointed at is there, once.
    let ids: Vec<&str> = attributes(&elements, "id");
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{whose}: {ids:?}");
    let anchors = attributes(&elements, "href").into_iter().filter_map(|href| href.strip_prefix('#'));
    let labels = ["aria-labelledby", "for"].map(|name| attributes(&elements, name)).concat();
    for id in anchors.chain(labels.into_iter().flat_map(|labels| labels.split(' '))) {
        assert!(unique.contains(id), "{whose}: #{id}");
    }
    // Each picture is also one by itself.
    let pictures: Vec<&str> = page.split("<svg").skip(1).map(|rest| rest.split_once("</svg>").unwrap().0).collect();
    assert!(pictures.len() > 3, "{whose}");
    for picture in pictures {
        let picture = format!("<svg{picture}</svg>");
        let mut reader = quick_xml::Reader::from_str(&picture);
        while reader.read_event().unwrap_or_else(|error| panic!("{whose}: {error}\n{picture}"))
            != quick_xml::events::Event::Eof
        {}
    }
    elements
}

fn text(elements: &[Element]) -> String {
    let shown = elements.iter().filter(|element| !["script", "style"].contains(&element.name.as_str()));
    shown.map(|element| element.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_machine_has_a_page() {
    CORPUS.machines.par_iter().for_each(|machine| {
        let facts = facts(&machine.name);
        let elements = assert_sound(&machine.name, &written(&facts, &BROKEN, Vec::new()));
        let said = text(&elements);
        // Whatever is known of it stands in the picture or its tables, and what is not is said to be unknown.
        for (index, name) in facts.concrete("gpus[].name").iter().enumerate() {
            if let Some(name) = facts.value(name).and_then(Value::as_str) {
                assert!(said.contains(&format!("GPU {index}")) && said.contains(name), "{}: {name}", machine.name);
            }
        }
        for index in facts.concrete("numa.nodes[].index") {
            match facts.value(&index) {
                Some(index) => assert!(said.contains(&format!("NUMA node {index}\n")), "{}: {index}", machine.name),
                None => assert!(said.contains("NUMA nodes unknown"), "{}", machine.name),
            }
        }
        match facts.count("gpus") {
            None => assert!(said.contains("GPUs unknown: "), "{}", machine.name),
            Some(0) => assert!(said.contains("No NVIDIA GPU"), "{}", machine.name),
            Some(_) => {
                let chosen = elements.iter().filter(|element| element.text == "the workload runs on it").count();
                assert_eq!(said.matches("; the workload runs on it").count() + chosen, 3, "{}", machine.name);
            }
        }
        // As many squares as CPUs, in each of the three pictures.
        let squares: usize = elements
            .iter()
            .filter(|element| element.name == "path")
            .map(|path| path.attributes["d"].matches('M').count())
            .sum();
        let cpus: BTreeSet<i64> = facts
            .concrete("numa.nodes[].cpus")
            .iter()
            .filter_map(|name| facts.value(name)?.as_array())
            .flatten()
            .filter_map(Value::as_i64)
            .collect();
        if !cpus.is_empty() {
            assert_eq!(squares, 3 * cpus.len(), "{}", machine.name);
        }
    });
}

#[test]
fn the_page_says_what_the_report_says() {
    let (report, project) = report("wan22-ui-broken", REFERENCE, &["--fix", "--dry-run"]);
    let page = project.read("report/index.html");
    let elements = assert_sound("broken", &page);
    // As it reads, wherever code and lines begin.
    let read = |text: &str| text.replace('`', "").split_whitespace().collect::<String>();
    for rule in report["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let id = format!("rule-{}", rule["rule"].as_str().unwrap());
        let element = elements.iter().find(|element| element.attributes.get("id") == Some(&id));
        let said = read(&element.unwrap_or_else(|| panic!("no {id}")).whole);
        for key in ["message", "help", "why", "source"] {
            let text = read(rule[key].as_str().unwrap_or_default());
            assert!(said.contains(&text), "{id}: no {text} in {said}");
        }
        assert!(said.contains(&read(&rule["result"].as_str().unwrap().replace('-', " "))), "{said}");
        assert_eq!(said.contains("critical"), rule["critical"].as_bool().unwrap(), "{said}");
    }
    let findings =
        elements.iter().filter(|element| element.attributes.get("class").is_some_and(|c| c == "said")).count();
    assert_eq!(findings, report["findings"].as_array().unwrap().len());
    let diffs = report["repairs"].as_array().unwrap().iter().map(|repair| repair["diff"].as_str().unwrap());
    let added = |line: &&str| line.starts_with('+') && !line.starts_with("+++");
    let added: Vec<&str> = diffs.flat_map(str::lines).filter(added).collect();
    assert!(added.len() > 3, "{added:?}");
    for line in added {
        assert!(elements.iter().any(|element| element.name == "ins" && element.text == line), "{line}");
    }
    assert!(elements.iter().any(|element| element.name == "title" && element.text.starts_with("Not ready: ")));
    // What fails comes before what was not measured, what is critical before what is not.
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    let order = [
        "id=\"verdict\"",
        "href=\"#rule-syntax-goal\"",
        "href=\"#rule-sources-parse\"",
        "href=\"#rule-video-in-time\"",
        "id=\"rules\"",
    ];
    assert!(order.map(place).is_sorted());
}

#[test]
fn nothing_from_outside_breaks_out_of_its_place() {
    // The same shape as a text that does no harm: a sign in front, no blanks, no lines.
    let harmless = "-a.b";
    let tree = |evil: &str| {
        let mut facts = facts("fake-a100-40g-85g-pod-mig-2x3g");
        for fact in ["gpus[0].name", "cpu.model", "host.os_version", "workload.model"] {
            facts.know(fact, evil, Origin::User);
        }
        facts.unknown("numa.nodes", evil);
        let mut validation = serde_json::to_value(&*BROKEN).unwrap();
        fn poison(value: &mut Value, evil: &str) {
            let texts = [
                "root",
                "target",
                "python",
                "message",
                "help",
                "why",
                "source",
                "title",
                "file",
                "diff",
                "code",
                "score_formula",
                "ready_formula",
                "repairs",
            ];
            match value {
                Value::Array(items) => items.iter_mut().for_each(|item| poison(item, evil)),
                Value::Object(map) => {
                    for (key, value) in map {
                        match value {
                            Value::String(text) if texts.contains(&key.as_str()) => evil.clone_into(text),
                            Value::Array(items) if key == "repairs" => items.iter_mut().for_each(|item| match item {
                                Value::String(text) => evil.clone_into(text),
                                item => poison(item, evil),
                            }),
                            value => poison(value, evil),
                        }
                    }
                }
                _ => {}
            }
        }
        poison(&mut validation, evil);
        let change = |from: Option<Value>, status| Change {
            setting: "vae.tile_size".to_owned(),
            key: Some(evil.to_owned()),
            from,
            to: Some(json!({ evil: [evil] })),
            status,
            why: Some(evil.to_owned()),
        };
        let changes = vec![change(Some(evil.into()), Status::Applied), change(None, Status::Clamped)];
        let target = TargetRecord { id: evil.to_owned(), file: evil.to_owned(), changes };
        let page = written(&facts, &serde_json::from_value(validation).unwrap(), vec![target]);
        let elements = assert_sound(evil, &page);
        let is_mark = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!page.contains(is_mark), "{evil}");
        let shape: Vec<(String, Vec<String>)> = elements
            .iter()
            .filter(|element| !["wbr", "span"].contains(&element.name.as_str()))
            .map(|element| (element.name.clone(), element.attributes.keys().cloned().collect()))
            .collect();
        (shape, text(&elements))
    };
    let (wanted, _) = tree(harmless);
    for evil in [
        "-\"><script>alert(1)</script>",
        "-'\"--></style></script></title></svg></pre></textarea><svg/onload=alert(1)>",
        "-<!--<![CDATA[<?x?><img/src=x/onerror=alert(1)>]]>",
        "-&lt;script&gt;&#60;b&#62;&amp",
        "-javascript:alert(1)//data:text/html,<b>",
        "-\u{202e}gnp.exe\u{2066}\u{200f}\0\u{1b}[31m\u{7f}\u{85}\u{ffff}",
        "-{{7*7}}${7*7}<%=7%>",
    ] {
        let (shape, said) = tree(evil);
        assert_eq!(shape.len(), wanted.len(), "{evil}");
        assert_eq!(shape, wanted, "{evil}");
        // It is still there to be read.
        if evil.chars().all(|c| c.is_ascii_graphic()) {
            assert!(said.contains(evil), "{evil}");
        }
    }
}

/// Of each two colours that meet: the contrast that WCAG 2.2 asks for, 4.5 for text and 3 for what else carries meaning.
#[test]
fn the_colours_have_contrast() {
    let grounds = ["ground", "panel", "sunken"];
    let text = ["ink", "faint", "link"].into_iter().flat_map(|ink| grounds.map(|ground| (ink, ground, 4.5)));
    let marks = ["pass", "fail", "warning", "unmeasured"];
    let marks = marks.iter().flat_map(|ink| [format!("{ink}-ground"), "panel".to_owned()].map(|ground| (*ink, ground)));
    let others =
        grounds.into_iter().flat_map(|ground| [("edge", ground, 3.0), ("cpu", ground, 3.0), ("chosen", ground, 3.0)]);
    let mut pairs: Vec<(String, String, f64)> = text
        .chain(others)
        .chain([("chosen-ink", "chosen", 4.5)])
        .map(|(a, b, least)| (a.to_owned(), b.to_owned(), least))
        .collect();
    pairs.extend(marks.map(|(ink, ground)| (ink.to_owned(), ground, 4.5)));
    let colours: BTreeMap<&str, [f64; 2]> = STYLE
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix("--")?.split_once(": light-dark(")?;
            let (light, dark) = rest.strip_suffix(");")?.split_once(", ")?;
            Some((name, [light, dark].map(luminance)))
        })
        .collect();
    let met: BTreeSet<&str> = pairs.iter().flat_map(|(ink, ground, _)| [ink.as_str(), ground]).collect();
    // The lines between things only calm the eye.
    let unmet: Vec<&&str> = colours.keys().filter(|name| !met.contains(**name)).collect();
    assert_eq!(unmet, [&"rule"]);
    for (ink, ground, least) in &pairs {
        for (scheme, name) in ["light", "dark"].iter().enumerate() {
            let (a, b) = (colours[ink.as_str()][scheme], colours[ground.as_str()][scheme]);
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= *least, "{ink} on {ground}, {name}: {contrast:.2} of {least}");
        }
    }
}

// Relative luminance of `#rrggbb`, by WCAG 2.2.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let part = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

/// Every text of the page whose contrast with the ground behind it is below what WCAG asks for.
#[cfg(unix)]
const FAINT: &str = r#"(() => {
    const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const [r, g, b, a] = parse(getComputedStyle(at).backgroundColor);
            if (a !== 0) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let texts = 0;
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || element.closest("svg") || !element.checkVisibility()) continue;
        texts += 1;
        const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${element.outerHTML.slice(0, 80)}`);
    }
    return texts > 200 ? found : ["too few texts"];
})()"#;

#[cfg(unix)]
#[test]
fn a_browser_shows_the_page() {
    let Some(mut browser) = browser::Browser::start() else { return };
    let (_, project) = report("wan22-ui-broken", REFERENCE, &["--fix", "--dry-run"]);
    let file = project.path("report/index.html");
    browser.open(&file, 1280, "light");
    assert!(browser.value("document.title").as_str().unwrap().starts_with("Not ready: "));
    assert_eq!(browser.value("document.querySelector('h1').innerText.trim()"), "✗\nNot ready");
    assert_eq!(browser.value("document.compatMode"), "CSS1Compat");

    // Light and dark by the system, and by the button, which is remembered.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let (light, light_picture) = (browser.value(ground), browser.picture());
    assert_eq!(browser.value(FAINT), json!([]));
    browser.prefer("dark");
    let (dark, dark_picture) = (browser.value(ground), browser.picture());
    assert_eq!(browser.value(FAINT), json!([]));
    assert_ne!(light, dark);
    assert_ne!(light_picture, dark_picture);
    assert_eq!(browser.value("document.getElementById('theme').innerText"), "Light");
    browser.value("document.getElementById('theme').click()");
    assert_eq!(browser.value(ground), light);
    browser.reload();
    assert_eq!(
        (browser.value(ground), browser.value("document.getElementById('theme').innerText")),
        (light, "Dark".into())
    );

    // The filter, by the keyboard alone.
    let shown = "[...document.querySelectorAll('table.settings tbody tr')].filter((row) => row.checkVisibility()).map((row) => row.querySelector('th').innerText)";
    let all = browser.value(shown).as_array().unwrap().len();
    browser.press("/", "/");
    assert_eq!(browser.value("document.activeElement.id"), "filter");
    assert_eq!(browser.value("document.activeElement.value"), "");
    browser.write("VAE.tile_ overlap");
    assert_eq!(browser.value(shown), json!(["vae.tile_overlap"]));
    assert_eq!(browser.value("document.getElementById('filtered').innerText"), format!("1 of {all}"));
    browser.press("Escape", "");
    assert_eq!(browser.value(shown).as_array().unwrap().len(), all);
    browser.value("document.getElementById('due').click()");
    let due = browser.value(shown);
    assert!(due.as_array().unwrap().contains(&"vae.tile_size".into()) && due.as_array().unwrap().len() < all, "{due}");

    // The first stop leads past everything else, and each stop is seen.
    browser.reload();
    browser.press("Tab", "");
    assert_eq!(browser.value("document.activeElement.className"), "skip");
    assert_ne!(browser.value("getComputedStyle(document.activeElement).outlineStyle"), "none");
    assert!(browser.value("document.activeElement.getBoundingClientRect().top").as_f64().unwrap() >= 0.0);

    assert_eq!(browser.complaints, Vec::<String>::new());
    assert!(browser.requests.values().all(|address| address.starts_with("file://")), "{:?}", browser.requests);
}

// The largest machine that is to be read: 2 packages of 4 nodes, with 3 caches and a GPU each.
fn eight_nodes() -> Facts {
    let mut facts = facts("fake-b200-8x180g-2268g-384-cpus");
    facts.forget("numa");
    facts.know("numa.nodes", 8, Origin::User);
    for node in 0..8_i64 {
        let first = 24 * node;
        let cpus: Vec<i64> = (first..first + 24).chain(first + 192..first + 216).collect();
        facts.know(format!("numa.nodes[{node}].index"), node, Origin::User);
        facts.know(format!("numa.nodes[{node}].cpus"), cpus, Origin::User);
        facts.know(format!("numa.nodes[{node}].package"), node / 4, Origin::User);
        facts.know(format!("gpus[{node}].numa_node"), node, Origin::User);
    }
    facts
}

#[test]
fn the_picture_shows_which_node_lies_in_which_package() {
    let open = "Which node lies in which package is not known.";
    let machine = |facts: &Facts| text(&assert_sound("eight nodes", &written(facts, &BROKEN, Vec::new())));
    let mut facts = eight_nodes();
    let said = machine(&facts);
    assert!(!said.contains(open));
    for package in 0..2 {
        // One frame in each of the three pictures.
        assert_eq!(said.lines().filter(|line| *line == format!("Package {package}")).count(), 3);
    }
    let description = "NUMA node 4, package 1: memory unknown, CPUs 96–119, 288–311, near GPU 4";
    assert_eq!(said.matches(description).count(), 3);
    for node in 0..8 {
        // In the table of the nodes and in that of the GPUs.
        let place = format!("NUMA node {node}, package {}", node / 4);
        assert_eq!(said.lines().filter(|line| *line == place).count(), 2, "{said}");
    }
    facts.forget("numa.nodes[7].package");
    let said = machine(&facts);
    assert!(said.contains(open) && !said.contains("Package 1") && !said.contains(", package 1"));
}

#[cfg(unix)]
#[test]
fn no_window_is_too_narrow() {
    let Some(mut browser) = browser::Browser::start() else { return };
    let machines = [
        REFERENCE,
        "fake-b200-8x180g-2268g-384-cpus",
        "rtx-a6000-9x45g-512g",
        "no-gpu-512g-kunpeng920",
        "fake-rtx-4090-laptop-16g-64g",
    ];
    let machines = machines.map(|machine| (machine, facts(machine))).into_iter();
    for (machine, facts) in machines.chain([("eight nodes", eight_nodes())]) {
        let page = written(&facts, &BROKEN, Vec::new());
        assert_sound(machine, &page);
        let project = Project::empty();
        project.write("index.html", &page);
        for width in [360, 720, 1100, 1280] {
            browser.open(&project.path("index.html"), width, "light");
            browser.value("document.querySelectorAll('details').forEach((part) => { part.open = true; })");
            assert_eq!(browser.value("document.documentElement.scrollWidth"), width, "{machine}");
            // One picture is shown, and its letters can be read.
            let seen = "[...document.querySelectorAll('.topology svg')].filter((svg) => svg.checkVisibility()).map((svg) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)";
            let scales = browser.value(seen);
            assert_eq!(scales.as_array().unwrap().len(), 1, "{machine} at {width}: {scales}");
            assert!(scales[0].as_f64().unwrap() > 0.9, "{machine} at {width}: {scales}");
            // No text leaves its box.
            let outside = "[...document.querySelectorAll('.topology svg')].filter((svg) => svg.checkVisibility()).flatMap((svg) => [...svg.querySelectorAll('text')].filter((text) => { \
                const box = text.getBBox(), frames = [...text.parentElement.children].filter((child) => child.tagName === 'rect' && !child.matches('.flag')).map((rect) => rect.getBBox()); \
                return frames.length && !frames.some((frame) => box.x >= frame.x && box.x + box.width <= frame.x + frame.width); }).map((text) => text.textContent))";
            assert_eq!(browser.value(outside), json!([]), "{machine} at {width}");
        }
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_browser_runs_nothing_that_comes_from_outside() {
    let Some(mut browser) = browser::Browser::start() else { return };
    let mut facts = facts(REFERENCE);
    let evil =
        "<img src=http://example.invalid/x onerror=\"document.title='run'\"><script>document.title='run'</script>";
    facts.know("gpus[0].name", evil, Origin::User);
    let mut validation = BROKEN.clone();
    evil.clone_into(&mut validation.root);
    let text = written(&facts, &validation, Vec::new());
    let project = Project::empty();
    project.write("index.html", &text);
    browser.open(&project.path("index.html"), 1280, "light");
    assert!(browser.value("document.title").as_str().unwrap().contains(evil));
    assert_eq!(browser.complaints, Vec::<String>::new());
    assert!(browser.requests.values().all(|address| address.starts_with("file://")), "{:?}", browser.requests);
    // Even markup that got in would not run, nor load.
    project.write("index.html", &text.replace("<footer>", &format!("{evil}<footer>")));
    browser.requests.clear();
    browser.open(&project.path("index.html"), 1280, "light");
    assert_ne!(browser.value("document.title"), "run");
    assert!(browser.requests.values().all(|address| address.starts_with("file://")), "{:?}", browser.requests);
    assert!(browser.complaints.iter().any(|said| said.contains("Content Security Policy")), "{:?}", browser.complaints);
}
