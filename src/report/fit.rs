//! The JSON of `fit`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fit::{Fit, Fits, PHASES, Span, Time};

/// The answers of one machine, as `fit --format json` prints them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FitReport {
    /// Name and version of this format: `wan22-policy/fit/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The machine in a few words.
    pub machine: String,
    /// One answer for each model, size and stack.
    pub fit: Vec<FitRecord>,
}

/// Name and version of the format.
pub const SCHEMA: &str = "wan22-policy/fit/v1";

/// One answer. Bytes are whole numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FitRecord {
    /// The model.
    pub model: String,
    /// The stack.
    pub stack: String,
    /// Width of the video, px.
    pub width: i64,
    /// Height, px.
    pub height: i64,
    /// Number of frames.
    pub frames: i64,
    /// Denoising steps; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<i64>,
    /// Passes of the transformer in each step; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<i64>,
    /// What the stack does about the settings that the answer rests on.
    pub settings: Map<String, Value>,
    /// Settings that were asked for with another value than the stack takes, or that it does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// Whether it fits.
    pub fits: Fits,
    /// The largest phase as PyTorch's allocator counts it.
    pub peak_bytes: i64,
    /// The same as the device reports it.
    pub device_peak_bytes: i64,
    /// What may be lost to fragmentation before the decode.
    pub fragmentation_bytes: i64,
    /// By how much denoising and the decode may take more or less, where the figures of the stack are estimates.
    pub uncertainty_bytes: i64,
    /// Peak of each phase as the allocator counts it.
    pub phases: BTreeMap<String, i64>,
    /// What lies on the GPU in each phase, by name.
    pub parts: BTreeMap<String, BTreeMap<String, i64>>,
    /// VRAM that may be taken.
    pub budget_bytes: i64,
    /// VRAM that nobody uses now; absent where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<i64>,
    /// What others must free before it fits, as the memory is used now; 0 where it fits now, or never does.
    pub taken_by_others_bytes: i64,
    /// Whether what is too much for the card moves to the RAM without an error, as on Windows' desktops, and slows the run down.
    pub spills: bool,
    /// RAM that the run takes.
    pub ram_bytes: i64,
    /// RAM without which it does not run at all; with less than `ram_bytes` it slows down.
    pub least_ram_bytes: i64,
    /// RAM that the run takes while everything is loaded at once, which part by part would avoid.
    pub ram_to_load_bytes: i64,
    /// RAM that may be taken; absent where the RAM is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_budget_bytes: Option<i64>,
    /// How long a video takes when everything is loaded; absent where nobody knows, and where it does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_s: Option<TimeRecord>,
    /// How long the model takes to load before, when no file is in the page cache, seconds; absent where the disk is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_s: Option<Span>,
    /// What binds: `encode`, `denoise`, `decode`, `ram`, `size` where the stack takes none of this size, or `stack` where it cannot run it.
    pub binding: String,
    /// By how much it does not fit.
    pub shortfall_bytes: i64,
    /// Why the stack cannot run it, whatever the machine has; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What makes it fit, the smallest change first; empty where it fits or nothing was found.
    pub would_fit_with: Vec<String>,
}

/// How long a run takes, seconds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeRecord {
    /// At the fast end of what is known.
    pub low: f64,
    /// As expected.
    pub expected: f64,
    /// At the slow end.
    pub high: f64,
    /// `published` where it rests on published runs on this very card, else `estimate`.
    pub origin: String,
}

impl From<&Time> for TimeRecord {
    fn from(time: &Time) -> Self {
        let Span { low, expected, high } = time.run;
        Self { low, expected, high, origin: if time.is_published { "published" } else { "estimate" }.to_owned() }
    }
}

impl From<&Fit> for FitRecord {
    fn from(fit: &Fit) -> Self {
        let [width, height, frames] = fit.workload.size.unwrap_or_default();
        let named = |phase: usize| PHASES[phase].to_owned();
        let time = fit.time_of_run();
        let parts = |phase: usize| fit.phases[phase].iter().map(|part| (part.name.clone(), part.bytes)).collect();
        Self {
            model: fit.workload.model.clone(),
            stack: fit.stack.clone(),
            width,
            height,
            frames,
            steps: fit.steps.map(|[steps, _]| steps),
            passes: fit.steps.map(|[_, passes]| passes),
            settings: fit.settings.clone(),
            ignored: fit.ignored.clone(),
            fits: fit.fits(),
            peak_bytes: fit.allocated(fit.largest()),
            device_peak_bytes: fit.peak(),
            fragmentation_bytes: fit.fragmentation,
            uncertainty_bytes: fit.uncertainty,
            phases: (0..PHASES.len()).map(|phase| (named(phase), fit.allocated(phase))).collect(),
            parts: (0..PHASES.len()).map(|phase| (named(phase), parts(phase))).collect(),
            budget_bytes: fit.budget,
            free_bytes: fit.free,
            taken_by_others_bytes: fit.taken_by_others(),
            spills: fit.spills,
            ram_bytes: fit.ram,
            least_ram_bytes: fit.least_ram,
            ram_to_load_bytes: fit.ram_to_load,
            ram_budget_bytes: fit.ram_budget,
            time_s: time.map(TimeRecord::from),
            load_s: time.and_then(|time| time.load),
            binding: fit.binding().to_owned(),
            shortfall_bytes: fit.shortfall(),
            refused: fit.refused.clone(),
            would_fit_with: fit.would_fit_with.clone(),
        }
    }
}
