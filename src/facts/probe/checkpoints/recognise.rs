//! Which part of which Wan model a checkpoint is, by the names and shapes of its tensors.
//!
//! The names are those of the official code, of diffusers, of ComfyUI and of llama.cpp (for the text encoder). Only what
//! the tensors cannot tell is taken from the names of folder and file: which expert of an A14B model it is, and whether a
//! transformer is Wan2.1's T2V-14B or an expert of T2V-A14B, for these are all alike. A model made from another one has its
//! tensors, and is taken for it; so the VAE of Qwen-Image is the one of Wan2.1.
//!
//! Sources: Wan-Video/Wan2.2@42bf4cf and Wan-Video/Wan2.1@9737cba (`wan/configs`, `wan/modules`); names in diffusers 0.42.1
//! (`transformer_wan.py`, `autoencoder_kl_wan.py`).

use std::collections::HashMap;

use super::header::Tensor;

/// What a checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `dit`, `text_encoder`, `image_encoder` or `vae`.
    pub component: &'static str,
    /// The model, or what several models share; or why it cannot be told.
    pub name: Result<&'static str, String>,
    /// `high_noise` or `low_noise`, or why there is none.
    pub expert: Result<&'static str, &'static str>,
    /// Numbers in the weights, or why they cannot be counted.
    pub parameters: Result<u64, &'static str>,
}

/// What the name of a file and of the folders around it say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// From the root, whose name comes first, with `/`.
    pub path: &'a str,
    /// Whether a folder `transformer_2` stands beside its folder, as in a pipeline of diffusers with two experts.
    pub has_second: bool,
}

const ONE_TRANSFORMER: &str = "the model has one transformer";

/// What ComfyUI and others put before the names of a transformer.
const PREFIXES: [&str; 2] = ["model.diffusion_model.", "diffusion_model."];

/// Tensors that no model of the table has: those of variants, by how their names begin.
const VARIANTS: [&str; 5] = ["vace_", "control_adapter.", "audio_proj.", "img_emb.emb_pos", "ref_conv."];

/// The parts of Wan models that are published as `.pth`: parameters, and those of the largest tensor.
///
/// Sources: counted from the layers in `wan/modules/{t5,vae2_1,vae2_2,clip}.py`. The lengths of the published files agree
/// within 0.1 %, which is what `TOLERANCE` allows.
#[rustfmt::skip]
const PICKLED: [(&str, &str, u64, u64); 4] = [
    ("text_encoder", "umt5-xxl", 5_680_910_336, 256_384 * 4096),
    ("image_encoder", "clip-vit-h", 1_193_000_000, 250_002 * 1024),
    ("vae", "vae-2.1", 126_900_000, 384 * 384 * 27),
    ("vae", "vae-2.2", 704_700_000, 1024 * 1024 * 27),
];

/// Share by which the parameters of a file may differ from the published ones, which are rounded: one in this many.
const TOLERANCE: u64 = 1000;

/// What these tensors are a part of; `None` when they are of no Wan model.
pub fn named(tensors: &[Tensor], place: Place<'_>) -> Option<Part> {
    let mut by_name = HashMap::with_capacity(tensors.len());
    for tensor in tensors {
        let name = PREFIXES.iter().find_map(|prefix| tensor.name.strip_prefix(prefix)).unwrap_or(&tensor.name);
        by_name.insert(name, tensor);
    }
    let tensors_by_name = ByName(by_name);
    let (component, name, expert) = tensors_by_name
        .transformer(place)
        .or_else(|| Some(("text_encoder", Ok(tensors_by_name.text_encoder()?), Err(ONE_TRANSFORMER))))
        .or_else(|| Some(("image_encoder", Ok(tensors_by_name.image_encoder()?), Err(ONE_TRANSFORMER))))
        .or_else(|| Some(("vae", Ok(tensors_by_name.vae()?), Err(ONE_TRANSFORMER))))?;
    Some(Part { component, name, expert, parameters: parameters(tensors) })
}

/// The same for storages without names and shapes, by their bytes.
pub fn unnamed(storages: &[Tensor]) -> Option<Part> {
    let all: u64 = storages.iter().map(|storage| storage.bytes).fold(0, u64::saturating_add);
    let largest = storages.iter().map(|storage| storage.bytes).max()?;
    let is_it = |parameters: u64, width: u64| {
        let wanted = parameters * width;
        all.abs_diff(wanted) <= wanted / TOLERANCE
    };
    PICKLED.iter().find_map(|&(component, name, parameters, of_largest)| {
        let width = [1, 2, 4].into_iter().find(|width| is_it(parameters, *width) && largest == of_largest * width)?;
        Some(Part { component, name: Ok(name), expert: Err(ONE_TRANSFORMER), parameters: Ok(all / width) })
    })
}

type Found = (&'static str, Result<&'static str, String>, Result<&'static str, &'static str>);

struct ByName<'a>(HashMap<&'a str, &'a Tensor>);

impl ByName<'_> {
    fn shape(&self, name: &str) -> Option<&[u64]> {
        self.0.get(name).map(|tensor| &*tensor.shape)
    }

    fn holds(&self, start: &str) -> bool {
        self.0.keys().any(|name| name.starts_with(start))
    }

    // How many blocks there are, of those that are numbered behind this text.
    fn blocks(&self, start: &str) -> u64 {
        let number = |name: &&str| name.strip_prefix(start)?.split('.').next()?.parse::<u64>().ok();
        self.0.keys().filter_map(number).max().map_or(0, |last| last.saturating_add(1))
    }

    fn transformer(&self, place: Place<'_>) -> Option<Found> {
        let official = self.0.contains_key("blocks.0.self_attn.q.weight");
        let diffusers = self.0.contains_key("blocks.0.attn1.to_q.weight");
        let [dim] = *self.shape("patch_embedding.bias")? else { return None };
        let patches = self.0.get("patch_embedding.weight")?.elements();
        // A patch is 1 x 2 x 2.
        let per_channel = dim.checked_mul(4).filter(|size| *size > 0 && patches % size == 0)?;
        if !official && !diffusers {
            return None;
        }
        let (channels, blocks) = (patches / per_channel, self.blocks("blocks."));
        let sees_images = self.holds("img_emb.") || self.holds("condition_embedder.image_embedder.");
        let sees_faces = self.holds("face_adapter.") || self.holds("motion_encoder.");
        let hears = self.holds("casual_audio_encoder.") || self.holds("audio_injector.");
        let is_variant = VARIANTS.iter().any(|start| self.holds(start));
        let is_plain = !sees_images && !sees_faces && !hears;
        let one = |name| (Ok(name), Err(ONE_TRANSFORMER));
        let (name, expert) = match (dim, blocks, channels) {
            _ if is_variant => {
                (Err("it is a variant that the table of models does not have".to_owned()), Err(ONE_TRANSFORMER))
            }
            (3072, 30, 48) if is_plain => one("ti2v-5b"),
            (1536, 30, 16) if is_plain => one("t2v-1.3b"),
            (5120, 40, 36) if sees_faces => one("animate-14b"),
            (5120, 40, 16) if hears => one("s2v-14b"),
            (5120, 40, 36) if sees_images => one("i2v-14b"),
            (5120, 40, 36) if is_plain => (Ok("i2v-a14b"), expert(place).ok_or("no folder or file says which")),
            (5120, 40, 16) if is_plain => match expert(place) {
                Some(expert) => (Ok("t2v-a14b"), Ok(expert)),
                None if is_of_the_first(place) => one("t2v-14b"),
                None => {
                    let why =
                        "t2v-14b and both experts of t2v-a14b have its tensors, and no folder or file says which it is";
                    (Err(why.to_owned()), Err("no folder or file says which"))
                }
            },
            _ => {
                let why = format!(
                    "no model of the table has {blocks} blocks of {dim} behind {channels} channels, and the same embeddings"
                );
                (Err(why), Err(ONE_TRANSFORMER))
            }
        };
        Some(("dit", name, expert))
    }

    fn text_encoder(&self) -> Option<&'static str> {
        const WORDS: [&str; 4] =
            ["shared.weight", "encoder.embed_tokens.weight", "token_embedding.weight", "token_embd.weight"];
        const BLOCKS: [&str; 3] = ["encoder.block.", "blocks.", "enc.blk."];
        let has_words = WORDS.iter().any(|name| self.shape(name) == Some(&[256_384, 4096]));
        (has_words && BLOCKS.iter().any(|start| self.blocks(start) == 24)).then_some("umt5-xxl")
    }

    fn image_encoder(&self) -> Option<&'static str> {
        const PATCHES: [(&str, &str); 2] = [
            ("vision_model.embeddings.patch_embedding.weight", "vision_model.encoder.layers."),
            ("visual.patch_embedding.weight", "visual.transformer."),
        ];
        let is_it = |(patches, layers): &(&str, &str)| {
            self.shape(patches) == Some(&[1280, 3, 14, 14]) && self.blocks(layers) == 32
        };
        PATCHES.iter().any(is_it).then_some("clip-vit-h")
    }

    fn vae(&self) -> Option<&'static str> {
        let shape = |official, diffusers| self.shape(official).or_else(|| self.shape(diffusers));
        let decodes = shape("decoder.conv1.weight", "decoder.conv_in.weight")?;
        match (decodes, shape("encoder.conv1.weight", "encoder.conv_in.weight")) {
            ([384, 16, 3, 3, 3], None | Some([96, 3, 3, 3, 3])) => Some("vae-2.1"),
            ([1024, 48, 3, 3, 3], None | Some([160, 12, 3, 3, 3])) => Some("vae-2.2"),
            _ => None,
        }
    }
}

// Which expert the names say: `high_noise_model/`, `wan2.2_t2v_high_noise_14B_fp16.safetensors`, `transformer_2/`.
fn expert(place: Place<'_>) -> Option<&'static str> {
    let path = place.path.to_lowercase().replace(['-', ' '], "_");
    let says = |words: [&str; 2]| words.iter().any(|word| path.contains(word));
    match (says(["high_noise", "highnoise"]), says(["low_noise", "lownoise"])) {
        (true, false) => return Some("high_noise"),
        (false, true) => return Some("low_noise"),
        (true, true) => return None,
        (false, false) => {}
    }
    let mut folders = path.rsplit('/').skip(1);
    match folders.next() {
        Some("transformer_2") => Some("low_noise"),
        Some("transformer") if place.has_second => Some("high_noise"),
        _ => None,
    }
}

// Whether the names say that it is Wan2.1.
fn is_of_the_first(place: Place<'_>) -> bool {
    let path = place.path.to_lowercase();
    ["wan2.1", "wan2_1", "wan2-1", "wan21"].iter().any(|word| path.contains(word))
}

// All but the scales that a quantization adds; a modulation's `scale_shift_table` is a weight.
fn parameters(tensors: &[Tensor]) -> Result<u64, &'static str> {
    let is_scale = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or(name);
        last.contains("scale") && !last.contains("scale_shift") || last == "scaled_fp8"
    };
    let packed = tensors.iter().filter(|tensor| matches!(tensor.dtype, Some("uint8" | "int32")));
    let bytes = |bytes: u64, tensor: &Tensor| bytes.saturating_add(tensor.bytes);
    if packed.fold(0, bytes) > tensors.iter().fold(0, bytes) / 2 {
        return Err("its weights are packed, several in one number");
    }
    let weights = tensors.iter().filter(|tensor| !is_scale(&tensor.name));
    Ok(weights.fold(0, |all, tensor| all.saturating_add(tensor.elements())))
}
