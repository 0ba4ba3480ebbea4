//! What tells whose machine it is: taken out of everything that is saved to be shown to others.

use std::env;
use std::path::PathBuf;

use serde_json::Value;
use sysinfo::System;

use crate::facts::Facts;
use crate::facts::file::FactsFile;

/// Fewest hexadecimal digits in a row, dashes aside, that make a serial number or an id: a UUID has 32.
const ID: usize = 32;

/// Names that so many machines and users have that they tell nothing. Some are words of the kernel's files (`nvidia`, as
/// the first user of a Jetson is called), which would be lost.
#[rustfmt::skip]
const USUAL: &[&str] = &[
    "/home", "/root", "admin", "container", "debian", "docker", "ec2-user", "home", "linux", "localhost", "lxc", "nvidia",
    "root", "ubuntu", "user", "vagrant",
];

/// The names of this machine and its user, and where the user's files lie.
pub fn names() -> Vec<String> {
    names_with(env::home_dir())
}

/// The same, with the folder that the user's files lie in.
pub fn names_with(home: Option<PathBuf>) -> Vec<String> {
    let user = ["USER", "LOGNAME", "USERNAME", "SUDO_USER"].into_iter().filter_map(|variable| env::var(variable).ok());
    let folder = home.as_deref().and_then(|home| home.file_name()?.to_str()).map(str::to_owned);
    let home = home.as_deref().and_then(|home| home.to_str()).map(str::to_owned);
    let host = System::host_name().ok();
    let short = host.as_deref().and_then(|host| host.split('.').next()).map(str::to_owned);
    telling(user.chain(home).chain(folder).chain(host).chain(short))
}

// Those that tell something, the longest first, for a name may begin another.
fn telling(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    // A word of two letters stands anywhere.
    names.retain(|name| name.len() > 2 && !USUAL.contains(&name.as_str()));
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.dedup();
    names
}

/// The facts as they are saved to be shown to others: where a finding stands is left out, for a path may be anyone's.
pub fn file(facts: &Facts, names: &[String]) -> FactsFile {
    let mut file = FactsFile::from(facts);
    for reason in file.unknown.values_mut() {
        *reason = strip(reason, names);
    }
    for model in file.facts.get_mut("models").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(path)) = model.get_mut("file") {
            *path = strip(path, names);
        }
    }
    for finding in &mut file.findings {
        finding.at = None;
        finding.message = strip(&finding.message, names);
        finding.help = finding.help.as_deref().map(|help| strip(help, names));
    }
    file
}

/// The text with these names as `NAME`, where they stand as words, and the digits of ids as zeros.
pub fn strip(text: &str, names: &[String]) -> String {
    let text = names.iter().fold(text.to_owned(), |text, name| replace_word(&text, name));
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars().map(Some).chain([None]) {
        if let Some(c) = c.filter(|c| c.is_ascii_hexdigit() || *c == '-') {
            run.push(c);
            continue;
        }
        let is_id = run.chars().filter(char::is_ascii_hexdigit).count() >= ID;
        out.extend(run.drain(..).map(|c| if is_id && c != '-' { '0' } else { c }));
        out.extend(c);
    }
    out
}

fn replace_word(text: &str, word: &str) -> String {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let is_word = !inside(before.chars().next_back().or(out.chars().next_back())) && !inside(after.chars().next());
        out.push_str(before);
        out.push_str(if is_word { "NAME" } else { word });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_many_have_stay_and_short_ones_go_with_their_folder() {
        let given = ["al", "/home/al", "nvidia", "ubuntu", "arthur", "/root", "arthur"].map(str::to_owned);
        assert_eq!(telling(given.into_iter()), ["/home/al", "arthur"]);
    }

    #[test]
    fn ids_and_names_are_taken_out_and_the_rest_stays() {
        let names = ["/home/al".to_owned(), "deep-thought".to_owned(), "arthur".to_owned()];
        for (text, want) in [
            (
                "/docker/0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef/x",
                "/docker/0000000000000000000000000000000000000000000000000000000000000000/x",
            ),
            ("GPU-01234567-89ab-cdef-0123-456789abcdef", "GPU-00000000-0000-0000-0000-000000000000"),
            ("/home/arthur/models", "/home/NAME/models"),
            ("lxc/deep-thought, arthurdent", "lxc/NAME, arthurdent"),
            ("MemTotal: 259257084 kB", "MemTotal: 259257084 kB"),
            ("ffffffff,ffffffff,ffffffff,ffffffff", "ffffffff,ffffffff,ffffffff,ffffffff"),
            ("arthur", "NAME"),
            ("lowerdir=/home/al/.local/share,nvidia,tegra", "lowerdir=NAME/.local/share,nvidia,tegra"),
        ] {
            assert_eq!(strip(text, &names), want);
        }
        assert!(names.iter().all(|name| name.len() > 2));
    }
}
