//! Reference pages, generated from the tables that the program itself reads.

use std::fmt::Write;

use crate::facts::Origin;
use crate::facts::vocabulary::{FACTS, FactSpec, Stability};

/// The families of facts, in the table's order, with what each is about.
const FAMILIES: &[(&str, &str)] = &[
    ("host", "The system and the machine it runs on"),
    ("cpu", "The processor, and what of it this process may use"),
    ("numa", "Nodes of memory and CPUs"),
    ("ram", "Memory and swap"),
    ("gpu", "NVIDIA GPUs"),
    ("driver", "The NVIDIA driver"),
    ("disk", "Where the models lie"),
    ("software", "Installed packages"),
    ("models", "Checkpoints"),
    ("workload", "The question asked"),
];

/// `docs/facts.md`: every fact by family.
pub fn facts() -> String {
    let mut page = String::from(
        "<!-- Generated from src/facts/vocabulary.rs; `UPDATE_DOCS=1 cargo test --test docs` writes it anew. -->\n\
         # Facts\n\n\
         A fact has a value and an origin, or is unknown for a reason that `wan22-policy facts` shows. Expressions read \
         it by its name; `known(NAME)` asks whether there is a value. Sizes are bytes inside, and GiB for people.\n\n\
         Settings may read the **stable** facts. The **volatile** ones change while the machine runs, so only checks \
         read them. `gpus[]` stands for each GPU (`gpus[0]`, `gpus[1]`, …), and every name below it stands below `gpu` \
         too, the GPU that the workload runs on.\n\n\
         Beside the origins named here, any fact may come from a facts file (`--facts`, origin `file`) or from the user \
         (`--fact NAME=VALUE`, origin `user`). Where a source is missing altogether (no driver, no hwloc, a machine \
         known from a saved dump alone), all that only it knows is unknown.\n",
    );
    for (family, title) in FAMILIES {
        let _ = write!(
            page,
            "\n## {title}\n\n\
             | fact | type | unit | stability | origin | meaning | unknown when |\n|---|---|---|---|---|---|---|\n"
        );
        FACTS.iter().filter(|spec| family_of(spec) == *family).for_each(|spec| row(&mut page, spec));
    }
    page
}

fn family_of(spec: &FactSpec) -> &str {
    let end = spec.name.find(['.', '[']).unwrap_or(spec.name.len());
    match &spec.name[..end] {
        "gpus" => "gpu",
        family => family,
    }
}

fn row(page: &mut String, spec: &FactSpec) {
    let unit = spec.unit.map_or_else(String::new, |unit| unit.to_string());
    let stability = match spec.stability {
        Stability::Stable => "stable",
        Stability::Volatile => "volatile",
    };
    let origins: Vec<String> = spec.origins.iter().map(Origin::to_string).collect();
    let (ty, origins) = (spec.ty.describe(), origins.join(", "));
    let _ = writeln!(
        page,
        "| `{}` | {ty} | {unit} | {stability} | {origins} | {} | {} |",
        spec.name, spec.doc, spec.absent
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_family_on_the_page() {
        let page = facts();
        for spec in FACTS {
            assert!(page.contains(&format!("| `{}` |", spec.name)), "{}", spec.name);
        }
    }
}
