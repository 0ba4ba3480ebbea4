//! What a bug report needs, as one archive: texts about a machine and an installation, with a list that says what each is
//! and what was taken out of it.
//!
//! Takes texts that are redacted already ([`crate::redaction`]); gathers and writes nothing.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use jiff::civil::DateTime;
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// Largest file of somebody else that is put into an archive, in bytes; estimate, the largest known config has 40 KiB.
pub const MOST_BYTES: usize = 256 << 10;

/// The name of the list.
pub const CONTENTS: &str = "contents.txt";

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name in the archive, with `/`.
    pub name: String,
    /// What it is and what was taken out, in a sentence or two.
    pub what: String,
    /// What it holds.
    pub text: String,
}

impl Part {
    /// A file of that name.
    pub fn new(name: impl Into<String>, what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into(), text: text.into() }
    }
}

/// The name of an archive that is made at that time: `wan22-policy-bundle-2026-11-23-0859.zip`, the n-th of its minute.
pub fn name(time: DateTime, nth: usize) -> String {
    let nth = if nth > 1 { format!("-{nth}") } else { String::new() };
    format!("wan22-policy-bundle-{}{nth}.zip", time.strftime("%Y-%m-%d-%H%M"))
}

/// The list of what is in an archive; `absent` is what is not, and why.
pub fn contents(parts: &[Part], absent: &[String]) -> Part {
    let mut text =
        "What this archive of `wan22-policy doctor --bundle` holds. Look into it before you send it: what is a secret \
                    to you may look like nothing special to a program.\n\n"
            .to_owned();
    for part in parts {
        text += &format!("{}\n    {}\n", part.name, part.what);
    }
    if !absent.is_empty() {
        text += "\nNot in it:\n";
        absent.iter().for_each(|line| text += &format!("    {line}\n"));
    }
    text += "\nTaken out everywhere: what looks like a token, key or password, PEM blocks, names and passwords in URLs, mail\n\
             addresses and logins (each character became `*`); home directories (`~`), names of this machine and its\n\
             user (`NAME`), UUIDs and serial numbers (`0`). Taken out of files that others wrote, and of the log: values of\n\
             keys such as `token`, `key`, `password` or `user`, and IP and MAC addresses. Never packed: files beside\n\
             those named here, environment variables, the bytes that an apply replaced.\n";
    Part::new(CONTENTS, "this list", text)
}

/// The archive, a zip.
///
/// # Errors
/// A text cannot be compressed, or a name is none that an archive takes.
pub fn archive(parts: &[Part]) -> io::Result<Vec<u8>> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for part in parts {
        let file = archive.new_file(part.name.as_str()).compression_method(CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().map_err(io::Error::other)?;
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
        writer.write_all(part.text.as_bytes())?;
        let (encoder, descriptor) = writer.finish().map_err(io::Error::other)?;
        encoder.finish()?;
        entry.finish(descriptor).map_err(io::Error::other)?;
    }
    archive.finish().map_err(io::Error::other)
}
