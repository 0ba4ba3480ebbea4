//! The slips of a hand that are repaired: for each, the changes that would undo it.

use std::collections::HashMap;
use std::ops::Range;

use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

use super::choice::{Change, Statement};
use crate::validate::python::layout::Layout;
use crate::validate::python::tokens::{Tokenized, Wrong, pieces, tokenize};

/// Most changes that are tried for one error, and longest line with a text that has no end, in bytes; estimates.
const MOST_CHANGES: usize = 400;
const LONGEST_LINE: usize = 300;

/// Words that no expression holds; a bracket that is open before one closes before it.
const STATEMENTS: [&str; 20] = [
    "assert", "break", "class", "continue", "def", "del", "elif", "except", "finally", "global", "import", "nonlocal",
    "pass", "raise", "return", "try", "while", "with", "match", "case",
];

/// How many of [`STATEMENTS`], from the end, are names as well.
const SOFT: usize = 2;

/// What begins a block.
const HEADS: [&str; 14] = [
    "async", "case", "class", "def", "elif", "else", "except", "finally", "for", "if", "match", "try", "while", "with",
];

/// Functions that are called without a definition in the file; those that sources call most.
const BUILTINS: [&str; 30] = [
    "abs",
    "all",
    "any",
    "bool",
    "bytes",
    "dict",
    "enumerate",
    "filter",
    "float",
    "getattr",
    "hasattr",
    "int",
    "isinstance",
    "len",
    "list",
    "map",
    "max",
    "min",
    "open",
    "print",
    "range",
    "repr",
    "reversed",
    "set",
    "sorted",
    "str",
    "sum",
    "super",
    "tuple",
    "zip",
];

/// The change that undoes the first slip of a text; `None` where there is none, or more than one.
pub(super) fn undo(text: &str, version: PythonVersion) -> Option<Change> {
    let tokenized = tokenize(text);
    let layout = Layout::of(text, pieces(text));
    match tokenized.wrong {
        Some((Wrong::Bracket, at)) => bracket(&layout, &tokenized, Some(at), version),
        Some((Wrong::Text, at)) => quote(&layout, at, version),
        Some(_) => None,
        None if !tokenized.opened.is_empty() => bracket(&layout, &tokenized, None, version),
        None => {
            let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module).with_target_version(version));
            let error = parsed.errors().iter().map(|error| error.location.start().to_usize()).min()?;
            colon(&layout, error, version)
                .or_else(|| print(&layout, error, version))
                .or_else(|| comma(&layout, error, version))
        }
    }
}

fn closing(bracket: &str) -> &'static str {
    match bracket {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

fn opening(bracket: &str) -> &'static str {
    match bracket {
        ")" => "(",
        "]" => "[",
        _ => "{",
    }
}

// A bracket that is never closed, or one that closes none or another one.
fn bracket(layout: &Layout<'_>, found: &Tokenized, wrong: Option<usize>, version: PythonVersion) -> Option<Change> {
    let head = match (found.opened.first(), wrong) {
        (Some(outermost), _) => layout.head_at(*outermost)?,
        (None, Some(at)) => {
            let line = layout.line_at(at);
            let closes_first = layout.lines[line].pieces.start == layout.lines[line].pieces.end
                || layout.pieces[layout.lines[line].pieces.start].start == at;
            let own = if closes_first { None } else { layout.head_at(at) };
            let around = layout.head_by_indentation(line);
            own.map_or(around, |own| own.min(around))
        }
        (None, None) => return None,
    };
    let lines = layout.statement(head);
    let mut changes = Vec::new();
    if !found.opened.is_empty() {
        close(layout, found, wrong, lines.clone(), &mut changes);
    }
    if let Some(wrong) = wrong {
        open(layout, found, wrong, lines.clone(), &mut changes);
    }
    if changes.len() > MOST_CHANGES {
        return None;
    }
    Statement::of(layout, lines).only(layout.text, changes, version)
}

fn bytes(layout: &Layout<'_>, lines: &Range<usize>) -> Range<usize> {
    let end = lines.end.checked_sub(1).and_then(|last| layout.lines.get(last));
    layout.lines[lines.start].range.start..end.map_or(layout.text.len(), |line| line.range.end)
}

// Closing brackets wherever one may be missing, the last place first.
fn close(layout: &Layout<'_>, found: &Tokenized, wrong: Option<usize>, lines: Range<usize>, changes: &mut Vec<Change>) {
    let text = layout.text;
    let (Some(first), Some(last)) = (found.opened.first(), found.opened.last()) else { return };
    let end = wrong.unwrap_or(bytes(layout, &lines).end);
    let mut kinds: Vec<&str> = found.opened.iter().map(|at| closing(&text[*at..=*at])).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let from = layout.pieces.partition_point(|piece| piece.start < *first);
    let mut places = Vec::new();
    let mut nested: Vec<Range<usize>> = Vec::new();
    let (mut has_lambda, mut is_late) = (false, false);
    for index in from..layout.pieces.len() {
        let piece = layout.pieces[index].clone();
        if piece.start >= end || places.len() > MOST_CHANGES {
            break;
        }
        let word = layout.piece(index);
        let is_attribute = index > 0 && layout.piece(index - 1) == ".";
        let is_statement = STATEMENTS[..STATEMENTS.len() - SOFT].contains(&word) && !is_attribute;
        let line = &layout.lines[layout.line_at(piece.start)];
        let ends_head = word == ":"
            && line.pieces.end == index + 1
            && !has_lambda
            && nested.iter().all(|open| &text[open.clone()] == "(");
        if is_statement || word == ";" || ends_head {
            break;
        }
        has_lambda |= word == "lambda";
        match word {
            "(" | "[" | "{" => nested.push(piece.clone()),
            ")" | "]" | "}" => {
                let opened = nested.pop().map(|opened| (layout.line_at(opened.start), opened));
                let ends_line = |(line, opened): (usize, Range<usize>)| {
                    layout.pieces[layout.lines[line].pieces.end - 1].start == opened.start
                };
                // One that begins its line should close one that ends its line.
                is_late |= line.pieces.start == index && !opened.is_none_or(ends_line);
            }
            _ => {}
        }
        places.push((!is_late, index, is_misaligned(layout, &nested, piece.end, bytes(layout, &lines).end)));
    }
    // On a line of its own, where one is left for it.
    if let Some(place) = own_line(layout, *last, places.last().map(|(_, index, _)| layout.pieces[*index].end)) {
        changes.push(Change::insert(place, closing(&text[*last..=*last])));
    }
    places.sort_by_key(|(is_first, ..)| *is_first);
    for (_, index, is_misaligned) in places.into_iter().rev() {
        let place = layout.pieces[index].end;
        for kind in &kinds {
            // Few call what a function of one name returns; what follows that name are its own arguments.
            let calls_result = *kind == ")" && text[place..].starts_with('(') && is_name(layout.piece(index));
            changes.push(Change { is_odd: is_misaligned || calls_result, ..Change::insert(place, *kind) });
        }
    }
    // A bracket that stands there twice may be one too many.
    for at in &found.opened {
        let bracket = &text[*at..=*at];
        if text[..*at].ends_with(bracket) || text[at + 1..].starts_with(bracket) {
            changes.push(Change::replace(*at..at + 1, ""));
        }
    }
}

// Whether the next lines stand below what a bracket holds although it would be closed before them, or below what the bracket
// around it holds although it would be closed behind them.
fn is_misaligned(layout: &Layout<'_>, nested: &[Range<usize>], place: usize, end: usize) -> bool {
    let [around @ .., bracket] = nested else { return false };
    let opened = layout.line_at(bracket.start);
    let is_below = |line: usize, bracket: &Range<usize>| {
        let first = &layout.lines[layout.line_at(bracket.start)];
        let held = first.indent + layout.text[first.range.start..bracket.end].trim_start().chars().count();
        layout.lines[line].range.start < end
            && layout.lines[line].indent == held
            && layout.pieces[first.pieces.end - 1].start > bracket.start
    };
    let too_early = layout.next_code(layout.line_at(place - 1)).is_some_and(|line| is_below(line, bracket));
    let too_late = around.last().filter(|around| layout.line_at(around.start) == opened).is_some_and(|around| {
        let next = layout.next_code(opened).filter(|line| *line <= layout.line_at(place - 1));
        next.is_some_and(|line| is_below(line, around))
    });
    too_early || too_late
}

fn is_name(piece: &str) -> bool {
    piece.starts_with(|first: char| first.is_alphabetic() || first == '_') && !piece.contains(['"', '\''])
}

fn is_literal(piece: &str) -> bool {
    piece.starts_with(|first: char| first.is_ascii_digit()) || piece.contains(['"', '\''])
}

// The line after the last piece, when it is indented as that of the bracket and holds nothing, and the bracket ends its line.
fn own_line(layout: &Layout<'_>, bracket: usize, last: Option<usize>) -> Option<usize> {
    let opened = &layout.lines[layout.line_at(bracket)];
    if layout.pieces.get(opened.pieces.end.checked_sub(1)?)?.start != bracket {
        return None;
    }
    let next = layout.lines.get(layout.line_at(last?.checked_sub(1)?) + 1)?;
    let line = &layout.text[next.range.clone()];
    (line.trim().is_empty() && layout.text[opened.range.clone()].starts_with(line) && next.indent == opened.indent)
        .then_some(next.range.end)
}

// Opening brackets wherever one may be missing, or the closing one away, or another one in its place.
fn open(layout: &Layout<'_>, found: &Tokenized, wrong: usize, lines: Range<usize>, changes: &mut Vec<Change>) {
    let text = layout.text;
    let bracket = &text[wrong..=wrong];
    changes.push(Change::replace(wrong..wrong + 1, ""));
    if let Some(last) = found.opened.last() {
        changes.push(Change::replace(wrong..wrong + 1, closing(&text[*last..=*last])));
        changes.push(Change::replace(*last..last + 1, opening(bracket)));
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    for index in 0..layout.pieces.len() {
        *names.entry(layout.piece(index)).or_default() += 1;
    }
    let region = bytes(layout, &lines);
    let from = layout.pieces.partition_point(|piece| piece.start < region.start);
    for index in from..layout.pieces.len() {
        let piece = layout.pieces[index].clone();
        if piece.start > wrong || changes.len() > MOST_CHANGES {
            break;
        }
        if index > from {
            let gap = &text[layout.pieces[index - 1].end..piece.start];
            if let Some((rest, _)) = gap.split_once('\n') {
                let blank = if rest.trim().is_empty() { rest.trim_end_matches('\r').len() } else { 0 };
                changes.push(Change::insert(layout.pieces[index - 1].end + blank, opening(bracket)));
            }
        }
        // Nobody calls a number or a text.
        let calls_literal = bracket == ")" && index > from && is_literal(layout.piece(index - 1));
        changes.push(Change { is_odd: calls_literal, ..Change::insert(piece.start, opening(bracket)) });
        if piece.start < wrong {
            changes.extend(splits(layout, &names, index).into_iter().map(|at| Change::insert(at, opening(bracket))));
        }
    }
}

// Where one word may have been two before the bracket between them was lost: in a name that stands nowhere else, and behind
// the prefix of a text.
fn splits(layout: &Layout<'_>, names: &HashMap<&str, usize>, index: usize) -> Vec<usize> {
    let piece = layout.piece(index);
    let start = layout.pieces[index].start;
    if let Some(quote) = piece.find(['"', '\'']) {
        return if quote > 0 { vec![start + quote] } else { Vec::new() };
    }
    let is_defined = index > 0 && matches!(layout.piece(index - 1), "def" | "class");
    let is_elsewhere = || names.get(piece).is_some_and(|count| *count > 1);
    if !is_name(piece) || !is_defined && (BUILTINS.contains(&piece) || is_elsewhere()) {
        return Vec::new();
    }
    piece.char_indices().skip(1).map(|(at, _)| start + at).collect()
}

// A text without its end on its line.
fn quote(layout: &Layout<'_>, at: usize, version: PythonVersion) -> Option<Change> {
    let text = layout.text;
    let line_index = layout.line_at(at);
    let line = &layout.lines[line_index];
    let content = &text[line.range.clone()];
    let piece = &layout.pieces[layout.pieces.partition_point(|piece| piece.start < at)..].first()?.clone();
    let unended = &text[piece.start..piece.end.min(line.range.end)];
    let quote = unended.find(['"', '\'']).map(|found| &unended[found..=found])?;
    let is_long = unended[unended.find(quote)?..].starts_with(&quote.repeat(3));
    // A backslash before the quote, or at the end of the line, was meant for something.
    let is_escaped = unended.contains(&format!("\\{quote}")) || unended.ends_with('\\');
    if is_long || is_escaped || line.is_text || piece.end > line.range.end + 1 || content.len() > LONGEST_LINE {
        return None;
    }
    let head = layout.head_at(at)?;
    // Where the line holds both kinds of quotes, either may be missing.
    let kinds: Vec<&str> = ["'", "\""].into_iter().filter(|kind| *kind == quote || content.contains(kind)).collect();
    let places = (line.range.start..=line.range.end).rev().filter(|place| text.is_char_boundary(*place));
    let mut changes = Vec::new();
    for (place, quote) in places.flat_map(|place| kinds.iter().map(move |kind| (place, *kind))) {
        let changed = format!("{}{quote}{}", &text[line.range.start..place], &text[place..line.range.end]);
        let read = pieces(&changed);
        let is_text = |piece: &Range<usize>| changed[piece.clone()].contains(['"', '\'']);
        let joins = |two: &[Range<usize>]| {
            is_text(&two[0]) && is_text(&two[1]) && changed[two[0].end..two[1].start].trim().is_empty()
        };
        changes.push(Change { is_odd: read.windows(2).any(joins), ..Change::insert(place, quote) });
    }
    Statement::of(layout, layout.statement(head)).only(text, changes, version)
}

// A head of a block without its colon: what follows is indented more.
fn colon(layout: &Layout<'_>, error: usize, version: PythonVersion) -> Option<Change> {
    let head = layout.head_at(error)?;
    let before = (0..head).rev().find(|line| layout.lines[*line].begins);
    [Some(head), before].into_iter().flatten().find_map(|head| colon_of(layout, head, version))
}

fn colon_of(layout: &Layout<'_>, head: usize, version: PythonVersion) -> Option<Change> {
    let first = &layout.lines[head];
    if !HEADS.contains(&layout.piece(first.pieces.start)) {
        return None;
    }
    let end = (head + 1..layout.lines.len()).find(|line| layout.lines[*line].begins)?;
    let last = layout.lines[end].pieces.start.checked_sub(1)?;
    if layout.piece(last) == ":" || layout.lines[end].indent <= first.indent {
        return None;
    }
    let white = &layout.text[layout.lines[end].range.clone()];
    let white = &white[..white.len() - white.trim_start().len()];
    let body = if layout.piece(first.pieces.start) == "match" { "case _: pass" } else { "pass" };
    let change = Change::insert(layout.pieces[last].end, ":");
    let body = format!("{white}{body}\n");
    Statement::of(layout, head..end).with(&body).only(layout.text, vec![change], version)
}

// The `print` of Python 2, on one line.
fn print(layout: &Layout<'_>, error: usize, version: PythonVersion) -> Option<Change> {
    let head = layout.head_at(error)?;
    let line = &layout.lines[head];
    let (first, last) = (line.pieces.start, line.pieces.end.checked_sub(1)?);
    let is_whole = layout.next_code(head).is_none_or(|next| layout.lines[next].begins);
    let is_bare = !matches!(layout.piece(first + 1), "(" | ">" | "," | ";") && layout.piece(last) != ",";
    let has_more = (first..=last).any(|index| layout.piece(index) == ";");
    if layout.piece(first) != "print" || first == last || !is_whole || !is_bare || has_more {
        return None;
    }
    let range = layout.pieces[first].end..layout.pieces[last].end;
    let inside = layout.text[range.clone()].trim_start();
    let change = Change::replace(range, format!("({inside})"));
    Statement::of(layout, layout.statement(head)).only(layout.text, vec![change], version)
}

// A comma between two elements on lines of their own, where others of the same bracket have one.
fn comma(layout: &Layout<'_>, error: usize, version: PythonVersion) -> Option<Change> {
    let line = &layout.lines[layout.line_at(error)];
    let index = line.pieces.start;
    let last = index.checked_sub(1)?;
    let above = layout.line_at(layout.pieces[last].start);
    let bracket = innermost(layout, index)?;
    let is_first = layout.lines[above].pieces.contains(&bracket);
    let is_aligned = is_first || layout.lines[above].indent == line.indent;
    let is_list = commas(layout, bracket) > 0;
    if line.is_text || line.begins || !is_aligned || !is_list {
        return None;
    }
    let change = Change::insert(layout.pieces[last].end, ",");
    let head = layout.head_at(error)?;
    Statement::of(layout, layout.statement(head)).only(layout.text, vec![change], version)
}

// The bracket around a piece, by its index.
fn innermost(layout: &Layout<'_>, index: usize) -> Option<usize> {
    let mut closed = 0_usize;
    let start = layout.head_at(layout.pieces.get(index)?.start).map_or(0, |head| layout.lines[head].pieces.start);
    (start..index).rev().find(|before| match layout.piece(*before) {
        ")" | "]" | "}" => {
            closed += 1;
            false
        }
        "(" | "[" | "{" if closed > 0 => {
            closed -= 1;
            false
        }
        "(" | "[" | "{" => true,
        _ => false,
    })
}

// How many commas of a bracket end their line.
fn commas(layout: &Layout<'_>, bracket: usize) -> usize {
    let mut depth = 0_usize;
    let mut count = 0;
    for index in bracket..layout.pieces.len() {
        match layout.piece(index) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            "," if depth == 1 => {
                let line = &layout.lines[layout.line_at(layout.pieces[index].start)];
                count += usize::from(line.pieces.end == index + 1);
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    count
}
