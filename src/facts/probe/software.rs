//! The Python that a stack runs in, and the versions of what is installed in it: `software.*`.
//!
//! [`environment`] finds the Python and the folders that it imports from, [`packages`] lists what is installed there.
//! Everything is read from metadata; nothing is executed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, io};

use serde_json::Value;

pub mod environment;
pub mod packages;
mod text;
pub mod torch;

use crate::diag::Finding;
use crate::facts::{Facts, Origin};
use environment::Environment;
use packages::{Listing, Missing, Package};
use torch::Build;

/// The facts that are versions of packages, and the names that each package goes by: its distributions, then conda's.
///
/// A later row of a fact counts when the rows before it find nothing: FlashAttention 3 is a package beside the one of
/// version 2, and what imports `flash_attn` gets the latter.
const PACKAGES: &[(&str, &[&str])] = &[
    ("software.torch", TORCH),
    ("software.cudnn", &["nvidia-cudnn-cu13", "nvidia-cudnn-cu12", "nvidia-cudnn-cu11", "cudnn", "libcudnn"]),
    ("software.diffusers", &["diffusers"]),
    ("software.transformers", &["transformers"]),
    ("software.accelerate", &["accelerate"]),
    ("software.xformers", &["xformers"]),
    ("software.flash_attn", &["flash-attn"]),
    ("software.flash_attn", &["flash-attn-3"]),
    ("software.sageattention", &["sageattention"]),
    ("software.triton", &["triton", "triton-windows", "pytorch-triton"]),
    ("software.bitsandbytes", &["bitsandbytes"]),
    ("software.torchao", &["torchao"]),
    ("software.ftfy", &["ftfy"]),
];

/// The names of PyTorch.
const TORCH: &[&str] = &["torch", "pytorch"];

/// Where to look for the Python of a stack.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The folder of the stack, as the user gave it.
    pub installation: Option<&'a Path>,
    /// The Python that the user asked for: an interpreter, a link to one, or the folder of an environment.
    pub python: Option<&'a Path>,
    /// The folder that stands for `/`, for every other absolute path.
    pub root: &'a Path,
    /// The variables of the process's environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Search<'_> {
    /// A place of this machine that a variable or a file names.
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The place that a variable names.
    fn place_in(&self, variable: &str) -> Option<PathBuf> {
        let path = PathBuf::from((self.variable)(variable)?);
        path.is_absolute().then(|| self.place(&path))
    }

    /// The places that a variable lists. Those that depend on where a program is started are left out.
    fn places_in(&self, variable: &str) -> Vec<PathBuf> {
        let list = (self.variable)(variable).unwrap_or_default();
        env::split_paths(&list).filter(|path| path.is_absolute()).map(|path| self.place(&path)).collect()
    }
}

/// `software.*` of the Python that the stack in a folder runs in on this machine.
///
/// `python` is the one that the user asked for, if any; see [`Search`].
pub fn live(installation: Option<&Path>, python: Option<&Path>) -> Facts {
    probe(&Search { installation, python, root: Path::new("/"), variable: &|name| env::var_os(name) })
}

/// Every package of that Python, `NAME VERSION` each, by name.
///
/// # Errors
/// Why they are not known.
pub fn installed(installation: Option<&Path>, python: Option<&Path>) -> Result<Vec<String>, String> {
    let search = Search { installation, python, root: Path::new("/"), variable: &|name| env::var_os(name) };
    let mut all = Vec::new();
    for listing in packages::list(&Environment::find(&search)?, |_| true) {
        let version = |package: &Package| package.version.clone().unwrap_or_else(|| "of unknown version".to_owned());
        all.extend(listing?.iter().map(|package| format!("{} {}", package.name, version(package))));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// `software.*` of the Python that a search finds.
///
/// Two versions of one package in one folder are a `fact-contradiction`, and the fact is unknown. No text names a place by
/// an absolute path, as facts are saved and shared.
pub fn probe(search: &Search<'_>) -> Facts {
    let mut facts = Facts::new("no probe reports it");
    facts.know_or("software.comfyui", comfyui(search.installation), Origin::Installed);
    let environment = match Environment::find(search) {
        Ok(environment) => environment,
        Err(reason) => {
            facts.unknown("software", reason);
            return facts;
        }
    };
    facts.know("software.environment", environment.kind.to_string(), Origin::Installed);
    facts.know_or("software.python", environment.python.clone(), Origin::Installed);

    let wanted = |name: &str| PACKAGES.iter().any(|(_, names)| names.contains(&name));
    let listings = packages::list(&environment, wanted);
    for (fact, names) in PACKAGES {
        if facts.value(fact).is_some() {
            continue;
        }
        let found = packages::find(&listings, names);
        if let Err(Missing::Several(several)) = &found {
            facts.findings.push(contradiction(several, &environment));
        }
        facts.know_or(*fact, version(found, "it", &environment), Origin::Installed);
    }
    let file = torch_file(&environment);
    facts.know_or("software.torch_cuda", torch_cuda(&environment, &listings, file.as_ref()), Origin::Installed);
    compare_torch(&mut facts, file.as_ref().and_then(|file| file.as_deref().ok()));
    facts
}

// What PyTorch says of itself: `None` where it has no such file.
fn torch_file(environment: &Environment) -> Option<io::Result<String>> {
    let mut files = environment.sites.iter().map(|site| text::read(&site.join("torch/version.py")));
    files.find(|file| !file.as_ref().is_err_and(text::is_absence))
}

// The version by the package's metadata and by PyTorch's own file. Where they differ, one was installed over the other.
fn compare_torch(facts: &mut Facts, file: Option<&str>) {
    let own = file.and_then(|text| text::unquoted(text::assigned(text, "__version__")?));
    let listed = facts.value("software.torch").and_then(Value::as_str);
    let (Some(own), Some(listed)) = (own, listed) else { return };
    // conda leaves out what stands behind `+`.
    let same = match (own.split_once('+'), listed.split_once('+')) {
        (Some(_), Some(_)) | (None, None) => own == listed,
        (Some((own, _)), None) => own == listed,
        (None, Some((listed, _))) => own == listed,
    };
    if same {
        return;
    }
    let message = format!("PyTorch is {listed} by its package and {own} by its own `version.py`");
    let help = "install it again; until then the version is unknown";
    facts.findings.push(Finding::warning("fact-contradiction", message).help(help));
    for fact in ["software.torch", "software.torch_cuda"] {
        facts.unknown(fact, "its package and its own file name different versions");
    }
}

// The version, or why there is none; `what` is the package's name in the sentence.
fn version(found: Result<&Package, Missing<'_>>, what: &str, environment: &Environment) -> Result<String, String> {
    let shown = &environment.shown;
    match found {
        Ok(package) => package.version.clone().ok_or_else(|| format!("its metadata in {shown} names no version")),
        Err(Missing::NotInstalled) => Err(format!("{what} is not among the packages of {shown}")),
        Err(Missing::Several(several)) => Err(format!("{shown} holds {}", all(&several))),
        Err(Missing::Unreadable(error)) => Err(format!("the packages of {shown} cannot be listed: {error}")),
    }
}

fn contradiction(packages: &[&Package], environment: &Environment) -> Finding {
    let message = format!("{} holds {} in one folder", environment.shown, all(packages));
    let help = "uninstall all of them and install the right one again; until then the version is unknown";
    Finding::warning("fact-contradiction", message).help(help)
}

fn all(packages: &[&Package]) -> String {
    let shown = |package: &&Package| match &package.version {
        Some(version) => format!("{} {version}", package.name),
        None => format!("{} without a version", package.name),
    };
    packages.iter().map(shown).collect::<Vec<_>>().join(", ")
}

// The toolkit of the PyTorch that is imported; where its files do not say, that of its package.
fn torch_cuda(
    environment: &Environment,
    listings: &[Listing],
    file: Option<&io::Result<String>>,
) -> Result<String, String> {
    let package = packages::find(listings, TORCH);
    let build = file.and_then(|file| Build::in_version_file(file.as_ref().ok()?));
    match (build.or_else(|| Build::of_package(package.as_ref().ok()?)), file) {
        (Some(Build::Cuda(toolkit)), _) => Ok(toolkit),
        (Some(Build::Other(what)), _) => Err(format!("this PyTorch is built for {what}")),
        (None, Some(Err(error))) => Err(format!("PyTorch's `version.py` cannot be read: {error}")),
        (None, _) => {
            version(package, "PyTorch", environment).and(Err("PyTorch does not say what it is built for".to_owned()))
        }
    }
}

// ComfyUI's own version, from the file that its releases write or its project file.
fn comfyui(installation: Option<&Path>) -> Result<String, String> {
    let installation = installation.ok_or("no installation is named")?;
    let folders = [installation.to_owned(), installation.join("ComfyUI")];
    let written = folders.iter().find_map(|folder| {
        let read = |name| text::read(&folder.join(name)).ok();
        let own = || release_version(&read("comfyui_version.py")?);
        own().or_else(|| project_version(&read("pyproject.toml")?))
    });
    written.ok_or_else(|| "the installation holds no ComfyUI that names its version".to_owned())
}

fn release_version(text: &str) -> Option<String> {
    text::unquoted(text::assigned(text, "__version__")?).and_then(text::version).map(str::to_owned)
}

// The version in ComfyUI's `pyproject.toml`; `None` in that of another project. Its `[project]` comes first and has one
// key a line, so no TOML parser is needed.
fn project_version(text: &str) -> Option<String> {
    let project = text.split_once("[project]")?.1;
    let project = project.split("\n[").next()?;
    let value = |name| text::unquoted(text::assigned(project, name)?);
    let is_comfyui = value("name")?.eq_ignore_ascii_case("comfyui");
    value("version").filter(|_| is_comfyui).and_then(text::version).map(str::to_owned)
}

#[cfg(test)]
mod tests;
