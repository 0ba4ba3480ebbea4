use proptest::prelude::*;

use super::repair;
use crate::validate::python::check;

/// Sources, what becomes of them, and what is said.
const REPAIRED: &[(&str, &str, &[&str])] = &[
    // Brackets that are never closed.
    ("x = (1,\n     2\ny = 3\n", "x = (1,\n     2)\ny = 3\n", &["added `)` at the end of line 2"]),
    (
        "def f(a,\n      b:\n    return a\n",
        "def f(a,\n      b):\n    return a\n",
        &["added `)` before `:` in line 2, column 8"],
    ),
    ("print('a', x\n", "print('a', x)\n", &["added `)` at the end of line 1"]),
    ("f(a  # why\ng()\n", "f(a)  # why\ng()\n", &["added `)` before the comment in line 1"]),
    (
        "for i in range(len(x):\n    pass\n",
        "for i in range(len(x)):\n    pass\n",
        &["added `)` before `:` in line 1, column 22"],
    ),
    ("@f(1\ndef g():\n    pass\n", "@f(1)\ndef g():\n    pass\n", &["added `)` at the end of line 1"]),
    (
        "x = [\n    1,\n    {'a': [2, 3], 'b': 4},\n\ny = 3\n",
        "x = [\n    1,\n    {'a': [2, 3], 'b': 4},\n]\ny = 3\n",
        &["added `]` at the end of line 4"],
    ),
    (
        "x = f(\n    a,\n    g(b,\n      c,\n)\ny = 3\n",
        "x = f(\n    a,\n    g(b,\n      c,)\n)\ny = 3\n",
        &["added `)` at the end of line 4"],
    ),
    ("x = {'a': f'{y[0]}'\n", "x = {'a': f'{y[0]}'}\n", &["added `}` at the end of line 1"]),
    (
        "try:\n    f(1\nexcept A:\n    pass\n",
        "try:\n    f(1)\nexcept A:\n    pass\n",
        &["added `)` at the end of line 2"],
    ),
    (
        "try:\n    f()\nexcept (A, B:\n    pass\n",
        "try:\n    f()\nexcept (A, B):\n    pass\n",
        &["added `)` before `:` in line 3, column 13"],
    ),
    (
        "match x:\n    case A(1:\n        pass\n",
        "match x:\n    case A(1):\n        pass\n",
        &["added `)` before `:` in line 2, column 13"],
    ),
    // Brackets that close none or another one.
    ("y = 2)\n", "y = 2\n", &["removed `)` in line 1, column 6"]),
    ("return_ = 1\nf(\n)\nf)\n", "return_ = 1\nf(\n)\nf()\n", &["added `(` before `)` in line 4, column 2"]),
    ("x = len a, b)\n", "x = len (a, b)\n", &["added `(` before `a,` in line 1, column 9"]),
    ("x =\n    'a': 1,\n}\n", "x ={\n    'a': 1,\n}\n", &["added `{` at the end of line 1"]),
    ("x = {'a': 1, 'b': 2]\n", "x = {'a': 1, 'b': 2}\n", &["replaced `]` by `}` in line 1, column 20"]),
    ("def f(a, b]:\n    pass\n", "def f(a, b):\n    pass\n", &["replaced `]` by `)` in line 1, column 11"]),
    // Colons.
    ("if x\n    y = 1\n", "if x:\n    y = 1\n", &["added `:` at the end of line 1"]),
    ("if x  # why\n    y = 1\n", "if x:  # why\n    y = 1\n", &["added `:` before the comment in line 1"]),
    (
        "class A(B)\n\n    # why\n    x = 1\n",
        "class A(B):\n\n    # why\n    x = 1\n",
        &["added `:` at the end of line 1"],
    ),
    ("def f(a,\n      b)\n    return a\n", "def f(a,\n      b):\n    return a\n", &["added `:` at the end of line 2"]),
    ("if x:\n\ty = 1\nelse\n\ty = 2\n", "if x:\n\ty = 1\nelse:\n\ty = 2\n", &["added `:` at the end of line 3"]),
    (
        "match x\n    case 1:\n        pass\n",
        "match x:\n    case 1:\n        pass\n",
        &["added `:` at the end of line 1"],
    ),
    (
        "match x:\n    case 1\n        pass\n",
        "match x:\n    case 1:\n        pass\n",
        &["added `:` at the end of line 2"],
    ),
    (
        "try\n    f()\nfinally\n    g()\n",
        "try:\n    f()\nfinally:\n    g()\n",
        &["added `:` at the end of line 1", "added `:` at the end of line 3"],
    ),
    // Texts.
    ("x = 'abc\ny = 1\n", "x = 'abc'\ny = 1\n", &["added `'` at the end of line 1"]),
    ("x = ['a', 'b, 'c']\n", "x = ['a', 'b', 'c']\n", &["added `'` before `,` in line 1, column 13"]),
    ("d[key\"] = 1\n", "d[\"key\"] = 1\n", &["added `\"` before `key\"]` in line 1, column 3"]),
    ("f(f'{a[0]} b)\n", "f(f'{a[0]} b')\n", &["added `'` before `)` in line 1, column 13"]),
    // Commas.
    (
        "x = [\n    1,\n    f(2)\n    3,\n]\n",
        "x = [\n    1,\n    f(2),\n    3,\n]\n",
        &["added `,` at the end of line 3"],
    ),
    (
        "x = {\n    'a': 'b',\n    'c': 'd'\n    'e': 'f',\n}\n",
        "x = {\n    'a': 'b',\n    'c': 'd',\n    'e': 'f',\n}\n",
        &["added `,` at the end of line 3"],
    ),
    // The `print` of Python 2.
    (
        "if x:\n    print 'a' % b, c  # why\n",
        "if x:\n    print('a' % b, c)  # why\n",
        &["put brackets around what is printed in line 2"],
    ),
    // Several, each in a statement of its own, and what surrounds them.
    (
        "\u{feff}if a\r\n\tf(1\r\nx = 'b",
        "\u{feff}if a:\r\n\tf(1)\r\nx = 'b'",
        &["added `:` at the end of line 1", "added `)` at the end of line 2", "added `'` at the end of line 3"],
    ),
    (
        "f(\n    a\n# \u{e9}\ng('\u{e9}'\n",
        "f(\n    a)\n# \u{e9}\ng('\u{e9}')\n",
        &["added `)` at the end of line 2", "added `)` at the end of line 4"],
    ),
];

/// Sources that could be repaired in more ways than one, or in none that is simple.
const LEFT: &[&str] = &[
    "",
    "x = 1\n",
    // A bracket that could close in two places.
    "x = f(a, b\n",
    "if f(a and b:\n    pass\n",
    "x = f(a.b\n",
    "x = [1, 2)\n",
    "x = f(g(a, b)\n",
    "f(g(a, b, h=1\n",
    // One word may have been two.
    "x = lenx)\n",
    "x = f'a')\n",
    "class AB):\n    pass\n",
    "def f():\n    pass\ndef fx):\n    fx()\n",
    // As well `f(a())`, or `f(a)()`.
    "f(a)\nx = f(a))\n",
    // A text that could end in two places, and escapes.
    "f('a, b)\n",
    "x = 'a # b\n",
    "x = 'C:\\'\n",
    "f(a, b')\n",
    "x = 'a,\n",
    "x = \"\"\"a\n",
    "x = ''a'''\n",
    // Nothing below the head.
    "if x\ny = 1\n",
    "def f()\n",
    // Not of the simplest.
    "if x = 1:\n    pass\n",
    "x = 1 +\n",
    "f(\n    a\n    b\n)\n",
    "print 'a',\n",
    "print >>f, 'a' 1\n",
    "if x:\n        y = 1\n    z = 2\n",
    "return 1\n",
    "x = $\n",
    "f(g(a\n",
    "if a\n    b\nif c\n    d\nif e\n    f\nif g\n    h\n",
];

#[test]
fn what_is_beyond_doubt_is_repaired() {
    for (before, after, says) in REPAIRED {
        for windows in [false, true] {
            let ends =
                |text: &str| if windows { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text.to_owned() };
            let (before, after) = (ends(before), ends(after));
            let found =
                repair(before.as_bytes(), Some((3, 11))).unwrap_or_else(|| panic!("{before:?} is not repaired"));
            assert_eq!(String::from_utf8(found.after).unwrap(), after);
            let said: Vec<&str> = found.edits.iter().map(|edit| edit.says.as_str()).collect();
            assert_eq!(said, *says, "{before:?}");
        }
    }
}

#[test]
fn what_is_in_doubt_is_left() {
    for text in LEFT {
        assert_eq!(repair(text.as_bytes(), Some((3, 11))), None, "{text:?}");
    }
    assert_eq!(repair(b"# coding: latin-1\nx = ('\xe9'\n", None), None);
    assert_eq!(repair(b"x = ('\xe9'\n", None), None);
    assert_eq!(repair(b"\xef\xbb\xbf)\n# coding: latin-1\n", None), None);
    assert!(repair("x = ('\u{e9}'\n".as_bytes(), None).is_some());
}

/// The same source is right for one Python and not to be repaired for an older one.
#[test]
fn a_repair_is_for_one_python() {
    let text = b"match x\n    case 1:\n        pass\n";
    assert_eq!(repair(text, Some((3, 9))), None);
    let found = repair(text, Some((3, 10))).unwrap();
    assert_eq!(found.help(), "add `:` at the end of line 1");
    assert_eq!((found.edits[0].range.clone(), found.edits[0].insert.as_str()), (7..7, ":"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_repaired_can_be_read(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "(", ")", "[", "]", "{", "}", ":", ",", "'", "\"", "'''", "f'", "\\", "#", "\n", "\n", "\r\n", "    ",
                "\t", " ", "x", "y ", "1", "= ", ".", "if ", "else", "def f", "class A", "print ", "return ", "@", "for ",
                "in ", "lambda ", "match ", "case ", "\u{e9}", "\u{2019}", "\0", "# coding: latin-1\n",
            ]),
            0..40,
        ),
        marked in any::<bool>(),
    ) {
        let text = format!("{}{}", if marked { "\u{feff}" } else { "" }, parts.concat());
        if let Some(found) = repair(text.as_bytes(), Some((3, 11))) {
            prop_assert_eq!(check(&found.after, Some((3, 11))).unwrap().error, None);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(found) = repair(&bytes, None) {
            prop_assert_eq!(check(&found.after, None).unwrap().error, None);
        }
    }
}
