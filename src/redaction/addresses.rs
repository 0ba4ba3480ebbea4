//! Addresses: of networks and cards, and the folders of other users.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Where an IP or MAC address stands. Those of every machine, such as 127.0.0.1 and 0.0.0.0, tell nothing.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for range in runs(text, |byte| byte.is_ascii_digit() || byte == b'.') {
        let range = trimmed(text, range, &['.']);
        let is_version = ["==", ">=", "<=", "~="].iter().any(|sign| text[..range.start].ends_with(sign));
        // The kernel of WSL, 5.15.167.4-microsoft-standard-WSL2.
        let is_version = is_version || text[range.end..].starts_with("-microsoft");
        if is_of_one_machine(&text[range.clone()]) && !is_version {
            found.push(range);
        }
    }
    for range in runs(text, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')) {
        // `::1` begins with what may also end a word before it.
        let all = [range.clone(), trimmed(text, range.clone(), &['.', ':'])];
        for range in all {
            let address: Result<Ipv6Addr, _> = text[range.clone()].parse();
            if address.is_ok_and(|address| !address.is_loopback() && !address.is_unspecified()) {
                found.push(range);
                break;
            }
        }
    }
    for separator in [b':', b'-'] {
        for range in runs(text, |byte| byte.is_ascii_hexdigit() || byte == separator) {
            let mut from = range.start;
            while from + MAC <= range.end {
                if is_mac(&text.as_bytes()[from..from + MAC], separator) {
                    found.push(from..from + MAC);
                }
                from += 1;
            }
        }
    }
    found
}

// Four numbers of one byte, which may begin with zeros.
fn is_of_one_machine(text: &str) -> bool {
    let numbers: Vec<Option<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [Some(a), Some(b), Some(c), Some(d)] => {
            let address = Ipv4Addr::new(a, b, c, d);
            !address.is_loopback() && !address.is_unspecified()
        }
        _ => false,
    }
}

/// Characters of `00:11:22:33:44:55`.
const MAC: usize = 17;

fn is_mac(bytes: &[u8], separator: u8) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| if at % 3 == 2 { *byte == separator } else { byte.is_ascii_hexdigit() })
}

fn runs(text: &str, is_inside: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut runs = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_inside(**byte)).count();
        // The shortest address is `a::`.
        if length > 2 {
            runs.push(at..at + length);
        }
        at += length.max(1);
    }
    runs
}

fn trimmed(text: &str, range: Range<usize>, ends: &[char]) -> Range<usize> {
    let run = &text[range.clone()];
    let start = range.start + (run.len() - run.trim_start_matches(ends).len());
    start..(range.start + run.trim_end_matches(ends).len()).max(start)
}

/// The text with `~` for the home directory of any user: `/home/NAME`, `/Users/NAME`, `C:\Users\NAME`.
pub(super) fn without_homes(text: &str) -> String {
    const FOLDERS: &[&str] = &["/home/", "/users/", r"\\users\\", r"\users\", r"\\documents and settings\\"];
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((at, folder)) =
        FOLDERS.iter().filter_map(|folder| Some((from + lower[from..].find(folder)?, folder))).min()
    {
        let start = at + folder.len();
        // A name of Windows may have spaces, where a folder follows.
        let is_windows = folder.starts_with('\\') || text[..at].ends_with(':');
        let line = text[start..].find(['\n', '\r', '"', '\'', '`']).map_or(text.len(), |end| start + end);
        let spaced = text[start..line].find(['/', '\\']).filter(|_| is_windows).map(|end| start + end);
        let is_end = |c: char| c.is_whitespace() || "/\\\"'`:,;()[]{}<>|&$*?=".contains(c);
        let end = spaced.unwrap_or_else(|| text[start..].find(is_end).map_or(text.len(), |end| start + end));
        let drive = out_drive(&text[from..at]);
        out.push_str(&text[from..at - drive]);
        out.push_str(if end == start { &text[at - drive..end] } else { "~" });
        from = end;
    }
    out + &text[from..]
}

// Bytes of the `C:` that a text ends with.
fn out_drive(text: &str) -> usize {
    match text.as_bytes() {
        [.., letter, b':'] if letter.is_ascii_alphabetic() => 2,
        _ => 0,
    }
}
