//! What the grammar allows and Python's compiler does not: `return` outside a function, a name that is `global` too late.
//!
//! The rules are those of `ruff_python_parser`; here is what they ask about, the scopes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Parameters, Pattern, PythonVersion, Stmt, StmtFunctionDef,
};
use ruff_python_parser::semantic_errors::{
    LazyImportContext, SemanticSyntaxChecker, SemanticSyntaxContext, SemanticSyntaxError,
};
use ruff_text_size::{Ranged, TextRange};

/// What is wrong in a module that parses.
pub(super) fn errors(source: &str, body: &[Stmt], version: PythonVersion) -> Vec<SemanticSyntaxError> {
    let module = Scope { bound: Bound::of(body), ..Scope::new(Kind::Module) };
    let mut walk = Walk {
        checker: SemanticSyntaxChecker::new(),
        context: Context { source, version, scopes: vec![module], errors: RefCell::default() },
    };
    walk.visit_body(body);
    walk.context.errors.into_inner()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Module,
    Class,
    Function {
        is_async: bool,
    },
    Lambda,
    /// A list, set or dict of a `for`.
    Comprehension {
        is_async: bool,
    },
    Generator,
}

#[derive(Debug)]
struct Scope {
    kind: Kind,
    bound: Bound,
    parameters: BTreeSet<String>,
    // `for` and `while` around the statement.
    loops: usize,
}

impl Scope {
    fn new(kind: Kind) -> Self {
        Self { kind, bound: Bound::default(), parameters: BTreeSet::new(), loops: 0 }
    }

    fn function(kind: Kind, parameters: Option<&Parameters>) -> Self {
        let parameters = parameters.into_iter().flat_map(|all| all.iter());
        let parameters = parameters.map(|parameter| parameter.name().to_string()).collect();
        Self { parameters, ..Self::new(kind) }
    }
}

/// Names that a scope itself binds, wherever in it.
#[derive(Debug, Default)]
struct Bound {
    names: BTreeSet<String>,
    // By name: where the first `global` says so.
    globals: BTreeMap<String, TextRange>,
}

impl Bound {
    fn of(body: &[Stmt]) -> Self {
        let mut bound = Self::default();
        bound.visit_body(body);
        bound
    }
}

impl<'a> Visitor<'a> for Bound {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            // Scopes of their own.
            Stmt::FunctionDef(function) => drop(self.names.insert(function.name.to_string())),
            Stmt::ClassDef(class) => drop(self.names.insert(class.name.to_string())),
            Stmt::Global(global) => {
                for name in &global.names {
                    self.globals.entry(name.to_string()).or_insert(name.range());
                }
            }
            Stmt::Import(import) => self.aliases(&import.names),
            Stmt::ImportFrom(import) => self.aliases(&import.names),
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) if name.ctx != ExprContext::Load => drop(self.names.insert(name.id.to_string())),
            Expr::Lambda(_) => {}
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        self.names.extend(inner.name.iter().map(ToString::to_string));
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(captured) => captured.name.as_ref(),
            Pattern::MatchStar(captured) => captured.name.as_ref(),
            Pattern::MatchMapping(captured) => captured.rest.as_ref(),
            _ => None,
        };
        self.names.extend(name.map(ToString::to_string));
        visitor::walk_pattern(self, pattern);
    }
}

impl Bound {
    fn aliases(&mut self, aliases: &[ruff_python_ast::Alias]) {
        for alias in aliases {
            let name = alias.asname.as_ref().unwrap_or(&alias.name);
            self.names.extend(name.split('.').next().map(str::to_owned));
        }
    }
}

struct Context<'a> {
    source: &'a str,
    version: PythonVersion,
    // The innermost last.
    scopes: Vec<Scope>,
    errors: RefCell<Vec<SemanticSyntaxError>>,
}

impl Context<'_> {
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.scopes.iter().rev().map(|scope| scope.kind)
    }

    // The scope that runs the statement; comprehensions have none.
    fn statement_scope(&self) -> Option<&Scope> {
        self.scopes.iter().rev().find(|scope| !matches!(scope.kind, Kind::Comprehension { .. } | Kind::Generator))
    }
}

impl SemanticSyntaxContext for Context<'_> {
    fn future_annotations_or_stub(&self) -> bool {
        false
    }

    fn lazy_import_context(&self) -> Option<LazyImportContext> {
        None
    }

    fn python_version(&self) -> PythonVersion {
        self.version
    }

    fn source(&self) -> &str {
        self.source
    }

    fn global(&self, name: &str) -> Option<TextRange> {
        self.scopes.last().and_then(|scope| scope.bound.globals.get(name).copied())
    }

    fn has_nonlocal_binding(&self, name: &str) -> bool {
        // Methods see the class that they stand in.
        if name == "__class__" && self.kinds().any(|kind| kind == Kind::Class) {
            return true;
        }
        let is_function = |scope: &&Scope| matches!(scope.kind, Kind::Function { .. } | Kind::Lambda);
        let mut around = self.scopes.iter().rev().skip(1).filter(is_function);
        around.any(|scope| {
            let is_own = scope.bound.names.contains(name) && !scope.bound.globals.contains_key(name);
            is_own || scope.parameters.contains(name)
        })
    }

    fn in_async_context(&self) -> bool {
        let decides = |kind: Kind| match kind {
            Kind::Function { is_async } => Some(is_async),
            Kind::Class | Kind::Lambda => Some(false),
            _ => None,
        };
        self.kinds().find_map(decides).unwrap_or(false)
    }

    fn in_await_allowed_context(&self) -> bool {
        let decides = |kind: Kind| match kind {
            Kind::Function { .. } | Kind::Lambda => Some(true),
            Kind::Class => Some(false),
            _ => None,
        };
        self.kinds().find_map(decides).unwrap_or(false)
    }

    fn in_yield_allowed_context(&self) -> bool {
        matches!(self.kinds().next(), Some(Kind::Function { .. } | Kind::Lambda))
    }

    fn in_sync_comprehension(&self) -> bool {
        self.kinds().any(|kind| kind == Kind::Comprehension { is_async: false })
    }

    fn in_class_body_comprehension(&self) -> bool {
        let outside = self.kinds().find(|kind| !matches!(kind, Kind::Comprehension { .. } | Kind::Generator));
        outside == Some(Kind::Class)
    }

    fn in_module_scope(&self) -> bool {
        self.kinds().next() == Some(Kind::Module)
    }

    fn in_function_scope(&self) -> bool {
        self.statement_scope().is_some_and(|scope| matches!(scope.kind, Kind::Function { .. }))
    }

    fn in_generator_context(&self) -> bool {
        self.kinds().next() == Some(Kind::Generator)
    }

    fn in_notebook(&self) -> bool {
        false
    }

    fn report_semantic_error(&self, error: SemanticSyntaxError) {
        self.errors.borrow_mut().push(error);
    }

    fn in_loop_context(&self) -> bool {
        self.scopes.last().is_some_and(|scope| scope.loops > 0)
    }

    fn is_bound_parameter(&self, name: &str) -> bool {
        self.scopes.last().is_some_and(|scope| scope.parameters.contains(name))
    }
}

struct Walk<'a> {
    checker: SemanticSyntaxChecker,
    context: Context<'a>,
}

impl Walk<'_> {
    fn inside(&mut self, scope: Scope, walk: impl FnOnce(&mut Self)) {
        self.context.scopes.push(scope);
        walk(self);
        self.context.scopes.pop();
    }

    fn loops(&mut self, by: isize) {
        if let Some(scope) = self.context.scopes.last_mut() {
            scope.loops = scope.loops.saturating_add_signed(by);
        }
    }

    fn in_loop(&mut self, body: &[Stmt], orelse: &[Stmt]) {
        self.loops(1);
        self.visit_body(body);
        self.loops(-1);
        self.visit_body(orelse);
    }

    // Decorators, defaults and annotations belong to what is around the function.
    fn function(&mut self, function: &StmtFunctionDef) {
        function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
        if let Some(parameters) = &function.type_params {
            self.visit_type_params(parameters);
        }
        self.visit_parameters(&function.parameters);
        if let Some(returns) = &function.returns {
            self.visit_annotation(returns);
        }
        let kind = Kind::Function { is_async: function.is_async };
        let scope = Scope { bound: Bound::of(&function.body), ..Scope::function(kind, Some(&function.parameters)) };
        self.inside(scope, |walk| walk.visit_body(&function.body));
    }

    // The first iterable is evaluated outside.
    fn comprehension(&mut self, kind: Kind, generators: &[Comprehension], results: &[&Expr]) {
        let Some((first, rest)) = generators.split_first() else { return };
        self.visit_expr(&first.iter);
        self.inside(Scope::new(kind), |walk| {
            walk.visit_expr(&first.target);
            first.ifs.iter().for_each(|condition| walk.visit_expr(condition));
            rest.iter().for_each(|next| walk.visit_comprehension(next));
            results.iter().for_each(|result| walk.visit_expr(result));
        });
    }
}

impl<'a> Visitor<'a> for Walk<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.checker.visit_stmt(stmt, &self.context);
        match stmt {
            Stmt::FunctionDef(function) => self.function(function),
            Stmt::ClassDef(class) => {
                class.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                if let Some(parameters) = &class.type_params {
                    self.visit_type_params(parameters);
                }
                if let Some(arguments) = &class.arguments {
                    self.visit_arguments(arguments);
                }
                let scope = Scope { bound: Bound::of(&class.body), ..Scope::new(Kind::Class) };
                self.inside(scope, |walk| walk.visit_body(&class.body));
            }
            Stmt::For(each) => {
                self.visit_expr(&each.iter);
                self.visit_expr(&each.target);
                self.in_loop(&each.body, &each.orelse);
            }
            Stmt::While(each) => {
                self.visit_expr(&each.test);
                self.in_loop(&each.body, &each.orelse);
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        self.checker.visit_expr(expr, &self.context);
        let is_async = |generators: &[Comprehension]| generators.iter().any(|generator| generator.is_async);
        match expr {
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.visit_parameters(parameters);
                }
                let scope = Scope::function(Kind::Lambda, lambda.parameters.as_deref());
                self.inside(scope, |walk| walk.visit_expr(&lambda.body));
            }
            Expr::ListComp(list) => {
                let kind = Kind::Comprehension { is_async: is_async(&list.generators) };
                self.comprehension(kind, &list.generators, &[&list.elt]);
            }
            Expr::SetComp(set) => {
                let kind = Kind::Comprehension { is_async: is_async(&set.generators) };
                self.comprehension(kind, &set.generators, &[&set.elt]);
            }
            Expr::DictComp(dict) => {
                let kind = Kind::Comprehension { is_async: is_async(&dict.generators) };
                let key = dict.key.iter().map(|key| &**key);
                let results: Vec<&Expr> = key.chain([&*dict.value]).collect();
                self.comprehension(kind, &dict.generators, &results);
            }
            Expr::Generator(generator) => {
                self.comprehension(Kind::Generator, &generator.generators, &[&generator.elt]);
            }
            _ => visitor::walk_expr(self, expr),
        }
    }
}
