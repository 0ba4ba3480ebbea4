//! A validation as JUnit XML, which CI services show: a suite for each group, a test case for each rule. What nobody measured
//! is skipped, and says why.
//!
//! Source: the schema that Jenkins checks such files with, junit-10.xsd.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::dossier::Dossier;
use super::human::validation::figure;
use super::validation::{FigureOrigin, GroupRecord, RuleRecord, RuleResult};
use crate::diag::FindingRecord;
use crate::facts::units::Unit;

/// The suites.
pub fn text(dossier: &Dossier<'_>) -> String {
    let mut file = File(Writer::new_with_indent(Vec::new(), b' ', 2));
    // A vector takes every byte, and every byte is of a string.
    file.suites(dossier)
        .map(|()| file.0.into_inner())
        .ok()
        .and_then(|xml| String::from_utf8(xml).ok())
        .unwrap_or_default()
        + "\n"
}

struct File(Writer<Vec<u8>>);

impl File {
    fn suites(&mut self, dossier: &Dossier<'_>) -> io::Result<()> {
        self.0.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let rules = dossier.validation.verdict.rules;
        self.start(
            "testsuites",
            &[
                ("name", concat!(env!("CARGO_PKG_NAME"), " validate")),
                ("tests", &rules.total().to_string()),
                ("failures", &rules.failed.to_string()),
                ("errors", "0"),
            ],
        )?;
        for group in &dossier.validation.groups {
            self.suite(dossier, group)?;
        }
        self.end("testsuites")
    }

    fn suite(&mut self, dossier: &Dossier<'_>, group: &GroupRecord) -> io::Result<()> {
        let of = |result: RuleResult| group.rules.iter().filter(|rule| rule.result == result).count().to_string();
        self.start(
            "testsuite",
            &[
                ("name", &group.group),
                ("tests", &group.rules.len().to_string()),
                ("failures", &of(RuleResult::Fail)),
                ("errors", "0"),
                ("skipped", &of(RuleResult::NotMeasured)),
                ("timestamp", &dossier.time),
            ],
        )?;
        let target = dossier.validation.target.as_deref().unwrap_or("unknown");
        let properties = [
            ("title", group.title.as_str()),
            ("root", &dossier.validation.root),
            ("stack", target),
            ("machine", &dossier.machine),
        ];
        self.start("properties", &[])?;
        for (name, value) in properties {
            self.empty("property", &[("name", name), ("value", value)])?;
        }
        self.end("properties")?;
        for rule in &group.rules {
            self.case(dossier, group, rule)?;
        }
        self.end("testsuite")
    }

    fn case(&mut self, dossier: &Dossier<'_>, group: &GroupRecord, rule: &RuleRecord) -> io::Result<()> {
        let class = format!("validate.{}", group.group);
        let took = took(rule).map(|seconds| seconds.to_string());
        let time = took.as_deref().map(|seconds| ("time", seconds));
        let named = [("name", rule.rule.as_str()), ("classname", &class)];
        let attributes: Vec<_> = named.into_iter().chain(time).collect();
        let message = says(rule);
        match rule.result {
            RuleResult::Pass if message.is_empty() => self.empty("testcase", &attributes),
            RuleResult::Pass => {
                self.start("testcase", &attributes)?;
                self.texted("system-out", &[], &message)?;
                self.end("testcase")
            }
            RuleResult::Fail => {
                let kind = if rule.critical { "critical" } else { "not critical" };
                let findings = dossier.validation.findings_of(group, rule);
                self.start("testcase", &attributes)?;
                self.texted("failure", &[("message", &message), ("type", kind)], &reason(rule, &message, &findings))?;
                self.end("testcase")
            }
            RuleResult::NotMeasured => {
                let help = rule.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
                self.start("testcase", &attributes)?;
                self.empty("skipped", &[("message", &format!("not measured: {message}{help}"))])?;
                self.end("testcase")
            }
        }
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        self.0.write_event(Event::Start(element(name, attributes)))
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        self.0.write_event(Event::Empty(element(name, attributes)))
    }

    fn texted(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) -> io::Result<()> {
        self.start(name, attributes)?;
        self.0.write_event(Event::Text(BytesText::new(&allowed(text))))?;
        self.end(name)
    }

    fn end(&mut self, name: &str) -> io::Result<()> {
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }
}

fn element<'a>(name: &'a str, attributes: &[(&str, &str)]) -> BytesStart<'a> {
    let attributes: Vec<(&str, String)> = attributes.iter().map(|(key, value)| (*key, allowed(value))).collect();
    BytesStart::new(name).with_attributes(attributes.iter().map(|(key, value)| (*key, value.as_str())))
}

// What was found, and the figure with what is wanted of it.
fn says(rule: &RuleRecord) -> String {
    let figure = rule.figure.as_ref().map_or_else(String::new, figure);
    [rule.message.as_str(), &figure].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn reason(rule: &RuleRecord, message: &str, findings: &[&FindingRecord]) -> String {
    let message = if message.is_empty() { rule.rule.as_str() } else { message };
    let help = rule.help.as_ref().map(|help| format!("help: {help}"));
    let findings = findings.iter().map(|finding| {
        let at = finding.at.as_ref().map_or_else(String::new, |at| format!("{at}: "));
        let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}"));
        format!("{at}{}[{}]: {}{help}", finding.severity, finding.code, finding.message)
    });
    let lines = [message.to_owned()].into_iter().chain(help).chain([format!("why: {}", rule.why)]).chain(findings);
    lines.collect::<Vec<_>>().join("\n")
}

// How long the thing took that the rule is about, where somebody measured that. How long the rule took says nothing.
fn took(rule: &RuleRecord) -> Option<f64> {
    let figure = rule.figure.as_ref()?;
    let is_time = figure.unit == Some(Unit::Seconds) && figure.origin == FigureOrigin::Measured;
    figure.value.filter(|_| is_time)
}

// What no XML may hold, not even escaped, stands as the character for what cannot be shown, and with it what moves the cursor
// of a terminal.
fn allowed(text: &str) -> String {
    let is_allowed =
        |c: char| !(c.is_control() && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{FFFE}' | '\u{FFFF}'));
    text.chars().map(|c| if is_allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_xml_may_hold_is_replaced() {
        assert_eq!(allowed("a\u{1b}[2J\u{0}b\u{fffe}\u{9b}\n\té"), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}\n\té");
    }
}
