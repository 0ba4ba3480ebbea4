//! Indices of checkpoints in shards: `NAME.safetensors.index.json`, which says in which file each tensor lies.
//!
//! Source: <https://huggingface.co/docs/transformers/big_models#sharded-checkpoints> (`weight_map`, `metadata.total_size`).

use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::header::{Fault, MAX_HEADER, MAX_TENSORS, shown};

/// What an index says.
#[derive(Debug, Deserialize)]
pub struct Index {
    #[serde(default)]
    metadata: Metadata,
    weight_map: WeightMap,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    // Some tools write it as a float.
    total_size: Option<Number>,
}

#[derive(Debug)]
struct WeightMap {
    shards: Vec<String>,
    tensors: Vec<(Box<str>, usize)>,
}

impl Index {
    /// Reads an index of that length in bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(file: impl Read, length: u64) -> Result<Self, Fault> {
        if length > MAX_HEADER {
            return Err(Fault::Unread(format!("has {length} bytes; of an index at most {MAX_HEADER} are read")));
        }
        let index: Self = serde_json::from_reader(BufReader::new(file.take(MAX_HEADER))).map_err(|error| {
            if error.is_eof() {
                return Fault::Truncated(format!("ends at byte {length}, in the middle"));
            }
            match error.is_io() {
                true => Fault::from(std::io::Error::from(error)),
                false => Fault::Invalid {
                    at: None,
                    what: format!("it is no index of shards ({})", shown(&error.to_string())),
                },
            }
        })?;
        match index.weight_map.shards.iter().find(|shard| !is_name(shard)) {
            Some(shard) => {
                let what = format!("it names `{}`, which is no file beside it", shown(shard));
                Err(Fault::Invalid { at: None, what })
            }
            None => Ok(index),
        }
    }

    /// The files that it names, in the order in which it does.
    pub fn shards(&self) -> &[String] {
        &self.weight_map.shards
    }

    /// The tensors, each with the place of its file among the shards.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, usize)> {
        self.weight_map.tensors.iter().map(|(name, shard)| (&**name, *shard))
    }

    /// Bytes of all tensors; `None` when it does not say.
    pub fn total_size(&self) -> Option<u64> {
        let number = self.metadata.total_size.as_ref()?;
        let whole = |float: f64| (0.0..=u64::MAX as f64).contains(&float).then_some(float as u64);
        number.as_u64().or_else(|| number.as_f64().and_then(whole))
    }
}

// Whether it is the name of a file, and no path. No file system has longer ones.
fn is_name(shard: &str) -> bool {
    (1..=255).contains(&shard.len()) && !matches!(shard, "." | "..") && !shard.contains(['/', '\\', ':', '\0'])
}

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Files;
        impl<'de> Visitor<'de> for Files {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the file of each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let (mut shards, mut tensors) = (Vec::<String>::new(), Vec::new());
                while let Some((tensor, file)) = map.next_entry::<Box<str>, Box<str>>()? {
                    if tensors.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    // A file's tensors mostly follow each other.
                    let known = shards.iter().rposition(|shard| **shard == *file);
                    if known.is_none() && shards.len() == MAX_SHARDS {
                        return Err(A::Error::custom(format!("more than {MAX_SHARDS} files")));
                    }
                    let shard = known.unwrap_or_else(|| {
                        shards.push(file.into());
                        shards.len() - 1
                    });
                    tensors.push((tensor, shard));
                }
                Ok(WeightMap { shards, tensors })
            }
        }
        deserializer.deserialize_map(Files)
    }
}

/// Most files of one checkpoint; those of Wan have up to twelve.
const MAX_SHARDS: usize = 1024;
