//! Figures of reports, each with its unit and where it comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::units::Unit;
use crate::report::validation::{FigureOrigin, FigureRecord};

/// Unit of what is counted in binary megabytes.
pub const MIB: &str = "MiB";
/// Unit of shares and changes as people write them.
pub const PERCENT: &str = "%";
/// Unit of short times.
pub const MILLISECONDS: &str = "ms";

/// A figure; its value is null exactly where its origin is `not-measured`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The figure, in its unit; null where nobody knows.
    pub value: Option<f64>,
    /// Its unit; null for a plain number.
    pub unit: Option<String>,
    /// Where it comes from.
    pub origin: FigureOrigin,
}

/// What is wanted of a figure, in its unit. Nobody measures it: a policy says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Smallest that passes; null without one, or where it cannot be told.
    pub at_least: Option<f64>,
    /// Largest that passes; null without one, or where it cannot be told.
    pub at_most: Option<f64>,
    /// Their unit; null for plain numbers.
    pub unit: Option<String>,
}

impl Figure {
    /// A figure that somebody knows. What is no number, nobody does.
    pub fn known(value: f64, unit: &str, origin: FigureOrigin) -> Self {
        if !value.is_finite() || origin == FigureOrigin::NotMeasured {
            return Self::not_measured(unit);
        }
        Self { value: Some(value), unit: Some(unit.to_owned()), origin }
    }

    /// A figure that nobody knows.
    pub fn not_measured(unit: &str) -> Self {
        Self { value: None, unit: Some(unit.to_owned()), origin: FigureOrigin::NotMeasured }
    }

    /// A figure that the memory model may say, bytes → MiB.
    pub fn predicted_mib(bytes: Option<i64>) -> Self {
        match bytes {
            Some(bytes) => Self::known(mib(bytes as f64), MIB, FigureOrigin::Predicted),
            None => Self::not_measured(MIB),
        }
    }
}

impl From<&FigureRecord> for Figure {
    fn from(record: &FigureRecord) -> Self {
        match record.value.filter(|value| value.is_finite()) {
            Some(value) => Self { value: Some(value), unit: name(record.unit), origin: record.origin },
            None => Self { value: None, unit: name(record.unit), origin: FigureOrigin::NotMeasured },
        }
    }
}

impl From<&FigureRecord> for Bounds {
    fn from(record: &FigureRecord) -> Self {
        Self { at_least: record.at_least, at_most: record.at_most, unit: name(record.unit) }
    }
}

impl FigureRecord {
    /// The same in another unit, by a factor.
    pub fn times(&self, factor: f64, unit: &str) -> Figure {
        match self.value {
            Some(value) => Figure::known(value * factor, unit, self.origin),
            None => Figure::not_measured(unit),
        }
    }

    /// By how much the figure is better than the bound that it comes closest to, in the unit of the figure; negative where it is
    /// worse. `None` where one of the two is unknown.
    pub fn margin(&self) -> Option<f64> {
        self.margins().map(|(margin, _)| margin).reduce(f64::min)
    }

    /// The same as a percentage of the bound, with the origin of the figure.
    pub fn margin_percent(&self) -> Figure {
        let shares = self.margins().map(|(margin, bound)| margin / bound.abs() * 100.0);
        match shares.reduce(f64::min) {
            Some(share) => Figure::known(share, PERCENT, self.origin),
            None => Figure::not_measured(PERCENT),
        }
    }

    // To each bound, with the bound.
    fn margins(&self) -> impl Iterator<Item = (f64, f64)> {
        let above = self.value.zip(self.at_least).map(|(value, least)| (value - least, least));
        let below = self.value.zip(self.at_most).map(|(value, most)| (most - value, most));
        above.into_iter().chain(below)
    }
}

/// Bytes as MiB.
pub fn mib(bytes: f64) -> f64 {
    bytes / (1u64 << 20) as f64
}

/// How many percent a part is of a whole; `None` of nothing.
pub fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

fn name(unit: Option<Unit>) -> Option<String> {
    unit.map(|unit| unit.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Option<f64>, at_least: Option<f64>, at_most: Option<f64>) -> FigureRecord {
        let origin = if value.is_some() { FigureOrigin::Measured } else { FigureOrigin::NotMeasured };
        FigureRecord { value, origin, unit: Some(Unit::Seconds), at_least, at_most }
    }

    #[test]
    fn a_margin_is_to_the_nearer_bound_and_negative_beyond_it() {
        let percent = |record: FigureRecord| record.margin_percent().value;
        assert_eq!(percent(record(Some(30.0), None, Some(120.0))), Some(75.0));
        assert_eq!(percent(record(Some(150.0), None, Some(120.0))), Some(-25.0));
        assert_eq!(percent(record(Some(15.0), Some(10.0), Some(100.0))), Some(50.0));
        assert_eq!(record(Some(15.0), Some(10.0), Some(100.0)).margin(), Some(5.0));
        assert_eq!(record(None, None, Some(120.0)).margin_percent(), Figure::not_measured(PERCENT));
    }

    #[test]
    fn what_is_no_number_is_known_to_nobody() {
        // Of a bound of nothing there is no share.
        assert_eq!(record(Some(0.0), None, Some(0.0)).margin_percent(), Figure::not_measured(PERCENT));
        assert_eq!(Figure::from(&record(Some(f64::NAN), None, None)).origin, FigureOrigin::NotMeasured);
        assert_eq!((share(1, 4), share(0, 0)), (Some(25.0), None));
    }
}
