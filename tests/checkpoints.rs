//! Checkpoints on disk: each part of a Wan model at its real size, each thing that can be wrong with a file, and files that
//! were made to do harm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;
#[path = "checkpoints/files.rs"]
mod files;
#[path = "checkpoints/wan.rs"]
mod wan;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use wan22_policy::facts::probe::checkpoints::{self, find::Kind, header::Fault, index::Index};
use wan22_policy::facts::{Facts, Origin};
use wan22_policy::fit;

use files::{Meta, gguf, pth, safetensors, safetensors_header, with_length, write};
use wan::{A14B, I2V_14B, I2V_A14B, Shape, T2V_1_3B, TI2V_5B, clip, elements, umt5, vae, with};

/// The root of an installation.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn probe(&self) -> Facts {
        let facts = checkpoints::probe(self.0.path(), None);
        common::assert_origins_are_declared("the checkpoints", &facts);
        facts
    }

    /// The findings, a line each.
    fn findings(&self) -> Vec<String> {
        findings(&self.probe())
    }
}

fn findings(facts: &Facts) -> Vec<String> {
    let line = |finding: &wan22_policy::diag::Finding| format!("{}: {}", finding.code, finding.message);
    facts.findings.iter().map(line).collect()
}

/// The facts of a model, by name: the value, or why there is none.
fn model(facts: &Facts, index: usize) -> Value {
    let names = ["file", "name", "component", "expert", "dtype", "dtypes", "parameters", "bytes", "complete"];
    let fact = |name: &str| {
        let full = format!("models[{index}].{name}");
        facts.value(&full).cloned().unwrap_or_else(|| format!("? {}", facts.reason(&full)).into())
    };
    names.iter().map(|name| ((*name).to_owned(), fact(name))).collect::<serde_json::Map<_, _>>().into()
}

/// The parameters of the transformer of a row of `data.models`.
fn published(name: &str) -> u64 {
    common::POLICIES.table("models").unwrap()[name]["dit_parameters"].as_u64().unwrap()
}

#[test]
fn every_transformer_is_known_by_its_tensors() {
    let faces: &[(&str, &[u64])] = &[("face_adapter.fuser_blocks.0.k_norm.weight", &[128])];
    let sound: &[(&str, &[u64])] = &[("casual_audio_encoder.weights", &[1, 25, 1, 1])];
    let one = "? the model has one transformer";
    let cases: [(&str, Vec<Shape>, &str, &str); 12] = [
        ("Wan2.2-TI2V-5B/model.safetensors", TI2V_5B.official(), "ti2v-5b", one),
        ("5b/transformer/model.safetensors", TI2V_5B.diffusers(), "ti2v-5b", one),
        ("t2v/high_noise_model/model.safetensors", A14B.official(), "t2v-a14b", "high_noise"),
        ("unet/wan2.2_t2v_low_noise_14B_fp16.safetensors", A14B.official(), "t2v-a14b", "low_noise"),
        ("unet/Wan2_2-I2V-A14B-HIGH_bf16 high-noise.safetensors", I2V_A14B.official(), "i2v-a14b", "high_noise"),
        ("unet/i2v.safetensors", I2V_A14B.official(), "i2v-a14b", "? no folder or file says which"),
        ("i2v/i2v-14b.safetensors", I2V_14B.official(), "i2v-14b", one),
        ("i2v/diffusers/model.safetensors", I2V_14B.diffusers(), "i2v-14b", one),
        ("unet/wan2.1_t2v_14B_fp16.safetensors", A14B.official(), "t2v-14b", one),
        ("unet/small.safetensors", T2V_1_3B.official(), "t2v-1.3b", one),
        ("unet/animate.safetensors", with(I2V_14B.official(), faces), "animate-14b", one),
        ("unet/s2v.safetensors", with(A14B.official(), sound), "s2v-14b", one),
    ];
    for (file, tensors, name, expert) in cases {
        let root = Root::new();
        safetensors(&root.path(file), &tensors, "BF16", 2);
        let facts = root.probe();
        let parameters = elements(&tensors);
        let want = json!({
            "file": file, "name": name, "component": "dit", "expert": expert, "dtype": "bf16", "dtypes": "bf16",
            "parameters": parameters, "bytes": 2 * parameters, "complete": true,
        });
        assert_eq!((model(&facts, 0), facts.count("models")), (want, Some(1)));
        assert_eq!(findings(&facts), [""; 0], "{file}");
        // The table of models has four digits; of S2V and Animate only a part of the tensors is written here.
        if !["animate-14b", "s2v-14b"].contains(&name) {
            let published = published(name);
            assert!(parameters.abs_diff(published) <= published / 1000, "{name}: {parameters}, published {published}");
        }
    }
}

#[test]
fn what_tensors_do_not_tell_is_unknown() {
    let root = Root::new();
    safetensors(&root.path("unet/some-14b.safetensors"), &A14B.official(), "F16", 2);
    safetensors(&root.path("unet/tiny.safetensors"), &wan::Transformer { blocks: 2, ..TI2V_5B }.official(), "F16", 2);
    let vace = with(A14B.official(), &[("vace_patch_embedding.weight", &[5120, 96, 1, 2, 2])]);
    safetensors(&root.path("unet/vace.safetensors"), &vace, "F16", 2);
    let facts = root.probe();
    let names: Vec<String> = (0..3).map(|index| model(&facts, index)["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "? t2v-14b and both experts of t2v-a14b have its tensors, and no folder or file says which it is",
            "? no model of the table has 2 blocks of 3072 behind 48 channels, and the same embeddings",
            "? it is a variant that the table of models does not have",
        ]
    );
    assert_eq!(findings(&facts), [""; 0]);
}

#[test]
fn the_name_of_the_root_tells_as_those_below_it_do() {
    let root = Root::new();
    safetensors(&root.path("Wan2.1-T2V-14B/model.safetensors"), &A14B.official(), "F32", 4);
    let facts = checkpoints::probe(&root.path("Wan2.1-T2V-14B"), None);
    assert_eq!(
        (&model(&facts, 0)["name"], &model(&facts, 0)["file"]),
        (&json!("t2v-14b"), &json!("model.safetensors"))
    );
}

#[test]
fn two_experts_in_a_pipeline_of_diffusers_are_told_apart() {
    let root = Root::new();
    for folder in ["transformer", "transformer_2"] {
        safetensors(&root.path(&format!("pipe/{folder}/model.safetensors")), &A14B.diffusers(), "BF16", 2);
    }
    let facts = root.probe();
    let told = |index| ["name", "expert"].map(|fact| model(&facts, index)[fact].clone());
    assert_eq!((told(0), told(1)), ([json!("t2v-a14b"), json!("high_noise")], [json!("t2v-a14b"), json!("low_noise")]));
}

#[test]
fn encoders_and_decoders_are_known_and_other_models_are_not_listed() {
    let root = Root::new();
    safetensors(&root.path("a/text.safetensors"), &umt5(), "BF16", 2);
    safetensors(&root.path("b/vae.safetensors"), &vae([96, 3], [384, 16]), "F32", 4);
    safetensors(&root.path("c/vae.safetensors"), &vae([160, 12], [1024, 48]), "BF16", 2);
    safetensors(&root.path("d/clip.safetensors"), &clip(), "F16", 2);
    let adapter = [("diffusion_model.blocks.0.self_attn.q.lora_A.weight".to_owned(), vec![32, 5120])];
    safetensors(&root.path("loras/x.safetensors"), &adapter, "BF16", 2);
    safetensors(&root.path("vae/flux.safetensors"), &vae([128, 3], [512, 16]), "F32", 4);
    let facts = root.probe();
    let told =
        |index| ["component", "name", "dtype"].map(|fact| model(&facts, index)[fact].as_str().unwrap().to_owned());
    assert_eq!(
        (0..facts.count("models").unwrap()).map(told).collect::<Vec<_>>(),
        [
            ["text_encoder", "umt5-xxl", "bf16"],
            ["vae", "vae-2.1", "fp32"],
            ["vae", "vae-2.2", "bf16"],
            ["image_encoder", "clip-vit-h", "fp16"],
        ]
    );
    assert_eq!(model(&facts, 0)["parameters"], 5_680_910_336_u64);
    assert_eq!(findings(&facts), [""; 0]);
}

#[test]
fn quantized_weights_are_counted_without_their_scales() {
    let root = Root::new();
    let scales: Vec<Shape> = (0..40).map(|block| (format!("blocks.{block}.ffn.0.scale_weight"), vec![1])).collect();
    let tensors: Vec<Shape> = A14B.official().into_iter().chain(scales).collect();
    let dtype = |name: &str| match name {
        _ if name.ends_with("scale_weight") => ("F32", 4),
        _ if name.starts_with("blocks.") && name.ends_with(".weight") && !name.contains("norm") => ("F8_E4M3", 1),
        _ => ("F16", 2),
    };
    let (header, data) = safetensors_header(&tensors, dtype);
    write(&root.path("wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors"), &header, header.len() as u64 + data);
    let packed: Vec<Shape> =
        A14B.official().into_iter().map(|(name, shape)| (format!("model.diffusion_model.{name}"), shape)).collect();
    safetensors(&root.path("wan2.2_t2v_low_noise_14B_nf4.safetensors"), &packed, "U8", 1);
    let facts = root.probe();
    let first = model(&facts, 0);
    assert_eq!(first["dtypes"], "fp8_e4m3fn, fp16, fp32");
    assert_eq!((&first["bytes"], &first["parameters"]), (&data.into(), &elements(&A14B.official()).into()));
    assert_eq!(model(&facts, 1)["parameters"], "? its weights are packed, several in one number");
}

/// TI2V-5B in fp32 in three shards with an index, as the vendor publishes it.
fn shards(root: &Root) -> Value {
    let tensors = TI2V_5B.official();
    let mut map = serde_json::Map::new();
    for (number, shard) in tensors.chunks(tensors.len().div_ceil(3)).enumerate() {
        let file = format!("diffusion_pytorch_model-{:05}-of-00003.safetensors", number + 1);
        safetensors(&root.path(&format!("5b/{file}")), shard, "F32", 4);
        map.extend(shard.iter().map(|(name, _)| (name.clone(), file.clone().into())));
    }
    let index = json!({ "metadata": { "total_size": 4 * elements(&tensors) }, "weight_map": map });
    fs::write(root.path(INDEX), index.to_string()).unwrap();
    index
}

const INDEX: &str = "5b/diffusion_pytorch_model.safetensors.index.json";
const SECOND: &str = "5b/diffusion_pytorch_model-00002-of-00003.safetensors";

#[test]
fn shards_are_one_checkpoint() {
    let root = Root::new();
    shards(&root);
    let facts = root.probe();
    let parameters = elements(&TI2V_5B.official());
    let want = json!({
        "file": INDEX, "name": "ti2v-5b", "component": "dit", "expert": "? the model has one transformer", "dtype": "fp32",
        "dtypes": "fp32", "parameters": parameters, "bytes": 4 * parameters, "complete": true,
    });
    assert_eq!((model(&facts, 0), facts.count("models")), (want, Some(1)));
    assert_eq!(findings(&facts), [""; 0]);
    // Their numbers tell as much where the index is gone.
    fs::remove_file(root.path(INDEX)).unwrap();
    let facts = root.probe();
    assert_eq!(model(&facts, 0)["file"], "5b/diffusion_pytorch_model-*-of-00003.safetensors");
    assert_eq!((&model(&facts, 0)["complete"], findings(&facts)), (&true.into(), vec![]));
}

#[test]
fn a_missing_shard_is_found_with_and_without_an_index() {
    let root = Root::new();
    shards(&root);
    fs::remove_file(root.path(SECOND)).unwrap();
    let missing = "is not whole: `diffusion_pytorch_model-00002-of-00003.safetensors` is not beside it";
    let facts = root.probe();
    assert_eq!(findings(&facts), [format!("checkpoint-incomplete: `{INDEX}` {missing}")]);
    assert_eq!((&model(&facts, 0)["complete"], &model(&facts, 0)["name"]), (&false.into(), &"ti2v-5b".into()));
    assert_eq!(model(&facts, 0)["bytes"], "? a shard is missing or cannot be read");
    fs::remove_file(root.path(INDEX)).unwrap();
    let whole = "5b/diffusion_pytorch_model-*-of-00003.safetensors";
    assert_eq!(root.findings(), [format!("checkpoint-incomplete: `{whole}` {missing}")]);
}

#[test]
fn an_index_that_disagrees_with_its_shards_is_found() {
    let root = Root::new();
    let index = shards(&root);
    let say = |change: &dyn Fn(&mut Value)| {
        let mut index = index.clone();
        change(&mut index);
        fs::write(root.path(INDEX), index.to_string()).unwrap();
        root.findings()
    };
    let (said, is) = (4 * elements(&TI2V_5B.official()) + 4, 4 * elements(&TI2V_5B.official()));
    let prefix = format!("checkpoint-invalid: `{INDEX}` is damaged: ");
    assert_eq!(
        say(&|index| index["metadata"]["total_size"] = said.into()),
        [format!("{prefix}it says that its tensors have {said} bytes, and those of its shards have {is}")]
    );
    assert_eq!(say(&|index| index["metadata"]["total_size"] = (is as f64).into()), [""; 0]);
    let last = "diffusion_pytorch_model-00003-of-00003.safetensors";
    assert_eq!(
        say(&|index| index["weight_map"]["patch_embedding.bias"] = last.into()),
        [format!("{prefix}it says that `patch_embedding.bias` is in `{last}`, which does not hold it")]
    );
    for name in ["../x.safetensors", "/etc/passwd", "a\\b", "..", "C:x", ""] {
        let found = say(&|index| index["weight_map"]["patch_embedding.bias"] = name.into());
        assert_eq!(found, [format!("{prefix}it names `{name}`, which is no file beside it")]);
    }
    let found = say(&|index| index["weight_map"] = json!(["x"]));
    assert!(found[0].starts_with(&format!("{prefix}it is no index of shards (invalid type: sequence")), "{found:?}");
    let half = &index.to_string()[..1000];
    fs::write(root.path(INDEX), half).unwrap();
    assert_eq!(root.findings(), [format!("checkpoint-truncated: `{INDEX}` ends at byte 1000, in the middle")]);
}

#[test]
fn a_file_that_was_cut_off_says_what_is_missing() {
    let root = Root::new();
    let file = "wan2.2_t2v_high_noise_14B_fp16.safetensors";
    let length = safetensors(&root.path(file), &A14B.official(), "F16", 2);
    let cut = |to: u64| {
        fs::OpenOptions::new().write(true).open(root.path(file)).unwrap().set_len(to).unwrap();
        root.probe()
    };
    let facts = cut(length - (3 << 30));
    let message = format!("ends at byte {}, and its tensors at byte {length}: 3 GiB are missing", length - (3 << 30));
    assert_eq!(findings(&facts), [format!("checkpoint-truncated: `{file}` {message}")]);
    let help = facts.findings[0].help.as_deref();
    assert_eq!(help, Some("download that file again, and see that the disk has room for it"));
    let model = model(&facts, 0);
    assert_eq!((&model["complete"], &model["bytes"]), (&false.into(), &(2 * elements(&A14B.official())).into()));

    let (header, _) = safetensors_header(&A14B.official(), |_| ("F16", 2));
    let message = format!("ends at byte 4096, in its header of {} bytes", header.len() - 8);
    assert_eq!(findings(&cut(4096)), [format!("checkpoint-truncated: `{file}` {message}")]);
    assert_eq!(findings(&cut(7)), [format!("checkpoint-truncated: `{file}` ends at byte 7, before its header")]);
    assert_eq!(findings(&cut(0)), [format!("checkpoint-truncated: `{file}` ends at byte 0, before its header")]);
}

/// What is said of a file with these bytes.
fn said(bytes: &[u8], kind: Kind) -> String {
    let length = bytes.len() as u64;
    match checkpoints::read(Cursor::new(bytes), kind, length) {
        Ok(header) => header.fault_of_length(length).map_or_else(|| "fine".to_owned(), |fault| fault.to_string()),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn a_safetensors_header_that_lies_is_refused_at_its_place() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let header = |tensors: &[(&str, String)], data: usize| {
        let tensors: Vec<String> = tensors.iter().map(|(name, tensor)| format!(r#""{name}":{tensor}"#)).collect();
        let mut bytes = with_length(&format!("{{{}}}", tensors.join(",")));
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let fine = || tensor("F32", "[2]", "[0,8]");
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    let many = format!("[{}1]", "1,".repeat(16));
    let long = "x".repeat(5000);
    for (bytes, want) in [
        (header(&[("a", fine())], 8), "fine"),
        (header(&[], 0), "fine"),
        (header(&[("b", tensor("BF16", "[]", "[8,10]")), ("a", fine())], 10), "fine"),
        (header(&[("a", tensor("F4", "[4]", "[0,2]"))], 2), "fine"),
        (header(&[("a", tensor("X9", "[4]", "[0,3]"))], 3), "fine"),
        (header(&[("a", fine())], 9), "is damaged at byte 70: its tensors end here, and the file 1 bytes later"),
        (header(&[("a", fine())], 7), "ends at byte 69, and its tensors at byte 70: 1 B are missing"),
        (
            header(&[("a", fine()), ("b", tensor("I8", "[4]", "[6,10]"))], 10),
            "is damaged at byte 123: `b` has the bytes 6 to 10 of the data, and `a` ends at 8",
        ),
        (
            header(&[("a", tensor("F32", "[2]", "[4,12]"))], 12),
            "is damaged at byte 63: `a` has the bytes 4 to 12 of the data, and the header ends at 0",
        ),
        (
            header(&[("a", tensor("F32", "[2]", "[0,4]"))], 4),
            "is damaged at byte 62: `a` has 4 bytes, and 2 numbers of F32 take 8",
        ),
        (
            header(&[("a", tensor("U8", "[2]", "[0,18446744073709551615]"))], 0),
            "is damaged at byte 80: `a` has 18446744073709551615 bytes, and 2 numbers of U8 take 2",
        ),
        (
            header(&[("a", tensor("F32", "[4294967296,4294967296]", "[0,8]"))], 8),
            "is damaged at byte 82: the shape of `a` is too large to be counted",
        ),
        (
            header(&[("a", tensor("F32", "[-2]", "[0,8]"))], 8),
            "is damaged at byte 39: its header cannot be read (invalid value: integer `-2`, expected u64)",
        ),
        (
            header(&[("a", tensor("F32", &many, "[0,8]"))], 8),
            "is damaged at byte 70: its header cannot be read (more than 16 dimensions)",
        ),
        (
            header(&[("a", fine()), ("a", tensor("F32", "[]", "[8,12]"))], 12),
            "is damaged at byte 8: its header names `a` twice",
        ),
        (
            header(&[("\\u001b[2J", tensor("F32", "[]", "[0,1]"))], 1),
            "is damaged at byte 69: `\\u{1b}[2J` has 1 bytes, and 1 numbers of F32 take 4",
        ),
        (with_length("[1]"), "is damaged at byte 8: its header does not begin with `{`"),
        (with_length("{}{}"), "is damaged at byte 10: its header cannot be read (trailing characters)"),
        (
            with_length(&deep),
            "is damaged at byte 14: its header cannot be read (invalid type: sequence, expected a string)",
        ),
        (vec![0; 4096], "is damaged at byte 0: its header has no bytes, as in a file that is still being downloaded"),
        (
            vec![0xff; 64],
            "is damaged at byte 0: its header would have 18446744073709551615 bytes, and the format allows 100000000",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec(),
            "is a pointer of Git LFS, and the file itself is not here",
        ),
        (
            b"\n<!DOCTYPE html><html>not found</html>".to_vec(),
            "is damaged at byte 0: it is a web page, as a server answers in place of a file",
        ),
    ] {
        assert_eq!(
            said(&bytes, Kind::Safetensors),
            want,
            "{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
        );
    }
    let found = said(&header(&[("a", format!("{long:?}"))], 0), Kind::Safetensors);
    assert!(found.contains("invalid type: string") && found.len() < 300, "{found}");
}

#[test]
fn headers_beyond_any_model_are_not_read() {
    let tensor = |number: usize| format!(r#""{number}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let tensors = |count: usize| with_length(&format!("{{{}}}", (0..count).map(tensor).collect::<Vec<_>>().join(",")));
    assert_eq!(said(&tensors(100_000), Kind::Safetensors), "fine");
    assert_eq!(said(&tensors(100_001), Kind::Safetensors), "has more than 100000 tensors");
    let root = Root::new();
    for (number, count) in [(1, 60_000), (2, 40_001)] {
        fs::write(root.path(&format!("m-0000{number}-of-00002.safetensors")), tensors(count)).unwrap();
    }
    let many = "checkpoint-unread: `m-00002-of-00002.safetensors` has, with its other shards, more than 100000 tensors";
    assert_eq!(root.findings(), [many]);
    let wide = with_length(&format!("{{{}}}", " ".repeat(40 << 20)));
    assert_eq!(said(&wide, Kind::Safetensors), "has a header of 41943042 bytes; at most 33554432 are read");
}

/// A file with one tensor of that name at a text in JSON, read by the crate that the format comes from.
fn theirs(bytes: &[u8]) -> bool {
    ::safetensors::SafeTensors::deserialize(bytes).is_ok()
}

#[test]
fn what_the_formats_own_crate_writes_is_read_the_same() {
    use ::safetensors::Dtype;
    use ::safetensors::tensor::TensorView;
    let data = vec![0; 4096];
    let tensors: Vec<(String, TensorView<'_>)> = [
        (Dtype::F32, vec![4, 4], 64),
        (Dtype::BF16, vec![3], 6),
        (Dtype::F8_E4M3, vec![7, 1, 2], 14),
        (Dtype::F8_E5M2, vec![0], 0),
        (Dtype::F4, vec![6], 3),
        (Dtype::BOOL, vec![], 1),
        (Dtype::C64, vec![2], 16),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (dtype, shape, bytes))| {
        (format!("t{number}"), TensorView::new(dtype, shape, &data[..bytes]).unwrap())
    })
    .collect();
    let bytes = ::safetensors::serialize(tensors.clone(), None).unwrap();
    let header = checkpoints::read(Cursor::new(&bytes), Kind::Safetensors, bytes.len() as u64).unwrap();
    assert_eq!(header.fault_of_length(bytes.len() as u64), None);
    for (name, tensor) in tensors {
        let ours = header.tensors.iter().find(|ours| *ours.name == *name).unwrap();
        let shape: Vec<u64> = tensor.shape().iter().map(|size| *size as u64).collect();
        assert_eq!((ours.bytes, &*ours.shape), (tensor.data().len() as u64, &*shape), "{name}");
    }
}

proptest! {
    #[test]
    fn headers_are_refused_where_the_formats_own_crate_refuses_them(
        tensors in prop::collection::vec((0..4_u64, 0..3_usize, 0..3_u64, 0..2_u64), 0..4),
        behind in 0..3_usize,
    ) {
        let mut end = 0;
        let mut entries = Vec::new();
        for (number, (size, dtype, slip, more)) in tensors.into_iter().enumerate() {
            let (dtype, width) = [("F32", 4), ("BF16", 2), ("U8", 1)][dtype];
            // Mostly right, sometimes a byte aside or too long.
            let from = if slip == 2 { end + 1 } else { end };
            let to = from + size * width + more * (slip / 2);
            end = to;
            entries.push(format!(r#""{number}":{{"dtype":"{dtype}","shape":[{size}],"data_offsets":[{from},{to}]}}"#));
        }
        let mut bytes = with_length(&format!("{{{}}}", entries.join(",")));
        bytes.resize(bytes.len() + (end as usize + behind).saturating_sub(1), 0);
        prop_assert_eq!(said(&bytes, Kind::Safetensors) == "fine", theirs(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }
}

const F32: (u32, u64, u64) = (0, 1, 4);
const F16: (u32, u64, u64) = (1, 1, 2);
const Q8_0: (u32, u64, u64) = (8, 32, 34);
const Q4_K: (u32, u64, u64) = (12, 256, 144);

/// A transformer as GGUF files of Wan have it: matrices quantized, the rest in fp32.
fn quantized(tensors: Vec<Shape>, ty: (u32, u64, u64)) -> Vec<(Shape, (u32, u64, u64))> {
    let ty_of = |shape: &[u64]| if shape.len() == 2 && shape[1].is_multiple_of(ty.1) { ty } else { F32 };
    tensors
        .into_iter()
        .map(|(name, shape)| {
            let ty = ty_of(&shape);
            ((name, shape), ty)
        })
        .collect()
}

#[test]
fn gguf_files_are_counted_by_their_blocks() {
    let root = Root::new();
    let values = [("general.architecture", Meta::Texts(&["wan"])), ("general.alignment", Meta::U32(64))];
    for (name, ty) in [("Wan2.2-T2V-A14B-LowNoise-Q4_K.gguf", Q4_K), ("Wan2.2-T2V-A14B-HighNoise-Q8_0.gguf", Q8_0)] {
        let file = gguf(&values, &quantized(A14B.official(), ty));
        write(&root.path(name), &file.bytes, file.length);
    }
    let words: Vec<Shape> = umt5()
        .into_iter()
        .map(|(name, shape)| (name.replace("shared", "token_embd").replace("encoder.block", "enc.blk"), shape))
        .collect();
    let tokens = vec!["▁the"; 256_384];
    let file = gguf(&[("tokenizer.ggml.tokens", Meta::Texts(&tokens))], &quantized(words, Q8_0));
    write(&root.path("umt5-xxl-encoder-Q8_0.gguf"), &file.bytes, file.length);
    let facts = root.probe();
    assert_eq!(findings(&facts), [""; 0]);
    let told =
        |index: usize| ["name", "expert", "dtypes"].map(|fact| model(&facts, index)[fact].as_str().unwrap().to_owned());
    assert_eq!(told(0), ["t2v-a14b", "high_noise", "q8_0, fp32"]);
    assert_eq!(told(1), ["t2v-a14b", "low_noise", "q4_k, fp32"]);
    assert_eq!(told(2), ["umt5-xxl", "? the model has one transformer", "q8_0, fp32"]);
    let parameters = elements(&A14B.official());
    let matrices: u64 =
        A14B.official().iter().filter(|(_, shape)| shape.len() == 2).map(|(_, shape)| shape[0] * shape[1]).sum();
    let want = matrices / 256 * 144 + (parameters - matrices) * 4;
    assert_eq!((&model(&facts, 1)["bytes"], &model(&facts, 1)["parameters"]), (&want.into(), &parameters.into()));
}

#[test]
fn a_gguf_header_that_lies_is_refused_at_its_place() {
    let tensor = |name: &str, shape: &[u64], ty| ((name.to_owned(), shape.to_vec()), ty);
    let file = |tensors: &[(Shape, (u32, u64, u64))]| {
        let file = gguf(&[("general.alignment", Meta::U32(32))], tensors);
        let mut bytes = file.bytes;
        bytes.resize(usize::try_from(file.length).unwrap(), 0);
        bytes
    };
    let fine = file(&[tensor("a", &[3], F32), tensor("b", &[2, 32], Q8_0), tensor("c", &[5], F16)]);
    let changed = |at: usize, new: &[u8]| {
        let mut bytes = fine.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    // Magic, version, counts: 24; the one value: 8 + 17 + 4 + 4; then a name of 9, dimensions from 4, a type, an offset.
    let first = 24 + 33 + 9;
    let most = u64::MAX.to_le_bytes();
    for (bytes, want) in [
        (fine.clone(), "fine"),
        (file(&[]), "fine"),
        (fine[..fine.len() - 1].to_vec(), "ends at byte 329, and its tensors at byte 330: 1 B are missing"),
        (fine[..100].to_vec(), "ends at byte 100, in its header"),
        (fine[..10].to_vec(), "ends at byte 10, in its header"),
        ([&fine[..], &[0; 32]].concat(), "fine"),
        ([&fine[..], &[0; 33]].concat(), "is damaged at byte 330: its tensors end here, and the file 33 bytes later"),
        (changed(0, b"GGML"), "is damaged at byte 0: it does not begin with `GGUF`"),
        (changed(4, &[1, 0, 0, 0]), "is a GGUF file of version 1; 2 and 3 are read"),
        (changed(4, &[0, 0, 0, 3]), "is a GGUF file for processors of the other byte order"),
        (changed(8, &most), "is damaged at byte 8: it cannot hold 18446744073709551615 tensors"),
        (
            changed(16, &most),
            "is damaged at byte 84: a name of 281474976710656 bytes is said to follow; 65535 are allowed",
        ),
        (
            changed(24, &most),
            "is damaged at byte 24: a name of 18446744073709551615 bytes is said to follow; 65535 are allowed",
        ),
        (changed(32, &[0xff]), "is damaged at byte 32: a name is not UTF-8"),
        (changed(49, &[13]), "is damaged at byte 49: a value has type 13, which the format does not have"),
        (changed(53, &[33]), "is damaged at byte 49: its alignment is 33, which is no power of two"),
        (changed(53, &[0]), "is damaged at byte 49: its alignment is 0, which is no power of two"),
        (changed(first, &[17]), "is damaged at byte 66: `a` would have 17 dimensions"),
        (changed(first + 4, &most), "is damaged at byte 66: the shape of `a` is too large to be counted"),
        (
            changed(first + 12, &[8]),
            "is damaged at byte 66: the rows of `a` have 3 numbers, which are no whole blocks of 32",
        ),
        (changed(first + 12, &[99]), "has tensors of type 99, at byte 78, which is not known here"),
        (
            changed(first + 16, &[32]),
            "is damaged at byte 82: `a` is said to lie at 32 of the data, and is expected at 0",
        ),
    ] {
        assert_eq!(said(&bytes, Kind::Gguf), want);
    }
    // A list in a list in a list, and one that says it is long.
    let mut deep = fine[..24].to_vec();
    deep.extend([1, 0, 0, 0, 0, 0, 0, 0, b'k', 9, 0, 0, 0]);
    (0..8).for_each(|_| deep.extend([9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(said(&deep, Kind::Gguf), "is damaged at byte 73: its lists are nested too deep");
    deep.truncate(37);
    deep.extend([&[5, 0, 0, 0][..], &most].concat());
    assert_eq!(
        said(&deep, Kind::Gguf),
        "is damaged at byte 49: 18446744073709551615 bytes are said to follow, and the file ends before"
    );
    deep[37] = 8;
    assert_eq!(said(&deep, Kind::Gguf), "ends at byte 49, in its header");
}

/// What PyTorch writes before the tensors of one class, as far as it matters; and what would be run if it were loaded.
fn pickle(classes: &[&str]) -> Vec<u8> {
    let classes: String = classes.iter().map(|class| format!("ctorch\n{class}\nq\x05")).collect();
    format!("\u{0}}}q\x00{classes}cos\nsystem\n(S'touch it-ran'\ntR.").into_bytes()
}

/// Bytes of the storages of a part of a model: its largest tensor, and the rest in equal ones.
fn storages(all: u64, largest: u64, width: u64) -> Vec<u64> {
    let pieces = 200;
    let rest = all - largest;
    let mut storages = vec![largest * width, rest % pieces * width];
    storages.extend(std::iter::repeat_n(rest / pieces * width, pieces as usize));
    storages
}

#[test]
fn pth_files_are_known_by_their_directory_and_never_run() {
    let root = Root::new();
    let (vae, text) = ((126_892_531, 384 * 384 * 27), (5_680_910_336, 256_384 * 4096));
    pth(&root.path("Wan2.1_VAE.pth"), &pickle(&["FloatStorage"]), &storages(vae.0, vae.1, 4));
    let file = "models_t5_umt5-xxl-enc-bf16.pth";
    pth(&root.path(file), &pickle(&["BFloat16Storage"]), &storages(text.0, text.1, 2));
    pth(&root.path("other.pth"), &pickle(&["FloatStorage", "LongStorage"]), &[400, 8]);
    let facts = root.probe();
    assert_eq!(findings(&facts), [""; 0]);
    assert_eq!(facts.count("models"), Some(2));
    let told =
        |index| ["component", "name", "dtype", "parameters", "bytes"].map(|fact| model(&facts, index)[fact].clone());
    let bytes = |parameters: u64, width: u64| (json!(parameters), json!(parameters * width));
    let want = |[component, name, dtype]: [&str; 3], (parameters, bytes)| {
        [component.into(), name.into(), dtype.into(), parameters, bytes]
    };
    assert_eq!(told(0), want(["vae", "vae-2.1", "fp32"], bytes(vae.0, 4)));
    assert_eq!(told(1), want(["text_encoder", "umt5-xxl", "bf16"], bytes(text.0, 2)));
    assert!(!Path::new("it-ran").exists() && !root.path("it-ran").exists());
}

#[test]
fn a_pth_file_that_lies_is_refused() {
    let root = Root::new();
    let path = root.path("x.pth");
    pth(&path, &pickle(&["FloatStorage"]), &[400, 80]);
    let fine = fs::read(&path).unwrap();
    let place = |needle: &[u8], from: usize| {
        from + fine[from..].windows(needle.len()).position(|bytes| bytes == needle).unwrap()
    };
    let directory = place(b"PK\x01\x02", 0);
    let second = place(b"PK\x01\x02", directory + 4);
    let third = place(b"PK\x01\x02", second + 4);
    let changed = |at: usize, new: &[u8]| {
        let mut bytes = fine.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    let sizes = |bytes: u32| [bytes.to_le_bytes(), bytes.to_le_bytes()].concat();
    let legacy = [&[0x80, 2][..], &[0; 998]].concat();
    for (bytes, want) in [
        (fine.clone(), "fine".to_owned()),
        (fine[..directory].to_vec(), format!("ends at byte {directory} without the directory of its tensors")),
        (
            changed(second + 20, &sizes(1 << 30)),
            format!(
                "is damaged at byte {second}: `archive/data/0` is said to have 1073741824 bytes from byte {}, and byte \
                 {directory} is no more of it",
                place(b"PK\x03\x04", 4)
            ),
        ),
        (
            changed(second + 10, &[8]),
            format!("is damaged at byte {second}: `archive/data/0` is compressed, which PyTorch does not read"),
        ),
        (
            changed(third + 46 + 13, b"0"),
            format!("is damaged at byte {third}: its directory names `archive/data/0` twice"),
        ),
        (
            changed(third + 46 + 13, b"7"),
            format!("is damaged at byte {directory}: its directory does not name `data/1`"),
        ),
        (changed(directory + 46 + 8, b"xxxx.xxx"), "is no checkpoint".to_owned()),
        (
            vec![0; 100],
            "is damaged at byte 0: its first bytes are zero, as in a file that is still being downloaded".to_owned(),
        ),
        (legacy, "is a pickle of 1000 bytes without a directory: its tensors and data types are unknown".to_owned()),
        (b"/usr/lib/python3/dist-packages\n".to_vec(), "is no checkpoint".to_owned()),
        (Vec::new(), "is no checkpoint".to_owned()),
    ] {
        assert_eq!(said(&bytes, Kind::Pth), want);
    }
    // No place at which one may be cut makes it whole, or a panic.
    for length in 0..fine.len() {
        let found = checkpoints::read(Cursor::new(&fine[..length]), Kind::Pth, length as u64);
        assert!(
            matches!(found, Err(Fault::Truncated(_) | Fault::Invalid { .. } | Fault::Other)),
            "{length}: {found:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_pipes_and_odd_names_do_no_harm() {
    use std::os::unix::fs::symlink;
    let (root, elsewhere) = (Root::new(), Root::new());
    safetensors(&elsewhere.path("vae/model.safetensors"), &vae([96, 3], [384, 16]), "F32", 4);
    safetensors(&root.path("store/blob"), &umt5(), "BF16", 2);
    fs::create_dir_all(root.path("snapshot/model.safetensors.d")).unwrap();
    fs::create_dir(root.path("snapshot/folder.safetensors")).unwrap();
    symlink("../store/blob", root.path("snapshot/text.safetensors")).unwrap();
    symlink("../../snapshot", root.path("snapshot/model.safetensors.d/again")).unwrap();
    symlink("gone", root.path("snapshot/dangling.safetensors")).unwrap();
    symlink("loop.safetensors", root.path("snapshot/loop.safetensors")).unwrap();
    symlink(elsewhere.path("vae"), root.path("vae")).unwrap();
    symlink(elsewhere.path("vae/model.safetensors"), root.path("out.safetensors")).unwrap();
    symlink("/usr/bin/env", root.path("python")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(root.path("snapshot/pipe.safetensors")).status().unwrap();
    assert!(pipe.success());
    fs::write(root.path("snapshot/\u{1b}[2J\u{202e}.safetensors"), "x").unwrap();
    let hidden = ["site-packages/a/x.safetensors", ".cache/x.safetensors", "env/lib/x.safetensors"];
    hidden.iter().for_each(|file| write(&root.path(file), b"x", 1));
    fs::write(root.path("env/pyvenv.cfg"), "").unwrap();

    let facts = root.probe();
    assert_eq!(facts.count("models"), Some(1));
    assert_eq!(model(&facts, 0)["file"], "snapshot/text.safetensors");
    let mut found = findings(&facts);
    found.sort();
    assert!(
        found[3].starts_with("checkpoint-unread: `snapshot/loop.safetensors` is a link that cannot be followed: "),
        "{found:#?}"
    );
    found.remove(3);
    assert_eq!(
        found,
        [
            "checkpoint-incomplete: `snapshot/dangling.safetensors` is a link, and its file is not there",
            "checkpoint-truncated: `snapshot/\\u{1b}[2J\\u{202e}.safetensors` ends at byte 1, before its header",
            "checkpoint-unread: `out.safetensors` is a link that leads out of the installation",
            "checkpoint-unread: `snapshot/pipe.safetensors` is no regular file",
            "checkpoint-unread: `vae` is a link that leads out of the installation",
        ]
    );
}

#[cfg(unix)]
#[test]
fn models_that_lie_elsewhere_are_found_when_they_are_named() {
    use std::os::unix::fs::symlink;
    let (root, elsewhere) = (Root::new(), Root::new());
    safetensors(&elsewhere.path("blobs/a"), &T2V_1_3B.official(), "BF16", 2);
    fs::create_dir(elsewhere.path("snapshot")).unwrap();
    symlink("../blobs/a", elsewhere.path("snapshot/model.safetensors")).unwrap();
    symlink(elsewhere.path(""), root.path("models")).unwrap();
    // A link that leads out is followed only where it is asked, for the folder may be a stranger's.
    let facts = root.probe();
    assert_eq!(facts.count("models"), Some(0));
    assert_eq!(findings(&facts), ["checkpoint-unread: `models` is a link that leads out of the installation"]);
    let place = dunce::canonicalize(elsewhere.path("snapshot")).unwrap();
    for named in [elsewhere.path(""), root.path("models"), elsewhere.path("snapshot")] {
        let facts = checkpoints::probe(&root.path(""), Some(&named));
        let file = format!("{}/model.safetensors", place.display());
        assert_eq!((&model(&facts, 0)["file"], facts.count("models")), (&json!(file), Some(1)));
    }
    assert_eq!(findings(&checkpoints::probe(&root.path(""), Some(&root.path("models")))), [""; 0]);
    // What lies below the root is not found twice.
    safetensors(&root.path("own/model.safetensors"), &T2V_1_3B.official(), "BF16", 2);
    assert_eq!(checkpoints::probe(&root.path(""), Some(&root.path("own"))).count("models"), Some(1));
}

#[test]
fn a_folder_that_is_not_there_leaves_the_models_unknown() {
    let facts = checkpoints::probe(Path::new("/nowhere/at/all"), None);
    assert_eq!(facts.value("models"), None);
    assert!(facts.reason("models").starts_with("the folder cannot be searched: "));
    assert_eq!(Root::new().probe().count("models"), Some(0));
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/checkpoint");
    let inputs: Vec<Vec<u8>> =
        fs::read_dir(corpus).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    let byte = prop_oneof![any::<u8>(), Just(0), Just(1), Just(0xff)];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), byte), 1..6);
    let cases = (prop::sample::select(inputs), changes, any::<prop::sample::Index>(), 0..3_usize);
    proptest!(|((mut bytes, changes, cut, how) in cases)| {
        changes.iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = *byte; });
        match how {
            0 => bytes.truncate(cut.index(bytes.len())),
            1 => bytes.extend([0; 9]),
            _ => {}
        }
        for kind in [Kind::Safetensors, Kind::Gguf, Kind::Pth] {
            let _ = said(&bytes, kind);
        }
        let _ = Index::read(&bytes[..], bytes.len() as u64);
    });
}

/// Writes a file of many times the same.
fn repeat(path: &Path, start: &[u8], same: &[u8], times: usize, end: &[u8]) {
    let mut file = BufWriter::new(fs::File::create(path).unwrap());
    file.write_all(start).unwrap();
    let many = same.repeat(4096);
    (0..times / 4096).for_each(|_| file.write_all(&many).unwrap());
    file.write_all(&same.repeat(times % 4096)).unwrap();
    file.write_all(end).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn hostile_files_take_little_memory() {
    let root = Root::new();
    let path = |name: &str| root.path(name);
    // A name, a text in place of a tensor, a type, a shape, lists in lists, tensors. The text takes most memory, a few times
    // its length, so it is as long as a header may be.
    let (size, most) = (4 << 20, (32 << 20) - 256);
    for (number, (start, same, end)) in [
        ("{\"", "x", "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,2]}}"),
        ("{\"a\":\"", "x", "\"}"),
        ("{\"a\":\"", "\\u0001", "\"}"),
        ("{\"a\":{\"dtype\":\"", "x", "\",\"shape\":[],\"data_offsets\":[0,1]}}"),
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[", "1,", "1],\"data_offsets\":[0,0]}}"),
        ("{\"__metadata__\":", "[", ""),
        ("{", "\"a\":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[0,0]},", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let times = if number == 1 { most } else { size } / same.len();
        let length = (start.len() + same.len() * times + end.len()) as u64;
        let start = [&length.to_le_bytes(), start.as_bytes()].concat();
        repeat(&path(&format!("{number}.safetensors")), &start, same.as_bytes(), times, end.as_bytes());
    }
    repeat(&path("a.safetensors.index.json"), b"{\"weight_map\":{\"", b"x", size, b"\":\"a\"}}");
    repeat(&path("b.safetensors.index.json"), b"{\"weight_map\":{\"a\":\"", b"x", size, b"\"}}");
    repeat(&path("c.safetensors.index.json"), b"{\"weight_map\":{", b"\"a\":\"b\",", size / 8, b"}}");
    // As many values as there may be, each a key without letters and a truth.
    let start = [b"GGUF\x03\0\0\0".to_vec(), vec![0; 8], vec![0xff; 8]].concat();
    repeat(&path("keys.gguf"), &start, b"\0\0\0\0\0\0\0\0\x07\0\0\0\0", size / 13, &[]);
    for file in fs::read_dir(root.0.path()).unwrap() {
        let only = Root::new();
        let file = file.unwrap();
        fs::rename(file.path(), only.path(file.file_name().to_str().unwrap())).unwrap();
        let found = only.findings();
        assert!(found.len() == 1 && found[0].len() < 400, "{file:?}: {found:?}");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    let most: u64 = most.parse().unwrap();
    assert!(most < 256 << 10, "{most} KiB");
}

#[test]
fn a_damaged_checkpoint_is_told_by_the_commands_and_saved_without_names() {
    let root = Root::new();
    let file = "models/wan2.2_t2v_high_noise_14B_fp16.safetensors";
    let length = safetensors(&root.path(file), &A14B.official(), "F16", 2);
    fs::OpenOptions::new().write(true).open(root.path(file)).unwrap().set_len(length - 1).unwrap();
    let run = |arguments: &[&str]| {
        let output = common::program::program().args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = root.0.path().to_str().unwrap();
    let facts = common::printed("facts", &run(&["facts", "--root", folder, "--format", "json"]));
    assert_eq!(facts["facts"]["models"][0]["file"], file);
    assert_eq!(facts["origins"]["models[0].bytes"], "checkpoint");
    let text = run(&["facts", "--root", folder]);
    assert!(text.contains("warning[checkpoint-truncated]") && text.contains("models[0].expert"), "{text}");
    let saved = run(&["facts", "--root", folder, "--save", "-"]);
    assert!(saved.contains("wan2.2_t2v_high_noise_14B_fp16") && !saved.contains(folder), "{saved}");
    let machine = run(&["new", "machine", "--root", folder, "--print"]);
    assert!(machine.contains("facts:") && !machine.contains("models:") && !machine.contains("checkpoint"), "{machine}");
    let explained = run(&["explain", "checkpoint-truncated"]);
    assert!(explained.contains("cut off"), "{explained}");
}

/// Where nobody has to choose between two files, they say what is loaded and how long that takes.
#[test]
fn what_lies_there_is_what_is_loaded() {
    let root = Root::new();
    let ask = |stack: &str| {
        let card = ["gpu.compute_capability=8.9", "gpu.vram.total=40GiB", "ram.total=128GiB", "disk.kind=nvme"];
        let mut facts = common::described(root.probe(), card, "t2v-a14b:832x480x81");
        facts.know("workload.steps", 40, Origin::User);
        let stack = common::POLICIES.stacks.iter().find(|one| one.id == stack).unwrap();
        let fit = fit::ask(&common::POLICIES, stack, &facts, &common::question(BTreeMap::new())).unwrap();
        let transformer = fit.phases[1].iter().find(|part| part.name == "transformer").unwrap().bytes;
        (transformer, fit.time.unwrap().load.unwrap().expected)
    };
    let (template, seconds) = ask("comfyui");
    let (_, diffusers) = ask("diffusers");
    for noise in ["HighNoise", "LowNoise"] {
        let file = gguf(&[], &quantized(A14B.official(), Q4_K));
        write(&root.path(&format!("Wan2.2-T2V-A14B-{noise}-Q4_K.gguf")), &file.bytes, file.length);
    }
    let bytes = root.probe().value("models[0].bytes").unwrap().as_i64().unwrap();
    assert_eq!(ask("comfyui").0, bytes);
    // Wan2GP keeps the whole of it on this card.
    assert_eq!(ask("wan2gp").0, bytes);
    assert!(bytes < template * 6 / 10, "{bytes} of {template}");
    assert!(ask("comfyui").1 < seconds && ask("diffusers").1 < diffusers);
    safetensors(&root.path("wan2.2_t2v_low_noise_14B_fp16.safetensors"), &A14B.official(), "F16", 2);
    assert_eq!(ask("comfyui"), (template, seconds), "two files for one expert: nobody knows which is loaded");
}
