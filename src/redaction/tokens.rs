//! What looks like a secret wherever it stands: keys of services by how they begin, long random words, PEM blocks, names
//! and passwords in URLs.

use std::ops::Range;

/// How the keys of services begin, and how many characters follow at least.
const BEGINNINGS: &[(&str, usize)] = &[
    ("AIza", 16), // Google
    ("AKIA", 8),  // AWS
    ("ASIA", 8),
    ("SG.", 16), // SendGrid
    ("dckr_pat_", 8),
    ("dop_v1_", 8),
    ("eyJ", 8),  // any JWT: `{"` in base64
    ("ghp_", 8), // GitHub
    ("gho_", 8),
    ("ghs_", 8),
    ("ghu_", 8),
    ("ghr_", 8),
    ("github_pat_", 8),
    ("glpat-", 8), // GitLab
    ("gsk_", 8),
    ("hf_", 8), // Hugging Face
    ("npm_", 8),
    ("nvapi-", 8), // NVIDIA
    ("pk_", 8),
    ("pypi-", 16),
    ("r8_", 8), // Replicate
    ("rk_", 8),
    ("sk-", 8), // OpenAI and others
    ("sk_", 8),
    ("whsec_", 8),
    ("xapp-", 8), // Slack
    ("xoxa-", 8),
    ("xoxb-", 8),
    ("xoxp-", 8),
    ("xoxr-", 8),
    ("xoxs-", 8),
    ("ya29.", 8),
];

/// Fewest letters and digits in a row, small, capital and numeric, that no name of a model or file has: estimate, the
/// longest such word in the names of Wan's files has 12.
const RANDOM: usize = 24;

/// Where something stands that looks like a secret.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    blocks(text, &mut found);
    begun(text, &mut found);
    random(text, &mut found);
    logins(text, &mut found);
    found
}

// PEM, also where it is written as one line with `\n`: from its first dashes to its last, or to the end of the text.
fn blocks(text: &str, found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(at) = text[from..].find("-----BEGIN").map(|at| from + at) {
        let end = text[at..].find("-----END").map(|end| at + end + "-----END".len());
        let end = end.map(|end| text[end..].find("-----").map_or(text.len(), |last| end + last + "-----".len()));
        let end = end.unwrap_or(text.len());
        found.push(at..end);
        from = end;
    }
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'~')
}

fn begun(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let begins = || BEGINNINGS.iter().find(|(beginning, _)| rest.starts_with(beginning.as_bytes()));
        let Some((beginning, fewest)) = is_word_start(bytes, at).then(begins).flatten() else {
            at += 1;
            continue;
        };
        let tail = rest[beginning.len()..].iter().take_while(|byte| is_of_key(**byte)).count();
        let key = &rest[beginning.len()..beginning.len() + tail];
        // `hf_transfer` is a package, `sk-learning-rate` a name.
        let is_name = key.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-' | b'.' | b'/'));
        if tail >= *fewest && !(is_name && tail < RANDOM) {
            found.push(at..at + beginning.len() + tail);
        }
        at += beginning.len();
    }
}

// Also behind `%3D`, as a URL writes what separates it.
fn is_word_start(bytes: &[u8], at: usize) -> bool {
    let is_encoded = at >= 3 && bytes[at - 3] == b'%' && bytes[at - 2..at].iter().all(u8::is_ascii_hexdigit);
    // As `\n` in a JSON text.
    let is_escaped = at >= 2 && bytes[at - 2] == b'\\';
    at == 0 || is_encoded || is_escaped || !(bytes[at - 1].is_ascii_alphanumeric())
}

fn random(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let word = &bytes[at..at + length];
        let has = |is: fn(&u8) -> bool| word.iter().any(is);
        if length >= RANDOM && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit) {
            // With what is left and right of it, as base64 goes on behind a `/`.
            let before = bytes[..at].iter().rev().take_while(|byte| is_of_base64(**byte)).count();
            let after = bytes[at + length..].iter().take_while(|byte| is_of_base64(**byte)).count();
            found.push(at - before..at + length + after);
        }
        at += length.max(1);
    }
}

fn is_of_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-')
}

// `user:password@` and `user@`, in a URL and before a host.
fn logins(text: &str, found: &mut Vec<Range<usize>>) {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '|');
    for (at, _) in text.match_indices('@') {
        let start = text[..at].rfind(ends).map_or(0, |end| text.ceil_char_boundary(end + 1));
        let end = text[at..].find(ends).map_or(text.len(), |end| at + end);
        let (before, after) = (&text[start..at], &text[at + 1..end]);
        if !before.contains(|c: char| c.is_alphanumeric()) || !after.contains(|c: char| c.is_alphanumeric()) {
            continue;
        }
        match before.rfind("://") {
            Some(scheme) => found.push(start + scheme + 3..at),
            None => found.push(start..end),
        }
    }
}
