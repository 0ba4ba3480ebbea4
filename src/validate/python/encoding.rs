//! The bytes of a source file → its text, as PEP 263 says.

use encoding_rs::{Encoding, UTF_8};

use super::SyntaxError;

/// The text, and the error where the file is not in its encoding; bytes that it does not have are replaced.
pub(super) fn decode(bytes: &[u8]) -> (String, Option<SyntaxError>) {
    let marked = bytes.strip_prefix(b"\xef\xbb\xbf");
    let bytes = marked.unwrap_or(bytes);
    let named = declared(bytes).map(|(name, _)| name);
    let encoding = match &named {
        Some(name) => Encoding::for_label(label(name).as_bytes()),
        None => Some(UTF_8),
    };
    let (text, has_errors) = encoding.unwrap_or(UTF_8).decode_without_bom_handling(bytes);
    let text = text.into_owned();
    // In the text it stands elsewhere than in the bytes, where those before it are not of ASCII.
    let place = declared(text.as_bytes()).map_or(0..0, |(name, start)| start..start + name.len());
    let error = match (encoding, named) {
        // Python takes no other spelling there.
        (_, Some(name)) if marked.is_some() && !is_utf_8(&name) => Some(SyntaxError {
            range: place,
            message: format!("the file begins with the mark of UTF-8, and says `{name}`"),
            help: Some("write `utf-8`, or remove that comment".to_owned()),
        }),
        (None, Some(name)) => Some(SyntaxError {
            range: place,
            message: format!("there is no encoding `{name}`"),
            help: Some("write the file in UTF-8 and remove that comment".to_owned()),
        }),
        (Some(encoding), _) if has_errors => {
            let at = text.find(char::REPLACEMENT_CHARACTER).unwrap_or_default();
            Some(SyntaxError {
                range: at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
                message: format!("the file is not in {}, and names no other encoding", encoding.name()),
                help: Some("save the file in UTF-8".to_owned()),
            })
        }
        _ => None,
    };
    (text, error)
}

fn is_utf_8(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name == "utf-8" || name.starts_with("utf-8-")
}

// The name after `coding:` or `coding=` in a comment of one of the first two lines, and where it stands.
fn declared(bytes: &[u8]) -> Option<(String, usize)> {
    let mut start = 0;
    for line in bytes.split(|byte| *byte == b'\n').take(2) {
        let text = String::from_utf8_lossy(line);
        let comment = text.trim_start_matches([' ', '\t', '\x0c']);
        if comment.starts_with('#')
            && let Some((_, after)) = text.split_once("coding")
            && let Some(after) = after.strip_prefix([':', '='])
        {
            let after = after.trim_start_matches([' ', '\t']);
            let name: String =
                after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
            let at = start + (text.len() - after.len());
            return (!name.is_empty()).then_some((name, at));
        }
        if !comment.trim().is_empty() && !comment.starts_with('#') {
            return None;
        }
        start += line.len() + 1;
    }
    None
}

// Python's names of encodings, which are many, as the web calls them.
fn label(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        "utf8" | "utf-8" | "utf-8-sig" | "u8" => "utf-8".to_owned(),
        name if name.starts_with("latin") || name.starts_with("iso-8859-1") || name == "ascii" => "latin1".to_owned(),
        "cp1251" | "cp1252" | "cp1250" => name.replace("cp", "windows-"),
        "cp932" | "mbcs" | "shift-jis" => "shift_jis".to_owned(),
        "cp936" => "gbk".to_owned(),
        "cp949" => "euc-kr".to_owned(),
        _ => name,
    }
}
