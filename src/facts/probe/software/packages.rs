//! The packages of an environment, by the metadata that installers leave.

use std::fs;
use std::io;
use std::path::Path;

use super::environment::Environment;
use super::text;

/// Suffixes of metadata in a folder of packages, and the file in it that names the version.
const FORMATS: [(&str, &str); 3] =
    [(".dist-info", "METADATA"), (".egg-info", "PKG-INFO"), (".egg", "EGG-INFO/PKG-INFO")];

/// An installed package.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Its name in the form that Python's package index compares: `flash-attn`.
    pub name: String,
    /// `None` when its metadata names none.
    pub version: Option<String>,
    /// conda's build string.
    pub build: Option<String>,
}

/// Why a package cannot be named.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing<'a> {
    /// It is installed nowhere.
    NotInstalled,
    /// Different versions are installed in one folder.
    Several(Vec<&'a Package>),
    /// A folder that comes before cannot be read, and why.
    Unreadable(&'a str),
}

/// The packages of one folder, or why it cannot be read.
pub type Listing = Result<Vec<Package>, String>;

/// The wanted packages of the folders that an environment imports from, in that order, then those that conda lists.
pub fn list(environment: &Environment, wanted: impl Fn(&str) -> bool) -> Vec<Listing> {
    let sites = environment.sites.iter().map(|site| in_site(site, &wanted));
    let listings = sites.chain(environment.conda.iter().map(|prefix| in_conda(prefix)));
    listings.map(|listing| listing.map_err(|error| error.to_string())).collect()
}

/// The package that is found first under one of these names, which are names of one thing.
///
/// # Errors
/// Why there is none.
pub fn find<'a>(listings: &'a [Listing], names: &[&str]) -> Result<&'a Package, Missing<'a>> {
    for listing in listings {
        let packages = listing.as_ref().map_err(|reason| Missing::Unreadable(reason))?;
        let mut found: Vec<&Package> = packages.iter().filter(|package| names.contains(&&*package.name)).collect();
        found.dedup_by(|a, b| a.version == b.version);
        match found[..] {
            [] => {}
            [package] => return Ok(package),
            _ => return Err(Missing::Several(found)),
        }
    }
    Err(Missing::NotInstalled)
}

/// The packages that conda lists for an environment; none when it is not conda's.
///
/// # Errors
/// The list cannot be read.
pub fn in_conda(prefix: &Path) -> io::Result<Vec<Package>> {
    // A record may have megabytes, for the files of the package. Its name has all that is wanted: conda refuses an
    // environment where the two differ.
    let packages = names(&prefix.join("conda-meta"))?.into_iter().filter_map(|name| {
        let mut parts = name.strip_suffix(".json")?.rsplitn(3, '-');
        let (build, version, name) = (parts.next()?, parts.next()?, parts.next()?);
        let version = text::version(version).map(str::to_owned);
        Some(Package { name: normalised(name), version, build: Some(build.to_owned()) })
    });
    Ok(packages.collect())
}

// The wanted packages of a `site-packages` folder, by name and version.
fn in_site(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<Package>> {
    // Of eggs, only those that this file lists are imported.
    let eggs = text::read(&folder.join("easy-install.pth")).unwrap_or_default();
    let mut packages: Vec<Package> = names(folder)?
        .iter()
        .map(String::as_str)
        .filter_map(|entry| {
            let (stem, file) = FORMATS.iter().find_map(|(suffix, file)| Some((entry.strip_suffix(suffix)?, *file)))?;
            // Name and version hold no hyphens of their own. What follows, if anything, is Python's version.
            let mut parts = stem.split('-');
            let name = normalised(parts.next()?);
            let is_listed = || eggs.lines().any(|line| line.trim_end().ends_with(entry));
            if !wanted(&name) || entry.ends_with(".egg") && !is_listed() {
                return None;
            }
            let path = folder.join(entry);
            // Metadata from before wheels may be a file.
            let metadata = text::read(&path.join(file)).or_else(|_| text::read(&path)).unwrap_or_default();
            let version = header(&metadata, "Version").and_then(text::version);
            let version = version.or_else(|| parts.next().and_then(text::version)).map(str::to_owned);
            Some(Package { name, version, build: None })
        })
        .collect();
    packages.sort_by(|a, b| (&a.version, &a.name).cmp(&(&b.version, &b.name)));
    Ok(packages)
}

// The names in a folder, sorted; none when there is no such folder. A name that is not UTF-8 is none of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if text::is_absence(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

// Lower case, with one hyphen for every run of hyphens, underscores and dots (PEP 503).
fn normalised(name: &str) -> String {
    let mut name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name
}

// The value of a header; the headers end at the first empty line.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = text.lines().take_while(|line| !line.trim().is_empty());
    headers.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
