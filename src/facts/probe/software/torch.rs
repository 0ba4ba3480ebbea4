//! What PyTorch was built for, and with which CUDA toolkit.

use super::packages::Package;
use super::text::{assigned, unquoted, version};

/// What a PyTorch was built for.
#[derive(Clone, Debug, PartialEq)]
pub enum Build {
    /// CUDA, with the toolkit of this version: `12.8`.
    Cuda(String),
    /// Something else: `the CPU`.
    Other(&'static str),
}

const CPU: Build = Build::Other("the CPU");
const ROCM: Build = Build::Other("ROCm");
const XPU: Build = Build::Other("Intel GPUs");

impl Build {
    /// As `torch/version.py` says; `None` when it does not say it as PyTorch writes it.
    pub fn in_version_file(text: &str) -> Option<Self> {
        let is_set = |name| assigned(text, name).and_then(unquoted).is_some();
        match assigned(text, "cuda")? {
            "None" if is_set("hip") => Some(ROCM),
            "None" if is_set("xpu") => Some(XPU),
            "None" => Some(CPU),
            literal => Some(Self::Cuda(version(unquoted(literal)?)?.to_owned())),
        }
    }

    /// As the version or conda's build string says.
    pub fn of_package(package: &Package) -> Option<Self> {
        let version = package.version.as_deref().and_then(Self::in_local_version);
        version.or_else(|| Self::in_conda_build(package.build.as_deref()?))
    }

    // As the local part of the version says: `2.9.1+cu128`.
    fn in_local_version(version: &str) -> Option<Self> {
        let local = version.split_once('+')?.1.split('.').next()?;
        match local {
            "cpu" => Some(CPU),
            "xpu" => Some(XPU),
            _ if local.starts_with("rocm") => Some(ROCM),
            _ => toolkit(local.strip_prefix("cu")?),
        }
    }

    // As conda's build string says: `py3.11_cuda12.1_cudnn8.9.2_0`, `cuda126_mkl_py312_h1_300`.
    fn in_conda_build(build: &str) -> Option<Self> {
        let mut parts = build.split('_');
        parts.find_map(|part| if part == "cpu" { Some(CPU) } else { toolkit(part.strip_prefix("cuda")?) })
    }
}

// `128` and `12.8` are the toolkit 12.8. Two digits might be a major version alone.
fn toolkit(text: &str) -> Option<Build> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (major, minor) = match text.split_once('.') {
        Some(parts) => parts,
        None if text.len() >= 3 => text.split_at_checked(text.len() - 1)?,
        None => return None,
    };
    (digits(major) && digits(minor)).then(|| Build::Cuda(format!("{major}.{minor}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(build: Option<Build>) -> String {
        match build {
            Some(Build::Cuda(toolkit)) => format!("CUDA {toolkit}"),
            Some(Build::Other(what)) => what.to_owned(),
            None => "?".to_owned(),
        }
    }

    #[test]
    fn the_version_file_is_read_strictly() {
        let modern = |cuda: &str, hip: &str, xpu: &str| {
            format!(
                "from typing import Optional\n\n__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']\n\
                 __version__ = '2.9.1'\ndebug = False\ncuda: Optional[str] = {cuda}\ngit_version = '5811a8d7'\n\
                 hip: Optional[str] = {hip}\nxpu: Optional[str] = {xpu}\n"
            )
        };
        for (text, want) in [
            (modern("'12.8'", "None", "None"), "CUDA 12.8"),
            (modern("None", "None", "None"), "the CPU"),
            (modern("None", "'6.2.41133-dd7f95766'", "None"), "ROCm"),
            (modern("None", "None", "'20250101'"), "Intel GPUs"),
            ("__version__ = '1.13.1'\ncuda = '11.7'\n".to_owned(), "CUDA 11.7"),
            ("__version__ = '1.13.1'\r\ncuda = '11.7'\r\n".to_owned(), "CUDA 11.7"),
            (modern("get_cuda()", "None", "None"), "?"),
            (modern("'twelve'", "None", "None"), "?"),
            ("__version__ = '2.9.1'\n".to_owned(), "?"),
        ] {
            assert_eq!(shown(Build::in_version_file(&text)), want, "{text}");
        }
    }

    #[test]
    fn versions_and_build_strings_name_the_toolkit() {
        for (version, want) in [
            ("2.9.1+cu128", "CUDA 12.8"),
            ("2.9.1+cu130", "CUDA 13.0"),
            ("2.1.2+cu118.with.pypi.cudnn", "CUDA 11.8"),
            ("2.9.1+cpu", "the CPU"),
            ("2.9.1+rocm6.4", "ROCm"),
            ("2.9.1+xpu", "Intel GPUs"),
            ("2.9.1", "?"),
            ("2.10.0a0+gite67e3d9", "?"),
            ("1.4.0+cu92", "?"),
            ("2.9.1+cu", "?"),
        ] {
            assert_eq!(shown(Build::in_local_version(version)), want, "{version}");
        }
        for (build, want) in [
            ("py3.11_cuda12.1_cudnn8.9.2_0", "CUDA 12.1"),
            ("cuda126_mkl_py312_h30b5a27_300", "CUDA 12.6"),
            ("py3.11_cpu_0", "the CPU"),
            ("cpu_mkl_py312_h446997d_100", "the CPU"),
            ("py312h446997d_0", "?"),
        ] {
            assert_eq!(shown(Build::in_conda_build(build)), want, "{build}");
        }
    }
}
