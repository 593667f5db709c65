//! The contrast of every pair of colours that meets on a page, from the file that has them all.

use std::collections::BTreeMap;

const TOKENS: &str = include_str!("../../../static/style/tokens.css");

/// Text that may stand on every ground.
const TEXTS: [&str; 3] = ["text", "text-2", "link"];
/// Words of a meaning, which also stand on a tint of their own.
const MEANINGS: [&str; 9] = [
    "sev1", "sev2", "sev3", "sev4", "run", "gate", "unknown", "done", "drill",
];
const GROUNDS: [&str; 3] = ["ground", "card", "inset"];
/// Edges of what can be used, and the ring around what has the focus.
const PARTS: [&str; 4] = ["edge", "link", "solid-edge", "danger-edge"];

const TEXT_MIN: f64 = 4.5;
const PART_MIN: f64 = 3.0;

type Colours = BTreeMap<String, String>;

/// The colours of the light, the dark and the night theme.
fn themes() -> [(&'static str, Colours); 3] {
    let (mut light, mut dark) = (Colours::new(), Colours::new());
    for line in TOKENS.lines() {
        let Some((name, rest)) = line
            .trim()
            .strip_prefix("--")
            .and_then(|line| line.split_once(": light-dark("))
        else {
            continue;
        };
        let pair = rest.trim_end_matches(");");
        let (first, second) = pair.split_once(", ").unwrap();
        light.insert(name.to_owned(), first.to_owned());
        dark.insert(name.to_owned(), second.to_owned());
    }
    let mut night = dark.clone();
    let block = TOKENS.split("[data-theme=night]").nth(1).unwrap();
    for declaration in block.split(['{', '}']).nth(1).unwrap().split(';') {
        if let Some((name, value)) = declaration
            .trim()
            .strip_prefix("--")
            .and_then(|text| text.split_once(": "))
        {
            night.insert(name.to_owned(), value.to_owned());
        }
    }
    [("light", light), ("dark", dark), ("night", night)]
}

/// Relative luminance, as WCAG 2 defines it.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        match value <= 0.04045 {
            true => value / 12.92,
            false => ((value + 0.055) / 1.055).powf(2.4),
        }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn black_on_white_is_twenty_one_to_one() {
    assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.001);
    assert!((contrast("#767676", "#ffffff") - 4.54).abs() < 0.01);
}

#[test]
fn every_text_and_every_edge_can_be_seen_in_every_theme() {
    let mut faults = Vec::new();
    for (theme, colours) in themes() {
        assert!(colours.len() > 25, "the colours were read: {colours:?}");
        let (mut least_text, mut least_part) = (f64::MAX, f64::MAX);
        let mut text = |one: &str, on: &str, colour: &str, ground: &str| {
            let found = contrast(colour, ground);
            least_text = least_text.min(found);
            if found < TEXT_MIN {
                faults.push(format!("{theme}: {one} on {on} is {found:.2}"));
            }
        };
        for ground in GROUNDS {
            for name in TEXTS.iter().chain(&MEANINGS) {
                text(name, ground, &colours[*name], &colours[ground]);
            }
        }
        for name in MEANINGS {
            let tint = format!("{name}-tint");
            text(name, &tint, &colours[name], &colours[&tint]);
            text("text", &tint, &colours["text"], &colours[&tint]);
        }
        for solid in ["solid", "danger"] {
            text("white", solid, "#ffffff", &colours[solid]);
        }
        for ground in GROUNDS {
            for name in PARTS {
                let found = contrast(&colours[name], &colours[ground]);
                least_part = least_part.min(found);
                if found < PART_MIN {
                    faults.push(format!("{theme}: {name} beside {ground} is {found:.2}"));
                }
            }
        }
        println!("{theme}: text at least {least_text:.1}, parts at least {least_part:.1}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
