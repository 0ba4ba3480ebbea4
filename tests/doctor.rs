//! `doctor`: what it says, and what its archive holds and does not hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test may panic and speak")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive};
use serde_json::{Value, json};
use tempfile::TempDir;
use wan22_policy::diag::Source;
use wan22_policy::measured::Measured;
use wan22_policy::{facts, yaml};

const MACHINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines/rtx-4080-16g-128g-5995wx-nps4.yaml");

/// What no archive may hold.
const SECRETS: &[&str] = &[
    "hf_QwErTyUiOpAsDfGhJkLz0123456789abcd",
    "sk-proj-Zz11Yy22Xx33Ww44",
    "correct horse battery",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI",
    "eyJhbGciOiJIUzI1NiJ9",
    "swordfish",
    "MIIEowIBAAKCAQEA",
    "gradio-pass",
    "slartibartfast",
    "s3cr3t-of-the-policy",
    "zaphod@example.org",
    "203.0.113.77",
    "00:1b:44:11:3a:b7",
    "arthurdent",
    "GPU-5d6f1a2b",
];

const CONFIG: &str = r#"{
  "system": {
    "default_quantization": "bf16", "hf_token": "hf_QwErTyUiOpAsDfGhJkLz0123456789abcd",
    "vae_tile_size": 256,
    "stats_refresh_interval": 5
  },
  "api": { "openai_api_key": "sk-proj-Zz11Yy22Xx33Ww44", "key": "slartibartfast", "password": "correct horse battery" },
  "note": "use AKIAIOSFODNN7EXAMPLE here",
  "aws_secret_access_key": [
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
  ],
  "env": ["SESSION=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"],
  "proxy": "http://me:swordfish@203.0.113.77:8080/",
  "pem": "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END PRIVATE KEY-----",
  "args": ["--gradio-auth", "gradio-pass"],
  "mail": "zaphod@example.org", "card": "00:1b:44:11:3a:b7", "uuid": "GPU-5d6f1a2b-1111-2222-3333-444455556666",
  "directories": { "output_directory": "HOME/outputs", "models_directory": "models" },
  "optimization": { "default_quantization": "fp16", "vae_tile_size": 256, "max_vram_usage_gb": 12 }
}
"#;

/// A user with secrets.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(common::stack::temporary());
        let config = CONFIG.replace("HOME", home.path("arthurdent").to_str().unwrap());
        home.write("arthurdent/wan/config.json", &config);
        let policy = "# by arthurdent, token: s3cr3t-of-the-policy\npolicies:\n  - id: mine\n    set: { monitor.interval: 3 s }\n    why: mine\n    source: \
                      https://me:swordfish@example.org\n";
        home.write("arthurdent/.config/wan22-policy/policies.d/90-me.yaml", policy);
        home.write("arthurdent/wan/broken.safetensors", "no header");
        home.write("arthurdent/machine.yaml", &fs::read_to_string(MACHINE).unwrap());
        // A slip in a line with a secret, and one in a command that was measured.
        home.write("arthurdent/wan/app.py", "def run(:\n    token = 'swordfish'\nprint 'x', password='swordfish'\n");
        let started =
            r#"{"command": "python app.py --password swordfish", "seconds": 9.5, "time": "2026-08-01T12:00:00Z"}"#;
        let measured = format!("{{\"schema\": \"wan22-policy/measured/v1\", \"start\": {started}}}");
        home.write("arthurdent/wan/.wan22-policy/measured.json", &measured);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = common::program::program();
        command.args(arguments).current_dir(self.path("arthurdent"));
        command.env("HOME", self.path("arthurdent")).env("USER", "arthurdent").env_remove("XDG_CONFIG_HOME");
        command.env("WAN22_POLICY_LOG", self.path("log"));
        command
    }

    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{out}\n{err}");
        (out, err)
    }

    /// The files of an archive, by name.
    fn unpack(&self, name: &str) -> BTreeMap<String, String> {
        let bytes = fs::read(self.path("arthurdent").join(name)).unwrap();
        let archive = ZipArchive::from_slice(&bytes).unwrap();
        let mut files = BTreeMap::new();
        for entry in archive.entries() {
            let entry = entry.unwrap();
            let name = entry.file_path().try_normalize().unwrap().as_ref().to_owned();
            assert_eq!(entry.compression_method(), CompressionMethod::DEFLATE);
            let packed = archive.get_entry(entry.wayfinder()).unwrap();
            let mut text = String::new();
            packed.verifying_reader(DeflateDecoder::new(packed.data())).read_to_string(&mut text).unwrap();
            files.insert(name, text);
        }
        files
    }
}

fn bundle(out: &str) -> String {
    out.split(" holds").next().unwrap().to_owned()
}

#[test]
fn an_archive_holds_what_a_report_needs_and_no_secret() {
    let home = Home::new();
    home.run(0, &["apply", "--root", "wan", "--facts", "machine.yaml", "--workload", "ti2v-5b:1280x704x49"]);
    home.run(1, &["plan", "--facts", "swordfish-hf_QwErTyUiOpAsDfGhJkLz0123456789abcd"]);
    home.run(2, &["facts", "--python", "/home/arthurdent/zaphod@example.org"]);
    // As another version of the program may have logged it.
    let log = home.path("log/wan22-policy.jsonl");
    let lines = fs::read_to_string(&log).unwrap();
    assert!(!SECRETS.iter().filter(|secret| **secret != "swordfish").any(|secret| lines.contains(secret)), "{lines}");
    let planted = "{\"event\":\"start\",\"run\":\"x\",\"arguments\":\"--token swordfish\"}\nno JSON: token=swordfish\n";
    fs::write(&log, lines.replace("swordfish-", "") + planted).unwrap();

    let (out, _) = home.run(0, &["doctor", "--root", "wan", "--facts", "machine.yaml", "--bundle"]);
    assert!(out.contains("config/config.json") && out.ends_with("look into it before you send it\n"), "{out}");
    let name = bundle(&out);
    assert!(name.starts_with("wan22-policy-bundle-20") && name.ends_with(".zip"), "{name}");
    let files = home.unpack(&name);
    for (file, text) in &files {
        for secret in SECRETS {
            assert!(!text.contains(secret) && !file.contains(secret), "{secret} in {file}:\n{text}");
        }
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let policy = names.iter().find(|name| name.ends_with("90-me.yaml")).unwrap();
    let parts = [
        "config/config.json",
        "contents.txt",
        "doctor.json",
        "facts.yaml",
        "history.json",
        "log/wan22-policy.jsonl",
        "measured.json",
        "plan.json",
        "summary.txt",
        "validate.json",
    ];
    parts.iter().for_each(|part| assert!(names.contains(part), "{part}: {names:?}"));
    assert!(
        names.iter().all(|name| files["contents.txt"].contains(name) || *name == "contents.txt"),
        "{}",
        files["contents.txt"]
    );
    assert!(files["contents.txt"].contains("Not in it:\n    packages.txt"), "{}", files["contents.txt"]);

    // What is left is what a reader needs, where it was.
    let (config, redacted) =
        (fs::read_to_string(home.path("arthurdent/wan/config.json")).unwrap(), &files["config/config.json"]);
    assert_eq!(redacted.lines().count(), config.lines().count());
    for (was, is) in config.lines().zip(redacted.lines()).filter(|(was, _)| was.contains("vae_tile_size")) {
        assert_eq!(was, is);
    }
    assert!(redacted.contains("\"output_directory\": \"~/outputs\""), "{redacted}");
    serde_json::from_str::<serde_json::Value>(redacted).unwrap_or_else(|error| panic!("{error}\n{redacted}"));
    assert!(files[*policy].contains("monitor.interval: 3 s"));
    let facts =
        facts::file::read(&yaml::parse(Source::new("facts.yaml", files["facts.yaml"].clone())).unwrap()).unwrap();
    assert_eq!(facts.value("gpu.name").unwrap(), "NVIDIA GeForce RTX 4080");
    common::printed("doctor", &files["doctor.json"]);
    common::printed("plan", &files["plan.json"]);
    let validation = common::printed("validate", &files["validate.json"]);
    assert!(
        validation["findings"].as_array().unwrap().iter().any(|finding| finding["at"]["file"] == "app.py"),
        "{validation:#}"
    );
    let measured: Measured = serde_json::from_str(&files["measured.json"]).unwrap();
    assert_eq!(measured.start.unwrap().command, "python app.py --password *********");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&files["history.json"]).unwrap()[0]["files"][0]["file"],
        "config.json"
    );
    assert!(files["summary.txt"].contains("exit 1  plan --facts"), "{}", files["summary.txt"]);
}

#[test]
fn folders_are_told_from_the_root_of_the_disk() {
    let home = Home::new();
    home.write("arthurdent/mine/90-mine.yaml", "policies: []\n");
    let asked = ["--facts", "machine.yaml", "--policies", "mine", "--format", "json"];
    let report = |root: &[&str]| {
        let (out, _) = home.run(0, &[&["doctor"], root, &asked].concat());
        let report = common::printed("doctor", &out);
        let folder = report["policies"].as_array().unwrap().last().unwrap()["folder"].clone();
        (report["installation"]["root"].clone(), folder)
    };
    assert_eq!(report(&["--root", "wan"]), ("~/wan".into(), "~/mine".into()));
    assert_eq!(report(&[]), ("~".into(), "~/mine".into()));
}

#[test]
fn a_run_that_was_refused_has_the_codes_of_its_errors() {
    let home = Home::new();
    let small = ["--facts", "machine.yaml", "--fact", "gpu.vram.total=2GiB", "--fact", "ram.total=4GiB"];
    home.run(3, &[&["plan"], &small[..]].concat());
    home.run(3, &["load", "--root", "wan", "--model", "wan/broken.safetensors"]);
    // Not ready without an error.
    home.run(3, &["validate", "--root", "wan", "--facts", "machine.yaml", "--only", "components"]);
    let (out, _) = home.run(0, &["doctor", "--root", "wan", "--facts", "machine.yaml", "--format", "json"]);
    let report = common::printed("doctor", &out);
    let codes: Vec<&Value> = report["failed"].as_array().unwrap().iter().map(|run| &run["codes"]).collect();
    assert_eq!(
        codes,
        [
            &json!(["entry-point"]),
            &json!(["checkpoint-invalid"]),
            &json!(["does-not-fit", "offloaded-weights-fit-in-ram"])
        ]
    );
    let (text, _) = home.run(0, &["doctor", "--root", "wan", "--facts", "machine.yaml"]);
    let said = text.lines().find(|line| line.contains("exit 3  plan")).unwrap();
    assert!(said.ends_with("  does-not-fit, offloaded-weights-fit-in-ram"), "{said}");
}

#[test]
fn nothing_is_overwritten() {
    let home = Home::new();
    let asked = ["doctor", "--root", "wan", "--facts", "machine.yaml", "--bundle"];
    let names: Vec<String> = (0..3).map(|_| bundle(&home.run(0, &asked).0)).collect();
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
    assert!(names.iter().all(|name| home.unpack(name).contains_key("contents.txt")));
    home.write("arthurdent/mine.zip", "mine");
    let (_, err) = home.run(1, &[&asked[..], &["mine.zip"]].concat());
    assert!(err.contains("cannot write `mine.zip`") && err.contains("nothing is overwritten"), "{err}");
    assert_eq!(fs::read_to_string(home.path("arthurdent/mine.zip")).unwrap(), "mine");
}

#[test]
fn it_tells_what_is_wrong_and_goes_on() {
    let home = Home::new();
    home.write("arthurdent/.config/wan22-policy/policies.d/91-broken.yaml", "policies: [}\n");
    home.write("arthurdent/wan/.wan22-policy/history/0001/entry.json", "{");
    let (out, _) = home.run(0, &["doctor", "--root", "wan", "--facts", "machine.yaml", "--format", "json"]);
    let report = common::printed("doctor", &out);
    assert!(report["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "yaml-syntax"), "{out}");
    assert!(
        report["problems"].as_array().unwrap().iter().any(|problem| problem.as_str().unwrap().starts_with("history: ")),
        "{out}"
    );
    assert_eq!(
        report["policies"].as_array().unwrap().last().unwrap()["files"],
        serde_json::json!(["90-me.yaml", "91-broken.yaml"])
    );
    assert!(report["fingerprint"].is_string() && report.get("policy_hash").is_none(), "{out}");
    let (text, _) = home.run(0, &["doctor", "--root", "wan", "--facts", "machine.yaml"]);
    assert!(text.contains("unknown facts") && text.contains("not looked at") && !text.contains("arthurdent"), "{text}");
    let asked = ["doctor", "--root", "wan", "--facts", "machine.yaml"];
    let said = |log: &str| {
        let output = home.command(&asked).env("WAN22_POLICY_LOG", log).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{log}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("  log ")).unwrap().to_owned()
    };
    let line = said("machine.yaml/log");
    let why = "~/machine.yaml/log: 0 files, 0 KiB; nothing can be written there: `~/machine.yaml` is no folder";
    assert!(line.ends_with(why), "{line}");
    fs::create_dir_all(home.path("arthurdent/full/wan22-policy.jsonl")).unwrap();
    assert!(said("full").contains("; nothing can be written there: "), "{}", said("full"));
    assert!(
        said("off").contains("none: switched off, or") && !said("elsewhere").contains("nothing"),
        "{}",
        said("elsewhere")
    );
    let (_, err) = home.run(1, &["doctor", "--root", "nowhere"]);
    assert!(err.contains("there is no folder `nowhere`"), "{err}");
}
