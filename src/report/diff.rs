//! The difference of two texts, line by line.

use similar::TextDiff;

use super::paint::Paint;

/// A unified diff of a file, three lines of context; empty when the texts are equal.
///
/// `before` is `None` when there is no file, which reads as `/dev/null`, as in Git.
pub fn unified(file: &str, before: Option<&str>, after: &str) -> String {
    if before == Some(after) {
        return String::new();
    }
    let old = before.map_or("/dev/null".to_owned(), |_| format!("a/{file}"));
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after);
    diff.unified_diff().context_radius(3).header(&old, &format!("b/{file}")).to_string()
}

/// A diff for people.
pub fn coloured(diff: &str, paint: Paint) -> String {
    if !paint.colours {
        return diff.to_owned();
    }
    let line = |line: &str| {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let text = match text.as_bytes().first() {
            _ if text.starts_with("+++") || text.starts_with("---") => paint.bold(text),
            Some(b'+') => paint.green(text),
            Some(b'-') => paint.red(text),
            Some(b'@') => paint.cyan(text),
            _ => text.to_owned(),
        };
        text + end
    };
    diff.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_the_file_and_the_lines() {
        let diff = unified("c.json", Some("{\n  \"a\": 1\n}\n"), "{\n  \"a\": 2\n}\n");
        assert_eq!(diff, "--- a/c.json\n+++ b/c.json\n@@ -1,3 +1,3 @@\n {\n-  \"a\": 1\n+  \"a\": 2\n }\n");
        assert!(coloured(&diff, Paint { colours: true }).contains("\x1b[31m-  \"a\": 1\x1b[0m\n"));
        assert_eq!(unified("c.json", Some("x"), "x"), "");
        assert!(unified("c.json", None, "x\n").starts_with("--- /dev/null\n"));
    }
}
