//! Headers of GGUF files: magic, version, counts, keys with values, then where each tensor lies, and of which type.
//!
//! Source: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3; blocks and bytes of the types are
//! those of `GGML_QUANT_SIZES` in <https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py>.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::header::{Fault, Header, MAX_DIMENSIONS, MAX_HEADER, MAX_TENSORS, Tensor, shown};

const MAGIC: &[u8; 4] = b"GGUF";

/// Most bytes of a key or a tensor's name; the format allows 65535 and 64.
const MAX_NAME: u64 = 65_535;

/// Deepest list of lists among the values.
const MAX_DEPTH: usize = 4;

/// Where tensors begin when the file does not say: at multiples of so many bytes.
const ALIGNMENT: u64 = 32;

/// Types by their number, with the numbers of a block and its bytes. Those that are left out were removed.
#[rustfmt::skip]
const TYPES: &[(u32, &str, u64, u64)] = &[
    (0, "fp32", 1, 4), (1, "fp16", 1, 2), (2, "q4_0", 32, 18), (3, "q4_1", 32, 20), (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24), (8, "q8_0", 32, 34), (9, "q8_1", 32, 40), (10, "q2_k", 256, 84), (11, "q3_k", 256, 110),
    (12, "q4_k", 256, 144), (13, "q5_k", 256, 176), (14, "q6_k", 256, 210), (15, "q8_k", 256, 292),
    (16, "iq2_xxs", 256, 66), (17, "iq2_xs", 256, 74), (18, "iq3_xxs", 256, 98), (19, "iq1_s", 256, 50),
    (20, "iq4_nl", 32, 18), (21, "iq3_s", 256, 110), (22, "iq2_s", 256, 82), (23, "iq4_xs", 256, 136),
    (24, "int8", 1, 1), (25, "int16", 1, 2), (26, "int32", 1, 4), (27, "int64", 1, 8), (28, "fp64", 1, 8),
    (29, "iq1_m", 256, 56), (30, "bf16", 1, 2), (34, "tq1_0", 256, 54), (35, "tq2_0", 256, 66), (39, "mxfp4", 32, 17),
    (40, "nvfp4", 64, 36), (41, "q1_0", 128, 18),
];

/// The header of a file of that length in bytes.
///
/// # Errors
/// What is wrong with it. That the file is too short for its tensors is not said here: see [`Header::fault_of_length`].
pub fn read(file: impl Read + Seek, length: u64) -> Result<Header, Fault> {
    let mut reader = Reader::new(file, length)?;
    if &reader.array::<4>()? != MAGIC {
        return Err(Fault::at(0, "it does not begin with `GGUF`"));
    }
    match reader.u32()? {
        2 | 3 => {}
        version if [1, 2, 3].contains(&version.swap_bytes()) => {
            return Err(Fault::Unread("is a GGUF file for processors of the other byte order".to_owned()));
        }
        version => return Err(Fault::Unread(format!("is a GGUF file of version {version}; 2 and 3 are read"))),
    }
    let (tensors, values) = (reader.u64()?, reader.u64()?);
    if tensors > MAX_TENSORS as u64 {
        // Each takes 24 bytes at least.
        return Err(match tensors > length / 24 {
            true => Fault::at(8, format!("it cannot hold {tensors} tensors")),
            false => Fault::Unread(format!("has more than {MAX_TENSORS} tensors")),
        });
    }
    let mut alignment = ALIGNMENT;
    for _ in 0..values {
        let key = reader.text(MAX_NAME)?;
        let at = reader.at;
        let ty = reader.u32()?;
        if key == "general.alignment" && ty == UINT32 {
            alignment = u64::from(reader.u32()?);
            if !alignment.is_power_of_two() {
                return Err(Fault::at(at, format!("its alignment is {alignment}, which is no power of two")));
            }
        } else {
            reader.skip_value(ty, at, 0)?;
        }
    }
    let mut listed = Vec::new();
    for _ in 0..tensors {
        listed.push(tensor(&mut reader)?);
    }
    let aligned = |bytes: u64| bytes.checked_next_multiple_of(alignment);
    let too_large = || Fault::at(8, "its tensors are too large to be counted");
    let data = aligned(reader.at).ok_or_else(too_large)?;
    let (mut next, mut end) = (0, 0);
    for (tensor, offset, at) in &listed {
        if *offset != next {
            let what =
                format!("`{}` is said to lie at {offset} of the data, and is expected at {next}", shown(&tensor.name));
            return Err(Fault::at(*at, what));
        }
        end = next.checked_add(tensor.bytes).ok_or_else(too_large)?;
        next = aligned(end).ok_or_else(too_large)?;
    }
    let end = data.checked_add(end).ok_or_else(too_large)?;
    // Without tensors nothing follows the header, padding included.
    let end = if listed.is_empty() { reader.at } else { end };
    let tensors = listed.into_iter().map(|(tensor, ..)| tensor).collect();
    Ok(Header { tensors, end, padding: alignment, is_named: true })
}

// A tensor, where its data begin, and where the header says so.
fn tensor<R: Read + Seek>(reader: &mut Reader<R>) -> Result<(Tensor, u64, u64), Fault> {
    let name = reader.text(MAX_NAME)?;
    let at = reader.at;
    let dimensions = reader.u32()? as usize;
    if dimensions > MAX_DIMENSIONS {
        return Err(Fault::at(at, format!("`{}` would have {dimensions} dimensions", shown(&name))));
    }
    let mut shape = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        shape.push(reader.u64()?);
    }
    let row = shape.first().copied().unwrap_or(1);
    // The file names the innermost first.
    shape.reverse();
    let type_at = reader.at;
    let ty = reader.u32()?;
    let offset_at = reader.at;
    let offset = reader.u64()?;
    let Some((_, dtype, block, bytes)) = TYPES.iter().find(|(number, ..)| *number == ty) else {
        return Err(Fault::Unread(format!("has tensors of type {ty}, at byte {type_at}, which is not known here")));
    };
    if row % block != 0 {
        let what = format!("the rows of `{}` have {row} numbers, which are no whole blocks of {block}", shown(&name));
        return Err(Fault::at(at, what));
    }
    let elements = shape.iter().try_fold(1_u64, |all, size| all.checked_mul(*size));
    let bytes = elements.and_then(|elements| (elements / block).checked_mul(*bytes));
    let bytes =
        bytes.ok_or_else(|| Fault::at(at, format!("the shape of `{}` is too large to be counted", shown(&name))))?;
    Ok((Tensor { name: name.into(), dtype: Some(dtype), shape: shape.into(), bytes }, offset, offset_at))
}

const UINT32: u32 = 4;
const TEXT: u32 = 8;
const LIST: u32 = 9;

// Bytes of a value of that type, where they are always as many.
fn size(ty: u32) -> Option<u64> {
    match ty {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A file that is read from its start, as far as a header may reach.
struct Reader<R> {
    file: BufReader<R>,
    /// Where the next byte stands.
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn new(mut file: R, length: u64) -> Result<Self, Fault> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file: BufReader::new(file), at: 0, length })
    }

    // Goes on by so many bytes, when they are there and a header may have them.
    fn pass(&mut self, bytes: u64) -> Result<(), Fault> {
        let to = self.at.saturating_add(bytes);
        if to > self.length {
            return Err(match bytes > MAX_HEADER {
                true => Fault::at(self.at, format!("{bytes} bytes are said to follow, and the file ends before")),
                false => Fault::Truncated(format!("ends at byte {}, in its header", self.length)),
            });
        }
        if to > MAX_HEADER {
            return Err(Fault::Unread(format!("has a header of more than {MAX_HEADER} bytes")));
        }
        self.at = to;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.pass(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, longest: u64) -> Result<String, Fault> {
        let at = self.at;
        let length = self.u64()?;
        if length > longest {
            return Err(Fault::at(at, format!("a name of {length} bytes is said to follow; {longest} are allowed")));
        }
        self.pass(length)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Fault::at(at + 8, "a name is not UTF-8"))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Fault> {
        self.pass(bytes)?;
        // What a header may have is far from the largest `i64`.
        self.file.seek_relative(i64::try_from(bytes).unwrap_or(i64::MAX))?;
        Ok(())
    }

    // `at` is where the type stands.
    fn skip_value(&mut self, ty: u32, at: u64, depth: usize) -> Result<(), Fault> {
        if let Some(size) = size(ty) {
            return self.skip(size);
        }
        match ty {
            TEXT => {
                let length = self.u64()?;
                self.skip(length)
            }
            LIST if depth < MAX_DEPTH => {
                let (at, ty, count) = (self.at, self.u32()?, self.u64()?);
                match size(ty) {
                    Some(size) => self.skip(count.saturating_mul(size)),
                    None => (0..count).try_for_each(|_| self.skip_value(ty, at, depth + 1)),
                }
            }
            LIST => Err(Fault::at(at, "its lists are nested too deep")),
            _ => Err(Fault::at(at, format!("a value has type {ty}, which the format does not have"))),
        }
    }
}
