//! What an expression may contain, and its type: one walk over Rhai's tree.
//!
//! The walk is an accept-list. What a policy needs passes: literals (numbers, texts, lists, records), names, fields,
//! indices, operators, `if`/`else`, `??`, `in`, calls of known functions, closures as arguments. Everything else is refused by name. On the way every
//! name is resolved, so a misspelt one is an error at load and never a silent `()`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rhai::{AST, ASTFlags, ASTNode, BinaryExpr, Expr as Tree, FnCallExpr, FnPtr, Position, Stmt, StmtBlock};

use super::types::{Field, Read, Record, Type, unit_of_product, unit_of_quotient};
use super::{Language, functions};
use crate::diag::{did_you_mean, nearest};
use crate::facts::units::Unit;

/// Something wrong with an expression, at a position of its text.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
    pub position: Position,
}

/// What the walk found out.
#[derive(Debug)]
pub(super) struct Checked {
    pub ty: Type,
    pub reads: BTreeSet<Read>,
    /// Unit of the operands of the comparison at a line and column.
    pub units: HashMap<(usize, usize), Unit>,
}

/// Checks an expression in which the given locals stand for values.
pub(super) fn check(language: &Language, ast: &AST, locals: &[(String, Type)]) -> Result<Checked, Vec<Problem>> {
    let Some(closures) = closures(ast) else {
        let message = "a closure with several statements cannot be used in a policy".to_owned();
        return Err(vec![Problem { code: "expression-syntax", message, help: None, position: Position::START }]);
    };
    let mut checker = Checker {
        language,
        closures,
        locals: vec![locals.iter().cloned().collect()],
        roots: Vec::new(),
        problems: Vec::new(),
        reads: BTreeSet::new(),
        units: HashMap::new(),
    };
    let ty = match ast.statements() {
        [statement] => checker.statement(statement),
        _ => checker.problem("expression-syntax", Position::START, "the expression is empty", None),
    };
    if checker.problems.is_empty() {
        Ok(Checked { ty, reads: checker.reads, units: checker.units })
    } else {
        Err(checker.problems)
    }
}

// A closure as Rhai keeps it: names bound from outside come first among the parameters.
struct Closure {
    parameters: Vec<String>,
    body: Stmt,
}

// Rhai makes each closure a function of the tree, but keeps the type of its body to itself; the walk over the tree
// visits the statement of the expression first and then those of the functions, in their order.
fn closures(ast: &AST) -> Option<HashMap<String, Arc<Closure>>> {
    let mut bodies = Vec::new();
    ast.walk(&mut |path| {
        if let [ASTNode::Stmt(statement)] = path {
            bodies.push((*statement).clone());
        }
        true
    });
    let bodies = bodies.split_off(ast.statements().len().min(bodies.len()));
    let definitions: Vec<_> = ast.iter_fn_def().collect();
    (definitions.len() == bodies.len()).then(|| {
        let closures = definitions.iter().zip(bodies).map(|(definition, body)| {
            let parameters = definition.params.iter().map(ToString::to_string).collect();
            (definition.name.to_string(), Arc::new(Closure { parameters, body }))
        });
        closures.collect()
    })
}

struct Checker<'a> {
    language: &'a Language,
    closures: HashMap<String, Arc<Closure>>,
    locals: Vec<BTreeMap<String, Type>>,
    // The locals at whose fields the chains under way began.
    roots: Vec<Option<String>>,
    problems: Vec<Problem>,
    reads: BTreeSet<Read>,
    units: HashMap<(usize, usize), Unit>,
}

impl Checker<'_> {
    // Records the problem and goes on with a type that fits everywhere, so that one mistake is reported once.
    fn problem(
        &mut self,
        code: &'static str,
        position: Position,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Type {
        self.problems.push(Problem { code, message: message.into(), help, position });
        Type::Any
    }

    fn refuse(&mut self, what: &str, position: Position) -> Type {
        self.problem("expression-syntax", position, format!("{what} cannot be used in a policy"), None)
    }

    fn statement(&mut self, statement: &Stmt) -> Type {
        match statement {
            Stmt::Expr(tree) => self.value(tree),
            Stmt::FnCall(call, position) => self.call(call, None, *position),
            Stmt::If(flow, position) => self.branches(&flow.expr, &flow.body, &flow.branch, *position),
            Stmt::Block(block) => self.block(block),
            other => {
                let what = match other {
                    Stmt::Switch(..) => "`switch`",
                    Stmt::While(..) | Stmt::Do(..) | Stmt::For(..) | Stmt::BreakLoop(..) => "a loop",
                    Stmt::Var(..) | Stmt::Assignment(..) => "an assignment",
                    Stmt::TryCatch(..) => "`try`",
                    Stmt::Return(..) => "`return` or `throw`",
                    _ => "this statement",
                };
                self.refuse(what, other.position())
            }
        }
    }

    fn block(&mut self, block: &StmtBlock) -> Type {
        match block.statements() {
            [statement] => self.statement(statement),
            // How Rhai writes a closure that sees names from outside: share them, then bind them.
            [Stmt::Share(_), Stmt::Expr(tree)] => self.walk(tree),
            [] => self.problem(
                "expression-syntax",
                block.position(),
                "a branch without a value",
                Some("write `else { … }`".into()),
            ),
            [_, second, ..] => self.refuse("a second statement", second.position()),
        }
    }

    fn branches(&mut self, condition: &Tree, yes: &StmtBlock, no: &StmtBlock, position: Position) -> Type {
        self.boolean(condition, "`if`");
        let yes = self.block(yes);
        if no.statements().is_empty() {
            return self.problem(
                "expression-syntax",
                position,
                "`if` without `else` has no value",
                Some("write `else { … }`".into()),
            );
        }
        let no = self.block(no);
        self.joined(position, "the two branches of `if` give", &yes, &no)
    }

    // The type of what may be either.
    fn joined(&mut self, position: Position, what: &str, a: &Type, b: &Type) -> Type {
        if let Some((one, other)) = a.clash(b) {
            return self.problem("unit-mismatch", position, format!("{what} {one} and {other}"), None);
        }
        a.join(b).unwrap_or_else(|| self.mixed(position, what, a, b))
    }

    fn mixed(&mut self, position: Position, what: &str, a: &Type, b: &Type) -> Type {
        self.problem("mixed-types", position, format!("{what} {a} and {b}"), None)
    }

    // Anything that is a value: a namespace only leads to its fields.
    fn value(&mut self, tree: &Tree) -> Type {
        let ty = self.walk(tree);
        if let Type::Record(record) = &ty
            && record.namespace
        {
            let help = record
                .fields
                .keys()
                .next()
                .map(|field| format!("name one of its fields, such as `{}.{field}`", record.title));
            return self.problem(
                "mixed-types",
                tree.position(),
                format!("`{}` is a namespace, not a value", record.title),
                help,
            );
        }
        ty
    }

    // Both sides of an operator must be in one unit; a bare number of bytes could be anything.
    fn one_unit(&mut self, name: &str, (a, left): (&Tree, &Type), (b, right): (&Tree, &Type), position: Position) {
        let what = if matches!(name, "+" | "-" | "%") { "combines" } else { "compares" };
        if let Some((one, other)) = left.clash(right) {
            let message = format!("`{name}` {what} {one} and {other}");
            self.problem("unit-mismatch", position, message, None);
            return;
        }
        let bytes = |ty: &Type| matches!(ty.unit(), Some(Unit::Bytes | Unit::BytesPerSecond));
        for (sized, bare) in [(left, b), (right, a)] {
            if bytes(sized) && is_bare(bare) {
                let unit = sized.unit().map_or_else(String::new, |unit| unit.to_string());
                let message = format!("`{name}` {what} {unit} and a number without a unit");
                let help = "say how many bytes it is: gib(…) or mib(…)".to_owned();
                self.problem("unit-mismatch", bare.position(), message, Some(help));
            }
        }
    }

    fn boolean(&mut self, tree: &Tree, operator: &str) {
        let ty = self.value(tree);
        if !matches!(ty, Type::Bool | Type::Any) {
            self.problem("mixed-types", tree.position(), format!("{operator} needs true or false, not {ty}"), None);
        }
    }

    fn walk(&mut self, tree: &Tree) -> Type {
        match tree {
            Tree::BoolConstant(..) => Type::Bool,
            Tree::IntegerConstant(..) => Type::COUNT,
            Tree::FloatConstant(..) => Type::Float(None),
            Tree::StringConstant(..) => Type::Text,
            Tree::Array(items, position) => self.array(items, *position),
            Tree::Map(entries, _) => {
                let fields = entries.0.iter().map(|(name, value)| {
                    let ty = self.value(value);
                    (name.name.to_string(), Field { ty, read: None })
                });
                let fields = fields.collect();
                Type::Record(Arc::new(Record { title: "a record".to_owned(), namespace: false, fields }))
            }
            Tree::Variable(variable, _, position) => self.name(&variable.1, *position),
            Tree::Dot(chain, flags, position) => {
                if flags.contains(ASTFlags::NEGATED) {
                    return self.refuse("`?.`", *position);
                }
                let base = self.walk(&chain.lhs);
                self.roots.push(self.root_of(&chain.lhs));
                let ty = self.after_dot(base, &chain.rhs);
                self.roots.pop();
                ty
            }
            Tree::Index(chain, flags, position) => {
                let base = self.walk(&chain.lhs);
                self.after_index(base, chain, *flags, *position)
            }
            Tree::And(sides, _) | Tree::Or(sides, _) => {
                let operator = if matches!(tree, Tree::And(..)) { "`&&`" } else { "`||`" };
                for side in sides.iter() {
                    self.boolean(side, operator);
                }
                Type::Bool
            }
            Tree::Coalesce(sides, position) => {
                let mut types = sides.iter().map(|side| self.value(side)).collect::<Vec<_>>().into_iter();
                let first = types.next().unwrap_or(Type::Any);
                types.fold(first, |a, b| self.joined(*position, "the two sides of `??` are", &a, &b))
            }
            Tree::FnCall(call, position) => self.call(call, None, *position),
            Tree::Stmt(block) => self.block(block),
            Tree::DynamicConstant(value, position) if value.is::<FnPtr>() => {
                self.refuse("a closure outside a call of filter, map, all or some", *position)
            }
            other => {
                let what = match other {
                    Tree::Unit(_) => "`()`",
                    Tree::InterpolatedString(..) => "a text with `${…}`",
                    Tree::ThisPtr(_) => "`this`",
                    Tree::CharConstant(..) => "a character in single quotes; write a text in double quotes, which",
                    _ => "this expression",
                };
                self.refuse(what, other.position())
            }
        }
    }

    // The local that a chain begins with.
    fn root_of(&self, tree: &Tree) -> Option<String> {
        match tree {
            Tree::Variable(variable, ..) => {
                let name = variable.1.as_str();
                self.locals.iter().any(|locals| locals.contains_key(name)).then(|| name.to_owned())
            }
            _ => None,
        }
    }

    // Rhai binds a local to a closure by sharing it, and cannot do so while a call on a part of it is under way.
    fn shares_receiver(&self, call: &FnCallExpr) -> Option<String> {
        let root = self.roots.last()?.as_ref()?;
        call.args.iter().filter_map(bound_names).flatten().find(|name| name == root)
    }

    fn array(&mut self, items: &[Tree], position: Position) -> Type {
        let mut joined = Type::Any;
        for item in items {
            let ty = self.value(item);
            joined = self.joined(position, "the list holds", &joined, &ty);
        }
        Type::List(Arc::new(joined))
    }

    fn name(&mut self, name: &str, position: Position) -> Type {
        if let Some(ty) = self.locals.iter().rev().find_map(|locals| locals.get(name)) {
            return ty.clone();
        }
        if let Some(field) = self.language.namespaces.get(name) {
            if let Some(read) = &field.read {
                self.reads.insert(read.clone());
            }
            return field.ty.clone();
        }
        let locals = self.locals.iter().flat_map(|locals| locals.keys());
        let known = locals.chain(self.language.namespaces.keys()).map(String::as_str);
        let help = did_you_mean(name, known.collect::<Vec<_>>()).or_else(|| word_help(name));
        self.problem("unknown-name", position, format!("unknown name `{name}`"), help)
    }

    // What follows a dot: a field, a method, or one of them with more behind it.
    fn after_dot(&mut self, base: Type, rest: &Tree) -> Type {
        match rest {
            Tree::Property(property, position) => self.field(&base, &property.2, *position),
            Tree::MethodCall(call, position) => self.call(call, Some(base), *position),
            Tree::Dot(chain, flags, position) => {
                if flags.contains(ASTFlags::NEGATED) {
                    return self.refuse("`?.`", *position);
                }
                let ty = self.after_dot(base, &chain.lhs);
                self.after_dot(ty, &chain.rhs)
            }
            Tree::Index(chain, flags, position) => {
                let ty = self.after_dot(base, &chain.lhs);
                self.after_index(ty, chain, *flags, *position)
            }
            other => self.refuse("this field", other.position()),
        }
    }

    // What stands in brackets, and what follows them.
    fn after_index(&mut self, base: Type, chain: &BinaryExpr, flags: ASTFlags, position: Position) -> Type {
        if flags.contains(ASTFlags::NEGATED) {
            return self.refuse("`?[`", position);
        }
        match &chain.rhs {
            Tree::Dot(next, ..) if !flags.contains(ASTFlags::BREAK) => {
                let ty = self.item(&base, &next.lhs, position);
                self.after_dot(ty, &next.rhs)
            }
            Tree::Index(next, next_flags, next_position) if !flags.contains(ASTFlags::BREAK) => {
                let ty = self.item(&base, &next.lhs, position);
                self.after_index(ty, next, *next_flags, *next_position)
            }
            index => self.item(&base, index, position),
        }
    }

    fn item(&mut self, base: &Type, index: &Tree, position: Position) -> Type {
        let index_type = self.value(index);
        match base {
            Type::List(item) if matches!(index_type, Type::Int(_) | Type::Any) => (**item).clone(),
            Type::Rows(row) if matches!(index_type, Type::Text | Type::Any) => {
                self.row_name(row, index);
                (**row).clone()
            }
            Type::List(_) => self.problem(
                "mixed-types",
                position,
                format!("a list is indexed by a whole number, not {index_type}"),
                None,
            ),
            Type::Rows(_) => self.problem(
                "mixed-types",
                position,
                format!("a table is indexed by the name of a row, not {index_type}"),
                None,
            ),
            Type::Record(record) => {
                let help = Some(format!("write `{}.name`", record.title));
                self.problem("expression-syntax", position, "a computed field name cannot be used in a policy", help)
            }
            Type::Any => Type::Any,
            other => self.problem("mixed-types", position, format!("{other} cannot be indexed"), None),
        }
    }

    // A row's name that is written out must be one of the table's.
    fn row_name(&mut self, row: &Type, index: &Tree) {
        let (Type::Record(row), Tree::StringConstant(name, position)) = (row, index) else { return };
        let Some(names) = self.language.rows.get(&row.title).filter(|names| !names.contains(name.as_str())) else {
            return;
        };
        let names = || names.iter().map(String::as_str);
        let help = did_you_mean(name, names())
            .unwrap_or_else(|| format!("there are {}", names().collect::<Vec<_>>().join(", ")));
        let message = format!("there is no row `{name}` in {}", row.title.trim_start_matches("a row of "));
        self.problem("unknown-name", *position, message, Some(help));
    }

    fn field(&mut self, base: &Type, name: &str, position: Position) -> Type {
        match base {
            Type::Record(record) => match record.fields.get(name) {
                Some(field) => {
                    if let Some(read) = &field.read {
                        self.reads.insert(read.clone());
                    }
                    field.ty.clone()
                }
                None => self.unknown_field(record, name, position),
            },
            Type::Any => Type::Any,
            Type::List(_) => {
                let help = Some("take one item with `[0]`, or ask all of them with `.all(|item| …)`".to_owned());
                self.problem("unknown-name", position, format!("a list has no `{name}`"), help)
            }
            Type::Rows(_) => {
                let help = Some("take one row with `[name]`".to_owned());
                self.problem("unknown-name", position, format!("a table has no `{name}`"), help)
            }
            other => self.problem("unknown-name", position, format!("{other} has no `{name}`"), None),
        }
    }

    fn unknown_field(&mut self, record: &Record, name: &str, position: Position) -> Type {
        let title = record.title.as_str();
        let (code, family) = match title.strip_prefix("settings") {
            Some(family) => ("unknown-setting", family.trim_start_matches('.')),
            None if title.starts_with("data") || title.starts_with("a ") => ("unknown-name", title),
            None => ("unknown-fact", title),
        };
        let full = |name: &str| if family.is_empty() { name.to_owned() } else { format!("{family}.{name}") };
        let message = match code {
            "unknown-setting" => format!("unknown setting `{}`", full(name)),
            "unknown-fact" => format!("unknown fact `{}`", full(name)),
            _ => format!("{title} has no `{name}`"),
        };
        let names = || record.fields.keys().map(String::as_str);
        let help = match nearest(name, names()) {
            Some(near) if code == "unknown-name" => format!("did you mean `{near}`?"),
            Some(near) => format!("did you mean `{}`?", full(near)),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.problem(code, position, message, Some(help))
    }

    fn call(&mut self, call: &FnCallExpr, receiver: Option<Type>, position: Position) -> Type {
        let name = call.name.as_str();
        if call.op_token.is_some() && receiver.is_none() {
            return self.operator(name, &call.args, position);
        }
        if let Some(name) = self.shares_receiver(call) {
            let message = format!("a closure cannot use `{name}` in a call on a part of `{name}` itself");
            let help = "compare with a name from outside, or make the step a function with parameters".to_owned();
            return self.problem("expression-syntax", position, message, Some(help));
        }
        let mut types: Vec<Type> = receiver.into_iter().collect();
        for argument in call.args.iter() {
            let takes_closure = types.len() == 1 && matches!(name, "filter" | "map" | "all" | "some");
            let item = match types.first() {
                Some(Type::List(item)) => (**item).clone(),
                _ => Type::Any,
            };
            let ty = match closure(argument) {
                Some((definition, bound)) if takes_closure => {
                    self.closure(&definition, bound, &item, position, argument.position())
                }
                // Rhai would call a function of that name, or any value; neither is typed.
                None if takes_closure => {
                    let help = Some("write it out, as in `gpus.all(|g| …)`".to_owned());
                    return self.problem("mixed-types", argument.position(), format!("`{name}` takes a closure"), help);
                }
                _ => self.value(argument),
            };
            types.push(ty);
        }
        if name == "known" && call.args.iter().any(|argument| argument.is_constant()) {
            let help = Some("name the fact or setting itself, as in `known(gpu.vram.total)`".to_owned());
            return self.problem("mixed-types", position, "`known` asks for a fact or a setting, not a literal", help);
        }
        if let Some(signature) = self.language.functions.get(name) {
            self.reads.insert(Read::Function(name.to_owned()));
            return self.policy_function(name, signature, &types, position);
        }
        let Some(function) = functions::find(name) else {
            let own = functions::FUNCTIONS.iter().map(|f| f.name);
            let names: Vec<_> = own.chain(self.language.functions.keys().map(String::as_str)).collect();
            return self.problem(
                "unknown-function",
                position,
                format!("unknown function `{name}`"),
                did_you_mean(name, names),
            );
        };
        if types.len() != function.parameters.len() {
            let message = format!("`{}` takes {}", function.usage(), count(function.parameters.len()));
            return self.problem("mixed-types", position, message, None);
        }
        (function.result)(&types).unwrap_or_else(|wanted| {
            let given: Vec<_> = types.iter().map(Type::to_string).collect();
            let code = if functions::clash(&types).is_some() { "unit-mismatch" } else { "mixed-types" };
            self.problem(code, position, format!("`{name}` takes {wanted}, not {}", given.join(" and ")), None)
        })
    }

    fn policy_function(
        &mut self,
        name: &str,
        signature: &super::Signature,
        types: &[Type],
        position: Position,
    ) -> Type {
        if types.len() != signature.parameters.len() {
            let message = format!("`{name}` takes {}", count(signature.parameters.len()));
            return self.problem("mixed-types", position, message, None);
        }
        for ((parameter, wanted), given) in signature.parameters.iter().zip(types) {
            let code = match given.fits(wanted) {
                true if given.clash(wanted).is_none() => continue,
                true => "unit-mismatch",
                false => "mixed-types",
            };
            let message = format!("`{parameter}` of `{name}` is {wanted}, not {given}");
            return self.problem(code, position, message, None);
        }
        signature.result.clone()
    }

    fn closure(&mut self, definition: &str, bound: usize, item: &Type, position: Position, own: Position) -> Type {
        let Some(closure) = self.closures.get(definition).cloned() else {
            return self.refuse("a function pointer", position);
        };
        let [parameter] = &closure.parameters[bound.min(closure.parameters.len())..] else {
            return self.problem("expression-syntax", position, "a closure takes one item, `|item| …`", None);
        };
        if self.language.is_namespace(parameter) {
            // The evaluation would read the namespace instead.
            let message = format!("the item of a closure cannot be called `{parameter}`, which is a namespace");
            let initial: String = parameter.chars().take(1).collect();
            let help = Some(format!("name it otherwise, such as `{initial}`"));
            return self.problem("invalid-name", own, message, help);
        }
        self.locals.push(BTreeMap::from([(parameter.clone(), item.clone())]));
        let ty = self.statement(&closure.body);
        self.locals.pop();
        ty
    }

    fn operator(&mut self, name: &str, args: &[Tree], position: Position) -> Type {
        let types: Vec<Type> = args.iter().map(|arg| self.value(arg)).collect();
        let unit = || types.iter().find_map(Type::unit);
        if let (Some(line), Some(column), Some(unit)) = (position.line(), position.position(), unit()) {
            self.units.insert((line, column), unit);
        }
        if matches!(name, "==" | "!=" | "<" | "<=" | ">" | ">=" | "+" | "-" | "%")
            && let ([a, b], [left, right]) = (args, types.as_slice())
        {
            self.one_unit(name, (a, left), (b, right), position);
        }
        match (name, types.as_slice()) {
            ("!", [Type::Bool | Type::Any]) => Type::Bool,
            ("-" | "+", [only]) if only.is_number() || *only == Type::Any => only.clone(),
            ("==" | "!=", [a, b]) => match a.join(b) {
                Some(Type::Record(_) | Type::Rows(_)) | None => {
                    self.mixed(position, &format!("`{name}` compares"), a, b)
                }
                Some(_) => Type::Bool,
            },
            ("<" | "<=" | ">" | ">=", [a, b]) => match a.join(b) {
                Some(ty) if ty.is_number() || ty == Type::Any => Type::Bool,
                _ => {
                    let help = (*a == Type::Text && *b == Type::Text)
                        .then(|| "for versions there is version_at_least(a, b)".to_owned());
                    self.problem("mixed-types", position, format!("`{name}` compares {a} and {b}"), help)
                }
            },
            ("/", [Type::Int(_), Type::Int(_)]) => {
                let help = "say what is meant: floor_div(a, b), ceil_div(a, b), or float(a) / b";
                self.problem(
                    "integer-division",
                    position,
                    "`/` on two whole numbers would truncate",
                    Some(help.to_owned()),
                )
            }
            ("/", [a, b]) if number(a) && number(b) => Type::Float(unit_of_quotient(a.unit(), b.unit())),
            ("+" | "-" | "%", [a, b]) if number(a) && number(b) => a.join(b).unwrap_or(Type::Any),
            ("*" | "**", [a, b]) if number(a) && number(b) => match (unit_of_product(a.unit(), b.unit()), a.join(b)) {
                (unit, Some(Type::Int(_))) => Type::Int(unit),
                (_, Some(Type::Any)) => Type::Any,
                (unit, _) => Type::Float(unit),
            },
            ("+", [Type::Text, Type::Text]) => Type::Text,
            ("+" | "-" | "*" | "/" | "%" | "**" | "!", types) => {
                let given: Vec<_> = types.iter().map(Type::to_string).collect();
                self.problem("mixed-types", position, format!("`{name}` on {}", given.join(" and ")), None)
            }
            ("contains", [list, item]) => {
                let known = functions::find("contains").map(|f| (f.result)(&types));
                match known {
                    Some(Ok(ty)) => ty,
                    _ => self.mixed(position, "`in` looks in", list, item),
                }
            }
            _ => self.refuse(&format!("the operator `{name}`"), position),
        }
    }
}

fn number(ty: &Type) -> bool {
    ty.is_number() || *ty == Type::Any
}

// A number that is written out, other than 0: it has no unit.
fn is_bare(tree: &Tree) -> bool {
    match tree {
        Tree::IntegerConstant(number, _) => *number != 0,
        Tree::FloatConstant(number, _) => **number != 0.0,
        Tree::FnCall(call, _) => call.name == "-" && call.args.len() == 1 && is_bare(&call.args[0]),
        _ => false,
    }
}

// A closure as an argument: its definition's name and how many names from outside are bound to it.
fn closure(tree: &Tree) -> Option<(String, usize)> {
    match tree {
        Tree::DynamicConstant(value, _) => value.read_lock::<FnPtr>().map(|pointer| (pointer.fn_name().to_owned(), 0)),
        Tree::Stmt(block) => match block.statements() {
            [Stmt::Share(_), Stmt::Expr(tree)] => match &**tree {
                Tree::FnCall(call, _) if call.name == "curry" => {
                    let (name, _) = closure(call.args.first()?)?;
                    Some((name, call.args.len() - 1))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

// The names from outside that are bound to a closure.
fn bound_names(tree: &Tree) -> Option<Vec<String>> {
    let Tree::Stmt(block) = tree else { return None };
    let [Stmt::Share(_), Stmt::Expr(tree)] = block.statements() else { return None };
    let Tree::FnCall(call, _) = &**tree else { return None };
    let name = |tree: &Tree| match tree {
        Tree::Variable(variable, ..) => Some(variable.1.to_string()),
        _ => None,
    };
    Some(call.args.iter().skip(1).filter_map(name).collect())
}

fn count(parameters: usize) -> String {
    match parameters {
        0 => "no argument".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    }
}

// Words that people bring along from other languages.
fn word_help(name: &str) -> Option<String> {
    let instead = match name {
        "and" => "&&",
        "or" => "||",
        "not" => "!",
        "True" => "true",
        "False" => "false",
        "None" | "null" | "nil" => "known(…)",
        _ => return None,
    };
    Some(format!("write `{instead}`"))
}
