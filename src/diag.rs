//! Findings: what we have to say about a policy, a machine or a config, with the place it is about.
//!
//! A [`Finding`] is collected and reported together with the others; an error that stops the command is the stage's own
//! `thiserror` enum. Nothing here prints: `report` renders.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod codes;
pub mod placeholder;
pub use codes::{CODES, CodeInfo};

/// A text that was read, with the name it is shown under (a path as the user gave it, or `<built-in>/file`).
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Name shown in findings and written into plans.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A source that spans can share.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }
}

/// A byte range of a [`Source`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text that the range counts in.
    pub source: Arc<Source>,
    /// Bytes from the start of the text; always on character boundaries.
    pub range: Range<usize>,
}

impl Span {
    /// File, line and column of the first character.
    pub fn at(&self) -> At {
        let text = &self.source.text;
        let start = text.floor_char_boundary(self.range.start.min(text.len()));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        At {
            file: self.source.name.clone(),
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// File, line and column behind the last character.
    pub fn end(&self) -> At {
        let end = self.clamped().end;
        Self { source: Arc::clone(&self.source), range: end..end }.at()
    }

    /// The range, kept inside the text and on character boundaries.
    pub fn clamped(&self) -> Range<usize> {
        let text = &self.source.text;
        let start = text.floor_char_boundary(self.range.start.min(text.len()));
        let end = text.ceil_char_boundary(self.range.end.clamp(start, text.len()));
        start..end
    }
}

/// Where something stands: file, line (from 1) and column (in characters, from 1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// The file's name as it was given, or `<built-in>/…`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// How serious a finding is. An error refuses the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// Probably not what was wanted.
    Warning,
    /// Refuses the plan, unless it is allowed by its code.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Stable kebab-case name of a kind of finding: one of [`CODES`], or the `id` of a check in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// The code of that name: the `id` of a check, or what a file says.
    pub fn named(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }

    /// The name as it is written after `--allow`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Code {
    /// A built-in code; must stand in [`CODES`] (a test checks every use).
    fn from(name: &'static str) -> Self {
        debug_assert!(CODES.iter().any(|info| info.name == name), "finding code `{name}` is not in the table");
        Self(Cow::Borrowed(name))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a source and what is said about it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// Said under the place; may be empty.
    pub text: String,
}

/// Something to say about a policy, a machine or a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which kind of finding.
    pub code: Code,
    /// How serious.
    pub severity: Severity,
    /// One sentence, lower case, no final period.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where; the first is the main one. Empty when the finding is about no text (a fact, say).
    pub labels: Vec<Label>,
}

impl Finding {
    /// A finding at error.
    pub fn error(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A finding at warning.
    pub fn warning(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A finding at note.
    pub fn note(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, message)
    }

    /// A finding of the given severity, without a place or help.
    pub fn new(code: impl Into<Code>, severity: Severity, message: impl Into<String>) -> Self {
        Self { code: code.into(), severity, message: message.into(), help: None, labels: Vec::new() }
    }

    /// Adds a place; the first one added is the main one.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the help when there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// A finding as it stands in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingRecord {
    /// Which kind of finding; `wan22-policy explain CODE` describes it.
    pub code: String,
    /// How serious.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The main place, absent when the finding is about no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

impl From<&Finding> for FindingRecord {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.to_string(),
            severity: finding.severity,
            message: finding.message.clone(),
            help: finding.help.clone(),
            at: finding.labels.first().map(|label| label.span.at()),
        }
    }
}

impl FindingRecord {
    /// What is wrong, where, and what to do about it, in one line.
    pub fn advice(&self) -> String {
        let at = self.at.as_ref().map_or_else(String::new, |at| format!("{at}: "));
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        format!("{at}{}{help}", self.message)
    }
}

/// Turns the errors of these codes into warnings: what `--allow CODE` asks for.
pub fn allow(findings: &mut [Finding], codes: &[String]) {
    for finding in findings.iter_mut().filter(|finding| finding.severity == Severity::Error) {
        if codes.iter().any(|code| code == finding.code.as_str()) {
            finding.severity = Severity::Warning;
        }
    }
}

/// Whether any finding refuses the plan.
pub fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Error)
}

/// The candidate that is closest to a name, when one is close.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

/// ``did you mean `…`?`` when one of the candidates is close to the name.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}
