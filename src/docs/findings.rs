//! `docs/findings.md`: every code that a finding can have.

use super::{file_name, head, row};
use crate::diag::CODES;
use crate::policy::PolicySet;

pub fn body(shipped: &PolicySet) -> String {
    let mut page = String::from(
        "# Findings\n\n\
         What the program has to say about a policy, a machine or a config file has a code. An **error** refuses the plan: \
         nothing is written, and the exit code is 3. `--allow CODE` turns one error into a warning for one run; `check` takes \
         `-D`, `-W` and `-A CODE`; a policy file accepts a code about itself with `allow: { CODE: reason }`. \
         `wan22-policy explain CODE` prints what stands here.\n\n\
         ## Codes of the program\n\n",
    );
    page += &head(["code", "usually", "meaning, and what to do"]);
    for info in CODES {
        page += &row([&format!("`{}`", info.name), &info.severity.to_string(), info.description]);
    }
    page += "\n## Checks\n\n\
             The id of a check in a policy file is the code of its finding. These come with the program; `disable: [ID]` in \
             a file of a higher layer switches one off for good. `{…}` in a message is a value of the machine.\n";
    let mut file = "";
    for check in &shipped.checks {
        let of = file_name(&check.span.source.name);
        if of != file {
            file = of;
            page += &format!("\n### {file}\n\n{}", head(["code", "severity", "message", "help", "why", "source"]));
        }
        let help = check.help.as_ref().map(|help| help.text()).unwrap_or_default();
        let why = check.why.as_deref().unwrap_or_default();
        let source = check.source.as_deref().unwrap_or_default();
        let severity = check.severity.to_string();
        page += &row([&format!("`{}`", check.id), &severity, check.message.text(), help, why, source]);
    }
    page
}
