//! Headers of safetensors files: eight bytes with the header's length, the header as JSON, then the tensors without gaps.
//!
//! Source: <https://github.com/huggingface/safetensors> (README, "Format", and `Metadata::validate`). The header is read
//! entry by entry, in place of that crate, which wants it in memory at once and stops at types newer than itself.

use std::fmt;
use std::io::{BufReader, Read, Seek, SeekFrom};

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::header::{Fault, Header, MAX_DIMENSIONS, MAX_HEADER, MAX_TENSORS, Tensor, shown};

/// The length of the header before the header.
const PREFIX: u64 = 8;

/// Largest header that the format allows, in bytes: `MAX_HEADER_SIZE` of its library.
const LARGEST: u64 = 100_000_000;

/// The key beside the tensors.
const METADATA: &str = "__metadata__";

/// The format's types, as they are called in facts, with the bits of one number.
#[rustfmt::skip]
const DTYPES: &[(&str, &str, u64)] = &[
    ("BF16", "bf16", 16), ("F16", "fp16", 16), ("F32", "fp32", 32), ("F64", "fp64", 64),
    ("F8_E4M3", "fp8_e4m3fn", 8), ("F8_E5M2", "fp8_e5m2", 8), ("F8_E8M0", "fp8_e8m0", 8),
    ("F8_E4M3FNUZ", "fp8_e4m3fnuz", 8), ("F8_E5M2FNUZ", "fp8_e5m2fnuz", 8),
    ("F6_E2M3", "fp6_e2m3", 6), ("F6_E3M2", "fp6_e3m2", 6), ("F4", "fp4", 4),
    ("I8", "int8", 8), ("U8", "uint8", 8), ("I16", "int16", 16), ("U16", "uint16", 16), ("I32", "int32", 32),
    ("U32", "uint32", 32), ("I64", "int64", 64), ("U64", "uint64", 64), ("BOOL", "bool", 8), ("C64", "complex64", 64),
];

/// The header of a file of that length in bytes.
///
/// # Errors
/// What is wrong with it. That the file is too short for its tensors is not said here: see [`Header::fault_of_length`].
pub fn read(mut file: impl Read + Seek, length: u64) -> Result<Header, Fault> {
    if length < PREFIX {
        return Err(Fault::Truncated(format!("ends at byte {length}, before its header")));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix)?;
    let size = u64::from_le_bytes(prefix);
    if size == 0 {
        return Err(Fault::at(0, "its header has no bytes, as in a file that is still being downloaded"));
    }
    if size > LARGEST {
        return Err(Fault::at(0, format!("its header would have {size} bytes, and the format allows {LARGEST}")));
    }
    if size > length - PREFIX {
        return Err(Fault::Truncated(format!("ends at byte {length}, in its header of {size} bytes")));
    }
    if size > MAX_HEADER {
        return Err(Fault::Unread(format!("has a header of {size} bytes; at most {MAX_HEADER} are read")));
    }
    let mut brace = [0];
    file.read_exact(&mut brace)?;
    if brace != *b"{" {
        return Err(Fault::at(PREFIX, "its header does not begin with `{`"));
    }
    let json = brace.chain(BufReader::new(file.take(size - 1)));
    let mut json = serde_json::Deserializer::from_reader(json);
    let entries = Entries::deserialize(&mut json).and_then(|entries| json.end().map(|()| entries));
    let mut entries = entries.map_err(fault)?.0;
    if entries.len() > MAX_TENSORS {
        return Err(Fault::Unread(format!("has more than {MAX_TENSORS} tensors")));
    }
    entries.sort_by(|a, b| (a.info.data_offsets, &a.name).cmp(&(b.info.data_offsets, &b.name)));
    let data = PREFIX + size;
    let mut tensors: Vec<Tensor> = Vec::with_capacity(entries.len());
    let mut end = 0;
    for Entry { name, info } in entries {
        let (from, to) = info.data_offsets;
        let at = data.saturating_add(from);
        if from != end || to < from {
            let before =
                tensors.last().map_or_else(|| "the header".to_owned(), |last| format!("`{}`", shown(&last.name)));
            let at_end = data.saturating_add(end);
            let what =
                format!("`{}` has the bytes {from} to {to} of the data, and {before} ends at {end}", shown(&name));
            return Err(Fault::at(at_end, what));
        }
        let known = DTYPES.iter().find(|(theirs, ..)| *theirs == &*info.dtype);
        let overflow = || Fault::at(at, format!("the shape of `{}` is too large to be counted", shown(&name)));
        let elements = info.shape.0.iter().try_fold(1_u64, |all, size| all.checked_mul(*size)).ok_or_else(overflow)?;
        if let Some((theirs, _, bits)) = known {
            let wanted = elements.checked_mul(*bits).ok_or_else(overflow)?;
            if (to - from).checked_mul(8) != Some(wanted) {
                let what = format!(
                    "`{}` has {} bytes, and {elements} numbers of {theirs} take {}",
                    shown(&name),
                    to - from,
                    wanted.div_ceil(8)
                );
                return Err(Fault::at(at, what));
            }
        }
        end = to;
        tensors.push(Tensor { name, dtype: known.map(|(_, ours, _)| *ours), shape: info.shape.0, bytes: to - from });
    }
    refuse_twins(&tensors)?;
    let end = data.checked_add(end).ok_or_else(|| Fault::at(0, "its tensors are too large to be counted"))?;
    Ok(Header { tensors, end, padding: 0, is_named: true })
}

// Which of two tensors of one name is loaded depends on the reader.
fn refuse_twins(tensors: &[Tensor]) -> Result<(), Fault> {
    let mut names: Vec<&str> = tensors.iter().map(|tensor| &*tensor.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::at(PREFIX, format!("its header names `{}` twice", shown(pair[0])))),
        None => Ok(()),
    }
}

// The header stands on one line, so the column is the place.
fn fault(error: serde_json::Error) -> Fault {
    if error.is_io() {
        return Fault::from(std::io::Error::from(error));
    }
    let at = if error.line() == 1 { PREFIX + (error.column() as u64).saturating_sub(1) } else { PREFIX };
    let text = error.to_string();
    let why = text.rsplit_once(" at line ").map_or(&*text, |(why, _)| why);
    Fault::at(at, format!("its header cannot be read ({})", shown(why)))
}

struct Entry {
    name: Box<str>,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    dtype: Box<str>,
    shape: Shape,
    data_offsets: (u64, u64),
}

struct Shape(Box<[u64]>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the sizes of a tensor")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    if sizes.len() == MAX_DIMENSIONS {
                        return Err(A::Error::custom(format!("more than {MAX_DIMENSIONS} dimensions")));
                    }
                    sizes.push(size);
                }
                Ok(Shape(sizes.into()))
            }
        }
        deserializer.deserialize_seq(Sizes)
    }
}

/// The tensors of a header; one more than the bound says that there are more.
struct Entries(Vec<Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<Box<str>>()? {
                    if &*name == METADATA || entries.len() > MAX_TENSORS {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push(Entry { name, info: map.next_value()? });
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Header)
    }
}
