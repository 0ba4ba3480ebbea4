//! What small files of a Python installation say, read as text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes that are read of a file. What is looked for stands at its top.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a file, without a byte order mark; what is not UTF-8 is replaced.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub fn read(path: &Path) -> io::Result<String> {
    // A pipe would never end.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Whether the error says that there is no such file or folder.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The text, when it is a version as packages have them: `2.9.1+cu128`, `9.10.2.21`.
pub fn version(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+!-".contains(c);
    (text.starts_with(|c: char| c.is_ascii_digit()) && text.len() <= 64 && text.chars().all(plain)).then_some(text)
}

/// The value that a Python or TOML text gives a name at the start of a line, as it is written: `'12.8'`, `None`.
///
/// The last one counts. An annotation (`cuda: Optional[str] = None`) and a comment behind the value are left out.
pub fn assigned<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let (target, value) = line.strip_prefix(name)?.split_once('=')?;
        let target = target.trim();
        let value = value.split('#').next().unwrap_or_default().trim();
        (target.is_empty() || target.starts_with(':')).then_some(value)
    };
    text.lines().rev().find_map(value)
}

/// The text inside a literal in single or double quotes that holds neither escapes nor quotes.
pub fn unquoted(literal: &str) -> Option<&str> {
    let inside = |quote| literal.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).filter(|text| !text.contains(['\'', '"', '\\']))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_byte_order_mark_and_bad_bytes_do_not_stop_the_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, b"\xef\xbb\xbfhome = \xff\r\n").unwrap();
        assert_eq!(read(&path).unwrap(), "home = \u{fffd}\r\n");
        fs::write(&path, vec![b'x'; (MAX_BYTES + 1) as usize]).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_BYTES);
        assert_eq!(read(folder.path()).unwrap_err().to_string(), "not a regular file");
    }

    #[test]
    fn versions_start_with_a_digit_and_hold_no_prose() {
        for text in ["2.9.1+cu128", "2.10.0a0+gite67e3d9", "1!2.0", "9.10.2.21", "3.0.0b1"] {
            assert_eq!(version(text), Some(text));
        }
        for text in ["", "v1", "unknown", "2.9 or so", "/home/me", "2.9\u{202e}"] {
            assert_eq!(version(text), None, "{text}");
        }
        assert_eq!(version(&"1".repeat(65)), None);
    }

    #[test]
    fn assignments_are_read_as_they_are_written() {
        for (text, want) in [
            ("cuda = '12.8'\n", Some("'12.8'")),
            ("cuda: Optional[str] = None\r\nhip = 1\r\n", Some("None")),
            ("cuda: str | None = \"13.0\"  # built by CI\n", Some("\"13.0\"")),
            ("cuda = '11.8'\ncuda = '12.1'\n", Some("'12.1'")),
            ("cuda_home = '/usr'\n  cuda = 1\n# cuda = 2\n", None),
            ("if cuda == '12.8':\n", None),
            ("cuda.x = 3\n", None),
        ] {
            assert_eq!(assigned(text, "cuda"), want, "{text}");
        }
    }

    #[test]
    fn quotes_come_in_pairs() {
        assert_eq!(unquoted("'12.8'"), Some("12.8"));
        assert_eq!(unquoted("\"\""), Some(""));
        for literal in ["12.8", "'12.8", "'12.8\"", "'", "'a' + 'b'", r"'\x31'"] {
            assert_eq!(unquoted(literal), None, "{literal}");
        }
    }
}
