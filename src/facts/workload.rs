//! The question that is asked: which model, at which size and length.

use std::fmt;
use std::str::FromStr;

use super::{Facts, Origin};

/// A workload as it is written on the command line: `ti2v-5b` or `ti2v-5b:1280x704x121`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Name of the model, a row of `data.models`.
    pub model: String,
    /// `[width, height, frames]` in px, px and frames; `None` takes the model's own default.
    pub size: Option<[i64; 3]>,
}

/// A workload that is not written `MODEL` or `MODEL:WIDTHxHEIGHTxFRAMES`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a workload: write MODEL or MODEL:WIDTHxHEIGHTxFRAMES, as in ti2v-5b:1280x704x121")]
pub struct WorkloadError(String);

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        let error = || WorkloadError(text.to_owned());
        let (model, size) = match text.split_once(':') {
            Some((model, size)) => (model, Some(size)),
            None => (text, None),
        };
        if model.is_empty() {
            return Err(error());
        }
        let size = size
            .map(|size| {
                let numbers: Vec<i64> = size
                    .split(['x', '*'])
                    .map(|part| part.parse().ok().filter(|n| (1..=65_536).contains(n)))
                    .collect::<Option<_>>()
                    .ok_or_else(error)?;
                <[i64; 3]>::try_from(numbers).map_err(|_| error())
            })
            .transpose()?;
        Ok(Self { model: model.to_lowercase(), size })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.model)?;
        match self.size {
            Some([width, height, frames]) => write!(f, ":{width}x{height}x{frames}"),
            None => Ok(()),
        }
    }
}

impl Workload {
    /// Records the workload as facts.
    pub fn record(&self, facts: &mut Facts) {
        facts.know("workload.model", self.model.as_str(), Origin::User);
        if let Some([width, height, frames]) = self.size {
            facts.know("workload.width", width, Origin::User);
            facts.know("workload.height", height, Origin::User);
            facts.know("workload.frames", frames, Origin::User);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_a_model_and_perhaps_a_size() {
        let full: Workload = "ti2v-5b:1280x704x49".parse().unwrap();
        assert_eq!(full.size, Some([1280, 704, 49]));
        assert_eq!(full.to_string(), "ti2v-5b:1280x704x49");
        assert_eq!("T2V-A14B".parse::<Workload>().unwrap().model, "t2v-a14b");
        for bad in ["", ":1x2x3", "a:1x2", "a:0x2x3", "a:1x2xthree", "a:1x2x3x4"] {
            assert!(bad.parse::<Workload>().is_err(), "{bad}");
        }
    }
}
