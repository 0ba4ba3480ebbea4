//! Findings for people, as rustc shows its errors: the place, the source line, the label, the help.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::paint::Paint;
use crate::diag::{Finding, Label, Severity};

/// Columns to wrap at; a source line that is longer is cut.
const WIDTH: usize = 140;

/// All findings, the most serious first, an empty line after each, and a line that counts them. Empty without findings.
pub fn render(findings: &[Finding], paint: Paint) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut text: String = sorted.into_iter().map(|finding| one(finding, paint) + "\n\n").collect();
    if !findings.is_empty() {
        text.push_str(&count(findings));
        text.push('\n');
    }
    text
}

/// How many findings there are of each severity: `1 error, 2 warnings`.
pub fn count(findings: &[Finding]) -> String {
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (severity, findings.iter().filter(|finding| finding.severity == severity).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| super::human::count(count, &severity.to_string()))
        .collect();
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

fn one(finding: &Finding, paint: Paint) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let code = printable(finding.code.as_str());
    let title = level.primary_title(finding.message.as_str()).id(code.as_str());
    let mut group = Group::with_title(title);
    // Labels in one text share a snippet, in the order in which the texts come.
    let mut labels: Vec<(usize, &Label)> = finding.labels.iter().enumerate().collect();
    while let Some((_, first)) = labels.first() {
        let source = first.span.source.clone();
        let (here, others): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(_, label)| label.span.source == source);
        labels = others;
        let annotations = here.into_iter().map(|(place, label)| {
            let kind = if place == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let text = (!label.text.is_empty()).then(|| label.text.clone());
            kind.span(label.span.clamped()).label(text)
        });
        let snippet = Snippet::source(source.text.clone()).path(source.name.clone()).fold(true);
        group = group.element(snippet.annotations(annotations));
    }
    let help = finding.help.as_deref().map(printable);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if paint.colours { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(WIDTH).render(&[group])
}

// Without what moves a terminal's cursor: a code and a help may come from a facts file. The renderer sees to the message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Code, Source, Span};

    #[test]
    fn a_finding_shows_its_line() {
        let source = Source::new("20-a.yaml", "policies:\n  - id: a\n    when: gpu.vrm > 1\n");
        let span = Span { source, range: 34..37 };
        let finding = Finding::error("unknown-fact", "unknown fact `gpu.vrm`");
        let finding = finding.at(span, "no such fact").help("did you mean `gpu.vram`?");
        insta::assert_snapshot!(render(&[finding, Finding::note("driver-missing", "no driver")], Paint::default()), @"
        error[unknown-fact]: unknown fact `gpu.vrm`
         --> 20-a.yaml:3:15
          |
        3 |     when: gpu.vrm > 1
          |               ^^^ no such fact
          |
          = help: did you mean `gpu.vram`?

        note[driver-missing]: no driver

        1 error, 1 note
        ");
    }

    #[test]
    fn nothing_in_a_finding_moves_the_cursor() {
        let finding = Finding::new(Code::named("a\x1b[2J"), Severity::Note, "b\x1b[2J").help("c\x1b]0;d\x07\ne");
        let text = render(&[finding], Paint::default());
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
