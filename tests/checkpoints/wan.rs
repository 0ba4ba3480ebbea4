//! Tensors of the parts of Wan models, by name and shape, as the official code and ComfyUI have them.
//!
//! Sources: Wan-Video/Wan2.2@42bf4cf and Wan-Video/Wan2.1@9737cba (`wan/modules/model.py`, `t5.py`), and the text encoder's
//! names in transformers. Of the VAEs and the image encoder only those stand here that tell which it is.

/// A name and its shape.
pub type Shape = (String, Vec<u64>);

/// Sizes of a transformer.
#[derive(Clone, Copy)]
pub struct Transformer {
    pub dim: u64,
    pub ffn: u64,
    pub blocks: u64,
    /// Channels that it reads.
    pub channels: u64,
    /// Channels that it writes.
    pub out: u64,
    /// Whether it reads the CLIP embedding of an image, as Wan2.1's I2V does.
    pub sees: bool,
}

pub const TI2V_5B: Transformer = Transformer { dim: 3072, ffn: 14336, blocks: 30, channels: 48, out: 48, sees: false };
pub const A14B: Transformer = Transformer { dim: 5120, ffn: 13824, blocks: 40, channels: 16, out: 16, sees: false };
pub const I2V_A14B: Transformer = Transformer { channels: 36, ..A14B };
pub const I2V_14B: Transformer = Transformer { channels: 36, sees: true, ..A14B };
pub const T2V_1_3B: Transformer = Transformer { dim: 1536, ffn: 8960, blocks: 30, channels: 16, out: 16, sees: false };

impl Transformer {
    /// In the names of the official code.
    pub fn official(self) -> Vec<Shape> {
        let Self { dim, ffn, blocks, channels, out, sees } = self;
        let mut tensors = Vec::new();
        let mut add = |name: &str, shape: &[u64]| tensors.push((name.to_owned(), shape.to_vec()));
        add("patch_embedding.weight", &[dim, channels, 1, 2, 2]);
        add("patch_embedding.bias", &[dim]);
        let mut linear = |name: &str, to: u64, from: u64| {
            add(&format!("{name}.weight"), &[to, from]);
            add(&format!("{name}.bias"), &[to]);
        };
        linear("text_embedding.0", dim, 4096);
        linear("text_embedding.2", dim, dim);
        linear("time_embedding.0", dim, 256);
        linear("time_embedding.2", dim, dim);
        linear("time_projection.1", 6 * dim, dim);
        linear("head.head", 4 * out, dim);
        for block in 0..blocks {
            for attention in ["self_attn", "cross_attn"] {
                for part in ["q", "k", "v", "o"] {
                    linear(&format!("blocks.{block}.{attention}.{part}"), dim, dim);
                }
            }
            linear(&format!("blocks.{block}.ffn.0"), ffn, dim);
            linear(&format!("blocks.{block}.ffn.2"), dim, ffn);
            if sees {
                linear(&format!("blocks.{block}.cross_attn.k_img"), dim, dim);
                linear(&format!("blocks.{block}.cross_attn.v_img"), dim, dim);
            }
        }
        if sees {
            linear("img_emb.proj.1", 1280, 1280);
            linear("img_emb.proj.3", dim, 1280);
        }
        for block in 0..blocks {
            for norm in ["self_attn.norm_q", "self_attn.norm_k", "cross_attn.norm_q", "cross_attn.norm_k"] {
                add(&format!("blocks.{block}.{norm}.weight"), &[dim]);
            }
            if sees {
                add(&format!("blocks.{block}.cross_attn.norm_k_img.weight"), &[dim]);
            }
            add(&format!("blocks.{block}.norm3.weight"), &[dim]);
            add(&format!("blocks.{block}.norm3.bias"), &[dim]);
            add(&format!("blocks.{block}.modulation"), &[1, 6, dim]);
        }
        if sees {
            for (norm, size) in [("img_emb.proj.0", 1280), ("img_emb.proj.4", dim)] {
                add(&format!("{norm}.weight"), &[size]);
                add(&format!("{norm}.bias"), &[size]);
            }
        }
        add("head.modulation", &[1, 2, dim]);
        tensors
    }

    /// In the names of diffusers, as far as they tell the model.
    pub fn diffusers(self) -> Vec<Shape> {
        let names = [
            (".self_attn.q.", ".attn1.to_q."),
            (".self_attn.k.", ".attn1.to_k."),
            (".self_attn.v.", ".attn1.to_v."),
            (".self_attn.o.", ".attn1.to_out.0."),
            (".cross_attn.q.", ".attn2.to_q."),
            (".cross_attn.k.", ".attn2.to_k."),
            (".cross_attn.v.", ".attn2.to_v."),
            (".cross_attn.o.", ".attn2.to_out.0."),
            (".cross_attn.k_img.", ".attn2.add_k_proj."),
            (".cross_attn.v_img.", ".attn2.add_v_proj."),
            (".ffn.0.", ".ffn.net.0.proj."),
            (".ffn.2.", ".ffn.net.2."),
            (".modulation", ".scale_shift_table"),
            ("text_embedding.0.", "condition_embedder.text_embedder.linear_1."),
            ("text_embedding.2.", "condition_embedder.text_embedder.linear_2."),
            ("time_embedding.0.", "condition_embedder.time_embedder.linear_1."),
            ("time_embedding.2.", "condition_embedder.time_embedder.linear_2."),
            ("time_projection.1.", "condition_embedder.time_proj."),
            ("img_emb.proj.", "condition_embedder.image_embedder."),
            ("head.head.", "proj_out."),
            ("head.scale_shift_table", "scale_shift_table"),
        ];
        let renamed = |name: String| names.iter().fold(name, |name, (from, to)| name.replace(from, to));
        self.official().into_iter().map(|(name, shape)| (renamed(name), shape)).collect()
    }
}

/// The text encoder in the names of transformers and ComfyUI.
pub fn umt5() -> Vec<Shape> {
    let mut tensors = vec![("shared.weight".to_owned(), vec![256_384, 4096])];
    for block in 0..24 {
        let layer = |part: &str| format!("encoder.block.{block}.layer.{part}.weight");
        tensors.extend(["q", "k", "v", "o"].map(|part| (layer(&format!("0.SelfAttention.{part}")), vec![4096, 4096])));
        tensors.push((layer("0.SelfAttention.relative_attention_bias"), vec![32, 64]));
        tensors.push((layer("0.layer_norm"), vec![4096]));
        tensors.extend(["wi_0", "wi_1"].map(|part| (layer(&format!("1.DenseReluDense.{part}")), vec![10_240, 4096])));
        tensors.push((layer("1.DenseReluDense.wo"), vec![4096, 10_240]));
        tensors.push((layer("1.layer_norm"), vec![4096]));
    }
    tensors.push(("encoder.final_layer_norm.weight".to_owned(), vec![4096]));
    tensors
}

/// Some tensors of a VAE, by the channels of its first and last layers.
pub fn vae(encoder: [u64; 2], decoder: [u64; 2]) -> Vec<Shape> {
    let convolution = |[to, from]: [u64; 2]| vec![to, from, 3, 3, 3];
    vec![
        ("encoder.conv1.weight".to_owned(), convolution(encoder)),
        ("decoder.conv1.weight".to_owned(), convolution(decoder)),
        ("conv2.weight".to_owned(), vec![decoder[1], decoder[1], 1, 1, 1]),
    ]
}

/// Some tensors of the image encoder, in the names of transformers.
pub fn clip() -> Vec<Shape> {
    let layer = |layer: u64| (format!("vision_model.encoder.layers.{layer}.self_attn.q_proj.weight"), vec![1280, 1280]);
    let patches = ("vision_model.embeddings.patch_embedding.weight".to_owned(), vec![1280, 3, 14, 14]);
    std::iter::once(patches).chain((0..32).map(layer)).collect()
}

/// More tensors at the end.
pub fn with(mut tensors: Vec<Shape>, more: &[(&str, &[u64])]) -> Vec<Shape> {
    tensors.extend(more.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())));
    tensors
}

/// Numbers in them.
pub fn elements(tensors: &[Shape]) -> u64 {
    tensors.iter().map(|(_, shape)| shape.iter().product::<u64>()).sum()
}
