//! Colours for people, or none.

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Whether terminal colours are written at all.
    pub colours: bool,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.colours && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A heading, or the value that was asked for.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What is there to look up, not to read.
    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What is added, and what is fine.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What is taken away, and what is wrong.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// A place in a diff.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bare_unless_colours_are_wanted() {
        assert_eq!(Paint::default().bold("x"), "x");
        assert_eq!(Paint { colours: true }.red("x"), "\x1b[31mx\x1b[0m");
    }
}
