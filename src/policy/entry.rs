//! One entry of a file as it is written → its checked form.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::Value;

use super::load::LoadedFile;
use super::set::{Candidates, Check, Choose, FIRST_OVERRIDE_LAYER, Into, LimitRule, Policy, RunTime, Stack, ValueRule};
use super::source::{CheckEntry, ChooseEntry, LimitEntry, PhasesEntry, PolicyEntry, StackEntry, TimeEntry};
use super::template::Template;
use crate::diag::{Finding, Span, did_you_mean};
use crate::expr::namespaces;
use crate::expr::{Expr, Language, Operand, Read, Type};
use crate::facts::units::{QuantityError, Unit, parse_quantity};
use crate::facts::vocabulary::{self, Stability};
use crate::settings::{SETTINGS, SettingSpec, SettingType};
use crate::yaml::{Document, ScalarText, escape};

// Whether an expression gives what is wanted; whole numbers must be made whole on purpose.
pub(super) fn fits(expr: &Expr, wanted: &Type, what: &str) -> Result<(), Vec<Finding>> {
    let code = match expr.ty().fits(wanted) {
        true if expr.ty().clash(wanted).is_none() => return Ok(()),
        true => "unit-mismatch",
        false => "mixed-types",
    };
    let finding = Finding::error(code, format!("{what} {}, not {wanted}", expr.ty())).at(expr.span(), "");
    let round = matches!((expr.ty(), wanted), (Type::Float(_), Type::Int(_)));
    Err(vec![finding.maybe_help(round.then(|| "make it whole with floor(…), ceil(…) or round(…)".to_owned()))])
}

/// Compiles the entries of one file.
pub(super) struct FileCompiler<'a> {
    pub file: &'a LoadedFile,
    pub language: &'a Language,
}

// Collects what goes wrong while the rest is still looked at.
#[derive(Default)]
pub(super) struct Errors(Vec<Finding>);

impl Errors {
    pub fn keep<T>(&mut self, result: Result<T, Vec<Finding>>) -> Option<T> {
        result.map_err(|findings| self.0.extend(findings)).ok()
    }

    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_findings(self) -> Vec<Finding> {
        self.0
    }
}

impl FileCompiler<'_> {
    pub fn document(&self) -> &Document {
        &self.file.document
    }

    pub fn expr(&self, text: &str, pointer: &str, locals: &[(String, Type)]) -> Result<Expr, Vec<Finding>> {
        self.language.compile(text, &self.document().scalar(pointer), locals)
    }

    // An expression that a setting rests on: it must not read what changes from minute to minute.
    fn stable(&self, text: &str, pointer: &str, locals: &[(String, Type)]) -> Result<Expr, Vec<Finding>> {
        let expr = self.expr(text, pointer, locals)?;
        let volatile = self.language.all_reads(&expr).into_iter().find_map(|read| match read {
            Read::Fact(name) => vocabulary::find(&name).filter(|s| s.stability == Stability::Volatile).map(|_| name),
            _ => None,
        });
        match volatile {
            None => Ok(expr),
            Some(name) => {
                let finding = Finding::error(
                    "volatile-fact-in-setting",
                    format!("a setting rests on `{name}`, which changes from minute to minute"),
                );
                let help = "use a stable fact such as `gpu.vram.total` or `ram.total`; volatile ones are for checks";
                Err(vec![finding.at(expr.span(), "").help(help)])
            }
        }
    }

    pub fn condition(
        &self,
        text: &str,
        pointer: &str,
        locals: &[(String, Type)],
        stable: bool,
    ) -> Result<Expr, Vec<Finding>> {
        let expr = match stable {
            true => self.stable(text, pointer, locals)?,
            false => self.expr(text, pointer, locals)?,
        };
        fits(&expr, &Type::Bool, "the condition gives")?;
        Ok(expr)
    }

    fn setting(&self, name: &str, pointer: &str) -> Result<(usize, &'static SettingSpec), Vec<Finding>> {
        SETTINGS.index(name).map(|index| (index, SETTINGS.get(index))).ok_or_else(|| {
            let finding = Finding::error("unknown-setting", format!("unknown setting `{name}`"));
            let help = did_you_mean(name, SETTINGS.iter().map(|spec| spec.name.as_str()));
            vec![finding.at(self.document().key_span(pointer), "").maybe_help(help)]
        })
    }

    fn literal(&self, spec: &SettingSpec, value: &Value, pointer: &str) -> Result<Value, Vec<Finding>> {
        spec.literal(value).map_err(|error| {
            let code = match error {
                crate::settings::LiteralError::Quantity(_) => "unit-mismatch",
                crate::settings::LiteralError::Range(_) => "setting-out-of-range",
            };
            let help = Some(spec.range())
                .filter(|range| !range.is_empty())
                .map(|range| format!("`{}` may be {range}", spec.name));
            let finding = Finding::error(code, format!("`{}`: {error}", spec.name));
            vec![finding.at(self.document().span(pointer), "").maybe_help(help)]
        })
    }

    pub fn policy(&self, index: usize, entry: &PolicyEntry) -> Result<Policy, Vec<Finding>> {
        let base = format!("/policies/{index}");
        let mut errors = Errors::default();
        let when =
            entry.when.as_ref().and_then(|text| errors.keep(self.condition(text, &format!("{base}/when"), &[], true)));
        let mut named: BTreeMap<usize, Span> = BTreeMap::new();
        let mut claim = |setting: usize, span: &Span, errors: &mut Errors| {
            if let Some(first) = named.insert(setting, span.clone()) {
                let name = &SETTINGS.get(setting).name;
                let finding = Finding::error("policy-file", format!("`{name}` is given twice in one policy"));
                errors.0.push(finding.at(span.clone(), "again here").at(first, "first here"));
            }
        };
        let mut values = Vec::new();
        for (name, value) in &entry.set {
            let pointer = format!("{base}/set/{}", escape(name));
            let span = self.document().key_span(&pointer);
            let rule = self.setting(name, &pointer).and_then(|(setting, spec)| {
                let value = Operand::Literal(self.literal(spec, value, &pointer)?);
                Ok(ValueRule { setting, span: span.clone(), value })
            });
            if let Some(rule) = errors.keep(rule) {
                claim(rule.setting, &span, &mut errors);
                values.push(rule);
            }
        }
        for (name, text) in &entry.derive {
            let pointer = format!("{base}/derive/{}", escape(name));
            let span = self.document().key_span(&pointer);
            let rule = self.setting(name, &pointer).and_then(|(setting, spec)| {
                let expr = self.stable(text, &pointer, &[])?;
                fits(&expr, &namespaces::setting_type(spec), &format!("the expression for `{name}` gives"))?;
                Ok(ValueRule { setting, span: span.clone(), value: Operand::Expr(Box::new(expr)) })
            });
            if let Some(rule) = errors.keep(rule) {
                claim(rule.setting, &span, &mut errors);
                values.push(rule);
            }
        }
        let mut chooses = Vec::new();
        for (name, choose) in &entry.choose {
            let pointer = format!("{base}/choose/{}", escape(name));
            if let Some(choose) = errors.keep(self.choose(name, choose, &pointer)) {
                for into in &choose.into {
                    claim(into.setting, &choose.span, &mut errors);
                }
                chooses.push(choose);
            }
        }
        let mut limits = Vec::new();
        for (name, limit) in &entry.limit {
            let pointer = format!("{base}/limit/{}", escape(name));
            limits.extend(errors.keep(self.limit(name, limit, &pointer)));
        }
        let span = self.document().span(&format!("{base}/id"));
        let empty =
            entry.set.is_empty() && entry.derive.is_empty() && entry.choose.is_empty() && entry.limit.is_empty();
        if empty {
            let finding = Finding::error(
                "nothing-set",
                format!("policy `{}` sets, derives, chooses and limits nothing", entry.id),
            );
            errors.0.push(finding.at(span.clone(), ""));
        }
        let expires =
            entry.expires.as_ref().and_then(|text| errors.keep(self.expiry(text, &format!("{base}/expires"))));
        if !errors.0.is_empty() {
            return Err(errors.0);
        }
        Ok(Policy {
            id: entry.id.clone(),
            layer: self.file.layer,
            span,
            why: entry.why.clone(),
            source: entry.source.clone(),
            when,
            values,
            chooses,
            limits,
            expires,
        })
    }

    fn expiry(&self, text: &str, pointer: &str) -> Result<Date, Vec<Finding>> {
        let place = || self.document().span(pointer);
        if self.file.layer < FIRST_OVERRIDE_LAYER {
            let finding = Finding::error("policy-file", "`expires` is for overrides in layers 80 and above");
            return Err(vec![finding.at(place(), "")]);
        }
        text.parse().map_err(|_| {
            let finding = Finding::error("policy-file", format!("`{text}` is not a date"));
            vec![finding.at(place(), "").help("write it as YYYY-MM-DD")]
        })
    }

    fn choose(&self, name: &str, entry: &ChooseEntry, pointer: &str) -> Result<Choose, Vec<Finding>> {
        let span = self.document().key_span(pointer);
        let single = match entry.into.is_empty() {
            true => Some(self.setting(name, pointer)?),
            false => None,
        };
        let (candidates, it) = self.candidates(entry, single.map(|(_, spec)| spec), pointer)?;
        if let Some((_, spec)) = single {
            let wanted = namespaces::setting_type(spec);
            if !it.fits(&wanted) || it.clash(&wanted).is_some() {
                let code = if it.fits(&wanted) { "unit-mismatch" } else { "mixed-types" };
                let finding = Finding::error(code, format!("the candidates for `{name}` are {it}, not {wanted}"));
                let help = "when a candidate decides several settings, say which with `into:`";
                return Err(vec![finding.at(self.document().span(&format!("{pointer}/first_of")), "").help(help)]);
            }
        }
        let locals = [("it".to_owned(), it.clone())];
        let such_that = self.condition(&entry.such_that, &format!("{pointer}/such_that"), &locals, true)?;
        let mut into = Vec::new();
        if let Some((setting, _)) = single {
            into.push(Into { setting, value: None, field: None });
        }
        for (name, text) in &entry.into {
            let pointer = format!("{pointer}/into/{}", escape(name));
            let (setting, spec) = self.setting(name, &pointer)?;
            let expr = self.stable(text, &pointer, &locals)?;
            fits(&expr, &namespaces::setting_type(spec), &format!("the expression for `{name}` gives"))?;
            let field = text.trim().strip_prefix("it.").filter(|field| is_word(field)).map(str::to_owned);
            into.push(Into { setting, value: Some(expr), field });
        }
        let otherwise = match (&entry.otherwise, single) {
            (None, _) => None,
            (Some(value), Some((setting, spec))) => {
                Some(vec![(setting, self.literal(spec, value, &format!("{pointer}/otherwise"))?)])
            }
            (Some(Value::Object(literals)), None) => {
                let mut values = Vec::new();
                for (name, value) in literals {
                    let pointer = format!("{pointer}/otherwise/{}", escape(name));
                    let (setting, spec) = self.setting(name, &pointer)?;
                    values.push((setting, self.literal(spec, value, &pointer)?));
                }
                let missing = into.iter().find(|into| values.iter().all(|(setting, _)| *setting != into.setting));
                if let Some(missing) = missing {
                    let message = format!("`otherwise` does not say `{}`", SETTINGS.get(missing.setting).name);
                    let finding = Finding::error("policy-file", message);
                    return Err(vec![finding.at(self.document().key_span(&format!("{pointer}/otherwise")), "")]);
                }
                Some(values)
            }
            (Some(_), None) => {
                let finding = Finding::error("policy-file", "with `into`, `otherwise` is a map of settings");
                return Err(vec![finding.at(self.document().span(&format!("{pointer}/otherwise")), "")]);
            }
        };
        Ok(Choose { name: name.to_owned(), span, candidates, such_that, into, otherwise })
    }

    fn candidates(
        &self,
        entry: &ChooseEntry,
        spec: Option<&SettingSpec>,
        pointer: &str,
    ) -> Result<(Candidates, Type), Vec<Finding>> {
        let pointer = format!("{pointer}/first_of");
        let wrong = |message: &str| {
            let finding = Finding::error("policy-file", message).at(self.document().span(&pointer), "");
            Err(vec![finding])
        };
        match (&entry.first_of, spec) {
            (Value::Array(items), Some(_)) if items.is_empty() => wrong("`first_of` has no candidate"),
            (Value::Array(items), Some(spec)) => {
                let mut literals = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    literals.push(self.literal(spec, item, &format!("{pointer}/{i}"))?);
                }
                Ok((Candidates::Literals(literals), namespaces::setting_type(spec)))
            }
            (Value::String(text), _) => {
                let expr = self.stable(text, &pointer, &[])?;
                match expr.ty().clone() {
                    Type::List(item) => Ok((Candidates::Expr(expr), (*item).clone())),
                    other => wrong(&format!("`first_of` needs a list, not {other}")),
                }
            }
            _ => wrong(
                "`first_of` is a list of literals, or an expression that gives a list; with `into`, an expression that gives rows",
            ),
        }
    }

    fn limit(&self, name: &str, entry: &LimitEntry, pointer: &str) -> Result<LimitRule, Vec<Finding>> {
        let (setting, spec) = self.setting(name, pointer)?;
        let ty = namespaces::setting_type(spec);
        let bound = |value: &Option<Value>, key: &str, wanted: Type| match value {
            None => Ok(None),
            Some(value) => self.operand(value, &format!("{pointer}/{key}"), &wanted, spec).map(Some),
        };
        let number = Type::Float(spec.unit);
        if !matches!(spec.ty, SettingType::Integer | SettingType::Number)
            && (entry.at_least.is_some() || entry.at_most.is_some())
        {
            let finding =
                Finding::error("mixed-types", format!("`{name}` is {ty}, which has no smallest or largest value"));
            return Err(vec![finding.at(self.document().key_span(pointer), "").help("limit it with `one_of`")]);
        }
        let rule = LimitRule {
            setting,
            span: self.document().key_span(pointer),
            at_least: bound(&entry.at_least, "at_least", number.clone())?,
            at_most: bound(&entry.at_most, "at_most", number)?,
            one_of: bound(&entry.one_of, "one_of", Type::List(Arc::new(ty)))?,
        };
        if rule.at_least.is_none() && rule.at_most.is_none() && rule.one_of.is_none() {
            let finding = Finding::error("nothing-set", format!("the limit on `{name}` says nothing"));
            return Err(vec![finding.at(rule.span, "").help("write `at_least`, `at_most` or `one_of`")]);
        }
        Ok(rule)
    }

    /// A text that is a quantity, such as `12 GiB`; `None` of anything else. One of another unit is an error.
    pub fn quantity(&self, value: &Value, unit: Option<Unit>, pointer: &str) -> Result<Option<Operand>, Vec<Finding>> {
        let Some((text, unit)) = value.as_str().zip(unit) else { return Ok(None) };
        match parse_quantity(text, unit) {
            Ok(quantity) => Ok(Some(Operand::Literal(Value::Number(quantity)))),
            Err(error @ (QuantityError::WrongUnit { .. } | QuantityError::NotWhole { .. })) => {
                Err(vec![Finding::error("unit-mismatch", error.to_string()).at(self.document().span(pointer), "")])
            }
            Err(QuantityError::NotANumber { .. } | QuantityError::UnknownSuffix { .. }) => Ok(None),
        }
    }

    // A quantity, a number or a list is a literal; any other text is an expression.
    fn operand(
        &self,
        value: &Value,
        pointer: &str,
        wanted: &Type,
        spec: &SettingSpec,
    ) -> Result<Operand, Vec<Finding>> {
        let name = &spec.name;
        if let Value::Array(items) = value
            && matches!(wanted, Type::List(_))
        {
            let literals =
                items.iter().enumerate().map(|(i, item)| self.literal(spec, item, &format!("{pointer}/{i}")));
            return literals.collect::<Result<_, _>>().map(|items| Operand::Literal(Value::Array(items)));
        }
        if let Some(quantity) = self.quantity(value, spec.unit, pointer)? {
            return Ok(quantity);
        }
        if let Value::String(text) = value {
            let expr = self.stable(text, pointer, &[])?;
            fits(&expr, wanted, &format!("the bound of `{name}` is"))?;
            return Ok(Operand::Expr(Box::new(expr)));
        }
        if value.is_number() && wanted.is_number() {
            return Ok(Operand::Literal(value.clone()));
        }
        let finding = Finding::error("mixed-types", format!("the bound of `{name}` must be {wanted}"));
        Err(vec![finding.at(self.document().span(pointer), "")])
    }

    pub fn check(&self, index: usize, entry: &CheckEntry) -> Result<Check, Vec<Finding>> {
        let base = format!("/checks/{index}");
        let mut errors = Errors::default();
        let template = |text: &str, key: &str| {
            let place: ScalarText = self.document().scalar(&format!("{base}/{key}"));
            Template::compile(text, &place, self.language)
        };
        let when =
            entry.when.as_ref().and_then(|text| errors.keep(self.condition(text, &format!("{base}/when"), &[], false)));
        let assert = errors.keep(self.condition(&entry.assert, &format!("{base}/assert"), &[], false));
        let message = errors.keep(template(&entry.message, "message"));
        let help = entry.help.as_ref().and_then(|text| errors.keep(template(text, "help")));
        match (assert, message) {
            (Some(assert), Some(message)) if errors.0.is_empty() => Ok(Check {
                id: entry.id.clone(),
                layer: self.file.layer,
                span: self.document().span(&format!("{base}/id")),
                when,
                assert,
                severity: entry.severity,
                message,
                help,
                why: entry.why.clone(),
                source: entry.source.clone(),
            }),
            _ => Err(errors.0),
        }
    }

    pub fn stack(&self, index: usize, entry: &StackEntry) -> Result<Stack, Vec<Finding>> {
        let base = format!("/stacks/{index}");
        let mut errors = Errors::default();
        let bytes = |text: &str, pointer: &str, what: &str| {
            let expr = self.expr(text, pointer, &[])?;
            fits(&expr, &Type::Int(Some(Unit::Bytes)), &format!("`{what}` of stack `{}` is", entry.id))?;
            Ok(expr)
        };
        let mut settings = Vec::new();
        for (name, text) in &entry.settings {
            let pointer = format!("{base}/settings/{}", escape(name));
            let found = errors.keep(self.setting(name, &pointer));
            let expr = errors.keep(self.expr(text, &pointer, &[]));
            settings.extend(found.zip(expr).map(|((_, spec), expr)| (spec.name.as_str(), expr)));
        }
        let PhasesEntry { encode, denoise, decode } = &entry.phases;
        let phases = [("encode", encode), ("denoise", denoise), ("decode", decode)].map(|(phase, parts)| {
            let mut compiled = Vec::new();
            for (part, text) in parts {
                let pointer = format!("{base}/phases/{phase}/{}", escape(part));
                compiled.extend(errors.keep(bytes(text, &pointer, part)).map(|expr| (part.clone(), expr)));
            }
            compiled
        });
        let time = entry.time.as_ref().map(|time| errors.keep(self.run_time(&entry.id, time, &base)));
        let mut refuses = Vec::new();
        for (i, refusal) in entry.refuses.iter().enumerate() {
            let when = errors.keep(self.condition(&refusal.when, &format!("{base}/refuses/{i}/when"), &[], false));
            refuses.extend(when.map(|when| (when, refusal.why.clone())));
        }
        let spills = errors.keep(self.spills(entry, &base));
        let taken = entry.sizes.as_ref().map(|text| self.sizes(&entry.id, text, &format!("{base}/sizes")));
        let sizes = taken.and_then(|taken| errors.keep(taken));
        let mut own = |text: &str, key: &str| errors.keep(bytes(text, &format!("{base}/{key}"), key));
        let fragmentation = entry.fragmentation.as_ref().and_then(|text| own(text, "fragmentation"));
        let uncertainty = entry.uncertainty.as_ref().and_then(|text| own(text, "uncertainty"));
        let ram_at_best = entry.ram_at_best.as_ref().and_then(|text| own(text, "ram_at_best"));
        let ram_to_load = entry.ram_to_load.as_ref().and_then(|text| own(text, "ram_to_load"));
        let least_ram = entry.least_ram.as_ref().and_then(|text| own(text, "least_ram"));
        let needed = [
            (&entry.context, "context"),
            (&entry.ram, "ram"),
            (&entry.budget, "budget"),
            (&entry.card, "card"),
            (&entry.ram_budget, "ram_budget"),
            (&entry.free, "free"),
        ];
        let needed = needed.map(|(text, key)| own(text, key));
        let ([Some(context), Some(ram), Some(budget), Some(card), Some(ram_budget), Some(free)], Some(spills), true) =
            (needed, spills, errors.0.is_empty())
        else {
            return Err(errors.0);
        };
        let (id, why, time) = (entry.id.clone(), entry.why.clone(), time.flatten());
        let alternatives = entry.alternatives.clone();
        #[rustfmt::skip]
        let stack = Stack {
            id, why, settings, refuses, sizes, alternatives, phases, context, fragmentation, uncertainty, ram, least_ram, ram_to_load, budget,
            card, ram_budget, ram_at_best, free, spills, time,
        };
        Ok(stack)
    }

    fn sizes(&self, stack: &str, text: &str, pointer: &str) -> Result<Expr, Vec<Finding>> {
        let expr = self.expr(text, pointer, &[])?;
        let edges = Type::List(Arc::new(Type::Int(Some(Unit::Pixels))));
        fits(&expr, &Type::List(Arc::new(edges)), &format!("`sizes` of stack `{stack}` is"))?;
        Ok(expr)
    }

    fn spills(&self, entry: &StackEntry, base: &str) -> Result<Expr, Vec<Finding>> {
        let expr = self.expr(&entry.spills, &format!("{base}/spills"), &[])?;
        fits(&expr, &Type::Bool, &format!("`spills` of stack `{}` is", entry.id))?;
        Ok(expr)
    }

    fn run_time(&self, stack: &str, entry: &TimeEntry, base: &str) -> Result<RunTime, Vec<Finding>> {
        let part = |text: &str, key: &str, locals: &[(String, Type)], wanted: Type| {
            let expr = self.expr(text, &format!("{base}/time/{key}"), locals)?;
            fits(&expr, &wanted, &format!("`time.{key}` of stack `{stack}` is"))?;
            Ok::<_, Vec<Finding>>(expr)
        };
        let pace = [("pace".to_owned(), Type::Float(Some(Unit::Ratio)))];
        let seconds = Type::Float(Some(Unit::Seconds));
        Ok(RunTime {
            run: part(&entry.run, "run", &pace, seconds.clone())?,
            load: part(&entry.load, "load", &pace, seconds)?,
            is_published: part(&entry.is_published, "is_published", &[], Type::Bool)?,
        })
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}
