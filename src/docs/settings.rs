//! `docs/settings.md`: every setting by what it is about.

use super::{head, row};
use crate::settings::{SETTINGS, SettingSpec, SettingType};

pub fn body() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         A setting is what a plan decides and a stack's config file takes. Policies give it a value (`set`, `derive`, \
         `choose`) or bounds (`limit`), `--set NAME=VALUE` pins it, and other expressions read its final value as \
         `settings.NAME`. Numbers may be written with any unit of their kind (`2 s`, `12 GiB`, `95 %`); the unit here is \
         the one that plans hold and expressions see.\n\n\
         There are no defaults in the program: the policies of layer 10 are the defaults, and `wan22-policy explain NAME` \
         shows which policy decides on a machine. A setting to which no policy gives a value leaves the stack's files as \
         they are.\n\n\
         A new setting is declared in `schemas/settings.schema.json`, given a value by a policy, and named by a key of a \
         target.\n",
    );
    let mut family = "";
    for spec in SETTINGS.iter() {
        let (first, _) = spec.name.split_once('.').unwrap_or((&spec.name, ""));
        if first != family {
            family = first;
            page += &format!("\n## `{family}`\n\n{}", head(["setting", "type", "values", "meaning"]));
        }
        page += &setting(spec);
    }
    page
}

fn setting(spec: &SettingSpec) -> String {
    let unit = spec.unit.map_or_else(String::new, |unit| format!(" ({unit})"));
    let ty = match spec.ty {
        SettingType::Boolean => "true or false",
        SettingType::Integer => "a whole number",
        SettingType::Number => "a number",
        SettingType::String => "a text",
        SettingType::Array => "a list of whole numbers",
    };
    let range = match spec.allowed() {
        [] => spec.range(),
        _ => spec.range().split(", ").map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "),
    };
    row([&format!("`{}`", spec.name), &format!("{ty}{unit}"), &range, &spec.description])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_on_the_page_with_its_unit_and_range() {
        let page = body();
        for spec in SETTINGS.iter() {
            assert!(page.contains(&format!("| `{}` |", spec.name)), "{}", spec.name);
        }
        assert!(page.contains("| a whole number (px) | 64 px to 4096 px, in steps of 32 |"), "{page}");
        assert!(page.contains("| a text | `none`, `model`, `block`, `sequential` |"), "{page}");
    }
}
