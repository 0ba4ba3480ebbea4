//! Hostile inputs, and the program under the tracer.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use tempfile::TempDir;

use crate::common::stack::temporary;
use crate::common::trace::{self, Act, Kind, Moment};

const MACHINE: &str = include_str!("../machines/rtx-4080-super-16g-64g.yaml");
const CONFIG: &str = include_str!("../apply/one-line/before/config.json");

/// What must stay unread and unwritten.
const SECRET: &str = "{\"secret\": 1}";

/// A folder with an installation, policies, facts, and things outside of them.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(temporary());
        world.write("stack/config.json", CONFIG);
        world.write("outside/secret.json", SECRET);
        world.write("facts.yaml", MACHINE);
        fs::create_dir(world.path("policies")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file of so many bytes, none of which is on the disk.
    fn sparse(&self, name: &str, bytes: u64) {
        fs::File::create(self.path(name)).unwrap().set_len(bytes).unwrap();
    }

    // The program with at most 256 MiB of memory of its own and 60 s of CPU.
    fn command(&self, command: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "ulimit -d 262144; ulimit -t 60; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_wan22-policy")]);
        // Where cargo has the loader look first, and where the user may have a Python. The home is not there: who has none
        // is looked up in /etc/passwd.
        shell
            .args(command.split(' '))
            .current_dir(self.0.path())
            .env_remove("LD_LIBRARY_PATH")
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("WAN22_POLICY_LOG", self.path("log"));
        let asked: &[&str] = match command {
            "rollback" | "history" => &["--root", "stack"],
            "check" => &["--policies", "policies", "--allow-targets", "--no-site"],
            "verify" => &["--root", "stack", "--facts", "facts.yaml"],
            _ => {
                &["--root", "stack", "--facts", "facts.yaml", "--policies", "policies", "--allow-targets", "--no-site"]
            }
        };
        shell.args(asked);
        shell
    }

    // Runs a command; gives what it did that it must not.
    fn watch(&self, command: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut programs = 0;
        let ended = trace::run(&self.command(command), Path::new("/"), |_, call, moment| {
            if moment == Moment::Before {
                programs += usize::from(call.kind == Kind::Run);
                if !self.may(call.kind, &Path::new("/").join(&call.path)) {
                    wrong.push(format!("{} {}", call.name, call.path.display()));
                }
            }
            Act::Go
        });
        // The shell of the tracer, that of the limits, and the program.
        if programs > 2 {
            wrong.push(format!("{} programs", programs - 2));
        }
        match ended.code {
            Some(0..=4) => {}
            code => wrong.push(format!("ended with {code:?}: {}", ended.err)),
        }
        let secret = self.path("outside/secret.json");
        if fs::read_to_string(&secret).unwrap() != SECRET || fs::read_dir(self.path("outside")).unwrap().count() != 1 {
            wrong.push("wrote outside".to_owned());
        }
        let log = fs::read_to_string(self.path("log/wan22-policy.jsonl")).unwrap_or_default();
        if !log.contains("\"event\":\"end\"") {
            wrong.push("logged no end".to_owned());
        }
        if [&ended.out, &ended.err, &log]
            .iter()
            .any(|text| text.contains("secret\": 1") || text.contains("secret\\\": 1"))
        {
            wrong.push("told a secret".to_owned());
        }
        wrong
    }

    // The files that a log has, in the folder that it was given.
    fn is_log(&self, path: &Path) -> bool {
        let Ok(name) = path.strip_prefix(self.path("log")) else { return false };
        let name = name.to_string_lossy();
        let is_marker = name.strip_prefix("running/").is_some_and(|id| id.ends_with(".json") && !id.contains('/'));
        ["", "running", "wan22-policy.jsonl"].contains(&&*name) || is_marker
    }

    // What it is asked about, and what any program reads of its system.
    fn may(&self, kind: Kind, path: &Path) -> bool {
        let root = path.starts_with(self.path("stack")) || self.is_log(path);
        let is_given = ["policies", "facts.yaml"].iter().any(|name| path.starts_with(self.path(name)));
        let of_the_system = ["/lib", "/lib64", "/usr", "/etc/ld.so.cache", "/proc", "/sys", "/dev", "/etc/localtime"];
        let is_system = of_the_system.iter().any(|start| path.starts_with(start));
        let is_program = path == Path::new(env!("CARGO_BIN_EXE_wan22-policy")) || path == Path::new("/bin/sh");
        match kind {
            Kind::Look => true,
            Kind::Open | Kind::Read => {
                root || is_given || is_system || is_program || !path.starts_with(self.0.path()) && path.is_dir()
            }
            Kind::Run => is_program || is_system,
            _ if kind.changes() => root || is_printed(path),
            _ => root || is_system,
        }
    }
}

// The streams, as the tracer gives them.
fn is_printed(path: &Path) -> bool {
    path.starts_with("/dev") || path.to_string_lossy().contains("(deleted)") || path.starts_with("/proc/self")
}

type Input = (&'static str, fn(&World));

fn target(path: &str, recognise: &str) -> String {
    format!(
        "targets:\n  - id: mine\n    why: w\n    source: estimate\n    recognise: [{recognise}]\n    files:\n      - path: {path}\n        \
         format: json\n        schema: {{}}\n        restore: {{}}\n        keys:\n          fps: {{ setting: monitor.interval, when_missing: add }}\n"
    )
}

fn derived(expression: &str) -> String {
    let text = expression.replace('\n', " ").replace('"', "\\\"");
    format!(
        "policies:\n  - id: hostile\n    derive: {{ threads.intra_op: \"{text}\" }}\n    why: w\n    source: estimate\n"
    )
}

/// Files of a target that lead out.
const PLACES: &[Input] = &[
    ("a target above the root", |w| {
        w.write("policies/85-x.yaml", target("../outside/secret.json", "{ files: [config.json] }"))
    }),
    ("an absolute target", |w| {
        let secret = w.path("outside/secret.json").display().to_string();
        w.write("policies/85-x.yaml", target(&secret, "{ files: [config.json] }"));
    }),
    ("a sign above the root", |w| {
        w.write("policies/85-x.yaml", target("x.json", "{ files: [../outside/secret.json] }"))
    }),
    ("a text above the root", |w| {
        let sign = "{ mentions: { file: ../outside/secret.json, texts: [secret], at_least: 1 } }";
        w.write("policies/85-x.yaml", target("x.json", sign));
    }),
    ("a text through a link", |w| {
        symlink("../outside", w.path("stack/link")).unwrap();
        let sign = "{ mentions: { file: link/secret.json, texts: [secret], at_least: 1 } }";
        w.write("policies/85-x.yaml", target("x.json", sign));
    }),
    ("a target through a link", |w| {
        symlink("../outside", w.path("stack/link")).unwrap();
        w.write("policies/85-x.yaml", target("link/new.json", "{ files: [config.json] }"));
    }),
    ("a target in the state directory", |w| {
        w.write("policies/85-x.yaml", target(".wan22-policy/journal.json", "{ files: [config.json] }"));
    }),
    ("a stream of Windows", |w| w.write("policies/85-x.yaml", target("\"config.json:x\"", "{ files: [config.json] }"))),
    ("a policy file that is a link", |w| symlink("../outside/secret.json", w.path("policies/85-x.yaml")).unwrap()),
    ("a folder of policies that is a link", |w| {
        w.write("outside-too/85-x.yaml", SECRET);
        symlink("../outside-too", w.path("policies/more")).unwrap();
    }),
    ("a config that is a link out", |w| {
        fs::remove_file(w.path("stack/config.json")).unwrap();
        symlink("../outside/secret.json", w.path("stack/config.json")).unwrap();
    }),
    ("a config that is an absolute link out", |w| {
        fs::remove_file(w.path("stack/config.json")).unwrap();
        symlink(w.path("outside/secret.json"), w.path("stack/config.json")).unwrap();
    }),
    ("a config of two names", |w| {
        fs::hard_link(w.path("stack/config.json"), w.path("stack/other.json")).unwrap();
    }),
    ("a state directory that is a link", |w| symlink("../outside", w.path("stack/.wan22-policy")).unwrap()),
    ("a history that is a link", |w| {
        fs::create_dir(w.path("stack/.wan22-policy")).unwrap();
        symlink("../../outside", w.path("stack/.wan22-policy/history")).unwrap();
    }),
    ("a lock that is a link", |w| {
        fs::create_dir(w.path("stack/.wan22-policy")).unwrap();
        symlink("../../outside/secret.json", w.path("stack/.wan22-policy/lock")).unwrap();
    }),
    ("a journal that came with the files", |w| {
        let journal = r#"{"schema": "wan22-policy/journal/v1", "operation": "apply", "phase": "commit", "entries": [1], "record": null,
            "files": [{"file": "x", "target": "../outside/secret.json", "before": null, "attributes": null, "after": null}]}"#;
        w.write("stack/.wan22-policy/journal.json", journal);
    }),
    ("a staged file that is a link", |w| {
        symlink("../outside/new.json", w.path("stack/.config.json.wan22-policy-new")).unwrap();
    }),
];

/// Texts that waste time or memory.
const WASTE: &[Input] = &[
    ("a condition without end", |w| w.write("policies/85-x.yaml", derived("loop { }"))),
    ("a recursion", |w| {
        let function = "functions:\n  f: { expression: f(), why: w, source: estimate }\n";
        w.write("policies/85-x.yaml", function);
    }),
    ("an import", |w| w.write("policies/85-x.yaml", derived("import \"/etc/passwd\" as p; 1"))),
    ("an eval", |w| w.write("policies/85-x.yaml", derived("eval(\"1\")"))),
    ("a million brackets", |w| w.write("policies/85-x.yaml", derived(&"(".repeat(1_000_000)))),
    ("a sum of a hundred thousand", |w| w.write("policies/85-x.yaml", derived(&"1 + ".repeat(100_000)))),
    ("lists of lists", |w| {
        let mut text = "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]".to_owned();
        (0..6).for_each(|_| text = format!("[{}]", [text.as_str(); 10].join(", ")));
        w.write("policies/85-x.yaml", derived(&text));
    }),
    ("loops in loops", |w| {
        let mut text = "1".to_owned();
        (0..12).for_each(|_| text = format!("sum([1, 2, 3, 4, 5, 6, 7, 8, 9].map(|x| {text}))"));
        w.write("policies/85-x.yaml", derived(&text));
    }),
    ("a text that doubles", |w| {
        let constants: String = (1..40)
            .map(|i| format!("  d{i}: {{ expression: 'd{} () + d{}()', why: w, source: estimate }}\n", i - 1, i - 1))
            .collect();
        w.write(
            "policies/85-x.yaml",
            format!("functions:\n  d0: {{ expression: '\"xx\"', why: w, source: estimate }}\n{constants}"),
        );
    }),
    ("an alias that grows", |w| {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        (1..12).for_each(|i| text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
        w.write("policies/85-x.yaml", &text);
        w.write("facts.yaml", &text);
    }),
    ("a deep policy", |w| w.write("policies/85-x.yaml", "[".repeat(100_000))),
    ("a policy of 300 MiB", |w| w.sparse("policies/85-x.yaml", 300 << 20)),
    ("ten thousand policies", |w| {
        let one = |i| format!("  - {{ id: p{i}, set: {{ threads.intra_op: {i} }}, why: w, source: s }}\n");
        w.write("policies/85-x.yaml", format!("policies:\n{}", (0..10_000).map(one).collect::<String>()));
    }),
    ("deep facts", |w| w.write("facts.yaml", "{a: ".repeat(100_000))),
    ("facts of 300 MiB", |w| w.sparse("facts.yaml", 300 << 20)),
    ("a thousand million GPUs", |w| w.write("facts.yaml", "facts:\n  gpus: 1000000000\n  gpu.index: 999999999\n")),
    ("a GPU of a high number", |w| w.write("facts.yaml", "facts:\n  gpus[4294967295].name: x\n")),
    ("every CPU there could be", |w| {
        w.write("facts.yaml", "facts:\n  cpu.allowed: 0-18446744073709551615\n  gpus: 0\n")
    }),
    ("numbers beyond all", |w| {
        w.write("facts.yaml", "facts:\n  ram.total: 1e400\n  gpu.vram.total: -9223372036854775808\n  gpus: 1\n")
    }),
    ("texts of escapes", |w| {
        w.write("facts.yaml", "facts:\n  gpus: 1\n  gpu.name: \"\\e]0;x\\a$(touch /tmp/x)`id`\\u202e\"\n")
    }),
    ("a deep config", |w| w.write("stack/config.json", "[".repeat(2_000_000))),
    ("a config of deep objects", |w| w.write("stack/config.json", "{\"a\":".repeat(500_000))),
    ("a config of 300 MiB", |w| w.sparse("stack/config.json", 300 << 20)),
    ("a config of a million keys", |w| {
        let keys: Vec<String> = (0..200_000).map(|i| format!("\"k{i}\": {i}")).collect();
        w.write("stack/config.json", format!("{{{}}}", keys.join(",")));
    }),
    ("a config of no text", |w| w.write("stack/config.json", [0xff, 0xfe, 0, 0, 0x80])),
    ("a config that is a pipe", |w| {
        fs::remove_file(w.path("stack/config.json")).unwrap();
        assert!(Command::new("mkfifo").arg(w.path("stack/config.json")).status().unwrap().success());
    }),
    ("a config that is a folder", |w| {
        fs::remove_file(w.path("stack/config.json")).unwrap();
        fs::create_dir(w.path("stack/config.json")).unwrap();
    }),
    ("links in a circle", |w| {
        fs::remove_file(w.path("stack/config.json")).unwrap();
        symlink("b", w.path("stack/config.json")).unwrap();
        symlink("config.json", w.path("stack/b")).unwrap();
    }),
    ("a history of damaged entries", |w| {
        w.write("stack/.wan22-policy/history/0001/entry.json", "{");
        w.write("stack/.wan22-policy/history/4294967295/entry.json", "{}");
        w.write("stack/.wan22-policy/applied.json", "[".repeat(100_000));
    }),
    ("a journal of 300 MiB", |w| {
        fs::create_dir(w.path("stack/.wan22-policy")).unwrap();
        w.sparse("stack/.wan22-policy/journal.json", 300 << 20);
    }),
];

#[test]
fn hostile_inputs_stay_in_their_place() {
    if let Some(why) = trace::refused() {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("SKIPPED: {why}");
        return;
    }
    let inputs: Vec<&Input> = PLACES.iter().chain(WASTE).collect();
    let commands = [
        "plan",
        "check",
        "validate",
        "apply",
        "verify",
        "history",
        "rollback",
        "load --model stack/models",
        "doctor",
        "doctor --bundle stack/bundle.zip",
    ];
    let wrong: Vec<String> = inputs
        .par_iter()
        .flat_map(|(name, make)| {
            let world = World::new();
            make(&world);
            let runs = commands.iter().map(|command| (command, world.watch(command)));
            runs.filter(|(_, wrong)| !wrong.is_empty())
                .map(|(command, wrong)| format!("{name}: {command}: {}", wrong.join("; ")))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!(
        "{} hostile inputs x {} commands, with 256 MiB: nothing outside, no program run, none hangs",
        inputs.len(),
        commands.len()
    );
}
