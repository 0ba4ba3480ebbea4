//! Rules of a validation: what an installation must be, checked and compiled.

use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use super::entry::{Errors, FileCompiler, fits};
use super::source::{RuleEntry, VerdictEntry};
use super::template::Template;
use crate::diag::{Finding, Span};
use crate::expr::{Expr, Operand, Type};
use crate::facts::units::{Unit, show};
use crate::target::schema::FileSchema;

/// What an installation must be, and what follows from it.
#[derive(Debug, Default)]
pub struct Validation {
    /// Groups of rules in the order in which they are shown: name, and what each is about.
    pub groups: Vec<(String, String)>,
    /// The rules, by layer, file and place.
    pub rules: Vec<Rule>,
    /// What follows from them together; `None` where no file says it.
    pub verdict: Option<VerdictFormula>,
}

/// What must hold of an installation.
#[derive(Debug)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Its layer.
    pub layer: u8,
    /// Where it stands: the `id`.
    pub span: Span,
    /// The group that it counts in.
    pub group: String,
    /// Whether no installation is ready without it.
    pub critical: bool,
    /// Condition; `None` means always.
    pub when: Option<Expr>,
    /// What is asked.
    pub test: Test,
    /// What is said when it passes.
    pub pass: Option<Template>,
    /// What is wrong when it fails.
    pub fail: Option<Template>,
    /// What to do when it fails, of a figure also how to measure it.
    pub help: Option<Template>,
    /// Why it is asked.
    pub why: String,
    /// Where its numbers come from.
    pub source: Option<String>,
}

impl Rule {
    /// The expressions that decide what comes out: its condition, and those of its test.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let test: Vec<&Expr> = match &self.test {
            Test::Assert(assert) => vec![assert],
            Test::Metric(metric) => {
                let bounds = metric.at_least.iter().chain(&metric.at_most).filter_map(Operand::expr);
                std::iter::once(&metric.figure).chain(bounds).chain(&metric.predicted).collect()
            }
            Test::Files(_) => Vec::new(),
        };
        self.when.iter().chain(test)
    }
}

impl FilesTest {
    /// Whether a file that says this is meant.
    pub fn is_about(&self, value: &Value) -> bool {
        let holds = |(key, texts): &(String, Vec<String>)| texts.iter().any(|text| value[key] == *text.as_str());
        self.holding.iter().all(holds) && self.lacking.iter().all(|key| value.get(key).is_none())
    }
}

/// What a rule asks.
#[derive(Debug)]
pub enum Test {
    /// Whether something is true.
    Assert(Expr),
    /// Whether a figure lies within bounds.
    Metric(Box<Metric>),
    /// Whether files satisfy a schema.
    Files(FilesTest),
}

/// A figure and its bounds.
#[derive(Debug)]
pub struct Metric {
    /// The figure.
    pub figure: Expr,
    /// Smallest that passes.
    pub at_least: Option<Operand>,
    /// Largest that passes.
    pub at_most: Option<Operand>,
    /// What it is expected to be, where nobody measured it.
    pub predicted: Option<Expr>,
}

/// Files and their schema.
#[derive(Debug)]
pub struct FilesTest {
    /// Which files, by their names below the root.
    pub pattern: GlobMatcher,
    /// Texts of which their topmost keys must hold one to be meant.
    pub holding: Vec<(String, Vec<String>)>,
    /// Topmost keys that those which are meant do not have.
    pub lacking: Vec<String>,
    /// What they may hold.
    pub schema: FileSchema,
}

/// What follows from how many rules passed, failed or were not measured.
#[derive(Debug)]
pub struct VerdictFormula {
    /// The score, of [`COUNTS`].
    pub score: Expr,
    /// Whether the installation is ready, of [`COUNTS`] and [`SCORES`].
    pub ready: Expr,
    /// Where it stands.
    pub span: Span,
    /// Why these are the formulas.
    pub why: String,
}

/// The counts that a verdict reads.
pub const COUNTS: [&str; 3] = ["passed", "failed", "not_measured"];

/// The scores that a verdict reads besides, of all rules and of the critical ones.
pub const SCORES: [&str; 2] = ["score", "critical_score"];

impl FileCompiler<'_> {
    pub fn rule(&self, index: usize, entry: &RuleEntry, groups: &[(String, String)]) -> Result<Rule, Vec<Finding>> {
        let base = format!("/validation/rules/{index}");
        let mut errors = Errors::default();
        if groups.iter().all(|(name, _)| *name != entry.group) {
            let known = groups.iter().map(|(name, _)| name.as_str());
            let finding = Finding::error("policy-file", format!("there is no group `{}`", entry.group));
            let span = self.document().span(&format!("{base}/group"));
            errors.push(finding.at(span, "").maybe_help(crate::diag::did_you_mean(&entry.group, known)));
        }
        let template = |text: &Option<String>, key: &str, errors: &mut Errors| {
            let text = text.as_ref()?;
            let place = self.document().scalar(&format!("{base}/{key}"));
            errors.keep(Template::compile(text, &place, self.language))
        };
        let pass = template(&entry.pass, "pass", &mut errors);
        let fail = template(&entry.fail, "fail", &mut errors);
        let help = template(&entry.help, "help", &mut errors);
        let when =
            entry.when.as_ref().and_then(|text| errors.keep(self.condition(text, &format!("{base}/when"), &[], false)));
        let test = errors.keep(self.test(entry, &base));
        match test {
            Some(test) if errors.is_empty() => Ok(Rule {
                id: entry.id.clone(),
                layer: self.file.layer,
                span: self.document().span(&format!("{base}/id")),
                group: entry.group.clone(),
                critical: entry.critical,
                when,
                test,
                pass,
                fail,
                help,
                why: entry.why.clone(),
                source: entry.source.clone(),
            }),
            _ => Err(errors.into_findings()),
        }
    }

    fn test(&self, entry: &RuleEntry, base: &str) -> Result<Test, Vec<Finding>> {
        let wrong = |key: &str, message: &str| {
            vec![Finding::error("policy-file", message).at(self.document().span(&format!("{base}/{key}")), "")]
        };
        match (&entry.assert, &entry.metric, &entry.files) {
            (Some(text), None, None) => {
                if entry.fail.is_none() {
                    return Err(wrong("assert", "a rule that asserts says with `fail` what is wrong when it fails"));
                }
                Ok(Test::Assert(self.condition(text, &format!("{base}/assert"), &[], false)?))
            }
            (None, Some(text), None) => Ok(Test::Metric(Box::new(self.metric(entry, text, base)?))),
            (None, None, Some(pattern)) => {
                let glob = GlobBuilder::new(pattern).literal_separator(true).build();
                let pattern = glob.map_err(|error| wrong("files", &format!("no pattern: {}", error.kind())))?;
                let Some(schema) = &entry.schema else {
                    return Err(wrong("files", "a rule about files names their `schema`"));
                };
                let schema = FileSchema::of_entry(schema).map_err(|why| wrong("schema", &why))?;
                let holding = entry.holding.iter().map(|(key, texts)| (key.clone(), texts.clone())).collect();
                let (pattern, lacking) = (pattern.compile_matcher(), entry.lacking.clone());
                Ok(Test::Files(FilesTest { pattern, holding, lacking, schema }))
            }
            _ => Err(wrong("id", "a rule has one of `assert`, `metric` and `files`")),
        }
    }

    fn metric(&self, entry: &RuleEntry, text: &str, base: &str) -> Result<Metric, Vec<Finding>> {
        let figure = self.expr(text, &format!("{base}/metric"), &[])?;
        let wanted = Type::Float(figure.ty().unit());
        fits(&figure, &wanted, "the figure is")?;
        let predicted = entry.predicted.as_ref().map(|text| {
            let expr = self.expr(text, &format!("{base}/predicted"), &[])?;
            fits(&expr, &wanted, "the prediction is")?;
            Ok::<_, Vec<Finding>>(expr)
        });
        let bound = |value: &Option<Value>, key: &str| {
            value.as_ref().map(|value| self.bound(value, &format!("{base}/{key}"), &wanted)).transpose()
        };
        let (at_least, at_most) = (bound(&entry.at_least, "at_least")?, bound(&entry.at_most, "at_most")?);
        if at_least.is_none() && at_most.is_none() {
            let finding = Finding::error("policy-file", "a figure without `at_least` or `at_most` cannot fail");
            return Err(vec![finding.at(figure.span(), "")]);
        }
        if let (Some(Operand::Literal(least)), Some(Operand::Literal(most))) = (&at_least, &at_most)
            && least.as_f64() > most.as_f64()
        {
            let unit = wanted.unit();
            let message = format!("no figure is at least {} and at most {}", show(least, unit), show(most, unit));
            let span = self.document().span(&format!("{base}/at_most"));
            return Err(vec![Finding::error("policy-file", message).at(span, "")]);
        }
        Ok(Metric { figure, at_least, at_most, predicted: predicted.transpose()? })
    }

    // A quantity or a number is a literal; any other text is an expression.
    fn bound(&self, value: &Value, pointer: &str, wanted: &Type) -> Result<Operand, Vec<Finding>> {
        match (self.quantity(value, wanted.unit(), pointer)?, value) {
            (Some(quantity), _) => Ok(quantity),
            (None, Value::Number(_)) => Ok(Operand::Literal(value.clone())),
            (None, Value::String(text)) => {
                let expr = self.expr(text, pointer, &[])?;
                fits(&expr, wanted, "the bound is")?;
                Ok(Operand::Expr(Box::new(expr)))
            }
            _ => {
                let finding = Finding::error("mixed-types", format!("the bound must be {wanted}"));
                Err(vec![finding.at(self.document().span(pointer), "")])
            }
        }
    }

    pub fn verdict(&self, entry: &VerdictEntry) -> Result<VerdictFormula, Vec<Finding>> {
        let base = "/validation/verdict";
        let count = |name: &&str| ((*name).to_owned(), Type::Int(Some(Unit::Count)));
        let score = |name: &&str| ((*name).to_owned(), Type::Float(Some(Unit::Ratio)));
        let counts: Vec<(String, Type)> = COUNTS.iter().map(count).collect();
        let all: Vec<(String, Type)> = counts.iter().cloned().chain(SCORES.iter().map(score)).collect();
        let score = self.expr(&entry.score, &format!("{base}/score"), &counts)?;
        fits(&score, &Type::Float(None), "the score is")?;
        let ready = self.expr(&entry.ready, &format!("{base}/ready"), &all)?;
        fits(&ready, &Type::Bool, "`ready` is")?;
        let span = self.document().key_span(base);
        Ok(VerdictFormula { score, ready, span, why: entry.why.clone() })
    }
}
