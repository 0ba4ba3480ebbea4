//! The part of `cmd.exe` that sets variables and puts them into lines.
//!
//! Phases as in "How does the Windows Command Interpreter parse scripts?" (stackoverflow.com/a/4095133): percent expansion,
//! then quotes, carets and operators, then delayed expansion, then the command.

use std::collections::BTreeMap;

pub type Variables = BTreeMap<String, String>;

/// Runs a batch file that only sets variables.
pub fn run(text: &str, is_delayed: bool) -> Result<Variables, String> {
    let mut variables =
        Variables::from([("PATH".to_owned(), "C:\\Windows".to_owned()), ("X".to_owned(), "x".to_owned())]);
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.len() > 8191 {
            return Err("a line that is too long".to_owned());
        }
        let line = parsed(line, &variables, is_delayed)?;
        let command = line.trim_start_matches(['@', ' ', '\t']);
        match command.split_once(' ') {
            _ if command.is_empty() => {}
            Some(("set", argument)) => set(argument, &mut variables)?,
            Some(("echo" | "rem", _)) => {}
            _ => return Err(format!("ran `{command}`")),
        }
    }
    Ok(variables)
}

/// A line of one command that names variables, as the command gets it.
pub fn used(variables: &Variables, line: &str, is_delayed: bool) -> Result<String, String> {
    parsed(line, variables, is_delayed)
}

fn parsed(line: &str, variables: &Variables, is_delayed: bool) -> Result<String, String> {
    let line = percent(line, variables);
    if !line.is_ascii() {
        return Err("a character of another code page".to_owned());
    }
    // Phase 2.
    let mut out = String::new();
    let mut is_quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\r' | '\0' | '\u{1a}' => return Err(format!("{c:?} in a line")),
            '"' => {
                is_quoted = !is_quoted;
                out.push(c);
            }
            '^' if !is_quoted => out.extend(chars.next()),
            '&' | '|' | '<' | '>' if !is_quoted => return Err(format!("the operator `{c}` counts")),
            '(' | ')' if !is_quoted && !line.starts_with("set ") => return Err(format!("`{c}` may end a block")),
            _ => out.push(c),
        }
    }
    // Phase 5.
    if is_delayed && out.contains('!') {
        return Err("delayed expansion replaces it".to_owned());
    }
    Ok(out)
}

// Phase 1: `%%` is one; `%name%` the variable, or nothing; a lone one vanishes, and `%1` is an argument that is not there.
fn percent(line: &str, variables: &Variables) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
        } else if rest.starts_with(|c: char| c.is_ascii_digit() || c == '*') {
            rest = &rest[1..];
        } else if let Some(end) = rest.find('%') {
            out.push_str(variables.get(&rest[..end].to_ascii_uppercase()).map_or("", String::as_str));
            rest = &rest[end + 1..];
        }
    }
    out.push_str(rest);
    out
}

// `set "NAME=value"` ends at the last quote; without one before the name, quotes and all blanks belong to the value.
fn set(argument: &str, variables: &mut Variables) -> Result<(), String> {
    let argument = argument.trim_start_matches([' ', '\t', ',', ';']);
    let content = match argument.strip_prefix('"') {
        Some(quoted) => quoted.rfind('"').map_or(quoted, |end| &quoted[..end]),
        None => argument,
    };
    let (name, value) = content.split_once('=').ok_or_else(|| format!("`set {argument}` shows variables"))?;
    if name.is_empty() || name.starts_with('/') {
        return Err(format!("`set {argument}` is no assignment"));
    }
    match value {
        "" => variables.remove(&name.to_ascii_uppercase()),
        value => variables.insert(name.to_ascii_uppercase(), value.to_owned()),
    };
    Ok(())
}

#[test]
fn the_interpreter_does_what_cmd_does() {
    let value = |text: &str| run(text, false).map(|variables| variables.get("A").cloned().unwrap_or_default());
    for (text, want) in [
        ("set A=1 ", "1 "),
        ("set \"A=1\" x", "1"),
        ("set \"A=a \"b\" c\"", "a \"b\" c"),
        ("set A=a^&b", "a&b"),
        ("set \"A=a^&b\"", "a^&b"),
        ("set A=%%PATH%%", "%PATH%"),
        ("set A=%path%;x", "C:\\Windows;x"),
        ("set A=100%", "100"),
        ("set A=", ""),
        ("set A=1\nset a=", ""),
        ("@echo off\nset \"A=x=y\"", "x=y"),
    ] {
        assert_eq!(value(text).as_deref(), Ok(want), "{text}");
    }
    for text in ["set A=1 & del x", "del x", "set A=\"x & \" & del", "set /a A=1"] {
        assert!(value(text).is_err(), "{text}");
    }
    assert!(run("set A=!x!", true).is_err());
}
