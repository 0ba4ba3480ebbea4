//! Checked expressions → [`Formula`]: which names they compare with which constants.
//!
//! Functions of policy files are written out; `if`, `??`, `min`, `max`, `clamp`, `floor` and `ceil` are carried through
//! comparisons, and numbers are folded. What is left over (a comparison of two facts, a closure, a cell of a table) is
//! opaque under its own text.

use std::any::type_name;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use rhai::{ASTFlags, Expr as Tree, FnCallExpr, Stmt, StmtBlock};

use super::formula::{Constant, Formula, Operator};
use super::types::{Read, Type};
use super::{Expr, Language, Node, Position};
use crate::expr::namespaces::{DATA_NAMESPACE, SETTINGS_NAMESPACE};

/// Largest formula that is written out, in parts; a larger one is opaque.
const MAX_PARTS: usize = 2_000;
/// Deepest nesting of functions that is written out.
const MAX_CALLS: usize = 16;

/// One part of a condition whose parts must all hold, and where it stands in the text.
#[derive(Clone, Debug)]
pub struct Part {
    /// The part.
    pub formula: Formula,
    /// Byte range in the text of the expression.
    pub range: std::ops::Range<usize>,
}

/// An `if` inside an expression.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Its condition.
    pub condition: Formula,
    /// When the `if` is reached and its condition holds.
    pub taken: Formula,
    /// When the `if` is reached and its condition does not hold.
    pub left: Formula,
    /// When the `if` is reached.
    pub reached: Formula,
    /// Byte range of the condition in the text of the expression.
    pub range: std::ops::Range<usize>,
}

// What a part of an expression is.
#[derive(Clone, Debug)]
enum Term {
    Number(f64),
    Text(String),
    Truth(Formula),
    // Whether the values are whole numbers (or lists, which count as their length).
    Name { name: String, whole: bool },
    // scale × term + offset
    Linear { term: Box<Term>, scale: f64, offset: f64 },
    // The smaller of two, or the larger.
    Extreme { largest: bool, of: Box<[Term; 2]> },
    // To a whole number, up or down.
    Rounded { up: bool, term: Box<Term> },
    Choice(Box<(Formula, Term, Term)>),
    List(Vec<Term>),
    Record(BTreeMap<String, Term>),
    Opaque(String),
}

type Locals = HashMap<String, Term>;

struct Lowering<'a> {
    language: &'a Language,
    data: Option<&'a Node>,
    // That of the expression itself.
    text: &'a str,
    depth: usize,
    parts: usize,
    // Which call of which function it is inside of: the text of a body does not tell.
    scope: u64,
}

impl Language {
    /// The condition as a formula; `data` holds the constants of policy files.
    pub fn formula(&self, expr: &Expr, data: Option<&Node>) -> Formula {
        let mut lowering = Lowering { language: self, data, text: expr.text(), depth: 0, parts: 0, scope: 0 };
        let term = lowering.ast(expr);
        truth(term, expr.text())
    }

    /// The parts of a condition that is `a && b && …`, else the whole.
    pub fn parts(&self, expr: &Expr, data: Option<&Node>) -> Vec<Part> {
        let text = expr.text();
        let mut lowering = Lowering { language: self, data, text: expr.text(), depth: 0, parts: 0, scope: 0 };
        let sides = match expr.ast().statements() {
            [Stmt::Expr(tree)] => match &**tree {
                Tree::And(sides, _) => sides.iter().collect(),
                other => vec![other],
            },
            _ => Vec::new(),
        };
        if sides.len() < 2 {
            return vec![Part { formula: self.formula(expr, data), range: 0..text.len() }];
        }
        let starts: Vec<usize> = sides.iter().map(|side| start_of(text, side)).collect();
        let ends = starts[1..].iter().copied().chain([text.len()]);
        let ranges: Vec<_> = starts.iter().copied().zip(ends).map(|(start, end)| trimmed(text, start, end)).collect();
        let formulas = sides.iter().map(|side| {
            let term = lowering.term(side, &Locals::new());
            truth(term, &key(side))
        });
        formulas.collect::<Vec<_>>().into_iter().zip(ranges).map(|(formula, range)| Part { formula, range }).collect()
    }

    /// Every `if` of an expression that is not inside a closure.
    pub fn branches(&self, expr: &Expr, data: Option<&Node>) -> Vec<Branch> {
        let mut lowering = Lowering { language: self, data, text: expr.text(), depth: 0, parts: 0, scope: 0 };
        let mut branches = Vec::new();
        for statement in expr.ast().statements() {
            lowering.branches(statement, &mut Vec::new(), &mut branches);
        }
        // The condition ends where its block begins.
        for branch in &mut branches {
            let end =
                expr.text()[branch.range.start..].find('{').map_or(branch.range.end, |at| branch.range.start + at);
            branch.range = trimmed(expr.text(), branch.range.start, end);
        }
        branches
    }
}

impl Lowering<'_> {
    fn ast(&mut self, expr: &Expr) -> Term {
        match expr.ast().statements() {
            [statement] => self.statement(statement, &Locals::new()),
            _ => Term::Opaque(expr.text().to_owned()),
        }
    }

    fn statement(&mut self, statement: &Stmt, locals: &Locals) -> Term {
        match statement {
            Stmt::Expr(tree) => self.term(tree, locals),
            Stmt::FnCall(call, _) => self.call(call, None, locals, call),
            Stmt::Block(block) => self.block(block, locals),
            Stmt::If(flow, _) => {
                let condition = self.term(&flow.expr, locals);
                let condition = truth(condition, &key(&flow.expr));
                let (yes, no) = (self.block(&flow.body, locals), self.block(&flow.branch, locals));
                self.choice(condition, yes, no)
            }
            other => self.opaque(locals, other),
        }
    }

    fn block(&mut self, block: &StmtBlock, locals: &Locals) -> Term {
        match block.statements() {
            [statement] => self.statement(statement, locals),
            _ => self.opaque(locals, block),
        }
    }

    fn choice(&mut self, condition: Formula, yes: Term, no: Term) -> Term {
        match condition {
            Formula::Constant(true) => yes,
            Formula::Constant(false) => no,
            condition => Term::Choice(Box::new((condition, yes, no))),
        }
    }

    fn opaque<T: fmt::Debug>(&self, locals: &Locals, part: &T) -> Term {
        if locals.is_empty() {
            return Term::Opaque(without_positions(&format!("{part:?}")));
        }
        // A part of the body of a function is told by where it lies, which costs less than its text.
        let mut hasher = DefaultHasher::new();
        (self.scope, std::ptr::from_ref(part), type_name::<T>()).hash(&mut hasher);
        Term::Opaque(format!("#{:x}", hasher.finish()))
    }

    fn term(&mut self, tree: &Tree, locals: &Locals) -> Term {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return self.opaque(locals, tree);
        }
        match tree {
            Tree::BoolConstant(holds, _) => Term::Truth(Formula::Constant(*holds)),
            Tree::IntegerConstant(number, _) => Term::Number(*number as f64),
            Tree::FloatConstant(number, _) => Term::Number(**number),
            Tree::StringConstant(text, _) => Term::Text(text.to_string()),
            Tree::Array(items, _) => Term::List(items.iter().map(|item| self.term(item, locals)).collect()),
            Tree::Map(entries, _) => {
                let fields = entries.0.iter().map(|(name, value)| (name.name.to_string(), self.term(value, locals)));
                Term::Record(fields.collect())
            }
            Tree::Variable(..) | Tree::Dot(..) => self.chain(tree, locals),
            Tree::And(sides, _) | Tree::Or(sides, _) => {
                let sides = sides.iter().map(|side| {
                    let term = self.term(side, locals);
                    truth(term, &key(side))
                });
                let sides = sides.collect();
                Term::Truth(if matches!(tree, Tree::And(..)) { Formula::All(sides) } else { Formula::Any(sides) })
            }
            Tree::Coalesce(sides, _) => {
                let mut terms: Vec<Term> = sides.iter().map(|side| self.term(side, locals)).collect();
                let Some(last) = terms.pop() else { return self.opaque(locals, tree) };
                terms.into_iter().rev().fold(last, |rest, term| {
                    let known = known(&term);
                    self.choice(known, term, rest)
                })
            }
            Tree::FnCall(call, _) => self.call(call, None, locals, tree),
            Tree::Stmt(block) => self.block(block, locals),
            other => self.opaque(locals, other),
        }
    }

    // A name with its fields, and what is called on it.
    fn chain(&mut self, tree: &Tree, locals: &Locals) -> Term {
        let Some((root, fields, method)) = flat(tree) else { return self.opaque(locals, tree) };
        let base = match locals.get(root) {
            Some(local) => fields.iter().try_fold(local.clone(), |term, field| field_of(&term, field)),
            None => self.name(root, &fields),
        };
        match (base, method) {
            (Some(base), Some(call)) => self.call(call, Some(base), locals, tree),
            (Some(base), None) => base,
            (None, _) => self.opaque(locals, tree),
        }
    }

    // A fact, a setting or a constant of `data`.
    fn name(&self, root: &str, fields: &[&str]) -> Option<Term> {
        let mut field = self.language.namespaces.get(root)?;
        for name in fields {
            let Type::Record(record) = &field.ty else { return None };
            field = record.fields.get(*name)?;
        }
        if root == DATA_NAMESPACE {
            let value = self.data?.value(fields.first()?)?;
            let number = value.as_float().ok().or_else(|| value.as_int().ok().map(|n| n as f64));
            return number.map(Term::Number).or_else(|| Some(Term::Text(value.clone().into_string().ok()?)));
        }
        let name = match field.read.as_ref()? {
            Read::Fact(name) => name.clone(),
            Read::Setting(name) => format!("{SETTINGS_NAMESPACE}.{name}"),
            Read::Data(_) | Read::Function(_) => return None,
        };
        Some(match field.ty {
            Type::Bool => Term::Truth(Formula::Compare(name, Operator::Equal, Constant::Bool(true))),
            Type::Int(_) | Type::List(_) => Term::Name { name, whole: true },
            _ => Term::Name { name, whole: false },
        })
    }

    fn call(&mut self, call: &FnCallExpr, receiver: Option<Term>, locals: &Locals, part: &impl fmt::Debug) -> Term {
        let mut terms: Vec<Term> = receiver.into_iter().collect();
        terms.extend(call.args.iter().map(|argument| self.term(argument, locals)));
        let name = call.name.as_str();
        let unknown = match self.opaque(locals, part) {
            Term::Opaque(text) => text,
            _ => name.to_owned(),
        };
        match (name, terms.as_slice()) {
            ("!", [operand]) => Term::Truth(truth(operand.clone(), &unknown).negated()),
            ("==" | "!=" | "<" | "<=" | ">" | ">=", [left, right]) => {
                Term::Truth(self.compare(operator(name), left, right, &unknown))
            }
            ("contains", [Term::List(items), wanted]) | ("contains", [wanted, Term::List(items)])
                if items.iter().all(|item| matches!(item, Term::Number(_) | Term::Text(_))) =>
            {
                let equal = |item| self.compare(Operator::Equal, wanted, item, &unknown);
                Term::Truth(Formula::Any(items.iter().map(equal).collect()))
            }
            ("version_at_least", [Term::Name { name, .. }, Term::Text(wanted)]) => {
                let wanted = Constant::Text(wanted.clone());
                Term::Truth(Formula::Compare(name.clone(), Operator::VersionAtLeast, wanted))
            }
            ("known", [term]) => Term::Truth(known(term)),
            ("len", [Term::List(items)]) => Term::Number(items.len() as f64),
            // That of a list; that of a text is opaque.
            ("len", [Term::Name { whole: true, .. }]) | ("float", [_]) => {
                linear("+", &terms[0], &Term::Number(0.0)).unwrap_or(Term::Opaque(unknown))
            }
            ("min" | "max", [a, b]) => extreme(name == "max", a, b).unwrap_or(Term::Opaque(unknown)),
            ("clamp", [x, low, high]) => {
                let raised = extreme(true, x, low);
                raised.and_then(|x| extreme(false, &x, high)).unwrap_or(Term::Opaque(unknown))
            }
            ("floor" | "ceil", [x]) => rounded(name == "ceil", x).unwrap_or(Term::Opaque(unknown)),
            (_, numbers) if numbers.iter().all(|term| matches!(term, Term::Number(_))) && !numbers.is_empty() => {
                let numbers: Vec<f64> = numbers
                    .iter()
                    .filter_map(|term| if let Term::Number(n) = term { Some(*n) } else { None })
                    .collect();
                fold(name, &numbers).map_or_else(|| self.function(name, terms, unknown.clone()), Term::Number)
            }
            ("+" | "-" | "*" | "/", [left, right]) => linear(name, left, right).unwrap_or(Term::Opaque(unknown)),
            _ => self.function(name, terms, unknown),
        }
    }

    // A function of a policy file, written out.
    fn function(&mut self, name: &str, arguments: Vec<Term>, unknown: String) -> Term {
        let language = self.language;
        let Some(signature) = language.functions.get(name) else { return Term::Opaque(unknown) };
        if self.depth >= MAX_CALLS {
            return Term::Opaque(unknown);
        }
        self.depth += 1;
        let mut hasher = DefaultHasher::new();
        (name, format!("{arguments:?}")).hash(&mut hasher);
        let outer = std::mem::replace(&mut self.scope, hasher.finish());
        let locals: Locals =
            signature.parameters.iter().map(|(parameter, _)| parameter.clone()).zip(arguments).collect();
        let term = match signature.body.ast().statements() {
            [statement] => self.statement(statement, &locals),
            _ => Term::Opaque(unknown),
        };
        self.depth -= 1;
        self.scope = outer;
        term
    }

    fn compare(&mut self, operator: Operator, left: &Term, right: &Term, text: &str) -> Formula {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Formula::Opaque(text.to_owned());
        }
        match (left, right) {
            (Term::Choice(choice), other) => {
                let (condition, yes, no) = &**choice;
                let yes = self.compare(operator, yes, other, &format!("{text}/yes"));
                let no = self.compare(operator, no, other, &format!("{text}/no"));
                Formula::If(Box::new([condition.clone(), yes, no]))
            }
            (other, Term::Choice(_)) => self.compare(operator.mirrored(), right, other, text),
            (Term::Number(a), Term::Number(b)) => {
                Formula::Constant(operator.holds(&Constant::Number(*a), &Constant::Number(*b)))
            }
            (Term::Text(a), Term::Text(b)) => {
                Formula::Constant(operator.holds(&Constant::Text(a.clone()), &Constant::Text(b.clone())))
            }
            (Term::Name { name, .. }, Term::Number(number)) => {
                Formula::Compare(name.clone(), operator, Constant::Number(*number))
            }
            (Term::Linear { term, scale, offset }, Term::Number(number)) if *scale != 0.0 => {
                let operator = if *scale < 0.0 { operator.mirrored() } else { operator };
                self.compare(operator, term, &Term::Number((number - offset) / scale), text)
            }
            (Term::Extreme { .. } | Term::Rounded { .. }, Term::Number(_)) if operator == Operator::Equal => {
                let least = self.compare(Operator::AtLeast, left, right, &format!("{text}/least"));
                let most = self.compare(Operator::AtMost, left, right, &format!("{text}/most"));
                least.both(most)
            }
            (Term::Extreme { .. } | Term::Rounded { .. }, Term::Number(_)) if operator == Operator::NotEqual => {
                self.compare(Operator::Equal, left, right, text).negated()
            }
            (Term::Extreme { largest, of }, Term::Number(_)) => {
                let [a, b] = &**of;
                let a = self.compare(operator, a, right, &format!("{text}/a"));
                let b = self.compare(operator, b, right, &format!("{text}/b"));
                let is_above = matches!(operator, Operator::AtLeast | Operator::Greater);
                if *largest == is_above { a.either(b) } else { a.both(b) }
            }
            (Term::Rounded { up, term }, Term::Number(number)) => {
                let (operator, number) = unrounded(*up, operator, *number);
                self.compare(operator, term, &Term::Number(number), text)
            }
            (Term::Name { name, .. }, Term::Text(text)) => {
                Formula::Compare(name.clone(), operator, Constant::Text(text.clone()))
            }
            (Term::Text(_), Term::Name { .. }) => self.compare(operator.mirrored(), right, left, text),
            (Term::Number(_), term) if term.is_number() => self.compare(operator.mirrored(), right, left, text),
            (Term::Truth(a), Term::Truth(b)) if matches!(operator, Operator::Equal | Operator::NotEqual) => {
                let same = Formula::If(Box::new([a.clone(), b.clone(), b.clone().negated()]));
                if operator == Operator::Equal { same } else { same.negated() }
            }
            _ => Formula::Opaque(text.to_owned()),
        }
    }

    fn branches(&mut self, statement: &Stmt, path: &mut Vec<Formula>, found: &mut Vec<Branch>) {
        match statement {
            Stmt::If(flow, _) => {
                let term = self.term(&flow.expr, &Locals::new());
                let condition = truth(term, &key(&flow.expr));
                let with = |path: &[Formula], last: Formula| Formula::All(path.iter().cloned().chain([last]).collect());
                found.push(Branch {
                    condition: condition.clone(),
                    taken: with(path, condition.clone()),
                    left: with(path, condition.clone().negated()),
                    reached: Formula::All(path.clone()),
                    range: super::range_of(self.text, start(&flow.expr)),
                });
                for (block, held) in [(&flow.body, condition.clone()), (&flow.branch, condition.negated())] {
                    path.push(held);
                    for statement in block.statements() {
                        self.branches(statement, path, found);
                    }
                    path.pop();
                }
            }
            Stmt::Block(block) => {
                for statement in block.statements() {
                    self.branches(statement, path, found);
                }
            }
            Stmt::Expr(tree) => self.branches_of(tree, path, found),
            Stmt::FnCall(call, _) => {
                for argument in call.args.iter() {
                    self.branches_of(argument, path, found);
                }
            }
            _ => {}
        }
    }

    fn branches_of(&mut self, tree: &Tree, path: &mut Vec<Formula>, found: &mut Vec<Branch>) {
        match tree {
            Tree::Stmt(block) => {
                for statement in block.statements() {
                    self.branches(statement, path, found);
                }
            }
            Tree::FnCall(call, _) | Tree::MethodCall(call, _) => {
                for argument in call.args.iter() {
                    self.branches_of(argument, path, found);
                }
            }
            Tree::And(sides, _) | Tree::Or(sides, _) | Tree::Coalesce(sides, _) => {
                for side in sides.iter() {
                    self.branches_of(side, path, found);
                }
            }
            Tree::Dot(chain, ..) | Tree::Index(chain, ..) => {
                self.branches_of(&chain.lhs, path, found);
                self.branches_of(&chain.rhs, path, found);
            }
            Tree::Array(items, _) => items.iter().for_each(|item| self.branches_of(item, path, found)),
            Tree::Map(entries, _) => entries.0.iter().for_each(|(_, value)| self.branches_of(value, path, found)),
            _ => {}
        }
    }
}

fn operator(name: &str) -> Operator {
    match name {
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::AtMost,
        ">" => Operator::Greater,
        ">=" => Operator::AtLeast,
        _ => Operator::Equal,
    }
}

// A term that is true or false; the text is that of one that is opaque.
fn truth(term: Term, text: &str) -> Formula {
    match term {
        Term::Truth(formula) => formula,
        Term::Choice(choice) => {
            let (condition, yes, no) = *choice;
            let (yes, no) = (truth(yes, &format!("{text}/yes")), truth(no, &format!("{text}/no")));
            Formula::If(Box::new([condition, yes, no]))
        }
        Term::Opaque(text) => Formula::Opaque(text),
        _ => Formula::Opaque(text.to_owned()),
    }
}

// Whether a term is known. An operator or a function does not run on something unknown, so that it gives nothing.
fn known(term: &Term) -> Formula {
    match term {
        Term::Number(_) | Term::Text(_) | Term::List(_) | Term::Record(_) => Formula::Constant(true),
        Term::Name { name, .. } | Term::Truth(Formula::Compare(name, Operator::Equal, Constant::Bool(true))) => {
            Formula::Known(name.clone())
        }
        Term::Truth(formula) => formula.clone().is_decided(),
        Term::Linear { term, .. } | Term::Rounded { term, .. } => given(term),
        Term::Extreme { of, .. } => given(&of[0]).both(given(&of[1])),
        Term::Choice(choice) => {
            let (condition, yes, no) = &**choice;
            Formula::If(Box::new([condition.clone(), known(yes), known(no)]))
        }
        Term::Opaque(text) => Formula::Opaque(format!("known {text}")),
    }
}

// True where the operand of a function is known; elsewhere it gives nothing.
fn given(term: &Term) -> Formula {
    match term {
        Term::Name { name, .. } => Formula::Compare(name.clone(), Operator::Equal, Constant::Number(0.0)).is_decided(),
        Term::Choice(choice) => {
            let (condition, yes, no) = &**choice;
            Formula::If(Box::new([condition.clone(), given(yes), given(no)]))
        }
        Term::Opaque(text) => Formula::Opaque(format!("given {text}")).is_decided(),
        strict => known(strict),
    }
}

fn field_of(term: &Term, field: &str) -> Option<Term> {
    match term {
        Term::Record(fields) => fields.get(field).cloned(),
        Term::Choice(choice) => {
            let (condition, yes, no) = &**choice;
            let (yes, no) = (field_of(yes, field)?, field_of(no, field)?);
            Some(Term::Choice(Box::new((condition.clone(), yes, no))))
        }
        _ => None,
    }
}

// A chain of fields: its root, the fields, and the call at its end.
fn flat(tree: &Tree) -> Option<(&str, Vec<&str>, Option<&FnCallExpr>)> {
    fn rest<'a>(tree: &'a Tree, fields: &mut Vec<&'a str>) -> Option<Option<&'a FnCallExpr>> {
        match tree {
            Tree::Property(property, _) => {
                fields.push(property.2.as_str());
                Some(None)
            }
            Tree::MethodCall(call, _) => Some(Some(call)),
            Tree::Dot(chain, flags, _) if !flags.contains(ASTFlags::NEGATED) => match rest(&chain.lhs, fields)? {
                None => rest(&chain.rhs, fields),
                Some(_) => None,
            },
            _ => None,
        }
    }
    match tree {
        Tree::Variable(variable, ..) => Some((variable.1.as_str(), Vec::new(), None)),
        Tree::Dot(chain, flags, _) if !flags.contains(ASTFlags::NEGATED) => {
            let Tree::Variable(variable, ..) = &chain.lhs else { return None };
            let mut fields = Vec::new();
            let call = rest(&chain.rhs, &mut fields)?;
            Some((variable.1.as_str(), fields, call))
        }
        _ => None,
    }
}

fn fold(name: &str, numbers: &[f64]) -> Option<f64> {
    Some(match (name, numbers) {
        ("gib", [n]) => (n * f64::from(1_u32 << 30)).floor(),
        ("mib", [n]) => (n * f64::from(1_u32 << 20)).floor(),
        ("+", [a, b]) => a + b,
        ("-", [a, b]) => a - b,
        ("-", [a]) => -a,
        ("*", [a, b]) => a * b,
        ("/", [a, b]) if *b != 0.0 => a / b,
        _ => return None,
    })
}

impl Term {
    // A number that rests on names.
    fn is_number(&self) -> bool {
        matches!(self, Self::Name { .. } | Self::Linear { .. } | Self::Extreme { .. } | Self::Rounded { .. })
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Number(number) => number.fract() == 0.0,
            Self::Name { whole, .. } => *whole,
            Self::Linear { term, scale, offset } => term.is_whole() && scale.fract() == 0.0 && offset.fract() == 0.0,
            Self::Extreme { of, .. } => of.iter().all(Self::is_whole),
            Self::Rounded { .. } => true,
            Self::Choice(choice) => choice.1.is_whole() && choice.2.is_whole(),
            Self::Text(_) | Self::Truth(_) | Self::List(_) | Self::Record(_) | Self::Opaque(_) => false,
        }
    }

    // What a function makes of it, whichever branch it comes from.
    fn each(&self, function: impl Fn(&Self) -> Option<Self>) -> Option<Self> {
        match self {
            Self::Choice(choice) => {
                let (condition, yes, no) = &**choice;
                Some(Self::Choice(Box::new((condition.clone(), function(yes)?, function(no)?))))
            }
            term => function(term),
        }
    }
}

// A sum or multiple of a number that rests on names.
fn linear(operator: &str, left: &Term, right: &Term) -> Option<Term> {
    let (term, number, term_first) = match (left, right) {
        (Term::Number(a), Term::Number(b)) => return fold(operator, &[*a, *b]).map(Term::Number),
        (Term::Choice(_), other) => return left.each(|branch| linear(operator, branch, other)),
        (other, Term::Choice(_)) => return right.each(|branch| linear(operator, other, branch)),
        (term, Term::Number(number)) if term.is_number() => (term, *number, true),
        (Term::Number(number), term) if term.is_number() => (term, *number, false),
        _ => return None,
    };
    let (term, scale, offset) = match term {
        Term::Linear { term, scale, offset } => (term.clone(), *scale, *offset),
        term => (Box::new(term.clone()), 1.0, 0.0),
    };
    let (scale, offset) = match (operator, term_first) {
        ("+", _) => (scale, offset + number),
        ("-", true) => (scale, offset - number),
        ("-", false) => (-scale, number - offset),
        ("*", _) => (scale * number, offset * number),
        ("/", true) if number != 0.0 => (scale / number, offset / number),
        _ => return None,
    };
    Some(Term::Linear { term, scale, offset })
}

// The smaller or larger of two numbers, one of which may be opaque.
fn extreme(largest: bool, a: &Term, b: &Term) -> Option<Term> {
    let is_number = |term: &Term| term.is_number() || matches!(term, Term::Number(_) | Term::Choice(_));
    match (a, b) {
        (Term::Number(a), Term::Number(b)) => Some(Term::Number(if largest { a.max(*b) } else { a.min(*b) })),
        (Term::Opaque(_), other) | (other, Term::Opaque(_)) if !is_number(other) => None,
        _ => Some(Term::Extreme { largest, of: Box::new([a.clone(), b.clone()]) }),
    }
}

fn rounded(up: bool, term: &Term) -> Option<Term> {
    match term {
        Term::Number(number) => Some(Term::Number(if up { number.ceil() } else { number.floor() })),
        Term::Choice(_) => term.each(|branch| rounded(up, branch)),
        // One that is whole stays what it is.
        term if term.is_whole() => linear("+", term, &Term::Number(0.0)),
        term if term.is_number() => Some(Term::Rounded { up, term: Box::new(term.clone()) }),
        _ => None,
    }
}

// The comparison of a number that says the same as one of it rounded.
fn unrounded(up: bool, operator: Operator, number: f64) -> (Operator, f64) {
    match (up, operator) {
        (true, Operator::AtLeast) => (Operator::Greater, number.ceil() - 1.0),
        (true, Operator::Less) => (Operator::AtMost, number.ceil() - 1.0),
        (true, operator) => (operator, number.floor()),
        (false, Operator::Greater) => (Operator::AtLeast, number.floor() + 1.0),
        (false, Operator::AtMost) => (Operator::Less, number.floor() + 1.0),
        (false, operator) => (operator, number.ceil()),
    }
}

// The text that tells two opaque parts apart.
fn key(tree: &Tree) -> String {
    without_positions(&format!("{tree:?}"))
}

// Rhai shows `@ line:column` behind each part of a tree.
fn without_positions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(" @ ") {
        out.push_str(&rest[..at]);
        rest = rest[at + 3..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    }
    out + rest
}

fn start_of(text: &str, tree: &Tree) -> usize {
    super::range_of(text, start(tree)).start
}

// Rhai says of an operator where it stands itself; its left side stands before it.
fn start(tree: &Tree) -> Position {
    match tree {
        Tree::FnCall(call, _) if call.op_token.is_some() && call.args.len() > 1 => start(&call.args[0]),
        Tree::And(sides, _) | Tree::Or(sides, _) | Tree::Coalesce(sides, _) => {
            sides.first().map_or(Position::NONE, start)
        }
        Tree::Dot(chain, ..) | Tree::Index(chain, ..) => start(&chain.lhs),
        other => other.start_position(),
    }
}

// The text of one side of `&&`: without the operator behind it and without brackets that close nothing.
fn trimmed(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    let start = start.min(end);
    let mut end = start + text[start..end].trim_end().trim_end_matches("&&").trim_end().len();
    while text[start..end].ends_with('(') {
        end = start + text[start..end - 1].trim_end().trim_end_matches("&&").trim_end().len();
    }
    while text[start..end].ends_with(')')
        && text[start..end].matches(')').count() > text[start..end].matches('(').count()
    {
        end = start + text[start..end - 1].trim_end().len();
    }
    start..end
}
