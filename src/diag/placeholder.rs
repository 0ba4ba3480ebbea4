//! Sentences that are still to be written: what stands in their place, and what is said of it.

use super::{Finding, Span};

/// Begins a text that somebody still has to write, and says what belongs there.
pub const PLACEHOLDER: &str = "TODO";

/// What there is to say of the text under a key of something, when it is still to be written.
pub fn unwritten(whose: &str, key: &str, text: &str, span: impl FnOnce() -> Span) -> Option<Finding> {
    let is_word = |part: &str| !part.starts_with(|c: char| c.is_alphanumeric());
    let mut after = text.split(PLACEHOLDER).skip(1);
    after.any(is_word).then(|| {
        Finding::warning("to-fill-in", format!("the `{key}` of {whose} is still to be written"))
            .at(span(), "")
            .help("say what the placeholder asks for; without it nobody can tell whether the rest is right")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;

    #[test]
    fn a_placeholder_is_a_word_of_its_own() {
        let said = |text: &str| {
            let span = || Span { source: Source::new("a.yaml", text), range: 0..1 };
            unwritten("policy `a`", "why", text, span).map(|finding| finding.message)
        };
        for text in ["TODO", "TODO: why it is right", "measured on 2026-11-25; TODO: on which machine"] {
            assert_eq!(said(text).as_deref(), Some("the `why` of policy `a` is still to be written"));
        }
        for text in ["", "the TODOs of the driver's release notes", "it does what it says"] {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
