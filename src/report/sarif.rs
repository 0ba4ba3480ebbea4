//! Findings as SARIF 2.1.0, which code review tools show beside the lines that they are about.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_sarif::sarif::{
    ArtifactLocation, Location, Message, MultiformatMessageString, PhysicalLocation, Region, ReportingDescriptor,
    Result as SarifResult, ResultLevel, Run, SCHEMA_URL, Sarif, Tool, ToolComponent,
};

use super::json;
use crate::diag::{Finding, Label, Severity, codes};

/// Everything but what a path may hold as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The findings as one run of this program.
pub fn text(findings: &[Finding]) -> String {
    let rules: BTreeMap<&str, ReportingDescriptor> = findings.iter().map(|f| (f.code.as_str(), rule(f))).collect();
    let driver = ToolComponent::builder()
        .name(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .rules(rules.into_values().collect::<Vec<_>>())
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .column_kind("unicodeCodePoints")
        .results(findings.iter().map(result).collect::<Vec<_>>())
        .build();
    json::text(&Sarif::builder().version("2.1.0").schema(SCHEMA_URL).runs(vec![run]).build())
}

fn rule(finding: &Finding) -> ReportingDescriptor {
    let code = finding.code.as_str();
    // The codes of checks stand in the policies; each finding of theirs says what it is.
    let description = codes::find(code).map_or(code, |info| info.description);
    let description = MultiformatMessageString::builder().text(description).build();
    ReportingDescriptor::builder().id(code).full_description(description).build()
}

fn result(finding: &Finding) -> SarifResult {
    let level = match finding.severity {
        Severity::Note => ResultLevel::Note,
        Severity::Warning => ResultLevel::Warning,
        Severity::Error => ResultLevel::Error,
    };
    let text = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    let (main, related) = finding.labels.split_at(finding.labels.len().min(1));
    SarifResult::builder()
        .rule_id(finding.code.as_str())
        .level(level)
        .message(Message::builder().text(text).build())
        .locations(main.iter().map(location).collect::<Vec<_>>())
        .related_locations(related.iter().map(location).collect::<Vec<_>>())
        .build()
}

fn location(label: &Label) -> Location {
    let (start, end) = (label.span.at(), label.span.end());
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let region = Region::builder()
        .start_line(number(start.line))
        .start_column(number(start.column))
        .end_line(number(end.line))
        .end_column(number(end.column))
        .build();
    // The policies that come with the program lie in the folder `policies` of its sources.
    let path = start.file.replacen("<built-in>/", "policies/", 1);
    let uri = utf8_percent_encode(&path, PATH).to_string();
    let file = ArtifactLocation::builder().uri(uri).build();
    let place = PhysicalLocation::builder().artifact_location(file).region(region).build();
    let location = Location::builder().physical_location(place);
    match label.text.is_empty() {
        true => location.build(),
        false => location.message(Message::builder().text(label.text.as_str()).build()).build(),
    }
}
