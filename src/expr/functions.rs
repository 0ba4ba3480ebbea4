//! What expressions may call besides the functions of policy files: one table, with types, meaning and an example.

use std::sync::Arc;

use rhai::packages::{ArithmeticPackage, BasicArrayPackage, LogicPackage, Package};
use rhai::{Array, Dynamic, Engine, EvalAltResult, FLOAT, INT, ImmutableString, Position};

use super::types::{Type, unit_of_quotient};
use crate::facts::units::Unit;

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// One function that every expression may call, as `name(a, b)` or `a.name(b)`.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Its parameters: the name of each, and what it takes.
    pub parameters: &'static [(&'static str, &'static str)],
    /// What its result is, and in which unit.
    pub gives: &'static str,
    /// What it gives, in a sentence.
    pub doc: &'static str,
    /// An expression that is true; a test evaluates it.
    pub example: &'static str,
    /// The type of the result for the types of the arguments; the error says what was wanted.
    pub result: fn(&[Type]) -> Result<Type, &'static str>,
}

fn number(types: &[Type]) -> Result<(), &'static str> {
    if types.iter().all(|t| t.is_number() || *t == Type::Any) { Ok(()) } else { Err("numbers") }
}

fn whole(types: &[Type]) -> Result<(), &'static str> {
    if types.iter().all(|t| matches!(t, Type::Int(_) | Type::Any)) { Ok(()) } else { Err("whole numbers") }
}

fn same_number(types: &[Type]) -> Result<Type, &'static str> {
    number(types)?;
    match clash(types) {
        None => types.iter().try_fold(Type::Any, |a, b| a.join(b)).ok_or("numbers"),
        Some(_) => Err("numbers in one unit"),
    }
}

/// Two units that differ, among those of the arguments.
pub fn clash(types: &[Type]) -> Option<(Unit, Unit)> {
    let mut units = types.iter().filter_map(Type::unit);
    let first = units.next()?;
    units.find(|unit| *unit != first).map(|other| (first, other))
}

fn bytes(types: &[Type]) -> Result<Type, &'static str> {
    number(types).map(|()| Type::Int(Some(Unit::Bytes)))
}

fn quotient(types: &[Type]) -> Result<Option<Unit>, &'static str> {
    number(types)?;
    Ok(unit_of_quotient(types.first().and_then(Type::unit), types.get(1).and_then(Type::unit)))
}

fn rounded(types: &[Type]) -> Result<Type, &'static str> {
    number(types).map(|()| Type::Int(types.first().and_then(Type::unit)))
}

fn texts(types: &[Type]) -> Result<Type, &'static str> {
    if types.iter().all(|t| matches!(t, Type::Text | Type::Any)) { Ok(Type::Bool) } else { Err("texts") }
}

fn predicate(types: &[Type]) -> Result<(), &'static str> {
    match types {
        [Type::List(_), Type::Bool | Type::Any] => Ok(()),
        _ => Err("a list and a closure that is true or false, `|item| …`"),
    }
}

fn items(types: &[Type]) -> Result<Type, &'static str> {
    match types {
        [Type::List(item)] if item.is_number() || **item == Type::Any => Ok((**item).clone()),
        _ => Err("a list of numbers"),
    }
}

/// Every function, sorted by name.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        parameters: &[("x", "a number")],
        gives: "a number, in its unit",
        doc: "The number without its sign.",
        example: "abs(-3) == 3",
        result: same_number,
    },
    Function {
        name: "all",
        parameters: &[("list", "a list"), ("closure", "a closure that is true or false")],
        gives: "true or false",
        doc: "Whether the closure is true of every item; true of an empty list.",
        example: "[1, 2].all(|n| n > 0)",
        result: |t| predicate(t).map(|()| Type::Bool),
    },
    Function {
        name: "ceil",
        parameters: &[("x", "a number")],
        gives: "a whole number, in its unit",
        doc: "The smallest whole number that is not below.",
        example: "ceil(1.2) == 2",
        result: rounded,
    },
    Function {
        name: "ceil_div",
        parameters: &[("a", "a whole number"), ("b", "a whole number")],
        gives: "a whole number, in the unit of a ÷ b",
        doc: "Whole-number division, rounded up.",
        example: "ceil_div(7, 2) == 4",
        result: |t| whole(t).and_then(|()| quotient(t)).map(Type::Int),
    },
    Function {
        name: "clamp",
        parameters: &[("x", "a number"), ("low", "a number"), ("high", "a number")],
        gives: "a number, in their unit",
        doc: "The number, moved into the range when it lies outside.",
        example: "clamp(12, 1, 8) == 8",
        result: same_number,
    },
    Function {
        name: "contains",
        parameters: &[("list", "a list, a table or a text"), ("item", "an item, a name or a part of it")],
        gives: "true or false",
        doc: "Whether the list, the table or the text contains the item; `item in list` says the same.",
        example: "[1, 2].contains(2) && \"abc\".contains(\"b\")",
        result: |t| match t {
            [Type::List(item), other] if item.clash(other).is_some() => Err("a list and an item in its unit"),
            [Type::List(item), other] if item.join(other).is_some() => Ok(Type::Bool),
            [Type::Rows(_) | Type::Text, Type::Text] | [Type::Any, _] | [_, Type::Any] => Ok(Type::Bool),
            _ => Err("a list and an item of it, or two texts"),
        },
    },
    Function {
        name: "ends_with",
        parameters: &[("text", "a text"), ("end", "a text")],
        gives: "true or false",
        doc: "Whether the text ends so.",
        example: "\"fp16\".ends_with(\"16\")",
        result: texts,
    },
    Function {
        name: "filter",
        parameters: &[("list", "a list"), ("closure", "a closure that is true or false")],
        gives: "a list",
        doc: "The items of which the closure is true.",
        example: "[1, 2, 3].filter(|n| n > 1).len() == 2",
        result: |t| predicate(t).map(|()| t[0].clone()),
    },
    Function {
        name: "float",
        parameters: &[("x", "a number")],
        gives: "a number, in its unit",
        doc: "The number as one with a fraction, so that `/` divides exactly.",
        example: "float(7) / 2 == 3.5",
        result: |t| number(t).map(|()| Type::Float(t.first().and_then(Type::unit))),
    },
    Function {
        name: "floor",
        parameters: &[("x", "a number")],
        gives: "a whole number, in its unit",
        doc: "The largest whole number that is not above.",
        example: "floor(1.8) == 1",
        result: rounded,
    },
    Function {
        name: "floor_div",
        parameters: &[("a", "a whole number"), ("b", "a whole number")],
        gives: "a whole number, in the unit of a ÷ b",
        doc: "Whole-number division, rounded down.",
        example: "floor_div(7, 2) == 3",
        result: |t| whole(t).and_then(|()| quotient(t)).map(Type::Int),
    },
    Function {
        name: "gib",
        parameters: &[("n", "a plain number")],
        gives: "a whole number (bytes)",
        doc: "So many GiB, in bytes; the fraction of a byte is dropped.",
        example: "gib(1.5) == mib(1536)",
        result: bytes,
    },
    Function {
        name: "known",
        parameters: &[("fact", "a fact, a setting or a cell")],
        gives: "true or false",
        doc: "Whether a fact, a setting or a cell of a table has a value.",
        example: "known(gpu.vram.total)",
        result: |_| Ok(Type::Bool),
    },
    Function {
        name: "len",
        parameters: &[("list", "a list, a table or a text")],
        gives: "a whole number (count)",
        doc: "How many items the list, rows the table or characters the text has.",
        example: "[4, 5].len() == 2",
        result: |t| match t {
            [Type::List(_) | Type::Rows(_) | Type::Text | Type::Any] => Ok(Type::Int(Some(Unit::Count))),
            _ => Err("a list, a table or a text"),
        },
    },
    Function {
        name: "map",
        parameters: &[("list", "a list"), ("closure", "a closure")],
        gives: "a list",
        doc: "What the closure gives for each item.",
        example: "[1, 2].map(|n| n * 10) == [10, 20]",
        result: |t| match t {
            [Type::List(_), result] => Ok(Type::List(Arc::new(result.clone()))),
            _ => Err("a list and a closure, `|item| …`"),
        },
    },
    Function {
        name: "max",
        parameters: &[("a", "a number"), ("b", "a number")],
        gives: "a number, in their unit",
        doc: "The larger of two numbers.",
        example: "max(2, 3) == 3",
        result: same_number,
    },
    Function {
        name: "max_of",
        parameters: &[("list", "a list of numbers")],
        gives: "a number, in their unit",
        doc: "The largest number of a list that is not empty.",
        example: "max_of([1, 3, 2]) == 3",
        result: items,
    },
    Function {
        name: "mib",
        parameters: &[("n", "a plain number")],
        gives: "a whole number (bytes)",
        doc: "So many MiB, in bytes; the fraction of a byte is dropped.",
        example: "mib(512) == gib(0.5)",
        result: bytes,
    },
    Function {
        name: "min",
        parameters: &[("a", "a number"), ("b", "a number")],
        gives: "a number, in their unit",
        doc: "The smaller of two numbers.",
        example: "min(2, 3) == 2",
        result: same_number,
    },
    Function {
        name: "min_of",
        parameters: &[("list", "a list of numbers")],
        gives: "a number, in their unit",
        doc: "The smallest number of a list that is not empty.",
        example: "min_of([2, 1, 3]) == 1",
        result: items,
    },
    Function {
        name: "round",
        parameters: &[("x", "a number")],
        gives: "a whole number, in its unit",
        doc: "The nearest whole number; halves away from zero.",
        example: "round(2.5) == 3",
        result: rounded,
    },
    Function {
        name: "round_down",
        parameters: &[("x", "a whole number"), ("step", "a whole number")],
        gives: "a whole number, in their unit",
        doc: "The largest multiple of the step that is not above.",
        example: "round_down(100, 32) == 96",
        result: |t| whole(t).and_then(|()| same_number(t)),
    },
    Function {
        name: "round_up",
        parameters: &[("x", "a whole number"), ("step", "a whole number")],
        gives: "a whole number, in their unit",
        doc: "The smallest multiple of the step that is not below.",
        example: "round_up(100, 32) == 128",
        result: |t| whole(t).and_then(|()| same_number(t)),
    },
    Function {
        name: "some",
        parameters: &[("list", "a list"), ("closure", "a closure that is true or false")],
        gives: "true or false",
        doc: "Whether the closure is true of at least one item.",
        example: "[1, 2].some(|n| n == 2)",
        result: |t| predicate(t).map(|()| Type::Bool),
    },
    Function {
        name: "starts_with",
        parameters: &[("text", "a text"), ("start", "a text")],
        gives: "true or false",
        doc: "Whether the text starts so.",
        example: "\"cuda:0\".starts_with(\"cuda\")",
        result: texts,
    },
    Function {
        name: "sum",
        parameters: &[("list", "a list of numbers")],
        gives: "a number, in their unit",
        doc: "The sum of a list of numbers; 0 for an empty one.",
        example: "sum([1, 2, 3]) == 6",
        result: items,
    },
    Function {
        name: "version_at_least",
        parameters: &[("version", "a text"), ("wanted", "a text")],
        gives: "true or false",
        doc: "Whether a dotted version is the wanted one or newer, number by number; what follows `+` or a letter is ignored.",
        example: "version_at_least(\"2.10.0+cu128\", \"2.9\")",
        result: texts,
    },
];

impl Function {
    /// How it is called: `clamp(x, low, high)`.
    pub fn usage(&self) -> String {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| *name).collect();
        format!("{}({})", self.name, names.join(", "))
    }
}

/// The function of that name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &FUNCTIONS[i])
}

/// The error of a function or operator that cannot give a value.
pub(super) fn failed(message: impl Into<String>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(message.into()), Position::NONE).into()
}

/// Registers every function of the table.
pub(super) fn register(engine: &mut Engine) {
    // `filter`, `map`, `all` and `some` are Rhai's own, as are `+ - * % ** && || !` on matching types.
    ArithmeticPackage::new().register_into_engine(engine);
    LogicPackage::new().register_into_engine(engine);
    BasicArrayPackage::new().register_into_engine(engine);

    // Two whole numbers meet here only where one of them is typed as a number with a fraction: divide exactly.
    engine.register_fn("/", |a: INT, b: INT| quotient_of(a as FLOAT, b as FLOAT));
    engine.register_fn("/", quotient_of);
    engine.register_fn("/", |a: INT, b: FLOAT| quotient_of(a as FLOAT, b));
    engine.register_fn("/", |a: FLOAT, b: INT| quotient_of(a, b as FLOAT));
    engine.register_fn("abs", |x: INT| x.checked_abs().ok_or_else(|| failed("the number is too large")));
    engine.register_fn("abs", FLOAT::abs);
    engine.register_fn("float", |x: INT| x as FLOAT);
    engine.register_fn("float", |x: FLOAT| x);
    for (name, round) in [("floor", FLOAT::floor as fn(FLOAT) -> FLOAT), ("ceil", FLOAT::ceil), ("round", FLOAT::round)]
    {
        engine.register_fn(name, |x: INT| x);
        engine.register_fn(name, move |x: FLOAT| to_int(round(x)));
    }
    for (name, unit) in [("gib", 1_i64 << 30), ("mib", 1 << 20)] {
        engine.register_fn(name, move |n: INT| n.checked_mul(unit).ok_or_else(|| failed("too many bytes")));
        engine.register_fn(name, move |n: FLOAT| to_int((n * unit as FLOAT).floor()));
    }
    engine.register_fn("floor_div", |a: INT, b: INT| divide(a, b).map(|(quotient, _)| quotient));
    engine.register_fn("ceil_div", |a: INT, b: INT| divide(a, b).map(|(quotient, exact)| quotient + INT::from(!exact)));
    engine.register_fn("round_down", |x: INT, step: INT| divide(x, step).map(|(quotient, _)| quotient * step));
    engine.register_fn("round_up", |x: INT, step: INT| {
        let (quotient, exact) = divide(x, step)?;
        (quotient + INT::from(!exact)).checked_mul(step).ok_or_else(|| failed("the number is too large"))
    });
    engine.register_fn("min", |a: Dynamic, b: Dynamic| least(a, b, false));
    engine.register_fn("max", |a: Dynamic, b: Dynamic| least(a, b, true));
    engine.register_fn("clamp", |x: Dynamic, low: Dynamic, high: Dynamic| least(least(x, low, true)?, high, false));
    engine.register_fn("min_of", |list: Array| least_of(list, false));
    engine.register_fn("max_of", |list: Array| least_of(list, true));
    engine.register_fn("sum", |list: Array| sum(&list));
    engine.register_fn("len", |text: ImmutableString| text.chars().count() as INT);
    engine.register_fn("contains", |text: ImmutableString, part: ImmutableString| text.contains(part.as_str()));
    engine.register_fn("starts_with", |text: ImmutableString, start: ImmutableString| text.starts_with(start.as_str()));
    engine.register_fn("ends_with", |text: ImmutableString, end: ImmutableString| text.ends_with(end.as_str()));
    engine.register_fn("version_at_least", |version: ImmutableString, wanted: ImmutableString| {
        compare_versions(&version, &wanted).is_ge()
    });
    engine.register_fn("known", |value: Dynamic| !value.is_unit());
}

fn quotient_of(a: FLOAT, b: FLOAT) -> Fallible<FLOAT> {
    if b == 0.0 { Err(failed("cannot divide by 0")) } else { Ok(a / b) }
}

fn to_int(x: FLOAT) -> Fallible<INT> {
    // 2^63 is the first float above the whole numbers.
    if x.is_finite() && x.abs() < 9_223_372_036_854_775_808.0 {
        Ok(x as INT)
    } else {
        Err(failed("the number is too large"))
    }
}

// Rounded towards minus infinity, and whether nothing remained.
fn divide(a: INT, b: INT) -> Fallible<(INT, bool)> {
    if b <= 0 {
        return Err(failed(format!("cannot divide by {b}")));
    }
    Ok((a.div_euclid(b), a.rem_euclid(b) == 0))
}

/// A whole number or a number with a fraction, as a float.
pub(super) fn as_float(value: &Dynamic) -> Option<FLOAT> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|n| n as FLOAT))
}

fn least(a: Dynamic, b: Dynamic, largest: bool) -> Fallible<Dynamic> {
    if let (Ok(x), Ok(y)) = (a.as_int(), b.as_int()) {
        return Ok((if largest { x.max(y) } else { x.min(y) }).into());
    }
    match (as_float(&a), as_float(&b)) {
        (Some(x), Some(y)) => Ok((if largest { x.max(y) } else { x.min(y) }).into()),
        _ => Err(super::runtime::operand_error("min and max", &a, &b)),
    }
}

fn least_of(list: Array, largest: bool) -> Fallible<Dynamic> {
    super::runtime::charge(list.len())?;
    let mut items = list.into_iter();
    let first = items.next().ok_or_else(|| failed("the list is empty"))?;
    items.try_fold(first, |a, b| least(a, b, largest))
}

fn sum(list: &Array) -> Fallible<Dynamic> {
    super::runtime::charge(list.len())?;
    let whole: Option<Vec<INT>> = list.iter().map(|item| item.as_int().ok()).collect();
    if let Some(whole) = whole {
        let sum = whole.into_iter().try_fold(0_i64, INT::checked_add);
        return sum.map(Dynamic::from).ok_or_else(|| failed("the sum is too large"));
    }
    let numbers: Option<Vec<FLOAT>> = list.iter().map(as_float).collect();
    match numbers {
        Some(numbers) => Ok(numbers.into_iter().sum::<FLOAT>().into()),
        None => Err(super::runtime::operand_error("sum", &Dynamic::UNIT, &Dynamic::UNIT)),
    }
}

/// Which of two dotted versions is newer, as `version_at_least` reads them.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    version_numbers(a).cmp(&version_numbers(b))
}

// `2.10.0+cu128` → [2, 10]; trailing zeros do not count.
fn version_numbers(text: &str) -> Vec<u64> {
    let numeric = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).next().unwrap_or_default();
    let mut numbers: Vec<u64> = numeric.split('.').filter_map(|part| part.parse().ok()).collect();
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    // A type that the words of the table mean; numbers are in bytes, so that the unit of the result shows.
    fn sample(words: &str) -> Type {
        let bytes = Some(Unit::Bytes);
        match words {
            "a number" => Type::Float(bytes),
            "a whole number" => Type::Int(bytes),
            "a plain number" => Type::Float(None),
            "a text" => Type::Text,
            "a list" | "a list of numbers" | "a list, a table or a text" => Type::List(Arc::new(Type::Float(bytes))),
            "an item, a name or a part of it" => Type::Float(bytes),
            "a closure" | "a closure that is true or false" | "a fact, a setting or a cell" => Type::Bool,
            _ => panic!("`{words}` is not a word of the table"),
        }
    }

    #[test]
    fn functions_take_and_give_what_the_table_says() {
        for function in FUNCTIONS {
            let types: Vec<Type> = function.parameters.iter().map(|(_, takes)| sample(takes)).collect();
            let result = (function.result)(&types).unwrap_or_else(|wanted| panic!("{}: {wanted}", function.name));
            let (kind, unit) = function.gives.split_once(", ").unwrap_or((function.gives, ""));
            let shown = result.to_string();
            match unit {
                "in its unit" | "in their unit" => assert_eq!(shown, format!("{kind} (bytes)"), "{}", function.name),
                _ => assert_eq!(shown, kind, "{}", function.name),
            }
            // A text is none of the other things that a first parameter may be.
            let first = function.parameters[0].1;
            if !first.contains("text") && first != "a fact, a setting or a cell" {
                let wrong: Vec<Type> = std::iter::once(Type::Text).chain(types.into_iter().skip(1)).collect();
                assert!((function.result)(&wrong).is_err(), "{} takes a text", function.name);
            }
        }
    }
}
