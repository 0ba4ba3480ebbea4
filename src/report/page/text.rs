//! Texts from outside in a page: which words are code, which are links, and what must not be shown as it is.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::diag::At;

/// A sentence in which what stands in backticks is code.
pub fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd backtick has no partner and stays.
    let is_paired = parts.len() % 2 == 1;
    html! {
        @if is_paired {
            @for (index, part) in parts.iter().enumerate() {
                @if index % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else { (text) }
    }
}

/// Where numbers come from: addresses are links, the rest is text.
pub fn sourced(text: &str) -> Markup {
    html! {
        @for (index, word) in text.split_whitespace().enumerate() {
            @if index > 0 { " " }
            @let address = address(word);
            @if address.is_empty() { (word) } @else {
                a href=(address) rel="noreferrer noopener" { (address) }
                (word[address.len()..])
            }
        }
    }
}

// The address that a word begins with, without the punctuation behind it; empty where it begins with none.
fn address(word: &str) -> &str {
    let is_address = ["https://", "http://"].iter().any(|scheme| word.starts_with(scheme));
    if is_address { word.trim_end_matches(['.', ',', ';', ':', ')']) } else { "" }
}

/// `file:line:column`, as code.
pub fn place(at: &At) -> Markup {
    path(&at.to_string())
}

/// A file, and what stands behind its name, as code that is broken behind a slash if at all.
pub fn path(path: &str) -> Markup {
    html! { code.place { @for part in path.split_inclusive('/') { span { (part) } } } }
}

/// A name that may be broken behind each such character.
pub fn broken(name: &str, behind: char) -> Markup {
    html! {
        @for (index, part) in name.split_inclusive(behind).enumerate() {
            @if index > 0 { wbr; }
            (part)
        }
    }
}

/// What can stand behind `#`, made of a name.
pub fn anchor(prefix: &str, name: &str) -> String {
    let rest: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    format!("{prefix}-{rest}")
}

/// The page with a sign for each character that HTML forbids, or that turns the direction of the text around it.
///
/// None of these is part of the markup, so nothing else changes.
pub fn printable(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for c in page.chars() {
        match c {
            '\n' | '\t' => text.push(c),
            // Unicode has a picture of each.
            '\0'..='\x1f' => text.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\x7f' => text.push('\u{2421}'),
            // INVARIANT: writing to a string does not fail.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => drop(write!(text, "[U+{:04X}]", u32::from(c))),
            '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fdd0}'..='\u{fdef}' => text.push('\u{fffd}'),
            _ if u32::from(c) & 0xfffe == 0xfffe => text.push('\u{fffd}'),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_stands_between_two_backticks() {
        assert_eq!(prose("say `a<b` or `c`").into_string(), "say <code>a&lt;b</code> or <code>c</code>");
        assert_eq!(prose("a ` alone").into_string(), "a ` alone");
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        let linked = sourced("https://a.example/x?a=1&b: the table").into_string();
        let address = "https://a.example/x?a=1&amp;b";
        assert_eq!(linked, format!("<a href=\"{address}\" rel=\"noreferrer noopener\">{address}</a>: the table"));
        for text in ["javascript:alert(1)", "the README", "data:text/html,x", "ftp://a"] {
            assert_eq!(sourced(text).into_string(), text);
        }
        assert!(sourced("https://a\"onclick=\"x").into_string().contains("href=\"https://a&quot;onclick=&quot;x\""));
    }

    #[test]
    fn what_cannot_be_shown_has_a_sign() {
        assert_eq!(printable("a\0b\r\n\u{202e}c\u{85}\u{ffff}é"), "a␀b␍\n[U+202E]c\u{fffd}\u{fffd}é");
    }
}
