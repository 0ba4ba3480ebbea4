//! Expressions: text and the names in scope → a checked [`Expr`]; an `Expr` and a machine's facts → a value.
//!
//! This is the only place that says `rhai`. Rhai parses; `check` admits what a policy needs and types it; [`runtime`]
//! evaluates on Rhai with strict comparisons, unknown facts and a budget of operations.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

pub use rhai::Dynamic;
use rhai::{AST, Engine, ParseErrorType, Position};
use serde_json::Value;

mod check;
pub mod formula;
pub mod functions;
mod lower;
pub mod namespaces;
pub mod runtime;
pub mod types;

pub use formula::Formula;
pub use lower::{Branch, Part};
pub use runtime::{Comparison, EvalError, Evaluation, Node, Slot};
pub use types::{Field, Read, Record, Type};

use crate::diag::{Finding, Span};
use crate::facts::units::Unit;
use crate::yaml::ScalarText;

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Expr {
    ast: AST,
    text: String,
    place: ScalarText,
    ty: Type,
    reads: BTreeSet<Read>,
    units: HashMap<(usize, usize), Unit>,
}

impl Expr {
    fn ast(&self) -> &AST {
        &self.ast
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Type of its value.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// What it reads itself; what the functions it calls read is theirs.
    pub fn reads(&self) -> &BTreeSet<Read> {
        &self.reads
    }

    /// The whole expression in its file.
    pub fn span(&self) -> Span {
        self.place.span()
    }

    /// A place inside the expression in its file; the whole expression without a position.
    pub fn span_at(&self, position: Option<(usize, usize)>) -> Span {
        match position {
            Some(position) => self.place.locate(word_at(&self.text, position)),
            None => self.place.span(),
        }
    }

    /// A part of the text in its file.
    pub fn span_of(&self, range: Range<usize>) -> Span {
        self.place.locate(range)
    }

    // The unit in which the operands of the operator at a line and column are.
    fn unit_at(&self, position: (usize, usize)) -> Option<Unit> {
        self.units.get(&position).copied()
    }
}

/// A literal, or an expression.
#[derive(Clone, Debug)]
pub enum Operand {
    /// As it stands in the file, in the canonical unit.
    Literal(Value),
    /// Evaluated for each machine.
    Expr(Box<Expr>),
}

impl Operand {
    /// The expression, if it is one.
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            Self::Expr(expr) => Some(expr),
            Self::Literal(_) => None,
        }
    }
}

/// A function of a policy file: what it takes and gives.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Parameters in order.
    pub parameters: Vec<(String, Type)>,
    /// Type of the result.
    pub result: Type,
    /// What the body reads, the functions it calls included.
    pub reads: BTreeSet<Read>,
    /// The body.
    pub body: Expr,
}

/// The language of one set of policies: the names that exist, the functions, and the engine.
pub struct Language {
    engine: Engine,
    namespaces: BTreeMap<String, Field>,
    functions: BTreeMap<String, Signature>,
    // Names of the rows of each table, by the title of a row.
    rows: BTreeMap<String, BTreeSet<String>>,
}

/// An expression that parsed, before its names are resolved.
pub struct Parsed {
    ast: AST,
    text: String,
    place: ScalarText,
}

impl Parsed {
    /// Names of the functions that the expression calls, in no order. Over-approximates: builtins are among them.
    pub fn calls(&self) -> BTreeSet<String> {
        let mut calls = BTreeSet::new();
        self.ast.walk(&mut |path| {
            let call = match path.last() {
                Some(rhai::ASTNode::Expr(rhai::Expr::FnCall(call, _) | rhai::Expr::MethodCall(call, _))) => Some(call),
                Some(rhai::ASTNode::Stmt(rhai::Stmt::FnCall(call, _))) => Some(call),
                _ => None,
            };
            calls.extend(call.map(|call| call.name.to_string()));
            true
        });
        calls
    }
}

impl Language {
    /// A language with these namespaces and no function of a policy file.
    pub fn new(namespaces: BTreeMap<String, Field>) -> Self {
        Self { engine: runtime::engine(&namespaces), namespaces, functions: BTreeMap::new(), rows: BTreeMap::new() }
    }

    /// Makes the names of a table's rows known, so that one that is written out and misspelt is an error at load.
    pub fn name_rows(&mut self, title: impl Into<String>, names: BTreeSet<String>) {
        self.rows.insert(title.into(), names);
    }

    /// Parses an expression.
    ///
    /// # Errors
    /// The finding `expression-syntax` at its place.
    pub fn parse(&self, text: &str, place: &ScalarText) -> Result<Parsed, Finding> {
        match self.engine.compile_expression(text) {
            Ok(ast) => Ok(Parsed { ast, text: text.to_owned(), place: place.clone() }),
            Err(error) => {
                let span = place.locate(range_of(text, error.1));
                let (message, help) = syntax_message(text, &error.0);
                Err(Finding::error("expression-syntax", message).at(span, "").maybe_help(help))
            }
        }
    }

    /// Resolves the names of a parsed expression, in which the given locals stand for values, and types it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each at its place.
    pub fn check(&self, parsed: Parsed, locals: &[(String, Type)]) -> Result<Expr, Vec<Finding>> {
        let Parsed { ast, text, place } = parsed;
        match check::check(self, &ast, locals) {
            Ok(checked) => Ok(Expr { ast, text, place, ty: checked.ty, reads: checked.reads, units: checked.units }),
            Err(problems) => Err(problems
                .into_iter()
                .map(|problem| {
                    let span = place.locate(range_of(&text, problem.position));
                    Finding::error(problem.code, problem.message).at(span, "").maybe_help(problem.help)
                })
                .collect()),
        }
    }

    /// Parses and checks an expression.
    ///
    /// # Errors
    /// Everything that is wrong with it, each at its place.
    pub fn compile(&self, text: &str, place: &ScalarText, locals: &[(String, Type)]) -> Result<Expr, Vec<Finding>> {
        let parsed = self.parse(text, place).map_err(|finding| vec![finding])?;
        self.check(parsed, locals)
    }

    /// Makes a checked expression callable under a name, with the type that it is declared to give. The functions it calls
    /// must have been defined before.
    pub fn define(&mut self, name: &str, parameters: Vec<(String, Type)>, body: Expr, result: Type) {
        let names = parameters.iter().map(|(name, _)| name.clone()).collect();
        let reads = self.all_reads(&body);
        runtime::register_function(&mut self.engine, name, names, body.ast.clone());
        self.functions.insert(name.to_owned(), Signature { parameters, result, reads, body });
    }

    /// The function of a policy file of that name.
    pub fn function(&self, name: &str) -> Option<&Signature> {
        self.functions.get(name)
    }

    /// The functions of policy files, by name.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &Signature)> {
        self.functions.iter().map(|(name, signature)| (name.as_str(), signature))
    }

    /// Whether a word can name a function, parameter or table: an identifier that is no word of the language.
    pub fn is_name(&self, word: &str) -> bool {
        let plain = word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let parsed = self.engine.compile_expression(word);
        plain
            && parsed.is_ok_and(
                |ast| matches!(ast.statements(), [rhai::Stmt::Expr(e)] if matches!(**e, rhai::Expr::Variable(..))),
            )
    }

    /// Whether a name is taken by a namespace.
    pub fn is_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// What the expression reads, the functions it calls included.
    pub fn all_reads(&self, expr: &Expr) -> BTreeSet<Read> {
        let mut reads = expr.reads.clone();
        for read in &expr.reads {
            if let Read::Function(name) = read
                && let Some(signature) = self.functions.get(name)
            {
                reads.extend(signature.reads.iter().cloned());
            }
        }
        reads
    }

    /// Starts an evaluation over these namespaces, with room for so many settings.
    pub fn evaluation(&self, namespaces: HashMap<String, Slot>, settings: usize) -> Evaluation<'_> {
        Evaluation::new(&self.engine, namespaces, settings)
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let functions: Vec<_> = self.functions.keys().collect();
        f.debug_struct("Language").field("functions", &functions).finish_non_exhaustive()
    }
}

// Rhai's position → the byte range of the word that begins there.
fn range_of(text: &str, position: Position) -> Range<usize> {
    word_at(text, (position.line().unwrap_or(1), position.position().unwrap_or(1)))
}

fn word_at(text: &str, (line, column): (usize, usize)) -> Range<usize> {
    let line_start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[line_start.min(text.len())..];
    let start = line_start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(i, _)| i);
    let word = text[start..].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len() - start);
    let length = match word {
        0 => text[start..].chars().next().map_or(0, char::len_utf8),
        word => word,
    };
    start..start + length
}

fn syntax_message(text: &str, error: &ParseErrorType) -> (String, Option<String>) {
    if text.trim().is_empty() {
        return ("the expression is empty".to_owned(), None);
    }
    let mut message = error.to_string();
    if let Some(first) = message.chars().next() {
        message.replace_range(..first.len_utf8(), &first.to_lowercase().to_string());
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let help = if text.contains('?') && !text.contains("??") && text.contains(':') {
        Some("there is no `? :`; write `if … { … } else { … }`")
    } else if words.contains(&"and") || words.contains(&"or") || words.contains(&"not") {
        Some("write `&&`, `||` and `!`")
    } else if words.first() == Some(&"let") || words.contains(&"=") {
        Some("a policy cannot assign; to compare write `==`, to name a step define a function under `functions:`")
    } else {
        None
    };
    (message, help.map(str::to_owned))
}

/// A record type of these fields.
pub fn record(title: impl Into<String>, namespace: bool, fields: BTreeMap<String, Field>) -> Type {
    Type::Record(Arc::new(Record { title: title.into(), namespace, fields }))
}
