//! A card that a user names by some words: which rows of the table of cards are meant, and what it reports as its VRAM.

use serde_json::Value;

use super::error::CliError;
use crate::diag::did_you_mean;
use crate::facts::Origin;
use crate::facts::units::{Unit, show};

/// What a card of which no report is known has at least of the size on its box: 15845 of 16384 MiB, as an RTX 5060 Ti, the
/// least of the cards without ECC in `policies/data/reported.yaml`.
const REPORTED: f64 = 0.967;

/// Most names in one message.
const MOST_NAMES: usize = 12;

/// The card that is meant: its rows, which have one name, and the sizes that it was sold with.
pub(super) struct Card<'a> {
    pub name: &'a str,
    rows: Vec<&'a Value>,
    // Bytes, the smallest first.
    sizes: Vec<u64>,
    // Names of other cards that have the same words.
    longer: Vec<String>,
}

impl<'a> Card<'a> {
    /// By its name in the table, or by some words of only that one: `RTX 4090` is enough of `NVIDIA GeForce RTX 4090`. Of
    /// several, the size tells.
    pub fn find(asked: &str, vram: Option<i64>, table: &'a Value) -> Result<Self, CliError> {
        let words = short(asked);
        if words.is_empty() {
            return Err(CliError::usage("--gpu names no card"));
        }
        let rows: Vec<&Value> = table.as_array().into_iter().flatten().collect();
        let of = |is_meant: fn(&str, &str) -> bool, words: &str| -> Vec<&'a Value> {
            rows.iter().copied().filter(|row| is_meant(&short(name_of(row)), words)).collect()
        };
        let ways = [is, begins, has, has_all];
        let mut meant = ways.into_iter().map(|way| of(way, &words)).find(|rows| !rows.is_empty()).unwrap_or_default();
        let is_of_size = |row: &&Value| vram.is_some_and(|size| row["vram"] == size);
        if names(&meant).len() > 1 && meant.iter().any(is_of_size) {
            meant.retain(is_of_size);
        }
        let Some(first) = meant.first() else {
            // By its first word, then by letters.
            let fewer = words.split(' ').next().filter(|first| first.chars().any(|c| c.is_ascii_digit()));
            let near = fewer.map(|first| names(&of(has, first))).filter(|near| !near.is_empty());
            let near = near.map(|near| format!("there are {}", some_of(near))).or_else(|| {
                let names: Vec<String> = rows.iter().map(|row| short(name_of(row)).to_uppercase()).collect();
                did_you_mean(&words.to_uppercase(), names.iter().map(String::as_str))
            });
            let by_memory = match vram {
                None => "describe it by its memory alone, with --vram and no --gpu",
                Some(_) => "leave --gpu out",
            };
            let help = near.map_or_else(|| by_memory.to_owned(), |near| format!("{near}; or {by_memory}"));
            return Err(CliError::usage(format!("`{asked}` is not in the table of cards")).help(help));
        };
        if names(&meant).len() > 1 {
            let help = format!("say which: {}", some_of(names(&meant)));
            return Err(CliError::usage(format!("`{asked}` may be several cards")).help(help));
        }
        let mut sizes: Vec<u64> = meant.iter().filter_map(|row| row["vram"].as_u64()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let name = name_of(first);
        let longer = names(&of(has, &words)).into_iter().filter(|other| other != name).collect();
        Ok(Self { name, rows: meant, sizes, longer })
    }

    /// The rows of the size that was asked for, or of the only one: what the sizes of a card do not have in common is theirs.
    pub fn of_size(&self, vram: Option<i64>) -> Option<Value> {
        let only = self.sizes.first().copied().filter(|_| self.sizes.len() == 1);
        let size = self.sold(vram).or(only)?;
        Some(self.rows.iter().filter(|row| row["vram"] == size).map(|row| (*row).clone()).collect())
    }

    // The size on the box is as good a name as what is reported.
    fn sold(&self, vram: Option<i64>) -> Option<u64> {
        self.sizes.iter().copied().find(|size| vram.is_some_and(|asked| i64::try_from(*size) == Ok(asked)))
    }

    /// What it reports as its VRAM, bytes, and who says so. `reported` are the reports that are known.
    pub fn total(&self, vram: Option<i64>, reported: &Value) -> Result<(u64, Origin), CliError> {
        let known = |size: u64| {
            let mut rows = reported.as_array().into_iter().flatten();
            rows.find(|row| row["name"] == self.name && row["vram"] == size).and_then(|row| row["total"].as_u64())
        };
        let of = |size: u64| known(size).unwrap_or((size as f64 * REPORTED) as u64);
        let asked = vram.and_then(|bytes| u64::try_from(bytes).ok());
        match (asked, self.sold(vram), &self.sizes[..]) {
            (_, Some(size), [_, _, ..]) | (None, _, &[size]) => Ok((of(size), Origin::Table)),
            // Where there is only one size, whoever names it means what the card reports.
            (Some(asked), Some(size), _) => Ok((known(size).unwrap_or(asked), Origin::User)),
            (Some(asked), None, _) => Ok((asked, Origin::User)),
            (None, _, []) => {
                let help = match &self.longer[..] {
                    [] => "say it with --vram".to_owned(),
                    longer => format!("say which: {}; or its size with --vram", some_of(longer.to_vec())),
                };
                Err(CliError::usage(format!("the table of cards has no size of `{}`", self.name)).help(help))
            }
            (None, _, sizes) => {
                let sizes: Vec<String> = sizes.iter().map(|size| show(&(*size).into(), Some(Unit::Bytes))).collect();
                let message = format!("`{}` was sold with {}", self.name, sizes.join(" and "));
                Err(CliError::usage(message).help("say which with --vram"))
            }
        }
    }
}

fn name_of(row: &Value) -> &str {
    row["name"].as_str().unwrap_or_default()
}

fn names(rows: &[&Value]) -> Vec<String> {
    let mut names: Vec<String> = rows.iter().map(|row| name_of(row).to_owned()).collect();
    names.dedup();
    names
}

fn some_of(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

// A card's name without its maker and its line, the words apart: `rtx 4090` of `RTX4090`.
fn short(name: &str) -> String {
    let mut short = name.trim().to_lowercase();
    for line in ["rtx", "gtx"] {
        if short.split(line).nth(1).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            short = short.replacen(line, &format!("{line} "), 1);
        }
    }
    for word in ["nvidia ", "geforce ", "tesla ", "quadro "] {
        short = short.replacen(word, "", 1);
    }
    short
}

fn is(name: &str, words: &str) -> bool {
    name == words
}

// As `rtx 6000 ada generation` begins with `rtx 6000 ada`.
fn begins(name: &str, words: &str) -> bool {
    name.strip_prefix(words).is_some_and(|rest| rest.starts_with(is_between))
}

// One after the other, as `v100-pcie-16gb` has `v100`.
fn has(name: &str, words: &str) -> bool {
    let all: Vec<&str> = name.split(is_between).collect();
    let asked: Vec<&str> = words.split(is_between).collect();
    all.windows(asked.len()).any(|some| some == asked)
}

// Whatever stands between them.
fn has_all(name: &str, words: &str) -> bool {
    words.split(is_between).all(|word| name.split(is_between).any(|part| part == word))
}

fn is_between(c: char) -> bool {
    !c.is_alphanumeric()
}
