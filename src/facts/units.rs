//! Units of facts and settings, and quantities as people write them (`12 GiB`, `72 h`, `95 %`).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// The canonical unit of a number: one per dimension, so that two numbers of a dimension always compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Memory and storage, in bytes (integers).
    #[serde(rename = "bytes")]
    Bytes,
    /// Transfer and memory bandwidth, in bytes per second.
    #[serde(rename = "bytes/s")]
    BytesPerSecond,
    /// Work, in floating-point operations; a multiplication and an addition are two.
    #[serde(rename = "FLOP")]
    Flop,
    /// Speed of work, in floating-point operations per second.
    #[serde(rename = "FLOP/s")]
    FlopPerSecond,
    /// Lengths in an image, in pixels.
    #[serde(rename = "px")]
    Pixels,
    /// Number of things.
    #[serde(rename = "count")]
    Count,
    /// A share of a whole, 1 being all of it; percentages are written with `%`.
    #[serde(rename = "ratio")]
    Ratio,
    /// Time, in seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Temperature, in degrees Celsius.
    #[serde(rename = "°C")]
    Celsius,
    /// Power, in watts.
    #[serde(rename = "W")]
    Watts,
}

/// A suffix people write, the unit it means, and the exact factor to it as a fraction.
const SUFFIXES: &[(&str, Unit, i64, i64)] = &[
    ("B", Unit::Bytes, 1, 1),
    ("KiB", Unit::Bytes, 1 << 10, 1),
    ("MiB", Unit::Bytes, 1 << 20, 1),
    ("GiB", Unit::Bytes, 1 << 30, 1),
    ("TiB", Unit::Bytes, 1 << 40, 1),
    ("kB", Unit::Bytes, 1_000, 1),
    ("MB", Unit::Bytes, 1_000_000, 1),
    ("GB", Unit::Bytes, 1_000_000_000, 1),
    ("TB", Unit::Bytes, 1_000_000_000_000, 1),
    ("MB/s", Unit::BytesPerSecond, 1_000_000, 1),
    ("GB/s", Unit::BytesPerSecond, 1_000_000_000, 1),
    ("TB/s", Unit::BytesPerSecond, 1_000_000_000_000, 1),
    ("FLOP", Unit::Flop, 1, 1),
    ("MFLOP", Unit::Flop, 1_000_000, 1),
    ("GFLOP", Unit::Flop, 1_000_000_000, 1),
    ("TFLOP", Unit::Flop, 1_000_000_000_000, 1),
    ("GFLOP/s", Unit::FlopPerSecond, 1_000_000_000, 1),
    ("TFLOP/s", Unit::FlopPerSecond, 1_000_000_000_000, 1),
    ("px", Unit::Pixels, 1, 1),
    ("%", Unit::Ratio, 1, 100),
    ("ms", Unit::Seconds, 1, 1_000),
    ("s", Unit::Seconds, 1, 1),
    ("min", Unit::Seconds, 60, 1),
    ("h", Unit::Seconds, 3_600, 1),
    ("d", Unit::Seconds, 86_400, 1),
    ("°C", Unit::Celsius, 1, 1),
    ("C", Unit::Celsius, 1, 1),
    ("W", Unit::Watts, 1, 1),
    ("mW", Unit::Watts, 1, 1_000),
];

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 10] = [
        Self::Bytes,
        Self::BytesPerSecond,
        Self::Flop,
        Self::FlopPerSecond,
        Self::Pixels,
        Self::Count,
        Self::Ratio,
        Self::Seconds,
        Self::Celsius,
        Self::Watts,
    ];

    /// The unit as it is written in plans and schemas.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Flop => "FLOP",
            Self::FlopPerSecond => "FLOP/s",
            Self::Pixels => "px",
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::Seconds => "s",
            Self::Celsius => "°C",
            Self::Watts => "W",
        }
    }

    /// The unit of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == name)
    }

    /// The number for people: `15.99 GiB`, `72 h`, `95 %`, `384 px`.
    pub fn show(self, number: &Number) -> String {
        let value = number.as_f64().unwrap_or(f64::NAN);
        match self {
            Self::Bytes => show_bytes(value),
            Self::BytesPerSecond => format!("{} GB/s", trim(value / 1e9, 1)),
            Self::Flop => format!("{} TFLOP", trim(value / 1e12, 1)),
            Self::FlopPerSecond => format!("{} TFLOP/s", trim(value / 1e12, 1)),
            Self::Pixels => format!("{} px", trim(value, 2)),
            Self::Count => trim(value, 2),
            Self::Ratio => format!("{} %", trim(value * 100.0, 2)),
            Self::Seconds => show_seconds(value),
            Self::Celsius => format!("{} °C", trim(value, 1)),
            Self::Watts => format!("{} W", trim(value, 1)),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Any value for people, in its unit when it is a number that has one.
pub fn show(value: &Value, unit: Option<Unit>) -> String {
    match (value, unit) {
        (Value::Number(number), Some(unit)) => unit.show(number),
        (Value::String(text), _) => text.clone(),
        (Value::Array(items), _) => {
            let items: Vec<_> = items.iter().map(|item| show(item, unit)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => value.to_string(),
    }
}

fn show_bytes(bytes: f64) -> String {
    const STEPS: [(&str, f64); 3] =
        [("GiB", (1u64 << 30) as f64), ("MiB", (1u64 << 20) as f64), ("KiB", (1u64 << 10) as f64)];
    for (suffix, step) in STEPS {
        if bytes.abs() >= step {
            return format!("{} {suffix}", trim(bytes / step, 2));
        }
    }
    format!("{bytes} B")
}

fn show_seconds(seconds: f64) -> String {
    for (suffix, step) in [("h", 3_600.0), ("min", 60.0)] {
        if seconds.abs() >= step && (seconds * 10.0 / step).fract() == 0.0 {
            return format!("{} {suffix}", trim(seconds / step, 1));
        }
    }
    format!("{} s", trim(seconds, 3))
}

// At most `places` decimals, without trailing zeros.
fn trim(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Why a literal is not a quantity of the wanted unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The suffix means another unit.
    #[error("`{literal}` is in {found}, not in {wanted}")]
    WrongUnit {
        /// As written.
        literal: String,
        /// Unit of the suffix.
        found: Unit,
        /// Unit that was wanted.
        wanted: Unit,
    },
    /// A suffix that no unit has.
    #[error("`{suffix}` is not a unit")]
    UnknownSuffix {
        /// As written.
        suffix: String,
    },
    /// The literal does not begin with a number.
    #[error("`{literal}` is not a number with a unit")]
    NotANumber {
        /// As written.
        literal: String,
    },
    /// The number is no whole number of the canonical unit, or too large.
    #[error("`{literal}` is not a whole number of {unit}{}", smaller(*unit))]
    NotWhole {
        /// As written.
        literal: String,
        /// The canonical unit.
        unit: Unit,
    },
}

// What to write where a size does not come out whole.
fn smaller(unit: Unit) -> &'static str {
    if unit == Unit::Bytes { "; write it in a smaller unit, such as MiB" } else { "" }
}

/// Reads `12 GiB`, `95 %` or `2s` into a number of the canonical unit, exactly.
///
/// A number without a suffix is already in the canonical unit. Bytes, pixels and counts must come out whole.
pub fn parse_quantity(literal: &str, wanted: Unit) -> Result<Number, QuantityError> {
    let text = literal.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | '_'))).unwrap_or(text.len());
    let (digits, suffix) = (text[..split].replace('_', ""), text[split..].trim());
    let decimal = parse_decimal(&digits).ok_or_else(|| QuantityError::NotANumber { literal: literal.to_owned() })?;
    let (unit, numerator, denominator) = match suffix {
        "" => (wanted, 1, 1),
        _ => SUFFIXES
            .iter()
            .find(|(name, ..)| *name == suffix)
            .map(|&(_, unit, n, d)| (unit, n, d))
            .ok_or_else(|| QuantityError::UnknownSuffix { suffix: suffix.to_owned() })?,
    };
    if unit != wanted {
        return Err(QuantityError::WrongUnit { literal: literal.to_owned(), found: unit, wanted });
    }
    let not_whole = || QuantityError::NotWhole { literal: literal.to_owned(), unit };
    let (digits, scale) = decimal;
    let top = i128::from(digits) * i128::from(numerator);
    let bottom = i128::from(denominator) * 10i128.pow(scale);
    if top % bottom == 0 {
        return i64::try_from(top / bottom).map(Number::from).map_err(|_| not_whole());
    }
    if matches!(unit, Unit::Bytes | Unit::Pixels | Unit::Count) {
        return Err(not_whole());
    }
    Number::from_f64(top as f64 / bottom as f64).ok_or_else(not_whole)
}

// `1.25` → (125, 2): the digits as an integer and the number of decimals.
fn parse_decimal(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 12
        || !fraction.bytes().all(|b| b.is_ascii_digit())
        || text.trim_matches(['-', '+', '.']).is_empty()
    {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_convert_exactly() {
        let cases = [
            ("12 GiB", Unit::Bytes, "12884901888"),
            ("1.5GiB", Unit::Bytes, "1610612736"),
            ("12 GB", Unit::Bytes, "12000000000"),
            ("72 h", Unit::Seconds, "259200"),
            ("500 ms", Unit::Seconds, "0.5"),
            ("95 %", Unit::Ratio, "0.95"),
            ("100 %", Unit::Ratio, "1"),
            ("80 °C", Unit::Celsius, "80"),
            ("384", Unit::Pixels, "384"),
        ];
        for (literal, unit, want) in cases {
            assert_eq!(parse_quantity(literal, unit).unwrap().to_string(), want, "{literal}");
        }
    }

    #[test]
    fn a_wrong_unit_or_half_a_byte_is_refused() {
        let error = |literal, unit| parse_quantity(literal, unit).unwrap_err().to_string();
        assert_eq!(error("2 s", Unit::Bytes), "`2 s` is in s, not in bytes");
        assert_eq!(error("2 parsec", Unit::Bytes), "`parsec` is not a unit");
        assert_eq!(
            error("0.3 B", Unit::Bytes),
            "`0.3 B` is not a whole number of bytes; write it in a smaller unit, such as MiB"
        );
        assert_eq!(error("many", Unit::Count), "`many` is not a number with a unit");
    }

    #[test]
    fn people_see_rounded_numbers_in_their_usual_unit() {
        let shown = |number: f64, unit: Unit| unit.show(&Number::from_f64(number).unwrap());
        assert_eq!(shown(17_171_480_576.0, Unit::Bytes), "15.99 GiB");
        assert_eq!(shown(259_200.0, Unit::Seconds), "72 h");
        assert_eq!(shown(90.0, Unit::Seconds), "1.5 min");
        assert_eq!(shown(0.95, Unit::Ratio), "95 %");
        assert_eq!(shown(384.0, Unit::Pixels), "384 px");
        assert_eq!(shown(165.2e12, Unit::FlopPerSecond), "165.2 TFLOP/s");
    }
}
