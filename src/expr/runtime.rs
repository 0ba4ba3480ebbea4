//! The Rhai engine and one evaluation on it: namespaces, unknown facts, comparisons, the operation budget.
//
// Implementation notes. An unknown fact reads as `()`, so that `known(x)` and `x ?? y` work as Rhai has them; every
// operator and function refuses `()`, and that refusal is told apart from other errors (`Unknown` below). The state of
// the evaluation under way lies in a thread local, because Rhai hands none to operators, indexers and the progress
// callback.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use rhai::{
    AST, Array, Dynamic, Engine, EvalAltResult, FLOAT, INT, ImmutableString, NativeCallContext, Position, Scope,
};
use serde_json::Value;

use super::functions::{as_float, failed};
use super::types::{Field, Type};
use crate::facts::units::{Unit, show};

/// Most operations of one evaluation (one plan): some milliseconds.
const MAX_OPERATIONS: u64 = 200_000;
/// Deepest nesting of an expression's tree.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of functions of policy files.
pub const MAX_CALLS: usize = 64;

/// A namespace or row at run time: its fields by name.
#[derive(Clone, Debug)]
pub struct Node(Arc<NodeFields>);

#[derive(Debug)]
struct NodeFields {
    title: String,
    fields: HashMap<String, Slot>,
}

/// What a field of a [`Node`] holds.
#[derive(Clone, Debug)]
pub enum Slot {
    /// A value, a list or a further node.
    Value(Dynamic),
    /// Nothing, and the name under which it is missing.
    Unknown(String),
    /// The setting of that index, decided or not.
    Setting(usize, String),
}

impl Slot {
    /// The node that it holds.
    pub fn node(&self) -> Option<Node> {
        match self {
            Self::Value(value) => value.clone().try_cast(),
            Self::Unknown(_) | Self::Setting(..) => None,
        }
    }
}

impl Node {
    /// A node of these fields; `title` is used in messages.
    pub fn new(title: impl Into<String>, fields: HashMap<String, Slot>) -> Self {
        Self(Arc::new(NodeFields { title: title.into(), fields }))
    }

    /// The field's value, `None` when there is no such field or it is unknown.
    pub fn value(&self, field: &str) -> Option<&Dynamic> {
        match self.0.fields.get(field)? {
            Slot::Value(value) => Some(value),
            Slot::Unknown(_) | Slot::Setting(..) => None,
        }
    }

    /// The fields that have a plain value, by name.
    pub fn values(&self) -> BTreeMap<String, Value> {
        let plain = |(name, slot): (&String, &Slot)| match slot {
            Slot::Value(value) => Some((name.clone(), to_value(value)?)),
            Slot::Unknown(_) | Slot::Setting(..) => None,
        };
        self.0.fields.iter().filter_map(plain).collect()
    }

    /// The same fields, some of them with other values.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = (String, Dynamic)>) -> Self {
        let mut fields = self.0.fields.clone();
        fields.extend(changes.into_iter().map(|(name, value)| (name, Slot::Value(value))));
        Self::new(self.0.title.clone(), fields)
    }
}

/// A comparison that an expression made.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// `==`, `<`, …
    pub operator: &'static str,
    /// Left side.
    pub left: Value,
    /// Right side.
    pub right: Value,
    /// Whether it was true.
    pub holds: bool,
    /// Unit of both sides, when it is known.
    pub unit: Option<Unit>,
    // Line and column in the expression.
    position: (usize, usize),
}

impl Comparison {
    /// `17.6 GiB <= 15.2 GiB does not hold: 2.4 GiB too much`.
    pub fn describe(&self) -> String {
        let shown = |value: &Value| show(value, self.unit);
        let compared = format!("{} {} {}", shown(&self.left), self.operator, shown(&self.right));
        if self.holds {
            return format!("{compared} holds");
        }
        let by = match (self.left.as_i64(), self.right.as_i64()) {
            (Some(left), Some(right)) => left.checked_sub(right).and_then(i64::checked_abs).map(Value::from),
            _ => self.left.as_f64().zip(self.right.as_f64()).map(|(left, right)| Value::from((left - right).abs())),
        };
        match (by, self.operator) {
            (Some(by), "<" | "<=") => format!("{compared} does not hold: {} too much", shown(&by)),
            (Some(by), ">" | ">=") => format!("{compared} does not hold: {} short", shown(&by)),
            _ => format!("{compared} does not hold"),
        }
    }
}

/// Why an expression gave no value.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalError {
    /// It read an unknown fact, setting or cell; its name.
    Unknown(String),
    /// It failed: overflow, division by zero, too much work.
    Failed {
        /// What happened.
        message: String,
        /// Line and column in the expression, when known.
        position: Option<(usize, usize)>,
    },
}

// Results of functions of policy files by name and arguments. What a function reads is decided before it is called, so
// that within one evaluation it gives the same for the same arguments.
type Results = HashMap<String, Vec<(Vec<Dynamic>, Dynamic)>>;

struct Frame {
    namespaces: HashMap<String, Slot>,
    results: RefCell<Results>,
    settings: RefCell<Vec<Option<Dynamic>>>,
    missing: RefCell<Option<String>>,
    comparisons: RefCell<Option<Vec<Comparison>>>,
    operations: Cell<u64>,
    depth: Cell<usize>,
}

thread_local! {
    static FRAME: RefCell<Option<Rc<Frame>>> = const { RefCell::new(None) };
}

fn with_frame<T>(f: impl FnOnce(&Frame) -> T) -> Option<T> {
    let frame = FRAME.with(|current| current.borrow().clone());
    frame.map(|frame| f(&frame))
}

// Marks an error as "an operand was unknown".
const UNKNOWN_OPERAND: &str = "\u{0}unknown operand";

/// The error of an operator or function whose operands do not fit: unknown, or of different types.
pub(super) fn operand_error(operator: &str, a: &Dynamic, b: &Dynamic) -> Box<EvalAltResult> {
    if a.is_unit() || b.is_unit() {
        return failed(UNKNOWN_OPERAND);
    }
    failed(format!("`{operator}` on {} and {}", kind(a), kind(b)))
}

fn kind(value: &Dynamic) -> &'static str {
    if value.is_int() {
        "a whole number"
    } else if value.is_float() {
        "a number"
    } else if value.is_string() {
        "a text"
    } else if value.is_bool() {
        "true or false"
    } else if value.is_array() {
        "a list"
    } else {
        "a record"
    }
}

/// An engine that knows the language's operators and functions and the fields of the namespaces, but no function of a
/// policy file yet.
pub(super) fn engine(namespaces: &BTreeMap<String, Field>) -> Engine {
    let mut engine = Engine::new_raw();
    // Constant folding would skip the strict comparisons; fast operators would skip them too.
    engine.set_optimization_level(rhai::OptimizationLevel::None);
    engine.set_fast_operators(false);
    engine.set_max_expr_depths(MAX_DEPTH, MAX_DEPTH);
    engine.set_max_call_levels(64);
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_string_size(64 * 1024);
    engine.set_max_array_size(16 * 1024);
    engine.set_max_map_size(1024);
    engine.disable_symbol("eval");
    super::functions::register(&mut engine);

    for (name, test) in COMPARISONS {
        engine.register_fn(*name, move |context: NativeCallContext, a: Dynamic, b: Dynamic| {
            compare(name, *test, context.call_position(), &a, &b)
        });
    }
    engine.register_fn("contains", |context: NativeCallContext, list: Array, item: Dynamic| {
        charge(list.len())?;
        for candidate in &list {
            if equal(candidate, &item).ok_or_else(|| operand_error("in", candidate, &item))? {
                return Ok(true);
            }
        }
        trace("in", &list.into(), &item, false, context.call_position());
        Ok::<bool, Box<EvalAltResult>>(false)
    });

    engine.register_type_with_name::<Node>("record");
    engine.register_indexer_get(|node: &mut Node, field: ImmutableString| read_field(node, &field));
    // The indexer alone would do; but Rhai looks for a getter first, and composing the error that there is none costs more
    // than the read.
    let mut names = BTreeSet::new();
    field_names(namespaces, &mut names);
    for name in names {
        let field = name.to_owned();
        engine.register_get(name, move |node: &mut Node| read_field(node, &field));
    }
    engine.register_fn("len", |node: &mut Node| node.0.fields.len() as INT);
    engine.register_fn("contains", |node: &mut Node, row: ImmutableString| node.0.fields.contains_key(row.as_str()));

    #[expect(deprecated, reason = "rhai marks callbacks that may change between versions as deprecated")]
    engine.on_var(|name, _, _| {
        let slot = with_frame(|frame| frame.namespaces.get(name).cloned()).flatten();
        Ok(slot.map(|slot| read_slot(&slot)))
    });
    engine.on_progress(|_| {
        let spent = with_frame(|frame| {
            frame.operations.set(frame.operations.get() + 1);
            frame.operations.get()
        });
        (spent.unwrap_or(0) > MAX_OPERATIONS).then(|| Dynamic::from("too much work"))
    });
    engine
}

fn field_names<'a>(fields: &'a BTreeMap<String, Field>, names: &mut BTreeSet<&'a str>) {
    fn of_type<'a>(ty: &'a Type, names: &mut BTreeSet<&'a str>) {
        match ty {
            Type::List(item) | Type::Rows(item) => of_type(item, names),
            Type::Record(record) => field_names(&record.fields, names),
            _ => {}
        }
    }
    for (name, field) in fields {
        names.insert(name);
        of_type(&field.ty, names);
    }
}

/// Counts work that Rhai sees as one operation.
///
/// # Errors
/// The budget is used up.
pub(super) fn charge(operations: usize) -> Result<(), Box<EvalAltResult>> {
    let spent = with_frame(|frame| {
        frame.operations.set(frame.operations.get() + operations as u64);
        frame.operations.get()
    });
    match spent {
        Some(spent) if spent > MAX_OPERATIONS => Err(EvalAltResult::ErrorTooManyOperations(Position::NONE).into()),
        _ => Ok(()),
    }
}

/// Makes a function of a policy file callable. The body sees the namespaces and its parameters.
pub(super) fn register_function(engine: &mut Engine, name: &str, parameters: Vec<String>, body: AST) {
    let types = vec![std::any::TypeId::of::<Dynamic>(); parameters.len()];
    let called = name.to_owned();
    engine.register_raw_fn(name, types, move |context: NativeCallContext, arguments: &mut [&mut Dynamic]| {
        // The first of them may be the caller's own variable, which it may read again.
        let arguments: Vec<Dynamic> = arguments.iter().map(|argument| as_node((**argument).clone())).collect();
        if arguments.iter().any(Dynamic::is_unit) {
            return Err(failed(UNKNOWN_OPERAND));
        }
        if let Some(result) = remembered(&called, &arguments) {
            return Ok(result);
        }
        if with_frame(|frame| frame.depth.get()).unwrap_or(0) >= MAX_CALLS {
            return Err(failed(format!("functions call each other more than {MAX_CALLS} deep")));
        }
        let mut scope = Scope::new();
        for (parameter, argument) in parameters.iter().zip(&arguments) {
            scope.push_constant_dynamic(parameter.as_str(), argument.clone());
        }
        with_frame(|frame| frame.depth.set(frame.depth.get() + 1));
        let result = context.engine().eval_ast_with_scope::<Dynamic>(&mut scope, &body);
        with_frame(|frame| frame.depth.set(frame.depth.get().saturating_sub(1)));
        match result {
            Ok(value) if value.is_unit() => Err(failed(UNKNOWN_OPERAND)),
            Ok(value) => {
                let value = as_node(value);
                with_frame(|frame| {
                    let mut results = frame.results.borrow_mut();
                    results.entry(called.clone()).or_default().push((arguments, value.clone()));
                });
                Ok(value)
            }
            // The position counts in the function's own text, so it is said in words.
            Err(error) => match is_unknown(&error) {
                true => Err(failed(UNKNOWN_OPERAND)),
                false => Err(failed(format!("in `{called}`: {}", describe(&error)))),
            },
        }
    });
}

/// A record written out, as a node like every other record.
pub fn as_node(value: Dynamic) -> Dynamic {
    match value.try_cast_result::<rhai::Map>() {
        Ok(map) => {
            let fields = map.into_iter().map(|(name, value)| (name.to_string(), Slot::Value(value)));
            Dynamic::from(Node::new("record", fields.collect()))
        }
        Err(value) => value,
    }
}

fn remembered(function: &str, arguments: &[Dynamic]) -> Option<Dynamic> {
    with_frame(|frame| {
        let results = frame.results.borrow();
        let known = results.get(function)?;
        let found = known.iter().find(|(given, _)| given.iter().zip(arguments).all(|(a, b)| identical(a, b)));
        found.map(|(_, result)| result.clone())
    })
    .flatten()
}

// Equal beyond doubt: the same number, text or truth, or one and the same node.
fn identical(a: &Dynamic, b: &Dynamic) -> bool {
    if let (Ok(x), Ok(y)) = (a.as_int(), b.as_int()) {
        return x == y;
    }
    if let (Some(x), Some(y)) = (a.read_lock::<Node>(), b.read_lock::<Node>()) {
        return Arc::ptr_eq(&x.0, &y.0);
    }
    if let (Ok(x), Ok(y)) = (a.as_float(), b.as_float()) {
        return x == y;
    }
    if let (Ok(x), Ok(y)) = (a.as_bool(), b.as_bool()) {
        return x == y;
    }
    matches!((a.as_immutable_string_ref(), b.as_immutable_string_ref()), (Ok(x), Ok(y)) if *x == *y)
}

fn read_field(node: &Node, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    match node.0.fields.get(field) {
        Some(slot) => Ok(read_slot(slot)),
        None => {
            let mut rows: Vec<_> = node.0.fields.keys().map(String::as_str).collect();
            rows.sort_unstable();
            Err(failed(format!("`{}` has no `{field}`; it has {}", node.0.title, rows.join(", "))))
        }
    }
}

fn read_slot(slot: &Slot) -> Dynamic {
    match slot {
        Slot::Value(value) => {
            // A list is copied to be read; what goes over the budget is stopped at the next operation.
            if let Ok(items) = value.as_array_ref() {
                let _ = charge(items.len());
            }
            value.clone()
        }
        Slot::Unknown(name) => missing(name),
        Slot::Setting(index, name) => {
            let value = with_frame(|frame| frame.settings.borrow().get(*index).cloned().flatten()).flatten();
            value.unwrap_or_else(|| missing(name))
        }
    }
}

fn missing(name: &str) -> Dynamic {
    with_frame(|frame| *frame.missing.borrow_mut() = Some(name.to_owned()));
    Dynamic::UNIT
}

type Test = fn(std::cmp::Ordering) -> bool;
const COMPARISONS: &[(&str, Test)] = &[
    ("==", |o| o.is_eq()),
    ("!=", |o| o.is_ne()),
    ("<", |o| o.is_lt()),
    ("<=", |o| o.is_le()),
    (">", |o| o.is_gt()),
    (">=", |o| o.is_ge()),
];

fn compare(
    operator: &'static str,
    test: Test,
    position: Position,
    a: &Dynamic,
    b: &Dynamic,
) -> Result<bool, Box<EvalAltResult>> {
    let holds = match operator {
        "==" => equal(a, b),
        "!=" => equal(a, b).map(|equal| !equal),
        _ => order(a, b).map(test),
    };
    let holds = holds.ok_or_else(|| operand_error(operator, a, b))?;
    trace(operator, a, b, holds, position);
    Ok(holds)
}

fn order(a: &Dynamic, b: &Dynamic) -> Option<std::cmp::Ordering> {
    if let (Ok(x), Ok(y)) = (a.as_int(), b.as_int()) {
        return Some(x.cmp(&y));
    }
    as_float(a)?.partial_cmp(&as_float(b)?)
}

fn equal(a: &Dynamic, b: &Dynamic) -> Option<bool> {
    if let Some(order) = order(a, b) {
        return Some(order.is_eq());
    }
    if let (Ok(x), Ok(y)) = (a.as_bool(), b.as_bool()) {
        return Some(x == y);
    }
    if let (Ok(x), Ok(y)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return Some(*x == *y);
    }
    if let (Ok(x), Ok(y)) = (a.as_array_ref(), b.as_array_ref()) {
        return (x.len() == y.len())
            .then_some(())
            .map_or(Some(false), |()| x.iter().zip(y.iter()).try_fold(true, |all, (x, y)| Some(all && equal(x, y)?)));
    }
    None
}

fn trace(operator: &'static str, a: &Dynamic, b: &Dynamic, holds: bool, position: Position) {
    with_frame(|frame| {
        if frame.depth.get() > 0 {
            return;
        }
        if let Some(comparisons) = frame.comparisons.borrow_mut().as_mut()
            && let (Some(left), Some(right)) = (to_value(a), to_value(b))
        {
            let position = (position.line().unwrap_or(1), position.position().unwrap_or(1));
            comparisons.push(Comparison { operator, left, right, holds, unit: None, position });
        }
    });
}

/// One evaluation of a policy set over one machine: the namespaces and the settings decided so far.
pub struct Evaluation<'a> {
    engine: &'a Engine,
    frame: Rc<Frame>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(engine: &'a Engine, namespaces: HashMap<String, Slot>, settings: usize) -> Self {
        let frame = Frame {
            namespaces,
            results: RefCell::default(),
            settings: RefCell::new(vec![None; settings]),
            missing: RefCell::new(None),
            comparisons: RefCell::new(None),
            operations: Cell::new(0),
            depth: Cell::new(0),
        };
        Self { engine, frame: Rc::new(frame) }
    }

    /// Makes a setting's final value readable.
    pub fn decide(&self, setting: usize, value: &Value) {
        if let Some(slot) = self.frame.settings.borrow_mut().get_mut(setting) {
            *slot = Some(to_dynamic(value));
        }
    }

    /// Evaluates with some locals; `Value::Null` never comes out.
    ///
    /// # Errors
    /// The unknown fact it read, or how it failed.
    pub fn eval(&self, expr: &super::Expr, locals: &[(&str, Dynamic)]) -> Result<Value, EvalError> {
        let value = self.eval_dynamic(expr, locals)?;
        to_value(&value).ok_or_else(|| EvalError::Failed {
            message: format!("gives {}, which is no value", kind(&value)),
            position: None,
        })
    }

    /// The value of an operand.
    ///
    /// # Errors
    /// As for [`eval`](Self::eval).
    pub fn operand(&self, operand: &super::Operand) -> Result<Value, EvalError> {
        match operand {
            super::Operand::Literal(value) => Ok(value.clone()),
            super::Operand::Expr(expr) => self.eval(expr, &[]),
        }
    }

    /// Evaluates to whatever comes out, records included.
    ///
    /// # Errors
    /// The unknown fact it read, or how it failed.
    pub fn eval_dynamic(&self, expr: &super::Expr, locals: &[(&str, Dynamic)]) -> Result<Dynamic, EvalError> {
        let mut scope = Scope::new();
        for (name, value) in locals {
            scope.push_constant_dynamic(*name, value.clone());
        }
        *self.frame.missing.borrow_mut() = None;
        let outer = FRAME.replace(Some(self.frame.clone()));
        let result = self.engine.eval_ast_with_scope::<Dynamic>(&mut scope, expr.ast());
        FRAME.set(outer);
        let missing = || EvalError::Unknown(self.frame.missing.take().unwrap_or_default());
        match result {
            Ok(value) if has_unknown(&value) => Err(missing()),
            Ok(value) => Ok(value),
            Err(error) if is_unknown(&error) => Err(missing()),
            Err(error) => {
                let position = error.position();
                let position = position.line().zip(position.position());
                Err(EvalError::Failed { message: describe(&error), position })
            }
        }
    }

    /// Evaluates a condition and says which comparisons it made.
    ///
    /// # Errors
    /// The unknown fact it read, or how it failed.
    pub fn test(&self, expr: &super::Expr, locals: &[(&str, Dynamic)]) -> Result<(bool, Vec<Comparison>), EvalError> {
        *self.frame.comparisons.borrow_mut() = Some(Vec::new());
        let result = self.eval_dynamic(expr, locals);
        let mut comparisons = self.frame.comparisons.take().unwrap_or_default();
        for comparison in &mut comparisons {
            comparison.unit = expr.unit_at(comparison.position);
        }
        Ok((result?.as_bool().unwrap_or(false), comparisons))
    }
}

// Nothing, or a list that holds nothing somewhere.
fn has_unknown(value: &Dynamic) -> bool {
    value.is_unit() || value.as_array_ref().is_ok_and(|items| items.iter().any(has_unknown))
}

// Whether the error means that an operand was unknown, however deep it arose.
fn is_unknown(error: &EvalAltResult) -> bool {
    match error {
        EvalAltResult::ErrorRuntime(message, _) => {
            message.as_immutable_string_ref().is_ok_and(|m| *m == UNKNOWN_OPERAND)
        }
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => is_unknown(inner),
        // Rhai names the types that no operator or method takes; `()` is ours alone.
        EvalAltResult::ErrorFunctionNotFound(signature, _) => signature.contains("()"),
        EvalAltResult::ErrorMismatchDataType(_, actual, _) => actual == "()",
        EvalAltResult::ErrorDotExpr(message, _) | EvalAltResult::ErrorIndexingType(message, _) => {
            message.contains("()")
        }
        _ => false,
    }
}

fn describe(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorRuntime(message, _) => message.to_string(),
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => describe(inner),
        EvalAltResult::ErrorTooManyOperations(_) | EvalAltResult::ErrorTerminated(..) => {
            "the policies need too much work on this machine; the budget is used up".to_owned()
        }
        other => {
            let mut other = other.to_string();
            // The position is shown with the source line instead.
            if let Some(end) = other.rfind(" (line ") {
                other.truncate(end);
            }
            other
        }
    }
}

/// JSON → a value of an expression. Objects become nodes without unknown fields.
pub fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(n) => n.into(),
            None => n.as_f64().unwrap_or(FLOAT::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => Dynamic::from_array(items.iter().map(to_dynamic).collect()),
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (name.clone(), Slot::Value(to_dynamic(value))));
            Dynamic::from(Node::new("record", fields.collect()))
        }
    }
}

/// A value of an expression → JSON. `None` for records, closures and numbers that are not finite.
pub fn to_value(value: &Dynamic) -> Option<Value> {
    if let Ok(n) = value.as_int() {
        return Some(n.into());
    }
    if let Ok(x) = value.as_float() {
        return serde_json::Number::from_f64(x).map(Value::Number);
    }
    if let Ok(b) = value.as_bool() {
        return Some(b.into());
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(Value::from(text.as_str()));
    }
    let items = value.as_array_ref().ok()?;
    items.iter().map(to_value).collect::<Option<Vec<_>>>().map(Value::Array)
}
