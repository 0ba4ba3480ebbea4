//! The static types of expressions: what a name holds, in which unit, and what reading it means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::facts::units::Unit;

/// The type of an expression. Numbers carry their unit when it is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number.
    Int(Option<Unit>),
    /// A number with a fraction.
    Float(Option<Unit>),
    /// A text.
    Text,
    /// A list; all items have one type.
    List(Arc<Self>),
    /// A table of rows by name; all rows have one type.
    Rows(Arc<Self>),
    /// Something with named fields: a namespace, a GPU, a row of a table.
    Record(Arc<Record>),
    /// Of any type: an item of an empty list.
    Any,
}

/// Named fields.
#[derive(Debug, PartialEq)]
pub struct Record {
    /// What it is called in messages: `gpu`, `a row of data.models`.
    pub title: String,
    /// Whether it is a namespace, which only serves to reach its fields and is no value.
    pub namespace: bool,
    /// The fields by name.
    pub fields: BTreeMap<String, Field>,
}

/// One field of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Type of its value.
    pub ty: Type,
    /// What reading it reads, when it is a fact, setting or table of its own.
    pub read: Option<Read>,
}

/// Something outside the expression that it reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// A fact, by its name in the table (`gpus[].vram.total`) or below `gpu` (`gpu.vram.total`).
    Fact(String),
    /// The final value of a setting.
    Setting(String),
    /// A table or constant of `data:`.
    Data(String),
    /// A function of `functions:`.
    Function(String),
}

impl Read {
    /// The name as expressions write it: `gpu.vram.total`, `settings.dit.dtype`, `data.models`; `None` for functions.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Fact(name) => Some(name.clone()),
            Self::Setting(name) => Some(format!("settings.{name}")),
            Self::Data(name) => Some(format!("data.{name}")),
            Self::Function(_) => None,
        }
    }
}

impl Type {
    /// A whole number without a unit.
    pub const COUNT: Self = Self::Int(None);

    /// Whether it is a number.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Float(_))
    }

    /// The unit of a number, or of the numbers of a list.
    pub fn unit(&self) -> Option<Unit> {
        match self {
            Self::Int(unit) | Self::Float(unit) => *unit,
            Self::List(item) => item.unit(),
            _ => None,
        }
    }

    /// The units of two numbers, where both have one and they differ: bytes and pixels, say.
    pub fn clash(&self, other: &Self) -> Option<(Unit, Unit)> {
        self.unit().zip(other.unit()).filter(|(a, b)| a != b)
    }

    /// The type of a value that may be either; `None` when the two have nothing in common.
    pub fn join(&self, other: &Self) -> Option<Self> {
        let unit = self.unit().or(other.unit());
        match (self, other) {
            (Self::Any, known) | (known, Self::Any) => Some(known.clone()),
            (Self::Int(_), Self::Int(_)) => Some(Self::Int(unit)),
            (a, b) if a.is_number() && b.is_number() => Some(Self::Float(unit)),
            (Self::List(a), Self::List(b)) => Some(Self::List(Arc::new(a.join(b)?))),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }

    /// Whether a value of this type may stand where `wanted` is asked for. A whole number is a number.
    pub fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Any, _) | (_, Self::Any) | (Self::Int(_), Self::Int(_)) => true,
            (a, Self::Float(_)) => a.is_number(),
            (Self::List(a), Self::List(b)) => a.fits(b),
            // A record written out may stand for a row when it has all that the row has.
            (Self::Record(a), Self::Record(b)) if !a.namespace => {
                b.fields.iter().all(|(name, wanted)| a.fields.get(name).is_some_and(|field| field.ty.fits(&wanted.ty)))
            }
            (a, b) => a == b,
        }
    }
}

/// The unit of a product: bytes × count = bytes, ratio × W = W, px × px = count, bytes/s × s = bytes, FLOP/s × s = FLOP. Of
/// other pairs nothing is claimed.
pub fn unit_of_product(a: Option<Unit>, b: Option<Unit>) -> Option<Unit> {
    match (a, b) {
        (Some(Unit::Pixels), Some(Unit::Pixels)) => Some(Unit::Count),
        (Some(Unit::BytesPerSecond), Some(Unit::Seconds)) | (Some(Unit::Seconds), Some(Unit::BytesPerSecond)) => {
            Some(Unit::Bytes)
        }
        (Some(Unit::FlopPerSecond), Some(Unit::Seconds)) | (Some(Unit::Seconds), Some(Unit::FlopPerSecond)) => {
            Some(Unit::Flop)
        }
        _ if a == b => a.filter(|_| is_plain(a)),
        _ if is_plain(a) && is_plain(b) => None,
        _ if is_plain(b) => a,
        _ if is_plain(a) => b,
        _ => None,
    }
}

/// The unit of a quotient: bytes ÷ count = bytes, bytes ÷ bytes = a number, bytes ÷ bytes/s = s, FLOP ÷ FLOP/s = s. Of other
/// pairs nothing is claimed.
pub fn unit_of_quotient(a: Option<Unit>, b: Option<Unit>) -> Option<Unit> {
    match (a, b) {
        _ if a == b => None,
        (Some(Unit::Bytes), Some(Unit::BytesPerSecond)) => Some(Unit::Seconds),
        (Some(Unit::Bytes), Some(Unit::Seconds)) => Some(Unit::BytesPerSecond),
        (Some(Unit::Flop), Some(Unit::FlopPerSecond)) => Some(Unit::Seconds),
        (Some(Unit::Flop), Some(Unit::Seconds)) => Some(Unit::FlopPerSecond),
        _ if is_plain(b) => a,
        _ => None,
    }
}

// Whether multiplying by it changes no unit.
fn is_plain(unit: Option<Unit>) -> bool {
    matches!(unit, None | Some(Unit::Count | Unit::Ratio))
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Int(None) => f.write_str("a whole number"),
            Self::Float(None) => f.write_str("a number"),
            Self::Int(Some(unit)) => write!(f, "a whole number ({unit})"),
            Self::Float(Some(unit)) => write!(f, "a number ({unit})"),
            Self::Text => f.write_str("a text"),
            Self::List(_) => f.write_str("a list"),
            Self::Rows(_) => f.write_str("a table"),
            Self::Record(record) => f.write_str(&record.title),
            Self::Any => f.write_str("anything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_multiply_and_divide() {
        let [bytes, rate, seconds, pixels, count, ratio] =
            [Unit::Bytes, Unit::BytesPerSecond, Unit::Seconds, Unit::Pixels, Unit::Count, Unit::Ratio].map(Some);
        let [work, speed] = [Unit::Flop, Unit::FlopPerSecond].map(Some);
        for (a, b, product, quotient) in [
            (bytes, count, bytes, bytes),
            (bytes, None, bytes, bytes),
            (bytes, bytes, None, None),
            (bytes, rate, None, seconds),
            (bytes, seconds, None, rate),
            (rate, seconds, bytes, None),
            (pixels, pixels, count, None),
            (count, count, count, None),
            (count, ratio, None, count),
            (bytes, pixels, None, None),
            (work, speed, None, seconds),
            (work, seconds, None, speed),
            (speed, seconds, work, None),
            (work, count, work, work),
        ] {
            assert_eq!((unit_of_product(a, b), unit_of_product(b, a)), (product, product), "{a:?} × {b:?}");
            assert_eq!(unit_of_quotient(a, b), quotient, "{a:?} ÷ {b:?}");
        }
    }
}
