//! Which Python a stack runs in, and the folders that it imports packages from.
//!
//! The order of the folders is that of CPython's `site` module, with the changes of Debian and Fedora.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};

use super::{Search, packages, text};

/// The variables that name the active environment.
const ACTIVE: [(&str, Kind); 2] = [("VIRTUAL_ENV", Kind::Venv), ("CONDA_PREFIX", Kind::Conda)];

/// Names that people give the environment of a project, the most usual first; pixi's is `default`.
const USUAL: [&str; 5] = [".venv", "venv", "env", ".conda", "default"];

/// Where ComfyUI's portable build has its Python, seen from the build's folder and from that of ComfyUI in it.
const PORTABLE: [&str; 4] = ["python_embeded", "python_embedded", "../python_embeded", "../python_embedded"];

/// What an interpreter is called.
const INTERPRETERS: [&str; 3] = ["python3", "python", "python.exe"];

/// Folders of packages below a prefix, in the order of import; `{}` stands for `python3.12`. Fedora and openSUSE keep what
/// is compiled in `lib64`; as on Debian, what the administrator adds lies below `local`.
const PLAIN: &[&str] = &["lib/{}/site-packages"];
const DEBIAN: &[&str] = &["local/lib/{}/dist-packages", "lib/python3/dist-packages", "lib/{}/dist-packages"];
const FEDORA: &[&str] =
    &["local/lib64/{}/site-packages", "local/lib/{}/site-packages", "lib64/{}/site-packages", "lib/{}/site-packages"];
const WINDOWS: &str = "Lib/site-packages";

/// Extensions of the files that are named after Python's version on Windows: `python312.dll`.
const WINDOWS_FILES: [&str; 3] = ["_pth", "dll", "zip"];

/// Most links that are followed from one name of an interpreter to the next, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// The kind of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A virtual environment, whoever made it.
    Venv,
    /// An environment of conda, mamba or pixi.
    Conda,
    /// Python's embeddable package for Windows.
    Embedded,
    /// A Python of its own: the system's, or one that pyenv or uv has installed.
    System,
}

impl Kind {
    // What messages call it.
    fn noun(self) -> &'static str {
        match self {
            Self::Venv => "venv",
            Self::Conda => "conda environment",
            Self::Embedded => "embedded Python",
            Self::System => "Python",
        }
    }

    // Whether a folder is the prefix of one.
    fn is_at(self, folder: &Path) -> bool {
        match self {
            Self::Venv => folder.join("pyvenv.cfg").is_file(),
            Self::Conda => folder.join("conda-meta").is_dir(),
            Self::Embedded => windows_minor(folder, &["_pth"]).is_some(),
            Self::System => folder.join(WINDOWS).is_dir() || !minors(folder).is_empty(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Venv => "venv",
            Self::Conda => "conda",
            Self::Embedded => "embedded",
            Self::System => "system",
        })
    }
}

/// A Python and where its packages lie.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its kind.
    pub kind: Kind,
    /// How messages name it: ``the venv `venv` ``.
    pub shown: String,
    /// Version of Python (`3.12.3`, or `3.12` where no file says more), or why it is unknown. A venv names the version
    /// that it was made with.
    pub python: Result<String, String>,
    /// Folders with packages, in the order of import. Not all need be there.
    pub sites: Vec<PathBuf>,
    /// The folder whose `conda-meta` lists further packages, if it has one.
    pub conda: Option<PathBuf>,
}

impl Environment {
    /// The environment that the stack runs in: the one asked for, else the installation's own (a venv, ComfyUI's portable
    /// Python, conda's, pixi's), else the active one, else that of the Python on the path.
    ///
    /// # Errors
    /// The reason, when there is none or several are as good.
    pub fn find(search: &Search<'_>) -> Result<Self, String> {
        if let Some(python) = search.python {
            let launcher = "what `--python` names is no Python, or a launcher for another one";
            let reason = if python.exists() { launcher } else { "there is nothing where `--python` points" };
            return Prefix::at(python).ok_or(reason)?.open(search, "given with `--python`");
        }
        if let Some(installation) = search.installation
            && let Some((prefix, place)) = in_installation(search, installation)?
        {
            return prefix.open(search, &shown(&place));
        }
        for (variable, kind) in ACTIVE {
            if let Some(folder) = search.place_in(variable).filter(|folder| kind.is_at(folder)) {
                return Prefix::new(kind, folder).open(search, "that is active");
            }
        }
        on_path(search)?.open(search, "on the path")
    }
}

/// Whether a path is an interpreter or the folder of an environment.
pub fn is_python(path: &Path) -> bool {
    Prefix::at(path).is_some()
}

// The environment in an installation, and its place there.
fn in_installation(search: &Search<'_>, installation: &Path) -> Result<Option<(Prefix, PathBuf)>, String> {
    fs::read_dir(installation).map_err(|error| format!("the installation cannot be read: {error}"))?;
    for name in USUAL {
        match fs::metadata(installation.join(name).join("pyvenv.cfg")) {
            Err(error) if !text::is_absence(&error) => {
                return Err(format!("`{name}` in the installation cannot be opened: {error}"));
            }
            _ => {}
        }
    }
    let is_portable = |place: &&str| windows_minor(&installation.join(place), &WINDOWS_FILES).is_some();
    let portable = || PORTABLE.into_iter().find(is_portable).map(PathBuf::from);
    let (kind, place) = if let Some(place) = choose(search, installation, "", Kind::Venv)? {
        (Kind::Venv, place)
    } else if let Some(place) = portable() {
        (Kind::Embedded, place)
    } else if let Some(place) = choose(search, installation, "", Kind::Conda)? {
        (Kind::Conda, place)
    } else if let Some(place) = choose(search, installation, ".pixi/envs", Kind::Conda)? {
        (Kind::Conda, place)
    } else {
        return Ok(None);
    };
    Ok(Some((Prefix::new(kind, installation.join(&place)), place)))
}

// The environment of a kind in a folder of the installation or directly below it: the active one, else one with a usual
// name, else the only one.
fn choose(search: &Search<'_>, installation: &Path, folder: &str, kind: Kind) -> Result<Option<PathBuf>, String> {
    let entries = fs::read_dir(installation.join(folder)).into_iter().flatten().flatten();
    let places = entries.map(|entry| entry.file_name()).chain([".".into()]).map(|name| Path::new(folder).join(name));
    let mut places: Vec<PathBuf> = places.filter(|place| kind.is_at(&installation.join(place))).collect();
    places.sort();

    let real = |path: PathBuf| fs::canonicalize(path).ok();
    let active: Vec<PathBuf> = ACTIVE.iter().filter_map(|(name, _)| real(search.place_in(name)?)).collect();
    let is_active = |place: &&PathBuf| real(installation.join(place)).is_some_and(|place| active.contains(&place));
    let usual = || USUAL.iter().find_map(|name| places.iter().find(|place| place.ends_with(name)));
    match (places.iter().find(is_active).or_else(usual), &places[..]) {
        (Some(place), _) | (None, [place]) => Ok(Some(place.clone())),
        (None, []) => Ok(None),
        (None, several) => {
            let (noun, several) = (kind.noun(), several.iter().map(|place| shown(place)).collect::<Vec<_>>());
            Err(format!(
                "the installation holds more than one {noun} ({}): name one with `--python`",
                several.join(", ")
            ))
        }
    }
}

fn shown(place: &Path) -> String {
    format!("`{}`", place.to_string_lossy().escape_debug())
}

// The Python that a shell would start.
fn on_path(search: &Search<'_>) -> Result<Prefix, String> {
    let folders = search.places_in("PATH");
    let mut files = folders.iter().flat_map(|folder| INTERPRETERS.map(|name| folder.join(name)));
    let file = files.find(|file| file.is_file()).ok_or("no Python was found: name one with `--python`")?;
    // pyenv and asdf put scripts there, Windows an alias for its store.
    let launcher = "the Python on the path is a launcher for another one: name that one with `--python`";
    Prefix::of_interpreter(&file).ok_or_else(|| launcher.to_owned())
}

// Where a Python is installed.
struct Prefix {
    kind: Kind,
    folder: PathBuf,
    // `3.12`, or `3.13t` for the build without the global lock, where the interpreter's name says so.
    minor: Option<String>,
}

impl Prefix {
    fn new(kind: Kind, folder: PathBuf) -> Self {
        Self { kind, folder, minor: None }
    }

    // What the user names: the folder of an environment, or an interpreter, which is told by its name.
    fn at(path: &Path) -> Option<Self> {
        if !path.is_dir() {
            // A link may have any name, what it leads to has not.
            let real = fs::canonicalize(path);
            let names =
                [Some(path), real.as_deref().ok()].into_iter().flatten().filter_map(|path| path.file_name()?.to_str());
            let is_python = names.into_iter().any(|name| name.contains("python") || name.starts_with("pypy"));
            return is_python.then(|| Self::of_interpreter(path)).flatten();
        }
        let interpreters = || INTERPRETERS.iter().flat_map(|name| [path.join("bin").join(name), path.join(name)]);
        Self::of_folder(path).or_else(|| interpreters().find_map(|file| Self::of_interpreter(&file)))
    }

    fn of_folder(folder: &Path) -> Option<Self> {
        let kind = [Kind::Venv, Kind::Conda, Kind::Embedded].into_iter().find(|kind| kind.is_at(folder))?;
        Some(Self::new(kind, folder.to_owned()))
    }

    // An interpreter in a venv is a link to one outside of it: what lies around a link comes before what it leads to.
    fn of_interpreter(file: &Path) -> Option<Self> {
        let mut file = path::absolute(file).ok()?;
        for _ in 0..MAX_LINKS {
            let name = file.file_name()?.to_owned();
            let folder = fs::canonicalize(file.parent()?).ok()?;
            file = folder.join(&name);
            let minor = name.to_str().and_then(minor).map(str::to_owned);
            let found = Self::of_folder(&folder).or_else(|| Self::of_folder(folder.parent()?));
            if let Some(found) = found.filter(|_| file.exists()) {
                return Some(Self { minor, ..found });
            }
            match fs::read_link(&file) {
                Ok(target) => file = folder.join(target),
                Err(_) => {
                    let prefix = prefix_of(folder);
                    let found = file.is_file() && Kind::System.is_at(&prefix);
                    return found.then(|| Self { minor, ..Self::new(Kind::System, prefix) });
                }
            }
        }
        None
    }

    fn open(self, search: &Search<'_>, place: &str) -> Result<Environment, String> {
        let shown = format!("the {} {place}", self.kind.noun());
        let settings = self.settings().map_err(|error| format!("`pyvenv.cfg` of {shown} cannot be read: {error}"))?;
        let version =
            self.version(&settings).map_err(|error| format!("`conda-meta` of {shown} cannot be read: {error}"))?;
        let minor = self.minor(version.as_deref()).map_err(|several| {
            format!("{shown} is for more than one Python ({}): name one with `--python`", several.join(", "))
        })?;
        // A venv that was taken to another Python may still name the old one.
        let short = minor.as_deref().map(without_suffix);
        let version = version.filter(|version| minor_of(version).as_deref() == short);
        let python = version.or(short.map(str::to_owned)).ok_or_else(|| format!("{shown} does not name its version"));
        let sites = self.sites(search, &settings, minor.as_deref());
        let conda = match self.kind {
            Kind::Conda => Some(self.folder),
            Kind::Venv => settings.base(search),
            Kind::Embedded | Kind::System => None,
        };
        Ok(Environment { kind: self.kind, shown, python, sites, conda })
    }

    fn settings(&self) -> io::Result<Settings> {
        match self.kind {
            Kind::Venv => text::read(&self.folder.join("pyvenv.cfg")).map(Settings),
            _ => Ok(Settings(String::new())),
        }
    }

    // The version of Python, as far as files name it.
    fn version(&self, settings: &Settings) -> io::Result<Option<String>> {
        Ok(match self.kind {
            Kind::Venv => settings.version(),
            Kind::Conda => {
                let python = packages::in_conda(&self.folder)?.into_iter().find(|package| package.name == "python");
                python.and_then(|python| python.version)
            }
            Kind::Embedded | Kind::System => windows_minor(&self.folder, &WINDOWS_FILES),
        })
    }

    // `3.12` or `3.13t`: by the interpreter's name, the version, or the only one that there are packages for.
    fn minor(&self, version: Option<&str>) -> Result<Option<String>, Vec<String>> {
        let mut there = minors(&self.folder);
        match (&self.minor, version.and_then(minor_of)) {
            (Some(minor), _) => Ok(Some(minor.clone())),
            (None, Some(minor)) => Ok(there.into_iter().find(|other| without_suffix(other) == minor).or(Some(minor))),
            (None, None) if there.len() > 1 => Err(there),
            (None, None) => Ok(there.pop()),
        }
    }

    // The folders with packages, in the order of import.
    fn sites(&self, search: &Search<'_>, settings: &Settings, minor: Option<&str>) -> Vec<PathBuf> {
        let own = sites(&self.folder, minor);
        let user = || user_site(search, &self.folder, minor);
        let behind: Vec<PathBuf> = match self.kind {
            // Nothing from outside; a venv may let in what its base imports.
            Kind::Embedded => return own,
            Kind::Venv => match settings.base(search) {
                Some(base) => own.into_iter().chain(user()).chain(sites(&base, minor)).collect(),
                None => own,
            },
            Kind::Conda | Kind::System => user().into_iter().chain(own).collect(),
        };
        search.places_in("PYTHONPATH").into_iter().chain(behind).collect()
    }
}

// What `pyvenv.cfg` says; empty where there is none.
struct Settings(String);

impl Settings {
    // Names are compared without case, and the last of several counts, as in CPython.
    fn get(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().rev().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    // As `venv`, virtualenv (`3.12.3.final.0`) and uv write it, and in short as PEP 838 wants it.
    fn version(&self) -> Option<String> {
        let value = ["version", "version_info", "python-version"].iter().find_map(|name| self.get(name))?;
        let parts = value.split('.').take(3).take_while(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        text::version(&parts.collect::<Vec<_>>().join(".")).map(str::to_owned)
    }

    // The prefix of the Python that a venv builds on, when it imports from there too.
    fn base(&self, search: &Search<'_>) -> Option<PathBuf> {
        let shares = self.get("include-system-site-packages").unwrap_or("true").eq_ignore_ascii_case("true");
        // Seen from WSL, a home on Windows is no path at all.
        let home = Path::new(self.get("home")?);
        (shares && home.is_absolute()).then(|| prefix_of(search.place(home)))
    }
}

// The prefix of the interpreter in a folder: that folder on Windows, else the one above.
fn prefix_of(folder: PathBuf) -> PathBuf {
    match folder.parent() {
        Some(above) if !folder.join(WINDOWS).is_dir() => above.to_owned(),
        _ => folder,
    }
}

fn sites(prefix: &Path, minor: Option<&str>) -> Vec<PathBuf> {
    let python = format!("python{}", minor.unwrap_or_default());
    let at = |place: &str| prefix.join(place.replace("{}", &python));
    let real = |place: &str| fs::canonicalize(at(place)).ok();
    let places = if at("lib/python3/dist-packages").is_dir() {
        DEBIAN
    } else if real("lib64/{}").is_some_and(|compiled| real("lib/{}") != Some(compiled)) {
        FEDORA
    } else {
        PLAIN
    };
    places.iter().map(|place| at(place)).chain([prefix.join(WINDOWS)]).collect()
}

// The packages that the user installed for themselves.
fn user_site(search: &Search<'_>, prefix: &Path, minor: Option<&str>) -> Option<PathBuf> {
    let minor = minor.filter(|_| (search.variable)("PYTHONNOUSERSITE").unwrap_or_default().is_empty())?;
    let base = search.place_in("PYTHONUSERBASE");
    if prefix.join(WINDOWS).is_dir() {
        let base = base.or_else(|| Some(search.place_in("APPDATA")?.join("Python")))?;
        return Some(base.join(format!("Python{}/site-packages", minor.replace('.', ""))));
    }
    let base = base.or_else(|| Some(search.place_in("HOME")?.join(".local")))?;
    Some(base.join(format!("lib/python{minor}/site-packages")))
}

// The Pythons that there are folders for: `3.12`, `3.13t`.
fn minors(prefix: &Path) -> Vec<String> {
    let names = ["lib", "lib64"].into_iter().flat_map(|folder| entries(&prefix.join(folder)));
    let minors: BTreeSet<String> = names.filter_map(|name| minor(&name).map(str::to_owned)).collect();
    minors.into_iter().collect()
}

// `python3.12` → `3.12`.
fn minor(name: &str) -> Option<&str> {
    let minor = name.strip_prefix("python")?;
    let digits = without_suffix(minor.strip_prefix("3.")?);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(minor)
}

// `3.13t` → `3.13`.
fn without_suffix(minor: &str) -> &str {
    minor.strip_suffix('t').unwrap_or(minor)
}

// `3.12.3` → `3.12`.
fn minor_of(version: &str) -> Option<String> {
    let mut parts = version.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

// `python312.dll` → `3.12`, when all files with these extensions agree.
fn windows_minor(folder: &Path, extensions: &[&str]) -> Option<String> {
    let minors = entries(folder).into_iter().filter_map(|name| {
        let (stem, extension) = name.split_once('.')?;
        let digits = stem.strip_prefix("python3").filter(|digits| !digits.is_empty())?;
        let is_minor = extensions.contains(&extension) && digits.bytes().all(|b| b.is_ascii_digit());
        is_minor.then(|| format!("3.{digits}"))
    });
    let minors: BTreeSet<String> = minors.collect();
    if minors.len() == 1 { minors.into_iter().next() } else { None }
}

// The names in a folder that are UTF-8; none when it cannot be read.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
