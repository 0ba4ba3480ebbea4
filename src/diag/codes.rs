//! The table of finding codes.

use super::Severity;

/// One kind of finding: its name, usual severity and what it means.
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// Kebab-case name, unique.
    pub name: &'static str,
    /// The severity it is reported with.
    pub severity: Severity,
    /// What it means and what to do about it, in a few sentences.
    pub description: &'static str,
}

const fn code(name: &'static str, severity: Severity, description: &'static str) -> CodeInfo {
    CodeInfo { name, severity, description }
}

/// Every code that the program itself reports, sorted by name. The `id` of each check in the policies is a code too.
#[rustfmt::skip]
pub const CODES: &[CodeInfo] = &[
    code("ambiguous-setting", Severity::Error, "Two policies of one layer match, on this machine or on the one that is shown, and give a setting different values. Give one of them a condition that excludes the other, write one policy with `if`/`else`, or move one to another layer."),
    code("apply-in-flight", Severity::Warning, "An earlier apply or rollback was interrupted. It has been finished or undone before going on; the message says which."),
    code("cgroup-malformed", Severity::Note, "A limit of the cgroup cannot be read as a number, or divides by zero. It is ignored, as if there were none."),
    code("check-always-fails", Severity::Warning, "A check fails wherever its `when` holds, so it says nothing about a machine. Correct the assertion; a check that only warns of its `when` asserts `false`."),
    code("check-never-asked", Severity::Warning, "The condition of a check holds on none of the machines of the corpus, so nothing shows that it is right. Add a machine that it is for with `wan22-policy new machine`, or correct its `when`."),
    code("check-never-fails", Severity::Warning, "A check cannot fail on any machine where its `when` holds, so it guards nothing. Correct the assertion or remove the check."),
    code("checkpoint-incomplete", Severity::Warning, "A part of a checkpoint is not on the disk: a shard that the index or the other shards name, a link whose file is gone, or a Git LFS pointer in the file's place. The stack fails when it loads the model; download what is named."),
    code("checkpoint-invalid", Severity::Warning, "A checkpoint is not what its format says: its header cannot be read, or contradicts itself, the file's length or the index of its shards. The message says at which byte. Download that file again, from a source that you trust."),
    code("checkpoint-truncated", Severity::Warning, "A checkpoint ends before the last tensor that its header names: the download or copy was cut off, or the disk is full. Download that file again."),
    code("checkpoint-uncached", Severity::Warning, "A part of a checkpoint set is not in the page cache after `load`, so a run reads it from the disk. Either the RAM cannot hold it beside what others use, and reading it would have pushed out what was read before; or it was pushed out by others meanwhile. Close other programs, take a quantization with fewer bytes, or go without: it costs time, nothing else."),
    code("checkpoint-unread", Severity::Note, "A checkpoint is not looked into: it cannot be opened, lies behind a link that leads out of the installation, or its format says nothing without running it, as a pickle does. What it holds is unknown."),
    code("circular-functions", Severity::Error, "Functions call each other in a circle. Recursion is refused: it could run forever."),
    code("circular-settings", Severity::Error, "Settings depend on each other in a circle, so none of them can be decided first. Break the circle by reading a fact instead of a setting."),
    code("config-corrupt", Severity::Warning, "The target file is not valid in its format, so the stack cannot read it either. `apply` replaces it by the shipped default; the broken bytes are kept and `rollback` restores them."),
    code("config-default-restored", Severity::Warning, "The target file is missing and was written from the shipped default."),
    code("config-deprecated-key", Severity::Warning, "A config file has an attribute that its class no longer takes, or never did, and that is ignored or refused when the model is loaded. `validate --fix` removes it; `rollback` brings it back."),
    code("config-disagreed", Severity::Warning, "Two keys that mean the same setting held different values. Both now hold the planned one."),
    code("config-invalid", Severity::Error, "The target file does not satisfy the stack's own schema, or would not after the change, so nothing is written. Correct what the message names in the file, or the key's `value`, `at_least` and `at_most` in the target."),
    code("config-missing", Severity::Error, "The file that the stack reads its settings from is not there. `apply` writes it from the default that comes with the target."),
    code("config-not-edited", Severity::Error, "A key of the target file is written in a way that is not edited: it stands twice, is evaluated by what reads the file (`$(…)`, `%NAME%`), goes over several lines, shares its value with another key (a YAML anchor), or stands where it cannot be told whether it counts. Nothing is written. Write it as one plain value, or set it by hand and allow the code."),
    code("config-unknown-key", Severity::Warning, "A config file has an attribute that nothing is known to read: a slip of the pen, or one of another version. Correct its name or remove it; the message says what is close."),
    code("config-unread", Severity::Warning, "A config file of a model cannot be read, so it was not held against its schema. The message says why."),
    code("contradicting-limits", Severity::Error, "The limits on a setting leave no value. Both are named; one of them has to give way."),
    code("driver-missing", Severity::Note, "No NVIDIA driver answers. Everything that only the driver knows is unknown."),
    code("duplicate-data", Severity::Error, "Two files of one layer define a data table of the same name. Rename one, or move it to a higher layer to replace the other."),
    code("duplicate-function", Severity::Error, "Two files of one layer define a function of the same name. Rename one, or move it to a higher layer to replace the other."),
    code("duplicate-id", Severity::Error, "Two policies or checks have the same id. An id names one entry everywhere: in plans, in `disable` and in `--allow`."),
    code("duplicate-key", Severity::Error, "A key stands twice in one map. Remove one of the two, or write their entries below one key."),
    code("expired-override", Severity::Warning, "A site or user override has an `expires` date that has passed. Renew it or remove it."),
    code("expression-failed", Severity::Error, "An expression failed while it was evaluated: an overflow, a division by zero, an index out of range, or too much work. The plan is refused, because a value is missing. Ask in `when` for what the expression takes for granted, or bound it with `max` and `clamp`."),
    code("expression-syntax", Severity::Error, "An expression is not valid Rhai, or uses a part of Rhai that policies may not use (assignments, loops, `switch`, `eval`, …). Cases are written `if … { … } else { … }`, texts in double quotes, and a step gets a name under `functions:`."),
    code("fact-contradiction", Severity::Warning, "Two sources report different values for one fact. The more direct source is used and the other one is shown; a size that the card does not come in is unknown, and so is a package of which one folder holds two versions."),
    code("fact-impossible", Severity::Warning, "A source reports a value that cannot be true. The fact is treated as unknown; say what is true with `--fact`."),
    code("fact-suspect", Severity::Warning, "A source reports a value that may be true but is more often the mistake of a tool. The fact is kept; check it, and correct it with `--fact`."),
    code("facts-file", Severity::Error, "A facts file does not have the form of `wan22-policy/facts/v1`: a name that is no fact, a value of another type or unit, or another format. `docs/facts.md` lists the facts; `facts --save` writes the form."),
    code("gpu-lost", Severity::Warning, "The driver lists a GPU but cannot talk to it: it fell off the bus or needs a reset. Reset it or restart the machine; its facts are unknown until then."),
    code("gpu-order", Severity::Note, "`CUDA_VISIBLE_DEVICES` names a GPU by a number whose meaning cannot be told: CUDA counts the fastest card first, the driver by PCI bus. Set `CUDA_DEVICE_ORDER=PCI_BUS_ID`, name the card by its UUID, or ask with `--gpu-index`."),
    code("gpu-without-driver", Severity::Warning, "The PCI bus shows an NVIDIA GPU, but no driver answers for it. Install or reload the driver; until then the GPU's facts are unknown."),
    code("impossible-condition", Severity::Error, "A condition can never be true on any machine, so what it guards never happens. The parts that exclude each other are shown."),
    code("integer-division", Severity::Error, "`/` on two whole numbers would truncate. Say what is meant: `floor_div(a, b)`, `ceil_div(a, b)`, or make one side a float."),
    code("invalid-name", Severity::Error, "Functions and parameters are named with lower-case letters, digits and `_`, so that they neither redefine an operator of the language nor hide one of its words. No parameter, nor the item of a closure, is named like a namespace, such as `cpu`."),
    code("limit-unmet", Severity::Error, "A setting's value lies outside a limit and there is no legal value to move it to. Widen the limit, or give the setting a value inside it wherever the limit holds."),
    code("malformed-dump", Severity::Error, "A saved `nvidia-smi` dump or topology cannot be read: cut off, of another format, or of a version that this program does not know. Save it again, whole, with `nvidia-smi -q` or `lstopo machine.xml`."),
    code("measured-damaged", Severity::Warning, "The file `.wan22-policy/measured.json` of the installation, which keeps what this program measured there, cannot be read as such. What it says is unknown, and nothing is written over it. Look at it, remove it, and measure again."),
    code("measured-unwritten", Severity::Warning, "What was measured could not be written to `.wan22-policy/measured.json` of the installation, so later commands do not know it. Name an installation that you may write to with `--root`."),
    code("missing-reason", Severity::Warning, "Every policy below layer 80 says `why` it is right and names the `source` of its numbers. A link, a measurement with machine, date and version, or the word estimate will do."),
    code("mixed-types", Severity::Error, "Values of different types are compared or combined. Rhai would silently answer `false`. Compare with a literal of the same type, a text in double quotes, and convert numbers with `float` or `floor`."),
    code("no-candidate", Severity::Error, "No candidate of a `choose` satisfies its condition, and there is no `otherwise`. Each candidate is shown with what it lacks."),
    code("no-checkpoint", Severity::Error, "There is no part of a Wan model where `load` was asked to find one. The message says what there is instead; name the folder of the set, or one file of it."),
    code("no-locks", Severity::Warning, "The file system that the installation lies on has no locks, as a network share without a lock manager. Nothing keeps two runs of the program apart there; let only one apply or rollback run at a time."),
    code("no-such-gpu", Severity::Warning, "The GPU that was asked for is not there, or `CUDA_VISIBLE_DEVICES` hides all of them. The GPU with the most VRAM is taken."),
    code("nominal-vram", Severity::Warning, "VRAM is compared with the size on the box. A card never reports that: an RTX 4090 has 24564 MiB, with ECC 23028 MiB. Ask for what the setting needs, in bytes and with headroom, such as `gib(22)`."),
    code("not-monotone", Severity::Warning, "A setting gets worse on a better machine: with more VRAM, RAM or cores, and everything else the same. The two amounts are as close as they can be, and only the facts that matter are shown. Look for a step in a condition, or a choice whose candidates are not ordered from best to worst; which values are better stands in the schema of settings as `better`."),
    code("nothing-set", Severity::Error, "A policy or a limit gives no setting a value or bound, so it never does anything. Add `set`, `derive`, `choose` or `limit`, or remove it."),
    code("odd-card", Severity::Warning, "A row of the table of cards cannot be right: its PCI device id is not one of NVIDIA as `nvidia-smi -q` prints it, or its architecture is not that of the other cards of its compute capability. Correct the row."),
    code("pin-breaks-limit", Severity::Warning, "A value that was asked for lies outside a limit. It is kept, because it was asked for; the limit says what it may break."),
    code("policies-changed", Severity::Warning, "The policies differ from those of the last apply, so a difference may come from them. `apply` again takes them over."),
    code("policy-always-beaten", Severity::Warning, "A policy matches machines of the corpus, and on each of them a higher layer gives every setting that it names. Move it to a higher layer, or remove it."),
    code("policy-file", Severity::Error, "A policy file does not have the form that `schemas/policy.schema.json` describes: a key that is not of the language, one that is missing, or a value of another kind. `policies/README.md` shows each form."),
    code("policy-never-matches", Severity::Warning, "The condition of a policy holds on none of the machines of the corpus, so nothing shows that it is right. Add a machine that it is for with `wan22-policy new machine`, or correct its `when`."),
    code("probe-silent", Severity::Warning, "The system did not answer in the time that it has, so what it would say is unknown. The other probes go on."),
    code("python-syntax", Severity::Error, "Python cannot read a source of the installation, so what imports it fails. The place is the one that Python reports; the first error of a file often hides others. Mend it, or take the file from where it came again."),
    code("python-unread", Severity::Warning, "A folder or a Python source of the installation was not read: its permissions, a link, or its size. Nobody knows whether Python can read it."),
    code("redundant-condition", Severity::Warning, "A part of a condition changes nothing: the other parts already say it, or it holds everywhere. Remove it, or correct what was meant."),
    code("run-cut-off", Severity::Warning, "An earlier run that changes or measures something did not come to its end: it was killed, crashed, or the power failed. It is said once, with how to go on or take back what it did; what an apply or rollback left is also finished or undone by the next command on that installation."),
    code("setting-gap", Severity::Warning, "Several policies give a setting a value, and on some machine of which everything they ask is known none does. Close the gap, or give a lower layer a value for all."),
    code("setting-never-set", Severity::Warning, "No policy gives a declared setting a value on any machine of the corpus. Give it one in layer 10, or remove it from the schema of settings."),
    code("setting-out-of-range", Severity::Error, "A value is outside what `schemas/settings.schema.json` allows for the setting. `docs/settings.md` and `explain SETTING` show what it may be."),
    code("shadowed-policy", Severity::Warning, "Wherever a policy matches, policies of higher layers give all its settings another value, so it never counts. Remove it, or narrow the higher ones."),
    code("snapshot-malformed", Severity::Error, "A machine's snapshot is not in the form that `test` writes. Restore it from version control, or write it anew with `test --accept` after reading what it says."),
    code("stack-unknown", Severity::Note, "No target recognises the files of the installation, so nobody knows which files its stack reads. Name the stack with `--target`, or describe it in a target of your own."),
    code("start-failed", Severity::Error, "The stack was started with `validate --start` and did not become ready: the command ended, took too long, or something answered before it was started. The last lines of its output stand in the help."),
    code("to-fill-in", Severity::Warning, "A `why` or `source` still holds the placeholder that `wan22-policy new` wrote. Write what it asks for: a reader must see why the values are right and where the numbers come from."),
    code("undecided", Severity::Error, "An error check or a limit reads an unknown fact, so nobody can tell whether it holds. Supply the fact with `--fact`, or allow the code."),
    code("unit-mismatch", Severity::Error, "Two numbers in different units meet (bytes and pixels, say), or a value is in another unit than the setting, the parameter or the result that it is for. A bare number beside bytes is one too: write `gib(…)` or `mib(…)`."),
    code("unknown-disabled", Severity::Warning, "`disable` names a policy or check that does not exist in a lower layer. Correct the id; an entry of the same layer is changed where it stands."),
    code("unknown-fact", Severity::Error, "The name is not in the table of facts. `docs/facts.md` lists them all, and `facts` what is known of a machine."),
    code("unknown-function", Severity::Error, "An expression calls a function that neither the program nor a policy file defines. `docs/functions.md` lists what there is; your own are defined under `functions:`."),
    code("unknown-name", Severity::Error, "An expression reads a name that does not exist here: it is no fact, setting or table, no row or column of the table, and no parameter of the function."),
    code("unknown-setting", Severity::Error, "The name is not declared in `schemas/settings.schema.json`. `docs/settings.md` lists the settings."),
    code("unreachable-branch", Severity::Warning, "A branch of an `if` is never taken, because an earlier one is taken first or its condition cannot hold. Ask for the larger number first."),
    code("unread-policy-file", Severity::Warning, "A file in a policy directory is not read, because its name does not begin with two digits and a dash, or does not end in `.yaml`."),
    code("untrusted-policy", Severity::Error, "The program runs as root and a policy file can be written by others: fix its owner and mode. Or a file of a folder that `--policies` names is a link that leads out of it: put the file itself there."),
    code("untrusted-target", Severity::Error, "A policy directory brings a target, and targets name files to write. Add `--allow-targets` when you trust it."),
    code("unused-allow", Severity::Warning, "A file accepts a finding that nothing in it gives any more. Remove the line under `allow:`."),
    code("value-not-writable", Severity::Error, "A value has no spelling in the format of the target file that is read back exactly, or could be run by what reads the file, such as a quote or `&` in a batch file. Nothing is written. Correct the key's `value` in the target."),
    code("volatile-fact-in-setting", Severity::Error, "A setting rests on a fact that changes from minute to minute, so a second apply could change it. Use a stable fact; volatile ones are for checks."),
    code("yaml-syntax", Severity::Error, "The file is not YAML, or uses a part of YAML that is refused here: tags, merge keys, several documents, too many values."),
];

/// The row of a code.
pub fn find(name: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|info| info.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_unique_and_described_in_sentences() {
        assert!(CODES.is_sorted_by(|a, b| a.name < b.name));
        for info in CODES {
            assert!(
                info.description.ends_with('.') && info.description.starts_with(|c: char| c.is_uppercase() || c == '`'),
                "{}",
                info.name
            );
        }
    }
}
