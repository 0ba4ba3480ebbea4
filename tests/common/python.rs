//! A Python of this machine, its library, and what it says of sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python of 3.11 or newer, the folder of its own library, and its version after the 3.
pub fn python() -> Option<(PathBuf, PathBuf, u8)> {
    let code = "import sys, os; print(sys.executable); print(os.path.dirname(os.__file__)); print(sys.version_info[1]); sys.exit(sys.version_info < (3, 11))";
    ["python3", "/usr/bin/python3"].into_iter().find_map(|name| {
        let ran = Command::new(name).args(["-I", "-c", code]).stderr(Stdio::null()).output().ok()?;
        let said = String::from_utf8(ran.stdout).ok().filter(|_| ran.status.success())?;
        let mut lines = said.lines();
        Some((lines.next()?.into(), lines.next()?.into(), lines.next()?.parse().ok()?))
    })
}

const ASK: &str = "
import sys, warnings
warnings.simplefilter('ignore')
for path in sys.stdin.read().splitlines():
    try:
        compile(open(path, 'rb').read(), path, 'exec', dont_inherit=True)
        print(0)
    except SyntaxError as error:
        print(error.lineno or 1)
    except ValueError:
        print(-1)
";

/// What Python says of each file: the line, 0 where it can read it, less where it does not say.
pub fn asked(python: &Path, files: &[PathBuf]) -> Vec<i64> {
    let mut child =
        Command::new(python).args(["-I", "-c", ASK]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let names: Vec<String> = files.iter().map(|file| file.to_str().unwrap().to_owned()).collect();
    let mut pipe = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, names.join("\n").as_bytes()));
    let said = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    String::from_utf8(said.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

/// Sources of the library, sorted: those that are neither tiny nor large.
pub fn sources(library: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for folder in [library.to_owned(), library.join("asyncio"), library.join("json"), library.join("email")] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "py") {
                texts.extend(fs::read_to_string(path).ok().filter(|text| (500..40_000).contains(&text.len())));
            }
        }
    }
    texts.sort();
    texts
}
