//! What there is where no part of a Wan model was found, in words.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::set;
use crate::diag::Finding;
use crate::facts::probe::checkpoints::find::Kind;

/// How long the search of a folder may take; who waits for it has been refused something.
const PATIENCE: Duration = Duration::from_secs(6);

/// What is looked for, and in what.
const HELP: &str = "looked for are the text encoder, image encoder, transformers and VAE of a Wan model, by the tensors that \
                    .safetensors, .gguf, .pth and .pt files name; a file of another model is loaded where it is named itself";

/// What is said of a folder or file with no part of a Wan model.
pub fn finding(path: &Path) -> Finding {
    let shown = path.display();
    let message = match path.is_dir() {
        true => format!("there is no part of a Wan model in `{shown}`, which {}", held(path)),
        false => format!("`{shown}` is no checkpoint: its name ends in none of .safetensors, .gguf, .pth and .pt"),
    };
    Finding::error("no-checkpoint", message).help(HELP)
}

// `holds 3 .safetensors files and 1 .gguf file`, in it and the folders below it.
fn held(folder: &Path) -> String {
    let found = set::search(folder, Instant::now() + PATIENCE).unwrap_or_default();
    let mut counts = BTreeMap::<&str, usize>::new();
    for file in &found.files {
        let end = match file.kind {
            Kind::Safetensors => ".safetensors",
            Kind::Index => ".safetensors.index.json",
            Kind::Gguf => ".gguf",
            Kind::Pth => ".pth",
        };
        *counts.entry(end).or_default() += 1;
    }
    if !counts.is_empty() {
        let counts: Vec<String> = counts.iter().map(|(end, count)| files(*count, end)).collect();
        return format!("holds {}", counts.join(" and "));
    }
    let entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    let folders = entries.iter().filter(|entry| entry.path().is_dir()).count();
    match (folders, entries.len() - folders) {
        (0, 0) => "is empty".to_owned(),
        (_, 0) => "holds only folders, and no checkpoint in them".to_owned(),
        (_, 1) => "holds a file that is no checkpoint".to_owned(),
        (_, others) => format!("holds {others} files, none of them a checkpoint"),
    }
}

fn files(count: usize, kind: &str) -> String {
    format!("{count} {kind} {}", if count == 1 { "file" } else { "files" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_by_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let held = || held(folder.path());
        let write = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(held(), "is empty");
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        assert_eq!(held(), "holds only folders, and no checkpoint in them");
        write("a/notes.txt");
        write("readme.md");
        assert_eq!(held(), "holds a file that is no checkpoint");
        write("a/b/x.gguf");
        write("x.safetensors");
        write("y.safetensors");
        assert_eq!(held(), "holds 1 .gguf file and 2 .safetensors files");
    }
}
