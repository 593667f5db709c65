//! Which names an expression reads: `steps['ask'].result.rows` is the root `steps` and the way `ask`, `result`,
//! `rows`. The expression language itself only reports names that are written with dots.

/// One name and what is read below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The first name.
    pub root: String,
    /// The names below it, as far as they are written out.
    pub below: Vec<String>,
    /// The next level is computed, like `steps[labels.x]`.
    pub is_computed: bool,
    /// It is called like a function.
    pub is_called: bool,
}

/// What an expression uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of values.
    pub chains: Vec<Chain>,
    /// Filters, as in `x | upper`.
    pub filters: Vec<String>,
    /// Tests, as in `x is defined`.
    pub tests: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number,
    Mark(char),
    /// `==`, `!=`, `<=`, `>=`.
    Compare,
}

/// Words of the language itself, which nothing can be called by.
pub const KEYWORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
];

/// Reads an expression that is known to be well formed.
pub fn read(expression: &str) -> Names {
    let tokens = tokens(expression);
    let mut names = Names::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let before = at.checked_sub(1).and_then(|i| tokens.get(i));
        let Token::Word(word) = token else {
            at += 1;
            continue;
        };
        at += 1;
        let after_is =
            |i: Option<usize>| matches!(i.and_then(|i| tokens.get(i)), Some(Token::Word(w)) if w == "is");
        match before {
            Some(Token::Mark('.')) => continue,
            Some(Token::Mark('|')) => {
                names.filters.push(word.clone());
                continue;
            }
            Some(Token::Word(previous)) => {
                let negated = previous == "not" && after_is(at.checked_sub(3));
                if (previous == "is" && word != "not") || negated {
                    names.tests.push(word.clone());
                    continue;
                }
            }
            _ => {}
        }
        let is_argument_name =
            matches!(before, Some(Token::Mark('(' | ','))) && tokens.get(at) == Some(&Token::Mark('='));
        if KEYWORDS.contains(&word.as_str()) || is_argument_name {
            continue;
        }
        let (chain, next) = chain(word, &tokens, at);
        names.chains.push(chain);
        at = next;
    }
    names
}

/// Follows `.name`, `['name']` and `[0]` from `at`.
fn chain(root: &str, tokens: &[Token], mut at: usize) -> (Chain, usize) {
    let mut chain = Chain {
        root: root.to_owned(),
        below: Vec::new(),
        is_computed: false,
        is_called: false,
    };
    loop {
        match (tokens.get(at), tokens.get(at + 1), tokens.get(at + 2)) {
            (Some(Token::Mark('.')), Some(Token::Word(name)), _) => {
                chain.below.push(name.clone());
                at += 2;
            }
            (Some(Token::Mark('[')), Some(Token::Text(name)), Some(Token::Mark(']'))) => {
                chain.below.push(name.clone());
                at += 3;
            }
            (Some(Token::Mark('[')), Some(Token::Number), Some(Token::Mark(']'))) => {
                chain.below.push("0".to_owned());
                at += 3;
            }
            (Some(Token::Mark('[')), ..) => {
                chain.is_computed = true;
                return (chain, at + 1);
            }
            (Some(Token::Mark('(')), ..) => {
                chain.is_called = true;
                return (chain, at + 1);
            }
            _ => return (chain, at),
        }
    }
}

fn tokens(expression: &str) -> Vec<Token> {
    let chars: Vec<char> = expression.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        at += 1;
        if c.is_whitespace() {
            continue;
        }
        let run = |from: usize, holds: &dyn Fn(char) -> bool| {
            from + chars[from..].iter().take_while(|c| holds(**c)).count()
        };
        tokens.push(if c.is_alphabetic() || c == '_' {
            at = run(at, &|c| c.is_alphanumeric() || c == '_');
            Token::Word(chars[start..at].iter().collect())
        } else if c.is_ascii_digit() {
            at = run(at, &|c| c.is_alphanumeric() || c == '_');
            if chars.get(at) == Some(&'.') && chars.get(at + 1).is_some_and(char::is_ascii_digit) {
                at = run(at + 1, &|c| c.is_alphanumeric());
            }
            Token::Number
        } else if c == '"' || c == '\'' {
            let mut text = String::new();
            while let Some(&inner) = chars.get(at) {
                at += 1;
                match inner {
                    '\\' => {
                        text.extend(chars.get(at));
                        at += 1;
                    }
                    inner if inner == c => break,
                    inner => text.push(inner),
                }
            }
            Token::Text(text)
        } else if "=!<>".contains(c) && chars.get(at) == Some(&'=') {
            at += 1;
            Token::Compare
        } else {
            Token::Mark(c)
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expression: &str) -> Vec<String> {
        read(expression)
            .chains
            .into_iter()
            .map(|chain| {
                let mut text = chain.root;
                for name in chain.below {
                    text.push('/');
                    text.push_str(&name);
                }
                if chain.is_computed {
                    text.push('?');
                }
                if chain.is_called {
                    text.push_str("()");
                }
                text
            })
            .collect()
    }

    #[test]
    fn every_name_is_found_however_it_is_written() {
        for (expression, chains) in [
            (
                "steps['a-b'].result.rows[0].x == 1.5",
                vec!["steps/a-b/result/rows/0/x"],
            ),
            ("steps[\"a\"]['result']", vec!["steps/a/result"]),
            ("steps[labels.x].result", vec!["steps?", "labels/x"]),
            (
                "result.ok | default(inputs.c, true)",
                vec!["result/ok", "inputs/c"],
            ),
            (
                "1 if result is not defined else foo.bar",
                vec!["result", "foo/bar"],
            ),
            ("[x, {'a': y}]", vec!["x", "y"]),
            ("range(3)", vec!["range()"]),
            ("labels.a.upper()", vec!["labels/a/upper()"]),
            ("a[1:2].steps", vec!["a?"]),
            ("not 'steps.x' in result.text", vec!["result/text"]),
            ("x | round(precision=n)", vec!["x", "n"]),
            ("a == b and not c", vec!["a", "b", "c"]),
            ("'it\\'s' ~ d", vec!["d"]),
        ] {
            assert_eq!(shown(expression), chains, "{expression}");
        }
        let names = read("a is not defined and b | upper | trim is string");
        assert_eq!(names.tests, ["defined", "string"]);
        assert_eq!(names.filters, ["upper", "trim"]);
    }
}
