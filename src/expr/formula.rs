//! Conditions in terms of what they compare, so that it can be decided when they hold.
//!
//! A [`Formula`] says what a condition makes of each name that it compares with a constant; everything else in it is
//! opaque. Truth is three-valued, as in an evaluation: a condition that reads something unknown gives nothing, and `&&`
//! and `||` do not look at their right side when the left one decides.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use super::functions::compare_versions;

/// A condition over names.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// Always so.
    Constant(bool),
    /// Whether the name is known.
    Known(String),
    /// A name, as expressions write it, against a constant. A list counts as its length.
    Compare(String, Operator, Constant),
    /// Anything else; the text tells two of them apart.
    Opaque(String),
    /// The contrary.
    Not(Box<Self>),
    /// `&&`, from left to right.
    All(Vec<Self>),
    /// `||`, from left to right.
    Any(Vec<Self>),
    /// `if`, what then, and what else.
    If(Box<[Self; 3]>),
    /// True where the condition is true, false where it is false or gives nothing.
    Holds(Box<Self>),
}

/// How a name is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `version_at_least`
    VersionAtLeast,
}

/// What a name is compared with, or what it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// True or false.
    Bool(bool),
    /// A number in the canonical unit; whole ones are exact up to 2^53.
    Number(f64),
    /// A text.
    Text(String),
}

impl Constant {
    /// As JSON; a whole number is an integer.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Bool(value) => Value::from(*value),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Value::from(*number as i64),
            Self::Number(number) => Value::from(*number),
        }
    }
}

/// A name, or something opaque: what the truth of a formula rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// A fact or setting.
    Name(String),
    /// Something that is not understood.
    Opaque(String),
}

/// What is assumed of a name or of something opaque.
#[derive(Clone, Debug, PartialEq)]
pub enum Assumed {
    /// Nothing yet.
    Open,
    /// That it is unknown.
    Missing,
    /// That it has this value.
    Value(Constant),
}

/// A set of the three things that may become of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truths(u8);

impl Truths {
    /// It holds.
    pub const TRUE: Self = Self(1);
    /// It does not hold.
    pub const FALSE: Self = Self(2);
    /// It gives nothing, because it reads something unknown.
    pub const NOTHING: Self = Self(4);
    const NONE: Self = Self(0);
    const ANY: Self = Self(7);

    /// Whether one of those is possible.
    pub fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn of(holds: bool) -> Self {
        if holds { Self::TRUE } else { Self::FALSE }
    }

    fn negated(self) -> Self {
        let swap = |one: Self, other: Self| if self.may_be(one) { other } else { Self::NONE };
        swap(Self::TRUE, Self::FALSE).or(swap(Self::FALSE, Self::TRUE)).or(self.only(Self::NOTHING))
    }
}

impl Formula {
    /// The contrary.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// True where the condition is true, false where it is false or gives nothing.
    #[must_use]
    pub fn holds(self) -> Self {
        Self::Holds(Box::new(self))
    }

    /// True where the condition is true or false; where it gives nothing, nothing too.
    #[must_use]
    pub fn is_decided(self) -> Self {
        Self::If(Box::new([self, Self::Constant(true), Self::Constant(true)]))
    }

    /// Whether both hold. Unlike `&&` it asks both, so that it gives nothing where either does.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(true), other) | (other, Self::Constant(true)) => other,
            (one, other) => {
                let neither = Self::If(Box::new([other.clone(), Self::Constant(false), Self::Constant(false)]));
                Self::If(Box::new([one, other, neither]))
            }
        }
    }

    /// Whether either holds. Unlike `||` it asks both, so that it gives nothing where either does.
    #[must_use]
    pub fn either(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(false), other) | (other, Self::Constant(false)) => other,
            (one, other) => Self::If(Box::new([one, other.clone().is_decided(), other])),
        }
    }

    /// Whether a value comes out at all, true or false.
    #[must_use]
    pub fn gives_something(self) -> Self {
        Self::Any(vec![self.clone().holds(), self.negated().holds()])
    }

    /// What may become of the condition under these assumptions.
    pub fn truths(&self, assumed: &impl Fn(&Unknown) -> Assumed) -> Truths {
        match self {
            Self::Constant(holds) => Truths::of(*holds),
            Self::Known(name) => match assumed(&Unknown::Name(name.clone())) {
                Assumed::Open => Truths::TRUE.or(Truths::FALSE),
                assumed => Truths::of(assumed != Assumed::Missing),
            },
            Self::Compare(name, operator, constant) => match assumed(&Unknown::Name(name.clone())) {
                Assumed::Open => Truths::ANY,
                Assumed::Missing => Truths::NOTHING,
                Assumed::Value(value) => Truths::of(operator.holds(&value, constant)),
            },
            Self::Opaque(text) => match assumed(&Unknown::Opaque(text.clone())) {
                Assumed::Open => Truths::ANY,
                Assumed::Missing => Truths::NOTHING,
                Assumed::Value(value) => Truths::of(value == Constant::Bool(true)),
            },
            Self::Not(formula) => formula.truths(assumed).negated(),
            Self::All(parts) => chain(parts, Truths::TRUE, assumed),
            Self::Any(parts) => chain(parts, Truths::FALSE, assumed),
            Self::If(parts) => {
                let [condition, yes, no] = &**parts;
                let condition = condition.truths(assumed);
                let branch = |taken: Truths, branch: &Self| match condition.may_be(taken) {
                    true => branch.truths(assumed),
                    false => Truths::NONE,
                };
                branch(Truths::TRUE, yes).or(branch(Truths::FALSE, no)).or(condition.only(Truths::NOTHING))
            }
            Self::Holds(formula) => {
                let truths = formula.truths(assumed);
                let otherwise = truths.may_be(Truths::FALSE.or(Truths::NOTHING));
                truths.only(Truths::TRUE).or(if otherwise { Truths::FALSE } else { Truths::NONE })
            }
        }
    }

    /// What its truth rests on, in the order in which it is read; names before what is opaque.
    pub fn unknowns(&self) -> Vec<Unknown> {
        let mut found = Vec::new();
        self.visit(&mut |formula| match formula {
            Self::Known(name) | Self::Compare(name, ..) => found.push(Unknown::Name(name.clone())),
            Self::Opaque(text) => found.push(Unknown::Opaque(text.clone())),
            _ => {}
        });
        let mut seen = BTreeSet::new();
        found.retain(|unknown| seen.insert(unknown.clone()));
        found.sort_by_key(|unknown| matches!(unknown, Unknown::Opaque(_)));
        found
    }

    /// Shows each part of the formula, outermost first.
    pub fn visit(&self, see: &mut impl FnMut(&Self)) {
        see(self);
        match self {
            Self::Constant(_) | Self::Known(_) | Self::Compare(..) | Self::Opaque(_) => {}
            Self::Not(formula) | Self::Holds(formula) => formula.visit(see),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit(see)),
            Self::If(parts) => parts.iter().for_each(|part| part.visit(see)),
        }
    }
}

// `&&` goes on while its parts are true, `||` while they are false.
fn chain(parts: &[Formula], goes_on: Truths, assumed: &impl Fn(&Unknown) -> Assumed) -> Truths {
    let mut truths = Truths::NONE;
    for part in parts {
        let part = part.truths(assumed);
        truths = truths.or(Truths(part.0 & !goes_on.0));
        if !part.may_be(goes_on) {
            return truths;
        }
    }
    truths.or(goes_on)
}

impl Operator {
    /// The operator with its sides exchanged.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
            same => same,
        }
    }

    /// Whether it holds between two values of one type; between others nothing does.
    pub fn holds(self, left: &Constant, right: &Constant) -> bool {
        let order = match (left, right) {
            (Constant::Number(a), Constant::Number(b)) => a.partial_cmp(b),
            (Constant::Text(a), Constant::Text(b)) if self == Self::VersionAtLeast => Some(compare_versions(a, b)),
            (Constant::Text(a), Constant::Text(b)) => Some(a.cmp(b)),
            (Constant::Bool(a), Constant::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        };
        order.is_some_and(|order| match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::AtMost => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::AtLeast | Self::VersionAtLeast => order != Ordering::Less,
        })
    }
}
