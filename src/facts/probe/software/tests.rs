//! Environments as they lie on real machines, and what is odd about some.

use std::fs;

use super::super::testing;
use super::*;
use crate::facts::vocabulary;

const CFG: &str = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.12.3\n";
const SHARING: &str = "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.12.3\n";
const VENV: &str = "wan/venv/lib/python3.12/site-packages";

/// A machine with a stack in `/wan`, and what its variables say.
struct Machine(testing::Machine, Vec<(&'static str, String)>);

impl Machine {
    fn with(files: &[(&str, &str)]) -> Self {
        let machine = Self(testing::root(files), Vec::new());
        fs::create_dir_all(machine.0.path().join("wan")).unwrap();
        machine
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Installs a package in a folder, as a wheel does.
    fn wheel(self, site: &str, name: &str, version: &str) -> Self {
        let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 0 was worse\n");
        self.file(&format!("{site}/{name}-{version}.dist-info/METADATA"), &text)
    }

    #[cfg(unix)]
    fn link(self, target: &str, at: &str) -> Self {
        let at = self.0.path().join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let target = target.strip_prefix('/').map_or(target.into(), |target| self.0.path().join(target));
        std::os::unix::fs::symlink(target, at).unwrap();
        self
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.1.push((name, value.to_owned()));
        self
    }

    /// The facts with the Python that is found for the stack.
    fn facts(&self) -> Facts {
        self.facts_of(Some("wan"), None)
    }

    fn facts_of(&self, installation: Option<&str>, python: Option<&str>) -> Facts {
        let at = |path: Option<&str>| path.map(|path| self.0.path().join(path));
        let (installation, python) = (at(installation), at(python));
        let variable =
            |name: &str| self.1.iter().rfind(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let facts = probe(&Search {
            installation: installation.as_deref(),
            python: python.as_deref(),
            root: self.0.path(),
            variable: &variable,
        });
        for (name, fact) in facts.iter() {
            let known = name == "software" || vocabulary::find(name).is_some();
            assert!(known, "{name}");
            assert!(!format!("{fact:?}").contains(self.0.path().to_str().unwrap()), "{fact:?}");
        }
        facts
    }
}

fn said(facts: &Facts, name: &str) -> String {
    facts.value(name).map_or_else(|| facts.reason(name).to_owned(), |value| value.as_str().unwrap().to_owned())
}

/// Environment, Python and PyTorch.
fn summary(facts: &Facts) -> String {
    ["environment", "python", "torch"].map(|name| said(facts, &format!("software.{name}"))).join(", ")
}

#[test]
fn every_layout_is_found() {
    let machine = || Machine::with(&[]);
    let windows = "wan/venv/Lib/site-packages";
    let portable = |folder: &str| {
        let machine = machine().file(&format!("{folder}/python313._pth"), "python313.zip\n.\nimport site\n");
        machine.file(&format!("{folder}/python313.dll"), "").file(&format!("{folder}/python3.dll"), "").wheel(
            &format!("{folder}/Lib/site-packages"),
            "torch",
            "2.9.1+cu130",
        )
    };
    for (layout, machine, want) in [
        (
            "python -m venv",
            machine().file("wan/venv/pyvenv.cfg", CFG).wheel(VENV, "torch", "2.9.1+cu128"),
            "venv, 3.12.3, 2.9.1+cu128",
        ),
        (
            "uv",
            machine()
                .file(
                    "wan/.venv/pyvenv.cfg",
                    "home = /x\nimplementation = CPython\nuv = 0.9.1\nversion_info = 3.13.2\n",
                )
                .wheel("wan/.venv/lib/python3.13/site-packages", "torch", "2.9.1"),
            "venv, 3.13.2, 2.9.1",
        ),
        (
            "virtualenv",
            machine()
                .file("wan/env/pyvenv.cfg", "version_info = 3.11.7.final.0\ninclude-system-site-packages = false\n")
                .wheel("wan/env/lib/python3.11/site-packages", "torch", "2.9.1"),
            "venv, 3.11.7, 2.9.1",
        ),
        (
            "PEP 838",
            machine().file("wan/env/pyvenv.cfg", "python-version = 3.16\n").wheel(
                "wan/env/lib/python3.16t/site-packages",
                "torch",
                "2.9.1",
            ),
            "venv, 3.16, 2.9.1",
        ),
        (
            "a venv on Windows",
            machine().file("wan/venv/pyvenv.cfg", "\u{feff}Version = 3.10.11\r\n").wheel(windows, "torch", "2.9.1"),
            "venv, 3.10.11, 2.9.1",
        ),
        (
            "a venv with an unusual name",
            machine().file("wan/env_uv/pyvenv.cfg", CFG).wheel(
                "wan/env_uv/lib/python3.12/site-packages",
                "torch",
                "2.9.1",
            ),
            "venv, 3.12.3, 2.9.1",
        ),
        (
            "a venv that is the installation",
            machine().file("wan/pyvenv.cfg", CFG).wheel("wan/lib/python3.12/site-packages", "torch", "2.9.1"),
            "venv, 3.12.3, 2.9.1",
        ),
        ("ComfyUI portable", portable("wan/python_embeded"), "embedded, 3.13, 2.9.1+cu130"),
        ("ComfyUI in the portable build", portable("python_embedded"), "embedded, 3.13, 2.9.1+cu130"),
        (
            "conda",
            machine()
                .file("wan/env/conda-meta/python-3.12.7-hc5c86c4_0_cpython.json", "{}")
                .file("wan/env/conda-meta/pytorch-2.5.1-cuda126_mkl_py312_h1_300.json", "{}")
                .file("wan/env/conda-meta/cudnn-9.10.1.4-h7646684_0.json", "{}"),
            "conda, 3.12.7, 2.5.1",
        ),
        (
            "pip in conda",
            machine()
                .file("wan/env/conda-meta/python-3.12.7-hc5c86c4_0_cpython.json", "{}")
                .file("wan/env/conda-meta/pytorch-2.5.1-cuda126_mkl_py312_h1_300.json", "{}")
                .wheel("wan/env/lib/python3.12/site-packages", "torch", "2.9.1"),
            "conda, 3.12.7, 2.9.1",
        ),
        (
            "pixi",
            machine()
                .file("wan/.pixi/envs/default/conda-meta/python-3.12.7-hc5c86c4_0_cpython.json", "{}")
                .file("wan/.pixi/envs/docs/conda-meta/history", "")
                .wheel("wan/.pixi/envs/default/lib/python3.12/site-packages", "torch", "2.9.1"),
            "conda, 3.12.7, 2.9.1",
        ),
        (
            "an active venv",
            machine()
                .file("home/me/venv/pyvenv.cfg", CFG)
                .wheel("home/me/venv/lib/python3.12/site-packages", "torch", "2.9.1")
                .variable("VIRTUAL_ENV", "/home/me/venv"),
            "venv, 3.12.3, 2.9.1",
        ),
        (
            "an active conda environment beside a venv that is gone",
            machine()
                .file("opt/conda/conda-meta/python-3.11.9-h1_0.json", "")
                .wheel("opt/conda/lib/python3.11/site-packages", "torch", "2.9.1")
                .variable("VIRTUAL_ENV", "/home/me/gone")
                .variable("CONDA_PREFIX", "/opt/conda"),
            "conda, 3.11.9, 2.9.1",
        ),
        (
            "a Python of its own on Windows",
            machine()
                .file("Python312/python.exe", "")
                .file("Python312/python312.dll", "")
                .wheel("Python312/Lib/site-packages", "torch", "2.9.1")
                .variable("PATH", "/Python312"),
            "system, 3.12, 2.9.1",
        ),
    ] {
        let facts = machine.facts();
        assert_eq!(summary(&facts), want, "{layout}");
        assert_eq!(facts.findings, [], "{layout}");
    }
}

#[cfg(unix)]
#[test]
fn the_python_on_the_path_is_the_last_resort() {
    let path = "/usr/local/bin:/usr/bin";
    let system = |python: &str| {
        Machine::with(&[]).variable("PATH", path).file(&format!("usr/bin/{python}"), "").link(python, "usr/bin/python3")
    };
    let debian = || {
        let machine = system("python3.11").file("usr/lib/python3.11/os.py", "").file("usr/lib/python3.12/os.py", "");
        machine.wheel("usr/lib/python3/dist-packages", "torch", "1.13.1").variable("HOME", "/home/me")
    };
    let user = "home/me/.local/lib/python3.11/site-packages";
    for (layout, machine, want) in [
        ("Debian", debian(), "system, 3.11, 1.13.1"),
        (
            "Debian, by the administrator",
            debian().wheel("usr/local/lib/python3.11/dist-packages", "torch", "2.8.0"),
            "system, 3.11, 2.8.0",
        ),
        (
            "Debian, for the other Python",
            debian().wheel("usr/local/lib/python3.12/dist-packages", "torch", "2.8.0"),
            "system, 3.11, 1.13.1",
        ),
        ("Debian, by the user", debian().wheel(user, "torch", "2.9.1"), "system, 3.11, 2.9.1"),
        (
            "Debian, by the user, who is left out",
            debian().wheel(user, "torch", "2.9.1").variable("PYTHONNOUSERSITE", "1"),
            "system, 3.11, 1.13.1",
        ),
        (
            "Debian, by the user, elsewhere",
            debian().variable("PYTHONUSERBASE", "/data/py").wheel(
                "data/py/lib/python3.11/site-packages",
                "torch",
                "2.7.0",
            ),
            "system, 3.11, 2.7.0",
        ),
        (
            "Debian, by the variable",
            debian()
                .wheel(user, "torch", "2.9.1")
                .wheel("ros/lib", "torch", "2.0.0")
                .variable("PYTHONPATH", "lib:/ros/lib"),
            "system, 3.11, 2.0.0",
        ),
        (
            "Fedora",
            system("python3.13")
                .file("usr/lib/python3.13/site-packages/README", "")
                .wheel("usr/lib64/python3.13/site-packages", "torch", "2.5.1")
                .wheel("usr/local/lib64/python3.13/site-packages", "torch", "2.9.1"),
            "system, 3.13, 2.9.1",
        ),
        (
            "Arch",
            system("python3.13")
                .link("lib", "usr/lib64")
                .wheel("usr/lib/python3.13/site-packages", "torch", "2.9.1")
                .wheel("usr/local/lib/python3.13/site-packages", "torch", "1.0"),
            "system, 3.13, 2.9.1",
        ),
        (
            "a container of Python's",
            debian().file("usr/local/bin/python3.13", "").link("python3.13", "usr/local/bin/python3").wheel(
                "usr/local/lib/python3.13/site-packages",
                "torch",
                "2.9.1",
            ),
            "system, 3.13, 2.9.1",
        ),
        (
            "a conda that is on the path",
            system("python3.13")
                .variable("PATH", "/opt/conda/bin:/usr/bin")
                .file("opt/conda/bin/python3.12", "")
                .link("python3.12", "opt/conda/bin/python")
                .file("opt/conda/conda-meta/python-3.12.7-h1_0.json", "")
                .wheel("opt/conda/lib/python3.12/site-packages", "torch", "2.9.1"),
            "conda, 3.12.7, 2.9.1",
        ),
    ] {
        assert_eq!(summary(&machine.facts()), want, "{layout}");
    }
}

#[cfg(unix)]
#[test]
fn a_venv_may_share_what_its_base_imports() {
    let machine = |settings: &str| {
        let machine = Machine::with(&[]).file("wan/venv/pyvenv.cfg", settings).variable("HOME", "/home/me");
        machine
            .wheel(VENV, "diffusers", "0.36.0")
            .wheel("home/me/.local/lib/python3.12/site-packages", "transformers", "4.57.1")
            .wheel("usr/lib/python3/dist-packages", "transformers", "4.20.0")
            .wheel("usr/lib/python3/dist-packages", "diffusers", "0.20.0")
            .wheel("usr/local/lib/python3.12/dist-packages", "torch", "2.9.1")
    };
    let seen = |settings: &str| {
        let facts = machine(settings).facts();
        ["diffusers", "transformers", "torch"].map(|name| facts.value(&format!("software.{name}")).cloned())
    };
    let text = |text: &str| Some(text.into());
    let all = [text("0.36.0"), text("4.57.1"), text("2.9.1")];
    assert_eq!(seen(SHARING), all);
    assert_eq!(seen("home = /usr/bin\nversion = 3.12.3\n"), all, "CPython takes no word for a yes");
    assert_eq!(seen(CFG), [text("0.36.0"), None, None]);
    let abroad = SHARING.replace("/usr/bin", r"C:\Python312");
    assert_eq!(seen(&abroad), [text("0.36.0"), None, None], "a base that is not of this system");
    let conda = machine(&SHARING.replace("/usr/bin", "/opt/conda/bin"))
        .file("opt/conda/conda-meta/accelerate-1.9.0-pyhd8ed1ab_0.conda.json", "")
        .file("opt/conda/conda-meta/xformers-0.0.33-cuda128_0.json", "");
    assert_eq!(conda.facts().value("software.xformers"), text("0.0.33").as_ref());
}

#[cfg(unix)]
#[test]
fn the_python_that_is_asked_for_comes_first() {
    let machine = Machine::with(&[])
        .file("wan/venv/pyvenv.cfg", CFG)
        .wheel(VENV, "torch", "2.9.1")
        .file("usr/bin/python3.12", "")
        .link("python3.12", "usr/bin/python3")
        .link("/usr/bin/python3", "wan/venv/bin/python")
        .link("python", "wan/venv/bin/python3.12")
        .link("/wan/venv/bin/python3.12", "home/me/bin/wan-python")
        .link("/wan/venv", "home/me/env")
        .link("b", "circle/a")
        .link("a", "circle/b")
        .link("/gone", "circle/c")
        .wheel("usr/lib/python3/dist-packages", "torch", "1.13.1")
        .file("usr/lib/python3.12/os.py", "")
        .file("opt/py/lib/python3.10/os.py", "")
        .file("opt/py/bin/python3.10", "")
        .link("python3.10", "opt/py/bin/python3")
        .file("scripts/python3", "#!/bin/sh\n")
        .file("conda/conda-meta/python-3.12.7-h1_0.json", "")
        .variable("VIRTUAL_ENV", "/conda");
    let nothing = "there is nothing where `--python` points";
    let launcher = "what `--python` names is no Python, or a launcher for another one";
    for (python, want) in [
        ("wan/venv", "venv, 3.12.3, 2.9.1"),
        ("home/me/env", "venv, 3.12.3, 2.9.1"),
        ("wan/venv/bin/python", "venv, 3.12.3, 2.9.1"),
        ("wan/venv/bin/python3.12", "venv, 3.12.3, 2.9.1"),
        ("home/me/bin/wan-python", "venv, 3.12.3, 2.9.1"),
        ("usr/bin/python3", "system, 3.12, 1.13.1"),
        ("usr", "system, 3.12, 1.13.1"),
        ("opt/py", "system, 3.10, it is not among the packages of the Python given with `--python`"),
        ("conda", "conda, 3.12.7, it is not among the packages of the conda environment given with `--python`"),
        ("circle/a", nothing),
        ("circle/c", nothing),
        ("scripts/python3", launcher),
        ("wan", launcher),
        ("nowhere/python3", nothing),
    ] {
        let facts = machine.facts_of(Some("wan"), Some(python));
        let family = || facts.reason("software").to_owned();
        let said = if facts.value("software.environment").is_some() { summary(&facts) } else { family() };
        assert_eq!(said, want, "{python}");
    }
}

#[test]
fn of_several_environments_none_is_guessed() {
    let two = |names: [&str; 2]| {
        names.iter().fold(Machine::with(&[]), |machine, name| {
            let site = format!("wan/{name}/lib/python3.12/site-packages");
            machine.file(&format!("wan/{name}/pyvenv.cfg"), CFG).wheel(&site, name.trim_start_matches('.'), "1.0")
        })
    };
    let machine = two(["torch", "wan22"]);
    let reason = "the installation holds more than one venv (`torch`, `wan22`): name one with `--python`";
    assert_eq!(machine.facts().reason("software.torch"), reason);
    assert_eq!(said(&machine.facts_of(Some("wan"), Some("wan/torch")), "software.torch"), "1.0");
    assert_eq!(said(&machine.variable("VIRTUAL_ENV", "/wan/torch").facts(), "software.torch"), "1.0");
    let usual = two([".venv", "torch"]).facts();
    assert_eq!(said(&usual, "software.torch"), "it is not among the packages of the venv `.venv`");

    let minors = Machine::with(&[]).file("wan/venv/pyvenv.cfg", "home = /usr/bin\n");
    let minors = minors.wheel(VENV, "torch", "2.9.1");
    assert_eq!(summary(&minors.facts()), "venv, 3.12, 2.9.1");
    let minors = minors.wheel("wan/venv/lib/python3.9/site-packages", "torch", "1.0");
    let reason = "the venv `venv` is for more than one Python (3.12, 3.9): name one with `--python`";
    assert_eq!(said(&minors.facts(), "software.torch"), reason);
}

#[test]
fn without_a_python_the_reason_says_what_to_do() {
    let none = Machine::with(&[]).file("scripts/python3", "#!/bin/sh\n");
    assert_eq!(said(&none.facts(), "software.torch"), "no Python was found: name one with `--python`");
    let launcher = "the Python on the path is a launcher for another one: name that one with `--python`";
    assert_eq!(said(&none.variable("PATH", "/scripts").facts(), "software.torch_cuda"), launcher);
    let facts = Machine::with(&[]).facts_of(Some("gone"), None);
    assert!(facts.reason("software.python").starts_with("the installation cannot be read: "));
}

/// The fact in a venv with these files in its folder of packages.
fn in_venv(files: &[(&str, &str)], fact: &str) -> (String, Vec<String>) {
    let machine = Machine::with(&[]).file("wan/venv/pyvenv.cfg", CFG);
    let machine = files.iter().fold(machine, |machine, (path, text)| machine.file(&format!("{VENV}/{path}"), text));
    let facts = machine.facts();
    let messages = facts.findings.iter().map(|finding| {
        assert_eq!(finding.code.as_str(), "fact-contradiction");
        finding.message.clone()
    });
    (said(&facts, fact), messages.collect())
}

#[test]
fn metadata_has_many_forms() {
    let absent = "it is not among the packages of the venv `venv`";
    for (fact, files, want) in [
        (
            "torch",
            &[("torch-2.9.1+cu128.dist-info/METADATA", "Name: torch\nVersion: 2.9.1+cu128\n")][..],
            "2.9.1+cu128",
        ),
        ("torch", &[("torch-2.9.1.dist-info/METADATA", "\u{feff}name: torch\r\nversion:2.9.1\r\n\r\nx\r\n")], "2.9.1"),
        ("torch", &[("torch-2.9.1+cu128.dist-info/RECORD", "")], "2.9.1+cu128"),
        ("torch", &[("torch-2.9.1.dist-info/METADATA", "Name: torch\n\nVersion: 3\n")], "2.9.1"),
        ("torch", &[("torch-2.9.1.dist-info/METADATA", "Version: a secret\n")], "2.9.1"),
        ("torch", &[("torch-2.5.1-py3.12.egg-info/PKG-INFO", "Version: 2.5.1\n")], "2.5.1"),
        ("torch", &[("torch-2.5.1-py3.12.egg-info", "Version: 2.5.1\n")], "2.5.1"),
        ("torch", &[("torch-2.5.1-py3.12.egg-info", "")], "2.5.1"),
        ("torch", &[("torch.egg-info/PKG-INFO", "Version: 2.5.1\n")], "2.5.1"),
        ("torch", &[("torch.egg-info/PKG-INFO", "")], "its metadata in the venv `venv` names no version"),
        ("torch", &[("~orch-2.8.0.dist-info/METADATA", "Version: 2.8.0\n")], absent),
        ("torch", &[("torchvision-0.24.0.dist-info/METADATA", "Version: 0.24.0\n")], absent),
        ("torch", &[("torch/__init__.py", "")], absent),
        ("flash_attn", &[("Flash__Attn-2.8.3.dist-info/METADATA", "Version: 2.8.3\n")], "2.8.3"),
        ("flash_attn", &[("flash_attn_3-3.0.0b1.dist-info/METADATA", "Version: 3.0.0b1\n")], "3.0.0b1"),
        (
            "flash_attn",
            &[
                ("flash_attn-2.8.3.dist-info/METADATA", "Version: 2.8.3\n"),
                ("flash_attn_3-3.0.0b1.dist-info/METADATA", "Version: 3.0.0b1\n"),
            ],
            "2.8.3",
        ),
        ("triton", &[("triton_windows-3.5.0.post21.dist-info/METADATA", "Version: 3.5.0.post21\n")], "3.5.0.post21"),
        ("triton", &[("pytorch_triton-3.0.0.dist-info/METADATA", "Version: 3.0.0\n")], "3.0.0"),
        ("cudnn", &[("nvidia_cudnn_cu12-9.10.2.21.dist-info/METADATA", "Version: 9.10.2.21\n")], "9.10.2.21"),
        (
            "sageattention",
            &[
                ("sageattention-2.1.1-py3.12-linux-x86_64.egg/EGG-INFO/PKG-INFO", "Version: 2.1.1\n"),
                ("sageattention-2.2.0-py3.12-linux-x86_64.egg/EGG-INFO/PKG-INFO", "Version: 2.2.0\n"),
                ("easy-install.pth", "./sageattention-2.2.0-py3.12-linux-x86_64.egg\n"),
            ],
            "2.2.0",
        ),
        (
            "sageattention",
            &[
                ("sageattention-2.2.0.dist-info/METADATA", "Version: 2.2.0\n"),
                ("sageattention.egg-info/PKG-INFO", "Version: 2.2.0\n"),
            ],
            "2.2.0",
        ),
    ] {
        assert_eq!(in_venv(files, &format!("software.{fact}")), (want.to_owned(), vec![]), "{files:?}");
    }
}

#[test]
fn two_versions_in_one_folder_are_shown_and_none_is_taken() {
    let (torch, messages) = in_venv(
        &[
            ("torch-2.9.1+cu128.dist-info/METADATA", "Version: 2.9.1+cu128\n"),
            ("torch-2.8.0.dist-info/METADATA", "Version: 2.8.0\n"),
        ],
        "software.torch",
    );
    assert_eq!(torch, "the venv `venv` holds torch 2.8.0, torch 2.9.1+cu128");
    assert_eq!(messages, ["the venv `venv` holds torch 2.8.0, torch 2.9.1+cu128 in one folder"]);
    let (triton, messages) = in_venv(
        &[("triton-3.5.0.dist-info/METADATA", ""), ("triton_windows-3.4.0.dist-info/METADATA", "")],
        "software.triton",
    );
    assert_eq!(triton, "the venv `venv` holds triton-windows 3.4.0, triton 3.5.0");
    assert_eq!(messages.len(), 1);
}

#[test]
fn a_pytorch_installed_over_another_is_neither() {
    let package = ("torch-2.9.1+cu128.dist-info/METADATA", "Version: 2.9.1+cu128\n");
    let (torch, messages) =
        in_venv(&[package, ("torch/version.py", "__version__ = '2.8.0+cu128'\n")], "software.torch");
    assert_eq!(torch, "its package and its own file name different versions");
    assert_eq!(messages, ["PyTorch is 2.9.1+cu128 by its package and 2.8.0+cu128 by its own `version.py`"]);
    // conda's package does not say what it was built for.
    let package = ("torch-2.9.1.dist-info/METADATA", "Version: 2.9.1\n");
    let same = in_venv(&[package, ("torch/version.py", "__version__ = '2.9.1+cu128'\n")], "software.torch");
    assert_eq!(same, ("2.9.1".to_owned(), Vec::new()));
}

#[test]
fn the_cuda_of_pytorch_is_where_it_can_be_found() {
    let file =
        ("torch/version.py", "__version__ = '2.9.1+cu128'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n");
    let cpu = ("torch/version.py", "cuda: Optional[str] = None\nhip: Optional[str] = None\n");
    let tagged = ("torch-2.9.1+cu126.dist-info/METADATA", "Version: 2.9.1+cu126\n");
    let plain = ("torch-2.9.1.dist-info/METADATA", "Version: 2.9.1\n");
    for (files, want) in [
        (&[file, plain][..], "12.8"),
        (&[file, tagged], "its package and its own file name different versions"),
        (&[tagged], "12.6"),
        (&[("torch/version.py", "cuda = ask()\n"), tagged], "12.6"),
        (&[cpu, tagged], "this PyTorch is built for the CPU"),
        (&[plain], "PyTorch does not say what it is built for"),
        (&[], "PyTorch is not among the packages of the venv `venv`"),
    ] {
        assert_eq!(in_venv(files, "software.torch_cuda").0, want, "{files:?}");
    }
    let conda = Machine::with(&[]).file("wan/env/conda-meta/pytorch-2.5.1-py3.11_cuda12.1_cudnn8.9.2_0.json", "");
    assert_eq!(said(&conda.facts(), "software.torch_cuda"), "12.1");
}

#[test]
fn comfyui_names_its_own_version() {
    let written = "# This file is written by the build.\n__version__ = \"0.3.56\"\n";
    let project = "[project]\nname = \"ComfyUI\"\nversion = \"0.3.54\" # soon\n\n[project.urls]\nversion = \"9\"\n";
    let other = "[project]\nname = \"wan22-ui\"\nversion = \"1.0\"\n";
    let absent = "the installation holds no ComfyUI that names its version";
    for (files, want) in [
        (&[("wan/comfyui_version.py", written), ("wan/pyproject.toml", project)][..], "0.3.56"),
        (&[("wan/ComfyUI/comfyui_version.py", written)], "0.3.56"),
        (&[("wan/ComfyUI/pyproject.toml", project)], "0.3.54"),
        (&[("wan/pyproject.toml", &project.replace('\n', "\r\n"))], "0.3.54"),
        (&[("wan/comfyui_version.py", "__version__ = get()\n"), ("wan/pyproject.toml", project)], "0.3.54"),
        (&[("wan/pyproject.toml", other)], absent),
        (&[("wan/pyproject.toml", "[tool.x]\nname = \"ComfyUI\"\nversion = \"1\"\n")], absent),
        (&[("wan/pyproject.toml", "[project]\nname = \"ComfyUI\"\n[tool.x]\nversion = \"1\"\n")], absent),
    ] {
        assert_eq!(said(&Machine::with(files).facts(), "software.comfyui"), want, "{files:?}");
    }
    let facts = Machine::with(&[]).facts_of(None, None);
    assert_eq!(said(&facts, "software.comfyui"), "no installation is named");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_said_or_passed_over() {
    use std::os::unix::ffi::OsStrExt;

    let machine = || Machine::with(&[]).file("wan/venv/pyvenv.cfg", CFG);
    let circle = machine().link("site-packages", VENV);
    let reason = said(&circle.facts(), "software.torch");
    assert!(reason.starts_with("the packages of the venv `venv` cannot be listed: "), "{reason}");
    let broken = machine().link("nowhere", VENV);
    assert_eq!(said(&broken.facts(), "software.torch"), "it is not among the packages of the venv `venv`");

    let odd =
        machine().wheel(VENV, "torch", "2.9.1").link("METADATA", &format!("{VENV}/triton-3.5.0.dist-info/METADATA"));
    let name = |bytes: &'static [u8]| std::ffi::OsStr::from_bytes(bytes);
    fs::create_dir(odd.0.path().join(VENV).join(name(b"torch-\xff.dist-info"))).unwrap();
    fs::create_dir(odd.0.path().join("wan").join(name(b"\xff"))).unwrap();
    let facts = odd.link("wan", "wan/loop").facts();
    assert_eq!(
        (summary(&facts), said(&facts, "software.triton")),
        ("venv, 3.12.3, 2.9.1".to_owned(), "3.5.0".to_owned())
    );

    let strange = Machine::with(&[]);
    let venv = strange.0.path().join("wan").join(name(b"v\xffe`\n"));
    fs::create_dir_all(&venv).unwrap();
    fs::write(venv.join("pyvenv.cfg"), CFG).unwrap();
    assert_eq!(said(&strange.facts(), "software.torch"), "it is not among the packages of the venv `v\u{fffd}e`\\n`");
}
