//! Writes checkpoints: headers as their formats say, and holes where the weights would be, so that real sizes take no disk.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::wan::Shape;

/// The header of a safetensors file with its length before it, and the bytes of the tensors.
pub fn safetensors_header(tensors: &[Shape], dtype: impl Fn(&str) -> (&'static str, u64)) -> (Vec<u8>, u64) {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for (name, shape) in tensors {
        let (dtype, width) = dtype(name);
        let start = end;
        end += shape.iter().product::<u64>() * width;
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
    }
    (with_length(&Value::Object(header).to_string()), end)
}

/// A safetensors header with its length before it.
pub fn with_length(json: &str) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes
}

/// Writes a file that begins with these bytes and has that length.
pub fn write(path: &Path, start: &[u8], length: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(start).unwrap();
    file.set_len(length).unwrap();
}

/// Writes a whole safetensors file; gives its length.
pub fn safetensors(path: &Path, tensors: &[Shape], dtype: &'static str, width: u64) -> u64 {
    let (header, data) = safetensors_header(tensors, |_| (dtype, width));
    let length = header.len() as u64 + data;
    write(path, &header, length);
    length
}

/// A GGUF file of version 3 up to its tensors' data.
pub struct Gguf {
    pub bytes: Vec<u8>,
    /// Length of the whole file.
    pub length: u64,
}

/// A value of a GGUF file.
pub enum Meta<'a> {
    U32(u32),
    Texts(&'a [&'a str]),
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Tensors with the number of their type, the numbers of a block and its bytes.
pub fn gguf(values: &[(&str, Meta<'_>)], tensors: &[(Shape, (u32, u64, u64))]) -> Gguf {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((values.len() as u64).to_le_bytes());
    let mut alignment = 32_u64;
    for (key, value) in values {
        text(&mut bytes, key);
        match value {
            Meta::U32(number) => {
                bytes.extend(4_u32.to_le_bytes());
                bytes.extend(number.to_le_bytes());
                if *key == "general.alignment" {
                    alignment = u64::from(*number);
                }
            }
            Meta::Texts(texts) => {
                bytes.extend(9_u32.to_le_bytes());
                bytes.extend(8_u32.to_le_bytes());
                bytes.extend((texts.len() as u64).to_le_bytes());
                texts.iter().for_each(|item| text(&mut bytes, item));
            }
        }
    }
    let (mut offset, mut end) = (0_u64, 0);
    for ((name, shape), (ty, block, size)) in tensors {
        text(&mut bytes, name);
        bytes.extend((shape.len() as u32).to_le_bytes());
        shape.iter().rev().for_each(|size| bytes.extend(size.to_le_bytes()));
        bytes.extend(ty.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        end = offset + shape.iter().product::<u64>() / block * size;
        offset = end.next_multiple_of(alignment);
    }
    let length = (bytes.len() as u64).next_multiple_of(alignment) + end;
    Gguf { bytes, length }
}

/// Writes a `.pth` as PyTorch does: entries without compression, with 64-bit sizes where they need them.
pub fn pth(path: &Path, pickle: &[u8], storages: &[u64]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    let mut directory = Vec::new();
    let mut at = 0_u64;
    let names = (0..storages.len()).map(|number| format!("archive/data/{number}"));
    let entries: Vec<(String, u64)> = [("archive/data.pkl".to_owned(), pickle.len() as u64)]
        .into_iter()
        .chain(names.zip(storages.iter().copied()))
        .collect();
    for (i, (name, size)) in entries.iter().enumerate() {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let mut local = b"PK\x03\x04".to_vec();
        local.extend([45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        local.extend([short(*size), short(*size)].concat());
        local.extend((name.len() as u16).to_le_bytes());
        local.extend([0, 0]);
        local.extend(name.as_bytes());
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&local).unwrap();
        if i == 0 {
            file.write_all(pickle).unwrap();
        }
        directory.extend(b"PK\x01\x02");
        directory.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        directory.extend([short(*size), short(*size)].concat());
        let mut long = Vec::new();
        for number in [*size, *size, at] {
            if number >= u64::from(u32::MAX) {
                long.extend(number.to_le_bytes());
            }
        }
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend((if long.is_empty() { 0 } else { long.len() as u16 + 4 }).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(short(at));
        directory.extend(name.as_bytes());
        if !long.is_empty() {
            directory.extend([1, 0]);
            directory.extend((long.len() as u16).to_le_bytes());
            directory.extend(long);
        }
        at += local.len() as u64 + size;
    }
    let count = entries.len() as u64;
    let size = directory.len() as u64;
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&directory).unwrap();
    // The records for large archives, then the one of all.
    let mut end = b"PK\x06\x06".to_vec();
    end.extend(44_u64.to_le_bytes());
    end.extend([45, 0, 45, 0]);
    end.extend([0; 8]);
    [count, count, size, at].iter().for_each(|number| end.extend(number.to_le_bytes()));
    end.extend(b"PK\x06\x07");
    end.extend([0; 4]);
    end.extend((at + size).to_le_bytes());
    end.extend(1_u32.to_le_bytes());
    end.extend(b"PK\x05\x06");
    end.extend([0; 4]);
    [count, count].iter().for_each(|number| end.extend(u16::try_from(*number).unwrap().to_le_bytes()));
    end.extend(u32::try_from(size).unwrap().to_le_bytes());
    end.extend(u32::MAX.to_le_bytes());
    end.extend([0; 2]);
    file.write_all(&end).unwrap();
}
