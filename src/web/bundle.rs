//! The modules of `static/script` as one script: a phone on a slow line waits once and not once a module, and what they
//! have in common is squeezed once.
//!
//! Each module becomes a function whose answer is what it exports. This reads no JavaScript but the few forms of line
//! that these modules keep to: `import { a } from "./b.js";`, `import "./b.js";`, `export const`, `export function`, and
//! in the last one, which stays as it is, `export { a } from "./b.js";`.

use std::fmt::Write as _;

/// One script of these modules, by name and text, where each imports only what stands before it.
pub fn bundle(modules: &[(&str, String)]) -> String {
    let mut script = String::new();
    let Some((last, others)) = modules.split_last() else {
        return script;
    };
    for (name, text) in others {
        let mut exported = Vec::new();
        _ = writeln!(script, "const {} = (() => {{", variable(name));
        for line in text.lines() {
            push_line(&mut script, line, &mut exported);
        }
        _ = writeln!(script, "return {{ {} }};\n}})();", exported.join(", "));
    }
    for line in last.1.lines() {
        push_line(&mut script, line, &mut Vec::new());
    }
    script
}

/// What holds a module's exports.
fn variable(module: &str) -> String {
    format!("m_{module}")
}

fn push_line<'a>(script: &mut String, line: &'a str, exported: &mut Vec<&'a str>) {
    let from = line
        .strip_suffix(".js\";")
        .and_then(|line| line.split_once(" from \"./"));
    if let Some((names, module)) = from {
        let (kept, names) = match names.strip_prefix("export ") {
            Some(names) => ("export ", names),
            None => ("", names.trim_start_matches("import ")),
        };
        _ = writeln!(script, "{kept}const {names} = {};", variable(module));
    } else if line.starts_with("import \"") {
        // It is there already.
    } else if let Some(rest) = line.strip_prefix("export ") {
        let name = rest
            .trim_start_matches("async ")
            .split_once(' ')
            .map_or("", |(_, name)| name);
        let end = name
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
            .unwrap_or(name.len());
        exported.push(&name[..end]);
        script.push_str(rest);
        script.push('\n');
    } else if !line.is_empty() {
        script.push_str(line);
        script.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_become_one_script_in_which_each_has_names_of_its_own() {
        let modules = [
            (
                "a",
                "export const $ = (id) => id;\nexport async function ask(x) {\n}\n".to_owned(),
            ),
            (
                "b",
                "import { $, ask } from \"./a.js\";\nimport \"./a.js\";\nconst hidden = $(1);\n".to_owned(),
            ),
            (
                "c",
                "import \"./b.js\";\nexport { $ } from \"./a.js\";\n".to_owned(),
            ),
        ];
        assert_eq!(
            bundle(&modules),
            "const m_a = (() => {\nconst $ = (id) => id;\nasync function ask(x) {\n}\nreturn { $, ask };\n})();\n\
             const m_b = (() => {\nconst { $, ask } = m_a;\nconst hidden = $(1);\nreturn {  };\n})();\n\
             export const { $ } = m_a;\n"
        );
    }
}
