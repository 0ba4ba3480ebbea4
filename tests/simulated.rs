//! The memory that policies predict of diffusers, against its own code under FakeTensorMode (`../benches/simulate/rows.yaml`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic and speak"
)]

mod common;

use std::collections::BTreeMap;

use common::{POLICIES, described, expression, question};
use serde::Deserialize;
use serde_json::{Value, json};
use wan22_policy::engine::{evaluate, evaluation};
use wan22_policy::facts::Facts;
use wan22_policy::settings::SETTINGS;

#[derive(Deserialize)]
struct Table {
    rows: Vec<Row>,
}

/// The peak of one phase of one component.
#[derive(Deserialize)]
struct Row {
    model: String,
    phase: String,
    width: i64,
    height: i64,
    frames: i64,
    /// Edge of a tile, px; 0 is the whole frame.
    tile: i64,
    dtype: String,
    weights_bytes: f64,
    activation_peak_bytes: f64,
}

impl Row {
    fn name(&self) -> String {
        let Self { model, phase, width, height, frames, tile, dtype, .. } = self;
        format!("{model} {phase} {width}x{height}x{frames}, tile {tile}, {dtype}")
    }

    /// A model that has the component.
    fn of_model(&self) -> &str {
        match self.model.as_str() {
            "vae-2.2" => "ti2v-5b",
            "vae-2.1" | "umt5-xxl" => "t2v-a14b",
            "clip-vit-h" => "i2v-14b",
            transformer => transformer,
        }
    }

    /// What the policies say that its phase takes.
    fn expression(&self) -> Option<&'static str> {
        Some(match (self.phase.as_str(), self.model.as_str()) {
            // No plan computes in fp32 on a GPU, and activation_bytes are those of 16 bits.
            ("denoise", _) if self.dtype == "fp32" => return None,
            ("denoise", _) => "dit_bytes(layout()) + denoise_activations()",
            // The condition's video, too: for that the policies have no term, because the decode takes more.
            ("decode" | "condition", _) => "vae_bytes() + decoding(chosen_tile())",
            (_, "umt5-xxl") => r#"weights(model().text_encoder_parameters, "none", "bf16")"#,
            _ => r#"weights(min(model().image_encoder_parameters, data.image_tower_parameters), "none", "bf16")"#,
        })
    }

    /// Predicted over simulated, less one.
    fn error(&self) -> Option<f64> {
        let expression = expression(self.expression()?);
        let size = if self.phase == "encode" { [832, 480, 81] } else { [self.width, self.height, self.frames] };
        let workload = format!("{}:{}x{}x{}", self.of_model(), size[0], size[1], size[2]);
        // A card that computes in every type and holds everything, so that only the pins decide.
        let card = ["gpu.compute_capability=9.0", "gpu.vram.total=141GiB", "ram.total=512GiB"];
        let facts = described(Facts::new("not asked"), card, &workload);
        let pins = [
            ("dit.dtype", json!(self.dtype)),
            ("vae.dtype", json!(self.dtype)),
            ("vae.tiling", json!(self.tile > 0)),
            ("vae.tile_size", json!(if self.tile > 0 { self.tile } else { 1024 })),
        ];
        let pins: BTreeMap<usize, Value> =
            pins.map(|(name, value)| (SETTINGS.index(name).unwrap(), value)).into_iter().collect();
        let plan = evaluate(&POLICIES, &facts, &question(pins));
        let predicted = evaluation(&POLICIES, &facts, &plan).eval(&expression, &[]).unwrap().as_f64().unwrap();
        Some(predicted / (self.weights_bytes + self.activation_peak_bytes) - 1.0)
    }
}

fn rows() -> Vec<Row> {
    let table: Table = serde_yaml::from_str(include_str!("../benches/simulate/rows.yaml")).unwrap();
    table.rows
}

#[test]
fn simulated_peaks_are_predicted() {
    let rows = rows();
    let rows = rows.iter().filter(|row| row.phase != "condition");
    let errors: Vec<(f64, String)> = rows.filter_map(|row| Some((row.error()?, row.name()))).collect();
    let mut sizes: Vec<f64> = errors.iter().map(|(error, _)| error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let (middle, most) = (sizes[sizes.len() / 2], sizes.last().unwrap());
    eprintln!("{} rows: {:.1} % in the middle, {:.1} % at most", sizes.len(), middle * 100.0, most * 100.0);
    let wrong: Vec<String> = errors
        .iter()
        .filter(|(error, _)| error.abs() > 0.05)
        .map(|(error, name)| format!("{name}: {:+.1} %", error * 100.0))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(sizes.len() >= 80 && middle < 0.01, "{} rows, {:.1} % in the middle", sizes.len(), middle * 100.0);
}

/// What an image-to-video run encodes at its start takes less than its decode at the end, so the decode alone is asked.
#[test]
fn the_condition_takes_less_than_the_decode() {
    let rows = rows();
    let conditions: Vec<&Row> = rows.iter().filter(|row| row.phase == "condition").collect();
    assert!(conditions.len() >= 4);
    for row in conditions {
        assert!(row.error().unwrap() > 0.0, "{}: {:?}", row.name(), row.error());
    }
}
