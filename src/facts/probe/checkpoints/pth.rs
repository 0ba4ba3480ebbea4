//! The directories of PyTorch's `.pth` and `.pt` files: a zip whose entries `NAME/data/0`, `NAME/data/1`, … are the storages
//! of the tensors, as they are in memory, beside `NAME/data.pkl`, a pickle with their names.
//!
//! A pickle is a program, and none is run here: only the directory is read, and the pickle's bytes are searched for the
//! names of storage types. So tensors have neither names nor shapes, and their bytes are exact. Source:
//! <https://docs.pytorch.org/docs/stable/notes/serialization.html> and `torch/serialization.py` (`_save`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use rawzip::{CompressionMethod, ErrorKind, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive};

use super::header::{Fault, Header, MAX_HEADER, MAX_TENSORS, Tensor, shown};

/// How an entry of a zip begins.
const ZIP: &[u8; 4] = b"PK\x03\x04";

/// How a pickle of protocol 2 or later begins: what PyTorch wrote before version 1.6.
const PICKLE: u8 = 0x80;

/// Furthest from its end that a zip's directory is named: its record of 22 bytes and the longest comment.
const SEARCH: u64 = 22 + 65_535;

/// Most bytes of a pickle that are searched; that of the largest Wan model has less than one MiB.
const MAX_PICKLE: u64 = 16 << 20;

/// The classes of storages, as a pickle names them, and their numbers' types.
const STORAGES: &[(&str, &str)] = &[
    ("BFloat16Storage", "bf16"),
    ("ByteStorage", "uint8"),
    ("CharStorage", "int8"),
    ("DoubleStorage", "fp64"),
    ("FloatStorage", "fp32"),
    ("HalfStorage", "fp16"),
    ("IntStorage", "int32"),
    ("LongStorage", "int64"),
    ("ShortStorage", "int16"),
];

/// The directory of a file of that length in bytes, as a header of storages.
///
/// # Errors
/// What is wrong with it. A file that PyTorch did not write is [`Fault::Other`].
pub fn read(mut file: impl Read + Seek, length: u64) -> Result<Header, Fault> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&mut file).take(4).read_to_end(&mut start)?;
    match &start[..] {
        start if start == ZIP => {}
        [PICKLE, version, ..] if *version >= 2 => {
            let what =
                format!("is a pickle of {length} bytes without a directory: its tensors and data types are unknown");
            return Err(Fault::Unread(what));
        }
        [0, 0, 0, 0] => {
            return Err(Fault::at(0, "its first bytes are zero, as in a file that is still being downloaded"));
        }
        // Python reads lists of paths from files of that name.
        _ => return Err(Fault::Other),
    }
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive =
        ZipArchive::with_max_search_space(SEARCH).locate_in_reader(Places(RefCell::new(file)), &mut buffer, length);
    let archive = archive.map_err(|(_, error)| match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory => {
            Fault::Truncated(format!("ends at byte {length} without the directory of its tensors"))
        }
        _ => fault(error),
    })?;
    let start = archive.directory_offset();
    let mut storages: BTreeMap<u64, u64> = BTreeMap::new();
    let mut pickle = None;
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(fault)? {
        let at = entry.central_directory_offset();
        if storages.len() > MAX_TENSORS || at.saturating_sub(start) > MAX_HEADER {
            return Err(Fault::Unread(format!(
                "has a directory of more than {MAX_TENSORS} tensors or {MAX_HEADER} bytes"
            )));
        }
        let path = entry.file_path();
        let Ok(path) = std::str::from_utf8(path.as_ref()) else { continue };
        // The first folder has the name that the file had when it was written.
        let name = path.split_once('/').map_or(path, |(_, name)| name);
        let number = name.strip_prefix("data/").filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let number = number.and_then(|number| number.parse::<u64>().ok());
        if number.is_none() && name != "data.pkl" {
            continue;
        }
        let bytes = entry.uncompressed_size_hint();
        let is_stored = entry.compression_method() == CompressionMethod::STORE && entry.compressed_size_hint() == bytes;
        if !is_stored {
            return Err(Fault::at(at, format!("`{}` is compressed, which PyTorch does not read", shown(path))));
        }
        let from = entry.local_header_offset();
        if from.checked_add(bytes).is_none_or(|to| to > start) {
            let what = format!(
                "`{}` is said to have {bytes} bytes from byte {from}, and byte {start} is no more of it",
                shown(path)
            );
            return Err(Fault::at(at, what));
        }
        match number {
            Some(number) if storages.insert(number, bytes).is_some() => {
                return Err(Fault::at(at, format!("its directory names `{}` twice", shown(path))));
            }
            Some(_) => {}
            None => pickle = Some(entry.wayfinder()),
        }
    }
    let Some(pickle) = pickle else { return Err(Fault::Other) };
    // They are numbered as they are written.
    if let Some((gap, _)) = (0..).zip(storages.keys()).find(|(wanted, number)| wanted != *number) {
        return Err(Fault::at(start, format!("its directory does not name `data/{gap}`")));
    }
    let all = storages.values().try_fold(0_u64, |all, bytes| all.checked_add(*bytes));
    if all.is_none_or(|all| all > start) {
        return Err(Fault::at(start, "its tensors would lie over each other"));
    }
    let size = pickle.uncompressed_size_hint().min(MAX_PICKLE);
    let mut text = Vec::new();
    archive.get_entry(pickle).map_err(fault)?.reader().take(size).read_to_end(&mut text)?;
    let dtype = dtype(&text);
    let tensor =
        |(number, bytes): (u64, u64)| Tensor { name: number.to_string().into(), dtype, shape: Box::new([]), bytes };
    let tensors = storages.into_iter().map(tensor).collect();
    Ok(Header { tensors, end: archive.end_offset(), padding: SEARCH, is_named: false })
}

/// A file that is read at any place.
struct Places<R>(RefCell<R>);

impl<R: Read + Seek> ReaderAt for Places<R> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut file = self.0.borrow_mut();
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }
}

// The type of all storages, when the pickle names one class of them.
fn dtype(pickle: &[u8]) -> Option<&'static str> {
    let names = |class: &str| {
        let name = format!("torch\n{class}\n");
        pickle.windows(name.len()).any(|bytes| bytes == name.as_bytes())
    };
    let mut named = STORAGES.iter().filter(|(class, _)| names(class));
    let (_, first) = named.next()?;
    named.next().is_none().then_some(*first)
}

fn fault(error: rawzip::Error) -> Fault {
    match error.kind() {
        ErrorKind::IO(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Fault::Unread(format!("cannot be read: {error}"))
        }
        _ => Fault::Invalid { at: None, what: format!("its directory cannot be read ({})", shown(&error.to_string())) },
    }
}
