//! Decisions as lines of a file.

use chrono::SecondsFormat;
use serde_json::json;

use super::list::Decision;
use crate::domain::audit::ExportFormat;

/// What stands before the first line of a file.
pub fn head(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Csv => {
            "time,who,via,kind,decision,object_kind,object,before,after,reason,incident,number,hash\r\n"
        }
        ExportFormat::Jsonl => "",
    }
}

/// One decision as a line of a file, its end included.
pub fn line(format: ExportFormat, decision: &Decision) -> String {
    match format {
        ExportFormat::Csv => csv(decision),
        ExportFormat::Jsonl => format!("{}\n", json(decision)),
    }
}

/// A decision as JSON; acts have their fields as they were written, events their whole fact.
pub fn json(decision: &Decision) -> serde_json::Value {
    let about = decision.about();
    let (before, after) = decision.change();
    let place = decision.place();
    let mut value = json!({
        "at": place.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "who": decision.actor().to_string(),
        "actor": decision.actor(),
        "via": decision.via(),
        "kind": decision.kind(),
        "decision": decision.sentence(),
        "object": {"kind": about.kind, "id": about.id, "name": about.name},
        "seq": place.seq,
        "hash": decision.hash().to_string(),
    });
    match decision {
        Decision::Act(row) => {
            value["before"] = json!(row.act.before);
            value["after"] = json!(row.act.after);
            value["reason"] = json!(row.act.reason);
            value["session"] = json!(row.act.origin.session);
            value["address"] = json!(row.act.origin.address);
        }
        Decision::Event(incident, drill, row) => {
            value["before"] = json!(before);
            value["after"] = json!(after);
            value["incident"] = json!(incident);
            value["drill"] = json!(drill);
            value["fact"] = row.event.body();
        }
    }
    value
}

fn csv(decision: &Decision) -> String {
    let about = decision.about();
    let (before, after) = decision.change();
    let place = decision.place();
    let incident = match decision {
        Decision::Act(_) => String::new(),
        Decision::Event(incident, ..) => incident.to_string(),
    };
    let cells = [
        place.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        decision.actor().to_string(),
        decision.via(),
        decision.kind(),
        decision.sentence(),
        about.kind,
        about.name,
        before,
        after,
        decision.reason().to_owned(),
        incident,
        place.seq.to_string(),
        decision.hash().to_string(),
    ];
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell that no spreadsheet takes for a formula: quoted, quotes doubled, and with an apostrophe before what could begin
/// one (OWASP ASVS 5.0, 1.2.10).
fn cell(text: &str) -> String {
    let is_formula = text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    let mark = if is_formula { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_a_formula_or_ends_early() {
        for (text, expected) in [
            ("plain", "\"plain\""),
            ("", "\"\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("a,b\r\n=c", "\"a,b\r\n=c\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
