//! Edits of every kind of file, and what holds for any file and any change.

use super::config::get;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn change(path: &str, value: Value) -> KeyChange {
    KeyChange { path: path.split('.').map(str::to_owned).collect(), value }
}

fn set(text: &str, path: &str, value: Value) -> String {
    edit(text, &[change(path, value)]).unwrap()
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn what_python_reads_is_read() {
    for (text, want) in [
        ("\u{feff}{\"a\": 1}", json!({"a": 1})),
        ("{\"a\": 1, \"a\": 2}", json!({"a": 2})),
        ("[NaN, Infinity, -Infinity, 1e999]", json!([null, null, null, null])),
        ("\r\n\t 7 \r", json!(7)),
        (r#""\ud83d\ude00 \ud83d \\ud83d \u00e9""#, json!("😀 \u{fffd} \\ud83d é")),
        ("[-0, 1E5, 1e-2, 18446744073709551615]", json!([0, 1e5, 0.01, u64::MAX])),
        ("\"\u{7f}\u{a0}\u{2028}\"", json!("\u{7f}\u{a0}\u{2028}")),
    ] {
        assert_eq!(parse(text).unwrap(), want, "{text}");
    }
}

#[test]
fn what_python_refuses_is_refused_at_its_place() {
    for (text, want) in [
        ("", "line 1, column 1: the file is empty"),
        ("{\n  \"é\": 1, // why\n}", "line 2, column 11: comments are not allowed"),
        ("{\"a\": 1,}", "line 1, column 8: trailing commas are not allowed"),
        ("[1, 2,]", "line 1, column 6: trailing commas are not allowed"),
        ("{'a': 1}", "line 1, column 2: single-quoted strings are not allowed"),
        ("{a: 1}", "line 1, column 2: expected string for object property"),
        ("{\"a\": True}", "line 1, column 7: unexpected token"),
        ("[1 2]", "line 1, column 3: expected comma"),
        ("{\"a\": 01}", "line 1, column 8: expected comma"),
        ("[-NaN]", "line 1, column 2: `-NaN` is not a number"),
        ("{\"a\": \"x\n\", \"b\": 1}", "line 1, column 9: a line break or control character inside a string"),
        ("[1,\u{a0}2]", "line 1, column 4: unexpected character"),
        ("[1,\u{c}2]", "line 1, column 4: unexpected character"),
        ("{} {}", "line 1, column 4: text cannot contain more than one JSON value"),
        ("{\"a\": 1", "line 1, column 1: unterminated object"),
    ] {
        assert_eq!(message(text), want, "{text:?}");
    }
}

#[test]
fn a_value_is_replaced_and_nothing_else() {
    for (text, path, value, want) in [
        ("{\"a\" : 1 ,\t\"b\":2.50}\n\n", "a", json!("x"), "{\"a\" : \"x\" ,\t\"b\":2.50}\n\n"),
        (
            "\u{feff}{\r\n  \"a\": 1,\n\n  \"é\": 1e3\r\n}",
            "a",
            json!(2),
            "\u{feff}{\r\n  \"a\": 2,\n\n  \"é\": 1e3\r\n}",
        ),
        ("{\"a\": 1, \"b\": 2, \"a\": 3}", "a", json!(4), "{\"a\": 1, \"b\": 2, \"a\": 4}"),
        ("{\"s\": {\"a\": 1}, \"s\": {\"a\": 1}}", "s.a", json!(4), "{\"s\": {\"a\": 1}, \"s\": {\"a\": 4}}"),
        ("{\"\\u0061\": [NaN, 1]}", "a", json!(true), "{\"\\u0061\": true}"),
        ("{\"a\": NaN, \"b\": NaN}", "a", json!(null), "{\"a\": null, \"b\": NaN}"),
        ("{\"a\": [128, 512]}", "a", json!([256, 1024]), "{\"a\": [256, 1024]}"),
        ("{\"a\":[128,512]}", "a", json!([256, 1024]), "{\"a\":[256,1024]}"),
        ("{\n\t\"a\": [\n\t\t1\n\t]\n}", "a", json!([2, 3]), "{\n\t\"a\": [\n\t\t2,\n\t\t3\n\t]\n}"),
        ("{\n  \"a\": 1\n}", "a", json!({"b": [1, 2]}), "{\n  \"a\": {\n    \"b\": [1, 2]\n  }\n}"),
        ("{\"a\": {\"b\": 1}}", "a", json!({}), "{\"a\": {}}"),
        ("{\"a\": 1}", "a", json!("é😀"), "{\"a\": \"\\u00e9\\ud83d\\ude00\"}"),
        ("{\"a\": \"ü\"}", "a", json!("é😀"), "{\"a\": \"é😀\"}"),
        ("{\"a\": \"\\ud83d\", \"b\": 1}", "b", json!(2), "{\"a\": \"\\ud83d\", \"b\": 2}"),
    ] {
        assert_eq!(set(text, path, value), want, "{text:?}");
    }
}

#[test]
fn an_equal_value_keeps_its_spelling() {
    for (text, value) in [
        ("{\"a\": 2.0}", json!(2)),
        ("{\"a\": 2}", json!(2.0)),
        ("{\"a\": 20e-1}", json!(2)),
        ("{\"a\": \"\\u0066p8\"}", json!("fp8")),
        ("{\"a\": [1 , 2.0]}", json!([1.0, 2])),
        ("{\"a\": {\"y\": 1, \"x\": 5, \"x\": 2}}", json!({"x": 2, "y": 1})),
    ] {
        assert_eq!(set(text, "a", value), text);
    }
    assert_eq!(set("{\"a\": 9007199254740993}", "a", json!(9007199254740992.0)), "{\"a\": 9007199254740992.0}");
    assert_eq!(set("{\"a\": 1}", "a", json!(true)), "{\"a\": true}");
    assert_eq!(set("{\"a\": {\"x\": 1, \"y\": 2}}", "a", json!({"x": 1})), "{\"a\": {\"x\": 1}}");
}

#[test]
fn a_missing_key_is_added_as_its_siblings_stand() {
    for (text, path, want) in [
        // Nothing to go by.
        ("{}", "b", "{\n  \"b\": 7\n}"),
        ("{}\r\n", "b.c", "{\r\n  \"b\": {\r\n    \"c\": 7\r\n  }\r\n}\r\n"),
        // Lines of their own.
        ("{\n  \"a\": 1\n}", "b", "{\n  \"a\": 1,\n  \"b\": 7\n}"),
        ("{\r\n    \"a\": 1\r\n}", "b", "{\r\n    \"a\": 1,\r\n    \"b\": 7\r\n}"),
        ("{\n\t\"a\": 1 \n}\n", "b.c", "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": 7\n\t} \n}\n"),
        ("{\n  \"s\": {},\n  \"z\": 1\n}", "s.b", "{\n  \"s\": {\n    \"b\": 7\n  },\n  \"z\": 1\n}"),
        ("{\n  \"s\": {\n  },\n  \"z\": 1\n}", "s.b", "{\n  \"s\": {\n    \"b\": 7\n  },\n  \"z\": 1\n}"),
        ("{\n \"x\": 0,\n\n\n \"a\": 1\n\n}", "b", "{\n \"x\": 0,\n\n\n \"a\": 1,\n \"b\": 7\n\n}"),
        ("{\r\n  \"x\": 0,\n  \"a\": 1\r\n}", "b", "{\r\n  \"x\": 0,\n  \"a\": 1,\n  \"b\": 7\r\n}"),
        ("{\r  \"a\": 1\r}", "b.c", "{\r  \"a\": 1,\r  \"b\": {\r    \"c\": 7\r  }\r}"),
        ("{\n  \"a\": 1\n, \"x\": 2\n}", "b", "{\n  \"a\": 1\n, \"x\": 2\n, \"b\": 7\n}"),
        ("{\n  \"a\" : 1\n}", "b", "{\n  \"a\" : 1,\n  \"b\" : 7\n}"),
        ("{\n  \"a\":\n  {\n    \"x\": 1\n  }\n}", "a.b", "{\n  \"a\":\n  {\n    \"x\": 1,\n    \"b\": 7\n  }\n}"),
        ("{\n  \"a\": [\n    1\n  ]\n}", "b", "{\n  \"a\": [\n    1\n  ],\n  \"b\": 7\n}"),
        (
            "{\n    \"a\": 1\n  , \"x\": 2\n}",
            "b.c",
            "{\n    \"a\": 1\n  , \"x\": 2\n  , \"b\": {\n    \"c\": 7\n  }\n}",
        ),
        // One line.
        ("{\"a\":1}", "b", "{\"a\":1,\"b\":7}"),
        ("{\"a\":{}}", "a.b.c", "{\"a\":{\"b\":{\"c\":7}}}"),
        ("{\"a\": 1}", "b", "{\"a\": 1, \"b\": 7}"),
        ("{ \"a\": 1 }", "b", "{ \"a\": 1, \"b\": 7 }"),
        ("{ \"a\":1 , \"x\":2 }", "b", "{ \"a\":1 , \"x\":2 , \"b\":7 }"),
        ("{\"a\": { }}", "a.b", "{\"a\": { \"b\": 7 }}"),
        ("{\n  \"a\": {\"x\": 1}\n}", "a.b", "{\n  \"a\": {\"x\": 1, \"b\": 7}\n}"),
        ("{\n  \"a\": {\"x\": 1}\n}", "a.b.c", "{\n  \"a\": {\"x\": 1, \"b\": {\"c\": 7}}\n}"),
    ] {
        assert_eq!(set(text, path, json!(7)), want, "{text:?}");
    }
}

#[test]
fn a_path_leads_through_objects_only() {
    let error = edit("{\n  \"a\": {\"b\": 1}\n}", &[change("a.b.c", json!(1))]).unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 14: `a.b` is a number, not an object, so `c` cannot be set in it");
    let error = edit("[]", &[change("a", json!(1))]).unwrap_err();
    assert_eq!(error.to_string(), "line 1, column 1: the file is a list, not an object, so `a` cannot be set in it");
    assert!(edit("{}", &[KeyChange { path: Vec::new(), value: json!(1) }]).is_err());
    assert!(edit("{", &[]).is_err());
}

#[test]
fn values_and_their_places_are_found_by_path() {
    let text = "\u{feff}{\n  \"é\": {\"a\": 1, \"a\": 2}\n}";
    let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(get(&parse(text).unwrap(), &path("é.a")), Some(&json!(2)));
    assert_eq!(position(text, &path("é.a")), Some((2, 22)));
    assert_eq!(position(text, &[]), Some((1, 1)));
    assert_eq!(position(text, &path("é.b")), None);
    assert_eq!(position("{", &path("a")), None);
}

// Spreads a tree over a text with white space from `picks`.
fn render(value: &Value, picks: &mut impl Iterator<Item = u8>, out: &mut String) {
    let mut blank = |out: &mut String| {
        let blanks = ["", "", " ", "\n  ", "\r\n\t", "\r", "\n\n   "];
        out.push_str(blanks[usize::from(picks.next().unwrap()) % blanks.len()]);
    };
    blank(out);
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                render(item, picks, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (i, (key, item)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                let mut blank = String::new();
                render(&json!(key), picks, &mut blank);
                out.push_str(&blank);
                out.push(':');
                render(item, picks, out);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    let blanks = ["", " ", "\n", "\t"];
    out.push_str(blanks[usize::from(picks.next().unwrap()) % blanks.len()]);
}

fn trees() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "[a-z\"\\\\\u{1}é😀]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::btree_map("[a-cé]{1,2}", inner, 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

// The same change on a tree; false where it cannot be made.
fn set_tree(tree: &mut Value, path: &[String], value: &Value) -> bool {
    let (Value::Object(entries), Some((key, rest))) = (tree, path.split_first()) else { return false };
    if rest.is_empty() {
        entries.insert(key.clone(), value.clone());
        return true;
    }
    match entries.get_mut(key) {
        Some(inner) => set_tree(inner, rest, value),
        None => {
            let inner = rest.iter().rev().fold(value.clone(), |value, key| json!({key: value}));
            entries.insert(key.clone(), inner);
            true
        }
    }
}

fn check_edit(text: &str, path: &[String], value: &Value) -> Result<String, TestCaseError> {
    let mut want = parse(text).unwrap();
    let change = [KeyChange { path: path.to_vec(), value: value.clone() }];
    let found = get(&want, path).cloned();
    if !set_tree(&mut want, path, value) {
        prop_assert!(edit(text, &change).is_err());
        return Ok(text.to_owned());
    }
    let new = edit(text, &change).unwrap();
    prop_assert_eq!(parse(&new).unwrap(), want);
    prop_assert_eq!(edit(&new, &change).unwrap(), new.clone());
    // Every byte outside the value stays; an added key takes at most the blanks of an empty object.
    let prefix = text.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let left = text.len().min(new.len()) - prefix;
    let suffix = text.bytes().rev().zip(new.bytes().rev()).take(left).take_while(|(a, b)| a == b).count();
    if found.is_some() {
        let (bom, body) = split_bom(text);
        let tree = read(body).unwrap();
        let node = path.iter().fold(&tree, |node, key| match node {
            ast::Value::Object(object) => &effective(object, key).unwrap().value,
            _ => unreachable!(),
        });
        prop_assert!(new.starts_with(&text[..bom.len() + node.start()]));
        prop_assert!(new.ends_with(&body[node.end()..]));
    } else {
        prop_assert!(text[prefix..text.len() - suffix].trim().is_empty());
    }
    Ok(new)
}

proptest! {
    #[test]
    fn edits_change_their_keys_only(
        tree in trees(),
        changes in prop::collection::vec((prop::collection::vec("[a-cé]{1,2}", 1..4), trees()), 1..4),
        picks in prop::collection::vec(any::<u8>(), 1..40),
        layout in 0..4,
    ) {
        let mut text = match layout {
            0 => tree.to_string(),
            1 => serde_json::to_string_pretty(&tree).unwrap().replace('\n', "\r\n"),
            2 => format!("\u{feff}{}\n", serde_json::to_string_pretty(&tree).unwrap()),
            _ => {
                let mut text = String::new();
                render(&tree, &mut picks.iter().copied().cycle(), &mut text);
                text
            }
        };
        for (path, value) in &changes {
            text = check_edit(&text, path, value)?;
        }
    }

    // serde_json is as strict as Python, up to what Python adds: NaN, infinities and half surrogates.
    #[test]
    fn as_strict_as_another_reader(
        tree in trees(),
        cut in any::<prop::sample::Index>(),
        junk in "[\\]{}:,\"'\\\\ \n\u{b}a1.eE+\\-/*\u{a0}tn]{0,2}",
        len in 0..3_usize,
    ) {
        let mut text = tree.to_string();
        let at = text.floor_char_boundary(cut.index(text.len()));
        let end = text.ceil_char_boundary(text.len().min(at + len));
        text.replace_range(at..end, &junk);
        match (parse(&text), serde_json::from_str::<Value>(&text)) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a, b),
            (Err(_), Err(_)) => {}
            (ours, theirs) => {
                let theirs = theirs.map_or_else(|e| e.to_string(), |v| v.to_string());
                prop_assert!(theirs.contains("surrogate") || theirs.contains("out of range"), "{:?} {}: {:?}", text, theirs, ours);
            }
        }
    }
}

#[test]
fn a_key_goes_with_what_sets_it_apart() {
    let path = |name: &str| name.split('.').map(str::to_owned).collect::<Vec<_>>();
    for (text, name, want) in [
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n", "a", "{\n  \"b\": 2,\n  \"c\": 3\n}\n"),
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n", "b", "{\n  \"a\": 1,\n  \"c\": 3\n}\n"),
        ("{\r\n  \"a\": 1,\r\n  \"c\": 3\r\n}\r\n", "c", "{\r\n  \"a\": 1\r\n}\r\n"),
        ("\u{feff}{\"a\":{\"b\" : [1, {}] }}", "a.b", "\u{feff}{\"a\":{}}"),
        ("{\"a\": 1, \"b\": 2, \"a\": 3}", "a", "{\"b\": 2}"),
    ] {
        assert_eq!(remove(text, &path(name)).unwrap(), want, "{text}");
    }
    assert!(remove("{\"a\": 1}", &path("b")).is_err());
    assert!(remove("{\"a\": 1}", &path("a.b")).is_err());
    assert!(remove("{\"a\": 1", &path("a")).is_err());
}

#[test]
fn a_key_gets_another_name_and_nothing_else_changes() {
    let path = |name: &str| name.split('.').map(str::to_owned).collect::<Vec<_>>();
    for (text, name, want) in [
        ("{\"a\" :\n 1.50, \"b\": NaN}", "a", "{\"z\" :\n 1.50, \"b\": NaN}"),
        ("\u{feff}{\"b\":{\"a\": \"\\ud800\" }}", "b.a", "\u{feff}{\"b\":{\"z\": \"\\ud800\" }}"),
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"a\": 3\n}\n", "a", "{\n  \"b\": 2,\n  \"z\": 3\n}\n"),
    ] {
        assert_eq!(rename(text, &path(name), "z").unwrap(), want, "{text}");
    }
    assert!(rename("{\"a\": 1, \"z\": 2}", &path("a"), "z").is_err());
    assert!(rename("{\"a\": 1}", &path("b"), "z").is_err());
    assert!(rename("{\"a\": 1}", &path("a.b"), "z").is_err());
    assert!(rename("{\"a\": 1", &path("a"), "z").is_err());
}
