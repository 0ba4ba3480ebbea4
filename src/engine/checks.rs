//! Checks: assertions over the facts and the decided settings.

use super::Run;
use crate::diag::{Finding, Severity};
use crate::expr::{Comparison, EvalError};

impl Run<'_> {
    /// Asks every check.
    pub(super) fn checks(&mut self) {
        let set = self.set;
        for check in &set.checks {
            let asked = match &check.when {
                None => Ok(true),
                Some(when) => self.evaluation.test(when, &[]).map(|(holds, _)| holds).map_err(|e| (when, e)),
            };
            let answer = match asked {
                Ok(false) => continue,
                Ok(true) => self.evaluation.test(&check.assert, &[]).map_err(|e| (&check.assert, e)),
                Err(error) => Err(error),
            };
            match answer {
                Ok((true, _)) => {}
                Ok((false, comparisons)) => {
                    let by: Vec<String> = comparisons.iter().filter(|c| !c.holds).map(Comparison::describe).collect();
                    let finding = Finding::new(check.code(), check.severity, check.message.render(&self.evaluation));
                    let help = check.help.as_ref().map(|help| help.render(&self.evaluation));
                    self.findings.push(finding.at(check.assert.span(), by.join("; ")).maybe_help(help));
                }
                Err((expr, EvalError::Unknown(name))) => {
                    let reason = self.reason(&name);
                    let message =
                        format!("check `{}` cannot be decided: `{name}` is unknown, because {reason}", check.id);
                    let severity = if check.severity == Severity::Error { Severity::Error } else { Severity::Note };
                    let help = format!("supply it with --fact {name}=…, or go on without: --allow undecided");
                    let finding = Finding::new("undecided", severity, message).at(expr.span(), "");
                    self.findings.push(if severity == Severity::Error { finding.help(help) } else { finding });
                }
                Err((expr, error)) => self.failed(expr, &error, &format!("check `{}`", check.id)),
            }
        }
    }
}
